//! Gateways that do the same work: a header rule, a 90/10 split, default retries, a line of access log per request.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use crate::load::{Connection, Target};
use crate::peers::Peer;
use crate::process::{Process, envoy, free, haproxy};

const HOST: &str = "shop.example.com";

/// Every gateway that this machine has, before these two versions.
pub fn all(mesh: &Path, v1: SocketAddr, v2: SocketAddr) -> Result<Vec<Peer>, String> {
    let target = |address| Target { address, host: HOST.to_owned(), lines: String::new() };
    let mut peers = vec![Peer { name: "direct", target: target(v1), processes: Vec::new(), server: None }];
    let mut add = |name, address, process| {
        peers.push(Peer { name, target: target(address), processes: vec![process], server: None });
    };

    let address = free()?;
    let process = Process::start(mesh, &mesh_files(address, v1, v2)?, |path| {
        vec!["proxy".into(), "--local".into(), "-f".into(), path.display().to_string()]
    })?;
    add("mesh", address, process);
    match envoy() {
        Ok(program) => {
            let address = free()?;
            let config = include_str!("envoy.json")
                .replace("LISTEN", &address.port().to_string())
                .replace("FIRST", &v1.port().to_string())
                .replace("SECOND", &v2.port().to_string());
            add("envoy", address, Process::start(&program, &[("envoy.json", config)], envoy_arguments)?);
        }
        Err(error) => eprintln!("envoy is left out: {error}"),
    }
    match haproxy() {
        Ok(program) => {
            let address = free()?;
            let config = format!(
                "{HAPROXY}frontend gateway\n  bind {address}\n  unique-id-format %[uuid()]\n  \
                unique-id-header x-request-id\n  http-request set-header x-forwarded-proto http\n  \
                http-request deny deny_status 404 unless {{ hdr(host),field(1,:) -m str {HOST} }}\n  \
                use_backend v2 if {{ hdr(end-user) -m str jason }}\n  use_backend v2 if {{ rand(100) lt 10 }}\n  \
                default_backend v1\nbackend v1\n  server s {v1}\nbackend v2\n  server s {v2}\n"
            );
            add("haproxy", address, Process::start(&program, &[("haproxy.cfg", config)], haproxy_arguments)?);
        }
        Err(error) => eprintln!("haproxy is left out: {error}"),
    }
    Ok(peers)
}

/// What every HAProxy here has in common: one thread, a log, connections that stay.
pub const HAPROXY: &str = "global\n  nbthread 1\n  log stdout format raw local0\n  \
    ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256\n  ssl-default-server-ciphersuites TLS_AES_128_GCM_SHA256\n\
    defaults\n  mode http\n  log global\n  option httplog\n  option http-keep-alive\n  http-reuse always\n  \
    timeout connect 10s\n  timeout client 1h\n  timeout server 1h\n  option forwardfor\n";

pub fn haproxy_arguments(path: &Path) -> Vec<String> {
    vec!["-f".into(), path.join("haproxy.cfg").display().to_string()]
}

pub fn envoy_arguments(path: &Path) -> Vec<String> {
    let config = path.join("envoy.json").display().to_string();
    let fixed = ["--concurrency", "1", "-l", "warning", "--disable-hot-restart"];
    ["-c".to_owned(), config].into_iter().chain(fixed.map(str::to_owned)).collect()
}

fn mesh_files(address: SocketAddr, v1: SocketAddr, v2: SocketAddr) -> Result<[(&'static str, String); 2], String> {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/local");
    let read = |file: &str| fs::read_to_string(samples.join(file)).map_err(|error| format!("{file}: {error}"));
    let gateway = read("gateway.yaml")?.replace("8080", &address.port().to_string()).replace("\"*\"", HOST);
    let endpoints = read("endpoints.yaml")?;
    let endpoints = endpoints.replace("9001", &v1.port().to_string()).replace("9002", &v2.port().to_string());
    Ok([("gateway.yaml", gateway), ("endpoints.yaml", endpoints)])
}

/// Whether a gateway does the work.
pub async fn check(peer: &Peer) -> Result<(), String> {
    if peer.processes.is_empty() {
        return Ok(());
    }
    let mut client = peer.connect().await?;
    for _ in 0..10 {
        let head = client.get(&peer.target, "/", "end-user: jason\r\n").await?;
        if !head.contains("x-backend: v2") {
            return Err(format!("the header rule is not in force: {head}"));
        }
    }
    let (mut first, mut second) = (0, 0);
    for _ in 0..500 {
        let head = client.get(&peer.target, "/", "").await?;
        if head.contains("x-backend: v1") { first += 1 } else { second += 1 }
    }
    if !(400..500).contains(&first) {
        return Err(format!("the split is {first} to {second}, and should be about 450 to 50"));
    }
    let other = Target { host: "other.example.com".to_owned(), ..peer.target.clone() };
    let head = Connection::connect(other.address).await?.get(&other, "/", "").await?;
    if !head.starts_with("http/1.1 404") && !head.starts_with("http/1.1 503") {
        return Err(format!("an unknown host is served: {head}"));
    }
    peer.has_logged(510).await
}
