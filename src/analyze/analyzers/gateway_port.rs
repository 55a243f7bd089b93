//! Gateways whose ports their Service does not open.

use serde_json::Value;

use crate::analyze::Found;
use crate::analyze::codes::GATEWAY_PORT_NOT_DEFINED_ON_SERVICE;
use crate::analyze::message::place;
use crate::analyze::object::{Object, items, selects, text};
use crate::analyze::snapshot::Snapshot;

/// Ports that no Service of the Gateway's pods has, and Gateways without pods.
pub fn run(snapshot: &Snapshot, found: &mut Found) {
    for gateway in snapshot.gateways() {
        let selector = gateway.map("/spec/selector");
        let pods = snapshot.selected(&selector, None);
        if pods.is_empty() {
            super::no_such_selector(gateway, &selector, &["spec", "selector"], found);
            continue;
        }
        let open = ports(snapshot, &pods);
        for (index, server) in gateway.items("/spec/servers").iter().enumerate() {
            let Some(number) = server.pointer("/port/number").and_then(Value::as_u64) else { continue };
            if !open.contains(&number) {
                let labels: Vec<String> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
                let text =
                    format!("No Service of the pods with {} opens port {number}: nobody reaches it.", labels.join(","));
                found.at(
                    GATEWAY_PORT_NOT_DEFINED_ON_SERVICE,
                    gateway,
                    &place!["spec", "servers", index, "port", "number"],
                    text,
                );
            }
        }
    }
}

/// The ports that a pod's containers give a name.
fn named(pod: &Object, name: &str) -> Vec<u64> {
    let ports = pod.items("/spec/containers").iter().flat_map(|container| items(container, "/ports"));
    let ports = ports.filter(|port| text(port, "/name") == name);
    ports.filter_map(|port| port.get("containerPort").and_then(Value::as_u64)).collect()
}

/// The TCP ports that Services of these pods open, outside and inside.
fn ports(snapshot: &Snapshot, pods: &[&Object]) -> Vec<u64> {
    let mut open = Vec::new();
    for service in snapshot.all("Service") {
        let selector = service.map("/spec/selector");
        let theirs = !selector.is_empty()
            && pods.iter().any(|pod| pod.namespace == service.namespace && selects(&selector, &pod.labels()));
        if !theirs {
            continue;
        }
        for port in service.items("/spec/ports").iter().filter(|port| matches!(text(port, "/protocol"), "" | "TCP")) {
            let number = |field: &str| port.get(field).and_then(Value::as_u64).filter(|number| *number != 0);
            match text(port, "/targetPort") {
                "" => open.extend(number("targetPort").or_else(|| number("port"))),
                name => open.extend(pods.iter().flat_map(|pod| named(pod, name))),
            }
            open.extend(number("port"));
        }
    }
    open
}
