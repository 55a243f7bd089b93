//! How the endpoints of a service are talked to: subsets, balancing, TLS.

use std::sync::Arc;
use std::time::Duration;

use crate::identity::SpiffeId;
use crate::model::listener::PrivateKeyPem;
use crate::model::locality::LocalityPolicy;
use crate::model::pool::{HashPolicy, OutlierPolicy, PoolLimits, Warmup};
use crate::model::workload::Workload;
use crate::resources::Provenance;

/// Which endpoint a request goes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Balancer {
    /// The one with fewer requests under way, of two drawn at random. Istio's default.
    #[default]
    LeastRequest,
    /// Each in turn.
    RoundRobin,
    /// One drawn at random.
    Random,
    /// Where the client was going.
    Passthrough,
}

/// What is spoken to an endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum UpstreamTls {
    /// Mutual TLS where the endpoint's workload has it, plaintext where it has none (Istio: automatic mutual TLS).
    #[default]
    Auto,
    /// Plaintext, always.
    Disable,
    /// Mutual TLS with mesh identities, always; an endpoint that has no identity is not talked to.
    IstioMutual {
        /// The server name that is asked for; `None`: the one that says which cluster it is.
        server_name: Option<Arc<str>>,
        /// Identities one of which the endpoint has to be; none: its own, as the mesh knows it.
        names: Vec<SpiffeId>,
    },
    /// TLS as servers outside the mesh speak it, always.
    Originate(Arc<Origination>),
    /// TLS that cannot be made, for this reason: nobody is talked to.
    Unavailable(Arc<str>),
}

/// TLS with a server that is no part of the mesh (DestinationRule's SIMPLE and MUTUAL).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origination {
    /// The name that is asked for; `None`: the service's host.
    pub server_name: Option<Arc<str>>,
    /// Names one of which the server's certificate must hold; none: the name that is asked for.
    pub subject_names: Vec<Arc<str>>,
    /// Who vouches for the server.
    pub authorities: Authorities,
    /// What is shown to it.
    pub certificate: OwnCertificate,
}

/// Who vouches for a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authorities {
    /// Whom the proxy's machine believes.
    System,
    /// These, as PEM.
    Pem(Arc<str>),
    /// Those in a file of the proxy's.
    File(Arc<str>),
    /// Nobody: whoever answers is believed.
    Unverified,
}

/// What a client shows to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnCertificate {
    /// Nothing.
    None,
    /// Certificate chain, as PEM, and key.
    Pem(Arc<str>, PrivateKeyPem),
    /// Files of the proxy's.
    Files {
        /// Of the certificate chain.
        chain: Arc<str>,
        /// Of the key.
        key: Arc<str>,
    },
}

/// Whether requests are sent as HTTP/2 to a port that is not declared to speak it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Http2Use {
    /// As the port is declared; where nothing is declared, as the client speaks.
    #[default]
    AsDeclared,
    /// To a port that is declared as HTTP as well.
    Upgrade,
    /// As the client speaks.
    AsClient,
}

/// A version of the PROXY protocol, in which a server is told between whom a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProxyProtocol {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// The policy that is in force for one cluster, with nothing left to inherit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterPolicy {
    /// Which endpoint a request goes to.
    pub balancer: Balancer,
    /// Which endpoint a request with a key goes to; goes before the balancer.
    pub hash: Option<HashPolicy>,
    /// Which endpoints come first because of where they are; `None`: it makes no difference.
    pub locality: Option<LocalityPolicy>,
    /// How new endpoints come to their share; `None`: they have it at once.
    pub warmup: Option<Warmup>,
    /// How much may be used.
    pub limits: PoolLimits,
    /// Whether requests are sent as HTTP/2.
    pub http2: Http2Use,
    /// When an endpoint is left out; `None`: never.
    pub outlier: Option<OutlierPolicy>,
    /// What is spoken to it.
    pub tls: UpstreamTls,
    /// What connections begin with; `None`: with what they carry.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// How long connecting may take; 10 s unless said otherwise (Istio's default).
    pub connect_timeout: Duration,
}

impl Default for ClusterPolicy {
    fn default() -> Self {
        Self {
            balancer: Balancer::default(),
            hash: None,
            locality: None,
            warmup: None,
            limits: PoolLimits::default(),
            http2: Http2Use::default(),
            outlier: None,
            tls: UpstreamTls::default(),
            proxy_protocol: None,
            connect_timeout: Duration::from_secs(10),
        }
    }
}

/// The policy of a whole service or a subset, with what differs by port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PortPolicies {
    /// For ports that are not named below.
    pub default: ClusterPolicy,
    /// (service port, its policy) pairs.
    pub ports: Vec<(u16, ClusterPolicy)>,
}

impl PortPolicies {
    /// The policy in force for a service port.
    pub fn for_port(&self, number: u16) -> &ClusterPolicy {
        self.ports.iter().find(|(port, _)| *port == number).map_or(&self.default, |(_, policy)| policy)
    }
}

/// A named part of a service's endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subset {
    /// Name, as routes use it.
    pub name: Arc<str>,
    /// Labels that an endpoint's workload must have.
    pub labels: Vec<(Arc<str>, Arc<str>)>,
    /// How its endpoints are talked to.
    pub policies: PortPolicies,
    /// The rule that it comes from.
    pub provenance: Provenance,
}

impl Subset {
    /// Whether the workload belongs to the subset.
    pub fn contains(&self, workload: &Workload) -> bool {
        workload.has_labels(&self.labels)
    }
}

/// The traffic policy of a service, as one scope of clients sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrafficPolicy {
    /// Fully qualified host of the service.
    pub host: Arc<str>,
    /// The DestinationRule in force; `None` when the service has none.
    pub provenance: Option<Provenance>,
    /// For requests that name no subset.
    pub policies: PortPolicies,
    /// In the order of the rule.
    pub subsets: Vec<Subset>,
}

impl TrafficPolicy {
    /// The subset with this name.
    pub fn subset(&self, name: &str) -> Option<&Subset> {
        self.subsets.iter().find(|subset| &*subset.name == name)
    }
}
