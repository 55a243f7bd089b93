//! Listening sockets.
//!
//! Every listener is non-blocking, close-on-exec, takes over a port whose old connections still linger (`SO_REUSEADDR`), and, on
//! IPv6, keeps to IPv6.
//!
//! Workers share a port through `SO_REUSEPORT`, which the kernel would let a second process of the same user join, unnoticed and
//! taking half of the connections. So the first socket of a group is bound alone, and only then opened to the rest.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    num::NonZeroUsize,
    os::fd::AsFd,
};

use nix::{
    errno::Errno,
    sys::socket::{setsockopt, sockopt::IpBindAddressNoPort},
};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::privileged::socket_of;

/// Connections that may wait to be accepted, per socket; the kernel's `net.core.somaxconn` caps it.
const BACKLOG: i32 = 1024;

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another socket has it.
    #[error("{address} is already in use; stop the program that listens there, or choose another port")]
    InUse {
        /// What was asked for.
        address: SocketAddr,
    },
    /// Ports below `net.ipv4.ip_unprivileged_port_start` belong to root.
    #[error("{address}: an ordinary user may not listen on this port; choose one from 1024 up, or run as root")]
    NotPermitted {
        /// What was asked for.
        address: SocketAddr,
    },
    /// The address is another machine's.
    #[error("{address}: this machine does not have the address {}; use 127.0.0.1 or one that `hostname -I` lists", address.ip())]
    NotOurs {
        /// What was asked for.
        address: SocketAddr,
    },
    /// A whole range is taken.
    #[error("no free port on {ip} from {first} to {last}; stop a program that listens there, or choose another port")]
    NoneFree {
        /// The address.
        ip: IpAddr,
        /// First port tried.
        first: u16,
        /// Last port tried.
        last: u16,
    },
    /// Anything else.
    #[error("cannot listen on {address}: {source}")]
    System {
        /// What was asked for.
        address: SocketAddr,
        /// The system's answer.
        source: io::Error,
    },
}

/// Listens on `address`; port 0 takes a free one.
///
/// # Errors
/// [`BindError`] says why the address cannot be had.
pub fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    let socket = bound(address, false)?;
    listening(socket, address)
}

/// Listens on `address` once per worker; the kernel spreads connections over the sockets. Port 0 takes one free port for all.
///
/// # Errors
/// [`BindError`] as for [`bind`], also where the other socket would share its port.
pub fn bind_group(address: SocketAddr, workers: NonZeroUsize) -> Result<Vec<TcpListener>, BindError> {
    let system = |source| BindError::System { address, source };
    let first = bound(address, false)?;
    first.set_reuse_port(true).map_err(system)?;
    let first = listening(first, address)?;
    let shared = first.local_addr().map_err(system)?;
    let mut group = Vec::with_capacity(workers.get());
    group.push(first);
    for _ in 1..workers.get() {
        group.push(listening(bound(shared, true)?, shared)?);
    }
    Ok(group)
}

/// [`bind_group`] on the first port from `start` on that is free, of at most `tries` (one at least).
///
/// # Errors
/// [`BindError::NoneFree`] where all are taken; what is wrong for every port alike ends the search.
pub fn bind_first_free(
    ip: IpAddr,
    start: u16,
    tries: u16,
    workers: NonZeroUsize,
) -> Result<Vec<TcpListener>, BindError> {
    let last = start.saturating_add(tries.saturating_sub(1));
    for port in start..=last {
        match bind_group(SocketAddr::new(ip, port), workers) {
            Err(BindError::InUse { .. }) => {}
            result => return result,
        }
    }
    Err(BindError::NoneFree { ip, first: start, last })
}

/// Whether this machine lets programs listen on the loopback address `ip`: Linux has all of 127.0.0.0/8, others only 127.0.0.1.
pub fn is_loopback_usable(ip: Ipv4Addr) -> bool {
    ip.is_loopback() && bind(SocketAddr::new(ip.into(), 0)).is_ok()
}

/// Whether the system lets this program listen on `port`: ports below 1024 may need a privilege. That somebody else listens there
/// is no refusal.
pub fn may_listen(port: u16) -> bool {
    const UNUSED: Ipv4Addr = Ipv4Addr::new(127, 255, 255, 254);
    match std::net::TcpListener::bind((UNUSED, port)) {
        Ok(_) => true,
        Err(error) => error.kind() == io::ErrorKind::AddrInUse,
    }
}

/// A TCP socket for a connection that comes from `source`, any port of it. The port is chosen when the socket connects, so that
/// there are as many for each address that is called (`IP_BIND_ADDRESS_NO_PORT`). It does not block.
///
/// # Errors
/// The system's, where the address is not one of this machine.
pub fn socket_from(source: IpAddr) -> io::Result<std::net::TcpStream> {
    let socket = Socket::new(Domain::for_address((source, 0).into()), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    setsockopt(&socket, IpBindAddressNoPort, &true)?;
    socket.bind(&SocketAddr::new(source, 0).into())?;
    Ok(socket.into())
}

/// Has a connection send small writes at once (`TCP_NODELAY`).
///
/// # Errors
/// The system's, where `stream` is not a TCP connection.
pub fn set_nodelay(stream: &impl AsFd) -> io::Result<()> {
    SockRef::from(stream).set_tcp_nodelay(true)
}

fn bound(address: SocketAddr, shared: bool) -> Result<Socket, BindError> {
    let attempt = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_reuse_address(true)?;
        if shared {
            socket.set_reuse_port(true)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&socket_of(address).into())?;
        Ok(socket)
    };
    attempt().map_err(|error| explain(address, error))
}

fn listening(socket: Socket, address: SocketAddr) -> Result<TcpListener, BindError> {
    socket.listen(BACKLOG).map_err(|error| explain(address, error))?;
    Ok(socket.into())
}

fn explain(address: SocketAddr, source: io::Error) -> BindError {
    match source.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EADDRINUSE) => BindError::InUse { address },
        Some(Errno::EACCES) => BindError::NotPermitted { address },
        Some(Errno::EADDRNOTAVAIL) => BindError::NotOurs { address },
        _ => BindError::System { address, source },
    }
}

#[cfg(test)]
#[path = "listen_tests.rs"]
mod tests;
