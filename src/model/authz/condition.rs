//! One condition of a rule: an attribute, the values it may have and those it must not have.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::facts::{Facts, HttpFacts};

/// Which way a rule leans where a request can be read in two ways, or something is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lean {
    /// Rather refuse than allow what was not meant: an ALLOW rule.
    Allow,
    /// Rather refuse than miss what was meant: a DENY rule.
    Deny,
}

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Attribute {
    /// `DOMAIN/ns/NAMESPACE/sa/ACCOUNT` of the client.
    Principal,
    /// Namespace of the client.
    Namespace,
    /// `NAMESPACE/ACCOUNT` of the client.
    ServiceAccount,
    /// Trust domain of the client.
    TrustDomain,
    /// Address of the connection's other end.
    SourceIp,
    /// Address of the client.
    RemoteIp,
    /// Address that the client connected to.
    DestinationIp,
    /// Port of the workload.
    DestinationPort,
    /// Server name of the TLS handshake.
    ServerName,
    /// `ISSUER/SUBJECT` of the token.
    RequestPrincipal,
    /// A claim of the token, by the way to it.
    Claim(Arc<[Box<str>]>),
    /// Host of the request.
    Host,
    /// Method of the request.
    Method,
    /// Path of the request.
    Path,
    /// A header of the request, by its name in lower case.
    Header(Arc<str>),
    /// Something that the mesh does not know about requests; its name in the object.
    Unknown(Arc<str>),
}

impl Attribute {
    /// Whether only requests have it, and connections do not.
    pub fn is_http(&self) -> bool {
        match self {
            Self::RequestPrincipal | Self::Claim(_) | Self::Host | Self::Method | Self::Path | Self::Header(_) => true,
            Self::Principal
            | Self::Namespace
            | Self::ServiceAccount
            | Self::TrustDomain
            | Self::SourceIp
            | Self::RemoteIp
            | Self::DestinationIp
            | Self::DestinationPort
            | Self::ServerName
            | Self::Unknown(_) => false,
        }
    }

    /// The address that it means, where it means one; `None` in it where that is not known.
    fn address(&self, facts: &Facts<'_>) -> Option<Option<IpAddr>> {
        match self {
            Self::SourceIp => Some(facts.source_ip),
            Self::RemoteIp => Some(facts.remote_ip),
            Self::DestinationIp => Some(facts.destination_ip),
            _ => None,
        }
    }

    /// Whether it is proved by mutual TLS, and unknown without.
    fn is_identity(&self) -> bool {
        matches!(self, Self::Principal | Self::Namespace | Self::ServiceAccount | Self::TrustDomain)
    }
}

/// How a text is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Text {
    /// It is this.
    Exact(Box<[u8]>),
    /// It starts with this.
    Prefix(Box<[u8]>),
    /// It ends with this.
    Suffix(Box<[u8]>),
    /// It is there, and not empty.
    Present,
}

impl Text {
    pub(super) fn matches(&self, text: &[u8]) -> bool {
        match self {
            Self::Exact(exact) => **exact == *text,
            Self::Prefix(prefix) => text.starts_with(prefix),
            Self::Suffix(suffix) => text.ends_with(suffix),
            Self::Present => !text.is_empty(),
        }
    }

    fn matches_ignoring_case(&self, text: &[u8]) -> bool {
        match self {
            Self::Exact(exact) => text.eq_ignore_ascii_case(exact),
            Self::Prefix(prefix) => text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)),
            Self::Suffix(suffix) => {
                let start = text.len().checked_sub(suffix.len());
                start.and_then(|start| text.get(start..)).is_some_and(|end| end.eq_ignore_ascii_case(suffix))
            }
            Self::Present => !text.is_empty(),
        }
    }
}

/// A part of a path's template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplatePart {
    /// Exactly this, slashes included.
    Literal(Box<[u8]>),
    /// `{*}`: one segment, which is not empty.
    Segment,
    /// `{**}`: any characters, or none.
    Rest,
}

/// A host, and the port that the authority has to name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostMatch {
    /// Lower case.
    pub host: Text,
    /// `None`: any, or none.
    pub port: Option<u16>,
}

/// Port of plain HTTP, which an authority without a port means.
const HTTP_PORT: u16 = 80;

/// One value that an attribute is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueMatch {
    /// A text.
    Text(Text),
    /// A network.
    Network(IpNet),
    /// A port.
    Port(u16),
    /// A path's template.
    Template(Vec<TemplatePart>),
    /// A host.
    Host(HostMatch),
}

/// An attribute, the values one of which it has to have (none: any) and those that it must not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// What is looked at.
    pub attribute: Attribute,
    /// Values one of which it has.
    pub values: Vec<ValueMatch>,
    /// Values none of which it has.
    pub not_values: Vec<ValueMatch>,
}

impl Condition {
    /// Whether it holds, where the path is read in this way.
    ///
    /// For a connection whose bytes are not looked at, a condition on a request holds in a DENY rule and in no ALLOW rule; so
    /// does one on something unknown.
    pub(super) fn holds(&self, facts: &Facts<'_>, path: &[u8], lean: Lean) -> bool {
        let is_missing =
            matches!(self.attribute, Attribute::Unknown(_)) || (self.attribute.is_http() && facts.http.is_none());
        if is_missing {
            return lean == Lean::Deny;
        }
        if self.attribute.address(facts) == Some(None) {
            // Whoever hides where they come from is not by that from elsewhere.
            return lean == Lean::Deny;
        }
        if self.attribute.is_identity() && facts.source.is_none() {
            // Nobody in particular is none of those who are named, and does not become one of the others by that.
            return self.values.is_empty() && lean == Lean::Deny;
        }
        let is_in = |values: &[ValueMatch], lean| !values.is_empty() && self.is_one_of(values, facts, path, lean);
        // What must not be there is looked for as the other side of the rule would.
        let opposite = match lean {
            Lean::Allow => Lean::Deny,
            Lean::Deny => Lean::Allow,
        };
        (self.values.is_empty() || is_in(&self.values, lean)) && !is_in(&self.not_values, opposite)
    }

    fn is_one_of(&self, values: &[ValueMatch], facts: &Facts<'_>, path: &[u8], lean: Lean) -> bool {
        let text =
            |text: &[u8]| values.iter().any(|value| matches!(value, ValueMatch::Text(wanted) if wanted.matches(text)));
        let address = |address: Option<IpAddr>| {
            address.is_some_and(|address| {
                // An IPv4 client of an IPv6 socket is the IPv4 client.
                let address = address.to_canonical();
                values.iter().any(|value| matches!(value, ValueMatch::Network(network) if network.contains(&address)))
            })
        };
        let source = facts.source;
        match (&self.attribute, &facts.http) {
            (Attribute::Principal, _) => {
                source.is_some_and(|id| text(id.as_str().strip_prefix("spiffe://").unwrap_or(id.as_str()).as_bytes()))
            }
            (Attribute::Namespace, _) => source.is_some_and(|id| text(id.namespace().as_bytes())),
            (Attribute::ServiceAccount, _) => {
                source.is_some_and(|id| text(format!("{}/{}", id.namespace(), id.service_account()).as_bytes()))
            }
            (Attribute::TrustDomain, _) => source.is_some_and(|id| text(id.trust_domain().as_str().as_bytes())),
            (Attribute::SourceIp, _) => address(facts.source_ip),
            (Attribute::RemoteIp, _) => address(facts.remote_ip),
            (Attribute::DestinationIp, _) => address(facts.destination_ip),
            (Attribute::DestinationPort, _) => {
                values.iter().any(|value| matches!(value, ValueMatch::Port(port) if *port == facts.destination_port))
            }
            // Names of servers have no case (RFC 6066 section 3).
            (Attribute::ServerName, _) => {
                let matches = |wanted: &Text| wanted.matches_ignoring_case(facts.server_name);
                values.iter().any(|value| matches!(value, ValueMatch::Text(wanted) if matches(wanted)))
            }
            (_, None) | (Attribute::Unknown(_), _) => false,
            (Attribute::RequestPrincipal, Some(http)) => {
                let principal = http.token.and_then(|token| token.principal());
                principal.is_some_and(|principal| text(principal.as_bytes()))
            }
            (Attribute::Claim(way), Some(http)) => {
                http.token.is_some_and(|token| token.texts(way).iter().any(|claim| text(claim.as_bytes())))
            }
            (Attribute::Host, Some(http)) => values.iter().any(|value| is_host(value, http)),
            (Attribute::Method, Some(http)) => {
                // A server that takes `get` for `GET` must not undo a rule; one that does not loses nothing.
                let matches = |wanted: &Text| match lean {
                    Lean::Deny => wanted.matches_ignoring_case(http.method),
                    Lean::Allow => wanted.matches(http.method),
                };
                values.iter().any(|value| matches!(value, ValueMatch::Text(wanted) if matches(wanted)))
            }
            (Attribute::Path, Some(_)) => {
                // `/a/` is not allowed where `/a` is, and refused where `/a` is.
                let bare = path.strip_suffix(b"/").filter(|bare| !bare.is_empty() && lean == Lean::Deny);
                values.iter().any(|value| is_path(value, path) || bare.is_some_and(|bare| is_path(value, bare)))
            }
            (Attribute::Header(name), Some(http)) => header(name, http, lean, &text),
        }
    }
}

/// Whether a header's value is one of those that are meant. A rule that leans to refusing looks at each element of a list as
/// well, and takes `x_role` for `x-role`, as servers do that put headers into variables.
fn header(name: &str, http: &HttpFacts<'_>, lean: Lean, matches: &impl Fn(&[u8]) -> bool) -> bool {
    let found = |value: Option<Cow<'_, [u8]>>| {
        value.is_some_and(|value| {
            matches(&value)
                || (lean == Lean::Deny && value.split(|byte| *byte == b',').any(|part| matches(part.trim_ascii())))
        })
    };
    found(http.headers.value(name))
        || (lean == Lean::Deny && name.contains('-') && found(http.headers.value(&name.replace('-', "_"))))
}

fn is_host(value: &ValueMatch, http: &HttpFacts<'_>) -> bool {
    let ValueMatch::Host(wanted) = value else { return false };
    let port = wanted.port.is_none_or(|port| http.port.unwrap_or(HTTP_PORT) == port);
    port && wanted.host.matches_ignoring_case(http.host.as_bytes())
}

fn is_path(value: &ValueMatch, path: &[u8]) -> bool {
    match value {
        ValueMatch::Text(wanted) => wanted.matches(path),
        ValueMatch::Template(parts) => fits(parts, path),
        ValueMatch::Network(_) | ValueMatch::Port(_) | ValueMatch::Host(_) => false,
    }
}

/// Whether a path fits a template. `{**}` occurs once at most, so that there is one way to try.
fn fits(parts: &[TemplatePart], path: &[u8]) -> bool {
    let Some((first, rest)) = parts.split_first() else { return path.is_empty() };
    match first {
        TemplatePart::Literal(literal) => path.strip_prefix(&**literal).is_some_and(|path| fits(rest, path)),
        TemplatePart::Segment => {
            let end = path.iter().position(|byte| *byte == b'/').unwrap_or(path.len());
            end > 0 && fits(rest, path.get(end..).unwrap_or_default())
        }
        TemplatePart::Rest => match rest {
            [] => true,
            [TemplatePart::Literal(end)] => path.ends_with(end),
            // What follows is fixed, or the template would not have been accepted.
            _ => (0..=path.len()).any(|start| fits(rest, path.get(start..).unwrap_or_default())),
        },
    }
}
