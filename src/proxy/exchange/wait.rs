//! Waiting for both sides at once: an upstream may answer before it has read everything, and a client may go away at any time.

use std::future::poll_fn;
use std::task::{Context, Poll};

use crate::proxy::connection::Conn;
use crate::proxy::exchange::times::{Expired, Times};
use crate::proxy::http1::{HeadEnd, Refusal, find_head};
use crate::proxy::limits::Limits;
use crate::proxy::stream::is_refused;
use crate::proxy::timer::Deadline;
use crate::proxy::transfer::{Awaits, Transfer, TransferError};

/// What became of a request that was written.
pub(super) enum Answer {
    /// The head of the final response; so many bytes of the upstream's window.
    Head(usize),
    /// The upstream ended before the head was complete; whether a byte of it had come, and why.
    Ended(bool, String),
    /// The upstream said that it did not take the request.
    Refused,
    /// The head is refused.
    Malformed(Refusal),
    /// The client has gone.
    ClientGone,
    /// The client's body is malformed.
    ClientMalformed(Refusal),
    /// The client's body, or someone's reading, did not go on.
    Stalled,
    /// A time that the rule gives is over.
    Expired(Expired),
}

/// How a response ended.
pub(super) enum Ended {
    Complete,
    /// The upstream broke off.
    Upstream,
    /// The client has gone.
    Client,
    Stalled,
    /// The time that the rule gives the request is over.
    Expired,
}

/// The state of waiting for a response's head while the request's body may still be on its way.
pub(super) struct Wait<'w> {
    pub client: &'w mut Conn,
    pub upstream: &'w mut Conn,
    pub request: &'w mut Transfer,
    pub deadline: &'w mut Deadline,
    pub times: &'w mut Times,
    pub limits: &'w Limits,
    /// Whether the client may be silent for as long as it likes before its request is complete: calls of gRPC are conversations.
    pub patient: bool,
}

impl Wait<'_> {
    pub async fn for_head(self) -> Answer {
        let Wait { client, upstream, request, deadline, times, limits, patient } = self;
        let mut stall = Stall::new();
        let mut scanned = 0;
        poll_fn(|cx| {
            if !request.is_finished() {
                match request.poll(cx, client, upstream) {
                    Poll::Ready(Err(TransferError::Source(_))) => return Poll::Ready(Answer::ClientGone),
                    Poll::Ready(Err(TransferError::Malformed(refusal))) => {
                        return Poll::Ready(Answer::ClientMalformed(refusal));
                    }
                    // The upstream may have answered before it stopped reading.
                    Poll::Ready(Err(TransferError::Sink(_))) => request.give_up(),
                    Poll::Ready(Ok(())) | Poll::Pending => {}
                }
            }
            if client.unwritten() > 0
                && let Poll::Ready(Err(_)) = client.poll_send(cx)
            {
                return Poll::Ready(Answer::ClientGone);
            }
            loop {
                match find_head(upstream.window(), scanned) {
                    Ok(HeadEnd::At(length)) => return Poll::Ready(Answer::Head(length)),
                    Ok(HeadEnd::Beyond(so_far)) => scanned = so_far,
                    Err(refusal) => return Poll::Ready(Answer::Malformed(refusal)),
                }
                if !upstream.has_room() {
                    upstream.grow();
                }
                let seen = !upstream.window().is_empty();
                match upstream.poll_fill(cx) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Answer::Ended(seen, "end of stream".into())),
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(error)) if is_refused(&error) => return Poll::Ready(Answer::Refused),
                    Poll::Ready(Err(error)) => return Poll::Ready(Answer::Ended(seen, error.to_string())),
                    Poll::Pending => break,
                }
            }
            if request.is_finished() {
                if client_gone(client, cx) {
                    return Poll::Ready(Answer::ClientGone);
                }
                times.run();
                if let Poll::Ready(expired) = times.poll(cx) {
                    return Poll::Ready(Answer::Expired(expired));
                }
            }
            let silent = patient && request.awaits() == Awaits::Source;
            let waiting = !(request.is_finished() || silent) || client.unwritten() > 0;
            stall.poll(cx, waiting, request.awaits(), client, upstream, deadline, limits).map(|()| Answer::Stalled)
        })
        .await
    }
}

/// Moves the response, and what is left of the request, until the response has arrived.
pub(super) async fn through(
    client: &mut Conn,
    upstream: &mut Conn,
    request: &mut Transfer,
    response: &mut Transfer,
    deadline: &mut Deadline,
    times: &mut Times,
    limits: &Limits,
) -> Ended {
    let mut stall = Stall::new();
    poll_fn(|cx| {
        if !request.is_finished() {
            match request.poll(cx, client, upstream) {
                Poll::Ready(Err(TransferError::Source(_) | TransferError::Malformed(_))) => {
                    return Poll::Ready(Ended::Client);
                }
                Poll::Ready(Err(TransferError::Sink(_))) => request.give_up(),
                Poll::Ready(Ok(())) | Poll::Pending => {}
            }
        }
        match response.poll(cx, upstream, client) {
            Poll::Ready(Ok(())) => return Poll::Ready(Ended::Complete),
            Poll::Ready(Err(TransferError::Source(_) | TransferError::Malformed(_))) => {
                return Poll::Ready(Ended::Upstream);
            }
            Poll::Ready(Err(TransferError::Sink(_))) => return Poll::Ready(Ended::Client),
            Poll::Pending => {}
        }
        if request.is_finished() {
            if client_gone(client, cx) {
                return Poll::Ready(Ended::Client);
            }
            times.run();
            if times.poll(cx).is_ready() {
                return Poll::Ready(Ended::Expired);
            }
        }
        // Once there is an answer, either side may be silent for as long as it likes, but has to take what it is sent.
        let stuck = !request.is_finished() && request.awaits() == Awaits::Sink;
        let waiting = stuck || response.awaits() == Awaits::Sink;
        stall.poll(cx, waiting, Awaits::Sink, client, upstream, deadline, limits).map(|()| Ended::Stalled)
    })
    .await
}

/// Whether the client has ended the connection while it waits. What it sends meanwhile is kept: it is its next request.
pub(super) fn client_gone(client: &mut Conn, cx: &mut Context<'_>) -> bool {
    while client.has_room() {
        match client.poll_fill(cx) {
            Poll::Ready(Ok(0) | Err(_)) => return true,
            Poll::Ready(Ok(_)) => {}
            Poll::Pending => return false,
        }
    }
    false
}

/// Notices when nothing moves that a peer should be moving.
struct Stall {
    moved: u64,
    armed: bool,
}

impl Stall {
    fn new() -> Self {
        Self { moved: 0, armed: false }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one exchange, borrowed one by one")]
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        waiting: bool,
        awaits: Awaits,
        client: &Conn,
        upstream: &Conn,
        deadline: &mut Deadline,
        limits: &Limits,
    ) -> Poll<()> {
        if !waiting {
            self.armed = false;
            return Poll::Pending;
        }
        let moved = client.moved() + upstream.moved();
        if !self.armed || moved != self.moved {
            self.armed = true;
            self.moved = moved;
            deadline.set(match awaits {
                Awaits::Source => limits.body_stall,
                Awaits::Sink => limits.write_stall,
            });
        }
        deadline.poll_passed(cx)
    }
}
