//! Names of resources (docs/wire.md sections 2 to 4).
//!
//! A name that parses is displayed as the same text. What does not parse names nothing: the answer to it is that no such
//! resource exists.

use std::fmt;
use std::hash::Hasher;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use twox_hash::XxHash64;

use crate::model::HostPattern;

/// The longest name, in bytes (docs/wire.md section 12).
pub const MAX_NAME_BYTES: usize = 512;

/// The name of the one resource of a type that a proxy has: its settings, its inbound policy.
pub const SELF: &str = "self";

/// Asked for among inbound policies, it means no resource: a token has met its issuer's keys and is signed by none of them.
pub const KEYS: &str = "keys";

/// Subscribes to every resource of a type that is the caller's: a gateway's listeners.
pub const WILDCARD: &str = "*";

/// A name that is none, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// The name is longer than [`MAX_NAME_BYTES`].
    #[error("the resource name is {0} bytes long, more than {MAX_NAME_BYTES}")]
    TooLong(usize),
    /// The name has another form than its type demands.
    #[error("the resource name `{name}` is not of the form `{form}`")]
    Form {
        /// The name.
        name: String,
        /// What was expected.
        form: &'static str,
    },
}

/// What a class of clients has in common: 16 hexadecimal digits (docs/wire.md section 3).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope(Arc<str>);

impl Scope {
    /// Hashes the parts that a client's view depends on. The order of the parts matters, their boundaries as well.
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut hasher = XxHash64::with_seed(0);
        for part in parts {
            hasher.write(&(part.len() as u64).to_le_bytes());
            hasher.write(part.as_bytes());
        }
        Self(format!("{:016x}", hasher.finish()).into())
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Scope {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let digits = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if digits { Ok(Self(text.into())) } else { Err(form(text, "16 hexadecimal digits")) }
    }
}

/// A host as it is asked for: lower case, without port and trailing dot, an IP address in its canonical text without
/// brackets. `None` for what can be no host.
pub fn authority(host: &str) -> Option<Arc<str>> {
    let host = match host.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            let port_follows = port.strip_prefix(':').is_some_and(is_port);
            return (port.is_empty() || port_follows)
                .then(|| address.parse::<std::net::Ipv6Addr>().ok())
                .flatten()
                .map(|address| address.to_string().into());
        }
        None => host,
    };
    if let Ok(address) = host.parse::<IpAddr>() {
        return Some(address.to_string().into());
    }
    let host = match host.rsplit_once(':') {
        Some((host, port)) if is_port(port) => host,
        Some(_) => return None,
        None => host,
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    is_host(host).then(|| host.to_ascii_lowercase().into())
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// The host of a rule in the one way of writing it: a host as [`authority`] would leave it, `*`, or what follows a `*` at the start
/// of its first label. `None` for everything else.
///
/// Whatever host validation lets into an object can be said here: who could not say it would be told nothing at all.
pub fn host_pattern(text: &str) -> Option<HostPattern> {
    let pattern = HostPattern::parse(text);
    let valid = match &pattern {
        HostPattern::Exact(exact) => is_canonical(exact),
        HostPattern::Suffix(suffix) => is_host(suffix.strip_prefix('.').unwrap_or(suffix)),
        HostPattern::Any => true,
    };
    // A host in upper case would be read as another than the one that was sent.
    (valid && pattern.to_string() == text).then_some(pattern)
}

fn is_host(host: &str) -> bool {
    // As validation has it (Istio), 255 characters; underscores are used in the field, everything else would only be mistaken for structure.
    !host.is_empty()
        && host.len() <= 255
        && host.split('.').all(|label| !label.is_empty())
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
}

/// A service as somebody in a scope asks for it: `SCOPE/AUTHORITY`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceName {
    /// The scope of the caller.
    pub scope: Scope,
    /// The host as it was used, in the form of [`authority`].
    pub authority: Arc<str>,
}

/// The rules of a service or of a gateway's virtual host: `SCOPE/HOST` or `SCOPE/gateway/PORT/HOST`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RoutesName {
    /// Of a service.
    Service {
        /// The scope of the caller.
        scope: Scope,
        /// Fully qualified host of the service.
        host: Arc<str>,
    },
    /// Of a gateway's virtual host.
    Gateway {
        /// The scope of the gateway.
        scope: Scope,
        /// The port that the gateway listens on.
        port: u16,
        /// The virtual host.
        host: HostPattern,
    },
}

/// How the endpoints of a service are talked to: `SCOPE/HOST`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrafficPolicyName {
    /// The scope of the caller.
    pub scope: Scope,
    /// Fully qualified host of the service.
    pub host: Arc<str>,
}

/// Some of the endpoints of a service: `HOST/CHUNK`; of one that a namespace has for itself beside others of that host,
/// `NAMESPACE/HOST/CHUNK`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointsName {
    /// The namespace of the ServiceEntry that the service comes from.
    pub namespace: Option<Arc<str>>,
    /// Fully qualified host of the service.
    pub host: Arc<str>,
    /// Which chunk, counted from 0.
    pub chunk: u32,
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.scope, self.authority)
    }
}

impl fmt::Display for RoutesName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service { scope, host } => write!(f, "{scope}/{host}"),
            Self::Gateway { scope, port, host } => write!(f, "{scope}/gateway/{port}/{host}"),
        }
    }
}

impl fmt::Display for TrafficPolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.scope, self.host)
    }
}

impl fmt::Display for EndpointsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        write!(f, "{}/{}", self.host, self.chunk)
    }
}

impl FromStr for ServiceName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let (scope, authority) = scoped(text, "SCOPE/AUTHORITY")?;
        Ok(Self { scope, authority })
    }
}

impl FromStr for RoutesName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        const FORM: &str = "SCOPE/HOST or SCOPE/gateway/PORT/HOST";
        let text = bounded(text)?;
        match *text.split('/').collect::<Vec<_>>() {
            [_, _] => scoped(text, FORM).map(|(scope, host)| Self::Service { scope, host }),
            [scope, "gateway", port, host] => {
                let scope = scope.parse()?;
                let port = decimal::<u16>(port).filter(|port| *port > 0).ok_or_else(|| form(text, FORM))?;
                let host = host_pattern(host).ok_or_else(|| form(text, FORM))?;
                Ok(Self::Gateway { scope, port, host })
            }
            _ => Err(form(text, FORM)),
        }
    }
}

impl FromStr for TrafficPolicyName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let (scope, host) = scoped(text, "SCOPE/HOST")?;
        Ok(Self { scope, host })
    }
}

impl FromStr for EndpointsName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        const FORM: &str = "HOST/CHUNK or NAMESPACE/HOST/CHUNK";
        let text = bounded(text)?;
        let (namespace, host, chunk) = match *text.split('/').collect::<Vec<_>>() {
            [host, chunk] => (None, host, chunk),
            [namespace, host, chunk] if is_canonical(namespace) => (Some(namespace.into()), host, chunk),
            _ => return Err(form(text, FORM)),
        };
        match decimal(chunk) {
            Some(chunk) if is_service_host(host) => Ok(Self { namespace, host: host.into(), chunk }),
            _ => Err(form(text, FORM)),
        }
    }
}

fn scoped(text: &str, expected: &'static str) -> Result<(Scope, Arc<str>), InvalidName> {
    let text = bounded(text)?;
    let (scope, host) = text.split_once('/').ok_or_else(|| form(text, expected))?;
    if !is_service_host(host) {
        return Err(form(text, expected));
    }
    Ok((scope.parse()?, host.into()))
}

/// Whether [`authority`] would leave the host as it is.
fn is_canonical(host: &str) -> bool {
    authority(host).is_some_and(|canonical| &*canonical == host)
}

/// Whether it is the host of a service: [`authority`] would leave it as it is, or it is one wildcard label before such a host.
fn is_service_host(host: &str) -> bool {
    is_canonical(host.strip_prefix("*.").unwrap_or(host))
}

/// A number in the one way of writing it.
fn decimal<N: FromStr + fmt::Display>(text: &str) -> Option<N> {
    text.parse::<N>().ok().filter(|number| number.to_string() == text)
}

fn bounded(text: &str) -> Result<&str, InvalidName> {
    if text.len() > MAX_NAME_BYTES { Err(InvalidName::TooLong(text.len())) } else { Ok(text) }
}

fn form(name: &str, form: &'static str) -> InvalidName {
    InvalidName::Form { name: name.to_owned(), form }
}

#[cfg(test)]
#[path = "name_tests.rs"]
mod tests;
