//! The integration tests: the real `mesh` executable, as a user runs it.

#![allow(clippy::unwrap_used)]

mod analyze;
mod cluster;
mod control_plane;
mod crash;
mod demo;
mod gateway;
mod harness;
mod house;
mod refusals;
mod runtime_refusals;
