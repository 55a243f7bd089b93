//! Lines over TCP, with and without TLS: `PING` is answered with `PONG`, `IS_TLS` with whether, `TEST` with JSON of who answers.

use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::super::context::AppContext;
use super::super::server::log_line;
use super::super::websocket::IDLE;
use crate::serve::{Limits, TlsSession};

/// What a connection hears first.
pub(super) const WELCOME: &str = "Gateway API Test TCP Server\n";
/// Connections at one time, of one port.
const CONNECTIONS: usize = 512;
/// Longest line that is read.
const LINE: u64 = 4096;

/// Serves until `stop` is cancelled; connections are cut then.
pub(in super::super) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    context: Arc<AppContext>,
    stop: CancellationToken,
) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    let port = listener.local_addr().map_or(0, |address| address.port());
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                log_line(&format!("connection from {peer}"));
                let (tls, context) = (tls.clone(), Arc::clone(&context));
                connections.spawn(async move {
                    // A connection that breaks concerns its peer alone.
                    let _ended = match tls {
                        None => talk(stream, port, None, &context).await,
                        Some(config) => {
                            let shaken =
                                timeout(Limits::default().handshake_time, TlsAcceptor::from(config).accept(stream));
                            match shaken.await {
                                Ok(Ok(stream)) => {
                                    let session = TlsSession::of(stream.get_ref().1);
                                    talk(stream, port, Some(session), &context).await
                                }
                                _ => Ok(()),
                            }
                        }
                    };
                    drop(permit);
                });
            }
            Err(error) => log_line(&format!("echo-basic cannot accept a connection: {error}")),
        }
        while connections.try_join_next().is_some() {}
    }
    connections.shutdown().await;
}

async fn talk<S>(stream: S, port: u16, session: Option<TlsSession>, context: &AppContext) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite,
{
    let (from, mut to) = tokio::io::split(stream);
    let mut from = BufReader::new(from);
    to.write_all(WELCOME.as_bytes()).await?;
    let mut line = String::new();
    while timeout(IDLE, (&mut from).take(LINE).read_line(&mut line)).await?? > 0 {
        let answer = match line.trim_end() {
            "PING" => "PONG".to_owned(),
            "IS_TLS" => session.is_some().to_string(),
            "TEST" => who(port, session.as_ref(), context),
            _ => String::new(),
        };
        if !answer.is_empty() {
            to.write_all(format!("{answer}\n").as_bytes()).await?;
        }
        line.clear();
    }
    to.shutdown().await
}

/// JSON on one line.
fn who(port: u16, session: Option<&TlsSession>, context: &AppContext) -> String {
    let mut body = json!({"isTLS": session.is_some()});
    super::about(context, &mut body);
    body[if session.is_some() { "tlsport" } else { "tcpport" }] = port.to_string().into();
    if let Some(session) = session {
        body["tls"] = json!({
            "version": session.version.replace("TLSv", "TLS "),
            "serverName": session.server_name,
            "negotiatedProtocol": session.protocol,
            "cipherSuite": session.suite,
        });
    }
    body.to_string()
}
