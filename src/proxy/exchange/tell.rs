//! The span of a request that has ended.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::model::{Settings, Side};
use crate::proxy::exchange::plan::{Goal, Plan};
use crate::proxy::exchange::{Exchange, Outcome, Role, protocol};
use crate::proxy::http1::Name;
use crate::proxy::http1::head::Headers;
use crate::proxy::trace::{Measured, Span};

impl Exchange<'_> {
    /// Has the request's span sent, where it is traced.
    pub(super) fn tell(&self, outcome: &Outcome<'_>, duration: Duration, settings: &Arc<Settings>) {
        let Some((tracing, context)) = &self.trace else { return };
        if !(context.sampled && tracing.reports) {
            return;
        }
        let (bytes, shared) = (self.conn.head(), &self.local.shared);
        let (request, target) = (&self.scratch.request, &self.scratch.target);
        let written = |name| request.get(name, bytes).unwrap_or_default();
        let measured = Measured {
            server: self.facts.role.side() == Side::Server,
            name: self.called(outcome.plan),
            method: request.method.of(bytes),
            scheme: self.facts.scheme(),
            authority: &target.authority,
            path: &target.path_and_query,
            protocol: protocol(self.facts.http2, request.http10),
            code: outcome.code,
            flags: outcome.flags,
            start: SystemTime::now().checked_sub(duration).unwrap_or(SystemTime::UNIX_EPOCH),
            duration,
            received: outcome.received,
            sent: outcome.sent,
            user_agent: written(Name::UserAgent),
            request_id: match written(Name::RequestId) {
                b"" => self.scratch.request_id.as_bytes(),
                present => present,
            },
            remote: self.facts.remote,
            cluster: outcome.plan.and_then(|plan| self.cluster_of(plan)).map(|cluster| cluster.to_string()),
            rule: outcome.plan.and_then(Plan::rule).map(|rule| rule.provenance.to_string()),
            headers: &Headers { head: request, bytes },
            workload: self.own.as_ref().map(|own| &*own.workload),
            pod: (&shared.name, &shared.namespace),
            mesh: (&settings.trust_domain, &settings.cluster),
        };
        self.local.spans.add(self.local, tracing, Span::new(*context, tracing, &measured));
    }

    /// What was called, as Istio names operations: `reviews.shop.svc.cluster.local:9080/*`.
    fn called(&self, plan: Option<&Plan>) -> String {
        let service = match (plan.map(|plan| &plan.goal), &self.facts.role) {
            (Some(Goal::Cluster(cluster)), _) => Some((cluster.name.host.clone(), cluster.name.port)),
            (_, Role::Inbound { port, .. }) => {
                let service = self.own.as_ref().and_then(|own| own.service(*port));
                let target = &self.scratch.target;
                service.map(|service| {
                    // Who asks for the service by one of its names asks for a port of the service; a client outside does not.
                    let is_name = |rest: &str| rest.is_empty() || rest.starts_with('.');
                    let of_service = service.host.strip_prefix(&*target.host).is_some_and(is_name);
                    let port = if of_service { target.port.unwrap_or(80) } else { service.target_port };
                    (service.host.clone(), port)
                })
            }
            _ => None,
        };
        match service {
            Some((host, port)) => format!("{host}:{port}/*"),
            None => format!("{}:{}/*", self.scratch.target.host, self.port()),
        }
    }
}
