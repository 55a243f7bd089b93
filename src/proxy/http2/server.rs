//! Clients that speak HTTP/2: a connection with many requests, each a stream of its own.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::ext::Protocol;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::header::CONTENT_LENGTH;
use http::{Method, Request, StatusCode};
use tokio::task::JoinSet;

use crate::proxy::connection::Conn;
use crate::proxy::exchange::{self, Facts};
use crate::proxy::http1::Buffer;
use crate::proxy::http2::flood::Guard;
use crate::proxy::http2::frames::{Incoming, Outgoing};
use crate::proxy::http2::io::{Gathered, Io, gather};
use crate::proxy::http2::{
    CONNECTION_WINDOW, HEAD, MAX_HEADER_LIST, MAX_LOCAL_RESETS, MAX_PENDING_RESETS, MAX_RESET_STREAMS, MAX_SEND_BUFFER,
    MAX_STREAMS, RESET_REMEMBERED, STREAM_WINDOW, message, stream_error,
};
use crate::proxy::local::Local;
use crate::proxy::stream::Stream;
use crate::proxy::timer::Deadline;
use crate::telemetry::Counter;

/// Serves a connection of which the preface has been seen, and not taken, until it ends.
pub async fn serve(local: &Rc<Local>, conn: Conn, facts: Facts) {
    let address = conn.local_address();
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(MAX_STREAMS)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(MAX_HEADER_LIST)
        .max_send_buffer_size(MAX_SEND_BUFFER)
        .max_concurrent_reset_streams(MAX_RESET_STREAMS)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(Some(MAX_LOCAL_RESETS))
        .reset_stream_duration(RESET_REMEMBERED)
        .enable_connect_protocol();
    let guard = Rc::new(Guard::new());
    let (io, gathered) = gather(conn, Some(guard.clone()));
    let shaking = tokio::time::timeout(local.shared.limits.request_head, builder.handshake::<_, Bytes>(io));
    let Ok(Ok(mut connection)) = shaking.await else {
        local.shared.registry.count(Counter::RequestsRefused);
        return;
    };
    // Dropping it ends the streams' tasks.
    let mut streams = JoinSet::new();
    while let Some((request, respond)) = next(local, &mut connection, (&gathered, &guard), &mut streams).await {
        let stream = ServerStream::new(request, respond, address, local.worker.draw());
        let conn = Conn::new(Stream::Http2Server(Box::new(stream)), Buffer::default(), local.worker.clone());
        let (local, facts) = (local.clone(), Facts { http2: true, ..facts.clone() });
        // Boxed: the runtime moves a task several times before it stands still, and this one is large.
        streams.spawn_local(Box::pin(async move { exchange::serve_stream(&local, conn, facts).await }));
    }
}

/// The next request; `None` when the connection has ended, was idle for too long, or is to end and has nothing under way.
async fn next(
    local: &Local,
    connection: &mut Connection<Io, Bytes>,
    (gathered, guard): (&Gathered, &Guard),
    streams: &mut JoinSet<()>,
) -> Option<(Request<RecvStream>, SendResponse<Bytes>)> {
    let seat = local.seats.take();
    let mut idle = Deadline::default();
    let mut told = false;
    let mut was_busy = true;
    poll_fn(|cx| {
        loop {
            if local.seats.draining() && !told {
                told = true;
                was_busy = true;
                connection.graceful_shutdown();
            }
            seat.wait(cx.waker());
            match connection.poll_accept(cx) {
                Poll::Ready(Some(Ok(accepted))) => return Poll::Ready(Some(accepted)),
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(None),
                Poll::Pending => {}
            }
            if guard.is_exceeded() {
                // It is told why as far as it listens, and not waited for.
                local.shared.registry.count(Counter::FloodsCut);
                connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                let _ = connection.poll_accept(cx);
                let _ = gathered.poll_send(cx);
                return Poll::Ready(None);
            }
            if let Poll::Ready(Err(_)) = gathered.poll_send(cx) {
                return Poll::Ready(None);
            }
            while let Poll::Ready(Some(ended)) = streams.poll_join_next(cx) {
                if ended.is_err_and(|error| error.is_panic()) {
                    local.shared.registry.count(Counter::ConnectionsPanicked);
                    tracing::error!(proxy = %local.shared.name, "a request ended in a panic; the others go on");
                }
            }
            let busy = !streams.is_empty();
            if busy {
                idle.clear();
            } else if was_busy {
                // Who was told has yet to say that it knows; one that never does is not waited for.
                let limits = &local.shared.limits;
                idle.set(if told { limits.linger } else { limits.idle_downstream });
            }
            was_busy = busy;
            if idle.poll_passed(cx).is_pending() {
                return Poll::Pending;
            }
            if told {
                return Poll::Ready(None);
            }
            told = true;
            was_busy = true;
            connection.graceful_shutdown();
        }
    })
    .await
}

/// One request and its response, as a connection that carries one message each way.
pub struct ServerStream {
    incoming: Incoming,
    outgoing: Outgoing,
    respond: SendResponse<Bytes>,
    /// Whether the request's method is HEAD.
    to_head: bool,
    /// Whether it asks for a WebSocket: once that is granted, bytes pass until either side ends.
    websocket: bool,
    local: Option<std::net::SocketAddr>,
}

impl ServerStream {
    fn new(
        request: Request<RecvStream>,
        respond: SendResponse<Bytes>,
        local: Option<std::net::SocketAddr>,
        draw: u64,
    ) -> Self {
        let (parts, receive) = request.into_parts();
        let has_body = !receive.is_end_stream();
        let protocol = parts.extensions.get::<Protocol>();
        let websocket =
            parts.method == Method::CONNECT && protocol.is_some_and(|protocol| protocol.as_str() == "websocket");
        let chunked = has_body && !websocket && !parts.headers.contains_key(CONTENT_LENGTH);
        let mut head = Vec::with_capacity(HEAD);
        if websocket {
            // Sixteen bytes in base64, as RFC 6455 section 4.1 wants them; nobody behind us looks at which.
            message::write_websocket(&parts, &format!("mesh{draw:016x}xA=="), &mut head);
        } else {
            message::write_request(&parts, has_body, &mut head);
        }
        Self {
            incoming: Incoming::new(head, has_body.then_some(receive), chunked),
            outgoing: Outgoing::default(),
            respond,
            to_head: parts.method == Method::HEAD,
            websocket,
            local,
        }
    }

    /// Our address on the connection.
    pub fn local_address(&self) -> Option<std::net::SocketAddr> {
        self.local
    }

    /// Reads the request; behind it, the end comes when the response is complete or the client has reset the stream.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        if !self.incoming.is_finished() {
            match ready!(self.incoming.poll_read(cx, room))? {
                0 => {}
                count => return Poll::Ready(Ok(count)),
            }
        }
        if self.websocket || self.outgoing.has_ended() {
            return Poll::Ready(Ok(0));
        }
        let reset = if self.outgoing.has_begun() {
            self.outgoing.poll_reset(cx)
        } else {
            self.respond.poll_reset(cx).map(|_| ())
        };
        reset.map(|()| Ok(0))
    }

    /// Takes bytes of the response.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.outgoing.has_begun() {
            return self.outgoing.poll_write(cx, bytes);
        }
        let mut head = self.outgoing.take(bytes);
        while let Some(found) = head {
            let (mut response, mut framing) = message::read_response(&found, self.to_head)?;
            if self.websocket && response.status() == StatusCode::SWITCHING_PROTOCOLS {
                (response, framing) = message::granted(response);
            }
            if response.status().is_informational() {
                self.respond.send_informational(response).map_err(stream_error)?;
            } else {
                let ends = framing == crate::proxy::http1::Framing::None;
                let send = self.respond.send_response(response, ends).map_err(stream_error)?;
                self.outgoing.begin(framing, send);
                self.outgoing.decode()?;
            }
            head = self.outgoing.take(b"");
        }
        if let Poll::Ready(Err(error)) = self.outgoing.poll_drain(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(bytes.len()))
    }

    /// Ends what was written, where that is how it ends.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outgoing.finish();
        self.outgoing.poll_drain(cx)
    }

    /// Hands everything written to the connection.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outgoing.poll_drain(cx)
    }
}

impl fmt::Debug for ServerStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerStream").finish_non_exhaustive()
    }
}
