//! The shared Kubernetes client layer.
