//! Capturing what a pod's processes connect to, from inside the pod's own namespace.
//!
//! Everything here acts on the network namespace of the calling process, and on a machine's own it would break the machine's
//! network. So each looks first whether it is where it belongs: a [`Capture`] is for a namespace that
//! [`isolate`](super::isolate) made, and refuses one that is in use; a [`Redirect`] is for a pod whose network a cluster made,
//! and refuses one that does not have the pod's address.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    num::NonZeroU16,
};

use nix::errno::Errno;

use super::{BindError, Redirect, listen, netlink::Batch, redirect, route};

/// A step of setting up a namespace that the kernel refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot {step}: {errno}")]
pub struct SetupError {
    /// What was tried, as in "cannot …".
    pub step: &'static str,
    /// The kernel's answer.
    pub errno: Errno,
}

/// How a pod's outgoing connections are captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capture {
    /// The pod's address: what its connections come from, and what is not captured when the pod calls itself.
    pub pod: Ipv4Addr,
    /// Where captured connections arrive, on 127.0.0.1 of the pod.
    pub port: NonZeroU16,
    /// A socket mark whose traffic is left alone, for a proxy that runs inside the pod.
    pub exempt_mark: Option<u32>,
}

impl Capture {
    /// Sets up the calling process's namespace and answers the listener that captured connections arrive on; hand it out with
    /// [`send_listener`](super::send_listener), and read [`original_destination`](super::original_destination) of what it accepts.
    ///
    /// IPv6 stays without a route: such connections fail at once, so that programs which try both fall back to IPv4.
    ///
    /// # Errors
    /// [`SetupError`] where the namespace is not a fresh one, or names the step that the kernel refused; nothing is undone,
    /// since the namespace ends with its process.
    pub fn set_up(&self) -> Result<TcpListener, SetupError> {
        check_fresh()?;
        for batch in self.batches() {
            batch.send()?;
        }
        let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), self.port.get());
        listen::bind(address).map_err(|error| SetupError {
            step: "listen for captured connections",
            errno: match error {
                BindError::InUse { .. } => Errno::EADDRINUSE,
                BindError::NotPermitted { .. } => Errno::EACCES,
                BindError::NotOurs { .. } | BindError::NoneFree { .. } => Errno::EADDRNOTAVAIL,
                BindError::System { source, .. } => Errno::from_raw(source.raw_os_error().unwrap_or_default()),
            },
        })
    }

    /// The requests that set the namespace up, in order.
    pub(super) fn batches(&self) -> [Batch; 2] {
        [
            route::everything_to_loopback(self.pod),
            redirect::redirect_output(self.port.get(), self.pod, self.exempt_mark),
        ]
    }
}

impl Redirect {
    /// Has the kernel lead the traffic of the pod at `pod` to its proxy, from now on; rules of an earlier call are replaced. Wants
    /// `CAP_NET_ADMIN`.
    ///
    /// # Errors
    /// [`SetupError`] where this is not the pod's network, or names the step that the kernel refused; then nothing is changed.
    pub fn set_up(&self, pod: IpAddr) -> Result<(), SetupError> {
        let refuse =
            |errno| SetupError { step: "set up a network namespace that does not have the pod's address", errno };
        let mut interfaces = nix::ifaddrs::getifaddrs().map_err(refuse)?;
        let has = |interface: nix::ifaddrs::InterfaceAddress| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
        };
        if pod.is_loopback() || !interfaces.any(|interface| has(interface) == Some(pod)) {
            return Err(refuse(Errno::EADDRNOTAVAIL));
        }
        self.batch().send()
    }
}

/// A namespace is fresh while no interface in it is up: loopback is down in a new one, and up wherever anything works.
fn check_fresh() -> Result<(), SetupError> {
    let refuse = |errno| SetupError { step: "set up a network namespace that is not the pod's own", errno };
    let interfaces = nix::ifaddrs::getifaddrs().map_err(refuse)?;
    for interface in interfaces {
        if interface.flags.contains(nix::net::if_::InterfaceFlags::IFF_UP) {
            return Err(refuse(Errno::EBUSY));
        }
    }
    Ok(())
}
