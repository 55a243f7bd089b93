//! What the data plane says about itself: request metrics and access log lines.
//!
//! Metrics carry Istio's names and labels, so that dashboards made for Istio work. A label set is interned once, into a
//! [`RequestCell`] or a [`ConnectionCell`]; a request only adds to the cell it already holds. Series are bounded in number and expire when idle: what a
//! client sends can never grow this process's memory without end. Access log lines are formatted by the worker and written by
//! a thread of their own; when that thread cannot keep up, lines are dropped and counted, requests never wait.
//!
//! The room knows nothing of routes, policies or connections: labels and records are text and numbers.

pub mod access_log;
pub mod histogram;
pub mod labels;
pub mod overrides;
pub mod registry;
pub mod snapshot;

mod exposition;
mod series;

pub use access_log::{AccessLog, AccessLogFormat, AccessRecord, LogHandle};
pub use histogram::{Buckets, Histogram};
pub use labels::{Party, Reporter, RequestLabels};
pub use overrides::{Customized, MetricOverride, MetricOverrides, StandardMetric};
pub use registry::{ConnectionCell, Counter, Registry, RequestCell};
pub use snapshot::{Registries, ServiceRow, merge_rows};
