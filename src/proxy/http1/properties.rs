//! What must hold of every message, whoever made it up: run by tests with messages that look like requests, and by `fuzz/` with
//! anything.
//!
//! The reference for the codec is hyper, which is used by much of what stands behind a proxy: what both accept, both must read
//! alike, message after message. Where ours accepts less, nothing is lost.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "it panics where a property does not hold"
)]

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;

use super::body::{Body, Step};
use super::head::{Head, HeadEnd, find_head, parse_request};
use super::target::{Target, read_target};
use crate::proxy::limits;

/// A request as a codec read it.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    method: String,
    target: String,
    /// (lower-case name, value), in order of the names.
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

/// The whole requests that our codec finds, up to the first that it refuses or that ends the connection.
pub fn ours(mut bytes: &[u8]) -> Vec<Seen> {
    let (mut found, mut head, mut target) = (Vec::new(), Head::default(), Target::default());
    loop {
        for _ in 0..limits::MAX_LEADING_LINES {
            bytes = bytes.strip_prefix(b"\r\n").unwrap_or(bytes);
        }
        let Ok(HeadEnd::At(length)) = find_head(bytes, 0) else { return found };
        let Some((text, rest)) = bytes.split_at_checked(length) else { return found };
        if parse_request(text, true, &mut head).is_err() || read_target(&head, text, &mut target).is_err() {
            return found;
        }
        let Some((body, rest)) = body(Body::new(head.framing).unframed(), rest) else { return found };
        let mut headers: Vec<(String, Vec<u8>)> =
            head.fields.iter().map(|field| (lower_case(field.name.of(text)), field.value.of(text).to_vec())).collect();
        headers.sort_by(|(a, _), (b, _)| a.cmp(b));
        let as_text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        found.push(Seen {
            method: as_text(head.method.of(text)),
            target: as_text(head.target.of(text)),
            headers,
            body,
        });
        if head.close || head.websocket {
            return found;
        }
        bytes = rest;
    }
}

fn lower_case(name: &[u8]) -> String {
    String::from_utf8_lossy(name).to_ascii_lowercase()
}

/// A body's data and what is behind it; `None` where it is not whole.
fn body(mut body: Body, mut bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut data = Vec::new();
    loop {
        let count = match body.step(bytes).ok()? {
            Step::Forward(count) => {
                data.extend_from_slice(bytes.get(..count)?);
                count
            }
            Step::Skip(count) => count,
            Step::More => return None,
            Step::Done => return Some((data, bytes)),
        };
        bytes = bytes.get(count..)?;
    }
}

/// The same, as hyper's server finds them.
pub fn hypers(bytes: &[u8]) -> Vec<Seen> {
    let seen: Rc<RefCell<Vec<Seen>>> = Rc::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (mut client, server) = tokio::io::duplex(bytes.len() + (1 << 20));
        client.write_all(bytes).await.expect("there is room");
        client.shutdown().await.expect("it is open");
        let service = hyper::service::service_fn(|request: Request<Incoming>| {
            let seen = seen.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await?.to_bytes().to_vec();
                let mut headers: Vec<(String, Vec<u8>)> = parts
                    .headers
                    .iter()
                    .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
                    .collect();
                headers.sort_by(|(a, _), (b, _)| a.cmp(b));
                let (method, target) = (parts.method.to_string(), parts.uri.to_string());
                seen.borrow_mut().push(Seen { method, target, headers, body });
                Ok::<_, hyper::Error>(Response::new(Empty::<Bytes>::new()))
            }
        });
        let connection =
            hyper::server::conn::http1::Builder::new().half_close(true).serve_connection(TokioIo::new(server), service);
        // What it refuses is no request.
        let _ = connection.await;
        drop(client);
    });
    seen.take()
}

/// What both accept, both read alike.
pub fn is_read_like_hyper_reads_it(bytes: &[u8]) {
    let (ours, hypers) = (ours(bytes), hypers(bytes));
    for (mut ours, mut hypers) in ours.into_iter().zip(hypers) {
        if !ours.target.starts_with('/') {
            // The absolute form is printed with a path, whether it was written or not.
            ours.target.clear();
            hypers.target.clear();
        }
        assert_eq!(ours, hypers, "{}", bytes.escape_ascii());
    }
}

/// A path is normal after it was normalised once: nothing that a server behind us decodes is a dot segment that we did not see.
pub fn is_normal_after_once(path: &[u8]) {
    let Some(once) = normalised(path) else { return };
    let path_only = once.split(|byte| *byte == b'?').next().unwrap_or_default();
    let dots = |segment: &[u8]| matches!(segment, b"." | b"..");
    assert!(
        path_only == b"*" || !path_only.split(|byte| matches!(byte, b'/' | b'\\')).any(dots),
        "{} became {}",
        path.escape_ascii(),
        once.escape_ascii()
    );
    assert_eq!(normalised(&once).as_ref(), Some(&once), "{} is not normal", path.escape_ascii());
}

/// The path and query that rules and upstreams see; `None` where the request is refused.
fn normalised(path: &[u8]) -> Option<Vec<u8>> {
    let message = [b"GET ", path, b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
    let Ok(HeadEnd::At(length)) = find_head(&message, 0) else { return None };
    let (text, mut head, mut target) = (message.get(..length)?, Head::default(), Target::default());
    parse_request(text, false, &mut head).ok()?;
    read_target(&head, text, &mut target).ok()?;
    Some(target.path_and_query)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    const FIRST_LINES: &[&str] = &[
        "GET / HTTP/1.1",
        "POST /a?b=c HTTP/1.1",
        "POST /a HTTP/1.0",
        "GET http://a/b HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "GET  / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "get / http/1.1",
        "GET / HTTP/1.2",
        "M-SEARCH /~a/%2e;x=y HTTP/1.1",
    ];
    const LINES: &[&str] = &[
        "Host: a",
        "Host: a",
        "Host: b:80",
        "host:a",
        "Content-Length: 3",
        "Content-Length: 3",
        "Content-Length: 03",
        "Content-Length: +3",
        "Content-Length: 3, 3",
        "Content-Length:\t3 ",
        "content-length: 0",
        "Content-Length : 3",
        "Content-Length: 18446744073709551619",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: Chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding:\x0bchunked",
        " Transfer-Encoding: chunked",
        "X: a\r\n Transfer-Encoding: chunked",
        "Transfer\u{80}-Encoding: chunked",
        "Connection: close",
        "Connection: keep-alive, x",
        "Connection: upgrade",
        "Upgrade: websocket",
        "Expect: 100-continue",
        "Cookie: a=b",
        "Cookie: c=d",
        "X:",
        ": x",
        "",
    ];
    const BODIES: &[&str] = &[
        "",
        "abc",
        "abcGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "3\r\nabc\r\n0\r\n\r\n",
        "3;x=y\r\nabc\r\n0;z\r\nT: 1\r\n\r\n",
        "0003\r\nabc\r\n000\r\n\r\n",
        "3 \r\nabc\r\n0\r\n\r\n",
        "3\nabc\n0\n\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "-3\r\nabc\r\n0\r\n\r\n",
        "10000000000000003\r\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "0\r\nContent-Length: 3\r\n\r\nabc",
    ];

    fn line_end() -> impl Strategy<Value = &'static str> {
        prop_oneof![30 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r"), 1 => Just("\r\r\n"), 1 => Just("")]
    }

    fn request() -> impl Strategy<Value = Vec<u8>> {
        let lines = vec((select(LINES), line_end()), 0..5);
        (select(FIRST_LINES), line_end(), lines, select(BODIES)).prop_map(|(first, end, lines, body)| {
            let mut message = format!("{first}{end}Host: a\r\n");
            message.extend(lines.iter().map(|(line, end)| format!("{line}{end}")));
            message.push_str("\r\n");
            message.push_str(body);
            message.into_bytes()
        })
    }

    /// A byte that is changed, somewhere.
    fn slip() -> impl Strategy<Value = Option<(prop::sample::Index, u8)>> {
        prop_oneof![2 => Just(None), 1 => any::<(prop::sample::Index, u8)>().prop_map(Some)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn requests_are_read_as_hyper_reads_them(messages in vec(request(), 1..4), slip in slip()) {
            let mut bytes = messages.concat();
            if let Some((place, byte)) = slip {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            is_read_like_hyper_reads_it(&bytes);
        }

        #[test]
        fn paths_are_normal_after_once(path in "/([a./\\\\%]|%2[eEfF5]|%5[cC]|%3[02]|%6[15]){0,12}(\\?[a/.%]{0,4})?") {
            is_normal_after_once(path.as_bytes());
        }

        #[test]
        fn any_path_is_normal_after_once(path in vec(any::<u8>(), 0..40)) {
            is_normal_after_once(&[b"/", &*path].concat());
        }
    }

    #[test]
    fn the_reference_reads_several_requests() {
        let two = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\
            POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\nT: 1\r\n\r\n";
        let (ours, hypers) = (ours(two), hypers(two));
        assert_eq!(ours.iter().map(|seen| &*seen.body).collect::<Vec<_>>(), [b"abc", b"xyz"]);
        assert_eq!(ours, hypers);
    }
}
