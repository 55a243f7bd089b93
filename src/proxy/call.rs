//! Requests of the proxy's own to a cluster, beside those that it carries: copies, questions to providers, spans.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;

use crate::model::ClusterName;
use crate::proxy::connection::Conn;
use crate::proxy::directory::{Cluster, Resolution};
use crate::proxy::http1::body::{Body, Step};
use crate::proxy::http1::{Buffer, Framing, Head, HeadEnd, find_head, parse_response};
use crate::proxy::http2;
use crate::proxy::local::Local;
use crate::proxy::stream::Stream;
use crate::proxy::timer::Deadline;
use crate::proxy::upstream::{self, Active, ConnectError, Hop};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// There is nobody to send it to.
    #[error("no endpoint of {0} takes requests")]
    NoEndpoint(String),
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Its name has no address.
    #[error("{0}")]
    Unresolved(String),
    /// HTTP/2 cannot be spoken on it.
    #[error("HTTP/2 with {0} failed: {1}")]
    Http2(std::net::SocketAddr, String),
    /// The connection broke, or what came is no response.
    #[error("the connection to {0} ended before there was an answer")]
    Ended(std::net::SocketAddr),
    /// The mesh has no such service, or does not know it yet.
    #[error("{0}")]
    Unknown(String),
}

/// A whole answer.
pub struct Answered {
    /// Its head.
    pub head: Head,
    /// The bytes of the head.
    pub bytes: Vec<u8>,
    /// Its body, as far as it was to be read.
    pub body: Vec<u8>,
}

/// The cluster of a service's port. Rules about where requests to the service go are not asked.
pub async fn cluster(local: &Rc<Local>, host: &str, port: u16) -> Result<Arc<Cluster>, CallError> {
    let unknown = |reason: String| Err(CallError::Unknown(reason));
    let target = match Box::pin(local.shared.directory.resolve(host)).await {
        Resolution::Known(target) => target,
        Resolution::Unknown => return unknown(format!("there is no service {host}")),
        Resolution::Unavailable(reason) => {
            return unknown(format!("it is not known yet where {host} is: {}", reason.detail()));
        }
    };
    let name = ClusterName { host: target.service.host.clone(), port, subset: None };
    let at_port = || target.routes.clusters().find(|cluster| cluster.name.port == port);
    let found = target.routes.cluster(&name).or_else(at_port).cloned();
    found.ok_or_else(|| CallError::Unknown(format!("{host} has no port {port}")))
}

/// Sends a whole request and reads the answer, of its body at most so many bytes. Where a connection was closed while it waited for
/// the next request, another one is made.
pub async fn ask(
    local: &Rc<Local>,
    cluster: &Arc<Cluster>,
    http2: bool,
    method: &[u8],
    request: &[u8],
    most: usize,
) -> Result<Answered, CallError> {
    let mut fresh_only = false;
    loop {
        let mut call = Call::begin(local, cluster, http2, fresh_only).await?;
        call.conn.output().extend_from_slice(request);
        let sent = call.conn.send(&mut Deadline::default(), local.shared.limits.write_stall).await;
        let mut head = Head::default();
        let read = match sent {
            Ok(()) => call.head(method, &mut head).await,
            Err(_) => Err(CallError::Ended(call.hop.address)),
        };
        let length = match read {
            Ok(length) => length,
            Err(_) if call.reused && !fresh_only => {
                fresh_only = true;
                continue;
            }
            Err(error) => return Err(error),
        };
        let bytes = call.conn.window().get(..length).unwrap_or_default().to_vec();
        call.conn.pass(length);
        let body = call.body(head.framing, most).await?;
        call.give_back(local, &head);
        return Ok(Answered { head, bytes, body });
    }
}

/// A connection to one of a cluster's endpoints, which carries one request at a time.
pub struct Call {
    pub conn: Conn,
    hop: Hop,
    cluster: Arc<Cluster>,
    /// Whether it carried a request before.
    pub reused: bool,
    _active: Active,
}

impl Call {
    /// Picks an endpoint and connects to it, or takes a connection that waits.
    pub async fn begin(
        local: &Rc<Local>,
        cluster: &Arc<Cluster>,
        http2: bool,
        fresh_only: bool,
    ) -> Result<Self, CallError> {
        let picked = upstream::pick(cluster, &[], local.worker.draw(), None);
        let endpoint = picked.ok_or_else(|| CallError::NoEndpoint(cluster.name.to_string()))?;
        let active = Active::begin(&endpoint.state);
        let hop =
            Hop::to(cluster, endpoint)?.looked_up(local).await.map_err(|failed| CallError::Unresolved(failed.1))?;
        let hop = Hop { http2, ..hop };
        let waiting = if fresh_only { None } else { waiting(local, cluster, &hop) };
        let (mut conn, reused) = match waiting {
            Some(conn) => (conn, true),
            None => (connect(local, cluster, &hop).await?, false),
        };
        conn.carry();
        Ok(Self { conn, hop, cluster: cluster.clone(), reused, _active: active })
    }

    /// Reads the head of the final response; answers its length. It stays at the front of the connection's window.
    pub async fn head(&mut self, method: &[u8], head: &mut Head) -> Result<usize, CallError> {
        loop {
            let length = read_head(&mut self.conn).await.ok_or(CallError::Ended(self.hop.address))?;
            let bytes = self.conn.window().get(..length).unwrap_or_default();
            parse_response(bytes, method, head).map_err(|_| CallError::Ended(self.hop.address))?;
            if !(100..200).contains(&head.status) {
                return Ok(length);
            }
            self.conn.pass(length);
        }
    }

    /// Reads the body to its end and answers its first `most` bytes, without what frames it.
    pub async fn body(&mut self, framing: Framing, most: usize) -> Result<Vec<u8>, CallError> {
        let ended = || CallError::Ended(self.hop.address);
        let mut body = Body::new(framing).unframed();
        let mut read = Vec::new();
        loop {
            match body.step(self.conn.window()).map_err(|_| ended())? {
                Step::Forward(count) => {
                    let part = self.conn.window().get(..count).unwrap_or_default();
                    read.extend_from_slice(part.get(..most.saturating_sub(read.len())).unwrap_or(part));
                    self.conn.pass(count);
                }
                Step::Skip(count) => self.conn.pass(count),
                Step::Done => return Ok(read),
                Step::More => {
                    if fill(&mut self.conn).await.is_none() {
                        return if body.end() { Ok(read) } else { Err(ended()) };
                    }
                }
            }
        }
    }

    /// Keeps the connection for another request, if it can take one.
    pub fn give_back(self, local: &Rc<Local>, head: &Head) {
        let reusable = !self.conn.stream().is_multiplexed()
            && !head.close
            && head.framing != Framing::UntilClose
            && self.conn.window().is_empty();
        if reusable {
            let limits = Some(&self.cluster.policy.limits);
            local.pool.give(self.hop.key(), self.conn, &local.shared.limits, limits);
        }
    }
}

/// A stream as a connection.
pub fn on_stream(local: &Local, stream: http2::ClientStream) -> Conn {
    Conn::new(Stream::Http2Client(Box::new(stream)), Buffer::default(), local.worker.clone())
}

/// A connection that is there, or a stream of one.
fn waiting(local: &Rc<Local>, cluster: &Cluster, hop: &Hop) -> Option<Conn> {
    if hop.http2
        && let Some(stream) = local.links.take(&hop.key(), Some(&cluster.policy.limits))
    {
        return Some(on_stream(local, stream));
    }
    local.pool.take(&hop.key())
}

async fn connect(local: &Rc<Local>, cluster: &Cluster, hop: &Hop) -> Result<Conn, CallError> {
    let shared = &local.shared;
    let handshake = shared.limits.handshake;
    let conn = upstream::connect(hop, Some(cluster), &shared.directory, handshake, &local.worker).await?;
    if !(hop.http2 && conn.stream().speaks_http2()) {
        return Ok(conn);
    }
    let stream = http2::connect(&local.links, conn, hop.key(), handshake).await;
    let stream = stream.map_err(|error| CallError::Http2(hop.address, error.to_string()))?;
    Ok(on_stream(local, stream))
}

async fn read_head(conn: &mut Conn) -> Option<usize> {
    let mut scanned = 0;
    loop {
        match find_head(conn.window(), scanned).ok()? {
            HeadEnd::At(length) => return Some(length),
            HeadEnd::Beyond(so_far) => scanned = so_far,
        }
        fill(conn).await?;
    }
}

/// Reads more; `None` where there is no more, or no room for it.
pub async fn fill(conn: &mut Conn) -> Option<()> {
    if !conn.has_room() {
        conn.grow();
        if !conn.has_room() {
            return None;
        }
    }
    match poll_fn(|cx| conn.poll_fill(cx)).await {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(()),
    }
}
