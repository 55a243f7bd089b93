//! Streams of bytes as connections have them: TCP, TLS on top of it, or a stream of HTTP/2 that looks like one.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::proxy::http1::Buffer;
use crate::proxy::http2::{ClientStream, ServerStream};
use crate::proxy::limits;
use crate::proxy::worker::Worker;

/// One of the streams that a connection may be made of.
#[derive(Debug)]
pub enum Stream {
    /// Bytes as they come.
    Plain(TcpStream),
    /// TLS that a client began with us.
    Server(Box<tokio_rustls::server::TlsStream<Underlay>>),
    /// TLS that we began with a server.
    Client(Box<tokio_rustls::client::TlsStream<Underlay>>),
    /// A stream of HTTP/2 that a client began with us.
    Http2Server(Box<ServerStream>),
    /// A stream of HTTP/2 that we began with a server.
    Http2Client(Box<ClientStream>),
}

/// Calls a method on whichever stream it is; one of HTTP/2 has methods of its own.
macro_rules! each {
    ($stream:expr, $io:ident => $call:expr, $http2:ident => $other:expr) => {
        match $stream {
            Stream::Plain($io) => {
                let $io = Pin::new($io);
                $call
            }
            Stream::Server($io) => {
                let $io = Pin::new(&mut **$io);
                $call
            }
            Stream::Client($io) => {
                let $io = Pin::new(&mut **$io);
                $call
            }
            Stream::Http2Server($http2) => $other,
            Stream::Http2Client($http2) => $other,
        }
    };
}

/// Whether a stream ended because its peer took nothing of what it carried (HTTP/2's REFUSED_STREAM). A TCP connection, once
/// made, is never refused.
pub fn is_refused(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionRefused
}

impl Stream {
    /// Reads into `room`; 0 is the end.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut room = ReadBuf::new(room);
        self.poll_read_buf(cx, &mut room).map_ok(|()| room.filled().len())
    }

    /// Reads into `room`, which need not be zeroed; nothing more in it is the end.
    pub fn poll_read_buf(&mut self, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = each!(
            self,
            io => io.poll_read(cx, room),
            http2 => http2.poll_read(cx, room.initialize_unfilled()).map_ok(|count| room.advance(count))
        );
        match read {
            // Peers commonly end TLS without saying so; whether something is missing is for the message's framing to tell.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            other => other,
        }
    }

    /// Writes some of `bytes`.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, io => io.poll_write(cx, bytes), http2 => http2.poll_write(cx, bytes))
    }

    /// Hands everything written to the kernel.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, io => io.poll_flush(cx), http2 => http2.poll_flush(cx))
    }

    /// Ends the direction that we write.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Http2Server(stream) => stream.poll_shutdown(cx),
            Self::Http2Client(stream) => stream.poll_flush(cx),
            Self::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Self::Server(io) => Pin::new(&mut **io).poll_shutdown(cx),
            Self::Client(io) => Pin::new(&mut **io).poll_shutdown(cx),
        }
    }

    /// Our address on the TCP connection at the bottom.
    pub fn local_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Plain(tcp) => tcp.local_addr().ok(),
            Self::Server(tls) => tls.get_ref().0.tcp.local_addr().ok(),
            Self::Client(tls) => tls.get_ref().0.tcp.local_addr().ok(),
            Self::Http2Server(stream) => stream.local_address(),
            Self::Http2Client(stream) => stream.local_address(),
        }
    }

    /// Whether a server that we connected to speaks HTTP/2, where that was asked for: over TLS it says so (ALPN), without TLS it
    /// is known before.
    pub fn speaks_http2(&self) -> bool {
        match self {
            Self::Client(tls) => matches!(tls.get_ref().1.alpn_protocol(), Some(b"istio-h2" | b"h2")),
            Self::Plain(_) => true,
            Self::Server(_) | Self::Http2Server(_) | Self::Http2Client(_) => false,
        }
    }

    /// Whether a mesh client has said that what it sends is no HTTP (Istio's ALPN names for it).
    pub fn carries_bytes(&self) -> bool {
        match self {
            Self::Server(tls) => {
                matches!(tls.get_ref().1.alpn_protocol(), Some(b"istio" | b"istio-peer-exchange"))
            }
            Self::Plain(_) | Self::Client(_) | Self::Http2Server(_) | Self::Http2Client(_) => false,
        }
    }

    /// Whether it is one of several on a connection.
    pub fn is_multiplexed(&self) -> bool {
        matches!(self, Self::Http2Server(_) | Self::Http2Client(_))
    }
}

/// The TCP connection below TLS. It is read a block at a time: the TLS library asks for 4 KiB where its buffer is empty, and a burst
/// would take several system calls. The worker lends the block as long as something is in it.
#[derive(Debug)]
pub struct Underlay {
    ahead: Buffer,
    tcp: TcpStream,
    worker: Rc<Worker>,
    /// Whether the last block was full: the next may be larger.
    bulk: bool,
}

impl Underlay {
    /// A connection of which `ahead` has been read.
    pub fn new(ahead: Buffer, tcp: TcpStream, worker: Rc<Worker>) -> Self {
        Self { ahead, tcp, worker, bulk: false }
    }

    /// Reads a block. What came, if anything, is ahead then.
    fn poll_block(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.bulk {
            self.worker.buffers.lend_wide(&mut self.ahead);
        } else {
            self.worker.buffers.lend(&mut self.ahead);
        }
        let mut room = ReadBuf::new(self.ahead.spare());
        let read = Pin::new(&mut self.tcp).poll_read(cx, &mut room);
        let count = room.filled().len();
        self.ahead.advance(count);
        if read.is_ready() {
            self.bulk = count >= limits::BUFFER;
        }
        read
    }
}

impl AsyncRead for Underlay {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let read = if this.ahead.is_empty() { this.poll_block(cx) } else { Poll::Ready(Ok(())) };
        let count = this.ahead.filled().len().min(room.remaining());
        room.put_slice(this.ahead.filled().get(..count).unwrap_or_default());
        this.ahead.consume(count);
        this.worker.buffers.take_back(&mut this.ahead);
        read
    }
}

impl AsyncWrite for Underlay {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
