//! The codes: what can be found, how much it weighs, and what it is called.
//!
//! Codes that start with `IST` are Istio's own, under their names and severities, so that what people wrote to look for or to
//! suppress them goes on working. Codes that start with `MSH` are this mesh's.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// How much a message weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Level {
    /// Worth knowing.
    Info,
    /// Most likely not meant.
    Warning,
    /// Does not work.
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "Info",
            Self::Warning => "Warning",
            Self::Error => "Error",
        })
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Info, Self::Warning, Self::Error]
            .into_iter()
            .find(|level| level.to_string().eq_ignore_ascii_case(text))
            .ok_or_else(|| format!("{text:?} is none of Info, Warning and Error"))
    }
}

/// What can be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// `IST0101`
    pub id: &'static str,
    /// `ReferencedResourceNotFound`
    pub name: &'static str,
    /// How much it weighs.
    pub level: Level,
    /// What it means, in a few words.
    pub about: &'static str,
}

impl Code {
    /// Where the code is explained; none for the mesh's own.
    pub fn documentation(&self) -> Option<String> {
        self.id
            .starts_with("IST")
            .then(|| format!("https://istio.io/v1.30/docs/reference/config/analysis/{}/", self.id.to_ascii_lowercase()))
    }
}

macro_rules! codes {
    ($($constant:ident: $id:literal, $name:literal, $level:ident, $about:literal;)+) => {
        $(
            #[doc = $about]
            pub const $constant: Code = Code { id: $id, name: $name, level: Level::$level, about: $about };
        )+

        /// Every code.
        pub const CODES: &[Code] = &[$($constant),+];
    };
}

codes! {
    DEPRECATED: "IST0002", "Deprecated", Warning, "something deprecated is used";
    REFERENCED_RESOURCE_NOT_FOUND: "IST0101", "ReferencedResourceNotFound", Error, "something names what is not there";
    NAMESPACE_NOT_INJECTED: "IST0102", "NamespaceNotInjected", Info, "a namespace's pods get no sidecar";
    POD_MISSING_PROXY: "IST0103", "PodMissingProxy", Warning, "a pod should have a sidecar and has none";
    SCHEMA_VALIDATION_ERROR: "IST0106", "SchemaValidationError", Error, "an object breaks its kind's rules";
    MISPLACED_ANNOTATION: "IST0107", "MisplacedAnnotation", Warning, "an annotation stands on the wrong kind of object";
    UNKNOWN_ANNOTATION: "IST0108", "UnknownAnnotation", Warning, "an annotation of Istio's domain that Istio does not know";
    CONFLICTING_MESH_GATEWAY_VIRTUAL_SERVICE_HOSTS: "IST0109", "ConflictingMeshGatewayVirtualServiceHosts", Error, "several VirtualServices claim one host in sidecars";
    CONFLICTING_SIDECAR_WORKLOAD_SELECTORS: "IST0110", "ConflictingSidecarWorkloadSelectors", Error, "several Sidecars select one pod";
    MULTIPLE_SIDECARS_WITHOUT_WORKLOAD_SELECTORS: "IST0111", "MultipleSidecarsWithoutWorkloadSelectors", Error, "a namespace has several Sidecars for all of its pods";
    VIRTUAL_SERVICE_DESTINATION_PORT_SELECTOR_REQUIRED: "IST0112", "VirtualServiceDestinationPortSelectorRequired", Error, "a destination with several ports names none";
    DEPLOYMENT_ASSOCIATED_TO_MULTIPLE_SERVICES: "IST0116", "DeploymentAssociatedToMultipleServices", Warning, "Services of one Deployment differ in a port's protocol";
    PORT_NAME_IS_NOT_UNDER_NAMING_CONVENTION: "IST0118", "PortNameIsNotUnderNamingConvention", Info, "a port's name does not say its protocol";
    NAMESPACE_MULTIPLE_INJECTION_LABELS: "IST0123", "NamespaceMultipleInjectionLabels", Warning, "a namespace has contradicting injection labels";
    INVALID_ANNOTATION: "IST0125", "InvalidAnnotation", Warning, "an annotation's value can't be used";
    UNKNOWN_MESH_NETWORKS_SERVICE_REGISTRY: "IST0126", "UnknownMeshNetworksServiceRegistry", Error, "a network names a registry that does not exist";
    NO_MATCHING_WORKLOADS_FOUND: "IST0127", "NoMatchingWorkloadsFound", Warning, "a policy selects no workload";
    NO_SERVER_CERTIFICATE_VERIFICATION_DESTINATION_LEVEL: "IST0128", "NoServerCertificateVerificationDestinationLevel", Warning, "a DestinationRule uses TLS without checking the server";
    NO_SERVER_CERTIFICATE_VERIFICATION_PORT_LEVEL: "IST0129", "NoServerCertificateVerificationPortLevel", Warning, "a DestinationRule uses TLS on a port without checking the server";
    VIRTUAL_SERVICE_UNREACHABLE_RULE: "IST0130", "VirtualServiceUnreachableRule", Warning, "a rule is never reached";
    VIRTUAL_SERVICE_INEFFECTIVE_MATCH: "IST0131", "VirtualServiceIneffectiveMatch", Info, "a match is covered by an earlier one";
    VIRTUAL_SERVICE_HOST_NOT_FOUND_IN_GATEWAY: "IST0132", "VirtualServiceHostNotFoundInGateway", Warning, "a VirtualService's hosts are not among its Gateway's";
    SCHEMA_WARNING: "IST0133", "SchemaWarning", Warning, "an object says something doubtful";
    SERVICE_ENTRY_ADDRESSES_REQUIRED: "IST0134", "ServiceEntryAddressesRequired", Warning, "a ServiceEntry with TCP ports has no addresses";
    DEPRECATED_ANNOTATION: "IST0135", "DeprecatedAnnotation", Info, "an annotation is deprecated";
    ALPHA_ANNOTATION: "IST0136", "AlphaAnnotation", Info, "an annotation is not stable yet";
    DEPLOYMENT_CONFLICTING_PORTS: "IST0137", "DeploymentConflictingPorts", Warning, "Services of one Deployment share a target port under different ports";
    GATEWAY_DUPLICATE_CERTIFICATE: "IST0138", "GatewayDuplicateCertificate", Warning, "Gateways of one proxy share a certificate";
    INVALID_WEBHOOK: "IST0139", "InvalidWebhook", Error, "an injection webhook is ambiguous or leads nowhere";
    INGRESS_ROUTE_RULES_NOT_AFFECTED: "IST0140", "IngressRouteRulesNotAffected", Warning, "a subset chosen inside the mesh is not chosen at the edge";
    INSUFFICIENT_PERMISSIONS: "IST0141", "InsufficientPermissions", Error, "a permission that an installation needs is missing";
    UNSUPPORTED_KUBERNETES_VERSION: "IST0142", "UnsupportedKubernetesVersion", Error, "this version of Kubernetes is too old";
    INVALID_APPLICATION_UID: "IST0144", "InvalidApplicationUID", Warning, "an application runs as the proxy's user";
    CONFLICTING_GATEWAYS: "IST0145", "ConflictingGateways", Error, "two Gateways of one proxy serve the same hosts on one port";
    IMAGE_AUTO_WITHOUT_INJECTION_WARNING: "IST0146", "ImageAutoWithoutInjectionWarning", Warning, "a Deployment relies on injection and is not injected";
    IMAGE_AUTO_WITHOUT_INJECTION_ERROR: "IST0147", "ImageAutoWithoutInjectionError", Error, "a pod relied on injection and was not injected";
    NAMESPACE_INJECTION_ENABLED_BY_DEFAULT: "IST0148", "NamespaceInjectionEnabledByDefault", Info, "a namespace is injected by default";
    JWT_CLAIM_BASED_ROUTING_WITHOUT_REQUEST_AUTH_N: "IST0149", "JwtClaimBasedRoutingWithoutRequestAuthN", Error, "a route on a token's claim without a RequestAuthentication";
    EXTERNAL_NAME_SERVICE_TYPE_INVALID_PORT_NAME: "IST0150", "ExternalNameServiceTypeInvalidPortName", Warning, "an ExternalName Service's port has no usable protocol";
    ENVOY_FILTER_USES_RELATIVE_OPERATION: "IST0151", "EnvoyFilterUsesRelativeOperation", Warning, "a change of an EnvoyFilter depends on others";
    ENVOY_FILTER_USES_REPLACE_OPERATION_INCORRECTLY: "IST0152", "EnvoyFilterUsesReplaceOperationIncorrectly", Error, "REPLACE where Envoy's configuration can't be replaced";
    ENVOY_FILTER_USES_ADD_OPERATION_INCORRECTLY: "IST0153", "EnvoyFilterUsesAddOperationIncorrectly", Error, "ADD where nothing can be added";
    ENVOY_FILTER_USES_REMOVE_OPERATION_INCORRECTLY: "IST0154", "EnvoyFilterUsesRemoveOperationIncorrectly", Error, "REMOVE where nothing can be removed";
    ENVOY_FILTER_USES_RELATIVE_OPERATION_WITH_PROXY_VERSION: "IST0155", "EnvoyFilterUsesRelativeOperationWithProxyVersion", Warning, "a change of an EnvoyFilter depends on others and on the proxy's version";
    UNSUPPORTED_GATEWAY_API_VERSION: "IST0156", "UnsupportedGatewayAPIVersion", Error, "the Gateway API's definitions are too old";
    INVALID_TELEMETRY_PROVIDER: "IST0157", "InvalidTelemetryProvider", Warning, "access logging without a provider";
    PODS_ISTIO_PROXY_IMAGE_MISMATCH_IN_NAMESPACE: "IST0158", "PodsIstioProxyImageMismatchInNamespace", Warning, "pods run another proxy than their namespace would inject";
    CONFLICTING_TELEMETRY_WORKLOAD_SELECTORS: "IST0159", "ConflictingTelemetryWorkloadSelectors", Error, "several Telemetries select one pod";
    MULTIPLE_TELEMETRIES_WITHOUT_WORKLOAD_SELECTORS: "IST0160", "MultipleTelemetriesWithoutWorkloadSelectors", Error, "a namespace has several Telemetries for all of its pods";
    INVALID_GATEWAY_CREDENTIAL: "IST0161", "InvalidGatewayCredential", Error, "a Gateway's secret holds no usable certificate";
    GATEWAY_PORT_NOT_DEFINED_ON_SERVICE: "IST0162", "GatewayPortNotDefinedOnService", Warning, "a Gateway's port is not open on its Service";
    INVALID_EXTERNAL_CONTROL_PLANE_CONFIG: "IST0163", "InvalidExternalControlPlaneConfig", Warning, "a webhook of an external control plane can't be reached";
    EXTERNAL_CONTROL_PLANE_ADDRESS_IS_NOT_A_HOSTNAME: "IST0164", "ExternalControlPlaneAddressIsNotAHostname", Info, "an external control plane is named by address";
    REFERENCED_INTERNAL_GATEWAY: "IST0165", "ReferencedInternalGateway", Warning, "a VirtualService names a Gateway that Istio made for itself";
    INEFFECTIVE_SELECTOR: "IST0166", "IneffectiveSelector", Warning, "a policy selects a Kubernetes Gateway's pod, where selectors do not count";
    INEFFECTIVE_POLICY: "IST0167", "IneffectivePolicy", Warning, "an object has no effect in ambient mode";
    UPDATE_INCOMPATIBILITY: "IST0169", "UpdateIncompatibility", Warning, "an upgrade changes behaviour";
    MULTI_CLUSTER_INCONSISTENT_SERVICE: "IST0170", "MultiClusterInconsistentService", Warning, "clusters disagree about a Service";
    NEGATIVE_CONDITION_STATUS: "IST0171", "NegativeConditionStatus", Warning, "an object's status says that it does not work";
    UNSUPPORTED_FUTURE_GATEWAY_API_VERSION: "IST0172", "UnsupportedFutureGatewayAPIVersion", Warning, "the Gateway API's definitions are newer than what is known";
    DESTINATION_RULE_SUBSET_NOT_SELECT_PODS: "IST0173", "DestinationRuleSubsetNotSelectPods", Error, "a subset selects no pod";
    UNKNOWN_DESTINATION_RULE_HOST: "IST0174", "UnknownDestinationRuleHost", Warning, "a DestinationRule's host is not known";
    JWKS_URI_FETCH_UNRESTRICTED: "IST0175", "JwksUriFetchUnrestricted", Warning, "keys may be fetched from anywhere";
    GATEWAY_APICRD_VERSION_BELOW_MINIMUM: "IST0176", "GatewayAPICRDVersionBelowMinimum", Warning, "a definition of the Gateway API is too old";
    CONFLICTING_SERVICE_ENTRY_PROTOCOL: "IST0177", "ConflictingServiceEntryProtocol", Warning, "ServiceEntries disagree about a port's protocol";
    NOT_IN_FORCE: "MSH0001", "NotInForce", Warning, "an object says what this mesh does not do yet";
    ROUTE_NEVER_MATCHES: "MSH0002", "RouteNeverMatches", Warning, "a rule can never match, whatever the request";
    DESTINATION_RULE_CONFLICT: "MSH0003", "DestinationRuleConflict", Warning, "several DestinationRules claim one host";
    HOST_OF_OTHER_NAMESPACE: "MSH0004", "HostOfOtherNamespace", Warning, "an object changes another namespace's service for everybody";
    REGEX_LOOKS_LIKE_GLOB: "MSH0005", "RegexLooksLikeGlob", Warning, "a regular expression does not mean what it looks like";
    SERVICE_ENTRY_CAPTURES_MORE: "MSH0006", "ServiceEntryCapturesMore", Warning, "a ServiceEntry takes traffic of hosts that it does not name";
    ROUTE_NOT_ATTACHED: "MSH0007", "RouteNotAttached", Warning, "a route of the Gateway API does not attach, or names what is not there";
    PROVIDER_NOT_ASKED: "MSH0008", "ProviderNotAsked", Error, "a CUSTOM policy names a provider that cannot be asked, and refuses what it matches";
    SERVICE_ENTRY_CONFLICT: "MSH0009", "ServiceEntryConflict", Warning, "a ServiceEntry's host is another object's already";
}
