//! Heads of HTTP/2 messages as text, and text as heads of HTTP/2 messages.

use std::io;
use std::mem::MaybeUninit;

use http::header::{
    CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, TE,
};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};

use crate::proxy::http1::Framing;
use crate::proxy::http1::encode::status_digits;
use crate::proxy::limits;

/// Headers that mean something to one HTTP/1.1 connection only; HTTP/2 forbids them (RFC 9113 section 8.2.2).
const CONNECTION_HEADERS: [&str; 6] =
    ["connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade", "http2-settings"];

/// Names that proxies put on most messages and that are none of the registered ones: as they are here, they need no room of
/// their own.
static OWN_NAMES: [HeaderName; 8] = [
    REQUEST_ID,
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-client-cert"),
    HeaderName::from_static("x-envoy-attempt-count"),
    HeaderName::from_static("x-envoy-upstream-service-time"),
    HeaderName::from_static("x-envoy-decorator-operation"),
    HeaderName::from_static("x-mesh-peer"),
];

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Writes a request's head. `has_body`: one follows.
pub(super) fn write_request(request: &http::request::Parts, has_body: bool, head: &mut Vec<u8>) {
    head.extend_from_slice(request.method.as_str().as_bytes());
    head.push(b' ');
    head.extend_from_slice(request.uri.path_and_query().map_or("/", |path| path.as_str()).as_bytes());
    head.extend_from_slice(b" HTTP/1.1\r\n");
    // The authority is what counts; a Host that says something else would give the request two readings.
    let authority = request.uri.authority().map(|authority| authority.as_str().as_bytes());
    if let Some(authority) = authority {
        line(head, b"host", authority);
    }
    fields(&request.headers, authority.is_some(), has_body, head);
}

/// Writes the head of a request that opens a WebSocket (RFC 8441) as one that asks for the same in HTTP/1.1. `key` is what a
/// client of HTTP/1.1 would have chosen.
pub(super) fn write_websocket(request: &http::request::Parts, key: &str, head: &mut Vec<u8>) {
    head.extend_from_slice(b"GET ");
    head.extend_from_slice(request.uri.path_and_query().map_or("/", |path| path.as_str()).as_bytes());
    head.extend_from_slice(b" HTTP/1.1\r\n");
    let authority = request.uri.authority().map(|authority| authority.as_str().as_bytes());
    line(head, b"host", authority.unwrap_or_default());
    line(head, b"connection", b"upgrade");
    line(head, b"upgrade", b"websocket");
    if !request.headers.contains_key(SEC_WEBSOCKET_KEY) {
        line(head, b"sec-websocket-key", key.as_bytes());
    }
    fields(&request.headers, true, false, head);
}

/// Writes a response's head. `has_body`: one follows, or would if the request's method had one.
pub(super) fn write_response(response: &http::response::Parts, has_body: bool, head: &mut Vec<u8>) {
    head.extend_from_slice(b"HTTP/1.1 ");
    head.extend(status_digits(response.status.as_u16()));
    head.push(b' ');
    head.extend_from_slice(response.status.canonical_reason().unwrap_or_default().as_bytes());
    head.extend_from_slice(b"\r\n");
    let without = response.status.is_informational() || matches!(response.status.as_u16(), 204 | 304);
    if !has_body && !without && !response.headers.contains_key(CONTENT_LENGTH) {
        line(head, b"content-length", b"0");
    }
    fields(&response.headers, false, has_body && !without, head);
}

fn fields(headers: &HeaderMap, host_is_said: bool, has_body: bool, head: &mut Vec<u8>) {
    let mut cookies: Vec<&[u8]> = Vec::new();
    for (name, value) in headers {
        match name.as_str() {
            "host" if host_is_said => {}
            // Pieces of one cookie header, which HTTP/1.1 has as one line (RFC 9113 section 8.2.3).
            "cookie" => cookies.push(value.as_bytes()),
            _ => line(head, name.as_str().as_bytes(), value.as_bytes()),
        }
    }
    if !cookies.is_empty() {
        line(head, b"cookie", &cookies.join(&b"; "[..]));
    }
    if has_body && !headers.contains_key(CONTENT_LENGTH) {
        line(head, b"transfer-encoding", b"chunked");
    }
    head.extend_from_slice(b"\r\n");
}

/// Writes the end of a chunked body.
pub(super) fn write_end(trailers: Option<&HeaderMap>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers.into_iter().flatten() {
        line(out, name.as_str().as_bytes(), value.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

fn line(head: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    head.extend_from_slice(name);
    head.extend_from_slice(b": ");
    head.extend_from_slice(value);
    head.extend_from_slice(b"\r\n");
}

fn broken<E: Into<Box<dyn std::error::Error + Send + Sync>>>(error: E) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// What a request asks for. Bytes that HTTP/1.1 clients send as they are and that no URI may hold (RFC 3986 appendix A) are escaped: the
/// library takes none of some, and ends the path at another.
fn path_and_query(path: &str) -> io::Result<PathAndQuery> {
    let is_foreign = |byte: &u8| matches!(byte, b'"' | b'#' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}');
    if !path.bytes().any(|byte| is_foreign(&byte)) {
        return PathAndQuery::try_from(path).map_err(broken);
    }
    let mut escaped = String::with_capacity(path.len() * 3);
    for byte in path.bytes() {
        if is_foreign(&byte) {
            escaped.push_str(&format!("%{byte:02X}"));
        } else {
            escaped.push(char::from(byte));
        }
    }
    PathAndQuery::try_from(escaped).map_err(broken)
}

/// Reads a request's head that an exchange wrote.
pub(super) fn read_request(head: &[u8], scheme: Scheme) -> io::Result<(Request<()>, Framing)> {
    let mut room = [const { MaybeUninit::uninit() }; limits::MAX_HEADERS * 2];
    let mut parsed = httparse::Request::new(&mut []);
    let config = httparse::ParserConfig::default();
    config.parse_request_with_uninit_headers(&mut parsed, head, &mut room).map_err(broken)?;
    let (mut headers, framing) = read_fields(parsed.headers)?;
    let authority = headers.remove(HOST).ok_or_else(|| broken("there is no host"))?;
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(scheme);
    parts.authority = Some(Authority::try_from(authority.as_bytes()).map_err(broken)?);
    parts.path_and_query = Some(match parsed.path {
        Some(path) => path_and_query(path)?,
        None => PathAndQuery::from_static("/"),
    });
    let uri = Uri::from_parts(parts).map_err(broken)?;
    if headers.get(CONTENT_TYPE).is_some_and(|media| media.as_bytes().starts_with(b"application/grpc")) {
        // gRPC demands it of every hop.
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(parsed.method.unwrap_or_default().as_bytes()).map_err(broken)?;
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = headers;
    Ok((request, framing))
}

/// Reads a response's head that an exchange wrote.
pub(super) fn read_response(head: &[u8], to_head: bool) -> io::Result<(Response<()>, Framing)> {
    let mut room = [const { MaybeUninit::uninit() }; limits::MAX_HEADERS * 2];
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    config.parse_response_with_uninit_headers(&mut parsed, head, &mut room).map_err(broken)?;
    let (mut headers, framing) = read_fields(parsed.headers)?;
    let status = parsed.code.unwrap_or_default();
    let without_body = to_head || matches!(status, 100..200 | 204 | 304);
    let is_grpc = headers.get(CONTENT_TYPE).is_some_and(|media| media.as_bytes().starts_with(b"application/grpc"));
    if is_grpc && framing == Framing::None {
        headers.remove(CONTENT_LENGTH);
    }
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(status).map_err(broken)?;
    *response.version_mut() = Version::HTTP_2;
    *response.headers_mut() = headers;
    Ok((response, if without_body { Framing::None } else { framing }))
}

/// A response that grants a WebSocket, as HTTP/2 says it (RFC 8441 section 5.1): 200, and bytes until the stream ends.
pub(super) fn granted(mut response: Response<()>) -> (Response<()>, Framing) {
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().remove(SEC_WEBSOCKET_ACCEPT);
    (response, Framing::UntilClose)
}

/// The table of fields. Values are copied: one that shared its head's bytes would keep all of them in the compression table.
fn read_fields(parsed: &[httparse::Header<'_>]) -> io::Result<(HeaderMap, Framing)> {
    let mut headers = HeaderMap::with_capacity(parsed.len());
    let mut framing = Framing::None;
    for header in parsed {
        let own = OWN_NAMES.iter().find(|own| own.as_str() == header.name);
        let name = own.map_or_else(|| HeaderName::from_bytes(header.name.as_bytes()), |own| Ok(own.clone()));
        let name = name.map_err(broken)?;
        if name == "transfer-encoding" {
            framing = Framing::Chunked;
        }
        if CONNECTION_HEADERS.contains(&name.as_str()) || name == TE {
            continue;
        }
        if name == CONTENT_LENGTH {
            let length = std::str::from_utf8(header.value).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
            framing = if length == 0 { Framing::None } else { Framing::Length(length) };
        }
        let mut value = HeaderValue::from_bytes(header.value).map_err(broken)?;
        // No two are the same: remembering them would only push out of the peer's table what comes again.
        value.set_sensitive(name == REQUEST_ID);
        headers.append(name, value);
    }
    Ok((headers, framing))
}

/// Reads a line of trailers.
pub(super) fn read_trailer(line: &[u8], trailers: &mut HeaderMap) -> io::Result<()> {
    let colon = line.iter().position(|byte| *byte == b':').ok_or_else(|| broken("a trailer has no colon"))?;
    let (name, value) = line.split_at_checked(colon).ok_or_else(|| broken("a trailer has no colon"))?;
    let value = value.get(1..).unwrap_or_default().trim_ascii();
    let name = HeaderName::from_bytes(name).map_err(broken)?;
    trailers.append(name, HeaderValue::from_bytes(value).map_err(broken)?);
    Ok(())
}
