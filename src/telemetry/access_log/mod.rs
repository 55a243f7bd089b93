//! The access log: one line per request, written off the request path.
//!
//! A worker formats a line into its own buffer ([`LogHandle`]); one thread collects the buffers and writes them. A buffer is
//! bounded: what finds no room is dropped and counted, and the next line that is written says how many were lost. No value
//! that a client sent can end a line or leave its field: bytes outside printable ASCII, quotes and backslashes are escaped.

mod record;
mod writer;

pub use record::{AccessLogFormat, AccessRecord};
pub use writer::{AccessLog, LogHandle};
