//! Asking the providers of CUSTOM policies, before anything else is decided about a request.
//!
//! Who is not known, cannot be asked or does not answer in time has not allowed anything, unless its settings say that requests go
//! on without it.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use crate::model::InboundPolicy;
use crate::model::authz::{CheckedBody, Provider, ProviderProtocol};
use crate::proxy::call::{self, Answered};
use crate::proxy::exchange::Exchange;
use crate::proxy::exchange::admit::Inquiry;
use crate::proxy::exchange::reply::Reply;
use crate::proxy::exchange::wait::client_gone;
use crate::proxy::filter::ext_authz::{self, Answer, Asked};
use crate::proxy::http1::body::{Body, Step};
use crate::proxy::http1::head::Headers;
use crate::proxy::http1::{Framing, Name, Refusal};
use crate::proxy::local::Local;
use crate::telemetry::Counter;

/// The longest body of an answer that is read, in bytes.
const MAX_ANSWER: usize = 64 << 10;

impl Exchange<'_> {
    /// Asks the providers of the policies that match the request, by name, each once. What they want changed is changed.
    pub(super) async fn consult(&mut self, own: &InboundPolicy, asked: Vec<Inquiry>) -> Result<(), Box<Reply>> {
        for (name, policy) in asked {
            let Some(provider) = own.providers.iter().find(|provider| provider.name == name) else {
                self.because = format!("{policy}: its provider {name} is not in the mesh's extensionProviders");
                self.local.shared.registry.count(Counter::RequestsDenied);
                return Err(Box::new(Reply::denied()));
            };
            let body = match &provider.body {
                Some(wanted) => Some(self.body_ahead(wanted).await?),
                None => None,
            };
            match self.ask(own, provider, body.as_deref()).await? {
                Ok(Answer::Allowed(changes)) => {
                    let scratch = &mut *self.scratch;
                    ext_authz::change(&changes, &mut scratch.request, self.conn.head(), &mut scratch.added);
                    self.granted.extend(changes.response);
                }
                Ok(Answer::Denied(denial)) => {
                    self.because = format!("{policy}: {name} denies");
                    self.local.shared.registry.count(Counter::RequestsDenied);
                    return Err(Box::new(Reply::denied_by_provider(denial)));
                }
                Err(error) => {
                    tracing::debug!(provider = %name, %error, fail_open = provider.fail_open, "not answered");
                    self.because = format!("{policy}: {name} does not answer: {error}");
                    if !provider.fail_open {
                        self.local.shared.registry.count(Counter::RequestsDenied);
                        return Err(Box::new(Reply::provider_failed(provider.status_on_error)));
                    }
                }
            }
        }
        Ok(())
    }

    /// Asks, as long as the client is there. `Err` where that has gone.
    async fn ask(
        &mut self,
        own: &InboundPolicy,
        provider: &Provider,
        body: Option<&[u8]>,
    ) -> Result<Result<Answer, String>, Box<Reply>> {
        let mut question = Vec::new();
        self.put(own, provider, body, &mut question);
        // Over HTTP a question has the method of its request, and with it its rules about bodies.
        let method: Box<[u8]> = match provider.protocol {
            ProviderProtocol::Grpc => (*b"POST").into(),
            ProviderProtocol::Http(_) => self.scratch.request.method.of(self.conn.head()).into(),
        };
        let mut asking = pin!(tokio::time::timeout(provider.timeout, ask(self.local, provider, &method, &question)));
        poll_fn(|cx| {
            if client_gone(self.conn, cx) {
                return Poll::Ready(Err(Box::new(Reply::client_gone())));
            }
            asking.as_mut().poll(cx).map(Ok)
        })
        .await
        .map(|answer| answer.unwrap_or_else(|_| Err(format!("nothing within {:?}", provider.timeout))))
    }

    /// Puts the question for a provider into `into`.
    fn put(&self, own: &InboundPolicy, provider: &Provider, body: Option<&[u8]>, into: &mut Vec<u8>) {
        let bytes = self.conn.head();
        let request = &self.scratch.request;
        let own_principal = own.workload.identity.as_ref().map(|identity| identity.as_str()).unwrap_or_default();
        let asked = Asked {
            headers: Headers { head: request, bytes },
            target: &self.scratch.target,
            scheme: self.facts.scheme(),
            protocol: super::protocol(self.facts.http2, request.http10),
            source: self.facts.remote,
            destination: self.facts.local,
            principal: self.facts.peer.as_ref().map(|peer| &*peer.uri),
            own_principal,
            server_name: &self.facts.server_name,
            request_id: request.get(Name::RequestId, bytes).unwrap_or_else(|| self.scratch.request_id.as_bytes()),
            body,
        };
        match &provider.protocol {
            ProviderProtocol::Http(check) => ext_authz::http_question(check, &asked, into),
            ProviderProtocol::Grpc => {
                let authority = format!("{}:{}", provider.host, provider.port);
                let as_bytes = provider.body.is_some_and(|body| body.as_bytes);
                ext_authz::grpc_question(&authority, as_bytes, provider.timeout.as_millis(), &asked, into);
            }
        }
    }

    /// The beginning of the request's body, which stays where it is. Waits until enough of it is here, as long as it goes on.
    async fn body_ahead(&mut self, wanted: &CheckedBody) -> Result<Vec<u8>, Box<Reply>> {
        if self.scratch.request.framing == Framing::None {
            return Ok(Vec::new());
        }
        let most = usize::try_from(wanted.max_bytes).unwrap_or(usize::MAX);
        if self.scratch.request.expects_continue && !self.facts.http2 {
            // The client waits for somebody to want its body, and here somebody does.
            self.scratch.request.remove(Name::Expect);
            self.conn.output().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            let sent = self.conn.send(self.deadline, self.local.shared.limits.write_stall).await;
            if sent.is_err() {
                return Err(Box::new(Reply::stalled()));
            }
        }
        loop {
            let (found, is_whole) = looked_at(self.scratch.request.framing, self.conn.window(), most)
                .map_err(|refusal| Box::new(Reply::refusal(refusal)))?;
            if is_whole {
                return Ok(found);
            }
            if !self.conn.has_room() {
                self.conn.grow();
            }
            if found.len() >= most || !self.conn.has_room() {
                return if wanted.allow_partial { Ok(found) } else { Err(Box::new(Reply::too_long_to_check())) };
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> Result<(), Box<Reply>> {
        self.deadline.set(self.local.shared.limits.body_stall);
        let read = poll_fn(|cx| match self.conn.poll_fill(cx) {
            Poll::Ready(read) => Poll::Ready(read.is_ok_and(|count| count > 0)),
            Poll::Pending => self.deadline.poll_passed(cx).map(|()| false),
        })
        .await;
        if read { Ok(()) } else { Err(Box::new(Reply::stalled())) }
    }
}

async fn ask(local: &Rc<Local>, provider: &Provider, method: &[u8], question: &[u8]) -> Result<Answer, String> {
    let is_grpc = provider.protocol == ProviderProtocol::Grpc;
    let cluster = call::cluster(local, &provider.host, provider.port).await.map_err(|error| error.to_string())?;
    let asked = call::ask(local, &cluster, is_grpc, method, question, MAX_ANSWER).await;
    let Answered { head, bytes, body } = asked.map_err(|error| error.to_string())?;
    let answer = match &provider.protocol {
        ProviderProtocol::Grpc => ext_authz::grpc_answer(head.status, &body),
        ProviderProtocol::Http(check) => ext_authz::http_answer(check, &head, &bytes, body.into()),
    };
    answer.map_err(|error| error.to_string())
}

/// What a window has of a body, at most so many bytes without what frames them, and whether that is all of it.
fn looked_at(framing: Framing, window: &[u8], most: usize) -> Result<(Vec<u8>, bool), Refusal> {
    let mut body = Body::new(framing).unframed();
    let (mut found, mut at) = (Vec::new(), 0);
    loop {
        match body.step(window.get(at..).unwrap_or_default())? {
            Step::Forward(count) => {
                let part = window.get(at..at + count).unwrap_or_default();
                let room = most - found.len();
                if part.len() > room {
                    found.extend_from_slice(part.get(..room).unwrap_or_default());
                    return Ok((found, false));
                }
                found.extend_from_slice(part);
                at += count;
            }
            Step::Skip(count) => at += count,
            Step::Done => return Ok((found, true)),
            Step::More => return Ok((found, false)),
        }
    }
}
