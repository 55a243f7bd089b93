//! TLS at a gateway's ports: which certificate a client is shown, and which requests it may then make; or where its connection is
//! passed on to as it is.
//!
//! The server name chooses among the servers of a port, the most specific host first. What a connection was let in for is what
//! its requests may ask for: a host of another server, which may demand client certificates, is answered with 421.

use std::rc::Rc;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::model::listener::most_specific;
use crate::model::{
    ClientCertificates, ClusterName, HostPattern, Listener, ListenerProtocol, ServerTls, Termination, TlsVersions,
};
use crate::proxy::connection::Conn;
use crate::proxy::detect::{self, Found};
use crate::proxy::exchange::{self, Facts};
use crate::proxy::http1::Buffer;
use crate::proxy::http2;
use crate::proxy::local::Local;
use crate::proxy::stream::{Stream, Underlay};
use crate::proxy::tcp::carry::{self, AsksFor};
use crate::proxy::upstream;
use crate::telemetry::Counter;
use crate::tls::{self, EdgeClients, EdgeDemands, EdgeVersions};

/// What a gateway accepts, the preferred first.
const ALPN: &[&[u8]] = &[b"h2", b"http/1.1"];

/// A server of a port, ready for handshakes.
#[derive(Debug)]
pub struct Server {
    source: ServerTls,
    /// The hosts that its connections may ask for.
    hosts: Arc<[HostPattern]>,
    /// `Err` with the reason why nobody is served.
    config: Result<Arc<ServerConfig>, String>,
}

/// The servers of every port with TLS.
pub type Table = Vec<(u16, Vec<Rc<Server>>)>;

/// The table for these listeners. A server that has not changed stays as it is, and its clients resume their sessions.
pub fn table(listeners: &[Listener], before: &Table) -> Table {
    let known = || before.iter().flat_map(|(_, servers)| servers);
    let secure = listeners.iter().filter(|listener| listener.protocol == ListenerProtocol::Tls);
    let server = |source: &ServerTls| match known().find(|server| server.source == *source) {
        Some(same) => same.clone(),
        None => Rc::new(Server::new(source)),
    };
    secure.map(|listener| (listener.port, listener.tls.iter().map(server).collect())).collect()
}

impl Server {
    fn new(source: &ServerTls) -> Self {
        let clients = match &source.clients {
            // With them it is the mesh's own TLS that is spoken, and no configuration of this server's.
            ClientCertificates::None | ClientCertificates::Mesh => EdgeClients::Anonymous,
            ClientCertificates::Optional(authorities) => EdgeClients::Optional(authorities),
            ClientCertificates::Required(authorities) => EdgeClients::Required(authorities),
        };
        let alpn = if source.termination == Termination::Http { ALPN } else { &[] };
        let demands = EdgeDemands {
            versions: match source.demands.versions {
                TlsVersions::All => EdgeVersions::All,
                TlsVersions::Only12 => EdgeVersions::Only12,
                TlsVersions::From13 => EdgeVersions::From13,
            },
            suites: &source.demands.suites,
            client_names: &source.demands.client_names,
        };
        let config = match &source.certificate {
            None if source.termination.passes_on() || source.clients == ClientCertificates::Mesh => {
                return Self { hosts: source.hosts.clone().into(), source: source.clone(), config: Err(String::new()) };
            }
            None => Err(format!("the secret of {} is not there", source.provenance)),
            Some((chain, key)) => tls::edge_server_with(chain, key.reveal(), clients, alpn, demands)
                .map_err(|error| format!("the secret of {}: {error}", source.provenance)),
        };
        if let Err(reason) = &config {
            tracing::warn!("{reason}");
        }
        Self { hosts: source.hosts.clone().into(), source: source.clone(), config }
    }
}

/// Serves a connection to a port with TLS, of which `buffer` has been read.
pub async fn serve(local: &Rc<Local>, mut tcp: TcpStream, mut buffer: Buffer, port: u16, mut facts: Facts) {
    let found = detect::detect(local, &mut tcp, &mut buffer).await;
    let refuse = |facts: &Facts, reason: &str| {
        local.shared.registry.count(Counter::HandshakesFailed);
        detect::refuse(local, facts, "tls_handshake_failed", reason, None);
    };
    let (of_mesh, server_name) = match found {
        Found::Tls { mesh, server_name } => (mesh, server_name),
        Found::Ended | Found::Silence => return,
        Found::Plain | Found::Malformed => return refuse(&facts, "plaintext on a port with TLS"),
    };
    facts.server_name = server_name;
    let name = String::from_utf8_lossy(&facts.server_name).to_ascii_lowercase();
    let server = {
        let table = local.edge_tls.borrow();
        let servers = table.iter().find(|(of, _)| *of == port).map_or(&[][..], |(_, servers)| servers.as_slice());
        let named = most_specific(servers.iter().map(|server| &*server.hosts), &name);
        named.and_then(|place| servers.get(place)).or_else(|| of_the_mesh(servers, &name)).cloned()
    };
    let Some(server) = server else { return refuse(&facts, "no server of this port has this name") };
    let asks_for = match server.source.termination {
        // Only there does the called side demand a certificate of whoever comes.
        Termination::AutoPassthrough if !of_mesh => return refuse(&facts, "this port passes on nothing but mesh TLS"),
        Termination::AutoPassthrough => Some(AsksFor::Cluster),
        Termination::Passthrough => Some(AsksFor::Host),
        Termination::Http | Termination::Tcp => None,
    };
    if let Some(asks_for) = asks_for {
        let conn = Conn::new(Stream::Plain(tcp), buffer, local.worker.clone());
        return carry::serve_gateway(local, conn, &facts, port, asks_for).await;
    }
    if server.source.clients == ClientCertificates::Mesh {
        return serve_mesh(local, tcp, buffer, port, facts, &server).await;
    }
    let config = match &server.config {
        Ok(config) => config.clone(),
        Err(reason) => return refuse(&facts, reason),
    };
    let accepting = TlsAcceptor::from(config).accept(Underlay::new(buffer, tcp, local.worker.clone()));
    let stream = match tokio::time::timeout(local.shared.limits.handshake, accepting).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return refuse(&facts, &upstream::handshake_reason(&error)),
        Err(_) => return refuse(&facts, "the TLS handshake took too long"),
    };
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let conn = Conn::new(Stream::Server(Box::new(stream)), Buffer::default(), local.worker.clone());
    if server.source.termination == Termination::Tcp {
        return carry::serve_gateway(local, conn, &facts, port, AsksFor::Host).await;
    }
    facts.admitted = Some(server.hosts.clone());
    if http2 {
        // What was agreed upon is spoken: without its preface the connection ends, and is not read as anything else.
        Box::pin(http2::serve(local, conn, facts)).await;
    } else {
        exchange::serve(local, conn, facts).await;
    }
}

/// The server that a client of the mesh means who asks for a cluster's name and not for a host's: the first for such clients.
fn of_the_mesh<'s>(servers: &'s [Rc<Server>], name: &str) -> Option<&'s Rc<Server>> {
    let mut for_mesh = servers.iter().filter(|server| server.source.clients == ClientCertificates::Mesh);
    for_mesh.next().filter(|_| name.starts_with(ClusterName::SERVER_NAME))
}

/// Serves a client of the mesh, who proves an identity: policies know it by that, and its host chooses among its rules.
async fn serve_mesh(local: &Rc<Local>, tcp: TcpStream, buffer: Buffer, port: u16, mut facts: Facts, server: &Server) {
    let refuse = |facts: &Facts, reason: &str| {
        local.shared.registry.count(Counter::HandshakesFailed);
        detect::refuse(local, facts, "tls_handshake_failed", reason, None);
    };
    let (stream, peer) = match Box::pin(detect::terminate(local, tcp, buffer)).await {
        Ok(terminated) => terminated,
        Err(reason) => return refuse(&facts, &reason),
    };
    let names = &server.source.demands.client_names;
    if !names.is_empty() && !names.contains(&peer.uri) {
        return refuse(&facts, &format!("{} is none of {}", peer.uri, names.join(", ")));
    }
    facts.peer = Some(peer);
    let conn = Conn::new(stream, Buffer::default(), local.worker.clone());
    if server.source.termination == Termination::Tcp {
        return carry::serve_gateway(local, conn, &facts, port, AsksFor::Host).await;
    }
    // Every server for such clients asks them for the same: which of them was meant, the request's host says.
    let admitted = {
        let table = local.edge_tls.borrow();
        let servers = table.iter().find(|(of, _)| *of == port).map_or(&[][..], |(_, servers)| servers.as_slice());
        let alike = servers.iter().filter(|other| {
            other.source.clients == ClientCertificates::Mesh
                && other.source.termination == Termination::Http
                && other.source.demands == server.source.demands
        });
        alike.flat_map(|other| other.hosts.iter().cloned()).collect()
    };
    facts.admitted = Some(admitted);
    exchange::serve(local, conn, facts).await;
}
