//! Copies of requests, sent beside them. Nobody waits for a copy, and what comes back is thrown away.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::proxy::connection::Conn;
use crate::proxy::directory::Cluster;
use crate::proxy::exchange::Exchange;
use crate::proxy::exchange::plan::Plan;
use crate::proxy::http1::body::{Body, Step};
use crate::proxy::http1::{Framing, Head, HeadEnd, RequestLine, find_head, parse_response, write_request};
use crate::proxy::local::Local;
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
    method: Box<[u8]>,
    head: Vec<u8>,
}

impl Copy {
    /// Sends it, and reads the answer to its end. `None` when something went wrong.
    async fn send(self, local: &Rc<Local>, mut body: mpsc::Receiver<Piece>) -> Option<()> {
        let shared = &local.shared;
        let endpoint = upstream::pick(&self.cluster, &[], local.worker.draw())?;
        let _active = Active::begin(&endpoint.state);
        let hop = Hop::to(&self.cluster, endpoint).ok()?;
        let mut conn = match local.pool.take(&hop.key(), &shared.limits) {
            Some(conn) => conn,
            None => {
                let (timeout, handshake) = (self.cluster.policy.connect_timeout, shared.limits.handshake);
                let name = Some(&self.cluster.name);
                upstream::connect(&hop, name, &shared.directory, timeout, handshake, &local.worker).await.ok()?
            }
        };
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
        if !head.close && head.framing != Framing::UntilClose && conn.window().is_empty() {
            local.pool.give(hop.key(), conn, &shared.limits);
        }
        Some(())
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
