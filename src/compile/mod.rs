//! Configuration to model: merging, precedence, visibility, scopes.
//!
//! Everything here is a pure function of a [`World`]: the same objects give the same model, whatever the order in which they
//! came. Each function answers for one name and one [`Scope`] of clients, so that the control plane compiles what somebody
//! asks for and nothing else.
//!
//! The rules are Istio's, as its documentation and the behaviour of its control plane have them: the oldest of two objects that
//! claim the same host wins; a host is exact before it is a wildcard; what a client sees depends on its namespace and on
//! `exportTo`; a DestinationRule is looked up in the client's namespace, then the service's, then the root namespace.
//!
//! The room refuses I/O, and configuration that was not parsed: what reaches it is a sound
//! [`Object`](crate::resources::Object).

mod authentication;
mod authorization;
mod claims;
#[cfg(test)]
mod coverage;
mod delegate;
mod endpoints;
mod external;
pub mod gateway_api;
mod handling;
mod inbound;
mod ingress;
mod listeners;
mod locality;
mod mesh_config;
mod metrics;
mod names;
mod objects;
mod origination;
mod policy;
mod routes;
mod selection;
mod sidecar;
mod streams;
mod telemetry;
mod world;

#[cfg(test)]
mod external_tests;
#[cfg(test)]
mod routing_tests;
#[cfg(test)]
mod tests;

pub use authentication::{KeySource, key_sources, key_sources_of};
pub use claims::{Claimant, Claims};
pub use delegate::delegators;
pub use endpoints::{endpoints, slice_service, workload};
pub use external::External;
pub use inbound::{MtlsModes, inbound_policy, mtls_modes, plaintext_ports};
pub use ingress::{Ingress, ingress, is_served};
pub use listeners::{Edge, GatewayWorkload, gateway_routes, listeners};
pub use mesh_config::{MeshConfig, MeshConfigError, RefusedSetting, annotated_topology};
pub use names::{endpoints_of, qualify, resolve, service_of};
pub use objects::{AUTHORITIES_ENTRY, secret_entry, service};
pub use policy::traffic_policy;
pub use routes::routes;
pub use sidecar::{Egress, destinations, scope};
pub use telemetry::{MeshTelemetry, reporting};
pub use world::{Scope, TlsSecret, Visibility, World, oldest_first, put_in_order, take_out};
