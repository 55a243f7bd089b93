//! The *loopback* pod network: pods' addresses are loopback addresses, and each pod's proxy stands between the address that others
//! call and the one that its app listens on.
//!
//! It needs no privileges and no namespaces. What it cannot do ([`LIMITS`]): raw TCP from apps (they reach others through their
//! pod's HTTP proxy), and isolation between pods of one user. Pods without a sidecar reach others through a plain forwarder of the
//! node, under the same names.

pub mod addresses;
mod admin;
mod forward;
#[cfg(test)]
mod forward_tests;
mod ingress;
mod names;
mod network;

pub use forward::REFUSAL;
pub use ingress::{Ingress, privileged_twin};
pub use network::{HostedProxy, LoopbackNetwork, LoopbackOptions};

/// What this network is and cannot do, for those who choose it.
pub const LIMITS: &str = "loopback (via http_proxy; pods are not isolated)";
