//! The side of the proxy that calls: which endpoint, over which connection, with whose identity.
//!
//! Connections are pooled per worker and per (address, expected identity): one that was made for one identity is never used for
//! another. Mutual TLS never falls back to plaintext: an endpoint that should have it and cannot prove who it is is not talked to.

mod balance;
mod connect;
mod groups;
mod hash;
mod names;
mod originate;
mod pool;
mod seat;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::identity::SpiffeId;
use crate::model::{Balancer, ProxyProtocol, Resolution, UpstreamTls};
use crate::proxy::directory::{Cluster, EndpointState, Spoken, UpstreamEndpoint};
use crate::proxy::local::Local;
use crate::proxy::proxy_protocol::Ends;

pub use balance::{Weights, pick, report};
pub use connect::{ConnectError, connect, reason as handshake_reason};
pub use groups::{Group, Groups};
pub use hash::{Table, hash};
pub use names::Names;
pub use originate::Originator;
pub use pool::{Pool, PoolKey};
pub use seat::{Asked, Place, Waiting, ask};

/// A name that stands for an address.
#[derive(Debug, Clone)]
pub struct Lookup {
    /// The name.
    pub name: Arc<str>,
    /// Whether the first answer is taken; else any.
    pub first: bool,
}

/// A PROXY protocol header that a connection begins with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Announcement {
    /// Its version.
    pub version: ProxyProtocol,
    /// Between whom the client's connection is; `None`: there is no client, or nobody knows it.
    pub ends: Option<Ends>,
}

/// Whether requests of a cluster go where they were going anyway.
pub fn goes_to_original(cluster: &Cluster) -> bool {
    cluster.service.resolution == Resolution::Original || cluster.policy.balancer == Balancer::Passthrough
}

/// Where one attempt goes.
#[derive(Debug, Clone)]
pub struct Hop {
    /// Address.
    pub address: SocketAddr,
    /// Who must answer there; `None`: plaintext.
    pub expected: Option<SpiffeId>,
    /// TLS with a server that is no part of the mesh.
    pub origin: Option<Arc<Originator>>,
    /// Whether HTTP/2 is spoken, where the server can.
    pub http2: bool,
    /// The address that connections come from; `None`: whichever leads there.
    pub source: Option<IpAddr>,
    /// Whether what is sent is no HTTP: a mesh server is told so.
    pub bytes: bool,
    /// What connections to it begin with: each is used for no other client than the one that it announces.
    pub announced: Option<Box<Announcement>>,
    /// The name whose address is still to be found.
    pub lookup: Option<Lookup>,
    /// The endpoint, where it is one of a cluster's.
    pub endpoint: Option<Arc<UpstreamEndpoint>>,
}

impl Hop {
    /// An address, in plaintext.
    pub fn plain(address: SocketAddr) -> Self {
        Self {
            address,
            expected: None,
            origin: None,
            http2: false,
            source: None,
            bytes: false,
            announced: None,
            lookup: None,
            endpoint: None,
        }
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
        let mutual = match &cluster.policy.tls {
            UpstreamTls::Unavailable(reason) => return Err(ConnectError::Unavailable(reason.clone())),
            UpstreamTls::Originate(_) | UpstreamTls::Disable => false,
            UpstreamTls::IstioMutual { .. } => true,
            UpstreamTls::Auto => endpoint.endpoint.speaks_tls(endpoint.address.port()),
        };
        let named = match &cluster.policy.tls {
            UpstreamTls::IstioMutual { names, .. } => names.as_slice(),
            _ => &[],
        };
        let expected = match (mutual, &workload.identity) {
            (false, _) => None,
            (true, Some(identity)) if !named.is_empty() && !named.contains(identity) => {
                let reason = format!("{} is {identity}, and a rule names others", workload.name);
                return Err(ConnectError::Unavailable(reason.into()));
            }
            (true, Some(identity)) => Some(identity.clone()),
            (true, None) => return Err(ConnectError::NoIdentity(workload.name.clone())),
        };
        Ok(Self { expected, origin: cluster.origin.clone(), ..Self::at(cluster, endpoint) })
    }

    /// An endpoint, for a client whose own mesh TLS goes all the way to it. `Err` where it speaks none.
    pub fn sealed(cluster: &Cluster, endpoint: Arc<UpstreamEndpoint>) -> Result<Self, ConnectError> {
        if !endpoint.endpoint.speaks_tls(endpoint.address.port()) {
            return Err(ConnectError::NoMeshTls(endpoint.endpoint.workload.name.clone()));
        }
        Ok(Self::at(cluster, endpoint))
    }

    /// Where an endpoint is.
    fn at(cluster: &Cluster, endpoint: Arc<UpstreamEndpoint>) -> Self {
        let first = cluster.service.resolution == Resolution::FirstAnswer;
        let lookup = endpoint.endpoint.name.clone().map(|name| Lookup { name, first });
        let address = endpoint.address;
        Self { lookup, announced: announced(cluster), endpoint: Some(endpoint), ..Self::plain(address) }
    }

    /// The same, for a client between these ends.
    #[must_use]
    pub fn announcing(mut self, ends: Option<Ends>) -> Self {
        if let Some(announced) = &mut self.announced {
            announced.ends = ends;
        }
        self
    }

    /// The same, for what is no HTTP.
    #[must_use]
    pub fn for_bytes(self) -> Self {
        Self { bytes: true, http2: false, ..self }
    }

    /// Where a client of a cluster was going anyway: an address, or a name with a port. The cluster's policy holds, and what is
    /// known of the workload there.
    pub fn to_original(cluster: &Cluster, address: SocketAddr, name: Option<Arc<str>>) -> Result<Self, ConnectError> {
        let known = cluster.endpoints.iter().find(|endpoint| name.is_none() && endpoint.address == address);
        if let Some(endpoint) = known {
            return Self::to(cluster, endpoint.clone());
        }
        match &cluster.policy.tls {
            UpstreamTls::Unavailable(reason) => return Err(ConnectError::Unavailable(reason.clone())),
            UpstreamTls::IstioMutual { .. } => return Err(ConnectError::NoIdentity(address.to_string().into())),
            UpstreamTls::Originate(_) | UpstreamTls::Disable | UpstreamTls::Auto => {}
        }
        let lookup = name.map(|name| Lookup { name, first: false });
        let announced = announced(cluster);
        Ok(Self { origin: cluster.origin.clone(), lookup, announced, ..Self::plain(address) })
    }

    /// The same, with the address of its name. `Err` with the reason why there is none.
    pub async fn looked_up(mut self, local: &Local) -> Result<Self, Box<(Self, String)>> {
        let Some(Lookup { name, first }) = self.lookup.take() else { return Ok(self) };
        let Some(found) = local.names.addresses(local, &name).await else {
            return Err(Box::new((self, format!("DNS knows no address of {name}, or does not answer"))));
        };
        let any = (u128::from(local.worker.draw()) * found.len() as u128) >> 64;
        if let Some(address) = found.get(if first { 0 } else { any as usize }) {
            self.address.set_ip(*address);
        }
        Ok(self)
    }

    /// What is sent to it.
    pub fn spoken(&self) -> Spoken {
        match (self.bytes, self.http2) {
            (true, _) => Spoken::Bytes,
            (false, true) => Spoken::Http2,
            (false, false) => Spoken::Http1,
        }
    }

    /// What connections to it are pooled under.
    pub fn key(&self) -> PoolKey {
        PoolKey {
            address: self.address,
            expected: self.expected.clone(),
            origin: self.origin.clone(),
            http2: self.http2,
            source: self.source,
            announced: self.announced.clone(),
        }
    }
}

fn announced(cluster: &Cluster) -> Option<Box<Announcement>> {
    cluster.policy.proxy_protocol.map(|version| Box::new(Announcement { version, ends: None }))
}

/// An address of which only the port is known.
pub fn nowhere(port: u16) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port)
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
