//! Proxies in process, between small servers and clients that speak bytes.

mod authz;
mod authz_matrix;
mod edges;
mod handling;
mod harness;
mod http;
mod mutual_tls;
mod policies;
mod tokens;
mod upstreams;
