//! What a mesh does while something is away that it depends on, with requests under way all the time.
//!
//! `MESH_OUTAGE_SECONDS` makes an outage as long as one wants to see it; the tests wait for what they are about and no longer.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mesh::identity::{AuthorityFiles, TrustDomain};
use serde_json::json;

use crate::cluster::{PATIENCE, free_on};
use crate::control_plane::{eventually, get, mesh_with};

/// Requests a second, and the connections that carry them.
const RATE: u32 = 500;
const CONNECTIONS: u32 = 10;

/// How many requests a connection carries before another one takes its place.
const CARRIED: u32 = 50;

/// Requests that go on and on.
struct Load {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    failed: Arc<Mutex<Vec<String>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(address: SocketAddr, host: &'static str) -> Self {
        let (stop, sent, failed) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default(), Arc::default());
        let threads = (0..CONNECTIONS).map(|_| {
            let (stop, sent, failed) = (stop.clone(), sent.clone(), Arc::<Mutex<Vec<String>>>::clone(&failed));
            std::thread::spawn(move || {
                let pause = Duration::from_secs(1) * CONNECTIONS / RATE;
                let mut next = Instant::now();
                while !stop.load(Ordering::Relaxed) {
                    let mut stream = BufReader::new(TcpStream::connect(address).unwrap());
                    for _ in 0..CARRIED {
                        // What is late is not caught up with: the rate is the most that is asked for.
                        next = (next + pause).max(Instant::now());
                        std::thread::sleep(next - Instant::now());
                        sent.fetch_add(1, Ordering::Relaxed);
                        match ask(&mut stream, host) {
                            Ok(200) => {}
                            other => {
                                failed.lock().unwrap().push(format!("{other:?}"));
                                break;
                            }
                        }
                    }
                }
            })
        });
        let threads = threads.collect();
        Self { stop, sent, failed, threads }
    }

    fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }

    /// Ends it; none may have failed.
    fn stop(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
        let sent = self.sent.load(Ordering::Relaxed);
        let failed = self.failed.lock().unwrap();
        assert!(failed.is_empty(), "{} of {sent} requests failed: {:?}", failed.len(), failed.first());
        sent
    }
}

/// One request on a connection that stays; its status.
fn ask(stream: &mut BufReader<TcpStream>, host: &str) -> std::io::Result<u16> {
    stream.get_ref().set_read_timeout(Some(PATIENCE))?;
    stream.get_mut().write_all(format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes())?;
    let (mut status, mut length) = (0, 0);
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(found) = line.strip_prefix("HTTP/1.1 ") {
            status = found.get(..3).and_then(|code| code.parse().ok()).unwrap_or(0);
        } else if let Some(found) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = found.trim().parse().unwrap_or(0);
        } else if line == "\r\n" {
            break;
        }
    }
    std::io::copy(&mut stream.take(length), &mut std::io::sink())?;
    Ok(status)
}

fn outage(default: u64) -> Duration {
    let wanted = std::env::var("MESH_OUTAGE_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(wanted.unwrap_or(default))
}

/// The route of the tests' mesh, with one host more.
fn with_a_new_host() -> serde_json::Value {
    json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"hosts": ["web.example.com", "new.example.com"], "gateways": ["istio-system/public"],
            "http": [{"route": [{"destination": {"host": "web", "port": {"number": 80}}}]}]}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_go_on_without_an_api_server_and_what_changed_meanwhile_takes_force() {
    let mesh = mesh_with(69, &["--access-log"]).await;
    eventually(mesh.public, "web.example.com", 200).await;
    let load = Load::start(mesh.public, "web.example.com");
    mesh.cluster.set_reachable(false);
    let began = Instant::now();
    // Somebody else reaches it.
    mesh.cluster.apply(&with_a_new_host()).await;
    while began.elapsed() < outage(1) || load.sent() < 200 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (status, _) = tokio::task::block_in_place(|| get(mesh.public, "new.example.com", "/")).unwrap();
    assert_eq!(status, 404);
    mesh.cluster.set_reachable(true);
    let back = Instant::now();
    eventually(mesh.public, "new.example.com", 200).await;
    let found = back.elapsed();
    let seconds = began.elapsed().as_secs_f64();
    println!("{} requests in {seconds:.0} s; the change took force {found:?} after the return", load.stop());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_go_on_without_a_control_plane_and_what_changed_meanwhile_takes_force() {
    let mesh = mesh_with(65, &["--access-log"]).await;
    eventually(mesh.public, "web.example.com", 200).await;
    let load = Load::start(mesh.public, "web.example.com");
    mesh.plane.kill();
    let began = Instant::now();
    mesh.cluster.apply(&with_a_new_host()).await;
    // A pod that comes meanwhile says what it waits for.
    let address: IpAddr = [127, 0, 65, 9].into();
    mesh.cluster.pod("shop", "late-1", "web", address, &json!({"app": "late"})).await;
    let inbound = format!("{}={}", free_on(address), mesh.web);
    let mut late = mesh.cluster.proxy(mesh.xds, ("shop", "late-1", "web", address), &["--inbound", &inbound]).await;
    late.says("control plane").await;
    assert!(!late.said().contains("ready\n"), "{}", late.said());
    // As long as one wants, and until some requests have gone through the gap.
    while began.elapsed() < outage(1) || load.sent() < 200 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (status, _) = tokio::task::block_in_place(|| get(mesh.public, "new.example.com", "/")).unwrap();
    assert_eq!(status, 404);
    let mut plane = mesh.cluster.control_plane(mesh.xds, &["--access-log"]);
    plane.says("ready\n").await;
    eventually(mesh.public, "new.example.com", 200).await;
    late.says("ready\n").await;
    println!("{} requests in {:.0} s", load.stop(), began.elapsed().as_secs_f64());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_renewed_again_and_again_and_no_request_is_lost() {
    let mesh = mesh_with(66, &["--max-cert-ttl", "2s"]).await;
    eventually(mesh.public, "web.example.com", 200).await;
    let load = Load::start(mesh.public, "web.example.com");
    let began = Instant::now();
    let renewed = |said: &str| said.matches("certificate obtained").count();
    while began.elapsed() < outage(0) || renewed(&mesh.gateway.said()) < 4 || renewed(&mesh.sidecar.said()) < 4 {
        assert!(began.elapsed() < PATIENCE + outage(0), "{}", mesh.gateway.said());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let renewals = (renewed(&mesh.gateway.said()), renewed(&mesh.sidecar.said()));
    println!("{} requests, {renewals:?} certificates in {:.0} s", load.stop(), began.elapsed().as_secs_f64());
}

/// A root is replaced as an operator does it: first both are believed, then everybody has a certificate of the new one, then the old
/// one goes. Requests go on meanwhile, and between proxies of which one has a new certificate and one an old one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_root_is_replaced_under_load_and_no_request_is_lost() {
    let mut mesh = mesh_with(74, &["--max-cert-ttl", "2s"]).await;
    eventually(mesh.public, "web.example.com", 200).await;
    let old = std::fs::read_to_string(mesh.cluster.roots("shop").await).unwrap();
    let new = AuthorityFiles::generate(&TrustDomain::new("cluster.local").unwrap()).unwrap();
    let new_root = new.root.clone().unwrap();
    let plug_in = |roots: String| {
        let mut data: BTreeMap<&str, String> =
            new.named().into_iter().map(|(name, text)| (name, text.to_owned())).collect();
        data.insert("root-cert.pem", roots);
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "cacerts", "namespace": "istio-system"},
            "stringData": data})
    };
    let load = Load::start(mesh.public, "web.example.com");
    let renewed = |said: &str| said.matches("certificate obtained").count();
    for roots in [format!("{new_root}{old}"), new_root.clone()] {
        mesh.cluster.apply(&plug_in(roots.clone())).await;
        mesh.plane.says("the certificate authority was replaced").await;
        // Who starts from now on believes what is believed now.
        let deadline = Instant::now() + PATIENCE;
        while std::fs::read_to_string(mesh.cluster.roots("shop").await).unwrap() != roots {
            assert!(Instant::now() < deadline, "the roots in the namespaces are not replaced");
        }
        // Two more each: the second at least was signed after the first side heard of it.
        let before = (renewed(&mesh.gateway.said()), renewed(&mesh.sidecar.said()));
        while renewed(&mesh.gateway.said()) < before.0 + 2 || renewed(&mesh.sidecar.said()) < before.1 + 2 {
            assert!(Instant::now() < deadline, "{}", mesh.gateway.said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let sent = load.stop();
    // A proxy that has never heard of the old root is let in, and talks to those that have.
    let address: IpAddr = [127, 0, 74, 9].into();
    mesh.cluster.pod("shop", "late-1", "web", address, &json!({"app": "late"})).await;
    let inbound = format!("{}={}", free_on(address), mesh.web);
    let mut late = mesh.cluster.proxy(mesh.xds, ("shop", "late-1", "web", address), &["--inbound", &inbound]).await;
    late.says("ready\n").await;
    println!("{sent} requests while the root was replaced");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_expires_without_a_control_plane_is_what_is_said() {
    let mesh = mesh_with(67, &["--access-log", "--max-cert-ttl", "2s"]).await;
    mesh.plane.kill();
    // Nobody has been called so far, and no connection is there that began in time: the certificates' own time has to pass.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let body = eventually(mesh.public, "web.example.com", 503).await;
    assert!(body.contains("cannot connect to the upstream"), "{body}");
    let mut gateway = mesh.gateway;
    gateway.says("expired").await;
}
