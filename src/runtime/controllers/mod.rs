//! The controllers of the built-in runtime.
