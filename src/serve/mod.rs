//! HTTP and gRPC serving with our limits.
