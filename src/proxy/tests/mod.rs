//! Proxies in process, between small servers and clients that speak bytes.

mod announced;
mod authz;
mod authz_matrix;
mod boundaries;
mod east_west;
mod edge_tls;
mod edges;
mod ext_authz;
mod external;
mod fuzz;
mod handling;
pub(in crate::proxy) mod harness;
mod http;
mod logs;
mod metrics;
mod mutual_tls;
mod origins;
mod peer_modes;
mod policies;
mod representation;
mod streams;
mod tokens;
mod traces;
mod upstreams;
