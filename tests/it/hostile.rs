//! Clients that mean harm: each class costs a gateway less than 32 MiB, is cut or held back, and keeps nobody else from being served.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use crate::gateway::files;
use crate::harness::{MESH, PATIENCE, eventually};

/// What one hostile connection may cost, in KiB.
const MOST: usize = 32 * 1024;
/// What a client sends at most, in bytes.
const FLOOD: usize = 64 << 20;
/// A peer that takes nothing for so long holds back.
const HELD_BACK: Duration = Duration::from_secs(5);

/// What a flood of bytes came to.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The connection was closed.
    Cut,
    /// Nobody reads any more.
    HeldBack,
    /// Everything was taken.
    Taken,
}

/// A backend that answers `GET /N` with N bytes, and never reads the body of anything else.
fn backend() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // What the kernel keeps for a backend that reads nothing is no part of what a proxy takes. Accepted connections inherit it.
    socket2::SockRef::from(&listener).set_recv_buffer_size(4096).unwrap();
    let port = listener.local_addr().unwrap().port();
    let requests = Arc::new(AtomicUsize::new(0));
    let count = requests.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let count = count.clone();
            std::thread::spawn(move || answer(BufReader::with_capacity(4096, stream), &count));
        }
    });
    (port, requests)
}

/// Whoever is answered may go away at any time.
fn answer(mut reader: BufReader<TcpStream>, requests: &AtomicUsize) -> Option<()> {
    let zeroes = [b'0'; 4096];
    loop {
        let mut first = String::new();
        reader.read_line(&mut first).ok().filter(|read| *read > 0)?;
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        }
        requests.fetch_add(1, Ordering::SeqCst);
        let mut words = first.split_whitespace();
        if words.next() != Some("GET") {
            // Until the test process ends.
            std::thread::park();
        }
        let length: usize = words.next().and_then(|path| path.trim_start_matches('/').parse().ok()).unwrap_or(0);
        write!(reader.get_mut(), "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").ok()?;
        let mut left = length;
        while left > 0 {
            let piece = left.min(zeroes.len());
            reader.get_mut().write_all(&zeroes[..piece]).ok()?;
            left -= piece;
        }
    }
}

/// A gateway under attack.
struct Victim {
    child: Child,
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
    before: usize,
    _files: tempfile::TempDir,
}

impl Victim {
    fn start() -> Self {
        let (port, requests) = backend();
        let (files, address) = files(port, port);
        let mut child = Command::new(MESH)
            .args(["proxy", "--local", "-f"])
            .arg(files.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert!(line.starts_with("listening"), "{line}");
        std::thread::spawn(move || io::copy(&mut said, &mut io::sink()));
        let mut victim = Self { child, address, requests, before: 0, _files: files };
        victim.serves_others();
        victim.before = victim.memory("VmRSS");
        victim
    }

    /// A figure of the process, in KiB.
    fn memory(&self, figure: &str) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(figure)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_write_timeout(Some(HELD_BACK)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// A connection of HTTP/2 with these settings, whose answers are read by nobody.
    fn greet(&self, settings: &[(u16, u32)]) -> TcpStream {
        let mut stream = self.connect();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        let settings: Vec<u8> = settings
            .iter()
            .flat_map(|(name, value)| [name.to_be_bytes().to_vec(), value.to_be_bytes().to_vec()].concat())
            .collect();
        stream.write_all(&frame(SETTINGS, 0, 0, &settings)).unwrap();
        stream
    }

    /// Others are served, and the process has not grown by more than it may since it started.
    fn survives(&self) {
        self.serves_others();
        let grown = self.memory("VmHWM").saturating_sub(self.before);
        println!("grown by {grown} KiB at most");
        assert!(grown < MOST, "the process grew by {grown} KiB");
    }

    fn serves_others(&self) {
        let mut other = self.connect();
        other.write_all(b"GET /2 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        other.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends `piece` after `piece`, as `make` makes them by their number.
fn flood(stream: &mut TcpStream, mut make: impl FnMut(u32) -> Vec<u8>) -> End {
    let (mut sent, mut number) = (0, 0);
    let deadline = Instant::now() + PATIENCE;
    while sent < FLOOD && Instant::now() < deadline {
        let mut block = Vec::with_capacity(128 * 1024);
        while block.len() < 64 * 1024 {
            block.extend(make(number));
            number += 1;
        }
        match stream.write_all(&block) {
            Ok(()) => sent += block.len(),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return End::HeldBack;
            }
            Err(_) => return End::Cut,
        }
    }
    End::Taken
}

/// Reads and forgets what comes on a connection, in a thread of its own.
fn discard(stream: &TcpStream) {
    let mut reader = stream.try_clone().unwrap();
    std::thread::spawn(move || io::copy(&mut reader, &mut io::sink()));
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The header block of a request (HPACK without its dynamic table).
fn request(method: u8, path: &str) -> Vec<u8> {
    let mut block = vec![method, 0x86, 0x04, path.len() as u8];
    block.extend(path.bytes());
    block.extend([0x01, 1, b'a']);
    block
}

const GET: u8 = 0x82;
const POST: u8 = 0x83;

#[test]
fn a_head_without_end_is_cut() {
    let victim = Victim::start();
    let lines: [(&str, &[u8]); 3] =
        [("one endless line", b"aaaaaaaaaaaaaaaa"), ("endless lines", b"a: b\r\n"), ("endless empty lines", b"\r\n")];
    for (name, line) in lines {
        let mut stream = victim.connect();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nx: ").unwrap();
        if name.contains("lines") {
            stream.write_all(b"\r\n").unwrap();
        }
        assert_eq!(flood(&mut stream, |_| line.to_vec()), End::Cut, "{name}");
    }
    victim.survives();
}

#[test]
fn requests_whose_answers_nobody_reads_are_held_back() {
    let victim = Victim::start();
    let mut stream = victim.connect();
    let request = b"GET /65536 HTTP/1.1\r\nhost: a\r\n\r\n";
    assert_eq!(flood(&mut stream, |_| request.to_vec()), End::HeldBack);
    let mut large = victim.connect();
    large.write_all(b"GET /268435456 HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    std::thread::sleep(HELD_BACK);
    victim.survives();
}

#[test]
fn a_body_that_nobody_takes_is_held_back() {
    let victim = Victim::start();
    let mut stream = victim.connect();
    stream.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1073741824\r\n\r\n").unwrap();
    assert_eq!(flood(&mut stream, |_| vec![0; 4096]), End::HeldBack);
    let mut chunked = victim.connect();
    chunked.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
    assert_eq!(flood(&mut chunked, |_| b"1\r\na\r\n".to_vec()), End::HeldBack);
    victim.survives();
}

#[test]
fn endless_trailers_and_chunk_extensions_are_cut() {
    let victim = Victim::start();
    for start in ["0\r\nx: ", "1;"] {
        let mut stream = victim.connect();
        stream.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
        stream.write_all(start.as_bytes()).unwrap();
        assert_eq!(flood(&mut stream, |_| b"aaaaaaaaaaaaaaaa".to_vec()), End::Cut, "{start:?}");
    }
    victim.survives();
}

#[test]
fn frames_that_ask_for_nothing_are_cut() {
    let victim = Victim::start();
    let floods: [(&str, Vec<u8>); 7] = [
        ("PING", frame(PING, 0, 0, &[0; 8])),
        ("SETTINGS", frame(SETTINGS, 0, 0, &[])),
        ("SETTINGS that change", frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0xff, 0xff])),
        ("PRIORITY", frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 7])),
        ("WINDOW_UPDATE", frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        ("a kind that nobody knows", frame(0x42, 0, 0, &[0; 16])),
        ("empty DATA", frame(DATA, 0, 1, &[])),
    ];
    for (name, piece) in floods {
        let mut stream = victim.greet(&[]);
        discard(&stream);
        stream.write_all(&frame(HEADERS, END_HEADERS, 1, &request(POST, "/"))).unwrap();
        assert_eq!(flood(&mut stream, |_| piece.clone()), End::Cut, "{name}");
    }
    victim.survives();
}

#[test]
fn answers_to_frames_that_nobody_reads_are_not_piled_up() {
    let victim = Victim::start();
    for piece in [frame(PING, 0, 0, &[0; 8]), frame(SETTINGS, 0, 0, &[])] {
        let mut stream = victim.greet(&[]);
        assert_ne!(flood(&mut stream, |_| piece.clone()), End::Taken);
    }
    victim.survives();
}

#[test]
fn a_rapid_reset_is_cut() {
    let victim = Victim::start();
    let mut stream = victim.greet(&[]);
    discard(&stream);
    let ended = flood(&mut stream, |number| {
        let stream = number * 2 + 1;
        let mut pair = frame(HEADERS, END_HEADERS | END_STREAM, stream, &request(GET, "/2"));
        pair.extend(frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]));
        pair
    });
    assert_eq!(ended, End::Cut);
    victim.survives();
}

#[test]
fn a_header_block_without_end_is_cut() {
    let victim = Victim::start();
    let mut stream = victim.greet(&[]);
    discard(&stream);
    stream.write_all(&frame(HEADERS, 0, 1, &request(GET, "/2"))).unwrap();
    // A literal header that is not indexed: `a: aaaaaaaa`.
    let literal = [&[0, 1, b'a', 8][..], &[b'a'; 8]].concat().repeat(80);
    assert_eq!(flood(&mut stream, |_| frame(CONTINUATION, 0, 1, &literal)), End::Cut);
    victim.survives();
}

#[test]
fn header_blocks_that_unpack_to_megabytes_are_not_unpacked() {
    let victim = Victim::start();
    let mut stream = victim.greet(&[]);
    discard(&stream);
    // The first request puts an entry of 4,000 bytes into the table, 15 KiB of references to it make 60 MB of headers.
    let mut first = request(GET, "/2");
    first.extend([0x40, 1, b'a', 0x7f, 0x9e, 0x1e]);
    first.extend([b'b'; 3997]);
    let mut bomb = request(GET, "/2");
    bomb.extend([0xbe; 15 * 1024]);
    let mut number = 1;
    stream.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, number, &first)).unwrap();
    for _ in 0..200 {
        number += 2;
        // Who is cut has been answered well enough.
        if stream.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, number, &bomb)).is_err() {
            break;
        }
    }
    victim.survives();
}

#[test]
fn answers_for_which_there_is_no_window_are_held_back() {
    let victim = Victim::start();
    let before = victim.requests.load(Ordering::SeqCst);
    // SETTINGS_INITIAL_WINDOW_SIZE: 0.
    let mut stream = victim.greet(&[(4, 0)]);
    discard(&stream);
    for number in 0..100 {
        let block = request(GET, "/16777216");
        stream.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, number * 2 + 1, &block)).unwrap();
    }
    eventually("every request is under way", || (victim.requests.load(Ordering::SeqCst) >= before + 100).then_some(()));
    std::thread::sleep(HELD_BACK);
    victim.survives();
}

/// Streams of which each would have to be given more than the kernel buffers between a proxy and its backend (4 MiB to be sent, on
/// Linux) before a flood is taken.
const BODIES: u32 = 8;

/// A connection with requests under way whose bodies are to come, and what is read of it: (kind, stream, number in the payload).
fn bodies(victim: &Victim) -> (TcpStream, mpsc::Receiver<(u8, u32, u32)>) {
    let mut stream = victim.greet(&[]);
    let mut reader = stream.try_clone().unwrap();
    let (read, frames) = mpsc::channel();
    std::thread::spawn(move || -> io::Result<()> {
        loop {
            let mut head = [0; 9];
            reader.read_exact(&mut head)?;
            let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
            let mut payload = vec![0; number(&head[..3]) as usize];
            reader.read_exact(&mut payload)?;
            let first = payload.get(..4).map_or(0, number);
            if read.send((head[3], number(&head[5..]), first)).is_err() {
                return Ok(());
            }
        }
    });
    for number in 0..BODIES {
        stream.write_all(&frame(HEADERS, END_HEADERS, number * 2 + 1, &request(POST, "/"))).unwrap();
    }
    (stream, frames)
}

#[test]
fn bodies_of_many_streams_that_nobody_takes_are_held_back() {
    const PIECE: u32 = 16 * 1024;
    let victim = Victim::start();
    let (mut stream, frames) = bodies(&victim);
    // What RFC 9113 6.9.2 begins with, until SETTINGS and WINDOW_UPDATE say more, which is all that is counted here.
    let mut windows: BTreeMap<u32, u32> =
        (0..BODIES).map(|number| (number * 2 + 1, 65_535)).chain([(0, 65_535)]).collect();
    let mut sent = 0;
    while sent < FLOOD {
        let open =
            windows.iter().find(|(stream, window)| **stream != 0 && **window >= PIECE).map(|(stream, _)| *stream);
        match open.filter(|_| windows[&0] >= PIECE) {
            Some(body) => {
                stream.write_all(&frame(DATA, 0, body, &[0; PIECE as usize])).unwrap();
                for of in [0, body] {
                    *windows.get_mut(&of).unwrap() -= PIECE;
                }
                sent += PIECE as usize;
            }
            None => match frames.recv_timeout(HELD_BACK) {
                Ok((WINDOW_UPDATE, of, more)) => *windows.get_mut(&of).unwrap() += more,
                Ok((kind, of, _)) => assert_eq!((kind, of), (SETTINGS, 0), "a body that is held back goes on"),
                Err(_) => break,
            },
        }
    }
    assert!(sent < FLOOD, "everything was taken");
    victim.survives();
}

#[test]
fn bodies_beyond_their_windows_are_cut() {
    let victim = Victim::start();
    let (mut stream, frames) = bodies(&victim);
    let ended = flood(&mut stream, |number| frame(DATA, 0, number % BODIES * 2 + 1, &[0; 16 * 1024]));
    // Either the connection, or each stream by itself (RFC 9113 6.9.1).
    if ended == End::Taken {
        let mut going: BTreeSet<u32> = (0..BODIES).map(|number| number * 2 + 1).collect();
        while !going.is_empty() {
            let (kind, of, _) = frames.recv_timeout(PATIENCE).expect("a stream beyond its window was not ended");
            if kind == RST_STREAM {
                going.remove(&of);
            }
        }
    }
    victim.survives();
}
