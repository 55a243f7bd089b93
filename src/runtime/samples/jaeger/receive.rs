//! Spans as they come: OTLP's Protobuf and JSON, and Zipkin's JSON, version 2. A span without an id is left out.

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{Request, Response, StatusCode};
use prost::Message;
use serde_json::{Value, json};

use super::super::ext_authz::{GRPC_PREFIX, INVALID_ARGUMENT, UNIMPLEMENTED, framed, grpc as grpc_response};
use super::super::reply;
use super::store::{Span, Store, span_id, trace_id};
use crate::wire::proto::opentelemetry::trace::v1;
use crate::wire::proto::opentelemetry::trace::v1::any_value;

/// The name of a service that does not say its own (OpenTelemetry's).
const UNKNOWN_SERVICE: &str = "unknown_service";
const SERVICE_NAME: &str = "service.name";
/// OpenTelemetry's status of what has failed.
const ERROR: i64 = 2;

/// OTLP over gRPC.
pub(super) fn grpc(store: &mut Store, request: &Request<Bytes>) -> Response<Bytes> {
    match (request.body().first(), request.body().get(GRPC_PREFIX..)) {
        (Some(0), Some(message)) => match v1::ExportTraceServiceRequest::decode(message) {
            Ok(export) => {
                protobuf(store, export);
                // An answer without fields: everything was taken.
                grpc_response("0", framed(&()))
            }
            Err(_) => grpc_response(INVALID_ARGUMENT, Bytes::new()),
        },
        _ => grpc_response(UNIMPLEMENTED, Bytes::new()),
    }
}

/// OTLP over HTTP.
pub(super) fn http(store: &mut Store, request: &Request<Bytes>) -> Response<Bytes> {
    if let Some(refused) = refuse_compressed(request) {
        return refused;
    }
    let is_json =
        request.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if is_json {
        let Ok(export) = serde_json::from_slice::<Value>(request.body()) else { return unreadable() };
        otlp_json(store, &export);
        return reply::ok(&json!({"partialSuccess": {}}));
    }
    match v1::ExportTraceServiceRequest::decode(request.body().clone()) {
        Ok(export) => {
            protobuf(store, export);
            reply::binary("application/x-protobuf", Bytes::new())
        }
        Err(_) => unreadable(),
    }
}

/// Zipkin's spans.
pub(super) fn zipkin(store: &mut Store, request: &Request<Bytes>) -> Response<Bytes> {
    if let Some(refused) = refuse_compressed(request) {
        return refused;
    }
    let Ok(Value::Array(spans)) = serde_json::from_slice::<Value>(request.body()) else { return unreadable() };
    for span in &spans {
        if let Some(span) = zipkin_span(span) {
            store.add(span);
        }
    }
    let mut taken = reply::text(StatusCode::ACCEPTED, Bytes::new());
    taken.headers_mut().remove(CONTENT_TYPE);
    taken
}

fn unreadable() -> Response<Bytes> {
    reply::text(
        StatusCode::BAD_REQUEST,
        "the spans cannot be read: expected OTLP (Protobuf or JSON), or Zipkin's JSON\n",
    )
}

fn refuse_compressed(request: &Request<Bytes>) -> Option<Response<Bytes>> {
    let compressed = request.headers().get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity");
    let said = "compressed spans are not read here: turn compression off in the exporter\n";
    compressed.then(|| reply::text(StatusCode::UNSUPPORTED_MEDIA_TYPE, said))
}

fn protobuf(store: &mut Store, export: v1::ExportTraceServiceRequest) {
    for of_resource in export.resource_spans {
        let attributes = of_resource.resource.unwrap_or_default().attributes;
        let service = attributes.into_iter().find(|attribute| attribute.key == SERVICE_NAME);
        let service =
            service.and_then(|service| text(&attribute(service).1)).unwrap_or_else(|| UNKNOWN_SERVICE.to_owned());
        for span in of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            let number = |bytes: &Bytes| span_id(&hex(bytes));
            let (Some(trace), Some(id)) = (trace_id(&hex(&span.trace_id)), number(&span.span_id)) else { continue };
            store.add(Span {
                trace,
                id,
                parent: number(&span.parent_span_id),
                service: service.clone(),
                operation: span.name,
                kind: kind(i64::from(span.kind)),
                start: span.start_time_unix_nano / 1000,
                duration: span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano) / 1000,
                tags: span.attributes.into_iter().map(attribute).collect(),
                failed: span.status.is_some_and(|status| i64::from(status.code) == ERROR),
            });
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attribute(attribute: v1::KeyValue) -> (String, Value) {
    let value = match attribute.value.and_then(|value| value.value) {
        Some(any_value::Value::StringValue(text)) => text.into(),
        Some(any_value::Value::BoolValue(yes)) => yes.into(),
        Some(any_value::Value::IntValue(number)) => number.into(),
        None => Value::Null,
    };
    (attribute.key, value)
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// OpenTelemetry's kinds of spans, by number.
fn kind(number: i64) -> &'static str {
    match number {
        1 => "internal",
        2 => "server",
        3 => "client",
        4 => "producer",
        5 => "consumer",
        _ => "",
    }
}

/// A list in JSON; empty where there is none.
fn list<'a>(of: &'a Value, name: &str) -> &'a [Value] {
    of[name].as_array().map_or(&[], Vec::as_slice)
}

/// A whole number, which OTLP's JSON may write as text.
fn number(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_default()
}

fn otlp_json(store: &mut Store, export: &Value) {
    let pair = |attribute: &Value| {
        let value = attribute["value"].as_object().and_then(|value| value.values().next()).cloned().unwrap_or_default();
        (attribute["key"].as_str().unwrap_or_default().to_owned(), value)
    };
    for of_resource in list(export, "resourceSpans") {
        let mut attributes = list(&of_resource["resource"], "attributes").iter().map(pair);
        let service = attributes.find(|(name, _)| name == SERVICE_NAME).and_then(|(_, value)| text(&value));
        for span in list(of_resource, "scopeSpans").iter().flat_map(|scope| list(scope, "spans")) {
            let id = |name: &str| span[name].as_str().and_then(span_id);
            let trace = span["traceId"].as_str().and_then(trace_id);
            let (Some(trace), Some(own)) = (trace, id("spanId")) else { continue };
            let (start, end) = (number(&span["startTimeUnixNano"]), number(&span["endTimeUnixNano"]));
            store.add(Span {
                trace,
                id: own,
                parent: id("parentSpanId"),
                service: service.clone().unwrap_or_else(|| UNKNOWN_SERVICE.to_owned()),
                operation: span["name"].as_str().unwrap_or_default().to_owned(),
                kind: kind(span["kind"].as_i64().unwrap_or_default()),
                start: start / 1000,
                duration: end.saturating_sub(start) / 1000,
                tags: list(span, "attributes").iter().map(pair).collect(),
                failed: span["status"]["code"].as_i64() == Some(ERROR),
            });
        }
    }
}

fn zipkin_span(span: &Value) -> Option<Span> {
    let id = |name: &str| span[name].as_str().and_then(span_id);
    let tags = span["tags"].as_object().into_iter().flatten();
    Some(Span {
        trace: span["traceId"].as_str().and_then(trace_id)?,
        id: id("id")?,
        parent: id("parentId"),
        service: text(&span["localEndpoint"]["serviceName"]).unwrap_or_else(|| UNKNOWN_SERVICE.to_owned()),
        operation: span["name"].as_str().unwrap_or_default().to_owned(),
        kind: match span["kind"].as_str() {
            Some("SERVER") => "server",
            Some("CLIENT") => "client",
            Some("PRODUCER") => "producer",
            Some("CONSUMER") => "consumer",
            _ => "",
        },
        start: number(&span["timestamp"]),
        duration: number(&span["duration"]),
        tags: tags.map(|(name, value)| (name.clone(), value.clone())).collect(),
        failed: span["tags"].get("error").is_some_and(|error| error != "false"),
    })
}
