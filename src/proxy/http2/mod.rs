//! HTTP/2, on both sides, with our limits.
//!
//! A stream is made to look like a connection that carries one HTTP/1.1 message each way: what an exchange does with requests is
//! written once. The price is a head written and read again, some microseconds; trailers pass as those of a chunked body, and
//! with them gRPC.
//!
//! Frames, flow control and header compression are the `h2` crate's. What a peer may make us hold is bounded by [`Limits`]
//! below: concurrent streams, windows, header lists, resets. What it may make us do is bounded by `flood`.

mod client;
mod flood;
mod frames;
mod io;
mod message;
mod server;

#[cfg(test)]
mod tests;

pub use client::{ClientStream, Links, connect};
pub use server::{ServerStream, serve};

use std::io::{Error, ErrorKind};
use std::time::Duration;

/// Streams that a peer may have open at once on one connection.
const MAX_STREAMS: u32 = 100;
/// Bytes of a stream's body that may be under way to us.
const STREAM_WINDOW: u32 = 64 * 1024;
/// Bytes of all bodies of a connection that may be under way to us.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes of a header list, as HPACK counts them.
const MAX_HEADER_LIST: u32 = crate::proxy::limits::MAX_HEAD as u32;
/// Bytes of a body that a stream holds because its peer does not take them.
const MAX_SEND_BUFFER: usize = 64 * 1024;
/// Streams that were reset and are remembered for frames that were under way.
const MAX_RESET_STREAMS: usize = 32;
/// Streams that a peer may reset before they were looked at; beyond it, the connection is over (rapid reset).
const MAX_PENDING_RESETS: usize = 20;
/// Streams of a connection that we reset because of a peer's errors; beyond it, the connection is over.
const MAX_LOCAL_RESETS: usize = 256;
/// Bytes that most heads do not exceed.
const HEAD: usize = 1024;
/// How long a stream that was reset is remembered.
const RESET_REMEMBERED: Duration = Duration::from_secs(5);

/// What went wrong with a stream, as a connection would say it. One that the peer did not take can be tried again, see
/// [`is_refused`](crate::proxy::stream::is_refused).
fn stream_error(error: h2::Error) -> Error {
    let untouched = error.reason() == Some(h2::Reason::REFUSED_STREAM)
        || (error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR));
    let kind = if untouched { ErrorKind::ConnectionRefused } else { ErrorKind::ConnectionReset };
    Error::new(kind, error)
}
