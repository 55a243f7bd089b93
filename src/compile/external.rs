//! ServiceEntry: services that Kubernetes does not know, with endpoints that are listed, selected, looked up, or where the client was
//! going anyway.
//!
//! One entry is one service for each of its hosts. Several namespaces may each have their own service of a host; who sees which is
//! up to `exportTo`, and Kubernetes' own service of the host goes before all of them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ipnet::IpNet;

use crate::compile::inbound::plaintext_ports;
use crate::compile::world::{World, is_visible};
use crate::identity::{SpiffeId, TrustDomain};
use crate::model::{
    AppProtocol, Endpoint, Endpoints, Health, Labels, Locality, Resolution, Service, ServicePort, TrafficDistribution,
    TunnelProtocol, Workload,
};
use crate::resources::service_entry::{Location, Resolution as Written, ServicePort as Port};
use crate::resources::workload_entry::WorkloadAddress;
use crate::resources::{Object, ServiceEntry, WorkloadEntry};

/// The label of a workload whose proxy speaks mutual TLS.
const TLS_MODE: (&str, &str) = ("security.istio.io/tlsMode", "istio");

/// A service that a ServiceEntry adds.
#[derive(Debug, Clone, PartialEq)]
pub struct External {
    /// The service.
    pub service: Arc<Service>,
    /// Its endpoints.
    pub endpoints: Arc<Endpoints>,
    /// Networks that it is all of.
    pub networks: Vec<IpNet>,
    entry: Arc<Object<ServiceEntry>>,
}

impl External {
    /// Whether clients of a namespace see it.
    pub fn is_visible(&self, namespace: &str) -> bool {
        is_visible(&self.entry, namespace)
    }

    /// Whether it is part of the mesh.
    pub fn is_internal(&self) -> bool {
        self.entry.spec.location == Some(Location::MeshInternal)
    }

    /// Whether pods are among its endpoints, by their labels.
    pub fn selects(&self) -> bool {
        self.entry.spec.workload_selector.is_some()
    }
}

impl World {
    /// Makes the services of the ServiceEntries anew. `pods` are those that entries may select: those that are ready (Istio).
    pub fn add_external<'p>(
        &mut self,
        pods: impl Iterator<Item = &'p Arc<Workload>> + Clone,
        trust_domain: &TrustDomain,
    ) {
        let mut external: BTreeMap<Arc<str>, Vec<Arc<External>>> = BTreeMap::new();
        for entry in &self.service_entries {
            let endpoints = endpoints(self, entry, pods.clone(), trust_domain);
            for host in &entry.spec.hosts {
                let host: Arc<str> = host.as_str().to_ascii_lowercase().into();
                let made = Arc::new(External {
                    service: Arc::new(service(entry, &host)),
                    endpoints: Arc::new(Endpoints { host: host.clone(), endpoints: of_host(entry, &host, &endpoints) }),
                    networks: entry
                        .spec
                        .addresses
                        .iter()
                        .map(|block| block.get())
                        .filter(|net| !is_single(net))
                        .collect(),
                    entry: entry.clone(),
                });
                let known = external.entry(host).or_default();
                // Of one namespace the oldest wins.
                if known.iter().all(|known| known.service.namespace != made.service.namespace) {
                    known.push(made);
                }
            }
        }
        self.external = external;
    }
}

fn is_single(network: &IpNet) -> bool {
    network.prefix_len() == network.max_prefix_len()
}

fn resolution(entry: &ServiceEntry) -> Written {
    entry.resolution.unwrap_or(Written::None)
}

fn service(entry: &Object<ServiceEntry>, host: &Arc<str>) -> Service {
    let spec = &entry.spec;
    let ports = spec.ports.iter().map(|port| ServicePort {
        number: port.number.get(),
        name: port.name.as_str().into(),
        protocol: AppProtocol::of_port(port.protocol.as_deref(), &port.name, port.number.get()),
    });
    let addresses = spec.addresses.iter().map(|block| block.get()).filter(is_single);
    Service {
        host: host.clone(),
        name: host.clone(),
        namespace: entry.meta.namespace.as_str().into(),
        addresses: addresses.map(|network| network.addr()).collect(),
        ports: ports.collect(),
        resolution: match resolution(spec) {
            Written::None | Written::DynamicDns => Resolution::Original,
            Written::DnsRoundRobin => Resolution::FirstAnswer,
            Written::Static | Written::Dns => Resolution::Endpoints,
        },
        distribution: annotation(entry).map(TrafficDistribution::parse).unwrap_or_default(),
        provenance: entry.provenance(),
    }
}

fn annotation(entry: &Object<ServiceEntry>) -> Option<&str> {
    entry.meta.annotations.get("networking.istio.io/traffic-distribution").map(String::as_str)
}

/// The endpoints of one host: those of the entry, else, where DNS knows them, the host itself.
fn of_host(entry: &Object<ServiceEntry>, host: &Arc<str>, listed: &[Arc<Endpoint>]) -> Vec<Arc<Endpoint>> {
    let spec = &entry.spec;
    let by_name = matches!(resolution(spec), Written::Dns | Written::DnsRoundRobin);
    let says_nothing = spec.endpoints.is_empty() && spec.workload_selector.is_none();
    if !by_name || !says_nothing || host.starts_with("*.") {
        return listed.to_vec();
    }
    let ports = spec.ports.iter().map(|port| (port.number.get(), target(port)));
    vec![Arc::new(Endpoint {
        address: Ipv4Addr::UNSPECIFIED.into(),
        name: Some(host.clone()),
        ports: ports.collect(),
        weight: 1,
        health: Health::Healthy,
        plaintext: Vec::new(),
        workload: Arc::new(outside(entry, host, &Labels::new())),
    })]
}

fn target(port: &Port) -> u16 {
    port.target_port.unwrap_or(port.number).get()
}

/// What the entry lists, or what it selects: pods and WorkloadEntries of its namespace.
fn endpoints<'p>(
    world: &World,
    entry: &Object<ServiceEntry>,
    pods: impl Iterator<Item = &'p Arc<Workload>>,
    trust_domain: &TrustDomain,
) -> Vec<Arc<Endpoint>> {
    let spec = &entry.spec;
    let internal = spec.location == Some(Location::MeshInternal);
    let mut found = Vec::new();
    match &spec.workload_selector {
        None => {
            let listed = spec.endpoints.iter();
            found.extend(listed.filter_map(|listed| {
                endpoint(world, entry, (listed, entry.meta.name.as_str()), internal, trust_domain)
            }));
        }
        Some(selector) => {
            let selected = |labels: &dyn Fn(&str) -> Option<String>| {
                selector.labels.iter().all(|(key, value)| labels(key).as_deref() == Some(value.as_str()))
            };
            let own = |namespace: &str| namespace == entry.meta.namespace;
            for workload in &world.workload_entries {
                if own(&workload.meta.namespace) && selected(&|key| workload.spec.labels.get(key).cloned()) {
                    let listed = (&workload.spec, workload.meta.name.as_str());
                    found.extend(endpoint(world, entry, listed, internal, trust_domain));
                }
            }
            for pod in pods {
                if own(&pod.namespace) && selected(&|key| pod.label(key).map(str::to_owned)) {
                    let ports: Vec<(u16, u16)> =
                        spec.ports.iter().map(|port| (port.number.get(), target(port))).collect();
                    found.extend(pod.addresses.first().map(|address| Endpoint {
                        address: *address,
                        name: None,
                        plaintext: plaintext_ports(world, pod, &ports),
                        ports,
                        weight: 1,
                        health: Health::Healthy,
                        workload: pod.clone(),
                    }));
                }
            }
        }
    }
    found.sort_by(|a, b| (&a.workload.uid, a.address).cmp(&(&b.workload.uid, b.address)));
    found.into_iter().map(Arc::new).collect()
}

/// One endpoint as it is written; `None` for a Unix socket, and for one without an address.
fn endpoint(
    world: &World,
    entry: &Object<ServiceEntry>,
    (listed, name): (&WorkloadEntry, &str),
    internal: bool,
    trust_domain: &TrustDomain,
) -> Option<Endpoint> {
    let (address, looked_up): (IpAddr, Option<Arc<str>>) = match listed.address.as_ref()? {
        WorkloadAddress::Ip(address) => (*address, None),
        WorkloadAddress::Host(host) => (Ipv4Addr::UNSPECIFIED.into(), Some(host.as_str().into())),
        WorkloadAddress::Unix(_) => return None,
    };
    let port = |port: &Port| {
        let named = listed.ports.get(&port.name).map(|named| named.get());
        (port.number.get(), named.unwrap_or_else(|| target(port)))
    };
    let labels: Labels =
        listed.labels.iter().map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect();
    let written = listed.address.as_ref().map(ToString::to_string).unwrap_or_default();
    let mut workload = outside(entry, &written, &labels);
    if let Some(place) = listed.locality.as_deref().filter(|place| !place.is_empty()) {
        workload.locality = Locality::parse(place);
    }
    let account = listed.service_account.as_deref().filter(|account| !account.is_empty());
    // Without the label a machine with an account is one with a proxy (Istio).
    let has_proxy = labels.get(TLS_MODE.0).map_or(account.is_some(), |mode| &**mode == TLS_MODE.1);
    if internal && has_proxy {
        workload.identity = SpiffeId::new(trust_domain, &entry.meta.namespace, account.unwrap_or("default")).ok();
        workload.protocol = TunnelProtocol::MutualTls;
        workload.name = name.into();
    }
    let ports: Vec<(u16, u16)> = entry.spec.ports.iter().map(port).collect();
    Some(Endpoint {
        address,
        name: looked_up,
        plaintext: plaintext_ports(world, &workload, &ports),
        ports,
        weight: listed.weight.unwrap_or(1).max(1),
        health: Health::Healthy,
        workload: Arc::new(workload),
    })
}

/// A workload of which little is known but where it is.
fn outside(entry: &Object<ServiceEntry>, address: &str, labels: &Labels) -> Workload {
    let (name, namespace): (Arc<str>, Arc<str>) = (address.into(), entry.meta.namespace.as_str().into());
    let uid: Arc<str> = format!("ServiceEntry/{namespace}/{}/{address}", entry.meta.name).into();
    let addresses = address.parse().into_iter().collect();
    Workload { addresses, ..Workload::new(uid, name.clone(), namespace, name, labels.clone()) }
}
