//! The two directions of a stream: bytes of HTTP/1.1 into frames, and frames into bytes.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use h2::{RecvStream, SendStream};
use http::HeaderMap;

use crate::proxy::http1::Framing;
use crate::proxy::http1::body::{Body, Step};
use crate::proxy::http2::{message, stream_error};
use crate::proxy::limits;

/// Bytes on their way into frames.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// What was written and is not understood yet: a part of a head, or of a chunk's framing.
    input: Vec<u8>,
    body: Option<Body>,
    send: Option<SendStream<Bytes>>,
    /// Data that waits for the peer's window.
    data: BytesMut,
    trailers: HeaderMap,
    /// Whether every byte of the message has been understood.
    complete: bool,
    /// Whether its end has been sent.
    ended: bool,
}

impl Outgoing {
    /// Takes bytes; answers a whole head when there is one and none was answered before.
    pub fn take(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        self.input.extend_from_slice(bytes);
        if self.body.is_some() {
            return None;
        }
        let end = self.input.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        Some(self.input.drain(..end).collect())
    }

    /// The head has been sent, its body is framed so, and goes into `send`. Where there is no body, that was all.
    pub fn begin(&mut self, framing: Framing, send: SendStream<Bytes>) {
        self.body = Some(Body::new(framing).unframed());
        self.send = Some(send);
        if framing == Framing::None {
            self.complete = true;
            self.ended = true;
        }
    }

    /// Whether the head was sent.
    pub fn has_begun(&self) -> bool {
        self.body.is_some()
    }

    /// Whether the end of the message was sent.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Nothing more comes. Only a body without any framing ends that way.
    pub fn finish(&mut self) {
        if let Some(body) = self.body.as_mut().filter(|body| body.ends_with_connection()) {
            self.complete = body.end();
        }
    }

    /// Whether the peer has reset the stream.
    pub fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.send {
            Some(send) if !self.ended => send.poll_reset(cx).map(|_| ()),
            _ => Poll::Pending,
        }
    }

    /// Makes data of what was taken.
    pub fn decode(&mut self) -> io::Result<()> {
        let Some(body) = &mut self.body else { return Ok(()) };
        let mut taken = 0;
        loop {
            let rest = self.input.get(taken..).unwrap_or_default();
            match body.step(rest).map_err(|refusal| io::Error::new(io::ErrorKind::InvalidData, refusal))? {
                Step::Forward(count) => {
                    self.data.extend_from_slice(rest.get(..count).unwrap_or_default());
                    taken += count;
                }
                Step::Skip(count) => {
                    // Framing is skipped byte by byte, lines of trailers as a whole; the last of them is empty.
                    if count > 2 {
                        message::read_trailer(
                            rest.get(..count).unwrap_or_default().trim_ascii_end(),
                            &mut self.trailers,
                        )?;
                    }
                    taken += count;
                }
                Step::More => break,
                Step::Done => {
                    self.complete = true;
                    break;
                }
            }
        }
        self.input.drain(..taken);
        Ok(())
    }

    /// Hands data to the peer, as far as its window goes.
    pub fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(send) = &mut self.send else { return Poll::Ready(Ok(())) };
        while !self.data.is_empty() {
            send.reserve_capacity(self.data.len());
            let room = match send.capacity() {
                0 => match ready!(send.poll_capacity(cx)) {
                    Some(Ok(room)) => room,
                    Some(Err(error)) => return Poll::Ready(Err(stream_error(error))),
                    None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
                },
                room => room,
            };
            if room == 0 {
                continue;
            }
            let piece = self.data.split_to(room.min(self.data.len())).freeze();
            let last = self.complete && self.data.is_empty() && self.trailers.is_empty();
            send.send_data(piece, last).map_err(stream_error)?;
            self.ended |= last;
        }
        if self.complete && !self.ended {
            self.ended = true;
            let trailers = std::mem::take(&mut self.trailers);
            if trailers.is_empty() {
                send.send_data(Bytes::new(), true).map_err(stream_error)?;
            } else {
                send.send_trailers(trailers).map_err(stream_error)?;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Takes the bytes of a body, once what came before has gone. Answers how many.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_drain(cx))?;
        let piece = bytes.get(..bytes.len().min(limits::BUFFER)).unwrap_or_default();
        self.input.extend_from_slice(piece);
        self.decode()?;
        if let Poll::Ready(Err(error)) = self.poll_drain(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(piece.len()))
    }
}

/// Frames on their way into bytes.
#[derive(Debug)]
pub(super) struct Incoming {
    output: Vec<u8>,
    read: usize,
    receive: Option<RecvStream>,
    /// Whether chunks are put around data, because its length is not known before.
    chunked: bool,
}

impl Incoming {
    /// A message that begins with these bytes and, where there is a body, goes on with `receive`.
    pub fn new(head: Vec<u8>, receive: Option<RecvStream>, chunked: bool) -> Self {
        Self { output: head, read: 0, receive, chunked }
    }

    /// Whether everything has been read.
    pub fn is_finished(&self) -> bool {
        self.receive.is_none() && self.read == self.output.len()
    }

    /// Reads into `room`; 0 when everything has been read.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            let waiting = self.output.get(self.read..).unwrap_or_default();
            if !waiting.is_empty() {
                let count = waiting.len().min(room.len());
                for (to, from) in room.iter_mut().zip(waiting) {
                    *to = *from;
                }
                self.read += count;
                return Poll::Ready(Ok(count));
            }
            self.output.clear();
            self.read = 0;
            let Some(receive) = &mut self.receive else { return Poll::Ready(Ok(0)) };
            match ready!(receive.poll_data(cx)) {
                Some(Ok(data)) => {
                    if !data.is_empty() {
                        if self.chunked {
                            self.output.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
                        }
                        self.output.extend_from_slice(&data);
                        if self.chunked {
                            self.output.extend_from_slice(b"\r\n");
                        }
                    }
                    // It is held until it is read, and no more is asked for meanwhile.
                    receive.flow_control().release_capacity(data.len()).map_err(stream_error)?;
                }
                Some(Err(error)) => return Poll::Ready(Err(stream_error(error))),
                None => {
                    let trailers = ready!(receive.poll_trailers(cx)).map_err(stream_error)?;
                    if self.chunked {
                        message::write_end(trailers.as_ref(), &mut self.output);
                    }
                    self.receive = None;
                }
            }
        }
    }
}
