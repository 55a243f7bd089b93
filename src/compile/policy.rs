//! The traffic policy of a service, from the DestinationRules that apply to it.

use std::sync::Arc;

use crate::compile::names::qualify;
use crate::compile::world::{Scope, World, is_visible};
use crate::model::policy::PortPolicies;
use crate::model::{Balancer, ClusterPolicy, HostPattern, Service, Subset, TrafficPolicy, UpstreamTls};
use crate::resources::destination_rule::{self, ClientTls, ClientTlsMode, LoadBalancer, SimpleBalancer};
use crate::resources::{DestinationRule, Object};

/// The policy of `service`, as clients of `scope` see it.
///
/// DestinationRules are looked for in the client's namespace, then the service's, then the root namespace; the first that has one
/// wins, with its most specific host. Several for one host there are merged: subsets add up, the first of a name and the first
/// policy win.
pub fn traffic_policy(world: &World, scope: &Scope, service: &Service) -> TrafficPolicy {
    let merged = applicable(world, scope, service);
    let Some(first) = merged.first() else {
        return TrafficPolicy { host: service.host.clone(), ..TrafficPolicy::default() };
    };
    let top = merged.iter().find_map(|object| object.spec.traffic_policy.as_ref());
    let own = Levels { top, subset: None };
    let mut subsets: Vec<Subset> = Vec::new();
    for object in &merged {
        for (index, subset) in object.spec.subsets.iter().enumerate() {
            if subsets.iter().any(|known| *known.name == *subset.name) {
                continue;
            }
            let levels = Levels { top, subset: subset.traffic_policy.as_ref() };
            subsets.push(Subset {
                name: subset.name.as_str().into(),
                labels: subset.labels.iter().map(|(k, v)| (k.as_str().into(), v.as_str().into())).collect(),
                policies: levels.for_ports(service),
                provenance: object.provenance().with_rule(format!("subsets[{index}]")),
            });
        }
    }
    TrafficPolicy {
        host: service.host.clone(),
        provenance: Some(first.provenance()),
        policies: own.for_ports(service),
        subsets,
    }
}

/// The DestinationRules that are merged for a service, oldest first.
fn applicable<'w>(world: &'w World, scope: &Scope, service: &Service) -> Vec<&'w Object<DestinationRule>> {
    let mut looked_in: Vec<&str> = Vec::new();
    for namespace in [&*scope.namespace, &*service.namespace, &*world.root_namespace] {
        if looked_in.contains(&namespace) {
            continue;
        }
        looked_in.push(namespace);
        let candidates: Vec<(HostPattern, &Arc<Object<DestinationRule>>)> = world
            .destination_rules
            .iter()
            .filter(|object| object.meta.namespace == namespace && is_visible(object, &scope.namespace))
            // One for chosen clients only is part of a scope of its own, which is not compiled yet.
            .filter(|object| object.spec.workload_selector.is_none())
            .map(|object| (HostPattern::parse(&qualify(object.spec.host.as_str(), namespace, &world.domain)), object))
            .filter(|(host, _)| host.matches(&service.host))
            .collect();
        let Some(best) = candidates.iter().map(|(host, _)| host.precedence()).max() else { continue };
        let exported = |object: &Object<DestinationRule>| object.spec.export_to.clone();
        let mut chosen = candidates.iter().filter(|(host, _)| host.precedence() == best).map(|(_, object)| &***object);
        let Some(first) = chosen.next() else { continue };
        return std::iter::once(first).chain(chosen.filter(|object| exported(object) == exported(first))).collect();
    }
    Vec::new()
}

/// The blocks of a policy that mesh puts in force.
#[derive(Clone, Copy, Default)]
struct Blocks<'a> {
    load_balancer: Option<&'a LoadBalancer>,
    tls: Option<&'a ClientTls>,
}

/// The policies of a rule and of a subset, whose blocks override each other one by one.
#[derive(Clone, Copy)]
struct Levels<'a> {
    top: Option<&'a destination_rule::TrafficPolicy>,
    subset: Option<&'a destination_rule::TrafficPolicy>,
}

impl<'a> Levels<'a> {
    fn for_ports(self, service: &Service) -> PortPolicies {
        let default = cluster_policy(self.blocks(None));
        let ports = service.ports.iter().filter_map(|port| {
            let policy = cluster_policy(self.blocks(Some(port.number)));
            (policy != default).then_some((port.number, policy))
        });
        PortPolicies { ports: ports.collect(), default }
    }

    fn blocks(self, port: Option<u16>) -> Blocks<'a> {
        let mut blocks = Blocks::default();
        for policy in [self.top, self.subset].into_iter().flatten() {
            blocks.load_balancer = policy.load_balancer.as_ref().or(blocks.load_balancer);
            blocks.tls = policy.tls.as_ref().or(blocks.tls);
            let for_port = policy.port_level_settings.iter().find(|settings| {
                let number = settings.port.as_ref().and_then(|port| port.number).map(|port| port.get());
                port.is_some() && number == port
            });
            if let Some(settings) = for_port {
                // A port's settings replace the blocks as a whole: one that is left out falls back to the default.
                blocks = Blocks { load_balancer: settings.load_balancer.as_ref(), tls: settings.tls.as_ref() };
            }
        }
        blocks
    }
}

fn cluster_policy(blocks: Blocks<'_>) -> ClusterPolicy {
    let balancer = match blocks.load_balancer.and_then(|settings| settings.simple) {
        Some(SimpleBalancer::RoundRobin) => Balancer::RoundRobin,
        Some(SimpleBalancer::Random) => Balancer::Random,
        _ => Balancer::LeastRequest,
    };
    let tls = match blocks.tls.map(|settings| settings.mode) {
        None => UpstreamTls::Auto,
        // Validation refuses SIMPLE and MUTUAL as long as they are not in force. Should one come in another way, the mesh's own
        // TLS is demanded: plaintext is never what a rule about TLS falls back to.
        Some(Some(ClientTlsMode::IstioMutual | ClientTlsMode::Simple | ClientTlsMode::Mutual)) => UpstreamTls::IstioMutual,
        Some(Some(ClientTlsMode::Disable) | None) => UpstreamTls::Disable,
    };
    ClusterPolicy { balancer, tls, ..ClusterPolicy::default() }
}
