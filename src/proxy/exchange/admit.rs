//! Whether the caller may do what it asks for.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use crate::model::authz::{self, Claims, Facts, HttpFacts, PolicyAction};
use crate::model::token::{self, Place, TokenError};
use crate::model::{HeaderLookup, InboundPolicy};
use crate::proxy::exchange::reply::Reply;
use crate::proxy::exchange::{Exchange, Role};
use crate::proxy::filter::{jwt, rbac};
use crate::proxy::http1::head::{Edited, Headers};
use crate::telemetry::Counter;

/// A provider, and the policy that wants it asked.
pub(super) type Inquiry = (Arc<str>, String);

impl Exchange<'_> {
    /// Lets the request go on, or says why it may not. Requests that the workload itself makes are not asked about here.
    pub(super) async fn admit(&mut self) -> Result<(), Box<Reply>> {
        let port = match self.facts.role {
            Role::Inbound { port, .. } | Role::Gateway { port } => port,
            Role::OutboundName { .. } | Role::OutboundAddress { .. } => return Ok(()),
        };
        let shared = &self.local.shared;
        let Some(mut own) = self.own.clone() else {
            // One that is given is there from the start; who waits for its own serves nobody.
            let is_ready = *shared.directory.ready().borrow();
            return if is_ready { Ok(()) } else { Err(Box::new(Reply::no_policy())) };
        };
        let mut proved = self.authenticate(&own);
        if matches!(proved, Err((TokenError::NoKey, true)))
            && let Some(newer) = Box::pin(shared.directory.newer_keys(&own)).await
        {
            self.because.clear();
            proved = self.authenticate(&newer);
            self.own = Some(newer.clone());
            own = newer;
        }
        self.claims = proved.map_err(|(error, _)| {
            self.local.shared.registry.count(Counter::TokensRefused);
            Box::new(Reply::token(&error))
        })?;
        if own.authorization.is_empty() {
            return Ok(());
        }
        let shared = &self.local.shared;
        let said = self.decided(&own, port);
        if said.audited {
            shared.registry.count(Counter::RequestsAudited);
        }
        if said.differs_in_dry_run {
            shared.registry.count(Counter::DryRunDiffers);
        }
        let allowed = said.allowed;
        // A provider that did not answer, and need not, stays in the log.
        if !said.because.is_empty() {
            self.because = said.because;
        }
        if allowed {
            return Ok(());
        }
        shared.registry.count(Counter::RequestsDenied);
        Err(Box::new(Reply::denied()))
    }

    /// What the request's token proves, if it carries one. The workload gets of it what the rule says.
    ///
    /// # Errors
    /// Why the request is refused, and whether the keys that it was held against may be newer elsewhere.
    fn authenticate(&mut self, own: &InboundPolicy) -> Result<Option<Claims>, (TokenError, bool)> {
        if own.tokens.is_empty() {
            return Ok(None);
        }
        let bytes = self.conn.head();
        let scratch = &mut *self.scratch;
        let headers = Headers { head: &scratch.request, bytes };
        if jwt::is_preflight(scratch.request.method.of(bytes), &headers) {
            jwt::sanitize(&own.tokens, &mut scratch.request, bytes);
            return Ok(None);
        }
        let path_length = scratch.target.path().len();
        let query = scratch.target.path_and_query.get(path_length..).and_then(|query| query.strip_prefix(b"?"));
        let tokens = |place: &Place| jwt::tokens(place, &headers, query.unwrap_or_default());
        let found = token::authenticate(&own.tokens, tokens, SystemTime::now()).map_err(|(error, rule)| {
            self.because = rule.provenance.to_string();
            (error, rule.fetched)
        })?;
        jwt::sanitize(&own.tokens, &mut scratch.request, bytes);
        let Some(found) = found else { return Ok(None) };
        if !found.rule.forward {
            let path_and_query = &mut scratch.target.path_and_query;
            jwt::take_off(found.place, &mut scratch.request, bytes, path_and_query, path_length);
        }
        jwt::hand_on(&found, &mut scratch.added);
        Ok(Some(found.claims))
    }

    /// The providers that have to allow the request, each with the policy that says so; `None` where there are none.
    pub(super) fn to_ask(&self) -> Option<(Arc<InboundPolicy>, Vec<Inquiry>)> {
        let (Role::Inbound { port, .. } | Role::Gateway { port }) = self.facts.role else { return None };
        let own = self.own.as_ref()?;
        if !own.authorization.iter().any(|policy| matches!(policy.action, PolicyAction::Custom(_))) {
            return None;
        }
        let asked: Vec<_> = self.with_facts(port, |facts| {
            let asked = authz::custom(&own.authorization, facts);
            asked.into_iter().map(|(provider, policy)| (provider.clone(), policy.to_string())).collect()
        });
        (!asked.is_empty()).then(|| (own.clone(), asked))
    }

    fn decided(&self, own: &InboundPolicy, port: u16) -> rbac::Said {
        let explain = self.local.shared.directory.settings().reporting(self.facts.role.side()).log;
        self.with_facts(port, |facts| rbac::decide(own, facts, explain))
    }

    /// Tells what is known of the request; of its token, once that was verified.
    fn with_facts<T>(&self, port: u16, tell: impl FnOnce(&Facts<'_>) -> T) -> T {
        let bytes = self.conn.head();
        let target = &self.scratch.target;
        let headers = Edited { headers: Headers { head: &self.scratch.request, bytes }, added: &self.scratch.added };
        let source_ip: Option<IpAddr> = self.facts.direct.map(|direct| direct.ip());
        let remote_ip = match self.facts.role {
            // What a client says about itself counts for nothing at the edge; what proxies in front of it say does.
            Role::Gateway { .. } => {
                let proxies = self.local.shared.directory.settings().trusted_proxies;
                let forwarded = if proxies > 0 { headers.value("x-forwarded-for") } else { None };
                rbac::client(forwarded.as_deref(), proxies, self.facts.remote.map(|remote| remote.ip()))
            }
            _ => headers.value("x-forwarded-for").map_or(source_ip, |value| rbac::remote(&value)),
        };
        let facts = Facts {
            source: self.facts.peer.as_ref().map(|peer| &peer.identity),
            source_ip,
            remote_ip,
            destination_ip: self.facts.local.map(|local| local.ip()),
            destination_port: port,
            server_name: &self.facts.server_name,
            http: Some(HttpFacts {
                method: self.scratch.request.method.of(bytes),
                host: &target.host,
                port: target.port,
                path: target.path(),
                headers: &headers,
                token: self.claims.as_ref(),
            }),
        };
        tell(&facts)
    }
}
