//! The built-in demo applications.
//!
//! The built-in runtime has no container engine, so the images that Istio's own samples name are answered by small
//! servers compiled into this binary: Bookinfo, httpbin, helloworld, the servers of Istio's guides, a collector of traces, a few images that tutorials
//! deploy, and the idle `curl`/`sleep` client.
//!
//! Guarantees: the paths, methods and JSON fields that tutorials and scripts rely on; every outgoing call goes through
//! the proxy named in `http_proxy`, with the trace headers of the request that caused it; one thread and bounded
//! memory per app.
//! Refuses: images it does not know (see [`resolve`]) and request bodies above 1 MiB.

mod app;
mod bookinfo;
mod client;
mod context;
mod echo;
mod echo_basic;
mod ext_authz;
mod helloworld;
mod httpbin;
mod image;
mod jaeger;
mod jwt_server;
pub mod manifests;
mod nginx;
mod podinfo;
mod reply;
mod server;
mod tcp;
mod tornado;
mod websocket;

#[cfg(test)]
mod tests;

pub(in crate::runtime) use bookinfo::form::RESERVED;
pub(in crate::runtime) use client::BODY_LIMIT;
pub(in crate::runtime) use echo::{ECHO_METHOD, EchoMessage};
pub(in crate::runtime) use ext_authz::{GRPC_PREFIX, framed};
pub(in crate::runtime) use httpbin::capitalised;

pub use app::{App, ReviewsVersion};
pub use client::{Client, ClientError, Fetched, Outgoing, ProxyAddress};
pub use context::{AppContext, Environment};
pub use image::{entrypoint, instead, resolve};
pub use server::{ServeError, serve};

/// The decoded name–value pairs of a query string.
#[cfg(test)]
pub(in crate::runtime) fn query_pairs(query: &str) -> impl Iterator<Item = (String, String)> + '_ {
    bookinfo::form::pairs(query)
}
