//! Pods as processes, and the networks between them.
