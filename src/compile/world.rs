//! What there is to compile, in the order in which rules look at it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::compile::authentication::KeySource;
use crate::compile::claims::Claims;
use crate::compile::external::External;
use crate::compile::mesh_config::MeshConfig;
use crate::compile::sidecar::Egress;
use crate::model::{Endpoints, Labels, PrivateKeyPem, Service};
use crate::resources::authorization_policy::AuthorizationPolicy;
use crate::resources::gateway_api::{
    self, BackendTLSPolicy, GRPCRoute, GatewayClass, HTTPRoute, ListenerSet, ReferenceGrant, TCPRoute, TLSRoute,
    UDPRoute,
};
use crate::resources::request_authentication::RequestAuthentication;
use crate::resources::values::ExportTo;
use crate::resources::{
    DestinationRule, Gateway, Object, PeerAuthentication, ServiceEntry, Sidecar, Telemetry, VirtualService,
    WorkloadEntry,
};

/// The clients that see the same configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scope {
    /// Namespace of the clients.
    pub namespace: Arc<str>,
    /// What they know of the mesh, where a Sidecar says it.
    pub egress: Option<Arc<Egress>>,
    /// The DestinationRules of their namespace that are for chosen clients, and for these; by name.
    pub selected: Arc<BTreeSet<String>>,
}

/// Everything that is known. Lists of objects are kept with [`oldest_first`].
#[derive(Debug, Clone)]
pub struct World {
    /// Domain of the cluster: `cluster.local`.
    pub domain: Arc<str>,
    /// Namespace whose objects hold for the whole mesh: `istio-system`.
    pub root_namespace: Arc<str>,
    /// The mesh's settings.
    pub mesh: Arc<MeshConfig>,
    /// Services by fully qualified host.
    pub services: BTreeMap<Arc<str>, Arc<Service>>,
    /// Where load balancers serve services, by fully qualified host: addresses and names.
    pub published: BTreeMap<Arc<str>, Arc<[Arc<str>]>>,
    /// Endpoints by fully qualified host.
    pub endpoints: BTreeMap<Arc<str>, Arc<Endpoints>>,
    /// Services that ServiceEntries add, by host, oldest first; of one host several namespaces may each have their own.
    pub external: BTreeMap<Arc<str>, Vec<Arc<External>>>,
    /// Oldest first.
    pub service_entries: Vec<Arc<Object<ServiceEntry>>>,
    /// Oldest first.
    pub workload_entries: Vec<Arc<Object<WorkloadEntry>>>,
    /// Oldest first, and by host.
    pub virtual_services: Claims<VirtualService>,
    /// Oldest first, and by host.
    pub destination_rules: Claims<DestinationRule>,
    /// Oldest first.
    pub sidecars: Vec<Arc<Object<Sidecar>>>,
    /// Oldest first.
    pub gateways: Vec<Arc<Object<Gateway>>>,
    /// Oldest first.
    pub peer_authentications: Vec<Arc<Object<PeerAuthentication>>>,
    /// Oldest first.
    pub request_authentications: Vec<Arc<Object<RequestAuthentication>>>,
    /// Oldest first.
    pub authorization_policies: Vec<Arc<Object<AuthorizationPolicy>>>,
    /// Oldest first.
    pub telemetries: Vec<Arc<Object<Telemetry>>>,
    /// The Gateway API's classes; oldest first.
    pub gateway_classes: Vec<Arc<Object<GatewayClass>>>,
    /// The Gateway API's gateways; oldest first.
    pub edge_gateways: Vec<Arc<Object<gateway_api::Gateway>>>,
    /// Oldest first.
    pub http_routes: Vec<Arc<Object<HTTPRoute>>>,
    /// Oldest first.
    pub grpc_routes: Vec<Arc<Object<GRPCRoute>>>,
    /// Oldest first.
    pub tls_routes: Vec<Arc<Object<TLSRoute>>>,
    /// Oldest first.
    pub tcp_routes: Vec<Arc<Object<TCPRoute>>>,
    /// Oldest first.
    pub udp_routes: Vec<Arc<Object<UDPRoute>>>,
    /// Oldest first.
    pub listener_sets: Vec<Arc<Object<ListenerSet>>>,
    /// Oldest first.
    pub backend_tls_policies: Vec<Arc<Object<BackendTLSPolicy>>>,
    /// Oldest first.
    pub reference_grants: Vec<Arc<Object<ReferenceGrant>>>,
    /// Labels of namespaces, by name.
    pub namespaces: BTreeMap<Arc<str>, Labels>,
    /// Keys of issuers of tokens that were fetched, as JSON (RFC 7517).
    pub keys: BTreeMap<KeySource, Arc<str>>,
    /// Secrets that hold what gateways need for TLS, by (namespace, name).
    pub secrets: BTreeMap<(Arc<str>, Arc<str>), Arc<TlsSecret>>,
    /// Certificates of authorities that ConfigMaps hold (`ca.crt`), as PEM, by (namespace, name).
    pub authorities: BTreeMap<(Arc<str>, Arc<str>), Arc<str>>,
}

/// What a Secret holds for TLS: Kubernetes' names (`tls.crt`, `tls.key`, `ca.crt`), or Istio's (`cert`, `key`, `cacert`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSecret {
    /// Certificate chain and key.
    pub certificate: Option<(Arc<str>, PrivateKeyPem)>,
    /// The authorities that vouch for clients.
    pub authorities: Option<Arc<str>>,
}

impl TlsSecret {
    /// Reads a Secret by the names of its entries; `None` where it holds nothing for TLS.
    pub fn read(entry: impl Fn(&str) -> Option<Vec<u8>>) -> Option<Self> {
        let text = |names: [&str; 2]| names.into_iter().find_map(|name| String::from_utf8(entry(name)?).ok());
        let certificate = text(["tls.crt", "cert"]).zip(text(["tls.key", "key"]));
        let certificate = certificate.map(|(chain, key)| (chain.into(), PrivateKeyPem::new(&key)));
        let authorities = text(["ca.crt", "cacert"]).map(Into::into);
        (certificate.is_some() || authorities.is_some()).then_some(Self { certificate, authorities })
    }
}

impl World {
    /// A world without objects.
    pub fn new(domain: &str, root_namespace: &str) -> Self {
        Self {
            domain: domain.into(),
            root_namespace: root_namespace.into(),
            mesh: Arc::default(),
            services: BTreeMap::new(),
            published: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            external: BTreeMap::new(),
            service_entries: Vec::new(),
            workload_entries: Vec::new(),
            virtual_services: Claims::new(domain),
            destination_rules: Claims::new(domain),
            sidecars: Vec::new(),
            gateways: Vec::new(),
            peer_authentications: Vec::new(),
            request_authentications: Vec::new(),
            authorization_policies: Vec::new(),
            telemetries: Vec::new(),
            gateway_classes: Vec::new(),
            edge_gateways: Vec::new(),
            http_routes: Vec::new(),
            grpc_routes: Vec::new(),
            tls_routes: Vec::new(),
            tcp_routes: Vec::new(),
            udp_routes: Vec::new(),
            listener_sets: Vec::new(),
            backend_tls_policies: Vec::new(),
            reference_grants: Vec::new(),
            namespaces: BTreeMap::new(),
            keys: BTreeMap::new(),
            secrets: BTreeMap::new(),
            authorities: BTreeMap::new(),
        }
    }
}

/// Sorts by creation time, then name, then namespace: the order in which Istio lets objects win. An object without a time (one
/// from a file) counts as the youngest.
pub fn oldest_first<T>(objects: &mut [Arc<Object<T>>]) {
    objects.sort_by(|a, b| age(a).cmp(&age(b)));
}

/// Puts an object where [`oldest_first`] would have it.
pub fn put_in_order<T>(objects: &mut Vec<Arc<Object<T>>>, object: Arc<Object<T>>) {
    let place = objects.partition_point(|known| age(known) <= age(&object));
    objects.insert(place, object);
}

/// Takes out the object of a name.
pub fn take_out<T>(objects: &mut Vec<Arc<Object<T>>>, namespace: &str, name: &str) -> Option<Arc<Object<T>>> {
    let is_it = |known: &Arc<Object<T>>| known.meta.name == name && known.meta.namespace == namespace;
    objects.iter().position(is_it).map(|place| objects.remove(place))
}

fn age<T>(object: &Object<T>) -> impl Ord + '_ {
    let meta = &object.meta;
    (meta.creation_time.is_none(), meta.creation_time, &meta.name, &meta.namespace)
}

/// Whether the clients of a namespace see an object.
pub trait Visibility {
    /// `exportTo` as it was written; empty for everybody.
    fn exported_to(&self) -> &[ExportTo];
}

impl Visibility for VirtualService {
    fn exported_to(&self) -> &[ExportTo] {
        &self.export_to
    }
}

impl Visibility for ServiceEntry {
    fn exported_to(&self) -> &[ExportTo] {
        &self.export_to
    }
}

impl Visibility for DestinationRule {
    fn exported_to(&self) -> &[ExportTo] {
        &self.export_to
    }
}

/// Whether clients in `namespace` see the object.
pub(super) fn is_visible<T: Visibility>(object: &Object<T>, namespace: &str) -> bool {
    let exported = object.spec.exported_to();
    exported.is_empty()
        || exported.iter().any(|target| match target {
            ExportTo::Public => true,
            ExportTo::Nobody => false,
            ExportTo::Private => object.meta.namespace == namespace,
            ExportTo::Namespace(named) => named == namespace,
        })
}
