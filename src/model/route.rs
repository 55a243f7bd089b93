//! Routes, and the decision which of them a request takes.
//!
//! [`decide`] is the one implementation of VirtualService's matching and of the draw among weighted destinations. It is pure:
//! the draw is an argument, so that the proxy, `explain` and tests get the same answer for the same input.

use std::sync::Arc;

use crate::model::authz::Claims;
use crate::model::handling::{DirectResponse, Handling, HeaderEdits, Redirect};
use crate::model::matching::{HeaderLookup, StringMatch};
use crate::model::service::ClusterName;
use crate::model::stream::StreamRule;
use crate::model::workload::Labels;
use crate::resources::Provenance;

/// The routes of one host, as one scope of clients sees them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes {
    /// Name of the resource; opaque.
    pub name: Arc<str>,
    /// HTTP rules, by tier; the first that matches is taken, of the first tier that has a rule for the client.
    pub http: Vec<HttpRule>,
    /// Rules for connections whose bytes are not looked at, those for server names first.
    pub streams: Vec<StreamRule>,
}

/// One HTTP rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRule {
    /// Where it was written.
    pub provenance: Provenance,
    /// The route's name, `default` when it has none.
    pub name: Arc<str>,
    /// Alternatives, one of which must hold; none: the rule takes every request.
    pub matches: Vec<RequestMatch>,
    /// What becomes of the request.
    pub action: Action,
    /// What happens to it on the way.
    pub handling: Handling,
    /// A rule of a later tier is asked where no rule of the tiers before it is for the client and the port at all: those of a
    /// VirtualService that says nothing about a client leave the service as it would be without it.
    pub tier: u32,
}

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// It is sent to one of these clusters. Never empty; weights are at least 1.
    Forward(Vec<WeightedCluster>),
    /// It is answered with a redirect.
    Redirect(Redirect),
    /// It is answered with this.
    Respond(DirectResponse),
}

/// A destination and its share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightedCluster {
    /// Where to.
    pub cluster: ClusterName,
    /// Share of requests relative to the sum of its siblings; at least 1.
    pub weight: u32,
    /// What replaces the authority of requests that go there; the rule's own rewriting goes before.
    pub authority: Option<Box<str>>,
    /// Changes to headers of requests that go there. They are made before those of the rule.
    pub headers: HeaderEdits,
}

impl WeightedCluster {
    /// A destination that changes nothing.
    pub fn new(cluster: ClusterName, weight: u32) -> Self {
        Self { cluster, weight, authority: None, headers: HeaderEdits::default() }
    }
}

/// The way to a claim of a token, from the outside in.
pub type ClaimWay = Arc<[Box<str>]>;

/// Conditions of a rule, all of which must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestMatch {
    /// On the path, query excluded.
    pub path: Option<StringMatch>,
    /// On the method.
    pub method: Option<StringMatch>,
    /// On the scheme.
    pub scheme: Option<StringMatch>,
    /// On the authority, as the client wrote it.
    pub authority: Option<StringMatch>,
    /// On parameters of the query, as they are written there: (name, match).
    pub query: Vec<(Box<str>, StringMatch)>,
    /// On headers that must be there: (lower-case name, match).
    pub headers: Vec<(Box<str>, StringMatch)>,
    /// On headers that must not be there with such a value: (lower-case name, match).
    pub without_headers: Vec<(Box<str>, StringMatch)>,
    /// On claims of the request's token, one value of which must match: (the way to the claim, match).
    pub claims: Vec<(ClaimWay, StringMatch)>,
    /// On claims no value of which may match.
    pub without_claims: Vec<(ClaimWay, StringMatch)>,
    /// The port that the request was sent to.
    pub port: Option<u16>,
    /// Labels that the caller's workload must have.
    pub source_labels: Vec<(Arc<str>, Arc<str>)>,
    /// Namespace that the caller's workload must be in.
    pub source_namespace: Option<Arc<str>>,
    /// Paths of conditions that were written and are not in force: the match never holds (DESIGN: unknown means no).
    pub unsupported: Vec<Arc<str>>,
}

/// What is decided on. Everything is normalised before: one request has one meaning.
#[derive(Debug, Clone, Copy)]
pub struct RequestFacts<'a, H> {
    /// Method, as sent.
    pub method: &'a [u8],
    /// Normalised path without query.
    pub path: &'a [u8],
    /// The query, with or without its `?`; nothing where there is none.
    pub query: &'a [u8],
    /// `http` or `https`.
    pub scheme: &'a str,
    /// Authority, as the client wrote it.
    pub authority: &'a [u8],
    /// Headers.
    pub headers: &'a H,
    /// What the request's token says, where one was verified.
    pub claims: Option<&'a Claims>,
    /// The port that the request was sent to.
    pub port: u16,
    /// Labels of the caller's workload, which the proxy stands beside.
    pub source_labels: &'a Labels,
    /// Namespace of the caller's workload.
    pub source_namespace: &'a str,
}

/// The outcome: a rule and one of its clusters, or that no rule takes the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision<'r> {
    /// The request goes to `cluster`, because of `rule`.
    Forward {
        /// The rule that took the request.
        rule: &'r HttpRule,
        /// The conditions of the rule that held; `None` where it has none.
        matched: Option<&'r RequestMatch>,
        /// The cluster drawn among its destinations.
        cluster: &'r ClusterName,
        /// The destination that the cluster belongs to.
        destination: &'r WeightedCluster,
    },
    /// The proxy answers itself, because of `rule`: its action says how.
    Answer {
        /// The rule that took the request.
        rule: &'r HttpRule,
        /// The conditions of the rule that held; `None` where it has none.
        matched: Option<&'r RequestMatch>,
    },
    /// No rule takes the request (404, response flag `NR`).
    NoRoute,
}

/// Decides what becomes of a request: the first rule that takes it, of the first tier that has one for its client and port, and the
/// cluster that `draw` falls on.
///
/// `draw` is a uniformly distributed number; equal draws give equal answers.
pub fn decide<'r, H: HeaderLookup>(routes: &'r Routes, request: &RequestFacts<'_, H>, draw: u64) -> Decision<'r> {
    let mut tier = None;
    for rule in &routes.http {
        match tier {
            Some(tier) if rule.tier > tier => break,
            None if concerns(rule, request) => tier = Some(rule.tier),
            _ => {}
        }
        let Some(matched) = taking(rule, request) else { continue };
        return match &rule.action {
            Action::Redirect(_) | Action::Respond(_) => Decision::Answer { rule, matched },
            Action::Forward(destinations) => match draw_destination(destinations, draw) {
                Some(destination) => Decision::Forward { rule, matched, cluster: &destination.cluster, destination },
                None => Decision::NoRoute,
            },
        };
    }
    Decision::NoRoute
}

/// Whether the rule takes the request.
pub fn takes<H: HeaderLookup>(rule: &HttpRule, request: &RequestFacts<'_, H>) -> bool {
    taking(rule, request).is_some()
}

/// The conditions because of which the rule takes the request (`Some(None)`: it takes every request); `None` when it does not.
fn taking<'r, H: HeaderLookup>(rule: &'r HttpRule, request: &RequestFacts<'_, H>) -> Option<Option<&'r RequestMatch>> {
    if rule.matches.is_empty() {
        return Some(None);
    }
    rule.matches.iter().find(|conditions| holds(conditions, request)).map(Some)
}

/// Whether the rule is for requests from there to that port, whatever they ask for.
fn concerns<H>(rule: &HttpRule, request: &RequestFacts<'_, H>) -> bool {
    rule.matches.is_empty()
        || rule
            .matches
            .iter()
            .any(|found| found.concerns(request.port, request.source_labels, request.source_namespace))
}

impl RequestMatch {
    /// Whether it can hold for requests to `port` that a workload of `namespace` with these labels sends: what of it a request
    /// itself has no say in.
    pub fn concerns(&self, port: u16, labels: &Labels, namespace: &str) -> bool {
        self.port.is_none_or(|wanted| wanted == port)
            && self.source_namespace.as_deref().is_none_or(|wanted| wanted == namespace)
            && self.source_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
    }
}

fn holds<H: HeaderLookup>(conditions: &RequestMatch, request: &RequestFacts<'_, H>) -> bool {
    let header = |(name, expected): &(Box<str>, StringMatch)| {
        request.headers.value(name).is_some_and(|value| expected.matches(&value))
    };
    let claim = |(way, expected): &(ClaimWay, StringMatch)| {
        request.claims.is_some_and(|claims| claims.texts(way).iter().any(|value| expected.matches(value.as_bytes())))
    };
    conditions.unsupported.is_empty()
        && conditions.concerns(request.port, request.source_labels, request.source_namespace)
        && conditions.method.as_ref().is_none_or(|method| method.matches(request.method))
        && conditions.path.as_ref().is_none_or(|path| path.matches(request.path))
        && conditions.scheme.as_ref().is_none_or(|scheme| scheme.matches(request.scheme.as_bytes()))
        && conditions.authority.as_ref().is_none_or(|authority| authority.matches(request.authority))
        && conditions.query.iter().all(|(name, expected)| {
            parameter(request.query, name.as_bytes()).is_some_and(|value| expected.matches(value))
        })
        && conditions.headers.iter().all(header)
        && !conditions.without_headers.iter().any(header)
        && conditions.claims.iter().all(claim)
        && !conditions.without_claims.iter().any(claim)
}

/// The first value of a query parameter; a name without `=` has an empty one. Nothing is decoded (Envoy).
pub fn parameter<'q>(query: &'q [u8], name: &[u8]) -> Option<&'q [u8]> {
    let query = query.strip_prefix(b"?").unwrap_or(query);
    query.split(|byte| *byte == b'&').find_map(|pair| {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        (halves.next() == Some(name)).then(|| halves.next().unwrap_or_default())
    })
}

/// The destination that `draw`, a uniformly distributed number, falls on.
pub(super) fn draw_destination(destinations: &[WeightedCluster], draw: u64) -> Option<&WeightedCluster> {
    let total: u64 = destinations.iter().map(|destination| u64::from(destination.weight)).sum();
    // Multiplying and keeping the high half maps the draw onto 0..total without the bias of a remainder.
    let mut point = ((u128::from(draw) * u128::from(total)) >> 64) as u64;
    for destination in destinations {
        let weight = u64::from(destination.weight);
        if point < weight {
            return Some(destination);
        }
        point -= weight;
    }
    None
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;
