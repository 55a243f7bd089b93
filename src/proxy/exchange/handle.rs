//! What a rule does with a request before it is sent on: faults, cross-origin sharing, answers of its own, rewriting.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use crate::model::handling::http_status_of_grpc;
use crate::model::{AbortStatus, Action, HeaderChanges, RedirectFacts};
use crate::proxy::exchange::plan::Plan;
use crate::proxy::exchange::reply::Reply;
use crate::proxy::exchange::variables::Known;
use crate::proxy::exchange::wait::client_gone;
use crate::proxy::exchange::{Exchange, Next, Outcome};
use crate::proxy::filter::cors::{self, Verdict};
use crate::proxy::filter::headers::{self, Message};
use crate::proxy::http1::encode::add_line;
use crate::proxy::http1::head::Headers;
use crate::proxy::timer::Deadline;
use crate::resources::header_text::Fact;

impl Exchange<'_> {
    /// Carries a decided request out.
    pub(super) async fn carry_out(&mut self, plan: &Plan) -> Next {
        if let Some(handling) = plan.handling() {
            if let Some(fault) = &handling.fault {
                match self.fault(fault).await {
                    Ok(None) => {}
                    Ok(Some(reply)) => return self.reply(reply, Some(plan)).await,
                    Err(next) => return next,
                }
            }
            if let Some(policy) = &handling.cors {
                let bytes = self.conn.head();
                let request = Headers { head: &self.scratch.request, bytes };
                let verdict = cors::look(policy, self.scratch.request.method.of(bytes), &request);
                self.permitted = verdict == Verdict::Permitted;
                if let Verdict::Preflight(permitted) = verdict {
                    let mut reply = Reply::bare(200, "cors_preflight");
                    if permitted {
                        cors::preflight(policy, &request, &mut reply.lines);
                    }
                    return self.reply(reply, Some(plan)).await;
                }
            }
        }
        if let Some(reply) = self.own_answer(plan) {
            return self.reply(reply, Some(plan)).await;
        }
        self.rewrite(plan);
        self.forward(plan).await
    }

    /// Injects faults: waits, and gives the answer that takes the request's place. `Err` when the client has gone.
    async fn fault(&mut self, fault: &crate::model::Fault) -> Result<Option<Reply>, Next> {
        if let Some((time, share)) = fault.delay
            && share.takes(self.local.worker.draw())
        {
            self.delayed = true;
            if !self.pause(time).await {
                self.finish(&Outcome::new(0, "DC", "downstream_remote_disconnect"));
                return Err(Next::Close);
            }
        }
        let Some((status, share)) = fault.abort else { return Ok(None) };
        if !share.takes(self.local.worker.draw()) {
            return Ok(None);
        }
        Ok(Some(match status {
            AbortStatus::Http(status) => Reply::fault(status, None),
            AbortStatus::Grpc(status) => Reply::fault(http_status_of_grpc(status), Some(status)),
        }))
    }

    /// Waits. Whether the client is still there.
    pub(super) async fn pause(&mut self, time: Duration) -> bool {
        let mut deadline = Deadline::default();
        deadline.set(time);
        poll_fn(|cx| {
            if client_gone(self.conn, cx) {
                return Poll::Ready(false);
            }
            deadline.poll_passed(cx).map(|()| true)
        })
        .await
    }

    /// The answer that the rule itself gives.
    fn own_answer(&self, plan: &Plan) -> Option<Reply> {
        let rule = plan.rule()?;
        let mut reply = match &rule.action {
            Action::Forward(_) => return None,
            Action::Respond(response) => Reply::direct(response),
            Action::Redirect(redirect) => {
                let target = &self.scratch.target;
                let facts = RedirectFacts {
                    scheme: self.facts.scheme(),
                    authority: &target.authority,
                    path: target.path(),
                    query: target.query(),
                    port: self.port(),
                };
                let mut reply = Reply::bare(redirect.status, "direct_response");
                let location = redirect.location(&facts, plan.matched().and_then(|matched| matched.path.as_ref()));
                add_line(&mut reply.lines, "location", &location);
                reply
            }
        };
        let request = Message { head: &self.scratch.request, bytes: self.conn.head(), added: &self.scratch.added };
        let known = Known {
            facts: self.facts,
            hostname: &self.local.shared.name,
            route: &rule.name,
            method: request.head.method.of(request.bytes),
            path_and_query: &self.scratch.target.path_and_query,
            authority: &self.scratch.target.authority,
            http10: request.head.http10,
            age: self.started.elapsed(),
            request: Some(request),
            status: Some(reply.status),
        };
        let knows = |fact: &Fact, message: Message<'_>, value: &mut Vec<u8>| known.append(fact, message, value);
        let changes = &rule.handling.headers.response;
        headers::change(changes, &mut Default::default(), b"", &mut reply.lines, &knows);
        Some(reply)
    }

    /// Changes path, authority and headers as the rule and its destination say.
    fn rewrite(&mut self, plan: &Plan) {
        let Some(rule) = plan.rule() else { return };
        let handling = &rule.handling;
        let destination = plan.destination();
        let bytes = self.conn.head();
        let scratch = &mut *self.scratch;
        let rewrite = handling.rewrite.as_ref();
        let mut original = None;
        if let Some(path) = rewrite.and_then(|rewrite| rewrite.path.as_ref()) {
            let rewritten = path.apply(scratch.target.path(), plan.matched().and_then(|matched| matched.path.as_ref()));
            if rewritten != scratch.target.path() {
                headers::set(
                    "x-envoy-original-path",
                    &scratch.target.path_and_query,
                    &mut scratch.request,
                    bytes,
                    &mut scratch.added,
                );
                original = Some(scratch.target.path_and_query.clone());
                scratch.target.set_path(&rewritten);
            }
        }
        let authority = rewrite
            .and_then(|rewrite| rewrite.authority.as_deref())
            .or_else(|| destination.and_then(|destination| destination.authority.as_deref()));
        if let Some(authority) = authority {
            headers::set_host(authority.as_bytes(), &mut scratch.request, &mut scratch.added);
        }
        let of_destination = destination.map(|destination| &destination.headers.request);
        if handling.headers.request.is_empty() && of_destination.is_none_or(HeaderChanges::is_empty) {
            return;
        }
        let known = Known {
            facts: self.facts,
            hostname: &self.local.shared.name,
            route: &rule.name,
            method: scratch.request.method.of(bytes),
            path_and_query: original.as_deref().unwrap_or(&scratch.target.path_and_query),
            authority: &scratch.target.authority,
            http10: scratch.request.http10,
            age: self.started.elapsed(),
            request: None,
            status: None,
        };
        let knows = |fact: &Fact, message: Message<'_>, value: &mut Vec<u8>| known.append(fact, message, value);
        for changes in of_destination.into_iter().chain([&handling.headers.request]) {
            headers::change(changes, &mut scratch.request, bytes, &mut scratch.added, &knows);
        }
    }

    /// Changes a response's headers as the rule and its destination say.
    pub(super) fn edit_response(&mut self, plan: &Plan, bytes: &[u8]) {
        let Some(rule) = plan.rule() else { return };
        let scratch = &mut *self.scratch;
        let (head, added) = (&mut scratch.response, &mut scratch.added_back);
        let before = added.len();
        let of_destination = plan.destination().map(|destination| &destination.headers.response);
        let of_rule = &rule.handling.headers.response;
        if !of_rule.is_empty() || of_destination.is_some_and(|changes| !changes.is_empty()) {
            let request = Message { head: &scratch.request, bytes: self.conn.head(), added: &scratch.added };
            let known = Known {
                facts: self.facts,
                hostname: &self.local.shared.name,
                route: &rule.name,
                method: request.head.method.of(request.bytes),
                path_and_query: &scratch.target.path_and_query,
                authority: &scratch.target.authority,
                http10: request.head.http10,
                age: self.started.elapsed(),
                request: Some(request),
                status: Some(head.status),
            };
            let knows = |fact: &Fact, message: Message<'_>, value: &mut Vec<u8>| known.append(fact, message, value);
            for changes in of_destination.into_iter().chain([of_rule]) {
                headers::change(changes, head, bytes, added, &knows);
            }
        }
        if self.permitted
            && let Some(policy) = &rule.handling.cors
        {
            let request = Headers { head: &scratch.request, bytes: self.conn.head() };
            cors::response(policy, &request, head, bytes, added);
        }
        if added.len() != before {
            // These two are the proxy's own to say, whatever a rule sets.
            headers::remove_lines("server", added);
            headers::remove_lines("x-envoy-upstream-service-time", added);
        }
    }
}
