use super::*;
use crate::proxy::http1::body::Framing;
use crate::proxy::http1::target::{Target, read_target};

/// Reads a request as a listener does: search, head, target.
fn read(message: &[u8]) -> Result<(Head, Target), Refusal> {
    let length = match find_head(message, 0)? {
        HeadEnd::At(length) => length,
        HeadEnd::Beyond(_) => panic!("incomplete: {}", message.escape_ascii()),
    };
    let (mut head, mut target) = (Head::default(), Target::default());
    parse_request(&message[..length], false, &mut head)?;
    read_target(&head, &message[..length], &mut target)?;
    Ok((head, target))
}

#[test]
fn requests_with_two_readings_or_none_are_refused() {
    let long_host = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", "a".repeat(256));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "x: y\r\n".repeat(100));
    let table: &[(&str, &str, Refusal)] = &[
        (
            "length and chunks",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            Refusal::LengthAndEncoding,
        ),
        (
            "chunks and length",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
            Refusal::LengthAndEncoding,
        ),
        (
            "differing lengths",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            Refusal::SeveralContentLengths,
        ),
        (
            "equal lengths",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
            Refusal::SeveralContentLengths,
        ),
        ("list of lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n", Refusal::ContentLength),
        ("signed length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n", Refusal::ContentLength),
        ("negative length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", Refusal::ContentLength),
        ("hexadecimal length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\n", Refusal::ContentLength),
        ("empty length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", Refusal::ContentLength),
        (
            "overflowing length",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
            Refusal::ContentLength,
        ),
        (
            "repeated encoding",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            Refusal::TransferEncoding,
        ),
        (
            "unknown encoding",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            Refusal::UnknownEncoding,
        ),
        (
            "identity encoding",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
            Refusal::UnknownEncoding,
        ),
        (
            "encoding with a tab",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n",
            Refusal::HeaderValue,
        ),
        ("bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", Refusal::BareLineEnd),
        ("bare LF in a header", "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", Refusal::BareLineEnd),
        ("bare LFs at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n", Refusal::BareLineEnd),
        ("bare CR in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", Refusal::BareLineEnd),
        ("bare CR in the target", "GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::BareLineEnd),
        ("CR CR LF", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", Refusal::BareLineEnd),
        ("folded line", "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", Refusal::HeaderName),
        ("folded first header", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", Refusal::HeaderName),
        ("no host", "GET / HTTP/1.1\r\nX: y\r\n\r\n", Refusal::NoHost),
        ("two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Refusal::SeveralHosts),
        ("two hosts, absolute target", "GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", Refusal::SeveralHosts),
        ("space before a colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", Refusal::HeaderName),
        ("tab before a colon", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length\t: 5\r\n\r\n", Refusal::HeaderName),
        ("empty header name", "GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", Refusal::HeaderName),
        ("header without a colon", "GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n", Refusal::HeaderName),
        ("NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", Refusal::HeaderValue),
        ("NUL in a name", "GET / HTTP/1.1\r\nHost: a\r\nX\0: b\r\n\r\n", Refusal::HeaderName),
        ("NUL in the target", "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::FirstLine),
        ("escaped NUL", "GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Target),
        ("control byte in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n", Refusal::HeaderValue),
        ("fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Fragment),
        ("relative target", "GET a HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Target),
        ("asterisk without OPTIONS", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Target),
        ("https target", "GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Scheme),
        ("user in the target", "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Host),
        ("absolute target without host", "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Host),
        ("bytes beyond ASCII in the target", "GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Target),
        ("host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Refusal::Host),
        ("host with a comma", "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", Refusal::Host),
        ("host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", Refusal::Host),
        ("host with a user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", Refusal::Host),
        ("host with an empty label", "GET / HTTP/1.1\r\nHost: a..b\r\n\r\n", Refusal::Host),
        ("host that is a dot", "GET / HTTP/1.1\r\nHost: .\r\n\r\n", Refusal::Host),
        ("long host", &long_host, Refusal::Host),
        ("half an address", "GET / HTTP/1.1\r\nHost: 127.1\r\n\r\n", Refusal::Host),
        ("address with a zone", "GET / HTTP/1.1\r\nHost: [fe80::1%eth0]\r\n\r\n", Refusal::Host),
        ("address without an end", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", Refusal::Host),
        ("port 0", "GET / HTTP/1.1\r\nHost: a:0\r\n\r\n", Refusal::Host),
        ("port 65536", "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", Refusal::Host),
        ("port that is no number", "GET / HTTP/1.1\r\nHost: a:8x\r\n\r\n", Refusal::Host),
        ("empty port", "GET / HTTP/1.1\r\nHost: a:\r\n\r\n", Refusal::Host),
        ("malformed host under an absolute target", "GET http://a/ HTTP/1.1\r\nHost: a b\r\n\r\n", Refusal::Host),
        ("HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\n\r\n", Refusal::Http10),
        ("HTTP/2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", Refusal::Version),
        ("lower-case version", "GET / http/1.1\r\nHost: a\r\n\r\n", Refusal::Version),
        ("no version", "GET /\r\nHost: a\r\n\r\n", Refusal::FirstLine),
        ("two spaces before the target", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::FirstLine),
        ("method with a slash", "GE/T / HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::FirstLine),
        ("CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", Refusal::Connect),
        (
            "unknown expectation",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 200-ok\r\n\r\n",
            Refusal::Expectation,
        ),
        (
            "upgrade with a body",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\n",
            Refusal::UpgradeWithBody,
        ),
        ("101 header lines", &many, Refusal::TooManyHeaders),
    ];
    for (what, message, expected) in table {
        assert_eq!(read(message.as_bytes()).err(), Some(*expected), "{what}: {}", message.escape_debug());
        assert!(expected.status() >= 400, "{what}");
    }
    assert!(table.len() >= 40);
}

#[test]
fn a_head_over_the_limit_is_refused_before_it_is_complete() {
    let message = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "a".repeat(limits::MAX_HEAD));
    assert_eq!(find_head(message.as_bytes(), 0), Err(Refusal::HeadTooLarge));
    assert_eq!(Refusal::HeadTooLarge.status(), 431);
}

#[test]
fn a_head_that_comes_byte_by_byte_ends_where_it_ends() {
    let message = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
    let mut scanned = 0;
    for length in 0..message.len() {
        match find_head(&message[..length], scanned).expect("well-formed") {
            HeadEnd::Beyond(so_far) => scanned = so_far,
            HeadEnd::At(end) => {
                assert_eq!((end, length), (27, 27));
                return;
            }
        }
    }
    panic!("no end was found");
}

#[test]
fn hop_by_hop_headers_are_dropped_and_the_others_kept_as_they_came() {
    let message = b"GET /x HTTP/1.1\r\nHost: A.b:80\r\nConnection: keep-alive, X-Private, Host, x-forwarded-for\r\nKeep-Alive: 5\r\n\
        X-Private: 1\r\nX-Forwarded-For: 10.0.0.1\r\nTE: trailers\r\nProxy-Authorization: Basic x\r\nx-Odd-CASE:   v  \r\n\r\n";
    let (head, target) = read(message).expect("well-formed");
    let mut written = Vec::new();
    let line = crate::proxy::http1::RequestLine { method: b"GET", path_and_query: &target.path_and_query };
    crate::proxy::http1::write_request(line, &head, message, b"x-added: 1\r\n", &mut written);
    assert_eq!(
        String::from_utf8_lossy(&written),
        "GET /x HTTP/1.1\r\nHost: A.b:80\r\nX-Forwarded-For: 10.0.0.1\r\nx-Odd-CASE:   v  \r\nx-added: 1\r\n\r\n"
    );
    assert!(!head.close);
}

#[test]
fn only_a_websocket_upgrade_is_one() {
    let message = |upgrade: &str, connection: &str| {
        format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: {connection}\r\nUpgrade: {upgrade}\r\n\r\n")
    };
    for (upgrade, connection, expected) in [
        ("websocket", "Upgrade", true),
        ("WebSocket", "keep-alive, upgrade", true),
        ("websocket", "keep-alive", false),
        ("h2c", "Upgrade, HTTP2-Settings", false),
    ] {
        let (head, _) = read(message(upgrade, connection).as_bytes()).expect("well-formed");
        assert_eq!(head.websocket, expected, "{upgrade} {connection}");
    }
}

#[test]
fn responses_are_framed_by_method_and_status() {
    for (method, message, expected) in [
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Framing::Length(5)),
        ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Framing::Chunked),
        ("GET", "HTTP/1.1 200 OK\r\n\r\n", Framing::UntilClose),
        ("GET", "HTTP/1.0 200\r\n\r\n", Framing::UntilClose),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Framing::None),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", Framing::None),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", Framing::None),
        ("GET", "HTTP/1.1 100 Continue\r\n\r\n", Framing::None),
    ] {
        let mut head = Head::default();
        parse_response(message.as_bytes(), method.as_bytes(), &mut head).expect(message);
        assert_eq!(head.framing, expected, "{method} {message}");
    }
}

#[test]
fn responses_with_two_readings_are_refused() {
    for message in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 099 Odd\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX : y\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
    ] {
        let mut head = Head::default();
        assert!(parse_response(message.as_bytes(), b"GET", &mut head).is_err(), "{message}");
    }
}

#[test]
fn a_204_does_not_carry_a_length_on() {
    let message = b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n";
    let mut head = Head::default();
    parse_response(message, b"GET", &mut head).expect("well-formed");
    let mut written = Vec::new();
    crate::proxy::http1::write_response(&head, message, b"", &mut written);
    assert_eq!(written, b"HTTP/1.1 204 No Content\r\n\r\n");
}

proptest::proptest! {
    #[test]
    fn no_bytes_panic(message in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
        if let Ok(HeadEnd::At(length)) = find_head(&message, 0) {
            let (mut head, mut target) = (Head::default(), Target::default());
            if parse_request(&message[..length], true, &mut head).is_ok() {
                let _ = read_target(&head, &message[..length], &mut target);
            }
            let _ = parse_response(&message[..length], b"GET", &mut head);
        }
    }
}
