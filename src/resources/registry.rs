//! Every configuration kind in one table: its schema, its rules and what `kubectl get` shows of it.

use serde_json::Value;

use super::field::Field;
use super::finding::Findings;
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
}

/// A column of `kubectl get`.
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) path: &'static str,
    pub(super) kind: &'static str,
    pub(super) description: &'static str,
}

const AGE: Column = Column {
    name: "Age",
    path: ".metadata.creationTimestamp",
    kind: "date",
    description: "When the object was created",
};

const fn text(name: &'static str, path: &'static str, description: &'static str) -> Column {
    Column { name, path, kind: "string", description }
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
    }
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
];

/// What there is to know about a kind; `None` for kinds that are no configuration.
pub(super) fn of(kind: &Kind) -> Option<&'static Entry> {
    REGISTRY.iter().find(|entry| entry.group == kind.group && entry.kind == kind.kind)
}
