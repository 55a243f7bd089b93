//! Everything that is known, kept up to date event by event, with the indices that say whom an event touches.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;

use crate::compile::{self, Ingress, KeySource, MeshConfig, World};
use crate::identity::{SpiffeId, TrustDomain};
use crate::model::{Endpoint, Endpoints, GatewayTopology, Health, InboundService, Service, TunnelProtocol, Workload};
use crate::resources::Object;
use crate::wire::{MAX_ENDPOINTS_PER_CHUNK, ResourceType};

use super::{Affected, Event, Item, Key, Kind, PodItem, ServiceItem, SliceItem};

/// A pod as a workload of the mesh, and the services that it answers for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The workload.
    pub workload: Arc<Workload>,
    /// The service account that it runs as.
    pub service_account: Arc<str>,
    /// Whether it takes requests.
    pub is_ready: bool,
    /// Whether it is a gateway: a proxy that no application stands behind.
    pub is_gateway: bool,
    /// What it says that stands in front of its gateway.
    pub topology: GatewayTopology,
    /// Hosts of the services that have it among their endpoints.
    pub hosts: BTreeSet<Arc<str>>,
}

/// The namespace in the keys of objects of the cluster as a whole.
const CLUSTER_SCOPE: &str = "default";

/// What a service's endpoints were looked up by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Reference {
    Pod(Key),
    Address(IpAddr),
}

/// Everything that is known.
#[derive(Debug)]
pub struct Inventory {
    world: Arc<World>,
    pods: Arc<HashMap<Key, Arc<Placed>>>,
    services: HashMap<Key, ServiceItem>,
    created: Arc<HashMap<Arc<str>, Timestamp>>,
    slices: HashMap<Key, BTreeMap<Key, SliceItem>>,
    /// The service of each slice.
    owners: HashMap<Key, Key>,
    pods_by_address: HashMap<IpAddr, Key>,
    /// The services whose endpoints refer to something, and what each refers to.
    referrers: HashMap<Reference, BTreeSet<Key>>,
    references: HashMap<Key, Vec<Reference>>,
    /// Whether the services of ServiceEntries have to be made anew.
    external_is_stale: bool,
    unlisted: BTreeSet<Kind>,
    /// The object that the mesh's settings are from.
    mesh_config: Option<Key>,
    /// What is made of Ingresses, by the Ingress.
    ingresses: BTreeMap<Key, Arc<Ingress>>,
    /// How far the watches of configuration are, and whether that has changed since it was told.
    seen: BTreeMap<Arc<str>, u64>,
    seen_is_new: bool,
    trust_domain: TrustDomain,
    cluster: Arc<str>,
}

impl Inventory {
    /// Nothing is known yet.
    pub fn new(trust_domain: TrustDomain, cluster: Arc<str>, domain: &str, root_namespace: &str) -> Self {
        Self {
            world: Arc::new(World::new(domain, root_namespace)),
            pods: Arc::default(),
            services: HashMap::new(),
            created: Arc::default(),
            slices: HashMap::new(),
            owners: HashMap::new(),
            pods_by_address: HashMap::new(),
            referrers: HashMap::new(),
            references: HashMap::new(),
            external_is_stale: false,
            unlisted: Kind::ALL.into(),
            mesh_config: None,
            ingresses: BTreeMap::new(),
            seen: BTreeMap::new(),
            seen_is_new: false,
            trust_domain,
            cluster,
        }
    }

    /// Whether every kind has been listed once.
    pub fn is_complete(&self) -> bool {
        self.unlisted.is_empty()
    }

    /// Tells how far the watches of configuration are, once what they saw is published.
    pub(in crate::control) fn tell_seen(&mut self, told: &Mutex<BTreeMap<Arc<str>, u64>>) {
        if std::mem::take(&mut self.seen_is_new) {
            told.lock().clone_from(&self.seen);
        }
    }

    /// What there is to compile.
    pub fn world(&self) -> Arc<World> {
        self.world.clone()
    }

    /// The pods.
    pub fn pods(&self) -> Arc<HashMap<Key, Arc<Placed>>> {
        self.pods.clone()
    }

    /// When the services were made, by host.
    pub fn created(&self) -> Arc<HashMap<Arc<str>, Timestamp>> {
        self.created.clone()
    }

    /// Where keys come from that RequestAuthentications name, and how long fetching them may take. Those that nobody names any more are forgotten.
    pub fn key_sources(&mut self) -> BTreeMap<KeySource, Duration> {
        let sources = compile::key_sources(&self.world);
        if self.world.keys.keys().any(|known| !sources.contains_key(known)) {
            Arc::make_mut(&mut self.world).keys.retain(|known, _| sources.contains_key(known));
        }
        sources
    }

    /// Takes in the keys of an issuer.
    pub fn insert_keys(&mut self, source: KeySource, keys: Arc<str>, affected: &mut Affected) {
        if self.world.keys.get(&source) != Some(&keys) {
            Arc::make_mut(&mut self.world).keys.insert(source, keys);
            affected.touch_type(ResourceType::InboundPolicy);
        }
    }

    /// Draws the conclusions of everything that was taken in: what costs the same for one event and for many.
    pub fn settle(&mut self, affected: &mut Affected) {
        if std::mem::take(&mut self.external_is_stale) {
            self.renew_external(affected);
        }
    }

    /// Takes in what happened and adds to `affected` whom it touches; [`Self::settle`] has to follow before it is published.
    pub fn apply(&mut self, event: Event, affected: &mut Affected) {
        match event {
            Event::Apply(key, item) => self.insert(key, item, affected),
            Event::Delete(kind, key) => self.remove(kind, &key, affected),
            Event::Seen(kind, version) => {
                let before = self.seen.get(&kind).copied();
                if before.is_none_or(|before| before < version) {
                    self.seen.insert(kind, version);
                    self.seen_is_new = true;
                }
            }
            Event::Replace(kind, items) => {
                self.unlisted.remove(&kind);
                let listed: BTreeSet<&Key> = items.iter().map(|(key, _)| key).collect();
                let gone: Vec<Key> = self.keys(kind).into_iter().filter(|key| !listed.contains(key)).collect();
                for key in gone {
                    self.remove(kind, &key, affected);
                }
                for (key, item) in items {
                    if item.kind() == kind {
                        self.insert(key, item, affected);
                    }
                }
            }
        }
    }

    fn keys(&self, kind: Kind) -> Vec<Key> {
        fn of<T>(objects: &[Arc<Object<T>>]) -> Vec<Key> {
            objects.iter().map(|object| Key::new(&object.meta.namespace, &object.meta.name)).collect()
        }
        match kind {
            Kind::Service => self.services.keys().cloned().collect(),
            Kind::EndpointSlice => self.owners.keys().cloned().collect(),
            Kind::Pod => self.pods.keys().cloned().collect(),
            Kind::VirtualService => self.written(of(&self.world.virtual_services)),
            Kind::DestinationRule => of(&self.world.destination_rules),
            Kind::Sidecar => of(&self.world.sidecars),
            Kind::Gateway => self.written(of(&self.world.gateways)),
            Kind::Ingress => self.ingresses.keys().cloned().collect(),
            Kind::PeerAuthentication => of(&self.world.peer_authentications),
            Kind::RequestAuthentication => of(&self.world.request_authentications),
            Kind::AuthorizationPolicy => of(&self.world.authorization_policies),
            Kind::Telemetry => of(&self.world.telemetries),
            Kind::ServiceEntry => of(&self.world.service_entries),
            Kind::WorkloadEntry => of(&self.world.workload_entries),
            Kind::Secret => self.world.secrets.keys().map(|(namespace, name)| Key::new(namespace, name)).collect(),
            Kind::Namespace => self.world.namespaces.keys().map(|name| Key::new(CLUSTER_SCOPE, name)).collect(),
            Kind::GatewayClass => of(&self.world.gateway_classes),
            Kind::EdgeGateway => of(&self.world.edge_gateways),
            Kind::HttpRoute => of(&self.world.http_routes),
            Kind::GrpcRoute => of(&self.world.grpc_routes),
            Kind::TlsRoute => of(&self.world.tls_routes),
            Kind::TcpRoute => of(&self.world.tcp_routes),
            Kind::UdpRoute => of(&self.world.udp_routes),
            Kind::ListenerSet => of(&self.world.listener_sets),
            Kind::BackendTlsPolicy => of(&self.world.backend_tls_policies),
            Kind::Authorities => {
                self.world.authorities.keys().map(|(namespace, name)| Key::new(namespace, name)).collect()
            }
            Kind::ReferenceGrant => of(&self.world.reference_grants),
            Kind::MeshConfig => self.mesh_config.iter().cloned().collect(),
        }
    }

    /// Those that somebody wrote, and that were not made of an Ingress.
    fn written(&self, mut keys: Vec<Key>) -> Vec<Key> {
        if !self.ingresses.is_empty() {
            let made: BTreeSet<Key> = self.ingresses.values().flat_map(|ingress| made_of(ingress)).collect();
            keys.retain(|key| !made.contains(key));
        }
        keys
    }

    fn insert(&mut self, key: Key, item: Item, affected: &mut Affected) {
        match item {
            Item::Service(item) => self.insert_service(key, item, affected),
            Item::EndpointSlice(slice) => self.insert_slice(key, slice, affected),
            Item::Pod(pod) => self.insert_pod(key, &pod, affected),
            Item::VirtualService(object) => {
                let world = Arc::make_mut(&mut self.world);
                let before = world.virtual_services.insert(object.clone());
                if before.as_ref() != Some(&object) {
                    for object in before.iter().chain([&object]) {
                        affected.touch_virtual_service(object, world);
                    }
                }
            }
            Item::DestinationRule(object) => {
                let world = Arc::make_mut(&mut self.world);
                let before = world.destination_rules.insert(object.clone());
                if before.as_ref() != Some(&object) {
                    affected.touch_destination_rule(&object, &world.domain);
                    before.iter().for_each(|before| affected.touch_destination_rule(before, &world.domain));
                }
            }
            Item::Sidecar(object) => {
                if put(&mut Arc::make_mut(&mut self.world).sidecars, object) {
                    affected.touch_scopes();
                    self.touch_demands(Kind::Sidecar, &key, affected);
                }
            }
            Item::Gateway(object) => {
                if put(&mut Arc::make_mut(&mut self.world).gateways, object) {
                    affected.touch_gateways();
                }
            }
            Item::Ingress(ingress) => {
                if self.ingresses.get(&key) != Some(&ingress) {
                    self.remove(Kind::Ingress, &key, affected);
                    self.ingresses.insert(key.clone(), ingress.clone());
                    self.insert(key.clone(), Item::Gateway(ingress.gateway.clone()), affected);
                    for route in &ingress.routes {
                        self.insert(key.clone(), Item::VirtualService(route.clone()), affected);
                    }
                }
            }
            Item::PeerAuthentication(object) => {
                if put(&mut Arc::make_mut(&mut self.world).peer_authentications, object) {
                    self.touch_demands(Kind::PeerAuthentication, &key, affected);
                }
            }
            Item::Telemetry(object) => {
                if put(&mut Arc::make_mut(&mut self.world).telemetries, object) {
                    affected.touch_type(ResourceType::Settings);
                }
            }
            Item::RequestAuthentication(object) => {
                if put(&mut Arc::make_mut(&mut self.world).request_authentications, object) {
                    self.touch_demands(Kind::RequestAuthentication, &key, affected);
                }
            }
            Item::AuthorizationPolicy(object) => {
                if put(&mut Arc::make_mut(&mut self.world).authorization_policies, object) {
                    self.touch_demands(Kind::AuthorizationPolicy, &key, affected);
                }
            }
            Item::MeshConfig(config) => {
                self.mesh_config = Some(key);
                self.replace_mesh(config, affected);
            }
            Item::Namespace(labels) => {
                if self.world.namespaces.get(&key.name) != Some(&labels) {
                    Arc::make_mut(&mut self.world).namespaces.insert(key.name, labels);
                    self.touch_edge(affected);
                }
            }
            Item::GatewayClass(object) => {
                renew(&mut self.world, |world| &mut world.gateway_classes, object, affected);
            }
            Item::EdgeGateway(object) => {
                renew(&mut self.world, |world| &mut world.edge_gateways, object, affected);
            }
            Item::HttpRoute(object) => {
                renew(&mut self.world, |world| &mut world.http_routes, object, affected);
            }
            Item::GrpcRoute(object) => {
                renew(&mut self.world, |world| &mut world.grpc_routes, object, affected);
            }
            Item::TlsRoute(object) => {
                renew(&mut self.world, |world| &mut world.tls_routes, object, affected);
            }
            Item::TcpRoute(object) => {
                renew(&mut self.world, |world| &mut world.tcp_routes, object, affected);
            }
            Item::UdpRoute(object) => {
                renew(&mut self.world, |world| &mut world.udp_routes, object, affected);
            }
            Item::ListenerSet(object) => {
                renew(&mut self.world, |world| &mut world.listener_sets, object, affected);
            }
            Item::BackendTlsPolicy(object) => {
                if renew(&mut self.world, |world| &mut world.backend_tls_policies, object, affected) {
                    affected.touch_type(ResourceType::TrafficPolicy);
                }
            }
            Item::Authorities(authorities) => {
                let name = (key.namespace, key.name);
                if self.world.authorities.get(&name) != Some(&authorities) {
                    Arc::make_mut(&mut self.world).authorities.insert(name, authorities);
                    self.touch_backend_tls(affected);
                }
            }
            Item::ReferenceGrant(object) => {
                renew(&mut self.world, |world| &mut world.reference_grants, object, affected);
            }
            Item::ServiceEntry(object) => {
                self.external_is_stale |= put(&mut Arc::make_mut(&mut self.world).service_entries, object);
            }
            Item::WorkloadEntry(object) => {
                self.external_is_stale |= put(&mut Arc::make_mut(&mut self.world).workload_entries, object);
            }
            Item::Secret(secret) => {
                let name = (key.namespace, key.name);
                if self.world.secrets.get(&name) != Some(&secret) {
                    Arc::make_mut(&mut self.world).secrets.insert(name, secret);
                    affected.touch_gateways();
                    self.touch_backend_tls(affected);
                }
            }
        }
    }

    fn replace_mesh(&mut self, config: Arc<MeshConfig>, affected: &mut Affected) {
        if self.world.mesh == config {
            return;
        }
        for refused in &config.refused {
            tracing::error!(reason = %refused, "a setting of the mesh is not in force");
        }
        if let Some(domain) = config.trust_domain.as_ref().filter(|domain| ***domain != *self.trust_domain.as_str()) {
            tracing::warn!(
                configured = &**domain,
                in_force = %self.trust_domain,
                "the trust domain is the one that the control plane was started with"
            );
        }
        Arc::make_mut(&mut self.world).mesh = config;
        affected.touch_mesh();
    }

    fn touch_demands(&mut self, kind: Kind, key: &Key, affected: &mut Affected) {
        affected.touch_demands(kind, &key.namespace, &self.world.root_namespace);
        if kind == Kind::PeerAuthentication {
            self.assemble_namespace(&key.namespace, affected);
            // Endpoints of ServiceEntries are workloads of the mesh as well.
            self.external_is_stale |= !self.world.external.is_empty();
        }
    }

    fn remove(&mut self, kind: Kind, key: &Key, affected: &mut Affected) {
        match kind {
            Kind::Service => {
                if let Some(gone) = self.services.remove(key) {
                    Arc::make_mut(&mut self.created).remove(&gone.service.host);
                    let world = Arc::make_mut(&mut self.world);
                    world.services.remove(&gone.service.host);
                    world.published.remove(&gone.service.host);
                    self.touch_service(&gone.service, affected);
                    self.assemble(key, Some(&gone.service.host), affected);
                }
            }
            Kind::EndpointSlice => {
                if let Some(owner) = self.owners.remove(key) {
                    if let Some(slices) = self.slices.get_mut(&owner) {
                        slices.remove(key);
                        if slices.is_empty() {
                            self.slices.remove(&owner);
                        }
                    }
                    self.assemble(&owner, None, affected);
                }
            }
            Kind::Pod => {
                let gone = Arc::make_mut(&mut self.pods).remove(key);
                if let Some(gone) = gone {
                    affected.touch_pod(key.clone());
                    for address in &gone.workload.addresses {
                        if self.pods_by_address.get(address) == Some(key) {
                            self.pods_by_address.remove(address);
                        }
                    }
                    self.assemble_referrers(key, &gone.workload.addresses, affected);
                    self.note_pod();
                }
            }
            Kind::Ingress => {
                if let Some(gone) = self.ingresses.remove(key) {
                    for made in made_of(&gone) {
                        self.remove(Kind::Gateway, &made, affected);
                        self.remove(Kind::VirtualService, &made, affected);
                    }
                }
            }
            Kind::VirtualService => {
                let world = Arc::make_mut(&mut self.world);
                if let Some(gone) = world.virtual_services.remove(&key.namespace, &key.name) {
                    affected.touch_virtual_service(&gone, world);
                }
            }
            Kind::DestinationRule => {
                let world = Arc::make_mut(&mut self.world);
                if let Some(gone) = world.destination_rules.remove(&key.namespace, &key.name) {
                    affected.touch_destination_rule(&gone, &world.domain);
                }
            }
            Kind::Sidecar => {
                if take(&mut Arc::make_mut(&mut self.world).sidecars, key) {
                    affected.touch_scopes();
                    self.touch_demands(kind, key, affected);
                }
            }
            Kind::Gateway => {
                if take(&mut Arc::make_mut(&mut self.world).gateways, key) {
                    affected.touch_gateways();
                }
            }
            Kind::Telemetry => {
                if take(&mut Arc::make_mut(&mut self.world).telemetries, key) {
                    affected.touch_type(ResourceType::Settings);
                }
            }
            Kind::RequestAuthentication => {
                if take(&mut Arc::make_mut(&mut self.world).request_authentications, key) {
                    self.touch_demands(kind, key, affected);
                }
            }
            Kind::AuthorizationPolicy => {
                if take(&mut Arc::make_mut(&mut self.world).authorization_policies, key) {
                    self.touch_demands(kind, key, affected);
                }
            }
            Kind::PeerAuthentication => {
                if take(&mut Arc::make_mut(&mut self.world).peer_authentications, key) {
                    self.touch_demands(kind, key, affected);
                }
            }
            Kind::MeshConfig => {
                if self.mesh_config.take_if(|known| known == key).is_some() {
                    self.replace_mesh(Arc::default(), affected);
                }
            }
            Kind::Namespace => {
                if Arc::make_mut(&mut self.world).namespaces.remove(&key.name).is_some() {
                    self.touch_edge(affected);
                }
            }
            Kind::GatewayClass => {
                if take(&mut Arc::make_mut(&mut self.world).gateway_classes, key) {
                    affected.touch_edge();
                }
            }
            Kind::EdgeGateway => {
                if take(&mut Arc::make_mut(&mut self.world).edge_gateways, key) {
                    affected.touch_edge();
                }
            }
            Kind::HttpRoute => {
                if take(&mut Arc::make_mut(&mut self.world).http_routes, key) {
                    affected.touch_edge();
                }
            }
            Kind::GrpcRoute => {
                if take(&mut Arc::make_mut(&mut self.world).grpc_routes, key) {
                    affected.touch_edge();
                }
            }
            Kind::TlsRoute => {
                if take(&mut Arc::make_mut(&mut self.world).tls_routes, key) {
                    affected.touch_edge();
                }
            }
            Kind::TcpRoute => {
                if take(&mut Arc::make_mut(&mut self.world).tcp_routes, key) {
                    affected.touch_edge();
                }
            }
            Kind::UdpRoute => {
                if take(&mut Arc::make_mut(&mut self.world).udp_routes, key) {
                    affected.touch_edge();
                }
            }
            Kind::ListenerSet => {
                if take(&mut Arc::make_mut(&mut self.world).listener_sets, key) {
                    affected.touch_edge();
                }
            }
            Kind::BackendTlsPolicy => {
                if take(&mut Arc::make_mut(&mut self.world).backend_tls_policies, key) {
                    affected.touch_type(ResourceType::TrafficPolicy);
                }
            }
            Kind::Authorities => {
                let name = (key.namespace.clone(), key.name.clone());
                if Arc::make_mut(&mut self.world).authorities.remove(&name).is_some() {
                    self.touch_backend_tls(affected);
                }
            }
            Kind::ReferenceGrant => {
                if take(&mut Arc::make_mut(&mut self.world).reference_grants, key) {
                    affected.touch_edge();
                }
            }
            Kind::ServiceEntry => {
                self.external_is_stale |= take(&mut Arc::make_mut(&mut self.world).service_entries, key);
            }
            Kind::WorkloadEntry => {
                self.external_is_stale |= take(&mut Arc::make_mut(&mut self.world).workload_entries, key);
            }
            Kind::Secret => {
                let name = (key.namespace.clone(), key.name.clone());
                if Arc::make_mut(&mut self.world).secrets.remove(&name).is_some() {
                    affected.touch_gateways();
                    self.touch_backend_tls(affected);
                }
            }
        }
    }

    /// Which routes attach to a gateway may depend on the labels of their namespaces.
    fn touch_edge(&self, affected: &mut Affected) {
        if !self.world.edge_gateways.is_empty() {
            affected.touch_edge();
        }
    }

    /// Authorities that a ConfigMap or a Secret holds matter where BackendTLSPolicies may name them.
    fn touch_backend_tls(&self, affected: &mut Affected) {
        if !self.world.backend_tls_policies.is_empty() {
            affected.touch_type(ResourceType::TrafficPolicy);
        }
        self.touch_edge(affected);
    }

    fn insert_service(&mut self, key: Key, item: ServiceItem, affected: &mut Affected) {
        if self.services.get(&key) == Some(&item) {
            return;
        }
        let host = item.service.host.clone();
        let world = Arc::make_mut(&mut self.world);
        world.services.insert(host.clone(), item.service.clone());
        match item.published.is_empty() {
            true => world.published.remove(&host),
            false => world.published.insert(host.clone(), item.published.clone()),
        };
        let created = Arc::make_mut(&mut self.created);
        match item.created {
            Some(time) => created.insert(host.clone(), time),
            None => created.remove(&host),
        };
        let service = item.service.clone();
        if let Some(before) = self.services.insert(key.clone(), item) {
            affected.touch_names(&before.service, &self.world.domain);
        }
        self.touch_service(&service, affected);
        self.assemble(&key, None, affected);
    }

    /// A service's names may mean something else now, and rules and workloads have to know its ports.
    fn touch_service(&self, service: &Service, affected: &mut Affected) {
        affected.touch_service(service, &self.world.domain);
        let endpoints = self.world.endpoints.get(&service.host);
        for endpoint in endpoints.iter().flat_map(|endpoints| &endpoints.endpoints) {
            affected.touch_pod(pod_of(&endpoint.workload));
        }
    }

    fn insert_slice(&mut self, key: Key, slice: SliceItem, affected: &mut Affected) {
        let owner = Key { namespace: key.namespace.clone(), name: slice.service.clone() };
        if let Some(before) = self.owners.insert(key.clone(), owner.clone())
            && before != owner
        {
            if let Some(slices) = self.slices.get_mut(&before) {
                slices.remove(&key);
            }
            self.assemble(&before, None, affected);
        }
        self.slices.entry(owner.clone()).or_default().insert(key, slice);
        self.assemble(&owner, None, affected);
    }

    fn insert_pod(&mut self, key: Key, pod: &PodItem, affected: &mut Affected) {
        let workload = self.workload(&key, pod);
        let before = self.pods.get(&key).cloned();
        let hosts = before.as_ref().map(|placed| placed.hosts.clone()).unwrap_or_default();
        let placed = Placed {
            workload: Arc::new(workload),
            service_account: pod.service_account.clone(),
            is_ready: pod.is_ready,
            is_gateway: pod.is_gateway,
            topology: pod.topology,
            hosts,
        };
        if before.as_deref() == Some(&placed) {
            return;
        }
        let mut addresses = placed.workload.addresses.clone();
        for address in before.iter().flat_map(|placed| &placed.workload.addresses) {
            if self.pods_by_address.get(address) == Some(&key) {
                self.pods_by_address.remove(address);
            }
            addresses.push(*address);
        }
        for address in &placed.workload.addresses {
            self.pods_by_address.insert(*address, key.clone());
        }
        affected.touch_pod(key.clone());
        Arc::make_mut(&mut self.pods).insert(key.clone(), Arc::new(placed));
        self.assemble_referrers(&key, &addresses, affected);
        self.note_pod();
    }

    /// A pod has changed: services of ServiceEntries that select pods may have other endpoints now.
    fn note_pod(&mut self) {
        self.external_is_stale |= self.world.external.values().flatten().any(|known| known.selects());
    }

    /// Makes the services of ServiceEntries anew. Those that come out the same touch nobody.
    fn renew_external(&mut self, affected: &mut Affected) {
        let before = self.world.external.clone();
        let pods = self.pods.clone();
        let world = Arc::make_mut(&mut self.world);
        let ready = pods.values().filter(|placed| placed.is_ready);
        world.add_external(ready.map(|placed| &placed.workload), &self.trust_domain);
        let hosts: BTreeSet<&Arc<str>> = before.keys().chain(world.external.keys()).collect();
        for host in hosts.into_iter().filter(|host| before.get(*host) != world.external.get(*host)) {
            for known in before.get(host).into_iter().chain(world.external.get(host)).flatten() {
                affected.touch_service(&known.service, &world.domain);
                if !known.networks.is_empty() {
                    // Any address may mean it.
                    affected.touch_type(ResourceType::Service);
                }
            }
        }
    }

    fn workload(&self, key: &Key, pod: &PodItem) -> Workload {
        let identity = SpiffeId::new(&self.trust_domain, &key.namespace, &pod.service_account);
        let uid: Arc<str> = format!("{}//Pod/{key}", self.cluster).into();
        let (name, namespace) = (key.name.clone(), key.namespace.clone());
        Workload {
            addresses: pod.addresses.clone(),
            identity: identity.ok().filter(|_| pod.has_proxy),
            node: pod.node.clone(),
            protocol: if pod.has_proxy { TunnelProtocol::MutualTls } else { TunnelProtocol::Plaintext },
            ..Workload::new(uid, name, namespace, pod.workload_name.clone(), pod.labels.clone())
        }
    }

    fn assemble_referrers(&mut self, pod: &Key, addresses: &[IpAddr], affected: &mut Affected) {
        let by_address = addresses.iter().map(|address| Reference::Address(*address));
        let services: BTreeSet<Key> = std::iter::once(Reference::Pod(pod.clone()))
            .chain(by_address)
            .filter_map(|reference| self.referrers.get(&reference))
            .flatten()
            .cloned()
            .collect();
        for service in services {
            self.assemble(&service, None, affected);
        }
    }

    /// What the workloads of a namespace take has changed, or of every namespace where it is the root: who calls them has to
    /// know.
    fn assemble_namespace(&mut self, namespace: &str, affected: &mut Affected) {
        // Before the first snapshot everything is assembled as it comes, and the policies may come last.
        let everywhere = *namespace == *self.world.root_namespace;
        let concerned = self.services.keys().filter(|key| everywhere || *key.namespace == *namespace);
        for service in concerned.cloned().collect::<Vec<_>>() {
            self.assemble(&service, None, affected);
        }
    }

    /// Puts a service's endpoints together anew. `removed` is the host of a service that is gone.
    fn assemble(&mut self, key: &Key, removed: Option<&Arc<str>>, affected: &mut Affected) {
        self.forget_references(key);
        let item = self.services.get(key).cloned();
        let Some(host) = item.as_ref().map(|item| item.service.host.clone()).or_else(|| removed.cloned()) else {
            return;
        };
        let mut references = Vec::new();
        let mut by_address: BTreeMap<IpAddr, Endpoint> = BTreeMap::new();
        if let Some(item) = &item {
            for slice in self.slices.get(key).into_iter().flat_map(BTreeMap::values) {
                self.collect(item, slice, &mut by_address, &mut references);
            }
        }
        for endpoint in by_address.values_mut() {
            endpoint.plaintext = compile::plaintext_ports(&self.world, &endpoint.workload, &endpoint.ports);
        }
        let mut endpoints: Vec<Arc<Endpoint>> = by_address.into_values().map(Arc::new).collect();
        endpoints.sort_by(|a, b| (&a.workload.uid, a.address).cmp(&(&b.workload.uid, b.address)));
        for reference in &references {
            self.referrers.entry(reference.clone()).or_default().insert(key.clone());
        }
        if !references.is_empty() {
            self.references.insert(key.clone(), references);
        }
        self.replace_endpoints(&host, endpoints, item.is_some(), affected);
    }

    fn collect(
        &self,
        item: &ServiceItem,
        slice: &SliceItem,
        by_address: &mut BTreeMap<IpAddr, Endpoint>,
        references: &mut Vec<Reference>,
    ) {
        let target = |port: &crate::model::ServicePort| {
            let named = slice.ports.iter().find(|(name, _)| *name == port.name);
            named.map(|(_, target)| (port.number, *target))
        };
        let ports: Vec<(u16, u16)> = item.service.ports.iter().filter_map(target).collect();
        for listed in &slice.endpoints {
            let pod = match &listed.pod {
                Some(pod) => {
                    references.push(Reference::Pod(pod.clone()));
                    Some(pod)
                }
                None => {
                    references.push(Reference::Address(listed.address));
                    self.pods_by_address.get(&listed.address)
                }
            };
            let workload = match (pod.and_then(|pod| self.pods.get(pod)), &listed.pod) {
                (Some(placed), _) => placed.workload.clone(),
                // The slice is ahead of the pod: who is there, and how it is spoken to, is not known yet.
                (None, Some(_)) => continue,
                (None, None) => Arc::new(outside(&self.cluster, &item.service.namespace, listed.address)),
            };
            let fresh = || Endpoint {
                address: listed.address,
                name: None,
                ports: Vec::new(),
                weight: 1,
                health: listed.health,
                plaintext: Vec::new(),
                workload: workload.clone(),
            };
            let endpoint = by_address.entry(listed.address).or_insert_with(fresh);
            // An address in two slices, while it moves from one to the other, is as good as the better of them.
            if listed.health == Health::Healthy {
                endpoint.health = Health::Healthy;
            }
            for pair in &ports {
                if !endpoint.ports.contains(pair) {
                    endpoint.ports.push(*pair);
                }
            }
        }
    }

    fn replace_endpoints(
        &mut self,
        host: &Arc<str>,
        endpoints: Vec<Arc<Endpoint>>,
        exists: bool,
        affected: &mut Affected,
    ) {
        let before = self.world.endpoints.get(host).cloned();
        if exists && before.as_ref().is_some_and(|before| before.endpoints == endpoints) {
            return;
        }
        // A workload answers for a service on the ports that its endpoints have.
        type Ports<'e> = BTreeMap<Key, Vec<(IpAddr, &'e [(u16, u16)])>>;
        fn by_pod(endpoints: &[Arc<Endpoint>]) -> Ports<'_> {
            let mut found = Ports::new();
            for endpoint in endpoints {
                found.entry(pod_of(&endpoint.workload)).or_default().push((endpoint.address, &endpoint.ports));
            }
            found
        }
        let old = before.as_ref().map(|before| by_pod(&before.endpoints)).unwrap_or_default();
        let new = by_pod(&endpoints);
        for key in old.keys().chain(new.keys()) {
            if old.get(key) == new.get(key) {
                continue;
            }
            affected.touch_pod(key.clone());
            let Some(placed) = self.pods.get(key) else { continue };
            if placed.hosts.contains(host) != new.contains_key(key) {
                let mut placed = (**placed).clone();
                if new.contains_key(key) {
                    placed.hosts.insert(host.clone());
                } else {
                    placed.hosts.remove(host);
                }
                Arc::make_mut(&mut self.pods).insert(key.clone(), Arc::new(placed));
            }
        }
        let chunks = |count: usize| count.div_ceil(MAX_ENDPOINTS_PER_CHUNK);
        if chunks(before.as_ref().map_or(0, |before| before.endpoints.len())) != chunks(endpoints.len()) {
            match self.world.services.get(host) {
                Some(service) => affected.touch_names(service, &self.world.domain),
                None => affected.touch_authorities(host, &self.world.domain),
            }
        }
        affected.touch_endpoints(host);
        let world = Arc::make_mut(&mut self.world);
        if exists {
            world.endpoints.insert(host.clone(), Arc::new(Endpoints { host: host.clone(), endpoints }));
        } else {
            world.endpoints.remove(host);
        }
    }

    fn forget_references(&mut self, service: &Key) {
        for reference in self.references.remove(service).unwrap_or_default() {
            if let Some(services) = self.referrers.get_mut(&reference) {
                services.remove(service);
                if services.is_empty() {
                    self.referrers.remove(&reference);
                }
            }
        }
    }
}

/// The services that a pod answers for, the oldest first.
pub(in crate::control) fn inbound_services(
    world: &World,
    created: &HashMap<Arc<str>, Timestamp>,
    placed: &Placed,
) -> Vec<InboundService> {
    let mut found = Vec::new();
    let mut hosts: Vec<&Arc<str>> = placed.hosts.iter().collect();
    // One without a time is the youngest; the names decide between equals.
    hosts.sort_by_key(|host| (!created.contains_key(*host), created.get(*host)));
    for host in hosts {
        let (Some(service), Some(endpoints)) = (world.services.get(host), world.endpoints.get(host)) else { continue };
        let own = endpoints.endpoints.iter().filter(|endpoint| endpoint.workload.uid == placed.workload.uid);
        for (number, target_port) in own.flat_map(|endpoint| &endpoint.ports) {
            let Some(port) = service.port(*number) else { continue };
            let inbound = InboundService {
                host: service.host.clone(),
                name: service.name.clone(),
                namespace: service.namespace.clone(),
                target_port: *target_port,
                protocol: port.protocol,
            };
            if !found.contains(&inbound) {
                found.push(inbound);
            }
        }
    }
    found
}

fn pod_of(workload: &Workload) -> Key {
    Key { namespace: workload.namespace.clone(), name: workload.name.clone() }
}

/// What runs at an address that no pod has.
fn outside(cluster: &str, namespace: &Arc<str>, address: IpAddr) -> Workload {
    Workload::at(address, format!("{cluster}//Address/{namespace}/{address}").into(), namespace.clone())
}

/// The Gateway and the VirtualServices; their names differ.
fn made_of(ingress: &Ingress) -> impl Iterator<Item = Key> + '_ {
    let routes = ingress.routes.iter().map(|route| &route.meta);
    std::iter::once(&ingress.gateway.meta).chain(routes).map(|meta| Key::new(&meta.namespace, &meta.name))
}

/// Puts an object in its place; whether it is new or differs from what was there.
fn put<T: PartialEq>(objects: &mut Vec<Arc<Object<T>>>, object: Arc<Object<T>>) -> bool {
    let before = compile::take_out(objects, &object.meta.namespace, &object.meta.name);
    let differs = before.is_none_or(|before| before != object);
    compile::put_in_order(objects, object);
    differs
}

/// Puts an object in the place of the one of its name; whether it differs. A change of its status alone touches nobody: the control plane writes
/// these itself.
fn renew<T: Clone + PartialEq>(
    world: &mut Arc<World>,
    objects: impl Fn(&mut World) -> &mut Vec<Arc<Object<T>>>,
    object: Arc<Object<T>>,
    affected: &mut Affected,
) -> bool {
    let objects = objects(Arc::make_mut(world));
    let same = |known: &Arc<Object<T>>| {
        let (before, now) = (&known.meta, &object.meta);
        (&before.namespace, &before.name) == (&now.namespace, &now.name)
            && known.spec == object.spec
            && (before.generation, before.creation_time) == (now.generation, now.creation_time)
    };
    let differs = !objects.iter().any(same);
    if differs {
        put(objects, object);
        affected.touch_edge();
    }
    differs
}

/// Takes an object out; whether it was there.
fn take<T>(objects: &mut Vec<Arc<Object<T>>>, key: &Key) -> bool {
    compile::take_out(objects, &key.namespace, &key.name).is_some()
}
