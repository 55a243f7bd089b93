//! Telemetry: what is measured, logged and traced.

use std::collections::BTreeMap;

use super::field::{Limit, names, record};
use super::peer_authentication::WorkloadSelector;
use super::policy_target::{ONE_ATTACHMENT, TargetRef};
use super::rules::telemetry as rules;
use super::values::Duration;

record! {
    /// What is measured, logged and traced.
    pub struct Telemetry {
        /// The workloads; all of the namespace, or of the mesh in its root namespace, if nothing says which.
        selector: Option<WorkloadSelector> = "selector";
        /// The object that the settings are attached to. Use targetRefs.
        target_ref: Option<TargetRef> = "targetRef";
        /// The objects that the settings are attached to.
        target_refs: Vec<TargetRef> = "targetRefs" [Limit::MaxItems(16)];
        /// What is traced.
        tracing: Vec<Tracing> = "tracing";
        /// What is measured.
        metrics: Vec<Metrics> = "metrics";
        /// What is logged.
        access_logging: Vec<AccessLogging> = "accessLogging";
    }
    cel: &[ONE_ATTACHMENT];
    check: rules::telemetry;
}

record! {
    /// What is traced.
    pub struct Tracing {
        /// On which side.
        matches: Option<ModeMatch> = "match";
        /// Where spans go; the mesh's own if not said.
        providers: Vec<ProviderRef> = "providers";
        /// How many of a hundred requests are traced.
        random_sampling_percentage: Option<f64> = "randomSamplingPercentage" [Limit::Between(0, 100), Limit::Nullable];
        /// Whether no spans are sent.
        disable_span_reporting: Option<bool> = "disableSpanReporting" [Limit::Nullable];
        /// Tags of spans.
        custom_tags: BTreeMap<String, CustomTag> = "customTags";
        /// Whether the request's id says if it is traced.
        use_request_id_for_trace_sampling: Option<bool> = "useRequestIdForTraceSampling" [Limit::Nullable];
        /// Whether spans have Istio's own tags.
        enable_istio_tags: Option<bool> = "enableIstioTags" [Limit::Nullable];
        /// Whether the context is not passed on.
        disable_context_propagation: Option<bool> = "disableContextPropagation" [Limit::Nullable];
    }
    check: rules::tracing;
}

record! {
    /// On which side of a connection.
    pub struct ModeMatch {
        /// The side.
        mode: Option<Mode> = "mode";
    }
}

names! {
    /// A side of a connection.
    pub enum Mode {
        /// Both.
        ClientAndServer = "CLIENT_AND_SERVER",
        /// The client's.
        Client = "CLIENT",
        /// The server's.
        Server = "SERVER",
    }
}

record! {
    /// A provider of the mesh's settings.
    pub struct ProviderRef {
        /// Its name.
        name: String = "name" [Limit::MinLength(1)];
    }
}

record! {
    /// A tag of spans.
    pub struct CustomTag {
        /// Always the same.
        literal: Option<LiteralTag> = "literal";
        /// A variable of the proxy's environment.
        environment: Option<NamedTag> = "environment";
        /// A header of the request.
        header: Option<NamedTag> = "header";
        /// Envoy's access log format.
        formatter: Option<LiteralTag> = "formatter";
    }
    one_of: &[&["literal", "environment", "header", "formatter"]];
    check: rules::custom_tag;
}

record! {
    /// A tag that is spelled out.
    pub struct LiteralTag {
        /// Its value.
        value: String = "value" [Limit::MinLength(1)];
    }
}

record! {
    /// A tag that is looked up.
    pub struct NamedTag {
        /// Where.
        name: String = "name" [Limit::MinLength(1)];
        /// Its value where nothing is found.
        default_value: Option<String> = "defaultValue";
    }
}

record! {
    /// What is measured.
    pub struct Metrics {
        /// Where measurements go.
        providers: Vec<ProviderRef> = "providers";
        /// What is different for some of them.
        overrides: Vec<MetricsOverride> = "overrides";
        /// How often measurements are sent.
        reporting_interval: Option<Duration> = "reportingInterval" [Limit::AtLeast1ms];
    }
}

record! {
    /// What is different for some metrics.
    pub struct MetricsOverride {
        /// Which.
        matches: Option<MetricMatch> = "match";
        /// Whether they are left out.
        disabled: Option<bool> = "disabled" [Limit::Nullable];
        /// Labels to set or to leave out.
        tag_overrides: BTreeMap<String, TagOverride> = "tagOverrides";
    }
}

record! {
    /// Which metrics.
    pub struct MetricMatch {
        /// One of Istio's.
        metric: Option<Metric> = "metric";
        /// Another.
        custom_metric: Option<String> = "customMetric" [Limit::MinLength(1)];
        /// On which side.
        mode: Option<Mode> = "mode";
    }
    one_of: &[&["metric", "customMetric"]];
}

names! {
    /// One of Istio's metrics.
    pub enum Metric {
        /// All of them.
        All = "ALL_METRICS",
        /// Requests.
        RequestCount = "REQUEST_COUNT",
        /// How long they take.
        RequestDuration = "REQUEST_DURATION",
        /// How large they are.
        RequestSize = "REQUEST_SIZE",
        /// How large their answers are.
        ResponseSize = "RESPONSE_SIZE",
        /// Connections that were opened.
        TcpOpenedConnections = "TCP_OPENED_CONNECTIONS",
        /// Connections that were closed.
        TcpClosedConnections = "TCP_CLOSED_CONNECTIONS",
        /// Bytes that were sent.
        TcpSentBytes = "TCP_SENT_BYTES",
        /// Bytes that were received.
        TcpReceivedBytes = "TCP_RECEIVED_BYTES",
        /// Messages of gRPC requests.
        GrpcRequestMessages = "GRPC_REQUEST_MESSAGES",
        /// Messages of gRPC answers.
        GrpcResponseMessages = "GRPC_RESPONSE_MESSAGES",
    }
}

record! {
    /// A label to set or to leave out.
    pub struct TagOverride {
        /// Which of the two.
        operation: Option<TagOperation> = "operation";
        /// Its value: an expression (CEL).
        value: Option<String> = "value";
    }
    cel: &[
        (
            r#"((has(self.operation) ? self.operation : "") == "UPSERT") ? (self.value != "") : true"#,
            "UPSERT needs a value",
        ),
        (
            r#"((has(self.operation) ? self.operation : "") == "REMOVE") ? !has(self.value) : true"#,
            "REMOVE has no value",
        ),
    ];
    check: rules::tag_override;
}

names! {
    /// Whether a label is set or left out.
    pub enum TagOperation {
        /// It is set.
        Upsert = "UPSERT",
        /// It is left out.
        Remove = "REMOVE",
    }
}

record! {
    /// What is logged.
    pub struct AccessLogging {
        /// On which side.
        matches: Option<ModeMatch> = "match";
        /// Where lines go.
        providers: Vec<ProviderRef> = "providers";
        /// Whether nothing is logged.
        disabled: Option<bool> = "disabled" [Limit::Nullable];
        /// Which requests and connections.
        filter: Option<LogFilter> = "filter";
    }
}

record! {
    /// Which requests and connections are logged.
    pub struct LogFilter {
        /// An expression (CEL) that has to hold.
        expression: Option<String> = "expression";
    }
    check: rules::log_filter;
}
