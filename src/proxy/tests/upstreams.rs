//! Where outbound requests go, and what happens when they cannot.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::harness::{
    AUTHORIZATION, App, Peer, absolute, any_port, header, ok, outbound, route_to, routes, soon, target,
};
use crate::model::{ClusterName, ClusterPolicy, OutboundMode, RequestMatch, StringMatch};
use crate::proxy::directory::Target;
use crate::proxy::testing;

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    std::net::TcpListener::bind(any_port()).and_then(|listener| listener.local_addr()).expect("a port")
}

#[tokio::test]
async fn a_closed_idle_connection_costs_no_request() {
    let served = Arc::new(AtomicUsize::new(0));
    let count = served.clone();
    // Every connection is closed behind its first answer, without saying so before.
    let app = App::start(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        (ok("x"), true)
    })
    .await;
    let client = outbound(vec![target("web", &[app.address], None)], OutboundMode::RegistryOnly, None);
    let mut peer = client.connect().await;
    for number in 1..=20 {
        let response = peer.ask(&absolute("http://web:9080/")).await;
        assert!(response.starts_with("HTTP/1.1 200"), "{number}: {response}");
    }
    assert_eq!(served.load(Ordering::Relaxed), 20, "each was served once");
}

#[tokio::test]
async fn a_request_that_may_have_been_taken_is_not_sent_again() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let client = outbound(vec![target("web", &[address], None)], OutboundMode::RegistryOnly, None);
    let mut peer = client.connect().await;
    peer.send(&absolute("http://web:9080/")).await;
    let (stream, _) = soon(listener.accept()).await.expect("a connection");
    let mut app = Peer::new(stream);
    app.head().await;
    app.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    peer.response().await;
    peer.send(&format!("POST http://web:9080/ HTTP/1.1\r\nHost: web\r\n{AUTHORIZATION}Content-Length: 2\r\n\r\nhi"))
        .await;
    app.head().await;
    drop(app);
    let response = peer.response().await;
    assert!(response.starts_with("HTTP/1.1 503"), "{response}");
    client.log.line("503 UC").await;
    let again = tokio::time::timeout(std::time::Duration::from_millis(50), listener.accept()).await;
    assert!(again.is_err(), "nobody tried again");
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_passed_over() {
    let app = App::named("x").await;
    let client = outbound(vec![target("web", &[nobody(), app.address], None)], OutboundMode::RegistryOnly, None);
    let mut peer = client.connect().await;
    for _ in 0..6 {
        let response = peer.ask(&absolute("http://web:9080/")).await;
        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    }
    assert_eq!(app.requests.lock().len(), 6);
    assert!(app.requests.lock().iter().any(|request| header(request, "x-envoy-attempt-count") == Some("2")));
}

#[tokio::test]
async fn what_cannot_be_served_says_why() {
    let cluster = testing::cluster("empty", ClusterPolicy::default(), &[], None);
    let missing = ClusterName { subset: Some("v9".into()), ..cluster.name.clone() };
    let mut narrow = route_to(&cluster.name);
    narrow.matches =
        vec![RequestMatch { path: Some(StringMatch::Exact((*b"/only").into())), ..RequestMatch::default() }];
    let named = |name: &str, routes| {
        let service = testing::service(name);
        (Arc::<str>::from(name), Arc::new(Target { service, routes }))
    };
    let targets = vec![
        target("empty", &[], None),
        target("gone", &[nobody()], None),
        named("subsetless", routes(vec![route_to(&missing)], [])),
        named("narrow", routes(vec![narrow], [cluster])),
    ];
    let client = outbound(targets, OutboundMode::RegistryOnly, None);
    let mut peer = client.connect().await;
    for (url, status, flag, word) in [
        ("http://empty:9080/", "503", "UH", "outbound|9080||empty.default"),
        ("http://gone:9080/", "503", "UF,URX", "VirtualService default/rules http[0]"),
        ("http://subsetless:9080/", "503", "NC", "outbound|9080|v9|empty.default"),
        ("http://narrow:9080/other", "404", "NR", "narrow"),
        ("http://unheard-of:9080/", "502", "-", "REGISTRY_ONLY"),
        ("http://empty:9999/", "502", "-", "empty:9999"),
    ] {
        let response = peer.ask(&absolute(url)).await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{url}: {response}");
        assert!(response.contains(word), "{url}: {response}");
        assert_eq!(header(&response, "content-type"), Some("text/plain"));
        client.log.line(&format!(" {status} {flag} ")).await;
    }
    assert_eq!(client.proxy.connections(), 1, "none of these costs the client its connection");
}

#[tokio::test]
async fn hosts_outside_the_mesh_are_reached_where_that_is_allowed() {
    let app = App::named("outside").await;
    let client = outbound(Vec::new(), OutboundMode::AllowAny, None);
    let mut peer = client.connect().await;
    for host in ["127.0.0.1", "localhost"] {
        let response = peer.ask(&absolute(&format!("http://{host}:{}/x", app.address.port()))).await;
        assert!(response.ends_with("outside"), "{host}: {response}");
        assert_eq!(header(&app.last(), "proxy-authorization"), None);
    }
    client.log.line("PassthroughCluster").await;
    let own = client.address();
    let response = peer.ask(&absolute(&format!("http://{own}/"))).await;
    assert!(response.starts_with("HTTP/1.1 502") && response.contains("in circles"), "{response}");
}

#[tokio::test]
async fn only_the_pods_token_opens_its_proxy() {
    let app = App::named("x").await;
    let client = outbound(vec![target("web", &[app.address], None)], OutboundMode::AllowAny, None);
    let mut peer = client.connect().await;
    for authorization in
        ["", "Proxy-Authorization: Basic cG9kOndyb25n\r\n", "Authorization: Basic cG9kOnMzY3JldA==\r\n"]
    {
        let response = peer.ask(&format!("GET http://web:9080/ HTTP/1.1\r\nHost: web\r\n{authorization}\r\n")).await;
        assert!(response.starts_with("HTTP/1.1 407"), "{response}");
        assert!(header(&response, "proxy-authenticate").is_some());
    }
    assert!(app.requests.lock().is_empty());
    // Origin form reaches the same rules.
    let response = peer.ask(&format!("GET / HTTP/1.1\r\nHost: web:9080\r\n{AUTHORIZATION}\r\n")).await;
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
}
