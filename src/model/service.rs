//! A service, its ports and its endpoints.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::model::workload::{TunnelProtocol, Workload};
use crate::resources::Provenance;

/// The protocol of a service port, as `appProtocol` or the port's name declares it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AppProtocol {
    /// HTTP/1.1.
    Http,
    /// HTTP/2 without TLS, gRPC included.
    Http2,
    /// TLS that the application itself speaks.
    Tls,
    /// Bytes.
    Tcp,
    /// Not declared: to be found by looking at the first bytes.
    Detect,
}

impl AppProtocol {
    /// Reads a port's protocol: `appProtocol` first, then the port name up to its first `-`, then the port numbers on which
    /// the server speaks first (Istio, "Protocol selection").
    pub fn of_port(app_protocol: Option<&str>, name: &str, number: u16) -> Self {
        let declared = |word: &str| match word.to_ascii_lowercase().as_str() {
            "http" | "kubernetes.io/ws" => Some(Self::Http),
            "http2" | "grpc" | "grpc-web" | "kubernetes.io/h2c" => Some(Self::Http2),
            "https" | "tls" | "kubernetes.io/wss" => Some(Self::Tls),
            "tcp" | "mongo" | "mysql" | "redis" | "udp" => Some(Self::Tcp),
            _ => None,
        };
        if let Some(protocol) = app_protocol.and_then(declared) {
            return protocol;
        }
        // `grpc-web` is the one declared name that itself holds a dash.
        let prefix = if name == "grpc-web" || name.starts_with("grpc-web-") {
            "grpc-web"
        } else {
            name.split('-').next().unwrap_or(name)
        };
        match (declared(prefix), number) {
            (Some(protocol), _) => protocol,
            (None, 25 | 53 | 3306 | 27017) => Self::Tcp,
            (None, _) => Self::Detect,
        }
    }
}

/// One port of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePort {
    /// The number that clients use.
    pub number: u16,
    /// The port's name; empty when it has none.
    pub name: Arc<str>,
    /// What is spoken on it.
    pub protocol: AppProtocol,
}

/// Where a service's endpoints come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Resolution {
    /// They are listed; the names among them are looked up, and each answer is one.
    #[default]
    Endpoints,
    /// They are listed; the names among them are looked up, and the first answer is taken.
    FirstAnswer,
    /// The address that the client asked for is the endpoint, or that of the name that it asked for.
    Original,
}

/// Which endpoints the service's owner wants to be near (Kubernetes' `trafficDistribution`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum TrafficDistribution {
    /// Any.
    #[default]
    Any,
    /// Those of the client's zone (`PreferClose`, `PreferSameZone`).
    SameZone,
    /// Those of the client's machine, then of its zone.
    SameNode,
}

impl TrafficDistribution {
    /// Reads `spec.trafficDistribution`, or the annotation `networking.istio.io/traffic-distribution`. What is unknown is `Any`.
    pub fn parse(text: &str) -> Self {
        Self::known(text).unwrap_or_default()
    }

    /// The same; `None` for what is unknown. Case makes no difference (Istio).
    pub fn known(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "preferclose" | "prefersamezone" => Some(Self::SameZone),
            "prefersamenode" => Some(Self::SameNode),
            "any" => Some(Self::Any),
            _ => None,
        }
    }
}

/// A service as the mesh knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Fully qualified host: `reviews.default.svc.cluster.local`; of a ServiceEntry, also `*.example.com`.
    pub host: Arc<str>,
    /// Short name: `reviews`.
    pub name: Arc<str>,
    /// Namespace that it lives in.
    pub namespace: Arc<str>,
    /// Virtual addresses.
    pub addresses: Vec<IpAddr>,
    /// Its ports, in the order of the object.
    pub ports: Vec<ServicePort>,
    /// Where its endpoints come from.
    pub resolution: Resolution,
    /// Which of them come first, where nothing else says so.
    pub distribution: TrafficDistribution,
    /// The object it comes from.
    pub provenance: Provenance,
}

impl Service {
    /// The port with this number.
    pub fn port(&self, number: u16) -> Option<&ServicePort> {
        self.ports.iter().find(|port| port.number == number)
    }
}

/// Names one group of endpoints that requests are balanced over. Displayed in the form that Envoy's users know:
/// `outbound|9080|v2|reviews.default.svc.cluster.local`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClusterName {
    /// Fully qualified host of the service.
    pub host: Arc<str>,
    /// Service port.
    pub port: u16,
    /// Subset, when a route names one.
    pub subset: Option<Arc<str>>,
}

impl ClusterName {
    /// What the server name of mesh TLS begins with.
    pub const SERVER_NAME: &str = "outbound_.";

    /// The server name that mesh TLS to the cluster carries (Istio's form): `outbound_.9080_.v2_.reviews.default.svc.cluster.local`.
    pub fn server_name(&self) -> String {
        format!("{}{}_.{}_.{}", Self::SERVER_NAME, self.port, self.subset.as_deref().unwrap_or_default(), self.host)
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "outbound|{}|{}|{}", self.port, self.subset.as_deref().unwrap_or_default(), self.host)
    }
}

/// Whether an endpoint takes requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Health {
    /// Ready.
    #[default]
    Healthy,
    /// Finishing what it has; nothing new is sent to it.
    Draining,
    /// Not ready.
    Unhealthy,
}

/// One place where a service answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Address of the workload; unspecified where it has a name.
    pub address: IpAddr,
    /// The name that DNS knows it by, where nobody has said its address.
    pub name: Option<Arc<str>>,
    /// (service port, port on the address) pairs.
    pub ports: Vec<(u16, u16)>,
    /// Share of requests relative to its siblings; at least 1.
    pub weight: u32,
    /// Whether it takes requests.
    pub health: Health,
    /// Ports on the address where mesh TLS is not taken although the workload speaks it (PeerAuthentication DISABLE).
    pub plaintext: Vec<u16>,
    /// What runs there.
    pub workload: Arc<Workload>,
}

impl Endpoint {
    /// Where the service port `number` is reached on this endpoint.
    pub fn socket_address(&self, number: u16) -> Option<SocketAddr> {
        let (_, target) = self.ports.iter().find(|(service_port, _)| *service_port == number)?;
        Some(SocketAddr::new(self.address, *target))
    }

    /// Whether mesh TLS is spoken on a port of the address.
    pub fn speaks_tls(&self, port: u16) -> bool {
        self.workload.protocol == TunnelProtocol::MutualTls && !self.plaintext.contains(&port)
    }
}

/// The endpoints of one service, whoever asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// Fully qualified host of the service.
    pub host: Arc<str>,
    /// In a stable order: by workload uid.
    pub endpoints: Vec<Arc<Endpoint>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ports_protocol_is_read_as_istio_documents_it() {
        for (app_protocol, name, number, expected) in [
            (None, "http", 9080, AppProtocol::Http),
            (None, "http-metrics", 9080, AppProtocol::Http),
            (None, "grpc-web", 80, AppProtocol::Http2),
            (None, "grpc", 80, AppProtocol::Http2),
            (None, "https", 443, AppProtocol::Tls),
            (Some("http"), "tcp-x", 1, AppProtocol::Http),
            (Some("kubernetes.io/h2c"), "", 1, AppProtocol::Http2),
            (Some("example.com/own"), "http-x", 1, AppProtocol::Http),
            (None, "", 3306, AppProtocol::Tcp),
            (None, "web", 80, AppProtocol::Detect),
            (None, "httpx", 80, AppProtocol::Detect),
        ] {
            assert_eq!(AppProtocol::of_port(app_protocol, name, number), expected, "{app_protocol:?} {name} {number}");
        }
    }

    #[test]
    fn a_cluster_is_displayed_as_envoy_users_know_it() {
        let cluster = ClusterName { host: "web.ns.svc.cluster.local".into(), port: 80, subset: Some("v2".into()) };
        assert_eq!(cluster.to_string(), "outbound|80|v2|web.ns.svc.cluster.local");
    }
}
