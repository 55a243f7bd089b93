//! The listeners of a Gateway, beside those of Istio's kind of the same name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{GATEWAY_NAME, Route, attached, is_granted, is_served, own_gateways, parent_gateway};
use crate::compile::listeners::{GatewayWorkload, routes_name};
use crate::compile::world::{TlsSecret, World};
use crate::model::{ClientCertificates, HostPattern, Listener, ListenerProtocol, ServerTls, Termination, VirtualHost};
use crate::resources::gateway_api::gateway::{self as resource, Gateway};
use crate::resources::gateway_api::reference::SecretRef;
use crate::resources::{Object, Provenance};

/// The Gateways whose proxy the workload is.
pub(super) fn of_workload<'w>(
    world: &'w World,
    workload: &GatewayWorkload,
) -> impl Iterator<Item = &'w Arc<Object<Gateway>>> {
    let named = workload.labels.get(GATEWAY_NAME).cloned();
    let namespace = workload.scope.namespace.clone();
    own_gateways(world).filter(move |gateway| {
        gateway.meta.namespace == *namespace && named.as_deref().is_some_and(|named| gateway.meta.name == *named)
    })
}

/// The port that a listener's port is on the pod.
pub(super) fn target_port(workload: &GatewayWorkload, listener: &resource::Listener) -> u16 {
    let number = listener.port.get();
    workload.target_ports.iter().find(|(port, _)| *port == number).map_or(number, |(_, target)| *target)
}

/// Adds the listeners of the workload's Gateways.
pub(in crate::compile) fn extend(world: &World, workload: &GatewayWorkload, listeners: &mut BTreeMap<u16, Listener>) {
    for gateway in of_workload(world, workload) {
        for (index, spec) in gateway.spec.listeners.iter().enumerate().filter(|(_, spec)| is_served(spec)) {
            let secured = spec.protocol.as_str() == "HTTPS";
            let protocol = if secured { ListenerProtocol::Tls } else { ListenerProtocol::Http };
            let port = target_port(workload, spec);
            let provenance = gateway.provenance().with_rule(format!("listeners[{index}]"));
            let listener = listeners.entry(port).or_insert_with(|| Listener {
                port,
                protocol,
                provenance: Vec::new(),
                virtual_hosts: Vec::new(),
                tls: Vec::new(),
                redirected: Vec::new(),
            });
            if listener.protocol != protocol {
                // Whoever came first has the port, and speaks something else on it.
                continue;
            }
            listener.provenance.push(provenance.clone());
            if secured {
                listener.tls.push(server_tls(world, gateway, spec, provenance));
            }
            let hosts = attached_hosts(world, gateway, index, &world.http_routes).into_iter().chain(attached_hosts(
                world,
                gateway,
                index,
                &world.grpc_routes,
            ));
            for host in hosts {
                if listener.virtual_hosts.iter().all(|known| known.host != host) {
                    let routes = routes_name(&workload.scope, port, &host);
                    listener.virtual_hosts.push(VirtualHost { host, routes });
                }
            }
        }
    }
}

/// The hosts of the routes that are attached to a listener.
fn attached_hosts<T: Route>(
    world: &World,
    gateway: &Arc<Object<Gateway>>,
    listener: usize,
    routes: &[Arc<Object<T>>],
) -> Vec<HostPattern> {
    let mut found = Vec::new();
    for route in routes {
        for parent in route.spec.parents() {
            let own = parent_gateway(world, parent, &route.meta.namespace).filter(|named| Arc::ptr_eq(named, gateway));
            let Some(listeners) = own.and_then(|gateway| attached(world, gateway, route, parent).ok()) else {
                continue;
            };
            found.extend(listeners.into_iter().filter(|(index, _)| *index == listener).flat_map(|(_, hosts)| hosts));
        }
    }
    found
}

/// The Secret with a listener's certificate; `None` while there is none that it may use.
pub(super) fn certificate<'w>(
    world: &'w World,
    gateway: &Object<Gateway>,
    reference: &SecretRef,
) -> Option<&'w Arc<TlsSecret>> {
    let is_secret = reference.group.as_ref().is_none_or(|group| group.as_str().is_empty())
        && reference.kind.as_ref().is_none_or(|kind| kind.as_str() == "Secret");
    let own = gateway.meta.namespace.as_str();
    let namespace = reference.namespace.as_ref().map_or(own, |namespace| namespace.as_str());
    let name = reference.name.as_str();
    let may = is_secret && is_granted(world, "Gateway", own, ("", "Secret"), namespace, name);
    may.then(|| world.secrets.get(&(namespace.into(), name.into())))?.filter(|secret| secret.certificate.is_some())
}

fn server_tls(
    world: &World,
    gateway: &Object<Gateway>,
    listener: &resource::Listener,
    provenance: Provenance,
) -> ServerTls {
    let references = listener.tls.as_ref().map_or(&[][..], |tls| &tls.certificate_refs);
    let secret = references.iter().find_map(|reference| certificate(world, gateway, reference));
    let host = listener.hostname.as_ref().map_or(HostPattern::Any, |host| HostPattern::parse(host.as_str()));
    ServerTls {
        hosts: vec![host],
        termination: Termination::Http,
        certificate: secret.and_then(|secret| secret.certificate.clone()),
        clients: ClientCertificates::None,
        provenance,
    }
}
