//! From bytes to text: encodings, byte order marks, and bytes that are no text at all.

use std::borrow::Cow;

use super::{ErrorKind, Position};

/// The most bytes that one text may have.
pub(super) const MAX_TEXT: usize = 64 << 20;

/// Decodes UTF-8 (with or without byte order mark) and UTF-16 (with one), and refuses what is no text.
pub(super) fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, (Position, ErrorKind)> {
    if bytes.len() > MAX_TEXT {
        let kind = ErrorKind::TextSize { size: bytes.len(), limit: MAX_TEXT };
        return Err((Position::START, kind));
    }
    let text = match bytes {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => {
            return Err((Position::START, ErrorKind::Encoding("UTF-8, but UTF-32")));
        }
        [0xff, 0xfe, rest @ ..] => Cow::Owned(utf16(rest, u16::from_le_bytes)?),
        [0xfe, 0xff, rest @ ..] => Cow::Owned(utf16(rest, u16::from_be_bytes)?),
        [0xef, 0xbb, 0xbf, rest @ ..] => Cow::Borrowed(utf8(rest)?),
        _ => Cow::Borrowed(utf8(bytes)?),
    };
    match text.char_indices().find(|(_, c)| !is_text(*c)) {
        Some((at, c)) => Err((end_of(&text[..at]), ErrorKind::Binary(c.into()))),
        None => Ok(text),
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, (Position, ErrorKind)> {
    std::str::from_utf8(bytes).map_err(|error| {
        let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let position = std::str::from_utf8(valid).map_or(Position::START, end_of);
        // A file of no known encoding is most often no text: a NUL before the fault says so.
        match valid.iter().position(|byte| *byte == 0) {
            Some(at) => {
                let before = std::str::from_utf8(&valid[..at]).map_or(Position::START, end_of);
                (before, ErrorKind::Binary(0))
            }
            None => (position, ErrorKind::Encoding("UTF-8")),
        }
    })
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, (Position, ErrorKind)> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let mut text = String::with_capacity(pairs.len());
    for decoded in char::decode_utf16(pairs.iter().map(|pair| unit(*pair))) {
        match decoded {
            Ok(c) => text.push(c),
            Err(_) => return Err((end_of(&text), ErrorKind::Encoding("valid UTF-16"))),
        }
    }
    if rest.is_empty() { Ok(text) } else { Err((end_of(&text), ErrorKind::Encoding("valid UTF-16"))) }
}

/// YAML's printable characters. A byte order mark inside a text is left to the parser.
fn is_text(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{85}' | ' '..='~' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..)
}

/// The position after `text`.
fn end_of(text: &str) -> Position {
    let line = text.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = text.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Position { line: u32::try_from(line).unwrap_or(u32::MAX), column: u32::try_from(column).unwrap_or(u32::MAX) }
}
