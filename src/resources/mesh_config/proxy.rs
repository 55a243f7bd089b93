//! The fields of ProxyConfig, which is MeshConfig's `defaultConfig`, as tables.

use super::shape::Shape::{Count, Flag, Number, Span, Text, Texts, Whole};
use super::shape::{Record, Shape, like};
use crate::resources::destination_rule::{ClientTls, TcpKeepalive};
use crate::resources::proxy_config::ProxyImage;
use crate::resources::workload_entry::Probe;

pub(super) static TRACING: Record = Record {
    fields: &[
        ("zipkin", Shape::Record(&ZIPKIN)),
        ("lightstep", Shape::Record(&LIGHTSTEP)),
        ("datadog", Shape::Record(&DATADOG)),
        ("stackdriver", Shape::Record(&STACKDRIVER)),
        ("openCensusAgent", Shape::Record(&OPEN_CENSUS_AGENT)),
        ("customTags", Shape::Entries(&Shape::Record(&CUSTOM_TAG))),
        ("maxPathTagLength", Count),
        ("sampling", Number),
        ("tlsSettings", like::<ClientTls>()),
        ("enableIstioTags", Flag),
    ],
    one_of: &["zipkin", "lightstep", "datadog", "stackdriver", "openCensusAgent"],
};

pub(super) static ZIPKIN: Record = Record { fields: &[("address", Text)], one_of: &[] };

pub(super) static LIGHTSTEP: Record = Record { fields: &[("address", Text), ("accessToken", Text)], one_of: &[] };

pub(super) static DATADOG: Record = Record { fields: &[("address", Text)], one_of: &[] };

pub(super) static STACKDRIVER: Record = Record {
    fields: &[
        ("debug", Flag),
        ("maxNumberOfAttributes", Whole),
        ("maxNumberOfAnnotations", Whole),
        ("maxNumberOfMessageEvents", Whole),
    ],
    one_of: &[],
};

pub(super) static OPEN_CENSUS_AGENT: Record = Record {
    fields: &[
        ("address", Text),
        (
            "context",
            Shape::List(&Shape::One(&["UNSPECIFIED", "W3C_TRACE_CONTEXT", "GRPC_BIN", "CLOUD_TRACE_CONTEXT", "B3"])),
        ),
    ],
    one_of: &[],
};

pub(super) static CUSTOM_TAG: Record = Record {
    fields: &[
        ("literal", Shape::Record(&LITERAL)),
        ("environment", Shape::Record(&ENVIRONMENT)),
        ("header", Shape::Record(&REQUEST_HEADER)),
    ],
    one_of: &["literal", "environment", "header"],
};

pub(super) static LITERAL: Record = Record { fields: &[("value", Text)], one_of: &[] };

pub(super) static ENVIRONMENT: Record = Record { fields: &[("name", Text), ("defaultValue", Text)], one_of: &[] };

pub(super) static REQUEST_HEADER: Record = Record { fields: &[("name", Text), ("defaultValue", Text)], one_of: &[] };

pub(super) static SDS: Record = Record { fields: &[("enabled", Flag), ("k8sSaJwtPath", Text)], one_of: &[] };

pub(super) static TOPOLOGY: Record = Record {
    fields: &[
        ("numTrustedProxies", Count),
        (
            "forwardClientCertDetails",
            Shape::One(&[
                "UNDEFINED",
                "SANITIZE",
                "FORWARD_ONLY",
                "APPEND_FORWARD",
                "SANITIZE_SET",
                "ALWAYS_FORWARD_ONLY",
            ]),
        ),
        ("proxyProtocol", Shape::Record(&PROXY_PROTOCOL_CONFIGURATION)),
    ],
    one_of: &[],
};

pub(super) static PROXY_PROTOCOL_CONFIGURATION: Record = Record { fields: &[], one_of: &[] };

pub(super) static PRIVATE_KEY_PROVIDER: Record = Record {
    fields: &[("cryptomb", Shape::Record(&CRYPTO_MB)), ("qat", Shape::Record(&QAT))],
    one_of: &["cryptomb", "qat"],
};

pub(super) static CRYPTO_MB: Record = Record { fields: &[("pollDelay", Span), ("fallback", Flag)], one_of: &[] };

pub(super) static QAT: Record = Record { fields: &[("pollDelay", Span), ("fallback", Flag)], one_of: &[] };

pub(super) static PROXY_CONFIG: Record = Record {
    fields: &[
        ("configPath", Text),
        ("binaryPath", Text),
        ("serviceCluster", Text),
        (
            "tracingServiceName",
            Shape::One(&["APP_LABEL_AND_NAMESPACE", "CANONICAL_NAME_ONLY", "CANONICAL_NAME_AND_NAMESPACE"]),
        ),
        ("drainDuration", Span),
        ("discoveryAddress", Text),
        ("discoveryRefreshDelay", Span),
        ("zipkinAddress", Text),
        ("statsdUdpAddress", Text),
        ("envoyMetricsServiceAddress", Text),
        ("proxyAdminPort", Whole),
        ("availabilityZone", Text),
        ("controlPlaneAuthPolicy", Shape::One(&["NONE", "MUTUAL_TLS", "INHERIT"])),
        ("customConfigFile", Text),
        ("statNameLength", Whole),
        ("concurrency", Whole),
        ("proxyBootstrapTemplatePath", Text),
        ("interceptionMode", Shape::One(&["REDIRECT", "TPROXY", "NONE"])),
        ("tracing", Shape::Record(&TRACING)),
        ("sds", Shape::Record(&SDS)),
        ("envoyAccessLogService", Shape::Record(&REMOTE_SERVICE)),
        ("envoyMetricsService", Shape::Record(&REMOTE_SERVICE)),
        ("proxyMetadata", Texts),
        ("runtimeValues", Texts),
        ("statusPort", Whole),
        ("extraStatTags", Shape::List(&Text)),
        ("gatewayTopology", Shape::Record(&TOPOLOGY)),
        ("terminationDrainDuration", Span),
        ("meshId", Text),
        ("readinessProbe", like::<Probe>()),
        ("proxyStatsMatcher", Shape::Record(&PROXY_STATS_MATCHER)),
        ("holdApplicationUntilProxyStarts", Flag),
        ("caCertificatesPem", Shape::List(&Text)),
        ("image", like::<ProxyImage>()),
        ("privateKeyProvider", Shape::Record(&PRIVATE_KEY_PROVIDER)),
        ("proxyHeaders", Shape::Record(&PROXY_HEADERS)),
        ("fileFlushInterval", Span),
        ("fileFlushMinSizeKb", Count),
        ("statsCompression", Flag),
        ("connectionSettings", Shape::Record(&CONNECTION_SETTINGS)),
    ],
    one_of: &["serviceCluster", "tracingServiceName"],
};

pub(super) static PROXY_STATS_MATCHER: Record = Record {
    fields: &[
        ("inclusionPrefixes", Shape::List(&Text)),
        ("inclusionSuffixes", Shape::List(&Text)),
        ("inclusionRegexps", Shape::List(&Text)),
    ],
    one_of: &[],
};

pub(super) static PROXY_HEADERS: Record = Record {
    fields: &[
        (
            "forwardedClientCert",
            Shape::One(&[
                "UNDEFINED",
                "SANITIZE",
                "FORWARD_ONLY",
                "APPEND_FORWARD",
                "SANITIZE_SET",
                "ALWAYS_FORWARD_ONLY",
            ]),
        ),
        ("setCurrentClientCertDetails", Shape::Record(&SET_CURRENT_CLIENT_CERT_DETAILS)),
        ("requestId", Shape::Record(&REQUEST_ID)),
        ("server", Shape::Record(&SERVER)),
        ("attemptCount", Shape::Record(&ATTEMPT_COUNT)),
        ("envoyDebugHeaders", Shape::Record(&ENVOY_DEBUG_HEADERS)),
        ("metadataExchangeHeaders", Shape::Record(&METADATA_EXCHANGE_HEADERS)),
        ("preserveHttp1HeaderCase", Flag),
        ("xForwardedHost", Shape::Record(&XFORWARDED_HOST)),
        ("xForwardedPort", Shape::Record(&XFORWARDED_PORT)),
    ],
    one_of: &[],
};

pub(super) static SERVER: Record = Record { fields: &[("disabled", Flag), ("value", Text)], one_of: &[] };

pub(super) static REQUEST_ID: Record = Record { fields: &[("disabled", Flag)], one_of: &[] };

pub(super) static ATTEMPT_COUNT: Record = Record { fields: &[("disabled", Flag)], one_of: &[] };

pub(super) static XFORWARDED_HOST: Record = Record { fields: &[("enabled", Flag)], one_of: &[] };

pub(super) static XFORWARDED_PORT: Record = Record { fields: &[("enabled", Flag)], one_of: &[] };

pub(super) static ENVOY_DEBUG_HEADERS: Record = Record { fields: &[("disabled", Flag)], one_of: &[] };

pub(super) static METADATA_EXCHANGE_HEADERS: Record =
    Record { fields: &[("mode", Shape::One(&["UNDEFINED", "IN_MESH"]))], one_of: &[] };

pub(super) static SET_CURRENT_CLIENT_CERT_DETAILS: Record =
    Record { fields: &[("subject", Flag), ("cert", Flag), ("chain", Flag), ("dns", Flag), ("uri", Flag)], one_of: &[] };

pub(super) static CONNECTION_SETTINGS: Record = Record {
    fields: &[
        ("profile", Shape::One(&["SIDECAR", "EDGE"])),
        ("listenerPerConnectionBufferLimitBytes", Whole),
        ("clusterPerConnectionBufferLimitBytes", Whole),
        ("httpIdleTimeout", Span),
        ("httpMaxConnectionDuration", Span),
        ("httpDrainTimeout", Span),
        ("httpRequestTimeout", Span),
        ("httpRequestHeadersTimeout", Span),
        ("httpStreamIdleTimeout", Span),
        ("httpMaxStreamDuration", Span),
        ("httpMaxConcurrentStreams", Whole),
        ("http2InitialStreamWindowSize", Whole),
        ("http2InitialConnectionWindowSize", Whole),
        (
            "httpHeadersWithUnderscoresAction",
            Shape::One(&[
                "HEADERS_WITH_UNDERSCORES_UNSPECIFIED",
                "HEADERS_WITH_UNDERSCORES_ALLOW",
                "HEADERS_WITH_UNDERSCORES_REJECT_REQUEST",
                "HEADERS_WITH_UNDERSCORES_DROP_HEADER",
            ]),
        ),
        ("httpMergeSlashes", Flag),
        (
            "httpPathWithEscapedSlashesAction",
            Shape::One(&[
                "PATH_WITH_ESCAPED_SLASHES_UNSPECIFIED",
                "KEEP_UNCHANGED",
                "REJECT_REQUEST",
                "UNESCAPE_AND_REDIRECT",
                "UNESCAPE_AND_FORWARD",
            ]),
        ),
        ("listenerConnectionLimit", Whole),
        ("globalDownstreamConnectionLimit", Whole),
    ],
    one_of: &[],
};

pub(super) static REMOTE_SERVICE: Record = Record {
    fields: &[("address", Text), ("tlsSettings", like::<ClientTls>()), ("tcpKeepalive", like::<TcpKeepalive>())],
    one_of: &[],
};
