//! A connection as the `h2` crate wants it: bytes that were read to find out what is spoken come first.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::proxy::connection::Conn;

pub(super) struct Io(pub Conn);

impl AsyncRead for Io {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let waiting = self.0.window();
        if waiting.is_empty() {
            let unfilled = room.initialize_unfilled();
            return self.0.poll_read(cx, unfilled).map_ok(|count| room.advance(count));
        }
        let count = waiting.len().min(room.remaining());
        room.put_slice(waiting.get(..count).unwrap_or_default());
        self.0.pass(count);
        if self.0.window().is_empty() {
            self.0.release();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_shutdown(cx)
    }
}
