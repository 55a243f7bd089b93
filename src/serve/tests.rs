//! What a client sees of the limits.

use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::{Body, Connection, Limits, full, handler, serve};

async fn hello(request: Request<Incoming>) -> Response<Body> {
    let peer = request.extensions().get::<Connection>().map(|c| c.peer.ip().to_string()).unwrap_or_default();
    Response::new(full(format!("hello {peer}")))
}

async fn start(limits: Limits) -> (std::net::SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let token = CancellationToken::new();
    let task = tokio::spawn(serve(listener, None, limits, handler(hello), token.clone()));
    (address, token, task)
}

async fn talk(address: std::net::SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer))
        .await
        .expect("the server must answer and close")
        .ok();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn answers_http1_and_names_the_peer() {
    let (address, token, task) = start(Limits::default()).await;
    let answer = talk(address, b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("hello 127.0.0.1"), "{answer}");
    token.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn refuses_too_many_headers() {
    let (address, token, task) = start(Limits { header_count: 4, ..Limits::default() }).await;
    let answer = talk(address, b"GET / HTTP/1.1\r\na: 1\r\nb: 1\r\nc: 1\r\nd: 1\r\ne: 1\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    token.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn cuts_a_silent_client() {
    let limits = Limits { header_time: Duration::from_millis(50), ..Limits::default() };
    let (address, token, task) = start(limits).await;
    assert_eq!(talk(address, b"").await, "");
    talk(address, b"PRI * HT").await;
    token.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn one_connection_at_a_time_when_told_so() {
    let (address, token, task) = start(Limits { connections: 1, ..Limits::default() }).await;
    let first = TcpStream::connect(address).await.unwrap();
    let second = tokio::spawn(talk_owned(address));
    drop(first);
    assert!(second.await.unwrap().starts_with("HTTP/1.1 200"));
    token.cancel();
    task.await.unwrap();
}

async fn talk_owned(address: std::net::SocketAddr) -> String {
    talk(address, b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await
}

#[tokio::test]
async fn stops_with_an_idle_connection_open() {
    let (address, token, task) = start(Limits::default()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut first = [0_u8; 12];
    stream.read_exact(&mut first).await.unwrap();
    token.cancel();
    tokio::time::timeout(Duration::from_secs(10), task).await.unwrap().unwrap();
}
