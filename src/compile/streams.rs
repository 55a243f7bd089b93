//! Rules for connections whose bytes are not looked at: VirtualService's `tls` and `tcp`.
//!
//! `tls` is about connections by the server name that their clients ask for, `tcp` about all others. A service's connections that no
//! rule takes go to the service itself, port by port; at a gateway they go nowhere.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::compile::names::service_of;
use crate::compile::policy::traffic_policy;
use crate::compile::routes::{Entry, own_port, sharing};
use crate::compile::world::{Scope, World};
use crate::compile::{gateway_api, handling};
use crate::model::{
    AppProtocol, ClusterName, HostPattern, Resolution, Service, ServicePort, StreamMatch, StreamRule, WeightedCluster,
};
use crate::resources::values::{GatewayRef, Labels, Port};
use crate::resources::virtual_service::{RouteDestination, TcpMatch, TlsMatch};
use crate::resources::{Object, Provenance, VirtualService};

/// Which rules of a VirtualService are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Those for connections with a server name.
    Tls,
    /// Those for others.
    Tcp,
}

/// The rules for connections to a service: of these VirtualServices, in their order, then those of the Gateway API's routes, and
/// at the end to itself.
pub(super) fn of_service(
    world: &World,
    scope: &Scope,
    covering: &[&Object<VirtualService>],
    service: &Service,
) -> Vec<StreamRule> {
    let ports: Vec<&ServicePort> = service.ports.iter().filter(|port| carries_streams(port)).collect();
    let mut found = Vec::new();
    for part in [Part::Tls, Part::Tcp] {
        for object in covering {
            for rule in rules(object, Entry::Mesh, part) {
                let bound = ports.iter().filter_map(|port| rule.bound(world, object, port.number));
                found.extend(bound);
            }
        }
    }
    let numbers: Vec<u16> = ports.iter().map(|port| port.number).collect();
    found.extend(gateway_api::service_streams(world, scope, service, &numbers));
    found.extend(ports.iter().map(|port| to_itself(service, port.number)));
    found
}

/// Whether connections to the port may be other than plaintext HTTP.
fn carries_streams(port: &ServicePort) -> bool {
    !matches!(port.protocol, AppProtocol::Http | AppProtocol::Http2)
}

fn to_itself(service: &Service, port: u16) -> StreamRule {
    let cluster = ClusterName { host: service.host.clone(), port, subset: None };
    StreamRule {
        provenance: service.provenance.clone(),
        matches: vec![StreamMatch { port: Some(port), ..StreamMatch::default() }],
        destinations: vec![WeightedCluster::new(cluster, 1)],
    }
}

/// The rules of a VirtualService for connections through a Gateway, to the port that its server names.
pub(super) fn of_gateway(
    world: &World,
    object: &Object<VirtualService>,
    entry: Entry<'_>,
    part: Part,
    port: u16,
) -> Vec<StreamRule> {
    let bound = rules(object, entry, part).into_iter().filter_map(|rule| rule.bound(world, object, port));
    // The proxy may listen for it elsewhere: what is left of the condition is that the rules stand at this port.
    let anywhere = |rule: StreamRule| StreamRule {
        matches: rule.matches.into_iter().map(|found| StreamMatch { port: None, ..found }).collect(),
        ..rule
    };
    bound.map(anywhere).collect()
}

/// For every cluster of the mesh that clients of a scope see, and whose service is admitted: the rule by which a connection gets
/// there that asks for the cluster's server name. Services outside the mesh are none of them, and neither are those whose endpoints
/// are up to the client.
pub(super) fn of_clusters(
    world: &World,
    scope: &Scope,
    provenance: &Provenance,
    admits: impl Fn(&Service) -> bool,
) -> Vec<StreamRule> {
    let added = world.external.keys().filter(|host| !world.services.contains_key(*host));
    let is_internal = |service: &Arc<Service>| {
        let mut of_entries = world.external.get(&service.host).into_iter().flatten();
        world.services.contains_key(&service.host)
            || of_entries.any(|known| Arc::ptr_eq(&known.service, service) && known.is_internal())
    };
    let mut found = Vec::new();
    for service in world.services.keys().chain(added).filter_map(|host| service_of(world, scope, host)) {
        if !is_internal(service) || service.resolution == Resolution::Original || !admits(service) {
            continue;
        }
        let policy = traffic_policy(world, scope, service, false);
        let subsets = policy.subsets.iter().map(|subset| Some(subset.name.clone()));
        for subset in std::iter::once(None).chain(subsets) {
            found.extend(service.ports.iter().map(|port| {
                let cluster = ClusterName { host: service.host.clone(), port: port.number, subset: subset.clone() };
                let server_names = vec![HostPattern::parse(&cluster.server_name())];
                StreamRule {
                    provenance: provenance.clone(),
                    matches: vec![StreamMatch { server_names, ..StreamMatch::default() }],
                    destinations: vec![WeightedCluster::new(cluster, 1)],
                }
            }));
        }
    }
    found
}

/// A rule that is not bound to a port yet.
struct Draft<'o> {
    rule: StreamRule,
    route: Vec<(&'o RouteDestination, u32)>,
}

impl Draft<'_> {
    /// The rule as it is for connections to `port`, which stands in for the ports that destinations do not name; `None` where it
    /// takes none of them.
    fn bound(&self, world: &World, object: &Object<VirtualService>, port: u16) -> Option<StreamRule> {
        let here = |found: &&StreamMatch| found.port.is_none_or(|named| named == port);
        let matches: Vec<StreamMatch> = self
            .rule
            .matches
            .iter()
            .filter(here)
            .map(|found| StreamMatch { port: Some(port), ..found.clone() })
            .collect();
        let destinations = self.route.iter().map(|(destination, weight)| {
            let target = own_port(world, object, &destination.destination).unwrap_or(port);
            let cluster = handling::cluster(&destination.destination, &object.meta.namespace, &world.domain, target);
            WeightedCluster::new(cluster, *weight)
        });
        let destinations = destinations.collect();
        (!matches.is_empty()).then(|| StreamRule { matches, destinations, ..self.rule.clone() })
    }
}

/// The rules of a VirtualService that hold for `entry`, in order.
fn rules<'o>(object: &'o Object<VirtualService>, entry: Entry<'_>, part: Part) -> Vec<Draft<'o>> {
    let spec = &object.spec;
    let draft = |list: &str, index: usize, matches: Vec<StreamMatch>, route: &'o [RouteDestination]| {
        let route = sharing(route, |destination: &RouteDestination| destination.weight.0);
        let rule = StreamRule {
            provenance: object.provenance().with_rule(format!("{list}[{index}]")),
            matches,
            destinations: Vec::new(),
        };
        // Without a destination there is nowhere to go, and without a match that holds here nobody to send.
        (!route.is_empty() && !rule.matches.is_empty()).then_some(Draft { rule, route })
    };
    let admitted = |gateways: &[GatewayRef]| {
        gateways.is_empty() || gateways.iter().any(|reference| entry.is(reference, &object.meta.namespace))
    };
    match part {
        Part::Tls => {
            let numbered = spec.tls.iter().enumerate();
            let drafts = numbered.filter_map(|(index, route)| {
                let here = route.matches.iter().filter(|conditions| admitted(&conditions.gateways));
                draft("tls", index, here.filter_map(tls_match).collect(), &route.route)
            });
            drafts.collect()
        }
        Part::Tcp => {
            let numbered = spec.tcp.iter().enumerate();
            let drafts = numbered.filter_map(|(index, route)| {
                let here = route.matches.iter().filter(|conditions| admitted(&conditions.gateways));
                let matches = if route.matches.is_empty() {
                    vec![StreamMatch::default()]
                } else {
                    here.filter_map(tcp_match).collect()
                };
                draft("tcp", index, matches, &route.route)
            });
            drafts.collect()
        }
    }
}

fn tls_match(conditions: &TlsMatch) -> Option<StreamMatch> {
    let names: Vec<HostPattern> = conditions.sni_hosts.iter().map(|host| HostPattern::parse(host.as_str())).collect();
    // Validation refuses an empty list. Should one come in another way, it must not mean every connection.
    if names.is_empty() {
        return None;
    }
    let common = common(
        &conditions.destination_subnets,
        conditions.port,
        &conditions.source_labels,
        conditions.source_namespace.as_deref(),
    )?;
    Some(StreamMatch { server_names: names, ..common })
}

fn tcp_match(conditions: &TcpMatch) -> Option<StreamMatch> {
    common(
        &conditions.destination_subnets,
        conditions.port,
        &conditions.source_labels,
        conditions.source_namespace.as_deref(),
    )
}

/// `None` where a condition cannot be read, as validation makes sure it can: the match must not hold then.
fn common(subnets: &[String], port: Option<Port>, labels: &Labels, namespace: Option<&str>) -> Option<StreamMatch> {
    let subnets: Option<Vec<IpNet>> = subnets.iter().map(|subnet| network(subnet)).collect();
    Some(StreamMatch {
        server_names: Vec::new(),
        subnets: subnets?,
        port: port.map(Port::get),
        source_labels: labels.iter().map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect(),
        source_namespace: namespace.filter(|named| !named.is_empty()).map(Into::into),
    })
}

fn network(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}
