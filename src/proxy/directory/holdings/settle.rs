//! Bringing into force what is complete, and publishing it.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;

use crate::model::{ClusterName, Routes};

use super::super::cluster::{RoutesInForce, cluster_names};
use super::super::{Entry, Resolution, Target, UnavailableReason};
use super::slot::{RoutesSlot, Slot};
use super::{Holdings, scope_of, scoped};

impl Holdings {
    /// Brings into force what is complete, or has waited for as long as it may, and publishes what changed.
    pub(in crate::proxy) fn settle(&mut self, now: Instant) {
        for host in std::mem::take(&mut self.dirty.hosts) {
            if self.hosts.get(&host).is_some_and(|entry| !entry.users.is_empty()) {
                self.want_record(&host);
            }
            self.settle_host(&host, now);
            if let Some(entry) = self.hosts.get(&host) {
                self.dirty.routes.extend(entry.users.iter().cloned());
            }
        }
        let mut gateway_routes = BTreeMap::new();
        for name in std::mem::take(&mut self.dirty.routes) {
            self.settle_routes(&name, now);
            let Some(slot) = self.routes.get(&name) else { continue };
            if slot.of_listener {
                gateway_routes.insert(name, slot.in_force.clone());
                self.dirty.listeners = true;
            }
        }
        self.publish_gateway_routes(gateway_routes);
        if std::mem::take(&mut self.dirty.listeners) {
            self.settle_listeners(now);
        }
        self.change_scope(now);
        self.publish_names();
    }

    /// Puts the latest routes into force when what they name is settled, and renews the clusters of those in force.
    fn settle_routes(&mut self, name: &Arc<str>, now: Instant) {
        let Some(slot) = self.routes.get(name) else { return };
        let current = slot.in_force.clone();
        let chosen = match &slot.latest {
            Slot::Asked => return,
            Slot::Absent | Slot::Refused | Slot::Excess => None,
            Slot::Held { value: latest, .. } => {
                let is_in_force = current.as_ref().is_some_and(|current| Arc::ptr_eq(&current.routes, latest));
                let waited = slot.warming_until.is_none_or(|until| now >= until);
                if is_in_force || waited || self.is_complete(name, latest, current.as_deref()) {
                    Some(latest.clone())
                } else if let Some(current) = &current {
                    self.renew(name, Some(current.routes.clone()), false);
                    return;
                } else {
                    return;
                }
            }
        };
        self.renew(name, chosen, true);
    }

    /// Joins routes anew with their clusters. `latest`: nothing newer is waiting.
    fn renew(&mut self, name: &Arc<str>, routes: Option<Arc<Routes>>, latest: bool) {
        let scope = scope_of(name).to_owned();
        let renewed = routes.map(|routes| {
            let find = |cluster: &ClusterName| self.cluster(&scoped(&scope, &cluster.host), cluster);
            Arc::new(RoutesInForce::with(routes, find))
        });
        if latest {
            self.waiting_routes.remove(name);
        }
        let Some(slot) = self.routes.get_mut(name) else { return };
        if latest {
            slot.warming_until = None;
        }
        let unchanged = matches!((&slot.in_force, &renewed), (Some(before), Some(after)) if before.is_same(after));
        if !unchanged {
            slot.in_force = renewed;
            self.dirty.names.extend(slot.asked_by.iter().cloned());
        }
    }

    /// Whether everything that routes name is held, or known not to exist.
    ///
    /// A subset that the service's policy does not have yet is waited for as well, because the order in which rules were
    /// applied must not matter; but only where it is new. Where there are no routes to stay with, or they lack the same
    /// subset, waiting would help nobody.
    fn is_complete(&self, name: &str, routes: &Routes, current: Option<&RoutesInForce>) -> bool {
        let scope = scope_of(name);
        cluster_names(routes).all(|cluster| {
            let host = scoped(scope, &cluster.host);
            if self.awaits(&host) {
                return false;
            }
            let Some(current) = current else { return true };
            let Some(subset) = &cluster.subset else { return true };
            let policy = self.record(&host).and_then(|record| self.policy(record));
            policy.is_none_or(|policy| policy.subset(subset).is_some())
                || cluster_names(&current.routes).any(|before| before == cluster)
        })
    }

    fn publish_gateway_routes(&self, changed: BTreeMap<Arc<str>, Option<Arc<RoutesInForce>>>) {
        if changed.is_empty() {
            return;
        }
        let mut published = (**self.shared.gateway_routes.load()).clone();
        for (name, routes) in changed {
            match routes {
                Some(routes) => published.insert(name, routes),
                None => published.remove(&name),
            }
        }
        self.shared.gateway_routes.store(Arc::new(published));
    }

    /// Puts listeners into force whose routes are settled.
    fn settle_listeners(&mut self, now: Instant) {
        for slot in self.listeners.values_mut() {
            let (Some(until), Some(latest)) = (slot.warming_until, slot.latest.held()) else { continue };
            let settled = latest
                .virtual_hosts
                .iter()
                .all(|host| self.routes.get(&host.routes).is_none_or(RoutesSlot::is_settled));
            if settled || now >= until {
                slot.in_force = Some(latest.clone());
                slot.warming_until = None;
            }
        }
        let in_force: Arc<[_]> = self.listeners.values().filter_map(|slot| slot.in_force.clone()).collect();
        self.shared.listeners.send_if_modified(|listeners| {
            let changed = **listeners != *in_force;
            if changed {
                *listeners = in_force;
            }
            changed
        });
    }

    /// Changes over to the next scope when every name asked for is settled in it.
    fn change_scope(&mut self, now: Instant) {
        let Some(next) = &self.next_scope else { return };
        let scope = next.settings.scope.clone();
        let settled = |authority: &Arc<str>| match self.services.get(&scoped(&scope, authority)) {
            None | Some(Slot::Asked) => false,
            Some(Slot::Absent | Slot::Refused | Slot::Excess) => true,
            Some(Slot::Held { value, .. }) => self.routes.get(&value.routes).is_none_or(RoutesSlot::is_settled),
        };
        if now < next.deadline && !self.asked.keys().all(settled) {
            return;
        }
        if let Some(next) = self.next_scope.take() {
            self.scope = Some(scope);
            self.shared.settings.store(next.settings);
            self.dirty.names.extend(self.asked.keys().cloned());
            self.loose = true;
        }
    }

    /// Publishes what became of names, in one snapshot.
    fn publish_names(&mut self) {
        let dirty = std::mem::take(&mut self.dirty.names);
        if dirty.is_empty() {
            return;
        }
        let before = self.shared.names.load_full();
        let mut after = None;
        for name in dirty {
            let held = before.get(&name);
            let Some(used) = self.asked.get(&name) else {
                if held.is_some() {
                    after.get_or_insert_with(|| (*before).clone()).remove(&name);
                }
                continue;
            };
            // Without an answer, the answer before stays.
            let Some(resolution) = self.resolution(&name) else { continue };
            if held.is_some_and(|held| is_same(&held.resolution, &resolution)) {
                continue;
            }
            let entry = Arc::new(Entry { resolution, used: used.clone() });
            after.get_or_insert_with(|| (*before).clone()).insert(name, entry);
        }
        if let Some(after) = after {
            self.shared.names.store(Arc::new(after));
            self.shared.published.send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    /// What became of a name, in the scope in force; `None` while answers are outstanding.
    fn resolution(&self, authority: &str) -> Option<Resolution> {
        let incomplete = Resolution::Unavailable(UnavailableReason::Incomplete);
        match self.services.get(&scoped(self.scope.as_ref()?, authority))? {
            Slot::Asked => None,
            Slot::Absent => Some(Resolution::Unknown),
            Slot::Refused | Slot::Excess => Some(incomplete),
            Slot::Held { value: record, .. } => {
                let slot = self.routes.get(&record.routes)?;
                match &slot.in_force {
                    Some(routes) => {
                        let target = Target { service: record.service.clone(), routes: routes.clone() };
                        Some(Resolution::Known(Arc::new(target)))
                    }
                    None => slot.latest.is_nothing().then_some(incomplete),
                }
            }
        }
    }

    /// When [`Holdings::expire`] has to be called next.
    pub(in crate::proxy) fn deadline(&self) -> Option<Instant> {
        let routes = self.waiting_routes.iter().filter_map(|name| self.routes.get(name)?.warming_until);
        let hosts = self.waiting_hosts.iter().filter_map(|name| self.hosts.get(name)?.waiting_until);
        let listeners = self.listeners.values().filter_map(|slot| slot.warming_until);
        routes.chain(hosts).chain(listeners).chain(self.next_scope.as_ref().map(|next| next.deadline)).min()
    }

    /// Time has passed: what has waited for too long is looked at by the next [`Holdings::settle`].
    pub(in crate::proxy) fn expire(&mut self) {
        self.dirty.routes.extend(self.waiting_routes.iter().cloned());
        self.dirty.hosts.extend(self.waiting_hosts.iter().cloned());
        self.dirty.listeners = true;
    }
}

fn is_same(a: &Resolution, b: &Resolution) -> bool {
    match (a, b) {
        (Resolution::Known(a), Resolution::Known(b)) => {
            Arc::ptr_eq(&a.service, &b.service) && Arc::ptr_eq(&a.routes, &b.routes)
        }
        (Resolution::Unknown, Resolution::Unknown) => true,
        (Resolution::Unavailable(a), Resolution::Unavailable(b)) => a == b,
        _ => false,
    }
}
