//! What became of an endpoint's last requests, and whether it is left out for it (outlier detection).
//!
//! Counted in atomics by every worker; decided where it is counted, without a task that looks around. An endpoint that was left
//! out comes back by itself when its time is over.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::OutlierPolicy;

/// How a request to an endpoint ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// With this status.
    Answer(u16),
    /// Without an answer: no connection, an end too early, or too late.
    Failure,
}

/// The health of one endpoint, as its clients found it.
#[derive(Debug)]
pub struct EndpointHealth {
    /// What times count from.
    since: Instant,
    /// Milliseconds after `since` until which it is left out; 0: it is not.
    until: AtomicU64,
    /// How often it was left out, less what time has healed.
    times: AtomicU32,
    server_errors: AtomicU32,
    gateway_errors: AtomicU32,
    failures: AtomicU32,
}

impl Default for EndpointHealth {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            until: AtomicU64::new(0),
            times: AtomicU32::new(0),
            server_errors: AtomicU32::new(0),
            gateway_errors: AtomicU32::new(0),
            failures: AtomicU32::new(0),
        }
    }
}

impl EndpointHealth {
    /// How long the endpoint has been known.
    pub fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// Whether it is left out at the moment.
    pub fn is_ejected(&self) -> bool {
        match self.until.load(Ordering::Relaxed) {
            0 => false,
            until => self.since.elapsed() < Duration::from_millis(until),
        }
    }

    /// Counts. Whether that was one failure too many.
    pub fn count(&self, policy: &OutlierPolicy, report: Report) -> bool {
        let mut too_many = false;
        let mut count = |counter: &AtomicU32, failed: bool, most: u32| {
            if !failed {
                counter.store(0, Ordering::Relaxed);
            } else if most > 0 && counter.fetch_add(1, Ordering::Relaxed) + 1 >= most {
                counter.store(0, Ordering::Relaxed);
                too_many = true;
            }
        };
        match (report, policy.local_failures) {
            (Report::Failure, Some(most)) => count(&self.failures, true, most),
            (Report::Failure, None) => {
                count(&self.server_errors, true, policy.server_errors);
                count(&self.gateway_errors, true, policy.gateway_errors);
            }
            (Report::Answer(status), apart) => {
                if apart.is_some() {
                    count(&self.failures, false, 0);
                }
                count(&self.server_errors, (500..600).contains(&status), policy.server_errors);
                count(&self.gateway_errors, (502..=504).contains(&status), policy.gateway_errors);
            }
        }
        too_many
    }

    /// Leaves it out. It is out for longer the more often that happened; every interval without it since takes one off.
    pub fn eject(&self, policy: &OutlierPolicy) {
        let now = self.since.elapsed();
        let healthy = now.saturating_sub(Duration::from_millis(self.until.load(Ordering::Relaxed)));
        let healed = healthy.as_nanos().checked_div(policy.interval.as_nanos()).unwrap_or(0);
        let before = self.times.load(Ordering::Relaxed);
        let times = before.saturating_sub(u32::try_from(healed).unwrap_or(u32::MAX)) + 1;
        self.times.store(times, Ordering::Relaxed);
        let until = (now + policy.ejection(times)).as_millis();
        self.until.store(u64::try_from(until).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> OutlierPolicy {
        OutlierPolicy { server_errors: 3, gateway_errors: 2, ..OutlierPolicy::default() }
    }

    fn reports(policy: &OutlierPolicy, reports: &[Report]) -> Vec<bool> {
        let health = EndpointHealth::default();
        reports.iter().map(|report| health.count(policy, *report)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_are_one_too_many() {
        use Report::{Answer, Failure};
        for (policy, given, last) in [
            (policy(), &[Answer(500), Answer(500), Answer(500)][..], true),
            (policy(), &[Answer(500), Answer(500), Answer(200), Answer(500)], false),
            (policy(), &[Answer(503), Answer(503)], true),
            (policy(), &[Answer(503), Answer(500), Answer(504)], true),
            (policy(), &[Answer(404), Answer(404), Answer(404)], false),
            (policy(), &[Failure, Failure], true),
            (OutlierPolicy { local_failures: Some(3), ..policy() }, &[Failure, Failure], false),
            (OutlierPolicy { local_failures: Some(3), ..policy() }, &[Failure, Failure, Failure], true),
            (OutlierPolicy { server_errors: 0, gateway_errors: 0, ..policy() }, &[Answer(503); 50], false),
        ] {
            assert_eq!(reports(&policy, given).last(), Some(&last), "{policy:?} {given:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_comes_back_and_is_out_for_longer_the_next_time() {
        let health = EndpointHealth::default();
        assert!(!health.is_ejected());
        health.eject(&policy());
        tokio::time::advance(Duration::from_secs(29)).await;
        assert!(health.is_ejected());
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(!health.is_ejected());
        health.eject(&policy());
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(health.is_ejected());
        // Healthy for long enough, it is as if nothing had been.
        tokio::time::advance(Duration::from_secs(60)).await;
        health.eject(&policy());
        tokio::time::advance(Duration::from_secs(31)).await;
        assert!(!health.is_ejected());
    }
}
