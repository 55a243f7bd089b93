//! Where a request goes.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::model::route::decide;
use crate::model::{Action, Decision, Handling, HttpRule, OutboundMode, RequestFacts, RequestMatch, WeightedCluster};
use crate::proxy::directory::{Cluster, Resolution, RoutesInForce};
use crate::proxy::exchange::reply::Reply;
use crate::proxy::exchange::{Exchange, Role};
use crate::proxy::filter::edge::{self, Client, ClientCertificate, Stance};
use crate::proxy::filter::{peer, proxy_authorization, request_id};
use crate::proxy::http1::Name;
use crate::proxy::http1::encode::add_line;
use crate::proxy::http1::head::{Edited, Headers};
use crate::proxy::trace::SpanContext;

/// Where a request goes, and because of which rule.
pub(super) struct Plan {
    /// The destination.
    pub goal: Goal,
    /// What decided.
    decided: Option<Decided>,
}

/// A decision, by the numbers of what took part in it.
struct Decided {
    routes: Arc<RoutesInForce>,
    rule: usize,
    matched: Option<usize>,
    destination: usize,
}

/// A destination.
pub(super) enum Goal {
    /// One of a cluster's endpoints.
    Cluster(Arc<Cluster>),
    /// This address, in plaintext: the application, or something outside the mesh.
    Address(SocketAddr),
    /// Nowhere: the rule answers itself.
    Answer,
}

impl Plan {
    /// The rule that decided.
    pub fn rule(&self) -> Option<&HttpRule> {
        let decided = self.decided.as_ref()?;
        decided.routes.routes.http.get(decided.rule)
    }

    /// The routes that it is one of.
    pub fn routes(&self) -> Option<&RoutesInForce> {
        self.decided.as_ref().map(|decided| &*decided.routes)
    }

    /// What it does with the request on the way.
    pub fn handling(&self) -> Option<&Handling> {
        self.rule().map(|rule| &rule.handling)
    }

    /// The conditions of the rule that held.
    pub fn matched(&self) -> Option<&RequestMatch> {
        self.rule()?.matches.get(self.decided.as_ref()?.matched?)
    }

    /// The destination that was drawn.
    pub fn destination(&self) -> Option<&WeightedCluster> {
        match &self.rule()?.action {
            Action::Forward(destinations) => destinations.get(self.decided.as_ref()?.destination),
            Action::Redirect(_) | Action::Respond(_) => None,
        }
    }

    /// Whether endpoints that were tried are left out.
    pub fn avoids_tried(&self) -> bool {
        self.handling().is_none_or(|handling| handling.retry.avoids_tried)
    }

    /// Whether there is an endpoint that was not tried.
    pub fn has_other_than(&self, tried: &[Option<SocketAddr>]) -> bool {
        match &self.goal {
            Goal::Cluster(cluster) => cluster.endpoints.iter().any(|endpoint| !tried.contains(&Some(endpoint.address))),
            Goal::Address(_) | Goal::Answer => false,
        }
    }

    /// The rule for a sentence: ` (VirtualService default/reviews http[0])`, or nothing.
    pub fn because(&self) -> String {
        self.rule().map(|rule| format!(" ({})", rule.provenance)).unwrap_or_default()
    }
}

impl Exchange<'_> {
    /// Edits the request's headers and decides where it goes.
    pub(super) async fn plan(&mut self) -> Result<Plan, Box<Reply>> {
        if let Role::OutboundName { token } = &self.facts.role {
            let given = self.scratch.request.received(Name::ProxyAuthorization, self.conn.head());
            if !proxy_authorization::permits(given, token) {
                return Err(Box::new(Reply::proxy_authorization()));
            }
        }
        self.edit();
        if let Some((own, asked)) = self.to_ask() {
            Box::pin(self.consult(&own, asked)).await?;
        }
        self.admit().await?;
        match self.facts.role {
            Role::Inbound { app, .. } => Ok(Plan { goal: Goal::Address(app), decided: None }),
            Role::OutboundName { .. } => self.plan_outbound(self.port(), None).await,
            Role::OutboundAddress { original } => self.plan_outbound(self.port(), Some(original)).await,
            Role::Gateway { port } => self.plan_gateway(port),
        }
    }

    fn edit(&mut self) {
        self.identify_peer();
        let stance = self.facts.role.stance();
        let scratch = &mut *self.scratch;
        let bytes = self.conn.head();
        scratch.added.clear();
        let certificate =
            self.facts.peer.as_ref().map(|peer| ClientCertificate { uri: &peer.uri, hash: &peer.hash, by: &peer.own });
        let settings = self.local.shared.directory.settings();
        let client = Client {
            address: self.facts.remote.map(|remote| remote.ip()),
            scheme: self.facts.scheme(),
            certificate,
            is_believed: stance == Stance::Gateway && settings.trusted_proxies > 0,
        };
        let (head, added) = (&mut scratch.request, &mut scratch.added);
        edge::request(stance, client, head, bytes, added);
        scratch.request_id = request_id::request(head, bytes, added, || self.local.worker.draw());
        self.trace = settings.reporting(self.facts.role.side()).tracing.as_ref().map(|tracing| {
            let context = SpanContext::begin(tracing, head, bytes, || self.local.worker.draw());
            if tracing.propagates {
                context.propagate(&tracing.collector.protocol, head, bytes, added);
            }
            (tracing.clone(), context)
        });
        if scratch.target.absolute {
            // The target is the one that counts; what the upstream gets as Host must say the same (RFC 9112 section 3.2.2).
            head.remove(Name::Host);
            add_line(added, "host", &scratch.target.authority);
        }
        if head.websocket {
            added.extend_from_slice(b"connection: upgrade\r\nupgrade: websocket\r\n");
        }
    }

    /// What an authenticated peer says about its workload holds for its connection.
    fn identify_peer(&mut self) {
        let Some(peer) = &mut self.facts.peer else { return };
        if let Some(announced) = self.scratch.request.received(Name::MeshPeer, self.conn.head()) {
            peer.party = self.local.peers.identify(&peer.identity, Some(announced));
        }
    }

    async fn plan_outbound(&self, port: u16, original: Option<SocketAddr>) -> Result<Plan, Box<Reply>> {
        let directory = &self.local.shared.directory;
        let host = self.scratch.target.host.as_str();
        let resolution = match directory.get(host) {
            Some(resolution) => resolution,
            None => Box::pin(directory.resolve(host)).await,
        };
        match resolution {
            Resolution::Known(target) if target.service.port(port).is_some() => self.decide(&target.routes, port),
            Resolution::Known(_) | Resolution::Unknown => self.plan_unknown(port, original).await,
            Resolution::Unavailable(reason) => Err(Box::new(Reply::unavailable(host, reason.detail()))),
        }
    }

    /// A host, or a port of one, that the mesh does not have.
    async fn plan_unknown(&self, port: u16, original: Option<SocketAddr>) -> Result<Plan, Box<Reply>> {
        let shared = &self.local.shared;
        let host = self.scratch.target.host.as_str();
        if shared.directory.settings().outbound_mode == OutboundMode::RegistryOnly {
            return Err(Box::new(Reply::not_in_mesh(host, port)));
        }
        let address = match original {
            Some(original) => Some(original),
            None => Box::pin(self.local.names.resolve(self.local, host, port)).await,
        };
        match address {
            Some(address) if shared.is_own(&address) => Err(Box::new(Reply::own_address(host, port))),
            Some(address) => Ok(Plan { goal: Goal::Address(address), decided: None }),
            None => Err(Box::new(Reply::no_address(host))),
        }
    }

    fn plan_gateway(&self, port: u16) -> Result<Plan, Box<Reply>> {
        let listeners = self.local.listeners.borrow().clone();
        let listener = listeners.iter().find(|listener| listener.port == port);
        let host = self.scratch.target.host.as_str();
        if let Some(admitted) = &self.facts.admitted
            && !admitted.iter().any(|pattern| pattern.matches(host))
        {
            return Err(Box::new(Reply::misdirected(host)));
        }
        if listener.is_some_and(|listener| listener.redirected.iter().any(|pattern| pattern.matches(host))) {
            return Err(Box::new(Reply::to_https(&self.scratch.target)));
        }
        let Some(virtual_host) = listener.and_then(|listener| listener.virtual_host(host)) else {
            return Err(Box::new(Reply::no_host(host, port)));
        };
        match self.local.shared.directory.gateway_routes(&virtual_host.routes) {
            Some(routes) => self.decide(&routes, port),
            None => Err(Box::new(Reply::unavailable(host, "routes_not_there_yet"))),
        }
    }

    fn decide(&self, routes: &Arc<RoutesInForce>, port: u16) -> Result<Plan, Box<Reply>> {
        let bytes = self.conn.head();
        let own = self.own.as_ref().map(|own| &own.workload);
        let headers = Edited { headers: Headers { head: &self.scratch.request, bytes }, added: &self.scratch.added };
        let facts = RequestFacts {
            method: self.scratch.request.method.of(bytes),
            path: self.scratch.target.path(),
            query: self.scratch.target.query(),
            scheme: self.facts.scheme(),
            authority: &self.scratch.target.authority,
            headers: &headers,
            claims: self.claims.as_ref(),
            port,
            source_labels: own.map_or(peer::NO_LABELS, |own| &own.labels),
            source_namespace: own.map_or(&*self.local.shared.namespace, |own| &own.namespace),
        };
        let number = |rule: &HttpRule| place(&routes.routes.http, rule);
        match decide(&routes.routes, &facts, self.local.worker.draw()) {
            Decision::NoRoute => Err(Box::new(Reply::no_route(&self.scratch.target.host))),
            Decision::Answer { rule, matched } => {
                let matched = matched.and_then(|matched| place(&rule.matches, matched));
                let decided =
                    number(rule).map(|rule| Decided { routes: routes.clone(), rule, matched, destination: 0 });
                Ok(Plan { goal: Goal::Answer, decided })
            }
            Decision::Forward { rule, matched, cluster, destination } => {
                let Some(found) = routes.cluster(cluster) else {
                    return Err(Box::new(Reply::no_cluster(cluster, rule)));
                };
                let matched = matched.and_then(|matched| place(&rule.matches, matched));
                let destination = match &rule.action {
                    Action::Forward(destinations) => place(destinations, destination).unwrap_or(0),
                    Action::Redirect(_) | Action::Respond(_) => 0,
                };
                let decided = number(rule).map(|rule| Decided { routes: routes.clone(), rule, matched, destination });
                Ok(Plan { goal: Goal::Cluster(found.clone()), decided })
            }
        }
    }

    /// The port that the request was sent to.
    pub(super) fn port(&self) -> u16 {
        match self.facts.role {
            Role::Inbound { port, .. } | Role::Gateway { port } => port,
            Role::OutboundName { .. } => self.scratch.target.port.unwrap_or(80),
            Role::OutboundAddress { original } => original.port(),
        }
    }
}

/// Where in a list one of its elements is.
fn place<T>(list: &[T], element: &T) -> Option<usize> {
    list.iter().position(|candidate| std::ptr::eq(candidate, element))
}
