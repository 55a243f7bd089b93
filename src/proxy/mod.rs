//! The data plane.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

pub mod directory;
pub mod http1;
pub mod limits;
