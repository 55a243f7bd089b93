//! DestinationRules: servers that are not checked, hosts that are not known, subsets that are empty.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::analyze::Found;
use crate::analyze::codes::{
    DESTINATION_RULE_SUBSET_NOT_SELECT_PODS, NO_SERVER_CERTIFICATE_VERIFICATION_DESTINATION_LEVEL,
    NO_SERVER_CERTIFICATE_VERIFICATION_PORT_LEVEL, UNKNOWN_DESTINATION_RULE_HOST,
};
use crate::analyze::hosts::Hosts;
use crate::analyze::message::place;
use crate::analyze::object::{Object, items, map, text};
use crate::analyze::snapshot::Snapshot;

/// TLS to servers whose certificates are checked against nothing.
pub fn unchecked_servers(snapshot: &Snapshot, found: &mut Found) {
    for rule in snapshot.all("DestinationRule") {
        let selects = rule.at("/spec/workloadSelector").is_some();
        let unchecked = |tls: &Value| {
            // The secret of a gateway, or of selected sidecars, may hold the authorities.
            let by_secret = selects && !text(tls, "/credentialName").is_empty();
            matches!(text(tls, "/mode"), "SIMPLE" | "MUTUAL") && text(tls, "/caCertificates").is_empty() && !by_secret
        };
        let host = rule.text("/spec/host");
        if let Some(tls) = rule.at("/spec/trafficPolicy/tls").filter(|tls| unchecked(tls)) {
            let text = format!(
                "TLS to {host} (mode {}) checks the server against no authority: set caCertificates.",
                text(tls, "/mode")
            );
            let place = place!["spec", "trafficPolicy", "tls"];
            found.at(NO_SERVER_CERTIFICATE_VERIFICATION_DESTINATION_LEVEL, rule, &place, text);
        }
        for (index, port) in rule.items("/spec/trafficPolicy/portLevelSettings").iter().enumerate() {
            let Some(tls) = port.get("tls").filter(|tls| unchecked(tls)) else { continue };
            let number = port.pointer("/port/number").and_then(Value::as_u64).unwrap_or_default();
            let text = format!(
                "TLS to {host}, port {number} (mode {}), checks the server against no authority: set caCertificates.",
                text(tls, "/mode")
            );
            let place = place!["spec", "trafficPolicy", "portLevelSettings", index, "tls"];
            found.at(NO_SERVER_CERTIFICATE_VERIFICATION_PORT_LEVEL, rule, &place, text);
        }
    }
}

/// Where a node is, as labels that a subset can select by.
const TOPOLOGY: &[&str] = &[
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "topology.istio.io/subzone",
    "kubernetes.io/hostname",
];

/// Hosts that nobody knows, and subsets that select no pod.
pub fn subsets(snapshot: &Snapshot, found: &mut Found) {
    let hosts = Hosts::new(snapshot);
    let nodes: BTreeMap<&str, &Object> = snapshot.all("Node").iter().map(|node| (&*node.name, node)).collect();
    // A pod's labels, and where its node is.
    let labels_of = |pod: &'_ Object| -> Vec<(String, String)> {
        let own = pod.labels();
        let node = nodes.get(pod.text("/spec/nodeName")).map(|node| node.labels()).unwrap_or_default();
        let place = node.iter().filter(|(key, value)| TOPOLOGY.contains(key) && !value.is_empty());
        own.iter().chain(place).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    for rule in snapshot.all("DestinationRule") {
        let exported = rule.texts("/spec/exportTo");
        let host = rule.text("/spec/host");
        let Some(known) = hosts.find(host, &rule.namespace, &exported) else {
            if !host.starts_with('*') {
                let text =
                    format!("The host {host} is not known: there is no Service and no ServiceEntry of that name.");
                found.at(UNKNOWN_DESTINATION_RULE_HOST, rule, &place!["spec", "host"], text);
            }
            continue;
        };
        let base = match &*known.object.kind {
            "ServiceEntry" => known.object.map("/spec/workloadSelector/labels"),
            _ => known.object.map("/spec/selector"),
        };
        let namespace = &known.object.namespace;
        let pods = snapshot.selected(&base, Some(namespace)).into_iter().map(&labels_of);
        let machines =
            snapshot.all("WorkloadEntry").iter().filter(|entry| entry.namespace == *namespace).map(|entry| {
                let own = entry.labels().into_iter().chain(entry.map("/spec/labels"));
                own.map(|(key, value)| (key.to_owned(), value.to_owned())).collect::<Vec<_>>()
            });
        let is_of_base = |labels: &Vec<(String, String)>| {
            base.iter().all(|(key, value)| labels.iter().any(|(held, with)| held == key && with == value))
        };
        let pods: Vec<Vec<(String, String)>> = pods.chain(machines.filter(is_of_base)).collect();
        let any = |labels: &BTreeMap<&str, &str>| {
            pods.iter().any(|pod| {
                labels.iter().all(|(key, value)| pod.iter().any(|(held, with)| held == key && with == value))
            })
        };
        // Endpoints that are listed have their labels in the list.
        let listed: Vec<_> = items(known.object.value(), "/spec/endpoints").iter().map(|e| map(e, "/labels")).collect();
        for (index, subset) in rule.items("/spec/subsets").iter().enumerate() {
            let labels = map(subset, "/labels");
            if labels.is_empty() {
                continue;
            }
            let in_list = listed.iter().any(|endpoint| crate::analyze::object::selects(&labels, endpoint));
            if !in_list && !any(&labels) {
                let name = text(subset, "/name");
                let text = format!("The subset {name} selects no pod: requests for it fail.");
                found.at(DESTINATION_RULE_SUBSET_NOT_SELECT_PODS, rule, &place!["spec", "subsets", index], text);
            }
        }
    }
}
