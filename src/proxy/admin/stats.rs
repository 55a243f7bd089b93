//! `/stats`: what was counted, one name and value a line, under Envoy's names (`cluster.NAME.upstream_rq_pending_overflow`), so that
//! what guides and scripts `grep` for is found.
//!
//! Metrics with labels follow as Prometheus has them. A filter is a regular expression of bounded size.

use std::sync::atomic::Ordering::Relaxed;

use http::StatusCode;
use regex::RegexBuilder;
use serde_json::{Value, json};

use super::{Request, Response, Subject, dump, envoy};
use crate::proxy::directory::{Cluster, Tally};

/// Bytes that a filter may take once it is compiled.
const MAX_FILTER: usize = 1 << 20;

/// Where no limit is set, Istio's proxies have this one.
const UNLIMITED: u32 = u32::MAX;

/// Answers `/stats`.
pub(super) fn stats(request: &Request<'_>, subject: &Subject) -> Response {
    let filter = match request.parameter("filter") {
        Some(filter) => match RegexBuilder::new(&filter).size_limit(MAX_FILTER).build() {
            Ok(filter) => Some(filter),
            Err(error) => return Response::text(StatusCode::BAD_REQUEST, format!("filter: {error}\n")),
        },
        None => None,
    };
    let used_only = request.parameter("usedonly").is_some();
    let wanted = |name: &str| filter.as_ref().is_none_or(|filter| filter.is_match(name));
    let format = request.parameter("format");
    if format.as_deref() == Some("prometheus") {
        let metrics = subject.registry.render();
        // What a filter takes of a metric it takes with its help and type.
        let name = |line: &str| match line.strip_prefix("# ") {
            Some(said) => said.split(' ').nth(1).unwrap_or_default().to_owned(),
            None => line.split(['{', ' ']).next().unwrap_or_default().to_owned(),
        };
        let lines = metrics.lines().filter(|line| wanted(&name(line)));
        let body = lines.fold(String::new(), |body, line| body + line + "\n");
        return Response { content_type: "text/plain; version=0.0.4", ..Response::text(StatusCode::OK, body) };
    }
    let mut counted = counts(subject);
    counted.retain(|(name, value)| wanted(name) && !(used_only && *value == 0));
    match format.as_deref() {
        None | Some("text" | "html") => {
            let lines =
                counted.into_iter().fold(String::new(), |body, (name, value)| body + &format!("{name}: {value}\n"));
            Response::text(StatusCode::OK, lines)
        }
        Some("json") => {
            let stats: Vec<Value> =
                counted.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
            Response::json(&json!({"stats": stats}))
        }
        Some(other) => {
            let said = format!("format {other:?}: there are text, json and prometheus\n");
            Response::text(StatusCode::BAD_REQUEST, said)
        }
    }
}

/// Every count, by name.
fn counts(subject: &Subject) -> Vec<(String, u64)> {
    let directory = &subject.directory;
    let clusters = dump::clusters(directory);
    let is_ready = *directory.ready().borrow();
    let mut counts: Vec<(String, u64)> = vec![
        ("cluster_manager.active_clusters".to_owned(), clusters.len() as u64),
        ("control_plane.connected_state".to_owned(), directory.connected().into()),
        ("listener_manager.total_listeners_active".to_owned(), envoy::ways(subject).len() as u64),
        ("server.live".to_owned(), is_ready.into()),
        // Envoy's order: live, draining, before and while it starts.
        ("server.state".to_owned(), if is_ready { 0 } else { 3 }),
        ("server.uptime".to_owned(), subject.since.elapsed().as_secs()),
    ];
    for (name, cluster) in &clusters {
        of_cluster(cluster, |stat, value| counts.push((format!("cluster.{name}.{stat}"), value)));
    }
    for line in subject.registry.render().lines().filter(|line| !line.starts_with('#')) {
        if let Some((name, value)) = line.rsplit_once(' ')
            && let Ok(value) = value.parse()
            && !name.contains("_bucket{")
        {
            counts.push((name.to_owned(), value));
        }
    }
    counts.sort_unstable();
    counts
}

/// What is counted of a cluster, and what its policy leaves.
fn of_cluster(cluster: &Cluster, mut put: impl FnMut(&str, u64)) {
    let (state, limits) = (&cluster.state, &cluster.policy.limits);
    for (name, count) in state.tallies.each() {
        put(name, count);
    }
    let open = state.tallies.of(Tally::Connections).saturating_sub(state.tallies.of(Tally::ConnectionsEnded));
    let (requests, retries) = (state.requests.load(Relaxed), state.retries.load(Relaxed));
    let (pending, carrying) = (state.pending.load(Relaxed), state.connections.load(Relaxed));
    let healthy = cluster.endpoints.iter().filter(|endpoint| !endpoint.state.health.is_ejected()).count();
    let known = cluster.endpoints.len();
    for (name, value) in [
        ("upstream_cx_active", open),
        ("upstream_rq_active", requests as u64),
        ("upstream_rq_pending_active", pending as u64),
        ("membership_total", known as u64),
        ("membership_healthy", healthy as u64),
        ("outlier_detection.ejections_active", (known - healthy) as u64),
    ] {
        put(name, value);
    }
    for (limit, used, is_open, remaining) in [
        (limits.connections, carrying, "cx_open", "remaining_cx"),
        (limits.pending, pending, "rq_pending_open", "remaining_pending"),
        (limits.requests, requests, "rq_open", "remaining_rq"),
        (limits.retries, retries, "rq_retry_open", "remaining_retries"),
    ] {
        let left = u64::from(limit.unwrap_or(UNLIMITED)).saturating_sub(used as u64);
        put(&format!("circuit_breakers.default.{is_open}"), (left == 0).into());
        put(&format!("circuit_breakers.default.{remaining}"), left);
    }
}
