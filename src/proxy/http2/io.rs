//! A connection as the `h2` crate wants it: bytes that were read to find out what is spoken come first, and what passes is
//! watched where the peer is a client.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::proxy::connection::Conn;
use crate::proxy::http2::flood::Guard;

pub(super) struct Io {
    conn: Conn,
    guard: Option<Rc<Guard>>,
}

impl Io {
    /// A connection to a server.
    pub fn new(conn: Conn) -> Self {
        Self { conn, guard: None }
    }

    /// A connection of a client, of which nothing was passed on.
    pub fn guarded(conn: Conn, guard: Rc<Guard>) -> Self {
        Self { conn, guard: Some(guard) }
    }

    fn poll_take(&mut self, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let waiting = self.conn.window();
        if waiting.is_empty() {
            let unfilled = room.initialize_unfilled();
            return self.conn.poll_read(cx, unfilled).map_ok(|count| room.advance(count));
        }
        let count = waiting.len().min(room.remaining());
        room.put_slice(waiting.get(..count).unwrap_or_default());
        self.conn.pass(count);
        if self.conn.window().is_empty() {
            self.conn.release();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Io {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = room.filled().len();
        ready!(self.poll_take(cx, room))?;
        if let Some(guard) = &self.guard {
            guard.received(room.filled().get(before..).unwrap_or_default());
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(self.conn.poll_write(cx, bytes))?;
        if let Some(guard) = &self.guard {
            guard.sent(bytes.get(..written).unwrap_or_default());
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.conn.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.conn.poll_shutdown(cx)
    }
}
