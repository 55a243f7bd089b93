//! Names: what a short host means, and which service an authority stands for.

use std::net::IpAddr;
use std::sync::Arc;

use crate::compile::external::External;
use crate::compile::world::{Scope, World};
use crate::model::{Endpoint, Service};

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
        let own = world.services.values().find(|service| service.addresses.contains(&address));
        return own.or_else(|| external_at(world, scope, address));
    }
    if let Some(service) = service_of(world, scope, authority) {
        return Some(service);
    }
    let in_cluster = short(scope, authority, &world.domain).and_then(|host| world.services.get(&*host));
    in_cluster.or_else(|| {
        // The nearest wildcard that covers the name.
        let suffixes = authority.char_indices().filter(|(_, character)| *character == '.');
        let mut wildcards = suffixes.filter_map(|(at, _)| Some(format!("*{}", authority.get(at..)?)));
        wildcards.find_map(|host| external(world, scope, &host))
    })
}

/// The host that a short name means in a cluster; `None` for one that is none.
fn short(scope: &Scope, authority: &str, domain: &str) -> Option<String> {
    let mut labels = authority.split('.');
    let (name, namespace) = (labels.next()?, labels.next());
    let (namespace, rest) = match (namespace, labels.next(), labels.next()) {
        (None, ..) => (&*scope.namespace, None),
        (Some(namespace), rest, None) => (namespace, rest),
        _ => return None,
    };
    matches!(rest, None | Some("svc")).then(|| format!("{name}.{namespace}.svc.{domain}"))
}

/// The service of a host, as clients of a scope see it: Kubernetes' own, else the one that a ServiceEntry adds.
pub fn service_of<'w>(world: &'w World, scope: &Scope, host: &str) -> Option<&'w Arc<Service>> {
    world.services.get(host).or_else(|| external(world, scope, host))
}

/// Whether clients of a scope see a service that a ServiceEntry adds: of several of one host that is another for each of them.
fn is_known(world: &World, scope: &Scope, known: &External) -> bool {
    known.is_visible(&scope.namespace) && scope.sees(world, &known.service)
}

/// The service that a ServiceEntry adds: of the clients' own namespace, else the oldest that they see.
fn external<'w>(world: &'w World, scope: &Scope, host: &str) -> Option<&'w Arc<Service>> {
    let visible = || world.external.get(host).into_iter().flatten().filter(|known| is_known(world, scope, known));
    let own = visible().find(|known| known.service.namespace == scope.namespace);
    own.or_else(|| visible().next()).map(|known| &known.service)
}

/// The service that a ServiceEntry adds at an address: one that names the address, else the narrowest network.
fn external_at<'w>(world: &'w World, scope: &Scope, address: IpAddr) -> Option<&'w Arc<Service>> {
    let visible = || world.external.values().flatten().filter(|known| is_known(world, scope, known));
    let exact = visible().find(|known| known.service.addresses.contains(&address));
    let narrowest = || {
        let widths = |known: &External| {
            let covering = known.networks.iter().filter(|network| network.contains(&address));
            covering.map(|network| network.prefix_len()).max()
        };
        visible().filter_map(|known| Some((widths(known)?, known))).max_by_key(|(width, _)| *width)
    };
    exact.or_else(|| narrowest().map(|(_, known)| known)).map(|known| &known.service)
}

/// The endpoints of a service.
pub fn endpoints_of<'w>(world: &'w World, service: &Arc<Service>) -> &'w [Arc<Endpoint>] {
    let external = world.external.get(&service.host).into_iter().flatten();
    let of_entry =
        external.into_iter().find(|known| Arc::ptr_eq(&known.service, service)).map(|known| &known.endpoints);
    let all = of_entry.or_else(|| world.endpoints.get(&service.host));
    all.map_or(&[][..], |all| all.endpoints.as_slice())
}
