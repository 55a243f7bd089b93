//! ServiceEntries that need addresses, and those that disagree about a port.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::analyze::Found;
use crate::analyze::codes::{CONFLICTING_SERVICE_ENTRY_PROTOCOL, SERVICE_ENTRY_ADDRESSES_REQUIRED};
use crate::analyze::hosts::{EVERYBODY, qualified, scopes};
use crate::analyze::message::place;
use crate::analyze::object::{Object, text};
use crate::analyze::snapshot::Snapshot;

/// TCP ports of services without addresses: there is nothing to tell their traffic by.
pub fn addresses(snapshot: &Snapshot, found: &mut Found) {
    let is_on = |name: &str| text(&snapshot.mesh_config, &format!("/defaultConfig/proxyMetadata/{name}")) == "true";
    let allocated = is_on("ISTIO_META_DNS_CAPTURE")
        && (is_on("ISTIO_META_DNS_AUTO_ALLOCATE") || is_on("PILOT_ENABLE_IP_AUTOALLOCATE"));
    if allocated {
        return;
    }
    for entry in snapshot.all("ServiceEntry") {
        if !entry.items("/spec/addresses").is_empty() || !entry.items("/status/addresses").is_empty() {
            continue;
        }
        let tcp = |port: &Value| matches!(text(port, "/protocol").to_ascii_uppercase().as_str(), "" | "TCP");
        if let Some(index) = entry.items("/spec/ports").iter().position(tcp) {
            let text = "A port speaks TCP, or nothing that is named, and there are no addresses: its traffic can't be told from others'. Set addresses, or name a protocol that names hosts.";
            found.at(SERVICE_ENTRY_ADDRESSES_REQUIRED, entry, &place!["spec", "ports", index, "name"], text);
        }
    }
}

/// Ports of one host with different protocols, where one client sees both.
pub fn protocols(snapshot: &Snapshot, found: &mut Found) {
    /// By scope: who says which protocol.
    type Said<'s> = BTreeMap<&'s str, Vec<(&'s Object, String)>>;

    let mut ports: BTreeMap<(String, u64), Said<'_>> = BTreeMap::new();
    for entry in snapshot.all("ServiceEntry") {
        let targets = entry.texts("/spec/exportTo");
        for host in entry.texts("/spec/hosts") {
            for port in entry.items("/spec/ports") {
                let Some(number) = port.get("number").and_then(Value::as_u64) else { continue };
                let protocol = match text(port, "/protocol").to_ascii_uppercase() {
                    empty if empty.is_empty() => "TCP".to_owned(),
                    named => named,
                };
                let said = ports.entry((qualified(host, &entry.namespace), number)).or_default();
                for scope in scopes(&targets, &entry.namespace) {
                    said.entry(scope).or_default().push((entry, protocol.clone()));
                }
            }
        }
    }
    let mut noted: BTreeSet<(String, String)> = BTreeSet::new();
    for ((host, port), said) in &ports {
        let public = said.get(EVERYBODY).map_or(&[][..], Vec::as_slice);
        for (scope, own) in said {
            let seen: Vec<&(&Object, String)> =
                if *scope == EVERYBODY { own.iter().collect() } else { own.iter().chain(public).collect() };
            let protocols: BTreeSet<&str> = seen.iter().map(|(_, protocol)| protocol.as_str()).collect();
            if protocols.len() < 2 {
                continue;
            }
            let names: BTreeSet<String> = seen.iter().map(|(entry, _)| entry.full_name()).collect();
            let names = names.into_iter().collect::<Vec<_>>().join(", ");
            let protocols = protocols.into_iter().collect::<Vec<_>>().join(", ");
            for (entry, _) in seen {
                if noted.insert((format!("{host}:{port}"), entry.full_name())) {
                    let text =
                        format!("{names} say that {host}, port {port}, speaks {protocols}: only one of them holds.");
                    found.note(CONFLICTING_SERVICE_ENTRY_PROTOCOL, entry, text);
                }
            }
        }
    }
}
