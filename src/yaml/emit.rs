//! From values to YAML, the way `sigs.k8s.io/yaml` writes it: keys in natural order, two spaces, lists at their key's own
//! indentation, quotes where the text would otherwise be read as something else.
//!
//! One difference is meant: long lines are not folded, so that what is written greps and diffs as it is.

use std::cmp::Ordering;
use std::fmt::Write as _;

use serde_json::{Map, Number, Value};

use super::scalar::{self, Scalar};

/// A key longer than this gets the explicit form `? key`, as YAML asks.
const MAX_SIMPLE_KEY: usize = 128;

/// Writes one document, without a `---`, ending in a line break. [`load`](super::load) reads it back as the same value, but
/// for floats without a fraction, which come back as integers.
pub fn to_string(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(entries) if !entries.is_empty() => mapping(&mut out, entries, 0, false),
        Value::Array(items) if !items.is_empty() => sequence(&mut out, items, 0, false),
        other => {
            inline(&mut out, other, 0);
            out.push('\n');
        }
    }
    out
}

/// Writes several documents, with `---` between them.
pub fn to_string_all<'v>(values: impl IntoIterator<Item = &'v Value>) -> String {
    let mut out = String::new();
    for value in values {
        if !out.is_empty() {
            out.push_str("---\n");
        }
        out.push_str(&to_string(value));
    }
    out
}

/// `started`: the first entry goes on the current line, behind a `- `.
fn mapping(out: &mut String, entries: &Map<String, Value>, indent: usize, started: bool) {
    let mut keys: Vec<&String> = entries.keys().collect();
    keys.sort_by(|a, b| natural(a, b));
    let mut first = started;
    for key in keys {
        let Some(value) = entries.get(key) else { continue };
        pad(out, if first { 0 } else { indent });
        first = false;
        let written = key_text(key);
        if written.len() > MAX_SIMPLE_KEY {
            out.push_str("? ");
            out.push_str(&written);
            out.push('\n');
            pad(out, indent);
        } else {
            out.push_str(&written);
        }
        out.push(':');
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                out.push('\n');
                mapping(out, inner, indent + 2, false);
            }
            Value::Array(items) if !items.is_empty() => {
                out.push('\n');
                sequence(out, items, indent, false);
            }
            other => {
                out.push(' ');
                inline(out, other, indent + 2);
                out.push('\n');
            }
        }
    }
}

fn sequence(out: &mut String, items: &[Value], indent: usize, started: bool) {
    let mut first = started;
    for item in items {
        pad(out, if first { 0 } else { indent });
        first = false;
        out.push_str("- ");
        match item {
            Value::Object(inner) if !inner.is_empty() => mapping(out, inner, indent + 2, true),
            Value::Array(inner) if !inner.is_empty() => sequence(out, inner, indent + 2, true),
            other => {
                inline(out, other, indent + 2);
                out.push('\n');
            }
        }
    }
}

fn pad(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

/// A value that fits behind its key: a scalar or an empty collection. A block scalar's lines are indented by `indent`.
fn inline(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => out.push_str(&number_text(number)),
        Value::Array(_) => out.push_str("[]"),
        Value::Object(_) => out.push_str("{}"),
        Value::String(text) if text.contains('\n') && fits_literal(text) => literal(out, text, indent),
        Value::String(text) => out.push_str(&key_text(text)),
    }
}

/// A string on one line: plain, in single quotes where only the grammar is in the way, in double quotes otherwise.
fn key_text(text: &str) -> String {
    let is_string = scalar::resolve(text) == Scalar::String && !is_base_60(text);
    let printable = text.chars().all(is_printable);
    if !is_string || !printable || text.contains('\n') {
        double_quoted(text)
    } else if is_plain(text) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

/// Whether the grammar lets a text stand unquoted in a block.
fn is_plain(text: &str) -> bool {
    let mut chars = text.chars();
    let (Some(first), second) = (chars.next(), chars.next()) else {
        return false;
    };
    let before_blank = second.is_none_or(|c| c == ' ');
    let opens = match first {
        '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => false,
        '-' | '?' | ':' => !before_blank,
        ' ' => false,
        _ => true,
    };
    opens
        && !text.starts_with("---")
        && !text.starts_with("...")
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && text != "<<"
        && text != "="
}

/// YAML 1.1's base-60 numbers, which other readers still take for numbers.
fn is_base_60(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let mut parts = unsigned.split(':');
    let leads = parts.next().is_some_and(|first| {
        first.starts_with(|c: char| c.is_ascii_digit()) && first.bytes().all(|b| b.is_ascii_digit() || b == b'_')
    });
    let mut more = false;
    leads
        && parts.all(|part| {
            more = true;
            let whole = part.split('.').next().unwrap_or_default();
            !whole.is_empty() && part.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b'_')
        })
        && more
}

fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}' | '\u{10000}'..)
        && !matches!(c, '\u{2028}' | '\u{2029}')
}

fn double_quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0' => out.push_str("\\0"),
            c if is_printable(c) => out.push(c),
            c => {
                let code = u32::from(c);
                // Writing to a string cannot fail.
                let _ = match code {
                    0..=0xff => write!(out, "\\x{code:02X}"),
                    0x100..=0xffff => write!(out, "\\u{code:04X}"),
                    _ => write!(out, "\\U{code:08X}"),
                };
            }
        }
    }
    out.push('"');
    out
}

/// Whether a text with line breaks can be written as it is, behind a `|`.
fn fits_literal(text: &str) -> bool {
    text.chars().all(is_printable) && !text.starts_with([' ', '\n']) && !text.contains(" \n") && !text.ends_with(' ')
}

fn literal(out: &mut String, text: &str, indent: usize) {
    let body = text.trim_end_matches('\n');
    out.push_str(match text.len() - body.len() {
        0 => "|-",
        1 => "|",
        _ => "|+",
    });
    // The line break behind the last line is the caller's.
    let lines = text.strip_suffix('\n').unwrap_or(text);
    for line in lines.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            pad(out, indent);
            out.push_str(line);
        }
    }
}

/// Integers as they are; floats in the shortest form that reads back, with an exponent below 1e-4 and from 1e6 on.
fn number_text(number: &Number) -> String {
    let Some(float) = number.as_f64().filter(|_| number.is_f64()) else {
        return number.to_string();
    };
    let scientific = format!("{float:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let power: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&power) {
        format!("{float}")
    } else {
        let sign = if power < 0 { '-' } else { '+' };
        format!("{mantissa}e{sign}{:02}", power.unsigned_abs())
    }
}

/// The order of keys: numbers inside them compare as numbers (`v2` before `v10`), and letters come after everything else.
fn natural(a: &str, b: &str) -> Ordering {
    tokens(a).cmp(tokens(b)).then_with(|| a.cmp(b))
}

/// What [`natural`] compares, in ascending order.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Token<'k> {
    BelowDigits(char),
    /// Length and digits, leading zeros aside.
    Number(usize, &'k str),
    AboveDigits(char),
    Letter(char),
}

fn tokens(mut key: &str) -> impl Iterator<Item = Token<'_>> {
    std::iter::from_fn(move || {
        let c = key.chars().next()?;
        let length = if c.is_ascii_digit() { key.bytes().take_while(u8::is_ascii_digit).count() } else { c.len_utf8() };
        let (token, rest) = key.split_at_checked(length)?;
        key = rest;
        Some(match c {
            '0'..='9' => {
                let digits = token.trim_start_matches('0');
                Token::Number(digits.len(), digits)
            }
            c if c.is_alphabetic() => Token::Letter(c),
            c if c < '0' => Token::BelowDigits(c),
            c => Token::AboveDigits(c),
        })
    })
}
