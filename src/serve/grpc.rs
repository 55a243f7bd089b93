//! The one place where a gRPC server is built.

use tonic::transport::Server;

use super::Limits;

/// A gRPC server with our limits set and HTTP/1.1 refused. Long-lived streams (discovery) stay open: only a stream's silence on
/// the connection level is bounded, by [`Limits::ping`].
#[must_use]
#[allow(clippy::disallowed_methods)]
pub fn grpc_server(limits: &Limits) -> Server {
    Server::builder()
        .accept_http1(false)
        .max_concurrent_streams(limits.streams)
        .initial_stream_window_size(limits.stream_window)
        .initial_connection_window_size(limits.connection_window)
        .http2_max_header_list_size(limits.header_bytes)
        .http2_max_pending_accept_reset_streams(Some(limits.pending_resets))
        .http2_max_local_error_reset_streams(Some(limits.pending_resets))
        .http2_keepalive_interval(Some(limits.ping))
        .http2_keepalive_timeout(Some(limits.ping))
        .tcp_nodelay(true)
}
