//! What words become: parameters, commands and arithmetic put in, fields split, patterns looked up.

use super::run::{Shell, Stop};
use super::syntax::{Change, Piece, Word};
use super::{complain, is_hidden};
use crate::runtime::tools::{arithmetic, pattern};

/// Bytes that a command substitution may yield.
const OUTPUT: u64 = 4 << 20;

/// A word on its way to fields: characters with whether they were quoted.
#[derive(Default)]
struct Field {
    text: String,
    /// Some of it was quoted: it is a field even when it is empty.
    quoted: bool,
    /// Some of what was not quoted is a pattern.
    pattern: bool,
}

impl Shell {
    /// The fields of all words.
    pub(super) fn fields(&mut self, words: &[Word]) -> Result<Vec<String>, Stop> {
        let mut all = Vec::new();
        for word in words {
            let mut fields: Vec<Field> = Vec::new();
            let mut open = Field::default();
            for piece in word {
                self.field(piece, &mut fields, &mut open)?;
            }
            if open.quoted || !open.text.is_empty() {
                fields.push(open);
            }
            for field in fields {
                if field.pattern && pattern::is_pattern(&field.text) {
                    let found = self.files_like(&field.text);
                    if !found.is_empty() {
                        all.extend(found);
                        continue;
                    }
                }
                all.push(field.text);
            }
        }
        Ok(all)
    }

    fn field(&mut self, piece: &Piece, fields: &mut Vec<Field>, open: &mut Field) -> Result<(), Stop> {
        match piece {
            Piece::Text { text, quoted } => {
                let text = match text.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/')) {
                    Some(rest) if !quoted && open.text.is_empty() && !open.quoted => {
                        format!("{}{rest}", self.variable("HOME").unwrap_or_default())
                    }
                    _ => text.clone(),
                };
                open.quoted |= quoted;
                open.pattern |= !quoted && pattern::is_pattern(&text);
                open.text.push_str(&text);
                return Ok(());
            }
            Piece::Parameter { name, change: None, quoted } if name == "@" || (name == "*" && !quoted) => {
                let arguments = self.arguments.clone();
                for (index, argument) in arguments.iter().enumerate() {
                    if index > 0 {
                        fields.push(std::mem::take(open));
                    }
                    open.quoted |= quoted;
                    open.text.push_str(argument);
                }
                return Ok(());
            }
            _ => {}
        }
        let quoted = match piece {
            Piece::Parameter { quoted, .. } | Piece::Command { quoted, .. } | Piece::Arithmetic { quoted, .. } => {
                *quoted
            }
            Piece::Text { quoted, .. } => *quoted,
        };
        let text = self.piece(piece)?;
        if quoted {
            open.quoted = true;
            open.text.push_str(&text);
            return Ok(());
        }
        let mut parts = text.split(|c: char| c.is_ascii_whitespace()).peekable();
        let mut first = true;
        while let Some(part) = parts.next() {
            if !first && (open.quoted || !open.text.is_empty()) {
                fields.push(std::mem::take(open));
            }
            first = false;
            open.pattern |= pattern::is_pattern(part);
            open.text.push_str(part);
            if parts.peek().is_none() {
                break;
            }
        }
        Ok(())
    }

    /// A word as one text, without splitting.
    pub(super) fn text(&mut self, word: &Word) -> Result<String, Stop> {
        let mut out = String::new();
        for piece in word {
            out.push_str(&self.piece(piece)?);
        }
        Ok(out)
    }

    fn piece(&mut self, piece: &Piece) -> Result<String, Stop> {
        match piece {
            Piece::Text { text, .. } => Ok(text.clone()),
            Piece::Parameter { name, change, .. } => self.parameter(name, change.as_ref()),
            Piece::Command { text, .. } => self.substitute(text),
            Piece::Arithmetic { text, .. } => {
                let text = self.text(text)?;
                let lookup = |name: &str| self.variable(name);
                match arithmetic::evaluate(&text, &lookup) {
                    Ok(value) => Ok(value.to_string()),
                    Err(problem) => {
                        complain(&problem);
                        Err(Stop::Exit(2))
                    }
                }
            }
        }
    }

    fn parameter(&mut self, name: &str, change: Option<&Change>) -> Result<String, Stop> {
        let value = self.variable(name);
        Ok(match change {
            None => {
                if value.is_none() && self.refuse_unset {
                    complain(&format_args!("{name}: parameter not set"));
                    return Err(Stop::Exit(2));
                }
                value.unwrap_or_default()
            }
            Some(Change::Length) => value.unwrap_or_default().chars().count().to_string(),
            Some(Change::Default { operator, empty_too, word }) => {
                let present = value.filter(|value| !(*empty_too && value.is_empty()));
                match (operator, present) {
                    ('+', Some(_)) => self.text(word)?,
                    ('+', None) => String::new(),
                    (_, Some(value)) => value,
                    ('=', None) => {
                        let text = self.text(word)?;
                        self.set(name, &text);
                        text
                    }
                    ('?', None) => {
                        let text = self.text(word)?;
                        complain(&format_args!(
                            "{name}: {}",
                            if text.is_empty() { "parameter not set" } else { &text }
                        ));
                        return Err(Stop::Exit(2));
                    }
                    (_, None) => self.text(word)?,
                }
            }
            Some(Change::Cut { suffix, longest, pattern: word }) => {
                let wanted = self.text(word)?;
                cut(&value.unwrap_or_default(), &wanted, *suffix, *longest)
            }
        })
    }

    /// A variable's value, or that of `?`, `#`, `1`, ….
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        match name {
            "?" => Some(self.status().to_string()),
            "#" => Some(self.arguments.len().to_string()),
            "@" | "*" => Some(self.arguments.join(" ")),
            "$" => Some(std::process::id().to_string()),
            "!" => self.last_background().map(|id| id.to_string()),
            "0" => Some(self.name.clone()),
            "-" => Some(String::new()),
            "PWD" => Some(self.files.working().to_owned()),
            "RANDOM" => Some((crate::runtime::tools::net::random() % 32_768).to_string()),
            number if number.starts_with(|c: char| c.is_ascii_digit()) => {
                number.parse::<usize>().ok().and_then(|at| self.arguments.get(at.checked_sub(1)?).cloned())
            }
            name if is_hidden(name) => None,
            name => self.variables.get(name).cloned(),
        }
    }

    fn substitute(&mut self, text: &str) -> Result<String, Stop> {
        use std::io::Read;
        let mut command = self.subshell(text);
        command.stdout(std::process::Stdio::piped());
        let mut output = Vec::new();
        let ran = command.spawn().and_then(|mut child| {
            if let Some(stdout) = child.stdout.take() {
                stdout.take(OUTPUT).read_to_end(&mut output)?;
            }
            super::wait(child)
        });
        match ran {
            Ok(code) => self.fail(code),
            Err(error) => {
                complain(&error);
                return Err(Stop::Exit(126));
            }
        }
        let text = String::from_utf8_lossy(&output);
        Ok(text.trim_end_matches('\n').to_owned())
    }

    /// Names of files that fit a pattern; only the last part of a path may be one.
    fn files_like(&self, path: &str) -> Vec<String> {
        let (directory, wanted) = path.rsplit_once('/').map_or(("", path), |(directory, name)| (directory, name));
        let place = self.files.outside(if path.starts_with('/') && directory.is_empty() { "/" } else { directory });
        let entries = std::fs::read_dir(place).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let fitting =
            names.filter(|name| (!name.starts_with('.') || wanted.starts_with('.')) && pattern::fits(wanted, name));
        let mut found: Vec<String> =
            fitting.map(|name| if path.contains('/') { format!("{directory}/{name}") } else { name }).collect();
        found.sort();
        found
    }
}

fn cut(value: &str, wanted: &str, suffix: bool, longest: bool) -> String {
    let mut ends: Vec<usize> = value.char_indices().map(|(at, _)| at).chain([value.len()]).collect();
    // Shortest cuts first: for a prefix from the front, for a suffix from the back.
    if suffix != longest {
        ends.reverse();
    }
    for at in ends {
        let (head, tail) = value.split_at(at);
        let (part, kept) = if suffix { (tail, head) } else { (head, tail) };
        if pattern::fits(wanted, part) {
            return kept.to_owned();
        }
    }
    value.to_owned()
}
