//! What of the Gateway API's kinds is in force, and what is not: their part of the table in
//! [`enforcement`](super::enforcement).

use super::enforcement::{Consequence, Row, When, refuse, warn};

pub(super) const CLASS: &[&str] = &["spec.controllerName", "spec.description"];

pub(super) const NOT_OF_CLASS: &[Row] = &[warn("spec.parametersRef", "gateways have the mesh's own settings")];

pub(super) const GATEWAY: &[&str] = &[
    "spec.gatewayClassName",
    "spec.listeners[].name",
    "spec.listeners[].hostname",
    "spec.listeners[].port",
    "spec.listeners[].tls.mode",
    "spec.listeners[].tls.certificateRefs",
    "spec.listeners[].allowedRoutes",
    "spec.allowedListeners",
    "spec.tls.frontend.default.validation.caCertificateRefs",
    "spec.tls.frontend.perPort[].port",
    "spec.tls.frontend.perPort[].tls.validation.caCertificateRefs",
    "spec.infrastructure.labels",
    "spec.infrastructure.annotations",
];

pub(super) const NOT_OF_GATEWAY: &[Row] = &[
    Row {
        path: "spec.listeners[].protocol",
        when: When::Not(&["HTTP", "HTTPS", "TLS", "TCP"]),
        consequence: Consequence::Warning,
        instead: "the port is not opened",
    },
    warn("spec.listeners[].tls.options", "the mesh's own settings of TLS hold"),
    warn("spec.addresses", "the gateway has the address that its Service gets"),
    warn("spec.infrastructure.parametersRef", "the gateway has the mesh's own settings"),
    warn("spec.defaultScope", "only routes that name the gateway attach"),
    refuse("spec.tls.backend", "the gateway would show backends no certificate"),
    Row {
        path: "spec.tls.frontend.default.validation.mode",
        when: When::Not(&["AllowValidOnly"]),
        consequence: Consequence::Refused,
        instead: "clients that nobody vouches for would be turned away",
    },
    Row {
        path: "spec.tls.frontend.perPort[].tls.validation.mode",
        when: When::Not(&["AllowValidOnly"]),
        consequence: Consequence::Refused,
        instead: "clients that nobody vouches for would be turned away",
    },
];

/// What of a rule of a route is in force, and what is not, for HTTP and gRPC alike.
const NO_EXTENSION: &str = "the rule answers 500, for nobody knows what the filter does";
const NO_SESSION: &str =
    "requests of one client go to any endpoint: a DestinationRule with consistentHash keeps them together";
const NO_DEFAULT: &str = "the route attaches to what its parentRefs name";
const NO_FILTER: &str = "requests go there without it: write it as a filter of the rule";

pub(super) const HTTP_ROUTE: &[&str] = &[
    "spec.parentRefs",
    "spec.hostnames",
    "spec.rules[].name",
    "spec.rules[].matches",
    "spec.rules[].filters[].type",
    "spec.rules[].filters[].requestHeaderModifier",
    "spec.rules[].filters[].responseHeaderModifier",
    "spec.rules[].filters[].requestMirror",
    "spec.rules[].filters[].requestRedirect",
    "spec.rules[].filters[].urlRewrite",
    "spec.rules[].filters[].cors",
    "spec.rules[].backendRefs[].group",
    "spec.rules[].backendRefs[].kind",
    "spec.rules[].backendRefs[].name",
    "spec.rules[].backendRefs[].namespace",
    "spec.rules[].backendRefs[].port",
    "spec.rules[].backendRefs[].weight",
    "spec.rules[].backendRefs[].filters[].type",
    "spec.rules[].backendRefs[].filters[].requestHeaderModifier",
    "spec.rules[].backendRefs[].filters[].responseHeaderModifier",
    "spec.rules[].timeouts",
    "spec.rules[].retry",
];

pub(super) const NOT_OF_HTTP_ROUTE: &[Row] = &[
    warn("spec.rules[].filters[].extensionRef", NO_EXTENSION),
    refuse("spec.rules[].filters[].externalAuth", "nobody would be asked for permission"),
    warn("spec.rules[].backendRefs[].filters[].requestMirror", NO_FILTER),
    warn("spec.rules[].backendRefs[].filters[].requestRedirect", NO_FILTER),
    warn("spec.rules[].backendRefs[].filters[].urlRewrite", NO_FILTER),
    warn("spec.rules[].backendRefs[].filters[].cors", NO_FILTER),
    warn("spec.rules[].backendRefs[].filters[].extensionRef", NO_EXTENSION),
    refuse("spec.rules[].backendRefs[].filters[].externalAuth", "nobody would be asked for permission"),
    warn("spec.rules[].sessionPersistence", NO_SESSION),
    warn("spec.useDefaultGateways", NO_DEFAULT),
];

pub(super) const GRPC_ROUTE: &[&str] = &[
    "spec.parentRefs",
    "spec.hostnames",
    "spec.rules[].name",
    "spec.rules[].matches",
    "spec.rules[].filters[].type",
    "spec.rules[].filters[].requestHeaderModifier",
    "spec.rules[].filters[].responseHeaderModifier",
    "spec.rules[].filters[].requestMirror",
    "spec.rules[].backendRefs[].group",
    "spec.rules[].backendRefs[].kind",
    "spec.rules[].backendRefs[].name",
    "spec.rules[].backendRefs[].namespace",
    "spec.rules[].backendRefs[].port",
    "spec.rules[].backendRefs[].weight",
    "spec.rules[].backendRefs[].filters[].type",
    "spec.rules[].backendRefs[].filters[].requestHeaderModifier",
    "spec.rules[].backendRefs[].filters[].responseHeaderModifier",
];

pub(super) const NOT_OF_GRPC_ROUTE: &[Row] = &[
    warn("spec.rules[].filters[].extensionRef", NO_EXTENSION),
    warn("spec.rules[].backendRefs[].filters[].requestMirror", NO_FILTER),
    warn("spec.rules[].backendRefs[].filters[].extensionRef", NO_EXTENSION),
    warn("spec.rules[].sessionPersistence", NO_SESSION),
    warn("spec.useDefaultGateways", NO_DEFAULT),
];

pub(super) const REFERENCE_GRANT: &[&str] = &["spec.from", "spec.to"];

pub(super) const TLS_ROUTE: &[&str] = &["spec.parentRefs", "spec.hostnames", "spec.rules"];

pub(super) const TCP_ROUTE: &[&str] = &["spec.parentRefs", "spec.rules"];

pub(super) const NOT_OF_STREAM: &[Row] = &[warn("spec.useDefaultGateways", NO_DEFAULT)];

pub(super) const DATAGRAM: &[Row] = &[warn("kind", "the mesh routes no datagrams")];

pub(super) const LISTENER_SET: &[&str] = &[
    "spec.parentRef",
    "spec.listeners[].name",
    "spec.listeners[].hostname",
    "spec.listeners[].port",
    "spec.listeners[].tls.mode",
    "spec.listeners[].tls.certificateRefs",
    "spec.listeners[].allowedRoutes",
];

pub(super) const NOT_OF_LISTENER_SET: &[Row] = &[
    Row {
        path: "spec.listeners[].protocol",
        when: When::Not(&["HTTP", "HTTPS", "TLS", "TCP"]),
        consequence: Consequence::Warning,
        instead: "the port is not opened",
    },
    warn("spec.listeners[].tls.options", "the mesh's own settings of TLS hold"),
];

pub(super) const BACKEND_TLS: &[&str] = &["spec.targetRefs", "spec.validation"];

pub(super) const NOT_OF_BACKEND_TLS: &[Row] = &[warn("spec.options", "the mesh's own settings of TLS hold")];
