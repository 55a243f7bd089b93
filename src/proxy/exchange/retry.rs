//! Whether a request is tried again, and where the budget for that ends.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::model::{HeaderLookup, PoolLimits, RetryPolicy, TryFailure};
use crate::proxy::directory::{ClusterState, Tally};
use crate::proxy::exchange::Exchange;
use crate::proxy::exchange::forward::Lost;
use crate::proxy::exchange::plan::{Goal, Plan};
use crate::proxy::exchange::reply::{Reply, grpc_status};
use crate::proxy::http1::head::Headers;

/// The tries of one request.
pub(super) struct Tries<'p> {
    policy: Option<&'p RetryPolicy>,
    limits: Option<&'p PoolLimits>,
    /// Tries begun so far.
    pub count: u32,
    counted: Option<Counted>,
}

/// Counts a request, and its retries, as under way at its cluster.
struct Counted {
    state: Arc<ClusterState>,
    retrying: bool,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.state.requests.fetch_sub(1, Ordering::Relaxed);
        if self.retrying {
            self.state.retries.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl<'p> Tries<'p> {
    /// Begins a request. `Err` with the answer when its cluster has as many as its policy allows.
    pub fn of(plan: &'p Plan) -> Result<Self, Box<Reply>> {
        let mut limits = None;
        let counted = match &plan.goal {
            Goal::Cluster(cluster) => {
                let before = cluster.state.requests.fetch_add(1, Ordering::Relaxed);
                cluster.state.tallies.add(Tally::Requests);
                let counted = Counted { state: cluster.state.clone(), retrying: false };
                if cluster.policy.limits.requests.is_some_and(|most| before >= most as usize) {
                    cluster.state.tallies.add(Tally::PendingOverflows);
                    return Err(Box::new(Reply::overflow(&cluster.name, plan)));
                }
                limits = Some(&cluster.policy.limits);
                Some(counted)
            }
            Goal::Address(_) | Goal::Answer => None,
        };
        Ok(Self { policy: plan.handling().map(|handling| &handling.retry), limits, count: 0, counted })
    }

    /// Whether the rule has a request that ended like this tried again at all.
    pub fn follow(&self, failure: TryFailure) -> bool {
        self.policy.is_some_and(|policy| policy.attempts > 0 && policy.retries_failure(failure))
    }

    /// A try was answered: there is no retry under way any more, however long the answer takes.
    pub fn settle(&mut self) {
        if let Some(counted) = &mut self.counted
            && std::mem::take(&mut counted.retrying)
        {
            counted.state.retries.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn permits(&mut self, worthwhile: impl FnOnce(&RetryPolicy) -> bool, always: usize, exhausted: &mut bool) -> bool {
        let Some(policy) = self.policy.filter(|policy| policy.attempts > 0) else { return false };
        if !worthwhile(policy) {
            return false;
        }
        let Some(counted) = &mut self.counted else { return false };
        if self.count > policy.attempts {
            *exhausted = true;
            counted.state.tallies.add(Tally::RetriesExhausted);
            return false;
        }
        if !counted.retrying {
            // Retries are never more than the requests they come from, beyond what is always allowed: a service that fails as
            // a whole gets twice its load at most, and not attempts + 1 times.
            let requests = counted.state.requests.load(Ordering::Relaxed);
            let most = match self.limits.map(|limits| (limits.retries, limits.retry_budget)) {
                Some((_, Some(budget))) => budget.most(requests),
                Some((Some(most), None)) => most as usize,
                Some((None, None)) | None => always.max(requests / 2),
            };
            if counted.state.retries.load(Ordering::Relaxed) >= most {
                *exhausted = true;
                counted.state.tallies.add(Tally::RetryOverflows);
                return false;
            }
            counted.state.retries.fetch_add(1, Ordering::Relaxed);
            counted.retrying = true;
        }
        counted.state.tallies.add(Tally::Retries);
        true
    }
}

impl Exchange<'_> {
    /// Whether a try that ended without an answer is followed by another.
    pub(super) fn retries_failure(&mut self, tries: &mut Tries<'_>, failure: TryFailure) -> bool {
        let always = self.local.shared.limits.retries;
        tries.permits(|policy| policy.retries_failure(failure), always, &mut self.exhausted)
    }

    /// Whether the answer at hand is given up for another try.
    pub(super) fn retries_answer(&mut self, tries: &mut Tries<'_>, head: &[u8]) -> bool {
        let response = &self.scratch.response;
        let worthwhile = |policy: &RetryPolicy| {
            let headers = Headers { head: response, bytes: head };
            let grpc_status = grpc_status(response, head);
            policy.retries_answer(response.status, grpc_status, headers.value("x-envoy-ratelimited").is_some())
        };
        let always = self.local.shared.limits.retries;
        tries.permits(worthwhile, always, &mut self.exhausted)
    }

    /// Waits as long as the policy says before the next try.
    pub(super) async fn back_off(&mut self, tries: &Tries<'_>) -> Result<(), Lost> {
        // The time of the try that has ended is nobody's.
        self.times.end_try();
        let draw = self.local.worker.draw();
        match tries.policy {
            Some(policy) if !policy.backoff.is_zero() => {
                self.in_time(tokio::time::sleep(policy.wait(tries.count, draw))).await
            }
            _ => Ok(()),
        }
    }
}
