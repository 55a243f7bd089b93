//! A gateway's listener and the choice of a virtual host.

use std::fmt;
use std::sync::Arc;

use crate::resources::Provenance;

/// A host as Gateways and VirtualServices write it: exact, `*.suffix`, or `*`. Always lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// This host and no other.
    Exact(Arc<str>),
    /// Hosts that end in this suffix, which starts with a dot, and have something before it: `.foo.com` matches
    /// `a.foo.com` and `a.b.foo.com`, not `foo.com`.
    Suffix(Arc<str>),
    /// Every host.
    Any,
}

impl HostPattern {
    /// Reads a host. Validation has refused wildcards elsewhere than in the leftmost label before it gets here.
    pub fn parse(host: &str) -> Self {
        let host = host.to_ascii_lowercase();
        match host.strip_prefix('*') {
            Some("") => Self::Any,
            Some(suffix) => Self::Suffix(suffix.into()),
            None => Self::Exact(host.into()),
        }
    }

    /// Whether `host` (lower case, no port, no trailing dot) matches.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(expected) => host == &**expected,
            Self::Suffix(suffix) => host.len() > suffix.len() && host.ends_with(&**suffix),
            Self::Any => true,
        }
    }

    /// Whether some host matches both patterns; the narrower of the two is what they share.
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Any, pattern) | (pattern, Self::Any) => Some(pattern.clone()),
            (Self::Exact(host), pattern) | (pattern, Self::Exact(host)) => {
                pattern.matches(host).then(|| Self::Exact(host.clone()))
            }
            (Self::Suffix(a), Self::Suffix(b)) => {
                let (longer, shorter) = if a.len() >= b.len() { (a, b) } else { (b, a) };
                longer.ends_with(&**shorter).then(|| Self::Suffix(longer.clone()))
            }
        }
    }

    /// Exact before suffixes, long suffixes before short ones, `*` last.
    pub fn precedence(&self) -> (u8, usize) {
        match self {
            Self::Exact(_) => (2, 0),
            Self::Suffix(suffix) => (1, suffix.len()),
            Self::Any => (0, 0),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => f.write_str(host),
            Self::Suffix(suffix) => write!(f, "*{suffix}"),
            Self::Any => f.write_str("*"),
        }
    }
}

/// What a gateway speaks on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListenerProtocol {
    /// HTTP without TLS.
    Http,
    /// TLS, whose servers say what becomes of it.
    Tls,
    /// Bytes, on which the server may be the one who speaks first.
    Tcp,
}

/// What becomes of a client's TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Termination {
    /// The gateway terminates it, and HTTP is behind it.
    Http,
    /// The gateway terminates it, and bytes are behind it.
    Tcp,
    /// It is passed on as it is, by its server name.
    Passthrough,
    /// The same, to the cluster whose [server name](crate::model::ClusterName::server_name) it asks for: mesh TLS between a client
    /// and a workload elsewhere in the mesh.
    AutoPassthrough,
}

impl Termination {
    /// Whether the gateway has no part in the TLS.
    pub fn passes_on(self) -> bool {
        matches!(self, Self::Passthrough | Self::AutoPassthrough)
    }
}

/// A private key as PEM. It is shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateKeyPem(Arc<str>);

impl PrivateKeyPem {
    /// Keeps a key.
    pub fn new(pem: &str) -> Self {
        Self(pem.into())
    }

    /// The key itself, for whoever makes a TLS configuration of it or sends it to its gateway.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PrivateKeyPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKeyPem")
    }
}

/// What a server of a gateway does with its clients' TLS: what it shows to them and asks of them, where it terminates it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTls {
    /// The server names that it is for.
    pub hosts: Vec<HostPattern>,
    /// What becomes of the TLS.
    pub termination: Termination,
    /// Certificate chain and key, as PEM; `None` while the Secret is not there: nobody is served. Without meaning for what is
    /// passed on, and for clients of the mesh.
    pub certificate: Option<(Arc<str>, PrivateKeyPem)>,
    /// Whether clients show certificates.
    pub clients: ClientCertificates,
    /// What it wants otherwise.
    pub demands: TlsDemands,
    /// The server that it comes from.
    pub provenance: Provenance,
}

/// Which versions of TLS a server speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum TlsVersions {
    /// 1.2 and 1.3.
    #[default]
    All,
    /// 1.2, and no later one.
    Only12,
    /// 1.3 or later.
    From13,
}

/// What a server wants of TLS; what it does not say is the mesh's choice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsDemands {
    /// The versions that it speaks.
    pub versions: TlsVersions,
    /// The suites of TLS 1.2, by the names that OpenSSL has for them; none: all that are safe.
    pub suites: Vec<Arc<str>>,
    /// Names one of which a client's certificate must hold; none: any.
    pub client_names: Vec<Arc<str>>,
}

/// Whether clients of a gateway show certificates; with the authorities that vouch for them, as PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientCertificates {
    /// They are not asked for any.
    None,
    /// One that is shown must be good.
    Optional(Arc<str>),
    /// They must show a good one.
    Required(Arc<str>),
    /// They must prove a mesh identity, and are shown the proxy's own: `ISTIO_MUTUAL`.
    Mesh,
}

/// A host of a listener and where its routes are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualHost {
    /// Which hosts.
    pub host: HostPattern,
    /// Name of the Routes resource.
    pub routes: Arc<str>,
}

/// One port of a gateway, merged from every Gateway that selects it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The port that the proxy listens on.
    pub port: u16,
    /// What is spoken on it.
    pub protocol: ListenerProtocol,
    /// The Gateways' servers that it comes from.
    pub provenance: Vec<Provenance>,
    /// At most one for each host.
    pub virtual_hosts: Vec<VirtualHost>,
    /// Of a port with TLS: what it shows, by server name.
    pub tls: Vec<ServerTls>,
    /// Of a port without TLS: the hosts whose requests are redirected to https.
    pub redirected: Vec<HostPattern>,
}

/// The place of the most specific pattern that matches a host, over several lists of them.
pub fn most_specific<'p>(lists: impl Iterator<Item = &'p [HostPattern]>, host: &str) -> Option<usize> {
    let numbered = lists.enumerate().flat_map(|(place, list)| list.iter().map(move |pattern| (place, pattern)));
    let matching = numbered.filter(|(_, pattern)| pattern.matches(host));
    // Of equals the first: `max_by_key` would take the last.
    let best = matching.fold(None, |best: Option<(usize, &HostPattern)>, (place, pattern)| match best {
        Some((_, known)) if known.precedence() >= pattern.precedence() => best,
        _ => Some((place, pattern)),
    });
    best.map(|(place, _)| place)
}

impl Listener {
    /// The virtual host for a request's host (lower case, no port, no trailing dot): the most specific pattern that matches.
    pub fn virtual_host(&self, host: &str) -> Option<&VirtualHost> {
        self.virtual_hosts
            .iter()
            .filter(|candidate| candidate.host.matches(host))
            .max_by_key(|candidate| candidate.host.precedence())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_matches_below_its_domain_only() {
        let wildcard = HostPattern::parse("*.Foo.com");
        assert!(wildcard.matches("a.foo.com") && wildcard.matches("a.b.foo.com"));
        assert!(!wildcard.matches("foo.com") && !wildcard.matches("afoo.com") && !wildcard.matches(".foo.com"));
    }

    #[test]
    fn the_most_specific_virtual_host_is_chosen() {
        let virtual_host = |host| VirtualHost { host: HostPattern::parse(host), routes: host.into() };
        let listener = Listener {
            port: 8080,
            protocol: ListenerProtocol::Http,
            provenance: Vec::new(),
            virtual_hosts: ["*", "*.com", "*.foo.com", "a.foo.com"].map(virtual_host).to_vec(),
            tls: Vec::new(),
            redirected: Vec::new(),
        };
        for (host, expected) in
            [("a.foo.com", "a.foo.com"), ("b.foo.com", "*.foo.com"), ("foo.com", "*.com"), ("localhost", "*")]
        {
            assert_eq!(listener.virtual_host(host).map(|found| &*found.routes), Some(expected), "{host}");
        }
    }

    #[test]
    fn patterns_intersect_in_the_narrower_one() {
        for (a, b, expected) in [
            ("*", "a.com", Some("a.com")),
            ("*.com", "a.com", Some("a.com")),
            ("*.com", "*.a.com", Some("*.a.com")),
            ("*.org", "a.com", None),
            ("*.a.com", "a.com", None),
            ("*", "*", Some("*")),
        ] {
            let found = HostPattern::parse(a).intersect(&HostPattern::parse(b));
            assert_eq!(found.map(|pattern| pattern.to_string()).as_deref(), expected, "{a} and {b}");
        }
    }
}
