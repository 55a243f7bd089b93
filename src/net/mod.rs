//! Sockets, network namespaces, and the capture of traffic.
//!
//! The room exists so that the rest of the house sees connections as (stream, [`Destination`]), however they were come by:
//! accepted on an address, redirected by the kernel, or named by an explicit proxy's client.
//!
//! It guarantees that
//! - a port is either ours alone or an error that names who to ask: listeners that share a port among our own workers never
//!   join another process's ([`bind_group`]);
//! - in a namespace that it made for a pod every TCP connection reaches the one redirect listener, and what is not TCP over IPv4
//!   reaches nobody; in a pod of a cluster every TCP connection, in and out, reaches the proxy, unless it was exempted by name;
//! - a pod's port below 1024 is reached as such, whether or not the system allows it ([`socket_of`]);
//! - the kernel is spoken to directly: no `ip`, `nft` or `iptables` program is run, and no privilege
//!   is needed but over the namespace itself.
//!
//! It refuses to guess: a connection that was not redirected has no original destination, and a machine without user namespaces
//! is reported with the switch that would allow them ([`namespaces_supported`]).
//!
//! `unsafe` lives in `sys` alone, for what only the C library can do: running code between fork and exec, owning a file
//! descriptor that came over a socket, and giving memory back.

mod capture;
mod destination;
mod handover;
mod heap;
mod listen;
mod namespace;
mod netlink;
mod nft;
mod privileged;
mod redirect;
mod route;
mod sys;

pub use capture::{Capture, SetupError};
pub use destination::{Destination, original_destination};
pub use handover::{HandoverError, receive_listener, send_listener};
pub use heap::{configure_heap, settle, trim_heap};
pub use listen::{
    BindError, bind, bind_first_free, bind_group, is_loopback_usable, may_listen, set_nodelay, socket_from,
};
pub use namespace::{Unsupported, isolate, namespaces_supported};
pub use privileged::{address_of, socket_of};
pub use redirect::{APPLICATION_SOURCE, Extent, Redirect};

#[cfg(test)]
#[path = "capture_tests.rs"]
mod capture_tests;

#[cfg(test)]
#[path = "redirect_tests.rs"]
mod redirect_tests;
