//! Where label sets become cells, and where cells are counted together.
//!
//! Interning takes a lock; adding to a cell does not. Each worker interns cells of its own (its *shard*), so that workers do not
//! pull one cache line back and forth; reading adds the shards up. A series that nothing has touched for a while is retired:
//! its cells say so, and whoever still holds one interns anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::exposition::{self, Sum};
use super::histogram::{Buckets, Histogram};
use super::labels::{Reporter, RequestLabels};
use super::overrides::MetricOverrides;
use super::series::{Cell, Table};
use super::snapshot::{self, ServiceRow};

/// Series that one registry holds at most; later label sets are counted together in one series whose labels are `unknown`.
pub const MAX_SERIES: usize = 10_000;

/// A series that counted nothing for this long is given up.
pub const SERIES_IDLE: Duration = Duration::from_secs(30 * 60);

/// Counts the requests of one label set, on one worker.
#[derive(Debug, Default)]
pub struct RequestCell {
    requests: AtomicU64,
    duration: Histogram,
    request_bytes: Histogram,
    response_bytes: Histogram,
    retired: AtomicBool,
}

impl RequestCell {
    /// Counts one request: how long it took, and the bytes of both bodies and heads.
    pub fn record(&self, duration: Duration, request_bytes: u64, response_bytes: u64) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.duration.record(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
        self.request_bytes.record(request_bytes.saturating_mul(1000));
        self.response_bytes.record(response_bytes.saturating_mul(1000));
    }

    /// Whether the series has expired; what is added now is not seen by anyone.
    pub fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }
}

impl Cell for RequestCell {
    fn activity(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }
}

/// Counts the connections of one label set whose bytes are not looked at, on one worker.
#[derive(Debug, Default)]
pub struct ConnectionCell {
    opened: AtomicU64,
    closed: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
    retired: AtomicBool,
}

impl ConnectionCell {
    /// Counts a connection that is there.
    pub fn open(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts one that has ended.
    pub fn close(&self) {
        self.closed.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts bytes that came from the client, and that went to it.
    pub fn moved(&self, received: u64, sent: u64) {
        self.received.fetch_add(received, Ordering::Relaxed);
        self.sent.fetch_add(sent, Ordering::Relaxed);
    }

    /// Whether the series has expired; what is added now is not seen by anyone.
    pub fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }
}

impl Cell for ConnectionCell {
    fn activity(&self) -> u64 {
        let parts = [&self.opened, &self.closed, &self.received, &self.sent];
        parts.iter().fold(0, |sum, part| sum.wrapping_add(part.load(Ordering::Relaxed)))
    }

    fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }
}

/// What is counted once per proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    /// Connections accepted.
    ConnectionsAccepted,
    /// Connections closed at once because the limit was reached.
    ConnectionsOverLimit,
    /// Plaintext connections refused by STRICT mutual TLS.
    PlaintextRefused,
    /// TLS handshakes that failed.
    HandshakesFailed,
    /// Requests refused as malformed.
    RequestsRefused,
    /// Connections of HTTP/2 that were cut because of what they made the proxy do for nothing.
    FloodsCut,
    /// Connections that ended in a panic.
    ConnectionsPanicked,
    /// Label sets that met a full registry.
    SeriesOverLimit,
    /// Connections refused because this proxy has no policy or certificate yet.
    NotReady,
    /// Requests and connections that an AuthorizationPolicy refused.
    RequestsDenied,
    /// Requests and connections that an AUDIT policy wants noted.
    RequestsAudited,
    /// Requests and connections that would have ended otherwise under policies that are tried out.
    DryRunDiffers,
    /// Requests whose token was refused.
    TokensRefused,
    /// Connections without the PROXY protocol header that they have to begin with.
    ProxyHeadersRefused,
    /// Spans that no collector got.
    SpansDropped,
}

/// (counter, metric name, help), in the order of the enum.
const COUNTERS: [(Counter, &str, &str); 15] = [
    (Counter::ConnectionsAccepted, "mesh_connections_accepted_total", "Connections accepted."),
    (Counter::ConnectionsOverLimit, "mesh_connections_over_limit_total", "Connections closed at the limit."),
    (Counter::PlaintextRefused, "mesh_plaintext_refused_total", "Plaintext refused by STRICT mutual TLS."),
    (Counter::HandshakesFailed, "mesh_tls_handshakes_failed_total", "TLS handshakes that failed."),
    (Counter::RequestsRefused, "mesh_requests_refused_total", "Requests refused as malformed."),
    (Counter::FloodsCut, "mesh_http2_floods_cut_total", "HTTP/2 connections cut because of floods of frames."),
    (Counter::ConnectionsPanicked, "mesh_connections_panicked_total", "Connections that ended in a panic."),
    (Counter::SeriesOverLimit, "mesh_series_over_limit_total", "Label sets that met a full registry."),
    (Counter::NotReady, "mesh_connections_not_ready_total", "Connections refused before the proxy was ready."),
    (Counter::RequestsDenied, "mesh_authorization_denied_total", "Requests that a policy refused."),
    (Counter::RequestsAudited, "mesh_authorization_audited_total", "Requests that an AUDIT policy wants noted."),
    (
        Counter::DryRunDiffers,
        "mesh_authorization_dry_run_differs_total",
        "Requests that dry-run policies decide otherwise.",
    ),
    (Counter::TokensRefused, "mesh_tokens_refused_total", "Requests whose token was refused."),
    (
        Counter::ProxyHeadersRefused,
        "mesh_proxy_protocol_refused_total",
        "Connections refused for want of a sound PROXY protocol header.",
    ),
    (Counter::SpansDropped, "mesh_spans_dropped_total", "Spans that no collector got."),
];

/// The metrics of one proxy. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    requests: Table<RequestCell>,
    connections: Table<ConnectionCell>,
    counters: [AtomicU64; COUNTERS.len()],
    /// What users make of what each reporter tells, in the order of the enum.
    overrides: Mutex<[Option<Arc<MetricOverrides>>; 2]>,
    limit: usize,
    idle: Duration,
}

/// A series of requests, its shards added up.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Totals {
    pub(super) requests: u64,
    pub(super) duration: Buckets,
    pub(super) request_bytes: Buckets,
    pub(super) response_bytes: Buckets,
}

impl Totals {
    fn add(&mut self, cell: &RequestCell) {
        self.requests += cell.requests.load(Ordering::Relaxed);
        self.duration.add(&cell.duration.read());
        self.request_bytes.add(&cell.request_bytes.read());
        self.response_bytes.add(&cell.response_bytes.read());
    }
}

impl Sum for Totals {
    fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.duration.add(&other.duration);
        self.request_bytes.add(&other.request_bytes);
        self.response_bytes.add(&other.response_bytes);
    }
}

/// A series of connections, its shards added up.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ConnectionTotals {
    pub(super) opened: u64,
    pub(super) closed: u64,
    pub(super) received: u64,
    pub(super) sent: u64,
}

impl ConnectionTotals {
    fn add(&mut self, cell: &ConnectionCell) {
        self.opened += cell.opened.load(Ordering::Relaxed);
        self.closed += cell.closed.load(Ordering::Relaxed);
        self.received += cell.received.load(Ordering::Relaxed);
        self.sent += cell.sent.load(Ordering::Relaxed);
    }
}

impl Sum for ConnectionTotals {
    fn merge(&mut self, other: &Self) {
        self.opened += other.opened;
        self.closed += other.closed;
        self.received += other.received;
        self.sent += other.sent;
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::with_limits(MAX_SERIES, SERIES_IDLE)
    }
}

impl Registry {
    /// A registry with bounds of its own.
    pub fn with_limits(limit: usize, idle: Duration) -> Self {
        let inner = Inner {
            requests: Table::default(),
            connections: Table::default(),
            counters: Default::default(),
            overrides: Mutex::default(),
            limit: limit.max(1),
            idle,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The cell that counts requests with these labels on worker `shard`.
    pub fn request_cell(&self, labels: &RequestLabels, shard: usize) -> Arc<RequestCell> {
        self.cell(&self.inner.requests, labels, shard)
    }

    /// The cell that counts connections with these labels on worker `shard`. A connection has no response code.
    pub fn connection_cell(&self, labels: &RequestLabels, shard: usize) -> Arc<ConnectionCell> {
        self.cell(&self.inner.connections, labels, shard)
    }

    fn cell<C: Cell>(&self, table: &Table<C>, labels: &RequestLabels, shard: usize) -> Arc<C> {
        let (cell, is_over) = table.cell(labels, shard, self.inner.limit);
        if is_over {
            self.count(Counter::SeriesOverLimit);
        }
        cell
    }

    /// Says what users make of the metrics from now on. What was counted while they made something else of them is told no more.
    pub fn override_metrics(&self, reporter: Reporter, overrides: Option<Arc<MetricOverrides>>) {
        if let Some(current) = self.inner.overrides.lock().get_mut(reporter as usize) {
            *current = overrides;
        }
    }

    /// Adds one to a counter.
    pub fn count(&self, counter: Counter) {
        if let Some(value) = self.inner.counters.get(counter as usize) {
            value.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The value of a counter.
    pub fn counter(&self, counter: Counter) -> u64 {
        self.inner.counters.get(counter as usize).map_or(0, |value| value.load(Ordering::Relaxed))
    }

    /// Gives up the series that have counted nothing for as long as the registry allows.
    pub fn expire(&self, now: Instant) {
        self.inner.requests.expire(now, self.inner.idle);
        self.inner.connections.expire(now, self.inner.idle);
    }

    /// Number of series held.
    pub fn len(&self) -> usize {
        self.inner.requests.len() + self.inner.connections.len()
    }

    /// Whether no request and no connection was counted yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Everything, in the Prometheus text format. Series that are idle for too long are given up on the way.
    pub fn render(&self) -> String {
        self.expire(Instant::now());
        let current = self.inner.overrides.lock().clone();
        let is_current = |labels: &RequestLabels| {
            let made = labels.customized.as_ref().map(|customized| &customized.overrides);
            current.get(labels.reporter as usize).is_some_and(|current| current.as_ref() == made)
        };
        let (mut requests, mut connections) = (self.read(), self.inner.connections.read(ConnectionTotals::add));
        requests.retain(|(labels, _)| is_current(labels));
        connections.retain(|(labels, _)| is_current(labels));
        let mut text = String::new();
        exposition::requests(&mut text, &requests);
        exposition::connections(&mut text, &connections);
        for (counter, name, help) in COUNTERS {
            exposition::counter(&mut text, name, help, self.counter(counter));
        }
        text
    }

    /// One row for each (reporter, destination service, version).
    pub fn snapshot(&self) -> Vec<ServiceRow> {
        snapshot::rows(self.read())
    }

    fn read(&self) -> Vec<(Arc<RequestLabels>, Totals)> {
        self.inner.requests.read(Totals::add)
    }
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
