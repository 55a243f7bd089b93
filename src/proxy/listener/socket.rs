//! Listening sockets.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else does.
    #[error("{0} is taken: end the process that listens there, or choose another port")]
    InUse(SocketAddr),
    /// The system does not let us.
    #[error("listening on {0} is not permitted: choose a port from 1024 up, or run with the right to use it")]
    Denied(SocketAddr),
    /// Anything else.
    #[error("cannot listen on {0}: {1}")]
    Other(SocketAddr, #[source] io::Error),
}

/// Binds `address` once for each worker. With one worker the address is ours alone; with several, the kernel spreads connections
/// over the sockets. Port 0 becomes the same free port for all.
pub fn bind(address: SocketAddr, workers: usize) -> Result<Vec<TcpListener>, BindError> {
    let mut sockets: Vec<TcpListener> = Vec::with_capacity(workers);
    for _ in 0..workers.max(1) {
        let wanted = sockets.first().and_then(|first| first.local_addr().ok()).unwrap_or(address);
        sockets.push(bind_one(wanted, workers > 1)?);
    }
    Ok(sockets)
}

/// Binds `address`, to be shared with the sockets of other workers or not.
pub fn bind_one(address: SocketAddr, shared: bool) -> Result<TcpListener, BindError> {
    listen(address, shared).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse(address),
        io::ErrorKind::PermissionDenied => BindError::Denied(address),
        _ => BindError::Other(address, error),
    })
}

fn listen(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_share_one_port_and_nobody_else_does() {
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        let sockets = bind(any, 3).expect("a free port");
        let ports: Vec<_> =
            sockets.iter().map(|socket| socket.local_addr().map(|address| address.port()).ok()).collect();
        assert!(ports.iter().all(|port| *port == ports[0]), "{ports:?}");
        let alone = bind(any, 1).expect("a free port");
        let taken = alone[0].local_addr().expect("an address");
        let error = bind(taken, 1).expect_err("it is taken");
        assert!(matches!(error, BindError::InUse(_)) && error.to_string().contains(&taken.to_string()), "{error}");
    }
}
