//! What users make of Istio's metrics: which are left out, and which labels they lose, get or have otherwise.
//!
//! What is counted stays as it is; overrides decide how it is told. Series that differ in nothing that is told are added up, so that
//! who takes a label off a metric gets sums, never the same series twice.

use std::collections::BTreeMap;
use std::sync::Arc;

/// One of the metrics that Istio's proxies have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "StandardMetric::ALL says what they are")]
pub enum StandardMetric {
    RequestCount,
    RequestDuration,
    RequestSize,
    ResponseSize,
    ConnectionsOpened,
    ConnectionsClosed,
    BytesReceived,
    BytesSent,
}

impl StandardMetric {
    /// All of them, with their names in the exposition.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::RequestCount, "istio_requests_total"),
        (Self::RequestDuration, "istio_request_duration_milliseconds"),
        (Self::RequestSize, "istio_request_bytes"),
        (Self::ResponseSize, "istio_response_bytes"),
        (Self::ConnectionsOpened, "istio_tcp_connections_opened_total"),
        (Self::ConnectionsClosed, "istio_tcp_connections_closed_total"),
        (Self::BytesReceived, "istio_tcp_received_bytes_total"),
        (Self::BytesSent, "istio_tcp_sent_bytes_total"),
    ];

    /// Its name in the exposition.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(known, _)| *known == self).map_or("", |(_, name)| name)
    }

    /// The metric of a name, with or without Istio's prefix.
    pub fn named(name: &str) -> Option<Self> {
        let is_it = |known: &str| known == name || known.strip_prefix("istio_") == Some(name);
        Self::ALL.iter().find(|(_, known)| is_it(known)).map(|(metric, _)| *metric)
    }
}

/// What is different about one metric.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct MetricOverride {
    /// Whether it is left out.
    pub hidden: bool,
    /// Labels that it does not have.
    pub removed: Vec<Arc<str>>,
    /// Labels that are set, each to the value at this place among those of a series.
    pub set: Vec<(Arc<str>, usize)>,
}

/// What is different about some metrics.
pub type MetricOverrides = BTreeMap<StandardMetric, MetricOverride>;

/// What is different about one series.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Customized {
    /// What is different about its metrics.
    pub overrides: Arc<MetricOverrides>,
    /// The values that labels are set to.
    pub values: Vec<Arc<str>>,
}
