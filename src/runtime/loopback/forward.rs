//! The way out of pods without a sidecar: a plain forwarder of the node, which they know as their `http_proxy`.
//!
//! It takes requests in absolute form and `CONNECT`, from whoever knows a pod's token, and connects from that pod's address to where
//! the name leads ([`Names`]). It adds no identity, no encryption and no policy: to a pod behind a sidecar it is a plaintext
//! caller, and where that sidecar resets the connection the caller's is reset too.
//!
//! Bounded: connections, header bytes and times; what is under way when the runtime ends is cut. The machine's own loopback
//! addresses are refused: they are not the pod network's.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::Authority;
use http::{Method, Request, Response, StatusCode, Uri, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::RwLock;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::addresses::is_app;
use super::names::{NameError, Names, Place};
use crate::net;
use crate::runtime::node::network::PodSpecLite;
use crate::serve::{self, Body};

/// Connections at one time, of all pods.
const CONNECTIONS: usize = 1024;
/// Header fields and bytes of one request.
const HEADERS: usize = 100;
const HEADER_BYTES: usize = 64 << 10;
/// Time for a request's head.
const HEADER_TIME: Duration = Duration::from_secs(60);
/// Time for a connection to a pod or host.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// Time until a response begins.
const RESPONSE_TIME: Duration = Duration::from_secs(300);
/// Pause after an `accept` that failed, so that running out of descriptors does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Says in a refusal what a connection without a proxy would have met: `resolve` or `connect`.
pub const REFUSAL: HeaderName = HeaderName::from_static(crate::proxy::REFUSED_STEP);

/// Who forwards for whom.
pub(super) struct Forwarder {
    address: SocketAddr,
    callers: Arc<Callers>,
    _ends: DropGuard,
}

type Callers = RwLock<HashMap<String, Caller>>;

/// Who may call: a pod, or the node itself.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    uid: String,
    namespace: String,
    ip: IpAddr,
}

impl Caller {
    pub(super) fn of_pod(pod: &PodSpecLite, ip: IpAddr) -> Self {
        Self { uid: pod.uid.clone(), namespace: pod.namespace.clone(), ip }
    }

    /// The node, which sees names as pods of `namespace` do.
    pub(super) fn of_node(namespace: &str, ip: IpAddr) -> Self {
        Self { uid: String::new(), namespace: namespace.to_owned(), ip }
    }
}

/// Why a request is not forwarded.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("a pod's token is wanted: use the http_proxy of the pod's environment")]
    Token,
    #[error("{0}: a forwarder takes http:// URLs in absolute form, and CONNECT")]
    Form(String),
    #[error(transparent)]
    Name(#[from] NameError),
    #[error("{host}: cannot be resolved: {source}")]
    Resolve { host: String, source: io::Error },
    #[error("{0} is an address of the machine, not of a pod")]
    Machine(SocketAddr),
    #[error("{0} is where an app listens behind its proxy: call the pod's own address")]
    BehindProxy(SocketAddr),
    #[error("cannot connect to {address}: {source}")]
    Connect { address: SocketAddr, source: io::Error },
    #[error("{0} sent no response within {RESPONSE_TIME:?}")]
    Late(SocketAddr),
}

impl Refused {
    const fn status(&self) -> StatusCode {
        match self {
            Self::Token => StatusCode::PROXY_AUTHENTICATION_REQUIRED,
            Self::Form(_) => StatusCode::BAD_REQUEST,
            Self::Machine(_) | Self::BehindProxy(_) => StatusCode::FORBIDDEN,
            Self::Late(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::Name(_) | Self::Resolve { .. } | Self::Connect { .. } => StatusCode::BAD_GATEWAY,
        }
    }

    /// The step that failed.
    const fn step(&self) -> Option<&'static str> {
        match self {
            Self::Name(NameError::Unknown { .. }) | Self::Resolve { .. } => Some("resolve"),
            Self::Name(_) | Self::Connect { .. } | Self::Machine(_) | Self::BehindProxy(_) => Some("connect"),
            Self::Token | Self::Form(_) | Self::Late(_) => None,
        }
    }

    fn response(&self) -> Response<Body> {
        let mut response = Response::new(serve::full(format!("{self}\n")));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if let Some(step) = self.step() {
            headers.insert(REFUSAL, HeaderValue::from_static(step));
        }
        if matches!(self, Self::Token) {
            headers.insert(header::PROXY_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"pod\""));
        }
        response
    }
}

/// The upstream broke off before it answered: the caller sees the same.
#[derive(Debug, thiserror::Error)]
#[error("the upstream closed the connection")]
struct Reset;

/// What one connection needs.
struct Shared {
    names: Arc<Names>,
    callers: Arc<Callers>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Forwarder {
    /// Forwards what arrives on `listener`, until it is dropped.
    ///
    /// # Errors
    /// The system's. Must be called on a tokio runtime.
    pub(super) fn start(listener: std::net::TcpListener, names: Arc<Names>) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        let callers: Arc<Callers> = Arc::default();
        let stop = CancellationToken::new();
        let shared = Shared { names, callers: callers.clone(), stop: stop.clone(), tasks: TaskTracker::new() };
        tokio::spawn(accept(listener, Arc::new(shared)));
        Ok(Self { address, callers, _ends: stop.drop_guard() })
    }

    /// Lets somebody call; the value of their `http_proxy`.
    pub(super) fn admit(&self, caller: Caller, token: &str) -> String {
        let credentials = format!("Basic {}", BASE64_STANDARD.encode(format!("pod:{token}")));
        self.callers.write().insert(credentials, caller);
        format!("http://pod:{token}@{}", self.address)
    }

    /// A pod is gone.
    pub(super) fn dismiss(&self, uid: &str) {
        self.callers.write().retain(|_, caller| caller.uid != uid);
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    let accepting = async {
        loop {
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let connection = connection(stream, Arc::clone(&shared));
                    shared.tasks.spawn(async move {
                        connection.await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the pods' forwarder cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    shared.stop.run_until_cancelled(accepting).await;
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    // Options of the socket can be set through a second handle while hyper holds the first.
    let Ok(handle) = SockRef::from(&stream).try_clone() else { return };
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let to_answer = Arc::clone(&shared);
    let service = service_fn(move |request| answer(request, Arc::clone(&to_answer)));
    let serving = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_headers(HEADERS)
        .max_header_size(HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut serving = pin!(serving);
    let ended = shared.stop.run_until_cancelled(serving.as_mut()).await;
    let reset = |error: &hyper::Error| std::error::Error::source(error).is_some_and(|source| source.is::<Reset>());
    if let Some(Err(error)) = ended
        && reset(&error)
    {
        // A failure leaves an ordinary end, which says nearly as much.
        let _ = handle.set_linger(Some(Duration::ZERO));
    }
}

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Body>, Reset> {
    match forward(request, &shared).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(reset)) => Err(reset),
        Err(refused) => Ok(refused.response()),
    }
}

async fn forward(
    mut request: Request<Incoming>,
    shared: &Arc<Shared>,
) -> Result<Result<Response<Body>, Reset>, Refused> {
    let credentials = request.headers_mut().remove(header::PROXY_AUTHORIZATION);
    let caller = credentials.and_then(|value| shared.callers.read().get(value.to_str().ok()?).cloned());
    let caller = caller.ok_or(Refused::Token)?;
    let form = || Refused::Form(request.uri().to_string());
    let authority = request.uri().authority().cloned().ok_or_else(form)?;
    let is_connect = request.method() == Method::CONNECT;
    let scheme = request.uri().scheme_str();
    let port = match (is_connect, scheme, authority.port_u16()) {
        (true, _, Some(port)) | (false, Some("http"), Some(port)) => port,
        (false, Some("http"), None) => 80,
        _ => return Err(form()),
    };
    let stream = connect(&caller, &shared.names, authority.host(), port).await?;
    if is_connect {
        tunnel(request, stream, shared);
        return Ok(Ok(Response::new(serve::full(""))));
    }
    exchange(request, &authority, stream, shared).await
}

async fn connect(caller: &Caller, names: &Names, host: &str, port: u16) -> Result<TcpStream, Refused> {
    let address = match names.resolve(&caller.namespace, host, port)? {
        Place::Address(address) => address,
        Place::Outside { host, port } => {
            let resolving = tokio::net::lookup_host((host.as_str(), port));
            let unresolved = |source| Refused::Resolve { host: host.clone(), source };
            let found = timeout(CONNECT_TIME, resolving).await.map_err(|late| unresolved(late.into()))?;
            let mut found = found.map_err(unresolved)?;
            found.next().ok_or_else(|| unresolved(io::ErrorKind::NotFound.into()))?
        }
    };
    // What is an IPv4 address to the system is one here.
    let address = SocketAddr::new(address.ip().to_canonical(), address.port());
    let refused = |source| Refused::Connect { address, source };
    let socket = match (address.ip(), caller.ip) {
        (IpAddr::V4(to), IpAddr::V4(from)) if to.is_loopback() => {
            // The pod network is a block of its own; what else is loopback is the machine's.
            if to.octets().get(1) != from.octets().get(1) {
                return Err(Refused::Machine(address));
            }
            if is_app(to) {
                return Err(Refused::BehindProxy(address));
            }
            let socket = TcpSocket::new_v4().map_err(refused)?;
            socket.bind(SocketAddr::new(caller.ip, 0)).map_err(refused)?;
            socket
        }
        (to, _) if to.is_loopback() || to.is_unspecified() => return Err(Refused::Machine(address)),
        (IpAddr::V4(_), _) => TcpSocket::new_v4().map_err(refused)?,
        (IpAddr::V6(_), _) => TcpSocket::new_v6().map_err(refused)?,
    };
    let stream = match timeout(CONNECT_TIME, socket.connect(net::socket_of(address))).await {
        Ok(connected) => connected.map_err(refused)?,
        Err(late) => return Err(refused(late.into())),
    };
    stream.set_nodelay(true).map_err(refused)?;
    Ok(stream)
}

fn tunnel(request: Request<Incoming>, mut stream: TcpStream, shared: &Shared) {
    let stop = shared.stop.clone();
    shared.tasks.spawn(async move {
        let copying = async {
            // An upgrade or a side that fails ends the tunnel, which is all that there is to do about it.
            if let Ok(upgraded) = hyper::upgrade::on(request).await {
                let _ended = tokio::io::copy_bidirectional(&mut TokioIo::new(upgraded), &mut stream).await;
            }
        };
        stop.run_until_cancelled(copying).await;
    });
}

async fn exchange(
    mut request: Request<Incoming>,
    authority: &Authority,
    stream: TcpStream,
    shared: &Shared,
) -> Result<Result<Response<Body>, Reset>, Refused> {
    let Ok(address) = stream.peer_addr() else { return Ok(Err(Reset)) };
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let target: Uri = path.parse().map_err(|_| Refused::Form(request.uri().to_string()))?;
    *request.uri_mut() = target;
    *request.version_mut() = Version::HTTP_11;
    strip_hop_by_hop(request.headers_mut());
    if !request.headers().contains_key(header::HOST)
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        request.headers_mut().insert(header::HOST, host);
    }
    let Ok((mut sender, connection)) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await else {
        return Ok(Err(Reset));
    };
    let stop = shared.stop.clone();
    shared.tasks.spawn(async move {
        // It ends with its exchange; how that went is seen there.
        let _ended = stop.run_until_cancelled(connection).await;
    });
    let response = match timeout(RESPONSE_TIME, sender.send_request(request)).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => return Ok(Err(Reset)),
        Err(_) => return Err(Refused::Late(address)),
    };
    let mut response = response.map(|body| body.map_err(Into::into).boxed_unsync());
    strip_hop_by_hop(response.headers_mut());
    Ok(Ok(response))
}

/// RFC 9110 section 7.6.1.
fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in ["connection", "proxy-connection", "keep-alive", "te", "upgrade"] {
        headers.remove(name);
    }
}
