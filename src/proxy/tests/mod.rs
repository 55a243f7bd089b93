//! Proxies in process, between small servers and clients that speak bytes.

mod edge_tls;
mod edges;
mod handling;
pub(in crate::proxy) mod harness;
mod http;
mod mutual_tls;
mod policies;
mod upstreams;
