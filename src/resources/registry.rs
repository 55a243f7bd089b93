//! Every configuration kind in one table: its schema, its rules and what `kubectl get` shows of it.

use serde_json::Value;

use super::field::Field;
use super::finding::Findings;
use super::gateway_api::{self, status};
use super::kinds::Kind;
use super::object::{self, Resource};
use super::{
    AuthorizationPolicy, DestinationRule, EnvoyFilter, Gateway, PeerAuthentication, ProxyConfig, RequestAuthentication,
    ServiceEntry, Sidecar, Telemetry, TrafficExtension, VirtualService, WasmPlugin, WorkloadEntry, WorkloadGroup,
};

/// What there is to know about one configuration kind.
pub(super) struct Entry {
    /// Its API group.
    pub(super) group: &'static str,
    /// Its name.
    pub(super) kind: &'static str,
    /// The schema of its spec.
    pub(super) spec_schema: fn() -> Value,
    /// Everything that can be said about an object without its surroundings.
    pub(super) check: fn(&Value) -> Findings,
    /// What `kubectl get` shows beside the name.
    pub(super) columns: &'static [Column],
    /// Whether an object has to have a spec.
    pub(super) spec_required: bool,
    /// The version that the API server stores, where it is not the preferred one.
    pub(super) stored: Option<&'static str>,
    /// Whose definition it is.
    pub(super) family: Family,
}

/// Whose definitions a kind's follows, in what surrounds its spec.
pub(super) enum Family {
    /// Istio's.
    Istio,
    /// The Gateway API's, with the schema of its status; `None` for a kind without.
    GatewayApi(Option<fn() -> Value>),
}

/// A column of `kubectl get`.
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) path: &'static str,
    pub(super) kind: &'static str,
    pub(super) description: &'static str,
    /// 0: always shown; more: with `-o wide`.
    pub(super) priority: u8,
}

const AGE: Column = Column {
    name: "Age",
    path: ".metadata.creationTimestamp",
    kind: "date",
    description: "When the object was created",
    priority: 0,
};

const fn text(name: &'static str, path: &'static str, description: &'static str) -> Column {
    Column { name, path, kind: "string", description, priority: 0 }
}

const fn entry<T: Resource>(columns: &'static [Column]) -> Entry {
    Entry {
        group: T::GROUP,
        kind: T::KIND,
        spec_schema: <T as Field>::schema,
        check: check::<T>,
        columns,
        spec_required: false,
        stored: None,
        family: Family::Istio,
    }
}

const fn gateway_entry<T: Resource, S: Field>(columns: &'static [Column]) -> Entry {
    let family = Family::GatewayApi(Some(<S as Field>::schema));
    Entry { family, spec_required: true, ..entry::<T>(columns) }
}

impl Entry {
    const fn with_spec(mut self) -> Self {
        self.spec_required = true;
        self
    }

    const fn stored_as(mut self, version: &'static str) -> Self {
        self.stored = Some(version);
        self
    }
}

fn check<T: Resource>(value: &Value) -> Findings {
    object::read::<T>(value).1
}

const HOSTNAMES: Column = text("Hostnames", ".spec.hostnames", "The hosts that requests are for");
const ACCEPTED: Column =
    text("Accepted", ".status.conditions[?(@.type==\"Accepted\")].status", "Whether the controller takes it on");
const PROGRAMMED: Column =
    text("Programmed", ".status.conditions[?(@.type==\"Programmed\")].status", "Whether it is in force");

/// Every configuration kind.
pub(super) const REGISTRY: &[Entry] = &[
    entry::<VirtualService>(&[
        text("Gateways", ".spec.gateways", "The Gateways and sidecars that apply the rules"),
        text("Hosts", ".spec.hosts", "The hosts that clients address"),
        AGE,
    ]),
    entry::<DestinationRule>(&[text("Host", ".spec.host", "The service's host"), AGE]),
    entry::<Gateway>(&[]),
    entry::<PeerAuthentication>(&[text("Mode", ".spec.mtls.mode", "What the workloads take"), AGE]),
    entry::<RequestAuthentication>(&[]),
    entry::<AuthorizationPolicy>(&[text("Action", ".spec.action", "What becomes of the requests"), AGE]),
    entry::<ServiceEntry>(&[
        text("Hosts", ".spec.hosts", "The service's hosts"),
        text("Location", ".spec.location", "Where the service is"),
        text("Resolution", ".spec.resolution", "How its endpoints are found"),
        AGE,
    ])
    .with_spec(),
    entry::<Sidecar>(&[]),
    entry::<WorkloadEntry>(&[AGE, text("Address", ".spec.address", "Where the workload is reached")]).with_spec(),
    entry::<WorkloadGroup>(&[AGE]).with_spec(),
    entry::<EnvoyFilter>(&[]),
    entry::<ProxyConfig>(&[]),
    // What clusters hold was stored as this.
    entry::<Telemetry>(&[AGE]).stored_as("v1alpha1"),
    entry::<WasmPlugin>(&[AGE]).with_spec(),
    entry::<TrafficExtension>(&[AGE]).with_spec(),
    gateway_entry::<gateway_api::GatewayClass, status::GatewayClassStatus>(&[
        text("Controller", ".spec.controllerName", "Who is in charge"),
        ACCEPTED,
        AGE,
        Column { priority: 1, ..text("Description", ".spec.description", "What it is for") },
    ]),
    gateway_entry::<gateway_api::Gateway, status::GatewayStatus>(&[
        text("Class", ".spec.gatewayClassName", "The GatewayClass"),
        text("Address", ".status.addresses[*].value", "Where it is reached"),
        PROGRAMMED,
        AGE,
    ]),
    gateway_entry::<gateway_api::HTTPRoute, status::RouteStatus>(&[HOSTNAMES, AGE]),
    gateway_entry::<gateway_api::GRPCRoute, status::RouteStatus>(&[HOSTNAMES, AGE]),
    gateway_entry::<gateway_api::TLSRoute, status::RouteStatus>(&[AGE]),
    gateway_entry::<gateway_api::TCPRoute, status::RouteStatus>(&[AGE]),
    gateway_entry::<gateway_api::UDPRoute, status::RouteStatus>(&[AGE]),
    gateway_entry::<gateway_api::ListenerSet, status::ListenerSetStatus>(&[ACCEPTED, PROGRAMMED, AGE]),
    // What clusters hold was stored as this.
    Entry { family: Family::GatewayApi(None), spec_required: true, ..entry::<gateway_api::ReferenceGrant>(&[AGE]) }
        .stored_as("v1beta1"),
    gateway_entry::<gateway_api::BackendTLSPolicy, status::PolicyStatus>(&[AGE]),
];

/// What there is to know about a kind; `None` for kinds that are no configuration.
pub(super) fn of(kind: &Kind) -> Option<&'static Entry> {
    REGISTRY.iter().find(|entry| entry.group == kind.group && entry.kind == kind.kind)
}
