//! Rules for connections whose bytes are not looked at, and the decision which of them one takes.
//!
//! [`decide`] is the one implementation of VirtualService's `tls` and `tcp` matching. Of several rules that take a connection, the
//! one with the most specific server name is taken, and the first of those that are equally specific: what a user of Istio sees,
//! where Envoy chooses among filter chains and not among rules. Rules for `tls` stand before those for `tcp`.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::model::listener::HostPattern;
use crate::model::route::{WeightedCluster, draw_destination};
use crate::model::workload::Labels;
use crate::resources::Provenance;

/// One rule for connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamRule {
    /// Where it was written.
    pub provenance: Provenance,
    /// Alternatives, one of which must hold; none: the rule takes every connection.
    pub matches: Vec<StreamMatch>,
    /// Where connections go. Never empty; what the destinations say about requests has no meaning here.
    pub destinations: Vec<WeightedCluster>,
}

/// Conditions of a rule, all of which must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamMatch {
    /// Names one of which the client's ClientHello must ask for; none: connections of every kind, TLS or not.
    pub server_names: Vec<HostPattern>,
    /// Networks one of which the connection must go to; none: anywhere.
    pub subnets: Vec<IpNet>,
    /// The port that the connection must go to.
    pub port: Option<u16>,
    /// Labels that the caller's workload must have.
    pub source_labels: Vec<(Arc<str>, Arc<str>)>,
    /// Namespace that the caller's workload must be in.
    pub source_namespace: Option<Arc<str>>,
}

/// What is decided on.
#[derive(Debug, Clone, Copy)]
pub struct StreamFacts<'a> {
    /// The name that a client of TLS asks for, in lower case, empty where it asks for none; `None`: no TLS, or not known.
    pub server_name: Option<&'a str>,
    /// The address that the connection goes to, where there is one.
    pub destination: Option<IpAddr>,
    /// The port that it goes to.
    pub port: u16,
    /// Labels of the caller's workload, which the proxy stands beside.
    pub source_labels: &'a Labels,
    /// Namespace of the caller's workload.
    pub source_namespace: &'a str,
}

/// A rule that takes the connection, and the destination that the draw fell on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamDecision<'r> {
    /// The rule.
    pub rule: &'r StreamRule,
    /// The destination.
    pub destination: &'r WeightedCluster,
}

/// Decides where a connection goes; `None` where no rule takes it. `draw` is a uniformly distributed number.
pub fn decide<'r>(rules: &'r [StreamRule], facts: &StreamFacts<'_>, draw: u64) -> Option<StreamDecision<'r>> {
    let taking = rules.iter().filter_map(|rule| Some((rule, specificity(rule, facts)?)));
    // Of equals the first: `max_by_key` would take the last.
    let best = taking.fold(None, |best: Option<(&StreamRule, (u8, usize))>, (rule, rank)| match best {
        Some((_, known)) if known >= rank => best,
        _ => Some((rule, rank)),
    });
    let (rule, _) = best?;
    Some(StreamDecision { rule, destination: draw_destination(&rule.destinations, draw)? })
}

/// Whether a connection's first bytes have to be seen before it can be decided where it goes: some rule for the port asks for a
/// server name.
pub fn needs_server_name(rules: &[StreamRule], port: u16) -> bool {
    let mut matches = rules.iter().flat_map(|rule| &rule.matches);
    matches.any(|conditions| !conditions.server_names.is_empty() && conditions.port.is_none_or(|named| named == port))
}

/// How specific the server name is because of which the rule takes the connection; `None` when it does not take it.
fn specificity(rule: &StreamRule, facts: &StreamFacts<'_>) -> Option<(u8, usize)> {
    if rule.matches.is_empty() {
        return Some((0, 0));
    }
    rule.matches.iter().filter_map(|conditions| holds(conditions, facts)).max()
}

fn holds(conditions: &StreamMatch, facts: &StreamFacts<'_>) -> Option<(u8, usize)> {
    let fits = conditions.port.is_none_or(|port| port == facts.port)
        && conditions.source_namespace.as_deref().is_none_or(|namespace| namespace == facts.source_namespace)
        && conditions.source_labels.iter().all(|(key, value)| facts.source_labels.get(key) == Some(value))
        && (conditions.subnets.is_empty()
            || facts.destination.is_some_and(|address| conditions.subnets.iter().any(|net| net.contains(&address))));
    if !fits {
        return None;
    }
    if conditions.server_names.is_empty() {
        return Some((0, 0));
    }
    let name = facts.server_name?;
    let matching = conditions.server_names.iter().filter(|pattern| pattern.matches(name));
    matching.map(HostPattern::precedence).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ClusterName;

    fn rule(name: &str, matches: Vec<StreamMatch>) -> StreamRule {
        let cluster = ClusterName { host: name.into(), port: 443, subset: None };
        StreamRule {
            provenance: Provenance::new("VirtualService", "default", name),
            matches,
            destinations: vec![WeightedCluster::new(cluster, 1)],
        }
    }

    fn names(patterns: &[&str]) -> StreamMatch {
        StreamMatch {
            server_names: patterns.iter().map(|host| HostPattern::parse(host)).collect(),
            ..StreamMatch::default()
        }
    }

    fn facts<'a>(
        server_name: Option<&'static str>,
        destination: [u8; 4],
        port: u16,
        labels: &'a Labels,
    ) -> StreamFacts<'a> {
        let destination = Some(IpAddr::from(destination));
        StreamFacts { server_name, destination, port, source_labels: labels, source_namespace: "shop" }
    }

    #[test]
    fn the_most_specific_server_name_is_taken_and_the_first_of_equals() {
        let rules = [
            rule("any", vec![names(&["*"])]),
            rule("wide", vec![names(&["*.example.com"])]),
            rule("exact", vec![names(&["x.org", "a.example.com"])]),
            rule("second", vec![names(&["a.example.com"])]),
            rule("bytes", vec![StreamMatch::default()]),
        ];
        let labels = Labels::new();
        for (name, expected) in [
            (Some("a.example.com"), "exact"),
            (Some("b.example.com"), "wide"),
            (Some("a.b.example.com"), "wide"),
            (Some("example.com"), "any"),
            (Some(""), "any"),
            // What is no TLS asks for no name, and no rule for names takes it.
            (None, "bytes"),
        ] {
            let found = decide(&rules, &facts(name, [10, 0, 0, 1], 443, &labels), 0).expect("taken");
            assert_eq!(&*found.rule.provenance.name, expected, "{name:?}");
        }
    }

    #[test]
    fn every_condition_of_a_match_must_hold_and_one_match_is_enough() {
        let subnet = |net: &str| StreamMatch { subnets: vec![net.parse().unwrap()], ..StreamMatch::default() };
        let caller = StreamMatch {
            port: Some(5432),
            source_labels: vec![("app".into(), "web".into())],
            source_namespace: Some("shop".into()),
            ..StreamMatch::default()
        };
        let rules = [rule("near", vec![subnet("10.1.0.0/16"), subnet("fd00::/8")]), rule("caller", vec![caller])];
        let web = Labels::from([("app".into(), "web".into())]);
        let other = Labels::new();
        for (address, port, labels, expected) in [
            ([10, 1, 2, 3], 1, &other, Some("near")),
            ([10, 2, 2, 3], 5432, &web, Some("caller")),
            ([10, 2, 2, 3], 5432, &other, None),
            ([10, 2, 2, 3], 5433, &web, None),
        ] {
            let found = decide(&rules, &facts(None, address, port, labels), 0);
            assert_eq!(found.map(|found| &*found.rule.provenance.name), expected, "{address:?} {port}");
        }
        let elsewhere = StreamFacts { source_namespace: "bank", ..facts(None, [10, 2, 2, 3], 5432, &web) };
        assert!(decide(&rules, &elsewhere, 0).is_none());
        let nowhere = StreamFacts { destination: None, ..facts(None, [10, 1, 2, 3], 1, &other) };
        assert!(decide(&rules, &nowhere, 0).is_none());
    }

    #[test]
    fn destinations_are_drawn_by_weight() {
        let cluster = |host: &str| ClusterName { host: host.into(), port: 9000, subset: None };
        let destinations = vec![WeightedCluster::new(cluster("a"), 80), WeightedCluster::new(cluster("b"), 20)];
        let rules = [StreamRule { destinations, ..rule("split", Vec::new()) }];
        let labels = Labels::new();
        let to = |draw: u64| {
            let found = decide(&rules, &facts(None, [10, 0, 0, 1], 1, &labels), draw).expect("taken");
            found.destination.cluster.host.to_string()
        };
        let hundredth = u64::MAX / 100;
        assert_eq!([0, 79, 81, 99].map(|part| to(part * hundredth)), ["a", "a", "b", "b"]);
    }

    #[test]
    fn only_rules_for_server_names_need_the_first_bytes() {
        let at = |port: u16| StreamMatch { port: Some(port), ..names(&["a.com"]) };
        let rules = [rule("tls", vec![at(443)]), rule("tcp", vec![StreamMatch::default()])];
        assert!(needs_server_name(&rules, 443) && !needs_server_name(&rules, 5432));
    }
}
