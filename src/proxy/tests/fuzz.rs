//! The fuzz targets of `fuzz/` on a stable compiler: the same properties, asked about what a seeded mutator makes of examples.
//!
//! A run without arguments is short. For minutes: `MESH_FUZZ_SECONDS=120 cargo test --lib proxy::tests::fuzz -- --include-ignored`.

use std::time::{Duration, Instant};

use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use super::edge_tls::Authority;
use crate::model::ProxyProtocol;
use crate::proxy::detect::is_found_alike_in_pieces;
use crate::proxy::http1::properties::{is_normal_after_once, is_read_like_hyper_reads_it};
use crate::proxy::proxy_protocol::{Ends, is_read_alike_in_pieces, write};
use crate::proxy::worker::Worker;

/// How long each target runs in the tests of every day.
const BRIEF: Duration = Duration::from_millis(300);

/// Words that mean something to one of the targets.
const WORDS: [&[u8]; 22] = [
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\0",
    b" ",
    b": ",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"0\r\n\r\n",
    b"ffffffffffffffff",
    b"Host: a\r\n",
    b"GET / HTTP/1.1\r\n",
    b"%2e%2e",
    b"%2f",
    b"/../",
    b"//",
    b";",
    b"PROXY TCP4 ",
    b"PROXY UNKNOWN\r\n",
    b"\r\n\r\n\0\r\nQUIT\n",
    b"\x16\x03\x01",
    b"65535",
];

/// Changes examples, from a seed on, always in the same way.
struct Mutator {
    draws: Worker,
    examples: Vec<Vec<u8>>,
}

impl Mutator {
    fn below(&self, bound: usize) -> usize {
        (self.draws.draw() % bound.max(1) as u64) as usize
    }

    fn next(&self) -> Vec<u8> {
        let mut bytes = self.examples[self.below(self.examples.len())].clone();
        for _ in 0..=self.below(6) {
            let at = self.below(bytes.len() + 1);
            let end = (at + self.below(16)).min(bytes.len());
            match self.below(8) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 if at < bytes.len() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff, b'\r', b'\n', b' '][self.below(8)],
                2 => drop(bytes.drain(at..end)),
                3 => {
                    let copy = bytes[at..end].to_vec();
                    let to = self.below(bytes.len() + 1);
                    bytes.splice(to..to, copy);
                }
                4 => drop(bytes.splice(at..at, WORDS[self.below(WORDS.len())].iter().copied())),
                5 => bytes.truncate(at),
                6 => {
                    let other = &self.examples[self.below(self.examples.len())];
                    bytes.truncate(at);
                    bytes.extend_from_slice(&other[self.below(other.len() + 1)..]);
                }
                _ if at < bytes.len() => bytes[at] = self.below(256) as u8,
                _ => {}
            }
        }
        bytes
    }
}

/// Asks about what becomes of the examples, for as long as `time`. What fails is said with its bytes.
fn run(time: Duration, examples: Vec<Vec<u8>>, property: impl Fn(&[u8])) {
    let mutator = Mutator { draws: Worker::seeded(7), examples };
    mutator.examples.iter().for_each(|example| property(example));
    let (start, mut asked) = (Instant::now(), 0_u64);
    while start.elapsed() < time {
        let bytes = mutator.next();
        let holds = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| property(&bytes)));
        assert!(holds.is_ok(), "after {asked} inputs, with {}", bytes.escape_ascii());
        asked += 1;
    }
    println!("{asked} inputs in {:?}", start.elapsed());
}

fn requests() -> Vec<Vec<u8>> {
    let texts = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /x?y=1 HTTP/1.1\r\nHost: a.b:80\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nTrailer: t\r\n\r\n",
        "GET http://a/b HTTP/1.0\r\nHost: a\r\nConnection: keep-alive, x\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n",
        "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ];
    texts.map(|text| text.as_bytes().to_vec()).into()
}

fn paths() -> Vec<Vec<u8>> {
    ["/", "/a/../b", "/a/%2e%2e/b?c=%2F", "/%41//b/./c;d=e/", "/a%2fb%5cc", "/%zz%"]
        .map(|path| path.as_bytes().to_vec())
        .into()
}

fn announcements() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for version in [ProxyProtocol::V1, ProxyProtocol::V2] {
        for pair in [None, Some(("192.0.2.1:1", "192.0.2.2:443")), Some(("[2001:db8::1]:65535", "[::1]:80"))] {
            let ends = pair.map(|(source, destination)| Ends {
                source: source.parse().expect("an address"),
                destination: destination.parse().expect("an address"),
            });
            let mut bytes = Vec::new();
            write(version, ends.as_ref(), &mut bytes);
            bytes.extend_from_slice(b"GET / HTTP/1.1\r\n\r\n");
            all.push(bytes);
        }
    }
    all
}

fn hellos() -> Vec<Vec<u8>> {
    let authority = Authority::new();
    let hello = |name: &str, alpn: &[&[u8]]| {
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let mut client = ClientConnection::new(authority.client(None, alpn), name).expect("a client");
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).expect("written");
        bytes
    };
    vec![hello("a.example.com", &[]), hello("b.example.com", &[b"h2", b"http/1.1"]), hello("10.0.0.1", &[b"istio"])]
}

fn all(time: Duration) {
    run(time, requests(), is_read_like_hyper_reads_it);
    run(time, paths(), |bytes| is_normal_after_once(&[b"/", bytes].concat()));
    run(time, announcements(), is_read_alike_in_pieces);
    run(time, hellos(), is_found_alike_in_pieces);
}

#[test]
fn no_bytes_break_what_has_to_hold() {
    all(BRIEF);
}

#[test]
#[ignore = "runs for minutes"]
fn no_bytes_break_what_has_to_hold_for_minutes() {
    let seconds = std::env::var("MESH_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    all(Duration::from_secs(seconds));
}
