//! Built-in demo apps.
