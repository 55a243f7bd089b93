use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::forward::{Caller, Forwarder};
use super::names::Names;
use crate::runtime::node::network::PodSpecLite;

const LIMIT: Duration = Duration::from_secs(10);

/// Addresses of this test process's own.
fn address(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 192, std::process::id() as u8 & 0x7f, host)
}

fn pod() -> PodSpecLite {
    PodSpecLite {
        namespace: "shop".to_owned(),
        name: "a".to_owned(),
        uid: "u1".to_owned(),
        ip: None,
        service_account: "default".to_owned(),
        labels: Default::default(),
        ports: Vec::new(),
        meshed: false,
        gateway: false,
    }
}

struct Bench {
    forwarder: Forwarder,
    at: SocketAddr,
}

fn bench() -> Bench {
    let listener = std::net::TcpListener::bind((address(1), 0)).unwrap();
    let at = listener.local_addr().unwrap();
    let forwarder = Forwarder::start(listener, Names::new("cluster.local")).unwrap();
    let url = forwarder.admit(Caller::of_pod(&pod(), IpAddr::V4(address(2))), "secret");
    assert_eq!(url, format!("http://pod:secret@{at}"));
    Bench { forwarder, at }
}

fn authorization() -> String {
    format!("proxy-authorization: Basic {}\r\n", BASE64_STANDARD.encode("pod:secret"))
}

/// Answers every connection with `answer`, after a request's head; an empty answer resets.
async fn upstream(answer: &'static str) -> (SocketAddr, Arc<parking_lot::Mutex<Vec<(SocketAddr, String)>>>) {
    let listener = TcpListener::bind((address(3), 0)).await.unwrap();
    let at = listener.local_addr().unwrap();
    let seen: Arc<parking_lot::Mutex<Vec<_>>> = Arc::default();
    let record = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut stream, from)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            record.lock().push((from, String::from_utf8(head).unwrap()));
            if answer.is_empty() {
                socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
            } else {
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    });
    (at, seen)
}

async fn send(at: SocketAddr, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(LIMIT, stream.read_to_string(&mut answer)).await.unwrap().map(|_| answer)
}

fn get(url: &str, headers: &str) -> String {
    format!("GET {url} HTTP/1.1\r\nhost: named\r\nconnection: close, x-hop\r\nx-hop: 1\r\nx-end: 2\r\n{headers}\r\n")
}

#[tokio::test]
async fn a_request_goes_on_from_the_pods_address_in_origin_form() {
    let bench = bench();
    let (to, seen) = upstream("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await;
    let answer = send(bench.at, &get(&format!("http://{to}/x?y=1"), &authorization())).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hi"), "{answer}");
    let (from, head) = seen.lock().first().cloned().unwrap();
    assert_eq!(from.ip(), IpAddr::V4(address(2)));
    assert!(head.starts_with("GET /x?y=1 HTTP/1.1\r\n") && head.contains("host: named") && head.contains("x-end: 2"));
    assert!(!head.contains("x-hop") && !head.contains("proxy-authorization"), "{head}");
}

#[tokio::test]
async fn without_a_living_pods_token_nothing_is_forwarded() {
    let bench = bench();
    let (to, seen) = upstream("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let url = format!("http://{to}/");
    assert!(send(bench.at, &get(&url, "")).await.unwrap().starts_with("HTTP/1.1 407"));
    bench.forwarder.dismiss("u1");
    assert!(send(bench.at, &get(&url, &authorization())).await.unwrap().starts_with("HTTP/1.1 407"));
    assert!(seen.lock().is_empty());
}

#[tokio::test]
async fn a_refusal_says_why_and_at_which_step() {
    let bench = bench();
    for (url, code, step) in [
        ("http://nobody/", "502", "x-mesh-forward: resolve"),
        ("http://127.0.0.1:1/", "403", "x-mesh-forward: connect"),
        ("http://[::1]:1/", "403", "x-mesh-forward: connect"),
        ("http://[::ffff:127.0.0.1]:1/", "403", "x-mesh-forward: connect"),
        ("http://[::ffff:0.0.0.0]:1/", "403", "x-mesh-forward: connect"),
        ("http://127.192.128.3:1/", "403", "x-mesh-forward: connect"),
        ("/origin-form", "400", "absolute form"),
        ("https://web/", "400", "absolute form"),
    ] {
        let answer = send(bench.at, &get(url, &authorization())).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {code}")) && answer.contains(step), "{url}: {answer}");
    }
}

#[tokio::test]
async fn a_callee_that_resets_the_connection_resets_the_callers() {
    let bench = bench();
    let (to, _) = upstream("").await;
    let error = send(bench.at, &get(&format!("http://{to}/"), &authorization())).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn connect_is_a_tunnel() {
    let bench = bench();
    let (to, seen) = upstream("pong").await;
    let mut stream = TcpStream::connect(bench.at).await.unwrap();
    let head = format!("CONNECT {to} HTTP/1.1\r\nhost: {to}\r\n{}\r\n", authorization());
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(timeout(LIMIT, stream.read_u8()).await.unwrap().unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    stream.write_all(b"any bytes\r\n\r\n").await.unwrap();
    let mut rest = String::new();
    timeout(LIMIT, stream.read_to_string(&mut rest)).await.unwrap().unwrap();
    assert_eq!(rest, "pong");
    assert_eq!(seen.lock().first().unwrap().1, "any bytes\r\n\r\n");
}
