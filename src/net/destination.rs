//! Where a captured connection was going.
//!
//! Capture by the kernel knows an address, an explicit proxy's client gives a name; both are first-class, and neither is turned
//! into the other here.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    os::fd::AsFd,
    sync::Arc,
};

use nix::errno::Errno;
use socket2::SockRef;

/// What a client asked to be connected with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Destination {
    /// An address, as the kernel saw it before it redirected the connection.
    Address(SocketAddr),
    /// A name, as an explicit proxy's client wrote it: lower case is the caller's affair.
    Name {
        /// Host name, without port.
        host: Arc<str>,
        /// 1–65535.
        port: u16,
    },
}

impl Destination {
    /// The port, which both forms have.
    pub fn port(&self) -> u16 {
        match self {
            Self::Address(address) => address.port(),
            Self::Name { port, .. } => *port,
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

impl From<SocketAddr> for Destination {
    fn from(address: SocketAddr) -> Self {
        Self::Address(address)
    }
}

/// The address that the client of an accepted connection dialled, where the kernel redirected it to our listener.
///
/// `None` where the connection was not redirected: its destination is the listener's own address, and treating that as the
/// client's wish would have the proxy call itself.
///
/// # Errors
/// The system's, where the socket is not connected or not of the internet.
pub fn original_destination(stream: &impl AsFd) -> io::Result<Option<SocketAddr>> {
    let socket = SockRef::from(stream);
    let local = internet(&socket.local_addr()?)?;
    let asked = match local.ip().to_canonical() {
        IpAddr::V4(_) => socket.original_dst_v4(),
        IpAddr::V6(_) => socket.original_dst_v6(),
    };
    match asked {
        Ok(address) => {
            let address = internet(&address)?;
            let redirected = address.port() != local.port() || address.ip() != local.ip().to_canonical();
            Ok(redirected.then_some(address))
        }
        Err(error) => match error.raw_os_error().map(Errno::from_raw) {
            // No translation on record, or no connection tracking in the kernel at all.
            Some(Errno::ENOENT | Errno::ENOPROTOOPT | Errno::EOPNOTSUPP) => Ok(None),
            _ => Err(error),
        },
    }
}

fn internet(address: &socket2::SockAddr) -> io::Result<SocketAddr> {
    address.as_socket().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not an internet socket"))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_connection_that_was_not_redirected_has_no_original_destination() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else {
                println!("skipped {address}: not usable on this machine");
                continue;
            };
            let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (accepted, _) = listener.accept().unwrap();
            assert_eq!(original_destination(&accepted).unwrap(), None, "{address}");
        }
    }

    #[test]
    fn destinations_read_as_they_are_dialled() {
        let address: SocketAddr = "[fd00::1]:9080".parse().unwrap();
        assert_eq!(Destination::from(address).to_string(), "[fd00::1]:9080");
        let name = Destination::Name { host: "reviews.bookinfo".into(), port: 9080 };
        assert_eq!(name.to_string(), "reviews.bookinfo:9080");
        assert_eq!(name.port(), Destination::from(address).port());
    }
}
