//! The data plane: one proxy is a value that is hosted on a set of workers.
//!
//! A connection comes in through a [`listener`], [`detect`] finds out what is spoken on it, an exchange reads requests with the
//! [`http1`] codec, has them decided by [`crate::model::route::decide`] on what the [`directory`] holds, and takes them to an
//! [`upstream`]. Nothing on that way takes a lock, and a panic ends one connection.
//!
//! The same code is sidecar, gateway and the pods' proxy of the built-in runtime: where it listens and whose identity it holds is
//! configuration. The room knows nothing of Kubernetes.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

pub mod admin;
mod call;
pub mod connection;
pub mod detect;
pub mod directory;
mod edge_tls;
pub mod exchange;
pub mod filter;
pub mod http1;
pub mod http2;
pub mod instance;
pub mod limits;
pub mod listener;
pub mod local;
pub mod proxy_protocol;
pub mod standalone;
pub mod stream;
pub mod tcp;
mod tee;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod timer;
pub mod trace;
pub mod transfer;
pub mod upstream;
pub mod worker;
pub mod xds;

pub use instance::{Bound, Doors, Proxy, ProxyConfig, ProxyError};
pub use limits::Limits;
pub use listener::Bind;
pub use listener::connect::REFUSED_STEP;
pub use worker::Workers;
