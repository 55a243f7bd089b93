//! What a proxy is told about itself and the mesh.

use std::sync::Arc;

use crate::identity::TrustBundle;
use crate::model::{Reporting, Side};

/// What happens to a request for a host that the mesh does not know (`outboundTrafficPolicy`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum OutboundMode {
    /// It is sent on to where it was going. Istio's default.
    #[default]
    AllowAny,
    /// It is refused with 502.
    RegistryOnly,
}

/// What stands in front of a gateway (`gatewayTopology`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct GatewayTopology {
    /// Whether connections begin with a PROXY protocol header.
    pub proxy_protocol: bool,
    /// How many proxies that are believed append to `X-Forwarded-For` before a request comes here, if it is said.
    pub trusted_proxies: Option<u32>,
}

impl GatewayTopology {
    /// This, and what it does not say as `mesh` has it.
    pub fn or(self, mesh: Self) -> Self {
        Self {
            proxy_protocol: self.proxy_protocol || mesh.proxy_protocol,
            trusted_proxies: self.trusted_proxies.or(mesh.trusted_proxies),
        }
    }
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
    /// What is told about requests that the workload makes, and about those through a gateway.
    pub client: Reporting,
    /// What is told about requests that the workload gets.
    pub server: Reporting,
    /// Whether connections to a gateway's ports begin with a PROXY protocol header (`gatewayTopology.proxyProtocol`).
    pub proxy_protocol: bool,
    /// How many entries at the end of `X-Forwarded-For` a gateway believes, because proxies in front of it wrote them
    /// (`gatewayTopology.numTrustedProxies`); 0: none.
    pub trusted_proxies: u32,
    /// The roots that the mesh believes, where the control plane says; several while one replaces another.
    pub bundle: Option<TrustBundle>,
}

impl Settings {
    /// What is told about traffic on a side.
    pub fn reporting(&self, side: Side) -> &Reporting {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }
}
