//! Connections whose peer is known, and who that is.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tonic::transport::server::Connected;
use tonic::{Request, Status};

use crate::identity::SpiffeId;

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub(super) struct Peer(SpiffeId);

impl Peer {
    /// Who sent a request.
    pub(super) fn of<T>(request: &Request<T>) -> Result<SpiffeId, Status> {
        let peer = request.extensions().get::<Self>();
        peer.map(|peer| peer.0.clone()).ok_or_else(|| Status::unauthenticated("the connection proves no identity"))
    }
}

/// A connection inside the process. Whoever opened it vouches for the identity at its other end.
#[derive(Debug)]
pub(super) struct Vouched {
    stream: DuplexStream,
    peer: Peer,
}

impl Vouched {
    pub(super) fn new(stream: DuplexStream, identity: SpiffeId) -> Self {
        Self { stream, peer: Peer(identity) }
    }
}

impl Connected for Vouched {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Vouched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Vouched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
