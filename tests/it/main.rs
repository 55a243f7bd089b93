//! The integration tests: the real `mesh` executable, as a user runs it.

mod harness;
mod house;
mod refusals;
