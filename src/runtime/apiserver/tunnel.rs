//! Port forwarding as kubectl 1.31 and newer asks for it: SPDY/3.1 inside a WebSocket.
//!
//! Just as much of SPDY as that takes: streams that the client opens in pairs (one for errors, one for data), their bytes and their
//! ends. Windows are not kept, as kubectl keeps none; header blocks are read with SPDY's dictionary and written uncompressed.
//! Bounded: frames, header blocks, streams at one time, bytes that wait for a pod.

use std::collections::HashMap;
use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::future::BoxFuture;
use futures_util::{SinkExt, StreamExt};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;

use super::exec::{Duplex, Socket, goodbye};

/// The protocol's name in the handshake.
pub(super) const PROTOCOL: &str = "SPDY/3.1+portforward.k8s.io";

/// Bytes of one frame at most.
const FRAME: usize = 1 << 20;
/// Bytes of all header blocks of a session; a session of kubectl takes 60 for each connection.
const HEADERS: usize = 4 << 20;
/// Streams at one time.
const STREAMS: usize = 512;
/// Messages that wait for a slow client, and pieces that wait for a slow pod.
const QUEUE: usize = 32;
/// Bytes read from a pod at a time.
const PIECE: usize = 16 << 10;

/// Types of control frames.
const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
/// The flag of a stream's last frame.
const FIN: u8 = 1;

/// The words of SPDY's dictionary (SPDY/3 draft, section 2.6.10.1); each is preceded by its length.
const WORDS: &str = "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age \
    allow authorization cache-control connection content-base content-encoding content-language content-length content-location \
    content-md5 content-range content-type date etag expect expires from host if-match if-modified-since if-none-match if-range \
    if-unmodified-since last-modified location max-forwards pragma proxy-authenticate proxy-authorization range referer \
    retry-after server te trailer transfer-encoding upgrade user-agent vary via warning www-authenticate method get status \
    200_OK version HTTP/1.1 url public set-cookie keep-alive origin";
/// What follows them, as it is.
const TAIL: &str = "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 \
    Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not \
    Found500 Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec \
    00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,\
    application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,\
    utf-,*,enq=0.";

fn dictionary() -> Vec<u8> {
    let mut dictionary = Vec::with_capacity(1423);
    for word in WORDS.split_whitespace() {
        let word = word.replace('_', " ");
        dictionary.put_u32(u32::try_from(word.len()).unwrap_or(0));
        dictionary.extend(word.bytes());
    }
    dictionary.extend(TAIL.bytes());
    dictionary
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// Reads the header blocks of a session, which are one stream of zlib with a dictionary.
struct HeaderReader {
    state: DecompressorOxide,
    /// The dictionary, then everything that was read: what comes may refer to it.
    text: Vec<u8>,
    began: bool,
}

impl HeaderReader {
    fn new() -> Self {
        Self { state: DecompressorOxide::new(), text: dictionary(), began: false }
    }

    fn read(&mut self, block: &[u8]) -> io::Result<HashMap<String, String>> {
        let mut block = block;
        if !self.began {
            // zlib's two bytes; with the flag of a dictionary, its checksum.
            let flags = block.get(1).copied().ok_or_else(|| invalid("an empty header block"))?;
            let length = if flags & 0x20 == 0 { 2 } else { 6 };
            block = block.get(length..).ok_or_else(|| invalid("a header block without its beginning"))?;
            self.began = true;
        }
        let start = self.text.len();
        let flags = TINFL_FLAG_HAS_MORE_INPUT | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        let mut end = start;
        loop {
            self.text.resize(end + 4096, 0);
            let (status, taken, written) = decompress(&mut self.state, block, &mut self.text, end, flags);
            (block, end) = (block.get(taken..).unwrap_or_default(), end + written);
            match status {
                _ if end - start > HEADERS || end > HEADERS => return Err(invalid("too many headers")),
                TINFLStatus::HasMoreOutput => {}
                TINFLStatus::NeedsMoreInput | TINFLStatus::Done => break,
                _ => return Err(invalid("a header block that cannot be read")),
            }
        }
        self.text.truncate(end);
        pairs(self.text.get(start..).unwrap_or_default())
    }
}

/// Numbered names and values, each with its length before it.
fn pairs(mut block: &[u8]) -> io::Result<HashMap<String, String>> {
    let short = |_| invalid("a header block that is too short");
    let mut headers = HashMap::new();
    let count = block.try_get_u32().map_err(short)?;
    for _ in 0..count {
        let mut text = || -> io::Result<String> {
            let length = usize::try_from(block.try_get_u32().map_err(short)?).unwrap_or(usize::MAX);
            let text = block.get(..length).ok_or_else(|| invalid("a header that is too short"))?;
            let text = String::from_utf8_lossy(text).into_owned();
            block.advance(length);
            Ok(text)
        };
        let (name, value) = (text()?, text()?);
        headers.insert(name, value);
    }
    Ok(headers)
}

fn control(kind: u16, flags: u8, content: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(8 + content.len());
    frame.put_u16(0x8003);
    frame.put_u16(kind);
    frame.put_u32(u32::from(flags) << 24 | u32::try_from(content.len()).unwrap_or(0));
    frame.put_slice(content);
    frame.freeze()
}

fn data(stream: u32, flags: u8, content: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(8 + content.len());
    frame.put_u32(stream);
    frame.put_u32(u32::from(flags) << 24 | u32::try_from(content.len()).unwrap_or(0));
    frame.put_slice(content);
    frame.freeze()
}

/// Takes a stream without headers: zlib's beginning and one stored block, when it is the first.
fn reply(stream: u32, first: bool) -> Bytes {
    let mut content = BytesMut::new();
    content.put_u32(stream);
    if first {
        content.put_slice(&[0x78, 0x01]);
    }
    // Four bytes, stored: no headers.
    content.put_slice(&[0, 4, 0, 0xfb, 0xff, 0, 0, 0, 0]);
    // An empty block: Go's reader hands out what came before it, and without it waits for more and gives up the stream.
    content.put_slice(&[0, 0, 0, 0xff, 0xff]);
    control(SYN_REPLY, 0, &content)
}

struct Session<D> {
    dial: D,
    headers: HeaderReader,
    replied: bool,
    /// Data streams that take bytes.
    open: HashMap<u32, mpsc::Sender<Bytes>>,
    /// Error streams by the number of their connection.
    errors: HashMap<String, u32>,
    out: mpsc::Sender<Bytes>,
    connections: JoinSet<u32>,
}

/// Serves a session until the client leaves.
pub(super) async fn serve<D>(socket: Socket, dial: D)
where
    D: Fn(u16) -> BoxFuture<'static, io::Result<Box<dyn Duplex>>>,
{
    let (mut sink, mut source) = socket.split();
    let (out, mut queue) = mpsc::channel::<Bytes>(QUEUE);
    let mut session = Session {
        dial,
        headers: HeaderReader::new(),
        replied: false,
        open: HashMap::new(),
        errors: HashMap::new(),
        out,
        connections: JoinSet::new(),
    };
    let reading = async {
        let mut pending = BytesMut::new();
        while let Some(Ok(message)) = source.next().await {
            match message {
                Message::Binary(bytes) => pending.extend_from_slice(&bytes),
                Message::Close(_) => return,
                _ => continue,
            }
            while let Some(frame) = frame(&mut pending) {
                match frame {
                    Ok(frame) if session.take(&frame).await.is_ok() => {}
                    _ => return,
                }
            }
        }
    };
    let writing = async {
        while let Some(frame) = queue.recv().await {
            if sink.send(Message::Binary(frame)).await.is_err() {
                return;
            }
        }
        // The client may be gone.
        let _ = sink.send(goodbye()).await;
    };
    tokio::select! {
        () = reading => {}
        () = writing => {}
    }
}

/// The next whole frame.
fn frame(pending: &mut BytesMut) -> Option<io::Result<Bytes>> {
    let length = pending.get(4..8)?;
    let length = u32::from_be_bytes(length.try_into().ok()?) & 0x00ff_ffff;
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > FRAME {
        return Some(Err(invalid("a frame that is too long")));
    }
    (pending.len() >= 8 + length).then(|| Ok(pending.split_to(8 + length).freeze()))
}

impl<D> Session<D>
where
    D: Fn(u16) -> BoxFuture<'static, io::Result<Box<dyn Duplex>>>,
{
    async fn send(&self, frame: Bytes) -> io::Result<()> {
        self.out.send(frame).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    async fn take(&mut self, frame: &Bytes) -> io::Result<()> {
        let mut rest = frame.clone();
        let (first, flags) = (rest.get_u32(), rest.get_u8());
        rest.advance(3);
        if first & 0x8000_0000 == 0 {
            // A stream that has ended may get more; it is not missed.
            if let Some(pod) = self.open.get(&first)
                && (rest.is_empty() || pod.send(rest).await.is_ok())
                && flags & FIN == 0
            {
                return Ok(());
            }
            self.open.remove(&first);
            return Ok(());
        }
        let short = |_| invalid("a frame that is too short");
        match u16::try_from(first & 0xffff).unwrap_or(0) {
            SYN_STREAM => {
                let stream = rest.try_get_u32().map_err(short)? & 0x7fff_ffff;
                let block = rest.get(6..).ok_or_else(|| invalid("a stream without headers"))?;
                let headers = self.headers.read(block)?;
                self.open(stream, &headers).await
            }
            RST_STREAM => {
                let stream = rest.try_get_u32().map_err(short)?;
                self.open.remove(&stream);
                Ok(())
            }
            PING => self.send(frame.clone()).await,
            GOAWAY => Err(io::ErrorKind::ConnectionAborted.into()),
            _ => Ok(()),
        }
    }

    async fn open(&mut self, stream: u32, headers: &HashMap<String, String>) -> io::Result<()> {
        while let Some(ended) = self.connections.try_join_next() {
            if let Ok(stream) = ended {
                self.open.remove(&stream);
            }
        }
        let header = |name: &str| headers.get(name).map(String::as_str).unwrap_or_default();
        let request = header("requestid").to_owned();
        if self.errors.len() + self.connections.len() >= STREAMS {
            return Err(invalid("too many streams"));
        }
        self.send(reply(stream, !self.replied)).await?;
        self.replied = true;
        if header("streamtype") == "error" {
            self.errors.insert(request, stream);
            return Ok(());
        }
        let errors = self.errors.remove(&request).ok_or_else(|| invalid("data without its stream for errors"))?;
        let port = header("port").parse().map_err(|_| invalid("no port"))?;
        let (to_pod, from_client) = mpsc::channel(QUEUE);
        self.open.insert(stream, to_pod);
        let (dialling, out) = ((self.dial)(port), self.out.clone());
        self.connections.spawn(async move {
            let failure = connect(dialling, stream, from_client, &out).await;
            let said = failure.map_or_else(String::new, |error| error.to_string());
            // A client that is gone needs no end.
            for last in [data(errors, FIN, said.as_bytes()), data(stream, FIN, &[])] {
                let _ = out.send(last).await;
            }
            stream
        });
        Ok(())
    }
}

/// Connects a stream with its port until the pod has nothing more to say.
async fn connect(
    dialling: BoxFuture<'static, io::Result<Box<dyn Duplex>>>,
    stream: u32,
    mut from_client: mpsc::Receiver<Bytes>,
    out: &mpsc::Sender<Bytes>,
) -> Option<io::Error> {
    let pod = match dialling.await {
        Ok(pod) => pod,
        Err(error) => return Some(error),
    };
    let (mut from_pod, mut to_pod) = tokio::io::split(pod);
    let sending = async {
        while let Some(bytes) = from_client.recv().await {
            if to_pod.write_all(&bytes).await.is_err() {
                return;
            }
        }
        // A pod that has closed already needs no end.
        let _ = to_pod.shutdown().await;
    };
    let receiving = async {
        let mut buffer = vec![0; PIECE];
        loop {
            let length = from_pod.read(&mut buffer).await?;
            let piece = buffer.get(..length).unwrap_or_default();
            if piece.is_empty() || out.send(data(stream, 0, piece)).await.is_err() {
                return io::Result::Ok(());
            }
        }
    };
    let mut receiving = std::pin::pin!(receiving);
    let mut sending = std::pin::pin!(sending);
    tokio::select! {
        received = &mut receiving => received.err(),
        () = &mut sending => receiving.await.err(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn header_blocks_follow_on_each_other() {
        assert_eq!(dictionary().len(), 1423);
        // Written by zlib 1.3 with the dictionary and a flush after each block.
        let first =
            "78f9e3c6a7c202253a48f95b044eea16061606409ab308125f99a074cc68004e892545a989b9d0c2863515141500000000ffff";
        let second = "225333a8a44a04000000ffff";
        let mut reader = HeaderReader::new();
        for (block, kind) in [(first, "error"), (second, "data")] {
            let headers = reader.read(&bytes(block)).unwrap();
            assert_eq!(headers["streamtype"], kind);
            assert_eq!((headers["port"].as_str(), headers["requestid"].as_str()), ("8080", "0"));
        }
        assert!(HeaderReader::new().read(&[1, 2, 3]).is_err());
    }

    #[test]
    fn frames_are_taken_when_they_are_whole() {
        let mut pending = BytesMut::new();
        pending.extend_from_slice(&data(3, FIN, b"abc")[..9]);
        assert!(frame(&mut pending).is_none());
        pending.extend_from_slice(b"bc");
        assert_eq!(frame(&mut pending).unwrap().unwrap(), data(3, FIN, b"abc"));
        assert!(pending.is_empty());
        pending.extend_from_slice(&[0, 0, 0, 3, 0, 0xff, 0xff, 0xff]);
        assert!(frame(&mut pending).unwrap().is_err());
    }
}
