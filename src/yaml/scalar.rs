//! What an unquoted scalar is: YAML 1.1 as `sigs.k8s.io/yaml` applies it.
//!
//! The table is that library's, not the YAML specification's: `y` and `on` are booleans, `0644` is octal, `0o644` too,
//! `1_000` is a thousand, base-60 numbers are strings, timestamps are strings, and a decimal integer beyond 64 bits is a
//! float.

use serde_json::{Number, Value};

/// The meaning of an unquoted scalar.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    /// `null`, `~` or nothing.
    Null,
    /// A boolean in one of its eleven spellings.
    Bool(bool),
    /// An integer that fits 64 bits.
    Integer(Number),
    /// A finite number that is no such integer.
    Float(f64),
    /// `.inf` or `.nan`: a number that JSON cannot hold.
    NotFinite,
    /// A date or time; a string when read, but quoted when a string is written.
    Timestamp,
    /// Anything else.
    String,
}

const TABLE: &[(Scalar, &[&str])] = &[
    (Scalar::Bool(true), &["y", "Y", "yes", "Yes", "YES"]),
    (Scalar::Bool(true), &["true", "True", "TRUE", "on", "On", "ON"]),
    (Scalar::Bool(false), &["n", "N", "no", "No", "NO"]),
    (Scalar::Bool(false), &["false", "False", "FALSE", "off", "Off", "OFF"]),
    (Scalar::Null, &["", "~", "null", "Null", "NULL"]),
    (Scalar::NotFinite, &[".nan", ".NaN", ".NAN"]),
    (Scalar::NotFinite, &[".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"]),
    (Scalar::NotFinite, &["-.inf", "-.Inf", "-.INF"]),
];

/// The longest text that can be anything but a string; what is longer is not examined.
const MAX_SPECIAL: usize = 400;

/// Classifies an unquoted scalar.
pub(super) fn resolve(text: &str) -> Scalar {
    let Some(first) = text.bytes().next() else {
        return Scalar::Null;
    };
    if text.len() > MAX_SPECIAL {
        return Scalar::String;
    }
    match first {
        b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~' => look_up(text),
        b'.' => match look_up(text) {
            Scalar::String => float(text).unwrap_or(Scalar::String),
            found => found,
        },
        b'+' | b'-' | b'0'..=b'9' => match look_up(text) {
            Scalar::String => number(text),
            found => found,
        },
        _ => Scalar::String,
    }
}

fn look_up(text: &str) -> Scalar {
    TABLE.iter().find(|(_, spellings)| spellings.contains(&text)).map_or(Scalar::String, |(scalar, _)| scalar.clone())
}

fn number(text: &str) -> Scalar {
    if is_timestamp(text) {
        return Scalar::Timestamp;
    }
    let plain = text.replace('_', "");
    match integer(&plain) {
        Some(number) => Scalar::Integer(number),
        None => float(&plain).unwrap_or(Scalar::String),
    }
}

fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', ..] => (true, text.get(1..)?),
        [b'+', ..] => (false, text.get(1..)?),
        _ => (false, text),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, digits.get(2..)?),
        [b'0', b'o' | b'O', ..] => (8, digits.get(2..)?),
        [b'0', b'b' | b'B', ..] => (2, digits.get(2..)?),
        [b'0', _, ..] => (8, digits.get(1..)?),
        _ => (10, digits),
    };
    if !digits.bytes().next()?.is_ascii_alphanumeric() {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        0_i64.checked_sub_unsigned(magnitude).map(Number::from)
    } else if text.starts_with('+') {
        i64::try_from(magnitude).ok().map(Number::from)
    } else {
        Some(Number::from(magnitude))
    }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`, and finite.
fn float(text: &str) -> Option<Scalar> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (unsigned.get(..at)?, unsigned.get(at + 1..)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let mantissa_ok = digits(whole)
        && fraction.is_none_or(digits)
        && (!whole.is_empty() || fraction.is_some_and(|fraction| !fraction.is_empty()));
    let exponent_ok = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    if !mantissa_ok || !exponent_ok {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    value.is_finite().then_some(Scalar::Float(value))
}

/// Four digits and a dash, then a date, alone or with a time.
fn is_timestamp(text: &str) -> bool {
    let bytes = text.as_bytes();
    let year = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
    if year != 4 || bytes.get(4) != Some(&b'-') {
        return false;
    }
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (text.get(..at), text.get(at + 1..)),
        None => (Some(text), None),
    };
    let Some(date) = date else { return false };
    let mut parts = date.splitn(3, '-').skip(1);
    let in_range = |part: Option<&str>, max: u8| {
        part.filter(|p| !p.is_empty() && p.len() <= 2)
            .and_then(|p| p.parse::<u8>().ok())
            .is_some_and(|n| (1..=max).contains(&n))
    };
    in_range(parts.next(), 12)
        && in_range(parts.next(), 31)
        && time.is_none_or(|time| time.contains(':') && time.starts_with(|c: char| c.is_ascii_digit()))
}

/// The float as Kubernetes sees it once it went through JSON: one without a fraction is an integer.
pub(super) fn float_value(float: f64) -> Value {
    // 2^63: the first float that does not fit an i64.
    const BOUND: f64 = 9_223_372_036_854_775_808.0;
    if float.fract() == 0.0 && float >= -BOUND && float < BOUND {
        #[expect(clippy::cast_possible_truncation, reason = "in range and whole, as tested")]
        return Value::from(float as i64);
    }
    Number::from_f64(float).map_or(Value::Null, Value::Number)
}
