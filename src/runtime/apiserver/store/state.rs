//! What the store holds in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use tokio::sync::watch;

use super::watch::{Change, Event};
use super::{Key, Object, Page};
use crate::runtime::apiserver::limits;

/// One resource: its objects and its recent changes.
pub(super) struct Resource {
    objects: BTreeMap<Key, Arc<Object>>,
    ring: VecDeque<Event>,
    ring_bytes: usize,
    /// Every change after this version is in the ring.
    trimmed: u64,
    wake: watch::Sender<u64>,
    dirty: bool,
}

impl Resource {
    fn new(trimmed: u64) -> Self {
        Self {
            objects: BTreeMap::new(),
            ring: VecDeque::new(),
            ring_bytes: 0,
            trimmed,
            wake: watch::Sender::new(trimmed),
            dirty: false,
        }
    }

    fn remember(&mut self, event: Event) {
        self.ring_bytes += event.bytes();
        self.ring.push_back(event);
        while self.ring.len() > limits::RING_EVENTS
            || (self.ring.len() > limits::RING_FLOOR && self.ring_bytes > limits::RING_BYTES)
        {
            let Some(old) = self.ring.pop_front() else {
                break;
            };
            self.ring_bytes -= old.bytes();
            self.trimmed = old.version;
        }
        self.dirty = true;
    }
}

pub(super) struct State {
    resources: HashMap<Arc<str>, Resource>,
    /// Staged writes that the disk does not hold yet; `None` is a removal.
    staged: HashMap<Key, (u64, Option<Arc<Object>>)>,
    /// Last version given out.
    given: u64,
    /// Last durable version.
    durable: u64,
    /// The version the file was opened at: changes before it are not in any ring.
    opened: u64,
    uids: HashMap<String, Key>,
    dependents: BTreeMap<String, BTreeSet<Key>>,
    deleting: BTreeSet<Key>,
}

impl State {
    pub(super) fn new(version: u64) -> Self {
        Self {
            resources: HashMap::new(),
            staged: HashMap::new(),
            given: version,
            durable: version,
            opened: version,
            uids: HashMap::new(),
            dependents: BTreeMap::new(),
            deleting: BTreeSet::new(),
        }
    }

    fn resource(&mut self, name: &str) -> &mut Resource {
        let opened = self.opened;
        if !self.resources.contains_key(name) {
            self.resources.insert(Arc::from(name), Resource::new(opened));
        }
        // The entry API would need an owned key on every call.
        self.resources.entry(Arc::from(name)).or_insert_with(|| Resource::new(opened))
    }

    pub(super) fn load(&mut self, key: Key, object: Arc<Object>) {
        self.index(&key, &object);
        self.resource(&key.resource).objects.insert(key, object);
    }

    pub(super) fn version(&self) -> u64 {
        self.durable
    }

    pub(super) fn next_version(&mut self) -> u64 {
        self.given += 1;
        self.given
    }

    pub(super) fn get(&self, key: &Key) -> Option<Arc<Object>> {
        self.resources.get(&key.resource)?.objects.get(key).cloned()
    }

    pub(super) fn latest(&self, key: &Key) -> Option<Arc<Object>> {
        match self.staged.get(key) {
            Some((_, staged)) => staged.clone(),
            None => self.get(key),
        }
    }

    pub(super) fn stage(&mut self, key: &Key, version: u64, object: Option<Arc<Object>>) {
        self.staged.insert(key.clone(), (version, object));
    }

    pub(super) fn unstage(&mut self) {
        self.staged.clear();
    }

    /// Makes a durable write visible; whether it may have made garbage.
    pub(super) fn apply(&mut self, key: &Key, version: u64, object: Arc<Object>, deleted: bool) -> bool {
        if self.staged.get(key).is_some_and(|(staged, _)| *staged == version) {
            self.staged.remove(key);
        }
        self.durable = version;
        let resource = self.resource(&key.resource);
        let previous = if deleted {
            resource.objects.remove(key)
        } else {
            resource.objects.insert(key.clone(), Arc::clone(&object))
        };
        let change = match (&previous, deleted) {
            (_, true) => Change::Deleted,
            (None, false) => Change::Added,
            (Some(_), false) => Change::Modified,
        };
        resource.remember(Event {
            version,
            change,
            key: key.clone(),
            object: Arc::clone(&object),
            previous: previous.clone(),
        });
        if let Some(previous) = &previous {
            self.unindex(key, previous);
        }
        if !deleted {
            self.index(key, &object);
        }
        let before = previous.as_ref().map_or(&[][..], |previous| previous.owners.as_slice());
        deleted || object.deleting || *object.owners != *before
    }

    fn index(&mut self, key: &Key, object: &Object) {
        if !object.uid.is_empty() {
            self.uids.insert(object.uid.clone(), key.clone());
        }
        for owner in &object.owners {
            self.dependents.entry(owner.clone()).or_default().insert(key.clone());
        }
        if object.deleting {
            self.deleting.insert(key.clone());
        }
    }

    fn unindex(&mut self, key: &Key, object: &Object) {
        self.uids.remove(&object.uid);
        for owner in &object.owners {
            if let Some(keys) = self.dependents.get_mut(owner) {
                keys.remove(key);
                if keys.is_empty() {
                    self.dependents.remove(owner);
                }
            }
        }
        self.deleting.remove(key);
    }

    /// Wakes the watchers of every resource that changed.
    pub(super) fn wake(&mut self) {
        for resource in self.resources.values_mut().filter(|r| r.dirty) {
            resource.dirty = false;
            resource.wake.send_replace(self.durable);
        }
    }

    pub(super) fn subscribe(&mut self, resource: &str) -> (u64, watch::Receiver<u64>) {
        (self.durable, self.resource(resource).wake.subscribe())
    }

    /// Up to a batch of events of `resource` after `cursor`, or `Err(oldest)` when some of them are forgotten.
    pub(super) fn events(&self, resource: &str, cursor: u64) -> Result<(Vec<Event>, u64), u64> {
        let Some(resource) = self.resources.get(resource) else {
            return Ok((Vec::new(), self.durable));
        };
        if cursor < resource.trimmed {
            return Err(resource.trimmed);
        }
        let start = resource.ring.partition_point(|event| event.version <= cursor);
        let events: Vec<Event> = resource.ring.range(start..).take(limits::WATCH_BATCH).cloned().collect();
        let next = match events.last() {
            Some(last) => last.version,
            None => self.durable.max(cursor),
        };
        Ok((events, next))
    }

    pub(super) fn list(
        &self,
        resource: &str,
        namespace: Option<&str>,
        from: Option<&Key>,
        limit: Option<usize>,
        keep: impl Fn(&Key, &Object) -> bool,
    ) -> Page {
        let mut page = Page { objects: Vec::new(), version: self.durable, next: None, remaining: 0 };
        let Some(found) = self.resources.get(resource) else {
            return page;
        };
        let first = match (from, namespace) {
            (Some(from), _) => Some(from.clone()),
            (None, Some(namespace)) => Some(Key::new(&Arc::from(resource), namespace, "")),
            (None, None) => None,
        };
        let start = first.map_or(Bound::Unbounded, Bound::Included);
        for (key, object) in found.objects.range((start, Bound::Unbounded)) {
            if namespace.is_some_and(|namespace| *key.namespace != *namespace) {
                break;
            }
            if !keep(key, object) {
                continue;
            }
            if limit.is_some_and(|limit| page.objects.len() >= limit) {
                page.next.get_or_insert_with(|| key.clone());
                page.remaining += 1;
            } else {
                page.objects.push((key.clone(), Arc::clone(object)));
            }
        }
        page
    }

    pub(super) fn orphans(&self) -> Vec<Key> {
        let mut orphans = BTreeSet::new();
        for (owner, keys) in &self.dependents {
            if self.uids.contains_key(owner) {
                continue;
            }
            for key in keys {
                let alone = self.get(key).is_some_and(|object| !object.owners.iter().any(|uid| self.lives(uid)));
                if alone {
                    orphans.insert(key.clone());
                }
            }
        }
        orphans.into_iter().collect()
    }

    pub(super) fn deleting(&self) -> Vec<Key> {
        self.deleting.iter().cloned().collect()
    }

    pub(super) fn dependents(&self, uid: &str) -> Vec<Key> {
        self.dependents.get(uid).map(|keys| keys.iter().cloned().collect()).unwrap_or_default()
    }

    pub(super) fn in_namespace(&self, namespace: &str) -> Vec<Key> {
        self.resources
            .values()
            .flat_map(|resource| resource.objects.keys())
            .filter(|key| *key.namespace == *namespace)
            .cloned()
            .collect()
    }

    pub(super) fn lives(&self, uid: &str) -> bool {
        self.uids.contains_key(uid)
    }
}
