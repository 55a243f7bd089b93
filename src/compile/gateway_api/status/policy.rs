//! What is said of policies.

use std::sync::Arc;

use serde_json::{Value, json};

use super::condition;
use crate::compile::gateway_api::attach::attachments;
use crate::compile::gateway_api::backend_tls::{AuthorityFault, is_conflicted, own_authority};
use crate::compile::gateway_api::{CONTROLLER, GROUP, Route};
use crate::compile::world::World;
use crate::resources::Object;
use crate::resources::gateway_api::BackendTLSPolicy;

/// How many objects a policy's status may name (its definition).
const MOST: usize = 16;

/// What is said of a BackendTLSPolicy: to each Gateway that sends something to its services, and for the sidecars that do, to
/// each of its services.
pub(super) fn ancestors(world: &World, policy: &Object<BackendTLSPolicy>) -> Vec<Value> {
    let generation = policy.meta.generation;
    let references = &policy.spec.validation.ca_certificate_refs;
    let own = policy.meta.namespace.as_str();
    let faults: Vec<(AuthorityFault, &str)> = references
        .iter()
        .filter_map(|reference| Some((own_authority(world, policy, reference).err()?, reference.name.as_str())))
        .collect();
    let resolved = match faults.first() {
        None => condition("ResolvedRefs", Ok("ResolvedRefs"), "every authority is there", generation),
        Some((fault, name)) => {
            let why = match fault {
                AuthorityFault::InvalidKind => "is neither a ConfigMap nor a Secret",
                AuthorityFault::InvalidCACertificateRef => {
                    "is not there, or has no certificate of an authority (`ca.crt`)"
                }
            };
            condition("ResolvedRefs", Err(fault.as_str()), &format!("{own}/{name} {why}"), generation)
        }
    };
    let accepted = if is_conflicted(world, policy) {
        let message = "an older policy has one of its targets";
        condition("Accepted", Err("Conflicted"), message, generation)
    } else if !references.is_empty() && faults.len() == references.len() {
        let message = "nobody vouches for the server: connections to it fail";
        condition("Accepted", Err("NoValidCACertificate"), message, generation)
    } else {
        condition("Accepted", Ok("Accepted"), "it is in force", generation)
    };
    let services: Vec<(&str, String)> = policy
        .spec
        .target_refs
        .iter()
        .filter(|target| matches!(target.group.as_str(), "" | "core") && target.kind.as_str() == "Service")
        .map(|target| (target.name.as_str(), format!("{}.{own}.svc.{}", target.name, world.domain)))
        .filter(|(_, host)| world.services.contains_key(host.as_str()))
        .collect();
    let mut named: Vec<Value> = Vec::new();
    for (_, host) in &services {
        gateways(world, &world.http_routes, host, &mut named);
        gateways(world, &world.grpc_routes, host, &mut named);
        gateways(world, &world.tls_routes, host, &mut named);
        gateways(world, &world.tcp_routes, host, &mut named);
    }
    for (name, _) in &services {
        let service = json!({"group": "", "kind": "Service", "namespace": own, "name": name});
        if !named.contains(&service) {
            named.push(service);
        }
    }
    let entry = |ancestor: Value| json!({"ancestorRef": ancestor, "controllerName": CONTROLLER, "conditions": [accepted, resolved]});
    named.into_iter().take(MOST).map(entry).collect()
}

/// Adds the Gateways that routes send from to a service.
fn gateways<T: Route>(world: &World, routes: &[Arc<Object<T>>], host: &str, named: &mut Vec<Value>) {
    let sends = |route: &&Arc<Object<T>>| {
        route.spec.backends().iter().any(|backend| backend.is(world, &route.meta.namespace, host))
    };
    for route in routes.iter().filter(sends) {
        for (entry, _) in attachments(world, route) {
            let meta = &entry.gateway.meta;
            let gateway = json!({"group": GROUP, "kind": "Gateway", "namespace": meta.namespace, "name": meta.name});
            if !named.contains(&gateway) {
                named.push(gateway);
            }
        }
    }
}
