//! What a proxy needs to know, and the pure functions that decide.
