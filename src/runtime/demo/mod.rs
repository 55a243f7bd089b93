//! The demo: Bookinfo's visitors, and the proof that the mesh did with their requests what it says.

pub mod proof;
pub mod traffic;
