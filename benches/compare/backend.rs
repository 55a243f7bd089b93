//! Applications to send requests to: each answers everything with its name and a body of [`BODY`] bytes.

use std::net::SocketAddr;

use bytes::Bytes;
use http::Response;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::bytes::FLOOD;

/// Bytes of a response's body.
pub const BODY: usize = 1024;

/// What an application speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    Http1,
    /// HTTP/2 without TLS, known beforehand.
    Http2,
    /// Bytes: without end, or those that came, as the first of them says.
    Bytes,
}

/// One application.
pub struct Backend {
    pub address: SocketAddr,
}

impl Backend {
    /// Starts one on a thread of its own, which ends with the process.
    pub async fn start(name: &'static str, speaks: Speaks) -> Result<Self, String> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let Ok(runtime) = runtime else { return };
            runtime.block_on(async move {
                let Ok(listener) = TcpListener::bind("127.0.0.1:0").await else { return };
                // Nobody waits any more: the process is ending.
                let _ = sender.send(listener.local_addr());
                while let Ok((stream, _)) = listener.accept().await {
                    let _ = stream.set_nodelay(true);
                    match speaks {
                        Speaks::Http1 => tokio::spawn(answer(stream, name)),
                        Speaks::Http2 => tokio::spawn(answer_http2(stream, name)),
                        Speaks::Bytes => tokio::spawn(answer_bytes(stream)),
                    };
                }
            });
        });
        let address = receiver.await.map_err(|_| "the backend did not start")?;
        Ok(Self { address: address.map_err(|error| error.to_string())? })
    }
}

async fn answer(mut stream: TcpStream, name: &str) {
    let response =
        format!("HTTP/1.1 200 OK\r\nx-backend: {name}\r\ncontent-length: {BODY}\r\n\r\n{}", "x".repeat(BODY));
    let mut buffer = Vec::new();
    while stream.read_buf(&mut buffer).await.is_ok_and(|count| count > 0) {
        while let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            buffer.drain(..end + 4);
            if stream.write_all(response.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

async fn answer_bytes(mut stream: TcpStream) {
    match stream.read_u8().await {
        Ok(FLOOD) => {
            let block = vec![b'x'; 256 * 1024];
            while stream.write_all(&block).await.is_ok() {}
        }
        Ok(first) => {
            let mut buffer = vec![first];
            while stream.write_all(&buffer).await.is_ok() {
                buffer.clear();
                if !matches!(stream.read_buf(&mut buffer).await, Ok(1..)) {
                    return;
                }
            }
        }
        Err(_) => {}
    }
}

async fn answer_http2(stream: TcpStream, name: &str) {
    let body = Bytes::from("x".repeat(BODY));
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((_request, mut respond))) = connection.accept().await {
        let response = Response::builder().header("x-backend", name).header("content-length", BODY).body(());
        let Ok(response) = response else { return };
        if let Ok(mut send) = respond.send_response(response, false) {
            // A stream that the proxy has reset needs no body.
            let _ = send.send_data(body.clone(), true);
        }
    }
}
