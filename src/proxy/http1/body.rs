//! Bodies in passing: where they end, and that their framing has one reading.
//!
//! A body is not decoded to be encoded again. [`Body::step`] says how many of the bytes at hand may be forwarded as they are, or
//! must be left out (chunk extensions, trailers that would change the message); between two steps nothing is held.

use crate::proxy::limits;

use super::refusal::Refusal;

/// How a body's end is found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    #[default]
    None,
    /// So many bytes, at least 1.
    Length(u64),
    /// In chunks.
    Chunked,
    /// Everything until the connection ends; responses only.
    UntilClose,
}

/// What to do with the bytes at the front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// So many may be forwarded as they are.
    Forward(usize),
    /// So many are to be left out.
    Skip(usize),
    /// More bytes are needed to tell.
    More,
    /// The body has ended.
    Done,
}

/// A body that passes through.
#[derive(Debug, Clone, Copy)]
pub struct Body {
    state: State,
    /// Whether the receiver does not know chunks, so that only the data is forwarded.
    unframed: bool,
    /// Bytes of data so far, framing excluded.
    data: u64,
    /// What a trailer `grpc-status` says.
    grpc_status: Option<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Done,
    Length(u64),
    UntilClose,
    /// In a size line's digits: the size so far, and how many digits.
    Size(u64, usize),
    /// Behind the digits: the size, and bytes of the extension so far.
    Extension(u64, usize),
    /// Before the LF of a size line.
    SizeEnd(u64),
    /// In a chunk's data: bytes left.
    Data(u64),
    /// Before the CR behind a chunk.
    DataCr,
    /// Before the LF behind a chunk.
    DataLf,
    /// At the start of a trailer line, or of the empty line; bytes of trailers so far.
    Trailer(usize),
}

impl Body {
    /// A body with this framing, forwarded with the same framing.
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Size(0, 0),
            Framing::UntilClose => State::UntilClose,
        };
        Self { state, unframed: false, data: 0, grpc_status: None }
    }

    /// The same body, of which only the data is forwarded.
    #[must_use]
    pub fn unframed(self) -> Self {
        Self { unframed: true, ..self }
    }

    /// Whether nothing more comes.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether its end is the end of the connection.
    pub fn ends_with_connection(&self) -> bool {
        self.state == State::UntilClose
    }

    /// Bytes of data so far, framing excluded.
    pub fn data(&self) -> u64 {
        self.data
    }

    /// How a call of gRPC has ended, where a trailer has said it.
    pub fn grpc_status(&self) -> Option<u8> {
        self.grpc_status
    }

    /// The connection has ended. Whether the body is complete.
    pub fn end(&mut self) -> bool {
        if self.state == State::UntilClose {
            self.state = State::Done;
        }
        self.is_done()
    }

    /// Says what to do with the front of `bytes` and takes it as done. Answers the longest stretch of one kind.
    pub fn step(&mut self, bytes: &[u8]) -> Result<Step, Refusal> {
        let mut forward = 0;
        loop {
            let rest = bytes.get(forward..).unwrap_or_default();
            let before = *self;
            match self.one(rest)? {
                Step::Forward(count) => forward += count,
                Step::Skip(count) if forward == 0 => return Ok(Step::Skip(count)),
                other if forward == 0 => return Ok(other),
                _ => {
                    *self = before;
                    return Ok(Step::Forward(forward));
                }
            }
        }
    }

    fn one(&mut self, bytes: &[u8]) -> Result<Step, Refusal> {
        if self.state == State::Done {
            return Ok(Step::Done);
        }
        let Some(first) = bytes.first().copied() else { return Ok(Step::More) };
        match self.state {
            State::Done => Ok(Step::Done),
            State::Length(left) => {
                let count = take(left, bytes.len());
                self.data += count as u64;
                self.state = match left - count as u64 {
                    0 => State::Done,
                    left => State::Length(left),
                };
                Ok(Step::Forward(count))
            }
            State::UntilClose => {
                self.data += bytes.len() as u64;
                Ok(Step::Forward(bytes.len()))
            }
            State::Data(left) => {
                let count = take(left, bytes.len());
                self.data += count as u64;
                self.state = match left - count as u64 {
                    0 => State::DataCr,
                    left => State::Data(left),
                };
                Ok(Step::Forward(count))
            }
            State::Size(size, digits) => match char::from(first).to_digit(16) {
                Some(_) if digits == limits::MAX_CHUNK_DIGITS => Err(Refusal::Chunk),
                Some(digit) => {
                    self.state = State::Size(size * 16 + u64::from(digit), digits + 1);
                    Ok(self.framing_byte())
                }
                None if digits == 0 => Err(Refusal::Chunk),
                None if first == b'\r' => {
                    self.state = State::SizeEnd(size);
                    Ok(self.framing_byte())
                }
                None if first == b';' => {
                    self.state = State::Extension(size, 1);
                    Ok(Step::Skip(1))
                }
                None => Err(Refusal::Chunk),
            },
            State::Extension(size, length) => match first {
                b'\r' => {
                    self.state = State::SizeEnd(size);
                    Ok(self.framing_byte())
                }
                b'\t' | 0x20..=0x7e | 0x80..=0xff if length < limits::MAX_CHUNK_EXTENSION => {
                    self.state = State::Extension(size, length + 1);
                    Ok(Step::Skip(1))
                }
                _ => Err(Refusal::Chunk),
            },
            State::SizeEnd(size) => {
                self.expect(first, b'\n')?;
                self.state = if size == 0 { State::Trailer(0) } else { State::Data(size) };
                Ok(self.framing_byte())
            }
            State::DataCr => {
                self.expect(first, b'\r')?;
                self.state = State::DataLf;
                Ok(self.framing_byte())
            }
            State::DataLf => {
                self.expect(first, b'\n')?;
                self.state = State::Size(0, 0);
                Ok(self.framing_byte())
            }
            State::Trailer(so_far) => self.trailer(bytes, so_far),
        }
    }

    /// One line of trailers, when it is complete.
    fn trailer(&mut self, bytes: &[u8], so_far: usize) -> Result<Step, Refusal> {
        let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
            let too_long = so_far + bytes.len() > limits::MAX_TRAILERS;
            return if too_long { Err(Refusal::Trailers) } else { Ok(Step::More) };
        };
        let line = bytes.get(..end).and_then(|line| line.strip_suffix(b"\r")).ok_or(Refusal::Trailers)?;
        let length = end + 1;
        if so_far + length > limits::MAX_TRAILERS {
            return Err(Refusal::Trailers);
        }
        if line.is_empty() {
            self.state = State::Done;
            return Ok(if self.unframed { Step::Skip(length) } else { Step::Forward(length) });
        }
        let colon = line.iter().position(|byte| *byte == b':').ok_or(Refusal::Trailers)?;
        let (name, value) = line.split_at_checked(colon).ok_or(Refusal::Trailers)?;
        let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        let text = |byte: &u8| matches!(byte, b'\t' | 0x20..=0x7e | 0x80..=0xff);
        if name.is_empty() || !name.iter().all(token) || !value.iter().all(text) {
            return Err(Refusal::Trailers);
        }
        if name.eq_ignore_ascii_case(b"grpc-status") {
            self.grpc_status =
                value.get(1..).and_then(|text| std::str::from_utf8(text.trim_ascii()).ok()?.parse().ok());
        }
        self.state = State::Trailer(so_far + length);
        Ok(if self.unframed || !may_trail(name) { Step::Skip(length) } else { Step::Forward(length) })
    }

    fn framing_byte(&self) -> Step {
        if self.unframed { Step::Skip(1) } else { Step::Forward(1) }
    }

    fn expect(&self, found: u8, wanted: u8) -> Result<(), Refusal> {
        if found == wanted { Ok(()) } else { Err(Refusal::Chunk) }
    }
}

/// Whether a trailer may be passed on: not if it would frame, route or authenticate a message that is long under way
/// (RFC 9110 section 6.5.1).
fn may_trail(name: &[u8]) -> bool {
    const NEVER: [&str; 13] = [
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "host",
        "keep-alive",
        "proxy-authorization",
        "set-cookie",
        "te",
        "transfer-encoding",
        "upgrade",
    ];
    const NEVER_PREFIXES: [&str; 3] = ["x-forwarded-", "x-envoy-", "x-mesh-"];
    let starts =
        |prefix: &&str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()));
    !NEVER.iter().any(|never| never.as_bytes().eq_ignore_ascii_case(name)) && !NEVER_PREFIXES.iter().any(starts)
}

fn take(left: u64, available: usize) -> usize {
    usize::try_from(left).unwrap_or(usize::MAX).min(available)
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
