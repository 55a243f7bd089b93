//! Calls of Istio's echo server over gRPC, as [`super::client`] makes them: one connection, one call after the other.

use std::io;
use std::net::TcpStream;
use std::time::Duration;

use bytes::{Buf, Bytes};
use h2::client::SendRequest;
use http::{Request, StatusCode};
use prost::Message;
use tokio::time::timeout;

use crate::runtime::samples::{BODY_LIMIT, ECHO_METHOD, EchoMessage, Fetched, GRPC_PREFIX, Outgoing, framed};

/// What the guide's clients say.
const SAID: &str = "request";

/// A connection to an echo server.
pub(super) struct Caller {
    send: SendRequest<Bytes>,
    authority: String,
}

impl Caller {
    /// Speaks HTTP/2 on a stream, without TLS. The connection is driven by the runtime that this runs on.
    pub(super) async fn new(stream: TcpStream, authority: &str) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let stream = tokio::net::TcpStream::from_std(stream)?;
        let (send, connection) = h2::client::handshake(stream).await.map_err(io::Error::other)?;
        // It ends when its only sender is dropped.
        tokio::spawn(async move {
            let _closed = connection.await;
        });
        Ok(Self { send, authority: authority.to_owned() })
    }

    /// One call; what the server says about it is the body. A call that failed is an error.
    pub(super) async fn call(&mut self, asked: &Outgoing, limit: Duration) -> Result<Fetched, String> {
        match timeout(limit, self.exchange(asked)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("rpc error: code = DeadlineExceeded desc = nothing within {limit:?}")),
        }
    }

    async fn exchange(&mut self, asked: &Outgoing) -> Result<Fetched, String> {
        let unavailable = |error: h2::Error| format!("rpc error: code = Unavailable desc = {error}");
        let host = asked.headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
        let authority = host.unwrap_or(&self.authority);
        let mut request = Request::post(format!("http://{authority}{ECHO_METHOD}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in asked.headers.iter().filter(|(name, _)| *name != http::header::HOST) {
            request = request.header(name, value);
        }
        let request = request.body(()).map_err(|error| error.to_string())?;
        let (answer, mut body) = self.send.send_request(request, false).map_err(unavailable)?;
        body.send_data(framed(&EchoMessage { message: SAID.to_owned() }), true).map_err(unavailable)?;
        let (head, mut stream) = answer.await.map_err(unavailable)?.into_parts();
        if head.status != StatusCode::OK {
            return Err(format!("rpc error: code = Unavailable desc = unexpected HTTP status code {}", head.status));
        }
        let mut bytes = Vec::new();
        while let Some(part) = stream.data().await {
            let part = part.map_err(unavailable)?;
            let _freed = stream.flow_control().release_capacity(part.len());
            bytes.extend_from_slice(&part);
            if bytes.len() > BODY_LIMIT {
                return Err("rpc error: code = ResourceExhausted desc = the answer is too large".to_owned());
            }
        }
        let trailers = stream.trailers().await.map_err(unavailable)?.unwrap_or_default();
        let said = |name: &str| {
            let value = trailers.get(name).or_else(|| head.headers.get(name));
            value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        match said("grpc-status").as_deref() {
            Some("0") => {}
            status => {
                let (code, why) = (status.unwrap_or("Unknown"), said("grpc-message").unwrap_or_default());
                return Err(format!("rpc error: code = {code} desc = {why}"));
            }
        }
        let mut message = bytes.as_slice();
        message.advance(GRPC_PREFIX.min(message.len()));
        let echoed =
            EchoMessage::decode(message).map_err(|error| format!("rpc error: code = Internal desc = {error}"))?;
        Ok(Fetched { status: head.status, headers: head.headers, body: echoed.message.into() })
    }
}
