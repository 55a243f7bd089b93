//! Which proxies are connected and how far they are.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tonic::Status;

use crate::identity::SpiffeId;
use crate::wire::ResourceType;

/// Streams of one identity at one time (`docs/wire.md` section 12).
const MAX_STREAMS: usize = 64;

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
    by_identity: HashMap<SpiffeId, usize>,
}

/// The connected proxies.
#[derive(Debug, Clone, Default)]
pub(in crate::control) struct Registry(Arc<Mutex<Streams>>);

impl Registry {
    /// Enters a stream, which leaves when the entry is dropped.
    pub(super) fn enter(&self, identity: &SpiffeId) -> Result<Entry, Status> {
        let mut streams = self.0.lock();
        let count = streams.by_identity.entry(identity.clone()).or_default();
        if *count >= MAX_STREAMS {
            return Err(Status::resource_exhausted(format!("{identity} has {MAX_STREAMS} streams already")));
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
        Ok(Entry { registry: self.clone(), id })
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
}

impl Entry {
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
        if let Some(count) = streams.by_identity.get_mut(&status.identity) {
            *count -= 1;
            if *count == 0 {
                streams.by_identity.remove(&status.identity);
            }
        }
    }
}
