//! A gateway's ports: bound and given up as the control plane names them.
//!
//! One worker, the first to come, keeps the sockets: it binds a group for each address, one socket per worker. Every worker takes
//! its socket out of the group and accepts on it, until the group is gone.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use crate::net::BindError;
use crate::proxy::edge_tls;
use crate::proxy::instance::{Bound, Phase};
use crate::proxy::listener::{Acceptor, GatewayAddresses, Origin, bind};
use crate::proxy::local::Local;

/// How long to wait before binding what could not be bound is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// A port of the gateway, and an address to listen on for it.
type Place = (u16, SocketAddr);

/// The sockets of a place, which workers take by their number.
type Group = Arc<Mutex<Vec<Option<TcpListener>>>>;

/// The ports of one gateway. Cheap to clone.
#[derive(Clone)]
pub struct Ports {
    addresses: GatewayAddresses,
    workers: NonZeroUsize,
    bound: watch::Sender<Vec<Bound>>,
    groups: watch::Sender<BTreeMap<Place, Group>>,
    kept: Arc<AtomicBool>,
}

impl fmt::Debug for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ports").field("bound", &self.bound.borrow()).finish_non_exhaustive()
    }
}

impl Ports {
    /// No port yet. What is bound is told to `bound`.
    pub fn new(addresses: GatewayAddresses, workers: NonZeroUsize, bound: watch::Sender<Vec<Bound>>) -> Self {
        Self { addresses, workers, bound, groups: watch::Sender::default(), kept: Arc::default() }
    }

    /// Binds and gives up as the directory says, until its task ends. Does nothing where another worker does it. A port that
    /// cannot be bound is said, and tried again.
    pub async fn keep(self, local: Rc<Local>) {
        if self.kept.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut listeners = local.shared.directory.listeners();
        loop {
            let named = listeners.borrow_and_update().clone();
            let wanted = self.wanted(named.iter().map(|listener| listener.port));
            let complete = self.adjust(&local, &wanted);
            let changed = async {
                if listeners.changed().await.is_err() {
                    // Nobody will name ports any more; what is there stays.
                    std::future::pending::<()>().await;
                }
            };
            if complete {
                changed.await;
            } else {
                // Whether something changed or not, it is time to look again.
                let _ = tokio::time::timeout(RETRY, changed).await;
            }
        }
    }

    /// Where the ports are to be bound. An address that stands for several of them is the highest one's: 18080 stands for 80
    /// only where 8080 is a port of its own.
    fn wanted(&self, ports: impl Iterator<Item = u16>) -> Vec<Place> {
        let mut ports: Vec<u16> = ports.collect();
        ports.sort_unstable();
        ports.dedup();
        let mut wanted: Vec<Place> = Vec::new();
        for port in ports {
            for address in (self.addresses)(port) {
                wanted.retain(|(_, known)| *known != address || address.port() == 0);
                wanted.push((port, address));
            }
        }
        wanted
    }

    /// Whether everything wanted is bound.
    fn adjust(&self, local: &Local, wanted: &[Place]) -> bool {
        let mut groups = self.groups.borrow().clone();
        let mut bound = self.bound.borrow().clone();
        groups.retain(|place, _| wanted.contains(place));
        bound.retain(|bound| wanted.iter().any(|(port, _)| *port == bound.port));
        let mut complete = true;
        for place in wanted.iter().copied() {
            if groups.contains_key(&place) {
                continue;
            }
            match self.open(place) {
                Ok((group, address)) => {
                    groups.insert(place, group);
                    bound.push(Bound { port: place.0, address });
                }
                Err(error) => {
                    complete = false;
                    tracing::error!(proxy = %local.shared.name, "port {} of the gateway: {error}", place.0);
                }
            }
        }
        local.shared.set_gateway_addresses(bound.iter().map(|bound| bound.address));
        self.groups.send_replace(groups);
        self.bound.send_if_modified(|known| {
            let changed = *known != bound;
            *known = bound;
            changed
        });
        complete
    }

    fn open(&self, (_, address): Place) -> Result<(Group, SocketAddr), BindError> {
        let sockets = bind(address, self.workers)?;
        let address = sockets.first().and_then(|socket| socket.local_addr().ok()).unwrap_or(address);
        Ok((Arc::new(Mutex::new(sockets.into_iter().map(Some).collect())), address))
    }

    /// Accepts on this worker's sockets, and keeps its table of listeners current, until the proxy drains.
    pub async fn serve(self, acceptor: Acceptor) {
        let mut listeners = acceptor.local.shared.directory.listeners();
        let mut groups = self.groups.subscribe();
        let mut phase = acceptor.phase.clone();
        // Dropping a sender gives the socket up: what waits in its queue is still served.
        let mut open: BTreeMap<Place, oneshot::Sender<()>> = BTreeMap::new();
        let mut sockets = JoinSet::new();
        loop {
            let named = listeners.borrow_and_update().clone();
            let servers = edge_tls::table(&named, &acceptor.local.edge_tls.borrow());
            *acceptor.local.edge_tls.borrow_mut() = servers;
            *acceptor.local.listeners.borrow_mut() = named;
            let current = groups.borrow_and_update().clone();
            open.retain(|place, _| current.contains_key(place));
            for (place, group) in current {
                let number = acceptor.local.worker.number;
                let socket = group.lock().get_mut(number).and_then(Option::take);
                if let Some(socket) = socket {
                    let (kept, given_up) = oneshot::channel::<()>();
                    let given_up = given_up.map(|_| ());
                    sockets.spawn_local(acceptor.clone().run(socket, Origin::Gateway(place.0), given_up));
                    open.insert(place, kept);
                }
            }
            while sockets.try_join_next().is_some() {}
            tokio::select! {
                Ok(()) = listeners.changed() => {}
                Ok(()) = groups.changed() => {}
                _ = phase.wait_for(|phase| *phase != Phase::Serving) => break,
            }
        }
        // Each takes what waits in its queue, and ends.
        while sockets.join_next().await.is_some() {}
    }
}
