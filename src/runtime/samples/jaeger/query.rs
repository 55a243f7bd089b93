//! Jaeger's query API, as its pages and its clients ask it: `/api/services`, `/api/operations`, `/api/traces`, `/api/dependencies`.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::super::bookinfo::form;
use super::super::reply;
use super::store::{Span, Store, Trace, trace_id};
use crate::resources::Duration;

/// Traces in an answer where nobody says how many (Jaeger's).
const LIMIT: usize = 20;
/// And at most.
const MOST: usize = 1_500;

/// Which traces are wanted.
#[derive(Debug, Default)]
pub(super) struct Search {
    pub(super) service: String,
    pub(super) operation: String,
    pub(super) limit: usize,
    tags: Vec<(String, String)>,
    /// Microseconds since 1970.
    between: (u64, u64),
    /// Microseconds.
    lasting: (u64, u64),
}

impl Search {
    /// Reads a query string; what cannot be read does not count.
    pub(super) fn parse(query: &str) -> Self {
        let mut search = Self { limit: LIMIT, between: (0, u64::MAX), lasting: (0, u64::MAX), ..Self::default() };
        let micros = |text: &str| {
            let duration = text.parse::<Duration>().ok()?;
            u64::try_from(duration.get().as_micros()).ok()
        };
        for (name, value) in form::pairs(query) {
            match &*name {
                "service" => search.service = value,
                "operation" if value != "all" => search.operation = value,
                "limit" => search.limit = value.parse().unwrap_or(LIMIT).min(MOST),
                "start" => search.between.0 = value.parse().unwrap_or(0),
                "end" => search.between.1 = value.parse().unwrap_or(u64::MAX),
                "minDuration" => search.lasting.0 = micros(&value).unwrap_or(0),
                "maxDuration" => search.lasting.1 = micros(&value).unwrap_or(u64::MAX),
                "tag" => {
                    search.tags.extend(value.split_once(':').map(|(key, value)| (key.to_owned(), value.to_owned())));
                }
                "tags" => {
                    let tags = serde_json::from_str::<BTreeMap<String, Value>>(&value).unwrap_or_default();
                    search.tags.extend(tags.into_iter().map(|(key, value)| (key, shown(&value))));
                }
                _ => {}
            }
        }
        search
    }

    /// Traces that have a span of this service and operation with these tags, in this time; the latest first.
    pub(super) fn find<'a>(&'a self, store: &'a Store) -> impl Iterator<Item = (u128, &'a Trace)> {
        let wanted = move |span: &Span| {
            (self.service.is_empty() || span.service == self.service)
                && (self.operation.is_empty() || span.operation == self.operation)
                && (self.lasting.0..=self.lasting.1).contains(&span.duration)
                && self.tags.iter().all(|(name, value)| has_tag(span, name, value))
        };
        let in_time = move |trace: &Trace| (self.between.0..=self.between.1).contains(&trace.start());
        store.latest().filter(move |(_, trace)| in_time(trace) && trace.spans.iter().any(wanted)).take(self.limit)
    }
}

fn has_tag(span: &Span, name: &str, value: &str) -> bool {
    (name == "error" && span.failed && value == "true")
        || span.tags.iter().any(|(known, is)| known == name && shown(is) == value)
}

/// A value without quotes.
pub(super) fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Answers what was asked below `/api`.
pub(super) fn answer(store: &Store, path: &[&str], query: &str) -> Response<Bytes> {
    match path {
        ["services"] => listed(store.services().into_iter().map(Value::from).collect()),
        ["services", service, "operations"] => {
            let service = form::decode(service);
            let names: BTreeSet<&str> = of_service(store, &service).map(|span| span.operation.as_str()).collect();
            listed(names.into_iter().map(Value::from).collect())
        }
        ["operations"] => {
            let service = parameter(query, "service");
            let Some(service) = service else {
                return failed(StatusCode::BAD_REQUEST, "parameter 'service' is required");
            };
            let kind = parameter(query, "spanKind").unwrap_or_default();
            let names: BTreeSet<(&str, &str)> = of_service(store, &service)
                .filter(|span| kind.is_empty() || span.kind == kind)
                .map(|span| (span.operation.as_str(), span.kind))
                .collect();
            listed(names.into_iter().map(|(name, kind)| json!({"name": name, "spanKind": kind})).collect())
        }
        ["traces"] => traces(store, query),
        ["traces", id] => match trace_id(id).and_then(|id| Some((id, store.trace(id)?))) {
            Some((id, trace)) => listed(vec![told(id, trace)]),
            None => failed(StatusCode::NOT_FOUND, "trace not found"),
        },
        ["dependencies"] => listed(dependencies(store)),
        _ => reply::text(StatusCode::NOT_FOUND, "404 page not found\n"),
    }
}

fn traces(store: &Store, query: &str) -> Response<Bytes> {
    let ids: Vec<u128> =
        form::pairs(query).filter(|(name, _)| name == "traceID").filter_map(|(_, id)| trace_id(&id)).collect();
    if !ids.is_empty() {
        let found = ids.iter().filter_map(|id| Some(told(*id, store.trace(*id)?)));
        return listed(found.collect());
    }
    let search = Search::parse(query);
    if search.service.is_empty() {
        return failed(StatusCode::BAD_REQUEST, "parameter 'service' is required");
    }
    listed(search.find(store).map(|(id, trace)| told(id, trace)).collect())
}

fn parameter(query: &str, wanted: &str) -> Option<String> {
    form::pairs(query).find_map(|(name, value)| (name == wanted && !value.is_empty()).then_some(value))
}

fn of_service<'a>(store: &'a Store, service: &'a str) -> impl Iterator<Item = &'a Span> {
    store.spans().filter(move |span| span.service == service)
}

fn listed(data: Vec<Value>) -> Response<Bytes> {
    let total = data.len();
    reply::ok(&json!({"data": data, "total": total, "limit": 0, "offset": 0, "errors": null}))
}

fn failed(status: StatusCode, message: &str) -> Response<Bytes> {
    let errors = json!([{"code": status.as_u16(), "msg": message}]);
    reply::json(status, &json!({"data": null, "total": 0, "limit": 0, "offset": 0, "errors": errors}))
}

/// A trace as Jaeger tells it.
fn told(id: u128, trace: &Trace) -> Value {
    let id = format!("{id:032x}");
    let services: Vec<&str> = trace.services().into_iter().collect();
    let process = |service: &str| services.iter().position(|known| *known == service).map_or(0, |at| at + 1);
    let spans: Vec<Value> = trace
        .spans
        .iter()
        .map(|span| {
            let parent = span
                .parent
                .map(|parent| json!({"refType": "CHILD_OF", "traceID": id, "spanID": format!("{parent:016x}")}));
            let own = (!span.kind.is_empty()).then(|| ("span.kind".to_owned(), Value::from(span.kind)));
            let error = span.failed.then(|| ("error".to_owned(), Value::Bool(true)));
            json!({
                "traceID": id,
                "spanID": format!("{:016x}", span.id),
                "operationName": span.operation,
                "references": parent.into_iter().collect::<Vec<_>>(),
                "startTime": span.start,
                "duration": span.duration,
                "tags": span.tags.iter().cloned().chain(own).chain(error).map(tag).collect::<Vec<_>>(),
                "logs": [],
                "processID": format!("p{}", process(&span.service)),
                "warnings": null,
            })
        })
        .collect();
    let processes: BTreeMap<String, Value> = services
        .iter()
        .map(|service| (format!("p{}", process(service)), json!({"serviceName": service, "tags": []})))
        .collect();
    json!({"traceID": id, "spans": spans, "processes": processes, "warnings": null})
}

fn tag((key, value): (String, Value)) -> Value {
    let kind = match &value {
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        _ => "string",
    };
    json!({"key": key, "type": kind, "value": value})
}

/// Which service has called which, and how often.
fn dependencies(store: &Store) -> Vec<Value> {
    let mut calls: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for (_, trace) in store.latest() {
        let services: BTreeMap<u64, &str> = trace.spans.iter().map(|span| (span.id, span.service.as_str())).collect();
        for span in &trace.spans {
            let parent = span.parent.and_then(|parent| services.get(&parent).copied());
            if let Some(parent) = parent.filter(|parent| *parent != span.service) {
                *calls.entry((parent, &span.service)).or_default() += 1;
            }
        }
    }
    calls
        .into_iter()
        .map(|((parent, child), count)| json!({"parent": parent, "child": child, "callCount": count}))
        .collect()
}
