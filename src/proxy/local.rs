//! What the connections of one proxy share: across workers ([`Shared`]) and on one of them ([`Local`]).

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;

use parking_lot::RwLock;
use tokio::task::JoinSet;

use crate::model::Listener;
use crate::proxy::directory::Directory;
use crate::proxy::edge_tls;
use crate::proxy::filter::peer::Peers;
use crate::proxy::filter::stats::Stats;
use crate::proxy::http2::Links;
use crate::proxy::limits::Limits;
use crate::proxy::trace::Spans;
use crate::proxy::upstream::{Names, Pool};
use crate::proxy::worker::Worker;
use crate::telemetry::{AccessLog, LogHandle, Registry};

/// What all workers see of a proxy.
#[derive(Debug)]
pub struct Shared {
    /// Name of the pod, for logs.
    pub name: Arc<str>,
    /// Namespace of the pod.
    pub namespace: Arc<str>,
    /// What the proxy knows.
    pub directory: Directory,
    /// Its metrics.
    pub registry: Registry,
    /// Where its lines go; held, because handles do not keep the log open.
    pub access_log: Option<Arc<AccessLog>>,
    /// Its limits.
    pub limits: Limits,
    /// Where connections to the application come from, when the kernel leads the pod's traffic here.
    pub application_source: Option<IpAddr>,
    /// Whether HTTP/1.0 is served.
    pub http10: bool,
    /// Open connections, all workers together.
    pub(super) connections: AtomicUsize,
    /// Where it listens itself; requests are not sent there.
    pub(super) addresses: Vec<SocketAddr>,
    /// The same, for the ports of a gateway.
    pub(super) gateway_addresses: RwLock<Vec<SocketAddr>>,
}

impl Shared {
    /// Whether the proxy itself listens there.
    pub fn is_own(&self, address: &SocketAddr) -> bool {
        self.addresses.contains(address) || self.gateway_addresses.read().contains(address)
    }

    pub(super) fn set_gateway_addresses(&self, addresses: impl Iterator<Item = SocketAddr>) {
        *self.gateway_addresses.write() = addresses.collect();
    }
}

/// What one worker has of a proxy.
pub struct Local {
    /// What all of them see.
    pub shared: Arc<Shared>,
    /// The worker.
    pub worker: Rc<Worker>,
    /// Idle connections to upstreams.
    pub pool: Pool,
    /// Connections to upstreams that carry several requests at once.
    pub links: Links,
    /// Names outside the mesh.
    pub names: Names,
    /// Cells found before.
    pub stats: Stats,
    /// Spans on their way to a collector.
    pub spans: Spans,
    /// Peers known before.
    pub peers: Peers,
    /// The ports of a gateway, as they are in force on this worker.
    pub(super) listeners: RefCell<Arc<[Listener]>>,
    /// What its ports with TLS show.
    pub(super) edge_tls: RefCell<edge_tls::Table>,
    pub(super) log: RefCell<Option<LogHandle>>,
    pub(super) seats: Seats,
    /// What is done beside requests, and ends by itself.
    pub(super) errands: RefCell<JoinSet<()>>,
}

impl Local {
    /// Does something beside the requests, unless [`Limits::errands`] are under way. It must end by itself.
    /// Whether it was begun.
    pub(super) fn run_errand(&self, errand: impl Future<Output = ()> + 'static) -> bool {
        let mut errands = self.errands.borrow_mut();
        while errands.try_join_next().is_some() {}
        let begun = errands.len() < self.shared.limits.errands;
        if begun {
            errands.spawn_local(errand);
        }
        begun
    }
}

/// Counts a connection as open, as long as it lives.
#[derive(Debug)]
pub struct Opened(Arc<Shared>);

impl Opened {
    /// Begins counting; `None` where the limit is reached.
    pub fn begin(shared: &Arc<Shared>) -> Option<Self> {
        let opened = Self(shared.clone());
        let before = shared.connections.fetch_add(1, Ordering::Relaxed);
        (before < shared.limits.connections).then_some(opened)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Where idle connections can be found when the proxy drains: each has a seat for its waker.
#[derive(Debug, Default)]
pub struct Seats {
    wakers: RefCell<Vec<Option<Waker>>>,
    free: RefCell<Vec<usize>>,
    draining: Cell<bool>,
}

/// One connection's seat, free again when dropped.
pub struct Seat<'a> {
    seats: &'a Seats,
    number: usize,
}

impl Seats {
    /// A seat for a new connection.
    pub fn take(&self) -> Seat<'_> {
        let number = self.free.borrow_mut().pop().unwrap_or_else(|| {
            let mut wakers = self.wakers.borrow_mut();
            wakers.push(None);
            wakers.len() - 1
        });
        Seat { seats: self, number }
    }

    /// Whether the proxy is ending: no connection takes another request.
    pub fn draining(&self) -> bool {
        self.draining.get()
    }

    /// Begins to end, and wakes who is idle.
    pub fn drain(&self) {
        self.draining.set(true);
        let wakers: Vec<Waker> = self.wakers.borrow_mut().iter_mut().filter_map(Option::take).collect();
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Seat<'_> {
    /// Has the connection woken when the proxy drains.
    pub fn wait(&self, waker: &Waker) {
        if let Some(seat) = self.seats.wakers.borrow_mut().get_mut(self.number) {
            match seat {
                Some(known) if known.will_wake(waker) => {}
                _ => *seat = Some(waker.clone()),
            }
        }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        if let Some(seat) = self.seats.wakers.borrow_mut().get_mut(self.number) {
            *seat = None;
        }
        self.seats.free.borrow_mut().push(self.number);
    }
}
