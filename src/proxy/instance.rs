//! A proxy as a value: hosted on a worker set, drained, dropped.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::net::{self, APPLICATION_SOURCE, BindError};
use crate::proxy::admin::{Subject, Way};
use crate::proxy::directory::Directory;
use crate::proxy::filter::peer::Peers;
use crate::proxy::filter::stats::Stats;
use crate::proxy::http2::Links;
use crate::proxy::limits::Limits;
use crate::proxy::listener::{self, Acceptor, Bind, GatewayAddresses, Origin, Ports};
use crate::proxy::local::{Local, Seats, Shared};
use crate::proxy::trace::Spans;
use crate::proxy::upstream::{Names, Pool};
use crate::proxy::worker::{self, Worker, Workers};
use crate::telemetry::{AccessLog, LogHandle, Registry};

/// How often idle upstream connections are looked at.
const SWEEP: Duration = Duration::from_secs(30);

/// What a proxy is made of.
#[derive(Debug)]
pub struct ProxyConfig {
    /// Name of the pod, for logs.
    pub name: Arc<str>,
    /// Namespace of the pod.
    pub namespace: Arc<str>,
    /// Where its connections come from.
    pub listeners: Vec<Bind>,
    /// What it knows.
    pub directory: Directory,
    /// Where it counts.
    pub registry: Registry,
    /// Where it logs requests, when its settings say so.
    pub access_log: Option<Arc<AccessLog>>,
    /// Its limits.
    pub limits: Limits,
    /// Whether HTTP/1.0 is served.
    pub http10: bool,
}

impl ProxyConfig {
    /// A proxy without listeners and log, with the default limits.
    pub fn new(name: impl Into<Arc<str>>, namespace: impl Into<Arc<str>>, directory: Directory) -> Self {
        Self {
            name: name.into(),
            namespace: namespace.into(),
            listeners: Vec::new(),
            directory,
            registry: Registry::default(),
            access_log: None,
            limits: Limits::default(),
            http10: false,
        }
    }
}

/// A proxy that cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// One of its addresses cannot be listened on.
    #[error("the proxy of {name}: {source}")]
    Bind {
        /// Name of the pod.
        name: Arc<str>,
        /// Which, and why.
        source: BindError,
    },
    /// A socket that was handed in cannot be used, or a worker has ended.
    #[error("the proxy of {name} cannot be started: {source}")]
    Start {
        /// Name of the pod.
        name: Arc<str>,
        /// Why.
        source: io::Error,
    },
}

/// How far a proxy's life has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It takes connections.
    Serving,
    /// It takes no more, and ends what it has.
    Draining,
    /// It is over.
    Ended,
}

/// A proxy's ways in, for who may close them and nothing else.
#[derive(Clone)]
pub struct Doors(Arc<watch::Sender<Phase>>);

impl Default for Doors {
    /// Those of nobody.
    fn default() -> Self {
        Self(Arc::new(watch::channel(Phase::Serving).0))
    }
}

impl fmt::Debug for Doors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Doors({:?})", *self.0.borrow())
    }
}

impl Doors {
    /// The proxy takes no more connections, and ends those that it has when their requests are answered. It is not over with that:
    /// it can still be asked about itself.
    pub fn close(&self) {
        self.0.send_if_modified(|phase| {
            let serves = *phase == Phase::Serving;
            if serves {
                *phase = Phase::Draining;
            }
            serves
        });
    }
}

/// A port of a gateway, and where it is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// The gateway's port.
    pub port: u16,
    /// The address that is listened on.
    pub address: SocketAddr,
}

/// A running proxy. Dropping it ends it at once, with every connection it has.
pub struct Proxy {
    shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
    ways: Arc<[Way]>,
    bound: watch::Receiver<Vec<Bound>>,
    phase: Arc<watch::Sender<Phase>>,
    /// Closed when every worker has let go.
    alive: mpsc::Receiver<()>,
    /// Since when it is there.
    since: Instant,
}

impl Proxy {
    /// Binds the proxy's addresses and serves them on every worker.
    pub fn start(workers: &Workers, config: ProxyConfig) -> Result<Self, ProxyError> {
        let name = config.name.clone();
        let captures = config.listeners.iter().any(|bind| matches!(bind, Bind::InboundTransparent { .. }));
        let mut opened = Opening::new(workers.count());
        for bind in config.listeners {
            opened.open(bind).map_err(|error| error.of(&name))?;
        }
        let shared = Arc::new(Shared {
            name: config.name,
            namespace: config.namespace,
            directory: config.directory,
            registry: config.registry,
            access_log: config.access_log,
            limits: config.limits,
            application_source: captures.then_some(APPLICATION_SOURCE.into()),
            http10: config.http10,
            connections: AtomicUsize::new(0),
            addresses: opened.addresses.clone(),
            gateway_addresses: RwLock::default(),
        });
        let (phase, phase_receiver) = watch::channel(Phase::Serving);
        let (bound_sender, bound) = watch::channel(Vec::new());
        let (alive_sender, alive) = mpsc::channel(1);
        let gateways: Vec<Ports> = opened
            .gateways
            .into_iter()
            .map(|addresses| Ports::new(addresses, workers.count(), bound_sender.clone()))
            .collect();
        let mut per_worker = opened.per_worker.into_iter();
        workers
            .on_each(|_| {
                let part = Part {
                    shared: shared.clone(),
                    sockets: per_worker.next().unwrap_or_default(),
                    gateways: gateways.clone(),
                    log: shared.access_log.as_ref().map(|log| log.handle()),
                    phase: phase_receiver.clone(),
                    _alive: alive_sender.clone(),
                };
                move |worker: &Rc<Worker>| worker::spawn(part.run(worker.clone()))
            })
            .map_err(|source| ProxyError::Start { name, source })?;
        Ok(Self {
            shared,
            addresses: opened.addresses,
            ways: opened.ways.into(),
            bound,
            phase: Arc::new(phase),
            alive,
            since: Instant::now(),
        })
    }

    /// Name of the pod.
    pub fn name(&self) -> &Arc<str> {
        &self.shared.name
    }

    /// Where it listens, in the order of its configuration, gateways left out.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Which ports of a gateway are served where, and every change.
    pub fn bound(&self) -> watch::Receiver<Vec<Bound>> {
        self.bound.clone()
    }

    /// What it knows.
    pub fn directory(&self) -> &Directory {
        &self.shared.directory
    }

    /// What it has counted.
    pub fn registry(&self) -> &Registry {
        &self.shared.registry
    }

    /// What its own surface tells about it.
    pub fn subject(&self) -> Subject {
        Subject {
            directory: self.shared.directory.clone(),
            registry: self.shared.registry.clone(),
            ways: self.ways.clone(),
            since: self.since,
            bound: self.bound.clone(),
            doors: Doors(self.phase.clone()),
        }
    }

    /// Open client connections.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Takes no more connections, lets requests under way finish for as long as `deadline`, then ends. Whether all of them did.
    pub async fn drain(mut self, deadline: Duration) -> bool {
        self.phase.send_replace(Phase::Draining);
        let emptied = tokio::time::timeout(deadline, self.alive.recv()).await.is_ok();
        self.phase.send_replace(Phase::Ended);
        emptied
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.phase.send_replace(Phase::Ended);
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("name", &self.shared.name).field("addresses", &self.addresses).finish()
    }
}

/// Sockets on their way to the workers.
struct Opening {
    workers: NonZeroUsize,
    per_worker: Vec<Vec<(std::net::TcpListener, Origin)>>,
    addresses: Vec<SocketAddr>,
    ways: Vec<Way>,
    gateways: Vec<GatewayAddresses>,
}

enum OpenError {
    Bind(BindError),
    Socket(io::Error),
}

impl OpenError {
    fn of(self, name: &Arc<str>) -> ProxyError {
        match self {
            Self::Bind(source) => ProxyError::Bind { name: name.clone(), source },
            Self::Socket(source) => ProxyError::Start { name: name.clone(), source },
        }
    }
}

impl Opening {
    fn new(workers: NonZeroUsize) -> Self {
        let per_worker = (0..workers.get()).map(|_| Vec::new()).collect();
        Self { workers, per_worker, addresses: Vec::new(), ways: Vec::new(), gateways: Vec::new() }
    }

    fn open(&mut self, bind: Bind) -> Result<(), OpenError> {
        let (sockets, origin) = match bind {
            Bind::InboundExplicit { bind, app } => {
                (listener::bind(bind, self.workers).map_err(OpenError::Bind)?, Origin::Inbound(bind.port(), app))
            }
            Bind::OutboundExplicit { bind, token } => {
                (listener::bind(bind, self.workers).map_err(OpenError::Bind)?, Origin::Outbound(token))
            }
            Bind::InboundTransparent { listener, original } => {
                (self.copies(listener).map_err(OpenError::Socket)?, Origin::InboundRedirected(original))
            }
            Bind::OutboundTransparent { listener, original } => {
                (self.copies(listener).map_err(OpenError::Socket)?, Origin::OutboundRedirected(original))
            }
            Bind::Gateway { addresses } => {
                self.gateways.push(addresses);
                return Ok(());
            }
        };
        if let Some(address) = sockets.first().and_then(|socket| socket.local_addr().ok()).map(net::address_of) {
            self.addresses.push(address);
            self.ways.extend(match &origin {
                Origin::Inbound(_, app) => Some(Way::Inbound { address, app: *app }),
                Origin::Outbound(_) => Some(Way::Outbound { address }),
                Origin::InboundRedirected(_) => Some(Way::InboundRedirected { address }),
                Origin::OutboundRedirected(_) => Some(Way::OutboundRedirected { address }),
                Origin::Gateway(_) => None,
            });
            let origin = match origin {
                // A port that was left to the system to choose is the port that callers know.
                Origin::Inbound(0, app) => Origin::Inbound(address.port(), app),
                other => other,
            };
            for (socket, worker) in sockets.into_iter().zip(&mut self.per_worker) {
                worker.push((socket, origin.clone()));
            }
        }
        Ok(())
    }

    /// One handle on the socket for each worker: they take turns at one queue.
    fn copies(&self, listener: std::net::TcpListener) -> io::Result<Vec<std::net::TcpListener>> {
        (0..self.workers.get()).map(|_| listener.try_clone()).collect()
    }
}

/// A proxy's part on one worker.
struct Part {
    shared: Arc<Shared>,
    sockets: Vec<(std::net::TcpListener, Origin)>,
    gateways: Vec<Ports>,
    log: Option<LogHandle>,
    phase: watch::Receiver<Phase>,
    _alive: mpsc::Sender<()>,
}

impl Part {
    async fn run(self, worker: Rc<Worker>) {
        let local = Rc::new(Local {
            shared: self.shared,
            worker,
            pool: Pool::default(),
            links: Links::default(),
            names: Names::default(),
            stats: Stats::default(),
            spans: Spans::default(),
            peers: Peers::default(),
            listeners: RefCell::new(Arc::from([])),
            edge_tls: RefCell::default(),
            log: RefCell::new(self.log),
            seats: Seats::default(),
            errands: RefCell::default(),
        });
        let mut phase = self.phase.clone();
        let acceptor = Acceptor { local: local.clone(), tasks: Rc::default(), phase: self.phase };
        // Dropping these sets and the acceptor's ends every task of the proxy on this worker.
        let (mut sockets, mut keepers) = (JoinSet::new(), JoinSet::new());
        for (socket, origin) in self.sockets {
            sockets.spawn_local(acceptor.clone().run(socket, origin, std::future::pending()));
        }
        for ports in self.gateways {
            keepers.spawn_local(ports.clone().keep(local.clone()));
            sockets.spawn_local(ports.serve(acceptor.clone()));
        }
        let mut sweep = tokio::time::interval(SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = phase.wait_for(|phase| *phase != Phase::Serving) => break,
                _ = sweep.tick() => {
                    local.pool.sweep();
                    local.links.sweep(&local.shared.limits);
                    acceptor.reap();
                }
            }
        }
        local.seats.drain();
        let emptied = async {
            keepers.shutdown().await;
            // Each takes what waits in its queue, and ends.
            while sockets.join_next().await.is_some() {}
            acceptor.finish().await;
            // What is left when the time is up is lost.
            local.spans.flush(&local).await;
        };
        tokio::select! {
            () = emptied => {}
            _ = phase.wait_for(|phase| *phase == Phase::Ended) => {}
        }
        acceptor.tasks.borrow_mut().abort_all();
    }
}
