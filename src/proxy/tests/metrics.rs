//! What users make of metrics, as Prometheus gets them.

use std::net::SocketAddr;
use std::sync::Arc;

use super::harness::{App, Running, any_port, inbound, settings, start, until};
use crate::compile::{MeshConfig, World, reporting};
use crate::model::{AppProtocol, MtlsMode, OutboundMode, Side};
use crate::proxy::Bind;
use crate::proxy::directory::FixedDirectory;

/// A sidecar in front of `app`, whose Telemetry has these overrides.
fn called(app: SocketAddr, protocol: AppProtocol, overrides: &str) -> Running {
    let mut world = World::new("cluster.local", "istio-system");
    world.mesh = Arc::new(MeshConfig::parse("{}").unwrap());
    let object = format!(
        "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {{name: all, namespace: default}}\n\
         spec: {{metrics: [{{providers: [{{name: prometheus}}], overrides: {overrides}}}]}}\n"
    );
    let loaded = crate::yaml::load("telemetry.yaml", object.as_bytes());
    world.telemetries.push(Arc::new(crate::resources::Object::from_value(&loaded.documents[0].value).unwrap()));
    let free = std::net::TcpListener::bind(any_port()).and_then(|listener| listener.local_addr()).unwrap();
    let policy = inbound("reviews", MtlsMode::Permissive, free.port(), protocol, None);
    let mut settings = settings(OutboundMode::AllowAny);
    settings.server.metrics = reporting(&world, &policy.workload, Side::Server, true).metrics;
    let known = FixedDirectory { settings, inbound: Some(policy), ..FixedDirectory::default() };
    start(known, vec![Bind::InboundExplicit { bind: free, app }])
}

fn lines(proxy: &Running, metric: &str) -> Vec<String> {
    let text = proxy.proxy.registry().render();
    text.lines().filter(|line| line.starts_with(&format!("{metric}{{"))).map(str::to_owned).collect()
}

#[tokio::test]
async fn labels_of_requests_are_what_an_override_makes_of_them() {
    let app = App::named("hello").await;
    let proxy = called(
        app.address,
        AppProtocol::Http,
        "[{match: {metric: REQUEST_COUNT}, tagOverrides: {request_host: {value: request.host}, \
           team: {value: \"has(request.headers['x-team']) ? request.headers['x-team'] : 'none'\"}, \
           missing: {value: \"request.headers['x-none']\"}, response_code: {operation: REMOVE}, \
           destination_app: {value: \"'app-' + string(response.code)\"}}}, \
         {match: {metric: REQUEST_SIZE, mode: SERVER}, disabled: true}, \
         {match: {metric: RESPONSE_SIZE, mode: CLIENT}, disabled: true}]",
    );
    let mut peer = proxy.connect().await;
    for (host, team) in [("a.example", "x-team: red\r\n"), ("b.example", ""), ("a.example", "x-team: red\r\n")] {
        peer.ask(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n{team}\r\n")).await;
    }
    let counts = lines(&proxy, "istio_requests_total");
    let count = |labels: &[&str]| {
        let found: Vec<_> = counts.iter().filter(|line| labels.iter().all(|label| line.contains(label))).collect();
        assert!(found.len() == 1, "{labels:?}: {counts:#?}");
        found[0].rsplit_once(' ').unwrap().1.to_owned()
    };
    let all = ["destination_app=\"app-200\"", "missing=\"unknown\""];
    assert_eq!(count(&[&all[..], &["request_host=\"a.example\"", "team=\"red\""]].concat()), "2");
    assert_eq!(count(&[&all[..], &["request_host=\"b.example\"", "team=\"none\""]].concat()), "1");
    assert!(!counts.iter().any(|line| line.contains("response_code=")), "{counts:#?}");
    // Of what nothing is said of, nothing changes: and what differs in nothing is one series.
    let sizes = lines(&proxy, "istio_response_bytes_count");
    assert!(sizes.len() == 1 && sizes[0].contains("response_code=\"200\"") && sizes[0].ends_with(" 3"), "{sizes:#?}");
    assert_eq!(lines(&proxy, "istio_request_bytes_count"), [""; 0]);
}

#[tokio::test]
async fn labels_of_connections_are_what_an_override_makes_of_them() {
    let app = App::named("hello").await;
    let proxy = called(
        app.address,
        AppProtocol::Tcp,
        "[{tagOverrides: {port: {value: string(destination.port)}, host: {value: request.host}}}, \
          {match: {metric: TCP_SENT_BYTES}, disabled: true}]",
    );
    let mut peer = proxy.connect().await;
    peer.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    drop(peer);
    until(|| lines(&proxy, "istio_tcp_connections_closed_total").iter().any(|line| line.ends_with(" 1"))).await;
    let port = format!("port=\"{}\"", proxy.address().port());
    for metric in ["opened", "closed"] {
        let found = lines(&proxy, &format!("istio_tcp_connections_{metric}_total"));
        assert!(found.len() == 1 && found[0].contains(&port) && found[0].contains("host=\"unknown\""), "{found:#?}");
    }
    assert_eq!(lines(&proxy, "istio_tcp_sent_bytes_total"), [""; 0]);
    assert_eq!(lines(&proxy, "istio_tcp_received_bytes_total").len(), 1);
}
