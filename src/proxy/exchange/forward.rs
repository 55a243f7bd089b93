//! Taking a request to its destination, and the response back.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::task::Poll;
use std::time::Duration;

use crate::model::{AppProtocol, Http2Use, TryFailure};
use crate::proxy::call::on_stream;
use crate::proxy::connection::Conn;
use crate::proxy::directory::{Cluster, Report, Tally};
use crate::proxy::exchange::plan::{Goal, Plan};
use crate::proxy::exchange::reply::{Reply, grpc_status};
use crate::proxy::exchange::retry::Tries;
use crate::proxy::exchange::times::Expired;
use crate::proxy::exchange::wait::{Answer, Ended, Wait, client_gone, through};
use crate::proxy::exchange::{Exchange, Next, Outcome, Role, Taken};
use crate::proxy::filter::edge::{self, Stance};
use crate::proxy::filter::headers;
use crate::proxy::http1::encode::{add_line, add_number};
use crate::proxy::http1::{
    Body, Framing, Head, Name, Refusal, RequestLine, parse_response, write_request, write_response,
};
use crate::proxy::http2;
use crate::proxy::limits;
use crate::proxy::tcp;
use crate::proxy::transfer::Transfer;
use crate::proxy::upstream::{self, Active, Asked, Hop, Place, PoolKey};

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
    _place: Option<Place>,
}

/// Why there is no connection for a try.
enum NoLease {
    /// It could not be made.
    Failed(Hop, String),
    /// The answer says why.
    Refused(Hop, Box<Reply>),
    /// It was not waited for any longer.
    Lost(Hop, Lost),
}

/// Why something was not waited for to its end.
pub(super) enum Lost {
    /// A time that the rule gives is over.
    Expired(Expired),
    /// The client has gone.
    ClientGone,
}

/// Whether a cluster is sent HTTP/2, given what the client speaks.
pub(super) fn sends_http2(cluster: &Cluster, client: bool) -> bool {
    let declared = cluster.service.port(cluster.name.port).map(|port| port.protocol);
    match cluster.policy.http2 {
        Http2Use::AsClient => client,
        Http2Use::Upgrade if declared == Some(AppProtocol::Http) => true,
        Http2Use::Upgrade | Http2Use::AsDeclared => as_declared(declared, client),
    }
}

fn as_declared(declared: Option<AppProtocol>, client: bool) -> bool {
    match declared {
        Some(AppProtocol::Http2) => true,
        Some(AppProtocol::Http) => false,
        // Nobody has said: what the client speaks.
        _ => client,
    }
}

/// Takes note of how a try ended.
fn report(plan: &Plan, hop: &Hop, report: Report) {
    if let (Goal::Cluster(cluster), Some(endpoint)) = (&plan.goal, &hop.endpoint) {
        upstream::report(cluster, endpoint, report);
    }
    if let (Goal::Cluster(cluster), Report::Answer(status)) = (&plan.goal, report) {
        cluster.state.tallies.answered(status);
    }
}

fn tally(plan: &Plan, tally: Tally) {
    if let Goal::Cluster(cluster) = &plan.goal {
        cluster.state.tallies.add(tally);
    }
}

impl Exchange<'_> {
    pub(super) async fn forward(&mut self, plan: &Plan) -> Next {
        let mut tried: [Option<SocketAddr>; 8] = [None; 8];
        let mut tries = match Tries::of(plan) {
            Ok(tries) => tries,
            Err(reply) => return self.reply(*reply, Some(plan)).await,
        };
        let key = self.key(plan);
        let mut fresh_only = false;
        let mut tee = self.mirror(plan);
        self.times.begin(plan.handling());
        loop {
            tries.count += 1;
            let before: Vec<SocketAddr> = tried.iter().flatten().copied().collect();
            let hop = match self.hop(plan, &before, key) {
                // A WebSocket is asked for as HTTP/1.1 does.
                Ok(hop) => Hop {
                    http2: self.sends_http2(plan) && !self.scratch.request.websocket,
                    ..hop.announcing(self.facts.ends())
                },
                Err(reply) => return self.reply(*reply, Some(plan)).await,
            };
            if plan.avoids_tried()
                && let Some(slot) = tried.iter_mut().find(|slot| slot.is_none())
            {
                *slot = Some(hop.address);
            }
            self.times.begin_try();
            let mut lease = match self.lease(plan, hop, fresh_only).await {
                Ok(lease) => lease,
                Err(NoLease::Refused(hop, reply)) => return self.fail(*reply, plan, Some(&hop)).await,
                Err(NoLease::Lost(hop, Lost::Expired(Expired::Try))) => {
                    report(plan, &hop, Report::Failure);
                    tally(plan, Tally::TryTimeouts);
                    if self.retries_failure(&mut tries, TryFailure::Timeout) {
                        match self.back_off(&tries).await {
                            Ok(()) => continue,
                            Err(lost) => return self.lost(lost, plan, &hop, None, 0).await,
                        }
                    }
                    return self.lost(Lost::Expired(Expired::Try), plan, &hop, None, 0).await;
                }
                Err(NoLease::Lost(hop, lost)) => {
                    if matches!(lost, Lost::Expired(_)) {
                        report(plan, &hop, Report::Failure);
                        tally(plan, Tally::Timeouts);
                    }
                    return self.lost(lost, plan, &hop, None, 0).await;
                }
                Err(NoLease::Failed(hop, failure)) => {
                    report(plan, &hop, Report::Failure);
                    if self.retries_failure(&mut tries, TryFailure::NotConnected) {
                        // Somewhere else it may be better at once.
                        if plan.has_other_than(&tried) {
                            continue;
                        }
                        match self.back_off(&tries).await {
                            Ok(()) => continue,
                            Err(lost) => return self.lost(lost, plan, &hop, None, 0).await,
                        }
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
            let answer = self.answer(&mut lease, &mut request).await;
            if !whole {
                self.taken = if request.source_is_clear() { Taken::Everything } else { Taken::Part };
            }
            match &answer {
                Answer::Ended(..) | Answer::Refused => tally(plan, Tally::Resets),
                Answer::Expired(Expired::Try) => tally(plan, Tally::TryTimeouts),
                Answer::Expired(Expired::Whole) => tally(plan, Tally::Timeouts),
                _ => {}
            }
            let failure = match &answer {
                Answer::Head(length) => {
                    report(plan, &lease.hop, Report::Answer(self.scratch.response.status));
                    let head = lease.conn.window().get(..*length).unwrap_or_default();
                    if !whole || !self.retries_answer(&mut tries, head) {
                        if whole {
                            self.conn.pass(staged);
                        }
                        self.times.end_try();
                        tries.settle();
                        return self.respond(plan, lease, request, *length).await;
                    }
                    None
                }
                // A rule that has such a request tried again says how often, whatever connections it comes by.
                Answer::Ended(false, _)
                    if lease.reused
                        // A stream that ends says nothing of its connection.
                        && !lease.conn.stream().is_multiplexed()
                        && whole
                        && self.is_idempotent()
                        && !tries.follow(TryFailure::Reset { sent: lease.sent }) =>
                {
                    // The upstream closed the idle connection while the request was on its way.
                    fresh_only = true;
                    tries.count -= 1;
                    continue;
                }
                Answer::Ended(..) => Some(TryFailure::Reset { sent: lease.sent }),
                Answer::Refused => Some(TryFailure::Refused),
                Answer::Expired(Expired::Try) => Some(TryFailure::Timeout),
                _ => None,
            };
            if failure.is_some() || matches!(answer, Answer::Malformed(_) | Answer::Expired(Expired::Whole)) {
                report(plan, &lease.hop, Report::Failure);
            }
            let again = match (&answer, failure) {
                (Answer::Head(_), _) => true,
                (Answer::Ended(..) | Answer::Refused | Answer::Expired(Expired::Try), Some(failure)) => {
                    whole && self.retries_failure(&mut tries, failure)
                }
                _ => false,
            };
            if again {
                fresh_only |=
                    lease.reused && !lease.conn.stream().is_multiplexed() && matches!(answer, Answer::Ended(..));
                match self.back_off(&tries).await {
                    Ok(()) => continue,
                    Err(lost) => return self.lost(lost, plan, &lease.hop, lease.local_address, request.data()).await,
                }
            }
            let hop = Some(&lease.hop);
            return match answer {
                // Answered above.
                Answer::Head(_) => Next::Close,
                Answer::Ended(_, failure) => self.fail(Reply::reset(failure, plan), plan, hop).await,
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

    /// Ends a request for which nobody waits any more, or no longer may.
    async fn lost(
        &mut self,
        lost: Lost,
        plan: &Plan,
        hop: &Hop,
        upstream_local: Option<SocketAddr>,
        received: u64,
    ) -> Next {
        match lost {
            Lost::Expired(expired) => self.fail(Reply::timed_out(expired, plan), plan, Some(hop)).await,
            Lost::ClientGone => self.abandoned(plan, hop, upstream_local, received),
        }
    }

    /// Waits for what the request cannot go on without, as long as its client is there and the rule's time lasts, which runs once
    /// the request is complete.
    pub(super) async fn in_time<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Lost> {
        let mut work = std::pin::pin!(work);
        poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Ok(done));
            }
            if client_gone(self.conn, cx) {
                return Poll::Ready(Err(Lost::ClientGone));
            }
            let complete = match self.scratch.request.framing {
                Framing::None => true,
                Framing::Length(length) => length <= self.conn.window().len() as u64,
                Framing::Chunked | Framing::UntilClose => false,
            };
            if complete {
                self.times.run();
                return self.times.poll(cx).map(|expired| Err(Lost::Expired(expired)));
            }
            Poll::Pending
        })
        .await
    }

    /// Answers where the upstream could not.
    async fn fail(&mut self, reply: Reply, plan: &Plan, hop: Option<&Hop>) -> Next {
        let (next, status) = self.write_reply(&reply).await;
        self.finish(&Outcome {
            failure: &reply.failure,
            plan: Some(plan),
            hop,
            sent: reply.body.len() as u64,
            grpc_status: Some(reply.grpc_status()),
            ..Outcome::new(status, reply.flags, reply.details)
        });
        next
    }

    fn is_idempotent(&self) -> bool {
        let method = self.scratch.request.method.of(self.conn.head());
        matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE")
    }

    fn hop(&self, plan: &Plan, tried: &[SocketAddr], key: Option<u64>) -> Result<Hop, Box<Reply>> {
        match &plan.goal {
            Goal::Address(address) => Ok(match self.facts.role {
                Role::Inbound { .. } => Hop::application(*address, self.local.shared.application_source),
                _ => Hop::plain(*address),
            }),
            // Answered before it gets here.
            Goal::Answer => Err(Box::new(Reply::no_route(&self.scratch.target.host))),
            Goal::Cluster(cluster) if upstream::goes_to_original(cluster) => self.original_hop(cluster, plan),
            Goal::Cluster(cluster) => {
                let endpoint = upstream::pick(cluster, tried, self.local.worker.draw(), key)
                    .ok_or_else(|| Box::new(Reply::no_endpoint(&cluster.name, plan)))?;
                Hop::to(cluster, endpoint).map_err(|error| Box::new(Reply::not_connected(error.to_string(), plan)))
            }
        }
    }

    /// Where the client was going: the address, else the name that it asked for. At a gateway that is its own word, which nobody
    /// has vouched for: there it is the service's host.
    fn original_hop(&self, cluster: &Cluster, plan: &Plan) -> Result<Hop, Box<Reply>> {
        let (address, name) = match self.facts.role {
            Role::OutboundAddress { original } => (original, None),
            Role::OutboundName { .. } => (upstream::nowhere(self.port()), Some(self.scratch.target.host.as_str())),
            Role::Gateway { .. } | Role::Inbound { .. } if cluster.name.host.starts_with("*.") => {
                return Err(Box::new(Reply::no_endpoint(&cluster.name, plan)));
            }
            Role::Gateway { .. } | Role::Inbound { .. } => {
                (upstream::nowhere(cluster.name.port), Some(&*cluster.name.host))
            }
        };
        let hop = Hop::to_original(cluster, address, name.map(Into::into));
        hop.map_err(|error| Box::new(Reply::not_connected(error.to_string(), plan)))
    }

    async fn lease(&mut self, plan: &Plan, hop: Hop, fresh_only: bool) -> Result<Lease, NoLease> {
        let cluster = match &plan.goal {
            Goal::Cluster(cluster) => Some(&**cluster),
            Goal::Address(_) | Goal::Answer => None,
        };
        let local = self.local;
        let hop = if hop.lookup.is_none() {
            hop
        } else {
            match self.in_time(Box::pin(hop.clone().looked_up(local))).await {
                Ok(Ok(hop)) => hop,
                Ok(Err(failed)) => return Err(NoLease::Failed(failed.0, failed.1)),
                Err(lost) => return Err(NoLease::Lost(hop, lost)),
            }
        };
        let mut waited = false;
        let place = match cluster {
            Some(cluster) => match upstream::ask(&cluster.state, &cluster.policy.limits) {
                Asked::Unlimited => None,
                Asked::Place(place) => Some(place),
                Asked::Overflow => return Err(NoLease::Refused(hop, Box::new(Reply::overflow(&cluster.name, plan)))),
                Asked::Wait(mut waiting) => {
                    let queued = poll_fn(move |cx| waiting.poll(cx));
                    match self.in_time(tokio::time::timeout(local.shared.limits.queue, queued)).await {
                        Ok(Ok(place)) => {
                            waited = true;
                            Some(place)
                        }
                        Ok(Err(_)) => {
                            return Err(NoLease::Refused(hop, Box::new(Reply::overflow(&cluster.name, plan))));
                        }
                        // It is not the endpoint that was slow.
                        Err(Lost::Expired(expired)) => {
                            return Err(NoLease::Refused(hop, Box::new(Reply::timed_out(expired, plan))));
                        }
                        Err(lost) => return Err(NoLease::Lost(hop, lost)),
                    }
                }
            },
            None => None,
        };
        let shared = &local.shared;
        let active = hop.endpoint.as_ref().map(|endpoint| Active::begin(&endpoint.state));
        let key = hop.key();
        let pooled = if fresh_only { None } else { self.pooled(&key, cluster) };
        let (mut conn, reused) = match pooled {
            Some(conn) => (conn, true),
            None => {
                if !waited {
                    tally(plan, Tally::Pending);
                }
                let handshake = shared.limits.handshake;
                let connecting = async {
                    let limits = cluster.map(|cluster| &cluster.policy.limits);
                    let _connecting = if hop.http2 && !fresh_only {
                        match local.links.take_or_begin(&key, limits, handshake).await {
                            Ok(stream) => return Ok(on_stream(local, stream)),
                            Err(connecting) => Some(connecting),
                        }
                    } else {
                        None
                    };
                    let connecting = upstream::connect(&hop, cluster, &shared.directory, handshake, &local.worker);
                    let conn = connecting.await.map_err(|error| error.to_string())?;
                    if !(hop.http2 && conn.stream().speaks_http2()) {
                        return Ok(conn);
                    }
                    let stream = http2::connect(&local.links, conn, key, handshake).await;
                    stream.map(|stream| on_stream(local, stream)).map_err(|error| format!("HTTP/2: {error}"))
                };
                // Boxed: a handshake's state is large, and few requests need one.
                let connected = self.in_time(Box::pin(connecting)).await;
                match connected {
                    Ok(Ok(conn)) => (conn, false),
                    Ok(Err(error)) => return Err(NoLease::Failed(hop, error)),
                    Err(lost) => return Err(NoLease::Lost(hop, lost)),
                }
            }
        };
        conn.carry();
        let local_address = conn.local_address();
        Ok(Lease { conn, hop, reused, local_address, sent: false, _active: active, _place: place })
    }

    /// A connection that is there, or a stream of one.
    fn pooled(&self, key: &PoolKey, cluster: Option<&Cluster>) -> Option<Conn> {
        if key.http2
            && let Some(stream) = self.local.links.take(key, cluster.map(|cluster| &cluster.policy.limits))
        {
            return Some(on_stream(self.local, stream));
        }
        self.local.pool.take(key)
    }

    /// Whether the request is sent on as HTTP/2.
    fn sends_http2(&self, plan: &Plan) -> bool {
        match (&plan.goal, &self.facts.role) {
            (Goal::Cluster(cluster), _) => sends_http2(cluster, self.facts.http2),
            (Goal::Address(_) | Goal::Answer, Role::Inbound { port, .. }) => {
                as_declared(self.own.as_ref().map(|own| own.protocol(*port)), self.facts.http2)
            }
            (Goal::Address(_) | Goal::Answer, _) => self.facts.http2,
        }
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
                && (!lease.reused || lease.conn.stream().is_multiplexed())
                && let Some(own) = &self.own
            {
                let cluster = &self.local.shared.directory.settings().cluster;
                self.local.peers.announce(own, cluster, &mut scratch.added);
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
        let patient = self.is_grpc();
        loop {
            let before = lease.conn.unwritten();
            let wait = Wait {
                client: &mut *self.conn,
                upstream: &mut lease.conn,
                request,
                deadline: self.deadline,
                times: self.times,
                limits: &self.local.shared.limits,
                patient,
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
        // A call that fails at once says so in the head of its answer.
        let refused = self.facts.http2.then(|| grpc_status(&self.scratch.response, head)).flatten();
        self.edit_response(plan, head);
        let scratch = &mut *self.scratch;
        let upgraded = scratch.response.status == 101;
        let added = &mut scratch.added_back;
        if let Some(cookie) = self.cookie.take() {
            add_line(added, "set-cookie", cookie.as_bytes());
        }
        for (name, _) in &self.granted {
            headers::remove(name, &mut scratch.response, head, added);
        }
        for (name, value) in self.granted.drain(..) {
            add_line(added, &name, &value);
        }
        edge::response(stance, millis(upstream_time), &mut scratch.response, added);
        let mut response = response_transfer(&mut scratch.response, scratch.request.http10, added);
        let keeps = !upgraded
            && !scratch.request.close
            && !scratch.request.http10
            && request.source_is_clear()
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
            grpc_status: response.grpc_status().or(refused),
            ..Outcome::new(status, flags, details)
        });
        let complete = matches!(ended, Ended::Complete) && !upgraded;
        let multiplexed = lease.conn.stream().is_multiplexed();
        if complete
            && reusable
            && !multiplexed
            && request.has_arrived()
            && lease.conn.window().is_empty()
            && !lease.hop_is_over()
        {
            let of_cluster = match &plan.goal {
                Goal::Cluster(cluster) => Some(&cluster.policy.limits),
                Goal::Address(_) | Goal::Answer => None,
            };
            let key = lease.hop.key();
            self.local.pool.give(key, lease.conn, &self.local.shared.limits, of_cluster);
        }
        match (complete, keeps, request.source_is_clear()) {
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
