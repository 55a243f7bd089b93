//! echo-basic: the backend of the Gateway API's conformance suite. It says what it was asked, so that a test sees what a gateway did.
//!
//! One image, three servers, as its variables say: HTTP (with HTTP/2, and TLS where it has a certificate), gRPC
//! (`GRPC_ECHO_SERVER`), or lines over TCP (`TCP_ECHO_SERVER`).
//!
//! Guarantees: the paths and fields that the suite reads: `/status/CODE`, `/retry/…` (fails as often as it is asked to), `/ws`
//! (sends messages back), `?delay=`, `X-Echo-Set-Header`, and what TLS agreed on. Refuses: datagrams.

mod grpc;
mod lines;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Map, Value, json};
use tokio::time::timeout;

pub(super) use self::lines::serve as serve_lines;
use super::app::{Port, tls_of_files};
use super::context::{AppContext, Environment};
use super::echo::{fields, host, protocol, query, target, text_of};
use super::server::log_line;
use super::websocket::{self, Socket};
use super::{httpbin, reply};
use crate::serve::{self, Body, Connection};

const GRPC: &str = "GRPC_ECHO_SERVER";
const TCP: &str = "TCP_ECHO_SERVER";
/// Ports by the server's kind: variable, number where it is not set, whether it has TLS.
const HTTP_PORTS: &[(&str, u16, bool)] = &[("HTTP_PORT", 3000, false), ("H2C_PORT", 3001, false), HTTPS];
const GRPC_PORTS: &[(&str, u16, bool)] = &[("HTTP_PORT", 3000, false), HTTPS];
const TCP_PORTS: &[(&str, u16, bool)] = &[("TCP_PORT", 3000, false), ("TLS_PORT", 8443, true)];
const HTTPS: (&str, u16, bool) = ("HTTPS_PORT", 8443, true);

/// Whether it serves lines over TCP.
pub(super) fn speaks_lines(context: &AppContext) -> bool {
    !context.shown(TCP).is_empty() && context.shown(GRPC).is_empty()
}

/// Where it listens; with TLS where it was given a certificate and a key.
pub(super) fn listens(environment: &Environment) -> Result<Vec<Port>, String> {
    let given = |name| Some(environment.shown(name)).filter(|value| !value.is_empty());
    let (ports, alpn): (_, &[&[u8]]) = match (given(GRPC), given(TCP)) {
        (Some(_), _) => (GRPC_PORTS, &[b"h2"]),
        (None, Some(_)) => (TCP_PORTS, &[]),
        (None, None) => (HTTP_PORTS, &[b"h2", b"http/1.1"]),
    };
    // HTTP's manifests write one name of the key's variable, the others' another.
    let key = given("TLS_SERVER_PRIVKEY").or_else(|| given("TLS_SERVER_PRIV_KEY"));
    let tls = match (given("TLS_SERVER_CERT"), key) {
        (Some(chain), Some(key)) => Some(tls_of_files(chain, key, given("TLS_CLIENT_CACERTS"), alpn)?),
        _ => None,
    };
    let mut listens = Vec::new();
    for (variable, number, secure) in ports {
        let number = match given(variable) {
            Some(text) => text.parse().map_err(|_| format!("{variable} is {text:?}: expected a port"))?,
            None => *number,
        };
        if !*secure {
            listens.push(Port::from(number));
        } else if let Some(tls) = &tls {
            listens.push(Port { number, tls: Some(tls.clone()) });
        }
    }
    Ok(listens)
}

pub(super) async fn handle(port: u16, context: &AppContext, request: Request<Bytes>) -> Response<Body> {
    if !context.shown(GRPC).is_empty() {
        return grpc::handle(context, &request).map(serve::full);
    }
    let path = request.uri().path();
    let whole = match path {
        "/health" => reply::text(StatusCode::OK, "OK"),
        "/ws" => return websocket::accept(context, request, send_back),
        _ if let Some(code) = path.strip_prefix("/status/") => {
            reply::text(code.parse().unwrap_or(StatusCode::BAD_REQUEST), Bytes::new())
        }
        _ if path.starts_with("/retry/") => match failure(context, &request).await {
            Some(Failure::Status(status)) => reply::text(status, Bytes::new()),
            Some(Failure::Cut) => return cut(),
            None => said(port, context, &request).await,
        },
        _ => said(port, context, &request).await,
    };
    whole.map(serve::full)
}

/// Sends messages back until the client goes, or is silent for too long.
async fn send_back(mut socket: Socket) {
    while let Ok(Some(Ok(message))) = timeout(websocket::IDLE, socket.next()).await {
        if message.is_close() || socket.send(message).await.is_err() {
            return;
        }
    }
}

/// How a try fails.
enum Failure {
    /// With a response.
    Status(StatusCode),
    /// With a connection that ends before there is one.
    Cut,
}

/// How this try fails: the first `succeedAfter` tries of the request that calls itself `uuid` do, with `responseCode` or else
/// without a response, after `delayRetry`.
async fn failure(context: &AppContext, request: &Request<Bytes>) -> Option<Failure> {
    let (Some(id), Some(fails)) =
        (query(request, "uuid"), query(request, "succeedAfter").and_then(|count| count.parse::<u32>().ok()))
    else {
        return Some(Failure::Status(StatusCode::BAD_REQUEST));
    };
    if context.tried(&id) >= fails {
        return None;
    }
    pause(request, "delayRetry").await;
    let status = query(request, "responseCode").and_then(|code| code.parse().ok());
    Some(status.map_or(Failure::Cut, Failure::Status))
}

/// A response whose body fails at once, so that the connection ends before a byte of it is written.
fn cut() -> Response<Body> {
    let failing = futures_util::stream::once(async { Err::<_, serve::BodyError>("cut off, as it was asked".into()) });
    Response::new(http_body_util::StreamBody::new(failing).boxed_unsync())
}

async fn pause(request: &Request<Bytes>, parameter: &str) {
    if let Some(delay) = query(request, parameter).and_then(|delay| delay.parse::<crate::resources::Duration>().ok()) {
        tokio::time::sleep(delay.get().min(httpbin::DELAY_LIMIT)).await;
    }
}

/// JSON of what came.
async fn said(port: u16, context: &AppContext, request: &Request<Bytes>) -> Response<Bytes> {
    let connection = request.extensions().get::<Connection>();
    let peer = connection.map(|connection| connection.peer.to_string()).unwrap_or_default();
    // Tests look for it.
    log_line(&format!("Echoing back request made to {} to client ({peer})", target(request)));
    pause(request, "delay").await;
    let headers: Map<String, Value> = fields(request.headers()).map(|(name, values)| (name, json!(values))).collect();
    let mut body = json!({
        "path": target(request),
        "host": host(request),
        "method": request.method().as_str(),
        "proto": protocol(request.version()),
        "headers": headers,
        "httpPort": port.to_string(),
    });
    about(context, &mut body);
    if let Some((connection, session)) = connection.and_then(|known| Some((known, known.session.as_ref()?))) {
        body["tls"] = json!({
            "version": session.version,
            "serverName": session.server_name,
            "negotiatedProtocol": session.protocol,
            "cipherSuite": session.suite,
            "peerCertificates": certificates(connection),
        });
    }
    let mut response = reply::pretty(&body);
    set_asked(request.headers(), response.headers_mut());
    response
}

/// Who answers.
fn about(context: &AppContext, body: &mut Value) {
    body["namespace"] = context.shown("NAMESPACE").into();
    body["ingress"] = context.shown("INGRESS_NAME").into();
    body["service"] = context.shown("SERVICE_NAME").into();
    body["pod"] = context.environment.pod_name.as_str().into();
}

/// What the peer showed, as PEM, leaf first.
fn certificates(connection: &Connection) -> Vec<String> {
    let shown = connection.certificates.as_deref().unwrap_or_default();
    shown.iter().map(|certificate| crate::identity::certificate_pem(certificate)).collect()
}

/// `X-Echo-Set-Header: name:value, …` adds fields to the answer; one name's values are joined by commas.
fn set_asked(asked: &HeaderMap, answer: &mut HeaderMap) {
    for pairs in asked.get_all("x-echo-set-header") {
        for pair in text_of(pairs).split(',') {
            let (name, value) = pair.trim().split_once(':').unwrap_or((pair.trim(), ""));
            let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else { continue };
            let joined = match answer.get(&name) {
                Some(before) => format!("{},{}", text_of(before), value.trim()),
                None => value.trim().to_owned(),
            };
            if let Ok(value) = HeaderValue::from_str(&joined) {
                answer.insert(name, value);
            }
        }
    }
}
