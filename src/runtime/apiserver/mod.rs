//! The Kubernetes API, served from one process.
