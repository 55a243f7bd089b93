//! Letting go: of names that are idle, and of what only they led to.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::wire::ResourceType;

use super::super::cluster::cluster_names;
use super::super::limits;
use super::slot::Slot;
use super::{Holdings, SubscriptionChange, scope_of, scoped};

/// What something leads to.
#[derive(Default)]
struct Live {
    services: HashSet<Arc<str>>,
    policies: HashSet<Arc<str>>,
    chunks: HashSet<Arc<str>>,
    routes: HashSet<Arc<str>>,
    /// Those of them that a listener leads to.
    listener_routes: HashSet<Arc<str>>,
    /// Host → the routes that lead to it.
    hosts: HashMap<Arc<str>, BTreeSet<Arc<str>>>,
}

impl Holdings {
    /// One more [`limits::TICK`] has passed: names that were idle for too long are given up.
    pub(in crate::proxy) fn tick(&mut self) {
        let now = self.shared.tick.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let idle = |used: u32| now.wrapping_sub(used) > limits::IDLE_TICKS;
        let idle: Vec<Arc<str>> = self
            .asked
            .iter()
            .filter(|(_, used)| idle(used.load(Ordering::Relaxed)))
            .map(|(name, _)| name.clone())
            .collect();
        for name in idle {
            self.give_up(name);
        }
        if std::mem::take(&mut self.loose) {
            self.sweep();
        }
    }

    fn give_up(&mut self, name: Arc<str>) {
        self.asked.remove(&name);
        self.dirty.names.insert(name);
        self.loose = true;
    }

    /// Makes room for one more name.
    pub(super) fn give_up_the_idlest(&mut self) {
        let now = self.shared.tick.load(Ordering::Relaxed);
        let age = |used: u32| now.wrapping_sub(used);
        let idlest = self.asked.iter().max_by_key(|(_, used)| age(used.load(Ordering::Relaxed)));
        if let Some(name) = idlest.map(|(name, _)| name.clone()) {
            self.give_up(name);
        }
    }

    /// Unsubscribes from everything that nothing leads to.
    fn sweep(&mut self) {
        let live = self.live();
        let mut gone: Vec<(ResourceType, Arc<str>)> = Vec::new();
        let mut kept = |kind: ResourceType, name: &Arc<str>, was_asked_for: bool, live: &HashSet<Arc<str>>| {
            let keep = live.contains(name);
            if !keep && was_asked_for {
                gone.push((kind, name.clone()));
            }
            keep
        };
        self.services.retain(|name, slot| kept(ResourceType::Service, name, slot.is_asked_for(), &live.services));
        self.policies.retain(|name, slot| kept(ResourceType::TrafficPolicy, name, slot.is_asked_for(), &live.policies));
        self.chunks.retain(|name, slot| kept(ResourceType::Endpoints, name, slot.is_asked_for(), &live.chunks));
        self.routes.retain(|name, slot| kept(ResourceType::Routes, name, slot.latest.is_asked_for(), &live.routes));
        for (name, slot) in &mut self.routes {
            slot.asked_by.retain(|authority| self.asked.contains_key(authority));
            slot.of_listener = live.listener_routes.contains(name);
        }
        let gateway = self.shared.gateway_routes.load_full();
        if gateway.iter().any(|(name, _)| !live.listener_routes.contains(name)) {
            let kept = gateway.iter().filter(|(name, _)| live.listener_routes.contains(*name));
            let kept = kept.map(|(name, routes)| (name.clone(), routes.clone())).collect();
            self.shared.gateway_routes.store(Arc::new(kept));
        }
        drop(gateway);
        self.hosts.retain(|name, host| {
            host.records.retain(|record| live.services.contains(record));
            host.users = live.hosts.get(name).cloned().unwrap_or_default();
            if host.users.is_empty() {
                host.clusters.clear();
            }
            !(host.users.is_empty() && host.records.is_empty())
        });
        self.waiting_hosts.retain(|name| self.hosts.contains_key(name));
        self.waiting_routes.retain(|name| self.routes.contains_key(name));
        self.dependants.retain(|(kind, name), hosts| {
            hosts.retain(|host| self.hosts.contains_key(host));
            !hosts.is_empty()
                && match kind {
                    ResourceType::TrafficPolicy => self.policies.contains_key(name),
                    _ => self.chunks.contains_key(name),
                }
        });
        self.states.prune();
        // A service may have lost the record that spoke for it, and is then described by another.
        self.dirty.hosts.extend(self.hosts.keys().cloned());
        let unsubscribed = |(kind, name)| SubscriptionChange { kind, name, subscribed: false };
        self.changes.extend(gone.into_iter().map(unsubscribed));
    }

    fn live(&self) -> Live {
        let mut live = Live::default();
        for scope in self.scopes() {
            for authority in self.asked.keys() {
                let name = scoped(&scope, authority);
                if let Some(Slot::Held { value: record, .. }) = self.services.get(&name) {
                    live.routes.insert(record.routes.clone());
                }
                live.services.insert(name);
            }
        }
        for slot in self.listeners.values() {
            for listener in slot.latest.held().into_iter().chain(&slot.in_force) {
                live.listener_routes.extend(listener.virtual_hosts.iter().map(|host| host.routes.clone()));
            }
        }
        live.routes.extend(live.listener_routes.iter().cloned());
        for name in &live.routes {
            let Some(slot) = self.routes.get(name) else { continue };
            let in_force = slot.in_force.as_ref().map(|in_force| &in_force.routes);
            for cluster in slot.latest.held().into_iter().chain(in_force).flat_map(|routes| cluster_names(routes)) {
                let host = scoped(scope_of(name), &cluster.host);
                live.hosts.entry(host).or_default().insert(name.clone());
            }
        }
        for host in live.hosts.keys() {
            let described = self
                .hosts
                .get(host)
                .is_some_and(|entry| entry.records.iter().any(|record| live.services.contains(record)));
            if described {
                continue;
            }
            // One record must stay: the host's own where there is one, else an alias that nobody asks for any more.
            let alias = self.hosts.get(host).and_then(|entry| entry.records.first());
            let kept = if self.services.contains_key(host) { Some(host) } else { alias };
            live.services.extend(kept.cloned());
        }
        for name in &live.services {
            let Some(Slot::Held { value: record, .. }) = self.services.get(name) else { continue };
            live.policies.insert(record.traffic_policy.clone());
            live.chunks.extend(record.endpoints.iter().cloned());
        }
        live
    }
}
