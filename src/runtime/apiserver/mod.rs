//! The Kubernetes API, served from one process.

pub mod limits;
pub mod store;
