//! The Prometheus text format.

use std::fmt::Write;
use std::sync::Arc;

use super::histogram::Buckets;
use super::labels::RequestLabels;
use super::registry::{ConnectionTotals, Totals};

/// Picks one of a series' histograms.
type Pick = fn(&Totals) -> &Buckets;

const HISTOGRAMS: [(&str, &str, Pick); 3] = [
    ("istio_request_duration_milliseconds", "Duration of requests.", |totals| &totals.duration),
    ("istio_request_bytes", "Size of requests.", |totals| &totals.request_bytes),
    ("istio_response_bytes", "Size of responses.", |totals| &totals.response_bytes),
];

/// Istio's request metrics.
pub(super) fn requests(series: Vec<(Arc<RequestLabels>, Totals)>) -> String {
    let mut text = String::new();
    let series: Vec<(String, Totals)> =
        series.into_iter().map(|(labels, totals)| (label_text(&labels), totals)).collect();
    header(&mut text, "istio_requests_total", "Requests.", "counter");
    for (labels, totals) in &series {
        line(&mut text, "istio_requests_total", "", labels, None, totals.requests);
    }
    for (name, help, pick) in HISTOGRAMS {
        header(&mut text, name, help, "histogram");
        for (labels, totals) in &series {
            let buckets = pick(totals);
            for (bound, count) in buckets.cumulated() {
                line(&mut text, name, "_bucket", labels, Some(&bound.to_string()), count);
            }
            line(&mut text, name, "_bucket", labels, Some("+Inf"), buckets.count());
            line(&mut text, name, "_sum", labels, None, buckets.sum());
            line(&mut text, name, "_count", labels, None, buckets.count());
        }
    }
    text
}

/// Name, help and value of a counter.
type ConnectionCounter = (&'static str, &'static str, fn(&ConnectionTotals) -> u64);

const CONNECTION_COUNTERS: [ConnectionCounter; 4] = [
    ("istio_tcp_connections_opened_total", "TCP connections opened.", |totals| totals.opened),
    ("istio_tcp_connections_closed_total", "TCP connections closed.", |totals| totals.closed),
    ("istio_tcp_received_bytes_total", "Bytes received on TCP connections.", |totals| totals.received),
    ("istio_tcp_sent_bytes_total", "Bytes sent on TCP connections.", |totals| totals.sent),
];

/// Istio's metrics of connections.
pub(super) fn connections(text: &mut String, series: &[(Arc<RequestLabels>, ConnectionTotals)]) {
    let series: Vec<(String, &ConnectionTotals)> =
        series.iter().map(|(labels, totals)| (label_text(labels), totals)).collect();
    for (name, help, pick) in CONNECTION_COUNTERS {
        header(text, name, help, "counter");
        for (labels, totals) in &series {
            line(text, name, "", labels, None, pick(totals));
        }
    }
}

/// One counter without labels.
pub(super) fn counter(text: &mut String, name: &str, help: &str, value: u64) {
    header(text, name, help, "counter");
    put(text, format_args!("{name} {value}\n"));
}

fn header(text: &mut String, name: &str, help: &str, kind: &str) {
    put(text, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
}

fn line(text: &mut String, name: &str, suffix: &str, labels: &str, bound: Option<&str>, value: impl std::fmt::Display) {
    match bound {
        Some(bound) => put(text, format_args!("{name}{suffix}{{{labels},le=\"{bound}\"}} {value}\n")),
        None => put(text, format_args!("{name}{suffix}{{{labels}}} {value}\n")),
    }
}

fn label_text(labels: &RequestLabels) -> String {
    let mut text = String::with_capacity(900);
    labels.each(|name, value| {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(name);
        text.push_str("=\"");
        for character in value.chars() {
            match character {
                '"' => text.push_str("\\\""),
                '\\' => text.push_str("\\\\"),
                '\n' => text.push_str("\\n"),
                other => text.push(other),
            }
        }
        text.push('"');
    });
    text
}

fn put(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = text.write_fmt(arguments);
}
