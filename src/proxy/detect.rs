//! What is spoken on a connection to the workload, found by looking at its first bytes.
//!
//! | first bytes | DISABLE | PERMISSIVE | STRICT |
//! | --- | --- | --- | --- |
//! | TLS that offers a mesh protocol | to the application | mesh TLS | mesh TLS |
//! | other TLS | to the application | to the application | mesh TLS, so: without a certificate refused |
//! | anything else | as declared | as declared | refused |
//!
//! "As declared": HTTP, or bytes where the port is declared to be TCP or TLS; where nothing is declared, what the first bytes look
//! like. A mesh client says in its handshake which of both it sends. Mesh TLS always demands a client certificate.
//!
//! A client that is silent may wait for its server to speak: where that can be, the server is connected to meanwhile, and whoever
//! speaks first decides.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, ready};
use std::time::SystemTime;

use rustls::server::Acceptor;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::model::{AppProtocol, InboundPolicy, Loopback, MtlsMode, authz};
use crate::net;
use crate::proxy::connection::Conn;
use crate::proxy::exchange::{self, Facts, MeshPeer, Role};
use crate::proxy::filter::logged::Logged;
use crate::proxy::filter::rbac;
use crate::proxy::http1::Buffer;
use crate::proxy::limits;
use crate::proxy::local::Local;
use crate::proxy::stream::{Stream, Underlay};
use crate::proxy::tcp::carry::{self, Course, Open};
use crate::proxy::timer::Deadline;
use crate::proxy::upstream;
use crate::telemetry::{AccessRecord, Counter};
use crate::tls;

/// Protocols that only a mesh client offers (Istio's ALPN names).
const MESH_ALPN: [&[u8]; 5] = [b"istio", b"istio-peer-exchange", b"istio-http/1.0", b"istio-http/1.1", b"istio-h2"];

/// What the first bytes say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A whole ClientHello.
    Tls {
        /// Whether it offers a mesh protocol.
        mesh: bool,
        /// The server name that it asks for.
        server_name: Box<[u8]>,
    },
    /// No TLS.
    Plain,
    /// It began like TLS and is none.
    Malformed,
    /// Nothing came in time.
    Silence,
    /// The connection ended.
    Ended,
}

/// Reads until it is clear what is spoken. What was read stays in `buffer`.
pub async fn detect(local: &Local, tcp: &mut TcpStream, buffer: &mut Buffer) -> Found {
    let mut deadline = Deadline::default();
    deadline.set(local.shared.limits.detection);
    let mut acceptor = Acceptor::default();
    let mut fed = 0;
    let seat = local.seats.take();
    let mut hurried = false;
    loop {
        match buffer.filled().first() {
            Some(&TLS_HANDSHAKE) => match client_hello(&mut acceptor, buffer.filled(), &mut fed) {
                Ok(Some(found)) => return found,
                Ok(None) if buffer.filled().len() < limits::MAX_CLIENT_HELLO => {}
                Ok(None) | Err(_) => return Found::Malformed,
            },
            Some(_) => return Found::Plain,
            None => {}
        }
        let read = poll_fn(|cx| {
            if let Poll::Ready(read) = poll_read(tcp, local, buffer, cx) {
                return Poll::Ready(Some(read.unwrap_or(0)));
            }
            if !local.seats.draining() {
                seat.wait(cx.waker());
            } else if !hurried {
                hurried = true;
                let limits = &local.shared.limits;
                deadline.bring_forward(limits.detection.saturating_sub(limits.idle_draining));
            }
            deadline.poll_passed(cx).map(|()| None)
        })
        .await;
        match read {
            Some(0) => return Found::Ended,
            Some(_) => {}
            None if buffer.is_empty() => return Found::Silence,
            None => return Found::Malformed,
        }
    }
}

/// Who spoke first on a connection, and what.
pub enum First {
    /// The client.
    Client(Found),
    /// The server, on a connection that was made meanwhile. What it said waits there.
    Server(Box<Open>),
}

/// As [`detect`], where the server may be the one who speaks first: when the client has been silent for a moment, the connection
/// to where `course` goes is made, and both are watched.
pub async fn first_to_speak(
    local: &Local,
    tcp: &mut TcpStream,
    buffer: &mut Buffer,
    course: &Course,
    facts: &Facts,
) -> First {
    let server = async {
        tokio::time::sleep(local.shared.limits.server_first).await;
        let Ok(mut open) = carry::open(local, course, facts).await else { return std::future::pending().await };
        match poll_fn(|cx| open.conn().poll_fill(cx)).await {
            // Its end is something to pass on as well.
            Ok(_) => Box::new(open),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        found = detect(local, tcp, buffer) => First::Client(found),
        open = server => First::Server(open),
    }
}

/// First byte of a TLS handshake record.
const TLS_HANDSHAKE: u8 = 0x16;

/// Reads some into `buffer`, which holds no block while nothing comes.
pub(super) fn poll_read(
    tcp: &mut TcpStream,
    local: &Local,
    buffer: &mut Buffer,
    cx: &mut std::task::Context<'_>,
) -> Poll<io::Result<usize>> {
    local.worker.buffers.lend(buffer);
    let mut room = ReadBuf::new(buffer.spare());
    let read = Pin::new(tcp).poll_read(cx, &mut room);
    let count = room.filled().len();
    buffer.advance(count);
    if read.is_pending() {
        local.worker.buffers.take_back(buffer);
    }
    ready!(read)?;
    Poll::Ready(Ok(count))
}

/// Feeds the acceptor what it has not seen; `None` while the ClientHello is not complete.
fn client_hello(acceptor: &mut Acceptor, bytes: &[u8], fed: &mut usize) -> Result<Option<Found>, ()> {
    loop {
        let mut rest = bytes.get(*fed..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(None);
        }
        *fed += acceptor.read_tls(&mut rest).map_err(|_| ())?;
        if let Some(accepted) = acceptor.accept().map_err(|_| ())? {
            let hello = accepted.client_hello();
            let mesh = hello.alpn().is_some_and(|mut offered| offered.any(|name| MESH_ALPN.contains(&name)));
            let server_name = hello.server_name().unwrap_or_default().as_bytes().into();
            return Ok(Some(Found::Tls { mesh, server_name }));
        }
    }
}

/// What has to hold of any bytes: that a ClientHello in them is found alike, whether they come at once or one by one. For `fuzz/`
/// and tests.
///
/// # Panics
/// Where it does not hold.
pub fn is_found_alike_in_pieces(bytes: &[u8]) {
    let bytes = bytes.get(..limits::MAX_CLIENT_HELLO).unwrap_or(bytes);
    let in_pieces = |piece: usize| {
        let (mut acceptor, mut fed) = (Acceptor::default(), 0);
        for end in (0..bytes.len()).step_by(piece).chain([bytes.len()]) {
            match client_hello(&mut acceptor, bytes.get(..end).unwrap_or_default(), &mut fed) {
                Ok(None) => {}
                done => return done,
            }
        }
        Ok(None)
    };
    let whole = in_pieces(bytes.len().max(1));
    for piece in [1, 7] {
        assert_eq!(in_pieces(piece), whole, "in pieces of {piece}");
    }
}

/// Whether the bytes begin like an HTTP/1 request: a method, then a space. `None` while that is open.
pub fn looks_like_http(bytes: &[u8]) -> Option<bool> {
    const LONGEST_METHOD: usize = 16;
    // Empty lines before a request are skipped, as the codec does.
    let blank = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let bytes = bytes.get(blank..).unwrap_or_default();
    match bytes.iter().position(|byte| !byte.is_ascii_uppercase() && *byte != b'-') {
        Some(0) => Some(false),
        Some(end) => Some(bytes.get(end) == Some(&b' ') && end <= LONGEST_METHOD),
        None if bytes.len() > LONGEST_METHOD => Some(false),
        None => None,
    }
}

/// Serves a connection to the workload, whose application is at `app` unless its Sidecar says otherwise.
pub async fn serve_inbound(local: &Rc<Local>, mut tcp: TcpStream, port: u16, app: SocketAddr, loopback: Loopback) {
    let ends = (tcp.local_addr().ok().map(net::address_of), tcp.peer_addr().ok());
    let mut facts = Facts {
        role: Role::Inbound { port, app },
        local: ends.0,
        remote: ends.1,
        direct: ends.1,
        peer: None,
        server_name: Box::default(),
        http2: false,
        admitted: None,
    };
    let Some(policy) = local.shared.directory.inbound() else {
        local.shared.registry.count(Counter::NotReady);
        refuse(local, &facts, "not_ready", "this proxy does not know its policy yet", None);
        return;
    };
    let app = match loopback {
        Loopback::Own => net::socket_of(policy.application(port, app, loopback)),
        Loopback::Shared => policy.application(port, app, loopback),
    };
    facts.role = Role::Inbound { port, app };
    let (mode, provenance) = policy.mtls(port);
    let declared = policy.protocol(port);
    let opaque = matches!(declared, AppProtocol::Tcp | AppProtocol::Tls);
    let course = Course::Application(app);
    let mut buffer = Buffer::default();
    let found = if mode == MtlsMode::Disable && opaque {
        // Nothing to find out, and the server may be the one who speaks first.
        Found::Plain
    } else if mode != MtlsMode::Strict && (opaque || declared == AppProtocol::Detect) {
        let start = SystemTime::now();
        match Box::pin(first_to_speak(local, &mut tcp, &mut buffer, &course, &facts)).await {
            First::Client(found) => found,
            First::Server(open) => {
                if admits(local, &policy, &facts, port) {
                    let client = Conn::new(Stream::Plain(tcp), buffer, local.worker.clone());
                    carry::carry_on(local, client, *open, &course, &facts, start).await;
                }
                return;
            }
        }
    } else {
        detect(local, &mut tcp, &mut buffer).await
    };
    if let Found::Tls { server_name, .. } = &found {
        facts.server_name = server_name.clone();
    }
    let terminates = match (&found, mode) {
        (Found::Ended, _) => return,
        (Found::Tls { mesh, .. }, MtlsMode::Permissive) => *mesh,
        (Found::Tls { .. }, MtlsMode::Strict) => true,
        (Found::Silence, _) if !opaque && declared != AppProtocol::Detect => return,
        (Found::Plain | Found::Malformed | Found::Silence, MtlsMode::Strict) => {
            local.shared.registry.count(Counter::PlaintextRefused);
            let rule = provenance.map(|rule| rule as &dyn std::fmt::Display);
            let rule = rule.unwrap_or(&"the mesh's default");
            refuse(local, &facts, "mutual_tls_required", "plaintext refused: STRICT mutual TLS", Some(rule));
            return;
        }
        _ => false,
    };
    let mut conn = if terminates {
        match Box::pin(terminate(local, tcp, buffer)).await {
            Ok((stream, peer)) => {
                facts.peer = Some(peer);
                Conn::new(stream, Buffer::default(), local.worker.clone())
            }
            Err(reason) => {
                local.shared.registry.count(Counter::HandshakesFailed);
                refuse(local, &facts, "tls_handshake_failed", &reason, None);
                return;
            }
        }
    } else {
        Conn::new(Stream::Plain(tcp), buffer, local.worker.clone())
    };
    // A connection over mesh TLS to an opaque port, and one whose TLS is the application's, are bytes to us.
    let bytes = match found {
        Found::Tls { .. } if terminates => opaque || (conn.stream().carries_bytes() && declared == AppProtocol::Detect),
        Found::Tls { .. } | Found::Malformed | Found::Silence => true,
        _ if opaque => true,
        _ => declared == AppProtocol::Detect && !begins_like_http(local, &mut conn).await,
    };
    if !bytes {
        exchange::serve(local, conn, facts).await;
    } else if admits(local, &policy, &facts, port) {
        carry::carry(local, conn, &course, &facts).await;
    }
}

/// Whether what a client has begun to send is HTTP, reading on while that is open; a client that goes silent sends none.
pub async fn begins_like_http(local: &Local, conn: &mut Conn) -> bool {
    let mut deadline = Deadline::default();
    deadline.set(local.shared.limits.detection);
    poll_fn(|cx| {
        loop {
            let known = looks_like_http(conn.window());
            if let Some(known) = known {
                return Poll::Ready(known);
            }
            match conn.poll_fill(cx) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(false),
                Poll::Pending => return deadline.poll_passed(cx).map(|()| false),
            }
        }
    })
    .await
}

/// Whether the workload's policies let a connection in whose bytes are not looked at; one that they do not is logged.
fn admits(local: &Local, policy: &InboundPolicy, facts: &Facts, port: u16) -> bool {
    let said = rbac::decide_connection(policy, &connection_facts(facts, port));
    if !said.allowed {
        local.shared.registry.count(Counter::RequestsDenied);
        refuse(local, facts, rbac::DENIED_DETAIL, rbac::DENIED, Some(&said.because));
    }
    said.allowed
}

/// What is known of a connection whose bytes are not looked at.
pub(super) fn connection_facts(facts: &Facts, port: u16) -> authz::Facts<'_> {
    let ip = |end: Option<std::net::SocketAddr>| end.map(|end| end.ip());
    authz::Facts {
        source: facts.peer.as_ref().map(|peer| &peer.identity),
        source_ip: ip(facts.direct),
        remote_ip: ip(facts.remote),
        destination_ip: facts.local.map(|local| local.ip()),
        destination_port: port,
        server_name: &facts.server_name,
        http: None,
    }
}

/// Terminates mesh TLS: shows the proxy's certificate, and demands one of the mesh. Answers who the client is, or why it is nobody.
pub(super) async fn terminate(local: &Local, tcp: TcpStream, buffer: Buffer) -> Result<(Stream, MeshPeer), String> {
    let credentials = local.shared.directory.credentials().ok_or("this proxy has no certificate yet")?;
    let acceptor = TlsAcceptor::from(credentials.server_tls.clone());
    let underlay = Underlay::new(buffer, tcp, local.worker.clone());
    let shaking = tokio::time::timeout(local.shared.limits.handshake, acceptor.accept(underlay));
    let stream = shaking
        .await
        .map_err(|_| "the TLS handshake took too long")?
        .map_err(|error| upstream::handshake_reason(&error))?;
    let certificates = stream.get_ref().1.peer_certificates();
    let identity = tls::peer_id(certificates).ok_or("the client's certificate names no workload")?;
    let certificate = certificates.and_then(|chain| chain.first()).ok_or("the client presented no certificate")?;
    let peer = MeshPeer {
        uri: identity.as_str().into(),
        hash: fingerprint(certificate).into(),
        own: credentials.svid.id.as_str().into(),
        party: local.peers.identify(&identity, None),
        identity,
    };
    Ok((Stream::Server(Box::new(stream)), peer))
}

/// SHA-256, in hexadecimal.
fn fingerprint(certificate: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Logs a connection that is closed without an answer.
pub(super) fn refuse(local: &Local, facts: &Facts, details: &str, reason: &str, rule: Option<&dyn std::fmt::Display>) {
    log(
        local,
        facts,
        &AccessRecord {
            flags: "-",
            details,
            termination: details,
            transport_failure: reason,
            downstream_local: facts.local,
            downstream_remote: facts.remote,
            server_name: &facts.server_name,
            rule,
            ..AccessRecord::now()
        },
    );
}

/// Writes a line about a connection, where the side's traffic is logged.
pub(super) fn log(local: &Local, facts: &Facts, record: &AccessRecord<'_>) {
    let settings = local.shared.directory.settings();
    let reporting = settings.reporting(facts.role.side());
    let logged = Logged { record, headers: None, scheme: "", mutual_tls: facts.peer.is_some() };
    if !reporting.log || !reporting.filter.as_ref().is_none_or(|filter| filter.holds(&logged)) {
        return;
    }
    if let Some(log) = local.log.borrow_mut().as_mut() {
        log.log(record);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_is_told_from_other_bytes_by_its_method() {
        for (bytes, expected) in [
            (&b"GET / HTTP/1.1"[..], Some(true)),
            (b"M-SEARCH * HTTP/1.1", Some(true)),
            (b"GE", None),
            (b"", None),
            (b"\x00\x00\x00\x01", Some(false)),
            (b"SSH-2.0-OpenSSH", Some(false)),
            (b" GET", Some(false)),
            (b"\r\nGET / HTTP/1.1", Some(true)),
            (b"\r\n", None),
            (b"AAAAAAAAAAAAAAAAAAAAAAAA", Some(false)),
        ] {
            assert_eq!(looks_like_http(bytes), expected, "{}", bytes.escape_ascii());
        }
    }
}
