//! Spans as collectors read them: OTLP's Protobuf, and Zipkin's JSON, version 2.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use prost::Message;
use serde_json::{Map, Value, json};

use crate::proxy::trace::Span;
use crate::wire::proto::opentelemetry::trace::v1;
use crate::wire::proto::opentelemetry::trace::v1::any_value;

/// An `ExportTraceServiceRequest` with the spans of one service.
pub fn otlp(service: &str, spans: &[Span]) -> Vec<u8> {
    let attribute = |key: &str, value: &str| v1::KeyValue {
        key: key.to_owned(),
        value: Some(v1::AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) }),
    };
    let span = |span: &Span| v1::Span {
        trace_id: Bytes::copy_from_slice(&span.context.trace.to_be_bytes()),
        span_id: Bytes::copy_from_slice(&span.context.span.to_be_bytes()),
        parent_span_id: span
            .context
            .parent
            .map(|parent| Bytes::copy_from_slice(&parent.to_be_bytes()))
            .unwrap_or_default(),
        trace_state: String::new(),
        name: span.name.clone(),
        kind: if span.server { v1::SpanKind::Server } else { v1::SpanKind::Client }.into(),
        start_time_unix_nano: nanoseconds(span.start, Duration::ZERO),
        end_time_unix_nano: nanoseconds(span.start, span.duration),
        attributes: span.tags.iter().map(|(name, value)| attribute(name, value)).collect(),
        status: span.failed.then(|| v1::Status { message: String::new(), code: v1::StatusCode::Error.into() }),
    };
    let request = v1::ExportTraceServiceRequest {
        resource_spans: vec![v1::ResourceSpans {
            resource: Some(v1::Resource { attributes: vec![attribute("service.name", service)] }),
            scope_spans: vec![v1::ScopeSpans {
                scope: Some(v1::InstrumentationScope {
                    name: "mesh".to_owned(),
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                }),
                spans: spans.iter().map(span).collect(),
            }],
        }],
    };
    request.encode_to_vec()
}

/// A list of spans for `/api/v2/spans`.
pub fn zipkin(service: &str, spans: &[Span]) -> Vec<u8> {
    let spans: Vec<Value> = spans.iter().map(|span| zipkin_span(service, span)).collect();
    Value::from(spans).to_string().into_bytes()
}

fn zipkin_span(service: &str, span: &Span) -> Value {
    let tags: Map<String, Value> =
        span.tags.iter().map(|(name, value)| (name.to_string(), Value::from(value.as_str()))).collect();
    let told = json!({
        "traceId": format!("{:032x}", span.context.trace),
        "id": format!("{:016x}", span.context.span),
        "kind": if span.server { "SERVER" } else { "CLIENT" },
        "name": span.name,
        "timestamp": nanoseconds(span.start, Duration::ZERO) / 1000,
        // A duration of 0 says that there is none.
        "duration": u64::try_from(span.duration.as_micros()).unwrap_or(u64::MAX).max(1),
        "localEndpoint": {"serviceName": service},
        "tags": tags,
    });
    match (told, span.context.parent) {
        (Value::Object(mut told), Some(parent)) => {
            told.insert("parentId".to_owned(), format!("{parent:016x}").into());
            told.into()
        }
        (told, _) => told,
    }
}

fn nanoseconds(time: SystemTime, later: Duration) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default().saturating_add(later);
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::trace::SpanContext;

    fn span() -> Span {
        Span {
            context: SpanContext { trace: 0xabc, span: 0xdef, parent: Some(0x123), sampled: true },
            server: true,
            name: "reviews.shop.svc.cluster.local:80/*".to_owned(),
            start: UNIX_EPOCH + Duration::from_millis(1500),
            duration: Duration::from_micros(250),
            failed: true,
            remote: None,
            tags: vec![("http.status_code".into(), "503".to_owned())],
        }
    }

    #[test]
    fn zipkins_spans_are_json_in_microseconds() {
        let told: Value = serde_json::from_slice(&zipkin("reviews.shop", &[span()])).unwrap();
        assert_eq!(
            told,
            json!([{"traceId": "00000000000000000000000000000abc", "id": "0000000000000def", "parentId": "0000000000000123",
                "kind": "SERVER", "name": "reviews.shop.svc.cluster.local:80/*", "timestamp": 1_500_000, "duration": 250,
                "localEndpoint": {"serviceName": "reviews.shop"}, "tags": {"http.status_code": "503"}}])
        );
    }

    #[test]
    fn otlps_spans_are_of_a_service() {
        let told = v1::ExportTraceServiceRequest::decode(&*otlp("reviews.shop", &[span()])).unwrap();
        let of_service = &told.resource_spans[0];
        assert_eq!(of_service.resource.as_ref().unwrap().attributes[0].key, "service.name");
        let span = &of_service.scope_spans[0].spans[0];
        assert_eq!((span.trace_id.len(), span.span_id.len(), span.parent_span_id.len()), (16, 8, 8));
        assert_eq!(span.end_time_unix_nano - span.start_time_unix_nano, 250_000);
        assert_eq!(span.status.as_ref().map(|status| status.code), Some(v1::StatusCode::Error.into()));
    }
}
