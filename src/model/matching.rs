//! String matching as VirtualService has it: exact, prefix, regular expression, presence.
//!
//! Values are bytes, because header values are: a value that is not UTF-8 is matched as it stands and never slips past a
//! negated rule by failing to decode. A regular expression must match the whole value, as Istio documents for RE2 (`regex`).

use std::borrow::Cow;

use regex::bytes::{Regex, RegexBuilder};

/// The longest regular expression accepted, in bytes: the bound that Istio's own validation sets.
pub const MAX_REGEX_BYTES: usize = 1024;

/// The largest compiled size of one regular expression, in bytes.
const MAX_REGEX_PROGRAM_BYTES: usize = 1 << 20;

/// A regular expression that cannot be used, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRegex {
    /// The expression is longer than [`MAX_REGEX_BYTES`].
    #[error("the regular expression is {0} bytes long, more than {MAX_REGEX_BYTES}")]
    TooLong(usize),
    /// The expression does not parse, or compiles to more than the permitted size.
    #[error("{0}")]
    Syntax(String),
}

/// How one value is compared.
#[derive(Debug, Clone)]
pub enum StringMatch {
    /// The value is these bytes.
    Exact(Box<[u8]>),
    /// The value is these bytes, ASCII case aside.
    ExactIgnoringCase(Box<[u8]>),
    /// The value starts with these bytes. A plain string prefix: `/api` matches `/apix` (Istio's rule for VirtualService).
    Prefix(Box<[u8]>),
    /// The value starts with these bytes, ASCII case aside.
    PrefixIgnoringCase(Box<[u8]>),
    /// The value is this path or one below it: `/api` is and `/api/x`, `/apix` is not. It has no slash at its end, and is empty
    /// where it stands for every path (Gateway API, `PathPrefix`).
    Segments(Box<[u8]>),
    /// The whole value matches the expression.
    Regex(WholeMatch),
    /// The value is there, whatever it is.
    Present,
}

/// A compiled expression that matches a value as a whole. Equality is that of the source text.
#[derive(Debug, Clone)]
pub struct WholeMatch {
    source: Box<str>,
    compiled: Regex,
}

impl WholeMatch {
    /// Compiles `source` in RE2's spirit: linear time, ASCII classes, anchored at both ends.
    pub fn new(source: &str) -> Result<Self, InvalidRegex> {
        if source.len() > MAX_REGEX_BYTES {
            return Err(InvalidRegex::TooLong(source.len()));
        }
        // Compiled alone first: wrapped in a group, an unbalanced `)(` would pass for a valid expression.
        build(source)?;
        let compiled = build(&format!(r"\A(?:{source})\z"))?;
        Ok(Self { source: source.into(), compiled })
    }

    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// Whether all of `value` matches.
    pub fn matches(&self, value: &[u8]) -> bool {
        self.compiled.is_match(value)
    }
}

impl PartialEq for WholeMatch {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for WholeMatch {}

/// Compiles an expression that is looked for inside a value, under the same limits.
pub(super) fn compile_part(source: &str) -> Result<Regex, InvalidRegex> {
    if source.len() > MAX_REGEX_BYTES {
        return Err(InvalidRegex::TooLong(source.len()));
    }
    build(source)
}

fn build(source: &str) -> Result<Regex, InvalidRegex> {
    RegexBuilder::new(source)
        .unicode(false)
        .size_limit(MAX_REGEX_PROGRAM_BYTES)
        .build()
        .map_err(|error| InvalidRegex::Syntax(error.to_string()))
}

impl PartialEq for StringMatch {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(a), Self::Exact(b))
            | (Self::ExactIgnoringCase(a), Self::ExactIgnoringCase(b))
            | (Self::Prefix(a), Self::Prefix(b))
            | (Self::PrefixIgnoringCase(a), Self::PrefixIgnoringCase(b))
            | (Self::Segments(a), Self::Segments(b)) => a == b,
            (Self::Regex(a), Self::Regex(b)) => a == b,
            (Self::Present, Self::Present) => true,
            _ => false,
        }
    }
}

impl Eq for StringMatch {}

impl StringMatch {
    /// A path and those below it; a slash at its end makes no difference.
    pub fn segments(path: &str) -> Self {
        Self::Segments(path.trim_end_matches('/').as_bytes().into())
    }

    /// Whether `value` matches.
    pub fn matches(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(expected) => value == &**expected,
            Self::ExactIgnoringCase(expected) => value.eq_ignore_ascii_case(expected),
            Self::Prefix(prefix) => value.starts_with(prefix),
            Self::PrefixIgnoringCase(prefix) => {
                value.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
            }
            Self::Segments(path) => {
                value.strip_prefix(&**path).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
            }
            Self::Regex(expression) => expression.matches(value),
            Self::Present => true,
        }
    }
}

/// A request's headers, as matching sees them.
pub trait HeaderLookup {
    /// The value of the header `name` (lower case); several lines of one name are joined by `,` in the order in which they
    /// came, so that no rule sees only a part (RFC 9110 section 5.3). `None` when the request does not carry it.
    fn value(&self, name: &str) -> Option<Cow<'_, [u8]>>;
}

impl HeaderLookup for http::HeaderMap {
    fn value(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let mut values = self.get_all(name).iter();
        let first = values.next()?;
        let mut joined = Cow::Borrowed(first.as_bytes());
        for value in values {
            let joined = joined.to_mut();
            joined.push(b',');
            joined.extend_from_slice(value.as_bytes());
        }
        Some(joined)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regex_matches_the_whole_value_only() {
        let expression = WholeMatch::new("/api/v[0-9]+").unwrap();
        assert!(expression.matches(b"/api/v12"));
        assert!(!expression.matches(b"/api/v12/x"));
        assert!(!expression.matches(b"x/api/v1"));
    }

    #[test]
    fn alternatives_are_anchored_at_both_ends() {
        let expression = WholeMatch::new("a|b").unwrap();
        assert!(expression.matches(b"a") && expression.matches(b"b"));
        assert!(!expression.matches(b"ab") && !expression.matches(b"xb"));
    }

    #[test]
    fn an_expression_that_only_balances_inside_our_anchors_is_refused() {
        assert!(matches!(WholeMatch::new("a)(b"), Err(InvalidRegex::Syntax(_))));
    }

    #[test]
    fn a_long_expression_is_refused() {
        assert_eq!(WholeMatch::new(&"a".repeat(1025)), Err(InvalidRegex::TooLong(1025)));
    }

    #[test]
    fn bytes_that_are_not_utf8_are_matched_as_they_stand() {
        let expression = WholeMatch::new("jason.*").unwrap();
        assert!(expression.matches(b"jason\xff"));
        assert!(!StringMatch::Exact((*b"jason").into()).matches(b"jason\xff"));
    }

    #[test]
    fn a_prefix_longer_than_the_value_does_not_match() {
        assert!(!StringMatch::PrefixIgnoringCase((*b"/API/").into()).matches(b"/api"));
        assert!(StringMatch::PrefixIgnoringCase((*b"/API").into()).matches(b"/api/x"));
    }

    #[test]
    fn segments_end_where_segments_end() {
        for (path, value, expected) in [
            ("/api", "/api", true),
            ("/api", "/api/", true),
            ("/api", "/api/x", true),
            ("/api", "/apix", false),
            ("/api/", "/api", true),
            ("/", "/x", true),
        ] {
            assert_eq!(StringMatch::segments(path).matches(value.as_bytes()), expected, "{path} {value}");
        }
    }

    #[test]
    fn header_lines_of_one_name_are_joined() {
        let mut headers = http::HeaderMap::new();
        headers.append("x-user", http::HeaderValue::from_static("a"));
        headers.append("x-user", http::HeaderValue::from_static("b"));
        assert_eq!(headers.value("x-user").as_deref(), Some(&b"a,b"[..]));
        assert_eq!(headers.value("absent"), None);
    }
}
