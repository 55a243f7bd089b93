//! What a workload demands of those who call it, and which services it answers for.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::model::authz::{Policy, Provider};
use crate::model::service::AppProtocol;
use crate::model::token::TokenRule;
use crate::model::workload::Workload;
use crate::resources::Provenance;

/// Whether callers must speak mutual TLS (PeerAuthentication).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum MtlsMode {
    /// Plaintext only; TLS is passed to the application as it comes.
    Disable,
    /// Mesh TLS and plaintext. Istio's default.
    #[default]
    Permissive,
    /// Mesh TLS only; plaintext is refused.
    Strict,
}

/// A service port that a workload answers for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundService {
    /// Fully qualified host of the service.
    pub host: Arc<str>,
    /// Short name of the service.
    pub name: Arc<str>,
    /// Namespace of the service.
    pub namespace: Arc<str>,
    /// Port on the workload.
    pub target_port: u16,
    /// What is spoken on it.
    pub protocol: AppProtocol,
}

/// What a workload's loopback is to its proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loopback {
    /// The loopback of the network that both are in.
    Shared,
    /// The workload's own address, because it shares a network with others.
    Own,
}

/// A port that a Sidecar opens on its workload's behalf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngressPort {
    /// The Sidecar, and which of its listeners.
    pub provenance: Provenance,
    /// The port that callers connect to.
    pub port: u16,
    /// What is spoken on it.
    pub protocol: AppProtocol,
    /// Where the application listens: on the workload's own address where the address is unspecified, else on the workload's
    /// loopback; `None`: where callers connect to.
    pub endpoint: Option<SocketAddr>,
}

/// The inbound policy of one workload, with nothing left to inherit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundPolicy {
    /// The workload itself.
    pub workload: Arc<Workload>,
    /// For ports that are not named below, and the object that says so (`None`: the mesh's default).
    pub default_mtls: (MtlsMode, Option<Provenance>),
    /// (port on the workload, mode, the object that says so).
    pub port_mtls: Vec<(u16, MtlsMode, Provenance)>,
    /// Which services the workload answers for; where several claim one port, the oldest comes first.
    pub services: Vec<InboundService>,
    /// Whose tokens are believed.
    pub tokens: Vec<TokenRule>,
    /// The ports that its Sidecar opens, instead of those of its services; none: those of its services.
    pub ingress: Vec<IngressPort>,
    /// Who may do what.
    pub authorization: Vec<Policy>,
    /// Whom CUSTOM policies ask. One that a policy names and that is not here allows nothing.
    pub providers: Vec<Provider>,
}

impl InboundPolicy {
    /// The mode in force on a port of the workload, and the object that says so.
    pub fn mtls(&self, port: u16) -> (MtlsMode, Option<&Provenance>) {
        match self.port_mtls.iter().find(|(number, ..)| *number == port) {
            Some((_, mode, provenance)) => (*mode, Some(provenance)),
            None => (self.default_mtls.0, self.default_mtls.1.as_ref()),
        }
    }

    /// What is spoken on a port of the workload: as its Sidecar says, where that opens ports, else as the service says.
    pub fn protocol(&self, port: u16) -> AppProtocol {
        match self.ingress.is_empty() {
            true => self.service(port).map(|service| service.protocol),
            false => self.ingress(port).map(|ingress| ingress.protocol),
        }
        .unwrap_or(AppProtocol::Detect)
    }

    fn ingress(&self, port: u16) -> Option<&IngressPort> {
        self.ingress.iter().find(|ingress| ingress.port == port)
    }

    /// Where the application is that answers on a port. `app` is where it would be if no Sidecar said so, on the workload's own
    /// address; its loopback is `loopback`.
    pub fn application(&self, port: u16, app: SocketAddr, loopback: Loopback) -> SocketAddr {
        let Some(endpoint) = self.ingress(port).and_then(|ingress| ingress.endpoint) else { return app };
        let own = endpoint.ip().is_unspecified() || loopback == Loopback::Own;
        SocketAddr::new(if own { app.ip() } else { endpoint.ip() }, endpoint.port())
    }

    /// The service that answers on a port of the workload.
    pub fn service(&self, port: u16) -> Option<&InboundService> {
        self.services.iter().find(|service| service.target_port == port)
    }
}
