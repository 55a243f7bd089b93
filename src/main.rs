//! The `mesh` executable.

fn main() {}
