//! What is said of routes.

use serde_json::{Value, json};

use super::condition;
use crate::compile::gateway_api::attach::attached;
use crate::compile::gateway_api::backend::{BackendFault, Target};
use crate::compile::gateway_api::listeners::service_ports;
use crate::compile::gateway_api::{CONTROLLER, Rejection, Route};
use crate::compile::world::World;
use crate::resources::Object;
use crate::resources::field::Field;
use crate::resources::gateway_api::reference::ParentRef;

/// What is said of a route, parent by parent; nothing of parents that are not the mesh's.
pub(super) fn parents<T: Route>(world: &World, route: &Object<T>) -> Vec<Value> {
    let generation = route.meta.generation;
    let resolved = resolved(world, route);
    let mut said = Vec::new();
    for parent in route.spec.parents() {
        let Some(outcome) = attachment(world, route, parent) else { continue };
        let accepted = match outcome {
            Ok(()) => condition("Accepted", Ok("Accepted"), "it is in force", generation),
            Err(rejection) => condition("Accepted", Err(rejection.as_str()), rejection.sentence(), generation),
        };
        said.push(json!({
            "parentRef": parent.encode().unwrap_or_default(),
            "controllerName": CONTROLLER,
            "conditions": [accepted, resolved],
        }));
    }
    said
}

/// Whether every backend is there, and if not, which is the first that is not.
fn resolved<T: Route>(world: &World, route: &Object<T>) -> Value {
    let generation = route.meta.generation;
    let own = &route.meta.namespace;
    let backends = route.spec.backends();
    let faulty = |target: &Target<'_>| target.cluster(world, T::KIND, own).err();
    let Some((fault, target)) = backends.iter().find_map(|target| Some((faulty(target)?, target))) else {
        return condition("ResolvedRefs", Ok("ResolvedRefs"), "every backend is there", generation);
    };
    let namespace = target.namespace.map_or(own.as_str(), |namespace| namespace.as_str());
    let kind = target.kind.map_or("Service", |kind| kind.as_str());
    let port = target.port.map(|port| format!(" port {port}")).unwrap_or_default();
    let (reason, why) = match fault {
        BackendFault::InvalidKind => ("InvalidKind", "is no Service"),
        BackendFault::RefNotPermitted => {
            ("RefNotPermitted", "is in another namespace, and no ReferenceGrant there permits it")
        }
        BackendFault::BackendNotFound => ("BackendNotFound", "is not there"),
    };
    let message = format!("{kind} {namespace}/{}{port} {why}", target.name);
    condition("ResolvedRefs", Err(reason), &message, generation)
}

/// Whether a route is attached to a parent; `None` for a parent that is not the mesh's to speak of.
fn attachment<T: Route>(world: &World, route: &Object<T>, parent: &ParentRef) -> Option<Result<(), Rejection>> {
    let taken = match attached(world, route, parent) {
        Some(found) => found.map(|_| ()),
        None if matches!(parent.group(), "" | "core") && parent.kind() == "Service" => {
            let host = format!("{}.{}.svc.{}", parent.name, parent.namespace(&route.meta.namespace), world.domain);
            let number = |port: u16| parent.port.is_none_or(|wanted| wanted.get() == port);
            let attaches =
                world.services.get(&*host).is_some_and(|service| service_ports(route, service).into_iter().any(number));
            if attaches { Ok(()) } else { Err(Rejection::NoMatchingParent) }
        }
        None => return None,
    };
    // No listener takes datagrams, and that is why.
    Some(if T::KIND == "UDPRoute" { Err(Rejection::UnsupportedProtocol) } else { taken })
}
