//! The Gateway API's kinds as Rust types: every field of its experimental channel, which holds that of the standard one.
//!
//! One declaration per kind yields type, decoder, encoder and definition, as for Istio's kinds; a test holds the definitions
//! against the project's own, path by path. The rules that the project's definitions state in CEL are code here
//! (`rules/gateway_api`), so that they hold wherever an object comes from.
//!
//! Refused: features that change what is served under one name in different versions. All versions of a kind have the fields
//! of the newest.

pub mod backend_tls_policy;
pub(super) mod cel;
pub mod filter;
pub mod gateway;
pub mod grpc_route;
pub mod http_route;
pub mod reference;
pub mod session;
pub mod status;
pub mod stream_route;
pub mod text;

pub use backend_tls_policy::BackendTLSPolicy;
pub use gateway::{Gateway, GatewayClass, ListenerSet};
pub use grpc_route::GRPCRoute;
pub use http_route::HTTPRoute;
pub use reference::{GROUP, ReferenceGrant};
pub use stream_route::{TCPRoute, TLSRoute, UDPRoute};

use super::object::Resource;

macro_rules! resources {
    ($($type:ident),+) => {
        $(
            impl Resource for $type {
                const GROUP: &'static str = GROUP;
                const KIND: &'static str = stringify!($type);
            }
        )+
    };
}

resources!(
    GatewayClass,
    Gateway,
    HTTPRoute,
    GRPCRoute,
    TLSRoute,
    TCPRoute,
    UDPRoute,
    ListenerSet,
    ReferenceGrant,
    BackendTLSPolicy
);
