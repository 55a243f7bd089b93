//! Whom changes touch, as precisely as it is cheap to know. What is not touched need not be compiled, compared or sent again.
//!
//! It guarantees never to leave out what a change could make different; it may name what comes out the same.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::compile::{Claimant, World, delegators, destinations};
use crate::model::{HostPattern, Service};
use crate::resources::values::GatewayRef;
use crate::resources::{DestinationRule, Object, VirtualService};
use crate::wire::ResourceType;

use super::{Key, Kind};

/// Some hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hosts {
    exact: HashSet<Arc<str>>,
    wildcards: Vec<HostPattern>,
}

impl Hosts {
    fn insert(&mut self, host: HostPattern) {
        match host {
            HostPattern::Exact(host) => {
                self.exact.insert(host);
            }
            wildcard if self.wildcards.contains(&wildcard) => {}
            wildcard => self.wildcards.push(wildcard),
        }
    }

    /// Whether some host is one of them and matches `pattern`.
    fn meet(&self, pattern: &HostPattern) -> bool {
        let exact = match pattern {
            HostPattern::Exact(host) => self.exact.contains(host),
            HostPattern::Suffix(_) | HostPattern::Any => self.exact.iter().any(|host| pattern.matches(host)),
        };
        exact || self.wildcards.iter().any(|wildcard| wildcard.intersect(pattern).is_some())
    }

    fn contains(&self, host: &str) -> bool {
        self.exact.contains(host) || self.wildcards.iter().any(|wildcard| wildcard.matches(host))
    }
}

/// Whom changes touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Affected {
    /// Every resource of these types.
    types: BTreeSet<ResourceType>,
    /// Resources of these types that are about these hosts, or asked for by them.
    hosts: BTreeMap<ResourceType, Hosts>,
    /// What these pods are told about themselves.
    pods: BTreeSet<Key>,
    /// What the workloads of these namespaces demand of their callers.
    demands: BTreeSet<Arc<str>>,
    /// The listeners and routes of gateways.
    gateways: bool,
    /// The listeners of gateways.
    listeners: bool,
    /// The routes of gateways for these hosts.
    virtual_hosts: Hosts,
    /// Which scope clients are of.
    scopes: bool,
    /// Where the keys of issuers come from.
    issuers: bool,
}

impl Affected {
    /// Whether nobody is touched.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether keys of issuers may have to be fetched from elsewhere.
    pub fn has_issuers(&self) -> bool {
        self.issuers
    }

    /// Whether everything of a type is touched.
    pub fn is_type(&self, kind: ResourceType) -> bool {
        self.types.contains(&kind)
    }

    /// Whether what a pod is told about itself is touched.
    pub fn is_pod(&self, kind: ResourceType, pod: &Key) -> bool {
        self.is_type(kind)
            || self.pods.contains(pod)
            || (kind == ResourceType::InboundPolicy && self.demands.contains(&pod.namespace))
            || (kind == ResourceType::Settings && self.scopes)
            || (kind == ResourceType::Listener && (self.gateways || self.listeners))
    }

    /// Whether the routes of a virtual host of the gateway in a pod are touched.
    pub fn is_virtual_host(&self, pod: &Key, host: &HostPattern) -> bool {
        self.is_pod(ResourceType::Routes, pod) || self.gateways || self.virtual_hosts.meet(host)
    }

    /// Whether the clients beside a pod may be of another scope than before.
    pub fn is_scope(&self, pod: &Key) -> bool {
        self.scopes || self.pods.contains(pod)
    }

    /// Whether what everybody is told about a host is touched.
    pub fn is_host(&self, kind: ResourceType, host: &str) -> bool {
        self.is_type(kind) || self.hosts.get(&kind).is_some_and(|hosts| hosts.contains(host))
    }

    /// Whether the listeners and routes of gateways are touched.
    pub fn touches_gateways(&self) -> bool {
        self.gateways
    }

    /// Whether some gateway may open other ports than before, or other hosts on them.
    pub fn touches_edges(&self) -> bool {
        self.gateways || self.listeners || self.is_type(ResourceType::Listener)
    }

    /// Everything of a type.
    pub fn touch_type(&mut self, kind: ResourceType) {
        self.types.insert(kind);
    }

    /// What a pod is told about itself.
    pub fn touch_pod(&mut self, pod: Key) {
        self.pods.insert(pod);
    }

    /// The listeners and routes of gateways.
    pub fn touch_gateways(&mut self) {
        self.gateways = true;
    }

    /// What the Gateway API's objects decide: gateways' listeners, and the routes of hosts, since routes may hold for any service.
    pub fn touch_edge(&mut self) {
        self.touch_type(ResourceType::Listener);
        self.touch_type(ResourceType::Routes);
    }

    /// What the mesh's settings have a say in.
    pub fn touch_mesh(&mut self) {
        self.touch_type(ResourceType::Settings);
        self.touch_type(ResourceType::InboundPolicy);
        self.touch_type(ResourceType::TrafficPolicy);
    }

    /// The endpoints of a host.
    pub fn touch_endpoints(&mut self, host: &Arc<str>) {
        self.touch_hosts(ResourceType::Endpoints, [HostPattern::Exact(host.clone())]);
    }

    /// A service under each of the names that it may be asked for by, `domain` being the cluster's.
    pub fn touch_names(&mut self, service: &Service, domain: &str) {
        let (host, addresses) = (&service.host, service.addresses.iter());
        self.touch_authorities(host, domain);
        let addresses = addresses.map(|address: &IpAddr| HostPattern::Exact(address.to_string().into()));
        self.touch_hosts(ResourceType::Service, addresses);
    }

    /// The names of a host: `web.shop.svc.cluster.local`, `web.shop.svc`, `web.shop`, `web`.
    pub fn touch_authorities(&mut self, host: &Arc<str>, domain: &str) {
        let short = host.strip_suffix(domain).and_then(|rest| rest.strip_suffix(".svc."));
        let short = short.and_then(|rest| Some((rest, rest.split_once('.')?.0)));
        let short = short.map(|(name, first)| [name.to_owned(), format!("{name}.svc"), first.to_owned()]);
        let short = short.into_iter().flatten().map(|name| HostPattern::Exact(name.into()));
        self.touch_hosts(ResourceType::Service, short.chain([HostPattern::parse(host)]));
    }

    /// Everything about a service that its ports have a say in.
    pub fn touch_service(&mut self, service: &Service, domain: &str) {
        self.touch_names(service, domain);
        let host = || [HostPattern::Exact(service.host.clone())];
        self.touch_hosts(ResourceType::TrafficPolicy, host());
        self.touch_endpoints(&service.host);
        // A rule of any host may send requests here and leave the port to the service.
        self.touch_type(ResourceType::Routes);
    }

    /// What a VirtualService decides, whether by itself or for those that leave rules to it.
    pub fn touch_virtual_service(&mut self, object: &Object<VirtualService>, world: &World) {
        self.touch_rules(object, world);
        for root in delegators(world, object) {
            self.touch_rules(root, world);
        }
    }

    fn touch_rules(&mut self, object: &Object<VirtualService>, world: &World) {
        let domain = &world.domain;
        let gateways = &object.spec.gateways;
        if gateways.iter().any(|gateway| *gateway != GatewayRef::Mesh) {
            self.listeners = true;
            VirtualService::hosts(object, domain).into_iter().for_each(|host| self.virtual_hosts.insert(host));
        }
        if gateways.is_empty() || gateways.contains(&GatewayRef::Mesh) {
            self.touch_hosts(ResourceType::Routes, VirtualService::hosts(object, domain));
        }
        // Clients with a Sidecar may know services because a rule sends requests there.
        if !world.sidecars.is_empty() {
            for host in destinations(object, world) {
                self.touch_authorities(&host, domain);
            }
        }
    }

    /// Which scope clients are of.
    pub fn touch_scopes(&mut self) {
        self.scopes = true;
    }

    /// What a DestinationRule decides.
    pub fn touch_destination_rule(&mut self, object: &Object<DestinationRule>, domain: &str) {
        self.touch_hosts(ResourceType::TrafficPolicy, DestinationRule::hosts(object, domain));
        self.scopes |= object.spec.workload_selector.is_some();
    }

    /// What an object of `namespace` demands of the callers of its workloads; of those of the whole mesh, where that is the root.
    pub fn touch_demands(&mut self, kind: Kind, namespace: &str, root_namespace: &str) {
        if namespace == root_namespace {
            self.touch_type(ResourceType::InboundPolicy);
        } else {
            self.demands.insert(namespace.into());
        }
        self.issuers |= kind == Kind::RequestAuthentication;
    }

    fn touch_hosts(&mut self, kind: ResourceType, hosts: impl IntoIterator<Item = HostPattern>) {
        let known = self.hosts.entry(kind).or_default();
        for host in hosts {
            known.insert(host);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::compile;

    #[test]
    fn a_service_is_touched_under_every_name_that_means_it() {
        let value = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"clusterIP": "10.96.0.1", "ports": [{"name": "http", "port": 80}]}});
        let service = compile::service(&value, "cluster.local", None).unwrap();
        let mut affected = Affected::default();
        assert!(affected.is_empty());
        affected.touch_names(&service, "cluster.local");
        for name in ["web", "web.shop", "web.shop.svc", "web.shop.svc.cluster.local", "10.96.0.1"] {
            assert!(affected.is_host(ResourceType::Service, name), "{name}");
        }
        for name in ["api", "web.bank", "shop", "10.96.0.2"] {
            assert!(!affected.is_host(ResourceType::Service, name), "{name}");
        }
        assert!(!affected.is_host(ResourceType::Routes, "web.shop.svc.cluster.local"));
    }

    #[test]
    fn a_rule_touches_the_hosts_that_it_claims_and_gateways_where_it_is_bound_to_one() {
        let object = |gateways: &[&str]| {
            let value = json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
                "metadata": {"name": "web", "namespace": "shop"},
                "spec": {"hosts": ["web", "*.example.com"], "gateways": gateways,
                    "http": [{"route": [{"destination": {"host": "web"}}]}]}});
            Object::<VirtualService>::from_value(&value).unwrap()
        };
        let pod = Key::new("shop", "edge");
        for (gateways, in_mesh, at_gateways) in [
            (&[][..], true, false),
            (&["mesh"], true, false),
            (&["edge"], false, true),
            (&["edge", "mesh"], true, true),
        ] {
            let mut affected = Affected::default();
            affected.touch_virtual_service(&object(gateways), &World::new("cluster.local", "istio-system"));
            assert_eq!(affected.is_host(ResourceType::Routes, "web.shop.svc.cluster.local"), in_mesh, "{gateways:?}");
            assert_eq!(affected.is_host(ResourceType::Routes, "a.example.com"), in_mesh, "{gateways:?}");
            assert!(!affected.is_host(ResourceType::Routes, "web.bank.svc.cluster.local"), "{gateways:?}");
            assert!(!affected.is_host(ResourceType::TrafficPolicy, "web.shop.svc.cluster.local"), "{gateways:?}");
            assert_eq!(affected.is_pod(ResourceType::Listener, &pod), at_gateways, "{gateways:?}");
            for (host, is_claimed) in [
                ("*", true),
                ("*.example.com", true),
                ("a.example.com", true),
                ("web.shop.svc.cluster.local", true),
                ("*.example.org", false),
                ("web", false),
            ] {
                let is_touched = affected.is_virtual_host(&pod, &HostPattern::parse(host));
                assert_eq!(is_touched, at_gateways && is_claimed, "{gateways:?} {host}");
            }
        }
    }

    #[test]
    fn a_namespaces_demands_are_its_own_and_the_roots_are_everybodys() {
        let is = |affected: &Affected, namespace: &str| {
            affected.is_pod(ResourceType::InboundPolicy, &Key::new(namespace, "web"))
        };
        let mut affected = Affected::default();
        affected.touch_demands(Kind::AuthorizationPolicy, "shop", "istio-system");
        assert!(is(&affected, "shop") && !is(&affected, "bank") && !affected.has_issuers());
        affected.touch_demands(Kind::RequestAuthentication, "istio-system", "istio-system");
        assert!(is(&affected, "bank") && affected.has_issuers());
    }
}
