//! Taking in what the control plane says: a resource, that there is none, or something that cannot be used.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::time::Instant;

use crate::model::{InboundPolicy, Listener, Routes, Settings};
use crate::wire::ResourceType;

use super::super::cluster::cluster_names;
use super::slot::Slot;
use super::{Holdings, NextScope, Record, Resource, host, limits, scope_of, scoped};

impl Holdings {
    /// A resource, as the control plane sent it.
    pub(in crate::proxy) fn apply(&mut self, name: &Arc<str>, version: Arc<str>, resource: Resource, now: Instant) {
        match resource {
            Resource::Settings(settings) => {
                let bundle = settings.bundle.clone();
                self.apply_settings(version, settings, now);
                // Afterwards, so that a certificate that comes at the same moment meets either the settings or this.
                if let Some(bundle) = &bundle {
                    self.shared.believe(bundle);
                }
            }
            Resource::InboundPolicy(policy) => {
                self.inbound = Slot::Held { version, value: () };
                let place = |policy: &InboundPolicy| {
                    let own = &policy.workload;
                    (own.locality.clone(), own.node.clone(), own.labels.clone())
                };
                // Which endpoints are near depends on it.
                if self.shared.inbound.load().as_deref().map(place) != Some(place(&policy)) {
                    self.dirty.hosts.extend(self.hosts.keys().cloned());
                }
                self.shared.inbound.store(Some(Arc::new(policy)));
                self.shared.published.send_modify(|count| *count = count.wrapping_add(1));
                self.shared.update_ready();
            }
            Resource::Service(record) => self.apply_service(name, version, record),
            Resource::TrafficPolicy(policy) => {
                let Some(slot) = self.policies.get_mut(name) else { return };
                if slot.version() != Some(&version) {
                    *slot = Slot::Held { version, value: Arc::new(policy) };
                    self.touch_dependants(ResourceType::TrafficPolicy, name);
                }
            }
            Resource::Endpoints(endpoints) => {
                let Some(slot) = self.chunks.get_mut(name) else { return };
                if slot.version() != Some(&version) {
                    let endpoints = host::sharing_unchanged(endpoints, slot.held().map(|held| &**held));
                    *slot = Slot::Held { version, value: Arc::new(endpoints) };
                    self.touch_dependants(ResourceType::Endpoints, name);
                }
            }
            Resource::Routes(routes) => self.apply_routes(name, version, routes, now),
            Resource::Listener(listener) => self.apply_listener(name, version, listener, now),
        }
    }

    fn apply_settings(&mut self, version: Arc<str>, settings: Settings, now: Instant) {
        self.settings = Slot::Held { version, value: () };
        let settings = Arc::new(settings);
        match &self.scope {
            Some(scope) if *scope == settings.scope => {
                // Back to the scope in force: what was gathered for another one is left to the sweep.
                self.loose |= self.next_scope.take().is_some();
                self.shared.settings.store(settings);
                return;
            }
            Some(_) => {
                let deadline = now + limits::WARMING;
                self.loose = true;
                self.next_scope = Some(NextScope { settings: settings.clone(), deadline });
            }
            None => {
                self.scope = Some(settings.scope.clone());
                self.shared.settings.store(settings.clone());
                self.shared.update_ready();
            }
        }
        for authority in self.asked.keys().cloned().collect::<Vec<_>>() {
            self.ask_in(&settings.scope, &authority);
        }
    }

    fn apply_service(&mut self, name: &Arc<str>, version: Arc<str>, record: Record) {
        let Some((scope, authority)) = name.split_once('/') else { return };
        let Some(slot) = self.services.get_mut(name) else { return };
        if slot.version() == Some(&version) {
            return;
        }
        let host = scoped(scope, &record.service.host);
        let before = std::mem::replace(slot, Slot::Held { version, value: record.clone() });
        if let Slot::Held { value: before, .. } = before {
            self.loose = true;
            self.take_from_host(name, scope, &before);
        }
        self.hosts.entry(host.clone()).or_default().records.insert(name.clone());
        self.want(ResourceType::TrafficPolicy, &record.traffic_policy);
        self.depend(ResourceType::TrafficPolicy, &record.traffic_policy, &host);
        for chunk in &record.endpoints {
            self.want(ResourceType::Endpoints, chunk);
            self.depend(ResourceType::Endpoints, chunk, &host);
        }
        self.dirty.hosts.insert(host);
        if let Some((authority, _)) = self.asked.get_key_value(authority) {
            let authority = authority.clone();
            self.lead_to_routes(&authority, name);
            self.dirty.names.insert(authority);
        }
    }

    fn apply_routes(&mut self, name: &Arc<str>, version: Arc<str>, routes: Routes, now: Instant) {
        let Some(slot) = self.routes.get_mut(name) else { return };
        if slot.latest.version() == Some(&version) {
            return;
        }
        let routes = Arc::new(routes);
        self.loose |= slot.latest.held().is_some();
        slot.latest = Slot::Held { version, value: routes.clone() };
        slot.warming_until = Some(now + limits::WARMING);
        self.waiting_routes.insert(name.clone());
        let scope = scope_of(name);
        let hosts: BTreeSet<&Arc<str>> = cluster_names(&routes).map(|cluster| &cluster.host).collect();
        for host in hosts {
            let key = scoped(scope, host);
            self.hosts.entry(key.clone()).or_default().users.insert(name.clone());
            self.want_record(&key);
        }
        self.dirty.routes.insert(name.clone());
    }

    fn apply_listener(&mut self, name: &Arc<str>, version: Arc<str>, listener: Listener, now: Instant) {
        if !self.eager_listeners {
            return;
        }
        let slot = self.listeners.entry(name.clone()).or_default();
        if slot.latest.version() == Some(&version) {
            return;
        }
        self.loose |= slot.latest.held().is_some();
        let routes: Vec<Arc<str>> = listener.virtual_hosts.iter().map(|host| host.routes.clone()).collect();
        slot.latest = Slot::Held { version, value: listener };
        slot.warming_until = Some(now + limits::WARMING);
        for name in routes {
            self.want(ResourceType::Routes, &name);
            if let Some(slot) = self.routes.get_mut(&name) {
                slot.of_listener = true;
                self.dirty.routes.insert(name);
            }
        }
        self.dirty.listeners = true;
    }

    /// The control plane says that a resource does not exist, or exists no longer.
    pub(in crate::proxy) fn remove(&mut self, kind: ResourceType, name: &Arc<str>) {
        if self.is_left_behind(kind, name) {
            return;
        }
        match kind {
            // There is no proxy without them; what is in force stays.
            ResourceType::Settings | ResourceType::InboundPolicy => {
                tracing::warn!(resource = %kind, "the control plane withdrew a resource that every proxy has; it stays in force");
            }
            ResourceType::Service => {
                let Some(slot) = self.services.get_mut(name) else { return };
                let before = std::mem::replace(slot, Slot::Absent);
                let Some((scope, authority)) = name.split_once('/') else { return };
                if let Slot::Held { value: before, .. } = before {
                    self.loose = true;
                    self.take_from_host(name, scope, &before);
                }
                // Destinations that named it were waiting for this answer.
                self.dirty.hosts.insert(name.clone());
                if let Some((authority, _)) = self.asked.get_key_value(authority) {
                    self.dirty.names.insert(authority.clone());
                }
            }
            ResourceType::TrafficPolicy => {
                if let Some(slot) = self.policies.get_mut(name) {
                    *slot = Slot::Absent;
                    self.touch_dependants(kind, name);
                }
            }
            ResourceType::Endpoints => {
                if let Some(slot) = self.chunks.get_mut(name) {
                    *slot = Slot::Absent;
                    self.touch_dependants(kind, name);
                }
            }
            ResourceType::Routes => {
                if let Some(slot) = self.routes.get_mut(name) {
                    self.loose |= slot.latest.held().is_some();
                    slot.latest = Slot::Absent;
                    self.dirty.routes.insert(name.clone());
                }
            }
            ResourceType::Listener => {
                if self.listeners.remove(name).is_some() {
                    self.loose = true;
                    self.dirty.listeners = true;
                }
            }
        }
    }

    /// A resource that could not be used. What was in force stays; where there was nothing, it is settled that there is
    /// nothing.
    pub(in crate::proxy) fn refuse(&mut self, kind: ResourceType, name: &Arc<str>) {
        match kind {
            ResourceType::Service => {
                if self.services.get_mut(name).is_some_and(Slot::refuse) {
                    self.dirty.hosts.insert(name.clone());
                    if let Some((_, authority)) = name.split_once('/') {
                        self.dirty.names.insert(authority.into());
                    }
                }
            }
            ResourceType::TrafficPolicy => {
                if self.policies.get_mut(name).is_some_and(Slot::refuse) {
                    self.touch_dependants(kind, name);
                }
            }
            ResourceType::Endpoints => {
                if self.chunks.get_mut(name).is_some_and(Slot::refuse) {
                    self.touch_dependants(kind, name);
                }
            }
            ResourceType::Routes => {
                if self.routes.get_mut(name).is_some_and(|slot| slot.latest.refuse()) {
                    self.dirty.routes.insert(name.clone());
                }
            }
            ResourceType::Settings | ResourceType::InboundPolicy | ResourceType::Listener => {}
        }
    }

    /// While the scope changes, the old one's names are the control plane's to refuse; what they stand for is kept until the
    /// new one's are there.
    fn is_left_behind(&self, kind: ResourceType, name: &str) -> bool {
        let scoped = matches!(kind, ResourceType::Service | ResourceType::TrafficPolicy | ResourceType::Routes);
        scoped && self.next_scope.is_some() && self.scope.as_deref() == Some(scope_of(name))
    }

    fn take_from_host(&mut self, name: &Arc<str>, scope: &str, record: &Record) {
        let host = scoped(scope, &record.service.host);
        if let Some(entry) = self.hosts.get_mut(&host) {
            entry.records.remove(name);
        }
        self.dirty.hosts.insert(host);
    }
}
