//! What a control plane costs: memory for 1,000 services and 10,000 workloads, and how long and how many bytes a change takes
//! to be in force in 100 proxies.
//!
//! `cargo bench --bench control` prints a table. Control plane and proxies run in this one process, over connections in memory,
//! with the same client and server as between processes (TLS left out).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use mesh::compile;
use mesh::control::source::{Event, Item, Key, Kind, PodItem, ServiceItem, SliceEndpoint, SliceItem};
use mesh::control::{ControlPlane, Options, Source};
use mesh::identity::{Authority, SpiffeId, TrustDomain};
use mesh::model::{Health, Locality, OutboundMode};
use mesh::proxy::directory::{Directory, Resolution};
use mesh::proxy::xds::{NodeId, ProxyKind, XdsClient, XdsConfig, in_memory};
use mesh::resources::Object;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const NAMESPACES: usize = 20;
const SERVICES: usize = 50;
const PODS: usize = 10;
const PROXIES: usize = 100;
/// Services that each proxy uses.
const USED: usize = 10;
const CHANGES: usize = 50;

fn main() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(measure());
}

/// A connection that counts what the proxy reads.
struct Counted {
    stream: DuplexStream,
    read: Arc<AtomicU64>,
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
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
            items.push((Key::new(&namespace, &name), Item::Service(ServiceItem { service, created: None })));
            let pods: Vec<String> = (0..PODS).map(|p| format!("{name}-7d4f9c6b8-{p:05}")).collect();
            for (p, pod) in pods.iter().enumerate() {
                let label = |key: &str, value: &str| (key.into(), value.into());
                let version = if p % 2 == 0 { "v1" } else { "v2" };
                let item = PodItem {
                    addresses: vec![address(n, s, p).into()],
                    service_account: name.as_str().into(),
                    labels: [label("app", &name), label("version", version), label("pod-template-hash", "7d4f9c6b8")]
                        .into(),
                    workload_name: name.as_str().into(),
                    has_proxy: true,
                    locality: Locality::default(),
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

async fn connect(plane: &ControlPlane, number: usize, read: &Arc<AtomicU64>, token: &CancellationToken) -> Directory {
    let (n, s) = (number % NAMESPACES, number / NAMESPACES);
    let namespace = format!("team-{n}");
    let domain = TrustDomain::new("cluster.local").expect("a trust domain");
    let id = SpiffeId::new(&domain, &namespace, &format!("svc-{s}")).expect("an identity");
    let (plane, read) = (plane.clone(), read.clone());
    let connect = in_memory(move || {
        let (plane, id, read) = (plane.clone(), id.clone(), read.clone());
        async move { plane.connect_in_memory(id).await.map(|stream| Counted { stream, read }) }
    });
    let pod = format!("svc-{s}-7d4f9c6b8-{:05}", 0);
    let node =
        NodeId { kind: ProxyKind::Sidecar, ip: address(n, s, 0).into(), pod: pod.into(), namespace: namespace.into() };
    let directory = XdsClient::start(XdsConfig { node, connect, token: Arc::new(|| None) }, token.clone());
    let mut ready = directory.ready();
    let is_ready = tokio::time::timeout(Duration::from_secs(60), ready.wait_for(|ready| *ready)).await;
    assert!(is_ready.is_ok_and(|ready| ready.is_ok()), "a proxy does not get ready");
    directory
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

    let begin = Instant::now();
    let reads: Vec<Arc<AtomicU64>> = (0..PROXIES).map(|_| Arc::default()).collect();
    let mut directories = Vec::new();
    for (number, read) in reads.iter().enumerate() {
        directories.push(connect(&plane, number, read, &token).await);
    }
    println!("100 proxies ready, one by one       {:>10.0} ms", begin.elapsed().as_secs_f64() * 1e3);
    for directory in &directories {
        for s in 0..USED {
            assert!(matches!(directory.resolve(&format!("svc-{s}")).await, Resolution::Known(_)));
        }
    }
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

    // Endpoints that come and go, as fast as they are taken in.
    let begin = Instant::now();
    let rounds = 5_000;
    for round in 0..rounds {
        let (n, s) = (round % NAMESPACES, round % SERVICES);
        let namespace = format!("team-{n}");
        let pod = format!("svc-{s}-7d4f9c6b8-{:05}", 1);
        let health =
            if (round / (NAMESPACES * SERVICES)).is_multiple_of(2) { Health::Unhealthy } else { Health::Healthy };
        let endpoint =
            SliceEndpoint { address: address(n, s, 1).into(), pod: Some(Key::new(&namespace, &pod)), health };
        let service = format!("svc-{s}");
        let slice = SliceItem {
            service: service.as_str().into(),
            ports: vec![("http".into(), 8080)],
            endpoints: vec![endpoint],
        };
        let event = Event::Apply(Key::new(&namespace, &format!("{service}-1")), Item::EndpointSlice(slice));
        events.send(event).await.expect("the control plane listens");
    }
    let newest = plane.generation();
    println!(
        "endpoint changes taken in           {:>10.0} /s",
        f64::from(rounds as u32) / begin.elapsed().as_secs_f64()
    );
    println!("generations                         {newest:>10}");
    token.cancel();
    plane.stopped().await;
}
