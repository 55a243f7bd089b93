//! HTTP/1.1 and HTTP/2 over a TCP listener, with or without TLS.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Body, Limits};

/// How every HTTP/2 connection begins, up to the byte that no HTTP/1.1 request shares.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// Pause after an accept error such as too many open files, so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What is known of the connection a request came on; a service finds it in the request's extensions.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The peer's address.
    pub peer: SocketAddr,
    /// The peer's verified certificates, leaf first, if it presented any.
    pub certificates: Option<Arc<[CertificateDer<'static>]>>,
    /// What TLS agreed on; `None` on a plaintext connection.
    pub session: Option<Arc<TlsSession>>,
}

/// What a handshake agreed on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSession {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// The name that the client asked for (SNI).
    pub server_name: String,
    /// The application's protocol (ALPN); empty where none was chosen.
    pub protocol: String,
    /// The cipher suite's name, as IANA has it.
    pub suite: String,
}

impl TlsSession {
    /// Of a connection whose handshake is done.
    pub fn of(session: &rustls::ServerConnection) -> Self {
        let suite = session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or_default();
        Self {
            version: match session.protocol_version() {
                Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
                _ => "TLSv1.2",
            },
            server_name: session.server_name().unwrap_or_default().to_owned(),
            protocol: session
                .alpn_protocol()
                .map(|name| String::from_utf8_lossy(name).into_owned())
                .unwrap_or_default(),
            suite: suite.replacen("TLS13_", "TLS_", 1),
        }
    }
}

/// The TLS configuration of a server.
#[derive(Clone)]
pub enum Tls {
    /// It speaks plaintext.
    Off,
    /// Every connection has the same.
    Fixed(Arc<ServerConfig>),
    /// A connection has the one that is current when it begins: certificates are renewed while the server runs.
    Current(Arc<dyn Fn() -> Arc<ServerConfig> + Send + Sync>),
}

impl Tls {
    fn config(&self) -> Option<Arc<ServerConfig>> {
        match self {
            Self::Off => None,
            Self::Fixed(config) => Some(config.clone()),
            Self::Current(current) => Some(current()),
        }
    }
}

impl From<Option<Arc<ServerConfig>>> for Tls {
    fn from(config: Option<Arc<ServerConfig>>) -> Self {
        config.map_or(Self::Off, Self::Fixed)
    }
}

/// Serves `service` on `listener` until `token` is cancelled, then drains for at most [`Limits::drain`] and returns.
///
/// With `tls`, the protocol is the one ALPN chose (HTTP/1.1 where it chose none); without, HTTP/2 is recognised by its preface.
/// A connection that fails its handshake, or says nothing for [`Limits::header_time`], is closed and disturbs no other.
pub async fn serve<S>(listener: TcpListener, tls: impl Into<Tls>, limits: Limits, service: S, token: CancellationToken)
where
    S: Service,
{
    let (tls, limits) = (tls.into(), Arc::new(limits));
    let permits = Arc::new(Semaphore::new(limits.connections));
    let connections = TaskTracker::new();
    // Cut is cancelled when draining took too long.
    let cut = CancellationToken::new();
    loop {
        let permit = tokio::select! {
            () = token.cancelled() => break,
            permit = Arc::clone(&permits).acquire_owned() => match permit {
                Ok(permit) => permit,
                Err(_) => break,
            },
        };
        let accepted = tokio::select! {
            () = token.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (tls, limits, service) = (tls.config(), Arc::clone(&limits), service.clone());
        let (token, cut) = (token.clone(), cut.clone());
        connections.spawn(async move {
            let _permit = permit;
            tokio::select! {
                () = cut.cancelled() => {}
                () = connection(stream, peer, tls, &limits, service, token) => {}
            }
        });
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(limits.drain, connections.wait()).await.is_err() {
        cut.cancel();
        connections.wait().await;
    }
}

async fn connection<S>(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    limits: &Limits,
    service: S,
    token: CancellationToken,
) where
    S: Service,
{
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let ended = match tls {
        None => {
            let about = Connection { peer, certificates: None, session: None };
            let preface = tokio::select! {
                () = token.cancelled() => return,
                preface = tokio::time::timeout(limits.header_time, starts_http2(&stream)) => preface,
            };
            match preface {
                Ok(Ok(http2)) => drive(stream, http2, &about, limits, service, token).await,
                _ => return,
            }
        }
        Some(config) => {
            let handshake = TlsAcceptor::from(config).accept(stream);
            let stream = tokio::select! {
                () = token.cancelled() => return,
                done = tokio::time::timeout(limits.handshake_time, handshake) => match done {
                    Ok(Ok(stream)) => stream,
                    Ok(Err(error)) => {
                        tracing::debug!(%peer, %error, "TLS handshake failed");
                        return;
                    }
                    Err(_) => return,
                },
            };
            let (_, session) = stream.get_ref();
            let http2 = session.alpn_protocol() == Some(b"h2");
            let about = Connection {
                peer,
                certificates: session
                    .peer_certificates()
                    .map(|chain| chain.iter().map(|cert| cert.clone().into_owned()).collect()),
                session: Some(Arc::new(TlsSession::of(session))),
            };
            drive(stream, http2, &about, limits, service, token).await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "connection ended");
    }
}

/// Whether the client's first bytes are HTTP/2's preface. Nothing is consumed.
async fn starts_http2(stream: &TcpStream) -> std::io::Result<bool> {
    let mut first = [0_u8; HTTP2_PREFACE.len()];
    let mut pause = Duration::from_millis(2);
    loop {
        let seen = stream.peek(&mut first).await?;
        let seen = first.get(..seen).unwrap_or_default();
        if seen.len() == HTTP2_PREFACE.len() || !HTTP2_PREFACE.starts_with(seen) || seen.is_empty() {
            return Ok(seen == HTTP2_PREFACE);
        }
        // Part of a preface: the rest is on its way, and the caller bounds how long that may take.
        // Looking again does not wait for it, so whoever leaves it at a part is looked at less and less.
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(250));
    }
}

#[allow(clippy::disallowed_methods)]
async fn drive<I, S>(
    io: I,
    http2: bool,
    about: &Connection,
    limits: &Limits,
    service: S,
    token: CancellationToken,
) -> Result<(), hyper::Error>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service,
{
    let io = TokioIo::new(io);
    let service = TowerToHyperService::new(WithConnection { inner: service, about: about.clone() });
    if http2 {
        let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams)
            .initial_stream_window_size(limits.stream_window)
            .initial_connection_window_size(limits.connection_window)
            .max_header_list_size(limits.header_bytes)
            .max_pending_accept_reset_streams(limits.pending_resets)
            .max_local_error_reset_streams(limits.pending_resets)
            .max_send_buf_size(limits.send_buffer)
            .keep_alive_interval(limits.ping)
            .keep_alive_timeout(limits.ping);
        let mut connection = pin!(builder.serve_connection(io, service));
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = token.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        connection.await
    } else {
        let mut connection = pin!(http1(limits).serve_connection(io, service).with_upgrades());
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = token.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        connection.await
    }
}

#[allow(clippy::disallowed_methods)]
fn http1(limits: &Limits) -> hyper::server::conn::http1::Builder {
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_headers(limits.header_count)
        .max_header_size(usize::try_from(limits.header_bytes).unwrap_or(usize::MAX))
        .keep_alive(true);
    builder
}

/// Serves HTTP/1.1 on one stream that was not accepted by a listener of ours, until either side ends it.
pub async fn serve_stream<I, S>(io: I, limits: Limits, service: S)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service,
{
    let served = http1(&limits).serve_connection(TokioIo::new(io), TowerToHyperService::new(service)).await;
    if let Err(error) = served {
        tracing::debug!(%error, "connection ended");
    }
}

/// Puts the [`Connection`] into every request's extensions.
#[derive(Clone)]
struct WithConnection<S> {
    inner: S,
    about: Connection,
}

impl<S, B> tower::Service<Request<B>> for WithConnection<S>
where
    S: tower::Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        request.extensions_mut().insert(self.about.clone());
        self.inner.call(request)
    }
}

/// What can be served: answers every request, and is cloned for every connection.
pub trait Service:
    tower::Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future: Send + 'static>
    + Clone
    + Send
    + 'static
{
}

impl<S> Service for S where
    S: tower::Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future: Send + 'static>
        + Clone
        + Send
        + 'static
{
}

/// A service made of a function; see [`handler`].
pub struct HandlerFn<F>(Arc<F>);

impl<F> Clone for HandlerFn<F> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Makes an async function of a request a service for [`serve`].
pub fn handler<F>(function: F) -> HandlerFn<F> {
    HandlerFn(Arc::new(function))
}

impl<F, Fut, B> tower::Service<Request<B>> for HandlerFn<F>
where
    F: Fn(Request<B>) -> Fut,
    Fut: Future<Output = Response<Body>> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let answer = (self.0)(request);
        Box::pin(async move { Ok(answer.await) })
    }
}
