//! Who got how many requests, and how they went: what the live table and `mesh status` show.
//!
//! Counted where requests arrive, at the proxy beside each workload, so that a request is counted once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Totals since the runtime started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// In order of service and version.
    pub rows: Vec<Row>,
}

/// The requests that one version of a service received.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// `service.namespace`, or the short name in `default`.
    pub service: String,
    /// Version label of the workloads.
    pub version: String,
    /// Requests.
    pub requests: u64,
    /// Those that were answered with less than 500.
    pub successes: u64,
    /// Those that came over mutual TLS.
    pub mutual_tls: u64,
    /// Durations: (upper bound in microseconds, requests at most that long and longer than the bound before), ascending.
    pub durations: Vec<(u64, u64)>,
}

impl Row {
    /// The duration in milliseconds that a share `quantile` (0 to 1) of requests did not exceed, interpolated within its bucket;
    /// `None` without requests.
    pub fn quantile_ms(&self, quantile: f64) -> Option<f64> {
        let total: u64 = self.durations.iter().map(|(_, count)| count).sum();
        if total == 0 {
            return None;
        }
        let wanted = (quantile * total as f64).max(1.0);
        let mut passed = 0.0;
        let mut lower = 0.0;
        for (upper, count) in &self.durations {
            let (upper, count) = (*upper as f64, *count as f64);
            if count > 0.0 && passed + count >= wanted {
                // The last bucket has no upper bound to interpolate towards.
                let upper = if upper >= u64::MAX as f64 { lower } else { upper };
                return Some((lower + (upper - lower) * (wanted - passed) / count) / 1_000.0);
            }
            passed += count;
            lower = upper;
        }
        Some(lower / 1_000.0)
    }
}

impl Traffic {
    /// What has come since `before`; rows without requests since then are kept, with zeros.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let earlier: BTreeMap<(&str, &str), &Row> =
            before.rows.iter().map(|row| ((row.service.as_str(), row.version.as_str()), row)).collect();
        let rows = self.rows.iter().map(|row| match earlier.get(&(row.service.as_str(), row.version.as_str())) {
            Some(earlier) => row.minus(earlier),
            None => row.clone(),
        });
        Self { rows: rows.collect() }
    }

    /// (requests, those of them over mutual TLS)
    pub fn mtls_share(&self) -> (u64, u64) {
        self.rows.iter().fold((0, 0), |(requests, mutual_tls), row| (requests + row.requests, mutual_tls + row.mutual_tls))
    }
}

impl Row {
    fn minus(&self, earlier: &Self) -> Self {
        let counted: BTreeMap<u64, u64> = earlier.durations.iter().copied().collect();
        let durations = self.durations.iter().map(|(bound, count)| {
            (*bound, count.saturating_sub(counted.get(bound).copied().unwrap_or(0)))
        });
        Self {
            service: self.service.clone(),
            version: self.version.clone(),
            requests: self.requests.saturating_sub(earlier.requests),
            successes: self.successes.saturating_sub(earlier.successes),
            mutual_tls: self.mutual_tls.saturating_sub(earlier.mutual_tls),
            durations: durations.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(durations: &[(u64, u64)]) -> Row {
        Row { service: "reviews".into(), version: "v1".into(), durations: durations.to_vec(), ..Row::default() }
    }

    #[test]
    fn quantiles_are_interpolated_within_their_bucket() {
        let row = row(&[(1_000, 50), (5_000, 50), (u64::MAX, 0)]);
        assert_eq!(row.quantile_ms(0.5), Some(1.0));
        assert_eq!(row.quantile_ms(0.75), Some(3.0));
        assert_eq!(row.quantile_ms(1.0), Some(5.0));
    }

    #[test]
    fn a_duration_beyond_the_last_bound_is_at_least_that_bound() {
        assert_eq!(row(&[(1_000, 0), (u64::MAX, 3)]).quantile_ms(0.5), Some(1.0));
        assert_eq!(row(&[]).quantile_ms(0.5), None);
    }

    #[test]
    fn only_what_came_since_is_counted() {
        let before = Traffic { rows: vec![Row { requests: 10, ..row(&[(1_000, 10)]) }] };
        let now = Traffic { rows: vec![Row { requests: 15, ..row(&[(1_000, 12), (5_000, 3)]) }] };
        let since = now.since(&before);
        assert_eq!(since.rows[0].requests, 5);
        assert_eq!(since.rows[0].durations, [(1_000, 2), (5_000, 3)]);
    }
}
