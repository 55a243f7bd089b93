//! One connection: a stream, what was read of it and what is to be written to it.
//!
//! Buffers are lent by the worker while there is something in them. A connection that waits holds none.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::ReadBuf;
use tokio::time::Instant;

use crate::proxy::directory::OpenConnection;
use crate::proxy::http1::Buffer;
use crate::proxy::stream::Stream;
use crate::proxy::timer::Deadline;
use crate::proxy::worker::Worker;

/// How a connection is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// It carries messages.
    Messages,
    /// It carries bytes, of which there may be many.
    Bytes,
    /// There are: as many are read at once as there is room for.
    Bulk,
}

/// A connection. What is read is split in three: bytes that are *held* (a head that is still looked at), bytes that were
/// passed on, and the *window* of those that wait.
#[derive(Debug)]
pub struct Conn {
    stream: Stream,
    input: Buffer,
    held: usize,
    passed: usize,
    output: Vec<u8>,
    written: usize,
    unflushed: bool,
    pace: Pace,
    /// Why nothing comes behind what was read.
    failed: Option<io::Error>,
    /// Bytes that went either way; whoever waits for progress compares.
    moved: u64,
    /// Our address; asked for once, because a pooled connection is logged many times.
    local: Option<SocketAddr>,
    since: Instant,
    /// Requests that it has carried.
    carried: u32,
    worker: Rc<Worker>,
    /// Says to its cluster that it is there.
    _counted: Option<OpenConnection>,
}

impl Conn {
    /// A connection of which `input` has been read.
    pub fn new(stream: Stream, input: Buffer, worker: Rc<Worker>) -> Self {
        let local = stream.local_address();
        Self {
            stream,
            input,
            held: 0,
            passed: 0,
            output: Vec::new(),
            written: 0,
            unflushed: false,
            pace: Pace::Messages,
            failed: None,
            moved: 0,
            local,
            since: Instant::now(),
            carried: 0,
            worker,
            _counted: None,
        }
    }

    /// The cluster that counts it as one of its own.
    pub fn count_as(&mut self, counted: OpenConnection) {
        self._counted = Some(counted);
    }

    /// Since when it is there.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// Requests that it has carried.
    pub fn carried(&self) -> u32 {
        self.carried
    }

    /// Takes note of another request.
    pub fn carry(&mut self) {
        self.carried = self.carried.saturating_add(1);
    }

    /// Our address on it.
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.local
    }

    /// What it is made of.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Reads past the buffer, which must be empty.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        self.stream.poll_read(cx, room)
    }

    /// Reads past the buffer, which must be empty, into room that need not be zeroed.
    pub fn poll_read_buf(&mut self, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_read_buf(cx, room)
    }

    /// Writes past the buffer, which must be empty.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream.poll_write(cx, bytes)
    }

    /// Hands what was written past the buffer to the kernel.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_flush(cx)
    }

    /// Bytes that are held at the front.
    pub fn head(&self) -> &[u8] {
        self.input.filled().get(..self.held).unwrap_or_default()
    }

    /// Bytes that wait.
    pub fn window(&self) -> &[u8] {
        self.input.filled().get(self.held + self.passed..).unwrap_or_default()
    }

    /// Whether more can be read.
    pub fn has_room(&self) -> bool {
        self.input.has_room()
    }

    /// Bytes that went either way so far.
    pub fn moved(&self) -> u64 {
        self.moved
    }

    /// Holds the first `count` bytes of the window. Nothing may be held before.
    pub fn hold(&mut self, count: usize) {
        self.held = count;
    }

    /// Takes `count` bytes off the window.
    pub fn pass(&mut self, count: usize) {
        self.passed += count;
        if self.window().is_empty() {
            self.close_gap();
        }
    }

    /// Lets go of what is held and was passed on; the window stays.
    pub fn release(&mut self) {
        self.input.consume(self.held + self.passed);
        self.held = 0;
        self.passed = 0;
        self.worker.buffers.take_back(&mut self.input);
    }

    /// Makes room for the largest head.
    pub fn grow(&mut self) {
        self.input.grow();
    }

    fn close_gap(&mut self) {
        self.input.remove(self.held, self.passed);
        self.passed = 0;
    }

    /// It carries bytes from now on, and may be read in larger pieces.
    pub fn carries_bytes(&mut self) {
        self.pace = Pace::Bytes;
    }

    /// Reads more; 0 is the end. There must be room.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Err(error));
        }
        if self.pace == Pace::Bulk {
            // One of the other size makes way as soon as nothing is in it.
            self.worker.buffers.take_back(&mut self.input);
            self.worker.buffers.lend_wide(&mut self.input);
        } else {
            self.worker.buffers.lend(&mut self.input);
        }
        if self.input.spare().is_empty() {
            self.close_gap();
            self.input.compact();
        }
        let mut read = 0;
        loop {
            match self.stream.poll_read(cx, self.input.spare()) {
                Poll::Ready(Ok(count)) => {
                    self.input.advance(count);
                    self.moved += count as u64;
                    read += count;
                    let is_full = self.input.spare().is_empty();
                    if is_full && self.pace == Pace::Bytes {
                        self.pace = Pace::Bulk;
                    }
                    if is_full || count == 0 || self.pace != Pace::Bulk {
                        return Poll::Ready(Ok(read));
                    }
                }
                Poll::Pending if read > 0 => return Poll::Ready(Ok(read)),
                Poll::Ready(Err(error)) if read > 0 => {
                    self.failed = Some(error);
                    return Poll::Ready(Ok(read));
                }
                other => {
                    self.worker.buffers.take_back(&mut self.input);
                    return other;
                }
            }
        }
    }

    /// Where to put what is to be written.
    pub fn output(&mut self) -> &mut Vec<u8> {
        if self.output.capacity() == 0 {
            self.output = self.worker.buffers.text();
        }
        &mut self.output
    }

    /// Bytes that wait to be written.
    pub fn unwritten(&self) -> usize {
        self.output.len() - self.written
    }

    /// Writes what waits, and hands it to the kernel.
    pub fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest @ [_, ..]) = self.output.get(self.written..) {
            let count = ready!(self.stream.poll_write(cx, rest))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += count;
            self.moved += count as u64;
            self.unflushed = true;
        }
        if self.written > 0 {
            self.written = 0;
            self.worker.buffers.take_text(std::mem::take(&mut self.output));
        }
        if self.unflushed {
            ready!(self.stream.poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes the first `count` bytes of `from`'s window, or some of them, and takes them off. Nothing else may wait to be written.
    pub fn poll_write_window(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Self,
        count: usize,
    ) -> Poll<io::Result<usize>> {
        let written = ready!(self.stream.poll_write(cx, from.window().get(..count).unwrap_or_default()))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.unflushed = true;
        self.moved += written as u64;
        from.pass(written);
        Poll::Ready(Ok(written))
    }

    /// Ends the direction that we write.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_shutdown(cx)
    }

    /// [`Conn::poll_send`], bounded.
    pub async fn send(&mut self, deadline: &mut Deadline, stall: Duration) -> io::Result<()> {
        let mut moved = self.moved;
        deadline.set(stall);
        poll_fn(|cx| {
            if let Poll::Ready(sent) = self.poll_send(cx) {
                return Poll::Ready(sent);
            }
            if moved != self.moved {
                moved = self.moved;
                deadline.set(stall);
            }
            deadline.poll_passed(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
        })
        .await
    }

    /// Whether a connection that waits for a request can still take one: it has not ended, and nothing came unasked.
    pub fn is_alive(&mut self) -> bool {
        let mut byte = [0];
        self.input.is_empty() && self.stream.poll_read(&mut Context::from_waker(Waker::noop()), &mut byte).is_pending()
    }

    /// Ends our direction and reads on for a while, so that a peer that is still sending gets to see what we wrote instead of
    /// a reset.
    pub async fn linger(&mut self, deadline: &mut Deadline, time: Duration, most: usize) {
        deadline.set(time);
        let mut read = 0;
        poll_fn(|cx| {
            // Whatever goes wrong now, the connection is over.
            let _ = self.poll_shutdown(cx);
            loop {
                self.held = 0;
                self.passed = 0;
                self.input.consume(usize::MAX);
                match self.poll_fill(cx) {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                    Poll::Ready(Ok(count)) => read += count,
                    Poll::Pending => return deadline.poll_passed(cx),
                }
                if read > most {
                    return Poll::Ready(());
                }
            }
        })
        .await;
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        self.input.consume(usize::MAX);
        self.worker.buffers.take_back(&mut self.input);
        self.worker.buffers.take_text(std::mem::take(&mut self.output));
    }
}
