//! Control plane and proxies as processes of their own, over TLS, against the built-in API server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use nix::sys::signal::Signal;
use serde_json::json;

use crate::cluster::{Cluster, PATIENCE, Process, free, free_on};

/// A server that answers every request with its head, until the test process ends.
fn echo(address: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind(address).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream);
                let (mut head, mut line) = (String::new(), String::new());
                while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
                    head.push_str(&line);
                    if line == "\r\n" {
                        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{head}", head.len());
                        if reader.get_mut().write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                        head.clear();
                    }
                    line.clear();
                }
            });
        }
    });
    address
}

/// One request on a connection of its own: status and body, or why there is none.
pub fn get(address: SocketAddr, host: &str, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Ok((status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()))
}

/// Asks until the answer has this status.
pub async fn eventually(address: SocketAddr, host: &str, status: u16) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = tokio::task::block_in_place(|| get(address, host, "/"));
        match answer {
            Ok((found, body)) if found == status => return body,
            other => assert!(Instant::now() < deadline, "{host} at {address} never answered {status}: {other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

const GATEWAY: &str = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: public, namespace: istio-system}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec:
  hosts: [web.example.com]
  gateways: [istio-system/public]
  http: [{route: [{destination: {host: web, port: {number: 80}}}]}]
";

pub struct Mesh {
    pub cluster: Cluster,
    pub plane: Process,
    pub gateway: Process,
    pub sidecar: Process,
    pub xds: SocketAddr,
    /// Where the gateway listens.
    pub public: SocketAddr,
    /// Where the pod of `web` does.
    pub web: SocketAddr,
}

/// A gateway in istio-system and a pod `web-1` in shop, each with a proxy of its own.
async fn mesh(subnet: u8) -> Mesh {
    mesh_with(subnet, &["--access-log"]).await
}

/// The same, with a control plane that is started like this.
pub async fn mesh_with(subnet: u8, plane: &[&str]) -> Mesh {
    let cluster = Cluster::start().await;
    cluster.namespace("shop").await;
    let xds = free();
    let public = free();
    let pod: IpAddr = [127, 0, subnet, 1].into();
    let app = echo(free());
    let web = free_on(pod);
    let (ingress, here) = ("ingress-1", public.ip());
    cluster.pod("istio-system", ingress, "ingress", here, &json!({"istio": "ingressgateway"})).await;
    cluster.pod("shop", "web-1", "web", pod, &json!({"app": "web"})).await;
    cluster.service("istio-system", "ingress", ("http", 80, public.port()), &[(here, Some(ingress))]).await;
    cluster.service("shop", "web", ("http", 80, web.port()), &[(pod, Some("web-1"))]).await;
    cluster.apply_yaml(GATEWAY).await;
    let mut plane = cluster.control_plane(xds, plane);
    plane.says("ready\n").await;
    let inbound = format!("{web}={app}");
    let mut sidecar = cluster.proxy(xds, ("shop", "web-1", "web", pod), &["--inbound", &inbound]).await;
    let mut gateway = cluster.proxy(xds, ("istio-system", ingress, "ingress", here), &["--router"]).await;
    sidecar.says("ready\n").await;
    gateway.says("ready\n").await;
    Mesh { cluster, plane, gateway, sidecar, xds, public, web }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_goes_from_a_gateway_to_a_sidecar_over_mutual_tls_and_plaintext_goes_as_the_policy_says() {
    let mut mesh = mesh(61).await;
    let head = eventually(mesh.public, "web.example.com", 200).await;
    let by = "By=spiffe://cluster.local/ns/shop/sa/web";
    let uri = "URI=spiffe://cluster.local/ns/istio-system/sa/ingress";
    assert!(head.contains(by) && head.contains(uri), "{head}");
    eventually(mesh.public, "other.example.com", 404).await;
    // Nothing is said about mutual TLS: plaintext is taken.
    eventually(mesh.web, "web", 200).await;
    let policy = |mode: &str| {
        json!({"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication",
            "metadata": {"name": "default", "namespace": "shop"}, "spec": {"mtls": {"mode": mode}}})
    };
    mesh.cluster.apply(&policy("STRICT")).await;
    let deadline = Instant::now() + PATIENCE;
    while tokio::task::block_in_place(|| get(mesh.web, "web", "/")).is_ok_and(|(status, _)| status == 200) {
        assert!(Instant::now() < deadline, "plaintext is still taken");
    }
    mesh.sidecar.says("PeerAuthentication shop/default").await;
    eventually(mesh.public, "web.example.com", 200).await;
    // The other end does not speak TLS any more, and the gateway knows.
    mesh.cluster.apply(&policy("DISABLE")).await;
    eventually(mesh.web, "web", 200).await;
    let deadline = Instant::now() + PATIENCE;
    while eventually(mesh.public, "web.example.com", 200).await.contains("By=spiffe") {
        assert!(Instant::now() < deadline, "the gateway still speaks TLS");
    }
    // Nodes and balancers hear of a gateway's end at the same moment as it does: who still comes is served.
    mesh.gateway.signal(Signal::SIGTERM);
    mesh.gateway.says("connections are taken for 5 s more").await;
    eventually(mesh.public, "web.example.com", 200).await;
    assert_eq!(mesh.gateway.stop(), Some(0), "asked once more, it ends at once");
    assert_eq!(mesh.sidecar.stop(), Some(0));
    assert_eq!(mesh.plane.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_speaks_for_the_pod_that_its_token_is_bound_to_and_says_why_it_waits() {
    let cluster = Cluster::start().await;
    let (here, xds): (IpAddr, _) = ([127, 0, 63, 1].into(), free());
    for pod in ["a", "b"] {
        cluster.pod("default", pod, "web", here, &json!({"app": pod})).await;
    }
    let mut plane = cluster.control_plane(xds, &[]);
    plane.says("ready\n").await;
    let token = cluster.token("default", "web", "a").await;
    let inbound = format!("{}={}", free_on(here), free());
    let mut proxy = cluster.proxy_with(xds, ("default", "b", here), &token, &["--inbound", &inbound]).await;
    proxy.says("the token of pod a does not speak for pod default/b").await;
    drop(plane);
    proxy.says("no control plane; what is held stays in force").await;
}

/// base64url without padding.
fn base64(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// Serves a set of keys over HTTP, until the test process ends.
fn issuer(keys: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = [0; 4096];
            let _read = stream.read(&mut head);
            let _sent =
                write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{keys}", keys.len());
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_and_tokens_whose_keys_are_elsewhere_hold_between_processes() {
    let mut mesh = mesh(64).await;
    eventually(mesh.public, "web.example.com", 200).await;
    let policy = |name: &str, spec: serde_json::Value| {
        json!({"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
            "metadata": {"name": name, "namespace": "shop"}, "spec": spec})
    };
    let allow =
        |principal: &str| policy("callers", json!({"rules": [{"from": [{"source": {"principals": [principal]}}]}]}));
    mesh.cluster.apply(&allow("cluster.local/ns/istio-system/sa/other")).await;
    eventually(mesh.public, "web.example.com", 403).await;
    mesh.sidecar.says("AuthorizationPolicy shop/callers, no rule of which allows it").await;
    mesh.cluster.apply(&allow("cluster.local/ns/istio-system/sa/ingress")).await;
    eventually(mesh.public, "web.example.com", 200).await;
    // Plaintext proves nobody.
    eventually(mesh.web, "web", 403).await;

    let key = Ed25519KeyPair::generate().unwrap();
    let keys = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": base64(key.public_key().as_ref())}]});
    let uri = format!("http://{}/keys", issuer(keys.to_string()));
    mesh.cluster
        .apply(&json!({"apiVersion": "security.istio.io/v1", "kind": "RequestAuthentication",
            "metadata": {"name": "users", "namespace": "istio-system"},
            "spec": {"selector": {"matchLabels": {"istio": "ingressgateway"}},
                "jwtRules": [{"issuer": "me", "jwksUri": uri}]}}))
        .await;
    let deny = json!({"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
        "metadata": {"name": "signed-in", "namespace": "istio-system"},
        "spec": {"selector": {"matchLabels": {"istio": "ingressgateway"}}, "action": "DENY",
            "rules": [{"from": [{"source": {"notRequestPrincipals": ["me/*"]}}]}]}});
    mesh.cluster.apply(&deny).await;
    eventually(mesh.public, "web.example.com", 403).await;
    let part = |value: &serde_json::Value| base64(value.to_string().as_bytes());
    let signed = format!("{}.{}", part(&json!({"alg": "EdDSA"})), part(&json!({"iss": "me", "sub": "ann"})));
    let token = format!("{signed}.{}", base64(key.sign(signed.as_bytes()).as_ref()));
    let deadline = Instant::now() + PATIENCE;
    loop {
        let path = format!("/?access_token={token}");
        match tokio::task::block_in_place(|| get(mesh.public, "web.example.com", &path)).unwrap() {
            (200, head) => break assert!(head.starts_with("GET / HTTP/1.1"), "the token went on: {head}"),
            other => assert!(Instant::now() < deadline, "{other:?}\n{}", mesh.plane.said()),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (status, _) =
        tokio::task::block_in_place(|| get(mesh.public, "web.example.com", "/?access_token=a.b.c")).unwrap();
    assert_eq!(status, 401);
}

/// A provider of authorization that allows everything once `allows` is set, until the test process ends.
fn provider(ip: IpAddr, allows: Arc<AtomicBool>) -> SocketAddr {
    let listener = TcpListener::bind((ip, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = [0; 4096];
            let _read = stream.read(&mut head);
            let status = if allows.load(Ordering::Relaxed) { "200 OK" } else { "401 Unauthorized" };
            let _sent =
                write!(stream, "HTTP/1.1 {status}\r\nx-id: 7\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_of_the_meshs_settings_decides_and_one_that_is_not_there_denies() {
    let mut mesh = mesh(68).await;
    eventually(mesh.public, "web.example.com", 200).await;
    let allows = Arc::new(AtomicBool::new(false));
    // An address of its own: one that a pod of the mesh has speaks mutual TLS.
    let opa = provider([127, 0, 68, 5].into(), allows.clone());
    mesh.cluster.service("shop", "authz", ("http", 8000, opa.port()), &[(opa.ip(), None)]).await;
    let settings = "extensionProviders:\n- name: opa\n  envoyExtAuthzHttp:\n    service: authz.shop.svc.cluster.local\n\
                    \x20   port: 8000\n    headersToUpstreamOnAllow: [x-id]\n";
    let settings = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "istio", "namespace": "istio-system"}, "data": {"mesh": settings}});
    let policy = json!({"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
        "metadata": {"name": "ask", "namespace": "shop"},
        "spec": {"action": "CUSTOM", "provider": {"name": "opa"}, "rules": [{}]}});
    mesh.cluster.apply(&policy).await;
    eventually(mesh.public, "web.example.com", 403).await;
    mesh.sidecar.says("its provider opa is not in the mesh's extensionProviders").await;
    mesh.cluster.apply(&settings).await;
    eventually(mesh.public, "web.example.com", 401).await;
    mesh.sidecar.says("AuthorizationPolicy shop/ask rules[0]: opa denies").await;
    allows.store(true, Ordering::Relaxed);
    let head = eventually(mesh.public, "web.example.com", 200).await;
    assert!(head.contains("x-id: 7"), "{head}");
}
