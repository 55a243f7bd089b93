//! What a request was and how it ended: the part of CEL that filters of access logs and labels of metrics are written in.
//!
//! There are the attributes of [`ATTRIBUTES`], texts, whole numbers, durations and truth, comparisons, `in`, `&&`, `||`, `!`, `? :`, `+`
//! between texts, `has()`, `string()`, and the methods `contains`, `startsWith`, `endsWith` and `matches`. What else CEL knows is refused when the condition is read, never when it
//! is asked. As in CEL, what is not there has no value, and a comparison with it neither; `&&` and `||` hold without it where their
//! other side decides.

mod parse;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use regex::bytes::Regex;

pub use parse::InvalidExpression;

/// The longest condition, in bytes.
pub const MAX_EXPRESSION_BYTES: usize = 4096;

/// The attributes that a condition may name, as Envoy calls them, and what they are.
pub const ATTRIBUTES: &[(&str, Attribute)] = &[
    ("request.path", Attribute::Path),
    ("request.url_path", Attribute::UrlPath),
    ("request.query", Attribute::Query),
    ("request.host", Attribute::Host),
    ("request.scheme", Attribute::Scheme),
    ("request.method", Attribute::Method),
    ("request.protocol", Attribute::Protocol),
    ("request.id", Attribute::RequestId),
    ("request.useragent", Attribute::UserAgent),
    ("request.duration", Attribute::Duration),
    ("request.size", Attribute::RequestSize),
    ("request.headers", Attribute::Headers),
    ("response.code", Attribute::Code),
    ("response.code_details", Attribute::CodeDetails),
    ("response.size", Attribute::ResponseSize),
    ("source.address", Attribute::SourceAddress),
    ("source.port", Attribute::SourcePort),
    ("destination.address", Attribute::DestinationAddress),
    ("destination.port", Attribute::DestinationPort),
    ("connection.mtls", Attribute::MutualTls),
    ("connection.requested_server_name", Attribute::ServerName),
    ("upstream.address", Attribute::UpstreamAddress),
    ("upstream.port", Attribute::UpstreamPort),
    ("xds.cluster_name", Attribute::Cluster),
    ("xds.route_name", Attribute::Route),
];

/// Something that is known of a request or a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "ATTRIBUTES says what they are")]
pub enum Attribute {
    Path,
    UrlPath,
    Query,
    Host,
    Scheme,
    Method,
    Protocol,
    RequestId,
    UserAgent,
    Duration,
    RequestSize,
    Headers,
    Code,
    CodeDetails,
    ResponseSize,
    SourceAddress,
    SourcePort,
    DestinationAddress,
    DestinationPort,
    MutualTls,
    ServerName,
    UpstreamAddress,
    UpstreamPort,
    Cluster,
    Route,
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// A truth.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A text, of whatever bytes.
    Text(Cow<'a, [u8]>),
    /// A span of time.
    Duration(Duration),
}

/// What conditions are asked about.
pub trait Attributes {
    /// The value of an attribute other than [`Attribute::Headers`]; `None` where it has none.
    fn value(&self, attribute: Attribute) -> Option<Value<'_>>;

    /// The value of a header of the request, by its name in lower case.
    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>>;
}

impl Value<'_> {
    /// As `string()` has it.
    fn text(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Bool(truth) => Cow::Borrowed(if *truth { b"true" } else { b"false" }),
            Self::Int(number) => Cow::Owned(number.to_string().into_bytes()),
            Self::Text(text) => Cow::Borrowed(text),
            Self::Duration(span) => Cow::Owned(format!("{}s", span.as_secs_f64()).into_bytes()),
        }
    }
}

/// A condition, or how a text is made.
#[derive(Debug, Clone)]
pub struct Expression {
    source: Arc<str>,
    node: Node,
}

/// Expressions are what they were written as.
impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Expression {}

#[derive(Debug, Clone)]
enum Node {
    Literal(Value<'static>),
    Attribute(Attribute),
    Header(Box<str>),
    Has(Box<Self>),
    Not(Box<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Compare(Comparison, Box<Self>, Box<Self>),
    In(Box<Self>, Vec<Self>),
    If(Box<Self>, Box<Self>, Box<Self>),
    Join(Box<Self>, Box<Self>),
    Text(Box<Self>),
    Method(Method, Box<Self>, Box<Self>),
    Matches(Box<Self>, Regex),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Contains,
    StartsWith,
    EndsWith,
}

impl Expression {
    /// Reads a condition.
    ///
    /// # Errors
    /// It is none, or says something that is not in force; the error says where and what.
    pub fn parse(source: &str) -> Result<Self, InvalidExpression> {
        parse::parse(source).map(|node| Self { source: source.into(), node })
    }

    /// Reads how a text is made: whatever has a value, which need not be a truth.
    ///
    /// # Errors
    /// It is no expression, or says something that is not in force; the error says where and what.
    pub fn parse_value(source: &str) -> Result<Self, InvalidExpression> {
        parse::parse_value(source).map(|node| Self { source: source.into(), node })
    }

    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// Its value as a text, where it has one.
    pub fn text(&self, attributes: &dyn Attributes) -> Option<String> {
        let value = self.node.value(attributes)?;
        Some(String::from_utf8_lossy(&value.text()).into_owned())
    }

    /// Whether it holds. One that has no value does not.
    pub fn holds(&self, attributes: &dyn Attributes) -> bool {
        self.node.truth(attributes) == Some(true)
    }
}

impl Node {
    fn truth(&self, attributes: &dyn Attributes) -> Option<bool> {
        match self.value(attributes) {
            Some(Value::Bool(truth)) => Some(truth),
            _ => None,
        }
    }

    fn value<'a>(&'a self, attributes: &'a dyn Attributes) -> Option<Value<'a>> {
        let truth = match self {
            Self::Literal(value) => return Some(value.clone()),
            Self::Attribute(attribute) => return attributes.value(*attribute),
            Self::Header(name) => return attributes.header(name).map(Value::Text),
            Self::If(condition, yes, no) => {
                return if condition.truth(attributes)? { yes.value(attributes) } else { no.value(attributes) };
            }
            Self::Join(a, b) => {
                let (Value::Text(a), Value::Text(b)) = (a.value(attributes)?, b.value(attributes)?) else {
                    return None;
                };
                return Some(Value::Text([a, b].concat().into()));
            }
            Self::Text(node) => return Some(Value::Text(node.value(attributes)?.text().into_owned().into())),
            Self::Has(node) => node.value(attributes).is_some(),
            Self::Not(node) => !node.truth(attributes)?,
            Self::And(a, b) => match (a.truth(attributes), b.truth(attributes)) {
                (Some(false), _) | (_, Some(false)) => false,
                (a, b) => a? && b?,
            },
            Self::Or(a, b) => match (a.truth(attributes), b.truth(attributes)) {
                (Some(true), _) | (_, Some(true)) => true,
                (a, b) => a? || b?,
            },
            Self::Compare(comparison, a, b) => compare(*comparison, &a.value(attributes)?, &b.value(attributes)?)?,
            Self::In(node, list) => {
                let value = node.value(attributes)?;
                list.iter().any(|item| item.value(attributes).as_ref() == Some(&value))
            }
            Self::Method(method, text, part) => {
                let (Value::Text(text), Value::Text(part)) = (text.value(attributes)?, part.value(attributes)?) else {
                    return None;
                };
                match method {
                    Method::Contains => part.is_empty() || text.windows(part.len()).any(|window| *window == *part),
                    Method::StartsWith => text.starts_with(&part),
                    Method::EndsWith => text.ends_with(&part),
                }
            }
            Self::Matches(text, regex) => match text.value(attributes)? {
                Value::Text(text) => regex.is_match(&text),
                _ => return None,
            },
        };
        Some(Value::Bool(truth))
    }
}

/// `None` for values of different kinds, and for an order among those that have none.
fn compare(comparison: Comparison, a: &Value<'_>, b: &Value<'_>) -> Option<bool> {
    let order = match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        (Value::Duration(a), Value::Duration(b)) => a.cmp(b),
        _ => return None,
    };
    Some(match comparison {
        Comparison::Equal => order.is_eq(),
        Comparison::NotEqual => order.is_ne(),
        Comparison::Less => order.is_lt(),
        Comparison::LessOrEqual => order.is_le(),
        Comparison::Greater => order.is_gt(),
        Comparison::GreaterOrEqual => order.is_ge(),
    })
}

#[cfg(test)]
mod tests;
