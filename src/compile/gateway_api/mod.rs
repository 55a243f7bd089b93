//! The Gateway API compiled into the same model: what attaches to what, and who permits it.
//!
//! A Gateway whose class is the mesh's gets listeners ([`listeners`]), its own and those of the ListenerSets that it allows
//! ([`attach`]); HTTPRoute and GRPCRoute become rules of a listener's host or of a service ([`http`]), TLSRoute and TCPRoute
//! rules for connections ([`streams`]), BackendTLSPolicy the TLS of a service's clients ([`backend_tls`]). What became of each
//! object, [`status`] says from the same answers, so that a status cannot claim what is not in force.
//!
//! The rules are the Gateway API's: a route attaches where the listener's `allowedRoutes` and both sides' hosts permit it; what
//! is in another namespace is reached with a ReferenceGrant alone; of several matches the most specific wins, then the oldest
//! route (specification of HTTPRoute, "matches").

mod attach;
mod backend;
mod backend_tls;
mod frontend;
mod http;
mod listeners;
pub mod status;
mod streams;

#[cfg(test)]
mod attach_tests;
#[cfg(test)]
mod stream_tests;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::compile::world::World;
use crate::resources::gateway_api::gateway::Gateway;
use crate::resources::gateway_api::reference::ParentRef;
use crate::resources::gateway_api::text::Hostname;
use crate::resources::gateway_api::{GROUP, GRPCRoute, HTTPRoute, TCPRoute, TLSRoute, UDPRoute};
use crate::resources::{Object, Resource};

use backend::Target;
pub(super) use backend_tls::backend_tls;
pub(super) use http::{gateway_rules, service_rules};
pub(super) use listeners::extend;
pub use listeners::ports;
pub(super) use streams::{gateway_streams, service_streams};

/// The longest name that a Service, and a label's value, may have.
const LONGEST_NAME: usize = 63;

/// A name that fits where Kubernetes permits 63 characters: one that is longer ends in a digest of the whole.
pub fn fitting(name: &str) -> String {
    if name.len() <= LONGEST_NAME {
        return name.to_owned();
    }
    // FNV-1a: it has to be the same in every version.
    let digest = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let kept: String = name.chars().take(LONGEST_NAME - 9).collect();
    format!("{}-{digest:08x}", kept.trim_end_matches(['-', '.']))
}

/// The controller that GatewayClasses of the mesh name; Istio's.
pub const CONTROLLER: &str = "istio.io/gateway-controller";

/// The GatewayClass that is there without anybody having made it.
pub const CLASS: &str = "istio";

/// The label of a gateway's pods that names their Gateway.
pub const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";

/// A route, whatever it is for.
trait Route: Resource {
    fn parents(&self) -> &[ParentRef];
    fn hostnames(&self) -> &[Hostname];
    /// Every backend that what takes the route may go to.
    fn backends(&self) -> Vec<Target<'_>>;
}

macro_rules! routes {
    ($($kind:ident by $backends:path $(, at $hostnames:ident)?;)+) => {
        $(
            impl Route for $kind {
                fn parents(&self) -> &[ParentRef] {
                    &self.parent_refs
                }

                fn hostnames(&self) -> &[Hostname] {
                    routes!(@hostnames self $($hostnames)?)
                }

                fn backends(&self) -> Vec<Target<'_>> {
                    $backends(&self.rules)
                }
            }
        )+
    };
    (@hostnames $route:ident $hostnames:ident) => { &$route.$hostnames };
    (@hostnames $route:ident) => { &[] };
}

routes! {
    HTTPRoute by http::http_backends, at hostnames;
    GRPCRoute by http::grpc_backends, at hostnames;
    TLSRoute by streams::backends, at hostnames;
    TCPRoute by streams::backends;
    UDPRoute by streams::backends;
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
    /// The mesh routes nothing of what the route is for.
    UnsupportedProtocol,
}

impl Rejection {
    /// The reason's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoMatchingParent => "NoMatchingParent",
            Self::NotAllowedByListeners => "NotAllowedByListeners",
            Self::NoMatchingListenerHostname => "NoMatchingListenerHostname",
            Self::UnsupportedProtocol => "UnsupportedProtocol",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::NoMatchingParent => "the parent has no listener or port of this name or number",
            Self::NotAllowedByListeners => {
                "the listener's allowedRoutes do not permit routes of this kind or namespace"
            }
            Self::NoMatchingListenerHostname => "the listener has none of the route's hostnames",
            Self::UnsupportedProtocol => "the mesh routes no datagrams",
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
