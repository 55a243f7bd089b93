//! An application that records what it gets and says what it is told to, a client that reads whole responses, and proxies
//! whose knowledge is fixed.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::compile::World;
use crate::identity::{Authority, KeyPair, SpiffeId, Svid, TrustDomain};
use crate::model::{
    Action, AppProtocol, ClusterName, ClusterPolicy, Handling, HttpRule, InboundPolicy, InboundService, Labels,
    MtlsMode, OutboundMode, Reporting, Routes, Settings, WeightedCluster,
};
use crate::proxy::directory::{Cluster, Credentials, Directory, FixedDirectory, RoutesInForce, Target};
use crate::proxy::standalone::Standalone;
use crate::proxy::{Bind, Proxy, ProxyConfig, Workers, testing};
use crate::resources::Provenance;
use crate::telemetry::{AccessLog, AccessLogFormat};

/// Longest time that a test waits for anything.
pub const SOON: Duration = Duration::from_secs(10);

pub const TOKEN: &str = "s3cret";
/// `Basic` for `pod:s3cret`.
pub const AUTHORIZATION: &str = "Proxy-Authorization: Basic cG9kOnMzY3JldA==\r\n";

/// Waits for something that must come.
pub async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(SOON, future).await.expect("in time")
}

/// Looks until a condition holds.
pub async fn until(mut condition: impl FnMut() -> bool) {
    soon(async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// A server that records requests and answers them as `answer` says: bytes, and whether it then closes the connection.
pub struct App {
    pub address: SocketAddr,
    pub requests: Arc<Mutex<Vec<String>>>,
    pub connections: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl App {
    pub async fn start(answer: impl Fn(&str) -> (Vec<u8>, bool) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let connections: Arc<AtomicUsize> = Arc::default();
        let (seen, count) = (requests.clone(), connections.clone());
        let answer = Arc::new(answer);
        let task = tokio::spawn(async move {
            let mut served = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                let (seen, answer) = (seen.clone(), answer.clone());
                served.spawn(async move {
                    let mut peer = Peer::new(stream);
                    while let Some(request) = peer.message(false).await {
                        let (bytes, close) = answer(&request);
                        seen.lock().push(request);
                        if peer.stream.write_all(&bytes).await.is_err() || close {
                            break;
                        }
                    }
                });
            }
        });
        Self { address, requests, connections, task }
    }

    /// One that answers everything with 200 and the name it was given.
    pub async fn named(name: &'static str) -> Self {
        Self::start(move |_| (ok(name), false)).await
    }

    pub fn last(&self) -> String {
        self.requests.lock().last().cloned().expect("a request")
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// One end of a connection, which reads whole messages.
pub struct Peer {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

impl Peer {
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    pub async fn connect(address: SocketAddr) -> Self {
        Self::new(soon(TcpStream::connect(address)).await.expect("a connection"))
    }

    pub async fn send(&mut self, bytes: &str) {
        soon(self.stream.write_all(bytes.as_bytes())).await.expect("written");
    }

    /// Sends and reads the response.
    pub async fn ask(&mut self, bytes: &str) -> String {
        self.send(bytes).await;
        self.response().await
    }

    /// A whole response.
    pub async fn response(&mut self) -> String {
        soon(self.message(true)).await.expect("a response")
    }

    /// The head of one, and nothing behind it.
    pub async fn head(&mut self) -> String {
        soon(async {
            loop {
                if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                    return String::from_utf8(self.buffer.drain(..end + 4).collect()).expect("text");
                }
                assert!(self.more().await, "the connection ended");
            }
        })
        .await
    }

    /// So many bytes.
    pub async fn bytes(&mut self, count: usize) -> String {
        soon(async {
            while self.buffer.len() < count {
                assert!(self.more().await, "the connection ended");
            }
            String::from_utf8(self.buffer.drain(..count).collect()).expect("text")
        })
        .await
    }

    /// Everything until the end, which must come.
    pub async fn rest(&mut self) -> String {
        soon(async {
            while self.more().await {}
            String::from_utf8(std::mem::take(&mut self.buffer)).expect("text")
        })
        .await
    }

    async fn more(&mut self) -> bool {
        let mut room = [0; 4096];
        match self.stream.read(&mut room).await {
            Ok(0) | Err(_) => false,
            Ok(count) => {
                self.buffer.extend_from_slice(&room[..count]);
                true
            }
        }
    }

    /// A head and the body that it announces; `None` at the end of the connection.
    async fn message(&mut self, is_response: bool) -> Option<String> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.buffer[..end + 4]).into_owned();
                let lower = head.to_ascii_lowercase();
                if is_response && lower.starts_with("http/1.1 1") && !lower.starts_with("http/1.1 101") {
                    self.buffer.drain(..end + 4);
                    continue;
                }
                let length = lower
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "))
                    .map_or(0, |value| value.trim().parse::<usize>().expect("a number"));
                let total = if lower.contains("transfer-encoding: chunked") {
                    find(&self.buffer[end + 4..], b"0\r\n").and_then(|zero| {
                        find(&self.buffer[end + 4 + zero..], b"\r\n\r\n").map(|last| end + 4 + zero + last + 4)
                    })
                } else {
                    Some(end + 4 + length)
                };
                if let Some(total) = total
                    && self.buffer.len() >= total
                {
                    return Some(String::from_utf8(self.buffer.drain(..total).collect()).expect("text"));
                }
            }
            if !self.more().await {
                return None;
            }
        }
    }
}

/// A gRPC server with one unary method, which answers messages as `answer` says.
pub async fn grpc_server(path: &'static str, answer: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind(any_port()).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    assert_eq!(request.uri().path(), path);
                    assert_eq!(request.headers()["content-type"], "application/grpc");
                    let answer = answer.clone();
                    tokio::spawn(async move {
                        let mut body = request.into_body();
                        let mut message = Vec::new();
                        while let Some(Ok(data)) = body.data().await {
                            let _ = body.flow_control().release_capacity(data.len());
                            message.extend_from_slice(&data);
                        }
                        let answer = answer(&message[5..]);
                        let response = http::Response::builder().header("content-type", "application/grpc");
                        let mut send = respond.send_response(response.body(()).expect("a head"), false).expect("sent");
                        let length = u32::try_from(answer.len()).expect("short");
                        let framed = [&[0][..], &length.to_be_bytes(), &answer].concat();
                        send.send_data(framed.into(), false).expect("sent");
                        let trailers = [(http::HeaderName::from_static("grpc-status"), "0".parse().expect("a value"))];
                        send.send_trailers(trailers.into_iter().collect()).expect("sent");
                    });
                }
            });
        }
    });
    address
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// The value of a header in a message.
pub fn header<'m>(message: &'m str, name: &str) -> Option<&'m str> {
    let head = message.split("\r\n\r\n").next()?;
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// A certificate authority that lives as long as its directory.
pub struct Mesh {
    authority: Authority,
    trust_domain: TrustDomain,
    _directory: tempfile::TempDir,
}

impl Mesh {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let trust_domain = TrustDomain::new("cluster.local").expect("a trust domain");
        let authority = Authority::load_or_create(directory.path(), &trust_domain).expect("an authority");
        Self { authority, trust_domain, _directory: directory }
    }

    pub fn id(&self, account: &str) -> SpiffeId {
        SpiffeId::new(&self.trust_domain, "default", account).expect("an id")
    }

    pub fn svid(&self, account: &str) -> Svid {
        let key = KeyPair::generate().expect("a key");
        let id = self.id(account);
        let csr = key.csr_pem(&id).expect("a request");
        let chain = self.authority.sign_workload(&csr, &id, Duration::from_secs(3600)).expect("a certificate");
        Svid::new(&chain, key).expect("an identity")
    }

    pub fn bundle(&self) -> crate::identity::TrustBundle {
        self.authority.bundle()
    }

    pub fn credentials(&self, account: &str) -> Arc<Credentials> {
        Arc::new(Credentials::new(self.svid(account), self.bundle()).expect("credentials"))
    }
}

pub fn settings(outbound_mode: OutboundMode) -> Settings {
    Settings {
        scope: "0".into(),
        trust_domain: "cluster.local".into(),
        cluster: "Kubernetes".into(),
        outbound_mode,
        client: Reporting { log: true, ..Reporting::default() },
        server: Reporting { log: true, ..Reporting::default() },
        proxy_protocol: false,
        trusted_proxies: 0,
        bundle: None,
    }
}

/// The policy of workload `name-v1`, which answers for service `name` on any port that tests use.
pub fn inbound(
    name: &str,
    mode: MtlsMode,
    port: u16,
    protocol: AppProtocol,
    id: Option<SpiffeId>,
) -> Arc<InboundPolicy> {
    Arc::new(InboundPolicy {
        tokens: Vec::new(),
        authorization: Vec::new(),
        providers: Vec::new(),
        ingress: Vec::new(),
        workload: testing::workload(name, "v1", id),
        default_mtls: (mode, Some(Provenance::new("PeerAuthentication", "default", "strictness"))),
        port_mtls: Vec::new(),
        services: vec![InboundService {
            host: format!("{name}.default.svc.cluster.local").into(),
            name: name.into(),
            namespace: "default".into(),
            target_port: port,
            protocol,
        }],
    })
}

/// One rule that takes everything to a cluster.
pub fn route_to(cluster: &ClusterName) -> HttpRule {
    HttpRule {
        provenance: Provenance::new("VirtualService", "default", "rules").with_rule("http[0]"),
        name: "default".into(),
        matches: Vec::new(),
        action: Action::Forward(vec![WeightedCluster::new(cluster.clone(), 1)]),
        handling: Handling::default(),
        tier: 0,
    }
}

pub fn routes(rules: Vec<HttpRule>, clusters: impl IntoIterator<Item = Arc<Cluster>>) -> Arc<RoutesInForce> {
    Arc::new(RoutesInForce::new(Arc::new(Routes { name: "routes".into(), http: rules, ..Routes::default() }), clusters))
}

/// Service `name`, whose port 9080 leads to these addresses.
pub fn target(name: &str, addresses: &[SocketAddr], identity: Option<&SpiffeId>) -> (Arc<str>, Arc<Target>) {
    let policy = ClusterPolicy { balancer: crate::model::Balancer::RoundRobin, ..ClusterPolicy::default() };
    let cluster = testing::cluster(name, policy, addresses, identity);
    let routes = routes(vec![route_to(&cluster.name)], [cluster]);
    (name.into(), Arc::new(Target { service: testing::service(name), routes }))
}

/// A running proxy, its workers and its log.
pub struct Running {
    pub proxy: Proxy,
    pub log: LogLines,
    _workers: Workers,
}

pub struct LogLines(mpsc::Receiver<String>);

impl LogLines {
    /// Waits for a line that holds `wanted`.
    pub async fn line(&self, wanted: &str) -> String {
        let mut seen = Vec::new();
        let deadline = tokio::time::Instant::now() + SOON;
        while tokio::time::Instant::now() < deadline {
            match self.0.try_recv() {
                Ok(line) if line.contains(wanted) => return line,
                Ok(line) => seen.push(line),
                Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
            }
        }
        panic!("no line with {wanted:?} in {seen:#?}");
    }
}

struct Lines(mpsc::Sender<String>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        for line in String::from_utf8_lossy(bytes).lines() {
            // A test that has ended reads no more.
            let _ = self.0.send(line.to_owned());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub fn any_port() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

pub fn start(known: FixedDirectory, listeners: Vec<Bind>) -> Running {
    start_with(known, listeners, |_| {})
}

pub fn start_with(known: FixedDirectory, listeners: Vec<Bind>, change: impl FnOnce(&mut ProxyConfig)) -> Running {
    start_on(Directory::fixed(known), listeners, change)
}

pub fn start_on(directory: Directory, listeners: Vec<Bind>, change: impl FnOnce(&mut ProxyConfig)) -> Running {
    let (sender, receiver) = mpsc::channel();
    let workers = Workers::new(1).expect("a worker");
    let mut config = ProxyConfig::new("pod", "default", directory);
    config.listeners = listeners;
    config.access_log = Some(Arc::new(AccessLog::start(AccessLogFormat::Text, Lines(sender)).expect("a log")));
    change(&mut config);
    let proxy = Proxy::start(&workers, config).expect("a proxy");
    Running { proxy, log: LogLines(receiver), _workers: workers }
}

impl Running {
    pub fn address(&self) -> SocketAddr {
        self.proxy.addresses()[0]
    }

    pub async fn connect(&self) -> Peer {
        Peer::connect(self.address()).await
    }

    /// Ends it in order. Whether it did in time.
    pub async fn drain(self) -> bool {
        self.proxy.drain(SOON).await
    }
}

/// A gateway made of files: services with these applications behind their port 80, and `config`, whose Gateway is called `front`
/// and has port 8080.
pub async fn edge(apps: &[(&str, SocketAddr)], config: &str) -> (Running, SocketAddr) {
    edge_with(apps, config, |_| {}).await
}

pub async fn edge_with(
    apps: &[(&str, SocketAddr)],
    config: &str,
    change: impl FnOnce(&mut ProxyConfig),
) -> (Running, SocketAddr) {
    let mut text = String::from("");
    if !config.contains("kind: Gateway") {
        text += "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: front, namespace: default}\n\
        spec: {selector: {}, servers: [{port: {number: 8080, name: http, protocol: HTTP}, hosts: ['*']}]}\n";
    }
    let mut services: Vec<&str> = apps.iter().map(|(name, _)| *name).collect();
    services.dedup();
    for name in services {
        let endpoints = apps.iter().filter(|(app, _)| *app == name).enumerate();
        text += &format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: default}}\n\
            spec: {{ports: [{{name: {}, port: 80}}]}}\n",
            port_name(name)
        );
        for (number, (_, address)) in endpoints {
            text += &format!(
                "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
                metadata: {{name: {name}-{number}, namespace: default, labels: {{kubernetes.io/service-name: {name}}}}}\n\
                ports: [{{name: {}, port: {}}}]\nendpoints: [{{addresses: ['{}']}}]\n",
                port_name(name),
                address.port(),
                address.ip()
            );
        }
    }
    let loaded = crate::yaml::load("mesh.yaml", format!("{text}---\n{config}").as_bytes());
    assert_eq!(loaded.errors, []);
    let trust_domain = TrustDomain::new("cluster.local").expect("a trust domain");
    let world = World::from_documents("cluster.local", "istio-system", &trust_domain, &loaded.documents);
    let world = world.unwrap_or_else(|findings| panic!("{findings:?}"));
    let directory = Standalone::new(&world, "default", Labels::new()).directory().clone();
    let addresses = Arc::new(|_| vec![any_port()]);
    let running = start_on(directory, vec![Bind::Gateway { addresses }], change);
    let mut bound = running.proxy.bound();
    let address = soon(bound.wait_for(|bound| !bound.is_empty())).await.expect("a port")[0].address;
    (running, address)
}

/// Services whose names say so speak gRPC.
fn port_name(service: &str) -> &'static str {
    if service.starts_with("grpc") { "grpc" } else { "http" }
}

/// A VirtualService for every host at the gateway, with these HTTP rules.
pub fn rules(http: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: rules, namespace: default}}\n\
        spec:\n  hosts: ['*']\n  gateways: [front]\n  http: {http}\n"
    )
}

/// An inbound proxy in front of an application, plaintext permitted.
pub fn sidecar(app: SocketAddr) -> Running {
    sidecar_with(app, |_| {})
}

pub fn sidecar_with(app: SocketAddr, change: impl FnOnce(&mut ProxyConfig)) -> Running {
    // The port is known before the policy, which declares it.
    let free = std::net::TcpListener::bind(any_port()).and_then(|listener| listener.local_addr()).expect("a port");
    let known = FixedDirectory {
        settings: settings(OutboundMode::AllowAny),
        inbound: Some(inbound("reviews", MtlsMode::Permissive, free.port(), AppProtocol::Http, None)),
        ..FixedDirectory::default()
    };
    start_with(known, vec![Bind::InboundExplicit { bind: free, app }], change)
}

/// An outbound proxy that knows these names.
pub fn outbound(
    targets: Vec<(Arc<str>, Arc<Target>)>,
    mode: OutboundMode,
    credentials: Option<Arc<Credentials>>,
) -> Running {
    let id = credentials.as_ref().map(|credentials| credentials.svid.id.clone());
    let known = FixedDirectory {
        settings: settings(mode),
        inbound: Some(inbound("productpage", MtlsMode::Permissive, 1, AppProtocol::Http, id)),
        credentials,
        targets,
        ..FixedDirectory::default()
    };
    start(known, vec![Bind::OutboundExplicit { bind: any_port(), token: TOKEN.into() }])
}

/// A request of a workload to its outbound proxy.
pub fn absolute(target: &str) -> String {
    let host = target.trim_start_matches("http://").split('/').next().unwrap_or_default();
    format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{AUTHORIZATION}\r\n")
}
