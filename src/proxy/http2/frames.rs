//! The two directions of a stream: bytes of HTTP/1.1 into frames, and frames into bytes.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
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
        if self.body.is_none()
            && self.input.is_empty()
            && let Some(end) = end_of_head(bytes)
        {
            self.input.extend_from_slice(bytes.get(end..).unwrap_or_default());
            return bytes.get(..end).map(<[u8]>::to_vec);
        }
        self.input.extend_from_slice(bytes);
        if self.body.is_some() {
            return None;
        }
        let end = end_of_head(&self.input)?;
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
        let mut input = std::mem::take(&mut self.input);
        let taken = self.decode_from(&input)?;
        input.drain(..taken);
        self.input = input;
        Ok(())
    }

    /// Makes data of these bytes; answers how many are done with.
    fn decode_from(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(body) = &mut self.body else { return Ok(0) };
        let mut taken = 0;
        loop {
            let rest = bytes.get(taken..).unwrap_or_default();
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
                Step::More => return Ok(taken),
                Step::Done => {
                    self.complete = true;
                    return Ok(taken);
                }
            }
        }
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
        if self.input.is_empty() {
            let taken = self.decode_from(piece)?;
            self.input.extend_from_slice(piece.get(taken..).unwrap_or_default());
        } else {
            self.input.extend_from_slice(piece);
            self.decode()?;
        }
        if let Poll::Ready(Err(error)) = self.poll_drain(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(piece.len()))
    }
}

/// Where the body of a message begins, if its head is whole.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|place| place + 4)
}

/// Frames on their way into bytes.
#[derive(Debug)]
pub(super) struct Incoming {
    /// Text that comes next: a head, or what goes around data.
    text: Vec<u8>,
    read: usize,
    /// Data that comes behind it.
    data: Bytes,
    receive: Option<RecvStream>,
    /// Why nothing comes behind that.
    failed: Option<io::Error>,
    /// Whether chunks are put around data, because its length is not known before.
    chunked: bool,
    /// Whether a chunk's data is over when what is here has been read.
    open: bool,
}

impl Incoming {
    /// A message that begins with these bytes and, where there is a body, goes on with `receive`.
    pub fn new(head: Vec<u8>, receive: Option<RecvStream>, chunked: bool) -> Self {
        Self { text: head, read: 0, data: Bytes::new(), receive, failed: None, chunked, open: false }
    }

    /// Whether everything has been read.
    pub fn is_finished(&self) -> bool {
        self.receive.is_none() && self.is_read() && self.failed.is_none()
    }

    /// Whether what has come was read.
    fn is_read(&self) -> bool {
        self.read == self.text.len() && self.data.is_empty()
    }

    /// Reads into `room`, as much as is here; 0 when everything has been read.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut filled = 0;
        loop {
            let left = room.get_mut(filled..).unwrap_or_default();
            let count = put(self.text.get(self.read..).unwrap_or_default(), left);
            self.read += count;
            let left = left.get_mut(count..).unwrap_or_default();
            let of_data = if self.read == self.text.len() { put(&self.data, left) } else { 0 };
            self.data.advance(of_data);
            filled += count + of_data;
            if !self.is_read() || filled == room.len() {
                return Poll::Ready(Ok(filled));
            }
            self.text.clear();
            self.read = 0;
            let more = match self.failed.take() {
                Some(error) => Poll::Ready(Err(error)),
                None => self.poll_frame(cx),
            };
            match more {
                Poll::Ready(Ok(true)) => {}
                Poll::Pending if filled == 0 => return Poll::Pending,
                Poll::Ready(Err(error)) if filled == 0 => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(false)) | Poll::Pending => return Poll::Ready(Ok(filled)),
                Poll::Ready(Err(error)) => {
                    self.failed = Some(error);
                    return Poll::Ready(Ok(filled));
                }
            }
        }
    }

    /// Takes what comes next, when everything before has been read; `false` where nothing does.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let Some(receive) = &mut self.receive else { return Poll::Ready(Ok(false)) };
        let mut trailers = None;
        match ready!(receive.poll_data(cx)) {
            Some(Ok(data)) => {
                // It is held until it is read, and no more is asked for meanwhile.
                receive.flow_control().release_capacity(data.len()).map_err(stream_error)?;
                if !data.is_empty() {
                    if self.chunked {
                        let end = if self.open { "\r\n" } else { "" };
                        self.text.extend_from_slice(format!("{end}{:x}\r\n", data.len()).as_bytes());
                        self.open = true;
                    }
                    self.data = data;
                    return Poll::Ready(Ok(true));
                }
                if !receive.is_end_stream() {
                    return Poll::Ready(Ok(true));
                }
            }
            Some(Err(error)) => return Poll::Ready(Err(stream_error(error))),
            None => trailers = ready!(receive.poll_trailers(cx)).map_err(stream_error)?,
        }
        if self.chunked {
            if self.open {
                self.text.extend_from_slice(b"\r\n");
            }
            message::write_end(trailers.as_ref(), &mut self.text);
        }
        self.receive = None;
        Poll::Ready(Ok(true))
    }
}

/// Copies what there is room for. Answers how much.
fn put(from: &[u8], room: &mut [u8]) -> usize {
    let count = from.len().min(room.len());
    if let (Some(to), Some(from)) = (room.get_mut(..count), from.get(..count)) {
        to.copy_from_slice(from);
    }
    count
}
