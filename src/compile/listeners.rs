//! The listeners of a gateway and their routes, from the Gateways that select it and the VirtualServices bound to them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::compile::routes::{Entry, rules};
use crate::compile::world::{Scope, World, is_visible};
use crate::model::{HostPattern, HttpRule, Labels, Listener, ListenerProtocol, Routes, VirtualHost};
use crate::resources::gateway::Server;
use crate::resources::values::NamespaceFilter;
use crate::resources::{Gateway, Object, Provenance, VirtualService};

/// A gateway's workload, as far as Gateways care.
#[derive(Debug, Clone)]
pub struct GatewayWorkload {
    /// Its clients' scope: that of its namespace.
    pub scope: Scope,
    /// Labels of the pod.
    pub labels: Labels,
    /// (port, target port) of the services in front of it. A server's port that is a service's port is listened for on its
    /// target port.
    pub target_ports: Vec<(u16, u16)>,
}

/// A server that opens a port of the gateway.
struct Open<'w> {
    port: u16,
    gateway: &'w Object<Gateway>,
    server: &'w Server,
    provenance: Provenance,
}

/// The listeners of a gateway, by port.
pub fn listeners(world: &World, workload: &GatewayWorkload) -> Vec<Listener> {
    let mut listeners: BTreeMap<u16, Listener> = BTreeMap::new();
    for open in open_servers(world, workload) {
        let listener = listeners.entry(open.port).or_insert_with(|| Listener {
            port: open.port,
            protocol: ListenerProtocol::Http,
            provenance: Vec::new(),
            virtual_hosts: Vec::new(),
        });
        listener.provenance.push(open.provenance.clone());
        for (host, _) in attached(world, workload, &open) {
            if listener.virtual_hosts.iter().all(|known| known.host != host) {
                let routes = routes_name(&workload.scope, open.port, &host);
                listener.virtual_hosts.push(VirtualHost { host, routes });
            }
        }
    }
    let mut listeners: Vec<Listener> = listeners.into_values().collect();
    for listener in &mut listeners {
        listener.virtual_hosts.sort_by(|a, b| a.host.cmp(&b.host));
    }
    listeners
}

/// The routes of one host of one port: those of every VirtualService bound there, oldest first, with the rules that take every
/// request at the end.
pub fn gateway_routes(world: &World, workload: &GatewayWorkload, port: u16, host: &HostPattern) -> Routes {
    let mut found: Vec<HttpRule> = Vec::new();
    let mut seen: Vec<(&Object<VirtualService>, &Object<Gateway>)> = Vec::new();
    for open in open_servers(world, workload).iter().filter(|open| open.port == port) {
        for (shared, object) in attached(world, workload, open) {
            let known = seen.iter().any(|(o, g)| std::ptr::eq(*o, object) && std::ptr::eq(*g, open.gateway));
            if shared == *host && !known {
                seen.push((object, open.gateway));
                found.extend(rules(world, object, entry(open.gateway), None));
            }
        }
    }
    found.dedup();
    // Stable: within both parts the order stays.
    found.sort_by_key(|rule| rule.matches.is_empty());
    Routes { name: routes_name(&workload.scope, port, host), http: found }
}

fn entry(gateway: &Object<Gateway>) -> Entry<'_> {
    Entry::Gateway { namespace: &gateway.meta.namespace, name: &gateway.meta.name }
}

fn routes_name(scope: &Scope, port: u16, host: &HostPattern) -> Arc<str> {
    format!("{}/gateway/{port}/{host}", scope.namespace).into()
}

fn open_servers<'w>(world: &'w World, workload: &GatewayWorkload) -> Vec<Open<'w>> {
    let mut open = Vec::new();
    for gateway in &world.gateways {
        let selected = gateway.spec.selector.iter().all(|(key, value)| {
            workload.labels.get(key.as_str()).is_some_and(|label| **label == **value)
        });
        if !selected {
            continue;
        }
        for (index, server) in gateway.spec.servers.iter().enumerate() {
            let Ok(number) = u16::try_from(server.port.number) else { continue };
            let plain_http = matches!(server.port.protocol.to_ascii_uppercase().as_str(), "HTTP" | "HTTP2" | "GRPC");
            if !plain_http || server.tls.is_some() {
                continue;
            }
            let target = workload.target_ports.iter().find(|(port, _)| *port == number);
            open.push(Open {
                port: target.map_or(number, |(_, target)| *target),
                gateway,
                server,
                provenance: gateway.provenance().with_rule(format!("servers[{index}]")),
            });
        }
    }
    open
}

/// The VirtualServices bound to a server, oldest first, each with the hosts that both name.
fn attached<'w>(
    world: &'w World,
    workload: &GatewayWorkload,
    open: &Open<'w>,
) -> Vec<(HostPattern, &'w Object<VirtualService>)> {
    let mut attached = Vec::new();
    for object in &world.virtual_services {
        if !entry(open.gateway).admits(object) || !is_visible(object, &workload.scope.namespace) {
            continue;
        }
        for own in &object.spec.hosts {
            for served in &open.server.hosts {
                let from_here = match &served.namespace {
                    NamespaceFilter::Any => true,
                    NamespaceFilter::Own => object.meta.namespace == open.gateway.meta.namespace,
                    NamespaceFilter::Named(namespace) => object.meta.namespace == *namespace,
                };
                let served = HostPattern::parse(served.host.as_str());
                let shared = served.intersect(&HostPattern::parse(own.as_str())).filter(|_| from_here);
                attached.extend(shared.map(|host| (host, &**object)));
            }
        }
    }
    attached
}
