//! YAML with source positions, and YAML 1.1 scalars as Kubernetes reads them.
//!
//! Everything a user writes enters mesh through [`load`], and every YAML that mesh prints leaves through [`to_string`]. No
//! other room touches a YAML library, because the libraries of the field disagree with Kubernetes about what `yes`, `0644`
//! or `1_000` mean; a file that kubectl reads one way and mesh another would be worse than one that mesh refuses.
//!
//! Guarantees:
//! - A scalar has the type that `sigs.k8s.io/yaml` gives it, and [`to_string`] quotes whatever would not come back as it was.
//! - Every value can be located ([`Document::locate`]); every [`Error`] names file, line and column.
//! - A bad document does not hide the next one: loading goes on after it where the syntax allows.
//! - Work is bounded: bytes, documents' sizes, depth, nodes, what aliases expand to, errors. Nothing panics, nothing recurses
//!   without limit.
//!
//! Refused: duplicate keys, keys that are not scalars, tags beyond YAML's own, `.inf` and `.nan` (JSON has no such numbers),
//! and bytes that are not text.

mod document;
mod embedded;
mod emit;
mod error;
mod load;
mod path;
mod scalar;
mod text;

#[cfg(test)]
mod tests;

pub use document::{Document, Loaded, Position, SourcePosition};
pub use embedded::load_embedded;
pub use emit::{to_string, to_string_all};
pub use error::{Error, ErrorKind, render};
pub use load::load;
pub use path::{Path, Segment};
