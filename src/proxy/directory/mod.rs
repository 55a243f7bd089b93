//! What one proxy knows.
//!
//! A [`Directory`] is the meeting point of the one task that keeps it (`proxy::xds`) and the workers that serve requests. The
//! owner publishes immutable snapshots; a reader loads the current one without a lock and holds on to its parts for as long
//! as it likes. A change replaces what it touches and shares the rest.
//!
//! Names are asked for on demand: [`Directory::get`] answers from the snapshot and marks the name as used,
//! [`Directory::resolve`] asks the owner and waits, within the bounds of [`limits`]. What it never does is guess: a name
//! without an answer is [`Unavailable`](Resolution::Unavailable), with the reason, and only the control plane's own negative
//! answer makes it [`Unknown`](Resolution::Unknown).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};

use crate::identity::TrustBundle;
use crate::model::{InboundPolicy, Listener, OutboundMode, Reporting, Service, Settings};
use crate::wire;

mod cluster;
mod credentials;
mod fixed;
#[cfg(test)]
pub(in crate::proxy) mod fixtures;
mod health;
mod holdings;
pub mod limits;
mod shards;
mod tally;

pub(in crate::proxy) use cluster::cluster_names;
pub use cluster::{Cluster, ClusterState, EndpointState, EndpointStates, RoutesInForce, UpstreamEndpoint};
pub use credentials::{Credentials, CredentialsError, RenewalFailure, Spoken};
pub use fixed::FixedDirectory;
pub use health::{EndpointHealth, Report};
pub(in crate::proxy) use holdings::{Holdings, Record, Resource, SubscriptionChange};
pub use tally::{OpenConnection, Tallies, Tally};

use shards::Shards;

/// What became of a name.
#[derive(Debug, Clone)]
pub enum Resolution {
    /// A service of the mesh.
    Known(Arc<Target>),
    /// The control plane says that the mesh has no such name; what happens next is up to [`Settings::outbound_mode`].
    Unknown,
    /// There is no answer to act upon (503, flag `NC`).
    Unavailable(UnavailableReason),
}

/// Why there is no answer for a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnavailableReason {
    /// The control plane was away all the time that was waited.
    ControlPlane,
    /// The control plane is there and has not answered.
    Timeout,
    /// As many requests as may are waiting already.
    TooManyWaiting,
    /// There is an answer, but a part that it cannot do without was removed, or was refused as unreadable.
    Incomplete,
}

impl UnavailableReason {
    /// The word for it in responses and access logs.
    pub fn detail(self) -> &'static str {
        match self {
            Self::ControlPlane => "control_plane_unavailable",
            Self::Timeout => "config_timeout",
            Self::TooManyWaiting => "config_too_many_waiting",
            Self::Incomplete => "config_incomplete",
        }
    }
}

/// A service, as requests for one name reach it.
#[derive(Debug)]
pub struct Target {
    /// The service.
    pub service: Arc<Service>,
    /// Its routes and the clusters that they lead to.
    pub routes: Arc<RoutesInForce>,
}

/// What one proxy knows. A clone is another handle on the same knowledge.
#[derive(Clone)]
pub struct Directory {
    shared: Arc<Shared>,
}

/// What readers and the owner share.
pub(in crate::proxy) struct Shared {
    pub(in crate::proxy) settings: ArcSwap<Settings>,
    pub(in crate::proxy) inbound: ArcSwapOption<InboundPolicy>,
    pub(in crate::proxy) credentials: ArcSwapOption<Credentials>,
    pub(in crate::proxy) listeners: watch::Sender<Arc<[Listener]>>,
    names: ArcSwap<Shards<Entry>>,
    gateway_routes: ArcSwap<Shards<RoutesInForce>>,
    pub(in crate::proxy) ready: watch::Sender<bool>,
    /// Counts publications; who waits for a name looks again at each.
    published: watch::Sender<u64>,
    /// Counts [`limits::TICK`]s: the clock by which use is recorded, cheap enough to read for every request.
    tick: AtomicU32,
    /// Whether the stream to the control plane is up.
    pub(in crate::proxy) connected: AtomicBool,
    waiting: AtomicUsize,
    /// How many wait for newer keys of issuers, and when these were asked for last.
    waiting_for_keys: AtomicUsize,
    keys_asked: Mutex<Option<Instant>>,
    /// What is asked; `None` where there is nobody to ask.
    asks: Option<mpsc::Sender<Ask>>,
}

/// What is asked of the owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::proxy) enum Ask {
    /// What the mesh says about a name.
    Name(Arc<str>),
    /// Newer keys of issuers.
    Keys,
}

/// What a snapshot says about a name.
struct Entry {
    resolution: Resolution,
    /// The tick in which the name was last used. Shared by every snapshot.
    used: Arc<AtomicU32>,
}

impl Directory {
    /// What the proxy is told about itself; until the control plane has spoken, the most cautious settings there are.
    pub fn settings(&self) -> Arc<Settings> {
        self.shared.settings.load_full()
    }

    /// What the workload demands of its callers. `None` until the control plane has said it: the proxy is not ready, and
    /// whoever calls is to be refused.
    pub fn inbound(&self) -> Option<Arc<InboundPolicy>> {
        self.shared.inbound.load_full()
    }

    /// Who the proxy proves to be. `None` until the first certificate has come.
    pub fn credentials(&self) -> Option<Arc<Credentials>> {
        self.shared.credentials.load_full()
    }

    /// The ports of a gateway, and every change of them. A listener comes into force together with its routes.
    pub fn listeners(&self) -> watch::Receiver<Arc<[Listener]>> {
        self.shared.listeners.subscribe()
    }

    /// The routes that a gateway's virtual host names; `None` while they are not there (503, flag `NC`).
    pub fn gateway_routes(&self, name: &str) -> Option<Arc<RoutesInForce>> {
        self.shared.gateway_routes.load().get(name).cloned()
    }

    /// Whether settings, inbound policy and a certificate are there, and the moment when they are.
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.shared.ready.subscribe()
    }

    /// Whether the stream to the control plane is up.
    pub fn connected(&self) -> bool {
        self.shared.connected.load(Ordering::Relaxed)
    }

    /// What the snapshot says about a name, which counts as used from now on. `None`: it was never asked for, or its answer
    /// has not come.
    ///
    /// `authority` is a host as [`docs/wire.md` §4] has it: no port, lower case, no trailing dot; or an IP address.
    pub fn get(&self, authority: &str) -> Option<Resolution> {
        let names = self.shared.names.load();
        let entry = names.get(authority)?;
        let tick = self.shared.tick.load(Ordering::Relaxed);
        // Written only when it changes: the line that holds it is shared by every worker.
        if entry.used.load(Ordering::Relaxed) != tick {
            entry.used.store(tick, Ordering::Relaxed);
        }
        Some(entry.resolution.clone())
    }

    /// What the mesh says about a name: as [`Directory::get`], else asked for and waited for, at most
    /// [`limits::FIRST_CONTACT_WAIT`]. What cannot be a host is unknown without asking.
    pub async fn resolve(&self, authority: &str) -> Resolution {
        if let Some(resolution) = self.get(authority) {
            return resolution;
        }
        let Some(asks) = &self.shared.asks else { return Resolution::Unknown };
        if wire::name::authority(authority).as_deref() != Some(authority) {
            return Resolution::Unknown;
        }
        let Some(_place) = Waiting::enter(&self.shared.waiting) else {
            return Resolution::Unavailable(UnavailableReason::TooManyWaiting);
        };
        // Subscribed before asking, so that no publication after the question is missed.
        let mut published = self.shared.published.subscribe();
        match asks.try_send(Ask::Name(authority.into())) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                return Resolution::Unavailable(UnavailableReason::TooManyWaiting);
            }
            Err(mpsc::error::TrySendError::Closed(_)) => {
                return Resolution::Unavailable(UnavailableReason::ControlPlane);
            }
        }
        let answer = async {
            loop {
                if let Some(resolution) = self.get(authority) {
                    return resolution;
                }
                if published.changed().await.is_err() {
                    return Resolution::Unavailable(UnavailableReason::ControlPlane);
                }
            }
        };
        tokio::time::timeout(limits::FIRST_CONTACT_WAIT, answer).await.unwrap_or_else(|_| {
            Resolution::Unavailable(match self.connected() {
                true => UnavailableReason::Timeout,
                false => UnavailableReason::ControlPlane,
            })
        })
    }

    /// The inbound policy with other keys of issuers than `held` has, for a token that none of those has signed. They are asked for at
    /// most once in [`limits::KEYS_AGAIN`]; whoever wants them meanwhile waits for the same answer. `None`: none have come within
    /// [`limits::KEYS_WAIT`].
    pub async fn newer_keys(&self, held: &Arc<InboundPolicy>) -> Option<Arc<InboundPolicy>> {
        let asks = self.shared.asks.as_ref()?;
        // Subscribed before looking, so that no publication in between is missed.
        let mut published = self.shared.published.subscribe();
        let newer = || self.inbound().filter(|current| current.tokens != held.tokens);
        if let Some(newer) = newer() {
            return Some(newer);
        }
        let _place = Waiting::enter(&self.shared.waiting_for_keys)?;
        let until = self.ask_for_keys(asks)?;
        let answer = async {
            loop {
                published.changed().await.ok()?;
                if let Some(newer) = newer() {
                    return Some(newer);
                }
            }
        };
        timeout_at(until, answer).await.ok().flatten()
    }

    /// Until when newer keys may come; `None` where they were asked for, in vain, a short time ago.
    fn ask_for_keys(&self, asks: &mpsc::Sender<Ask>) -> Option<Instant> {
        let mut asked = self.shared.keys_asked.lock();
        let now = Instant::now();
        if let Some(before) = asked.filter(|before| now.duration_since(*before) < limits::KEYS_AGAIN) {
            return Some(before + limits::KEYS_WAIT).filter(|until| *until > now);
        }
        asks.try_send(Ask::Keys).ok()?;
        *asked = Some(now);
        Some(now + limits::KEYS_WAIT)
    }

    /// Every name that there is an answer for, in order.
    pub fn names(&self) -> Vec<(Arc<str>, Resolution)> {
        let names = self.shared.names.load();
        let mut held: Vec<_> = names.iter().map(|(name, entry)| (name.clone(), entry.resolution.clone())).collect();
        held.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        held
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory").field("names", &self.names()).field("connected", &self.connected()).finish()
    }
}

/// What holds before the control plane has spoken: nothing is let through that it has not named.
fn initial_settings() -> Settings {
    Settings {
        scope: "".into(),
        trust_domain: "".into(),
        cluster: "".into(),
        outbound_mode: OutboundMode::RegistryOnly,
        client: Reporting { log: true, ..Reporting::default() },
        server: Reporting { log: true, ..Reporting::default() },
        proxy_protocol: false,
        trusted_proxies: 0,
        bundle: None,
    }
}

impl Shared {
    fn new(asks: Option<mpsc::Sender<Ask>>) -> Self {
        Self {
            settings: ArcSwap::from_pointee(initial_settings()),
            inbound: ArcSwapOption::empty(),
            credentials: ArcSwapOption::empty(),
            listeners: watch::Sender::new(Arc::from([])),
            names: ArcSwap::default(),
            gateway_routes: ArcSwap::default(),
            ready: watch::Sender::new(false),
            published: watch::Sender::new(0),
            tick: AtomicU32::new(0),
            connected: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            waiting_for_keys: AtomicUsize::new(0),
            keys_asked: Mutex::default(),
            asks,
        }
    }

    /// The mesh believes these roots from now on. The certificate in use stays, and so do connections that are open.
    pub(in crate::proxy) fn believe(&self, bundle: &TrustBundle) {
        let Some(current) = self.credentials.load_full() else { return };
        match current.believing(bundle) {
            Some(Ok(believing)) => self.credentials.store(Some(Arc::new(believing))),
            Some(Err(error)) => tracing::warn!(%error, "the mesh's new roots cannot be used; the old ones stay"),
            None => {}
        }
    }

    /// Tells readers once everything is there that a proxy cannot do without.
    pub(in crate::proxy) fn update_ready(&self) {
        let ready = !self.settings.load().scope.is_empty()
            && self.inbound.load().is_some()
            && self.credentials.load().is_some();
        self.ready.send_if_modified(|before| std::mem::replace(before, ready) != ready);
    }
}

/// A place among those who wait for an answer, given back when dropped: also when the caller goes away.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(places: &'a AtomicUsize) -> Option<Self> {
        let entered = places.fetch_update(Ordering::AcqRel, Ordering::Acquire, |taken| {
            (taken < limits::MAX_WAITING).then_some(taken + 1)
        });
        entered.ok().map(|_| Self(places))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
