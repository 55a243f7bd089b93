//! The Gateway API compiled into the same model: what attaches to what, and who permits it.
//!
//! A Gateway whose class is the mesh's gets listeners ([`listeners`]); HTTPRoute and GRPCRoute become rules of a listener's host
//! or of a service ([`http`]). What became of each object, [`status`] says from the same answers, so that a status cannot
//! claim what is not in force.
//!
//! The rules are the Gateway API's: a route attaches where the listener's `allowedRoutes` and both sides' hosts permit it; what
//! is in another namespace is reached with a ReferenceGrant alone; of several matches the most specific wins, then the oldest
//! route (specification of HTTPRoute, "matches").

mod http;
mod listeners;
pub mod status;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::compile::world::World;
use crate::model::HostPattern;
use crate::resources::gateway_api::gateway::{FromNamespaces, Gateway, Listener, TlsMode};
use crate::resources::gateway_api::reference::ParentRef;
use crate::resources::gateway_api::text::Hostname;
use crate::resources::gateway_api::{GROUP, GRPCRoute, HTTPRoute};
use crate::resources::{Object, Resource};

pub(super) use http::{gateway_rules, service_rules};
pub(super) use listeners::extend;

/// The controller that GatewayClasses of the mesh name; Istio's.
pub const CONTROLLER: &str = "istio.io/gateway-controller";

/// The GatewayClass that is there without anybody having made it.
pub const CLASS: &str = "istio";

/// The label of a gateway's pods that names their Gateway.
pub const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";

/// A route that is attached as HTTP is.
pub(super) trait Route: Resource {
    fn parents(&self) -> &[ParentRef];
    fn hostnames(&self) -> &[Hostname];
}

impl Route for HTTPRoute {
    fn parents(&self) -> &[ParentRef] {
        &self.parent_refs
    }

    fn hostnames(&self) -> &[Hostname] {
        &self.hostnames
    }
}

impl Route for GRPCRoute {
    fn parents(&self) -> &[ParentRef] {
        &self.parent_refs
    }

    fn hostnames(&self) -> &[Hostname] {
        &self.hostnames
    }
}

/// Why a route does not attach; the reasons' names are the Gateway API's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// There is no such listener or port.
    NoMatchingParent,
    /// The listener does not take routes of this kind or namespace.
    NotAllowedByListeners,
    /// Route and listener have no host in common.
    NoMatchingListenerHostname,
}

impl Rejection {
    /// The reason's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoMatchingParent => "NoMatchingParent",
            Self::NotAllowedByListeners => "NotAllowedByListeners",
            Self::NoMatchingListenerHostname => "NoMatchingListenerHostname",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::NoMatchingParent => "the parent has no listener or port of this name or number",
            Self::NotAllowedByListeners => {
                "the listener's allowedRoutes do not permit routes of this kind or namespace"
            }
            Self::NoMatchingListenerHostname => "the listener has none of the route's hostnames",
        }
    }
}

/// Whether a GatewayClass is the mesh's.
pub(super) fn is_own_class(world: &World, name: &str) -> bool {
    match world.gateway_classes.iter().find(|class| class.meta.name == name) {
        Some(class) => class.spec.controller_name.as_str() == CONTROLLER,
        None => name == CLASS,
    }
}

/// The Gateways that are the mesh's, oldest first.
pub fn own_gateways(world: &World) -> impl Iterator<Item = &Arc<Object<Gateway>>> {
    world.edge_gateways.iter().filter(|gateway| is_own_class(world, gateway.spec.gateway_class_name.as_str()))
}

/// The Gateway of the mesh that a reference in an object of `namespace` names.
pub(super) fn parent_gateway<'w>(
    world: &'w World,
    parent: &ParentRef,
    namespace: &str,
) -> Option<&'w Arc<Object<Gateway>>> {
    let namespace = parent.namespace(namespace);
    let is_it = |gateway: &&Arc<Object<Gateway>>| {
        gateway.meta.name == parent.name.as_str() && gateway.meta.namespace == namespace
    };
    own_gateways(world).find(|gateway| parent.names(GROUP, "Gateway") && is_it(gateway))
}

/// Whether the mesh opens a listener: it speaks HTTP or ends TLS before it.
pub(super) fn is_served(listener: &Listener) -> bool {
    let passes_on = listener.tls.as_ref().is_some_and(|tls| tls.mode == Some(TlsMode::Passthrough));
    matches!(listener.protocol.as_str(), "HTTP" | "HTTPS") && !passes_on
}

/// Whether a listener takes routes of a kind.
pub(super) fn takes_kind(listener: &Listener, kind: &str) -> bool {
    let kinds = listener.allowed_routes.as_ref().map_or(&[][..], |allowed| &allowed.kinds);
    let named = kinds
        .iter()
        .any(|known| known.kind.as_str() == kind && known.group.as_ref().is_none_or(|group| group.as_str() == GROUP));
    is_served(listener) && (kinds.is_empty() || named)
}

/// Whether a listener takes routes of a namespace.
fn takes_namespace(world: &World, gateway: &Object<Gateway>, listener: &Listener, namespace: &str) -> bool {
    let allowed = listener.allowed_routes.as_ref().and_then(|allowed| allowed.namespaces.as_ref());
    match allowed.and_then(|namespaces| namespaces.from).unwrap_or(FromNamespaces::Same) {
        FromNamespaces::All => true,
        FromNamespaces::Same => gateway.meta.namespace == namespace,
        FromNamespaces::Selector => {
            let selector = allowed.and_then(|namespaces| namespaces.selector.as_ref());
            // A namespace that is not known has no labels; a selector that is not there selects nothing.
            let labels = world.namespaces.get(namespace);
            selector.is_some_and(|selector| selector.matches(|key| labels?.get(key).map(|value| &**value)))
        }
    }
}

/// The listeners of a Gateway that a route attaches to through one of its references, each with the hosts that both have.
pub(super) fn attached<T: Route>(
    world: &World,
    gateway: &Object<Gateway>,
    route: &Object<T>,
    parent: &ParentRef,
) -> Result<Vec<(usize, Vec<HostPattern>)>, Rejection> {
    let meant = |(_, listener): &(usize, &Listener)| {
        parent.section_name.as_ref().is_none_or(|name| *name == listener.name)
            && parent.port.is_none_or(|port| port == listener.port)
    };
    let mut rejection = Rejection::NoMatchingParent;
    let mut found = Vec::new();
    for (index, listener) in gateway.spec.listeners.iter().enumerate().filter(meant) {
        if !takes_kind(listener, T::KIND) || !takes_namespace(world, gateway, listener, &route.meta.namespace) {
            rejection = worse(rejection, Rejection::NotAllowedByListeners);
            continue;
        }
        let hosts = shared_hosts(listener, route.spec.hostnames());
        if hosts.is_empty() {
            rejection = Rejection::NoMatchingListenerHostname;
        } else {
            found.push((index, hosts));
        }
    }
    if found.is_empty() { Err(rejection) } else { Ok(found) }
}

/// Of two listeners that turn a route away, the one that came closest to taking it says why.
fn worse(known: Rejection, other: Rejection) -> Rejection {
    if known == Rejection::NoMatchingParent { other } else { known }
}

/// The hosts that a listener and a route have in common.
fn shared_hosts(listener: &Listener, hostnames: &[Hostname]) -> Vec<HostPattern> {
    let served = listener.hostname.as_ref().map_or(HostPattern::Any, |host| HostPattern::parse(host.as_str()));
    if hostnames.is_empty() {
        return vec![served];
    }
    let mut hosts: Vec<HostPattern> =
        hostnames.iter().filter_map(|host| served.intersect(&HostPattern::parse(host.as_str()))).collect();
    hosts.sort();
    hosts.dedup();
    hosts
}

/// Whether an object of `kind` in `from` may name an object of another namespace.
pub(super) fn is_granted(world: &World, kind: &str, from: &str, to: (&str, &str), namespace: &str, name: &str) -> bool {
    let (to_group, to_kind) = to;
    from == namespace
        || world.reference_grants.iter().filter(|grant| grant.meta.namespace == namespace).any(|grant| {
            let admits = grant.spec.from.iter().any(|known| {
                known.group.as_str() == GROUP && known.kind.as_str() == kind && known.namespace.as_str() == from
            });
            let about = grant.spec.to.iter().any(|known| {
                known.group.as_str() == to_group
                    && known.kind.as_str() == to_kind
                    && known.name.as_ref().is_none_or(|only| only.as_str() == name)
            });
            admits && about
        })
}
