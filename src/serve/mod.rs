//! HTTP and gRPC serving with our limits.
//!
//! Every server of this program that is not the proxy's own data path comes out of this room: the API server, the control
//! plane, the admin ports. It guarantees that no server starts with a library's defaults: header bytes and count, streams,
//! windows, connections, handshake and header times are set from one [`Limits`] value, and every connection ends when
//! the server's token is cancelled (first politely, then after [`Limits::drain`] at once).
//!
//! It refuses to know what it serves: routing, authentication and bodies belong to the service that it is given.

mod grpc;
mod http;
mod limits;

#[cfg(test)]
mod tests;

use std::error::Error;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};

pub use self::grpc::grpc_server;
pub use self::http::{Connection, HandlerFn, Service, Tls, TlsSession, handler, serve, serve_stream};
pub use self::limits::Limits;

/// The error of a response body.
pub type BodyError = Box<dyn Error + Send + Sync>;

/// A response body: whole, or streamed while it is produced.
pub type Body = UnsyncBoxBody<Bytes, BodyError>;

/// A body that is known in full.
#[must_use]
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}
