//! Pairs of proxies, and who may talk to whom.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::FutureExt;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::authz::compiled;
use super::harness::{
    App, Mesh, Peer, Running, absolute, any_port, header, inbound, ok, outbound, route_to, routes, settings, soon,
    start, start_on, target, until,
};
use crate::model::{
    AppProtocol, ClientCertificates, ClusterPolicy, HostPattern, Listener, ListenerProtocol, MtlsMode, OutboundMode,
    ServerTls, Termination, TlsDemands, UpstreamTls, VirtualHost,
};
use crate::proxy::directory::{Directory, FixedDirectory, Target};
use crate::proxy::{Bind, testing};
use crate::resources::Provenance;
use crate::telemetry::{Counter, Reporter};

/// The proxy beside `reviews`.
pub fn called(mesh: &Mesh, mode: MtlsMode, app: SocketAddr, protocol: AppProtocol) -> Running {
    // The port is known before the policy, which names it.
    let free = std::net::TcpListener::bind(any_port()).and_then(|listener| listener.local_addr()).expect("a port");
    let known = FixedDirectory {
        settings: settings(OutboundMode::AllowAny),
        inbound: Some(inbound("reviews", mode, free.port(), protocol, Some(mesh.id("reviews")))),
        credentials: Some(mesh.credentials("reviews")),
        ..FixedDirectory::default()
    };
    start(known, vec![Bind::InboundExplicit { bind: free, app }])
}

#[tokio::test]
async fn a_pair_of_proxies_speaks_mutual_tls_and_says_who_called() {
    let mesh = Mesh::new();
    let app = App::named("hello").await;
    let server = called(&mesh, MtlsMode::Strict, app.address, AppProtocol::Http);
    let targets = vec![target("reviews", &[server.address()], Some(&mesh.id("reviews")))];
    let client = outbound(targets, OutboundMode::RegistryOnly, Some(mesh.credentials("productpage")));
    let mut peer = client.connect().await;
    for _ in 0..5 {
        let response = peer.ask(&absolute("http://reviews:9080/reviews/0")).await;
        assert!(response.ends_with("hello"), "{response}");
        assert_eq!(header(&response, "server"), Some("envoy"));
    }
    let request = app.last();
    assert!(request.starts_with("GET /reviews/0 HTTP/1.1\r\n"), "{request}");
    assert_eq!(header(&request, "host"), Some("reviews:9080"));
    let certificate = header(&request, "x-forwarded-client-cert").expect("who called");
    assert!(certificate.starts_with("By=spiffe://cluster.local/ns/default/sa/reviews;Hash="), "{certificate}");
    assert!(
        certificate.ends_with(";Subject=\"\";URI=spiffe://cluster.local/ns/default/sa/productpage"),
        "{certificate}"
    );
    for gone in ["x-mesh-peer", "proxy-authorization"] {
        assert_eq!(header(&request, gone), None);
    }
    assert_eq!(app.connections.load(std::sync::atomic::Ordering::Relaxed), 1);
    assert_eq!(server.proxy.registry().counter(Counter::ConnectionsAccepted), 1, "one handshake for all requests");

    let line = client.log.line("via_upstream").await;
    assert!(line.contains("outbound|9080||reviews.default.svc.cluster.local"), "{line}");
    assert!(line.contains("\"VirtualService default/rules http[0]\""), "{line}");
    server.log.line("outbound_.9080_._.reviews.default.svc.cluster.local").await;

    let metrics = server.proxy.registry().render();
    let line = metrics.lines().find(|line| line.starts_with("istio_requests_total{")).expect("the counter");
    for label in [
        "reporter=\"destination\"",
        "source_workload=\"productpage-v1\"",
        "source_principal=\"spiffe://cluster.local/ns/default/sa/productpage\"",
        "source_canonical_revision=\"v1\"",
        "destination_workload=\"reviews-v1\"",
        "destination_principal=\"spiffe://cluster.local/ns/default/sa/reviews\"",
        "destination_service=\"reviews.default.svc.cluster.local\"",
        "connection_security_policy=\"mutual_tls\"",
    ] {
        assert!(line.contains(label), "{label} is not in {line}");
    }
    for (registry, reporter) in
        [(client.proxy.registry(), Reporter::Source), (server.proxy.registry(), Reporter::Destination)]
    {
        let rows = registry.snapshot();
        let row = rows.iter().find(|row| row.reporter == reporter).expect("a row");
        assert_eq!((&*row.service, &*row.version), ("reviews", "v1"));
        assert_eq!((row.requests, row.successes, row.mutual_tls), (5, 5, 5));
    }
}

#[tokio::test]
async fn permissive_takes_plaintext_and_says_so() {
    let mesh = Mesh::new();
    let app = App::named("hello").await;
    let server = called(&mesh, MtlsMode::Permissive, app.address, AppProtocol::Http);
    let mut peer = server.connect().await;
    // The first bytes come one at a time.
    for byte in "GET ".chars() {
        peer.send(&byte.to_string()).await;
    }
    let response = peer.ask("/ HTTP/1.1\r\nHost: a\r\nX-Forwarded-Client-Cert: By=evil\r\n\r\n").await;
    assert!(response.ends_with("hello"), "{response}");
    assert_eq!(header(&app.last(), "x-forwarded-client-cert"), None);
    until(|| server.proxy.registry().render().contains("connection_security_policy=\"none\"")).await;
    assert!(server.proxy.registry().render().contains("source_principal=\"unknown\""));
}

#[tokio::test]
async fn strict_refuses_plaintext_and_names_the_rule() {
    let mesh = Mesh::new();
    let app = App::named("hello").await;
    let server = called(&mesh, MtlsMode::Strict, app.address, AppProtocol::Http);
    let mut peer = server.connect().await;
    peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(peer.rest().await, "");
    let line = server.log.line("mutual_tls_required").await;
    assert!(line.contains("PeerAuthentication default/strictness"), "{line}");
    assert_eq!(server.proxy.registry().counter(Counter::PlaintextRefused), 1);
    assert!(app.requests.lock().is_empty());
}

#[tokio::test]
async fn a_server_that_is_somebody_else_gets_no_request() {
    let mesh = Mesh::new();
    let app = App::named("hello").await;
    let server = called(&mesh, MtlsMode::Strict, app.address, AppProtocol::Http);
    let targets = vec![target("ratings", &[server.address()], Some(&mesh.id("ratings")))];
    let client = outbound(targets, OutboundMode::RegistryOnly, Some(mesh.credentials("productpage")));
    let response = client.connect().await.ask(&absolute("http://ratings:9080/")).await;
    assert!(response.starts_with("HTTP/1.1 503"), "{response}");
    let line = client.log.line("503 UF").await;
    assert!(line.contains("wrong SPIFFE id") && line.contains("sa/reviews"), "{line}");
    assert!(app.requests.lock().is_empty());
}

#[tokio::test]
async fn another_authority_is_not_believed_by_either_side() {
    let (mesh, other) = (Mesh::new(), Mesh::new());
    let app = App::named("hello").await;
    let server = called(&mesh, MtlsMode::Strict, app.address, AppProtocol::Http);
    let targets = vec![target("reviews", &[server.address()], Some(&mesh.id("reviews")))];
    let client = outbound(targets, OutboundMode::RegistryOnly, Some(other.credentials("productpage")));
    let response = client.connect().await.ask(&absolute("http://reviews:9080/")).await;
    assert!(response.starts_with("HTTP/1.1 503"), "{response}");
    client.log.line("unknown authority").await;
    assert!(app.requests.lock().is_empty());
}

#[tokio::test]
async fn mutual_tls_never_falls_back_to_plaintext() {
    let mesh = Mesh::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let refused = |credentials| {
        let targets = vec![target("reviews", &[address], Some(&mesh.id("reviews")))];
        let client = outbound(targets, OutboundMode::AllowAny, credentials);
        async move {
            let response = client.connect().await.ask(&absolute("http://reviews:9080/")).await;
            assert!(response.starts_with("HTTP/1.1 503"), "{response}");
            client.log.line("503 UF").await
        }
    };
    // The endpoint should speak mutual TLS and does not: it takes what comes first and hangs up.
    let endpoint = async {
        let mut first = [0; 3];
        // The first try, and the two that a rule without retries has.
        for byte in first.chunks_mut(1) {
            let (mut stream, _) = soon(listener.accept()).await.expect("a connection");
            soon(stream.read_exact(byte)).await.expect("a byte");
        }
        first
    };
    let (_, first) = tokio::join!(refused(Some(mesh.credentials("productpage"))), endpoint);
    assert_eq!(first, [0x16; 3], "handshakes, no request");
    // Who has no certificate does not even connect.
    let line = refused(None).await;
    assert!(line.contains("no certificate yet"), "{line}");
    assert!(std::pin::pin!(listener.accept()).as_mut().now_or_never().is_none());
}

/// A client that has nothing to show.
#[derive(Debug)]
struct NoCertificate;

impl rustls::client::ResolvesClientCert for NoCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<rustls::sign::CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// A handshake with mesh roots and this ALPN; with a certificate or without.
pub(super) async fn shake(
    mesh: &Mesh,
    address: SocketAddr,
    account: Option<&str>,
    alpn: &[u8],
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    shake_with(mesh, address, account, alpn, ("reviews", "reviews")).await
}

/// The same, with a server of another account and name.
async fn shake_with(
    mesh: &Mesh,
    address: SocketAddr,
    account: Option<&str>,
    alpn: &[u8],
    (server, name): (&str, &str),
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let config = match account {
        Some(account) => {
            let expected = Arc::from([mesh.id(server)]);
            crate::tls::mesh_client(&mesh.svid(account), &mesh.bundle(), expected, &[alpn]).expect("a configuration")
        }
        None => {
            let mut config =
                (*crate::tls::mesh_client(&mesh.svid("nobody"), &mesh.bundle(), Arc::from([mesh.id(server)]), &[alpn])
                    .expect("a configuration"))
                .clone();
            config.client_auth_cert_resolver = Arc::new(NoCertificate);
            Arc::new(config)
        }
    };
    let tcp = TcpStream::connect(address).await?;
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    TlsConnector::from(config).connect(name, tcp).await
}

#[tokio::test]
async fn a_client_with_a_certificate_of_the_mesh_is_served_over_tls_1_3() {
    let mesh = Mesh::new();
    let app = App::named("hello").await;
    let server = called(&mesh, MtlsMode::Permissive, app.address, AppProtocol::Http);
    let mut tls = soon(shake(&mesh, server.address(), Some("outside"), b"istio")).await.expect("a handshake");
    assert_eq!(tls.get_ref().1.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    assert_eq!(crate::tls::peer_id(tls.get_ref().1.peer_certificates()), Some(mesh.id("reviews")));
    tls.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.expect("written");
    let mut response = String::new();
    soon(tls.read_to_string(&mut response)).await.expect("a response");
    assert!(response.ends_with("hello"), "{response}");
}

#[tokio::test]
async fn tls_that_is_not_the_meshs_goes_to_the_application_as_it_came() {
    let mesh = Mesh::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let server = called(&mesh, MtlsMode::Permissive, listener.local_addr().expect("an address"), AppProtocol::Http);
    let client = tokio::spawn({
        let (mesh, address) = (Mesh::new(), server.address());
        async move { shake(&mesh, address, Some("outside"), b"http/1.1").await.is_ok() }
    });
    let (stream, _) = soon(listener.accept()).await.expect("a connection");
    let mut app = Peer::new(stream);
    let mut first = [0; 1];
    soon(app.stream.read_exact(&mut first)).await.expect("a byte");
    assert_eq!(first, [0x16], "the application gets the ClientHello itself");
    drop(app);
    assert!(!soon(client).await.expect("no panic"));
}

#[tokio::test]
async fn a_tcp_port_gets_bytes_behind_mesh_tls_and_the_server_may_speak_first() {
    let mesh = Mesh::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let app = listener.local_addr().expect("an address");
    let server = called(&mesh, MtlsMode::Strict, app, AppProtocol::Tcp);
    let mut tls = soon(shake(&mesh, server.address(), Some("outside"), b"istio")).await.expect("a handshake");
    let (stream, _) = soon(listener.accept()).await.expect("a connection");
    let mut app = Peer::new(stream);
    app.send("220 ready\r\n").await;
    let mut greeting = [0; 11];
    soon(tls.read_exact(&mut greeting)).await.expect("a greeting");
    assert_eq!(&greeting, b"220 ready\r\n");
    tls.write_all(b"QUIT").await.expect("written");
    assert_eq!(app.bytes(4).await, "QUIT");
}

#[tokio::test]
async fn a_policy_that_becomes_strict_reaches_connections_that_are_open() {
    let app = App::named("hello").await;
    let free = std::net::TcpListener::bind(any_port()).and_then(|listener| listener.local_addr()).expect("a port");
    let policy = |mode| Some(inbound("reviews", mode, free.port(), AppProtocol::Http, None));
    let directory = Directory::fixed(FixedDirectory {
        settings: settings(OutboundMode::AllowAny),
        inbound: policy(MtlsMode::Permissive),
        ..FixedDirectory::default()
    });
    let bind = Bind::InboundExplicit { bind: free, app: app.address };
    let server = start_on(directory.clone(), vec![bind], |_| {});
    let request = "GET / HTTP/1.1\r\nHost: reviews\r\n\r\n";
    let mut client = server.connect().await;
    assert!(client.ask(request).await.ends_with("hello"));
    directory.replace_gateway(settings(OutboundMode::AllowAny), Vec::new(), Vec::new(), policy(MtlsMode::Strict));
    client.send(request).await;
    assert_eq!(client.rest().await, "");
    assert_eq!((app.requests.lock().len(), server.proxy.registry().counter(Counter::PlaintextRefused)), (1, 1));
}

#[tokio::test]
async fn many_bytes_pass_mesh_tls_in_both_directions_as_they_are() {
    const MANY: usize = 5_000_000;
    let mesh = Mesh::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let server = called(&mesh, MtlsMode::Strict, listener.local_addr().expect("an address"), AppProtocol::Tcp);
    let tls = soon(shake(&mesh, server.address(), Some("outside"), b"istio")).await.expect("a handshake");
    let (app, _) = soon(listener.accept()).await.expect("a connection");
    // No period that a block would have.
    let sent: Vec<u8> = (0..MANY).map(|number| (number % 251) as u8).collect();
    let (from_client, from_app) = (sent.clone(), sent.iter().rev().copied().collect::<Vec<u8>>());
    let (mut tls_read, mut tls_write) = tokio::io::split(tls);
    let (mut app_read, mut app_write) = app.into_split();
    let (to_client, to_app) = (from_app.clone(), from_client.clone());
    let sending = async {
        tls_write.write_all(&from_client).await.expect("written");
        tls_write.shutdown().await.expect("ended");
    };
    let answering = async {
        app_write.write_all(&from_app).await.expect("written");
        app_write.shutdown().await.expect("ended");
    };
    let (mut at_client, mut at_app) = (Vec::new(), Vec::new());
    let reading = async { tls_read.read_to_end(&mut at_client).await.expect("read") };
    let taking = async { app_read.read_to_end(&mut at_app).await.expect("read") };
    soon(async { tokio::join!(sending, answering, reading, taking) }).await;
    assert!(at_client == to_client, "{} of {MANY} bytes", at_client.len());
    assert!(at_app == to_app, "{} of {MANY} bytes", at_app.len());
}

/// A gateway whose servers are `ISTIO_MUTUAL`: for one host, with a policy that lets `productpage` in. Answers where it is.
async fn for_the_mesh(mesh: &Mesh, app: SocketAddr) -> (Running, SocketAddr) {
    let allowed = "{rules: [{from: [{source: {principals: [cluster.local/ns/default/sa/productpage]}}]}]}";
    let cluster = testing::cluster("web", ClusterPolicy::default(), &[app], None);
    let host = HostPattern::parse("web.example.com");
    let provenance = Provenance::new("Gateway", "default", "front");
    let server = ServerTls {
        hosts: vec![host.clone()],
        termination: Termination::Http,
        certificate: None,
        clients: ClientCertificates::Mesh,
        demands: TlsDemands::default(),
        provenance: provenance.clone(),
    };
    let known = FixedDirectory {
        settings: settings(OutboundMode::RegistryOnly),
        inbound: Some(Arc::new(compiled(&[allowed], 8443, AppProtocol::Http))),
        credentials: Some(mesh.credentials("gateway")),
        listeners: vec![Listener {
            port: 8443,
            protocol: ListenerProtocol::Tls,
            provenance: vec![provenance],
            virtual_hosts: vec![VirtualHost { host, routes: "web".into() }],
            tls: vec![server],
            redirected: Vec::new(),
        }],
        gateway_routes: vec![("web".into(), routes(vec![route_to(&cluster.name)], [cluster]))],
        ..FixedDirectory::default()
    };
    let gateway = start(known, vec![Bind::Gateway { addresses: Arc::new(|_| vec![any_port()]) }]);
    let mut bound = gateway.proxy.bound();
    let address = soon(bound.wait_for(|bound| !bound.is_empty())).await.expect("a port")[0].address;
    (gateway, address)
}

/// A service whose endpoint is the gateway, spoken to as a rule for an egress gateway says.
fn through(mesh: &Mesh, gateway: SocketAddr, server_name: Option<&str>) -> (Arc<str>, Arc<Target>) {
    let tls = UpstreamTls::IstioMutual { server_name: server_name.map(Into::into), names: Vec::new() };
    let policy = ClusterPolicy { tls, ..ClusterPolicy::default() };
    let cluster = testing::cluster("web.example.com", policy, &[gateway], Some(&mesh.id("gateway")));
    let service = testing::service("web.example.com");
    let target = Target { service, routes: routes(vec![route_to(&cluster.name)], [cluster]) };
    ("web.example.com".into(), Arc::new(target))
}

#[tokio::test]
async fn a_gateway_takes_clients_of_the_mesh_by_their_identity() {
    let mesh = Mesh::new();
    let app = App::named("hello").await;
    let (gateway, address) = for_the_mesh(&mesh, app.address).await;
    for (account, server_name, expected) in [
        ("productpage", Some("web.example.com"), "HTTP/1.1 200"),
        // The name of a cluster says no host: the request does.
        ("productpage", None, "HTTP/1.1 200"),
        ("ratings", Some("web.example.com"), "HTTP/1.1 403"),
    ] {
        let targets = vec![through(&mesh, address, server_name)];
        let client = outbound(targets, OutboundMode::RegistryOnly, Some(mesh.credentials(account)));
        let response = client.connect().await.ask(&absolute("http://web.example.com:9080/")).await;
        assert!(response.starts_with(expected), "{account} {server_name:?}: {response}");
    }
    assert_eq!(header(&app.last(), "x-forwarded-proto"), Some("https"));
    // Who shows nothing, or speaks no TLS, is served nothing.
    if let Ok(mut tls) = soon(shake_with(&mesh, address, None, b"istio", ("gateway", "web.example.com"))).await {
        let _ = tls.write_all(b"GET / HTTP/1.1\r\nHost: web.example.com\r\n\r\n").await;
        let mut response = Vec::new();
        assert!(soon(tls.read_to_end(&mut response)).await.is_err() || response.is_empty());
    }
    gateway.log.line("tls_handshake_failed").await;
    let mut plain = Peer::connect(address).await;
    plain.send("GET / HTTP/1.1\r\nHost: web.example.com\r\n\r\n").await;
    assert_eq!(plain.rest().await, "");
    assert_eq!(app.requests.lock().len(), 2);
}

#[tokio::test]
async fn mesh_tls_without_a_certificate_is_refused() {
    let mesh = Mesh::new();
    let app = App::start(|_| (ok("hello"), false)).await;
    let server = called(&mesh, MtlsMode::Permissive, app.address, AppProtocol::Http);
    // In TLS 1.3 the client learns of it when it reads.
    if let Ok(mut tls) = soon(shake(&mesh, server.address(), None, b"istio")).await {
        let mut response = Vec::new();
        let _ = tls.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(soon(tls.read_to_end(&mut response)).await.is_err() || response.is_empty());
    }
    server.log.line("tls_handshake_failed").await;
    assert!(app.requests.lock().is_empty());
}

#[tokio::test]
async fn a_server_that_a_rule_does_not_name_gets_no_request() {
    let mesh = Mesh::new();
    let app = App::named("hello").await;
    let server = called(&mesh, MtlsMode::Strict, app.address, AppProtocol::Http);
    for (named, expected) in [(&["ledger", "reviews"][..], "HTTP/1.1 200"), (&["ledger"], "HTTP/1.1 503")] {
        let names = named.iter().map(|account| mesh.id(account)).collect();
        let tls = UpstreamTls::IstioMutual { server_name: None, names };
        let policy = ClusterPolicy { tls, ..ClusterPolicy::default() };
        let cluster = testing::cluster("reviews", policy, &[server.address()], Some(&mesh.id("reviews")));
        let target =
            Target { service: testing::service("reviews"), routes: routes(vec![route_to(&cluster.name)], [cluster]) };
        let targets = vec![("reviews".into(), Arc::new(target))];
        let client = outbound(targets, OutboundMode::RegistryOnly, Some(mesh.credentials("productpage")));
        let response = client.connect().await.ask(&absolute("http://reviews:9080/")).await;
        assert!(response.starts_with(expected), "{named:?}: {response}");
    }
    assert_eq!(app.requests.lock().len(), 1);
}
