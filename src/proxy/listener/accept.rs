//! Accepting: one task for each socket, one task for each connection.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::SystemTime;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::model::{AppProtocol, ListenerProtocol, Loopback, OutboundMode, Resolution};
use crate::net;
use crate::proxy::connection::Conn;
use crate::proxy::detect::{self, First, Found};
use crate::proxy::directory::{Resolution as Answer, Target};
use crate::proxy::edge_tls;
use crate::proxy::exchange::{self, Facts, Role};
use crate::proxy::http1::Buffer;
use crate::proxy::instance::Phase;
use crate::proxy::listener::OriginalDestination;
use crate::proxy::listener::connect::{self, Asked};
use crate::proxy::local::{Local, Opened};
use crate::proxy::proxy_protocol;
use crate::proxy::stream::Stream;
use crate::proxy::tcp::carry::{self, AsksFor, Course, Refused};
use crate::proxy::upstream;
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

async fn serve(local: &Rc<Local>, mut tcp: TcpStream, origin: Origin) {
    if tcp.set_nodelay(true).is_err() {
        return;
    }
    let facts = |role: Role, tcp: &TcpStream| Facts {
        role,
        local: tcp.local_addr().ok().map(net::address_of),
        remote: tcp.peer_addr().ok(),
        direct: tcp.peer_addr().ok(),
        peer: None,
        server_name: Box::default(),
        http2: false,
        admitted: None,
    };
    let role = match origin {
        Origin::Inbound(port, app) => return detect::serve_inbound(local, tcp, port, app, Loopback::Own).await,
        Origin::InboundRedirected(original) => {
            let Ok(Some(original)) = original(&tcp) else { return };
            return detect::serve_inbound(local, tcp, original.port(), original, Loopback::Shared).await;
        }
        Origin::OutboundRedirected(original) => {
            let Ok(Some(original)) = original(&tcp) else { return };
            let facts = facts(Role::OutboundAddress { original }, &tcp);
            return serve_redirected(local, tcp, original, facts).await;
        }
        Origin::Outbound(token) => {
            let facts = facts(Role::OutboundName { token: token.clone() }, &tcp);
            return serve_outbound(local, tcp, &token, facts).await;
        }
        Origin::Gateway(port) => Role::Gateway { port },
    };
    let mut facts = facts(role, &tcp);
    let mut buffer = Buffer::default();
    if matches!(facts.role, Role::Gateway { .. })
        && local.shared.directory.settings().proxy_protocol
        && !is_announced(local, &mut tcp, &mut buffer, &mut facts).await
    {
        return;
    }
    if let Role::Gateway { port } = facts.role
        && local.listeners.borrow().iter().any(|known| known.port == port && known.protocol == ListenerProtocol::Tcp)
    {
        // Nothing is read before the server is there: it may be the one who speaks first.
        let conn = Conn::new(Stream::Plain(tcp), buffer, local.worker.clone());
        return Box::pin(carry::serve_gateway(local, conn, &facts, port, AsksFor::Nothing)).await;
    }
    if let Role::Gateway { port } = facts.role
        && local.edge_tls.borrow().iter().any(|(secure, _)| *secure == port)
    {
        return Box::pin(edge_tls::serve(local, tcp, buffer, port, facts)).await;
    }
    let conn = Conn::new(Stream::Plain(tcp), buffer, local.worker.clone());
    exchange::serve(local, conn, facts).await;
}

/// Whether the connection begins with a PROXY protocol header, as it has to. What it says is what is known of the client then.
async fn is_announced(local: &Local, tcp: &mut TcpStream, buffer: &mut Buffer, facts: &mut Facts) -> bool {
    match proxy_protocol::receive(local, tcp, buffer).await {
        Ok(Ok(None)) => true,
        Ok(Ok(Some(ends))) => {
            (facts.remote, facts.local) = (Some(ends.source), Some(ends.destination));
            true
        }
        Ok(Err(malformed)) => {
            local.shared.registry.count(Counter::ProxyHeadersRefused);
            detect::refuse(local, facts, "proxy_protocol_error", &malformed.to_string(), None);
            false
        }
        // Whoever only looks whether the port is open says nothing.
        Err(_) => false,
    }
}

/// A connection that the workload made to an address. What the mesh knows the port to carry is believed; otherwise the first
/// bytes tell, the server's too. The address says which service is meant, where the mesh knows it; else the name does that the
/// client asks for.
async fn serve_redirected(local: &Rc<Local>, tcp: TcpStream, original: SocketAddr, facts: Facts) {
    if local.shared.is_own(&original) {
        return;
    }
    match service_at(local, &original.ip().to_string(), original.port()).await {
        Ok(known) => serve_address(local, tcp, Buffer::default(), original, known, facts).await,
        Err(refused) => carry::log_refused(local, &facts, &refused),
    }
}

/// A connection of the workload to its proxy: requests, or one for a tunnel.
async fn serve_outbound(local: &Rc<Local>, mut tcp: TcpStream, token: &str, facts: Facts) {
    let mut buffer = Buffer::default();
    match connect::receive(local, &mut tcp, &mut buffer, token).await {
        Ok(Asked::Other) => {
            let conn = Conn::new(Stream::Plain(tcp), buffer, local.worker.clone());
            exchange::serve(local, conn, facts).await;
        }
        Ok(Asked::Tunnel(host, port)) => Box::pin(serve_tunnel(local, tcp, buffer, &host, port, facts)).await,
        Ok(Asked::Refused(refused)) => refuse_tunnel(local, &mut tcp, refused).await,
        Err(_) => {}
    }
}

/// A tunnel of the workload. Behind a name that the mesh knows it is what a connection to the service's address is; behind any
/// other, one to where the name leads.
async fn serve_tunnel(local: &Rc<Local>, mut tcp: TcpStream, buffer: Buffer, host: &str, port: u16, mut facts: Facts) {
    let known = match service_at(local, host, port).await {
        Ok(known) => known,
        Err(refused) => {
            carry::log_refused(local, &facts, &refused);
            return refuse_tunnel(local, &mut tcp, connect::Refused::Unavailable).await;
        }
    };
    let is_open = local.shared.directory.settings().outbound_mode == OutboundMode::AllowAny;
    let original = match (connect::literal(host, port), known.as_deref().map(|target| &target.service)) {
        (Some(address), _) => Some(address),
        (None, Some(service)) if service.resolution != Resolution::Original && !service.host.starts_with("*.") => {
            let address = service.addresses.first().map(|address| SocketAddr::new(*address, port));
            address.or(Some(upstream::nowhere(port)))
        }
        (None, None) if !is_open => Some(upstream::nowhere(port)),
        (None, _) => local.names.resolve(local, host, port).await,
    };
    let Some(original) = original else {
        return refuse_tunnel(local, &mut tcp, connect::Refused::Unresolved).await;
    };
    if local.shared.is_own(&original) {
        return refuse_tunnel(local, &mut tcp, connect::Refused::Own).await;
    }
    if connect::answer(&mut tcp, None, local.shared.limits.write_stall).await.is_err() {
        return;
    }
    if known.is_none() && !is_open {
        // What a connection without a proxy would have met: it is taken, and ends.
        return carry::log_refused(local, &facts, &Refused::not_in_mesh(format_args!("{host}:{port}")));
    }
    facts.role = Role::OutboundAddress { original };
    serve_address(local, tcp, buffer, original, known, facts).await;
}

async fn refuse_tunnel(local: &Local, tcp: &mut TcpStream, refused: connect::Refused) {
    // Who does not want to hear it is gone.
    let _ = connect::answer(tcp, Some(refused), local.shared.limits.write_stall).await;
}

/// A connection of the workload to an address, of which `known` is the service.
async fn serve_address(
    local: &Rc<Local>,
    mut tcp: TcpStream,
    mut buffer: Buffer,
    original: SocketAddr,
    known: Option<Arc<Target>>,
    mut facts: Facts,
) {
    let port = original.port();
    let declared = known.as_ref().and_then(|target| target.service.port(port)).map(|port| port.protocol);
    let conn = |tcp: TcpStream, buffer: Buffer| Conn::new(Stream::Plain(tcp), buffer, local.worker.clone());
    let needs_name = known.as_ref().is_some_and(|target| carry::waits_for_client(&target.routes, port));
    match declared {
        Some(AppProtocol::Http | AppProtocol::Http2) => {
            return exchange::serve(local, conn(tcp, buffer), facts).await;
        }
        Some(AppProtocol::Tcp) if !needs_name => {
            let course = course(local, known.as_deref(), None, original);
            return carried(local, conn(tcp, buffer), course, &facts).await;
        }
        _ => {}
    }
    let start = SystemTime::now();
    // What is declared to be TLS begins with the client.
    let found = match course(local, known.as_deref(), None, original) {
        Ok(course) if declared != Some(AppProtocol::Tls) => {
            match Box::pin(detect::first_to_speak(local, &mut tcp, &mut buffer, &course, &facts)).await {
                First::Client(found) => found,
                First::Server(open) => {
                    return carry::carry_on(local, conn(tcp, buffer), *open, &course, &facts, start).await;
                }
            }
        }
        _ => detect::detect(local, &mut tcp, &mut buffer).await,
    };
    let may_be_http = found == Found::Plain && matches!(declared, None | Some(AppProtocol::Detect));
    let server_name = match found {
        Found::Ended => return,
        Found::Tls { server_name, .. } => {
            facts.server_name = server_name;
            Some(String::from_utf8_lossy(&facts.server_name).to_ascii_lowercase())
        }
        Found::Plain | Found::Malformed | Found::Silence => None,
    };
    let mut conn = conn(tcp, buffer);
    if may_be_http && detect::begins_like_http(local, &mut conn).await {
        return exchange::serve(local, conn, facts).await;
    }
    // An address that means nothing to the mesh may be that of a name that does.
    let named = match (&known, server_name.as_deref()) {
        (None, Some(name)) if !name.is_empty() => match service_at(local, name, port).await {
            Ok(named) => named,
            Err(refused) => return carry::log_refused(local, &facts, &refused),
        },
        _ => None,
    };
    let course = course(local, known.or(named).as_deref(), server_name.as_deref(), original);
    carried(local, conn, course, &facts).await;
}

/// The service that a name or an address means, if it has the port.
async fn service_at(local: &Local, authority: &str, port: u16) -> Result<Option<Arc<Target>>, Refused> {
    let directory = &local.shared.directory;
    let resolution = match directory.get(authority) {
        Some(resolution) => resolution,
        None => directory.resolve(authority).await,
    };
    match resolution {
        Answer::Known(target) => Ok(Some(target).filter(|target| target.service.port(port).is_some())),
        Answer::Unknown => Ok(None),
        Answer::Unavailable(reason) => Err(Refused::unavailable(authority, reason.detail())),
    }
}

/// Where a connection of the workload goes.
fn course(
    local: &Local,
    target: Option<&Target>,
    server_name: Option<&str>,
    original: SocketAddr,
) -> Result<Course, Refused> {
    let Some(target) = target else { return carry::beyond_the_mesh(local, original) };
    carry::plan(local, &target.routes, server_name, Some(original.ip()), original.port())
        .unwrap_or_else(|| Err(Refused::no_route(original)))
}

async fn carried(local: &Local, conn: Conn, course: Result<Course, Refused>, facts: &Facts) {
    match course {
        Ok(course) => carry::carry(local, conn, &course, facts).await,
        Err(refused) => carry::log_refused(local, facts, &refused),
    }
}
