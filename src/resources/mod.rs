//! The configuration kinds as Rust types.

pub mod provenance;

pub use provenance::{Provenance, SourcePosition};
