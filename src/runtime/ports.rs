//! Which port is taken when several would do.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::num::NonZeroUsize;

use crate::net::{self, BindError};

/// Ports that are tried from the default one on.
const TRIES: u16 = 64;

/// A port that was asked for, or a default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortChoice {
    /// This port and no other; 0 leaves the choice to the system.
    Exactly(u16),
    /// This port, or the next one that is free.
    From(u16),
}

impl PortChoice {
    /// The port that was asked for, else `default` or the next one that is free.
    pub fn new(given: Option<u16>, default: u16) -> Self {
        given.map_or(Self::From(default), Self::Exactly)
    }

    /// Takes the port on 127.0.0.1.
    ///
    /// # Errors
    /// It is taken, or all are.
    pub fn bind(self) -> Result<TcpListener, BindError> {
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        match self {
            Self::Exactly(port) => net::bind(SocketAddr::new(ip, port)),
            Self::From(port) => {
                let mut group = net::bind_first_free(ip, port, TRIES, NonZeroUsize::MIN)?;
                group.pop().ok_or(BindError::NoneFree { ip, first: port, last: port.saturating_add(TRIES - 1) })
            }
        }
    }

    /// What is worth saying about having got `port`: that it is not the one that was to be expected.
    pub fn note(self, port: u16) -> Option<String> {
        match self {
            Self::From(wanted) if wanted != port => Some(format!("{wanted} is taken")),
            _ => None,
        }
    }
}
