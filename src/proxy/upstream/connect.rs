//! Making a connection.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::model::ClusterName;
use crate::proxy::connection::Conn;
use crate::proxy::directory::{CredentialsError, Directory};
use crate::proxy::http1::Buffer;
use crate::proxy::stream::Stream;
use crate::proxy::upstream::{Hop, server_name};
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
    /// We have nothing to prove who we are with.
    #[error("this proxy has no certificate yet, and mutual TLS never falls back to plaintext")]
    NoCertificate,
    /// Our certificate cannot be used.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// Nobody knows who the workload should prove to be.
    #[error("mutual TLS is demanded for workload {0}, which has no identity")]
    NoIdentity(Arc<str>),
}

/// Connects to a hop; with mutual TLS where it expects an identity. `timeout` is for TCP, `handshake` for TLS.
pub async fn connect(
    hop: &Hop,
    cluster: Option<&ClusterName>,
    directory: &Directory,
    timeout: Duration,
    handshake: Duration,
    worker: &Rc<Worker>,
) -> Result<Conn, ConnectError> {
    // Before anything is sent: who cannot prove who they are need not call.
    let tls = match &hop.expected {
        None => None,
        Some(expected) => Some(directory.credentials().ok_or(ConnectError::NoCertificate)?.client_tls(expected)?),
    };
    let connecting = tokio::time::timeout(timeout, TcpStream::connect(hop.address));
    let tcp = connecting
        .await
        .map_err(|_| ConnectError::Timeout(hop.address, timeout))?
        .map_err(|error| ConnectError::Tcp(hop.address, error))?;
    tcp.set_nodelay(true).map_err(|error| ConnectError::Tcp(hop.address, error))?;
    let Some(config) = tls else {
        return Ok(Conn::new(Stream::Plain(tcp), Buffer::default(), worker.clone()));
    };
    let name = cluster
        .and_then(|cluster| ServerName::try_from(server_name(cluster)).ok())
        .unwrap_or_else(|| ServerName::IpAddress(hop.address.ip().into()));
    let shaking = tokio::time::timeout(handshake, TlsConnector::from(config).connect(name, tcp));
    let stream = shaking
        .await
        .map_err(|_| ConnectError::Timeout(hop.address, handshake))?
        .map_err(|error| ConnectError::Handshake(hop.address, reason(&error)))?;
    Ok(Conn::new(Stream::Client(Box::new(stream)), Buffer::default(), worker.clone()))
}

/// What went wrong in a handshake: our own reason where it was us who refused.
pub fn reason(error: &io::Error) -> String {
    PeerError::of(error).map_or_else(|| error.to_string(), ToString::to_string)
}
