//! Traces: which requests belong together, and what each hop of one took.
//!
//! `context` reads and writes what requests carry, `span` is one hop, `encode` writes spans as collectors read them, `export` takes
//! them there. Whether a request is traced is decided where it is seen first; everybody behind follows, so that traces are whole.
//!
//! It guarantees that no request waits for a collector, and that one that is slow, or gone, costs spans and nothing else: those that
//! wait have a limit, and what is dropped is counted. It refuses to believe a context that cannot be read.

mod context;
mod encode;
mod export;
mod span;

pub use context::SpanContext;
pub use export::Spans;
pub use span::{Measured, Span};
