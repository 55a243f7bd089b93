//! TLSRoute and TCPRoute as rules for connections.

use super::Route;
use super::backend::{Target, target};
use super::listeners::{places, service_ports};
use crate::compile::listeners::GatewayWorkload;
use crate::compile::world::{Scope, World};
use crate::model::{HostPattern, Service, StreamMatch, StreamRule, WeightedCluster};
use crate::resources::Object;
use crate::resources::gateway_api::reference::BackendRef;
use crate::resources::gateway_api::stream_route;

/// Every backend that connections may go to.
pub(super) fn backends(rules: &[stream_route::StreamRule]) -> Vec<Target<'_>> {
    rules.iter().flat_map(|rule| &rule.backend_refs).map(|backend| target!(backend)).collect()
}

/// The rules for connections of one host of one port of a gateway. Of several routes for the same host the oldest comes first,
/// and so has the connections.
pub(in crate::compile) fn gateway_streams(
    world: &World,
    workload: &GatewayWorkload,
    port: u16,
    host: &HostPattern,
) -> Vec<StreamRule> {
    let mut found = Vec::new();
    for place in places(world, workload, port, host) {
        for (route, _) in place.routes(world, &world.tls_routes) {
            found.extend(rules(world, route, &route.spec.rules, None));
        }
        for (route, _) in place.routes(world, &world.tcp_routes) {
            found.extend(rules(world, route, &route.spec.rules, None));
        }
    }
    found
}

/// The rules that routes have for connections to these ports of a service, as clients of `scope` see them; none where no route
/// names it. Routes of the clients' own namespace go before those of the service's, as for requests.
pub(in crate::compile) fn service_streams(
    world: &World,
    scope: &Scope,
    service: &Service,
    ports: &[u16],
) -> Vec<StreamRule> {
    for namespace in [&*scope.namespace, &*service.namespace] {
        let mut found = Vec::new();
        for route in world.tls_routes.iter().filter(|route| route.meta.namespace == namespace) {
            for port in service_ports(route, service).into_iter().filter(|port| ports.contains(port)) {
                found.extend(rules(world, route, &route.spec.rules, Some(port)));
            }
        }
        for route in world.tcp_routes.iter().filter(|route| route.meta.namespace == namespace) {
            for port in service_ports(route, service).into_iter().filter(|port| ports.contains(port)) {
                found.extend(rules(world, route, &route.spec.rules, Some(port)));
            }
        }
        if !found.is_empty() {
            return found;
        }
    }
    Vec::new()
}

fn rules<T: Route>(
    world: &World,
    route: &Object<T>,
    written: &[stream_route::StreamRule],
    port: Option<u16>,
) -> Vec<StreamRule> {
    let names: Vec<HostPattern> = route.spec.hostnames().iter().map(|host| HostPattern::parse(host.as_str())).collect();
    let rule = |(index, rule): (usize, &stream_route::StreamRule)| StreamRule {
        provenance: route.provenance().with_rule(format!("rules[{index}]")),
        matches: vec![StreamMatch { server_names: names.clone(), port, ..StreamMatch::default() }],
        destinations: destinations::<T>(world, route, &rule.backend_refs),
    };
    written.iter().enumerate().map(rule).collect()
}

/// Where connections go, with their shares. What cannot be used keeps its share, and fails it; where nothing has a share, every
/// connection fails.
fn destinations<T: Route>(world: &World, route: &Object<T>, written: &[BackendRef]) -> Vec<WeightedCluster> {
    let shares = written.iter().filter_map(|backend| {
        let weight = u32::try_from(backend.weight.unwrap_or(1)).ok().filter(|weight| *weight > 0)?;
        let target = target!(backend);
        let found = target.cluster(world, T::KIND, &route.meta.namespace);
        Some(WeightedCluster::new(found.unwrap_or_else(|_| target.nowhere()), weight))
    });
    let shares: Vec<WeightedCluster> = shares.collect();
    if shares.is_empty() {
        return written.iter().take(1).map(|backend| WeightedCluster::new(target!(backend).nowhere(), 1)).collect();
    }
    shares
}
