//! The integration tests: the real `mesh` executable, as a user runs it.

#![allow(clippy::unwrap_used)]

mod analyze;
mod cluster;
mod control_plane;
mod crash;
mod demo;
mod exec;
mod gateway;
mod harness;
mod house;
mod install;
mod kubernetes;
mod label_namespace;
mod objects;
mod refusals;
mod runtime_refusals;
mod samples;
mod source;
mod workloads;
