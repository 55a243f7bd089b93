//! Traces, as collectors get them over sockets.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use prost::Message;
use serde_json::Value;

use super::harness::{
    App, Running, absolute, any_port, grpc_server, header, inbound, ok, settings, start, target, until,
};
use crate::compile::{MeshConfig, World, reporting};
use crate::model::{AppProtocol, MtlsMode, OutboundMode, Reporting, Side};
use crate::proxy::Bind;
use crate::proxy::directory::FixedDirectory;
use crate::wire::proto::opentelemetry::trace::v1;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// What a Telemetry with these settings says of one side, where the collector is a service `collector`.
fn told(side: Side, provider: &str, tracing: &str) -> Reporting {
    let mut world = World::new("cluster.local", "istio-system");
    let config = format!("extensionProviders: [{{name: c, {provider}}}]\ndefaultProviders: {{tracing: [c]}}");
    world.mesh = Arc::new(MeshConfig::parse(&config).unwrap());
    assert_eq!(world.mesh.refused, []);
    let object = format!(
        "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {{name: all, namespace: default}}\n\
         spec: {{tracing: [{tracing}]}}\n"
    );
    let loaded = crate::yaml::load("telemetry.yaml", object.as_bytes());
    world.telemetries.push(Arc::new(crate::resources::Object::from_value(&loaded.documents[0].value).unwrap()));
    let policy = inbound("web", MtlsMode::Permissive, 1, AppProtocol::Http, None);
    reporting(&world, &policy.workload, side, true)
}

/// A sidecar in front of `app`, whose spans go to `collector`.
fn called(app: SocketAddr, collector: SocketAddr, provider: &str, tracing: &str) -> Running {
    let free = std::net::TcpListener::bind(any_port()).and_then(|listener| listener.local_addr()).unwrap();
    let mut settings = settings(OutboundMode::AllowAny);
    settings.server = told(Side::Server, provider, tracing);
    let known = FixedDirectory {
        settings,
        inbound: Some(inbound("reviews", MtlsMode::Permissive, free.port(), AppProtocol::Http, None)),
        targets: vec![target("collector", &[collector], None)],
        ..FixedDirectory::default()
    };
    start(known, vec![Bind::InboundExplicit { bind: free, app }])
}

fn get(headers: &str) -> String {
    format!("GET /reviews/0?a=b HTTP/1.1\r\nHost: reviews:9080\r\nX-Team: red\r\n{headers}\r\n")
}

/// The spans that a Zipkin collector has got.
fn zipkin_spans(collector: &App) -> Vec<Value> {
    let requests = collector.requests.lock();
    let bodies = requests.iter().map(|request| request.split_once("\r\n\r\n").unwrap().1);
    bodies.flat_map(|body| serde_json::from_str::<Vec<Value>>(body).unwrap()).collect()
}

#[tokio::test]
async fn a_request_becomes_a_span_at_a_zipkin_collector_and_the_workload_is_told_of_it() {
    let (app, collector) = (App::named("hello").await, App::start(|_| (ok(""), false)).await);
    let tags = "customTags: {team: {header: {name: X-Team}}, where: {literal: {value: here}}, \
                none: {header: {name: x-none}}, other: {header: {name: x-none, defaultValue: d}}}";
    let proxy = called(
        app.address,
        collector.address,
        "zipkin: {service: collector, port: 9080}",
        &format!("{{randomSamplingPercentage: 0, {tags}}}"),
    );
    let mut peer = proxy.connect().await;
    // Nobody has decided that it is traced, and chance never does.
    assert!(peer.ask(&get("")).await.contains(" 200 "));
    assert_eq!(header(&app.last(), "x-b3-sampled"), Some("0"));
    let given = format!("x-b3-traceid: {TRACE}\r\nx-b3-spanid: 00f067aa0ba902b7\r\nx-b3-sampled: 1\r\n");
    assert!(peer.ask(&get(&given)).await.contains(" 200 "));
    let seen = app.last();
    let span = header(&seen, "x-b3-spanid").unwrap().to_owned();
    assert_eq!((header(&seen, "x-b3-traceid"), header(&seen, "x-b3-sampled")), (Some(TRACE), Some("1")));
    assert_eq!(header(&seen, "x-b3-parentspanid"), Some("00f067aa0ba902b7"));
    until(|| !collector.requests.lock().is_empty()).await;
    let request = collector.last();
    assert!(request.starts_with("POST /api/v2/spans HTTP/1.1\r\n"), "{request}");
    assert_eq!(header(&request, "content-type"), Some("application/json"));
    let spans = zipkin_spans(&collector);
    let [told] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!((told["traceId"].as_str(), told["id"].as_str()), (Some(TRACE), Some(span.as_str())));
    assert_eq!(
        (told["kind"].as_str(), told["name"].as_str()),
        (Some("SERVER"), Some("reviews.default.svc.cluster.local:9080/*"))
    );
    assert_eq!(told["localEndpoint"]["serviceName"], "reviews.default");
    for (tag, expected) in [
        ("http.method", "GET"),
        ("http.status_code", "200"),
        ("http.url", "http://reviews:9080/reviews/0?a=b"),
        ("istio.canonical_revision", "v1"),
        ("team", "red"),
        ("where", "here"),
        ("other", "d"),
    ] {
        assert_eq!(told["tags"][tag], expected, "{told}");
    }
    assert!(told["tags"].get("none").is_none() && told["tags"].get("error").is_none(), "{told}");
}

#[tokio::test]
async fn a_failed_request_becomes_a_span_at_an_otlp_collector() {
    let app = App::start(|_| (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".to_vec(), false)).await;
    let got: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let seen = got.clone();
    let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    let over_grpc = grpc_server(path, move |message| {
        seen.lock().push(message.to_vec());
        Vec::new()
    })
    .await;
    let provider = "opentelemetry: {service: collector, port: 9080}";
    let proxy = called(app.address, over_grpc, provider, "{randomSamplingPercentage: 100}");
    let answer = proxy.connect().await.ask(&get(&format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-01\r\n"))).await;
    assert!(answer.contains(" 503 "), "{answer}");
    until(|| !got.lock().is_empty()).await;
    let told = v1::ExportTraceServiceRequest::decode(&*got.lock()[0]).unwrap();
    let span = &told.resource_spans[0].scope_spans[0].spans[0];
    let sent = format!("00-{TRACE}-{:016x}-01", u64::from_be_bytes((*span.span_id).try_into().unwrap()));
    assert_eq!(header(&app.last(), "traceparent"), Some(sent.as_str()));
    assert_eq!(span.status.as_ref().map(|status| status.code), Some(v1::StatusCode::Error.into()));
}

#[tokio::test]
async fn a_collector_that_is_gone_costs_spans_and_nothing_else() {
    let app = App::named("hello").await;
    let nobody = std::net::TcpListener::bind(any_port()).and_then(|listener| listener.local_addr()).unwrap();
    let provider = "zipkin: {service: collector, port: 9080}";
    let proxy = called(app.address, nobody, provider, "{randomSamplingPercentage: 100}");
    let mut peer = proxy.connect().await;
    for _ in 0..3 {
        assert!(peer.ask(&get("")).await.contains(" 200 "));
    }
    until(|| proxy.proxy.registry().render().contains("mesh_spans_dropped_total 3")).await;
}

#[tokio::test]
async fn the_callers_proxy_begins_the_trace_and_the_next_one_goes_on() {
    let collector = App::start(|_| (ok(""), false)).await;
    let app = App::named("hello").await;
    let provider = "zipkin: {service: collector, port: 9080}";
    let behind = called(app.address, collector.address, provider, "{randomSamplingPercentage: 0}");
    let mut settings = settings(OutboundMode::AllowAny);
    settings.client = told(Side::Client, provider, "{randomSamplingPercentage: 100}");
    let known = FixedDirectory {
        settings,
        inbound: Some(inbound("productpage", MtlsMode::Permissive, 1, AppProtocol::Http, None)),
        targets: vec![target("reviews", &[behind.address()], None), target("collector", &[collector.address], None)],
        ..FixedDirectory::default()
    };
    let before = start(known, vec![Bind::OutboundExplicit { bind: any_port(), token: super::harness::TOKEN.into() }]);
    assert!(before.connect().await.ask(&absolute("http://reviews:9080/reviews/0")).await.contains(" 200 "));
    until(|| zipkin_spans(&collector).len() == 2).await;
    let spans = zipkin_spans(&collector);
    let of = |kind: &str| spans.iter().find(|span| span["kind"] == kind).unwrap();
    let (client, server) = (of("CLIENT"), of("SERVER"));
    assert_eq!(client["traceId"], server["traceId"]);
    assert_eq!(server["parentId"], client["id"]);
    assert!(client.get("parentId").is_none());
    assert_eq!(client["tags"]["mesh.rule"], "VirtualService default/rules http[0]");
    assert_eq!(client["localEndpoint"]["serviceName"], "productpage.default");
}

#[tokio::test]
async fn what_waits_for_a_collector_is_sent_when_the_proxy_ends() {
    let (app, collector) = (App::named("hello").await, App::start(|_| (ok(""), false)).await);
    let provider = "zipkin: {service: collector, port: 9080}";
    let proxy = called(app.address, collector.address, provider, "{randomSamplingPercentage: 100}");
    assert!(proxy.connect().await.ask(&get("")).await.contains(" 200 "));
    assert!(proxy.drain().await);
    assert_eq!(zipkin_spans(&collector).len(), 1);
}
