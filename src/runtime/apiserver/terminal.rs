//! What a terminal does between a keyboard and a process: lines, echo, a few keys.
//!
//! A client with a terminal of its own sends keys as they are pressed and shows what it is sent as it is. Processes of the built-in
//! runtime have pipes; this is the line discipline that they lack.

/// Longest line that is edited; what is typed beyond is dropped.
const LINE: usize = 4096;

/// A line being typed.
#[derive(Debug, Default)]
pub(super) struct Terminal {
    line: Vec<u8>,
}

/// What keys lead to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Typed {
    /// Shown to the user.
    pub(super) echo: Vec<u8>,
    /// Given to the process.
    pub(super) input: Vec<u8>,
    /// The user has nothing more to say (Ctrl-D).
    pub(super) end: bool,
    /// The user wants it to stop (Ctrl-C).
    pub(super) interrupt: bool,
}

impl Terminal {
    /// Takes keys.
    pub(super) fn type_in(&mut self, keys: &[u8]) -> Typed {
        let mut typed = Typed::default();
        for key in keys {
            match key {
                b'\r' | b'\n' => {
                    typed.echo.extend(b"\r\n");
                    typed.input.append(&mut self.line);
                    typed.input.push(b'\n');
                }
                8 | 127 => {
                    // The rest of a character goes with it.
                    while self.line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
                    typed.echo.extend(b"\x08 \x08");
                }
                3 => {
                    typed.echo.extend(b"^C\r\n");
                    typed.interrupt = true;
                }
                4 if self.line.is_empty() => typed.end = true,
                21 => {
                    typed.echo.extend(b"\x08 \x08".repeat(self.line.len()));
                    self.line.clear();
                }
                // Escape sequences of arrows and the like would be edited by a shell that this is not.
                byte if *byte < 32 && *byte != b'\t' => {}
                byte if self.line.len() < LINE => {
                    self.line.push(*byte);
                    typed.echo.push(*byte);
                }
                _ => {}
            }
        }
        typed
    }

    /// Output as a screen wants it: each line begins at the left.
    pub(super) fn show(output: &[u8]) -> Vec<u8> {
        let mut shown = Vec::with_capacity(output.len() + 16);
        let mut before = 0;
        for byte in output {
            if *byte == b'\n' && before != b'\r' {
                shown.push(b'\r');
            }
            shown.push(*byte);
            before = *byte;
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_given_on_when_it_is_complete() {
        let mut terminal = Terminal::default();
        let first = terminal.type_in(b"lsx\x7f");
        assert_eq!((first.input.as_slice(), first.echo.as_slice()), (&b""[..], &b"lsx\x08 \x08"[..]));
        let second = terminal.type_in(b" -l\r");
        assert_eq!((second.input.as_slice(), second.echo.as_slice()), (&b"ls -l\n"[..], &b" -l\r\n"[..]));
        assert!(terminal.type_in(b"\x04").end && terminal.type_in(b"\x03").interrupt);
        assert_eq!(Terminal::show(b"a\nb\r\n"), b"a\r\nb\r\n");
    }
}
