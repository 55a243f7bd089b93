//! Accepting: one task for each socket, one task for each connection.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::model::AppProtocol;
use crate::proxy::connection::Conn;
use crate::proxy::detect::{self, Found};
use crate::proxy::directory::Resolution;
use crate::proxy::edge_tls;
use crate::proxy::exchange::{self, Facts, Role};
use crate::proxy::http1::Buffer;
use crate::proxy::instance::Phase;
use crate::proxy::listener::OriginalDestination;
use crate::proxy::local::{Local, Opened};
use crate::proxy::stream::Stream;
use crate::proxy::upstream::Hop;
use crate::telemetry::Counter;

/// What connections of one socket are.
#[derive(Debug, Clone)]
pub enum Origin {
    /// For the workload: its port, and where the application listens.
    Inbound(u16, SocketAddr),
    /// For the workload; the kernel knows which port.
    InboundRedirected(OriginalDestination),
    /// From the workload, which must know the token.
    Outbound(Arc<str>),
    /// From the workload; the kernel knows where to.
    OutboundRedirected(OriginalDestination),
    /// From outside, to this port of the gateway.
    Gateway(u16),
}

/// Accepts connections for one proxy on one worker, and owns their tasks.
#[derive(Clone)]
pub struct Acceptor {
    pub local: Rc<Local>,
    pub tasks: Rc<RefCell<JoinSet<()>>>,
    pub phase: watch::Receiver<Phase>,
}

impl Acceptor {
    /// Accepts until the proxy drains or the socket is `given_up`, then takes what waits already, and ends.
    pub async fn run(mut self, listener: std::net::TcpListener, origin: Origin, given_up: impl Future<Output = ()>) {
        let listener = match listener.set_nonblocking(true).and_then(|()| TcpListener::from_std(listener)) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(proxy = %self.local.shared.name, %error, "a listening socket cannot be used");
                return;
            }
        };
        let mut given_up = std::pin::pin!(given_up);
        loop {
            let accepted = tokio::select! {
                biased;
                accepted = listener.accept() => accepted,
                () = &mut given_up => break,
                _ = self.phase.wait_for(|phase| *phase != Phase::Serving) => break,
            };
            self.take(accepted, &origin).await;
        }
        while let Poll::Ready(accepted) = poll_fn(|cx| Poll::Ready(listener.poll_accept(cx))).await {
            if accepted.is_err() {
                break;
            }
            self.take(accepted, &origin).await;
        }
    }

    async fn take(&self, accepted: io::Result<(TcpStream, SocketAddr)>, origin: &Origin) {
        let shared = &self.local.shared;
        self.reap();
        match accepted {
            Ok((tcp, _)) => {
                shared.registry.count(Counter::ConnectionsAccepted);
                let Some(opened) = Opened::begin(shared) else {
                    shared.registry.count(Counter::ConnectionsOverLimit);
                    return;
                };
                let (local, origin) = (self.local.clone(), origin.clone());
                // Boxed: the runtime moves a task several times before it stands still, and this one is large.
                self.tasks.borrow_mut().spawn_local(Box::pin(async move {
                    let _opened = opened;
                    serve(&local, tcp, origin).await;
                }));
            }
            // The peer has gone before we came.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {
            }
            Err(error) => {
                tracing::warn!(proxy = %shared.name, %error, "accepting fails; pausing");
                tokio::time::sleep(shared.limits.accept_pause).await;
            }
        }
    }

    /// Takes note of connections that have ended.
    pub fn reap(&self) {
        while let Some(ended) = self.tasks.borrow_mut().try_join_next() {
            note(&self.local, ended);
        }
    }

    /// Waits until every connection has ended.
    pub async fn finish(&self) {
        while let Some(ended) = poll_fn(|cx| self.tasks.borrow_mut().poll_join_next(cx)).await {
            note(&self.local, ended);
        }
    }
}

fn note(local: &Local, ended: Result<(), tokio::task::JoinError>) {
    if ended.is_err_and(|error| error.is_panic()) {
        local.shared.registry.count(Counter::ConnectionsPanicked);
        tracing::error!(proxy = %local.shared.name, "a connection ended in a panic; the others go on");
    }
}

async fn serve(local: &Rc<Local>, tcp: TcpStream, origin: Origin) {
    if tcp.set_nodelay(true).is_err() {
        return;
    }
    let facts = |role: Role, tcp: &TcpStream| Facts {
        role,
        local: tcp.local_addr().ok(),
        remote: tcp.peer_addr().ok(),
        peer: None,
        server_name: Box::default(),
        http2: false,
        admitted: None,
    };
    let role = match origin {
        Origin::Inbound(port, app) => return detect::serve_inbound(local, tcp, port, app).await,
        Origin::InboundRedirected(original) => {
            let Ok(Some(original)) = original(&tcp) else { return };
            return detect::serve_inbound(local, tcp, original.port(), original).await;
        }
        Origin::OutboundRedirected(original) => {
            let Ok(Some(original)) = original(&tcp) else { return };
            let facts = facts(Role::OutboundAddress { original }, &tcp);
            return serve_redirected(local, tcp, original, facts).await;
        }
        Origin::Outbound(token) => Role::OutboundName { token },
        Origin::Gateway(port) => Role::Gateway { port },
    };
    let facts = facts(role, &tcp);
    if let Role::Gateway { port } = facts.role
        && local.edge_tls.borrow().iter().any(|(secure, _)| *secure == port)
    {
        return Box::pin(edge_tls::serve(local, tcp, port, facts)).await;
    }
    let conn = Conn::new(Stream::Plain(tcp), Buffer::default(), local.worker.clone());
    exchange::serve(local, conn, facts).await;
}

/// A connection that the workload made to an address: HTTP where the mesh knows it to be, or where it looks like it; bytes to
/// where they were going otherwise.
async fn serve_redirected(local: &Rc<Local>, mut tcp: TcpStream, original: SocketAddr, facts: Facts) {
    if local.shared.is_own(&original) {
        return;
    }
    let directory = &local.shared.directory;
    let address = original.ip().to_string();
    let resolution = match directory.get(&address) {
        Some(resolution) => resolution,
        None => directory.resolve(&address).await,
    };
    let declared = match &resolution {
        Resolution::Known(target) => target.service.port(original.port()).map(|port| port.protocol),
        Resolution::Unknown | Resolution::Unavailable(_) => None,
    };
    let mut buffer = Buffer::default();
    let is_http = match declared {
        Some(AppProtocol::Http | AppProtocol::Http2) => true,
        Some(AppProtocol::Detect) => {
            detect::detect(local, &mut tcp, &mut buffer).await == Found::Plain
                && detect::looks_like_http(buffer.filled()).unwrap_or(false)
        }
        Some(AppProtocol::Tls | AppProtocol::Tcp) | None => false,
    };
    let conn = Conn::new(Stream::Plain(tcp), buffer, local.worker.clone());
    if is_http {
        exchange::serve(local, conn, facts).await;
    } else {
        detect::pass_through(local, conn, Hop::plain(original), &facts).await;
    }
}
