//! What an AuthorizationPolicy compares with, parsed once.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use ipnet::IpNet;

use super::suggest::shortened;
use super::values::{Port, is_lower_label, parsed};

parsed!(TextMatch, PathMatch, IpBlock, PortText, ServiceAccount, Attribute);

/// How a text is compared: `exact`, `prefix*`, `*suffix`, or `*` for any that is there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TextMatch {
    /// The whole text.
    Exact(Arc<str>),
    /// How it starts.
    Prefix(Arc<str>),
    /// How it ends.
    Suffix(Arc<str>),
    /// Any text but the empty one.
    Present,
}

impl TextMatch {
    /// Whether `text` is one of those that are meant.
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exact(exact) => **exact == *text,
            Self::Prefix(prefix) => text.starts_with(&**prefix),
            Self::Suffix(suffix) => text.ends_with(&**suffix),
            Self::Present => !text.is_empty(),
        }
    }
}

impl FromStr for TextMatch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Present);
        }
        let (form, rest): (fn(Arc<str>) -> Self, &str) = match (text.strip_prefix('*'), text.strip_suffix('*')) {
            (Some(rest), _) => (Self::Suffix, rest),
            (None, Some(rest)) => (Self::Prefix, rest),
            (None, None) => (Self::Exact, text),
        };
        if text.is_empty() {
            return Err("is empty, and nothing is compared with nothing: remove it, or write `*` for any".to_owned());
        }
        Ok(form(rest.into()))
    }
}

impl fmt::Display for TextMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(text) => f.write_str(text),
            Self::Prefix(text) => write!(f, "{text}*"),
            Self::Suffix(text) => write!(f, "*{text}"),
            Self::Present => f.write_str("*"),
        }
    }
}

/// How a path is compared: as a text, or by a template whose `{*}` stands for one segment and `{**}` for any number of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PathMatch {
    /// As a text.
    Text(TextMatch),
    /// By a template.
    Template(Arc<[TemplatePart]>),
}

/// A part of a path's template.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TemplatePart {
    /// Exactly this, slashes included.
    Literal(Arc<str>),
    /// `{*}`: some characters, none of them a slash.
    Segment,
    /// `{**}`: any characters.
    Rest,
}

const SEGMENT: &str = "{*}";
const REST: &str = "{**}";

impl FromStr for PathMatch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.contains(SEGMENT) && !text.contains(REST) {
            return text.parse().map(Self::Text);
        }
        let shown = shortened(text);
        let fault = |why: &str| Err(format!("is no template of a path: {shown:?} ({why})"));
        if !text.starts_with('/') {
            return fault("it has to start with `/`");
        }
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest_seen = false;
        for segment in text.split('/').skip(1) {
            literal.push('/');
            let part = match segment {
                SEGMENT | REST if rest_seen => return fault("nothing but fixed segments can follow `{**}`"),
                SEGMENT => TemplatePart::Segment,
                REST => TemplatePart::Rest,
                fixed if fixed.contains(['{', '}', '*']) => {
                    return fault("`{*}` and `{**}` are whole segments, and `*` is nothing else");
                }
                fixed => {
                    literal.push_str(fixed);
                    continue;
                }
            };
            rest_seen = part == TemplatePart::Rest;
            parts.push(TemplatePart::Literal(std::mem::take(&mut literal).into()));
            parts.push(part);
        }
        if !literal.is_empty() {
            parts.push(TemplatePart::Literal(literal.into()));
        }
        Ok(Self::Template(parts.into()))
    }
}

impl fmt::Display for PathMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => text.fmt(f),
            Self::Template(parts) => parts.iter().try_for_each(|part| {
                f.write_str(match part {
                    TemplatePart::Literal(text) => text,
                    TemplatePart::Segment => SEGMENT,
                    TemplatePart::Rest => REST,
                })
            }),
        }
    }
}

/// An address, or a network in CIDR notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IpBlock(IpNet);

impl IpBlock {
    /// The network; an address is one that holds nothing else.
    pub fn get(self) -> IpNet {
        self.0
    }
}

impl FromStr for IpBlock {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = text.parse::<IpAddr>().map(IpNet::from).ok();
        address.or_else(|| text.parse().ok()).map(Self).ok_or_else(|| {
            format!("is neither an address nor a network, as `10.0.0.0/8` is one: {:?}", shortened(text))
        })
    }
}

impl fmt::Display for IpBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() { self.0.addr().fmt(f) } else { self.0.fmt(f) }
    }
}

/// A port that is written as a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PortText(pub Port);

impl FromStr for PortText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse()
            .ok()
            .and_then(Port::new)
            .map(Self)
            .ok_or_else(|| format!("has to be a port from 1 to 65535, and is {:?}", shortened(text)))
    }
}

impl fmt::Display for PortText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A service account: `name` in the policy's own namespace, or `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServiceAccount {
    /// Its namespace, where it is named.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl FromStr for ServiceAccount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (namespace, name) = match text.split_once('/') {
            Some((namespace, name)) => (Some(namespace), name),
            None => (None, text),
        };
        let is_name = |text: &str| text.split('.').all(is_lower_label);
        if text.contains('*') {
            return Err(format!("has a wildcard, and service accounts are named in full: {:?}", shortened(text)));
        }
        if !is_name(name) || !namespace.is_none_or(is_lower_label) {
            return Err(format!("is no service account, as `name` or `namespace/name` are: {:?}", shortened(text)));
        }
        Ok(Self { namespace: namespace.map(str::to_owned), name: name.to_owned() })
    }
}

impl fmt::Display for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// An attribute of a request, as a condition's key names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Attribute {
    /// `request.headers[name]`
    Header(Arc<str>),
    /// `source.ip`: the connection's other end.
    SourceIp,
    /// `remote.ip`: the client, by the headers that trusted proxies set.
    RemoteIp,
    /// `source.namespace`
    SourceNamespace,
    /// `source.principal`
    SourcePrincipal,
    /// `source.serviceAccount`
    SourceServiceAccount,
    /// `source.trustDomain`
    SourceTrustDomain,
    /// `request.auth.principal`
    RequestPrincipal,
    /// `request.auth.audiences`
    Audiences,
    /// `request.auth.presenter`
    Presenter,
    /// `request.auth.claims[a][b]`
    Claim(Arc<[String]>),
    /// `destination.ip`
    DestinationIp,
    /// `destination.port`
    DestinationPort,
    /// `connection.sni`
    Sni,
    /// `experimental.envoy.filters.filter[key]`: metadata of Envoy's filters.
    EnvoyMetadata {
        /// The filter.
        filter: Arc<str>,
        /// The key of its metadata.
        key: Arc<str>,
    },
}

/// The attributes that have a name of their own.
const ATTRIBUTES: &[(&str, Attribute)] = &[
    ("source.ip", Attribute::SourceIp),
    ("remote.ip", Attribute::RemoteIp),
    ("source.namespace", Attribute::SourceNamespace),
    ("source.principal", Attribute::SourcePrincipal),
    ("source.serviceAccount", Attribute::SourceServiceAccount),
    ("source.trustDomain", Attribute::SourceTrustDomain),
    ("request.auth.principal", Attribute::RequestPrincipal),
    ("request.auth.audiences", Attribute::Audiences),
    ("request.auth.presenter", Attribute::Presenter),
    ("destination.ip", Attribute::DestinationIp),
    ("destination.port", Attribute::DestinationPort),
    ("connection.sni", Attribute::Sni),
];

const HEADERS: &str = "request.headers";
const CLAIMS: &str = "request.auth.claims";
const ENVOY: &str = "experimental.envoy.filters.";

impl FromStr for Attribute {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let shown = shortened(text);
        if let Some((_, attribute)) = ATTRIBUTES.iter().find(|(name, _)| *name == text) {
            return Ok(attribute.clone());
        }
        if let Some(rest) = text.strip_prefix(HEADERS) {
            return match bracketed(rest).as_deref() {
                Some([name]) if !name.contains(char::is_whitespace) => {
                    Ok(Self::Header(name.to_ascii_lowercase().into()))
                }
                _ => Err(format!("names no header, as `{HEADERS}[user-agent]` would: {shown:?}")),
            };
        }
        if let Some(rest) = text.strip_prefix(CLAIMS) {
            return bracketed(rest)
                .map(|claims| Self::Claim(claims.into()))
                .ok_or_else(|| format!("names no claim, as `{CLAIMS}[iss]` would: {shown:?}"));
        }
        if let Some(rest) = text.strip_prefix(ENVOY) {
            return match rest.split_once('[') {
                Some((filter, key)) if !filter.is_empty() && key.len() > 1 && key.ends_with(']') => {
                    Ok(Self::EnvoyMetadata { filter: filter.into(), key: key.trim_end_matches(']').into() })
                }
                _ => Err(format!("names no metadata, as `{ENVOY}a.b[key]` would: {shown:?}")),
            };
        }
        let mut known: Vec<&str> = ATTRIBUTES.iter().map(|(name, _)| *name).collect();
        known.extend(["request.headers[name]", "request.auth.claims[name]"]);
        Err(format!("is {shown:?}, which is no attribute of a request{}", super::suggest::among(text, &known)))
    }
}

/// What a key of a VirtualService's `headers` begins with that names a claim of the request's token.
const ROUTED: &str = "@request.auth.claims";

/// The way to the claim that a key of a VirtualService's `headers` or `withoutHeaders` names instead of a header, as in
/// `@request.auth.claims.realm.roles` or `@request.auth.claims[realm][roles]`; `None` where it names a header.
///
/// # Errors
/// What is wrong with a key that begins like one and names no claim.
pub fn routed_claim(key: &str) -> Option<Result<Vec<String>, String>> {
    let rest = key.split_at_checked(ROUTED.len()).filter(|(start, _)| start.eq_ignore_ascii_case(ROUTED))?.1;
    let dotted = || {
        let words: Vec<String> = rest.strip_prefix('.')?.split('.').map(str::to_owned).collect();
        words.iter().all(|word| !word.is_empty()).then_some(words)
    };
    let wrong = || format!("names no claim, as `{ROUTED}.iss` or `{ROUTED}[iss]` would: {:?}", shortened(key));
    Some(bracketed(rest).or_else(dotted).ok_or_else(wrong))
}

/// The words of `[a][b]`; none if it is not written so.
fn bracketed(text: &str) -> Option<Vec<String>> {
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    let words: Vec<String> = inner.split("][").map(str::to_owned).collect();
    words.iter().all(|word| !word.is_empty() && !word.contains(['[', ']'])).then_some(words)
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "{HEADERS}[{name}]"),
            Self::Claim(names) => write!(f, "{CLAIMS}[{}]", names.join("][")),
            Self::EnvoyMetadata { filter, key } => write!(f, "{ENVOY}{filter}[{key}]"),
            named => f.write_str(ATTRIBUTES.iter().find(|(_, known)| known == named).map_or("", |(name, _)| name)),
        }
    }
}
