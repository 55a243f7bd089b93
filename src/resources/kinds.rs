//! The kinds that mesh has a name for: how they are addressed, and what mesh does with them.

use serde_json::Value;

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// API group; empty for Kubernetes' core.
    pub group: &'static str,
    /// Served versions; the first is the one that is stored and preferred.
    pub versions: &'static [&'static str],
    /// Name of the kind.
    pub kind: &'static str,
    /// Name in URLs.
    pub plural: &'static str,
    /// Name of one object in messages and on the command line.
    pub singular: &'static str,
    /// Short names on the command line.
    pub short_names: &'static [&'static str],
    /// Whether its objects live in namespaces.
    pub scope: Scope,
    /// What mesh does with it.
    pub support: Support,
}

/// Where objects of a kind live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In a namespace.
    Namespaced,
    /// In the cluster as a whole.
    Cluster,
}

/// What mesh does with a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// It is configuration of the mesh: typed and validated. What of it is not in force,
    /// [`enforcement`](super::enforcement) says.
    Configuration,
    /// It is Kubernetes' own; its rules are not checked here.
    Kubernetes,
}

impl Kind {
    /// `group/version` of the preferred version.
    pub fn api_version(&self) -> String {
        let version = self.versions.first().copied().unwrap_or_default();
        if self.group.is_empty() { version.to_owned() } else { format!("{}/{version}", self.group) }
    }

    /// Whether `api_version` is one that this kind is served in.
    pub fn serves(&self, api_version: &str) -> bool {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        group == self.group && self.versions.contains(&version)
    }

    /// Every `group/version` that this kind is served in.
    pub fn api_versions(&self) -> impl Iterator<Item = String> {
        self.versions.iter().map(|version| match self.group {
            "" => (*version).to_owned(),
            group => format!("{group}/{version}"),
        })
    }
}

const NETWORKING: &[&str] = &["v1", "v1beta1", "v1alpha3"];

const fn istio(
    group: &'static str,
    versions: &'static [&'static str],
    kind: &'static str,
    [plural, singular]: [&'static str; 2],
    short_names: &'static [&'static str],
    support: Support,
) -> Kind {
    Kind { group, versions, kind, plural, singular, short_names, scope: Scope::Namespaced, support }
}

/// Served versions and the one that is preferred, as the experimental channel of the Gateway API has them.
const fn gateway_api(
    versions: &'static [&'static str],
    kind: &'static str,
    [plural, singular]: [&'static str; 2],
    short_names: &'static [&'static str],
    scope: Scope,
) -> Kind {
    let (group, support) = ("gateway.networking.k8s.io", Support::Configuration);
    Kind { group, versions, kind, plural, singular, short_names, scope, support }
}

const fn kubernetes(
    group: &'static str,
    kind: &'static str,
    [plural, singular]: [&'static str; 2],
    short_names: &'static [&'static str],
    scope: Scope,
) -> Kind {
    Kind { group, versions: &["v1"], kind, plural, singular, short_names, scope, support: Support::Kubernetes }
}

/// Every kind that mesh has a name for.
pub const KINDS: &[Kind] = {
    use Scope::{Cluster, Namespaced};
    use Support::Configuration;
    &[
        istio(
            "networking.istio.io",
            NETWORKING,
            "VirtualService",
            ["virtualservices", "virtualservice"],
            &["vs"],
            Configuration,
        ),
        istio(
            "networking.istio.io",
            NETWORKING,
            "DestinationRule",
            ["destinationrules", "destinationrule"],
            &["dr"],
            Configuration,
        ),
        istio("networking.istio.io", NETWORKING, "Gateway", ["gateways", "gateway"], &["gw"], Configuration),
        istio(
            "security.istio.io",
            &["v1", "v1beta1"],
            "PeerAuthentication",
            ["peerauthentications", "peerauthentication"],
            &["pa"],
            Configuration,
        ),
        istio(
            "security.istio.io",
            &["v1", "v1beta1"],
            "RequestAuthentication",
            ["requestauthentications", "requestauthentication"],
            &["ra"],
            Configuration,
        ),
        istio(
            "security.istio.io",
            &["v1", "v1beta1"],
            "AuthorizationPolicy",
            ["authorizationpolicies", "authorizationpolicy"],
            &["ap"],
            Configuration,
        ),
        istio(
            "networking.istio.io",
            NETWORKING,
            "ServiceEntry",
            ["serviceentries", "serviceentry"],
            &["se"],
            Configuration,
        ),
        istio("networking.istio.io", NETWORKING, "Sidecar", ["sidecars", "sidecar"], &[], Configuration),
        istio(
            "networking.istio.io",
            NETWORKING,
            "WorkloadEntry",
            ["workloadentries", "workloadentry"],
            &["we"],
            Configuration,
        ),
        istio(
            "networking.istio.io",
            NETWORKING,
            "WorkloadGroup",
            ["workloadgroups", "workloadgroup"],
            &["wg"],
            Configuration,
        ),
        istio("networking.istio.io", &["v1alpha3"], "EnvoyFilter", ["envoyfilters", "envoyfilter"], &[], Configuration),
        istio("networking.istio.io", &["v1beta1"], "ProxyConfig", ["proxyconfigs", "proxyconfig"], &[], Configuration),
        istio(
            "telemetry.istio.io",
            &["v1", "v1alpha1"],
            "Telemetry",
            ["telemetries", "telemetry"],
            &["telemetry"],
            Configuration,
        ),
        istio("extensions.istio.io", &["v1alpha1"], "WasmPlugin", ["wasmplugins", "wasmplugin"], &[], Configuration),
        istio(
            "extensions.istio.io",
            &["v1alpha1"],
            "TrafficExtension",
            ["trafficextensions", "trafficextension"],
            &[],
            Configuration,
        ),
        gateway_api(&["v1", "v1beta1"], "GatewayClass", ["gatewayclasses", "gatewayclass"], &["gc"], Cluster),
        gateway_api(&["v1", "v1beta1"], "Gateway", ["gateways", "gateway"], &["gtw"], Namespaced),
        gateway_api(&["v1", "v1beta1"], "HTTPRoute", ["httproutes", "httproute"], &[], Namespaced),
        gateway_api(&["v1"], "GRPCRoute", ["grpcroutes", "grpcroute"], &[], Namespaced),
        gateway_api(&["v1", "v1alpha2", "v1alpha3"], "TLSRoute", ["tlsroutes", "tlsroute"], &[], Namespaced),
        gateway_api(&["v1", "v1alpha2"], "TCPRoute", ["tcproutes", "tcproute"], &[], Namespaced),
        gateway_api(&["v1", "v1alpha2"], "UDPRoute", ["udproutes", "udproute"], &[], Namespaced),
        gateway_api(&["v1"], "ListenerSet", ["listenersets", "listenerset"], &["lset"], Namespaced),
        gateway_api(
            &["v1", "v1beta1"],
            "ReferenceGrant",
            ["referencegrants", "referencegrant"],
            &["refgrant"],
            Namespaced,
        ),
        gateway_api(
            &["v1", "v1alpha3"],
            "BackendTLSPolicy",
            ["backendtlspolicies", "backendtlspolicy"],
            &["btlspolicy"],
            Namespaced,
        ),
        kubernetes("", "Namespace", ["namespaces", "namespace"], &["ns"], Cluster),
        kubernetes("", "Node", ["nodes", "node"], &["no"], Cluster),
        kubernetes("", "Pod", ["pods", "pod"], &["po"], Namespaced),
        kubernetes("", "Service", ["services", "service"], &["svc"], Namespaced),
        kubernetes("", "ServiceAccount", ["serviceaccounts", "serviceaccount"], &["sa"], Namespaced),
        kubernetes("", "ConfigMap", ["configmaps", "configmap"], &["cm"], Namespaced),
        kubernetes("", "Secret", ["secrets", "secret"], &[], Namespaced),
        kubernetes("", "Event", ["events", "event"], &["ev"], Namespaced),
        kubernetes("apps", "Deployment", ["deployments", "deployment"], &["deploy"], Namespaced),
        kubernetes("apps", "ReplicaSet", ["replicasets", "replicaset"], &["rs"], Namespaced),
        kubernetes("discovery.k8s.io", "EndpointSlice", ["endpointslices", "endpointslice"], &[], Namespaced),
        kubernetes("coordination.k8s.io", "Lease", ["leases", "lease"], &[], Namespaced),
        kubernetes(
            "apiextensions.k8s.io",
            "CustomResourceDefinition",
            ["customresourcedefinitions", "customresourcedefinition"],
            &["crd", "crds"],
            Cluster,
        ),
    ]
};

/// The kind with this name in this group; any version will do.
pub fn find(group: &str, kind: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|known| known.group == group && known.kind == kind)
}

/// The kind of an object, by its `apiVersion` and `kind`. `None` for kinds that mesh has no name for.
pub fn of(object: &Value) -> Option<&'static Kind> {
    let api_version = object.get("apiVersion")?.as_str()?;
    let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
    find(group, object.get("kind")?.as_str()?)
}

/// The kind that a word on the command line means: `vs`, `virtualservice`, `virtualservices`, `VirtualService` or
/// `virtualservices.networking.istio.io`. Letters' case does not matter.
pub fn by_name(word: &str) -> Option<&'static Kind> {
    let (name, group) = match word.split_once('.') {
        Some((name, group)) => (name, Some(group)),
        None => (word, None),
    };
    KINDS.iter().find(|kind| {
        let names = [kind.plural, kind.singular, kind.kind];
        group.is_none_or(|group| kind.group == group)
            && names.iter().chain(kind.short_names).any(|known| known.eq_ignore_ascii_case(name))
    })
}
