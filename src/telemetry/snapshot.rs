//! The figures of the live table: per reporter, destination service and version.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::histogram::Buckets;
use super::labels::{Reporter, RequestLabels};
use super::registry::{Registry, Totals};

/// What one side reports about one version of a service, since the process started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceRow {
    /// Who reports.
    pub reporter: Reporter,
    /// Short name of the service; empty for what went around the mesh.
    pub service: Arc<str>,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Canonical revision of the workload that answered; empty when none did.
    pub version: Arc<str>,
    /// Requests.
    pub requests: u64,
    /// Requests answered with a status below 500.
    pub successes: u64,
    /// Requests that went over mutual TLS.
    pub mutual_tls: u64,
    /// Durations, in milliseconds.
    pub latency: Buckets,
}

impl ServiceRow {
    fn key(&self) -> RowKey {
        (self.reporter, self.namespace.clone(), self.service.clone(), self.version.clone())
    }

    /// What was counted after `earlier`, a former snapshot of the same row, was taken.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(earlier.requests),
            successes: self.successes.saturating_sub(earlier.successes),
            mutual_tls: self.mutual_tls.saturating_sub(earlier.mutual_tls),
            latency: self.latency.since(&earlier.latency),
            ..self.clone()
        }
    }
}

type RowKey = (Reporter, Arc<str>, Arc<str>, Arc<str>);

pub(super) fn rows(series: Vec<(Arc<RequestLabels>, Totals)>) -> Vec<ServiceRow> {
    merge_rows(series.into_iter().map(|(labels, totals)| ServiceRow {
        reporter: labels.reporter,
        service: labels.destination_service_name.clone(),
        namespace: labels.destination_service_namespace.clone(),
        version: labels.destination.canonical_revision.clone(),
        requests: totals.requests,
        successes: if (100..500).contains(&labels.response_code) { totals.requests } else { 0 },
        mutual_tls: if labels.mutual_tls { totals.requests } else { 0 },
        latency: totals.duration,
    }))
}

/// Adds up the rows that stand for the same reporter, service and version; sorted by reporter, namespace, service, version.
pub fn merge_rows(rows: impl IntoIterator<Item = ServiceRow>) -> Vec<ServiceRow> {
    let mut merged: BTreeMap<RowKey, ServiceRow> = BTreeMap::new();
    for row in rows {
        match merged.get_mut(&row.key()) {
            Some(found) => {
                found.requests += row.requests;
                found.successes += row.successes;
                found.mutual_tls += row.mutual_tls;
                found.latency.add(&row.latency);
            }
            None => {
                merged.insert(row.key(), row);
            }
        }
    }
    merged.into_values().collect()
}

/// The registries of the proxies that one process hosts. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Registries {
    entries: Arc<Mutex<Vec<Entry>>>,
}

#[derive(Debug)]
struct Entry {
    owner: Weak<str>,
    registry: Registry,
}

/// Keeps a proxy's registry listed; dropping it takes the registry off the list.
#[derive(Debug)]
pub struct Listed {
    _owner: Arc<str>,
}

impl Registries {
    /// Lists the registry of the proxy called `name` for as long as the answer lives.
    #[must_use]
    pub fn list(&self, name: &str, registry: Registry) -> Listed {
        let owner: Arc<str> = name.into();
        self.entries.lock().push(Entry { owner: Arc::downgrade(&owner), registry });
        Listed { _owner: owner }
    }

    /// (name of the proxy, its registry) for each that is listed.
    pub fn registries(&self) -> Vec<(Arc<str>, Registry)> {
        let mut entries = self.entries.lock();
        entries.retain(|entry| entry.owner.strong_count() > 0);
        entries.iter().filter_map(|entry| Some((entry.owner.upgrade()?, entry.registry.clone()))).collect()
    }

    /// The rows of all of them, added up.
    pub fn snapshot(&self) -> Vec<ServiceRow> {
        merge_rows(self.registries().into_iter().flat_map(|(_, registry)| registry.snapshot()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_listed_as_long_as_its_guard_lives() {
        let registries = Registries::default();
        let listed = registries.list("productpage", Registry::default());
        assert_eq!(registries.registries().len(), 1);
        drop(listed);
        assert_eq!(registries.registries().len(), 0);
    }
}
