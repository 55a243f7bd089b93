//! What travels between the control plane and a proxy: protobuf messages, names, and the only conversions to the model.
//!
//! `docs/wire.md` is the contract; this room is its vocabulary. It guarantees that equal models have equal bytes (maps are
//! written in the order of their keys), so that a resource's version is a hash of its bytes, and that what arrives becomes a
//! model or an error that names the field: an unknown enumeration value is never read as a default, and a regular expression
//! is compiled at the door.
//!
//! It refuses to decide anything: who may see what is `control/`'s business, what it means is `model/`'s.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

pub mod any;
pub mod convert;
#[cfg(test)]
mod generated;
pub mod name;
pub mod proto;
pub mod resource;

pub use any::Any;
pub use convert::{ConvertError, ServiceRecord};
pub use resource::{Encoded, ResourceType};

/// The longest message on a stream, in bytes (docs/wire.md section 12).
pub const MAX_MESSAGE_BYTES: usize = 4 << 20;

/// The most endpoints in one [`Endpoints`](proto::mesh::v1::Endpoints) resource (docs/wire.md section 2).
pub const MAX_ENDPOINTS_PER_CHUNK: usize = 512;
