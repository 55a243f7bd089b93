//! Whether the caller may do what it asks for.

use std::net::IpAddr;

use crate::model::authz::{Claims, Facts, HttpFacts};
use crate::model::matching::HeaderLookup;
use crate::proxy::exchange::reply::Reply;
use crate::proxy::exchange::{Exchange, Role};
use crate::proxy::filter::rbac;
use crate::proxy::http1::head::Headers;
use crate::telemetry::Counter;

impl Exchange<'_> {
    /// Lets the request go on, or says why it may not. Requests that the workload itself makes are not asked about here.
    pub(super) fn admit(&mut self) -> Result<(), Box<Reply>> {
        let port = match self.facts.role {
            Role::Inbound { port, .. } | Role::Gateway { port } => port,
            Role::OutboundName { .. } | Role::OutboundAddress { .. } => return Ok(()),
        };
        let shared = &self.local.shared;
        let Some(own) = self.own.clone() else {
            // A gateway that is made of files has no policy; one that waits for its own serves nobody.
            let is_ready = *shared.directory.ready().borrow();
            return if is_ready { Ok(()) } else { Err(Box::new(Reply::no_policy())) };
        };
        if own.authorization.is_empty() {
            return Ok(());
        }
        let said = self.decided(&own, port, None);
        if said.audited {
            shared.registry.count(Counter::RequestsAudited);
        }
        if said.differs_in_dry_run {
            shared.registry.count(Counter::DryRunDiffers);
        }
        let allowed = said.allowed;
        self.because = said.because;
        if allowed {
            return Ok(());
        }
        shared.registry.count(Counter::RequestsDenied);
        Err(Box::new(Reply::denied()))
    }

    fn decided(&self, own: &crate::model::InboundPolicy, port: u16, token: Option<&Claims>) -> rbac::Said {
        let bytes = self.conn.head();
        let target = &self.scratch.target;
        let headers = Headers { head: &self.scratch.request, bytes };
        let source_ip: Option<IpAddr> = self.facts.remote.map(|remote| remote.ip());
        let remote_ip = match self.facts.role {
            // What a client says about itself counts for nothing at the edge.
            Role::Gateway { .. } => source_ip,
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
                token,
            }),
        };
        rbac::decide(own, &facts, self.local.shared.directory.settings().access_log)
    }
}
