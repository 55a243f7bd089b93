//! Upstreams that speak HTTP/2: connections that carry many requests, several of them where one is full.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use http::Method;
use http::header::CONTENT_LENGTH;
use http::uri::Scheme;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::model::PoolLimits;
use crate::proxy::connection::Conn;
use crate::proxy::http2::frames::{Incoming, Outgoing};
use crate::proxy::http2::io::gather;
use crate::proxy::http2::{
    CONNECTION_WINDOW, HEAD, MAX_HEADER_LIST, MAX_LOCAL_RESETS, MAX_RESET_STREAMS, MAX_SEND_BUFFER, MAX_STREAMS,
    RESET_REMEMBERED, STREAM_WINDOW, message, stream_error,
};
use crate::proxy::limits::Limits;
use crate::proxy::upstream::PoolKey;

/// The connections of one proxy on one worker.
#[derive(Debug, Default)]
pub struct Links {
    by_key: RefCell<HashMap<PoolKey, Vec<Link>>>,
    /// What moves their frames. Dropping it ends them.
    drivers: RefCell<JoinSet<()>>,
    /// Connections that are being made; who wants one as well waits for it.
    awaited: RefCell<HashMap<PoolKey, Rc<Notify>>>,
}

/// Says that a connection is being made, as long as it lives.
#[derive(Debug)]
pub struct Connecting<'a> {
    links: &'a Links,
    key: PoolKey,
}

impl Drop for Connecting<'_> {
    fn drop(&mut self) {
        if let Some(waiting) = self.links.awaited.borrow_mut().remove(&self.key) {
            waiting.notify_waiters();
        }
    }
}

/// One connection.
#[derive(Debug)]
struct Link {
    send: SendRequest<Bytes>,
    /// Streams under way.
    active: Rc<Cell<usize>>,
    carried: Cell<u32>,
    since: Instant,
    /// When a stream last began.
    used: Cell<Instant>,
    /// Whether it has carried what it may, or has lasted as long as it may: it ends with its last stream.
    worn: Cell<bool>,
    /// How long it is kept without a stream, where its cluster says so.
    idle: Cell<Option<Duration>>,
    local: Option<SocketAddr>,
}

impl Link {
    /// Looks whether it has done what its cluster wants of one connection.
    fn wear(&self, limits: Option<&PoolLimits>) {
        let Some(limits) = limits else { return };
        self.idle.set(limits.idle);
        let worn = limits.requests_per_connection.is_some_and(|most| self.carried.get() >= most)
            || limits.lifetime.is_some_and(|lifetime| self.since.elapsed() >= lifetime)
            || limits.idle.is_some_and(|idle| self.active.get() == 0 && self.used.get().elapsed() >= idle);
        if worn {
            self.worn.set(true);
        }
    }

    /// Whether nobody needs it any more: it is worn, or has been without a stream for `most`, or what its cluster says is too long.
    fn is_done(&self, most: Duration) -> bool {
        let most = self.idle.get().map_or(most, |idle| idle.min(most));
        self.active.get() == 0 && (self.worn.get() || self.used.get().elapsed() >= most)
    }

    /// Whether it takes a request now.
    fn is_free(&mut self) -> bool {
        !self.worn.get()
            && self.active.get() < (MAX_STREAMS as usize).min(self.send.current_max_send_streams())
            && matches!(self.send.poll_ready(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(())))
    }

    /// Whether it has ended.
    fn is_over(&mut self) -> bool {
        matches!(self.send.poll_ready(&mut Context::from_waker(Waker::noop())), Poll::Ready(Err(_)))
    }

    fn stream(&self, secure: bool) -> ClientStream {
        self.active.set(self.active.get() + 1);
        self.carried.set(self.carried.get().saturating_add(1));
        self.used.set(Instant::now());
        ClientStream {
            send: self.send.clone(),
            outgoing: Outgoing::default(),
            state: State::Unsent,
            to_head: false,
            scheme: if secure { Scheme::HTTPS } else { Scheme::HTTP },
            local: self.local,
            _active: Active(self.active.clone()),
        }
    }
}

/// Counts a stream as under way.
#[derive(Debug)]
struct Active(Rc<Cell<usize>>);

impl Drop for Active {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

impl Links {
    /// A stream of a connection that is there and has room.
    pub fn take(&self, key: &PoolKey, limits: Option<&PoolLimits>) -> Option<ClientStream> {
        let mut by_key = self.by_key.borrow_mut();
        let links = by_key.get_mut(key)?;
        links.retain_mut(|link| {
            link.wear(limits);
            let worn = link.worn.get() && link.active.get() == 0;
            !worn && !link.is_over()
        });
        let link = links.iter_mut().find_map(|link| link.is_free().then_some(link))?;
        Some(link.stream(key.expected.is_some()))
    }

    /// A stream, as [`Links::take`]. Where somebody is making a connection, it is waited for, once and for so long at most; after
    /// that, and where nobody is, the caller makes one, and says so while it does.
    pub async fn take_or_begin(
        &self,
        key: &PoolKey,
        limits: Option<&PoolLimits>,
        wait: Duration,
    ) -> Result<ClientStream, Connecting<'_>> {
        if let Some(stream) = self.take(key, limits) {
            return Ok(stream);
        }
        let awaited = self.awaited.borrow().get(key).cloned();
        if let Some(awaited) = awaited {
            // Whether it came or not is seen when looking.
            let _ = tokio::time::timeout(wait, awaited.notified()).await;
            if let Some(stream) = self.take(key, limits) {
                return Ok(stream);
            }
        }
        self.awaited.borrow_mut().entry(key.clone()).or_default();
        Err(Connecting { links: self, key: key.clone() })
    }

    /// Closes what has had no request for too long, and forgets what has ended.
    pub fn sweep(&self, limits: &Limits) {
        while self.drivers.borrow_mut().try_join_next().is_some() {}
        self.by_key.borrow_mut().retain(|key, links| {
            let most = if key.is_of_one_client() { limits.idle_announced } else { limits.idle_upstream };
            links.retain_mut(|link| !link.is_done(most) && !link.is_over());
            !links.is_empty()
        });
    }
}

/// Begins to speak HTTP/2 on a connection, keeps it for others, and answers its first stream.
pub async fn connect(links: &Links, conn: Conn, key: PoolKey, time: Duration) -> io::Result<ClientStream> {
    let local = conn.local_address();
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(MAX_HEADER_LIST)
        .max_send_buffer_size(MAX_SEND_BUFFER)
        .max_concurrent_reset_streams(MAX_RESET_STREAMS)
        .max_local_error_reset_streams(Some(MAX_LOCAL_RESETS))
        .reset_stream_duration(RESET_REMEMBERED);
    let (io, gathered) = gather(conn, None);
    let shaking = tokio::time::timeout(time, builder.handshake::<_, Bytes>(io));
    let (send, mut connection) = shaking.await.map_err(|_| io::ErrorKind::TimedOut)?.map_err(stream_error)?;
    links.drivers.borrow_mut().spawn_local(async move {
        // How a connection ended is told to its streams.
        poll_fn(|cx| {
            let ended = Pin::new(&mut connection).poll(cx).is_ready();
            let sent = gathered.poll_send(cx);
            if ended || matches!(sent, Poll::Ready(Err(_))) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    });
    let now = Instant::now();
    let link = Link {
        send,
        active: Rc::default(),
        carried: Cell::new(0),
        since: now,
        used: Cell::new(now),
        worn: Cell::new(false),
        idle: Cell::new(None),
        local,
    };
    let stream = link.stream(key.expected.is_some());
    links.by_key.borrow_mut().entry(key).or_default().push(link);
    Ok(stream)
}

/// One request and its response, as a connection that carries one message each way.
pub struct ClientStream {
    send: SendRequest<Bytes>,
    outgoing: Outgoing,
    state: State,
    /// Whether the request's method is HEAD.
    to_head: bool,
    scheme: Scheme,
    local: Option<SocketAddr>,
    _active: Active,
}

enum State {
    /// The head of the request is not complete.
    Unsent,
    /// Its response is awaited.
    Sent(ResponseFuture),
    Response(Incoming),
    /// It could not be sent.
    Failed(io::ErrorKind),
}

impl ClientStream {
    /// Our address on the connection.
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.local
    }

    /// Reads the response.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            match &mut self.state {
                State::Unsent => return Poll::Pending,
                State::Response(incoming) => return incoming.poll_read(cx, room),
                State::Failed(kind) => return Poll::Ready(Err((*kind).into())),
                State::Sent(response) => {
                    let mut head = Vec::with_capacity(HEAD);
                    let parts = match response.poll_informational(cx) {
                        Poll::Ready(Some(Ok(interim))) => {
                            message::write_response(&interim.into_parts().0, false, &mut head);
                            None
                        }
                        Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(stream_error(error))),
                        Poll::Ready(None) | Poll::Pending => {
                            Some(ready!(Pin::new(&mut *response).poll(cx)).map_err(stream_error)?.into_parts())
                        }
                    };
                    let Some((parts, receive)) = parts else {
                        // Small, and read at once; what does not fit is a head beyond every limit.
                        let count = head.len().min(room.len());
                        for (to, from) in room.iter_mut().zip(&head) {
                            *to = *from;
                        }
                        return Poll::Ready(Ok(count));
                    };
                    let has_body = !receive.is_end_stream();
                    let chunked = has_body && !parts.headers.contains_key(CONTENT_LENGTH);
                    message::write_response(&parts, has_body || self.to_head, &mut head);
                    self.state = State::Response(Incoming::new(head, has_body.then_some(receive), chunked));
                }
            }
        }
    }

    fn begin(&mut self, head: &[u8]) -> io::Result<()> {
        let (request, framing) = message::read_request(head, self.scheme.clone())?;
        let ends = framing == crate::proxy::http1::Framing::None;
        self.to_head = request.method() == Method::HEAD;
        let (response, send) = self.send.send_request(request, ends).map_err(stream_error)?;
        self.state = State::Sent(response);
        self.outgoing.begin(framing, send);
        self.outgoing.decode()
    }

    /// Takes bytes of the request.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.outgoing.has_begun() {
            return self.outgoing.poll_write(cx, bytes);
        }
        if let Some(head) = self.outgoing.take(bytes) {
            if let Err(error) = self.begin(&head) {
                // Who waits for the answer has to hear of it as well.
                self.state = State::Failed(error.kind());
                return Poll::Ready(Err(error));
            }
            if let Poll::Ready(Err(error)) = self.outgoing.poll_drain(cx) {
                return Poll::Ready(Err(error));
            }
        }
        Poll::Ready(Ok(bytes.len()))
    }

    /// Hands everything written to the connection.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outgoing.poll_drain(cx)
    }
}

impl fmt::Debug for ClientStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientStream").finish_non_exhaustive()
    }
}
