//! A proxy's own small surface, as a pure function: who hosts it decides where it listens and who may call it.
//!
//! It changes nothing by GET, shows no key and no token, and answers text and JSON that no browser takes for HTML.

mod application;
mod dump;

use std::net::SocketAddr;
use std::sync::Arc;

use http::{Method, StatusCode, header};
use tokio::sync::watch;

use crate::proxy::Bound;
use crate::proxy::directory::Directory;
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
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Method.
    pub method: &'a Method,
    /// Path, without query.
    pub path: &'a str,
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

    /// The answer as HTTP carries it.
    pub fn into_http(self) -> http::Response<Body> {
        let mut response = http::Response::new(serve::full(self.body));
        *response.status_mut() = self.status;
        response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(self.content_type));
        response
    }
}

/// Answers a request about a proxy.
pub fn handle(request: Request<'_>, subject: &Subject) -> Response {
    let Subject { directory, registry, .. } = subject;
    let is_read = matches!(*request.method, Method::GET | Method::HEAD);
    match request.path {
        "/quitquitquit" if *request.method == Method::POST => {
            Response { quit: true, ..Response::text(StatusCode::OK, "draining\n") }
        }
        "/quitquitquit" => Response::text(StatusCode::METHOD_NOT_ALLOWED, "ending a proxy takes a POST\n"),
        "/healthz/ready" | "/stats/prometheus" | "/config_dump" if !is_read => {
            Response::text(StatusCode::METHOD_NOT_ALLOWED, "this is read with GET\n")
        }
        "/healthz/ready" if *directory.ready().borrow() => Response::text(StatusCode::OK, "ready\n"),
        "/healthz/ready" => Response::text(StatusCode::SERVICE_UNAVAILABLE, missing(directory)),
        "/stats/prometheus" => {
            Response { content_type: "text/plain; version=0.0.4", ..Response::text(StatusCode::OK, registry.render()) }
        }
        "/config_dump" => Response {
            content_type: "application/json",
            ..Response::text(
                StatusCode::OK,
                serde_json::to_string_pretty(&dump::dump(subject)).unwrap_or_default() + "\n",
            )
        },
        _ => {
            let known = "there are /healthz/ready, /stats/prometheus, /config_dump and, by POST, /quitquitquit\n";
            Response::text(StatusCode::NOT_FOUND, known)
        }
    }
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
mod tests {
    use super::*;
    use crate::proxy::directory::FixedDirectory;

    fn ask(method: Method, path: &str) -> Response {
        let (_sender, bound) = watch::channel(Vec::new());
        let directory = Directory::fixed(FixedDirectory::default());
        let subject = Subject { directory, registry: Registry::default(), ways: Arc::from([]), bound };
        handle(Request { method: &method, path }, &subject)
    }

    #[test]
    fn only_a_post_ends_a_proxy() {
        assert!(ask(Method::POST, "/quitquitquit").quit);
        let refused = ask(Method::GET, "/quitquitquit");
        assert!(!refused.quit && refused.status == StatusCode::METHOD_NOT_ALLOWED);
    }

    #[test]
    fn the_dump_is_json_and_the_rest_is_said() {
        let dump: Dump = serde_json::from_str(&ask(Method::GET, "/config_dump").body).expect("JSON");
        assert!(dump.ready && dump.listeners.is_empty() && dump.settings.outbound_mode == "REGISTRY_ONLY");
        assert_eq!(ask(Method::GET, "/x").status, StatusCode::NOT_FOUND);
        assert!(ask(Method::GET, "/stats/prometheus").body.contains("istio_requests_total"));
    }
}
