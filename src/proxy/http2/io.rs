//! A connection as the `h2` crate wants it: bytes that were read to find out what is spoken come first, and what is written
//! is gathered. Where the peer is a client, what passes is watched.
//!
//! The crate flushes after every frame that it does not copy, which would make a system call, and over TLS a record, of each
//! body. So its flushing means nothing here: whoever polls the crate's connection calls [`Gathered::poll_send`] when the crate
//! has nothing left to do, and the frames of all streams go out together. At most [`GATHERED`] bytes wait for that; behind
//! them, writing waits for the peer.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::proxy::connection::Conn;
use crate::proxy::http2::flood::Guard;
use crate::proxy::limits;

/// Bytes that are gathered at most: what two full frames need, and what a worker keeps for reuse.
const GATHERED: usize = 2 * limits::BUFFER;

/// The crate's end of a connection.
pub(super) struct Io {
    conn: Rc<RefCell<Conn>>,
    guard: Option<Rc<Guard>>,
}

/// The end of whoever polls the crate's connection.
pub(super) struct Gathered(Rc<RefCell<Conn>>);

/// Both ends of a connection; `guard` watches that of a client, of which nothing was passed on.
pub(super) fn gather(conn: Conn, guard: Option<Rc<Guard>>) -> (Io, Gathered) {
    let conn = Rc::new(RefCell::new(conn));
    (Io { conn: conn.clone(), guard }, Gathered(conn))
}

impl Gathered {
    /// Hands what was gathered to the kernel.
    pub fn poll_send(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().poll_send(cx)
    }
}

impl Io {
    /// Makes room; answers for how many bytes there is some.
    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut conn = self.conn.borrow_mut();
        // What was written already counts until all of it was: a peer that takes little at a time must not let it grow.
        if conn.output().len() >= GATHERED {
            ready!(conn.poll_send(cx))?;
        }
        Poll::Ready(Ok(GATHERED.saturating_sub(conn.output().len())))
    }

    fn put(&self, bytes: &[u8]) {
        let mut conn = self.conn.borrow_mut();
        let output = conn.output();
        let wanted = output.len() + bytes.len();
        if output.capacity() < wanted {
            // Never more than a worker takes back.
            output.reserve_exact(wanted.next_power_of_two().min(GATHERED.max(wanted)) - output.len());
        }
        output.extend_from_slice(bytes);
        if let Some(guard) = &self.guard {
            guard.sent(bytes);
        }
    }

    fn poll_take(&self, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut conn = self.conn.borrow_mut();
        let waiting = conn.window();
        if waiting.is_empty() {
            return conn.poll_read_buf(cx, room);
        }
        let count = waiting.len().min(room.remaining());
        room.put_slice(waiting.get(..count).unwrap_or_default());
        conn.pass(count);
        if conn.window().is_empty() {
            conn.release();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = room.filled().len();
        ready!(self.poll_take(cx, room))?;
        if let Some(guard) = &self.guard {
            guard.received(room.filled().get(before..).unwrap_or_default());
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let count = ready!(self.poll_room(cx))?.min(bytes.len());
        self.put(bytes.get(..count).unwrap_or_default());
        Poll::Ready(Ok(count))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let room = ready!(self.poll_room(cx))?;
        let mut taken = 0;
        for piece in pieces {
            let count = piece.len().min(room - taken);
            self.put(piece.get(..count).unwrap_or_default());
            taken += count;
        }
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut conn = self.conn.borrow_mut();
        ready!(conn.poll_send(cx))?;
        conn.poll_shutdown(cx)
    }
}
