//! The configuration kinds as Rust types.
