//! Sidecar injection as a pure function of a pod and its settings.
