//! What Envoy's own paths tell, as far as a proxy of another make has it, in the shapes that scripts read: `/clusters`,
//! `/listeners`, `/certs` and `/server_info`.
//!
//! Nothing here is said that the proxy does not know: a field of Envoy's that has no meaning is left out, not filled in.

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Request, Response, Subject, Way, dump};
use crate::model::Listener;
use crate::proxy::Bound;
use crate::proxy::directory::{Cluster, UpstreamEndpoint};

/// Envoy's word for what the proxy is doing.
pub(super) fn state(subject: &Subject) -> &'static str {
    if *subject.directory.ready().borrow() { "LIVE" } else { "PRE_INITIALIZING" }
}

/// Answers `/server_info`.
pub(super) fn server_info(_: &Request<'_>, subject: &Subject) -> Response {
    let uptime = format!("{}s", subject.since.elapsed().as_secs());
    let inbound = subject.directory.inbound();
    let node = inbound.as_ref().map_or("", |inbound| &*inbound.workload.uid);
    Response::json(&json!({
        "version": concat!("mesh/", env!("CARGO_PKG_VERSION")),
        "state": state(subject),
        "uptime_current_epoch": uptime,
        "uptime_all_epochs": uptime,
        "hot_restart_version": "disabled",
        "command_line_options": {},
        "node": {"id": node},
    }))
}

/// The ways in, each with its name.
pub(super) fn ways(subject: &Subject) -> Vec<(String, SocketAddr)> {
    let own = subject.ways.iter().map(|way| match way {
        Way::Inbound { address, .. } => (address.to_string(), *address),
        Way::Outbound { address } => (address.to_string(), *address),
        Way::InboundRedirected { address } => ("virtualInbound".to_owned(), *address),
        Way::OutboundRedirected { address } => ("virtualOutbound".to_owned(), *address),
    });
    let bound = subject.bound.borrow();
    let gateways = bound.iter().map(|Bound { address, .. }| (address.to_string().replace(':', "_"), *address));
    own.chain(gateways).collect()
}

/// Answers `/listeners`.
pub(super) fn listeners(request: &Request<'_>, subject: &Subject) -> Response {
    let ways = ways(subject);
    if request.wants_json() {
        let status =
            |(name, address): &(String, SocketAddr)| json!({"name": name, "local_address": socket_address(*address)});
        return Response::json(&json!({"listener_statuses": ways.iter().map(status).collect::<Vec<_>>()}));
    }
    let lines = ways.iter().map(|(name, address)| format!("{name}::{address}\n"));
    Response::text(StatusCode::OK, lines.collect::<String>())
}

fn socket_address(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}})
}

/// Answers `/clusters`.
pub(super) fn clusters(request: &Request<'_>, subject: &Subject) -> Response {
    let clusters = dump::clusters(&subject.directory);
    if request.wants_json() {
        let statuses: Vec<Value> = clusters.values().map(|cluster| cluster_status(cluster)).collect();
        return Response::json(&json!({"cluster_statuses": statuses}));
    }
    let mut text = String::new();
    for (name, cluster) in &clusters {
        let limits = &cluster.policy.limits;
        let mut line = |key: &str, value: &dyn std::fmt::Display| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name}::{key}::{value}");
        };
        line("observability_name", name);
        for (key, limit) in [
            ("default_priority::max_connections", limits.connections),
            ("default_priority::max_pending_requests", limits.pending),
            ("default_priority::max_requests", limits.requests),
            ("default_priority::max_retries", limits.retries),
        ] {
            line(key, &limit.unwrap_or(u32::MAX));
        }
        line("added_via_api", &true);
        for endpoint in &cluster.endpoints {
            let locality = &endpoint.endpoint.workload.locality;
            let health = if endpoint.state.health.is_ejected() { "/failed_outlier_check" } else { "healthy" };
            for (key, value) in [
                ("rq_active", &endpoint.state.active.load(Relaxed) as &dyn std::fmt::Display),
                ("hostname", &endpoint.endpoint.workload.name),
                ("health_flags", &health),
                ("weight", &endpoint.endpoint.weight),
                ("region", &locality.region),
                ("zone", &locality.zone),
                ("sub_zone", &locality.subzone),
            ] {
                line(&format!("{}::{key}", endpoint.address), value);
            }
        }
    }
    Response::text(StatusCode::OK, text)
}

fn cluster_status(cluster: &Cluster) -> Value {
    let host = |endpoint: &std::sync::Arc<UpstreamEndpoint>| {
        let locality = &endpoint.endpoint.workload.locality;
        json!({
            "address": socket_address(endpoint.address),
            "stats": [{"name": "rq_active", "type": "GAUGE", "value": endpoint.state.active.load(Relaxed).to_string()}],
            "health_status": if endpoint.state.health.is_ejected() {
                json!({"failed_outlier_check": true})
            } else {
                json!({"eds_health_status": "HEALTHY"})
            },
            "weight": endpoint.endpoint.weight,
            "hostname": &*endpoint.endpoint.workload.name,
            "locality": {"region": &*locality.region, "zone": &*locality.zone, "sub_zone": &*locality.subzone},
        })
    };
    let name = cluster.name.to_string();
    json!({
        "name": name,
        "added_via_api": true,
        "observability_name": name,
        "host_statuses": cluster.endpoints.iter().map(host).collect::<Vec<_>>(),
    })
}

/// Answers `/certs`.
pub(super) fn certs(_: &Request<'_>, subject: &Subject) -> Response {
    let gateway: std::sync::Arc<[Listener]> = subject.directory.listeners().borrow().clone();
    let (authorities, chains): (Vec<_>, Vec<_>) = dump::certificates(&subject.directory, &gateway)
        .into_iter()
        .filter(|certificate| certificate.status != "MISSING")
        .partition(|certificate| certificate.kind == "CA");
    let told = |certificate: &dump::CertificateDump| {
        let left = certificate.not_after.parse::<Timestamp>().map_or(0, |end| {
            let seconds = end.as_second() - Timestamp::now().as_second();
            seconds.max(0) / (24 * 60 * 60)
        });
        json!({
            "path": format!("<{}>", certificate.name),
            "serial_number": certificate.serial,
            "subject_alt_names": [{"uri": certificate.identity}],
            "days_until_expiration": left.to_string(),
            "valid_from": certificate.not_before,
            "expiration_time": certificate.not_after,
        })
    };
    let authorities: Vec<Value> = authorities.iter().map(told).collect();
    let entry = |chain: &dump::CertificateDump| {
        // Who vouches for a gateway's clients is listed with their server.
        json!({"ca_cert": authorities, "cert_chain": [told(chain)]})
    };
    Response::json(&json!({"certificates": chains.iter().map(entry).collect::<Vec<_>>()}))
}
