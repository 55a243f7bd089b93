//! Channels to the control plane, with our limits.

use std::error::Error;
use std::future::{Future, Ready, ready};
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::transport::{Channel, Endpoint};
use tower::Service;

use crate::proxy::directory::Credentials;

/// A connection on which nothing came for this long is probed with a PING (`docs/wire.md` §1) ….
const PROBE_AFTER: Duration = Duration::from_secs(30);

/// … and given up when this much later nothing has come.
const PROBE_WAIT: Duration = Duration::from_secs(10);

/// Names of response headers and their values, in bytes; the control plane sends a handful.
const MAX_HEADER_BYTES: u32 = 16 << 10;

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
