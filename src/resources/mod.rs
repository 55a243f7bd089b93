//! The configuration kinds as Rust types.
//!
//! Istio's kinds and the Gateway API's, complete in their fields: what a user of Istio wrote is read here, typed and checked, before anything else in mesh sees it. One declaration per kind yields its type, its decoder,
//! its encoder and its CustomResourceDefinition ([`field`]), so that the API server cannot know a field that the control plane
//! does not.
//!
//! Guarantees:
//! - [`Object::from_value`] either yields an object that holds every rule of Istio's that can be told from the object alone,
//!   or everything that is wrong with it: path, sentence, remedy, and file:line:column where it came from a file.
//! - [`validate()`] is the one door; admission, `mesh apply` and `mesh validate` call it.
//! - [`enforcement`] is the one table of what mesh does not do yet; nothing in it is ignored in silence.
//!
//! Refused: unknown fields (with a guess at what was meant), and knowledge of other objects: whether a host, subset or gateway
//! exists is not asked here.

pub mod authorization_policy;
pub mod authorization_values;
mod crds;
pub mod destination_rule;
pub mod documentation;
pub mod enforcement;
pub mod envoy_filter;
pub mod expression;
pub mod extension;
pub mod field;
mod finding;
pub mod gateway;
pub mod gateway_api;
mod gateway_api_enforcement;
pub mod header_text;
mod hosts;
pub mod kinds;
pub mod mesh_config;
mod object;
pub mod peer_authentication;
pub mod policy_target;
pub mod provenance;
pub mod proxy_config;
mod registry;
pub mod request_authentication;
mod rules;
pub mod service_entry;
pub mod sidecar;
mod suggest;
pub mod telemetry;
mod validate;
pub mod values;
pub mod virtual_service;
pub mod workload_entry;

#[cfg(test)]
mod gateway_api_tests;
#[cfg(test)]
mod kind_tests;
#[cfg(test)]
mod policy_tests;
#[cfg(test)]
mod tests;

pub use authorization_policy::AuthorizationPolicy;
pub use crds::{crds, gateway_api_crds, schema};
pub use destination_rule::DestinationRule;
pub use envoy_filter::EnvoyFilter;
pub use extension::{TrafficExtension, WasmPlugin};
pub use finding::{Finding, Findings, Severity};
pub use gateway::Gateway;
pub use kinds::Kind;
pub use object::{DRY_RUN, Meta, Object, Resource};
pub use peer_authentication::PeerAuthentication;
pub use provenance::{Provenance, SourcePosition};
pub use proxy_config::ProxyConfig;
pub use request_authentication::RequestAuthentication;
pub use rules::virtual_service::GRPC_STATUSES;
pub use service_entry::ServiceEntry;
pub use sidecar::Sidecar;
pub use telemetry::Telemetry;
pub use validate::{check, forbidden_change, validate};
pub use values::{
    Duration, ExportTo, GatewayRef, Host, Labels, NamespaceFilter, Pattern, Port, ServerHost, StringMatch, Weight,
};
pub use virtual_service::VirtualService;
pub use workload_entry::{WorkloadEntry, WorkloadGroup};
