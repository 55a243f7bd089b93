//! What a workload demands of those who call it, and which services it answers for.

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

    /// The service that answers on a port of the workload.
    pub fn service(&self, port: u16) -> Option<&InboundService> {
        self.services.iter().find(|service| service.target_port == port)
    }
}
