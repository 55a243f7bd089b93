//! The analyzers, one per file, in one table.

mod annotations;
mod application_uid;
mod authorization;
mod blocked_cidrs;
mod conditions;
mod deployment;
mod deprecation;
mod destination_rule;
mod envoy_filter;
mod external_control_plane;
mod gateway_api;
mod gateway_api_routes;
mod gateway_certificate;
mod gateway_conflict;
mod gateway_port;
mod gateway_secret;
mod injection;
mod injection_auto;
mod injection_image;
mod mesh_networks;
mod own;
mod regex;
mod schema;
mod selection;
mod service_clusters;
mod service_entry;
mod service_port;
mod shadowed;
mod sidecar;
mod telemetry;
mod virtual_service_claims;
mod virtual_service_destination;
mod virtual_service_gateway;
mod virtual_service_hosts;
mod webhook;

use super::codes::REFERENCED_RESOURCE_NOT_FOUND;
use super::message::Found;
use super::object::{Labels, Object};
use super::snapshot::Snapshot;
use crate::yaml::Segment;

/// Something that looks for faults of one sort.
#[derive(Clone, Copy)]
pub struct Analyzer {
    /// Its name, for the command line.
    pub name: &'static str,
    /// What it looks for.
    pub about: &'static str,
    /// The kind that it looks at, for those of which there is one for each kind.
    kind: &'static str,
    run: Run,
    /// Whether it runs unless it is asked for.
    pub default: bool,
    /// Kinds whose absence it takes for a fault.
    needs: &'static [&'static str],
}

#[derive(Clone, Copy)]
enum Run {
    All(fn(&Snapshot, &mut Found)),
    Kind(fn(&Snapshot, &str, &mut Found)),
}

impl Analyzer {
    /// Whether what it takes for a fault may as well stand in files that were not named: it looks for objects of a kind of
    /// which there is none at all.
    pub fn lacks(&self, snapshot: &Snapshot) -> Option<&'static str> {
        // What is there beside the files is no sign that the files hold any.
        let written = |object: &Object| object.is_from_file() || *object.namespace != *snapshot.options.istio_namespace;
        let is_there = |kind: &str| match kind {
            "Pod" => snapshot.pods().iter().any(written),
            kind => snapshot.all(kind).iter().any(written),
        };
        self.needs.iter().copied().find(|kind| !is_there(kind))
    }

    /// Looks.
    pub fn run(&self, snapshot: &Snapshot, found: &mut Found) {
        match self.run {
            Run::All(run) => run(snapshot, found),
            Run::Kind(run) => run(snapshot, self.kind, found),
        }
    }
}

const fn row(name: &'static str, about: &'static str, run: fn(&Snapshot, &mut Found)) -> Analyzer {
    Analyzer { name, about, kind: "", run: Run::All(run), default: true, needs: &[] }
}

impl Analyzer {
    const fn needs(self, needs: &'static [&'static str]) -> Self {
        Self { needs, ..self }
    }
}

const fn schema_of(name: &'static str, kind: &'static str) -> Analyzer {
    Analyzer { name, about: "Breaks of the kind's rules", kind, run: Run::Kind(schema::run), default: true, needs: &[] }
}

/// Every analyzer, under the name that Istio gives it where it has one.
pub const ANALYZERS: &[Analyzer] = &[
    row(
        "annotations.K8sAnalyzer",
        "Annotations that are unknown, misplaced, deprecated or invalid",
        annotations::use_of,
    ),
    Analyzer {
        default: false,
        ..row("annotations.AlphaAnalyzer", "Annotations that are not stable yet", annotations::stability)
    },
    row("applicationUID.Analyzer", "Applications that run as the proxy's user", application_uid::run),
    row("auth.AuthorizationPoliciesAnalyzer", "Policies that select nothing", authorization::run)
        .needs(&["Pod", "Namespace"]),
    row("authn.BlockedCIDRsAnalyzer", "Keys that may be fetched from anywhere", blocked_cidrs::run),
    row("conditions.ConditionAnalyzer", "Objects whose status is negative", conditions::run),
    row("deployment.MultiServiceAnalyzer", "Services of one Deployment that disagree", deployment::run),
    row("deprecation.DeprecationAnalyzer", "What is deprecated", deprecation::run),
    row(
        "destinationrule.CaCertificateAnalyzer",
        "TLS to servers that are not checked",
        destination_rule::unchecked_servers,
    ),
    row(
        "destinationrule.SubsetSelectPodAnalyzer",
        "Hosts that are not known and empty subsets",
        destination_rule::subsets,
    )
    .needs(&["Service", "Pod"]),
    row("envoyfilter.EnvoyPatchAnalyzer", "Changes that depend on others", envoy_filter::run),
    row("externalcontrolplane.ExternalControlPlaneAnalyzer", "Webhooks that lead nowhere", external_control_plane::run),
    row("gateway.CertificateAnalyzer", "Gateways that share a certificate", gateway_certificate::run),
    row("gateway.ConflictingGatewayAnalyzer", "Gateways that claim the same hosts", gateway_conflict::run)
        .needs(&["Pod"]),
    row("gateway.IngressGatewayPortAnalyzer", "Ports that no Service opens", gateway_port::run)
        .needs(&["Pod", "Service"]),
    row("gateway.SecretAnalyzer", "Secrets that are missing or can't be used", gateway_secret::run)
        .needs(&["Pod", "Secret"]),
    row("injection.Analyzer", "Namespaces and pods without proxies", injection::run),
    row("injection.ImageAnalyzer", "Pods with another proxy than would be injected", injection_image::run),
    row("injection.ImageAutoAnalyzer", "Pods that rely on injection and are not injected", injection_auto::run),
    row("k8sgateway.CRDVersionAnalyzer", "Definitions of the Gateway API that are too old", gateway_api::versions),
    row("k8sgateway.SelectorAnalyzer", "Selectors that do not count", gateway_api::selectors),
    row("meshnetworks.MeshNetworksAnalyzer", "Networks of unknown registries", mesh_networks::run),
    row("service.PortNameAnalyzer", "Ports that do not say their protocol", service_port::run),
    row("serviceentry.Analyzer", "ServiceEntries that need addresses", service_entry::addresses),
    row(
        "serviceentry.ConflictingServiceEntryProtocolAnalyzer",
        "ServiceEntries that disagree",
        service_entry::protocols,
    ),
    row("services.MultiClusterServiceAnalyzer", "Services that differ between clusters", service_clusters::run),
    row("sidecar.SelectorAnalyzer", "Sidecars that select nothing, or a pod together", sidecar::run).needs(&["Pod"]),
    row("telemetry.DefaultSelectorAnalyzer", "Several Telemetries of one namespace", telemetry::namespaces),
    row("telemetry.LightstepAnalyzer", "Tracing by Lightstep", telemetry::lightstep),
    row("telemetry.ProviderAnalyzer", "Access logging without a provider", telemetry::providers),
    row("telemetry.SelectorAnalyzer", "Telemetries that select nothing, or a pod together", telemetry::selectors)
        .needs(&["Pod"]),
    row(
        "virtualservice.ConflictingMeshGatewayHostsAnalyzer",
        "Hosts that several VirtualServices claim",
        virtual_service_hosts::run,
    ),
    row(
        "virtualservice.DestinationHostAnalyzer",
        "Destinations that are not there",
        virtual_service_destination::hosts,
    )
    .needs(&["Service"]),
    row("virtualservice.DestinationRuleAnalyzer", "Subsets that are not there", virtual_service_destination::subsets)
        .needs(&["DestinationRule"]),
    row(
        "virtualservice.GatewayAnalyzer",
        "Gateways that are not there, or serve other hosts",
        virtual_service_gateway::run,
    )
    .needs(&["Gateway"]),
    row("virtualservice.JWTClaimRouteAnalyzer", "Routes on claims that nobody reads", virtual_service_claims::run),
    row("webhook.Analyzer", "Injection webhooks that are ambiguous or lead nowhere", webhook::run).needs(&["Service"]),
    schema_of("schema.ValidationAnalyzer.AuthorizationPolicy", "AuthorizationPolicy"),
    schema_of("schema.ValidationAnalyzer.DestinationRule", "DestinationRule"),
    schema_of("schema.ValidationAnalyzer.EnvoyFilter", "EnvoyFilter"),
    schema_of("schema.ValidationAnalyzer.Gateway", "Gateway"),
    schema_of("schema.ValidationAnalyzer.PeerAuthentication", "PeerAuthentication"),
    schema_of("schema.ValidationAnalyzer.ProxyConfig", "ProxyConfig"),
    schema_of("schema.ValidationAnalyzer.RequestAuthentication", "RequestAuthentication"),
    schema_of("schema.ValidationAnalyzer.ServiceEntry", "ServiceEntry"),
    schema_of("schema.ValidationAnalyzer.Sidecar", "Sidecar"),
    schema_of("schema.ValidationAnalyzer.Telemetry", "Telemetry"),
    schema_of("schema.ValidationAnalyzer.TrafficExtension", "TrafficExtension"),
    schema_of("schema.ValidationAnalyzer.VirtualService", "VirtualService"),
    schema_of("schema.ValidationAnalyzer.WasmPlugin", "WasmPlugin"),
    schema_of("schema.ValidationAnalyzer.WorkloadEntry", "WorkloadEntry"),
    schema_of("schema.ValidationAnalyzer.WorkloadGroup", "WorkloadGroup"),
    row("schema.ValidationAnalyzer.GatewayAPI", "Breaks of the rules of the Gateway API's kinds", schema::gateway_api),
    row("schema.ValidationAnalyzer.MeshConfig", "Breaks of the rules of MeshConfig and MeshNetworks", schema::settings),
    row("mesh.EnforcementAnalyzer", "What this mesh does not do yet", own::not_in_force),
    row("mesh.DestinationRuleAnalyzer", "Several DestinationRules for one host", own::destination_rules),
    row("mesh.NamespaceAnalyzer", "Rules for another namespace's services", own::other_namespaces),
    row("mesh.RouteAnalyzer", "Rules that never get a request", shadowed::run),
    row("mesh.RegexAnalyzer", "Regular expressions that look like something else", regex::run),
    row("mesh.HostAnalyzer", "ServiceEntries for hosts that are taken", own::claimed_hosts),
    row("mesh.ServiceEntryAnalyzer", "ServiceEntries with others' addresses", own::service_entries),
    row("mesh.GatewayRouteAnalyzer", "Routes of the Gateway API that do not attach", gateway_api_routes::run)
        .needs(&["Service"]),
    row("mesh.ProviderAnalyzer", "Providers that cannot be asked", authorization::providers).needs(&["ConfigMap"]),
];

/// Notes that a selector selects no pod.
fn no_such_selector(object: &Object, selector: &Labels<'_>, steps: &[&str], found: &mut Found) {
    let labels: Vec<String> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let first = selector.keys().next().map(|key| Segment::from(*key));
    let place = steps.iter().map(|step| Segment::from(*step)).chain(first).collect();
    let text = format!("There is no pod with the labels {}: the {} has no effect.", labels.join(","), object.kind);
    found.at(REFERENCED_RESOURCE_NOT_FOUND, object, &place, text);
}
