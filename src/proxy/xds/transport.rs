//! Channels to the control plane, with our limits.

use std::error::Error;
use std::future::{Future, Ready, ready};
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};
use tower::Service;

use crate::identity::TrustBundle;
use crate::net;
use crate::proxy::directory::Credentials;
use crate::tls;

/// A connection on which nothing came for this long is probed with a PING (`docs/wire.md` §1) ….
const PROBE_AFTER: Duration = Duration::from_secs(30);

/// … and given up when this much later nothing has come.
const PROBE_WAIT: Duration = Duration::from_secs(10);

/// Names of response headers and their values, in bytes; the control plane sends a handful.
const MAX_HEADER_BYTES: u32 = 16 << 10;

/// What is spoken with the control plane.
const ALPN: &[&[u8]] = &[b"h2"];

/// The control plane cannot be reached.
#[derive(Debug, thiserror::Error)]
#[error("the control plane at {place} cannot be reached: {cause}")]
pub struct TransportError {
    /// Where it was looked for.
    pub place: Arc<str>,
    /// Why not.
    pub cause: Box<dyn Error + Send + Sync>,
}

impl TransportError {
    /// The control plane cannot be reached at `place`.
    pub fn new(place: &str, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { place: place.into(), cause: cause.into() }
    }
}

/// Opens one channel to the control plane, with the certificate that the proxy has by now. Called once per attempt; the caller
/// bounds the time.
pub type Connect =
    Arc<dyn Fn(Option<Arc<Credentials>>) -> BoxFuture<'static, Result<Channel, TransportError>> + Send + Sync>;

/// A channel over a stream that is connected, and secured, already. It ends with the stream.
///
/// `authority` is what the control plane is called (`HOST` or `HOST:PORT`).
pub async fn over<S>(stream: S, authority: &str) -> Result<Channel, TransportError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let failed = |error: &dyn Error| TransportError::new(authority, root_cause(error));
    let endpoint = Endpoint::from_shared(format!("http://{authority}")).map_err(|error| failed(&error))?;
    endpoint
        .http2_keep_alive_interval(PROBE_AFTER)
        .keep_alive_timeout(PROBE_WAIT)
        .keep_alive_while_idle(true)
        .http2_max_header_list_size(MAX_HEADER_BYTES)
        .connect_with_connector(Once(Some(TokioIo::new(stream))))
        .await
        .map_err(|error| failed(&error))
}

/// Reaches a control plane in the same process: `open` gives one end of a stream whose other end it serves.
pub fn in_memory<F, Fut, S>(open: F) -> Connect
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = io::Result<S>> + Send + 'static,
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    const PLACE: &str = "in-memory";
    Arc::new(move |_| {
        let opening = open();
        Box::pin(async move {
            let stream = opening.await.map_err(|error| TransportError::new(PLACE, error))?;
            over(stream, PLACE).await
        })
    })
}

/// The roots that may vouch for the control plane's own name, read anew for each attempt, because they are rotated.
pub type RootsSource = Arc<dyn Fn() -> Result<TrustBundle, String> + Send + Sync>;

/// Reaches a control plane over TLS at `host:port`. The server proves that name with a certificate under one of `roots`; the
/// proxy presents its own, if it has one that is still good.
pub fn over_tls(host: &str, port: u16, roots: RootsSource) -> Connect {
    let (host, place): (Arc<str>, Arc<str>) = (host.into(), authority(host, port).into());
    Arc::new(move |credentials| {
        let (host, place, roots) = (host.clone(), place.clone(), roots.clone());
        Box::pin(async move {
            let config = client_config(credentials.as_deref(), &roots).map_err(|e| TransportError::new(&place, e))?;
            let name = ServerName::try_from(host.to_string())
                .map_err(|_| TransportError::new(&place, format!("{host} is neither a DNS name nor an address")))?;
            let tcp = TcpStream::connect((&*host, port)).await.map_err(|error| TransportError::new(&place, error))?;
            net::set_nodelay(&tcp).map_err(|error| TransportError::new(&place, error))?;
            let shaking = TlsConnector::from(config).connect(name, tcp).await;
            let stream = shaking.map_err(|error| TransportError::new(&place, root_cause(&error)))?;
            over(stream, &place).await
        })
    })
}

/// `HOST:PORT`, an IPv6 address in brackets.
fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn client_config(credentials: Option<&Credentials>, roots: &RootsSource) -> Result<Arc<ClientConfig>, String> {
    let named = roots();
    // An expired certificate would be refused; without it the token proves who calls.
    let good = credentials.filter(|credentials| credentials.check(SystemTime::now()).is_ok());
    match (good, named) {
        (Some(credentials), Ok(roots)) => tls::client_as(&credentials.svid, &roots.union(&credentials.bundle), ALPN),
        // What the control plane itself has told holds as well.
        (Some(credentials), Err(_)) => tls::client_as(&credentials.svid, &credentials.bundle, ALPN),
        (None, Ok(roots)) => tls::client(&roots, ALPN),
        (None, Err(reason)) => return Err(reason),
    }
    .map_err(|error| error.to_string())
}

/// What an error says at its bottom: the layers above it repeat that something failed.
pub(super) fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Connects to a stream that is there, one time: a channel does not come back by itself, because who reconnects also has to
/// announce what it holds.
struct Once<S>(Option<S>);

impl<S> Service<Uri> for Once<S> {
    type Response = S;
    type Error = io::Error;
    type Future = Ready<io::Result<S>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        ready(self.0.take().ok_or_else(|| io::Error::new(io::ErrorKind::NotConnected, "the connection has ended")))
    }
}
