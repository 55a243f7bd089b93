//! Destinations of VirtualServices: hosts, ports and subsets that are not there.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::analyze::Found;
use crate::analyze::codes::{
    INGRESS_ROUTE_RULES_NOT_AFFECTED, REFERENCED_RESOURCE_NOT_FOUND, VIRTUAL_SERVICE_DESTINATION_PORT_SELECTOR_REQUIRED,
};
use crate::analyze::hosts::{Hosts, overlap, qualified};
use crate::analyze::message::place;
use crate::analyze::object::{Object, items, text};
use crate::analyze::snapshot::Snapshot;
use crate::yaml::Path;

/// A destination of a rule.
pub struct Destination<'o> {
    /// Where it stands.
    pub place: Path,
    /// Whether it only gets copies.
    pub mirror: bool,
    /// What it says.
    pub value: &'o Value,
}

impl<'o> Destination<'o> {
    /// Its host, as it was written.
    pub fn host(&self) -> &'o str {
        text(self.value, "/host")
    }

    /// Its subset; empty if it has none.
    pub fn subset(&self) -> &'o str {
        text(self.value, "/subset")
    }
}

/// The destinations of a VirtualService, in order; one that is missing where it has to be is null.
pub fn destinations(service: &Object) -> Vec<Destination<'_>> {
    let mut found = Vec::new();
    for list in ["http", "tls", "tcp"] {
        for (rule_index, rule) in service.items(&format!("/spec/{list}")).iter().enumerate() {
            let routes = items(rule, "/route").iter().enumerate().map(|(index, route)| {
                let place = place!["spec", list, rule_index, "route", index, "destination"];
                Destination { place, mirror: false, value: route.get("destination").unwrap_or(&Value::Null) }
            });
            let mirrors = items(rule, "/mirrors").iter().enumerate().filter_map(|(index, mirror)| {
                let place = place!["spec", list, rule_index, "mirrors", index, "destination"];
                Some(Destination { place, mirror: true, value: mirror.get("destination")? })
            });
            let mirror = rule.get("mirror").into_iter().map(|value| {
                let place = place!["spec", list, rule_index, "mirror"];
                Destination { place, mirror: true, value }
            });
            found.extend(routes.chain(mirror).chain(mirrors));
        }
    }
    found
}

/// Hosts and ports that are not there, and rules of the edge that differ from those of the mesh.
pub fn hosts(snapshot: &Snapshot, found: &mut Found) {
    let known = Hosts::new(snapshot);
    for service in snapshot.all("VirtualService") {
        let exported = service.texts("/spec/exportTo");
        for destination in destinations(service) {
            judge(&known, service, &exported, &destination, found);
        }
    }
    edge(snapshot, found);
}

fn judge(known: &Hosts<'_>, service: &Object, exported: &[&str], destination: &Destination<'_>, found: &mut Found) {
    let host = destination.host();
    let place = destination.place.key("host");
    let what = if destination.mirror { "mirror host" } else { "host" };
    if host.is_empty() {
        let text = "The destination names no host.";
        found.at(REFERENCED_RESOURCE_NOT_FOUND, service, &destination.place, text);
        return;
    }
    let Some(target) = known.find(host, &service.namespace, exported) else {
        let text = format!(
            "The {what} {host} is not known: there is no Service and no ServiceEntry of that name that clients of the rule see."
        );
        found.at(REFERENCED_RESOURCE_NOT_FOUND, service, &place, text);
        return;
    };
    let ports = target.ports();
    match destination.value.pointer("/port/number").and_then(Value::as_u64).filter(|number| *number != 0) {
        None if ports.len() > 1 => {
            let numbers: Vec<String> = ports.iter().map(|(number, _)| number.to_string()).collect();
            let text = format!("{host} has the ports {}: say which of them is meant.", numbers.join(", "));
            found.at(VIRTUAL_SERVICE_DESTINATION_PORT_SELECTOR_REQUIRED, service, &place, text);
        }
        Some(wanted) if !ports.iter().any(|(number, _)| *number == wanted) => {
            let text = format!("{host} has no port {wanted}.");
            found.at(REFERENCED_RESOURCE_NOT_FOUND, service, &place, text);
        }
        _ => {}
    }
}

/// A gateway's rules that send requests to a service as a whole, while a VirtualService of the service chooses subsets of it:
/// what comes in at the edge is not subject to the latter.
fn edge(snapshot: &Snapshot, found: &mut Found) {
    // By service: the VirtualServices that choose a subset of it.
    let mut choosing: BTreeMap<String, Vec<&Object>> = BTreeMap::new();
    for service in snapshot.all("VirtualService") {
        let hosts: Vec<String> =
            service.texts("/spec/hosts").into_iter().map(|host| qualified(host, &service.namespace)).collect();
        for destination in destinations(service).iter().filter(|destination| !destination.subset().is_empty()) {
            let target = qualified(destination.host(), &service.namespace);
            if hosts.contains(&target) {
                choosing.entry(target).or_default().push(service);
            }
        }
    }
    for service in snapshot.all("VirtualService") {
        if !service.texts("/spec/gateways").iter().any(|gateway| *gateway != "mesh") {
            continue;
        }
        let mut said: Vec<String> = Vec::new();
        for destination in destinations(service).iter().filter(|one| one.subset().is_empty() && !one.host().is_empty())
        {
            let target = qualified(destination.host(), &service.namespace);
            let others = choosing.get(&target).map_or(&[][..], Vec::as_slice);
            let Some(other) = others.iter().find(|other| !std::ptr::eq(**other, service)) else { continue };
            if !said.contains(&target) {
                let text = format!(
                    "Requests that come in at a gateway go to all of {}: the subsets that {} chooses hold inside the mesh only. Name the subset here too.",
                    destination.host(),
                    other.full_name()
                );
                found.at(INGRESS_ROUTE_RULES_NOT_AFFECTED, service, &destination.place.key("host"), text);
                said.push(target);
            }
        }
    }
}

/// Subsets that no DestinationRule has.
pub fn subsets(snapshot: &Snapshot, found: &mut Found) {
    let rules: Vec<(String, Vec<&str>)> = snapshot
        .all("DestinationRule")
        .iter()
        .map(|rule| {
            let subsets = rule.items("/spec/subsets").iter().map(|subset| text(subset, "/name")).collect();
            (qualified(rule.text("/spec/host"), &rule.namespace), subsets)
        })
        .collect();
    for service in snapshot.all("VirtualService") {
        for destination in destinations(service).iter().filter(|destination| !destination.subset().is_empty()) {
            let host = qualified(destination.host(), &service.namespace);
            let subset = destination.subset();
            if !rules.iter().any(|(covered, subsets)| overlap(covered, &host) && subsets.contains(&subset)) {
                let what = if destination.mirror { "mirror" } else { "destination" };
                let text = format!(
                    "No DestinationRule of {} has the subset {subset}: requests to this {what} fail.",
                    destination.host()
                );
                found.at(REFERENCED_RESOURCE_NOT_FOUND, service, &destination.place.key("subset"), text);
            }
        }
    }
}
