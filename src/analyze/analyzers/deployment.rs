//! Deployments behind several Services that disagree about a port.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::analyze::Found;
use crate::analyze::codes::{DEPLOYMENT_ASSOCIATED_TO_MULTIPLE_SERVICES, DEPLOYMENT_CONFLICTING_PORTS};
use crate::analyze::object::{Object, map, selects, text};
use crate::analyze::snapshot::{Snapshot, by_namespace};

/// A port number with different protocols, and a target port with different numbers.
pub fn run(snapshot: &Snapshot, found: &mut Found) {
    let services = by_namespace(snapshot.all("Service"));
    for deployment in snapshot.all("Deployment") {
        let waypoint = deployment.label("gateway.istio.io/managed") == "istio.io-mesh-controller";
        let in_mesh = snapshot.template_in_mesh(deployment.value(), "/spec/template", &deployment.namespace);
        if waypoint || !in_mesh {
            continue;
        }
        let labels = map(deployment.value(), "/spec/template/metadata/labels");
        let of_namespace = services.get(&*deployment.namespace).map_or(&[][..], Vec::as_slice);
        let behind: Vec<&Object> = of_namespace
            .iter()
            .copied()
            .filter(|service| {
                let selector = service.map("/spec/selector");
                !selector.is_empty() && selects(&selector, &labels)
            })
            .collect();
        protocols(deployment, &behind, found);
        targets(deployment, &behind, found);
    }
}

/// What is said of a port in different Services, and by which.
type Said<'o> = BTreeMap<String, BTreeMap<String, BTreeSet<&'o str>>>;

fn named(says: &BTreeMap<String, BTreeSet<&str>>) -> String {
    let names: BTreeSet<&str> = says.values().flatten().copied().collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
}

fn protocols(deployment: &Object, services: &[&Object], found: &mut Found) {
    let mut said = Said::new();
    for service in services {
        for port in service.items("/spec/ports") {
            let Some(number) = port.get("port").and_then(Value::as_u64) else { continue };
            let protocol = match text(port, "/protocol") {
                "" => "TCP",
                protocol => protocol,
            };
            said.entry(number.to_string()).or_default().entry(protocol.to_owned()).or_default().insert(&service.name);
        }
    }
    for (port, protocols) in said.iter().filter(|(_, protocols)| protocols.len() > 1) {
        let text =
            format!("Its Services {} speak different protocols on port {port}: make them agree.", named(protocols));
        found.note(DEPLOYMENT_ASSOCIATED_TO_MULTIPLE_SERVICES, deployment, text);
    }
}

fn targets(deployment: &Object, services: &[&Object], found: &mut Found) {
    let mut said = Said::new();
    for service in services {
        for port in service.items("/spec/ports") {
            let Some(number) = port.get("port").and_then(Value::as_u64) else { continue };
            let target = match port.get("targetPort") {
                Some(Value::String(name)) => name.clone(),
                Some(Value::Number(target)) => target.to_string(),
                // Without one, the port is its own target, which cannot conflict with itself.
                _ => continue,
            };
            said.entry(target).or_default().entry(number.to_string()).or_default().insert(&service.name);
        }
    }
    for (target, numbers) in said.iter().filter(|(_, numbers)| numbers.len() > 1) {
        let services: BTreeSet<&str> = numbers.values().flatten().copied().collect();
        if services.len() > 1 {
            let ports = numbers.keys().cloned().collect::<Vec<_>>().join(", ");
            let text =
                format!("Its Services {} reach target port {target} under different ports ({ports}).", named(numbers));
            found.note(DEPLOYMENT_CONFLICTING_PORTS, deployment, text);
        }
    }
}
