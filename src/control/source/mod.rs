//! What the control plane looks at, projected to the little that it needs.
//!
//! An object becomes an [`Item`] where it is decoded and is dropped there; what stays is small and shared. Whoever provides the
//! items (an API server's watches, a channel) says for each kind once what there is ([`Event::Replace`]) and from then on what
//! changes. The [`Inventory`] keeps them and knows which answers a change touches.
//!
//! It refuses to compile anything, and to answer before every kind has been listed: half of a world looks like a whole one.

mod affected;
mod closed;
mod inventory;
mod project;
mod watch;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;

use crate::compile::{Ingress, MeshConfig, TlsSecret};
use crate::model::{GatewayTopology, Health, Labels, Service};
use crate::resources::gateway_api::{
    self, BackendTLSPolicy, GRPCRoute, GatewayClass, HTTPRoute, ListenerSet, ReferenceGrant, TCPRoute, TLSRoute,
    UDPRoute,
};
use crate::resources::{
    AuthorizationPolicy, DestinationRule, Gateway, Object, PeerAuthentication, RequestAuthentication, ServiceEntry,
    Sidecar, Telemetry, VirtualService, WorkloadEntry,
};

pub use affected::Affected;
pub(super) use inventory::inbound_services;
pub use inventory::{Inventory, Placed};
pub(super) use watch::watch;

/// Names an object of some kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Namespace of the object.
    pub namespace: Arc<str>,
    /// Name of the object.
    pub name: Arc<str>,
}

impl Key {
    /// The object `name` in `namespace`.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The kinds that are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Kubernetes Service.
    Service,
    /// Kubernetes EndpointSlice.
    EndpointSlice,
    /// Kubernetes Pod.
    Pod,
    /// Istio VirtualService.
    VirtualService,
    /// Istio DestinationRule.
    DestinationRule,
    /// Istio Sidecar.
    Sidecar,
    /// Istio Gateway.
    Gateway,
    /// Kubernetes Ingress of the mesh's class.
    Ingress,
    /// Istio PeerAuthentication.
    PeerAuthentication,
    /// Istio RequestAuthentication.
    RequestAuthentication,
    /// Istio AuthorizationPolicy.
    AuthorizationPolicy,
    /// Istio Telemetry.
    Telemetry,
    /// Kubernetes Secret that holds something for TLS.
    Secret,
    /// Kubernetes Namespace.
    Namespace,
    /// The Gateway API's GatewayClass.
    GatewayClass,
    /// The Gateway API's Gateway.
    EdgeGateway,
    /// The Gateway API's HTTPRoute.
    HttpRoute,
    /// The Gateway API's GRPCRoute.
    GrpcRoute,
    /// The Gateway API's TLSRoute.
    TlsRoute,
    /// The Gateway API's TCPRoute.
    TcpRoute,
    /// The Gateway API's UDPRoute.
    UdpRoute,
    /// The Gateway API's ListenerSet.
    ListenerSet,
    /// The Gateway API's BackendTLSPolicy.
    BackendTlsPolicy,
    /// Kubernetes ConfigMap that holds certificates of authorities.
    Authorities,
    /// The Gateway API's ReferenceGrant.
    ReferenceGrant,
    /// The ConfigMap with the mesh's settings.
    MeshConfig,
    /// Istio ServiceEntry.
    ServiceEntry,
    /// Istio WorkloadEntry.
    WorkloadEntry,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 28] = [
        Self::Service,
        Self::EndpointSlice,
        Self::Pod,
        Self::VirtualService,
        Self::DestinationRule,
        Self::Sidecar,
        Self::Gateway,
        Self::Ingress,
        Self::PeerAuthentication,
        Self::RequestAuthentication,
        Self::AuthorizationPolicy,
        Self::Telemetry,
        Self::Secret,
        Self::Namespace,
        Self::GatewayClass,
        Self::EdgeGateway,
        Self::HttpRoute,
        Self::GrpcRoute,
        Self::TlsRoute,
        Self::TcpRoute,
        Self::UdpRoute,
        Self::ListenerSet,
        Self::BackendTlsPolicy,
        Self::Authorities,
        Self::ReferenceGrant,
        Self::MeshConfig,
        Self::ServiceEntry,
        Self::WorkloadEntry,
    ];

    /// Whether a cluster may be without the kind: those of the Gateway API are there when somebody has installed them.
    pub fn is_optional(self) -> bool {
        matches!(
            self,
            Self::GatewayClass
                | Self::EdgeGateway
                | Self::HttpRoute
                | Self::GrpcRoute
                | Self::TlsRoute
                | Self::TcpRoute
                | Self::UdpRoute
                | Self::ListenerSet
                | Self::BackendTlsPolicy
                | Self::ReferenceGrant
        )
    }
}

/// A service, and when it was made: of two that claim one port of a workload the older is the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceItem {
    /// The service.
    pub service: Arc<Service>,
    /// Addresses and names at which a load balancer serves it.
    pub published: Arc<[Arc<str>]>,
    /// When the API server took it in.
    pub created: Option<Timestamp>,
}

/// A pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodItem {
    /// Its addresses; empty until it has one.
    pub addresses: Vec<IpAddr>,
    /// The service account that it runs as.
    pub service_account: Arc<str>,
    /// Its labels.
    pub labels: Labels,
    /// Name of the controller that owns it, as metrics report it; the pod's own name where there is none.
    pub workload_name: Arc<str>,
    /// Whether a proxy stands before it.
    pub has_proxy: bool,
    /// Whether it takes requests: it says that it is ready, and is not being deleted.
    pub is_ready: bool,
    /// Whether it is a gateway: a proxy that no application stands behind.
    pub is_gateway: bool,
    /// What it says that stands in front of its gateway.
    pub topology: GatewayTopology,
    /// The machine that it runs on; empty until it has one.
    pub node: Arc<str>,
}

/// One address of a slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SliceEndpoint {
    /// The address.
    pub address: IpAddr,
    /// The pod that has it.
    pub pod: Option<Key>,
    /// Whether it takes requests.
    pub health: Health,
}

/// Part of a service's endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SliceItem {
    /// Name of the service; its namespace is the slice's.
    pub service: Arc<str>,
    /// (name of the service's port, number on the addresses).
    pub ports: Vec<(Arc<str>, u16)>,
    /// The addresses.
    pub endpoints: Vec<SliceEndpoint>,
}

/// An object, projected.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// A service.
    Service(ServiceItem),
    /// Part of a service's endpoints.
    EndpointSlice(SliceItem),
    /// A pod.
    Pod(PodItem),
    /// A VirtualService.
    VirtualService(Arc<Object<VirtualService>>),
    /// A DestinationRule.
    DestinationRule(Arc<Object<DestinationRule>>),
    /// A Sidecar.
    Sidecar(Arc<Object<Sidecar>>),
    /// A Gateway.
    Gateway(Arc<Object<Gateway>>),
    /// A PeerAuthentication.
    PeerAuthentication(Arc<Object<PeerAuthentication>>),
    /// A RequestAuthentication.
    RequestAuthentication(Arc<Object<RequestAuthentication>>),
    /// An AuthorizationPolicy.
    AuthorizationPolicy(Arc<Object<AuthorizationPolicy>>),
    /// A Telemetry.
    Telemetry(Arc<Object<Telemetry>>),
    /// What a Secret holds for TLS.
    Secret(Arc<TlsSecret>),
    /// The labels of a Namespace.
    Namespace(Labels),
    /// A GatewayClass.
    GatewayClass(Arc<Object<GatewayClass>>),
    /// A Gateway of the Gateway API.
    EdgeGateway(Arc<Object<gateway_api::Gateway>>),
    /// An HTTPRoute.
    HttpRoute(Arc<Object<HTTPRoute>>),
    /// A GRPCRoute.
    GrpcRoute(Arc<Object<GRPCRoute>>),
    /// A TLSRoute.
    TlsRoute(Arc<Object<TLSRoute>>),
    /// A TCPRoute.
    TcpRoute(Arc<Object<TCPRoute>>),
    /// A UDPRoute.
    UdpRoute(Arc<Object<UDPRoute>>),
    /// A ListenerSet.
    ListenerSet(Arc<Object<ListenerSet>>),
    /// A BackendTLSPolicy.
    BackendTlsPolicy(Arc<Object<BackendTLSPolicy>>),
    /// Certificates of authorities, as PEM.
    Authorities(Arc<str>),
    /// A ReferenceGrant.
    ReferenceGrant(Arc<Object<ReferenceGrant>>),
    /// The mesh's settings.
    MeshConfig(Arc<MeshConfig>),
    /// A ServiceEntry.
    ServiceEntry(Arc<Object<ServiceEntry>>),
    /// What is made of an Ingress.
    Ingress(Arc<Ingress>),
    /// A WorkloadEntry.
    WorkloadEntry(Arc<Object<WorkloadEntry>>),
}

impl Item {
    /// The kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Service(_) => Kind::Service,
            Self::EndpointSlice(_) => Kind::EndpointSlice,
            Self::Pod(_) => Kind::Pod,
            Self::VirtualService(_) => Kind::VirtualService,
            Self::DestinationRule(_) => Kind::DestinationRule,
            Self::Sidecar(_) => Kind::Sidecar,
            Self::Gateway(_) => Kind::Gateway,
            Self::PeerAuthentication(_) => Kind::PeerAuthentication,
            Self::RequestAuthentication(_) => Kind::RequestAuthentication,
            Self::AuthorizationPolicy(_) => Kind::AuthorizationPolicy,
            Self::Telemetry(_) => Kind::Telemetry,
            Self::Secret(_) => Kind::Secret,
            Self::Namespace(_) => Kind::Namespace,
            Self::GatewayClass(_) => Kind::GatewayClass,
            Self::EdgeGateway(_) => Kind::EdgeGateway,
            Self::HttpRoute(_) => Kind::HttpRoute,
            Self::GrpcRoute(_) => Kind::GrpcRoute,
            Self::TlsRoute(_) => Kind::TlsRoute,
            Self::TcpRoute(_) => Kind::TcpRoute,
            Self::UdpRoute(_) => Kind::UdpRoute,
            Self::ListenerSet(_) => Kind::ListenerSet,
            Self::BackendTlsPolicy(_) => Kind::BackendTlsPolicy,
            Self::Authorities(_) => Kind::Authorities,
            Self::ReferenceGrant(_) => Kind::ReferenceGrant,
            Self::MeshConfig(_) => Kind::MeshConfig,
            Self::ServiceEntry(_) => Kind::ServiceEntry,
            Self::Ingress(_) => Kind::Ingress,
            Self::WorkloadEntry(_) => Kind::WorkloadEntry,
        }
    }
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// An object is there, new or changed.
    Apply(Key, Item),
    /// An object is gone.
    Delete(Kind, Key),
    /// These are all the objects of a kind. What was there of it and is not among them is gone. Items of another kind are
    /// left out.
    Replace(Kind, Vec<(Key, Item)>),
    /// Of the configuration kind `KIND.GROUP`, everything up to this `resourceVersion` has been told; 0 where there is none.
    Seen(Arc<str>, u64),
}
