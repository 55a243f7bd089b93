//! The matrix of policies and requests, decided in process and asked over sockets, with and without mutual TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use prost::Message;
use rustls::pki_types::ServerName;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::authz_matrix::MATRIX;
use super::harness::{App, any_port, settings, soon, start};
use crate::compile::{World, inbound_policy};
use crate::identity::{Authority, KeyPair, SpiffeId, Svid, TrustDomain};
use crate::model::authz::{Facts, HttpFacts, decide};
use crate::model::{AppProtocol, InboundPolicy, InboundService, MtlsMode, OutboundMode};
use crate::proxy::Bind;
use crate::proxy::directory::{Credentials, FixedDirectory};
use crate::proxy::filter::rbac;
use crate::proxy::http1::head::{Head, Headers};
use crate::proxy::http1::{Target, parse_request, read_target};
use crate::proxy::testing;
use crate::resources::{AuthorizationPolicy, Object};
use crate::tls;
use crate::wire::proto::mesh::v1;

/// What the policies make of the workload `shop/web`, after a way over the wire.
pub(super) fn compiled(policies: &[&str], port: u16, protocol: AppProtocol) -> InboundPolicy {
    let mut world = World::new("cluster.local", "istio-system");
    for (number, policy) in policies.iter().enumerate() {
        let (namespace, annotations, spec) = match policy.split_once(' ') {
            Some(("#root", spec)) => ("istio-system", json!({}), spec),
            Some(("#dry-run", spec)) => ("shop", json!({"istio.io/dry-run": "true"}), spec),
            _ => ("shop", json!({}), *policy),
        };
        let spec = crate::yaml::load("policy", spec.as_bytes()).documents.remove(0).value;
        let value = json!({"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "spec": spec,
            "metadata": {"name": format!("p{number}"), "namespace": namespace, "annotations": annotations}});
        let object =
            Object::<AuthorizationPolicy>::from_value(&value).unwrap_or_else(|error| panic!("{policy}: {error:?}"));
        world.authorization_policies.push(Arc::new(object));
    }
    let workload = crate::model::Workload {
        namespace: "shop".into(),
        labels: [("app".into(), "web".into())].into(),
        identity: Some("spiffe://cluster.local/ns/shop/sa/web".parse().unwrap()),
        ..(*testing::workload("web", "v1", None)).clone()
    };
    let service = InboundService {
        host: "web.shop.svc.cluster.local".into(),
        name: "web".into(),
        namespace: "shop".into(),
        target_port: port,
        protocol,
    };
    let names = ["cluster.local".into(), "old.example.org".into()];
    let policy = inbound_policy(&world, Arc::new(workload), vec![service], &names);
    let bytes = v1::InboundPolicy::from(&policy).encode_to_vec();
    let received = InboundPolicy::try_from(v1::InboundPolicy::decode(&*bytes).unwrap()).unwrap();
    assert_eq!(received, policy);
    received
}

/// What is asked for.
#[derive(Debug)]
struct Request {
    method: String,
    target: String,
    host: String,
    headers: Vec<(String, String)>,
}

/// A line of the matrix.
#[derive(Debug)]
pub(super) struct Asked {
    line: String,
    expected: bool,
    from: Option<SpiffeId>,
    ip: Option<String>,
    port: Option<u16>,
    sni: String,
    /// `None` for a connection.
    request: Option<Request>,
}

impl Asked {
    pub(super) fn parse(line: &str) -> Self {
        let mut words = line.split(' ');
        let expected = words.next() == Some("+");
        let mut asked =
            Self { line: line.into(), expected, from: None, ip: None, port: None, sni: String::new(), request: None };
        let method = words.next().unwrap();
        if method != "TCP" {
            asked.request = Some(Request {
                method: method.into(),
                target: words.next().unwrap().into(),
                host: "web".into(),
                headers: Vec::new(),
            });
        }
        for word in words {
            let (key, value) = word.split_once('=').unwrap();
            match (key, &mut asked.request) {
                ("from", _) => {
                    let (domain, account) = value.split_once(':').unwrap_or(("cluster.local", value));
                    let (namespace, account) = account.split_once('/').unwrap();
                    asked.from = Some(format!("spiffe://{domain}/ns/{namespace}/sa/{account}").parse().unwrap());
                }
                ("ip", _) => asked.ip = Some(value.into()),
                ("port", _) => asked.port = Some(value.parse().unwrap()),
                ("sni", _) => asked.sni = value.into(),
                ("host", Some(request)) => request.host = value.into(),
                (key, Some(request)) => {
                    request.headers.push((key.strip_prefix("h.").unwrap().into(), value.into()));
                }
                _ => panic!("{line}"),
            }
        }
        asked
    }

    fn head(&self) -> Option<String> {
        let Request { method, target, host, headers } = self.request.as_ref()?;
        let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        Some(format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n"))
    }

    /// Whether a test over sockets can bring this about.
    fn is_real(&self) -> bool {
        let known = self.from.as_ref().is_none_or(|id| id.trust_domain().as_str() == "cluster.local");
        known && self.ip.is_none() && self.port.is_none() && self.sni.is_empty()
    }

    /// As the proxy would decide, without one.
    pub(super) fn allowed(&self, policy: &InboundPolicy) -> bool {
        let source_ip = self.ip.as_deref().unwrap_or("127.0.0.1").parse().ok();
        let facts = Facts {
            source: self.from.as_ref(),
            source_ip,
            remote_ip: source_ip,
            destination_ip: "127.0.0.1".parse().ok(),
            destination_port: self.port.unwrap_or(8080),
            server_name: self.sni.as_bytes(),
            http: None,
        };
        let Some(bytes) = self.head() else { return decide(&policy.authorization, &facts).outcome.is_allowed() };
        let (mut head, mut target) = (Head::default(), Target::default());
        let read = parse_request(bytes.as_bytes(), false, &mut head)
            .and_then(|()| read_target(&head, bytes.as_bytes(), &mut target));
        if read.is_err() {
            return false;
        }
        let headers = Headers { head: &head, bytes: bytes.as_bytes() };
        let forwarded = crate::model::HeaderLookup::value(&headers, "x-forwarded-for");
        let http = HttpFacts {
            method: head.method.of(bytes.as_bytes()),
            host: &target.host,
            port: target.port,
            path: target.path(),
            headers: &headers,
            token: None,
        };
        let remote_ip = forwarded.map_or(source_ip, |value| rbac::remote(&value));
        decide(&policy.authorization, &Facts { http: Some(http), remote_ip, ..facts }).outcome.is_allowed()
    }
}

#[test]
fn the_matrix_in_process() {
    let (mut cases, mut wrong) = (0, Vec::new());
    for (policies, requests) in MATRIX {
        let policy = compiled(policies, 8080, AppProtocol::Http);
        for asked in requests.iter().map(|line| Asked::parse(line)) {
            cases += 1;
            if asked.allowed(&policy) != asked.expected {
                wrong.push(format!("{policies:?}: {}", asked.line));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {cases} are not as they should be:\n{}", wrong.len(), wrong.join("\n"));
    assert!(cases >= 200, "{cases} cases");
}

/// An authority, and the clients that it has certified.
struct Clients {
    authority: Authority,
    _directory: tempfile::TempDir,
}

impl Clients {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let domain = TrustDomain::new("cluster.local").unwrap();
        let authority = Authority::load_or_create(&directory.path().join("ca"), &domain).unwrap();
        Self { authority, _directory: directory }
    }

    fn svid(&self, id: &SpiffeId) -> Svid {
        let key = KeyPair::generate().unwrap();
        let chain = self.authority.sign_workload(&key.csr_pem(id).unwrap(), id, Duration::from_secs(3600)).unwrap();
        Svid::new(&chain, key).unwrap()
    }

    /// Sends a head, or a line to be echoed; whether that was answered with 200, or echoed.
    async fn ask(&self, address: SocketAddr, asked: &Asked) -> bool {
        let tcp = soon(TcpStream::connect(address)).await.unwrap();
        let is_http = asked.request.is_some();
        let sent = asked.head().unwrap_or_else(|| "GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_owned());
        let answer = match &asked.from {
            None => exchange(tcp, &sent).await,
            Some(id) => {
                let expected: SpiffeId = "spiffe://cluster.local/ns/shop/sa/web".parse().unwrap();
                let config =
                    tls::mesh_client(&self.svid(id), &self.authority.bundle(), Arc::from([expected]), &[b"istio"])
                        .unwrap();
                let name = ServerName::try_from("web.shop.svc.cluster.local").unwrap();
                exchange(soon(TlsConnector::from(config).connect(name, tcp)).await.unwrap(), &sent).await
            }
        };
        let is_ok = answer.starts_with("HTTP/1.1 200 ");
        let is_refused = answer.starts_with("HTTP/1.1 403 ") && answer.contains(rbac::DENIED);
        let is_malformed = answer.starts_with("HTTP/1.1 400 ");
        assert!(is_ok || is_refused || is_malformed || (!is_http && answer.is_empty()), "{}: {answer}", asked.line);
        is_ok
    }
}

async fn exchange(mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin, sent: &str) -> String {
    let mut answer = Vec::new();
    let mut room = [0; 4096];
    // A proxy that refuses a connection may close it before anything is written.
    if soon(stream.write_all(sent.as_bytes())).await.is_err() {
        return String::new();
    }
    loop {
        match soon(stream.read(&mut room)).await {
            Ok(0) | Err(_) => break,
            Ok(count) => answer.extend_from_slice(&room[..count]),
        }
        let text = String::from_utf8_lossy(&answer);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                break;
            }
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn the_matrix_over_sockets() {
    let clients = Clients::new();
    let app = App::named("hello").await;
    let own = "spiffe://cluster.local/ns/shop/sa/web".parse().unwrap();
    let credentials = Arc::new(Credentials::new(clients.svid(&own), clients.authority.bundle()).unwrap());
    let mut asked_for_real = 0;
    for (policies, requests) in MATRIX {
        for protocol in [AppProtocol::Http, AppProtocol::Tcp] {
            let free = std::net::TcpListener::bind(any_port()).and_then(|listener| listener.local_addr()).unwrap();
            let policy = InboundPolicy {
                default_mtls: (MtlsMode::Permissive, None),
                ..compiled(policies, free.port(), protocol)
            };
            let known = FixedDirectory {
                settings: settings(OutboundMode::AllowAny),
                inbound: Some(Arc::new(policy)),
                credentials: Some(credentials.clone()),
                ..FixedDirectory::default()
            };
            let server = start(known, vec![Bind::InboundExplicit { bind: free, app: app.address }]);
            for asked in requests.iter().map(|line| Asked::parse(line)).filter(Asked::is_real) {
                if asked.request.is_some() != (protocol == AppProtocol::Http) {
                    continue;
                }
                asked_for_real += 1;
                let allowed = clients.ask(server.address(), &asked).await;
                assert_eq!(allowed, asked.expected, "{policies:?}: {}", asked.line);
            }
        }
    }
    assert!(asked_for_real >= 200, "{asked_for_real} requests");
}

#[tokio::test]
async fn the_log_names_the_policy_that_decided_and_the_one_that_is_tried_out() {
    let app = App::named("hello").await;
    let policies = [
        "{action: DENY, rules: [{to: [{operation: {paths: [/x]}}]}, {to: [{operation: {paths: [/admin]}}]}]}",
        "{rules: [{to: [{operation: {methods: [GET]}}]}]}",
        "#dry-run {action: DENY, rules: [{to: [{operation: {paths: [/new]}}]}]}",
        "{action: AUDIT, rules: [{to: [{operation: {paths: [/seen]}}]}]}",
    ];
    let free = std::net::TcpListener::bind(any_port()).and_then(|listener| listener.local_addr()).unwrap();
    let known = FixedDirectory {
        settings: settings(OutboundMode::AllowAny),
        inbound: Some(Arc::new(compiled(&policies, free.port(), AppProtocol::Http))),
        ..FixedDirectory::default()
    };
    let server = start(known, vec![Bind::InboundExplicit { bind: free, app: app.address }]);
    for (request, status, logged) in [
        ("- GET /admin", "403", "rbac_access_denied - \"-\""),
        ("- GET /admin", "403", "\"AuthorizationPolicy shop/p0 rules[1]\""),
        ("- PUT /a", "403", "\"AuthorizationPolicy shop/p1, no rule of which allows it\""),
        ("+ GET /a", "200", "\"AuthorizationPolicy shop/p1 rules[0]\""),
        (
            "+ GET /new",
            "200",
            "\"AuthorizationPolicy shop/p1 rules[0]; shadow denied by AuthorizationPolicy shop/p2 rules[0] (dry run)\"",
        ),
        ("+ GET /seen", "200", "\"AuthorizationPolicy shop/p1 rules[0]; audit: AuthorizationPolicy shop/p3 rules[0]\""),
    ] {
        let tcp = TcpStream::connect(server.address()).await.unwrap();
        let answer = exchange(tcp, &Asked::parse(request).head().unwrap()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
        server.log.line(logged).await;
    }
    let metrics = server.proxy.registry().render();
    for counted in [
        "mesh_authorization_denied_total 3",
        "mesh_authorization_audited_total 1",
        "mesh_authorization_dry_run_differs_total 1",
    ] {
        assert!(metrics.contains(counted), "{counted} is not in {metrics}");
    }
}

/// Other ways to write a path that means the same to some server.
fn encoded(path: &str, choices: &[u8]) -> String {
    let mut written = String::new();
    for (index, letter) in path.chars().enumerate() {
        let choice = choices.get(index).copied().unwrap_or_default();
        match (letter, choice % 6) {
            ('/', 1) => written.push_str("//"),
            ('/', 2) => written.push_str("/./"),
            ('/', 3) if index > 0 => written.push_str("%2F"),
            ('/', 4) => written.push_str("/x/../"),
            ('/', 5) if index > 0 => written.push_str(";v=1/"),
            (letter, 1) if letter.is_ascii_alphanumeric() => written.push_str(&format!("%{:02x}", u32::from(letter))),
            (letter, 2) if letter.is_ascii_alphanumeric() => written.push_str(&format!("%{:02X}", u32::from(letter))),
            (letter, _) => written.push(letter),
        }
    }
    written
}

proptest! {
    #[test]
    fn no_other_way_to_write_a_request_gets_around_a_policy(
        choices in prop::collection::vec(any::<u8>(), 24),
        path in prop::sample::select(vec!["/admin", "/admin/users", "/public/a", "/public", "/"]),
        host in prop::sample::select(vec!["web.org", "WEB.org", "web.org.", "web.org:80"]),
    ) {
        let written = encoded(path, &choices);
        for policies in [
            &["{action: DENY, rules: [{to: [{operation: {hosts: [web.org], paths: [/admin, '/admin/*']}}]}]}"][..],
            &["{rules: [{to: [{operation: {hosts: [web.org], notPaths: [/admin, '/admin/*']}}]}]}"],
            &["{rules: [{to: [{operation: {paths: ['/public/*']}}]}]}"],
            &["{action: DENY, rules: [{to: [{operation: {notPaths: ['/public/*']}}]}]}"],
        ] {
            let policy = compiled(policies, 8080, AppProtocol::Http);
            let plain = Asked::parse(&format!("+ GET {path} host=web.org")).allowed(&policy);
            let other = Asked::parse(&format!("+ GET {written} host={host}")).allowed(&policy);
            // What is refused stays refused however it is written.
            prop_assert!(plain || !other, "{policies:?}: {path} is refused and {written} at {host} is not");
        }
    }
}
