//! The scalar types of the configuration kinds: text that is parsed once, at the door.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use serde_json::{Value, json};

use super::field::{Cx, Field, whole};
use super::suggest::shortened;

/// Labels of a workload.
pub type Labels = BTreeMap<String, String>;

/// The longest regular expression, in bytes.
pub const MAX_REGEX: usize = 1024;

/// The largest compiled size of a regular expression, in bytes.
const MAX_REGEX_PROGRAM: usize = 1 << 20;

/// A type that is written as a string and parsed by [`FromStr`], whose error reads on from the field's path.
macro_rules! parsed {
    ($($type:ty),+) => {
        $(
            impl $crate::resources::field::Field for $type {
                fn schema() -> serde_json::Value {
                    serde_json::json!({"type": "string"})
                }

                fn decode(
                    value: &serde_json::Value,
                    cx: &mut $crate::resources::field::Cx,
                ) -> Option<Self> {
                    let serde_json::Value::String(text) = value else {
                        cx.wrong_type("a string", value);
                        return None;
                    };
                    match text.parse() {
                        Ok(parsed) => Some(parsed),
                        Err(message) => {
                            let message: String = message;
                            cx.error(message);
                            None
                        }
                    }
                }

                fn encode(&self) -> Option<serde_json::Value> {
                    Some(serde_json::Value::String(self.to_string()))
                }
            }
        )+
    };
}

pub(super) use parsed;

parsed!(Duration, Host, ServerHost, GatewayRef, ExportTo, HttpUrl);

/// A URL with the scheme `http` or `https`, as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpUrl {
    text: Arc<str>,
    uri: http::Uri,
}

impl HttpUrl {
    /// The URL as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The URL; it has a scheme and a host.
    pub fn uri(&self) -> &http::Uri {
        &self.uri
    }
}

impl FromStr for HttpUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_http = |uri: &http::Uri| {
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
        };
        match text.parse() {
            Ok(uri) if is_http(&uri) && has_sound_port(&uri) => Ok(Self { text: text.into(), uri }),
            _ => Err(format!("is no URL that starts with `http://` or `https://`: {:?}", shortened(text))),
        }
    }
}

/// Whether what is behind the host is a port, where there is something.
fn has_sound_port(uri: &http::Uri) -> bool {
    let authority = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    place.len() == uri.host().map_or(0, str::len) || uri.port_u16().is_some_and(|port| port != 0)
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A mapping of whatever the user wrote.
#[derive(Clone, Debug, PartialEq)]
pub struct Free(pub serde_json::Map<String, Value>);

impl Field for Free {
    fn schema() -> Value {
        json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
    }

    fn decode(value: &Value, cx: &mut Cx) -> Option<Self> {
        if let Value::Object(entries) = value {
            return Some(Self(entries.clone()));
        }
        cx.wrong_type("a mapping", value);
        None
    }

    fn encode(&self) -> Option<Value> {
        Some(Value::Object(self.0.clone()))
    }
}

/// A span of time as Kubernetes writes it: `1h30m`, `5s`, `1.5s`, `20ms`. Never negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Duration(std::time::Duration);

impl Duration {
    /// The span.
    pub fn get(self) -> std::time::Duration {
        self.0
    }
}

const UNITS: &[(&str, f64)] =
    &[("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("μs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];

impl FromStr for Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || format!("is no duration, as `5s`, `1h30m` or `20ms` are: {:?}", shortened(text));
        if text.starts_with('-') {
            return Err(format!("cannot be negative, and is {text:?}"));
        }
        let mut rest = text.strip_prefix('+').unwrap_or(text);
        if rest == "0" {
            return Ok(Self(std::time::Duration::ZERO));
        }
        if rest.is_empty() {
            return Err(fault());
        }
        let mut nanoseconds = 0.0;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(fault)?;
            let (number, behind) = rest.split_at(digits);
            let unit_length = behind.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(behind.len());
            let (unit, behind) = behind.split_at(unit_length);
            let number: f64 = number.parse().map_err(|_| fault())?;
            let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(fault)?;
            nanoseconds += number * scale;
            rest = behind;
        }
        // Go's durations end at 2^63 nanoseconds, some 292 years.
        if nanoseconds >= i64::MAX as f64 {
            return Err(format!("is longer than 292 years: {text:?}"));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 0 and 2^63, as tested")]
        Ok(Self(std::time::Duration::from_nanos(nanoseconds.round() as u64)))
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanoseconds = self.0.as_nanos();
        let (unit, scale) = [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000)]
            .into_iter()
            .find(|(_, scale)| nanoseconds.is_multiple_of(*scale))
            .unwrap_or(("ns", 1));
        write!(f, "{}{unit}", nanoseconds / scale)
    }
}

/// A host: a name (`reviews`, `reviews.default.svc.cluster.local`), a wildcard (`*`, `*.example.com`) or an IP address.
/// Lower case, without a trailing dot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Host(Arc<str>);

impl Host {
    /// The host as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it starts with `*`.
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with('*')
    }

    /// Whether it is an IP address.
    pub fn is_ip(&self) -> bool {
        self.0.parse::<IpAddr>().is_ok()
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(address.to_string().into()));
        }
        let shown = shortened(text);
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.is_empty() {
            return Err("is empty, and has to name a host".to_owned());
        }
        if name.len() > 255 {
            return Err(format!("is longer than the 255 characters that a host can have: {shown:?}"));
        }
        if let Some((_, rest)) = name.split_once("://") {
            return Err(format!(
                "is a URL, and has to be a host: write {:?}",
                rest.split('/').next().unwrap_or_default()
            ));
        }
        if let Some(behind) = name.strip_prefix("outbound_.") {
            return routed_name(behind).map(|()| Self(name.to_ascii_lowercase().into())).ok_or_else(|| {
                format!("is no server name as proxies send it, `outbound_.PORT_.SUBSET_.HOST`: {shown:?}")
            });
        }
        let mut labels = name.split('.');
        let first = labels.next().unwrap_or_default();
        let first_is_fine =
            first == "*" || is_label(first.strip_prefix("*-").or(first.strip_prefix('*')).unwrap_or(first));
        if !first_is_fine || !labels.all(is_label) {
            let remedy = if name.get(1..).is_some_and(|rest| rest.contains('*')) {
                "`*` can only be the first label, as in `*.example.com`"
            } else if name.contains(':') {
                "a port does not belong here"
            } else {
                "labels are letters, digits and `-`, at most 63, with a letter or digit at both ends"
            };
            return Err(format!("is no host name: {shown:?} ({remedy})"));
        }
        let last = name.rsplit('.').next().unwrap_or_default();
        if name.contains('.') && last.bytes().all(|b| b.is_ascii_digit()) {
            return Err(format!("is neither a host name nor an IP address: {shown:?} (its last label is a number)"));
        }
        Ok(Self(name.to_ascii_lowercase().into()))
    }
}

/// What proxies put behind `outbound_.` in the server name by which a gateway between networks tells services apart.
fn routed_name(behind: &str) -> Option<()> {
    let (port, rest) = behind.split_once("_.")?;
    let (subset, host) = rest.split_once("_.")?;
    let host: Host = host.parse().ok()?;
    (port.parse().is_ok_and(|port: u16| port != 0)
        && (subset.is_empty() || is_lower_label(subset))
        && !host.is_wildcard()
        && !host.as_str().starts_with("outbound_."))
    .then_some(())
}

/// Whether `text` is one label of a DNS name.
pub(super) fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let alphanumeric = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    bytes.len() <= 63
        && alphanumeric(bytes.first())
        && alphanumeric(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
}

/// Whether `text` is a name as Kubernetes gives it to namespaces and subsets: one lower-case label.
pub(super) fn is_lower_label(text: &str) -> bool {
    is_label(text) && !text.bytes().any(|b| b.is_ascii_uppercase())
}

/// A host of a Gateway's server, with the namespace that VirtualServices for it may be in: `[namespace/]host`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerHost {
    /// Which namespaces.
    pub namespace: NamespaceFilter,
    /// The host.
    pub host: Host,
}

/// Whose objects may attach.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NamespaceFilter {
    /// `*`, or nothing: those of every namespace.
    Any,
    /// `.`: those of the same namespace.
    Own,
    /// Those of one namespace.
    Named(String),
}

impl FromStr for ServerHost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (namespace, host) = match text.split_once('/') {
            None => (NamespaceFilter::Any, text),
            Some(("*", host)) => (NamespaceFilter::Any, host),
            Some((".", host)) => (NamespaceFilter::Own, host),
            Some((namespace, host)) if is_lower_label(namespace) => {
                (NamespaceFilter::Named(namespace.to_owned()), host)
            }
            Some((namespace, _)) => {
                return Err(format!(
                    "has {:?} before the `/`, which is neither a namespace nor `.` nor `*`",
                    shortened(namespace)
                ));
            }
        };
        Ok(Self { namespace, host: written_out(host)? })
    }
}

/// A host as Gateways and Sidecars name it: with its domain, and with a wildcard as a label of its own.
pub(super) fn written_out(text: &str) -> Result<Host, String> {
    let host: Host = text.parse()?;
    let name = host.as_str();
    if name.starts_with('*') && name != "*" && !name.starts_with("*.") {
        return Err(format!(
            "has a wildcard that is part of a label: {:?} (write `*.` and the domain)",
            shortened(text)
        ));
    }
    if name != "*" && !name.contains('.') && !host.is_ip() {
        return Err(format!("is a short name, and has to be written out with its domain: {:?}", shortened(text)));
    }
    Ok(host)
}

impl fmt::Display for ServerHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            NamespaceFilter::Any => {}
            NamespaceFilter::Own => f.write_str("./")?,
            NamespaceFilter::Named(namespace) => write!(f, "{namespace}/")?,
        }
        write!(f, "{}", self.host)
    }
}

/// What a VirtualService names under `gateways`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum GatewayRef {
    /// `mesh`: every sidecar.
    Mesh,
    /// A Gateway, in the VirtualService's own namespace unless it says another.
    Named {
        /// The namespace, where it is named.
        namespace: Option<String>,
        /// The Gateway.
        name: String,
    },
}

impl FromStr for GatewayRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "mesh" {
            return Ok(Self::Mesh);
        }
        let fault = || format!("names no Gateway, as `name` or `namespace/name` would: {:?}", shortened(text));
        let (namespace, name) = match text.split_once('/') {
            Some((namespace, name)) => (Some(namespace), name),
            // The old spelling: the Gateway's name as if it were a service's.
            None => match text.split_once('.') {
                Some((name, rest)) => (rest.split('.').next(), name),
                None => (None, text),
            },
        };
        if !is_lower_label(name) || namespace.is_some_and(|namespace| !is_lower_label(namespace)) {
            return Err(fault());
        }
        Ok(Self::Named { namespace: namespace.map(str::to_owned), name: name.to_owned() })
    }
}

impl fmt::Display for GatewayRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mesh => f.write_str("mesh"),
            Self::Named { namespace: Some(namespace), name } => write!(f, "{namespace}/{name}"),
            Self::Named { namespace: None, name } => f.write_str(name),
        }
    }
}

/// Who may see an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ExportTo {
    /// `*`: everybody.
    Public,
    /// `.`: its own namespace.
    Private,
    /// One namespace.
    Namespace(String),
    /// `~`: nobody. Only a ServiceEntry can say so.
    Nobody,
}

impl FromStr for ExportTo {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "*" => Ok(Self::Public),
            "." => Ok(Self::Private),
            "~" => Ok(Self::Nobody),
            name if is_lower_label(name) => Ok(Self::Namespace(name.to_owned())),
            other => Err(format!("has to be a namespace, `.` or `*`, and is {:?}", shortened(other))),
        }
    }
}

impl fmt::Display for ExportTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "*",
            Self::Private => ".",
            Self::Nobody => "~",
            Self::Namespace(name) => name,
        })
    }
}

/// The number of a TCP port, 1 to 65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Port(u16);

impl Port {
    /// The number.
    pub fn get(self) -> u16 {
        self.0
    }

    /// The port with this number; `None` for one that is none.
    pub fn new(number: i128) -> Option<Self> {
        u16::try_from(number).ok().filter(|number| *number != 0).map(Self)
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Field for Port {
    fn schema() -> Value {
        json!({"type": "integer", "minimum": 1, "maximum": 65535})
    }

    fn decode(value: &Value, cx: &mut Cx) -> Option<Self> {
        let Some(number) = whole(value) else {
            cx.wrong_type("a port number", value);
            return None;
        };
        let port = Self::new(number);
        if port.is_none() {
            cx.error(format!("has to be a port from 1 to 65535, and is {number}"));
        }
        port
    }

    fn encode(&self) -> Option<Value> {
        Some(Value::from(self.0))
    }
}

/// The share of a destination, relative to the sum of its siblings'. Zero when absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weight(pub u32);

impl Field for Weight {
    const REQUIRED: bool = false;

    fn schema() -> Value {
        json!({"type": "integer", "format": "int32"})
    }

    fn decode(value: &Value, cx: &mut Cx) -> Option<Self> {
        let weight = i32::decode(value, cx)?;
        let weight = u32::try_from(weight);
        if weight.is_err() {
            cx.error(format!("cannot be negative, and is {value}: use 0 for no traffic"));
        }
        weight.ok().map(Self)
    }

    fn absent() -> Option<Self> {
        Some(Self(0))
    }

    fn encode(&self) -> Option<Value> {
        (self.0 != 0).then(|| self.0.into())
    }
}

/// How a text is compared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StringMatch {
    /// The whole text.
    Exact(String),
    /// How the text starts.
    Prefix(String),
    /// A regular expression that the whole text matches.
    Regex(Pattern),
    /// Nothing said: the text only has to be there.
    Present,
}

const STRING_MATCH: &[&str] = &["exact", "prefix", "regex"];

impl Field for StringMatch {
    fn schema() -> Value {
        let mut schema = super::field::ObjectSchema::new("");
        schema.field::<Option<String>>("exact", "The whole text.", &[]);
        schema.field::<Option<String>>("prefix", "How the text starts.", &[]);
        schema.field::<Option<Pattern>>("regex", "A regular expression (RE2) that the whole text matches.", &[]);
        schema.one_of(&[STRING_MATCH]);
        schema.finish()
    }

    fn decode(value: &Value, cx: &mut Cx) -> Option<Self> {
        if let Value::String(text) = value {
            cx.error(format!("has to say how to compare: write `exact: {}` below it", shortened(text)));
            return None;
        }
        let object = cx.object(value, STRING_MATCH)?;
        cx.one_of(object, &[STRING_MATCH]);
        // What must not be there, whatever its value: Istio takes this for no regular expression, here and nowhere else.
        if object.len() == 1
            && object.get("regex").is_some_and(|regex| regex == "*")
            && cx.is_entry_of("withoutHeaders")
        {
            return Some(Self::Present);
        }
        let exact: Option<String> = cx.field(object, "exact", &[])?;
        let prefix: Option<String> = cx.field(object, "prefix", &[])?;
        let regex: Option<Pattern> = cx.field(object, "regex", &[])?;
        Some(match (exact, prefix, regex) {
            (Some(exact), _, _) => Self::Exact(exact),
            (None, Some(prefix), _) => Self::Prefix(prefix),
            (None, None, Some(regex)) => Self::Regex(regex),
            (None, None, None) => Self::Present,
        })
    }

    fn encode(&self) -> Option<Value> {
        Some(match self {
            Self::Exact(text) => json!({"exact": text}),
            Self::Prefix(text) => json!({"prefix": text}),
            Self::Regex(pattern) => json!({"regex": pattern.as_str()}),
            Self::Present => json!({}),
        })
    }
}

/// A regular expression that compiles, to a megabyte at most, and is at most 1024 bytes long. As in RE2, its classes are
/// those of ASCII; it is meant to match a text as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern(Arc<str>);

impl Pattern {
    /// The expression.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Field for Pattern {
    fn schema() -> Value {
        json!({"type": "string"})
    }

    fn decode(value: &Value, cx: &mut Cx) -> Option<Self> {
        let text = String::decode(value, cx)?;
        if text.is_empty() {
            cx.error("is an empty regular expression: remove it, or say what to match");
            return None;
        }
        if text.len() > MAX_REGEX {
            cx.error(format!("is a regular expression of {} bytes, and {MAX_REGEX} is the most", text.len()));
            return None;
        }
        // Alone first: wrapped in a group, an unbalanced `)(` would pass for a valid expression.
        match compiles(&text).and_then(|()| compiles(&format!(r"\A(?:{text})\z"))) {
            Ok(()) => Some(Self(text.into())),
            Err(error) => {
                // The library draws the expression over several lines; its last line is the sentence.
                let error = error.to_string();
                let reason = error.lines().last().unwrap_or_default();
                let reason = reason.strip_prefix("error: ").unwrap_or(reason);
                let hint = match text.as_str() {
                    "*" => " (to match any value, write `{}` instead of the regular expression)",
                    _ => "",
                };
                cx.error(format!("is no regular expression: {:?}: {reason}{hint}", shortened(&text)));
                None
            }
        }
    }

    fn encode(&self) -> Option<Value> {
        Some(Value::from(self.as_str()))
    }
}

/// Whether the expression compiles under the limits that the proxy sets.
fn compiles(source: &str) -> Result<(), regex::Error> {
    regex::bytes::RegexBuilder::new(source).unicode(false).size_limit(MAX_REGEX_PROGRAM).build().map(drop)
}
