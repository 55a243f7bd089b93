//! Taking spans to their collector, gathered, beside the requests.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Collector, CollectorProtocol, HeaderLookup, Tracing};
use crate::proxy::call;
use crate::proxy::http1::encode::{add_line, add_number};
use crate::proxy::http1::head::Headers;
use crate::proxy::local::Local;
use crate::proxy::trace::{Span, encode};
use crate::telemetry::Counter;

/// Spans that wait at most, for each worker; more are dropped.
const MAX_WAITING: usize = 2048;

/// As many are sent at once, without waiting for [`GATHER`].
const BATCH: usize = 512;

/// How long spans are gathered.
const GATHER: Duration = Duration::from_secs(1);

/// How long a collector may take, where its settings do not say it.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is read of a collector's answer, in bytes.
const MAX_ANSWER: usize = 4 << 10;

/// The gRPC method that takes spans.
const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// The spans of one worker that wait for their way to a collector.
#[derive(Debug, Default)]
pub struct Spans {
    /// By who gets them.
    waiting: RefCell<Vec<(Arc<Tracing>, Vec<Span>)>>,
    /// Whether somebody is about to take them there.
    gathering: Cell<bool>,
    /// Whether the last attempt failed.
    failing: Cell<bool>,
}

impl Spans {
    /// Has a span sent, soon. Drops it where too many wait.
    pub fn add(&self, local: &Rc<Local>, tracing: &Arc<Tracing>, span: Span) {
        let mut waiting = self.waiting.borrow_mut();
        let before: usize = waiting.iter().map(|(_, spans)| spans.len()).sum();
        if before >= MAX_WAITING {
            local.shared.registry.count(Counter::SpansDropped);
            return;
        }
        match waiting.iter_mut().find(|(known, _)| known.collector == tracing.collector) {
            Some((_, spans)) => spans.push(span),
            None => waiting.push((tracing.clone(), vec![span])),
        }
        drop(waiting);
        let is_batch = (before + 1).is_multiple_of(BATCH);
        if is_batch || !self.gathering.get() {
            let delay = if is_batch { Duration::ZERO } else { GATHER };
            let of_errand = local.clone();
            let begun = local.run_errand(async move {
                tokio::time::sleep(delay).await;
                of_errand.spans.gathering.set(false);
                of_errand.spans.flush(&of_errand).await;
            });
            self.gathering.set(begun || self.gathering.get());
        }
    }

    /// Sends what waits. Each collector has as long as its settings say.
    pub async fn flush(&self, local: &Rc<Local>) {
        let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
        let service = service(local);
        for (tracing, spans) in waiting {
            let collector = &tracing.collector;
            let patience = match &collector.protocol {
                CollectorProtocol::OtlpHttp { timeout, .. } if !timeout.is_zero() => *timeout,
                _ => PATIENCE,
            };
            let sent = tokio::time::timeout(patience, send(local, collector, &service, &spans)).await;
            let sent = sent.unwrap_or_else(|_| Err(format!("nothing within {patience:?}")));
            match sent {
                Ok(()) => self.failing.set(false),
                Err(reason) => {
                    spans.iter().for_each(|_| local.shared.registry.count(Counter::SpansDropped));
                    // Once for a row of failures.
                    if !self.failing.replace(true) {
                        let Collector { name, host, port, .. } = collector;
                        tracing::warn!(provider = %name, collector = %format!("{host}:{port}"), %reason, "spans are lost");
                    }
                }
            }
        }
    }
}

/// What the workload is called in traces: `app.namespace`, as Istio has it.
fn service(local: &Local) -> String {
    match local.shared.directory.inbound() {
        Some(own) => format!("{}.{}", own.workload.canonical_name, own.workload.namespace),
        None => format!("{}.{}", local.shared.name, local.shared.namespace),
    }
}

async fn send(local: &Rc<Local>, collector: &Collector, service: &str, spans: &[Span]) -> Result<(), String> {
    let cluster = call::cluster(local, &collector.host, collector.port).await.map_err(|error| error.to_string())?;
    let is_grpc = collector.protocol == CollectorProtocol::OtlpGrpc;
    let request = request(collector, service, spans);
    let asked = call::ask(local, &cluster, is_grpc, b"POST", &request, MAX_ANSWER).await;
    let call::Answered { head, bytes, .. } = asked.map_err(|error| error.to_string())?;
    // A call that fails at once says so in the head of its answer.
    let headers = Headers { head: &head, bytes: &bytes };
    let refused = headers.value("grpc-status").filter(|status| **status != *b"0");
    match (head.status, refused) {
        (200..300, None) => Ok(()),
        (200..300, Some(status)) => Err(format!("it answered with gRPC status {}", status.escape_ascii())),
        (status, _) => Err(format!("it answered with status {status}")),
    }
}

/// The whole request; over gRPC as HTTP/1.1 would have it: the stream makes HTTP/2 of it.
fn request(collector: &Collector, service: &str, spans: &[Span]) -> Vec<u8> {
    let (path, media_type, body) = match &collector.protocol {
        CollectorProtocol::OtlpGrpc => {
            let message = encode::otlp(service, spans);
            let mut body = vec![0];
            body.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
            body.extend_from_slice(&message);
            (EXPORT, "application/grpc", body)
        }
        CollectorProtocol::OtlpHttp { path, .. } => (&**path, "application/x-protobuf", encode::otlp(service, spans)),
        CollectorProtocol::Zipkin { path } => (&**path, "application/json", encode::zipkin(service, spans)),
    };
    let mut request = format!("POST {path} HTTP/1.1\r\n").into_bytes();
    add_line(&mut request, "host", format!("{}:{}", collector.host, collector.port).as_bytes());
    add_line(&mut request, "content-type", media_type.as_bytes());
    match &collector.protocol {
        CollectorProtocol::OtlpGrpc => add_line(&mut request, "te", b"trailers"),
        CollectorProtocol::OtlpHttp { headers, .. } => {
            headers.iter().for_each(|(name, value)| add_line(&mut request, name, value.as_bytes()));
        }
        CollectorProtocol::Zipkin { .. } => {}
    }
    add_number(&mut request, "content-length", body.len() as u64);
    request.extend_from_slice(b"\r\n");
    request.extend_from_slice(&body);
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_http_a_request_has_the_path_and_the_headers_of_its_settings() {
        let protocol = CollectorProtocol::OtlpHttp {
            path: "/otlp/v1/traces".into(),
            headers: vec![("x-key".into(), "secret".into())],
            timeout: Duration::from_secs(1),
        };
        let collector = Collector { name: "c".into(), host: "otel".into(), port: 4318, protocol };
        let request = request(&collector, "web.shop", &[]);
        let body = encode::otlp("web.shop", &[]);
        let head = format!(
            "POST /otlp/v1/traces HTTP/1.1\r\nhost: otel:4318\r\ncontent-type: application/x-protobuf\r\n\
             x-key: secret\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        assert_eq!(request, [head.as_bytes(), &body].concat());
    }
}
