//! Following the changes of one resource.
//!
//! A watcher owns no queue: it has a place in the resource's ring, and reads on from it when it is ready. One that is too slow
//! finds its place overwritten and is told so.

use std::sync::Arc;

use tokio::sync::watch;

use super::{Key, Object, Shared};

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was not there before.
    Added,
    /// It was there before.
    Modified,
    /// It is gone; the event carries it as it was last.
    Deleted,
}

/// One change.
#[derive(Clone, Debug)]
pub struct Event {
    /// The resource version of the change.
    pub version: u64,
    /// What happened.
    pub change: Change,
    /// To which object.
    pub key: Key,
    /// The object after the change.
    pub object: Arc<Object>,
    /// The object before the change.
    pub previous: Option<Arc<Object>>,
}

impl Event {
    pub(super) fn bytes(&self) -> usize {
        self.object.json.len()
    }
}

/// A place in the changes of a resource.
pub struct Watch {
    shared: Arc<Shared>,
    resource: Arc<str>,
    cursor: u64,
    wake: watch::Receiver<u64>,
}

/// The changes after a watcher's place are forgotten: it must list again. Carries the oldest version still known.
#[derive(Debug, PartialEq, Eq)]
pub struct Forgotten(pub u64);

impl Watch {
    pub(super) fn new(shared: Arc<Shared>, resource: Arc<str>, cursor: u64, wake: watch::Receiver<u64>) -> Self {
        Self { shared, resource, cursor, wake }
    }

    /// The version up to which this watcher has seen everything.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.cursor
    }

    /// The changes that are there already; maybe none.
    ///
    /// # Errors
    /// [`Forgotten`] when the watcher fell behind the ring.
    pub fn ready(&mut self) -> Result<Vec<Event>, Forgotten> {
        self.wake.mark_unchanged();
        let (events, cursor) = self.shared.state.lock().events(&self.resource, self.cursor).map_err(Forgotten)?;
        self.cursor = cursor;
        Ok(events)
    }

    /// The next changes, at least one; `None` when the store is closed. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Forgotten`] when the watcher fell behind the ring.
    pub async fn next(&mut self) -> Result<Option<Vec<Event>>, Forgotten> {
        loop {
            let events = self.ready()?;
            if !events.is_empty() {
                return Ok(Some(events));
            }
            if self.wake.changed().await.is_err() {
                return Ok(None);
            }
        }
    }
}
