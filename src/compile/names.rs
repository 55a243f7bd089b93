//! Names: what a short host means, and which service an authority stands for.

use std::net::IpAddr;
use std::sync::Arc;

use crate::compile::world::{Scope, World};
use crate::model::Service;

/// The fully qualified form of a host that an object of `namespace` names. A name without a dot is a service of that namespace;
/// anything else stands for itself (Istio, "Short names").
pub fn qualify(host: &str, namespace: &str, domain: &str) -> Arc<str> {
    if host.contains('.') || host.starts_with('*') || host.parse::<IpAddr>().is_ok() {
        return host.into();
    }
    format!("{host}.{namespace}.svc.{domain}").into()
}

/// The service that an authority means to the clients of a scope (`docs/wire.md`, "Names and aliases"). `authority` has no port
/// and no trailing dot, and is lower case.
///
/// A short name never reaches into another namespace, and no name to a service that the scope does not see.
pub fn resolve<'w>(world: &'w World, scope: &Scope, authority: &str) -> Option<&'w Arc<Service>> {
    find(world, scope, authority).filter(|service| scope.sees(world, service))
}

fn find<'w>(world: &'w World, scope: &Scope, authority: &str) -> Option<&'w Arc<Service>> {
    if let Ok(address) = authority.parse::<IpAddr>() {
        return world.services.values().find(|service| service.addresses.contains(&address));
    }
    if let Some(service) = world.services.get(authority) {
        return Some(service);
    }
    let mut labels = authority.split('.');
    let (name, namespace) = (labels.next()?, labels.next());
    let (namespace, rest) = match (namespace, labels.next(), labels.next()) {
        (None, ..) => (&*scope.namespace, None),
        (Some(namespace), rest, None) => (namespace, rest),
        _ => return None,
    };
    if !matches!(rest, None | Some("svc")) {
        return None;
    }
    world.services.get(&*format!("{name}.{namespace}.svc.{}", world.domain))
}
