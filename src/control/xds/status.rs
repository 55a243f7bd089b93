//! Which proxies are connected and how far they are.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tonic::Status;

use crate::control::source::Key;
use crate::identity::SpiffeId;
use crate::wire::ResourceType;

/// Streams of one identity at one time that have not said yet which pod they are of (`docs/wire.md` section 12). All pods of a
/// large Deployment, which share an identity, may come at once.
const MAX_UNANNOUNCED: usize = 1024;

/// Streams of one pod at one time: its own, and those that it has given up and that have not ended yet.
const MAX_OF_POD: usize = 8;

/// What a proxy refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nack {
    /// The type of the resources.
    pub kind: ResourceType,
    /// The generation that they were sent for.
    pub generation: u64,
    /// The proxy's reason.
    pub message: String,
}

/// One connected proxy, as `/debug/syncz` tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyStatus {
    /// How it announced itself; empty until it has.
    pub node: String,
    /// Who it has proved to be.
    pub identity: SpiffeId,
    /// The newest generation that it is in sync with; 0 before the first.
    pub generation: u64,
    /// What it refused last, for as long as it is connected.
    pub last_nack: Option<Nack>,
    /// How many names it asked for that have another's scope.
    pub foreign_names: u64,
    /// How many names it is subscribed to.
    pub subscriptions: usize,
}

#[derive(Debug, Default)]
struct Streams {
    next: u64,
    connected: BTreeMap<u64, ProxyStatus>,
    unannounced: HashMap<SpiffeId, usize>,
    of_pod: HashMap<Key, usize>,
}

/// Counts one less; what is down to none is forgotten.
fn count_down<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

/// The connected proxies.
#[derive(Debug, Clone, Default)]
pub(in crate::control) struct Registry(Arc<Mutex<Streams>>);

impl Registry {
    /// Enters a stream, which leaves when the entry is dropped.
    pub(super) fn enter(&self, identity: &SpiffeId) -> Result<Entry, Status> {
        let mut streams = self.0.lock();
        let count = streams.unannounced.entry(identity.clone()).or_default();
        if *count >= MAX_UNANNOUNCED {
            let sentence = format!("{identity} has {MAX_UNANNOUNCED} streams already that say nothing");
            return Err(Status::resource_exhausted(sentence));
        }
        *count += 1;
        streams.next += 1;
        let id = streams.next;
        let status = ProxyStatus {
            node: String::new(),
            identity: identity.clone(),
            generation: 0,
            last_nack: None,
            foreign_names: 0,
            subscriptions: 0,
        };
        streams.connected.insert(id, status);
        Ok(Entry { registry: self.clone(), id, pod: None })
    }

    /// Everybody who is connected, in the order in which they came.
    pub(in crate::control) fn status(&self) -> Vec<ProxyStatus> {
        self.0.lock().connected.values().cloned().collect()
    }
}

/// A stream's place among the connected.
#[derive(Debug)]
pub(super) struct Entry {
    registry: Registry,
    id: u64,
    /// Whose it is, once that is known.
    pod: Option<Key>,
}

impl Entry {
    /// Takes note of which pod's it is, and of how its proxy has announced itself.
    pub(super) fn announce(&mut self, pod: &Key, node: String) -> Result<(), Status> {
        let mut streams = self.registry.0.lock();
        let count = streams.of_pod.entry(pod.clone()).or_default();
        if *count >= MAX_OF_POD {
            let sentence = format!("pod {}/{} has {MAX_OF_POD} streams already", pod.namespace, pod.name);
            return Err(Status::resource_exhausted(sentence));
        }
        *count += 1;
        self.pod = Some(pod.clone());
        let Streams { connected, unannounced, .. } = &mut *streams;
        if let Some(status) = connected.get_mut(&self.id) {
            status.node = node;
            count_down(unannounced, &status.identity);
        }
        Ok(())
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut ProxyStatus)) {
        if let Some(status) = self.registry.0.lock().connected.get_mut(&self.id) {
            change(status);
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut streams = self.registry.0.lock();
        let Some(status) = streams.connected.remove(&self.id) else { return };
        match &self.pod {
            Some(pod) => count_down(&mut streams.of_pod, pod),
            None => count_down(&mut streams.unannounced, &status.identity),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_pods_as_there_are_share_an_identity_and_each_has_few_streams() {
        let registry = Registry::default();
        let identity: SpiffeId = "spiffe://cluster.local/ns/shop/sa/default".parse().unwrap();
        let mut entries = Vec::new();
        for number in 0..2 * MAX_UNANNOUNCED {
            let mut entry = registry.enter(&identity).unwrap();
            entry.announce(&Key::new("shop", &format!("web-{number}")), "node".to_owned()).unwrap();
            entries.push(entry);
        }
        let first = Key::new("shop", "web-0");
        let announced = |entry: Result<Entry, Status>| {
            let mut entry = entry.unwrap();
            entry.announce(&first, String::new()).map(|()| entry)
        };
        entries.extend((1..MAX_OF_POD).map(|_| announced(registry.enter(&identity)).unwrap()));
        assert!(announced(registry.enter(&identity)).is_err());
        let silent: Vec<Entry> = (0..MAX_UNANNOUNCED).map(|_| registry.enter(&identity).unwrap()).collect();
        assert!(registry.enter(&identity).is_err());
        drop((silent, entries));
        let streams = registry.0.lock();
        assert!(streams.connected.is_empty() && streams.of_pod.is_empty() && streams.unannounced.is_empty());
    }
}
