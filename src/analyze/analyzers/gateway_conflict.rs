//! Gateways of one proxy that serve the same hosts on one port.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::analyze::Found;
use crate::analyze::codes::CONFLICTING_GATEWAYS;
use crate::analyze::message::place;
use crate::analyze::object::{Labels, Object, items, selects, text};
use crate::analyze::snapshot::Snapshot;

/// A port, an address and a host that a Gateway claims.
type Claim<'s> = (u64, &'s str, &'s str);

/// With whom a Gateway is in conflict, and about which hosts.
#[derive(Default)]
struct Conflict<'s> {
    others: BTreeSet<usize>,
    hosts: BTreeSet<&'s str>,
}

/// All pairs, from both sides.
pub fn run(snapshot: &Snapshot, found: &mut Found) {
    let gateways: Vec<(&Object, Labels<'_>)> =
        snapshot.gateways().map(|gateway| (gateway, gateway.map("/spec/selector"))).collect();
    let mut claims: BTreeMap<Claim<'_>, Vec<usize>> = BTreeMap::new();
    for (index, (gateway, selector)) in gateways.iter().enumerate() {
        let servers = gateway.items("/spec/servers");
        if servers.is_empty() && snapshot.selected(selector, None).is_empty() {
            super::no_such_selector(gateway, selector, &["spec", "selector"], found);
        }
        for server in servers {
            let port = server.pointer("/port/number").and_then(Value::as_u64).unwrap_or_default();
            for host in items(server, "/hosts").iter().filter_map(Value::as_str) {
                let users = claims.entry((port, text(server, "/bind"), host)).or_default();
                if users.last() != Some(&index) {
                    users.push(index);
                }
            }
        }
    }
    let mut conflicts: BTreeMap<(usize, u64), Conflict<'_>> = BTreeMap::new();
    for ((port, _, host), users) in claims.iter().filter(|(_, users)| users.len() > 1) {
        for &one in users {
            for &other in users.iter().filter(|other| **other != one) {
                if share_pods(snapshot, &gateways, one, other) {
                    let conflict = conflicts.entry((one, *port)).or_default();
                    conflict.others.insert(other);
                    conflict.hosts.insert(host);
                }
            }
        }
    }
    for ((one, port), Conflict { others, hosts }) in conflicts {
        let Some((gateway, _)) = gateways.get(one) else { continue };
        let names: Vec<String> =
            others.iter().filter_map(|other| gateways.get(*other)).map(|(other, _)| other.full_name()).collect();
        let hosts: Vec<&str> = hosts.into_iter().collect();
        let text = format!(
            "{} also claims port {port} for {} at the same proxies: one of them is not served.",
            names.join(", "),
            hosts.join(", ")
        );
        found.at(CONFLICTING_GATEWAYS, gateway, &place!["metadata", "name"], text);
    }
}

/// Whether two Gateways are served by one pod: their selectors are equal, or nested and some pod has all of the labels.
fn share_pods(snapshot: &Snapshot, gateways: &[(&Object, Labels<'_>)], one: usize, other: usize) -> bool {
    let (Some((_, one)), Some((_, other))) = (gateways.get(one), gateways.get(other)) else { return false };
    let narrower = if selects(one, other) {
        other
    } else if selects(other, one) {
        one
    } else {
        return false;
    };
    one == other || !snapshot.selected(narrower, None).is_empty()
}
