//! The annotations that Istio knows: how stable they are, where they belong, and what values they take.

/// How stable an annotation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It may change.
    Alpha,
    /// It is about to be stable.
    Beta,
    /// It stays.
    Stable,
}

/// What values an annotation takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Whatever it is.
    Any,
    /// A whole number from 0.
    Number,
    /// A port.
    Port,
    /// Yes or no.
    Bool,
    /// How traffic is captured.
    InterceptionMode,
    /// Ports, with commas between.
    Ports,
    /// The same, or `*`.
    PortsOrAll,
    /// Networks, with commas between.
    Networks,
    /// The same, or `*`.
    NetworksOrAll,
    /// Names, with commas between.
    Words,
    /// A quantity.
    Quantity,
    /// A mapping in YAML.
    Yaml,
}

/// An annotation of Istio's.
#[derive(Clone, Copy, Debug)]
pub struct Annotation {
    /// Its key.
    pub name: &'static str,
    /// How stable it is.
    pub status: Status,
    /// Whether it is on its way out.
    pub deprecated: bool,
    /// The kinds that it belongs on.
    pub kinds: &'static [&'static str],
    /// What values it takes.
    pub form: Form,
}

const fn row(name: &'static str, status: Status, kinds: &'static [&'static str], form: Form) -> Annotation {
    Annotation { name, status, deprecated: false, kinds, form }
}

impl Annotation {
    const fn deprecated(self) -> Self {
        Self { deprecated: true, ..self }
    }
}

use Form::{
    Any, Bool, InterceptionMode, Networks, NetworksOrAll, Number, Port, Ports, PortsOrAll, Quantity, Words, Yaml,
};
use Status::{Alpha, Beta, Stable};

/// All of them.
pub const ANNOTATIONS: &[Annotation] = &[
    row("prometheus.istio.io/merge-metrics", Alpha, &["Pod"], Bool),
    row("alpha.istio.io/kubernetes-serviceaccounts", Alpha, &["Service"], Any).deprecated(),
    row("alpha.istio.io/canonical-serviceaccounts", Alpha, &["Service"], Any).deprecated(),
    row("networking.istio.io/exportTo", Alpha, &["Service"], Any),
    row("sidecar.istio.io/inject", Beta, &["Pod"], Any).deprecated(),
    row("sidecar.istio.io/status", Alpha, &["Pod"], Any),
    row("sidecar.istio.io/rewriteAppHTTPProbers", Alpha, &["Pod"], Any),
    row("sidecar.istio.io/discoveryAddress", Alpha, &["Pod"], Any).deprecated(),
    row("sidecar.istio.io/proxyImage", Alpha, &["Pod"], Any),
    row("sidecar.istio.io/proxyImageType", Alpha, &["Pod"], Any),
    row("sidecar.istio.io/proxyCPU", Alpha, &["Pod"], Quantity),
    row("sidecar.istio.io/proxyCPULimit", Alpha, &["Pod"], Quantity),
    row("sidecar.istio.io/proxyMemory", Alpha, &["Pod"], Quantity),
    row("sidecar.istio.io/proxyMemoryLimit", Alpha, &["Pod"], Quantity),
    row("sidecar.istio.io/interceptionMode", Alpha, &["Pod"], InterceptionMode),
    row("sidecar.istio.io/bootstrapOverride", Alpha, &["Pod"], Any),
    row("sidecar.istio.io/statsInclusionPrefixes", Alpha, &["Pod"], Any).deprecated(),
    row("sidecar.istio.io/statsInclusionSuffixes", Alpha, &["Pod"], Any).deprecated(),
    row("sidecar.istio.io/statsInclusionRegexps", Alpha, &["Pod"], Any).deprecated(),
    row("sidecar.istio.io/statsHistogramBuckets", Alpha, &["Pod"], Any),
    row("sidecar.istio.io/statsFlushInterval", Alpha, &["Pod"], Any),
    row("sidecar.istio.io/statsEvictionInterval", Alpha, &["Pod"], Any),
    row("sidecar.istio.io/statsHistogramBins", Alpha, &["Pod"], Any),
    row("sidecar.istio.io/userVolume", Alpha, &["Pod"], Any),
    row("sidecar.istio.io/userVolumeMount", Alpha, &["Pod"], Any),
    row("status.sidecar.istio.io/port", Alpha, &["Pod"], Port),
    row("sidecar.istio.io/logLevel", Alpha, &["Pod"], Any),
    row("sidecar.istio.io/componentLogLevel", Alpha, &["Pod"], Any),
    row("sidecar.istio.io/agentLogLevel", Alpha, &["Pod"], Any),
    row("sidecar.istio.io/nativeSidecar", Alpha, &["Pod"], Any),
    row("readiness.status.sidecar.istio.io/initialDelaySeconds", Alpha, &["Pod"], Number),
    row("readiness.status.sidecar.istio.io/periodSeconds", Alpha, &["Pod"], Number),
    row("readiness.status.sidecar.istio.io/failureThreshold", Alpha, &["Pod"], Number),
    row("readiness.status.sidecar.istio.io/applicationPorts", Alpha, &["Pod"], Any),
    row("traffic.istio.io/nodeSelector", Stable, &["Service"], Any),
    row("traffic.sidecar.istio.io/includeOutboundIPRanges", Alpha, &["Pod"], NetworksOrAll),
    row("traffic.sidecar.istio.io/excludeOutboundIPRanges", Alpha, &["Pod"], Networks),
    row("traffic.sidecar.istio.io/includeInboundPorts", Alpha, &["Pod"], PortsOrAll),
    row("traffic.sidecar.istio.io/excludeInboundPorts", Alpha, &["Pod"], Ports),
    row("traffic.sidecar.istio.io/excludeInterfaces", Alpha, &["Pod"], Words),
    row("traffic.sidecar.istio.io/includeOutboundPorts", Alpha, &["Pod"], Any),
    row("traffic.sidecar.istio.io/excludeOutboundPorts", Alpha, &["Pod"], Ports),
    row("traffic.sidecar.istio.io/kubevirtInterfaces", Alpha, &["Pod"], Words).deprecated(),
    row("kubernetes.io/ingress.class", Stable, &["Ingress"], Any),
    row("galley.istio.io/analyze-suppress", Alpha, &["Any"], Any),
    row("proxy.istio.io/config", Beta, &["Pod"], Yaml),
    row("istio.io/dry-run", Alpha, &["AuthorizationPolicy"], Any),
    row("istio.io/rev", Alpha, &["Pod"], Any),
    row("proxy.istio.io/overrides", Alpha, &["Pod"], Any),
    row("inject.istio.io/templates", Alpha, &["Pod"], Any),
    row("sidecar.istio.io/extraStatTags", Alpha, &["Pod"], Any).deprecated(),
    row("istio.io/autoRegistrationGroup", Alpha, &["WorkloadEntry"], Any),
    row("istio.io/workloadController", Alpha, &["WorkloadEntry"], Any),
    row("istio.io/connectedAt", Alpha, &["WorkloadEntry"], Any),
    row("istio.io/disconnectedAt", Alpha, &["WorkloadEntry"], Any),
    row("topology.istio.io/controlPlaneClusters", Alpha, &["Namespace"], Any),
    row("gateway.istio.io/controller-version", Alpha, &["Any"], Any),
    row("ambient.istio.io/redirection", Beta, &["Pod"], Any),
    row("ambient.istio.io/waypoint-inbound-binding", Alpha, &["GatewayClass", "Gateway"], Any),
    row("gateway.istio.io/service-account", Alpha, &["Gateway"], Any),
    row("gateway.istio.io/name-override", Alpha, &["Gateway"], Any),
    row("networking.istio.io/service-type", Alpha, &["Gateway"], Any),
    row("networking.istio.io/traffic-distribution", Alpha, &["Namespace", "Service", "ServiceEntry"], Any),
    row("istio.io/use-waypoint-canary-weight", Alpha, &["Service", "ServiceEntry", "Namespace"], Any),
    row("ambient.istio.io/bypass-inbound-capture", Alpha, &["Pod"], Any),
    row("istio.io/reroute-virtual-interfaces", Alpha, &["Pod"], Words),
    row("ambient.istio.io/dns-capture", Alpha, &["Pod"], Any),
    row("sidecar.istio.io/statsCompression", Alpha, &["Pod"], Any).deprecated(),
];
