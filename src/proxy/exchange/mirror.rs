//! Copies of requests, sent beside them. Nobody waits for a copy, and what comes back is thrown away.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::proxy::connection::Conn;
use crate::proxy::directory::Cluster;
use crate::proxy::exchange::Exchange;
use crate::proxy::exchange::forward::sends_http2;
use crate::proxy::exchange::plan::Plan;
use crate::proxy::http1::body::{Body, Step};
use crate::proxy::http1::{Buffer, Framing, Head, HeadEnd, RequestLine, find_head, parse_response, write_request};
use crate::proxy::http2;
use crate::proxy::local::Local;
use crate::proxy::stream::Stream;
use crate::proxy::tee::{Piece, Tee};
use crate::proxy::timer::Deadline;
use crate::proxy::upstream::{self, Active, Hop};

impl Exchange<'_> {
    /// Begins the copies that the rule asks for; `None` where there are none. What passes of the body goes to them.
    pub(super) fn mirror(&self, plan: &Plan) -> Option<Tee> {
        let (routes, handling) = (plan.routes()?, plan.handling()?);
        if handling.mirrors.is_empty() {
            return None;
        }
        let mut tee = Tee::default();
        for mirror in &handling.mirrors {
            if !mirror.share.takes(self.local.worker.draw()) {
                continue;
            }
            // What does not exist gets no copy; the rule's own destination is not to suffer from it.
            let Some(cluster) = routes.cluster(&mirror.cluster) else { continue };
            let bytes = self.conn.head();
            let mut copy = Copy {
                cluster: cluster.clone(),
                http2: sends_http2(cluster, self.facts.http2),
                method: self.scratch.request.method.of(bytes).into(),
                head: Vec::new(),
            };
            let line = RequestLine { method: &copy.method, path_and_query: &self.scratch.target.path_and_query };
            write_request(line, &self.scratch.request, bytes, &self.scratch.added, &mut copy.head);
            let local = self.local.clone();
            let body = tee.add();
            self.local.run_errand(async move {
                let most = local.shared.limits.mirror;
                // However it ends, nobody is told.
                let _ = tokio::time::timeout(most, copy.send(&local, body)).await;
            });
        }
        (!tee.is_empty()).then_some(tee)
    }
}

/// A copy of a request.
struct Copy {
    cluster: Arc<Cluster>,
    http2: bool,
    method: Box<[u8]>,
    head: Vec<u8>,
}

impl Copy {
    /// Sends it, and reads the answer to its end. `None` when something went wrong.
    async fn send(self, local: &Rc<Local>, mut body: mpsc::Receiver<Piece>) -> Option<()> {
        let shared = &local.shared;
        let endpoint = upstream::pick(&self.cluster, &[], local.worker.draw(), None)?;
        let _active = Active::begin(&endpoint.state);
        let hop = Hop::to(&self.cluster, endpoint).ok()?.looked_up(local).await.ok()?;
        let hop = Hop { http2: self.http2, ..hop };
        let mut conn = self.connection(local, &hop).await?;
        conn.carry();
        let mut deadline = Deadline::default();
        conn.output().extend_from_slice(&self.head);
        loop {
            let piece = body.recv().await?;
            if let Piece::Bytes(bytes) = &piece {
                conn.output().extend_from_slice(bytes);
            }
            conn.send(&mut deadline, shared.limits.write_stall).await.ok()?;
            if matches!(piece, Piece::End) {
                break;
            }
        }
        let mut head = Head::default();
        loop {
            let length = read_head(&mut conn).await?;
            parse_response(conn.window().get(..length)?, &self.method, &mut head).ok()?;
            conn.pass(length);
            if !(100..200).contains(&head.status) {
                break;
            }
        }
        discard(&mut conn, head.framing).await?;
        if !conn.stream().is_multiplexed()
            && !head.close
            && head.framing != Framing::UntilClose
            && conn.window().is_empty()
        {
            local.pool.give(hop.key(), conn, &shared.limits, Some(&self.cluster.policy.limits));
        }
        Some(())
    }

    async fn connection(&self, local: &Rc<Local>, hop: &Hop) -> Option<Conn> {
        let shared = &local.shared;
        let on_stream =
            |stream| Conn::new(Stream::Http2Client(Box::new(stream)), Buffer::default(), local.worker.clone());
        if hop.http2
            && let Some(stream) = local.links.take(&hop.key(), Some(&self.cluster.policy.limits))
        {
            return Some(on_stream(stream));
        }
        if let Some(conn) = local.pool.take(&hop.key()) {
            return Some(conn);
        }
        let handshake = shared.limits.handshake;
        let connecting = upstream::connect(hop, Some(&self.cluster), &shared.directory, handshake, &local.worker);
        let conn = connecting.await.ok()?;
        if !(hop.http2 && conn.stream().speaks_http2()) {
            return Some(conn);
        }
        http2::connect(&local.links, conn, hop.key(), handshake).await.ok().map(on_stream)
    }
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

async fn discard(conn: &mut Conn, framing: Framing) -> Option<()> {
    let mut body = Body::new(framing);
    loop {
        match body.step(conn.window()).ok()? {
            Step::Forward(count) | Step::Skip(count) => conn.pass(count),
            Step::Done => return Some(()),
            Step::More => fill(conn).await?,
        }
    }
}

async fn fill(conn: &mut Conn) -> Option<()> {
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
