//! What a proxy tells about the traffic that it carries: which requests it logs, which it traces, and what its metrics say of them.

use std::sync::Arc;
use std::time::Duration;

use crate::model::Share;
use crate::resources::expression::Expression;
use crate::telemetry::MetricOverrides;

/// On which side of its workload's traffic a proxy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The workload calls; a gateway does on behalf of its clients.
    Client,
    /// The workload is called.
    Server,
}

/// What is told about traffic on one side of a workload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reporting {
    /// Whether requests and connections are logged.
    pub log: bool,
    /// What has to hold for those that are; nothing if it is not there.
    pub filter: Option<Arc<Expression>>,
    /// How requests are traced, where they are.
    pub tracing: Option<Arc<Tracing>>,
    /// What is different about metrics, where anything is.
    pub metrics: Option<Arc<Metrics>>,
}

/// What is different about metrics (Telemetry's `metrics`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metrics {
    /// The values that labels are set to; what has none is `unknown`.
    pub values: Vec<Expression>,
    /// What is different about each metric. Labels name places among the values.
    pub overrides: Arc<MetricOverrides>,
}

/// How requests are traced (Telemetry's `tracing`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracing {
    /// Where spans go.
    pub collector: Collector,
    /// How many requests are traced of those about which nobody has decided before.
    pub sampling: Share,
    /// Whether spans are sent. Who sends none passes the context on.
    pub reports: bool,
    /// Whether who is called is told of the trace.
    pub propagates: bool,
    /// Whether spans have Istio's own tags.
    pub istio_tags: bool,
    /// The longest path that a span has, in bytes.
    pub max_path_bytes: u32,
    /// Tags of the user's own, by name.
    pub tags: Vec<(Arc<str>, TagValue)>,
}

impl Tracing {
    /// The longest path that a span has where nobody says it, in bytes (Istio's default).
    pub const MAX_PATH_BYTES: u32 = 256;
}

/// Where a tag's value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagValue {
    /// It is always the same.
    Literal(Arc<str>),
    /// A header of the request; else this value, if there is one.
    Header(Arc<str>, Option<Arc<str>>),
    /// A variable of the proxy's environment; else this value, if there is one.
    Environment(Arc<str>, Option<Arc<str>>),
}

/// Who collects spans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collector {
    /// Its name among the mesh's providers.
    pub name: Arc<str>,
    /// Fully qualified host of its service.
    pub host: Arc<str>,
    /// Port of the service.
    pub port: u16,
    /// What it speaks.
    pub protocol: CollectorProtocol,
}

/// What a collector speaks, and with it which headers carry the context of a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CollectorProtocol {
    /// OTLP over gRPC. The context is W3C's `traceparent`.
    OtlpGrpc,
    /// OTLP over HTTP, in Protobuf. The context is W3C's `traceparent`.
    OtlpHttp {
        /// Path of the requests.
        path: Arc<str>,
        /// Headers that they have, with names in lower case.
        headers: Vec<(Arc<str>, Arc<str>)>,
        /// How long an answer may take.
        timeout: Duration,
    },
    /// Zipkin's version 2, in JSON. The context is B3's headers, one for each part.
    Zipkin {
        /// Path of the requests.
        path: Arc<str>,
    },
}
