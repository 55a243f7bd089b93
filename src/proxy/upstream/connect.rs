//! Making a connection.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;

use crate::model::{Keepalive, UpstreamTls};
use crate::net;
use crate::proxy::connection::Conn;
use crate::proxy::directory::{Cluster, CredentialsError, Directory, OpenConnection, Tally};
use crate::proxy::http1::Buffer;
use crate::proxy::proxy_protocol;
use crate::proxy::stream::{Stream, Underlay};
use crate::proxy::upstream::Hop;
use crate::proxy::worker::Worker;
use crate::tls::PeerError;

/// Why there is no connection. Nothing of a request has been written when it happens.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// TCP failed.
    #[error("cannot connect to {0}: {1}")]
    Tcp(SocketAddr, #[source] io::Error),
    /// It took too long.
    #[error("cannot connect to {0} within {1:?}")]
    Timeout(SocketAddr, Duration),
    /// The TLS handshake failed, for this reason.
    #[error("mutual TLS with {0} failed: {1}")]
    Handshake(SocketAddr, String),
    /// TLS with a server outside the mesh cannot be made, for this reason.
    #[error("TLS with {0} cannot be made: {1}")]
    Origination(SocketAddr, String),
    /// The handshake with a server outside the mesh failed, for this reason.
    #[error("TLS with {0} failed: {1}")]
    OriginHandshake(SocketAddr, String),
    /// The policy asks for TLS that cannot be made.
    #[error("TLS is demanded and cannot be made: {0}")]
    Unavailable(Arc<str>),
    /// We have nothing to prove who we are with.
    #[error("this proxy has no certificate yet, and mutual TLS never falls back to plaintext")]
    NoCertificate,
    /// Our certificate cannot be used.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// Nobody knows who the workload should prove to be.
    #[error("mutual TLS is demanded for workload {0}, which has no identity")]
    NoIdentity(Arc<str>),
    /// Mesh TLS would be passed on to a workload that does not speak it.
    #[error("workload {0} speaks no mesh TLS on this port: it has no proxy, or its policy says so")]
    NoMeshTls(Arc<str>),
}

/// How long connecting may take where no policy says it (Istio's default).
const TIMEOUT: Duration = Duration::from_secs(10);

/// Connects to a hop; with mutual TLS where it expects an identity, within `handshake`. TCP's time and probes are the cluster's.
pub async fn connect(
    hop: &Hop,
    cluster: Option<&Cluster>,
    directory: &Directory,
    handshake: Duration,
    worker: &Rc<Worker>,
) -> Result<Conn, ConnectError> {
    let connected = connect_uncounted(hop, cluster, directory, handshake, worker).await;
    let Some(cluster) = cluster else { return connected };
    match connected {
        Ok(mut conn) => {
            conn.count_as(OpenConnection::begin(&cluster.state));
            Ok(conn)
        }
        Err(error) => {
            cluster.state.tallies.add(Tally::ConnectFailures);
            Err(error)
        }
    }
}

async fn connect_uncounted(
    hop: &Hop,
    cluster: Option<&Cluster>,
    directory: &Directory,
    handshake: Duration,
    worker: &Rc<Worker>,
) -> Result<Conn, ConnectError> {
    // Before anything is sent: who cannot prove who they are need not call.
    let tls = match (&hop.expected, &hop.origin) {
        (None, None) => None,
        (None, Some(origin)) => {
            let impossible = |reason| ConnectError::Origination(hop.address, reason);
            let name = origin.server_name().map_err(impossible)?;
            Some((origin.config(hop.spoken()).await.map_err(impossible)?, name))
        }
        (Some(expected), _) => {
            let name = cluster
                .and_then(|cluster| match &cluster.policy.tls {
                    UpstreamTls::IstioMutual { server_name: Some(name), .. } => {
                        ServerName::try_from(name.to_string()).ok()
                    }
                    _ => ServerName::try_from(cluster.name.server_name()).ok(),
                })
                .unwrap_or_else(|| ServerName::IpAddress(hop.address.ip().into()));
            let config =
                directory.credentials().ok_or(ConnectError::NoCertificate)?.client_tls(expected, hop.spoken())?;
            Some((config, name))
        }
    };
    let timeout = cluster.map_or(TIMEOUT, |cluster| cluster.policy.connect_timeout);
    let connecting = tokio::time::timeout(timeout, announce(hop));
    let tcp = connecting
        .await
        .map_err(|_| ConnectError::Timeout(hop.address, timeout))?
        .map_err(|error| ConnectError::Tcp(hop.address, error))?;
    if let Some(keepalive) = cluster.and_then(|cluster| cluster.policy.limits.keepalive) {
        probe(&tcp, keepalive).map_err(|error| ConnectError::Tcp(hop.address, error))?;
    }
    let Some((config, name)) = tls else {
        return Ok(Conn::new(Stream::Plain(tcp), Buffer::default(), worker.clone()));
    };
    let underlay = Underlay::new(Buffer::default(), tcp, worker.clone());
    // A peer that takes connections and says nothing is not there either (Envoy's connect_timeout covers both).
    let handshake = handshake.min(timeout);
    let shaking = tokio::time::timeout(handshake, TlsConnector::from(config).connect(name, underlay));
    let stream =
        shaking.await.map_err(|_| ConnectError::Timeout(hop.address, handshake))?.map_err(|error| {
            match hop.origin {
                None => ConnectError::Handshake(hop.address, reason(&error)),
                Some(_) => ConnectError::OriginHandshake(hop.address, reason(&error)),
            }
        })?;
    Ok(Conn::new(Stream::Client(Box::new(stream)), Buffer::default(), worker.clone()))
}

async fn open(hop: &Hop) -> io::Result<TcpStream> {
    let address = net::socket_of(hop.address);
    match hop.source {
        None => TcpStream::connect(address).await,
        Some(source) => TcpSocket::from_std_stream(net::socket_from(source)?).connect(address).await,
    }
}

/// Connects, and sends what the connection begins with.
async fn announce(hop: &Hop) -> io::Result<TcpStream> {
    let mut tcp = open(hop).await?;
    tcp.set_nodelay(true)?;
    if let Some(announced) = &hop.announced {
        let mut header = Vec::new();
        proxy_protocol::write(announced.version, announced.ends.as_ref(), &mut header);
        // At once: behind it the server may be the one who speaks first.
        tcp.write_all(&header).await?;
    }
    Ok(tcp)
}

fn probe(tcp: &TcpStream, keepalive: Keepalive) -> io::Result<()> {
    let mut probes = TcpKeepalive::new();
    if let Some(time) = keepalive.time {
        probes = probes.with_time(time);
    }
    if let Some(interval) = keepalive.interval {
        probes = probes.with_interval(interval);
    }
    if let Some(retries) = keepalive.probes {
        probes = probes.with_retries(retries);
    }
    SockRef::from(tcp).set_tcp_keepalive(&probes)
}

/// What went wrong in a handshake: our own reason where it was us who refused.
pub fn reason(error: &io::Error) -> String {
    PeerError::of(error).map_or_else(|| error.to_string(), ToString::to_string)
}
