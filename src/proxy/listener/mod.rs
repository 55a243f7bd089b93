//! Where connections come from.
//!
//! Captured traffic reaches a listener as a stream and a destination: a name where the application asks for one (explicit proxy),
//! an address where the kernel redirects. What follows is the same code.

mod accept;
pub mod connect;
mod gateway;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::net::{self, BindError};

pub(super) use accept::{Acceptor, Origin};
pub(super) use gateway::Ports;

/// Tells where a redirected connection was going: [`net::original_destination`](crate::net::original_destination). `None` where it
/// was not redirected; such a connection is closed, because it asks the proxy for itself.
pub type OriginalDestination = fn(&tokio::net::TcpStream) -> io::Result<Option<SocketAddr>>;

/// Addresses to listen on for a port of a gateway.
pub type GatewayAddresses = Arc<dyn Fn(u16) -> Vec<SocketAddr> + Send + Sync>;

/// One way in.
pub enum Bind {
    /// For the workload, on its own address: the application listens elsewhere (the *loopback* pod network).
    InboundExplicit {
        /// Where callers connect to: the pod's address and port.
        bind: SocketAddr,
        /// Where the application listens.
        app: SocketAddr,
    },
    /// From the workload, as its HTTP proxy.
    OutboundExplicit {
        /// Where the workload connects to.
        bind: SocketAddr,
        /// What it must know.
        token: Arc<str>,
    },
    /// For the workload, redirected by the kernel to this socket.
    InboundTransparent {
        /// The socket.
        listener: std::net::TcpListener,
        /// Where a connection was going.
        original: OriginalDestination,
    },
    /// From the workload, redirected by the kernel to this socket.
    OutboundTransparent {
        /// The socket.
        listener: std::net::TcpListener,
        /// Where a connection was going.
        original: OriginalDestination,
    },
    /// From outside: the ports that the control plane names.
    Gateway {
        /// Addresses to listen on for a port of the gateway; none: the port is not served here.
        addresses: GatewayAddresses,
    },
}

impl fmt::Debug for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InboundExplicit { bind, app } => write!(f, "InboundExplicit({bind} for {app})"),
            // The token is a secret.
            Self::OutboundExplicit { bind, .. } => write!(f, "OutboundExplicit({bind})"),
            Self::InboundTransparent { listener, .. } => write!(f, "InboundTransparent({listener:?})"),
            Self::OutboundTransparent { listener, .. } => write!(f, "OutboundTransparent({listener:?})"),
            Self::Gateway { .. } => f.write_str("Gateway"),
        }
    }
}

/// A socket for each worker: ours alone, or shared among them by the kernel.
pub(super) fn bind(address: SocketAddr, workers: NonZeroUsize) -> Result<Vec<std::net::TcpListener>, BindError> {
    if workers.get() == 1 { Ok(vec![net::bind(address)?]) } else { net::bind_group(address, workers) }
}
