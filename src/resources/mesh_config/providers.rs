//! The fields of MeshConfig's `extensionProviders`, as tables.

use super::shape::Shape::{Count, Flag, Span, Text, Texts, Tree, Whole};
use super::shape::{Record, Shape};

pub(super) static EXTENSION_PROVIDER: Record = Record {
    fields: &[
        ("name", Text),
        ("envoyExtAuthzHttp", Shape::Record(&ENVOY_EXTERNAL_AUTHORIZATION_HTTP_PROVIDER)),
        ("envoyExtAuthzGrpc", Shape::Record(&ENVOY_EXTERNAL_AUTHORIZATION_GRPC_PROVIDER)),
        ("zipkin", Shape::Record(&ZIPKIN_TRACING_PROVIDER)),
        ("lightstep", Shape::Record(&LIGHTSTEP_TRACING_PROVIDER)),
        ("datadog", Shape::Record(&DATADOG_TRACING_PROVIDER)),
        ("stackdriver", Shape::Record(&STACKDRIVER_PROVIDER)),
        ("opencensus", Shape::Record(&OPEN_CENSUS_AGENT_TRACING_PROVIDER)),
        ("skywalking", Shape::Record(&SKY_WALKING_TRACING_PROVIDER)),
        ("opentelemetry", Shape::Record(&OPEN_TELEMETRY_TRACING_PROVIDER)),
        ("prometheus", Shape::Record(&PROMETHEUS_METRICS_PROVIDER)),
        ("envoyFileAccessLog", Shape::Record(&ENVOY_FILE_ACCESS_LOG_PROVIDER)),
        ("envoyHttpAls", Shape::Record(&ENVOY_HTTP_GRPC_V3_LOG_PROVIDER)),
        ("envoyTcpAls", Shape::Record(&ENVOY_TCP_GRPC_V3_LOG_PROVIDER)),
        ("envoyOtelAls", Shape::Record(&ENVOY_OPEN_TELEMETRY_LOG_PROVIDER)),
        ("sds", Shape::Record(&SDSPROVIDER)),
    ],
    one_of: &[
        "envoyExtAuthzHttp",
        "envoyExtAuthzGrpc",
        "zipkin",
        "lightstep",
        "datadog",
        "stackdriver",
        "opencensus",
        "skywalking",
        "opentelemetry",
        "prometheus",
        "envoyFileAccessLog",
        "envoyHttpAls",
        "envoyTcpAls",
        "envoyOtelAls",
        "sds",
    ],
};

pub(super) static ENVOY_EXTERNAL_AUTHORIZATION_REQUEST_BODY: Record =
    Record { fields: &[("maxRequestBytes", Count), ("allowPartialMessage", Flag), ("packAsBytes", Flag)], one_of: &[] };

pub(super) static ENVOY_EXTERNAL_AUTHORIZATION_HTTP_PROVIDER: Record = Record {
    fields: &[
        ("service", Text),
        ("port", Count),
        ("timeout", Span),
        ("pathPrefix", Text),
        ("failOpen", Flag),
        ("clearRouteCache", Flag),
        ("statusOnError", Text),
        ("includeHeadersInCheck", Shape::List(&Text)),
        ("includeRequestHeadersInCheck", Shape::List(&Text)),
        ("includeAdditionalHeadersInCheck", Texts),
        ("includeRequestBodyInCheck", Shape::Record(&ENVOY_EXTERNAL_AUTHORIZATION_REQUEST_BODY)),
        ("headersToUpstreamOnAllow", Shape::List(&Text)),
        ("headersToDownstreamOnDeny", Shape::List(&Text)),
        ("headersToDownstreamOnAllow", Shape::List(&Text)),
    ],
    one_of: &[],
};

pub(super) static ENVOY_EXTERNAL_AUTHORIZATION_GRPC_PROVIDER: Record = Record {
    fields: &[
        ("service", Text),
        ("port", Count),
        ("timeout", Span),
        ("failOpen", Flag),
        ("clearRouteCache", Flag),
        ("statusOnError", Text),
        ("includeRequestBodyInCheck", Shape::Record(&ENVOY_EXTERNAL_AUTHORIZATION_REQUEST_BODY)),
    ],
    one_of: &[],
};

pub(super) static ZIPKIN_TRACING_PROVIDER: Record = Record {
    fields: &[
        ("service", Text),
        ("port", Count),
        ("maxTagLength", Count),
        ("enable64bitTraceId", Flag),
        ("path", Text),
        ("traceContextOption", Shape::One(&["USE_B3", "USE_B3_WITH_W3C_PROPAGATION"])),
        ("timeout", Span),
        ("headers", Shape::List(&Shape::Record(&HTTP_HEADER))),
    ],
    one_of: &[],
};

pub(super) static LIGHTSTEP_TRACING_PROVIDER: Record = Record {
    fields: &[("service", Text), ("port", Count), ("accessToken", Text), ("maxTagLength", Count)],
    one_of: &[],
};

pub(super) static DATADOG_TRACING_PROVIDER: Record =
    Record { fields: &[("service", Text), ("port", Count), ("maxTagLength", Count)], one_of: &[] };

pub(super) static SKY_WALKING_TRACING_PROVIDER: Record =
    Record { fields: &[("service", Text), ("port", Count), ("accessToken", Text)], one_of: &[] };

pub(super) static STACKDRIVER_PROVIDER: Record = Record {
    fields: &[
        ("debug", Flag),
        ("maxNumberOfAttributes", Whole),
        ("maxNumberOfAnnotations", Whole),
        ("maxNumberOfMessageEvents", Whole),
        ("maxTagLength", Count),
        ("logging", Shape::Record(&LOGGING)),
    ],
    one_of: &[],
};

pub(super) static LOGGING: Record = Record { fields: &[("labels", Texts)], one_of: &[] };

pub(super) static OPEN_CENSUS_AGENT_TRACING_PROVIDER: Record = Record {
    fields: &[
        ("service", Text),
        ("port", Count),
        (
            "context",
            Shape::List(&Shape::One(&["UNSPECIFIED", "W3C_TRACE_CONTEXT", "GRPC_BIN", "CLOUD_TRACE_CONTEXT", "B3"])),
        ),
        ("maxTagLength", Count),
    ],
    one_of: &[],
};

pub(super) static PROMETHEUS_METRICS_PROVIDER: Record = Record { fields: &[], one_of: &[] };

pub(super) static ENVOY_FILE_ACCESS_LOG_PROVIDER: Record = Record {
    fields: &[("path", Text), ("logFormat", Shape::Record(&LOG_FORMAT)), ("omitEmptyValues", Flag)],
    one_of: &[],
};

pub(super) static LOG_FORMAT: Record =
    Record { fields: &[("text", Text), ("labels", Tree)], one_of: &["text", "labels"] };

pub(super) static ENVOY_HTTP_GRPC_V3_LOG_PROVIDER: Record = Record {
    fields: &[
        ("service", Text),
        ("port", Count),
        ("logName", Text),
        ("filterStateObjectsToLog", Shape::List(&Text)),
        ("additionalRequestHeadersToLog", Shape::List(&Text)),
        ("additionalResponseHeadersToLog", Shape::List(&Text)),
        ("additionalResponseTrailersToLog", Shape::List(&Text)),
    ],
    one_of: &[],
};

pub(super) static ENVOY_TCP_GRPC_V3_LOG_PROVIDER: Record = Record {
    fields: &[("service", Text), ("port", Count), ("logName", Text), ("filterStateObjectsToLog", Shape::List(&Text))],
    one_of: &[],
};

pub(super) static ENVOY_OPEN_TELEMETRY_LOG_PROVIDER: Record = Record {
    fields: &[
        ("service", Text),
        ("port", Count),
        ("logName", Text),
        ("logFormat", Shape::Record(&ENVOY_OPEN_TELEMETRY_LOG_PROVIDER_LOG_FORMAT)),
    ],
    one_of: &[],
};

pub(super) static ENVOY_OPEN_TELEMETRY_LOG_PROVIDER_LOG_FORMAT: Record =
    Record { fields: &[("text", Text), ("labels", Tree)], one_of: &[] };

pub(super) static OPEN_TELEMETRY_TRACING_PROVIDER: Record = Record {
    fields: &[
        ("service", Text),
        ("port", Count),
        ("maxTagLength", Count),
        ("http", Shape::Record(&HTTP_SERVICE)),
        ("grpc", Shape::Record(&GRPC_SERVICE)),
        ("resourceDetectors", Shape::Record(&RESOURCE_DETECTORS)),
        ("serviceAttributeEnrichment", Shape::One(&["ISTIO_CANONICAL", "OTEL_SEMANTIC_CONVENTIONS"])),
        ("dynatraceSampler", Shape::Record(&DYNATRACE_SAMPLER)),
    ],
    one_of: &["dynatraceSampler"],
};

pub(super) static DYNATRACE_SAMPLER: Record = Record {
    fields: &[
        ("tenant", Text),
        ("clusterId", Whole),
        ("rootSpansPerMinute", Count),
        ("httpService", Shape::Record(&DYNATRACE_API)),
    ],
    one_of: &[],
};

pub(super) static DYNATRACE_API: Record =
    Record { fields: &[("service", Text), ("port", Count), ("http", Shape::Record(&HTTP_SERVICE))], one_of: &[] };

pub(super) static SDSPROVIDER: Record =
    Record { fields: &[("name", Text), ("service", Text), ("port", Count)], one_of: &[] };

pub(super) static HTTP_SERVICE: Record = Record {
    fields: &[("path", Text), ("timeout", Span), ("headers", Shape::List(&Shape::Record(&HTTP_HEADER)))],
    one_of: &[],
};

pub(super) static HTTP_HEADER: Record =
    Record { fields: &[("name", Text), ("value", Text), ("envName", Text)], one_of: &["value", "envName"] };

pub(super) static RESOURCE_DETECTORS: Record = Record {
    fields: &[
        ("environment", Shape::Record(&ENVIRONMENT_RESOURCE_DETECTOR)),
        ("dynatrace", Shape::Record(&DYNATRACE_RESOURCE_DETECTOR)),
    ],
    one_of: &[],
};

pub(super) static ENVIRONMENT_RESOURCE_DETECTOR: Record = Record { fields: &[], one_of: &[] };

pub(super) static DYNATRACE_RESOURCE_DETECTOR: Record = Record { fields: &[], one_of: &[] };

pub(super) static GRPC_SERVICE: Record = Record {
    fields: &[("timeout", Span), ("initialMetadata", Shape::List(&Shape::Record(&HTTP_HEADER)))],
    one_of: &[],
};
