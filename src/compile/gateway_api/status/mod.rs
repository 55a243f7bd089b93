//! What is said of the Gateway API's objects: conditions, attached routes, addresses.
//!
//! It is made from what is compiled, and from nothing else. When a condition last changed is no business of a pure function:
//! whoever writes a status keeps the time of a condition that says what it said before.

mod listener;
mod policy;
mod route;

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::{Value, json};

use super::attach::{Entry, allows, entries, gateway_of, sets};
use super::{Route, fitting, is_own_class, own_gateways};
use crate::compile::world::World;
use crate::model::Health;
use crate::resources::gateway_api::gateway::{Gateway, ListenerSet};
use crate::resources::{Object, Resource};

/// Addresses that a Gateway's status has room for.
const ADDRESSES: usize = 16;

/// What is to be said of one object.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// Its kind; the group is the Gateway API's.
    pub kind: &'static str,
    /// Its namespace; empty for a kind of the cluster as a whole.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid: another object of the same name has been told nothing.
    pub uid: Option<String>,
    /// What is said: for routes and policies, the entries of `parents` and `ancestors` that are the mesh's.
    pub status: Value,
}

impl Said {
    fn of<T: Resource>(object: &Object<T>, status: Value) -> Self {
        let namespace = if T::KIND == "GatewayClass" { String::new() } else { object.meta.namespace.clone() };
        let (name, uid) = (object.meta.name.clone(), object.meta.uid.clone());
        Self { kind: T::KIND, namespace, name, uid, status }
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

/// Whether a condition of this type holds among those of an object or listener.
fn holds(said: &Value, kind: &str) -> bool {
    let mut conditions = said["conditions"].as_array().into_iter().flatten();
    conditions.any(|condition| condition["type"] == kind && condition["status"] == "True")
}

/// What is to be said of every object that is the mesh's, and of every route and policy: of one that names nothing of the mesh's,
/// no parent is left.
pub fn statuses(world: &World) -> Vec<Said> {
    let mut said: Vec<Said> = world
        .gateway_classes
        .iter()
        .filter(|class| is_own_class(world, &class.meta.name))
        .map(|class| {
            let accepted = condition("Accepted", Ok("Accepted"), "the mesh serves its gateways", class.meta.generation);
            Said::of(class, json!({"conditions": [accepted], "supportedFeatures": supported_features()}))
        })
        .collect();
    for gateway in own_gateways(world) {
        let listeners: Vec<(Entry<'_>, Value)> = entries(world, gateway)
            .into_iter()
            .map(|(entry, conflict)| (entry, listener::status(world, &entry, conflict)))
            .collect();
        let sets: Vec<(&Arc<Object<ListenerSet>>, Value)> = sets(world, gateway)
            .into_iter()
            .map(|set| {
                let own = listeners.iter().filter(|(entry, _)| entry.set.is_some_and(|of| Arc::ptr_eq(of, set)));
                let own: Vec<&Value> = own.map(|(_, status)| status).collect();
                (set, listener::of_set(world, gateway, set, &own))
            })
            .collect();
        let own = listeners.iter().filter(|(entry, _)| entry.set.is_none()).map(|(_, status)| status);
        let attached = sets.iter().filter(|(_, status)| holds(status, "Accepted")).count();
        said.push(Said::of(gateway, gateway_status(world, gateway, &own.collect::<Vec<_>>(), attached)));
        said.extend(sets.into_iter().map(|(set, status)| Said::of(set, status)));
    }
    for set in &world.listener_sets {
        if let Some(gateway) = gateway_of(world, set)
            && let Err(fault) = allows(world, gateway, set)
        {
            said.push(Said::of(set, listener::of_refused_set(set, fault)));
        }
    }
    of_routes(world, &world.http_routes, &mut said);
    of_routes(world, &world.grpc_routes, &mut said);
    of_routes(world, &world.tls_routes, &mut said);
    of_routes(world, &world.tcp_routes, &mut said);
    of_routes(world, &world.udp_routes, &mut said);
    said.extend(world.backend_tls_policies.iter().map(|object| {
        let ancestors = policy::ancestors(world, object);
        Said::of(object, json!({"ancestors": ancestors}))
    }));
    said
}

fn of_routes<T: Route>(world: &World, routes: &[Arc<Object<T>>], said: &mut Vec<Said>) {
    said.extend(routes.iter().map(|object| {
        let parents = route::parents(world, object);
        Said::of(object, json!({"parents": parents}))
    }));
}

/// The parts of the Gateway API that hold beyond its core, by the names that its conformance tests know them by, in their order.
pub const SUPPORTED_FEATURES: &[&str] = &[
    "BackendTLSPolicy",
    "BackendTLSPolicySANValidation",
    "GRPCRoute",
    "GRPCRouteNamedRouteRule",
    "GRPCRouteRequestHeaderModifier",
    "Gateway",
    "GatewayAddressEmpty",
    "GatewayFrontendClientCertificateValidation",
    "GatewayHTTPListenerIsolation",
    "GatewayInfrastructurePropagation",
    "GatewayPort8080",
    "HTTPRoute",
    "HTTPRoute303RedirectStatusCode",
    "HTTPRoute307RedirectStatusCode",
    "HTTPRoute308RedirectStatusCode",
    "HTTPRouteBackendProtocolH2C",
    "HTTPRouteBackendProtocolWebSocket",
    "HTTPRouteBackendRequestHeaderModification",
    "HTTPRouteBackendTimeout",
    "HTTPRouteCORS",
    "HTTPRouteDestinationPortMatching",
    "HTTPRouteHostRewrite",
    "HTTPRouteMethodMatching",
    "HTTPRouteNamedRouteRule",
    "HTTPRouteParentRefPort",
    "HTTPRoutePathRedirect",
    "HTTPRoutePathRewrite",
    "HTTPRoutePortRedirect",
    "HTTPRouteQueryParamMatching",
    "HTTPRouteRequestMirror",
    "HTTPRouteRequestMultipleMirrors",
    "HTTPRouteRequestPercentageMirror",
    "HTTPRouteRequestTimeout",
    "HTTPRouteResponseHeaderModification",
    "HTTPRouteRetry",
    "HTTPRouteRetryBackendTimeout",
    "HTTPRouteRetryConnectionError",
    "HTTPRouteSchemeRedirect",
    "ListenerSet",
    "Mesh",
    "MeshClusterIPMatching",
    "MeshHTTPRouteBackendRequestHeaderModification",
    "MeshHTTPRouteNamedRouteRule",
    "MeshHTTPRouteQueryParamMatching",
    "MeshHTTPRouteRedirectPath",
    "MeshHTTPRouteRedirectPort",
    "MeshHTTPRouteRewritePath",
    "MeshHTTPRouteSchemeRedirect",
    "ReferenceGrant",
    "TCPRoute",
    "TLSRoute",
    "TLSRouteModeMixed",
    "TLSRouteModeTerminate",
];

fn supported_features() -> Vec<Value> {
    SUPPORTED_FEATURES.iter().map(|name| json!({"name": name})).collect()
}

/// Host of the Service in front of a Gateway's pods.
pub fn service_host(world: &World, gateway: &Object<Gateway>) -> String {
    format!("{}.{}.svc.{}", deployment_name(gateway), gateway.meta.namespace, world.domain)
}

/// Name of what is deployed for a Gateway: Istio's.
pub fn deployment_name(gateway: &Object<Gateway>) -> String {
    fitting(&format!("{}-{}", gateway.meta.name, gateway.spec.gateway_class_name))
}

/// Whether some proxy of a Gateway is ready; and what to say if none is.
fn proxies(world: &World, gateway: &Object<Gateway>) -> Result<(), String> {
    let endpoints = world.endpoints.get(&*service_host(world, gateway));
    let healthy = endpoints.is_some_and(|found| found.endpoints.iter().any(|known| known.health == Health::Healthy));
    if healthy {
        return Ok(());
    }
    Err(format!("no proxy of it is ready: it is deployed as {}", deployment_name(gateway)))
}

/// `sets`: how many ListenerSets add listeners.
fn gateway_status(world: &World, gateway: &Object<Gateway>, listeners: &[&Value], sets: usize) -> Value {
    let generation = gateway.meta.generation;
    let host = service_host(world, gateway);
    let valid = |listener: &&Value| holds(listener, "Accepted");
    let parameters = gateway.spec.infrastructure.as_ref().and_then(|asked| asked.parameters_ref.as_ref());
    let unknown = parameters.filter(|named| named.kind.as_str() != "ConfigMap" || !named.group.as_str().is_empty());
    let accepted = match (listeners.iter().all(valid), listeners.iter().any(valid)) {
        _ if let Some(named) = unknown => {
            let message = format!("infrastructure.parametersRef: {} {} is none of the mesh's", named.kind, named.name);
            condition("Accepted", Err("InvalidParameters"), &message, generation)
        }
        (true, _) => condition("Accepted", Ok("Accepted"), "the mesh serves it", generation),
        (false, some) => {
            let message = "one of its listeners is not served: see there";
            let reason = if some { Ok("ListenersNotValid") } else { Err("ListenersNotValid") };
            condition("Accepted", reason, message, generation)
        }
    };
    let programmed = match proxies(world, gateway) {
        Ok(()) => condition("Programmed", Ok("Programmed"), "its proxies have it", generation),
        Err(message) => condition("Programmed", Err("Pending"), &message, generation),
    };
    let mut status =
        json!({"conditions": [accepted, programmed], "listeners": listeners, "attachedListenerSets": sets});
    let addresses = addresses(world, &host);
    if !addresses.is_empty() {
        status["addresses"] = addresses.into();
    }
    status
}

/// Where a Gateway is reached: where a load balancer serves it. One that nobody outside can use yet is none.
fn addresses(world: &World, host: &str) -> Vec<Value> {
    let address = |value: &Arc<str>| {
        let sort = if value.parse::<IpAddr>().is_ok() { "IPAddress" } else { "Hostname" };
        json!({"type": sort, "value": value})
    };
    world.published.get(host).into_iter().flat_map(|published| published.iter()).take(ADDRESSES).map(address).collect()
}
