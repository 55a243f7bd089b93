//! The built-in runtime.

pub mod apiserver;
pub mod controllers;
pub mod node;
pub mod samples;
pub mod state;
pub mod traffic;
