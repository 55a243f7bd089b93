//! HTTP/1.1, strictly.
//!
//! A head is read into one buffer and becomes a table of offsets ([`Head`]); nothing is copied until it is written, and what is
//! not changed is written as it came, in runs. Bodies are never held: [`Body`] checks the framing of what passes.
//!
//! One request has one meaning. What could be read in two ways is refused ([`Refusal`]) before any rule sees it: both
//! Content-Length and Transfer-Encoding, repeated Content-Length or Host, bare CR or LF, folded lines, whitespace before a
//! colon, chunk sizes that are not plain hexadecimal. Path and host are normalised once ([`target`]).

pub mod body;
pub mod buffer;
pub mod encode;
pub mod head;
pub mod name;
#[cfg(any(test, fuzzing))]
pub mod properties;
pub mod refusal;
pub mod target;

pub use body::{Body, Framing};
pub use buffer::{Buffer, BufferPool};
pub use encode::{RequestLine, write_request, write_response};
pub use head::{Field, Head, HeadEnd, find_head, parse_request, parse_response};
pub use name::Name;
pub use refusal::Refusal;
pub use target::{Target, read_target};

/// The bytes with which an HTTP/2 client begins without TLS.
pub const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";
