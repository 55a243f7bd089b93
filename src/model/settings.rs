//! What a proxy is told about itself and the mesh.

use std::sync::Arc;

use crate::identity::TrustBundle;

/// What happens to a request for a host that the mesh does not know (`outboundTrafficPolicy`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum OutboundMode {
    /// It is sent on to where it was going. Istio's default.
    #[default]
    AllowAny,
    /// It is refused with 502.
    RegistryOnly,
}

/// The settings of one proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The scope in whose names the proxy asks (`docs/wire.md`, "Scopes").
    pub scope: Arc<str>,
    /// The mesh's trust domain.
    pub trust_domain: Arc<str>,
    /// Name of the cluster, as metrics report it.
    pub cluster: Arc<str>,
    /// What happens to requests for unknown hosts.
    pub outbound_mode: OutboundMode,
    /// Whether requests are logged.
    pub access_log: bool,
    /// Whether connections to a gateway's ports begin with a PROXY protocol header (`gatewayTopology.proxyProtocol`).
    pub proxy_protocol: bool,
    /// The roots that the mesh believes, where the control plane says; several while one replaces another.
    pub bundle: Option<TrustBundle>,
}
