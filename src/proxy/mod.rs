//! The data plane.

pub mod directory;
