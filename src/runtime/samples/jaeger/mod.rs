//! A collector of traces that Istio's addon `jaeger.yaml`, and most tutorials, deploy under Jaeger's image.
//!
//! It takes spans over OTLP (gRPC on 4317; HTTP on 4318, Protobuf or JSON) and as Zipkin's JSON, version 2 (9411). It answers
//! Jaeger's query API on 16686, below `/jaeger` as below `/`, and draws traces on pages of its own.
//!
//! Guarantees: what is held is bounded ([`store`]): the oldest traces go first, and all are gone when the process ends.
//! Refuses: Jaeger's own Thrift, compressed requests, and every other storage.

mod page;
mod query;
mod receive;
pub(super) mod store;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};

use super::context::AppContext;
use super::reply;

/// Queries and pages; OTLP over gRPC, over HTTP; Zipkin; the health of Jaeger 2 and of Jaeger 1.
pub(super) const PORTS: &[u16] = &[16686, 4317, 4318, 9411, 13133, 14269];

/// Where Istio's addon has the pages.
const BASE: &str = "/jaeger";

/// Answers on every port: what is asked is told apart by its path.
pub(super) fn handle(context: &AppContext, request: &Request<Bytes>) -> Response<Bytes> {
    let path = request.uri().path();
    let inner = path.strip_prefix(BASE).filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let base = if inner.is_some() { BASE } else { "" };
    let segments: Vec<&str> = inner.unwrap_or(path).split('/').filter(|segment| !segment.is_empty()).collect();
    let store = || context.traces.lock();
    match (request.method(), segments.as_slice()) {
        (&Method::POST, ["opentelemetry.proto.collector.trace.v1.TraceService", "Export"]) => {
            receive::grpc(&mut store(), request)
        }
        (&Method::POST, ["v1", "traces"]) => receive::http(&mut store(), request),
        (&Method::POST, ["api", "v2", "spans"]) => receive::zipkin(&mut store(), request),
        (&Method::GET, ["status"]) => reply::ok(&serde_json::json!({"status": "StatusOK"})),
        (&Method::GET, [] | ["search"]) => reply::html(page::search(&store(), base, request.uri().query())),
        (&Method::GET, ["trace", id]) => page::trace(&store(), base, id),
        (&Method::GET, ["api", rest @ ..]) => query::answer(&store(), rest, request.uri().query().unwrap_or_default()),
        _ => reply::text(StatusCode::NOT_FOUND, "404 page not found\n"),
    }
}
