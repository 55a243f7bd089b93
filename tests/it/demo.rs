//! The demo routes real traffic: the split, the header rule, a change that takes force, mutual TLS.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mesh::identity::{Authority, KeyPair, SpiffeId, Svid, TrustDomain};
use mesh::tls;
use serde_json::{Value, json};

use crate::harness::{Connection, Runtime, eventually, mesh, stderr, stdout, text};

const REVIEWS: &str = "/api/v1/products/0/reviews";
const JASON: (&str, &str) = ("end-user", "jason");

fn versions(visitor: &mut Connection, requests: usize, headers: &[(&str, &str)]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..requests {
        let answer = visitor.get(REVIEWS, headers);
        assert_eq!(answer.status, 200, "{answer:?}");
        *counts.entry(answer.reviews_version()).or_default() += 1;
    }
    counts
}

fn pod(runtime: &Runtime, prefix: &str) -> Value {
    let pods = runtime.status();
    let pods = pods["pods"].as_array().unwrap();
    pods.iter().find(|pod| text(&pod["name"]).starts_with(prefix)).unwrap().clone()
}

fn pod_address(runtime: &Runtime, prefix: &str) -> SocketAddr {
    let address: IpAddr = text(&pod(runtime, prefix)["ip"]).parse().unwrap();
    SocketAddr::new(address, 9080)
}

#[test]
fn a_thousand_requests_follow_the_weights_and_the_header_rule() {
    let runtime = Runtime::demo();
    let mut visitor = runtime.visitor();
    let split = versions(&mut visitor, 1_000, &[]);
    let v2 = split.get("v2").copied().unwrap_or(0);
    assert!((60..=140).contains(&v2), "{split:?}");
    assert_eq!(split.get("v1").copied().unwrap_or(0), 1_000 - v2, "{split:?}");
    assert_eq!(versions(&mut visitor, 1_000, &[JASON]), BTreeMap::from([("v2".to_owned(), 1_000)]));
}

#[test]
fn the_demo_proves_itself_and_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().display().to_string();
    let output =
        mesh(&["up", "--demo", "--exit", "--ingress-port", "0", "--api-port", "0", "--data-dir", path.as_str()]);
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    assert_eq!(stdout(&output).matches('✓').count(), 7, "{}", stdout(&output));
    assert!(processes_of(&path).is_empty());
}

/// Processes whose command line or environment names `needle`, other than this one.
fn processes_of(needle: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.bytes().all(|byte| byte.is_ascii_digit()) || name == std::process::id().to_string() {
            continue;
        }
        let holds = |file: &str| {
            std::fs::read(entry.path().join(file))
                .is_ok_and(|content| String::from_utf8_lossy(&content).contains(needle))
        };
        if holds("cmdline") || holds("environ") {
            found.push(name);
        }
    }
    found
}

#[test]
fn a_weight_changed_by_kubectl_is_in_force_within_100_ms() {
    let runtime = Runtime::demo();
    let mut visitor = runtime.visitor();
    let all_to = |subset: &str| {
        json!({
            "apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "reviews"},
            "spec": {"hosts": ["reviews"], "http": [{"route": [{"destination": {"host": "reviews", "subset": subset}}]}]},
        })
        .to_string()
    };
    for (subset, index) in [("v3", 0), ("v1", 1), ("v2", 2)] {
        if runtime.kubectl_ok(&["apply", "-f", "-"], Some(&all_to(subset))).is_none() {
            println!("skipped: there is no kubectl");
            return;
        }
        // kubectl has its answer: the change is accepted. Requests sent 100 ms later must all see it.
        let accepted = Instant::now();
        while accepted.elapsed() < Duration::from_millis(100) {
            visitor.get(REVIEWS, &[]);
        }
        assert_eq!(versions(&mut visitor, 50, &[]), BTreeMap::from([(subset.to_owned(), 50)]), "change {index}");
    }
}

#[test]
fn plaintext_to_a_pods_address_meets_its_proxy() {
    let runtime = Runtime::demo();
    let answer = Connection::open(pod_address(&runtime, "ratings-v1")).get("/ratings/0", &[]);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("server"), Some("istio-envoy"), "{answer:?}");
    assert!(answer.header("x-envoy-upstream-service-time").is_some(), "{answer:?}");
}

#[test]
fn a_pods_proxy_counts_requests_under_istios_names() {
    let runtime = Runtime::demo();
    let mut address = pod_address(&runtime, "productpage-v1");
    assert_eq!(runtime.visitor().get("/productpage", &[]).status, 200);
    address.set_port(15_020);
    let metrics = Connection::open(address).get("/stats/prometheus", &[]);
    let received = metrics.body.lines().find(|line| {
        line.starts_with("istio_requests_total{reporter=\"destination\"")
            && line.contains("source_workload=\"istio-ingressgateway\"")
            && line.contains("destination_service=\"productpage.default.svc.cluster.local\"")
            && line.contains("connection_security_policy=\"mutual_tls\"")
    });
    assert!(received.is_some(), "{}", metrics.body);
    assert_eq!(Connection::open(address).get("/config_dump", &[]).status, 404);
}

/// Metrics of the whole mesh with other labels.
const METRICS: &str = "\
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: mesh-default, namespace: istio-system}
spec:
  metrics:
  - providers: [{name: prometheus}]
    overrides:
    - match: {metric: REQUEST_COUNT, mode: SERVER}
      tagOverrides:
        request_host: {value: request.host}
        source_principal: {operation: REMOVE}
    - match: {metric: REQUEST_SIZE}
      disabled: true
";

#[test]
fn metrics_have_the_labels_that_a_telemetry_says() {
    let runtime = Runtime::demo();
    let mut address = pod_address(&runtime, "productpage-v1");
    address.set_port(15_020);
    let metrics = || {
        assert_eq!(runtime.visitor().get("/productpage", &[]).status, 200);
        Connection::open(address).get("/stats/prometheus", &[]).body
    };
    let of = |text: &str, metric: &str, label: &str| -> Vec<String> {
        let found = |line: &&str| line.starts_with(&format!("{metric}{{")) && line.contains(label);
        text.lines().filter(found).map(str::to_owned).collect()
    };
    let before = metrics();
    assert!(!of(&before, "istio_request_bytes_count", "").is_empty() && !before.contains("request_host"), "{before}");
    let Some(_) = runtime.kubectl_ok(&["apply", "-f", "-"], Some(METRICS)) else { return };
    let text = eventually("its metrics say who was asked", || {
        let text = metrics();
        let told = !of(&text, "istio_requests_total", "request_host=\"").is_empty();
        (told && !of(&text, "istio_requests_total", "reporter=\"source\"").is_empty()).then_some(text)
    });
    let inbound = of(&text, "istio_requests_total", "reporter=\"destination\"");
    let is_as_said = |line: &String| line.contains("request_host=\"") && !line.contains("source_principal=");
    assert!(!inbound.is_empty() && inbound.iter().all(is_as_said), "{inbound:#?}");
    let outbound = of(&text, "istio_requests_total", "reporter=\"source\"");
    assert!(outbound.iter().all(|line| !is_as_said(line)), "{outbound:#?}");
    assert_eq!(of(&text, "istio_request_bytes_count", ""), [""; 0]);
}

#[test]
fn between_pods_there_is_nothing_but_tls_1_3() {
    let runtime = Runtime::demo();
    let recorded = relay(&runtime, "ratings", "ratings-v1");
    let mut visitor = runtime.visitor();
    // v2 asks ratings, now through the relay.
    eventually("a request passes the relay", || {
        assert_eq!(visitor.get(REVIEWS, &[JASON]).status, 200);
        (!recorded.lock().unwrap().is_empty()).then_some(())
    });
    for connection in recorded.lock().unwrap().iter() {
        let (sent, received) = connection;
        assert_eq!(sent.first(), Some(&0x16), "the caller does not begin with a TLS handshake");
        assert_eq!(received.get(..2), Some(&[0x16, 3][..]), "the callee does not answer with a TLS handshake");
        assert!(offers_tls_1_3(received), "the callee does not choose TLS 1.3");
        for clear in [&b"HTTP/1.1"[..], b"/ratings", b"content-type"] {
            let seen = |bytes: &[u8]| bytes.windows(clear.len()).any(|window| window == clear);
            assert!(!seen(sent) && !seen(received), "{} is readable", String::from_utf8_lossy(clear));
        }
    }
}

type Recorded = Arc<Mutex<Vec<(Vec<u8>, Vec<u8>)>>>;

/// Puts a recording relay in front of a pod: an endpoint of its own for the pod's service, in place of the real one.
fn relay(runtime: &Runtime, service: &str, pod_prefix: &str) -> Recorded {
    let target = pod_address(runtime, pod_prefix);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let recorded = Recorded::default();
    let records = recorded.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let upstream = TcpStream::connect(target).unwrap();
            let index = {
                let mut records = records.lock().unwrap();
                records.push((Vec::new(), Vec::new()));
                records.len() - 1
            };
            for (mut from, mut to, sent) in
                [(stream.try_clone().unwrap(), upstream.try_clone().unwrap(), true), (upstream, stream, false)]
            {
                let records = records.clone();
                std::thread::spawn(move || {
                    let mut buffer = [0; 4096];
                    while let Ok(count @ 1..) = from.read(&mut buffer) {
                        let mut records = records.lock().unwrap();
                        let (ours, theirs) = &mut records[index];
                        if sent { ours } else { theirs }.extend_from_slice(&buffer[..count]);
                        drop(records);
                        if to.write_all(&buffer[..count]).is_err() {
                            break;
                        }
                    }
                    let _ = to.shutdown(std::net::Shutdown::Write);
                });
            }
        }
    });
    let name = text(&pod(runtime, pod_prefix)["name"]);
    redirect_service(runtime, service, &name, port);
    recorded
}

/// Takes the service's selector away and writes its endpoints by hand: the relay's address, the pod's identity.
fn redirect_service(runtime: &Runtime, service: &str, pod: &str, port: u16) {
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let connecting = runtime.client();
    executor.block_on(async {
        use k8s_openapi::api::core::v1::Service;
        use k8s_openapi::api::discovery::v1::EndpointSlice;
        use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
        let client = connecting.await;
        let services: Api<Service> = Api::namespaced(client.clone(), "default");
        let patch = Patch::Merge(json!({"spec": {"selector": null}}));
        services.patch(service, &PatchParams::default(), &patch).await.unwrap();
        let slices: Api<EndpointSlice> = Api::namespaced(client, "default");
        let selected = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
        for slice in slices.list(&selected).await.unwrap() {
            let _ = slices.delete(&slice.metadata.name.unwrap(), &DeleteParams::default()).await;
        }
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "relay", "labels": {"kubernetes.io/service-name": service}},
            "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
            "endpoints": [{
                "addresses": ["127.0.0.1"], "conditions": {"ready": true},
                "targetRef": {"kind": "Pod", "namespace": "default", "name": pod},
            }],
        });
        slices.create(&PostParams::default(), &serde_json::from_value(slice).unwrap()).await.unwrap();
    });
}

/// Whether a server's first record holds the extension that chooses TLS 1.3 (RFC 8446 section 4.2.1).
fn offers_tls_1_3(received: &[u8]) -> bool {
    received.windows(6).any(|window| window == [0x00, 0x2b, 0x00, 0x02, 0x03, 0x04])
}

#[test]
fn a_client_with_a_certificate_of_the_authority_sees_the_servers_identity() {
    let runtime = Runtime::demo();
    let trust_domain = TrustDomain::new("cluster.local").unwrap();
    let authority = Authority::load_or_create(&runtime.directory().join("ca"), &trust_domain).unwrap();
    let id = SpiffeId::new(&trust_domain, "outside", "visitor").unwrap();
    let key = KeyPair::generate().unwrap();
    let request = key.csr_pem(&id).unwrap();
    let chain = authority.sign_workload(&request, &id, Duration::from_secs(600)).unwrap();
    let svid = Svid::new(&chain, key).unwrap();
    let expected = SpiffeId::new(&trust_domain, "default", "bookinfo-ratings").unwrap();
    let config =
        tls::mesh_client(&svid, &authority.bundle(), Arc::from([expected.clone()]), &[b"istio-http/1.1", b"istio"]);
    let mut connection = rustls::ClientConnection::new(config.unwrap(), "ratings".try_into().unwrap()).unwrap();
    let mut stream = TcpStream::connect(pod_address(&runtime, "ratings-v1")).unwrap();
    let mut tls_stream = rustls::Stream::new(&mut connection, &mut stream);
    tls_stream.write_all(b"GET /ratings/0 HTTP/1.1\r\nhost: ratings\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = tls_stream.read_to_end(&mut answer);
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(connection.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    assert_eq!(tls::peer_id(connection.peer_certificates()), Some(expected));
}
