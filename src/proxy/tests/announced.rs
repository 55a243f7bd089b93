//! PROXY protocol: gateways behind a load balancer that announces its clients, and servers that are told who calls.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use super::authz::compiled;
use super::edge_tls::{Authority, GATEWAY};
use super::harness::{
    App, Peer, any_port, edge, edge_with, header, ok, route_to, routes, rules, settings, soon, start, until,
};
use crate::model::{
    AppProtocol, ClusterPolicy, HostPattern, Listener, ListenerProtocol, OutboundMode, ProxyProtocol, Settings,
    VirtualHost,
};
use crate::proxy::directory::FixedDirectory;
use crate::proxy::proxy_protocol::{Ends, parse, write};
use crate::proxy::{Bind, testing};
use crate::telemetry::Counter;

/// MeshConfig of a mesh whose gateways are behind a load balancer.
const BEHIND: &str = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\n\
    data: {mesh: 'defaultConfig: {gatewayTopology: {proxyProtocol: {}}}'}\n---\n";

const CLIENT: &str = "203.0.113.7:4711";

fn announcing(version: ProxyProtocol, client: Option<&str>) -> Vec<u8> {
    let ends = client.map(|client| Ends {
        source: client.parse().expect("an address"),
        destination: "198.51.100.1:443".parse().expect("an address"),
    });
    let mut bytes = Vec::new();
    write(version, ends.as_ref(), &mut bytes);
    bytes
}

fn to_web() -> String {
    format!("{BEHIND}{}", rules("[{route: [{destination: {host: web}}]}]"))
}

#[tokio::test]
async fn a_gateways_client_is_the_one_that_is_announced() {
    let app = App::named("web").await;
    let (gateway, address) = edge(&[("web", app.address)], &to_web()).await;
    for (version, client, seen) in [
        (ProxyProtocol::V1, Some(CLIENT), "203.0.113.7"),
        (ProxyProtocol::V2, Some(CLIENT), "203.0.113.7"),
        (ProxyProtocol::V2, Some("[2001:db8::7]:1"), "2001:db8::7"),
        // A health check of the load balancer's own.
        (ProxyProtocol::V2, None, "127.0.0.1"),
    ] {
        let mut peer = Peer::connect(address).await;
        for byte in announcing(version, client) {
            soon(peer.stream.write_all(&[byte])).await.expect("written");
        }
        for _ in 0..2 {
            let response = peer.ask("GET / HTTP/1.1\r\nHost: web\r\n\r\n").await;
            assert!(response.ends_with("web"), "{response}");
            assert_eq!(header(&app.last(), "x-forwarded-for"), Some(seen), "{version:?} {client:?}");
        }
        if client == Some(CLIENT) {
            let line = gateway.log.line(CLIENT).await;
            assert!(line.contains("198.51.100.1:443"), "{line}");
        }
    }
}

#[tokio::test]
async fn a_gateway_behind_a_load_balancer_refuses_who_comes_around_it() {
    let app = App::named("web").await;
    let (gateway, address) =
        edge_with(&[("web", app.address)], &to_web(), |config| config.limits.proxy_header = Duration::from_millis(200))
            .await;
    for (count, bytes) in
        ["GET / HTTP/1.1\r\nHost: web\r\n\r\n", "PROXY TCP4 203.0.113.7 198.51.100.1 04711 443\r\n", "PROXY TCP4 203"]
            .into_iter()
            .enumerate()
    {
        let mut peer = Peer::connect(address).await;
        peer.send(bytes).await;
        assert_eq!(peer.rest().await, "", "{bytes:?}");
        let refused = gateway.proxy.registry().counter(Counter::ProxyHeadersRefused);
        assert_eq!(refused, count as u64 + 1, "{bytes:?}");
    }
    let line = gateway.log.line("did not come in time").await;
    assert!(line.contains("proxy_protocol_error"), "{line}");
    assert!(app.requests.lock().is_empty());
}

#[tokio::test]
async fn the_announcement_comes_before_the_handshake() {
    let app = App::named("web").await;
    let authority = Authority::new();
    let config = [
        GATEWAY.to_owned(),
        "  - {port: {number: 8443, name: https, protocol: HTTPS}, hosts: ['*'], tls: {mode: SIMPLE, credentialName: a}}\n"
            .to_owned(),
        authority.secret("a", "a.example.com", false),
        to_web(),
    ]
    .concat();
    let (_gateway, address) = edge(&[("web", app.address)], &config).await;
    let mut tcp = TcpStream::connect(address).await.expect("a connection");
    tcp.write_all(&announcing(ProxyProtocol::V2, Some(CLIENT))).await.expect("written");
    let name = "a.example.com".try_into().expect("a name");
    let client = authority.client(None, &[b"http/1.1"]);
    let mut tls = soon(TlsConnector::from(client).connect(name, tcp)).await.expect("a handshake");
    let request = "GET / HTTP/1.1\r\nHost: a.example.com\r\nConnection: close\r\n\r\n";
    tls.write_all(request.as_bytes()).await.expect("written");
    let mut response = String::new();
    soon(tls.read_to_string(&mut response)).await.expect("a response");
    assert!(response.ends_with("web"), "{response}");
    assert_eq!(header(&app.last(), "x-forwarded-for"), Some("203.0.113.7"));
}

/// `ipBlocks` are about who connected, `remoteIpBlocks` about who that says the client is (Istio, "Ingress Access Control").
#[tokio::test]
async fn rules_tell_the_load_balancer_from_its_client() {
    let app = App::named("web").await;
    for (block, allowed) in [
        ("remoteIpBlocks: [203.0.113.0/24]", true),
        ("remoteIpBlocks: [127.0.0.1]", false),
        ("ipBlocks: [127.0.0.1]", true),
        ("ipBlocks: [203.0.113.0/24]", false),
    ] {
        let cluster = testing::cluster("web", ClusterPolicy::default(), &[app.address], None);
        let policy = compiled(&[&format!("{{rules: [{{from: [{{source: {{{block}}}}}]}}]}}")], 8080, AppProtocol::Http);
        let known = FixedDirectory {
            settings: Settings { proxy_protocol: true, ..settings(OutboundMode::RegistryOnly) },
            inbound: Some(Arc::new(policy)),
            listeners: vec![Listener {
                port: 8080,
                protocol: ListenerProtocol::Http,
                provenance: Vec::new(),
                virtual_hosts: vec![VirtualHost { host: HostPattern::Any, routes: "all".into() }],
                tls: Vec::new(),
                redirected: Vec::new(),
            }],
            gateway_routes: vec![("all".into(), routes(vec![route_to(&cluster.name)], [cluster]))],
            ..FixedDirectory::default()
        };
        let gateway = start(known, vec![Bind::Gateway { addresses: Arc::new(|_| vec![any_port()]) }]);
        let mut bound = gateway.proxy.bound();
        let address = soon(bound.wait_for(|bound| !bound.is_empty())).await.expect("a port")[0].address;
        let mut peer = Peer::connect(address).await;
        peer.stream.write_all(&announcing(ProxyProtocol::V1, Some(CLIENT))).await.expect("written");
        let response = peer.ask("GET / HTTP/1.1\r\nHost: web\r\n\r\n").await;
        let expected = if allowed { "HTTP/1.1 200" } else { "HTTP/1.1 403" };
        assert!(response.starts_with(expected), "{block}: {response}");
    }
}

/// A server that demands the PROXY protocol: it says the client's address in every answer.
struct Told {
    address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Told {
    async fn start() -> Self {
        let listener = TcpListener::bind(any_port()).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let task = tokio::spawn(async move {
            let mut served = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                served.spawn(Self::serve(stream));
            }
        });
        Self { address, task }
    }

    async fn serve(mut stream: TcpStream) {
        let mut seen = Vec::new();
        let client = loop {
            if let Some(header) = parse(&seen).expect("a header") {
                seen.drain(..header.length);
                break header.ends.map_or_else(|| "nobody".to_owned(), |ends| ends.source.to_string());
            }
            if stream.read_buf(&mut seen).await.unwrap_or(0) == 0 {
                return;
            }
        };
        loop {
            while let Some(end) = seen.windows(4).position(|window| window == b"\r\n\r\n") {
                seen.drain(..end + 4);
                if stream.write_all(&ok(&client)).await.is_err() {
                    return;
                }
            }
            if stream.read_buf(&mut seen).await.unwrap_or(0) == 0 {
                return;
            }
        }
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
async fn a_server_is_told_who_calls_and_connections_are_not_shared_between_clients() {
    let server = Told::start().await;
    for (version, kind) in [("V1", "HTTP"), ("V2", "HTTP"), ("V1", "TCP"), ("V2", "TCP")] {
        let rule = format!(
            "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: web, namespace: default}}\n\
            spec: {{host: web, trafficPolicy: {{proxyProtocol: {{version: {version}}}}}}}\n---\n"
        );
        let routing = match kind {
            "HTTP" => rules("[{route: [{destination: {host: web}}]}]"),
            _ => rules("[]").replace("  http: []", "  tcp: [{route: [{destination: {host: web}}]}]"),
        };
        let port = format!("{GATEWAY}  - {{port: {{number: 8080, name: p, protocol: {kind}}}, hosts: ['*']}}\n");
        let (_gateway, address) = edge(&[("web", server.address)], &[&port, &*rule, &routing].concat()).await;
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(Peer::connect(address).await);
        }
        for _ in 0..3 {
            for client in &mut clients {
                let own = client.stream.local_addr().expect("an address").to_string();
                let response = client.ask("GET / HTTP/1.1\r\nHost: web\r\n\r\n").await;
                assert!(response.ends_with(&format!("\r\n\r\n{own}")), "{version} {kind}: {response}");
            }
        }
    }
}

#[tokio::test]
async fn a_header_that_nobody_demands_is_no_request() {
    let app = App::named("web").await;
    let routing = rules("[{route: [{destination: {host: web}}]}]");
    let (_gateway, address) = edge(&[("web", app.address)], &routing).await;
    let plain = Peer::connect(address).await.ask("GET / HTTP/1.1\r\nHost: web\r\n\r\n").await;
    assert!(plain.ends_with("web"), "{plain}");
    // Where none is demanded, a header is no request.
    let mut peer = Peer::connect(address).await;
    peer.stream.write_all(&announcing(ProxyProtocol::V1, Some(CLIENT))).await.expect("written");
    let refused = peer.ask("GET / HTTP/1.1\r\nHost: web\r\n\r\n").await;
    assert!(refused.starts_with("HTTP/1.1 505"), "{refused}");
    until(|| app.requests.lock().len() == 1).await;
}

/// Behind proxies that are believed, the client is whom the outermost of them saw: for policies, and for the scheme that it used.
#[tokio::test]
async fn a_gateway_behind_trusted_proxies_believes_as_many_entries_and_no_more() {
    let app = App::named("web").await;
    let policy = "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p, namespace: default}\n\
        spec: {rules: [{from: [{source: {remoteIpBlocks: [203.0.113.0/24]}}]}]}\n---\n";
    for (proxies, forwarded, allowed) in [
        // Nobody is believed: the client is who has connected.
        (0, "203.0.113.7", false),
        (1, "203.0.113.7", true),
        (1, "203.0.113.7, 10.0.0.9", false),
        (2, "203.0.113.7, 10.0.0.9", true),
        // What stands further left was written by nobody who is believed.
        (2, "203.0.113.7, 192.0.2.1, 10.0.0.9", false),
        (2, "203.0.113.7", false),
        (1, "203.0.113.7, evil", false),
    ] {
        let settings = format!(
            "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio, namespace: istio-system}}\n\
             data: {{mesh: 'defaultConfig: {{gatewayTopology: {{numTrustedProxies: {proxies}}}}}'}}\n"
        );
        let config = format!("{settings}{policy}{}", rules("[{route: [{destination: {host: web}}]}]"));
        let (_gateway, address) = edge(&[("web", app.address)], &config).await;
        let request =
            format!("GET / HTTP/1.1\r\nHost: web\r\nX-Forwarded-For: {forwarded}\r\nX-Forwarded-Proto: https\r\n\r\n");
        let response = Peer::connect(address).await.ask(&request).await;
        let expected = if allowed { "HTTP/1.1 200" } else { "HTTP/1.1 403" };
        assert!(response.starts_with(expected), "{proxies} proxies, {forwarded}: {response}");
        if allowed {
            assert_eq!(header(&app.last(), "x-forwarded-proto"), Some("https"));
            assert_eq!(header(&app.last(), "x-forwarded-for"), Some(&*format!("{forwarded},127.0.0.1")));
        }
    }
}
