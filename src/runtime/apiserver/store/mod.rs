//! The objects: a durable log on disk, a serving copy in memory, and a ring of recent changes for watchers.
//!
//! A write is acknowledged, and becomes visible to readers and watchers, only after the disk holds it. Concurrent writers share
//! one commit. Writers see each other's changes at once (so that optimistic locking is exact), readers only what is durable.
//! When a commit fails, every write in it and every write that came after it fails, nothing becomes visible, and the next
//! write tries the disk again.
//!
//! There is one resource version for everything; it grows with every write and survives a restart.

mod disk;
mod object;
mod state;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{Notify, Semaphore, oneshot};

pub use self::disk::StoreError;
pub use self::object::{Key, Object};
pub use self::watch::{Change, Event, Forgotten, Watch};

use self::disk::{Disk, Record};
use self::state::State;
use super::limits;

/// What a writer expects to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// No object of that name.
    Absent,
    /// The object at exactly this resource version.
    Version(u64),
}

/// Why a write did not happen.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Somebody else was faster, or the object is (not) there.
    #[error("the object changed")]
    Conflict,
    /// The object exceeds [`limits::OBJECT_BYTES`].
    #[error("the object has {size} bytes; at most {} are stored", limits::OBJECT_BYTES)]
    TooLarge {
        /// Its size.
        size: usize,
    },
    /// The disk did not take it.
    #[error(transparent)]
    Store(#[from] Arc<StoreError>),
}

/// One page of a list.
pub struct Page {
    /// The objects, ordered by namespace and name.
    pub objects: Vec<(Key, Arc<Object>)>,
    /// The resource version the list is from.
    pub version: u64,
    /// Where the next page starts, if there is one.
    pub next: Option<Key>,
    /// How many objects follow this page (exact only for a list without selectors).
    pub remaining: usize,
}

/// What readers, writers and the commit thread share.
pub(super) struct Shared {
    state: Mutex<State>,
    /// Told when garbage may have come up.
    pub(super) garbage: Notify,
}

/// The store. Dropping it waits for the commit under way and closes the file.
pub struct Store {
    shared: Arc<Shared>,
    permits: Semaphore,
    queue: Option<std::sync::mpsc::Sender<Write>>,
    thread: Option<JoinHandle<()>>,
}

/// One write on its way to the disk.
struct Write {
    version: u64,
    key: Key,
    object: Arc<Object>,
    deleted: bool,
    done: oneshot::Sender<Result<(), Arc<StoreError>>>,
}

impl Store {
    /// [`Store::seeded`] without seeds.
    #[cfg(test)]
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::with_disk(Disk::open(path)?, Vec::new())
    }

    /// Opens (or creates) the file at `path`, reads it, and stores those of `seeds` that are not there.
    ///
    /// # Errors
    /// The file is in use by another process, unreadable, not ours, or the disk is full.
    pub fn seeded(path: &Path, seeds: Vec<(Key, Value)>) -> Result<Self, StoreError> {
        Self::with_disk(Disk::open(path)?, seeds)
    }

    fn with_disk(mut disk: Disk, seeds: Vec<(Key, Value)>) -> Result<Self, StoreError> {
        let (version, records) = disk.load()?;
        let mut state = State::new(version);
        for Record { key, version, json } in records {
            let object =
                Object::from_json(version, json).map_err(|error| StoreError::corrupt(disk.path(), &key, &error))?;
            state.load(key, Arc::new(object));
        }
        for (key, value) in seeds {
            if state.get(&key).is_none() {
                let object = Object::new(state.next_version(), value);
                disk.commit(std::iter::once((&key, object.version, Some(object.json.as_ref()))))?;
                state.apply(&key, object.version, Arc::new(object), false);
            }
        }
        let shared = Arc::new(Shared { state: Mutex::new(state), garbage: Notify::new() });
        let (queue, writes) = std::sync::mpsc::channel();
        let thread = {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name("store".to_owned())
                .spawn(move || commit_loop(&shared, &mut disk, &writes))
                .map_err(StoreError::thread)?
        };
        Ok(Self { shared, permits: Semaphore::new(limits::WRITES), queue: Some(queue), thread: Some(thread) })
    }

    /// The durable object.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<Arc<Object>> {
        self.shared.state.lock().get(key)
    }

    /// The object as the next writer finds it: durable, or on its way to the disk.
    #[must_use]
    pub fn latest(&self, key: &Key) -> Option<Arc<Object>> {
        self.shared.state.lock().latest(key)
    }

    /// The resource version of the last durable write.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.shared.state.lock().version()
    }

    /// Lists the objects of `resource` (in `namespace`) that `keep` keeps, from `from` on, at most `limit` of them.
    pub fn list(
        &self,
        resource: &str,
        namespace: Option<&str>,
        from: Option<&Key>,
        limit: Option<usize>,
        keep: impl Fn(&Key, &Object) -> bool,
    ) -> Page {
        self.shared.state.lock().list(resource, namespace, from, limit, keep)
    }

    /// Watches `resource` from just after `version` on; `None` is from now on.
    #[must_use]
    pub fn watch(&self, resource: &str, version: Option<u64>) -> Watch {
        let (start, wake) = self.shared.state.lock().subscribe(resource);
        Watch::new(Arc::clone(&self.shared), Arc::from(resource), version.unwrap_or(start), wake)
    }

    /// Writes `value` (metadata and content, without `apiVersion` and `kind`) and returns it as stored, with its version.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn put(&self, key: Key, expect: Expect, value: Value) -> Result<Arc<Object>, WriteError> {
        self.write(key, expect, Some(value)).await
    }

    /// Removes the object and returns it as it was last, with the version of its removal.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn delete(&self, key: Key, version: u64) -> Result<Arc<Object>, WriteError> {
        self.write(key, Expect::Version(version), None).await
    }

    async fn write(&self, key: Key, expect: Expect, value: Option<Value>) -> Result<Arc<Object>, WriteError> {
        let written = self.try_write(key.clone(), expect, value).await;
        if matches!(written, Err(WriteError::Conflict)) {
            self.settled(&key).await;
        }
        written
    }

    /// Waits until readers find the object as the next writer finds it: who is told of a conflict can read what it conflicts with.
    pub async fn settled(&self, key: &Key) {
        let version = |object: Option<Arc<Object>>| object.map(|object| object.version);
        let settles = async {
            loop {
                let mut wake = {
                    let mut state = self.shared.state.lock();
                    if version(state.get(key)) == version(state.latest(key)) {
                        return;
                    }
                    state.subscribe(&key.resource).1
                };
                if wake.changed().await.is_err() {
                    return;
                }
            }
        };
        // A commit that fails wakes nobody; then there is nothing to wait for.
        let _ = tokio::time::timeout(limits::SETTLE, settles).await;
    }

    async fn try_write(&self, key: Key, expect: Expect, value: Option<Value>) -> Result<Arc<Object>, WriteError> {
        let closed = || WriteError::Store(Arc::new(StoreError::Closed));
        let _permit = self.permits.acquire().await.map_err(|_| closed())?;
        let (done, committed) = oneshot::channel();
        let object = {
            let mut state = self.shared.state.lock();
            let found = state.latest(&key);
            let matches = match (expect, &found) {
                (Expect::Absent, None) => true,
                (Expect::Version(version), Some(object)) => object.version == version,
                _ => false,
            };
            if !matches {
                return Err(WriteError::Conflict);
            }
            let deleted = value.is_none();
            let value = match (value, &found) {
                (Some(value), _) => value,
                (None, Some(found)) => found.value(),
                (None, None) => return Err(WriteError::Conflict),
            };
            let version = state.next_version();
            let object = Arc::new(Object::new(version, value));
            if object.json.len() > limits::OBJECT_BYTES {
                return Err(WriteError::TooLarge { size: object.json.len() });
            }
            state.stage(&key, version, (!deleted).then(|| Arc::clone(&object)));
            // Sent under the lock, so that the disk sees versions in order.
            let sent = self.queue.as_ref().is_some_and(|queue| {
                queue.send(Write { version, key, object: Arc::clone(&object), deleted, done }).is_ok()
            });
            if !sent {
                return Err(closed());
            }
            object
        };
        match committed.await {
            Ok(Ok(())) => Ok(object),
            Ok(Err(error)) => Err(WriteError::Store(error)),
            Err(_) => Err(closed()),
        }
    }

    /// Resolves when garbage may have come up since the last call.
    pub async fn garbage(&self) {
        self.shared.garbage.notified().await;
    }

    /// Objects none of whose owners exist any more, and objects under deletion that still wait for something.
    #[must_use]
    pub fn suspects(&self) -> (Vec<Key>, Vec<Key>) {
        let state = self.shared.state.lock();
        (state.orphans(), state.deleting())
    }

    /// The objects that name `uid` as an owner.
    #[must_use]
    pub fn dependents(&self, uid: &str) -> Vec<Key> {
        self.shared.state.lock().dependents(uid)
    }

    /// Keys of everything in `namespace`.
    #[must_use]
    pub fn in_namespace(&self, namespace: &str) -> Vec<Key> {
        self.shared.state.lock().in_namespace(namespace)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was logged where it happened; there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

/// Takes what is waiting, commits it at once, then makes it visible.
fn commit_loop(shared: &Shared, disk: &mut Disk, writes: &std::sync::mpsc::Receiver<Write>) {
    // Keys of a failed commit. The disk may hold the new object all the same; the next commit puts back what was acknowledged.
    let mut doubtful: BTreeSet<Key> = BTreeSet::new();
    while let Ok(first) = writes.recv() {
        let mut batch = vec![first];
        batch.extend(writes.try_iter().take(limits::COMMIT_BATCH - 1));
        let restored: Vec<(Key, Option<Arc<Object>>)> = {
            let state = shared.state.lock();
            let durable = |key: &Key| (key.clone(), state.get(key));
            doubtful.iter().map(durable).collect()
        };
        let restore = restored.iter().map(|(key, object)| {
            let version = object.as_ref().map_or(0, |object| object.version);
            (key, version, object.as_ref().map(|object| object.json.as_ref()))
        });
        let result = disk.commit(restore.chain(batch.iter().map(|write| {
            let json = (!write.deleted).then_some(write.object.json.as_ref());
            (&write.key, write.version, json)
        })));
        match result {
            Ok(()) => {
                doubtful.clear();
                let mut state = shared.state.lock();
                let mut garbage = false;
                for write in &batch {
                    garbage |= state.apply(&write.key, write.version, Arc::clone(&write.object), write.deleted);
                }
                state.wake();
                drop(state);
                if garbage {
                    shared.garbage.notify_one();
                }
                for write in batch {
                    // A writer that went away has nothing to hear.
                    let _ = write.done.send(Ok(()));
                }
            }
            Err(error) => {
                tracing::error!(%error, "a write was refused");
                let error = Arc::new(error);
                doubtful.extend(batch.iter().map(|write| write.key.clone()));
                // What was staged after the failed batch may build on it: all of it fails.
                let mut state = shared.state.lock();
                batch.extend(writes.try_iter());
                state.unstage();
                drop(state);
                for write in batch {
                    let _ = write.done.send(Err(Arc::clone(&error)));
                }
            }
        }
    }
}
