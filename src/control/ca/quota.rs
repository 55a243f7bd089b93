//! How many certificates one caller may ask for: signing costs the authority more than asking costs a workload.
//!
//! It guarantees that a caller who asks all the time is refused and keeps nobody else waiting, and that all pods of a large
//! Deployment, which share an identity, get theirs when they start at once. What is remembered is bounded.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::identity::SpiffeId;

/// Certificates that a caller gets at once who has asked for none lately: a Deployment's pods have one identity.
const BURST: u32 = 1024;

/// How long until a caller who has used up its share may ask for one more.
const REFILL: Duration = Duration::from_millis(50);

/// Callers that are remembered; beyond them, those who have their whole share are forgotten, and if nobody has, the new one waits.
const CALLERS: usize = 16_384;

/// What is left to each caller.
#[derive(Debug, Clone, Default)]
pub(in crate::control) struct Quota(Arc<Mutex<HashMap<SpiffeId, Share>>>);

/// When a caller's share is whole again; now, or earlier, where nothing of it is used.
#[derive(Debug, Clone, Copy)]
struct Share(Instant);

impl Quota {
    /// Takes one of a caller's certificates; `Err` with how long it has to wait for the next.
    pub(in crate::control) fn take(&self, caller: &SpiffeId, now: Instant) -> Result<(), Duration> {
        let mut shares = self.0.lock();
        if shares.len() >= CALLERS && !shares.contains_key(caller) {
            shares.retain(|_, share| share.0 > now);
            if shares.len() >= CALLERS {
                return Err(REFILL);
            }
        }
        let share = shares.entry(caller.clone()).or_insert(Share(now));
        let whole = share.0.max(now) + REFILL;
        let used = whole.duration_since(now);
        let most = REFILL * BURST;
        if used > most {
            return Err(used - most);
        }
        *share = Share(whole);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(number: usize) -> SpiffeId {
        format!("spiffe://cluster.local/ns/shop/sa/a{number}").parse().unwrap()
    }

    #[test]
    fn who_asks_all_the_time_waits_and_keeps_nobody_else_waiting() {
        let (quota, now) = (Quota::default(), Instant::now());
        for count in 0..BURST {
            assert_eq!(quota.take(&caller(1), now), Ok(()), "{count}");
        }
        assert_eq!(quota.take(&caller(1), now), Err(REFILL));
        assert_eq!(quota.take(&caller(2), now), Ok(()));
        assert_eq!(quota.take(&caller(1), now + REFILL), Ok(()));
        assert!(quota.take(&caller(1), now + REFILL).is_err());
        // Its share comes back, and no more than that.
        let later = now + REFILL * BURST * 10;
        for count in 0..BURST {
            assert_eq!(quota.take(&caller(1), later), Ok(()), "{count}");
        }
        assert!(quota.take(&caller(1), later).is_err());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (quota, now) = (Quota::default(), Instant::now());
        for number in 0..CALLERS {
            quota.take(&caller(number), now).unwrap();
        }
        assert!(quota.take(&caller(CALLERS), now).is_err());
        assert_eq!(quota.take(&caller(0), now), Ok(()), "who is known goes on");
        assert_eq!(quota.take(&caller(CALLERS), now + REFILL * 3), Ok(()));
        assert!(quota.0.lock().len() < CALLERS);
    }
}
