//! Gateways, and connections that the kernel redirects.

use std::net::SocketAddr;
use std::sync::Arc;

use super::harness::{
    App, Peer, any_port, edge, header, inbound, ok, route_to, routes, rules, settings, soon, start, target, until,
};
use crate::model::{
    AppProtocol, ClusterPolicy, HostPattern, InboundPolicy, IngressPort, Listener, ListenerProtocol, MtlsMode,
    OutboundMode, VirtualHost,
};
use crate::proxy::directory::{Directory, FixedDirectory};
use crate::proxy::testing;
use crate::proxy::{Bind, Proxy, ProxyConfig};
use crate::resources::Provenance;

#[tokio::test]
async fn a_gateway_serves_the_hosts_that_it_is_told_to() {
    let app = App::named("productpage").await;
    let cluster = testing::cluster("productpage", ClusterPolicy::default(), &[app.address], None);
    let known = FixedDirectory {
        settings: settings(OutboundMode::RegistryOnly),
        listeners: vec![Listener {
            port: 8080,
            protocol: ListenerProtocol::Http,
            provenance: vec![Provenance::new("Gateway", "default", "bookinfo")],
            virtual_hosts: vec![VirtualHost {
                host: HostPattern::parse("*.example.com"),
                routes: "0/gateway/8080/*.example.com".into(),
            }],
            tls: Vec::new(),
            redirected: Vec::new(),
        }],
        gateway_routes: vec![("0/gateway/8080/*.example.com".into(), routes(vec![route_to(&cluster.name)], [cluster]))],
        ..FixedDirectory::default()
    };
    let addresses = Arc::new(|port: u16| if port == 8080 { vec![any_port()] } else { Vec::new() });
    let gateway = start(known, vec![Bind::Gateway { addresses }]);
    let mut bound = gateway.proxy.bound();
    let bound = soon(bound.wait_for(|bound| !bound.is_empty())).await.expect("a port")[0];
    assert_eq!(bound.port, 8080);
    let mut client = Peer::connect(bound.address).await;
    let response = client
        .ask("GET / HTTP/1.1\r\nHost: Shop.Example.com:8080\r\nX-Envoy-Original-Path: /x\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n\r\n")
        .await;
    assert!(response.ends_with("productpage"), "{response}");
    assert_eq!(header(&response, "server"), Some("istio-envoy"));
    let request = app.last();
    assert_eq!(header(&request, "x-forwarded-for"), Some("1.2.3.4,127.0.0.1"));
    assert_eq!(header(&request, "x-forwarded-proto"), Some("http"));
    assert_eq!(header(&request, "x-envoy-original-path"), None);
    let response = client.ask("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n").await;
    assert!(response.starts_with("HTTP/1.1 404") && response.contains("example.com"), "{response}");
    gateway.log.line("404 NR route_not_found").await;
}

/// Where redirected test connections claim to have been going: a documentation address, which nothing answers.
fn virtual_address(_: &tokio::net::TcpStream) -> std::io::Result<Option<SocketAddr>> {
    Ok(Some(([192, 0, 2, 7], 9080).into()))
}

#[tokio::test]
async fn redirected_http_is_routed_by_its_host() {
    let app = App::start(|_| (ok("routed"), false)).await;
    let (_, service) = target("web", &[app.address], None);
    let known = FixedDirectory {
        settings: settings(OutboundMode::RegistryOnly),
        inbound: Some(inbound("productpage", MtlsMode::Permissive, 1, AppProtocol::Http, None)),
        targets: vec![("192.0.2.7".into(), service.clone()), ("web".into(), service)],
        ..FixedDirectory::default()
    };
    let listener = std::net::TcpListener::bind(any_port()).expect("a port");
    let proxy = start(known, vec![Bind::OutboundTransparent { listener, original: virtual_address }]);
    let response = proxy.connect().await.ask("GET /x HTTP/1.1\r\nHost: web\r\n\r\n").await;
    assert!(response.ends_with("routed"), "{response}");
}

/// The one address that redirected raw connections go to: a port that the test fixes before it starts.
fn raw_address(_: &tokio::net::TcpStream) -> std::io::Result<Option<SocketAddr>> {
    Ok(Some(RAW))
}

const RAW: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(127, 9, 8, 7)), 39_080);

#[tokio::test]
async fn redirected_bytes_go_where_they_were_going() {
    let Ok(listener) = tokio::net::TcpListener::bind(RAW).await else {
        eprintln!("skipped: {RAW} cannot be bound here");
        return;
    };
    let known = FixedDirectory { settings: settings(OutboundMode::AllowAny), ..FixedDirectory::default() };
    let socket = std::net::TcpListener::bind(any_port()).expect("a port");
    let proxy = start(known, vec![Bind::OutboundTransparent { listener: socket, original: raw_address }]);
    let mut client = proxy.connect().await;
    let (stream, _) = soon(listener.accept()).await.expect("a connection");
    let mut server = Peer::new(stream);
    server.send("hello").await;
    assert_eq!(client.bytes(5).await, "hello");
    client.send("\x00\x01raw").await;
    assert_eq!(server.bytes(5).await, "\x00\x01raw");
    drop(client);
    assert_eq!(server.rest().await, "");
}

/// A mistake of our own, on the way of one connection.
fn mistaken(_: &tokio::net::TcpStream) -> std::io::Result<Option<SocketAddr>> {
    panic!("a mistake that a test makes on purpose");
}

#[tokio::test]
async fn a_panic_ends_one_connection() {
    let app = App::named("still here").await;
    let known = FixedDirectory {
        settings: settings(OutboundMode::AllowAny),
        inbound: Some(inbound("reviews", MtlsMode::Permissive, 1, AppProtocol::Http, None)),
        ..FixedDirectory::default()
    };
    let socket = std::net::TcpListener::bind(any_port()).expect("a port");
    let listeners = vec![
        Bind::InboundExplicit { bind: any_port(), app: app.address },
        Bind::OutboundTransparent { listener: socket, original: mistaken },
    ];
    let proxy = start(known, listeners);
    let mut bystander = proxy.connect().await;
    bystander.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut victim = Peer::connect(proxy.proxy.addresses()[1]).await;
    assert_eq!(victim.rest().await, "");
    let response = bystander.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(response.ends_with("still here"), "{response}");
    until(|| proxy.proxy.connections() == 1).await;
}

#[tokio::test]
async fn every_worker_serves() {
    let app = App::named("x").await;
    let workers = crate::proxy::Workers::new(3).expect("workers");
    let known = FixedDirectory {
        settings: settings(OutboundMode::AllowAny),
        inbound: Some(inbound("reviews", MtlsMode::Permissive, 1, AppProtocol::Http, None)),
        ..FixedDirectory::default()
    };
    let mut config = ProxyConfig::new("pod", "default", Directory::fixed(known));
    config.listeners = vec![Bind::InboundExplicit { bind: any_port(), app: app.address }];
    let proxy = Proxy::start(&workers, config).expect("a proxy");
    for _ in 0..30 {
        let response = Peer::connect(proxy.addresses()[0]).await.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(response.ends_with("x"), "{response}");
    }
    let address = proxy.addresses()[0];
    drop(proxy);
    until(|| std::net::TcpStream::connect(address).is_err()).await;
}

/// Where redirected connections for the workload claim to have been going: port 9090 of an address on which nothing answers.
fn workload_address(_: &tokio::net::TcpStream) -> std::io::Result<Option<SocketAddr>> {
    Ok(Some(([127, 0, 0, 99], 9090).into()))
}

/// A Sidecar's `ingress`: its port, what is spoken there, and where the application listens instead.
#[tokio::test]
async fn a_sidecar_says_where_the_application_of_a_port_listens() {
    let app = App::named("behind").await;
    let named = |endpoint: Option<SocketAddr>, protocol: AppProtocol| {
        let ingress = IngressPort {
            provenance: Provenance::new("Sidecar", "default", "web").with_rule("ingress[0]".to_owned()),
            port: 9090,
            protocol,
            endpoint,
        };
        let policy = inbound("web", MtlsMode::Permissive, 9090, AppProtocol::Tcp, None);
        FixedDirectory {
            settings: settings(OutboundMode::AllowAny),
            inbound: Some(Arc::new(InboundPolicy { ingress: vec![ingress], ..(*policy).clone() })),
            ..FixedDirectory::default()
        }
    };
    let redirected = |known: FixedDirectory| {
        let listener = std::net::TcpListener::bind(any_port()).expect("a port");
        start(known, vec![Bind::InboundTransparent { listener, original: workload_address }])
    };
    // The listener's protocol counts, and not that of the service with this port.
    let proxy = redirected(named(Some(app.address), AppProtocol::Http));
    let response = proxy.connect().await.ask("GET /x HTTP/1.1\r\nHost: web\r\n\r\n").await;
    assert!(response.ends_with("behind") && header(&response, "server") == Some("istio-envoy"), "{response}");
    // The workload's own address, and no endpoint at all: nothing answers at either.
    for endpoint in [Some(([0, 0, 0, 0], app.address.port()).into()), None] {
        let proxy = redirected(named(endpoint, AppProtocol::Http));
        let response = proxy.connect().await.ask("GET /x HTTP/1.1\r\nHost: web\r\n\r\n").await;
        assert!(response.starts_with("HTTP/1.1 503"), "{endpoint:?}: {response}");
        let asked = endpoint.map_or(9090, |endpoint: SocketAddr| endpoint.port());
        proxy.log.line(&format!("127.0.0.99:{asked}")).await;
    }
}

/// Rules see what a gateway makes of a request's headers, and not what its client made up.
#[tokio::test]
async fn a_gateway_routes_by_the_scheme_that_it_saw() {
    let app = App::named("plain").await;
    let by_scheme = "[{match: [{headers: {x-forwarded-proto: {exact: https}}}], directResponse: {status: 418}}, \
        {match: [{headers: {x-forwarded-proto: {exact: http}, x-forwarded-for: {exact: '1.2.3.4,127.0.0.1'}}}], \
        route: [{destination: {host: web}}]}]";
    let (_gateway, address) = edge(&[("web", app.address)], &rules(by_scheme)).await;
    let request = "GET / HTTP/1.1\r\nHost: web\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n";
    let response = Peer::connect(address).await.ask(request).await;
    assert!(response.ends_with("plain"), "{response}");
}
