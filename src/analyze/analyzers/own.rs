//! What this mesh knows and Istio's analyzers do not look for.

use std::collections::BTreeMap;

use super::virtual_service_hosts::is_for_mesh;
use crate::analyze::Found;
use crate::analyze::codes::{
    DESTINATION_RULE_CONFLICT, HOST_OF_OTHER_NAMESPACE, NOT_IN_FORCE, SERVICE_ENTRY_CAPTURES_MORE,
    SERVICE_ENTRY_CONFLICT,
};
use crate::analyze::hosts::qualified;
use crate::analyze::message::place;
use crate::analyze::object::Object;
use crate::analyze::snapshot::Snapshot;
use crate::resources::{enforcement, kinds};

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
            let text = format!("{} {}{refused}.", hit.path, hit.sentence(kind));
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
        rules.sort_by_key(|rule| age(rule));
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

/// The order in which objects that claim the same win.
fn age(object: &Object) -> impl Ord + use<'_> {
    let created = object.text("/metadata/creationTimestamp");
    (created.is_empty(), created, &*object.name, &*object.namespace)
}

/// ServiceEntries for a host that is somebody else's already: a Service's, or an older ServiceEntry's.
pub fn claimed_hosts(snapshot: &Snapshot, found: &mut Found) {
    let mut entries: Vec<&Object> = snapshot.all("ServiceEntry").iter().collect();
    entries.sort_by_key(|entry| age(entry));
    let mut claims: BTreeMap<String, Vec<&Object>> = BTreeMap::new();
    for entry in entries {
        for (index, host) in entry.texts("/spec/hosts").into_iter().enumerate() {
            let host = host.to_ascii_lowercase();
            let place = place!["spec", "hosts", index];
            let own = host.strip_suffix(".svc.cluster.local").and_then(|rest| rest.split_once('.'));
            let service = own.and_then(|(name, namespace)| snapshot.find("Service", namespace, name));
            // What stands for an installation in files is written by nobody.
            let is_written =
                |service: &&Object| service.is_from_file() || *service.namespace != *snapshot.options.istio_namespace;
            let service = service.filter(is_written);
            let earlier = claims.entry(host.clone()).or_default();
            let beside = earlier.iter().find(|other| other.namespace == entry.namespace);
            let text = match (service, beside, earlier.first()) {
                (Some(service), ..) => Some(format!(
                    "{host} is the Service {}, which goes first: nothing of this ServiceEntry holds for it.",
                    service.full_name()
                )),
                (None, Some(other), _) => Some(format!(
                    "{host} is also a host of {}, which goes first: of this ServiceEntry nothing holds for it. Make one of the two.",
                    other.full_name()
                )),
                (None, None, Some(other)) if is_public(entry) && is_public(other) => Some(format!(
                    "{host} is also a host of {}, which goes first: this ServiceEntry's holds for clients of {} alone. Set exportTo to \".\" in one of the two.",
                    other.full_name(),
                    entry.namespace
                )),
                _ => None,
            };
            if let Some(text) = text {
                found.at(SERVICE_ENTRY_CONFLICT, entry, &place, text);
            }
            earlier.push(entry);
        }
    }
}

/// Whether everybody sees the object.
fn is_public(object: &Object) -> bool {
    let exported = object.texts("/spec/exportTo");
    exported.is_empty() || exported.contains(&"*")
}

/// VirtualServices for another namespace's Services, seen by everybody: they change what all clients get.
pub fn other_namespaces(snapshot: &Snapshot, found: &mut Found) {
    for service in snapshot.all("VirtualService").iter().filter(|service| is_for_mesh(service)) {
        if !is_public(service) {
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
            if network.prefix_len() == 0 {
                let text = format!("{address} holds every address: all traffic on these ports is taken.");
                found.at(SERVICE_ENTRY_CAPTURES_MORE, entry, &place!["spec", "addresses", index], text);
                continue;
            }
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
