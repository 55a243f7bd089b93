//! What the control plane tells about itself over HTTP: readiness, metrics, and how far each proxy is.
//!
//! It changes nothing and shows no configuration. Who is connected is told on the same machine only (in a cluster that is
//! `kubectl port-forward` or `exec`, which the API server has authorized).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};

use crate::serve::{Body, Connection, Service, full, handler};

use super::{ControlPlane, ProxyStatus};

/// Where a control plane answers with how far each of its proxies is: on its monitoring port, and in the built-in runtime on
/// that of the API server.
pub const PROXIES_PATH: &str = "/mesh/proxies";

/// The port that answers [`Report::Monitoring`] in a cluster.
pub const MONITORING_PORT: u16 = 15_014;

/// How far each proxy of one control plane is. Generations are that control plane's own: those of another count something else.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proxies {
    /// The newest generation of the configuration.
    pub generation: u64,
    /// What the newest generation holds of each kind of configuration, by `KIND.GROUP`: the highest `resourceVersion` that has
    /// been taken in, 0 where there is no object. A kind that is not among them is not watched.
    #[serde(default)]
    pub seen: BTreeMap<Arc<str>, u64>,
    /// The connected proxies, in the order in which they came.
    pub proxies: Vec<ProxyStatus>,
}

/// Which questions a port answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// `/ready` and `/healthz/ready`: 200 once everything has been read, 503 before.
    Readiness,
    /// The same, `/metrics` in Prometheus' text format, and [`PROXIES_PATH`] and `/debug/syncz`: how far the connected proxies are,
    /// as JSON; the latter as Istio's tools ask for it, a list without anything else.
    Monitoring,
}

impl ControlPlane {
    /// A service for [`serve`](crate::serve::serve) that answers `report`'s questions.
    pub fn report(&self, report: Report) -> impl Service {
        let plane = self.clone();
        handler(move |request: Request<Incoming>| {
            let answer = plane.answer(report, &request);
            async move { answer }
        })
    }

    fn answer<B>(&self, report: Report, request: &Request<B>) -> Response<Body> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "this is read with GET\n".to_owned());
        }
        match (request.uri().path(), report) {
            ("/ready" | "/healthz/ready", _) if self.generation() > 0 => text(StatusCode::OK, "ready\n".to_owned()),
            ("/ready" | "/healthz/ready", _) => {
                let waits = "not ready: the API server has not been read completely yet\n";
                text(StatusCode::SERVICE_UNAVAILABLE, waits.to_owned())
            }
            ("/metrics", Report::Monitoring) => text(StatusCode::OK, self.metrics()),
            (path @ (PROXIES_PATH | "/debug/syncz"), Report::Monitoring) => {
                let local = request.extensions().get::<Connection>().is_some_and(|c| c.peer.ip().is_loopback());
                if !local {
                    let told = "who is connected is told to callers on this machine: use kubectl port-forward\n";
                    return text(StatusCode::FORBIDDEN, told.to_owned());
                }
                let told = match path {
                    PROXIES_PATH => serde_json::to_string(&self.proxies()),
                    _ => serde_json::to_string(&self.status()),
                };
                let mut response = match told {
                    Ok(json) => text(StatusCode::OK, json + "\n"),
                    Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
                };
                let json = http::HeaderValue::from_static("application/json");
                response.headers_mut().insert(http::header::CONTENT_TYPE, json);
                response
            }
            _ => text(StatusCode::NOT_FOUND, "there are /ready, /metrics, /mesh/proxies and /debug/syncz\n".to_owned()),
        }
    }

    fn metrics(&self) -> String {
        let status = self.status();
        let newest = self.generation();
        let (signed, refused) = self.certificates();
        let counted = |wanted: &dyn Fn(&super::ProxyStatus) -> bool| {
            u64::try_from(status.iter().filter(|status| wanted(status)).count()).unwrap_or(u64::MAX)
        };
        // Istio's names where it has them.
        let metrics: [(&str, &str, &str, u64); 6] = [
            ("pilot_xds", "gauge", "Connected proxies.", counted(&|_| true)),
            ("mesh_generation", "gauge", "The newest generation of the configuration.", newest),
            (
                "mesh_proxies_behind",
                "gauge",
                "Proxies that have not acknowledged it.",
                counted(&|s| s.generation < newest),
            ),
            ("mesh_proxies_refusing", "gauge", "Proxies that refused something.", counted(&|s| s.last_nack.is_some())),
            ("citadel_server_success_cert_issuance_count", "counter", "Certificates signed.", signed),
            ("citadel_server_csr_refused_count", "counter", "Requests for a certificate that were refused.", refused),
        ];
        let asked = self.asked.counts().map(|(name, help, value)| (name, "counter", help, value));
        let mut text = String::new();
        for (name, kind, help, value) in metrics.into_iter().chain(asked) {
            // Writing into a string succeeds.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
        }
        text
    }
}

fn text(status: StatusCode, body: String) -> Response<Body> {
    let mut response = Response::new(full(body));
    *response.status_mut() = status;
    let plain = http::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(http::header::CONTENT_TYPE, plain);
    response
}
