//! Places for requests at a cluster that limits its connections: taken, waited for, given back.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::sync::futures::OwnedNotified;

use crate::model::PoolLimits;
use crate::proxy::directory::{ClusterState, Tally};

/// A connection's place, free again when dropped.
#[derive(Debug)]
pub struct Place(Arc<ClusterState>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
        self.0.freed.notify_one();
    }
}

/// Takes one of so many; whether there was one.
pub fn take(count: &AtomicUsize, most: u32) -> bool {
    let taken =
        count.fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| (count < most as usize).then_some(count + 1));
    taken.is_ok()
}

/// What came of asking for a place.
#[derive(Debug)]
pub enum Asked {
    /// The cluster has no limit.
    Unlimited,
    /// Here it is.
    Place(Place),
    /// It has to be waited for.
    Wait(Waiting),
    /// As many wait as may.
    Overflow,
}

/// Asks for a place.
pub fn ask(state: &Arc<ClusterState>, limits: &PoolLimits) -> Asked {
    let Some(most) = limits.connections else { return Asked::Unlimited };
    if take(&state.connections, most) {
        return Asked::Place(Place(state.clone()));
    }
    state.tallies.add(Tally::ConnectionOverflows);
    if !take(&state.pending, limits.pending.unwrap_or(u32::MAX)) {
        state.tallies.add(Tally::PendingOverflows);
        return Asked::Overflow;
    }
    state.tallies.add(Tally::Pending);
    Asked::Wait(Waiting { state: state.clone(), most, freed: Box::pin(state.freed.clone().notified_owned()) })
}

/// A request that waits for a place.
#[derive(Debug)]
pub struct Waiting {
    state: Arc<ClusterState>,
    most: u32,
    freed: Pin<Box<OwnedNotified>>,
}

impl Waiting {
    /// The place, when there is one.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Place> {
        loop {
            let freed = self.freed.as_mut().poll(cx).is_ready();
            if take(&self.state.connections, self.most) {
                return Poll::Ready(Place(self.state.clone()));
            }
            if !freed {
                return Poll::Pending;
            }
            self.freed = Box::pin(self.state.freed.clone().notified_owned());
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.state.pending.fetch_sub(1, Ordering::Relaxed);
        // What this one was told of may have been meant for the next.
        if self.state.connections.load(Ordering::Relaxed) < self.most as usize {
            self.state.freed.notify_one();
        }
    }
}
