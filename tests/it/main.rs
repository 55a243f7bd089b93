//! The integration tests: the real `mesh` executable, as a user runs it.

#![allow(clippy::unwrap_used)]

mod analyze;
mod cluster;
mod clusterless;
mod control_plane;
mod crash;
mod demo;
mod exec;
mod fidelity;
mod gateway;
mod gateway_api;
mod guides;
mod h2spec;
mod harness;
mod helm;
mod hostile;
mod house;
mod inputs;
mod install;
mod kubernetes;
mod label_namespace;
mod objects;
mod outages;
mod refusals;
mod reload;
mod runtime_refusals;
mod samples;
mod source;
mod streams;
mod tables;
mod tools;
mod tour;
mod workloads;
