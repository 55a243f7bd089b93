//! The side of the proxy that calls: which endpoint, over which connection, with whose identity.
//!
//! Connections are pooled per worker and per (address, expected identity): one that was made for one identity is never used for
//! another. Mutual TLS never falls back to plaintext: an endpoint that should have it and cannot prove who it is is not talked to.

mod balance;
mod connect;
mod hash;
mod names;
mod pool;
mod seat;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::identity::SpiffeId;
use crate::model::{ClusterName, UpstreamTls};
use crate::proxy::directory::{Cluster, EndpointState, UpstreamEndpoint};

pub use balance::{Weights, pick, report};
pub use connect::{ConnectError, connect, reason as handshake_reason};
pub use hash::{Table, hash};
pub use names::Names;
pub use pool::{Pool, PoolKey};
pub use seat::{Asked, Place, Waiting, ask};

/// Where one attempt goes.
#[derive(Debug, Clone)]
pub struct Hop {
    /// Address.
    pub address: SocketAddr,
    /// Who must answer there; `None`: plaintext.
    pub expected: Option<SpiffeId>,
    /// Whether HTTP/2 is spoken, where the server can.
    pub http2: bool,
    /// The address that connections come from; `None`: whichever leads there.
    pub source: Option<IpAddr>,
    /// The endpoint, where it is one of a cluster's.
    pub endpoint: Option<Arc<UpstreamEndpoint>>,
}

impl Hop {
    /// An address, in plaintext.
    pub fn plain(address: SocketAddr) -> Self {
        Self { address, expected: None, http2: false, source: None, endpoint: None }
    }

    /// The application behind this proxy, in plaintext, from the address by which capture knows the proxy's own connections.
    pub fn application(address: SocketAddr, source: Option<IpAddr>) -> Self {
        let source = source.filter(|source| source.is_ipv4() == address.is_ipv4());
        Self { source, ..Self::plain(address) }
    }

    /// An endpoint, as its cluster's policy and its workload say it is talked to. `Err` when it should prove an identity and
    /// none is known for it.
    pub fn to(cluster: &Cluster, endpoint: Arc<UpstreamEndpoint>) -> Result<Self, ConnectError> {
        let workload = &endpoint.endpoint.workload;
        let mutual = match cluster.policy.tls {
            UpstreamTls::Disable => false,
            UpstreamTls::IstioMutual => true,
            UpstreamTls::Auto => endpoint.endpoint.speaks_tls(endpoint.address.port()),
        };
        let expected = match (mutual, &workload.identity) {
            (false, _) => None,
            (true, Some(identity)) => Some(identity.clone()),
            (true, None) => return Err(ConnectError::NoIdentity(workload.name.clone())),
        };
        Ok(Self { address: endpoint.address, expected, http2: false, source: None, endpoint: Some(endpoint) })
    }

    /// What connections to it are pooled under.
    pub fn key(&self) -> PoolKey {
        PoolKey { address: self.address, expected: self.expected.clone(), http2: self.http2, source: self.source }
    }
}

/// The server name that mesh TLS carries (Istio's form).
pub fn server_name(cluster: &ClusterName) -> String {
    format!("outbound_.{}_.{}_.{}", cluster.port, cluster.subset.as_deref().unwrap_or_default(), cluster.host)
}

/// Counts a request as under way at its endpoint, as long as it lives.
#[derive(Debug)]
pub struct Active(Arc<EndpointState>);

impl Active {
    /// Begins counting.
    pub fn begin(state: &Arc<EndpointState>) -> Self {
        state.active.fetch_add(1, Ordering::Relaxed);
        Self(state.clone())
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}
