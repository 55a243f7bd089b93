//! What the owner of a directory holds, and when it takes force.
//!
//! A state machine without I/O and without a clock: answers of the control plane, questions of the workload and the passing of
//! time go in; subscriptions and published snapshots come out. Its rules are those of `docs/wire.md`:
//!
//! - Whatever is named is asked for: a name leads to its service, a service to its policy and endpoints, routes to the
//!   services of their destinations (§4, §7).
//! - Routes take force when all of that is settled: held, or known not to exist; until then the routes before them stay (§7).
//! - What nothing leads to any more is unsubscribed (§9).
//! - Resources of two scopes can be held side by side, because the scope is in their names; the directory changes over when
//!   the new one is complete (§3).
//!
//! Resources arrive in any order, may be missing and may come twice. Nothing is published before [`Holdings::settle`], so a
//! batch of answers becomes one snapshot.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::model::{Endpoints, InboundPolicy, Listener, Routes, Service, Settings, TrafficPolicy};
use crate::wire::ResourceType;
use crate::wire::name::{SELF, WILDCARD};

use super::cluster::EndpointStates;
use super::{Ask, Directory, Shared, limits};

mod host;
mod receive;
mod settle;
mod slot;
mod sweep;

use host::Host;
use slot::{ListenerSlot, RoutesSlot, Slot};

/// A service, with the names of its other resources.
#[derive(Debug, Clone)]
pub(in crate::proxy) struct Record {
    pub(in crate::proxy) service: Arc<Service>,
    pub(in crate::proxy) routes: Arc<str>,
    pub(in crate::proxy) traffic_policy: Arc<str>,
    pub(in crate::proxy) endpoints: Vec<Arc<str>>,
}

/// A resource, decoded.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "moved once, into an `Arc`")]
pub(in crate::proxy) enum Resource {
    Settings(Settings),
    InboundPolicy(InboundPolicy),
    Service(Record),
    TrafficPolicy(TrafficPolicy),
    Endpoints(Endpoints),
    Routes(Routes),
    Listener(Listener),
}

/// A change of what is subscribed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::proxy) struct SubscriptionChange {
    pub(in crate::proxy) kind: ResourceType,
    pub(in crate::proxy) name: Arc<str>,
    /// Whether the name is subscribed to from now on, or no longer.
    pub(in crate::proxy) subscribed: bool,
}

/// A scope that is being changed over to.
struct NextScope {
    settings: Arc<Settings>,
    deadline: Instant,
}

/// What one proxy holds.
pub(in crate::proxy) struct Holdings {
    shared: Arc<Shared>,
    /// The scope in force; `None` before the first settings.
    scope: Option<Arc<str>>,
    next_scope: Option<NextScope>,
    settings: Slot<()>,
    inbound: Slot<()>,
    eager_listeners: bool,
    /// Names that the workload used, and when.
    asked: HashMap<Arc<str>, Arc<AtomicU32>>,
    services: HashMap<Arc<str>, Slot<Record>>,
    policies: HashMap<Arc<str>, Slot<Arc<TrafficPolicy>>>,
    chunks: HashMap<Arc<str>, Slot<Arc<Endpoints>>>,
    routes: HashMap<Arc<str>, RoutesSlot>,
    listeners: BTreeMap<Arc<str>, ListenerSlot>,
    /// By `SCOPE/HOST`.
    hosts: HashMap<Arc<str>, Host>,
    /// Which hosts a policy or a chunk of endpoints belongs to; may name a host for longer than it is so.
    dependants: HashMap<(ResourceType, Arc<str>), BTreeSet<Arc<str>>>,
    states: EndpointStates,
    dirty: Dirty,
    /// Routes and hosts that wait for something, and for which time must be watched.
    waiting_routes: HashSet<Arc<str>>,
    waiting_hosts: HashSet<Arc<str>>,
    changes: Vec<SubscriptionChange>,
    /// Whether something may be held that nothing leads to.
    loose: bool,
}

/// What [`Holdings::settle`] has to look at.
#[derive(Default)]
struct Dirty {
    hosts: BTreeSet<Arc<str>>,
    routes: BTreeSet<Arc<str>>,
    names: BTreeSet<Arc<str>>,
    listeners: bool,
}

impl Holdings {
    /// Nothing held, everything that is asked for on connect subscribed. With it comes the directory for readers, and the
    /// questions that they will ask.
    pub(in crate::proxy) fn new(gateway: bool) -> (Self, Directory, mpsc::Receiver<Ask>) {
        let (asks, questions) = mpsc::channel(limits::MAX_WAITING);
        let shared = Arc::new(Shared::new(Some(asks)));
        let directory = Directory { shared: shared.clone() };
        let holdings = Self {
            shared,
            scope: None,
            next_scope: None,
            settings: Slot::Asked,
            inbound: Slot::Asked,
            eager_listeners: gateway,
            asked: HashMap::new(),
            services: HashMap::new(),
            policies: HashMap::new(),
            chunks: HashMap::new(),
            routes: HashMap::new(),
            listeners: BTreeMap::new(),
            hosts: HashMap::new(),
            dependants: HashMap::new(),
            states: EndpointStates::default(),
            dirty: Dirty::default(),
            waiting_routes: HashSet::new(),
            waiting_hosts: HashSet::new(),
            changes: Vec::new(),
            loose: false,
        };
        (holdings, directory, questions)
    }

    /// The part that readers see.
    pub(in crate::proxy) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Whether the control plane has told the scope: nothing that has a scope in its name can be asked for before.
    pub(in crate::proxy) fn has_scope(&self) -> bool {
        self.scope.is_some()
    }

    /// A question of the workload: the name is asked for from now on.
    pub(in crate::proxy) fn ask(&mut self, authority: &Arc<str>) {
        let tick = self.shared.tick.load(Ordering::Relaxed);
        if let Some(used) = self.asked.get(authority) {
            used.store(tick, Ordering::Relaxed);
            return;
        }
        if self.asked.len() >= limits::MAX_ASKED_NAMES {
            self.give_up_the_idlest();
        }
        self.asked.insert(authority.clone(), Arc::new(AtomicU32::new(tick)));
        for scope in self.scopes() {
            self.ask_in(&scope, authority);
        }
        self.dirty.names.insert(authority.clone());
    }

    /// The scope in force and the one that is being changed over to.
    fn scopes(&self) -> Vec<Arc<str>> {
        self.scope.iter().chain(self.next_scope.as_ref().map(|next| &next.settings.scope)).cloned().collect()
    }

    fn ask_in(&mut self, scope: &str, authority: &Arc<str>) {
        let name = scoped(scope, authority);
        self.want(ResourceType::Service, &name);
        self.lead_to_routes(authority, &name);
    }

    /// A name that the workload asked for needs the routes of its service.
    fn lead_to_routes(&mut self, authority: &Arc<str>, name: &str) {
        let Some(Slot::Held { value: record, .. }) = self.services.get(name) else { return };
        let routes = record.routes.clone();
        self.want(ResourceType::Routes, &routes);
        if let Some(slot) = self.routes.get_mut(&routes) {
            slot.asked_by.insert(authority.clone());
        }
    }

    /// A destination's service is asked for by its full host, unless it is known under another name already.
    fn want_record(&mut self, host: &Arc<str>) {
        if self.record(host).is_none() {
            self.want(ResourceType::Service, host);
        }
    }

    /// Subscribes to a name, once.
    fn want(&mut self, kind: ResourceType, name: &Arc<str>) {
        let there = match kind {
            ResourceType::Service => self.services.contains_key(name),
            ResourceType::TrafficPolicy => self.policies.contains_key(name),
            ResourceType::Endpoints => self.chunks.contains_key(name),
            ResourceType::Routes => self.routes.contains_key(name),
            ResourceType::Settings | ResourceType::InboundPolicy | ResourceType::Listener => true,
        };
        if there {
            return;
        }
        let full =
            self.services.len() + self.policies.len() + self.chunks.len() + self.routes.len() >= limits::MAX_NAMES;
        if full {
            tracing::warn!(resource = %kind, %name, limit = limits::MAX_NAMES, "not asked for: the proxy holds as many names as it may");
        } else {
            self.changes.push(SubscriptionChange { kind, name: name.clone(), subscribed: true });
        }
        match kind {
            ResourceType::Service => _ = self.services.insert(name.clone(), Slot::new(full)),
            ResourceType::TrafficPolicy => _ = self.policies.insert(name.clone(), Slot::new(full)),
            ResourceType::Endpoints => _ = self.chunks.insert(name.clone(), Slot::new(full)),
            ResourceType::Routes => _ = self.routes.insert(name.clone(), RoutesSlot::new(full)),
            ResourceType::Settings | ResourceType::InboundPolicy | ResourceType::Listener => {}
        }
    }

    fn depend(&mut self, kind: ResourceType, name: &Arc<str>, host: &Arc<str>) {
        self.dependants.entry((kind, name.clone())).or_default().insert(host.clone());
    }

    fn touch_dependants(&mut self, kind: ResourceType, name: &Arc<str>) {
        if let Some(hosts) = self.dependants.get(&(kind, name.clone())) {
            self.dirty.hosts.extend(hosts.iter().cloned());
        }
    }

    /// What changed about subscriptions since this was last asked.
    pub(in crate::proxy) fn take_changes(&mut self) -> Vec<SubscriptionChange> {
        std::mem::take(&mut self.changes)
    }

    /// Everything that is subscribed to, with the version held where there is one.
    pub(in crate::proxy) fn subscriptions(&self, kind: ResourceType) -> Vec<(Arc<str>, Option<Arc<str>>)> {
        fn of<T>(slots: &HashMap<Arc<str>, Slot<T>>) -> Vec<(Arc<str>, Option<Arc<str>>)> {
            let asked = slots.iter().filter(|(_, slot)| slot.is_asked_for());
            asked.map(|(name, slot)| (name.clone(), slot.version().cloned())).collect()
        }
        match kind {
            ResourceType::Settings => vec![(SELF.into(), self.settings.version().cloned())],
            ResourceType::InboundPolicy => vec![(SELF.into(), self.inbound.version().cloned())],
            ResourceType::Service => of(&self.services),
            ResourceType::TrafficPolicy => of(&self.policies),
            ResourceType::Endpoints => of(&self.chunks),
            ResourceType::Routes => {
                let asked = self.routes.iter().filter(|(_, slot)| slot.latest.is_asked_for());
                asked.map(|(name, slot)| (name.clone(), slot.latest.version().cloned())).collect()
            }
            ResourceType::Listener if self.eager_listeners => vec![(WILDCARD.into(), None)],
            ResourceType::Listener => Vec::new(),
        }
    }

    /// The listeners held, which a wildcard subscription does not name.
    pub(in crate::proxy) fn listener_versions(&self) -> Vec<(Arc<str>, Arc<str>)> {
        let version = |(name, slot): (&Arc<str>, &ListenerSlot)| Some((name.clone(), slot.latest.version()?.clone()));
        self.listeners.iter().filter_map(version).collect()
    }

    /// Whether what was last received under a name waits to take force.
    pub(in crate::proxy) fn is_warming(&self, kind: ResourceType, name: &str) -> bool {
        match kind {
            ResourceType::Routes => self.routes.get(name).is_some_and(|slot| slot.warming_until.is_some()),
            ResourceType::Listener => self.listeners.get(name).is_some_and(|slot| slot.warming_until.is_some()),
            ResourceType::Settings => self.next_scope.is_some(),
            _ => false,
        }
    }

    /// Whether an answer about some routes is outstanding.
    pub(in crate::proxy) fn awaits_routes(&self) -> bool {
        self.routes.values().any(|slot| matches!(slot.latest, Slot::Asked))
    }
}

/// `SCOPE/REST`.
fn scoped(scope: &str, rest: &str) -> Arc<str> {
    format!("{scope}/{rest}").into()
}

fn scope_of(name: &str) -> &str {
    name.split_once('/').map_or("", |(scope, _)| scope)
}

#[cfg(test)]
mod tests;
