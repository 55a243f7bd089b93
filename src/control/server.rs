//! The control plane's door to other processes: TLS on a TCP port, with a certificate of its own authority.
//!
//! A client may present its workload's certificate, which then proves who it is for as long as the connection lives; one that
//! has none yet proves itself call by call, with its service account's token. There is no plaintext, and being on the same
//! machine proves nothing.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::identity::{Authority, IdentityError};
use crate::tls::{self, ClientAuth, TlsError};

use super::connection::{Accepted, Peer};
use super::token::TokenReviewer;

/// Life of the server's certificate; it is made anew at half of it.
const CERTIFICATE: Duration = Duration::from_secs(24 * 60 * 60);

/// Connections at one time; the next one waits to be accepted.
const CONNECTIONS: usize = 16_384;

/// Time a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Pause after an accept error such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where and under which names the control plane is reached by other processes.
pub struct ServerOptions {
    /// The socket.
    pub listener: std::net::TcpListener,
    /// DNS names that proxies call it by.
    pub names: Vec<String>,
    /// Addresses that proxies call it by.
    pub addresses: Vec<IpAddr>,
    /// The API server that reviews service account tokens; `None`: only certificates are taken.
    pub token_reviews: Option<kube::Client>,
}

/// Why the door stays shut.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The socket cannot be used.
    #[error("the control plane's socket cannot be used: {0}")]
    Socket(#[from] io::Error),
    /// No certificate can be made.
    #[error("the control plane's own certificate: {0}")]
    Identity(#[from] IdentityError),
    /// No TLS configuration can be made of it.
    #[error("the control plane's own certificate: {0}")]
    Tls(#[from] TlsError),
}

/// The certificate in use, made anew in time.
pub(super) struct Certificate {
    authority: Arc<ArcSwap<Authority>>,
    names: Vec<String>,
    addresses: Vec<IpAddr>,
    audience: Audience,
    current: Mutex<Current>,
}

/// Whom a certificate is shown to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    /// Proxies, which may prove their identity and speak gRPC.
    Proxies,
    /// The API server, which stays anonymous.
    ApiServer,
}

struct Current {
    config: Arc<ServerConfig>,
    authority: Arc<Authority>,
    made: SystemTime,
}

impl Certificate {
    pub(super) fn new(
        authority: Arc<ArcSwap<Authority>>,
        names: Vec<String>,
        addresses: Vec<IpAddr>,
        audience: Audience,
    ) -> Result<Self, ServerError> {
        let current = make(&authority.load_full(), &names, &addresses, audience)?;
        Ok(Self { authority, names, addresses, audience, current: Mutex::new(current) })
    }

    /// The configuration for a connection that begins now. One that is past half of its life, or whose authority has been
    /// replaced, is made anew; where that fails the old one serves on as long as it is good.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        let authority = self.authority.load_full();
        let mut current = self.current.lock();
        let age = SystemTime::now().duration_since(current.made);
        // A clock that went back makes the certificate one of the future.
        let fresh = age.is_ok_and(|age| age < CERTIFICATE / 2) && Arc::ptr_eq(&current.authority, &authority);
        if !fresh {
            match make(&authority, &self.names, &self.addresses, self.audience) {
                Ok(made) => *current = made,
                Err(error) => tracing::error!(%error, "the control plane goes on with its old certificate"),
            }
        }
        current.config.clone()
    }
}

fn make(
    authority: &Arc<Authority>,
    names: &[String],
    addresses: &[IpAddr],
    audience: Audience,
) -> Result<Current, ServerError> {
    let (chain, key) = authority.sign_server(names, addresses, CERTIFICATE)?;
    let config = match audience {
        Audience::Proxies => {
            let roots = authority.bundle();
            tls::server_for_workloads(chain, key.private_key(), &roots, ClientAuth::Optional, &[b"h2"])?
        }
        Audience::ApiServer => tls::server(chain, key.private_key(), &[b"h2", b"http/1.1"])?,
    };
    Ok(Current { config, authority: authority.clone(), made: SystemTime::now() })
}

/// Accepts connections and hands those whose handshake succeeds to `accepted`, until `token` is cancelled.
pub(super) fn serve(
    options: ServerOptions,
    reviewer: Option<TokenReviewer>,
    authority: Arc<ArcSwap<Authority>>,
    accepted: mpsc::Sender<Accepted>,
    tasks: &TaskTracker,
    token: CancellationToken,
) -> Result<(), ServerError> {
    options.listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(options.listener)?;
    let certificate = Certificate::new(authority, options.names, options.addresses, Audience::Proxies)?;
    let door = Door { certificate: Arc::new(certificate), reviewer, accepted };
    let handshakes = tasks.clone();
    tasks.spawn(async move {
        let _stopped = token.clone().run_until_cancelled(door.keep(listener, &handshakes, &token)).await;
    });
    Ok(())
}

#[derive(Clone)]
struct Door {
    certificate: Arc<Certificate>,
    reviewer: Option<TokenReviewer>,
    accepted: mpsc::Sender<Accepted>,
}

impl Door {
    async fn keep(self, listener: TcpListener, handshakes: &TaskTracker, token: &CancellationToken) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let (door, token) = (self.clone(), token.clone());
            handshakes.spawn(async move {
                let shaking = timeout(HANDSHAKE, door.shake(stream));
                let stream = match token.run_until_cancelled(shaking).await {
                    Some(Ok(Ok(stream))) => stream,
                    Some(Ok(Err(error))) => {
                        tracing::debug!(%peer, %error, "a TLS handshake with the control plane failed");
                        return;
                    }
                    Some(Err(_)) | None => return,
                };
                let certificates = stream.get_ref().1.peer_certificates();
                let peer = match tls::peer_id(certificates) {
                    Some(identity) => Peer::Proved(identity, tls::peer_expiry(certificates)),
                    None => Peer::ByToken(door.reviewer),
                };
                // Nobody serves any more: the connection closes.
                let _stopped = door.accepted.send(Accepted::secured(stream, peer, place)).await;
            });
        }
    }

    async fn shake(&self, stream: TcpStream) -> io::Result<tokio_rustls::server::TlsStream<TcpStream>> {
        stream.set_nodelay(true)?;
        TlsAcceptor::from(self.certificate.config()).accept(stream).await
    }
}
