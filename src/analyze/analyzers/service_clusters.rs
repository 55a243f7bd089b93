//! Services that are different from cluster to cluster.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::analyze::Found;
use crate::analyze::codes::MULTI_CLUSTER_INCONSISTENT_SERVICE;
use crate::analyze::object::{Object, text};
use crate::analyze::snapshot::Snapshot;

/// One message for each of them.
pub fn run(snapshot: &Snapshot, found: &mut Found) {
    let mut services: BTreeMap<(&str, &str), Vec<&Object>> = BTreeMap::new();
    for service in snapshot.all("Service") {
        services.entry((&service.namespace, &service.name)).or_default().push(service);
    }
    for versions in services.values().filter(|versions| versions.len() > 1) {
        let differences: Vec<&str> = [
            (
                "headless in some",
                different(versions, |service| (service.text("/spec/clusterIP") == "None").to_string()),
            ),
            ("of different types", different(versions, kind)),
            ("with different ports", different(versions, ports)),
        ]
        .into_iter()
        .filter_map(|(difference, is_so)| is_so.then_some(difference))
        .collect();
        let Some(service) = versions.first().filter(|_| !differences.is_empty()) else { continue };
        let clusters: BTreeSet<&str> = versions.iter().filter_map(|service| service.cluster.as_deref()).collect();
        let clusters: Vec<&str> = clusters.into_iter().collect();
        let text =
            format!("The Service is not the same in the clusters {}: {}.", clusters.join(", "), differences.join("; "));
        found.note(MULTI_CLUSTER_INCONSISTENT_SERVICE, service, text);
    }
}

fn different(versions: &[&Object], of: impl Fn(&Object) -> String) -> bool {
    let seen: BTreeSet<String> = versions.iter().map(|service| of(service)).collect();
    seen.len() > 1
}

fn kind(service: &Object) -> String {
    match service.text("/spec/type") {
        "" => "ClusterIP".to_owned(),
        named => named.to_owned(),
    }
}

/// The ports, in the order of their names.
fn ports(service: &Object) -> String {
    let mut ports: Vec<String> = service
        .items("/spec/ports")
        .iter()
        .map(|port| {
            let protocol = match text(port, "/protocol") {
                "" => "TCP",
                named => named,
            };
            let number = port.get("port").and_then(Value::as_u64).unwrap_or_default();
            let target = port.get("targetPort").map(Value::to_string).unwrap_or_default();
            format!("{} {number} {target} {protocol} {}", text(port, "/name"), text(port, "/appProtocol"))
        })
        .collect();
    ports.sort_unstable();
    ports.join(",")
}
