//! The integration tests: the real `mesh` executable, as a user runs it.

#![allow(clippy::unwrap_used)]

mod cluster;
mod control_plane;
mod gateway;
mod harness;
mod house;
mod refusals;
