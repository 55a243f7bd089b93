//! What became of a cluster's requests and connections, counted by every worker, under the names that Envoy's users grep for.
//!
//! A count is one addition to an atomic, whatever snapshot the worker looks at; counts live as long as their cluster is known.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::ClusterState;

/// Something that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tally {
    /// Connections made.
    Connections,
    /// Connections that could not be made.
    ConnectFailures,
    /// Connections that ended.
    ConnectionsEnded,
    /// Times at which there were as many connections as the policy allows.
    ConnectionOverflows,
    /// Requests.
    Requests,
    /// Answers.
    Answers,
    /// Answers with a status of 100 to 199, and so on.
    Informational,
    /// 200 to 299.
    Successful,
    /// 300 to 399.
    Redirections,
    /// 400 to 499.
    ClientErrors,
    /// 500 to 599.
    ServerErrors,
    /// Requests for which no connection was free.
    Pending,
    /// Requests that were refused because as many wait, or are under way, as may.
    PendingOverflows,
    /// Tries after the first.
    Retries,
    /// Retries that the budget did not allow.
    RetryOverflows,
    /// Requests that were tried as often as their policy says.
    RetriesExhausted,
    /// Requests that took longer than their rule allows.
    Timeouts,
    /// Tries that did.
    TryTimeouts,
    /// Requests whose connection ended before the answer.
    Resets,
    /// Endpoints that were left out.
    Ejections,
    /// Endpoints that were not left out because enough others are.
    EjectionsSpared,
}

/// (what, Envoy's name for it), in the order of the enum
/// (<https://www.envoyproxy.io/docs/envoy/latest/configuration/upstream/cluster_manager/cluster_stats>).
const NAMES: [(Tally, &str); 21] = [
    (Tally::Connections, "upstream_cx_total"),
    (Tally::ConnectFailures, "upstream_cx_connect_fail"),
    (Tally::ConnectionsEnded, "upstream_cx_destroy"),
    (Tally::ConnectionOverflows, "upstream_cx_overflow"),
    (Tally::Requests, "upstream_rq_total"),
    (Tally::Answers, "upstream_rq_completed"),
    (Tally::Informational, "upstream_rq_1xx"),
    (Tally::Successful, "upstream_rq_2xx"),
    (Tally::Redirections, "upstream_rq_3xx"),
    (Tally::ClientErrors, "upstream_rq_4xx"),
    (Tally::ServerErrors, "upstream_rq_5xx"),
    (Tally::Pending, "upstream_rq_pending_total"),
    (Tally::PendingOverflows, "upstream_rq_pending_overflow"),
    (Tally::Retries, "upstream_rq_retry"),
    (Tally::RetryOverflows, "upstream_rq_retry_overflow"),
    (Tally::RetriesExhausted, "upstream_rq_retry_limit_exceeded"),
    (Tally::Timeouts, "upstream_rq_timeout"),
    (Tally::TryTimeouts, "upstream_rq_per_try_timeout"),
    (Tally::Resets, "upstream_rq_rx_reset"),
    (Tally::Ejections, "outlier_detection.ejections_enforced_total"),
    (Tally::EjectionsSpared, "outlier_detection.ejections_overflow"),
];

/// Every count of one cluster.
#[derive(Debug, Default)]
pub struct Tallies([AtomicU64; NAMES.len()]);

impl Tallies {
    /// Counts one.
    pub fn add(&self, tally: Tally) {
        if let Some(count) = self.0.get(tally as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts an answer by its status.
    pub fn answered(&self, status: u16) {
        self.add(Tally::Answers);
        match status {
            100..200 => self.add(Tally::Informational),
            200..300 => self.add(Tally::Successful),
            300..400 => self.add(Tally::Redirections),
            400..500 => self.add(Tally::ClientErrors),
            500..600 => self.add(Tally::ServerErrors),
            _ => {}
        }
    }

    /// How often it was counted.
    pub fn of(&self, tally: Tally) -> u64 {
        self.0.get(tally as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// Each name with its count.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
        NAMES.iter().zip(&self.0).map(|((_, name), count)| (*name, count.load(Ordering::Relaxed)))
    }
}

/// Counts a connection to a cluster as open, as long as it lives.
#[derive(Debug)]
pub struct OpenConnection(Arc<ClusterState>);

impl OpenConnection {
    /// Begins counting.
    pub fn begin(state: &Arc<ClusterState>) -> Self {
        state.tallies.add(Tally::Connections);
        Self(state.clone())
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.tallies.add(Tally::ConnectionsEnded);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_enum() {
        assert!(NAMES.iter().enumerate().all(|(place, (tally, _))| *tally as usize == place));
    }

    #[test]
    fn a_connection_counts_as_long_as_it_lives() {
        let state = Arc::new(ClusterState::default());
        let open = OpenConnection::begin(&state);
        state.tallies.answered(503);
        drop(open);
        let told: Vec<_> = state.tallies.each().filter(|(_, count)| *count > 0).map(|(name, _)| name).collect();
        let expected = ["upstream_cx_total", "upstream_cx_destroy", "upstream_rq_completed", "upstream_rq_5xx"];
        assert_eq!(told, expected);
    }
}
