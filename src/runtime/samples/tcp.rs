//! Apps that speak no HTTP: tcp-echo, and stand-ins for databases.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::app::App;
use super::context::Environment;
use super::server::{ServeError, log_line};
use crate::net;

/// Connections at one time, of all ports.
const CONNECTIONS: usize = 512;
/// Longest line that is sent back as one.
const LINE: u64 = 64 << 10;

/// Serves until `stop` is cancelled; connections are cut then.
pub(super) async fn serve(
    app: App,
    port: Option<u16>,
    environment: &Environment,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    // tcp-echo's arguments: ports, separated by commas, and the word.
    let mut arguments = environment.arguments.iter();
    let ports: Vec<u16> = arguments.next().into_iter().flat_map(|all| all.split(',')).flat_map(str::parse).collect();
    let word = arguments.next().map_or("hello", String::as_str);
    let ports = match app {
        App::TcpEcho if !ports.is_empty() => ports,
        _ => port.or(app.default_port()).into_iter().collect(),
    };
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    let mut servers = JoinSet::new();
    for port in ports {
        let address = SocketAddr::new(environment.listen_ip, port);
        let listener = TcpListener::bind(net::socket_of(address)).await.map_err(|source| ServeError::Bind {
            app,
            address,
            source,
        })?;
        log_line(&format!("{app} listens on {address}"));
        servers.spawn(accept(listener, app, Arc::from(word), Arc::clone(&permits)));
    }
    stop.cancelled().await;
    // Dropping the set ends servers and their connections.
    servers.shutdown().await;
    Ok(())
}

/// Pause after an `accept` that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

async fn accept(listener: TcpListener, app: App, word: Arc<str>, permits: Arc<Semaphore>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                log_line(&format!("connection from {peer}"));
                let word = Arc::clone(&word);
                connections.spawn(async move {
                    // A connection that breaks concerns its peer alone.
                    let _ended = if app == App::TcpEcho { echo(stream, &word).await } else { swallow(stream).await };
                    drop(permit);
                });
            }
            Err(error) => {
                log_line(&format!("{app} cannot accept a connection: {error}"));
                // Running out of descriptors must not spin.
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn echo(stream: TcpStream, word: &str) -> io::Result<()> {
    let (from, mut to) = stream.into_split();
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while (&mut from).take(LINE).read_until(b'\n', &mut line).await? > 0 {
        to.write_all(format!("{word} ").as_bytes()).await?;
        to.write_all(&line).await?;
        line.clear();
    }
    to.shutdown().await
}

async fn swallow(mut stream: TcpStream) -> io::Result<()> {
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.map(|_| ())
}
