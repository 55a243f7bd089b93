//! What a provider of authorization decisions is asked, and what its answer means. Pure: who sends and receives is
//! `exchange::consult`.
//!
//! It guarantees that an answer that cannot be read, or says that the provider itself failed, is an error and no decision, and that
//! nothing of an answer becomes a header that frames messages or ends lines.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use prost::Message;

use crate::model::authz::{HttpCheck, Text};
use crate::proxy::filter::headers;
use crate::proxy::http1::encode::{add_line, add_number};
use crate::proxy::http1::head::{Head, Headers};
use crate::proxy::http1::{Name, Target};
use crate::wire::proto::envoy::service::auth::v3 as proto;

/// The method of the service that decides.
const CHECK: &[u8] = b"/envoy.service.auth.v3.Authorization/Check";

/// Bytes in front of a gRPC message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// What is known of a request when its provider is asked.
pub struct Asked<'a> {
    /// Its headers.
    pub headers: Headers<'a>,
    /// Its target.
    pub target: &'a Target,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// Its version, as Envoy writes it.
    pub protocol: &'static str,
    /// The other end of its connection.
    pub source: Option<SocketAddr>,
    /// Our end of it.
    pub destination: Option<SocketAddr>,
    /// Who the client has proved to be.
    pub principal: Option<&'a str>,
    /// Who it was proved to.
    pub own_principal: &'a str,
    /// The server name that it asked for.
    pub server_name: &'a [u8],
    /// Identifies the request.
    pub request_id: &'a [u8],
    /// What is shown of its body; `None`: nothing.
    pub body: Option<&'a [u8]>,
}

/// What a provider says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The request goes on, changed like this.
    Allowed(Changes),
    /// It is answered with this.
    Denied(Denial),
}

/// What an allowed request is sent on with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Headers that the request loses.
    pub remove: Vec<String>,
    /// Headers that it gets in place of those that it has.
    pub set: Vec<(String, Bytes)>,
    /// Headers that it gets beside those that it has.
    pub add: Vec<(String, Bytes)>,
    /// Headers that the response gets, in place of those that it has.
    pub response: Vec<(String, Bytes)>,
}

/// What a refused client gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// Its status; 403 where the provider names none that refuses.
    pub status: u16,
    /// Whole header lines.
    pub lines: Vec<u8>,
    /// The body.
    pub body: Bytes,
}

/// Why an answer is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// It failed.
    #[error("it answered with status {0}")]
    Status(u16),
    /// It speaks something else.
    #[error("its answer is no envoy.service.auth.v3.CheckResponse")]
    Malformed,
}

/// Headers that frame messages or belong to one connection: no provider sets them.
fn is_passed_on(name: &str) -> bool {
    const OURS: [&str; 11] = [
        "host",
        "connection",
        "content-length",
        "transfer-encoding",
        "te",
        "trailer",
        "upgrade",
        "keep-alive",
        "proxy-connection",
        "expect",
        "server",
    ];
    !OURS.contains(&name) && http::HeaderName::from_bytes(name.as_bytes()).is_ok()
}

fn is_value(value: &[u8]) -> bool {
    http::HeaderValue::from_bytes(value).is_ok()
}

/// The question over HTTP: the request's own method and path, and the headers that are chosen.
pub fn http_question(check: &HttpCheck, asked: &Asked<'_>, into: &mut Vec<u8>) {
    let Headers { head, bytes } = asked.headers;
    into.extend_from_slice(head.method.of(bytes));
    into.push(b' ');
    into.extend_from_slice(check.path_prefix.as_bytes());
    into.extend_from_slice(&asked.target.path_and_query);
    into.extend_from_slice(b" HTTP/1.1\r\n");
    add_line(into, "host", &asked.target.authority);
    add_number(into, "content-length", asked.body.map_or(0, |body| body.len() as u64));
    for field in head.fields.iter().filter(|field| field.kept && field.known != Name::Host) {
        let name = String::from_utf8_lossy(field.name.of(bytes)).to_ascii_lowercase();
        let is_replaced = check.additional_headers.iter().any(|(additional, _)| **additional == *name);
        if is_passed_on(&name) && !is_replaced && Text::any(&check.request_headers, &name) {
            add_line(into, &name, field.value.of(bytes));
        }
    }
    for (name, value) in check.additional_headers.iter().filter(|(name, _)| is_passed_on(name)) {
        add_line(into, name, value.as_bytes());
    }
    into.extend_from_slice(b"\r\n");
    into.extend_from_slice(asked.body.unwrap_or_default());
}

/// What an answer over HTTP means.
pub fn http_answer(check: &HttpCheck, head: &Head, bytes: &[u8], body: Bytes) -> Result<Answer, NoAnswer> {
    let mut lines: Vec<(String, Bytes)> = Vec::new();
    for field in head.fields.iter().filter(|field| field.kept) {
        let name = String::from_utf8_lossy(field.name.of(bytes)).to_ascii_lowercase();
        if is_passed_on(&name) && name != "date" {
            lines.push((name, Bytes::copy_from_slice(field.value.of(bytes))));
        }
    }
    let chosen = |names: &[Text]| lines.iter().filter(|(name, _)| Text::any(names, name)).cloned().collect();
    match head.status {
        200 => Ok(Answer::Allowed(Changes {
            set: chosen(&check.upstream_on_allow),
            response: chosen(&check.downstream_on_allow),
            ..Changes::default()
        })),
        500..=599 => Err(NoAnswer::Status(head.status)),
        status => {
            let mut denial = Denial { status: refusing(status.into()), lines: Vec::new(), body };
            // What a client needs to make sense of the status, whatever is chosen (Istio).
            const ALWAYS: [&str; 2] = ["www-authenticate", "location"];
            for (name, value) in &lines {
                let names = &check.downstream_on_deny;
                if names.is_empty() || ALWAYS.contains(&name.as_str()) || Text::any(names, name) {
                    add_line(&mut denial.lines, name, value);
                }
            }
            Ok(Answer::Denied(denial))
        }
    }
}

/// A status that refuses or redirects; 403 in place of another one.
fn refusing(status: i64) -> u16 {
    u16::try_from(status).ok().filter(|status| (300..600).contains(status)).unwrap_or(403)
}

/// The question over gRPC, as HTTP/1.1 would have it: the stream makes HTTP/2 of it.
pub fn grpc_question(authority: &str, as_bytes: bool, timeout_ms: u128, asked: &Asked<'_>, into: &mut Vec<u8>) {
    let message = check_request(as_bytes, asked).encode_to_vec();
    into.extend_from_slice(b"POST ");
    into.extend_from_slice(CHECK);
    into.extend_from_slice(b" HTTP/1.1\r\n");
    add_line(into, "host", authority.as_bytes());
    add_line(into, "content-type", b"application/grpc");
    add_line(into, "te", b"trailers");
    // At most eight digits (the gRPC protocol).
    add_line(into, "grpc-timeout", format!("{}m", timeout_ms.min(99_999_999)).as_bytes());
    add_number(into, "content-length", (PREFIX + message.len()) as u64);
    into.extend_from_slice(b"\r\n");
    into.push(0);
    into.extend_from_slice(&(message.len() as u32).to_be_bytes());
    into.extend_from_slice(&message);
}

fn check_request(as_bytes: bool, asked: &Asked<'_>) -> proto::CheckRequest {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let Headers { head, bytes } = asked.headers;
    let method = text(head.method.of(bytes));
    let path = text(&asked.target.path_and_query);
    let host = text(&asked.target.authority);
    let mut lines: BTreeMap<String, String> = [
        (":method".to_owned(), method.clone()),
        (":path".to_owned(), path.clone()),
        (":authority".to_owned(), host.clone()),
        (":scheme".to_owned(), asked.scheme.to_owned()),
    ]
    .into();
    for field in head.fields.iter().filter(|field| field.kept && field.known != Name::Host) {
        let value = text(field.value.of(bytes));
        let line = lines.entry(text(field.name.of(bytes)).to_ascii_lowercase());
        // Several lines of one name are one value (RFC 9110 section 5.3).
        line.and_modify(|before| {
            before.push(',');
            before.push_str(&value);
        })
        .or_insert(value);
    }
    let size = lines.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(-1);
    let peer = |address: Option<SocketAddr>, principal: &str| proto::Peer {
        address: address.map(|address| proto::Address {
            socket_address: Some(proto::SocketAddress {
                address: IpAddr::to_canonical(&address.ip()).to_string(),
                port_value: address.port().into(),
            }),
        }),
        principal: principal.to_owned(),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (body, raw_body) = match (asked.body, as_bytes) {
        (Some(body), true) => (String::new(), Bytes::copy_from_slice(body)),
        (Some(body), false) => (text(body), Bytes::new()),
        (None, _) => (String::new(), Bytes::new()),
    };
    let request = proto::HttpRequest {
        id: text(asked.request_id),
        method,
        headers: lines,
        path,
        host,
        scheme: asked.scheme.to_owned(),
        size,
        protocol: asked.protocol.to_owned(),
        body,
        raw_body,
    };
    proto::CheckRequest {
        attributes: Some(proto::AttributeContext {
            source: Some(peer(asked.source, asked.principal.unwrap_or_default())),
            destination: Some(peer(asked.destination, asked.own_principal)),
            request: Some(proto::Request {
                time: Some(proto::Time { seconds: now.as_secs() as i64, nanos: now.subsec_nanos() as i32 }),
                http: Some(request),
            }),
            tls_session: (!asked.server_name.is_empty()).then(|| proto::TlsSession { sni: text(asked.server_name) }),
        }),
    }
}

/// What an answer over gRPC means: `status` is that of HTTP, `body` the message with what is in front of it.
pub fn grpc_answer(status: u16, body: &[u8]) -> Result<Answer, NoAnswer> {
    if status != 200 {
        return Err(NoAnswer::Status(status));
    }
    let (prefix, rest) = body.split_at_checked(PREFIX).ok_or(NoAnswer::Malformed)?;
    let [0, length @ ..] = prefix else { return Err(NoAnswer::Malformed) };
    let length = length.try_into().map(u32::from_be_bytes).map_err(|_| NoAnswer::Malformed)?;
    let message = rest.get(..length as usize).filter(|message| message.len() == rest.len());
    let response = proto::CheckResponse::decode(message.ok_or(NoAnswer::Malformed)?);
    let response = response.map_err(|_| NoAnswer::Malformed)?;
    let code = response.status.as_ref().map_or(0, |status| status.code);
    match (code, response.http_response) {
        (0, None) => Ok(Answer::Allowed(Changes::default())),
        (0, Some(proto::check_response::HttpResponse::OkResponse(ok))) => {
            let (add, set) = options(ok.headers).partition::<Vec<_>, _>(|(_, _, adds)| *adds);
            let plain = |(name, value, _): (String, Bytes, bool)| (name, value);
            let remove = ok.headers_to_remove.into_iter().map(|name| name.to_ascii_lowercase());
            Ok(Answer::Allowed(Changes {
                remove: remove.filter(|name| is_passed_on(name)).collect(),
                set: set.into_iter().map(plain).collect(),
                add: add.into_iter().map(plain).collect(),
                response: options(ok.response_headers_to_add).map(plain).collect(),
            }))
        }
        // A denial with the code for success is none that anybody meant; neither is a success.
        (_, Some(proto::check_response::HttpResponse::DeniedResponse(denied))) => {
            let mut lines = Vec::new();
            for (name, value, _) in options(denied.headers) {
                add_line(&mut lines, &name, &value);
            }
            let status = denied.status.map_or(403, |status| refusing(status.code.into()));
            Ok(Answer::Denied(Denial { status, lines, body: denied.body.into() }))
        }
        (_, _) => Ok(Answer::Denied(Denial { status: 403, lines: Vec::new(), body: Bytes::new() })),
    }
}

/// (name, value, whether it is added to others) of the headers that may be passed on.
fn options(options: Vec<proto::HeaderValueOption>) -> impl Iterator<Item = (String, Bytes, bool)> {
    options.into_iter().filter_map(|option| {
        let header = option.header?;
        let name = header.key.to_ascii_lowercase();
        let value = if header.value.is_empty() { header.raw_value } else { header.value.into() };
        let adds = option.append.is_some_and(|append| append.value);
        (is_passed_on(&name) && is_value(&value)).then_some((name, value, adds))
    })
}

/// Makes the changes to a request.
pub fn change(changes: &Changes, head: &mut Head, bytes: &[u8], added: &mut Vec<u8>) {
    for name in &changes.remove {
        headers::remove(name, head, bytes, added);
    }
    // All lines of a name go before the first of the answer's comes: it may have several.
    for (name, _) in &changes.set {
        headers::remove(name, head, bytes, added);
    }
    for (name, value) in changes.set.iter().chain(&changes.add) {
        add_line(added, name, value);
    }
}

#[cfg(test)]
#[path = "ext_authz_tests.rs"]
mod tests;
