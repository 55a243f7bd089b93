//! Where connections come from.
//!
//! Captured traffic reaches a listener as a stream and a destination: a name where the application asks for one (explicit proxy),
//! an address where the kernel redirects. What follows is the same code.

mod accept;
mod gateway;
mod socket;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

pub(super) use accept::{Acceptor, Origin};
pub use socket::BindError;
pub(super) use socket::bind;

/// Tells where a redirected connection was going.
pub type OriginalDestination = fn(&tokio::net::TcpStream) -> io::Result<SocketAddr>;

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
        addresses: Arc<dyn Fn(u16) -> Vec<SocketAddr> + Send + Sync>,
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

pub(super) use gateway::follow;
