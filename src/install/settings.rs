//! The settings of an installation: the `spec` of an IstioOperator, as far as mesh knows what to do with it.
//!
//! Field names are Istio's (<https://istio.io/latest/docs/reference/config/istio.operator.v1alpha1/>). What is missing here
//! has no meaning for mesh and is refused, so that nobody believes a setting to be in force that is not. What the default
//! profile always says is required; everything else is optional.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::resources::field::{Cx, Field, names, record};
use crate::resources::mesh_config;

/// A fragment of Kubernetes' or the mesh's own configuration, which is passed on as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree(pub Value);

impl Field for Tree {
    const REQUIRED: bool = false;

    fn schema() -> Value {
        json!({"x-kubernetes-preserve-unknown-fields": true})
    }

    fn decode(value: &Value, _cx: &mut Cx) -> Option<Self> {
        Some(Self(value.clone()))
    }

    fn encode(&self) -> Option<Value> {
        Some(self.0.clone())
    }
}

type Texts = BTreeMap<String, String>;

record! {
    /// What an installation is to be.
    pub struct Settings {
        /// The profile that these settings were laid on.
        profile: Option<String> = "profile";
        /// Registry and path of the images.
        hub: String = "hub";
        /// Tag of the images; the version of mesh unless said otherwise.
        tag: Option<Tree> = "tag";
        /// Namespace of the control plane.
        namespace: String = "namespace";
        /// Revision of the control plane.
        revision: Option<String> = "revision";
        /// What holds for the whole mesh (MeshConfig).
        mesh_config: Option<Tree> = "meshConfig";
        /// The parts.
        components: Components = "components";
        /// Settings of the parts, under the names of Istio's charts.
        values: Values = "values";
    }
    check: settings;
}

record! {
    /// The parts of a mesh.
    pub struct Components {
        /// Definitions, and the rights of remote control planes.
        base: Component = "base";
        /// The control plane.
        pilot: Component = "pilot";
        /// Injection by a control plane in another cluster.
        istiod_remote: Component = "istiodRemote";
        /// Gateways into the mesh.
        ingress_gateways: Vec<GatewayComponent> = "ingressGateways";
        /// Gateways out of the mesh.
        egress_gateways: Vec<GatewayComponent> = "egressGateways";
        /// Ambient mode's network plugin.
        cni: Option<Component> = "cni";
        /// Ambient mode's proxy.
        ztunnel: Option<Component> = "ztunnel";
    }
    check: components;
}

record! {
    /// A part of a mesh.
    pub struct Component {
        /// Whether it is installed.
        enabled: Option<bool> = "enabled";
        /// Registry and path of its image, where it differs.
        hub: Option<String> = "hub";
        /// Tag of its image, where it differs.
        tag: Option<Tree> = "tag";
        /// How Kubernetes runs it.
        k8s: Option<K8s> = "k8s";
    }
}

record! {
    /// A gateway.
    pub struct GatewayComponent {
        /// Name of its Deployment and Service.
        name: String = "name";
        /// Whether it is installed.
        enabled: Option<bool> = "enabled";
        /// Its namespace, where it differs from the control plane's.
        namespace: Option<String> = "namespace";
        /// Registry and path of its image, where it differs.
        hub: Option<String> = "hub";
        /// Tag of its image, where it differs.
        tag: Option<Tree> = "tag";
        /// Labels by which Gateways select it.
        label: Texts = "label";
        /// How Kubernetes runs it.
        k8s: Option<K8s> = "k8s";
    }
}

record! {
    /// How Kubernetes runs a part: fragments of its Deployment, Service, HorizontalPodAutoscaler and PodDisruptionBudget.
    pub struct K8s {
        /// `affinity` of the pods.
        affinity: Option<Tree> = "affinity";
        /// Further environment variables.
        env: Vec<Tree> = "env";
        /// `spec` of the HorizontalPodAutoscaler.
        hpa_spec: Option<Tree> = "hpaSpec";
        /// `imagePullPolicy` of the containers.
        image_pull_policy: Option<PullPolicy> = "imagePullPolicy";
        /// `nodeSelector` of the pods.
        node_selector: Texts = "nodeSelector";
        /// Further annotations of the pods.
        pod_annotations: Texts = "podAnnotations";
        /// `spec` of the PodDisruptionBudget.
        pod_disruption_budget: Option<Tree> = "podDisruptionBudget";
        /// `priorityClassName` of the pods.
        priority_class_name: Option<String> = "priorityClassName";
        /// `readinessProbe` of the container.
        readiness_probe: Option<Tree> = "readinessProbe";
        /// Number of pods, where nothing scales them.
        replica_count: Option<u32> = "replicaCount";
        /// `resources` of the container.
        resources: Option<Tree> = "resources";
        /// `securityContext` of the pods.
        security_context: Option<Tree> = "securityContext";
        /// `spec` of the Service.
        service: Option<Tree> = "service";
        /// Annotations of the Service.
        service_annotations: Texts = "serviceAnnotations";
        /// `strategy` of the Deployment.
        strategy: Option<Tree> = "strategy";
        /// `tolerations` of the pods.
        tolerations: Vec<Tree> = "tolerations";
        /// Changes of single fields of rendered objects.
        overlays: Vec<Overlay> = "overlays";
    }
}

record! {
    /// Changes of one rendered object.
    pub struct Overlay {
        /// Not compared: kind and name say which object is meant.
        api_version: Option<String> = "apiVersion";
        /// Its kind.
        kind: String = "kind";
        /// Its name.
        name: String = "name";
        /// The changes, in order.
        patches: Vec<Patch> = "patches";
    }
}

record! {
    /// One change.
    pub struct Patch {
        /// Where: `spec.template.spec.containers.[name:discovery].args.[-1]`.
        path: String = "path";
        /// What is to be there; null removes.
        value: Option<Tree> = "value";
    }
}

names! {
    /// When a node fetches an image.
    pub enum PullPolicy {
        /// At every start.
        Always = "Always",
        /// Where it is missing.
        IfNotPresent = "IfNotPresent",
        /// Never.
        Never = "Never",
    }
}

names! {
    /// What the cluster is.
    pub enum PlatformName {
        /// OpenShift, which chooses the users that pods run as.
        Openshift = "openshift",
    }
}

record! {
    /// Settings under the names of Istio's charts.
    pub struct Values {
        /// The revision that `istio-injection=enabled` stands for.
        default_revision: Option<String> = "defaultRevision";
        /// The revision; the same as the setting above it.
        revision: Option<String> = "revision";
        /// The same as the setting above it; laid over it.
        mesh_config: Option<Tree> = "meshConfig";
        /// What holds for every part.
        global: Global = "global";
        /// The control plane.
        pilot: PilotValues = "pilot";
        /// Gateways, by name.
        gateways: BTreeMap<String, GatewayValues> = "gateways";
        /// Injection.
        injector: Injector = "sidecarInjectorWebhook";
        /// What is on trial.
        experimental: Option<Experimental> = "experimental";
    }
    check: values;
}

record! {
    /// What holds for every part.
    pub struct Global {
        /// Registry and path of the images; the same as `hub`.
        hub: Option<String> = "hub";
        /// Tag of the images; the same as `tag`.
        tag: Option<Tree> = "tag";
        /// Namespace of the control plane; the same as `namespace`.
        istio_namespace: Option<String> = "istioNamespace";
        /// When nodes fetch images.
        image_pull_policy: PullPolicy = "imagePullPolicy";
        /// Names of the Secrets that fetch images.
        image_pull_secrets: Vec<String> = "imagePullSecrets";
        /// Logs.
        logging: Logging = "logging";
        /// Name of the mesh.
        mesh_id: Option<String> = "meshID";
        /// Network of this cluster.
        network: String = "network";
        /// This cluster among others.
        multi_cluster: MultiCluster = "multiCluster";
        /// What the cluster is.
        platform: Option<PlatformName> = "platform";
        /// `priorityClassName` of every part.
        priority_class_name: Option<String> = "priorityClassName";
        /// Proxies.
        proxy: ProxyValues = "proxy";
        /// Where the control plane is found, when it is in another cluster.
        remote_pilot_address: Option<String> = "remotePilotAddress";
    }
    check: global;
}

record! {
    /// Logs.
    pub struct Logging {
        /// Their level: error, warn, info or debug.
        level: String = "level";
    }
}

record! {
    /// One cluster among others.
    pub struct MultiCluster {
        /// Its name.
        cluster_name: String = "clusterName";
    }
}

record! {
    /// Proxies.
    pub struct ProxyValues {
        /// Domain of the cluster.
        cluster_domain: String = "clusterDomain";
        /// Level of the proxies' logs.
        log_level: Option<String> = "logLevel";
        /// Ranges of addresses, connections to which are captured, where a pod does not say.
        include_ip_ranges: Option<String> = "includeIPRanges";
        /// Ranges of addresses, connections to which are not.
        exclude_ip_ranges: Option<String> = "excludeIPRanges";
        /// Ports of pods, connections to which are captured.
        include_inbound_ports: Option<String> = "includeInboundPorts";
        /// Ports of pods, connections to which are not.
        exclude_inbound_ports: Option<String> = "excludeInboundPorts";
        /// Ports, connections to which are captured wherever they go.
        include_outbound_ports: Option<String> = "includeOutboundPorts";
        /// Ports, connections to which are not, wherever they go.
        exclude_outbound_ports: Option<String> = "excludeOutboundPorts";
        /// What a sidecar asks for and may use.
        resources: Option<Tree> = "resources";
    }
    check: proxy_values;
}

record! {
    /// The control plane.
    pub struct PilotValues {
        /// Whether a HorizontalPodAutoscaler scales it.
        autoscale_enabled: bool = "autoscaleEnabled";
        /// From how many replicas.
        autoscale_min: u32 = "autoscaleMin";
        /// To how many replicas.
        autoscale_max: u32 = "autoscaleMax";
        /// Number of replicas, where nothing scales it.
        replica_count: Option<u32> = "replicaCount";
        /// Per cent of requests that are traced.
        trace_sampling: f64 = "traceSampling";
        /// Further environment variables.
        env: BTreeMap<String, Tree> = "env";
        /// The same, from elsewhere.
        env_var_from: Vec<Tree> = "envVarFrom";
        /// At which part of the processors' time it is scaled.
        cpu: Option<Utilization> = "cpu";
        /// At which part of the memory that it asks for it is scaled.
        memory: Option<Utilization> = "memory";
        /// How many more pods than needed there may be while they are replaced.
        rolling_max_surge: Option<Tree> = "rollingMaxSurge";
        /// How many fewer pods than needed there may be while they are replaced.
        rolling_max_unavailable: Option<Tree> = "rollingMaxUnavailable";
        /// What it asks for and may use.
        resources: Option<Tree> = "resources";
        /// `nodeSelector` of its pods.
        node_selector: Texts = "nodeSelector";
        /// `tolerations` of its pods.
        tolerations: Vec<Tree> = "tolerations";
        /// `affinity` of its pods.
        affinity: Option<Tree> = "affinity";
        /// Further annotations of its pods.
        pod_annotations: Texts = "podAnnotations";
    }
}

record! {
    /// When something is scaled.
    pub struct Utilization {
        /// The part of what it asks for that is to be used, in per cent.
        target_average_utilization: Option<u32> = "targetAverageUtilization";
    }
}

record! {
    /// A gateway.
    pub struct GatewayValues {
        /// Whether it is installed; the same as of the component.
        enabled: Option<bool> = "enabled";
        /// At which part of the processors' time it is scaled.
        cpu: Option<Utilization> = "cpu";
        /// At which part of the memory that it asks for it is scaled.
        memory: Option<Utilization> = "memory";
        /// How many more pods than needed there may be while they are replaced.
        rolling_max_surge: Option<Tree> = "rollingMaxSurge";
        /// How many fewer pods than needed there may be while they are replaced.
        rolling_max_unavailable: Option<Tree> = "rollingMaxUnavailable";
        /// `nodeSelector` of its pods.
        node_selector: Texts = "nodeSelector";
        /// `tolerations` of its pods.
        tolerations: Vec<Tree> = "tolerations";
        /// Further annotations of its pods.
        pod_annotations: Texts = "podAnnotations";
        /// Whether a HorizontalPodAutoscaler scales it.
        autoscale_enabled: Option<bool> = "autoscaleEnabled";
        /// From how many replicas.
        autoscale_min: Option<u32> = "autoscaleMin";
        /// To how many replicas.
        autoscale_max: Option<u32> = "autoscaleMax";
        /// Type of its Service.
        service_type: Option<ServiceType> = "type";
        /// Ports of its Service.
        ports: Vec<ServicePort> = "ports";
        /// Further environment variables.
        env: BTreeMap<String, Tree> = "env";
        /// What it asks for and may use.
        resources: Option<Tree> = "resources";
        /// Annotations of its Service.
        service_annotations: Texts = "serviceAnnotations";
        /// Address that its Service asks for.
        load_balancer_ip: Option<String> = "loadBalancerIP";
        /// Who may reach its Service.
        load_balancer_source_ranges: Vec<String> = "loadBalancerSourceRanges";
        /// What the Service does with traffic from outside.
        external_traffic_policy: Option<String> = "externalTrafficPolicy";
    }
}

names! {
    /// How a Service is reached.
    pub enum ServiceType {
        /// From inside the cluster.
        ClusterIp = "ClusterIP",
        /// From outside, by an address of its own.
        LoadBalancer = "LoadBalancer",
        /// From outside, by the nodes' addresses.
        NodePort = "NodePort",
    }
}

record! {
    /// A port of a Service.
    pub struct ServicePort {
        /// Its name.
        name: String = "name";
        /// Its number.
        port: u32 = "port";
        /// The port of the pods.
        target_port: Option<u32> = "targetPort";
        /// The port of the nodes.
        node_port: Option<u32> = "nodePort";
        /// TCP, unless said otherwise.
        protocol: Option<String> = "protocol";
    }
    check: service_port;
}

record! {
    /// Injection.
    pub struct Injector {
        /// Whether namespaces that say nothing are injected.
        enable_namespaces_by_default: bool = "enableNamespacesByDefault";
    }
}

record! {
    /// What is on trial.
    pub struct Experimental {
        /// Whether the API server refuses what is not stable.
        stable_validation_policy: Option<bool> = "stableValidationPolicy";
    }
}

/// Text that becomes part of names of objects: a label of DNS (RFC 1123).
fn is_dns_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| inner(byte) || byte == b'-')
        && text.bytes().next().is_some_and(inner)
        && text.bytes().last().is_some_and(inner)
}

const NAME_RULE: &str = "has to be lower-case letters, digits and dashes, 63 at most";

fn settings(settings: &Settings, cx: &mut Cx) {
    for (field, text) in [("namespace", Some(&settings.namespace)), ("revision", settings.revision.as_ref())] {
        if text.is_some_and(|text| !is_dns_label(text)) {
            cx.error_at(field, NAME_RULE);
        }
    }
    let hubs = [Some(&settings.hub), settings.values.global.hub.as_ref()];
    let image = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:".contains(&byte);
    if hubs.into_iter().flatten().any(|hub| hub.is_empty() || !hub.bytes().all(image)) {
        cx.error_at("hub", "has to be a registry and a path, such as registry.example.com/mesh");
    }
    if let Some(Tree(config)) = &settings.mesh_config {
        mesh_config::Settings::Mesh.check_field("meshConfig", config, cx);
    }
}

fn global(global: &Global, cx: &mut Cx) {
    if global.istio_namespace.as_ref().is_some_and(|name| !is_dns_label(name)) {
        cx.error_at("istioNamespace", NAME_RULE);
    }
}

/// What every pod would be refused for.
fn proxy_values(proxy: &ProxyValues, cx: &mut Cx) {
    const LEVELS: [&str; 8] = ["trace", "debug", "info", "warn", "warning", "error", "critical", "off"];

    if proxy.log_level.as_ref().is_some_and(|level| !LEVELS.contains(&level.as_str())) {
        cx.error_at("logLevel", format!("has to be one of {}", LEVELS.join(", ")));
    }
    let is_range: fn(&str) -> bool = |text| text.parse::<ipnet::IpNet>().is_ok();
    let is_port: fn(&str) -> bool = |text| text.parse::<u16>().is_ok_and(|port| port > 0);
    for (field, text, any, is_item, sentence) in [
        ("includeIPRanges", &proxy.include_ip_ranges, true, is_range, RANGES),
        ("excludeIPRanges", &proxy.exclude_ip_ranges, false, is_range, RANGES),
        ("includeInboundPorts", &proxy.include_inbound_ports, true, is_port, PORTS),
        ("excludeInboundPorts", &proxy.exclude_inbound_ports, false, is_port, PORTS),
        ("includeOutboundPorts", &proxy.include_outbound_ports, true, is_port, PORTS),
        ("excludeOutboundPorts", &proxy.exclude_outbound_ports, false, is_port, PORTS),
    ] {
        let Some(text) = text.as_deref().filter(|text| !(any && *text == "*")) else { continue };
        if !text.split(',').map(str::trim).filter(|item| !item.is_empty()).all(is_item) {
            cx.error_at(field, sentence);
        }
    }
}

const RANGES: &str = "has to be ranges of addresses with commas between, such as 10.0.0.0/8,192.168.0.0/16";
const PORTS: &str = "has to be ports from 1 to 65535 with commas between";

/// The same settings of the mesh under the name of Istio's charts.
fn values(values: &Values, cx: &mut Cx) {
    if values.revision.as_ref().is_some_and(|name| !name.is_empty() && !is_dns_label(name)) {
        cx.error_at("revision", NAME_RULE);
    }
    if let Some(Tree(config)) = &values.mesh_config {
        mesh_config::Settings::Mesh.check_field("meshConfig", config, cx);
    }
}

fn components(components: &Components, cx: &mut Cx) {
    for (field, component) in [("cni", &components.cni), ("ztunnel", &components.ztunnel)] {
        if component.as_ref().is_some_and(|component| component.enabled == Some(true)) {
            cx.error_at(field, "belongs to ambient mode, which mesh does not have yet: leave it disabled");
        }
    }
    let gateways = components.ingress_gateways.iter().chain(&components.egress_gateways);
    let mut names: Vec<(Option<&str>, &str)> = Vec::new();
    for gateway in gateways {
        let name = (gateway.namespace.as_deref(), gateway.name.as_str());
        if !is_dns_label(&gateway.name) {
            cx.error(format!("has a gateway {:?}, whose name {NAME_RULE}", gateway.name));
        } else if names.contains(&name) {
            cx.error(format!("has two gateways called {}: rename one", gateway.name));
        }
        if let Some(namespace) = gateway.namespace.as_deref().filter(|name| !is_dns_label(name)) {
            cx.error(format!("has gateway {} in namespace {namespace:?}, whose name {NAME_RULE}", gateway.name));
        }
        names.push(name);
    }
}

fn service_port(port: &ServicePort, cx: &mut Cx) {
    for (field, number) in [("port", Some(port.port)), ("targetPort", port.target_port), ("nodePort", port.node_port)] {
        if number.is_some_and(|number| number == 0 || number > 65535) {
            cx.error_at(field, "has to be from 1 to 65535");
        }
    }
}
