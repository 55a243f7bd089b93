//! From changes to answers: one immutable [`Snapshot`] for each generation, whose answers are compiled when first asked for.
//!
//! A snapshot inherits every answer that the change did not touch, so that a change costs what depends on it and is asked for,
//! and no more. It remembers as well what the last changes touched: streams ask anew for that alone, and send what differs from
//! what they sent before.
//!
//! It guarantees that generations grow by one with each publication, and that a burst of changes delays none of them by more
//! than [`DEBOUNCE`].

mod answer;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::compile::{Edge, GatewayWorkload, KeySource, World};
use crate::identity::TrustBundle;
use crate::model::{HostPattern, OutboundMode};
use crate::wire::{Encoded, ResourceType, name};

use super::keys::Fetched;
use super::source::{Affected, Event, Inventory, Key, Placed};

pub use answer::{Refusal, Subject};

/// The least time between two publications; changes that come meanwhile are published together.
const DEBOUNCE: Duration = Duration::from_millis(10);

/// For how many generations an answer that nobody asks for is inherited.
const IDLE_GENERATIONS: u64 = 16;

/// How many changes are remembered. A stream that is further behind compares everything that it has told its proxy.
const CHANGES: usize = 64;

/// How many gateways' hosts are inherited: those of pods that are gone would be kept for ever.
const MAX_EDGES: usize = 256;

/// What every proxy is told.
#[derive(Debug, Clone)]
pub struct MeshSettings {
    /// The mesh's trust domain.
    pub trust_domain: Arc<str>,
    /// The same and its aliases, by which policies may name it as well.
    pub trust_domains: Vec<Arc<str>>,
    /// Name of the cluster.
    pub cluster: Arc<str>,
    /// What happens to requests for unknown hosts.
    pub outbound_mode: OutboundMode,
    /// Whether requests are logged.
    pub access_log: bool,
    /// The roots that proxies believe.
    pub bundle: TrustBundle,
}

/// Resources with their names: one for a name that exists, none for one that does not, any number for a wildcard.
pub type Answer = Arc<[(Arc<str>, Encoded)]>;

/// What a name asks for, and so what its answer depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Question {
    /// What one pod is told about itself.
    Own(ResourceType, Key),
    /// The rules of a virtual host of one gateway, by port.
    VirtualHost(Key, u16, HostPattern),
    /// The same for every client of a scope, about a host.
    Scoped(ResourceType, name::Scope, Arc<str>),
    /// The same for every gateway of a scope, and for nobody else.
    Gateways(ResourceType, name::Scope, Arc<str>),
    /// A chunk of endpoints, the same for everybody.
    Endpoints(Arc<str>, u32),
    /// The same of a service that a ServiceEntry adds, for the clients of a namespace: theirs, the entry's, the host.
    External(Arc<str>, Arc<str>, Arc<str>, u32),
}

impl Question {
    fn is_touched(&self, affected: &Affected) -> bool {
        match self {
            Self::Own(kind, pod) => affected.is_pod(*kind, pod),
            Self::VirtualHost(pod, _, host) => affected.is_virtual_host(pod, host),
            Self::Scoped(kind, _, host) => affected.is_host(*kind, host),
            // Their Secrets may have changed.
            Self::Gateways(kind, _, host) => affected.is_host(*kind, host) || affected.touches_gateways(),
            Self::Endpoints(host, _) | Self::External(_, _, host, _) => affected.is_host(ResourceType::Endpoints, host),
        }
    }
}

#[derive(Debug, Clone)]
struct Remembered {
    answer: Answer,
    /// The generation that it was last asked for in.
    asked_in: Arc<AtomicU64>,
}

/// What is known in one generation.
#[derive(Debug)]
pub struct Snapshot {
    /// Which generation; the first is 1.
    pub generation: u64,
    world: Arc<World>,
    pods: Arc<HashMap<Key, Arc<Placed>>>,
    created: Arc<HashMap<Arc<str>, Timestamp>>,
    mesh: Arc<MeshSettings>,
    /// What the last changes touched, the newest first: the first of them led to this generation.
    changes: VecDeque<Arc<Affected>>,
    answers: Mutex<HashMap<Question, Remembered>>,
    /// What gateways serve, as far as somebody has asked.
    edges: Mutex<HashMap<GatewayWorkload, Arc<Edge>>>,
}

impl Snapshot {
    fn first(inventory: &Inventory, mesh: Arc<MeshSettings>) -> Self {
        Self {
            generation: 1,
            world: inventory.world(),
            pods: inventory.pods(),
            created: inventory.created(),
            mesh,
            changes: VecDeque::new(),
            answers: Mutex::default(),
            edges: Mutex::default(),
        }
    }

    fn next(&self, inventory: &Inventory, mesh: Arc<MeshSettings>, affected: Affected) -> Self {
        let oldest = self.generation.saturating_sub(IDLE_GENERATIONS);
        let inherited = |(question, known): (&Question, &Remembered)| {
            let wanted = known.asked_in.load(Ordering::Relaxed) >= oldest;
            (wanted && !question.is_touched(&affected)).then(|| (question.clone(), known.clone()))
        };
        let answers = self.answers.lock().iter().filter_map(inherited).collect();
        let edges = self.edges.lock();
        let are_inherited = !affected.touches_edges() && edges.len() < MAX_EDGES;
        let edges = if are_inherited { edges.clone() } else { HashMap::new() };
        let older = self.changes.iter().take(CHANGES - 1).cloned();
        let changes = std::iter::once(Arc::new(affected)).chain(older).collect();
        Self {
            generation: self.generation + 1,
            world: inventory.world(),
            pods: inventory.pods(),
            created: inventory.created(),
            mesh,
            changes,
            answers: Mutex::new(answers),
            edges: Mutex::new(edges),
        }
    }

    /// What there was to compile.
    pub fn world(&self) -> &Arc<World> {
        &self.world
    }

    /// What has changed since generation `seen`; `None` where that is too long ago to be remembered.
    pub fn changes_since(&self, seen: u64) -> Option<Changes<'_>> {
        let count = usize::try_from(self.generation.checked_sub(seen)?).ok()?;
        (seen > 0 && count <= self.changes.len())
            .then(|| Changes(self.changes.iter().take(count).map(|affected| &**affected).collect()))
    }

    /// The pod, if there is one of that name.
    pub fn pod(&self, key: &Key) -> Option<&Arc<Placed>> {
        self.pods.get(key)
    }

    /// What a gateway serves. Like answers it is made without a lock.
    fn edge(&self, workload: GatewayWorkload) -> Arc<Edge> {
        if let Some(known) = self.edges.lock().get(&workload) {
            return known.clone();
        }
        let edge = Arc::new(Edge::new(&self.world, &workload));
        self.edges.lock().insert(workload, edge.clone());
        edge
    }

    /// A question's answer, compiled unless it is known. Compiling holds no lock: two that ask at once both compile, and get
    /// equal bytes.
    fn remember(&self, question: &Question, compile: impl FnOnce() -> Answer) -> Answer {
        if let Some(known) = self.answers.lock().get(question) {
            known.asked_in.store(self.generation, Ordering::Relaxed);
            return known.answer.clone();
        }
        let answer = compile();
        let asked_in = Arc::new(AtomicU64::new(self.generation));
        self.answers.lock().insert(question.clone(), Remembered { answer: answer.clone(), asked_in });
        answer
    }
}

/// What has changed from one generation to another.
#[derive(Debug)]
pub struct Changes<'s>(Vec<&'s Affected>);

impl Changes<'_> {
    /// Whether the answer to a question may be another one than before.
    pub fn touch(&self, question: &Question) -> bool {
        self.0.iter().any(|affected| question.is_touched(affected))
    }

    /// Whether the clients beside a pod may be of another scope than before.
    pub fn touch_scope(&self, pod: &Key) -> bool {
        self.0.iter().any(|affected| affected.is_scope(pod))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The snapshot of the newest generation; `None` until everything has been listed once.
pub type Snapshots = watch::Receiver<Option<Arc<Snapshot>>>;

/// The highest `resourceVersion` of each kind of configuration, by `KIND.GROUP`, that the newest snapshot holds.
pub type Seen = Arc<Mutex<BTreeMap<Arc<str>, u64>>>;

/// What snapshots are made of as it comes, and who is to fetch more.
pub struct Incoming {
    /// What happens to objects.
    pub events: mpsc::Receiver<Event>,
    /// Keys that were fetched.
    pub keys: mpsc::Receiver<Fetched>,
    /// The roots that proxies are to believe.
    pub roots: watch::Receiver<TrustBundle>,
    /// The keys that are to be fetched.
    pub wanted: watch::Sender<BTreeMap<KeySource, Duration>>,
    /// What is said of how far the watches are.
    pub seen: Seen,
}

/// Publishes a snapshot for what happens, until there is nobody who tells.
pub async fn publish(
    mut inventory: Inventory,
    mut mesh: Arc<MeshSettings>,
    incoming: Incoming,
    snapshots: watch::Sender<Option<Arc<Snapshot>>>,
    token: CancellationToken,
) {
    let Incoming { mut events, mut keys, mut roots, wanted, seen } = incoming;
    let mut affected = Affected::default();
    let mut earliest = Instant::now();
    loop {
        tokio::select! {
            () = token.cancelled() => return,
            event = events.recv() => match event {
                Some(event) => inventory.apply(event, &mut affected),
                None => return,
            },
            Some((source, set)) = keys.recv() => inventory.insert_keys(source, set, &mut affected),
            Ok(()) = roots.changed() => {
                let bundle = roots.borrow_and_update().clone();
                mesh = Arc::new(MeshSettings { bundle, ..(*mesh).clone() });
                affected.touch_type(ResourceType::Settings);
            }
        }
        // What comes before the earliest moment to publish again is published with it.
        loop {
            tokio::select! {
                biased;
                () = token.cancelled() => return,
                () = sleep_until(earliest) => break,
                Some(event) = events.recv() => inventory.apply(event, &mut affected),
                Some((source, set)) = keys.recv() => inventory.insert_keys(source, set, &mut affected),
            }
        }
        while let Ok(event) = events.try_recv() {
            inventory.apply(event, &mut affected);
        }
        inventory.settle(&mut affected);
        if !inventory.is_complete() {
            continue;
        }
        if affected.has_issuers() {
            let sources = inventory.key_sources();
            wanted.send_if_modified(|wanted| {
                let differs = *wanted != sources;
                *wanted = sources;
                differs
            });
        }
        let current = snapshots.borrow().clone();
        let affected = std::mem::take(&mut affected);
        let next = match current {
            None => Snapshot::first(&inventory, mesh.clone()),
            Some(_) if affected.is_empty() => {
                // What changed nothing is in force as it is.
                inventory.tell_seen(&seen);
                continue;
            }
            Some(current) => {
                tracing::debug!(generation = current.generation + 1, ?affected, "changed");
                current.next(&inventory, mesh.clone(), affected)
            }
        };
        earliest = Instant::now() + DEBOUNCE;
        snapshots.send_replace(Some(Arc::new(next)));
        inventory.tell_seen(&seen);
    }
}
