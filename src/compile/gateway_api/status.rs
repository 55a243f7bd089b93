//! What is said of the Gateway API's objects: conditions, attached routes, addresses.
//!
//! It is made from what is compiled, and from nothing else. When a condition last changed is no business of a pure function:
//! whoever writes a status keeps the time of a condition that says what it said before.

use std::sync::Arc;

use serde_json::{Value, json};

use super::http::{BackendFault, Target, grpc_backends, http_backends, service_ports};
use super::listeners::certificate;
use super::{
    CONTROLLER, Rejection, Route, attached, is_own_class, is_served, own_gateways, parent_gateway, takes_kind,
};
use crate::compile::world::World;
use crate::model::Health;
use crate::resources::gateway_api::gateway::{Gateway, Listener};
use crate::resources::gateway_api::reference::ParentRef;
use crate::resources::gateway_api::{GROUP, GRPCRoute, HTTPRoute};
use crate::resources::{Object, Resource};

/// The kinds of routes that listeners take.
const ROUTES: [&str; 2] = [HTTPRoute::KIND, GRPCRoute::KIND];

/// What is to be said of one object.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// Its kind; the group is the Gateway API's.
    pub kind: &'static str,
    /// Its namespace; empty for a kind of the cluster as a whole.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What is said: for routes, the entries of `parents` that are the mesh's.
    pub status: Value,
}

impl Said {
    fn of<T: Resource>(object: &Object<T>, status: Value) -> Self {
        let namespace = if T::KIND == "GatewayClass" { String::new() } else { object.meta.namespace.clone() };
        Self { kind: T::KIND, namespace, name: object.meta.name.clone(), status }
    }
}

/// A condition of an object of this generation.
fn condition(kind: &str, reason: Result<&str, &str>, message: &str, generation: Option<i64>) -> Value {
    let (status, reason) = match reason {
        Ok(reason) => ("True", reason),
        Err(reason) => ("False", reason),
    };
    let mut condition = json!({"type": kind, "status": status, "reason": reason, "message": message});
    if let Some(generation) = generation {
        condition["observedGeneration"] = generation.into();
    }
    condition
}

/// What is to be said of every object that is the mesh's, and of every route: of one that names nothing of the mesh's, no parent
/// is left.
pub fn statuses(world: &World) -> Vec<Said> {
    let mut said: Vec<Said> = world
        .gateway_classes
        .iter()
        .filter(|class| is_own_class(world, &class.meta.name))
        .map(|class| {
            let accepted = condition("Accepted", Ok("Accepted"), "the mesh serves its gateways", class.meta.generation);
            Said::of(class, json!({"conditions": [accepted]}))
        })
        .collect();
    said.extend(own_gateways(world).map(|gateway| Said::of(gateway, gateway_status(world, gateway))));
    said.extend(world.http_routes.iter().map(|route| {
        let parents = parents(world, route, http_backends(&route.spec));
        Said::of(route, json!({"parents": parents}))
    }));
    said.extend(world.grpc_routes.iter().map(|route| {
        let parents = parents(world, route, grpc_backends(&route.spec));
        Said::of(route, json!({"parents": parents}))
    }));
    said
}

/// Host of the Service in front of a Gateway's pods.
pub fn service_host(world: &World, gateway: &Object<Gateway>) -> String {
    format!("{}.{}.svc.{}", deployment_name(gateway), gateway.meta.namespace, world.domain)
}

/// Name of what is deployed for a Gateway: Istio's.
pub fn deployment_name(gateway: &Object<Gateway>) -> String {
    format!("{}-{}", gateway.meta.name, gateway.spec.gateway_class_name)
}

fn gateway_status(world: &World, gateway: &Object<Gateway>) -> Value {
    let generation = gateway.meta.generation;
    let host = service_host(world, gateway);
    let is_healthy = world
        .endpoints
        .get(&*host)
        .is_some_and(|found| found.endpoints.iter().any(|endpoint| endpoint.health == Health::Healthy));
    let listeners: Vec<Value> = gateway
        .spec
        .listeners
        .iter()
        .enumerate()
        .map(|(index, listener)| listener_status(world, gateway, index, listener))
        .collect();
    let valid = |listener: &Value| {
        listener["conditions"]
            .as_array()
            .into_iter()
            .flatten()
            .all(|c| c["type"] != "Accepted" || c["status"] == "True")
    };
    let accepted = match (listeners.iter().all(valid), listeners.iter().any(valid)) {
        (true, _) => condition("Accepted", Ok("Accepted"), "the mesh serves it", generation),
        (false, some) => {
            let message = "one of its listeners is not served: see there";
            let reason = if some { Ok("ListenersNotValid") } else { Err("ListenersNotValid") };
            condition("Accepted", reason, message, generation)
        }
    };
    let programmed = if is_healthy {
        condition("Programmed", Ok("Programmed"), "its proxies have it", generation)
    } else {
        let message = format!("no proxy of it is ready: it is deployed as {}", deployment_name(gateway));
        condition("Programmed", Err("Pending"), &message, generation)
    };
    let mut status = json!({"conditions": [accepted, programmed], "listeners": listeners});
    if world.services.contains_key(&*host) {
        status["addresses"] = json!([{"type": "Hostname", "value": host}]);
    }
    status
}

fn listener_status(world: &World, gateway: &Object<Gateway>, index: usize, listener: &Listener) -> Value {
    let generation = gateway.meta.generation;
    let named = listener.allowed_routes.as_ref().map_or(&[][..], |allowed| &allowed.kinds);
    let supported: Vec<Value> = ROUTES
        .into_iter()
        .filter(|kind| takes_kind(listener, kind))
        .map(|kind| json!({"group": GROUP, "kind": kind}))
        .collect();
    let routes = count(world, gateway, index, &world.http_routes) + count(world, gateway, index, &world.grpc_routes);
    let accepted = if is_served(listener) {
        condition("Accepted", Ok("Accepted"), "it is served", generation)
    } else {
        let message = format!("{} is not served: HTTP is, and HTTPS that ends here", listener.protocol);
        condition("Accepted", Err("UnsupportedProtocol"), &message, generation)
    };
    let references = listener.tls.as_ref().map_or(&[][..], |tls| &tls.certificate_refs);
    let missing = references.iter().find(|reference| certificate(world, gateway, reference).is_none());
    let unknown = named.len() > supported.len();
    let resolved = match missing.filter(|_| listener.protocol.as_str() == "HTTPS") {
        Some(missing) => {
            let own = gateway.meta.namespace.as_str();
            let namespace = missing.namespace.as_ref().map_or(own, |namespace| namespace.as_str());
            let permitted = super::is_granted(world, "Gateway", own, ("", "Secret"), namespace, missing.name.as_str());
            let (reason, why) = if permitted {
                ("InvalidCertificateRef", "is not there, or has no certificate with its key")
            } else {
                ("RefNotPermitted", "is in another namespace, and no ReferenceGrant there permits it")
            };
            condition("ResolvedRefs", Err(reason), &format!("Secret {namespace}/{} {why}", missing.name), generation)
        }
        None if unknown => {
            let message = "allowedRoutes names a kind that the listener cannot take";
            condition("ResolvedRefs", Err("InvalidRouteKinds"), message, generation)
        }
        None => condition("ResolvedRefs", Ok("ResolvedRefs"), "everything it names is there", generation),
    };
    let works = is_served(listener) && missing.is_none();
    let programmed = if works {
        condition("Programmed", Ok("Programmed"), "it is in force", generation)
    } else {
        condition("Programmed", Err("Invalid"), "the other conditions say why", generation)
    };
    let conflicted = condition("Conflicted", Err("NoConflicts"), "no other listener has its port", generation);
    json!({
        "name": listener.name.as_str(),
        "supportedKinds": supported,
        "attachedRoutes": routes,
        "conditions": [accepted, programmed, resolved, conflicted],
    })
}

/// How many routes of a kind are attached to a listener.
fn count<T: Route>(world: &World, gateway: &Object<Gateway>, index: usize, routes: &[Arc<Object<T>>]) -> usize {
    let is_attached = |route: &&Arc<Object<T>>| {
        route.spec.parents().iter().any(|parent| {
            let own = parent_gateway(world, parent, &route.meta.namespace);
            own.is_some_and(|own| std::ptr::eq(&**own, gateway))
                && attached(world, gateway, route, parent)
                    .is_ok_and(|listeners| listeners.iter().any(|(found, _)| *found == index))
        })
    };
    routes.iter().filter(is_attached).count()
}

/// What is said of a route, parent by parent; nothing of parents that are not the mesh's.
fn parents<'a, T: Route>(
    world: &World,
    route: &Object<T>,
    mut backends: impl Iterator<Item = Target<'a>>,
) -> Vec<Value> {
    let generation = route.meta.generation;
    let fault = backends.find_map(|target| {
        let fault = target.cluster(world, T::KIND, &route.meta.namespace).err()?;
        Some((fault, target))
    });
    let resolved = match fault {
        None => condition("ResolvedRefs", Ok("ResolvedRefs"), "every backend is there", generation),
        Some((fault, target)) => {
            let namespace = target.namespace.map_or(route.meta.namespace.as_str(), |namespace| namespace.as_str());
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
    };
    let mut said = Vec::new();
    for parent in route.spec.parents() {
        let Some(outcome) = attachment(world, route, parent) else { continue };
        let accepted = match outcome {
            Ok(()) => condition("Accepted", Ok("Accepted"), "it is in force", generation),
            Err(rejection) => condition("Accepted", Err(rejection.as_str()), rejection.sentence(), generation),
        };
        let reference = crate::resources::field::Field::encode(parent).unwrap_or_default();
        said.push(json!({
            "parentRef": reference,
            "controllerName": CONTROLLER,
            "conditions": [accepted, resolved],
        }));
    }
    said
}

/// Whether a route is attached to a parent; `None` for a parent that is not the mesh's to speak of.
fn attachment<T: Route>(world: &World, route: &Object<T>, parent: &ParentRef) -> Option<Result<(), Rejection>> {
    if parent.names(GROUP, "Gateway") {
        let gateway = parent_gateway(world, parent, &route.meta.namespace)?;
        return Some(attached(world, gateway, route, parent).map(|_| ()));
    }
    if !matches!(parent.group(), "" | "core") || parent.kind() != "Service" {
        return None;
    }
    let host = format!("{}.{}.svc.{}", parent.name, parent.namespace(&route.meta.namespace), world.domain);
    let attaches = world.services.get(&*host).is_some_and(|service| {
        let number = |port: u16| parent.port.is_none_or(|wanted| wanted.get() == port);
        service_ports(route, service).into_iter().any(number)
    });
    Some(if attaches { Ok(()) } else { Err(Rejection::NoMatchingParent) })
}
