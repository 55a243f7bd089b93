//! The port of this machine that leads to the ingress gateway.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use parking_lot::Mutex;

use crate::net::may_listen;

/// The port of the gateway's pod that the machine's port leads to: the target of port 80 of `istio-ingressgateway`.
const TARGET_PORT: u16 = 8080;

/// What is added to a gateway's port that needs privileges: 80 is 8080 on the pod, as Istio has it, or 18080 where 8080 is a port
/// of the gateway.
const UNPRIVILEGED: [u16; 2] = [8000, 18_000];

/// The port below 1024 that a gateway's port stands for: 80 for 8080.
pub fn privileged_twin(port: u16) -> Option<u16> {
    UNPRIVILEGED.iter().filter_map(|added| port.checked_sub(*added)).find(|twin| (1..1024).contains(twin))
}

/// The ingress port. It is kept from the moment it is chosen, and lent to one gateway's pod at a time: the ingress gateway's, or
/// that of a Gateway of the Gateway API, whichever has a listener for it first.
#[derive(Debug)]
pub struct Ingress {
    address: SocketAddr,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Keeps the port while no pod has it.
    reserved: Option<TcpListener>,
    /// The ingress gateway's pod.
    holder: Option<String>,
    /// The pod that serves it: the first to have a listener for it.
    server: Option<String>,
}

impl Ingress {
    /// Takes over a port that was bound on 127.0.0.1.
    ///
    /// # Errors
    /// The system's, where the socket has no address.
    pub fn new(reserved: TcpListener) -> std::io::Result<Self> {
        let address = reserved.local_addr()?;
        Ok(Self { address, state: Mutex::new(State { reserved: Some(reserved), holder: None, server: None }) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lends the port to the pod `uid`. `false`: another pod has it.
    pub(super) fn lend(&self, uid: &str) -> bool {
        let mut state = self.state.lock();
        let free = state.holder.as_deref().is_none_or(|holder| holder == uid);
        if free {
            state.holder = Some(uid.to_owned());
            state.reserved = None;
        }
        free
    }

    /// Takes the port back from `uid`, whose sockets are closed by now.
    pub(super) fn take_back(&self, uid: &str) {
        let mut state = self.state.lock();
        let mut had = state.server.take_if(|server| server == uid).is_some();
        had |= state.holder.take_if(|holder| holder == uid).is_some();
        if had && state.server.is_none() && state.holder.is_none() {
            // A stranger who was quicker is found by the next pod, which says so.
            state.reserved = TcpListener::bind(self.address).ok();
        }
    }

    /// The addresses on which the pod `uid` at `pod`, a gateway, serves `port`: its own, with the port below 1024 that this one
    /// stands for where the system allows that; and the machine's if it `may` have that and no other gateway serves it.
    pub(super) fn addresses(&self, pod: Ipv4Addr, port: u16, uid: &str, may: bool) -> Vec<SocketAddr> {
        let own = SocketAddr::from((pod, port));
        let mut addresses = vec![own];
        addresses
            .extend(privileged_twin(port).filter(|twin| may_listen(*twin)).map(|twin| SocketAddr::from((pod, twin))));
        if may && privileged_twin(port) == privileged_twin(TARGET_PORT) {
            let mut state = self.state.lock();
            if state.server.as_deref().is_none_or(|server| server == uid) {
                state.server = Some(uid.to_owned());
                state.reserved = None;
                addresses.push(self.address);
            }
        }
        addresses
    }
}
