//! A work queue of keys: each key waits at most once, is worked on by one worker at a time, and is tried again with
//! growing pauses after a failure.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Keys that may wait; a watch that brings more waits with them.
const LIMIT: usize = 65_536;
/// Keys worked on at a time.
const WORKERS: usize = 4;
const BACKOFF_FIRST: Duration = Duration::from_millis(20);
const BACKOFF_LIMIT: Duration = Duration::from_secs(30);

/// What working on a key led to.
pub(super) type Outcome = Result<Next, ReconcileError>;

/// When to look at a key again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// When something changes.
    Change,
    /// Then at the latest.
    After(Duration),
}

/// Why a key has to be tried again.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReconcileError {
    /// The API server did not do what was asked.
    #[error(transparent)]
    Api(#[from] kube::Error),
    /// The object lacks what every stored object has.
    #[error("{object} has no {field}")]
    Incomplete {
        /// Kind and name.
        object: String,
        /// The field.
        field: &'static str,
    },
}

impl ReconcileError {
    /// Somebody else wrote first: ordinary between controllers, and gone at the next attempt.
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Api(kube::Error::Api(answer)) if answer.code == 409)
    }
}

struct State<K> {
    ready: VecDeque<K>,
    /// What `ready` holds.
    queued: HashSet<K>,
    later: HashMap<K, Instant>,
    running: HashSet<K>,
    /// Keys that were added while they were worked on.
    again: HashSet<K>,
    failures: HashMap<K, u32>,
}

/// The queue.
pub(super) struct WorkQueue<K> {
    state: Mutex<State<K>>,
    changed: Notify,
    room: Notify,
}

impl<K: Clone + Eq + Hash> WorkQueue<K> {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                ready: VecDeque::new(),
                queued: HashSet::new(),
                later: HashMap::new(),
                running: HashSet::new(),
                again: HashSet::new(),
                failures: HashMap::new(),
            }),
            changed: Notify::new(),
            room: Notify::new(),
        })
    }

    /// Adds a key to be worked on now; waits while the queue is full.
    pub(super) async fn add(&self, key: K) {
        loop {
            let room = self.room.notified();
            {
                let mut state = self.state.lock();
                if state.ready.len() < LIMIT || state.queued.contains(&key) {
                    state.push(key);
                    break;
                }
            }
            room.await;
        }
        self.changed.notify_one();
    }

    /// The next key; [`done`](Self::done) gives it back.
    async fn next(&self) -> K {
        loop {
            let changed = self.changed.notified();
            let due = {
                let mut state = self.state.lock();
                state.promote(Instant::now());
                if let Some(key) = state.ready.pop_front() {
                    state.queued.remove(&key);
                    state.running.insert(key.clone());
                    let more = !state.ready.is_empty();
                    drop(state);
                    self.room.notify_waiters();
                    if more {
                        self.changed.notify_one();
                    }
                    return key;
                }
                state.later.values().min().copied()
            };
            match due {
                Some(due) => tokio::select! {
                    () = changed => {}
                    () = sleep_until(due) => {}
                },
                None => changed.await,
            }
        }
    }

    fn done(&self, key: &K, outcome: &Outcome) {
        let mut state = self.state.lock();
        state.running.remove(key);
        let pause = match outcome {
            Ok(next) => {
                state.failures.remove(key);
                match next {
                    Next::Change => None,
                    Next::After(pause) => Some(*pause),
                }
            }
            Err(_) => {
                let failures = state.failures.entry(key.clone()).or_insert(0);
                *failures = failures.saturating_add(1);
                Some(backoff(*failures))
            }
        };
        if state.again.remove(key) {
            state.push(key.clone());
        } else if let Some(pause) = pause {
            state.later.insert(key.clone(), Instant::now() + pause);
        }
        drop(state);
        self.changed.notify_one();
    }
}

impl<K: Clone + Eq + Hash> State<K> {
    fn push(&mut self, key: K) {
        if self.running.contains(&key) {
            self.again.insert(key);
        } else if self.queued.insert(key.clone()) {
            self.later.remove(&key);
            self.ready.push_back(key);
        }
    }

    fn promote(&mut self, now: Instant) {
        let due: Vec<K> = self.later.iter().filter(|(_, at)| **at <= now).map(|(key, _)| key.clone()).collect();
        for key in due {
            self.later.remove(&key);
            self.push(key);
        }
    }
}

fn backoff(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1);
    BACKOFF_FIRST.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX)).min(BACKOFF_LIMIT)
}

/// Works on the queue's keys until `stop` is cancelled; work under way is finished.
pub(super) fn work<K, F, W>(
    controller: &'static str,
    queue: &Arc<WorkQueue<K>>,
    stop: &CancellationToken,
    tasks: &mut JoinSet<()>,
    reconcile: F,
) where
    K: Clone + Eq + Hash + Send + Sync + std::fmt::Display + 'static,
    F: Fn(K) -> W + Clone + Send + 'static,
    W: Future<Output = Outcome> + Send,
{
    for _ in 0..WORKERS {
        let (queue, stop, reconcile) = (Arc::clone(queue), stop.clone(), reconcile.clone());
        tasks.spawn(async move {
            loop {
                let key = tokio::select! {
                    () = stop.cancelled() => return,
                    key = queue.next() => key,
                };
                let outcome = reconcile(key.clone()).await;
                match &outcome {
                    Ok(_) => {}
                    Err(error) if error.is_conflict() => {
                        tracing::debug!(controller, %key, %error, "written by somebody else meanwhile; looking again");
                    }
                    Err(error) => tracing::warn!(controller, %key, %error, "trying again"),
                }
                queue.done(&key, &outcome);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed() -> Outcome {
        Err(ReconcileError::Incomplete { object: "x".to_owned(), field: "y" })
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_waits_once_and_is_worked_on_by_one_worker() {
        let queue = WorkQueue::new();
        queue.add("a").await;
        queue.add("a").await;
        queue.add("b").await;
        assert_eq!(queue.next().await, "a");
        // Added while it is worked on: it comes again, but only after it was given back.
        queue.add("a").await;
        assert_eq!(queue.next().await, "b");
        assert!(tokio::time::timeout(Duration::from_secs(60), queue.next()).await.is_err());
        queue.done(&"a", &Ok(Next::Change));
        assert_eq!(queue.next().await, "a");
        queue.done(&"a", &Ok(Next::Change));
        assert!(tokio::time::timeout(Duration::from_secs(60), queue.next()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn failures_are_spaced_and_forgotten_after_a_success() {
        let queue = WorkQueue::new();
        queue.add("a").await;
        let mut taken_at = Vec::new();
        for outcome in
            [failed(), failed(), failed(), Ok(Next::After(Duration::from_secs(7))), failed(), Ok(Next::Change)]
        {
            assert_eq!(queue.next().await, "a");
            taken_at.push(Instant::now());
            queue.done(&"a", &outcome);
        }
        let pauses: Vec<_> = taken_at.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
        assert_eq!(pauses, [20, 40, 80, 7_000, 20]);
        assert_eq!(backoff(u32::MAX), BACKOFF_LIMIT);
    }
}
