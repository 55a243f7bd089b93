//! ext-authz: the server that Istio's guide to external authorization asks.
//!
//! Guarantees: a request with `x-ext-authz: allow` is allowed, every other is refused with 403 and a sentence; over HTTP and over
//! gRPC (`envoy.service.auth.v3`) alike. What was asked is said in the log and, on both ways, in `x-ext-authz-check-received`.

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use prost::Message;

use super::reply;
use super::server::log_line;
use crate::wire::proto::envoy::service::auth::v3::{
    CheckRequest, CheckResponse, DeniedHttpResponse, HeaderValue as NamedValue, HeaderValueOption, HttpStatus,
    OkHttpResponse, Status, check_response::HttpResponse,
};

const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";
const ASKED: &str = "x-ext-authz";
const ALLOWED: &str = "allow";
const RESULT: &str = "x-ext-authz-check-result";
const RECEIVED: &str = "x-ext-authz-check-received";
const OVERRIDE: &str = "x-ext-authz-additional-header-override";
/// The service account that is let in without the header, over gRPC.
const SERVICE_ACCOUNT: &str = "/sa/a";
const DENIED: &str = "denied by ext_authz for not found header `x-ext-authz: allow` in the request";
/// Length of what is repeated in a header.
const SHOWN: usize = 2048;
/// Flag and length before a gRPC message.
pub(in crate::runtime) const GRPC_PREFIX: usize = 5;
const PERMISSION_DENIED: i32 = 7;
pub(super) const UNIMPLEMENTED: &str = "12";
pub(super) const INVALID_ARGUMENT: &str = "3";

pub(super) fn handle(request: &Request<Bytes>) -> Response<Bytes> {
    if is_grpc(request) { check_grpc(request) } else { check_http(request) }
}

pub(super) fn is_grpc(request: &Request<Bytes>) -> bool {
    let content_type = request.headers().get(CONTENT_TYPE);
    content_type.is_some_and(|content_type| content_type.as_bytes().starts_with(b"application/grpc"))
}

fn check_http(request: &Request<Bytes>) -> Response<Bytes> {
    let headers = request.headers();
    let allowed = headers.get(ASKED).is_some_and(|value| value == ALLOWED);
    let host = headers.get("host").map(|host| String::from_utf8_lossy(host.as_bytes())).unwrap_or_default();
    let named: Vec<_> =
        headers.iter().map(|(name, value)| format!("{name}:[{}]", String::from_utf8_lossy(value.as_bytes()))).collect();
    let body = String::from_utf8_lossy(request.body()).into_owned();
    let received =
        format!("{} {host}{}, headers: map[{}], body: [{body}]", request.method(), request.uri(), named.join(" "));
    log_line(&format!("[HTTP][{}]: {received}", result(allowed)));
    let mut response =
        if allowed { reply::text(StatusCode::OK, Bytes::new()) } else { reply::text(StatusCode::FORBIDDEN, DENIED) };
    let given = headers.get(OVERRIDE).cloned().unwrap_or_else(|| HeaderValue::from_static(""));
    let answer = response.headers_mut();
    answer.insert(RESULT, HeaderValue::from_static(result(allowed)));
    answer.insert(OVERRIDE, given);
    if let Ok(received) = HeaderValue::from_str(&shown(&received)) {
        answer.insert(RECEIVED, received);
    }
    response
}

const fn result(allowed: bool) -> &'static str {
    if allowed { "allowed" } else { "denied" }
}

/// What fits into a header.
fn shown(text: &str) -> String {
    text.chars().take(SHOWN).map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}

fn check_grpc(request: &Request<Bytes>) -> Response<Bytes> {
    if request.uri().path() != CHECK {
        return grpc(UNIMPLEMENTED, Bytes::new());
    }
    let message = request.body().get(GRPC_PREFIX..).unwrap_or_default();
    let Ok(check) = CheckRequest::decode(message) else { return grpc(INVALID_ARGUMENT, Bytes::new()) };
    let attributes = check.attributes.unwrap_or_default();
    let http = attributes.request.as_ref().and_then(|request| request.http.as_ref());
    let allowed = match http.and_then(|http| http.headers.get(ASKED)) {
        Some(value) => value == ALLOWED,
        None => attributes.source.as_ref().is_some_and(|source| source.principal.ends_with(SERVICE_ACCOUNT)),
    };
    let received = format!("{attributes:?}");
    let (host, path) = http.map_or(("", ""), |http| (http.host.as_str(), http.path.as_str()));
    log_line(&format!("[gRPCv3][{}]: {host}{path}, attributes: {received}", result(allowed)));
    let set = |name: &str, value: &str| HeaderValueOption {
        header: Some(NamedValue { key: name.to_owned(), value: value.to_owned(), ..NamedValue::default() }),
        append: None,
    };
    let headers = vec![
        set(RESULT, result(allowed)),
        set(RECEIVED, &shown(&received)),
        set(OVERRIDE, "grpc-additional-header-override-value"),
    ];
    let (code, response) = if allowed {
        (0, HttpResponse::OkResponse(OkHttpResponse { headers, ..OkHttpResponse::default() }))
    } else {
        let status = Some(HttpStatus { code: i32::from(StatusCode::FORBIDDEN.as_u16()) });
        let body = DENIED.to_owned();
        (PERMISSION_DENIED, HttpResponse::DeniedResponse(DeniedHttpResponse { status, headers, body }))
    };
    let status = Some(Status { code, ..Status::default() });
    let response = CheckResponse { status, http_response: Some(response) };
    grpc("0", framed(&response))
}

/// A message as gRPC sends it, not compressed.
pub(in crate::runtime) fn framed(message: &impl Message) -> Bytes {
    let mut framed = BytesMut::with_capacity(GRPC_PREFIX + message.encoded_len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.encoded_len()).unwrap_or(u32::MAX));
    framed.put(Bytes::from(message.encode_to_vec()));
    framed.freeze()
}

/// A gRPC response; the server sends its status at the end.
pub(super) fn grpc(status: &'static str, message: Bytes) -> Response<Bytes> {
    let mut response = Response::new(message);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response.headers_mut().insert("grpc-status", HeaderValue::from_static(status));
    response
}
