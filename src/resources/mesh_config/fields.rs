//! The fields of MeshConfig and MeshNetworks (Istio's `mesh/v1alpha1`), as tables.

use super::providers::EXTENSION_PROVIDER;
use super::proxy::PROXY_CONFIG;
use super::shape::Shape::{Count, Flag, Span, Text, Texts, Whole};
use super::shape::{Record, Shape, like};
use crate::resources::destination_rule::{
    ClientTls, ConnectionPool, LocalityLb, OutlierDetection, TcpKeepalive, ZoneAwareLb,
};
use crate::resources::virtual_service::Retries;

pub(super) static MESH_CONFIG: Record = Record {
    fields: &[
        ("proxyListenPort", Whole),
        ("proxyInboundListenPort", Whole),
        ("proxyHttpPort", Whole),
        ("connectTimeout", Span),
        ("hboneIdleTimeout", Span),
        ("protocolDetectionTimeout", Span),
        ("tcpKeepalive", like::<TcpKeepalive>()),
        ("ingressClass", Text),
        ("ingressService", Text),
        ("ingressControllerMode", Shape::One(&["UNSPECIFIED", "OFF", "DEFAULT", "STRICT"])),
        ("ingressSelector", Text),
        ("enableTracing", Flag),
        ("accessLogFile", Text),
        ("accessLogFormat", Text),
        ("accessLogEncoding", Shape::One(&["TEXT", "JSON"])),
        ("enableEnvoyAccessLogService", Flag),
        ("disableEnvoyListenerLog", Flag),
        ("defaultConfig", Shape::Record(&PROXY_CONFIG)),
        ("outboundTrafficPolicy", Shape::Record(&OUTBOUND_TRAFFIC_POLICY)),
        ("inboundTrafficPolicy", Shape::Record(&INBOUND_TRAFFIC_POLICY)),
        ("configSources", Shape::List(&Shape::Record(&CONFIG_SOURCE))),
        ("enableAutoMtls", Flag),
        ("trustDomain", Text),
        ("trustDomainAliases", Shape::List(&Text)),
        ("caCertificates", Shape::List(&Shape::Record(&CERTIFICATE_DATA))),
        ("defaultServiceExportTo", Shape::List(&Text)),
        ("defaultVirtualServiceExportTo", Shape::List(&Text)),
        ("defaultDestinationRuleExportTo", Shape::List(&Text)),
        ("rootNamespace", Text),
        ("localityLbSetting", like::<LocalityLb>()),
        ("zoneAwareLbSetting", like::<ZoneAwareLb>()),
        ("dnsRefreshRate", Span),
        ("h2UpgradePolicy", Shape::One(&["DO_NOT_UPGRADE", "UPGRADE"])),
        ("inboundClusterStatName", Text),
        ("outboundClusterStatName", Text),
        ("certificates", Shape::List(&Shape::Record(&CERTIFICATE))),
        ("serviceSettings", Shape::List(&Shape::Record(&SERVICE_SETTINGS))),
        ("serviceScopeConfigs", Shape::List(&Shape::Record(&SERVICE_SCOPE_CONFIGS))),
        ("enablePrometheusMerge", Flag),
        ("verifyCertificateAtClient", Flag),
        ("ca", Shape::Record(&CA)),
        ("extensionProviders", Shape::List(&Shape::Record(&EXTENSION_PROVIDER))),
        ("defaultProviders", Shape::Record(&DEFAULT_PROVIDERS)),
        ("discoverySelectors", Shape::List(&Shape::Record(&LABEL_SELECTOR))),
        ("pathNormalization", Shape::Record(&PROXY_PATH_NORMALIZATION)),
        ("defaultHttpRetryPolicy", like::<Retries>()),
        ("defaultInboundHttpRetryPolicy", like::<Retries>()),
        ("meshMTLS", Shape::Record(&TLS_CONFIG)),
        ("tlsDefaults", Shape::Record(&TLS_CONFIG)),
        ("defaultTrafficPolicy", Shape::Record(&DEFAULT_TRAFFIC_POLICY)),
        ("serviceEntryVisibility", Shape::Record(&SERVICE_ENTRY_VISIBILITY)),
    ],
    one_of: &[],
};

pub(super) static OUTBOUND_TRAFFIC_POLICY: Record = Record {
    fields: &[
        ("mode", Shape::One(&["REGISTRY_ONLY", "ALLOW_ANY", "ALLOW_ANY_DYNAMIC_DNS"])),
        ("tls", like::<ClientTls>()),
    ],
    one_of: &[],
};

pub(super) static INBOUND_TRAFFIC_POLICY: Record =
    Record { fields: &[("mode", Shape::One(&["PASSTHROUGH", "LOCALHOST"]))], one_of: &[] };

pub(super) static CERTIFICATE_DATA: Record = Record {
    fields: &[
        ("pem", Text),
        ("spiffeBundleUrl", Text),
        ("certSigners", Shape::List(&Text)),
        ("trustDomains", Shape::List(&Text)),
    ],
    one_of: &["pem", "spiffeBundleUrl"],
};

pub(super) static SERVICE_SETTINGS: Record =
    Record { fields: &[("settings", Shape::Record(&SETTINGS)), ("hosts", Shape::List(&Text))], one_of: &[] };

pub(super) static SETTINGS: Record = Record { fields: &[("clusterLocal", Flag)], one_of: &[] };

pub(super) static SERVICE_SCOPE_CONFIGS: Record = Record {
    fields: &[
        ("namespaceSelector", Shape::Record(&LABEL_SELECTOR)),
        ("servicesSelector", Shape::Record(&LABEL_SELECTOR)),
        ("scope", Shape::One(&["LOCAL", "GLOBAL"])),
    ],
    one_of: &[],
};

pub(super) static CA: Record = Record {
    fields: &[("address", Text), ("tlsSettings", like::<ClientTls>()), ("requestTimeout", Span), ("istiodSide", Flag)],
    one_of: &[],
};

pub(super) static DEFAULT_PROVIDERS: Record = Record {
    fields: &[("tracing", Shape::List(&Text)), ("metrics", Shape::List(&Text)), ("accessLogging", Shape::List(&Text))],
    one_of: &[],
};

pub(super) static PROXY_PATH_NORMALIZATION: Record = Record {
    fields: &[("normalization", Shape::One(&["DEFAULT", "NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"]))],
    one_of: &[],
};

pub(super) static TLS_CONFIG: Record = Record {
    fields: &[
        ("minProtocolVersion", Shape::One(&["TLS_AUTO", "TLSV1_2", "TLSV1_3"])),
        ("ecdhCurves", Shape::List(&Text)),
        ("cipherSuites", Shape::List(&Text)),
    ],
    one_of: &[],
};

pub(super) static DEFAULT_TRAFFIC_POLICY: Record = Record {
    fields: &[("connectionPool", like::<ConnectionPool>()), ("outlierDetection", like::<OutlierDetection>())],
    one_of: &[],
};

pub(super) static LABEL_SELECTOR: Record = Record {
    fields: &[("matchLabels", Texts), ("matchExpressions", Shape::List(&Shape::Record(&LABEL_SELECTOR_REQUIREMENT)))],
    one_of: &[],
};

pub(super) static LABEL_SELECTOR_REQUIREMENT: Record =
    Record { fields: &[("key", Text), ("operator", Text), ("values", Shape::List(&Text))], one_of: &[] };

pub(super) static SERVICE_ENTRY_VISIBILITY: Record = Record {
    fields: &[
        ("defaultVisibility", Shape::One(&["VISIBILITY_UNSPECIFIED", "NONE", "NAMESPACE", "PUBLIC"])),
        ("applyToSidecars", Flag),
        ("policies", Shape::List(&Shape::Record(&POLICY))),
    ],
    one_of: &[],
};

pub(super) static POLICY: Record = Record {
    fields: &[
        ("visibility", Shape::One(&["VISIBILITY_UNSPECIFIED", "NONE", "NAMESPACE", "PUBLIC"])),
        ("matchingRules", Shape::List(&Shape::Record(&MATCH_RULE))),
    ],
    one_of: &[],
};

pub(super) static MATCH_RULE: Record =
    Record { fields: &[("namespaceSelector", Shape::Record(&LABEL_SELECTOR))], one_of: &["namespaceSelector"] };

pub(super) static CONFIG_SOURCE: Record = Record {
    fields: &[
        ("address", Text),
        ("tlsSettings", like::<ClientTls>()),
        ("subscribedResources", Shape::List(&Shape::One(&["SERVICE_REGISTRY"]))),
    ],
    one_of: &[],
};

pub(super) static CERTIFICATE: Record =
    Record { fields: &[("secretName", Text), ("dnsNames", Shape::List(&Text))], one_of: &[] };

pub(super) static NETWORK: Record = Record {
    fields: &[
        ("endpoints", Shape::List(&Shape::Record(&NETWORK_ENDPOINTS))),
        ("gateways", Shape::List(&Shape::Record(&ISTIO_NETWORK_GATEWAY))),
    ],
    one_of: &[],
};

pub(super) static NETWORK_ENDPOINTS: Record =
    Record { fields: &[("fromCidr", Text), ("fromRegistry", Text)], one_of: &["fromCidr", "fromRegistry"] };

pub(super) static ISTIO_NETWORK_GATEWAY: Record = Record {
    fields: &[("registryServiceName", Text), ("address", Text), ("port", Count), ("locality", Text)],
    one_of: &["registryServiceName", "address"],
};

pub(super) static MESH_NETWORKS: Record =
    Record { fields: &[("networks", Shape::Entries(&Shape::Record(&NETWORK)))], one_of: &[] };
