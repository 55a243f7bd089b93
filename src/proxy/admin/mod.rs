//! A proxy's own small surface, as a pure function: who hosts it decides where it listens and who may call it.
//!
//! It changes nothing by GET, shows no key and no token, and answers text and JSON that no browser takes for HTML.

mod application;
mod dump;
mod envoy;
mod stats;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use http::{Method, StatusCode, header};
use percent_encoding::percent_decode_str;
use tokio::sync::watch;

use crate::proxy::directory::Directory;
use crate::proxy::{Bound, Doors};
use crate::serve::{self, Body};
use crate::telemetry::Registry;

pub use application::{Application, ApplicationError};
pub use dump::{
    CertificateDump, ClusterDump, Dump, EndpointDump, ListenerDump, PolicyDump, RouteDump, RuleDump, Settings,
    TargetDump, UnknownDump,
};

/// A way into a proxy, and where it is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// For the workload, on its own address.
    Inbound {
        /// Where callers connect to.
        address: SocketAddr,
        /// Where the application listens.
        app: SocketAddr,
    },
    /// From the workload, as its HTTP proxy.
    Outbound {
        /// Where the workload connects to.
        address: SocketAddr,
    },
    /// For the workload, redirected by the kernel.
    InboundRedirected {
        /// Where to.
        address: SocketAddr,
    },
    /// From the workload, redirected by the kernel.
    OutboundRedirected {
        /// Where to.
        address: SocketAddr,
    },
}

/// The proxy that is asked about. A clone is another handle on the same proxy.
#[derive(Debug, Clone)]
pub struct Subject {
    /// What it knows.
    pub directory: Directory,
    /// What it has counted.
    pub registry: Registry,
    /// Its ways in, gateways left out.
    pub ways: Arc<[Way]>,
    /// Which ports of a gateway are served where.
    pub bound: watch::Receiver<Vec<Bound>>,
    /// Since when it is there.
    pub since: Instant,
    /// Its ways in, to be closed.
    pub doors: Doors,
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Method.
    pub method: &'a Method,
    /// Path, without query.
    pub path: &'a str,
    /// What is behind the `?`; empty where there is none.
    pub query: &'a str,
}

impl<'a> Request<'a> {
    /// A request for what a client names: a path, and a query behind `?`.
    pub fn of(method: &'a Method, path_and_query: &'a str) -> Self {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        Self { method, path, query }
    }

    /// The value of a parameter of the query, decoded; empty where it has none, `None` where it is not there.
    fn parameter(&self, name: &str) -> Option<Cow<'a, str>> {
        let mut parameters = self.query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let (_, value) = parameters.find(|(key, _)| *key == name)?;
        Some(percent_decode_str(value).decode_utf8_lossy())
    }

    fn wants_json(&self) -> bool {
        self.parameter("format").as_deref() == Some("json")
    }
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Status.
    pub status: StatusCode,
    /// Value of `content-type`.
    pub content_type: &'static str,
    /// Body.
    pub body: String,
    /// Whether the proxy was asked to end; the host drains it.
    pub quit: bool,
}

impl Response {
    /// An answer in words.
    pub fn text(status: StatusCode, body: impl Into<String>) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: body.into(), quit: false }
    }

    /// An answer for programs.
    fn json(value: &impl serde::Serialize) -> Self {
        let body = serde_json::to_string_pretty(value).unwrap_or_default() + "\n";
        Self { content_type: "application/json", ..Self::text(StatusCode::OK, body) }
    }

    /// The answer as HTTP carries it.
    pub fn into_http(self) -> http::Response<Body> {
        let mut response = http::Response::new(serve::full(self.body));
        *response.status_mut() = self.status;
        response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(self.content_type));
        response
    }
}

/// What is answered: path, how it is asked for, what it tells. `/logging` and the probes of an application are its host's.
const PATHS: [(&str, Answer, &str); 11] = [
    ("/certs", envoy::certs, "certificates, without keys, as Envoy writes them"),
    ("/clusters", envoy::clusters, "clusters, their limits and endpoints; ?format=json"),
    ("/config_dump", config_dump, "everything that the proxy holds, in mesh's own terms"),
    ("/healthz/ready", healthz, "whether it serves, and what it waits for"),
    ("/help", help, "this list"),
    ("/listeners", envoy::listeners, "ways in; ?format=json"),
    ("/ready", ready, "LIVE where it serves"),
    ("/server_info", envoy::server_info, "version, state and age"),
    ("/stats", stats::stats, "counts: ?filter=REGEX, ?usedonly, ?format=text, json or prometheus"),
    ("/stats/prometheus", prometheus, "metrics as Prometheus reads them"),
    ("/", help, "this list"),
];

type Answer = fn(&Request<'_>, &Subject) -> Response;

/// Answers a request about a proxy.
pub fn handle(request: Request<'_>, subject: &Subject) -> Response {
    if request.path == "/quitquitquit" {
        return match *request.method {
            Method::POST => Response { quit: true, ..Response::text(StatusCode::OK, "draining\n") },
            _ => Response::text(StatusCode::METHOD_NOT_ALLOWED, "ending a proxy takes a POST\n"),
        };
    }
    if request.path == "/drain_listeners" {
        if *request.method != Method::POST {
            return Response::text(StatusCode::METHOD_NOT_ALLOWED, "closing a proxy's listeners takes a POST\n");
        }
        subject.doors.close();
        return Response::text(StatusCode::OK, "OK\n");
    }
    let path = match request.path {
        "/" => "/",
        path => path.trim_end_matches('/'),
    };
    match PATHS.iter().find(|(known, ..)| *known == path) {
        Some(_) if !matches!(*request.method, Method::GET | Method::HEAD) => {
            Response::text(StatusCode::METHOD_NOT_ALLOWED, "this is read with GET\n")
        }
        Some((_, answer, _)) => answer(&request, subject),
        None => Response { status: StatusCode::NOT_FOUND, ..help(&request, subject) },
    }
}

fn help(_: &Request<'_>, _: &Subject) -> Response {
    let rows = PATHS.iter().filter(|(path, ..)| *path != "/");
    let mut list: String = rows.map(|(path, _, what)| format!("{path:18} {what}\n")).collect();
    list.push_str("/drain_listeners   takes no more connections, by POST\n");
    list.push_str("/quitquitquit      ends the proxy, by POST\n");
    Response::text(StatusCode::OK, list)
}

fn config_dump(_: &Request<'_>, subject: &Subject) -> Response {
    Response::json(&dump::dump(subject))
}

fn prometheus(_: &Request<'_>, subject: &Subject) -> Response {
    let text = Response::text(StatusCode::OK, subject.registry.render());
    Response { content_type: "text/plain; version=0.0.4", ..text }
}

fn healthz(_: &Request<'_>, subject: &Subject) -> Response {
    match *subject.directory.ready().borrow() {
        true => Response::text(StatusCode::OK, "ready\n"),
        false => Response::text(StatusCode::SERVICE_UNAVAILABLE, missing(&subject.directory)),
    }
}

/// Envoy's words for the same.
fn ready(_: &Request<'_>, subject: &Subject) -> Response {
    let status = if *subject.directory.ready().borrow() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Response::text(status, format!("{}\n", envoy::state(subject)))
}

/// What the proxy waits for.
fn missing(directory: &Directory) -> String {
    let parts = [
        ("its inbound policy", directory.inbound().is_none()),
        ("a certificate", directory.credentials().is_none()),
        ("the control plane", !directory.connected()),
    ];
    let waits: Vec<&str> = parts.iter().filter(|(_, missing)| *missing).map(|(name, _)| *name).collect();
    format!("not ready: waiting for {}\n", if waits.is_empty() { "its settings".into() } else { waits.join(", ") })
}

#[cfg(test)]
mod tests;
