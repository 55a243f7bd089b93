//! A gateway's knowledge made of files: what the control plane would have sent, all of it, at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::compile::{self, GatewayWorkload, World};
use crate::model::{ClusterName, Labels, OutboundMode, Routes, Settings};
use crate::proxy::directory::{Cluster, Directory, EndpointStates, FixedDirectory, RoutesInForce, cluster_names};

/// The directory of a gateway with these labels that stands in `namespace`.
///
/// It has no identity: it reaches workloads that take plaintext, and no others.
pub fn gateway(world: &World, namespace: &str, labels: Labels) -> Directory {
    let scope = compile::Scope::of_namespace(namespace);
    let workload = GatewayWorkload { scope, labels, target_ports: Vec::new() };
    let listeners = compile::listeners(world, &workload);
    let mut states = EndpointStates::default();
    let mut gateway_routes = Vec::new();
    for listener in &listeners {
        for virtual_host in &listener.virtual_hosts {
            let routes = compile::gateway_routes(world, &workload, listener.port, &virtual_host.host);
            let clusters = clusters(world, &workload, &routes, &mut states);
            let in_force = RoutesInForce::new(Arc::new(routes), clusters);
            gateway_routes.push((virtual_host.routes.clone(), Arc::new(in_force)));
        }
    }
    Directory::fixed(FixedDirectory {
        settings: Settings {
            scope: namespace.into(),
            trust_domain: "cluster.local".into(),
            cluster: "Kubernetes".into(),
            outbound_mode: OutboundMode::RegistryOnly,
            access_log: true,
            bundle: None,
        },
        listeners,
        gateway_routes,
        ..FixedDirectory::default()
    })
}

/// The clusters that routes name. What is missing around them (a service, a subset) leaves its cluster out: requests for it are
/// answered with 503, flag `NC`.
fn clusters(
    world: &World,
    workload: &GatewayWorkload,
    routes: &Routes,
    states: &mut EndpointStates,
) -> Vec<Arc<Cluster>> {
    let named: BTreeSet<&ClusterName> = cluster_names(routes).collect();
    let assembled = named.into_iter().filter_map(|name| {
        let service = world.services.get(&name.host)?;
        let policy = compile::traffic_policy(world, &workload.scope, service);
        let endpoints = world.endpoints.get(&name.host).map_or(&[][..], |held| held.endpoints.as_slice());
        Cluster::assemble(name, service, &policy, endpoints, states, None)
    });
    assembled.collect()
}
