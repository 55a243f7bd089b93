//! The services that routes lead to: which record speaks for a host, and its clusters.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use tokio::time::Instant;

use crate::model::{ClusterName, Endpoint, Endpoints, TrafficPolicy};

use super::super::cluster::Cluster;
use super::slot::Slot;
use super::{Holdings, Record, limits};

/// A host in a scope.
#[derive(Default)]
pub(super) struct Host {
    /// The service resources that describe it: its own name and aliases of it.
    pub(super) records: BTreeSet<Arc<str>>,
    /// The routes that lead to it.
    pub(super) users: BTreeSet<Arc<str>>,
    /// By port and subset.
    pub(super) clusters: HashMap<(u16, Option<Arc<str>>), Arc<Cluster>>,
    /// While parts that it has had are replaced by parts that have not come: until when the clusters stay as they are.
    pub(super) waiting_until: Option<Instant>,
}

impl Holdings {
    /// The record that speaks for a host (`SCOPE/HOST`): the one of its own name, else that of an alias.
    pub(super) fn record(&self, host: &str) -> Option<&Record> {
        let of = |name: &str| self.services.get(name).and_then(Slot::held);
        let own = of(host).filter(|record| host.ends_with(&*record.service.host));
        own.or_else(|| self.hosts.get(host)?.records.iter().find_map(|name| of(name)))
    }

    /// The policy of a service. `None` while it is not there, and when it was withdrawn: without its policy a service is not
    /// talked to.
    pub(super) fn policy(&self, record: &Record) -> Option<Arc<TrafficPolicy>> {
        self.policies.get(&record.traffic_policy).and_then(Slot::held).cloned()
    }

    /// Whether an answer is outstanding without which a host's clusters are not complete.
    pub(super) fn awaits(&self, host: &str) -> bool {
        let Some(record) = self.record(host) else {
            return matches!(self.services.get(host), Some(Slot::Asked));
        };
        matches!(self.policies.get(&record.traffic_policy), Some(Slot::Asked))
            || record.endpoints.iter().any(|chunk| matches!(self.chunks.get(chunk), Some(Slot::Asked)))
    }

    /// Every endpoint held of a service.
    fn endpoints(&self, record: &Record) -> Vec<Arc<Endpoint>> {
        let held = record.endpoints.iter().filter_map(|chunk| self.chunks.get(chunk)?.held());
        held.flat_map(|chunk| chunk.endpoints.iter().cloned()).collect()
    }

    /// The cluster of a host, assembled when it is first needed. `None` when it is not there.
    pub(super) fn cluster(&mut self, host: &Arc<str>, name: &ClusterName) -> Option<Arc<Cluster>> {
        let key = (name.port, name.subset.clone());
        if let Some(cluster) = self.hosts.get(host).and_then(|host| host.clusters.get(&key)) {
            return Some(cluster.clone());
        }
        let record = self.record(host)?.clone();
        let policy = self.policy(&record)?;
        let endpoints = self.endpoints(&record);
        let own = self.shared.inbound.load_full();
        let own = own.as_ref().map(|own| &*own.workload);
        let cluster = Cluster::assemble(name, &record.service, &policy, &endpoints, &mut self.states, own, None)?;
        self.hosts.entry(host.clone()).or_default().clusters.insert(key, cluster.clone());
        Some(cluster)
    }

    /// Brings a host's clusters up to date with what is held. They stay as they are while a part is outstanding that takes
    /// another's place, for as long as warming lasts.
    pub(super) fn settle_host(&mut self, host: &Arc<str>, now: Instant) {
        let awaits = self.awaits(host);
        let Some(entry) = self.hosts.get_mut(host) else { return };
        if awaits && !entry.clusters.is_empty() {
            let until = *entry.waiting_until.get_or_insert(now + limits::WARMING);
            if now < until {
                self.waiting_hosts.insert(host.clone());
                return;
            }
        } else {
            entry.waiting_until = None;
        }
        self.waiting_hosts.remove(host);
        let before = std::mem::take(&mut entry.clusters);
        let found = self.record(host).cloned().and_then(|record| Some((self.policy(&record)?, record)));
        let Some((policy, record)) = found else { return };
        let endpoints = self.endpoints(&record);
        let own = self.shared.inbound.load_full();
        let own = own.as_ref().map(|own| &*own.workload);
        let states = &mut self.states;
        let after = before.into_iter().filter_map(|(key, cluster)| {
            let assembled =
                Cluster::assemble(&cluster.name, &record.service, &policy, &endpoints, states, own, Some(&cluster))?;
            Some((key, assembled))
        });
        let after = after.collect();
        if let Some(entry) = self.hosts.get_mut(host) {
            entry.clusters = after;
        }
    }
}

/// A chunk of endpoints in which every endpoint that was there before, and is the same, is shared.
pub(super) fn sharing_unchanged(mut endpoints: Endpoints, before: Option<&Endpoints>) -> Endpoints {
    let Some(before) = before else { return endpoints };
    let known: HashMap<(IpAddr, &Arc<str>), &Arc<Endpoint>> =
        before.endpoints.iter().map(|endpoint| ((endpoint.address, &endpoint.workload.uid), endpoint)).collect();
    for endpoint in &mut endpoints.endpoints {
        if let Some(same) = known.get(&(endpoint.address, &endpoint.workload.uid))
            && **same == *endpoint
        {
            *endpoint = Arc::clone(same);
        }
    }
    endpoints
}
