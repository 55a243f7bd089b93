//! The built-in runtime: a Kubernetes API, controllers, a node and its pod network, for one machine without a cluster.
//!
//! It guarantees that one directory has one runtime ([`state`]), that its objects survive `kill -9` ([`apiserver::store`]), and
//! that no process outlives it ([`node`]). It knows pods and services, and nothing of VirtualServices.

pub mod admission;
pub mod apiserver;
pub mod controllers;
pub mod demo;
mod instance;
pub mod loopback;
pub mod node;
mod ports;
pub mod samples;
mod seed;
pub mod state;
pub mod status;
mod tools;
pub mod traffic;

pub use instance::{Runtime, RuntimeError, RuntimeOptions};
pub use ports::PortChoice;
