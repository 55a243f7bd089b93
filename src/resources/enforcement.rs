//! What mesh does not do yet, field by field: the one place that knows.
//!
//! A field of a configuration kind is either listed in [`IN_FORCE`] or covered by a row of [`NOT_IN_FORCE`], which says what
//! happens to an object that uses it; a test holds the two against the schema. A row for `kind` covers the whole kind. Unknown
//! means no: a condition that is not evaluated never holds, and what would leave somebody less protected than they asked for is
//! refused.

use serde_json::Value;

use super::finding::{Findings, Severity};
use super::gateway_api_enforcement as gateway_api;
use super::header_text;
use super::kinds::{self, Kind};
use crate::yaml::{Path, Segment};

/// What happens to an object that uses a field that is not in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consequence {
    /// It is accepted, and its author is told.
    Warning,
    /// It is accepted, its author is told, and the rule or match that the field is in never matches.
    NeverMatches,
    /// It is refused.
    Refused,
}

/// A field that is not in force.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The field; `[]` stands for every item of a list, `{}` for every entry of a mapping.
    pub path: &'static str,
    /// Which values of it.
    pub when: When,
    /// What happens to an object that uses it.
    pub consequence: Consequence,
    /// What the mesh does instead.
    pub instead: &'static str,
}

/// Which values of a field are not in force.
#[derive(Clone, Copy, Debug)]
pub enum When {
    /// All.
    Set,
    /// All but these; of a list, all that has others.
    Not(&'static [&'static str]),
    /// Values of headers with a variable that is not known.
    UnknownVariable,
    /// Values with this character.
    Contains(char),
}

/// A field of one object that is not in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The field, from the object's root.
    pub path: Path,
    /// What happens.
    pub consequence: Consequence,
    /// What the mesh does instead.
    pub instead: &'static str,
}

impl Hit {
    /// What is said of it; reads on from the field's path.
    pub fn sentence(&self, kind: &Kind) -> String {
        // A row for a kind as a whole stands at its name.
        let whole = matches!(self.path.segments(), [Segment::Key(field)] if **field == *"kind");
        if whole {
            format!("{} is kept, and not in force yet: {}", kind.kind, self.instead)
        } else {
            format!("is not in force yet: {}", self.instead)
        }
    }
}

pub(super) const fn warn(path: &'static str, instead: &'static str) -> Row {
    Row { path, when: When::Set, consequence: Consequence::Warning, instead }
}

/// Values with `%`, which Envoy reads as commands of its log format.
const fn variables(path: &'static str) -> Row {
    let instead = "a `%` that begins no variable that is known stands for itself";
    Row { path, when: When::UnknownVariable, consequence: Consequence::Warning, instead }
}

pub(super) const fn refuse(path: &'static str, instead: &'static str) -> Row {
    Row { path, when: When::Set, consequence: Consequence::Refused, instead }
}

/// Targets of a policy that are no Gateways of the Gateway API: Istio has waypoints act on them, and nobody else.
const fn of_gateways(path: &'static str, instead: &'static str) -> Row {
    Row { path, when: When::Not(&["Gateway"]), consequence: Consequence::Warning, instead }
}

/// What of a policy of a DestinationRule is in force, wherever in it the policy stands.
macro_rules! policy_fields {
    ($policy:literal) => {
        [
            concat!($policy, ".loadBalancer.simple"),
            concat!($policy, ".loadBalancer.consistentHash"),
            concat!($policy, ".loadBalancer.localityLbSetting"),
            concat!($policy, ".loadBalancer.warmup"),
            concat!($policy, ".loadBalancer.warmupDurationSecs"),
            concat!($policy, ".connectionPool.tcp.maxConnections"),
            concat!($policy, ".connectionPool.tcp.connectTimeout"),
            concat!($policy, ".connectionPool.tcp.tcpKeepalive"),
            concat!($policy, ".connectionPool.tcp.maxConnectionDuration"),
            concat!($policy, ".connectionPool.tcp.idleTimeout"),
            concat!($policy, ".connectionPool.http.http1MaxPendingRequests"),
            concat!($policy, ".connectionPool.http.http2MaxRequests"),
            concat!($policy, ".connectionPool.http.maxRequestsPerConnection"),
            concat!($policy, ".connectionPool.http.maxRetries"),
            concat!($policy, ".connectionPool.http.idleTimeout"),
            concat!($policy, ".connectionPool.http.h2UpgradePolicy"),
            concat!($policy, ".connectionPool.http.useClientProtocol"),
            concat!($policy, ".outlierDetection.splitExternalLocalOriginErrors"),
            concat!($policy, ".outlierDetection.consecutiveLocalOriginFailures"),
            concat!($policy, ".outlierDetection.consecutiveGatewayErrors"),
            concat!($policy, ".outlierDetection.consecutive5xxErrors"),
            concat!($policy, ".outlierDetection.interval"),
            concat!($policy, ".outlierDetection.baseEjectionTime"),
            concat!($policy, ".outlierDetection.maxEjectionPercent"),
            concat!($policy, ".outlierDetection.minHealthPercent"),
            concat!($policy, ".tls.mode"),
            concat!($policy, ".tls.clientCertificate"),
            concat!($policy, ".tls.privateKey"),
            concat!($policy, ".tls.caCertificates"),
            concat!($policy, ".tls.credentialName"),
            concat!($policy, ".tls.subjectAltNames"),
            concat!($policy, ".tls.sni"),
            concat!($policy, ".tls.insecureSkipVerify"),
        ]
    };
}

/// The policies of a DestinationRule.
const POLICIES_IN_FORCE: [[&str; 33]; 4] = [
    policy_fields!("spec.trafficPolicy"),
    policy_fields!("spec.trafficPolicy.portLevelSettings[]"),
    policy_fields!("spec.subsets[].trafficPolicy"),
    policy_fields!("spec.subsets[].trafficPolicy.portLevelSettings[]"),
];

/// The fields that are in force, by kind; each stands for everything below it that no row of [`NOT_IN_FORCE`] covers.
pub const IN_FORCE: &[(&str, &[&str])] = &[
    ("DestinationRule", POLICIES_IN_FORCE.as_flattened()),
    (
        "VirtualService",
        &[
            "spec.hosts",
            "spec.gateways",
            "spec.exportTo",
            "spec.http[].name",
            "spec.http[].match[].uri",
            "spec.http[].match[].ignoreUriCase",
            "spec.http[].match[].scheme",
            "spec.http[].match[].method",
            "spec.http[].match[].authority",
            "spec.http[].match[].queryParams",
            "spec.http[].match[].headers",
            "spec.http[].match[].withoutHeaders",
            "spec.http[].match[].port",
            "spec.http[].match[].sourceLabels",
            "spec.http[].match[].sourceNamespace",
            "spec.http[].match[].gateways",
            "spec.http[].route[].destination",
            "spec.http[].route[].weight",
            "spec.http[].route[].headers",
            "spec.http[].redirect",
            "spec.http[].directResponse",
            "spec.http[].delegate",
            "spec.http[].rewrite",
            "spec.http[].timeout",
            "spec.http[].retries.attempts",
            "spec.http[].retries.perTryTimeout",
            "spec.http[].retries.retryOn",
            "spec.http[].retries.retryIgnorePreviousHosts",
            "spec.http[].retries.backoff",
            "spec.http[].fault",
            "spec.http[].mirror",
            "spec.http[].mirrors",
            "spec.http[].mirrorPercent",
            "spec.http[].mirror_percent",
            "spec.http[].mirrorPercentage",
            "spec.http[].corsPolicy",
            "spec.http[].headers",
            "spec.tls[].match[].sniHosts",
            "spec.tls[].match[].destinationSubnets",
            "spec.tls[].match[].port",
            "spec.tls[].match[].sourceLabels",
            "spec.tls[].match[].sourceNamespace",
            "spec.tls[].match[].gateways",
            "spec.tls[].route",
            "spec.tcp[].match[].destinationSubnets",
            "spec.tcp[].match[].port",
            "spec.tcp[].match[].sourceLabels",
            "spec.tcp[].match[].sourceNamespace",
            "spec.tcp[].match[].gateways",
            "spec.tcp[].route",
        ],
    ),
    (
        "DestinationRule",
        &[
            "spec.host",
            "spec.exportTo",
            "spec.workloadSelector",
            "spec.subsets[].name",
            "spec.subsets[].labels",
            "spec.trafficPolicy.portLevelSettings[].port",
            "spec.trafficPolicy.proxyProtocol",
            "spec.subsets[].trafficPolicy.proxyProtocol",
            "spec.trafficPolicy.retryBudget.percent",
            "spec.trafficPolicy.retryBudget.minRetryConcurrency",
            "spec.subsets[].trafficPolicy.portLevelSettings[].port",
            "spec.subsets[].trafficPolicy.retryBudget.percent",
            "spec.subsets[].trafficPolicy.retryBudget.minRetryConcurrency",
        ],
    ),
    (
        "Gateway",
        &[
            "spec.selector",
            "spec.servers[].port.number",
            "spec.servers[].port.name",
            "spec.servers[].port.protocol",
            "spec.servers[].hosts",
            "spec.servers[].tls.httpsRedirect",
            "spec.servers[].tls.mode",
            "spec.servers[].tls.credentialName",
            "spec.servers[].tls.minProtocolVersion",
            "spec.servers[].tls.maxProtocolVersion",
            "spec.servers[].tls.cipherSuites",
            "spec.servers[].tls.subjectAltNames",
            // These two have no meaning in Istio either.
            "spec.servers[].port.targetPort",
            "spec.servers[].defaultEndpoint",
        ],
    ),
    ("PeerAuthentication", &["spec.selector", "spec.mtls", "spec.portLevelMtls"]),
    (
        "RequestAuthentication",
        &[
            "spec.selector",
            "spec.targetRef.group",
            "spec.targetRef.name",
            "spec.targetRef.namespace",
            "spec.targetRefs[].group",
            "spec.targetRefs[].name",
            "spec.targetRefs[].namespace",
            "spec.jwtRules[].issuer",
            "spec.jwtRules[].audiences",
            "spec.jwtRules[].jwksUri",
            "spec.jwtRules[].jwks_uri",
            "spec.jwtRules[].jwks",
            "spec.jwtRules[].fromHeaders",
            "spec.jwtRules[].fromParams",
            "spec.jwtRules[].fromCookies",
            "spec.jwtRules[].outputPayloadToHeader",
            "spec.jwtRules[].forwardOriginalToken",
            "spec.jwtRules[].outputClaimToHeaders",
            "spec.jwtRules[].timeout",
            "spec.jwtRules[].spaceDelimitedClaims",
            "spec.jwtRules[].presence",
        ],
    ),
    (
        "AuthorizationPolicy",
        &[
            "spec.selector",
            "spec.targetRef.group",
            "spec.targetRef.name",
            "spec.targetRef.namespace",
            "spec.targetRefs[].group",
            "spec.targetRefs[].name",
            "spec.targetRefs[].namespace",
            "spec.rules",
            "spec.action",
            "spec.provider",
        ],
    ),
    (
        "ServiceEntry",
        &[
            "spec.hosts",
            "spec.addresses",
            "spec.ports",
            "spec.location",
            "spec.resolution",
            "spec.endpoints[].address",
            "spec.endpoints[].ports",
            "spec.endpoints[].labels",
            "spec.endpoints[].weight",
            "spec.endpoints[].serviceAccount",
            "spec.endpoints[].locality",
            "spec.workloadSelector",
            "spec.exportTo",
        ],
    ),
    (
        "Sidecar",
        &[
            "spec.workloadSelector",
            "spec.ingress[].port",
            "spec.ingress[].defaultEndpoint",
            "spec.egress[].hosts",
            "spec.egress[].port",
            "spec.outboundTrafficPolicy.mode",
        ],
    ),
    (
        "WorkloadEntry",
        &["spec.address", "spec.ports", "spec.labels", "spec.weight", "spec.locality", "spec.serviceAccount"],
    ),
    ("WorkloadGroup", &[]),
    ("EnvoyFilter", &[]),
    ("ProxyConfig", &[]),
    (
        "Telemetry",
        &[
            "spec.selector",
            "spec.targetRef.group",
            "spec.targetRef.name",
            "spec.targetRef.namespace",
            "spec.targetRefs[].group",
            "spec.targetRefs[].name",
            "spec.targetRefs[].namespace",
            "spec.tracing[].match",
            "spec.tracing[].providers",
            "spec.tracing[].randomSamplingPercentage",
            "spec.tracing[].disableSpanReporting",
            "spec.tracing[].customTags{}.literal",
            "spec.tracing[].customTags{}.environment",
            "spec.tracing[].customTags{}.header",
            "spec.tracing[].enableIstioTags",
            "spec.tracing[].disableContextPropagation",
            "spec.accessLogging[].match",
            "spec.accessLogging[].providers",
            "spec.accessLogging[].disabled",
            "spec.accessLogging[].filter",
            "spec.metrics[].providers",
            "spec.metrics[].overrides[].match.mode",
            "spec.metrics[].overrides[].disabled",
            "spec.metrics[].overrides[].tagOverrides",
        ],
    ),
    ("WasmPlugin", &[]),
    ("TrafficExtension", &[]),
    ("GatewayClass.gateway.networking.k8s.io", gateway_api::CLASS),
    ("Gateway.gateway.networking.k8s.io", gateway_api::GATEWAY),
    ("HTTPRoute.gateway.networking.k8s.io", gateway_api::HTTP_ROUTE),
    ("GRPCRoute.gateway.networking.k8s.io", gateway_api::GRPC_ROUTE),
    ("TLSRoute.gateway.networking.k8s.io", gateway_api::TLS_ROUTE),
    ("TCPRoute.gateway.networking.k8s.io", gateway_api::TCP_ROUTE),
    ("ListenerSet.gateway.networking.k8s.io", gateway_api::LISTENER_SET),
    ("BackendTLSPolicy.gateway.networking.k8s.io", gateway_api::BACKEND_TLS),
    ("ReferenceGrant.gateway.networking.k8s.io", gateway_api::REFERENCE_GRANT),
    ("UDPRoute.gateway.networking.k8s.io", &[]),
];

/// The fields that are not in force, by kind.
pub const NOT_IN_FORCE: &[(&str, &[Row])] = &[
    (
        "VirtualService",
        &[
            // Istio does not use it either.
            warn("spec.tcp[].match[].sourceSubnet", "the client's address does not count: use an AuthorizationPolicy"),
            variables("spec.http[].headers.request.set{}"),
            variables("spec.http[].headers.request.add{}"),
            variables("spec.http[].headers.response.set{}"),
            variables("spec.http[].headers.response.add{}"),
            variables("spec.http[].route[].headers.request.set{}"),
            variables("spec.http[].route[].headers.request.add{}"),
            variables("spec.http[].route[].headers.response.set{}"),
            variables("spec.http[].route[].headers.response.add{}"),
            warn(
                "spec.http[].retries.retryRemoteLocalities",
                "another locality is tried once every endpoint of the nearer one was",
            ),
            warn("spec.http[].match[].name", "the name appears nowhere"),
            warn("spec.http[].match[].statPrefix", "the prefix appears nowhere"),
        ],
    ),
    ("DestinationRule", POLICIES.as_flattened()),
    ("DestinationRule", DESTINATION_RULE_ALONE),
    (
        "Gateway",
        &[
            refuse("spec.servers[].tls.serverCertificate", "the file would not be read: name a secret"),
            refuse("spec.servers[].tls.privateKey", "the file would not be read: name a secret"),
            refuse("spec.servers[].tls.caCertificates", "the file would not be read: name a secret"),
            refuse("spec.servers[].tls.caCrl", "revoked certificates would be accepted"),
            refuse("spec.servers[].tls.credentialNames", "the certificates would not be shown: name one secret"),
            refuse("spec.servers[].tls.caCertCredentialName", "clients would not be checked against these authorities"),
            refuse("spec.servers[].tls.tlsCertificates", "the files would not be read: name a secret"),
            refuse("spec.servers[].tls.verifyCertificateSpki", "clients would not be checked for these keys"),
            refuse("spec.servers[].tls.verifyCertificateHash", "clients would not be checked for these certificates"),
            Row {
                path: "spec.servers[].tls.maxProtocolVersion",
                when: When::Not(&["TLS_AUTO", "TLSV1_2", "TLSV1_3"]),
                consequence: Consequence::Warning,
                instead: "TLS 1.2 is spoken, and nothing older",
            },
            Row {
                path: "spec.servers[].tls.cipherSuites",
                when: When::Not(&[
                    "ECDHE-ECDSA-AES128-GCM-SHA256",
                    "ECDHE-ECDSA-AES256-GCM-SHA384",
                    "ECDHE-ECDSA-CHACHA20-POLY1305",
                    "ECDHE-RSA-AES128-GCM-SHA256",
                    "ECDHE-RSA-AES256-GCM-SHA384",
                    "ECDHE-RSA-CHACHA20-POLY1305",
                ]),
                consequence: Consequence::Warning,
                instead: "those with forward secrecy and authenticated encryption are spoken, and no others",
            },
            warn("spec.servers[].tls.ecdhCurves", "the mesh's own curves are used"),
            warn("spec.servers[].tls.insecureSkipVerify", "clients are checked regardless"),
            refuse("spec.servers[].bind", "the port would be open on every address"),
            warn("spec.servers[].name", "the name appears nowhere"),
        ],
    ),
    ("PeerAuthentication", &[]),
    (
        "RequestAuthentication",
        &[
            of_gateways(
                "spec.targetRef.kind",
                "waypoints alone check tokens for it, there are none, and nobody checks them: select workloads by their labels",
            ),
            of_gateways(
                "spec.targetRefs[].kind",
                "waypoints alone check tokens for it, there are none, and nobody checks them: select workloads by their labels",
            ),
        ],
    ),
    (
        "AuthorizationPolicy",
        &[
            of_gateways(
                "spec.targetRef.kind",
                "waypoints alone ask the policy, there are none, and it protects nothing: select workloads by their labels",
            ),
            of_gateways(
                "spec.targetRefs[].kind",
                "waypoints alone ask the policy, there are none, and it protects nothing: select workloads by their labels",
            ),
        ],
    ),
    (
        "ServiceEntry",
        &[
            Row {
                path: "spec.resolution",
                when: When::Not(&["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN"]),
                consequence: Consequence::Warning,
                instead: "requests go where they were going, as with NONE",
            },
            Row {
                path: "spec.endpoints[].address",
                when: When::Contains('/'),
                consequence: Consequence::Warning,
                instead: "nothing is sent to Unix sockets",
            },
            warn("spec.endpoints[].network", "networks do not count: the address is connected to"),
            warn("spec.subjectAltNames", "servers are checked for the names that a DestinationRule gives"),
        ],
    ),
    (
        "Sidecar",
        &[
            warn("spec.ingress[].bind", "connections to every address of the workload are taken"),
            warn("spec.ingress[].captureMode", "connections are captured as they would be without it"),
            warn("spec.ingress[].connectionPool", "connections to the workload are not limited"),
            Row {
                path: "spec.ingress[].defaultEndpoint",
                when: When::Contains('/'),
                consequence: Consequence::Refused,
                instead: "nothing is sent to Unix sockets",
            },
            warn("spec.egress[].bind", "proxies listen where they would without it"),
            warn("spec.egress[].captureMode", "connections are captured as they would be without it"),
            warn("spec.inboundConnectionPool", "connections to the workload are not limited"),
            refuse(
                "spec.outboundTrafficPolicy.egressProxy",
                "connections to unknown hosts would go to these themselves",
            ),
            refuse("spec.ingress[].tls", "the port would not be secured this way"),
        ],
    ),
    (
        "WorkloadEntry",
        &[
            Row {
                path: "spec.address",
                when: When::Contains('/'),
                consequence: Consequence::Warning,
                instead: "nothing is sent to Unix sockets",
            },
            warn("spec.network", "networks do not count: the address is connected to"),
        ],
    ),
    ("WorkloadGroup", &[warn("kind", "workloads do not register with it")]),
    ("EnvoyFilter", &[warn("kind", ENVOY_FILTER)]),
    ("ProxyConfig", &[warn("kind", "proxies start with the mesh's own settings")]),
    (
        "Telemetry",
        &[
            of_gateways(
                "spec.targetRef.kind",
                "waypoints alone tell it differently, and there are none: select workloads by their labels",
            ),
            of_gateways(
                "spec.targetRefs[].kind",
                "waypoints alone tell it differently, and there are none: select workloads by their labels",
            ),
            warn("spec.tracing[].customTags{}.formatter", "spans have no such tag"),
            warn("spec.tracing[].useRequestIdForTraceSampling", "a request's id never says whether it is traced"),
            Row {
                path: "spec.metrics[].overrides[].match.metric",
                when: When::Not(&[
                    "ALL_METRICS",
                    "REQUEST_COUNT",
                    "REQUEST_DURATION",
                    "REQUEST_SIZE",
                    "RESPONSE_SIZE",
                    "TCP_OPENED_CONNECTIONS",
                    "TCP_CLOSED_CONNECTIONS",
                    "TCP_SENT_BYTES",
                    "TCP_RECEIVED_BYTES",
                ]),
                consequence: Consequence::Warning,
                instead: "messages of gRPC streams are not counted",
            },
            Row {
                path: "spec.metrics[].overrides[].match.customMetric",
                when: When::Not(&[
                    "requests_total",
                    "istio_requests_total",
                    "request_duration_milliseconds",
                    "istio_request_duration_milliseconds",
                    "request_bytes",
                    "istio_request_bytes",
                    "response_bytes",
                    "istio_response_bytes",
                    "tcp_connections_opened_total",
                    "istio_tcp_connections_opened_total",
                    "tcp_connections_closed_total",
                    "istio_tcp_connections_closed_total",
                    "tcp_received_bytes_total",
                    "istio_tcp_received_bytes_total",
                    "tcp_sent_bytes_total",
                    "istio_tcp_sent_bytes_total",
                ]),
                consequence: Consequence::Warning,
                instead: "it is none of the metrics that are counted",
            },
            warn("spec.metrics[].reportingInterval", "bytes of connections are counted as they pass"),
        ],
    ),
    ("WasmPlugin", WASM),
    ("TrafficExtension", WASM),
    ("GatewayClass.gateway.networking.k8s.io", gateway_api::NOT_OF_CLASS),
    ("Gateway.gateway.networking.k8s.io", gateway_api::NOT_OF_GATEWAY),
    ("HTTPRoute.gateway.networking.k8s.io", gateway_api::NOT_OF_HTTP_ROUTE),
    ("GRPCRoute.gateway.networking.k8s.io", gateway_api::NOT_OF_GRPC_ROUTE),
    ("TLSRoute.gateway.networking.k8s.io", gateway_api::NOT_OF_STREAM),
    ("TCPRoute.gateway.networking.k8s.io", gateway_api::NOT_OF_STREAM),
    ("UDPRoute.gateway.networking.k8s.io", gateway_api::DATAGRAM),
    ("ListenerSet.gateway.networking.k8s.io", gateway_api::NOT_OF_LISTENER_SET),
    ("BackendTLSPolicy.gateway.networking.k8s.io", gateway_api::NOT_OF_BACKEND_TLS),
];

/// What EnvoyFilters are mostly written for has kinds of its own.
const ENVOY_FILTER: &str = "there is no Envoy whose configuration it could change. Connections and requests are limited by a \
     DestinationRule's connectionPool, headers changed by a VirtualService, access decided by an AuthorizationPolicy (CUSTOM asks \
     a service of yours), logs by Telemetry";

const WASM: &[Row] = &[
    warn("kind", "the code is not run"),
    Row {
        path: "spec.phase",
        when: When::Not(&["UNSPECIFIED", "UNSPECIFIED_PHASE", "STATS"]),
        consequence: Consequence::Refused,
        instead: "requests would go on that the code refuses",
    },
];

/// The rows of every policy of a DestinationRule, wherever in it the policy stands.
macro_rules! policy_rows {
    ($policy:literal) => {
        [
            Row {
                path: concat!($policy, ".loadBalancer.simple"),
                when: When::Not(&[
                    "UNSPECIFIED",
                    "ROUND_ROBIN",
                    "LEAST_REQUEST",
                    "LEAST_CONN",
                    "RANDOM",
                    "PASSTHROUGH",
                ]),
                consequence: Consequence::Warning,
                instead: "the endpoint is the least busy of two",
            },
            Row {
                path: concat!($policy, ".loadBalancer.backendUtilization"),
                when: When::Set,
                consequence: Consequence::Warning,
                instead: "endpoints' own reports do not count",
            },
            Row {
                path: concat!($policy, ".loadBalancer.zoneAwareLbSetting"),
                when: When::Set,
                consequence: Consequence::Warning,
                instead: "zones do not count",
            },
            Row {
                path: concat!($policy, ".connectionPool.http.maxConcurrentStreams"),
                when: When::Set,
                consequence: Consequence::Warning,
                instead: "the mesh's own limit holds",
            },
            Row {
                path: concat!($policy, ".connectionPool.http.http2KeepAlive"),
                when: When::Set,
                consequence: Consequence::Warning,
                instead: "no probes are sent",
            },
            Row {
                path: concat!($policy, ".outlierDetection.consecutiveErrors"),
                when: When::Set,
                consequence: Consequence::Warning,
                instead: "nothing is counted by it",
            },
            Row {
                path: concat!($policy, ".outlierDetection.outlierDetectionHttpErrorCodes"),
                when: When::Set,
                consequence: Consequence::Warning,
                instead: "the answers that count are 5xx",
            },
            Row {
                path: concat!($policy, ".tls.caCrl"),
                when: When::Set,
                consequence: Consequence::Refused,
                instead: "revoked certificates would be accepted",
            },
        ]
    };
}

/// The policies of a DestinationRule.
const POLICIES: [[Row; 8]; 4] = [
    policy_rows!("spec.trafficPolicy"),
    policy_rows!("spec.trafficPolicy.portLevelSettings[]"),
    policy_rows!("spec.subsets[].trafficPolicy"),
    policy_rows!("spec.subsets[].trafficPolicy.portLevelSettings[]"),
];

const DESTINATION_RULE_ALONE: &[Row] = &[
    warn("spec.trafficPolicy.tunnel", "connections are not tunnelled"),
    warn("spec.trafficPolicy.retryBudget.budgetInterval", "requests under way count, and no span of time"),
    warn("spec.subsets[].trafficPolicy.tunnel", "connections are not tunnelled"),
    warn("spec.subsets[].trafficPolicy.retryBudget.budgetInterval", "requests under way count, and no span of time"),
];

/// The kind that a table calls by this name: one of Istio's by its own, any other with its group.
pub fn kind(name: &str) -> Option<&'static Kind> {
    match name.split_once('.') {
        Some((kind, group)) => kinds::find(group, kind),
        None => kinds::KINDS.iter().find(|known| known.kind == name && known.group.ends_with(".istio.io")),
    }
}

/// What an object of `kind` uses that is not in force.
pub fn hits(kind: &Kind, object: &Value) -> Vec<Hit> {
    let is_own = |name: &str| match name.split_once('.') {
        Some((own, group)) => own == kind.kind && group == kind.group,
        None => name == kind.kind && kind.group.ends_with(".istio.io"),
    };
    let rows = NOT_IN_FORCE.iter().filter(|(known, _)| is_own(known)).flat_map(|(_, rows)| *rows);
    let mut hits = Vec::new();
    for row in rows {
        find(row, row.path, object, &mut Vec::new(), &mut hits);
    }
    hits
}

/// Warnings and errors about what an object of `kind` uses that is not in force.
pub(super) fn findings(kind: &Kind, hits: &[Hit]) -> Findings {
    let mut findings = Findings::default();
    for hit in hits {
        let severity = match hit.consequence {
            Consequence::Warning | Consequence::NeverMatches => Severity::Warning,
            Consequence::Refused => Severity::Error,
        };
        let remedy = match hit.consequence {
            Consequence::Refused => ": remove it",
            _ => "",
        };
        findings.push(hit.path.clone(), severity, format!("{}{remedy}", hit.sentence(kind)));
    }
    findings
}

/// Walks `value` along `pattern`, whose depth bounds the recursion.
fn find(row: &Row, pattern: &str, value: &Value, path: &mut Vec<Segment>, hits: &mut Vec<Hit>) {
    let (step, rest) = match pattern.find(['.', '[', '{']) {
        Some(0) => ("", pattern),
        Some(at) => pattern.split_at(at),
        None => (pattern, ""),
    };
    if !step.is_empty() {
        if let Some(inner) = value.get(step).filter(|inner| !inner.is_null()) {
            path.push(step.into());
            find(row, rest.strip_prefix('.').unwrap_or(rest), inner, path, hits);
            path.pop();
        }
    } else if let Some(rest) = rest.strip_prefix("[]") {
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            path.push(index.into());
            find(row, rest.strip_prefix('.').unwrap_or(rest), item, path, hits);
            path.pop();
        }
    } else if let Some(rest) = rest.strip_prefix("{}") {
        for (key, entry) in value.as_object().into_iter().flatten() {
            path.push(key.as_str().into());
            find(row, rest.strip_prefix('.').unwrap_or(rest), entry, path, hits);
            path.pop();
        }
    } else if applies(row.when, value) {
        let path = path.iter().cloned().collect();
        hits.push(Hit { path, consequence: row.consequence, instead: row.instead });
    }
}

fn applies(when: When, value: &Value) -> bool {
    match when {
        When::Set => !is_default(value),
        When::Not(in_force) => {
            let is_in_force = |value: &Value| {
                value.as_str().is_some_and(|text| in_force.iter().any(|known| known.eq_ignore_ascii_case(text)))
            };
            match value {
                Value::Array(items) => !items.iter().all(is_in_force),
                other => !is_in_force(other),
            }
        }
        When::Contains(character) => value.as_str().is_some_and(|text| text.contains(character)),
        When::UnknownVariable => value.as_str().is_some_and(header_text::has_unknown),
    }
}

/// Whether the value says no more than its absence would. An empty mapping does: `corsPolicy: {}` is a policy.
fn is_default(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}
