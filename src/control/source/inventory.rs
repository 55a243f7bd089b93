//! Everything that is known, kept up to date event by event, with the indices that say whom an event touches.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;

use crate::compile::{self, KeySource, World, oldest_first};
use crate::identity::{SpiffeId, TrustDomain};
use crate::model::{Endpoint, Endpoints, Health, InboundService, Labels, Locality, MtlsMode, TunnelProtocol, Workload};
use crate::resources::Object;
use crate::wire::{MAX_ENDPOINTS_PER_CHUNK, ResourceType};

use super::{Event, Item, Key, Kind, PodItem, ServiceItem, SliceItem};

/// A pod as a workload of the mesh, and the services that it answers for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The workload.
    pub workload: Arc<Workload>,
    /// The service account that it runs as.
    pub service_account: Arc<str>,
    /// Hosts of the services that have it among their endpoints.
    pub hosts: BTreeSet<Arc<str>>,
}

/// The namespace in the keys of objects of the cluster as a whole.
const CLUSTER_SCOPE: &str = "default";

/// Whom changes touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Affected {
    /// Every resource of these types.
    pub types: BTreeSet<ResourceType>,
    /// What depends on these hosts.
    pub hosts: BTreeSet<Arc<str>>,
    /// What these pods are told about themselves.
    pub pods: BTreeSet<Key>,
}

impl Affected {
    /// Whether nobody is touched.
    pub fn is_empty(&self) -> bool {
        self.types.is_empty() && self.hosts.is_empty() && self.pods.is_empty()
    }
}

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
    unlisted: BTreeSet<Kind>,
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
            unlisted: Kind::ALL.into(),
            trust_domain,
            cluster,
        }
    }

    /// Whether every kind has been listed once.
    pub fn is_complete(&self) -> bool {
        self.unlisted.is_empty()
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

    /// Where keys come from that RequestAuthentications name. Those that nobody names any more are forgotten.
    pub fn key_sources(&mut self) -> BTreeSet<KeySource> {
        let sources = compile::key_sources(&self.world);
        if self.world.keys.keys().any(|known| !sources.contains(known)) {
            Arc::make_mut(&mut self.world).keys.retain(|known, _| sources.contains(known));
        }
        sources
    }

    /// Takes in the keys of an issuer.
    pub fn insert_keys(&mut self, source: KeySource, keys: Arc<str>, affected: &mut Affected) {
        if self.world.keys.get(&source) != Some(&keys) {
            Arc::make_mut(&mut self.world).keys.insert(source, keys);
            affected.types.insert(ResourceType::InboundPolicy);
        }
    }

    /// Takes in what happened and adds to `affected` whom it touches.
    pub fn apply(&mut self, event: Event, affected: &mut Affected) {
        match event {
            Event::Apply(key, item) => self.insert(key, item, affected),
            Event::Delete(kind, key) => self.remove(kind, &key, affected),
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
            Kind::VirtualService => of(&self.world.virtual_services),
            Kind::DestinationRule => of(&self.world.destination_rules),
            Kind::Gateway => of(&self.world.gateways),
            Kind::PeerAuthentication => of(&self.world.peer_authentications),
            Kind::RequestAuthentication => of(&self.world.request_authentications),
            Kind::AuthorizationPolicy => of(&self.world.authorization_policies),
            Kind::Secret => self.world.secrets.keys().map(|(namespace, name)| Key::new(namespace, name)).collect(),
            Kind::Namespace => self.world.namespaces.keys().map(|name| Key::new(CLUSTER_SCOPE, name)).collect(),
            Kind::GatewayClass => of(&self.world.gateway_classes),
            Kind::EdgeGateway => of(&self.world.edge_gateways),
            Kind::HttpRoute => of(&self.world.http_routes),
            Kind::GrpcRoute => of(&self.world.grpc_routes),
            Kind::ReferenceGrant => of(&self.world.reference_grants),
        }
    }

    fn insert(&mut self, key: Key, item: Item, affected: &mut Affected) {
        match item {
            Item::Service(item) => self.insert_service(key, item, affected),
            Item::EndpointSlice(slice) => self.insert_slice(key, slice, affected),
            Item::Pod(pod) => self.insert_pod(key, &pod, affected),
            Item::VirtualService(object) => {
                put(&mut Arc::make_mut(&mut self.world).virtual_services, object);
                touch(affected, Kind::VirtualService);
            }
            Item::DestinationRule(object) => {
                put(&mut Arc::make_mut(&mut self.world).destination_rules, object);
                touch(affected, Kind::DestinationRule);
            }
            Item::Gateway(object) => {
                put(&mut Arc::make_mut(&mut self.world).gateways, object);
                touch(affected, Kind::Gateway);
            }
            Item::PeerAuthentication(object) => {
                put(&mut Arc::make_mut(&mut self.world).peer_authentications, object);
                touch(affected, Kind::PeerAuthentication);
                self.assemble_namespace(&key.namespace, affected);
            }
            Item::RequestAuthentication(object) => {
                put(&mut Arc::make_mut(&mut self.world).request_authentications, object);
                touch(affected, Kind::RequestAuthentication);
            }
            Item::AuthorizationPolicy(object) => {
                put(&mut Arc::make_mut(&mut self.world).authorization_policies, object);
                touch(affected, Kind::AuthorizationPolicy);
            }
            Item::Namespace(labels) => {
                if self.world.namespaces.get(&key.name) != Some(&labels) {
                    Arc::make_mut(&mut self.world).namespaces.insert(key.name, labels);
                    self.touch_edge(affected);
                }
            }
            Item::GatewayClass(object) => {
                renew(&mut self.world, |world| &mut world.gateway_classes, object, Kind::GatewayClass, affected);
            }
            Item::EdgeGateway(object) => {
                renew(&mut self.world, |world| &mut world.edge_gateways, object, Kind::EdgeGateway, affected);
            }
            Item::HttpRoute(object) => {
                renew(&mut self.world, |world| &mut world.http_routes, object, Kind::HttpRoute, affected);
            }
            Item::GrpcRoute(object) => {
                renew(&mut self.world, |world| &mut world.grpc_routes, object, Kind::GrpcRoute, affected);
            }
            Item::ReferenceGrant(object) => {
                renew(&mut self.world, |world| &mut world.reference_grants, object, Kind::ReferenceGrant, affected);
            }
            Item::Secret(secret) => {
                let name = (key.namespace, key.name);
                if self.world.secrets.get(&name) != Some(&secret) {
                    Arc::make_mut(&mut self.world).secrets.insert(name, secret);
                    touch(affected, Kind::Secret);
                }
            }
        }
    }

    fn remove(&mut self, kind: Kind, key: &Key, affected: &mut Affected) {
        let world = &mut self.world;
        match kind {
            Kind::Service => {
                if let Some(gone) = self.services.remove(key) {
                    Arc::make_mut(&mut self.created).remove(&gone.service.host);
                    Arc::make_mut(&mut self.world).services.remove(&gone.service.host);
                    self.touch_service(&gone.service.host, affected);
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
                    affected.pods.insert(key.clone());
                    for address in &gone.workload.addresses {
                        if self.pods_by_address.get(address) == Some(key) {
                            self.pods_by_address.remove(address);
                        }
                    }
                    self.assemble_referrers(key, &gone.workload.addresses, affected);
                }
            }
            Kind::VirtualService => take(&mut Arc::make_mut(world).virtual_services, key, kind, affected),
            Kind::DestinationRule => take(&mut Arc::make_mut(world).destination_rules, key, kind, affected),
            Kind::Gateway => take(&mut Arc::make_mut(world).gateways, key, kind, affected),
            Kind::RequestAuthentication => {
                take(&mut Arc::make_mut(world).request_authentications, key, kind, affected);
            }
            Kind::AuthorizationPolicy => {
                take(&mut Arc::make_mut(world).authorization_policies, key, kind, affected);
            }
            Kind::PeerAuthentication => {
                take(&mut Arc::make_mut(world).peer_authentications, key, kind, affected);
                self.assemble_namespace(&key.namespace, affected);
            }
            Kind::Namespace => {
                if Arc::make_mut(world).namespaces.remove(&key.name).is_some() {
                    self.touch_edge(affected);
                }
            }
            Kind::GatewayClass => take(&mut Arc::make_mut(world).gateway_classes, key, kind, affected),
            Kind::EdgeGateway => take(&mut Arc::make_mut(world).edge_gateways, key, kind, affected),
            Kind::HttpRoute => take(&mut Arc::make_mut(world).http_routes, key, kind, affected),
            Kind::GrpcRoute => take(&mut Arc::make_mut(world).grpc_routes, key, kind, affected),
            Kind::ReferenceGrant => take(&mut Arc::make_mut(world).reference_grants, key, kind, affected),
            Kind::Secret => {
                if Arc::make_mut(world).secrets.remove(&(key.namespace.clone(), key.name.clone())).is_some() {
                    touch(affected, kind);
                }
            }
        }
    }

    /// Which routes attach to a gateway may depend on the labels of their namespaces.
    fn touch_edge(&self, affected: &mut Affected) {
        if !self.world.edge_gateways.is_empty() {
            touch(affected, Kind::EdgeGateway);
        }
    }

    fn insert_service(&mut self, key: Key, item: ServiceItem, affected: &mut Affected) {
        if self.services.get(&key) == Some(&item) {
            return;
        }
        let host = item.service.host.clone();
        Arc::make_mut(&mut self.world).services.insert(host.clone(), item.service.clone());
        let created = Arc::make_mut(&mut self.created);
        match item.created {
            Some(time) => created.insert(host.clone(), time),
            None => created.remove(&host),
        };
        self.services.insert(key.clone(), item);
        self.touch_service(&host, affected);
        self.assemble(&key, None, affected);
    }

    /// A service's names may mean something else now, and a rule may name its ports.
    fn touch_service(&self, host: &Arc<str>, affected: &mut Affected) {
        affected.types.extend([ResourceType::Service, ResourceType::Routes]);
        affected.hosts.insert(host.clone());
        if let Some(endpoints) = self.world.endpoints.get(host) {
            affected.pods.extend(endpoints.endpoints.iter().map(|endpoint| pod_of(&endpoint.workload)));
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
        let placed = Placed { workload: Arc::new(workload), service_account: pod.service_account.clone(), hosts };
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
        affected.pods.insert(key.clone());
        Arc::make_mut(&mut self.pods).insert(key.clone(), Arc::new(placed));
        self.assemble_referrers(&key, &addresses, affected);
    }

    fn workload(&self, key: &Key, pod: &PodItem) -> Workload {
        let label = |keys: &[&str]| keys.iter().find_map(|key| pod.labels.get(*key).cloned());
        let identity = SpiffeId::new(&self.trust_domain, &key.namespace, &pod.service_account);
        Workload {
            uid: format!("{}//Pod/{key}", self.cluster).into(),
            name: key.name.clone(),
            namespace: key.namespace.clone(),
            addresses: pod.addresses.clone(),
            identity: identity.ok().filter(|_| pod.has_proxy),
            canonical_name: label(&["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"])
                .unwrap_or_else(|| pod.workload_name.clone()),
            canonical_revision: label(&["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"])
                .unwrap_or_else(|| "latest".into()),
            labels: pod.labels.clone(),
            workload_name: pod.workload_name.clone(),
            locality: pod.locality.clone(),
            protocol: if pod.has_proxy { TunnelProtocol::MutualTls } else { TunnelProtocol::Plaintext },
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
        for endpoint in by_address.values_mut().filter(|found| found.workload.protocol == TunnelProtocol::MutualTls) {
            let modes = compile::mtls_modes(&self.world, &endpoint.workload);
            let disabled =
                endpoint.ports.iter().map(|(_, target)| *target).filter(|p| modes.of(*p) == MtlsMode::Disable);
            endpoint.plaintext = disabled.collect();
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
        let pods = |endpoints: &[Arc<Endpoint>]| -> BTreeSet<Key> {
            endpoints.iter().map(|endpoint| pod_of(&endpoint.workload)).collect()
        };
        let old = before.as_ref().map(|before| pods(&before.endpoints)).unwrap_or_default();
        let new = pods(&endpoints);
        for key in old.union(&new) {
            let Some(placed) = self.pods.get(key) else { continue };
            if placed.hosts.contains(host) != new.contains(key) {
                let mut placed = (**placed).clone();
                if new.contains(key) {
                    placed.hosts.insert(host.clone());
                } else {
                    placed.hosts.remove(host);
                }
                Arc::make_mut(&mut self.pods).insert(key.clone(), Arc::new(placed));
            }
        }
        let chunks = |count: usize| count.div_ceil(MAX_ENDPOINTS_PER_CHUNK);
        if chunks(before.map_or(0, |before| before.endpoints.len())) != chunks(endpoints.len()) {
            affected.types.insert(ResourceType::Service);
        }
        affected.hosts.insert(host.clone());
        affected.pods.extend(old);
        affected.pods.extend(new);
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
    let name: Arc<str> = address.to_string().into();
    Workload {
        uid: format!("{cluster}//Address/{namespace}/{name}").into(),
        name: name.clone(),
        namespace: namespace.clone(),
        addresses: vec![address],
        identity: None,
        labels: Labels::new(),
        workload_name: name.clone(),
        canonical_name: name,
        canonical_revision: "latest".into(),
        locality: Locality::default(),
        protocol: TunnelProtocol::Plaintext,
    }
}

fn is<T>(object: &Object<T>, namespace: &str, name: &str) -> bool {
    object.meta.name == name && object.meta.namespace == namespace
}

fn put<T>(objects: &mut Vec<Arc<Object<T>>>, object: Arc<Object<T>>) {
    objects.retain(|known| !is(known, &object.meta.namespace, &object.meta.name));
    objects.push(object);
    oldest_first(objects);
}

/// Puts an object in the place of the one of its name. A change of its status alone touches nobody: the control plane writes
/// these itself.
fn renew<T: Clone + PartialEq>(
    world: &mut Arc<World>,
    objects: impl Fn(&mut World) -> &mut Vec<Arc<Object<T>>>,
    object: Arc<Object<T>>,
    kind: Kind,
    affected: &mut Affected,
) {
    let objects = objects(Arc::make_mut(world));
    let same = |known: &Arc<Object<T>>| {
        let (before, now) = (&known.meta, &object.meta);
        is(known, &now.namespace, &now.name)
            && known.spec == object.spec
            && (before.generation, before.creation_time) == (now.generation, now.creation_time)
    };
    if !objects.iter().any(same) {
        put(objects, object);
        touch(affected, kind);
    }
}

fn take<T>(objects: &mut Vec<Arc<Object<T>>>, key: &Key, kind: Kind, affected: &mut Affected) {
    let before = objects.len();
    objects.retain(|known| !is(known, &key.namespace, &key.name));
    if objects.len() != before {
        touch(affected, kind);
    }
}

/// Which types depend on an object of a kind, whoever asks.
fn touch(affected: &mut Affected, kind: Kind) {
    let types: &[ResourceType] = match kind {
        Kind::VirtualService | Kind::Gateway => &[ResourceType::Routes, ResourceType::Listener],
        Kind::DestinationRule => &[ResourceType::TrafficPolicy],
        Kind::PeerAuthentication | Kind::RequestAuthentication | Kind::AuthorizationPolicy => {
            &[ResourceType::InboundPolicy]
        }
        Kind::Secret => &[ResourceType::Listener],
        Kind::GatewayClass | Kind::EdgeGateway | Kind::HttpRoute | Kind::GrpcRoute | Kind::ReferenceGrant => {
            &[ResourceType::Routes, ResourceType::Listener]
        }
        Kind::Service | Kind::EndpointSlice | Kind::Pod | Kind::Namespace => &[],
    };
    affected.types.extend(types);
}
