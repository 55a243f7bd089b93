//! The listeners of a Gateway, beside those of Istio's kind of the same name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::attach::{Entry, Speech, attachments, is_isolated, precedence, served};
use super::frontend::clients;
use super::{GATEWAY_NAME, Route, fitting, is_granted, own_gateways};
use crate::compile::listeners::{GatewayWorkload, routes_name};
use crate::compile::world::{TlsSecret, World};
use crate::model::{
    ClientCertificates, HostPattern, Listener, ListenerProtocol, ServerTls, Service, Termination, TlsDemands,
    VirtualHost,
};
use crate::resources::Object;
use crate::resources::gateway_api::gateway::{self as resource, Gateway};
use crate::resources::gateway_api::reference::SecretRef;

/// The Gateways whose proxy the workload is.
pub(super) fn of_workload<'w>(
    world: &'w World,
    workload: &GatewayWorkload,
) -> impl Iterator<Item = &'w Arc<Object<Gateway>>> {
    let named = workload.labels.get(GATEWAY_NAME).cloned();
    let namespace = workload.scope.namespace.clone();
    own_gateways(world).filter(move |gateway| {
        gateway.meta.namespace == *namespace
            && named.as_deref().is_some_and(|named| fitting(&gateway.meta.name) == *named)
    })
}

/// The port that a listener's port is on the pod.
pub(super) fn target_port(workload: &GatewayWorkload, listener: &resource::Listener) -> u16 {
    let number = listener.port.get();
    workload.target_ports.iter().find(|(port, _)| *port == number).map_or(number, |(_, target)| *target)
}

/// A host of a port of a Gateway.
pub(super) struct Place<'a> {
    /// The listeners of the port, each with the port's number for clients.
    here: Vec<(Entry<'a>, u16)>,
    host: &'a HostPattern,
}

/// A host of a port of a workload, for each of its Gateways.
pub(super) fn places<'a>(
    world: &'a World,
    workload: &GatewayWorkload,
    port: u16,
    host: &'a HostPattern,
) -> Vec<Place<'a>> {
    let place = |gateway| {
        let served = served(world, gateway);
        let here = served.iter().filter(|(entry, _)| target_port(workload, entry.listener) == port);
        let here = here
            .filter(|(entry, _)| !is_isolated(&served, entry, host))
            .map(|(entry, _)| (*entry, entry.listener.port.get()))
            .collect();
        Place { here, host }
    };
    of_workload(world, workload).map(place).collect()
}

impl<'a> Place<'a> {
    /// The routes that hold there, oldest first, each with the port's number for clients.
    pub(super) fn routes<T: Route>(
        &self,
        world: &World,
        routes: &'a [Arc<Object<T>>],
    ) -> Vec<(&'a Arc<Object<T>>, u16)> {
        let number = |route: &Object<T>| {
            attachments(world, route).find_map(|(entry, hosts)| {
                let known = self.here.iter().find(|(known, _)| known.is(&entry))?;
                hosts.contains(self.host).then_some(known.1)
            })
        };
        let mut found: Vec<_> = routes.iter().filter_map(|route| Some((route, number(route)?))).collect();
        found.sort_by(|(a, _), (b, _)| precedence(a).cmp(&precedence(b)));
        found
    }
}

/// The ports of a service that a route is attached to.
pub(super) fn service_ports<T: Route>(route: &Object<T>, service: &Service) -> Vec<u16> {
    let mut ports: Vec<u16> = Vec::new();
    for parent in route.spec.parents() {
        let is_it = matches!(parent.group(), "" | "core")
            && parent.kind() == "Service"
            && parent.name.as_str() == &*service.name
            && parent.namespace(&route.meta.namespace) == &*service.namespace;
        let named = service.ports.iter().filter(|port| {
            parent.port.is_none_or(|number| number.get() == port.number)
                && parent.section_name.as_ref().is_none_or(|name| name.as_str() == &*port.name)
        });
        ports.extend(named.filter(|_| is_it).map(|port| port.number));
    }
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// The ports that a Gateway opens, those of ListenerSets among them, each with what it speaks in lower case.
pub fn ports(world: &World, gateway: &Arc<Object<Gateway>>) -> BTreeMap<u16, String> {
    let mut found = BTreeMap::new();
    for (entry, _) in served(world, gateway) {
        let protocol = || entry.listener.protocol.as_str().to_ascii_lowercase();
        found.entry(entry.listener.port.get()).or_insert_with(protocol);
    }
    found
}

/// Adds the listeners of the workload's Gateways.
pub(in crate::compile) fn extend(world: &World, workload: &GatewayWorkload, listeners: &mut BTreeMap<u16, Listener>) {
    for gateway in of_workload(world, workload) {
        let served = served(world, gateway);
        let hosts = hosts(world, &served);
        for ((entry, speech), hosts) in served.iter().zip(hosts) {
            let protocol = match speech {
                Speech::Http => ListenerProtocol::Http,
                Speech::Tcp => ListenerProtocol::Tcp,
                Speech::Https | Speech::Terminated | Speech::Passthrough => ListenerProtocol::Tls,
            };
            let port = target_port(workload, entry.listener);
            let listener = listeners.entry(port).or_insert_with(|| Listener {
                port,
                protocol,
                provenance: Vec::new(),
                virtual_hosts: Vec::new(),
                tls: Vec::new(),
                redirected: Vec::new(),
            });
            let automatic = listener.tls.iter().any(|server| server.termination == Termination::AutoPassthrough);
            if listener.protocol != protocol || automatic {
                // Whoever came first has the port, and speaks something else on it.
                continue;
            }
            listener.provenance.push(entry.provenance());
            listener.tls.extend(server_tls(world, entry, *speech));
            for host in hosts {
                if listener.virtual_hosts.iter().all(|known| known.host != host) {
                    let routes = routes_name(&workload.scope, port, &host);
                    listener.virtual_hosts.push(VirtualHost { host, routes });
                }
            }
        }
    }
}

/// The hosts of each listener that there are routes for, or that keep requests from a listener with wider ones.
fn hosts(world: &World, served: &[(Entry<'_>, Speech)]) -> Vec<Vec<HostPattern>> {
    let mut found: Vec<Vec<HostPattern>> = vec![Vec::new(); served.len()];
    collect_hosts(world, &world.http_routes, served, &mut found);
    collect_hosts(world, &world.grpc_routes, served, &mut found);
    collect_hosts(world, &world.tls_routes, served, &mut found);
    collect_hosts(world, &world.tcp_routes, served, &mut found);
    for ((entry, _), hosts) in served.iter().zip(&mut found) {
        let own = entry.hosts();
        let narrows = |other: &Entry<'_>| {
            !other.is(entry) && other.listener.port == entry.listener.port && {
                let wider = other.hosts();
                wider.precedence() < own.precedence() && wider.intersect(&own).as_ref() == Some(&own)
            }
        };
        if !hosts.contains(&own) && served.iter().any(|(other, _)| narrows(other)) {
            hosts.push(own);
        }
    }
    found
}

fn collect_hosts<T: Route>(
    world: &World,
    routes: &[Arc<Object<T>>],
    served: &[(Entry<'_>, Speech)],
    found: &mut [Vec<HostPattern>],
) {
    for route in routes {
        for (entry, hosts) in attachments(world, route) {
            let place = served.iter().position(|(known, _)| known.is(&entry));
            if let Some(known) = place.and_then(|place| found.get_mut(place)) {
                known.extend(hosts);
            }
        }
    }
}

/// The Secret with a listener's certificate; `None` while there is none that it may use.
pub(super) fn certificate<'w>(
    world: &'w World,
    entry: &Entry<'_>,
    reference: &SecretRef,
) -> Option<&'w Arc<TlsSecret>> {
    let is_secret = reference.group.as_ref().is_none_or(|group| group.as_str().is_empty())
        && reference.kind.as_ref().is_none_or(|kind| kind.as_str() == "Secret");
    let own = entry.namespace();
    let namespace = reference.namespace.as_ref().map_or(own, |namespace| namespace.as_str());
    let name = reference.name.as_str();
    let may = is_secret && is_granted(world, entry.kind(), own, ("", "Secret"), namespace, name);
    may.then(|| world.secrets.get(&(namespace.into(), name.into())))?.filter(|secret| secret.certificate.is_some())
}

fn server_tls(world: &World, entry: &Entry<'_>, speech: Speech) -> Option<ServerTls> {
    let termination = match speech {
        Speech::Http | Speech::Tcp => return None,
        Speech::Https => Termination::Http,
        Speech::Terminated => Termination::Tcp,
        Speech::Passthrough => Termination::Passthrough,
    };
    let references = entry.listener.tls.as_ref().map_or(&[][..], |tls| &tls.certificate_refs);
    let mut secrets = references.iter().filter_map(|reference| certificate(world, entry, reference));
    let checked = clients(world, entry, speech);
    // Nobody can vouch for a client, so there is none to be served.
    let closed = checked.as_ref().is_some_and(|checked| checked.authorities.is_none());
    let authorities = checked.and_then(|checked| checked.authorities);
    Some(ServerTls {
        demands: TlsDemands::default(),
        hosts: vec![entry.hosts()],
        termination,
        certificate: secrets
            .next()
            .filter(|_| speech.has_certificates() && !closed)
            .and_then(|found| found.certificate.clone()),
        clients: authorities.map_or(ClientCertificates::None, ClientCertificates::Required),
        provenance: entry.provenance(),
    })
}
