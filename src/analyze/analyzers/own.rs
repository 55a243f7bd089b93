//! What this mesh knows and Istio's analyzers do not look for.

use std::collections::BTreeMap;

use serde_json::Value;

use super::virtual_service_hosts::is_for_mesh;
use crate::analyze::Found;
use crate::analyze::codes::{
    DESTINATION_RULE_CONFLICT, HOST_OF_OTHER_NAMESPACE, NOT_IN_FORCE, REGEX_LOOKS_LIKE_GLOB,
    SERVICE_ENTRY_CAPTURES_MORE,
};
use crate::analyze::hosts::qualified;
use crate::analyze::message::{below, place};
use crate::analyze::object::{Object, items};
use crate::analyze::snapshot::Snapshot;
use crate::resources::{enforcement, kinds};
use crate::yaml::{Path, Segment};

/// What objects say and this mesh does not do yet.
pub fn not_in_force(snapshot: &Snapshot, found: &mut Found) {
    for object in snapshot.objects() {
        let Some(kind) = kinds::of(object.value()).filter(|kind| kind.support == kinds::Support::Configuration) else {
            continue;
        };
        for hit in enforcement::hits(kind, object.value()) {
            let refused = match hit.consequence {
                enforcement::Consequence::Refused => ", so that the object is refused",
                _ => "",
            };
            let text = format!("{} is not in force yet: {}{refused}.", hit.path, hit.instead);
            found.at(NOT_IN_FORCE, object, &hit.path, text);
        }
    }
}

/// Several DestinationRules of one namespace for one host: their subsets are merged, and of their policies one holds.
pub fn destination_rules(snapshot: &Snapshot, found: &mut Found) {
    let mut claims: BTreeMap<(&str, String), Vec<&Object>> = BTreeMap::new();
    for rule in snapshot.all("DestinationRule").iter().filter(|rule| rule.at("/spec/workloadSelector").is_none()) {
        let host = qualified(rule.text("/spec/host"), &rule.namespace);
        claims.entry((&rule.namespace, host)).or_default().push(rule);
    }
    for ((_, host), mut rules) in claims.into_iter().filter(|(_, rules)| rules.len() > 1) {
        rules.sort_by_key(|rule| {
            let created = rule.text("/metadata/creationTimestamp");
            (created.is_empty(), created, rule.name.clone())
        });
        let Some((first, others)) = rules.split_first() else { continue };
        for other in others.iter().filter(|other| other.at("/spec/trafficPolicy").is_some()) {
            let text = format!(
                "{} is also for {host} and comes first: of this one, only the subsets count, and its trafficPolicy has no effect.",
                first.full_name()
            );
            found.at(DESTINATION_RULE_CONFLICT, other, &place!["spec", "trafficPolicy"], text);
        }
    }
}

/// VirtualServices for another namespace's Services, seen by everybody: they change what all clients get.
pub fn other_namespaces(snapshot: &Snapshot, found: &mut Found) {
    for service in snapshot.all("VirtualService").iter().filter(|service| is_for_mesh(service)) {
        let exported = service.texts("/spec/exportTo");
        if !exported.is_empty() && !exported.contains(&"*") {
            continue;
        }
        for (index, host) in service.texts("/spec/hosts").into_iter().enumerate() {
            let host = qualified(host, &service.namespace);
            let Some(rest) = host.strip_suffix(".svc.cluster.local") else { continue };
            let Some((name, namespace)) = rest.split_once('.') else { continue };
            if *namespace != *service.namespace && snapshot.find("Service", namespace, name).is_some() {
                let text = format!(
                    "{host} is a Service of the namespace {namespace}, and these rules hold for every client of it: move them there, or set exportTo to \".\"."
                );
                found.at(HOST_OF_OTHER_NAMESPACE, service, &place!["spec", "hosts", index], text);
            }
        }
    }
}

/// Regular expressions that look like globs, or like nothing that needs one.
pub fn regexes(snapshot: &Snapshot, found: &mut Found) {
    for service in snapshot.all("VirtualService") {
        for list in ["http"] {
            for (index, rule) in service.items(&format!("/spec/{list}")).iter().enumerate() {
                for (at, conditions) in items(rule, "/match").iter().enumerate() {
                    let base = place!["spec", list, index, "match", at];
                    each_regex(conditions, &base, 0, &mut |place, regex| {
                        if let Some(text) = looks_like(regex) {
                            found.at(REGEX_LOOKS_LIKE_GLOB, service, place, text);
                        }
                    });
                }
            }
        }
    }
}

/// Every `regex` in a match, which nests no deeper than headers do.
fn each_regex(value: &Value, place: &Path, depth: usize, visit: &mut impl FnMut(&Path, &str)) {
    const DEEPEST: usize = 4;

    for (key, inner) in value.as_object().into_iter().flatten().filter(|_| depth < DEEPEST) {
        let place = below(place, [Segment::from(key.as_str())]);
        match inner {
            Value::String(regex) if key == "regex" => visit(&place, regex),
            _ => each_regex(inner, &place, depth + 1, visit),
        }
    }
}

/// What is said of an expression that does not mean what it looks like.
fn looks_like(regex: &str) -> Option<String> {
    let star = regex.match_indices('*').find(|(at, _)| {
        let mut before = regex.get(..*at).unwrap_or_default().chars().rev();
        let repeated = before.next().is_some_and(|c| matches!(c, '/' | '-' | '_') || c.is_ascii_alphanumeric());
        // A class, as in `\d*`, is meant to be repeated.
        repeated && before.next() != Some('\\')
    });
    if let Some((at, _)) = star {
        let repeated = regex.get(..at).and_then(|before| before.chars().next_back()).unwrap_or_default();
        return Some(format!(
            "In {regex:?}, the `*` repeats the {repeated:?} before it and stands for nothing else: for anything, write `.*`."
        ));
    }
    let plain = !regex.is_empty() && !regex.contains(['\\', '^', '$', '.', '|', '?', '*', '+', '(', '[', '{']);
    plain.then(|| format!("{regex:?} has nothing of a regular expression, and matches this text alone: write exact, or prefix if that is meant."))
}

/// ServiceEntries whose addresses are other Services'.
pub fn service_entries(snapshot: &Snapshot, found: &mut Found) {
    let mut held: Vec<(std::net::IpAddr, &Object)> = Vec::new();
    for service in snapshot.all("Service") {
        let single = service.text("/spec/clusterIP");
        let all = service.texts("/spec/clusterIPs");
        let addresses = all.into_iter().chain(std::iter::once(single)).filter_map(|address| address.parse().ok());
        held.extend(addresses.map(|address| (address, service)));
    }
    held.sort_by_key(|(address, _)| *address);
    held.dedup_by_key(|(address, _)| *address);
    for entry in snapshot.all("ServiceEntry") {
        for (index, address) in entry.texts("/spec/addresses").into_iter().enumerate() {
            let Ok(block) = address.parse::<crate::resources::authorization_values::IpBlock>() else { continue };
            let network = block.get();
            let from = held.partition_point(|(address, _)| *address < network.network());
            let Some((taken, service)) = held.get(from).filter(|(address, _)| network.contains(address)) else {
                continue;
            };
            let text = format!(
                "{address} holds {taken}, which is the address of the Service {}: its traffic is taken too.",
                service.full_name()
            );
            found.at(SERVICE_ENTRY_CAPTURES_MORE, entry, &place!["spec", "addresses", index], text);
        }
    }
}
