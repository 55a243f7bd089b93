//! Connections whose bytes are not looked at: TCP servers and TLS passed through at gateways, weights, server names that come in
//! small pieces, servers that speak first.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::edge_tls::{Authority, GATEWAY, secure};
use super::harness::{App, Peer, Running, any_port, edge, edge_with, header, inbound, settings, soon, start, until};
use crate::model::{AppProtocol, MtlsMode, OutboundMode};
use crate::proxy::Bind;
use crate::proxy::directory::FixedDirectory;
use crate::tls;

/// A server that says its name to whoever connects, and then repeats what it is told.
pub struct Greeter {
    pub address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Greeter {
    pub async fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let task = tokio::spawn(async move {
            let mut served = tokio::task::JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                served.spawn(async move {
                    let (mut reading, mut writing) = stream.split();
                    if writing.write_all(name.as_bytes()).await.is_ok() {
                        // The client may leave at any time.
                        let _ = tokio::io::copy(&mut reading, &mut writing).await;
                        let _ = writing.shutdown().await;
                    }
                });
            }
        });
        Self { address, task }
    }
}

impl Drop for Greeter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A server of TLS that answers every connection with its name.
async fn secure_server(authority: &Authority, name: &'static str) -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let (chain, key) = authority.issue(name);
    let config = tls::edge_server(&chain, &key, tls::EdgeClients::Anonymous, &[]).expect("a server");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = TlsAcceptor::from(config.clone());
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let _ = stream.write_all(name.as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    (address, task)
}

async fn said(authority: &Authority, address: SocketAddr, name: &str) -> Result<String, String> {
    let mut stream = secure(&authority.client(None, &[]), address, name).await?;
    let mut text = String::new();
    soon(stream.read_to_string(&mut text)).await.map_err(|error| error.to_string())?;
    Ok(text)
}

fn virtual_service(name: &str, hosts: &str, rules: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: default}}\n\
        spec:\n  hosts: {hosts}\n  gateways: [front]\n{rules}\n"
    )
}

fn tcp_gateway() -> String {
    format!("{GATEWAY}  - {{port: {{number: 9000, name: tcp, protocol: TCP}}, hosts: ['*']}}\n")
}

#[tokio::test]
async fn a_tcp_server_splits_connections_by_weight_and_lets_the_server_speak_first() {
    let (one, two) = (Greeter::start("one").await, Greeter::start("two").await);
    let config = tcp_gateway()
        + &virtual_service(
            "split",
            "['*']",
            "  tcp: [{match: [{port: 9000}], route: [{destination: {host: one}, weight: 80}, {destination: {host: two}, weight: 20}]}]",
        );
    let (gateway, address) = edge(&[("one", one.address), ("two", two.address)], &config).await;
    let mut second = 0;
    for _ in 0..200 {
        let mut peer = Peer::connect(address).await;
        let name = peer.bytes(3).await;
        peer.send("ping").await;
        assert_eq!(peer.bytes(4).await, "ping");
        second += usize::from(name == "two");
    }
    // 40 are expected; chance stays within seven standard deviations.
    assert!((5..=80).contains(&second), "{second} of 200 connections reached the second");
    let line = gateway.log.line("outbound|80||one.default.svc.cluster.local").await;
    assert!(line.contains("VirtualService default/split tcp[0]"), "{line}");
}

#[tokio::test]
async fn a_half_closed_connection_still_carries_the_other_direction() {
    let echo = Greeter::start("").await;
    let config = tcp_gateway() + &virtual_service("all", "['*']", "  tcp: [{route: [{destination: {host: echo}}]}]");
    let (_gateway, address) = edge(&[("echo", echo.address)], &config).await;
    let mut peer = Peer::connect(address).await;
    let text = "x".repeat(300_000);
    let (mut reading, mut writing) = peer.stream.split();
    let mut back = String::new();
    let sending = async {
        writing.write_all(text.as_bytes()).await.expect("written");
        writing.shutdown().await.expect("closed");
    };
    let (_, read) = soon(async { tokio::join!(sending, reading.read_to_string(&mut back)) }).await;
    read.expect("read");
    assert_eq!(back.len(), text.len());
}

#[tokio::test]
async fn what_no_rule_takes_and_what_nobody_answers_is_closed_and_said() {
    let gone = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    let config = tcp_gateway()
        + &virtual_service(
            "other-port",
            "['*']",
            "  tcp: [{match: [{port: 9001}], route: [{destination: {host: web}}]}]",
        );
    let (gateway, address) = edge(&[("web", gone)], &config).await;
    assert_eq!(Peer::connect(address).await.rest().await, "");
    let line = gateway.log.line("route_not_found").await;
    assert!(line.contains(" NR ") && line.contains("no rule takes a connection to port"), "{line}");

    let config = tcp_gateway() + &virtual_service("all", "['*']", "  tcp: [{route: [{destination: {host: web}}]}]");
    let (gateway, address) = edge(&[("web", gone)], &config).await;
    assert_eq!(Peer::connect(address).await.rest().await, "");
    let line = gateway.log.line("upstream_connection_failure").await;
    assert!(line.contains(" UF ") && line.contains("VirtualService default/all tcp[0]"), "{line}");
}

#[tokio::test]
async fn tls_is_passed_through_to_the_service_of_its_server_name() {
    let authority = Authority::new();
    let (a, _a) = secure_server(&authority, "a.example.com").await;
    let (b, _b) = secure_server(&authority, "b.example.com").await;
    let config = [
        GATEWAY.to_owned(),
        "  - {port: {number: 8443, name: tls, protocol: TLS}, hosts: ['*.example.com'], tls: {mode: PASSTHROUGH}}\n".to_owned(),
        virtual_service(
            "by-name",
            "['*.example.com']",
            "  tls:\n  - {match: [{sniHosts: ['*.example.com']}], route: [{destination: {host: b}}]}\n  - {match: [{sniHosts: [a.example.com]}], route: [{destination: {host: a}}]}",
        ),
    ]
    .concat();
    let (gateway, address) = edge(&[("a", a), ("b", b)], &config).await;
    // The most specific name decides, and the certificate is the server's own: nothing was terminated.
    assert_eq!(said(&authority, address, "a.example.com").await.as_deref(), Ok("a.example.com"));
    assert_eq!(said(&authority, address, "b.example.com").await.as_deref(), Ok("b.example.com"));
    let line = gateway.log.line("a.example.com").await;
    assert!(line.contains("VirtualService default/by-name tls[1]"), "{line}");
    assert!(said(&authority, address, "example.org").await.is_err());
    gateway.log.line("no server of this port has this name").await;
}

#[tokio::test]
async fn a_server_name_is_found_however_small_the_pieces_are() {
    let authority = Authority::new();
    let (a, _a) = secure_server(&authority, "a.example.com").await;
    let config = [
        GATEWAY.to_owned(),
        "  - {port: {number: 8443, name: tls, protocol: TLS}, hosts: ['*'], tls: {mode: PASSTHROUGH}}\n".to_owned(),
        virtual_service(
            "by-name",
            "[a.example.com]",
            "  tls: [{match: [{sniHosts: [a.example.com]}], route: [{destination: {host: a}}]}]",
        ),
    ]
    .concat();
    let (_gateway, address) = edge(&[("a", a)], &config).await;
    // Between the client and the gateway stands somebody who hands on one byte at a time.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let slow = listener.local_addr().expect("an address");
    let handing = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.expect("a client");
        let mut server = TcpStream::connect(address).await.expect("a connection");
        server.set_nodelay(true).expect("set");
        let (mut from, mut back) = client.split();
        let (mut answers, mut to) = server.split();
        let up = async {
            let mut byte = [0];
            while from.read_exact(&mut byte).await.is_ok() {
                to.write_all(&byte).await.expect("written");
                tokio::task::yield_now().await;
            }
        };
        let down = async {
            // The client may leave first.
            let _ = tokio::io::copy(&mut answers, &mut back).await;
            let _ = back.shutdown().await;
        };
        tokio::join!(up, down);
    });
    assert_eq!(said(&authority, slow, "a.example.com").await.as_deref(), Ok("a.example.com"));
    handing.abort();
}

#[tokio::test]
async fn who_begins_a_handshake_and_does_not_go_on_is_cut() {
    let config = [
        GATEWAY.to_owned(),
        "  - {port: {number: 8443, name: tls, protocol: TLS}, hosts: ['*'], tls: {mode: PASSTHROUGH}}\n".to_owned(),
    ]
    .concat();
    let shortened = |config: &mut crate::proxy::ProxyConfig| config.limits.detection = Duration::from_millis(50);
    let (_gateway, address) = edge_with(&[], &config, shortened).await;
    let mut peer = Peer::connect(address).await;
    soon(peer.stream.write_all(&[0x16, 3, 1, 0x20])).await.expect("written");
    assert_eq!(peer.rest().await, "");
    // A ClientHello that never ends does not fill the memory either.
    let mut peer = Peer::connect(address).await;
    let mut record = vec![0x16, 3, 1, 0x40, 0];
    record.extend([1, 0xff, 0xff, 0xff]);
    record.resize(5 + 0x4000, 0);
    for _ in 0..4 {
        if peer.stream.write_all(&record).await.is_err() {
            break;
        }
    }
    assert_eq!(peer.rest().await, "");
}

#[tokio::test]
async fn tls_is_terminated_with_bytes_behind_it() {
    let authority = Authority::new();
    let echo = Greeter::start("hello").await;
    let config = [
        GATEWAY.to_owned(),
        "  - {port: {number: 8443, name: tls, protocol: TLS}, hosts: [db.example.com], tls: {mode: SIMPLE, credentialName: db}}\n".to_owned(),
        authority.secret("db", "db.example.com", false),
        virtual_service("db", "[db.example.com]", "  tcp: [{route: [{destination: {host: db}}]}]"),
    ]
    .concat();
    let (gateway, address) = edge(&[("db", echo.address)], &config).await;
    let mut stream = secure(&authority.client(None, &[]), address, "db.example.com").await.expect("TLS");
    let mut greeting = [0; 5];
    soon(stream.read_exact(&mut greeting)).await.expect("a greeting");
    assert_eq!(&greeting, b"hello");
    soon(stream.write_all(b"query")).await.expect("written");
    let mut answer = [0; 5];
    soon(stream.read_exact(&mut answer)).await.expect("an answer");
    assert_eq!(&answer, b"query");
    drop(stream);
    gateway.log.line("VirtualService default/db tcp[0]").await;
}

#[tokio::test]
async fn terminated_http_and_passed_through_names_share_a_port() {
    let authority = Authority::new();
    let app = App::named("web").await;
    let (a, _a) = secure_server(&authority, "a.example.com").await;
    let config = [
        GATEWAY.to_owned(),
        "  - {port: {number: 8443, name: https, protocol: HTTPS}, hosts: [web.example.com], tls: {mode: SIMPLE, credentialName: web}}\n".to_owned(),
        "  - {port: {number: 8443, name: tls, protocol: TLS}, hosts: [a.example.com], tls: {mode: PASSTHROUGH}}\n".to_owned(),
        authority.secret("web", "web.example.com", false),
        virtual_service("web", "[web.example.com]", "  http: [{route: [{destination: {host: web}}]}]"),
        virtual_service(
            "a",
            "[a.example.com]",
            "  tls: [{match: [{sniHosts: [a.example.com]}], route: [{destination: {host: a}}]}]",
        ),
    ]
    .concat();
    let (_gateway, address) = edge(&[("web", app.address), ("a", a)], &config).await;
    assert_eq!(said(&authority, address, "a.example.com").await.as_deref(), Ok("a.example.com"));
    let client: Arc<_> = authority.client(None, &[b"http/1.1"]);
    let name = "web.example.com".to_owned().try_into().expect("a name");
    let tcp = TcpStream::connect(address).await.expect("a connection");
    let mut stream = soon(TlsConnector::from(client).connect(name, tcp)).await.expect("TLS");
    let request = b"GET / HTTP/1.1\r\nHost: web.example.com\r\nConnection: close\r\n\r\n";
    soon(stream.write_all(request)).await.expect("written");
    let mut response = String::new();
    soon(stream.read_to_string(&mut response)).await.expect("an answer");
    assert!(response.ends_with("web"), "{response}");
}

/// A sidecar in front of an application on a port of which nobody has said what is spoken.
fn undeclared(app: SocketAddr) -> Running {
    let free = std::net::TcpListener::bind(any_port()).and_then(|listener| listener.local_addr()).expect("a port");
    let known = FixedDirectory {
        settings: settings(OutboundMode::AllowAny),
        inbound: Some(inbound("db", MtlsMode::Permissive, free.port(), AppProtocol::Detect, None)),
        ..FixedDirectory::default()
    };
    start(known, vec![Bind::InboundExplicit { bind: free, app }])
}

#[tokio::test]
async fn where_nobody_says_what_is_spoken_whoever_speaks_first_does() {
    let greeter = Greeter::start("220 ready").await;
    let proxy = undeclared(greeter.address);
    // The server speaks first: the client is silent until it does.
    let mut peer = proxy.connect().await;
    assert_eq!(peer.bytes(9).await, "220 ready");
    peer.send("QUIT").await;
    assert_eq!(peer.bytes(4).await, "QUIT");
    // The client speaks first, and no HTTP.
    let mut peer = proxy.connect().await;
    soon(peer.stream.write_all(b"\x00\x00\x00\x08")).await.expect("written");
    assert_eq!(peer.bytes(13).await, "220 ready\x00\x00\x00\x08");
    // HTTP is told from the rest by its first words, and routed as such.
    let app = App::named("web").await;
    let proxy = undeclared(app.address);
    let mut peer = proxy.connect().await;
    peer.send("G").await;
    let response = peer.ask("ET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(response.ends_with("web") && header(&response, "x-envoy-upstream-service-time").is_some(), "{response}");
}

fn policy(service: &str, pool: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: {service}, namespace: default}}\n\
        spec: {{host: {service}, trafficPolicy: {{connectionPool: {{tcp: {pool}}}}}}}\n"
    )
}

#[tokio::test]
async fn a_connection_ends_when_its_services_rule_says_so() {
    let echo = Greeter::start("").await;
    let all = virtual_service("all", "['*']", "  tcp: [{route: [{destination: {host: echo}}]}]");
    for (pool, flag) in [("{idleTimeout: 200ms}", "0 -"), ("{maxConnectionDuration: 200ms, idleTimeout: 0s}", "0 DT")] {
        let config = [tcp_gateway(), all.clone(), policy("echo", pool)].concat();
        let (gateway, address) = edge(&[("echo", echo.address)], &config).await;
        let mut peer = Peer::connect(address).await;
        peer.send("ping").await;
        assert_eq!(peer.bytes(4).await, "ping");
        assert_eq!(peer.rest().await, "", "{pool}");
        let line = gateway.log.line("outbound|80||echo").await;
        assert!(line.contains(&format!("\"- - -\" {flag} - - \"-\" 4 4 ")), "{pool}: {line}");
    }
}

/// The value of a metric in the one series that has all of these labels.
fn metric(gateway: &Running, name: &str, labels: &[&str]) -> Option<u64> {
    let text = gateway.proxy.registry().render();
    let found = |line: &&str| {
        line.starts_with(&format!("{name}{{")) && labels.iter().all(|label| line.contains(&format!("{label},")))
    };
    text.lines().find(found).and_then(|line| line.rsplit(' ').next()?.parse().ok())
}

#[tokio::test]
async fn connections_are_counted_with_istios_names_and_labels() {
    let echo = Greeter::start("").await;
    let config =
        [tcp_gateway(), virtual_service("all", "['*']", "  tcp: [{route: [{destination: {host: echo}}]}]")].concat();
    let (gateway, address) = edge(&[("echo", echo.address)], &config).await;
    let labels = [
        "reporter=\"source\"",
        "destination_service=\"echo.default.svc.cluster.local\"",
        "destination_service_name=\"echo\"",
        "request_protocol=\"tcp\"",
        "response_flags=\"-\"",
    ];
    let read = |name: &str| metric(&gateway, &format!("istio_tcp_{name}_total"), &labels);
    let mut first = Peer::connect(address).await;
    first.send("hello").await;
    assert_eq!(first.bytes(5).await, "hello");
    assert_eq!((read("connections_opened"), read("connections_closed")), (Some(1), Some(0)));
    drop(first);
    let mut second = Peer::connect(address).await;
    second.send("more").await;
    assert_eq!(second.bytes(4).await, "more");
    drop(second);
    until(|| read("connections_closed") == Some(2)).await;
    assert_eq!((read("connections_opened"), read("received_bytes"), read("sent_bytes")), (Some(2), Some(9), Some(9)));
    let text = gateway.proxy.registry().render();
    let line = text.lines().find(|line| line.starts_with("istio_tcp_connections_opened_total{")).expect("a series");
    assert!(!line.contains("response_code") && !line.contains("grpc_response_status"), "{line}");
}

#[tokio::test]
async fn a_connection_that_goes_nowhere_is_counted_with_its_flag() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.and_then(|listener| listener.local_addr()).expect("a port");
    let all = virtual_service("all", "['*']", "  tcp: [{route: [{destination: {host: echo}}]}]");
    let (gateway, address) = edge(&[("echo", nobody)], &[tcp_gateway(), all].concat()).await;
    assert_eq!(Peer::connect(address).await.rest().await, "");
    let labels = ["destination_service_name=\"echo\"", "response_flags=\"UF\""];
    until(|| metric(&gateway, "istio_tcp_connections_closed_total", &labels) == Some(1)).await;
    assert_eq!(metric(&gateway, "istio_tcp_connections_opened_total", &labels), Some(1));
}

#[tokio::test]
async fn the_called_workloads_proxy_counts_connections_as_well() {
    let echo = Greeter::start("").await;
    let free = std::net::TcpListener::bind(any_port()).and_then(|listener| listener.local_addr()).expect("a port");
    let known = FixedDirectory {
        settings: settings(OutboundMode::AllowAny),
        inbound: Some(inbound("echo", MtlsMode::Permissive, free.port(), AppProtocol::Tcp, None)),
        ..FixedDirectory::default()
    };
    let sidecar = start(known, vec![Bind::InboundExplicit { bind: free, app: echo.address }]);
    let mut peer = Peer::connect(free).await;
    peer.send("hello").await;
    assert_eq!(peer.bytes(5).await, "hello");
    drop(peer);
    let labels = [
        "reporter=\"destination\"",
        "destination_workload=\"echo-v1\"",
        "destination_service=\"echo.default.svc.cluster.local\"",
        "request_protocol=\"tcp\"",
    ];
    until(|| metric(&sidecar, "istio_tcp_connections_closed_total", &labels) == Some(1)).await;
    assert_eq!(metric(&sidecar, "istio_tcp_received_bytes_total", &labels), Some(5));
}
