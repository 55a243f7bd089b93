//! VirtualServices that claim one host in sidecars, where only one of them holds.

use std::collections::{BTreeMap, BTreeSet};

use crate::analyze::Found;
use crate::analyze::codes::CONFLICTING_MESH_GATEWAY_VIRTUAL_SERVICE_HOSTS;
use crate::analyze::hosts::{EVERYBODY, overlap, qualified, scopes};
use crate::analyze::message::place;
use crate::analyze::object::Object;
use crate::analyze::snapshot::Snapshot;

/// Whether sidecars apply it.
pub fn is_for_mesh(service: &Object) -> bool {
    let gateways = service.texts("/spec/gateways");
    gateways.is_empty() || gateways.contains(&"mesh")
}

/// By scope, then by host: who claims it.
type Claims<'s> = BTreeMap<&'s str, BTreeMap<String, Vec<&'s Object>>>;

/// All of them, each once.
pub fn run(snapshot: &Snapshot, found: &mut Found) {
    let services: Vec<(&Object, Vec<&str>)> = snapshot
        .all("VirtualService")
        .iter()
        .filter(|service| is_for_mesh(service))
        .map(|service| (service, service.texts("/spec/exportTo")))
        .collect();
    let mut claims = Claims::new();
    for (service, targets) in &services {
        for scope in scopes(targets, &service.namespace) {
            for host in service.texts("/spec/hosts") {
                let users = claims.entry(scope).or_default().entry(qualified(host, &service.namespace)).or_default();
                if !users.last().is_some_and(|last| std::ptr::eq(*last, *service)) {
                    users.push(service);
                }
            }
        }
    }
    let nobody = BTreeMap::new();
    let public = claims.get(EVERYBODY).unwrap_or(&nobody);
    let wildcards: Vec<(&String, &Vec<&Object>)> = public.iter().filter(|(host, _)| host.starts_with('*')).collect();
    let mut noted: BTreeSet<String> = BTreeSet::new();
    for (scope, hosts) in &claims {
        for (host, own) in hosts {
            let mut users = own.clone();
            if *scope != EVERYBODY {
                // In a namespace, what is for everybody holds too; a name that a wildcard covers is the wildcard's as well.
                if host.starts_with('*') {
                    users.extend(public.iter().filter(|(other, _)| overlap(other, host)).flat_map(|(_, users)| users));
                } else {
                    users.extend(public.get(host).into_iter().flatten());
                    users.extend(
                        wildcards.iter().filter(|(other, _)| overlap(other, host)).flat_map(|(_, users)| *users),
                    );
                }
            }
            let names: BTreeSet<String> = users.iter().map(|user| user.full_name()).collect();
            if names.len() < 2 {
                continue;
            }
            let listed = names.iter().cloned().collect::<Vec<_>>().join(", ");
            for user in users {
                if noted.insert(user.full_name()) {
                    let text = format!(
                        "{listed} claim {scope}/{host} in sidecars: the oldest holds, the others have no effect."
                    );
                    found.at(CONFLICTING_MESH_GATEWAY_VIRTUAL_SERVICE_HOSTS, user, &place!["metadata", "name"], text);
                }
            }
        }
    }
}
