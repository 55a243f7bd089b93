//! Who got how many requests, and how they went: what the live table and `mesh status` show.
//!
//! Counted where requests arrive, at the proxy beside each workload, so that a request is counted once.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::telemetry::{Reporter, ServiceRow};

/// What the proxies have counted up to a moment.
#[derive(Debug, Clone, Default)]
pub struct Counted {
    rows: Vec<ServiceRow>,
}

impl Counted {
    /// Keeps what the receiving side reports of services.
    pub fn new(rows: Vec<ServiceRow>) -> Self {
        let received = |row: &ServiceRow| row.reporter == Reporter::Destination && !row.service.is_empty();
        Self { rows: rows.into_iter().filter(received).collect() }
    }

    /// What came after `before`, within `period`; a version that got nothing is listed with zeros.
    pub fn since(&self, before: &Self, period: Duration) -> Vec<Row> {
        let same = |a: &ServiceRow, b: &ServiceRow| {
            (&a.namespace, &a.service, &a.version) == (&b.namespace, &b.service, &b.version)
        };
        let new = self.rows.iter().map(|row| match before.rows.iter().find(|earlier| same(row, earlier)) {
            Some(earlier) => Row::new(&row.since(earlier), period),
            None => Row::new(row, period),
        });
        new.collect()
    }

    /// (requests, those of them over mutual TLS)
    pub fn mtls_share(&self) -> (u64, u64) {
        self.rows.iter().fold((0, 0), |(requests, mutual), row| (requests + row.requests, mutual + row.mutual_tls))
    }
}

/// The requests that one version of a service received within a period.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Short name of the service.
    pub service: String,
    /// Its namespace.
    pub namespace: String,
    /// Version of the workloads.
    pub version: String,
    /// Requests.
    pub requests: u64,
    /// Requests per second.
    pub rate: f64,
    /// Those that were answered with less than 500.
    pub successes: u64,
    /// Those that came over mutual TLS.
    pub mutual_tls: u64,
    /// Milliseconds that half of the requests did not exceed.
    pub p50_ms: Option<f64>,
    /// Milliseconds that 99 of 100 requests did not exceed.
    pub p99_ms: Option<f64>,
}

impl Row {
    fn new(row: &ServiceRow, period: Duration) -> Self {
        Self {
            service: row.service.to_string(),
            namespace: row.namespace.to_string(),
            version: row.version.to_string(),
            requests: row.requests,
            rate: row.requests as f64 / period.as_secs_f64().max(f64::MIN_POSITIVE),
            successes: row.successes,
            mutual_tls: row.mutual_tls,
            p50_ms: row.latency.quantile(0.5),
            p99_ms: row.latency.quantile(0.99),
        }
    }
}
