//! A body on its way from one connection to another.

use std::io;
use std::task::{Context, Poll, ready};

use crate::proxy::connection::Conn;
use crate::proxy::http1::body::{Body, Step};
use crate::proxy::http1::{Framing, Refusal};
use crate::proxy::tee::Tee;

/// Why a body did not arrive.
#[derive(Debug)]
pub enum TransferError {
    /// The connection that it came from broke, or ended before the body did.
    Source(io::Error),
    /// Its framing is malformed.
    Malformed(Refusal),
    /// The connection that it went to broke.
    Sink(io::Error),
}

/// What a transfer that cannot go on waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaits {
    /// Bytes of the body.
    Source,
    /// Room for them.
    Sink,
}

/// The state of a transfer.
#[derive(Debug)]
pub struct Transfer {
    body: Body,
    /// Bytes at the front of the source's window that may be forwarded as they are.
    cleared: usize,
    /// Whether chunks are put around a body that comes without.
    encodes: bool,
    finished: bool,
    given_up: bool,
    awaits: Awaits,
    tee: Option<Box<Tee>>,
}

impl Transfer {
    /// A transfer of this body.
    pub fn new(body: Body) -> Self {
        Self { body, cleared: 0, encodes: false, finished: false, given_up: false, awaits: Awaits::Source, tee: None }
    }

    /// Copies what passes from now on.
    pub fn copy_to(&mut self, tee: Tee) {
        self.tee = Some(Box::new(tee));
    }

    /// A transfer that puts chunks around a body which ends with its connection.
    pub fn encoding(framing: Framing) -> Self {
        Self { encodes: true, ..Self::new(Body::new(framing)) }
    }

    /// Everything until the connection ends.
    pub fn raw() -> Self {
        Self::new(Body::new(Framing::UntilClose))
    }

    /// Whether nothing more is moved: it has [arrived](Self::has_arrived) or was given up.
    pub fn is_finished(&self) -> bool {
        self.finished || self.given_up
    }

    /// Whether every byte of it, and what was to be written before it, is with the kernel.
    pub fn has_arrived(&self) -> bool {
        self.finished
    }

    /// Ends it where it is.
    pub fn give_up(&mut self) {
        self.given_up = true;
    }

    /// Whether the body is off the connection that it came from, so that what follows there is something else: a transfer that was
    /// given up may have left some of it there.
    pub fn source_is_clear(&self) -> bool {
        self.body.is_done() && self.cleared == 0
    }

    /// Whether every byte of the body has been seen.
    pub fn body_is_done(&self) -> bool {
        self.body.is_done()
    }

    /// Bytes of data so far.
    pub fn data(&self) -> u64 {
        self.body.data()
    }

    /// How a call of gRPC has ended, where a trailer has said it.
    pub fn grpc_status(&self) -> Option<u8> {
        self.body.grpc_status()
    }

    /// What it waits for, after [`Transfer::poll`] could not go on.
    pub fn awaits(&self) -> Awaits {
        self.awaits
    }

    /// Appends what of `window` may be forwarded at once to `output`, up to `limit` bytes in it. Answers how much of the window
    /// that takes; the caller takes it off.
    pub fn stage(&mut self, window: &[u8], output: &mut Vec<u8>, limit: usize) -> Result<usize, Refusal> {
        let mut taken = 0;
        while output.len() < limit && !self.body.is_done() {
            let most = window.len().min(taken + (limit - output.len()));
            let rest = window.get(taken..most).unwrap_or_default();
            match self.body.step(rest)? {
                Step::Forward(count) => {
                    let part = rest.get(..count).unwrap_or_default();
                    if self.encodes {
                        encode(part, output);
                    } else {
                        output.extend_from_slice(part);
                    }
                    if let Some(tee) = &mut self.tee {
                        tee.pass(part);
                    }
                    taken += count;
                }
                Step::Skip(count) => taken += count,
                Step::More | Step::Done => break,
            }
        }
        if self.body.is_done()
            && let Some(tee) = &mut self.tee
        {
            tee.end();
        }
        Ok(taken)
    }

    /// Moves what can be moved; ready when all has arrived. What waits in the sink's output goes first.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut Conn,
        sink: &mut Conn,
    ) -> Poll<Result<(), TransferError>> {
        loop {
            self.awaits = Awaits::Sink;
            if sink.unwritten() > 0 {
                ready!(sink.poll_send(cx)).map_err(TransferError::Sink)?;
            }
            if self.cleared > 0 {
                if self.encodes {
                    let part = source.window().get(..self.cleared).unwrap_or_default();
                    encode(part, sink.output());
                    source.pass(self.cleared);
                    self.cleared = 0;
                } else {
                    let written =
                        ready!(sink.poll_write_window(cx, source, self.cleared)).map_err(TransferError::Sink)?;
                    self.cleared -= written;
                }
                continue;
            }
            if self.finished {
                return Poll::Ready(Ok(()));
            }
            match self.body.step(source.window()).map_err(TransferError::Malformed)? {
                Step::Forward(count) => {
                    self.cleared = count;
                    if let Some(tee) = &mut self.tee {
                        tee.pass(source.window().get(..count).unwrap_or_default());
                    }
                }
                Step::Skip(count) => source.pass(count),
                Step::Done => {
                    if let Some(tee) = &mut self.tee {
                        tee.end();
                    }
                    if self.encodes {
                        self.encodes = false;
                        sink.output().extend_from_slice(b"0\r\n\r\n");
                        continue;
                    }
                    ready!(sink.poll_send(cx)).map_err(TransferError::Sink)?;
                    self.finished = true;
                    return Poll::Ready(Ok(()));
                }
                Step::More => {
                    // What has been written must not wait in a TLS session for the body to go on.
                    if let Poll::Ready(sent) = sink.poll_send(cx) {
                        sent.map_err(TransferError::Sink)?;
                        self.awaits = Awaits::Source;
                    }
                    if !source.has_room() {
                        // A trailer line that fills the buffer is over its limit.
                        return Poll::Ready(Err(TransferError::Malformed(Refusal::Trailers)));
                    }
                    match ready!(source.poll_fill(cx)) {
                        Ok(0) if self.body.end() => {}
                        Ok(0) => return Poll::Ready(Err(TransferError::Source(io::ErrorKind::UnexpectedEof.into()))),
                        Ok(_) => {}
                        Err(error) => return Poll::Ready(Err(TransferError::Source(error))),
                    }
                }
            }
        }
    }
}

fn encode(part: &[u8], output: &mut Vec<u8>) {
    if part.is_empty() {
        return;
    }
    output.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
    output.extend_from_slice(part);
    output.extend_from_slice(b"\r\n");
}
