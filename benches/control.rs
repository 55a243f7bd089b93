//! What a control plane costs: memory for 1,000 services and 10,000 workloads, and how long and how many bytes a change takes
//! to be in force in 100 proxies; what a stream of endpoints that come and go costs; and how long all proxies take to come back.
//!
//! `cargo bench --bench control` prints a table. Control plane and proxies run in this one process, over connections in memory,
//! with the same client and server as between processes (TLS left out). What the control plane alone takes in memory is measured
//! first, with the same proxies in a process of their own, which reach it through a Unix socket.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use mesh::compile;
use mesh::control::source::{Event, Item, Key, Kind, PodItem, ServiceItem, SliceEndpoint, SliceItem};
use mesh::control::{ControlPlane, Options, Source};
use mesh::identity::{Authority, SpiffeId, TrustDomain};
use mesh::model::{GatewayTopology, Health, OutboundMode};
use mesh::proxy::directory::{Directory, Resolution};
use mesh::proxy::xds::{Connect, NodeId, ProxyKind, XdsClient, XdsConfig, in_memory};
use mesh::resources::Object;
use parking_lot::Mutex;
use serde_json::json;
use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, DuplexStream, ReadBuf,
};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

const NAMESPACES: usize = 20;
const SERVICES: usize = 50;
const PODS: usize = 10;
const PROXIES: usize = 100;
/// Services that each proxy uses.
const USED: usize = 10;
const CHANGES: usize = 50;

/// Where the control plane of another process is reached, for a process that is there for its proxies alone.
const SOCKET: &str = "MESH_BENCH_SOCKET";

fn main() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    match std::env::var_os(SOCKET) {
        Some(socket) => runtime.block_on(be_proxies(socket.into())),
        None => runtime.block_on(measure()),
    }
}

/// How long endpoints come and go, and how many a second.
const STORM: Duration = Duration::from_secs(60);
const STORM_RATE: u32 = 1000;

/// A connection that counts what the proxy reads, and ends when it is cut.
struct Counted {
    stream: DuplexStream,
    read: Arc<AtomicU64>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

/// Cuts every connection that was made so far.
#[derive(Clone, Default)]
struct Scissors(Arc<Mutex<CancellationToken>>);

impl Scissors {
    fn current(&self) -> CancellationToken {
        self.0.lock().clone()
    }

    fn cut(&self) {
        std::mem::take(&mut *self.0.lock()).cancel();
    }
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.read.fetch_add((buf.filled().len() - before) as u64, Ordering::Relaxed);
        polled
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

fn address(namespace: usize, service: usize, pod: usize) -> [u8; 4] {
    [10, namespace as u8, service as u8, pod as u8 + 1]
}

fn items() -> Vec<(Key, Item)> {
    let mut items = Vec::new();
    for n in 0..NAMESPACES {
        let namespace = format!("team-{n}");
        for s in 0..SERVICES {
            let name = format!("svc-{s}");
            let value = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace},
                "spec": {"clusterIP": format!("10.{}.{s}.1", 100 + n), "ports": [{"name": "http", "port": 80}]}});
            let service = Arc::new(compile::service(&value, "cluster.local", None).expect("a service"));
            items.push((
                Key::new(&namespace, &name),
                Item::Service(ServiceItem { service, created: None, published: Arc::default() }),
            ));
            let pods: Vec<String> = (0..PODS).map(|p| format!("{name}-7d4f9c6b8-{p:05}")).collect();
            for (p, pod) in pods.iter().enumerate() {
                let label = |key: &str, value: &str| (key.into(), value.into());
                let version = if p % 2 == 0 { "v1" } else { "v2" };
                let item = PodItem {
                    is_ready: true,
                    addresses: vec![address(n, s, p).into()],
                    service_account: name.as_str().into(),
                    labels: [label("app", &name), label("version", version), label("pod-template-hash", "7d4f9c6b8")]
                        .into(),
                    workload_name: name.as_str().into(),
                    has_proxy: true,
                    is_gateway: false,
                    topology: GatewayTopology::default(),
                    node: "".into(),
                };
                items.push((Key::new(&namespace, pod), Item::Pod(item)));
            }
            let endpoint = |(p, pod): (usize, &String)| SliceEndpoint {
                address: address(n, s, p).into(),
                pod: Some(Key::new(&namespace, pod)),
                health: Health::Healthy,
            };
            let endpoints = pods.iter().enumerate().map(endpoint).collect();
            let slice = SliceItem { service: name.as_str().into(), ports: vec![("http".into(), 8080)], endpoints };
            items.push((Key::new(&namespace, &format!("{name}-1")), Item::EndpointSlice(slice)));
            items.push(route(&namespace, s, 1));
        }
    }
    items
}

fn route(namespace: &str, service: usize, seconds: usize) -> (Key, Item) {
    let name = format!("svc-{service}");
    let value = json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"hosts": [name], "http": [
            {"match": [{"uri": {"prefix": format!("/{seconds}")}}], "route": [{"destination": {"host": name}}]},
            {"route": [{"destination": {"host": name}}]}]}});
    let object = Object::from_value(&value).expect("a VirtualService");
    (Key::new(namespace, &name), Item::VirtualService(Arc::new(object)))
}

fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok()).unwrap_or(f64::NAN) / 1024.0
}

fn percentile(times: &mut [Duration], part: f64) -> Duration {
    times.sort();
    let index = ((times.len() as f64 - 1.0) * part).round() as usize;
    times.get(index).copied().unwrap_or_default()
}

fn prefix(directory: &Directory, name: &str) -> Option<String> {
    match directory.get(name) {
        Some(Resolution::Known(target)) => Some(format!("{:?}", target.routes.routes.http.first()?.matches)),
        _ => None,
    }
}

/// Who the proxy of a number is.
fn identity(number: usize) -> SpiffeId {
    let domain = TrustDomain::new("cluster.local").expect("a trust domain");
    let (n, s) = (number % NAMESPACES, number / NAMESPACES);
    SpiffeId::new(&domain, &format!("team-{n}"), &format!("svc-{s}")).expect("an identity")
}

async fn connect(
    plane: &ControlPlane,
    number: usize,
    read: &Arc<AtomicU64>,
    scissors: &Scissors,
    token: &CancellationToken,
) -> Directory {
    let id = identity(number);
    let (plane, read, scissors) = (plane.clone(), read.clone(), scissors.clone());
    let connect = in_memory(move || {
        let (plane, id, read, cut) = (plane.clone(), id.clone(), read.clone(), scissors.current());
        async move {
            let stream = plane.connect_in_memory(id).await?;
            Ok(Counted { stream, read, cut: Box::pin(cut.cancelled_owned()) })
        }
    });
    start(number, connect, token).await
}

async fn start(number: usize, connect: Connect, token: &CancellationToken) -> Directory {
    let (n, s) = (number % NAMESPACES, number / NAMESPACES);
    let namespace = format!("team-{n}");
    let pod = format!("svc-{s}-7d4f9c6b8-{:05}", 0);
    let node =
        NodeId { kind: ProxyKind::Sidecar, ip: address(n, s, 0).into(), pod: pod.into(), namespace: namespace.into() };
    let directory = XdsClient::start(XdsConfig { node, connect, token: Arc::new(|| None) }, token.clone());
    let mut ready = directory.ready();
    let is_ready = tokio::time::timeout(Duration::from_secs(60), ready.wait_for(|ready| *ready)).await;
    assert!(is_ready.is_ok_and(|ready| ready.is_ok()), "a proxy does not get ready");
    directory
}

/// Every proxy asks for the services that it uses.
async fn use_services(directories: &[Directory]) {
    for directory in directories {
        for s in 0..USED {
            assert!(matches!(directory.resolve(&format!("svc-{s}")).await, Resolution::Known(_)));
        }
    }
}

/// The proxies, in a process of their own, until the control plane's process ends.
async fn be_proxies(socket: PathBuf) {
    let token = CancellationToken::new();
    let mut directories = Vec::new();
    for number in 0..PROXIES {
        let socket = socket.clone();
        let connect = in_memory(move || {
            let socket = socket.clone();
            async move {
                let mut stream = UnixStream::connect(socket).await?;
                stream.write_u16(number as u16).await?;
                Ok(stream)
            }
        });
        directories.push(start(number, connect, &token).await);
    }
    use_services(&directories).await;
    println!("ready");
    let mut end = [0];
    let _ended = tokio::io::stdin().read(&mut end).await;
}

/// What this process takes with everything read and every proxy connected, none of which is in it.
async fn alone(plane: &ControlPlane, files: &Path) {
    let socket = files.join("plane");
    let listener = UnixListener::bind(&socket).expect("a socket");
    let serving = plane.clone();
    let carrying = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let plane = serving.clone();
            tokio::spawn(async move {
                let number = stream.read_u16().await?;
                let mut near = plane.connect_in_memory(identity(number.into())).await?;
                tokio::io::copy_bidirectional(&mut stream, &mut near).await
            });
        }
    });
    let mut proxies = tokio::process::Command::new(std::env::current_exe().expect("this file"))
        .env(SOCKET, &socket)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("a process");
    let mut line = String::new();
    let mut said = BufReader::new(proxies.stdout.take().expect("its output"));
    let waited = tokio::time::timeout(Duration::from_secs(120), said.read_line(&mut line)).await;
    assert!(waited.is_ok_and(|read| read.is_ok()) && line == "ready\n", "the proxies do not get ready: {line}");
    println!("memory of the control plane alone   {:>10.1} MiB, {PROXIES} proxies connected", resident());
    proxies.kill().await.expect("it ends");
    carrying.abort();
    let gone = async {
        while !plane.status().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.expect("streams that end are forgotten");
}

async fn measure() {
    let files = tempfile::tempdir().expect("a directory");
    let trust_domain = TrustDomain::new("cluster.local").expect("a trust domain");
    let authority = Authority::load_or_create(&files.path().join("ca"), &trust_domain).expect("an authority");
    let (events, source) = mpsc::channel(1024);
    let token = CancellationToken::new();
    let empty = resident();
    let options = Options {
        source: Source::Memory(source),
        authority: Arc::new(authority),
        trust_domain,
        cluster: "Kubernetes".into(),
        domain: "cluster.local".into(),
        root_namespace: "istio-system".into(),
        outbound_mode: OutboundMode::AllowAny,
        access_log: false,
        candidate: None,
        way_in: None,
    };
    let plane = ControlPlane::start(options, token.clone());
    let begin = Instant::now();
    let mut by_kind: Vec<(Kind, Vec<(Key, Item)>)> = Kind::ALL.into_iter().map(|kind| (kind, Vec::new())).collect();
    for (key, item) in items() {
        let kind = item.kind();
        if let Some((_, list)) = by_kind.iter_mut().find(|(known, _)| *known == kind) {
            list.push((key, item));
        }
    }
    for (kind, list) in by_kind {
        events.send(Event::Replace(kind, list)).await.expect("the control plane listens");
    }
    assert!(plane.ready().await);
    println!("services {}, workloads {}, proxies {PROXIES}", NAMESPACES * SERVICES, NAMESPACES * SERVICES * PODS);
    println!("read completely after               {:>10.0} ms", begin.elapsed().as_secs_f64() * 1e3);
    println!("memory, everything read             {:>10.1} MiB (empty process {empty:.1})", resident());

    alone(&plane, files.path()).await;
    let begin = Instant::now();
    let reads: Vec<Arc<AtomicU64>> = (0..PROXIES).map(|_| Arc::default()).collect();
    let mut directories = Vec::new();
    let scissors = Scissors::default();
    for (number, read) in reads.iter().enumerate() {
        directories.push(connect(&plane, number, read, &scissors, &token).await);
    }
    println!("100 proxies ready, one by one       {:>10.0} ms", begin.elapsed().as_secs_f64() * 1e3);
    use_services(&directories).await;
    println!("memory, proxies included            {:>10.1} MiB", resident());
    let total: u64 = reads.iter().map(|read| read.load(Ordering::Relaxed)).sum();
    println!("bytes per proxy to know {USED} services  {:>10.0}", total as f64 / PROXIES as f64);

    // Each change is one namespace's: five of the hundred proxies use it.
    let mut times = Vec::new();
    let (mut used_bytes, mut other_bytes) = (Vec::new(), 0);
    for change in 0..CHANGES {
        let n = change % NAMESPACES;
        let before: Vec<u64> = reads.iter().map(|read| read.load(Ordering::Relaxed)).collect();
        let concerned: Vec<usize> = (0..PROXIES).filter(|number| number % NAMESPACES == n).collect();
        let (key, item) = route(&format!("team-{n}"), 3, change + 2);
        let wanted = format!("/{}", change + 2);
        let start = Instant::now();
        events.send(Event::Apply(key, item)).await.expect("the control plane listens");
        let mut waiting = concerned.clone();
        while !waiting.is_empty() {
            waiting.retain(|number| {
                let is_in_force =
                    directories.get(*number).and_then(|directory| prefix(directory, "svc-3")).is_some_and(|matches| {
                        matches.contains(&wanted) || matches.contains(&format!("{:?}", wanted.as_bytes()))
                    });
                if is_in_force {
                    times.push(start.elapsed());
                }
                !is_in_force
            });
            assert!(start.elapsed() < Duration::from_secs(10), "a change is not in force after 10 s");
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        for (number, (read, before)) in reads.iter().zip(before).enumerate() {
            let more = read.load(Ordering::Relaxed) - before;
            if concerned.contains(&number) {
                used_bytes.push(more);
            } else {
                other_bytes += more;
            }
        }
    }
    let mean = used_bytes.iter().sum::<u64>() as f64 / used_bytes.len().max(1) as f64;
    println!("change in force, p50                {:>10.1} ms", percentile(&mut times, 0.50).as_secs_f64() * 1e3);
    println!("change in force, p99                {:>10.1} ms", percentile(&mut times, 0.99).as_secs_f64() * 1e3);
    println!("bytes per change, proxies that use it {mean:>8.0}");
    println!("bytes per change, all others together {:>8.0}", other_bytes as f64 / CHANGES as f64);

    come_back(&plane, &scissors, &reads).await;
    storm(&plane, &events, &reads).await;
    token.cancel();
    plane.stopped().await;
}

fn total(reads: &[Arc<AtomicU64>]) -> u64 {
    reads.iter().map(|read| read.load(Ordering::Relaxed)).sum()
}

/// Waits until every proxy is connected and in sync with the newest generation.
async fn in_sync(plane: &ControlPlane, subscriptions: usize) -> Duration {
    let begin = Instant::now();
    loop {
        let (status, newest) = (plane.status(), plane.generation());
        let held: usize = status.iter().map(|proxy| proxy.subscriptions).sum();
        if status.len() == PROXIES && held == subscriptions && status.iter().all(|proxy| proxy.generation == newest) {
            return begin.elapsed();
        }
        assert!(begin.elapsed() < Duration::from_secs(30), "the proxies are not in sync after 30 s");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Every connection is lost at once.
async fn come_back(plane: &ControlPlane, scissors: &Scissors, reads: &[Arc<AtomicU64>]) {
    let subscriptions = plane.status().iter().map(|proxy| proxy.subscriptions).sum();
    let before = total(reads);
    scissors.cut();
    while plane.status().iter().any(|proxy| proxy.generation > 0) && plane.status().len() == PROXIES {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let took = in_sync(plane, subscriptions).await;
    println!("all 100 back and in sync after      {:>10.0} ms", took.as_secs_f64() * 1e3);
    println!("bytes for each to come back         {:>10.0}", (total(reads) - before) as f64 / PROXIES as f64);
}

/// Endpoints come and go.
async fn storm(plane: &ControlPlane, events: &mpsc::Sender<Event>, reads: &[Arc<AtomicU64>]) {
    let seconds = std::env::var("MESH_BENCH_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    let storm = seconds.map_or(STORM, Duration::from_secs);
    let subscriptions = plane.status().iter().map(|proxy| proxy.subscriptions).sum();
    let (before, generation, cpu) = (total(reads), plane.generation(), cpu_seconds());
    let begin = Instant::now();
    let (mut sent, mut behind) = (0, Duration::ZERO);
    while begin.elapsed() < storm {
        let due = begin + Duration::from_secs(1) * sent / STORM_RATE;
        tokio::time::sleep_until(due.into()).await;
        events.send(endpoint_change(sent as usize)).await.expect("the control plane listens");
        behind = behind.max(due.elapsed());
        sent += 1;
    }
    let took = in_sync(plane, subscriptions).await;
    let seconds = begin.elapsed().as_secs_f64();
    println!("endpoint changes taken in           {:>10.0} /s, for {seconds:.0} s", f64::from(sent) / seconds);
    println!("latest behind its time              {:>10.1} ms", behind.as_secs_f64() * 1e3);
    println!("in sync after the last              {:>10.1} ms", took.as_secs_f64() * 1e3);
    println!("generations                         {:>10}", plane.generation() - generation);
    println!("CPU, proxies included               {:>10.0} %", (cpu_seconds() - cpu) / seconds * 100.0);
    println!(
        "bytes for each proxy                {:>10.0} /s",
        (total(reads) - before) as f64 / PROXIES as f64 / seconds
    );
    println!("memory                              {:>10.1} MiB", resident());
}

/// One endpoint of one service changes its health.
fn endpoint_change(round: usize) -> Event {
    let (n, s) = (round % NAMESPACES, round / NAMESPACES % SERVICES);
    let namespace = format!("team-{n}");
    let service = format!("svc-{s}");
    let is_even = (round / (NAMESPACES * SERVICES)).is_multiple_of(2);
    let endpoint = |p: usize| SliceEndpoint {
        address: address(n, s, p).into(),
        pod: Some(Key::new(&namespace, &format!("{service}-7d4f9c6b8-{p:05}"))),
        health: if p == 1 && is_even { Health::Unhealthy } else { Health::Healthy },
    };
    let endpoints = (0..PODS).map(endpoint).collect();
    let slice = SliceItem { service: service.as_str().into(), ports: vec![("http".into(), 8080)], endpoints };
    Event::Apply(Key::new(&namespace, &format!("{service}-1")), Item::EndpointSlice(slice))
}

/// Seconds of CPU that this process has used (proc(5): fields 14 and 15 of stat, in hundredths).
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields).split(' ');
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}
