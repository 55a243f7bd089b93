//! Copies of requests, sent beside them. Nobody waits for a copy, and what comes back is thrown away.

use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::proxy::call::Call;
use crate::proxy::directory::Cluster;
use crate::proxy::exchange::Exchange;
use crate::proxy::exchange::forward::sends_http2;
use crate::proxy::exchange::plan::Plan;
use crate::proxy::http1::{Head, RequestLine, write_request};
use crate::proxy::local::Local;
use crate::proxy::tee::{Piece, Tee};
use crate::proxy::timer::Deadline;

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
        let mut call = Call::begin(local, &self.cluster, self.http2, false).await.ok()?;
        let mut deadline = Deadline::default();
        call.conn.output().extend_from_slice(&self.head);
        loop {
            let piece = body.recv().await?;
            if let Piece::Bytes(bytes) = &piece {
                call.conn.output().extend_from_slice(bytes);
            }
            call.conn.send(&mut deadline, local.shared.limits.write_stall).await.ok()?;
            if matches!(piece, Piece::End) {
                break;
            }
        }
        let mut head = Head::default();
        let length = call.head(&self.method, &mut head).await.ok()?;
        call.conn.pass(length);
        call.body(head.framing, 0).await.ok()?;
        call.give_back(local, &head);
        Some(())
    }
}
