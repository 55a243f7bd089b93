//! How long to wait before the next attempt: full jitter, so that proxies that lost the same server do not come back at once.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

/// Shortest wait (`docs/wire.md` §10).
const SHORTEST: Duration = Duration::from_millis(100);

/// Longest wait.
pub(super) const LONGEST: Duration = Duration::from_secs(10);

/// Counts failures in a row.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure: drawn between the shortest and a bound that doubles up to the longest.
    pub(super) fn next(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        // 2^7 times the shortest is above the longest already.
        let bound = (SHORTEST * (1 << self.failures.min(7))).min(LONGEST);
        SHORTEST + (bound - SHORTEST).mul_f64(random_fraction())
    }

    /// Failures since the last success.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// The attempt succeeded.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// A number from 0 to 1. Spreads load; no secret depends on it. Every `RandomState` has keys of its own, which the standard
/// library seeds from the system.
pub(super) fn random_fraction() -> f64 {
    let bits = RandomState::new().build_hasher().finish();
    // 53 bits are what a double holds exactly.
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_stay_within_their_bounds_and_grow() {
        let mut backoff = Backoff::default();
        for failure in 1..=40 {
            let bound = (SHORTEST * 2_u32.pow(failure.min(7))).min(LONGEST);
            let wait = backoff.next();
            assert!(wait >= SHORTEST && wait <= bound, "after failure {failure}: {wait:?}, at most {bound:?}");
        }
        backoff.reset();
        assert!(backoff.next() <= SHORTEST * 2);
    }

    #[test]
    fn waits_are_spread() {
        let wait = || {
            let mut backoff = Backoff { failures: 10 };
            backoff.next()
        };
        let waits: Vec<Duration> = (0..100).map(|_| wait()).collect();
        let early = waits.iter().filter(|wait| **wait < LONGEST / 2).count();
        assert!((10..90).contains(&early), "{early} of 100 waits are in the first half");
    }
}
