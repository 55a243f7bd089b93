//! A proxy's own small surface, as a pure function: who hosts it decides where it listens and who may call it.
//!
//! It changes nothing by GET, shows no key and no token, and answers text and JSON that no browser takes for HTML.

mod application;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::model::Action;
use crate::proxy::directory::{Directory, Resolution, RoutesInForce};
use crate::telemetry::Registry;

pub use application::{Application, ApplicationError};

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
    fn text(status: StatusCode, body: impl Into<String>) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: body.into(), quit: false }
    }
}

/// Answers a request about a proxy.
pub fn handle(request: Request<'_>, directory: &Directory, registry: &Registry) -> Response {
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
            ..Response::text(StatusCode::OK, format!("{:#}\n", config(directory)))
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

fn config(directory: &Directory) -> Value {
    let settings = directory.settings();
    let inbound = directory.inbound().map(|inbound| {
        let (mode, provenance) = &inbound.default_mtls;
        let ports: Vec<Value> = inbound
            .port_mtls
            .iter()
            .map(|(port, mode, provenance)| json!({"port": port, "mtls": format!("{mode:?}"), "rule": provenance.to_string()}))
            .collect();
        let services: Vec<Value> = inbound
            .services
            .iter()
            .map(|service| json!({"host": &*service.host, "port": service.target_port, "protocol": format!("{:?}", service.protocol)}))
            .collect();
        json!({
            "workload": &*inbound.workload.uid,
            "mtls": format!("{mode:?}"),
            "rule": provenance.as_ref().map(ToString::to_string),
            "ports": ports,
            "services": services,
        })
    });
    let certificate = directory.credentials().map(|credentials| {
        let expires = jiff::Timestamp::try_from(credentials.expires()).ok().map(|time| time.to_string());
        json!({"id": credentials.svid.id.to_string(), "expires": expires})
    });
    let names: Vec<Value> = directory
        .names()
        .into_iter()
        .map(|(name, resolution)| match resolution {
            Resolution::Known(target) => json!({
                "name": &*name,
                "host": &*target.service.host,
                "rules": rules(&target.routes),
                "clusters": clusters(&target.routes),
            }),
            Resolution::Unknown => json!({"name": &*name, "unknown": true}),
            Resolution::Unavailable(reason) => json!({"name": &*name, "unavailable": reason.detail()}),
        })
        .collect();
    let listeners: Vec<Value> = directory
        .listeners()
        .borrow()
        .iter()
        .map(|listener| {
            let hosts: Vec<Value> = listener
                .virtual_hosts
                .iter()
                .map(|virtual_host| {
                    let routes = directory.gateway_routes(&virtual_host.routes);
                    json!({
                        "host": virtual_host.host.to_string(),
                        "rules": routes.as_deref().map(rules),
                        "clusters": routes.as_deref().map(clusters),
                    })
                })
                .collect();
            let provenance: Vec<String> = listener.provenance.iter().map(ToString::to_string).collect();
            json!({"port": listener.port, "from": provenance, "hosts": hosts})
        })
        .collect();
    json!({
        "settings": {
            "scope": &*settings.scope,
            "trust_domain": &*settings.trust_domain,
            "cluster": &*settings.cluster,
            "outbound_mode": format!("{:?}", settings.outbound_mode),
            "access_log": settings.access_log,
        },
        "connected": directory.connected(),
        "certificate": certificate,
        "inbound": inbound,
        "names": names,
        "listeners": listeners,
    })
}

fn rules(routes: &RoutesInForce) -> Vec<Value> {
    let rules = routes.routes.http.iter();
    rules
        .map(|rule| {
            let to = match &rule.action {
                Action::Forward(destinations) => destinations
                    .iter()
                    .map(|to| json!({"cluster": to.cluster.to_string(), "weight": to.weight}))
                    .collect(),
                Action::Redirect(redirect) => json!({"redirect": redirect.status}),
                Action::Respond(response) => json!({"respond": response.status}),
            };
            json!({"rule": rule.provenance.to_string(), "name": &*rule.name, "to": to})
        })
        .collect()
}

fn clusters(routes: &RoutesInForce) -> Vec<Value> {
    let clusters = routes.clusters();
    clusters
        .map(|cluster| {
            let endpoints: Vec<Value> = cluster
                .endpoints
                .iter()
                .map(|endpoint| {
                    json!({
                        "address": endpoint.address.to_string(),
                        "workload": &*endpoint.endpoint.workload.name,
                        "protocol": format!("{:?}", endpoint.endpoint.workload.protocol),
                        "active": endpoint.state.active.load(std::sync::atomic::Ordering::Relaxed),
                    })
                })
                .collect();
            json!({
                "cluster": cluster.name.to_string(),
                "policy": cluster.policy_provenance.as_ref().map(ToString::to_string),
                "balancer": format!("{:?}", cluster.policy.balancer),
                "endpoints": endpoints,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::directory::FixedDirectory;

    fn ask(method: Method, path: &str) -> Response {
        let directory = Directory::fixed(FixedDirectory::default());
        handle(Request { method: &method, path }, &directory, &Registry::default())
    }

    #[test]
    fn only_a_post_ends_a_proxy() {
        assert!(ask(Method::POST, "/quitquitquit").quit);
        let refused = ask(Method::GET, "/quitquitquit");
        assert!(!refused.quit && refused.status == StatusCode::METHOD_NOT_ALLOWED);
    }

    #[test]
    fn the_dump_is_json_and_the_rest_is_said() {
        let dump: Value = serde_json::from_str(&ask(Method::GET, "/config_dump").body).expect("JSON");
        assert!(dump["names"].is_array() && dump["inbound"].is_null());
        assert_eq!(ask(Method::GET, "/x").status, StatusCode::NOT_FOUND);
        assert!(ask(Method::GET, "/stats/prometheus").body.contains("istio_requests_total"));
    }
}
