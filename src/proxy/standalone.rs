//! A gateway's knowledge made of files: what the control plane would have sent, all of it, at once; and again when they change.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::compile::{self, GatewayWorkload, Scope, World};
use crate::model::{ClusterName, InboundPolicy, Labels, Listener, OutboundMode, Reporting, Routes, Settings, Workload};
use crate::proxy::directory::{Cluster, Directory, EndpointStates, FixedDirectory, RoutesInForce, cluster_names};

const NAME: &str = "gateway";
const CLUSTER: &str = "Kubernetes";
const TRUST_DOMAIN: &str = "cluster.local";

/// A gateway that stands alone.
///
/// It has no identity: it reaches workloads that take plaintext, and no others.
pub struct Standalone {
    workload: GatewayWorkload,
    /// The same, as endpoints know each other: where it is, its labels say.
    own: Workload,
    /// What is known of endpoints from using them; it outlives a change.
    states: EndpointStates,
    directory: Directory,
}

/// What a world says to one gateway.
#[derive(Default)]
struct Known {
    listeners: Vec<Listener>,
    routes: Vec<(Arc<str>, Arc<RoutesInForce>)>,
    policy: Option<Arc<InboundPolicy>>,
}

impl Standalone {
    /// A gateway with these labels that stands in `namespace`.
    pub fn new(world: &World, namespace: &str, labels: Labels) -> Self {
        let scope = Scope::of_namespace(namespace);
        let uid = format!("{CLUSTER}//Pod/{namespace}/{NAME}").into();
        let own = Workload::new(uid, NAME.into(), namespace.into(), NAME.into(), labels.clone());
        let workload = GatewayWorkload { scope, labels, target_ports: Vec::new() };
        let mut states = EndpointStates::default();
        let known = known(world, &workload, &own, &mut states);
        let directory = Directory::fixed(FixedDirectory {
            settings: settings(world, &workload.scope),
            listeners: known.listeners,
            gateway_routes: known.routes,
            inbound: known.policy,
            ..FixedDirectory::default()
        });
        Self { workload, own, states, directory }
    }

    /// What it knows, now and after every change.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Takes up another world. Connections stay, requests under way end as they began, and what is known of endpoints that are
    /// still there is kept. Answers how many ports there are; a world without one changes nothing, because it is a slip of the
    /// pen more often than a wish.
    pub fn replace(&mut self, world: &World) -> usize {
        let known = known(world, &self.workload, &self.own, &mut self.states);
        let ports = known.listeners.len();
        if ports > 0 {
            let settings = settings(world, &self.workload.scope);
            self.directory.replace_gateway(settings, known.listeners, known.routes, known.policy);
        }
        self.states.prune();
        ports
    }
}

fn settings(world: &World, scope: &Scope) -> Settings {
    Settings {
        scope: scope.namespace.clone(),
        trust_domain: TRUST_DOMAIN.into(),
        cluster: CLUSTER.into(),
        outbound_mode: OutboundMode::RegistryOnly,
        client: Reporting { log: true, ..Reporting::default() },
        server: Reporting { log: true, ..Reporting::default() },
        proxy_protocol: world.mesh.topology.proxy_protocol,
        trusted_proxies: world.mesh.topology.trusted_proxies.unwrap_or(0),
        bundle: None,
    }
}

fn known(world: &World, workload: &GatewayWorkload, own: &Workload, states: &mut EndpointStates) -> Known {
    let edge = compile::Edge::new(world, workload);
    let mut known =
        Known { listeners: edge.listeners().to_vec(), routes: Vec::new(), policy: Some(Arc::new(policy(world, own))) };
    for listener in &known.listeners {
        for virtual_host in &listener.virtual_hosts {
            let routes = edge.routes(world, listener.port, &virtual_host.host);
            let clusters = clusters(world, workload, own, &routes, states);
            let in_force = RoutesInForce::new(Arc::new(routes), clusters);
            known.routes.push((virtual_host.routes.clone(), Arc::new(in_force)));
        }
    }
    known
}

/// What the gateway demands of its clients. Keys of issuers that are not written down are not known: there is nobody to fetch them.
fn policy(world: &World, own: &Workload) -> InboundPolicy {
    compile::inbound_policy(world, Arc::new(own.clone()), Vec::new(), &[TRUST_DOMAIN.into()])
}

/// The clusters that routes name. What is missing around them (a service, a subset) leaves its cluster out: requests for it are
/// answered with 503, flag `NC`.
fn clusters(
    world: &World,
    workload: &GatewayWorkload,
    own: &Workload,
    routes: &Routes,
    states: &mut EndpointStates,
) -> Vec<Arc<Cluster>> {
    let named: BTreeSet<&ClusterName> = cluster_names(routes).collect();
    let assembled = named.into_iter().filter_map(|name| {
        let service = compile::service_of(world, &workload.scope, &name.host)?;
        let policy = compile::traffic_policy(world, &workload.scope, service, true);
        let endpoints = compile::endpoints_of(world, service);
        Cluster::assemble(name, service, &policy, endpoints, states, Some(own), None)
    });
    assembled.collect()
}
