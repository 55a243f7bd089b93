//! The *loopback* pod network: pods' addresses are loopback addresses, and each pod's proxy stands between the address that others
//! call and the one that its app listens on.
//!
//! It needs no privileges and no namespaces. What it cannot do: raw TCP from apps (they reach others through their pod's HTTP
//! proxy), and isolation between pods of one user.

pub mod addresses;
