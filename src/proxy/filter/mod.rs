//! What happens to every request and response on its way, in this order:
//!
//! 1. [`edge`]: headers that only the mesh may set are taken off, those about the client are put on;
//! 2. [`peer`]: who the caller is, as far as it has proved it;
//! 3. [`request_id`];
//! 4. routing, which is the exchange's;
//! 5. what the rule that decided asks for: faults, [`cors`], [`headers`];
//! 6. [`stats`] and the access log, when all is over.
//!
//! A filter is a plain function; what a request does not use costs a comparison.

pub mod cors;
pub mod edge;
pub mod ext_authz;
pub mod headers;
pub mod jwt;
pub mod logged;
pub mod peer;
pub mod proxy_authorization;
pub mod rbac;
pub mod request_id;
pub mod stats;
