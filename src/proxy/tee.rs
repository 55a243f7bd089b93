//! Copies of a body that passes, for whoever takes a copy of the request.
//!
//! A copy never holds up its original: who cannot keep up loses the rest, and with it the whole copy.

use bytes::Bytes;
use tokio::sync::mpsc;

/// Pieces of a body that wait for one taker at most; each is at most [`BUFFER`](crate::proxy::limits::BUFFER) bytes long.
const MAX_WAITING: usize = 32;

/// A part of a copy.
#[derive(Debug)]
pub enum Piece {
    /// Bytes as they were forwarded, framing included.
    Bytes(Bytes),
    /// The body is complete.
    End,
}

/// Where copies go.
#[derive(Debug, Default)]
pub struct Tee {
    takers: Vec<mpsc::Sender<Piece>>,
}

impl Tee {
    /// Adds a taker. Its channel ends without [`Piece::End`] where the copy is not complete.
    pub fn add(&mut self) -> mpsc::Receiver<Piece> {
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        self.takers.push(sender);
        receiver
    }

    /// Passes bytes on.
    pub fn pass(&mut self, bytes: &[u8]) {
        if self.takers.is_empty() || bytes.is_empty() {
            return;
        }
        let bytes = Bytes::copy_from_slice(bytes);
        self.takers.retain(|taker| taker.try_send(Piece::Bytes(bytes.clone())).is_ok());
    }

    /// The body is complete.
    pub fn end(&mut self) {
        for taker in self.takers.drain(..) {
            // Who has no room for this is too slow as well.
            let _ = taker.try_send(Piece::End);
        }
    }

    /// Whether nobody takes a copy.
    pub fn is_empty(&self) -> bool {
        self.takers.is_empty()
    }
}
