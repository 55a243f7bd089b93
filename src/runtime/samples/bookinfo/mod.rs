//! Bookinfo: one front end and three services behind it, as Istio's tutorials use them.
//!
//! The JSON fields are those of the upstream sample; its texts are this project's own.

pub(super) mod details;
pub(super) mod form;
pub(super) mod page;
pub(super) mod productpage;
pub(super) mod ratings;
pub(super) mod reviews;

use http::header::{HeaderMap, HeaderName};

/// Request headers that every service passes on to the services it calls: the user, and what tracing systems need to
/// join the spans of one request.
const FORWARDED: &[&str] = &[
    "authorization",
    "b3",
    "baggage",
    "cookie",
    "end-user",
    "sw8",
    "traceparent",
    "tracestate",
    "user-agent",
    "x-b3-flags",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-spanid",
    "x-b3-traceid",
    "x-cloud-trace-context",
    "x-datadog-parent-id",
    "x-datadog-sampling-priority",
    "x-datadog-trace-id",
    "x-ot-span-context",
    "x-request-id",
];

fn forwarded(incoming: &HeaderMap) -> HeaderMap {
    let mut out = HeaderMap::new();
    for name in FORWARDED {
        for value in incoming.get_all(*name) {
            out.append(HeaderName::from_static(name), value.clone());
        }
    }
    out
}

/// The id at the end of `/prefix/{id}`.
fn id_after(path: &str, prefix: &str) -> Option<u32> {
    path.strip_prefix(prefix)?.strip_prefix('/')?.trim_end_matches('/').parse().ok()
}
