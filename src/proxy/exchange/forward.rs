//! Taking a request to its destination, and the response back.

use std::net::SocketAddr;
use std::time::Duration;

use crate::model::TryFailure;
use crate::proxy::connection::Conn;
use crate::proxy::exchange::plan::{Goal, Plan};
use crate::proxy::exchange::reply::Reply;
use crate::proxy::exchange::retry::Tries;
use crate::proxy::exchange::times::Expired;
use crate::proxy::exchange::wait::{Answer, Ended, Wait, through};
use crate::proxy::exchange::{Exchange, Next, Outcome};
use crate::proxy::filter::edge::{self, Stance};
use crate::proxy::filter::peer;
use crate::proxy::http1::encode::{add_line, add_number};
use crate::proxy::http1::{
    Body, Framing, Head, Name, Refusal, RequestLine, parse_response, write_request, write_response,
};
use crate::proxy::limits;
use crate::proxy::tcp;
use crate::proxy::transfer::Transfer;
use crate::proxy::upstream::{self, Active, Hop};

/// A connection to an upstream, for one request.
struct Lease {
    conn: Conn,
    hop: Hop,
    /// Whether it carried a request before.
    reused: bool,
    local_address: Option<SocketAddr>,
    /// Whether anything of the request was written.
    sent: bool,
    _active: Option<Active>,
}

impl Exchange<'_> {
    pub(super) async fn forward(&mut self, plan: &Plan) -> Next {
        let mut tried: [Option<SocketAddr>; 8] = [None; 8];
        let mut tries = Tries::of(plan);
        let mut fresh_only = false;
        let mut tee = self.mirror(plan);
        self.times.begin(plan.handling());
        loop {
            tries.count += 1;
            let before: Vec<SocketAddr> = tried.iter().flatten().copied().collect();
            let hop = match self.hop(plan, &before) {
                Ok(hop) => hop,
                Err(reply) => return self.reply(*reply, Some(plan)).await,
            };
            if plan.avoids_tried()
                && let Some(slot) = tried.iter_mut().find(|slot| slot.is_none())
            {
                *slot = Some(hop.address);
            }
            let mut lease = match self.lease(plan, hop, fresh_only).await {
                Ok(lease) => lease,
                Err((hop, failure)) => {
                    if self.retries_failure(&mut tries, TryFailure::NotConnected) {
                        // Somewhere else it may be better at once.
                        if plan.has_other_than(&tried) || self.back_off(&tries).await {
                            continue;
                        }
                        return self.abandoned(plan, &hop, None, 0);
                    }
                    return self.fail(Reply::not_connected(failure, plan), plan, Some(&hop)).await;
                }
            };
            let mut request = Transfer::new(Body::new(self.scratch.request.framing));
            if let Some(tee) = tee.take() {
                request.copy_to(tee);
            }
            let staged = match self.stage(&mut lease, &mut request, tries.count) {
                Ok(staged) => staged,
                Err(refusal) => return self.reply(Reply::refusal(refusal), Some(plan)).await,
            };
            // A body that is here as a whole can be sent again; of another one, what is written is gone.
            let whole = request.body_is_done();
            if !whole {
                self.conn.pass(staged);
            }
            self.times.begin_try();
            let answer = self.answer(&mut lease, &mut request).await;
            let failure = match &answer {
                Answer::Head(length) => {
                    let head = lease.conn.window().get(..*length).unwrap_or_default();
                    if !whole || !self.retries_answer(&mut tries, head) {
                        if whole {
                            self.conn.pass(staged);
                        }
                        self.times.end_try();
                        return self.respond(plan, lease, request, *length).await;
                    }
                    None
                }
                Answer::Ended(false, _) if lease.reused && whole && self.is_idempotent() => {
                    // The upstream closed the idle connection while the request was on its way.
                    fresh_only = true;
                    tries.count -= 1;
                    continue;
                }
                Answer::Ended(..) => Some(TryFailure::Reset { sent: lease.sent }),
                Answer::Refused => Some(TryFailure::Refused),
                Answer::Expired(Expired::Try) => Some(TryFailure::Timeout),
                _ => Some(TryFailure::Reset { sent: true }),
            };
            let again = match (&answer, failure) {
                (Answer::Head(_), _) => true,
                (Answer::Ended(..) | Answer::Refused | Answer::Expired(Expired::Try), Some(failure)) => {
                    whole && self.retries_failure(&mut tries, failure)
                }
                _ => false,
            };
            if again {
                if self.back_off(&tries).await {
                    continue;
                }
                return self.abandoned(plan, &lease.hop, lease.local_address, request.data());
            }
            let hop = Some(&lease.hop);
            return match answer {
                // Answered above.
                Answer::Head(_) => Next::Close,
                Answer::Ended(_, failure) => {
                    let reply = Reply::reset(failure, plan);
                    let reply = if request.is_finished() { reply } else { reply.closing() };
                    self.fail(reply, plan, hop).await
                }
                Answer::Refused => self.fail(Reply::refused(plan), plan, hop).await,
                Answer::Malformed(refusal) => self.fail(Reply::malformed_response(refusal).closing(), plan, hop).await,
                Answer::ClientMalformed(refusal) => self.fail(Reply::refusal(refusal), plan, hop).await,
                Answer::Stalled => self.fail(Reply::stalled(), plan, hop).await,
                Answer::Expired(expired) => self.fail(Reply::timed_out(expired, plan), plan, hop).await,
                Answer::ClientGone => self.abandoned(plan, &lease.hop, lease.local_address, request.data()),
            };
        }
    }

    /// The client has gone.
    fn abandoned(&self, plan: &Plan, hop: &Hop, upstream_local: Option<SocketAddr>, received: u64) -> Next {
        self.finish(&Outcome {
            plan: Some(plan),
            hop: Some(hop),
            upstream_local,
            received,
            ..Outcome::new(0, "DC", "downstream_remote_disconnect")
        });
        Next::Close
    }

    /// Answers where the upstream could not.
    async fn fail(&mut self, reply: Reply, plan: &Plan, hop: Option<&Hop>) -> Next {
        let (next, status) = self.write_reply(&reply).await;
        self.finish(&Outcome {
            failure: &reply.failure,
            plan: Some(plan),
            hop,
            sent: reply.body.len() as u64,
            ..Outcome::new(status, reply.flags, reply.details)
        });
        next
    }

    fn is_idempotent(&self) -> bool {
        let method = self.scratch.request.method.of(self.conn.head());
        matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE")
    }

    fn hop(&self, plan: &Plan, tried: &[SocketAddr]) -> Result<Hop, Box<Reply>> {
        match &plan.goal {
            Goal::Address(address) => Ok(Hop::plain(*address)),
            // Answered before it gets here.
            Goal::Answer => Err(Box::new(Reply::no_route(&self.scratch.target.host))),
            Goal::Cluster(cluster) => {
                let endpoint = upstream::pick(cluster, tried, self.local.worker.draw())
                    .ok_or_else(|| Box::new(Reply::no_endpoint(&cluster.name, plan)))?;
                Hop::to(cluster, endpoint).map_err(|error| Box::new(Reply::not_connected(error.to_string(), plan)))
            }
        }
    }

    async fn lease(&self, plan: &Plan, hop: Hop, fresh_only: bool) -> Result<Lease, (Hop, String)> {
        let shared = &self.local.shared;
        let active = hop.endpoint.as_ref().map(|endpoint| Active::begin(&endpoint.state));
        let pooled = if fresh_only { None } else { self.local.pool.take(&hop.key(), &shared.limits) };
        let (conn, reused) = match pooled {
            Some(conn) => (conn, true),
            None => {
                let (cluster, timeout) = match &plan.goal {
                    Goal::Cluster(cluster) => (Some(&cluster.name), cluster.policy.connect_timeout),
                    Goal::Address(_) | Goal::Answer => (None, Duration::from_secs(10)),
                };
                let handshake = shared.limits.handshake;
                let connecting =
                    upstream::connect(&hop, cluster, &shared.directory, timeout, handshake, &self.local.worker);
                // Boxed: a handshake's state is large, and few requests need one.
                match Box::pin(connecting).await {
                    Ok(conn) => (conn, false),
                    Err(error) => return Err((hop, error.to_string())),
                }
            }
        };
        let local_address = conn.local_address();
        Ok(Lease { conn, hop, reused, local_address, sent: false, _active: active })
    }

    /// Puts the request's head, and what is here of its body, into the upstream connection's output. Answers the body's bytes.
    fn stage(&mut self, lease: &mut Lease, request: &mut Transfer, attempt: u32) -> Result<usize, Refusal> {
        let scratch = &mut *self.scratch;
        let bytes = self.conn.head();
        let line =
            RequestLine { method: scratch.request.method.of(bytes), path_and_query: &scratch.target.path_and_query };
        let kept = scratch.added.len();
        if self.facts.role.stance() != Stance::Inbound {
            add_number(&mut scratch.added, "x-envoy-attempt-count", attempt.into());
            if lease.hop.expected.is_some()
                && !lease.reused
                && let Some(own) = &self.own
            {
                let cluster = &self.local.shared.directory.settings().cluster;
                let announced = peer::announce(&peer::party_of(&own.workload, cluster, false));
                if !announced.is_empty() {
                    add_line(&mut scratch.added, peer::HEADER, &announced);
                }
            }
        }
        let output = lease.conn.output();
        write_request(line, &scratch.request, bytes, &scratch.added, output);
        scratch.added.truncate(kept);
        request.stage(self.conn.window(), output, limits::BUFFER)
    }

    /// Sends the request and waits for the head of its final response. Interim responses are passed on.
    async fn answer(&mut self, lease: &mut Lease, request: &mut Transfer) -> Answer {
        let mut interim = 0;
        loop {
            let before = lease.conn.unwritten();
            let wait = Wait {
                client: &mut *self.conn,
                upstream: &mut lease.conn,
                request,
                deadline: self.deadline,
                times: self.times,
                limits: &self.local.shared.limits,
            };
            let answer = wait.for_head().await;
            lease.sent |= lease.conn.unwritten() < before;
            let Answer::Head(length) = answer else { return answer };
            let head = lease.conn.window().get(..length).unwrap_or_default();
            let method = self.scratch.request.method.of(self.conn.head());
            if let Err(refusal) = parse_response(head, method, &mut self.scratch.response) {
                return Answer::Malformed(refusal);
            }
            match self.scratch.response.status {
                101 if self.scratch.request.websocket => return answer,
                // Switching protocols that nobody asked to switch.
                101 => return Answer::Malformed(Refusal::FirstLine),
                100..200 if interim == limits::MAX_INTERIM => return Answer::Malformed(Refusal::TooManyHeaders),
                100..200 => {
                    interim += 1;
                    if !self.scratch.request.http10 {
                        write_response(&self.scratch.response, head, b"", self.conn.output());
                    }
                    lease.conn.hold(length);
                    lease.conn.release();
                }
                _ => return answer,
            }
        }
    }

    /// Passes the response on.
    async fn respond(&mut self, plan: &Plan, mut lease: Lease, mut request: Transfer, length: usize) -> Next {
        let upstream_time = self.started.elapsed();
        let stance = self.stance();
        self.scratch.added_back.clear();
        let head = lease.conn.window().get(..length).unwrap_or_default();
        self.edit_response(plan, head);
        let scratch = &mut *self.scratch;
        let upgraded = scratch.response.status == 101;
        let added = &mut scratch.added_back;
        edge::response(stance, millis(upstream_time), &mut scratch.response, added);
        let mut response = response_transfer(&mut scratch.response, scratch.request.http10, added);
        let keeps = !upgraded
            && !scratch.request.close
            && !scratch.request.http10
            && request.is_finished()
            && !self.local.seats.draining();
        if upgraded {
            added.extend_from_slice(b"connection: upgrade\r\nupgrade: websocket\r\n");
        } else if !keeps {
            added.extend_from_slice(b"connection: close\r\n");
        }
        let reusable = !upgraded && !scratch.response.close && scratch.response.framing != Framing::UntilClose;
        let status = scratch.response.status;
        let before = self.conn.unwritten();
        write_response(&scratch.response, head, added, self.conn.output());
        let sent_head = self.conn.unwritten() - before;
        lease.conn.hold(length);
        lease.conn.release();
        let mut malformed = false;
        if !upgraded {
            match response.stage(lease.conn.window(), self.conn.output(), limits::BUFFER) {
                Ok(staged) => lease.conn.pass(staged),
                Err(_) => malformed = true,
            }
        }
        let ended = if malformed {
            Ended::Upstream
        } else {
            let limits = &self.local.shared.limits;
            through(self.conn, &mut lease.conn, &mut request, &mut response, self.deadline, self.times, limits).await
        };
        let (mut received, mut sent) = (request.data(), response.data());
        let (flags, details) = match ended {
            Ended::Complete => ("-", "via_upstream"),
            Ended::Upstream => ("UC", "upstream_reset_after_response_started{connection_termination}"),
            Ended::Client => ("DC", "downstream_remote_disconnect"),
            Ended::Stalled => ("SI", "stream_idle_timeout"),
            Ended::Expired => ("UT", "response_timeout"),
        };
        if upgraded && matches!(ended, Ended::Complete) {
            let tunnel = tcp::tunnel(self.conn, &mut lease.conn, &self.local.shared.limits);
            let (_, up, down) = Box::pin(tunnel).await;
            (received, sent) = (up, down);
        }
        self.finish(&Outcome {
            plan: Some(plan),
            hop: Some(&lease.hop),
            upstream_local: lease.local_address,
            upstream_time: Some(upstream_time),
            received,
            sent,
            sent_head,
            ..Outcome::new(status, flags, details)
        });
        let complete = matches!(ended, Ended::Complete) && !upgraded;
        if complete && reusable && request.is_finished() && lease.conn.window().is_empty() && !lease.hop_is_over() {
            let key = lease.hop.key();
            self.local.pool.give(key, lease.conn, &self.local.shared.limits);
        }
        match (complete, keeps, request.is_finished()) {
            (true, true, _) => Next::Again,
            (true, false, false) => Next::Linger,
            _ => Next::Close,
        }
    }
}

impl Lease {
    /// Whether something went wrong with the connection that only its next user would notice.
    fn hop_is_over(&self) -> bool {
        self.conn.unwritten() > 0
    }
}

/// How a response's body passes, given what the client understands.
fn response_transfer(head: &mut Head, client_http10: bool, added: &mut Vec<u8>) -> Transfer {
    match head.framing {
        Framing::UntilClose if !client_http10 => {
            added.extend_from_slice(b"transfer-encoding: chunked\r\n");
            Transfer::encoding(Framing::UntilClose)
        }
        Framing::Chunked if client_http10 => {
            head.remove(Name::TransferEncoding);
            Transfer::new(Body::new(Framing::Chunked).unframed())
        }
        framing => Transfer::new(Body::new(framing)),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
