//! How much of a service its clients may use, when they leave an endpoint out, and which endpoint a key means.

use std::time::Duration;

/// Limits of connections and requests to one cluster. What is `None` is not limited (Istio's default, which is not Envoy's).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PoolLimits {
    /// Connections that carry requests; idle ones that are kept beside them do not count.
    pub connections: Option<u32>,
    /// Requests that wait for a connection.
    pub pending: Option<u32>,
    /// Requests under way.
    pub requests: Option<u32>,
    /// Retries under way.
    pub retries: Option<u32>,
    /// Retries under way as a share of the requests under way, and how many there may always be.
    pub retry_budget: Option<RetryBudget>,
    /// Requests that one connection carries before it is closed.
    pub requests_per_connection: Option<u32>,
    /// How long a connection is kept without a request; `None`: the proxy's own limit.
    pub idle: Option<Duration>,
    /// How long a connection whose bytes are not looked at may be without one; zero: for ever; `None`: the proxy's own limit.
    pub stream_idle: Option<Duration>,
    /// How long a connection is used for new requests, and how long one lasts whose bytes are not looked at.
    pub lifetime: Option<Duration>,
    /// Probes of connections on which nothing moves.
    pub keepalive: Option<Keepalive>,
}

/// How many of the requests under way may be retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryBudget {
    /// The share, in hundredths of a per cent.
    pub basis_points: u32,
    /// How many are always allowed.
    pub always: u32,
}

impl RetryBudget {
    /// How many retries there may be while so many requests are under way.
    pub fn most(self, requests: usize) -> usize {
        let share = requests as u64 * u64::from(self.basis_points) / 10_000;
        usize::try_from(share).unwrap_or(usize::MAX).max(self.always as usize)
    }
}

/// TCP's probes; what is `None` is the operating system's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keepalive {
    /// After how long without traffic the first is sent.
    pub time: Option<Duration>,
    /// How long between them.
    pub interval: Option<Duration>,
    /// How many may fail.
    pub probes: Option<u32>,
}

/// When an endpoint is left out for a while. Counts are of failures in a row; 0: they do not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlierPolicy {
    /// Answers 5xx, and failures of our own unless those count apart.
    pub server_errors: u32,
    /// Answers 502, 503 or 504, and failures of our own unless those count apart.
    pub gateway_errors: u32,
    /// Failures of our own (no connection, no answer, too late); `None`: they count as 5xx and 503.
    pub local_failures: Option<u32>,
    /// After how long without failure an endpoint's past counts for less.
    pub interval: Duration,
    /// How long it is left out, times how often it was.
    pub base_ejection: Duration,
    /// How many endpoints may be left out, in per cent.
    pub most_ejected: u32,
    /// Below how many healthy endpoints, in per cent, none is left out.
    pub least_healthy: u32,
}

impl Default for OutlierPolicy {
    /// Istio's defaults for a policy that is there and says nothing.
    fn default() -> Self {
        Self {
            server_errors: 5,
            gateway_errors: 0,
            local_failures: None,
            interval: Duration::from_secs(10),
            base_ejection: Duration::from_secs(30),
            most_ejected: 10,
            least_healthy: 0,
        }
    }
}

impl OutlierPolicy {
    /// The longest time that an endpoint is left out, unless the base is longer (Envoy's `max_ejection_time`).
    const LONGEST: Duration = Duration::from_secs(300);

    /// How long an endpoint is left out for the `times`th time.
    pub fn ejection(&self, times: u32) -> Duration {
        self.base_ejection.saturating_mul(times.max(1)).min(Self::LONGEST.max(self.base_ejection))
    }

    /// Whether one more of `all` endpoints may be left out while `ejected` are.
    pub fn may_eject(&self, ejected: usize, all: usize) -> bool {
        (ejected + 1) * 100 <= self.most_ejected as usize * all
    }

    /// Whether too few are healthy for any to be left out.
    pub fn panics(&self, healthy: usize, all: usize) -> bool {
        healthy * 100 < self.least_healthy as usize * all
    }
}

/// How the share of a new endpoint grows (Envoy's slow start).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Warmup {
    /// How long that takes.
    pub duration: Duration,
    /// The share to begin with, in hundredths of a per cent.
    pub least: u32,
    /// How fast it grows, in thousandths: 1000 is evenly, more is faster at the beginning.
    pub aggression: u32,
}

impl Warmup {
    /// The share of an endpoint of this age, from 0 to 1.
    pub fn share(&self, age: Duration) -> f64 {
        if age >= self.duration {
            return 1.0;
        }
        // Envoy counts the first second as a whole one.
        let passed = age.as_secs_f64().max(1.0) / self.duration.as_secs_f64();
        let grown = passed.min(1.0).powf(1000.0 / f64::from(self.aggression.max(1)));
        grown.max(f64::from(self.least) / 10_000.0).min(1.0)
    }
}

/// The same endpoint for the same key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashPolicy {
    /// Where the key is taken from. A request without one goes to any endpoint.
    pub key: HashKey,
    /// How keys are mapped to endpoints.
    pub table: HashTable,
}

/// Where a key is taken from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashKey {
    /// This header, in lower case.
    Header(Box<str>),
    /// This cookie.
    Cookie(CookieKey),
    /// The client's address.
    Source,
    /// This parameter of the query.
    Query(Box<str>),
}

/// A cookie as key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CookieKey {
    /// Its name.
    pub name: Box<str>,
    /// How long it holds where the proxy makes it (zero: as long as the client's session); `None`: the proxy makes none.
    pub ttl: Option<Duration>,
    /// What follows the value where the proxy makes it, `; ` in front: path and further attributes.
    pub attributes: Box<str>,
}

/// How keys are mapped to endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashTable {
    /// A ring of at least so many points (Envoy's ring hash).
    Ring(u64),
    /// Maglev's table of this size, a prime.
    Maglev(u64),
}

/// The largest table or ring, in entries.
pub const MAX_HASH_TABLE: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_left_out_longer_each_time_and_never_beyond_the_limit() {
        let policy = OutlierPolicy::default();
        assert_eq!([1, 2, 3, 99].map(|times| policy.ejection(times).as_secs()), [30, 60, 90, 300]);
        let long = OutlierPolicy { base_ejection: Duration::from_secs(400), ..policy };
        assert_eq!(long.ejection(3).as_secs(), 400);
    }

    #[test]
    fn only_so_many_are_left_out() {
        let policy = OutlierPolicy::default();
        assert!(!policy.may_eject(0, 3) && policy.may_eject(0, 10) && !policy.may_eject(1, 10));
        assert!(!policy.panics(0, 3));
        assert!(OutlierPolicy { most_ejected: 100, ..policy }.may_eject(2, 3));
        let half = OutlierPolicy { least_healthy: 50, ..OutlierPolicy::default() };
        assert!(half.panics(1, 3) && !half.panics(2, 3));
    }

    #[test]
    fn a_new_endpoints_share_grows() {
        let evenly = Warmup { duration: Duration::from_secs(10), least: 1_000, aggression: 1_000 };
        for (warmup, seconds, expected) in [
            (evenly, 0.0, 0.1),
            (evenly, 5.0, 0.5),
            (evenly, 10.0, 1.0),
            (evenly, 99.0, 1.0),
            (Warmup { least: 6_000, ..evenly }, 5.0, 0.6),
            (Warmup { aggression: 2_000, ..evenly }, 2.5, 0.5),
            (Warmup { duration: Duration::from_millis(1), ..evenly }, 0.0, 1.0),
        ] {
            let share = warmup.share(Duration::from_secs_f64(seconds));
            assert!((share - expected).abs() < 1e-9, "{warmup:?} after {seconds} s: {share}");
        }
    }

    #[test]
    fn a_budget_has_a_floor() {
        let budget = RetryBudget { basis_points: 2_000, always: 3 };
        assert_eq!([0, 10, 100].map(|requests| budget.most(requests)), [3, 3, 20]);
    }
}
