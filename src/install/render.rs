//! From a plan to objects, in the order in which they are applied.

use serde_json::{Map, Value, json};

use crate::install::customise::customise;
use crate::install::manifest::{Manifest, manifest};
use crate::install::order::rank;
use crate::install::plan::{GatewayPlan, Plan, Platform};
use crate::install::settings::{K8s, ProxyValues, Tree, Utilization};
use crate::install::webhook::{self, Injector};
use crate::install::{COMPONENT, Error, MANAGED_BY, REVISION, VERSION};
use crate::resources;
use crate::yaml;

const BASE: Manifest = manifest!("base");
const MESH_CONFIG: Manifest = manifest!("mesh-config");
const ISTIOD: Manifest = manifest!("istiod");
const AUTOSCALE: Manifest = manifest!("autoscale");
const DISRUPTION: Manifest = manifest!("disruption");
const VALIDATION: Manifest = manifest!("validation");
const STABLE: Manifest = manifest!("stable");
const GATEWAY: Manifest = manifest!("gateway");

/// Kinds that the built-in runtime has no use for: it brings its own definitions, gives rights otherwise, and scales nothing.
const NOT_IN_THE_RUNTIME: [&str; 7] = [
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "HorizontalPodAutoscaler",
    "PodDisruptionBudget",
];

/// What of the mesh's ProxyConfig is settled when a proxy is started.
const STARTED_WITH: [&str; 4] =
    ["concurrency", "holdApplicationUntilProxyStarts", "proxyMetadata", "terminationDrainDuration"];

/// The objects of an installation. The same plan yields the same objects in the same order.
///
/// # Errors
/// An overlay that fits nothing.
pub fn render(plan: &Plan) -> Result<Vec<Value>, Error> {
    let values = values(plan);
    let mut objects = Vec::new();
    let components = &plan.settings.components;
    if plan.installs_base() {
        let mut base: Vec<Value> = resources::crds().collect();
        base.extend(BASE.fill(&values)?);
        add(&mut objects, plan, "Base", base, components.base.k8s.as_ref())?;
    }
    if plan.installs_pilot() {
        let mut pilot = MESH_CONFIG.fill(&values)?;
        if plan.platform == Platform::Kubernetes {
            pilot.extend(control_plane(plan, &values)?);
        }
        add(&mut objects, plan, "Pilot", pilot, components.pilot.k8s.as_ref())?;
    } else if plan.installs_remote() && plan.platform == Platform::Kubernetes {
        let remote = vec![injection(plan)];
        add(&mut objects, plan, "IstiodRemote", remote, components.istiod_remote.k8s.as_ref())?;
    }
    for gateway in plan.gateways() {
        let rendered = gateway_objects(plan, &gateway, &values)?;
        add(&mut objects, plan, gateway.component, rendered, gateway.gateway.k8s.as_ref())?;
    }
    if plan.platform == Platform::Runtime {
        objects.retain(|object| !NOT_IN_THE_RUNTIME.iter().any(|kind| object["kind"] == *kind));
    }
    // A stable sort: within a rank, as rendered.
    objects.sort_by_key(rank);
    Ok(objects)
}

/// Completes a part's objects and adds them.
fn add(
    objects: &mut Vec<Value>,
    plan: &Plan,
    component: &str,
    mut part: Vec<Value>,
    k8s: Option<&K8s>,
) -> Result<(), Error> {
    if let Some(k8s) = k8s {
        customise(&mut part, k8s)?;
    }
    for object in &mut part {
        let definition = object["kind"] == "CustomResourceDefinition";
        let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { continue };
        let labels = metadata.entry("labels").or_insert_with(|| json!({}));
        let Some(labels) = labels.as_object_mut() else { continue };
        let mut label = |key: &str, value: &str| labels.insert(key.to_owned(), value.into());
        label(MANAGED_BY.0, MANAGED_BY.1);
        label(COMPONENT, component);
        label("operator.istio.io/version", VERSION);
        // Definitions serve every revision.
        if !definition {
            label(REVISION, plan.revision());
        }
    }
    objects.append(&mut part);
    Ok(())
}

/// What the manifests' places stand for.
fn values(plan: &Plan) -> Value {
    let values = &plan.settings.values;
    let global = &values.global;
    let pilot = &values.pilot;
    let pull_secrets: Vec<Value> = global.image_pull_secrets.iter().map(|name| json!({ "name": name })).collect();
    let replicas = if pilot.autoscale_enabled { None } else { Some(pilot.replica_count.unwrap_or(1)) };
    json!({
        "namespace": plan.namespace(),
        "revision": plan.revision(),
        "suffix": plan.suffix(),
        "image": plan.image(),
        "pullPolicy": plan.pull_policy(plan.settings.components.pilot.k8s.as_ref()).as_str(),
        "pullSecrets": if pull_secrets.is_empty() { Value::Null } else { Value::Array(pull_secrets) },
        "cluster": global.multi_cluster.cluster_name,
        "domain": global.proxy.cluster_domain,
        "logLevel": global.logging.level,
        "meshConfig": yaml::to_string(&plan.mesh_config()),
        "podSecurity": pod_security(plan),
        "containerSecurity": container_security(plan),
        "pilot": {
            "replicas": replicas,
            "resources": tree(pilot.resources.as_ref()),
            "args": control_plane_arguments(plan),
        },
        "validated": if plan.is_default() { Value::Null } else {
            json!({"matchExpressions": [{"key": REVISION, "operator": "In", "values": [plan.revision()]}]})
        },
    })
}

/// How `mesh control-plane` is started.
fn control_plane_arguments(plan: &Plan) -> Vec<String> {
    let domain = &plan.settings.values.global.proxy.cluster_domain;
    let config = plan.mesh_config();
    let text = |pointer: &str| config.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let mut arguments = vec![
        "control-plane".to_owned(),
        format!("--domain={domain}"),
        format!("--trust-domain={}", text("/trustDomain")),
        format!("--discovery-address={}", plan.discovery_address()),
        format!("--proxy-image={}", plan.image()),
        format!("--proxy-pull-policy={}", plan.settings.values.global.image_pull_policy.as_str()),
    ];
    if let Some(Tree(resources)) = &plan.settings.values.global.proxy.resources {
        arguments.push(format!("--proxy-resources={resources}"));
    }
    arguments.extend(
        plan.settings.values.global.image_pull_secrets.iter().map(|name| format!("--proxy-pull-secret={name}")),
    );
    let of_pods = annotations_of_pods(&plan.settings.values.global.proxy);
    arguments.extend(of_pods.into_iter().map(|(name, value)| format!("--proxy-annotation={name}={value}")));
    // What of it proxies are started with; the rest of it they are told.
    if let Some(Value::Object(proxies)) = config.get("defaultConfig") {
        let started_with: Map<String, Value> = proxies
            .iter()
            .filter(|(field, _)| STARTED_WITH.contains(&field.as_str()))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        if !started_with.is_empty() {
            arguments.push(format!("--proxy-config={}", Value::Object(started_with)));
        }
    }
    // Istio's switch.
    let native = plan.settings.values.pilot.env.get("ENABLE_NATIVE_SIDECARS");
    if native.is_some_and(|Tree(value)| crate::install::plan::text(value) == "false") {
        arguments.push("--classic-sidecars".to_owned());
    }
    // Proxies of a revision call its Service by this name.
    let suffix = plan.suffix();
    if !suffix.is_empty() {
        arguments.push(format!("--name=istiod{suffix}.{}.svc", plan.namespace()));
    }
    if !text("/accessLogFile").is_empty() {
        arguments.push("--access-log".to_owned());
    }
    if text("/outboundTrafficPolicy/mode") == "REGISTRY_ONLY" {
        arguments.push("--registry-only".to_owned());
    }
    arguments
}

/// Settings of all sidecars that a pod's annotation sets for its own.
fn annotations_of_pods(proxy: &ProxyValues) -> Vec<(&'static str, &str)> {
    let settings = [
        ("traffic.sidecar.istio.io/includeOutboundIPRanges", &proxy.include_ip_ranges),
        ("traffic.sidecar.istio.io/excludeOutboundIPRanges", &proxy.exclude_ip_ranges),
        ("traffic.sidecar.istio.io/includeInboundPorts", &proxy.include_inbound_ports),
        ("traffic.sidecar.istio.io/excludeInboundPorts", &proxy.exclude_inbound_ports),
        ("traffic.sidecar.istio.io/includeOutboundPorts", &proxy.include_outbound_ports),
        ("traffic.sidecar.istio.io/excludeOutboundPorts", &proxy.exclude_outbound_ports),
        ("sidecar.istio.io/logLevel", &proxy.log_level),
    ];
    settings.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect()
}

fn tree(fragment: Option<&Tree>) -> Value {
    fragment.map_or(Value::Null, |Tree(fragment)| fragment.clone())
}

/// Where the cluster chooses users, pods name none.
fn pod_security(plan: &Plan) -> Value {
    if plan.openshift() { Value::Null } else { json!({"fsGroup": 1337}) }
}

fn container_security(plan: &Plan) -> Value {
    let mut security = json!({
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": true,
        "runAsNonRoot": true,
    });
    if let (false, Some(security)) = (plan.openshift(), security.as_object_mut()) {
        security.insert("runAsUser".to_owned(), 1337.into());
        security.insert("runAsGroup".to_owned(), 1337.into());
    }
    security
}

fn control_plane(plan: &Plan, values: &Value) -> Result<Vec<Value>, Error> {
    let pilot = &plan.settings.values.pilot;
    let mut objects = ISTIOD.fill(values)?;
    let own = K8s {
        affinity: pilot.affinity.clone(),
        env: pilot
            .env
            .iter()
            .map(|(name, Tree(value))| Tree(variable(name, value)))
            .chain(pilot.env_var_from.iter().cloned())
            .collect(),
        strategy: rolling(pilot.rolling_max_surge.as_ref(), pilot.rolling_max_unavailable.as_ref()),
        node_selector: pilot.node_selector.clone(),
        pod_annotations: pilot.pod_annotations.clone(),
        priority_class_name: plan.settings.values.global.priority_class_name.clone(),
        tolerations: pilot.tolerations.clone(),
        ..nothing()
    };
    customise(&mut objects, &own)?;
    let name = format!("istiod{}", plan.suffix());
    let labels = json!({"app": "istiod", "istio": "pilot"});
    let selector = json!({"app": "istiod", REVISION: plan.revision()});
    if pilot.autoscale_enabled {
        let limits =
            Scale::new((pilot.autoscale_min, pilot.autoscale_max), (pilot.cpu.as_ref(), pilot.memory.as_ref()));
        let budget = plan.settings.components.pilot.k8s.as_ref().and_then(|k8s| k8s.pod_disruption_budget.as_ref());
        objects.extend(scaling(&name, plan.namespace(), &labels, &selector, &limits, budget.is_some())?);
    }
    objects.push(injection(plan));
    objects.extend(VALIDATION.fill(values)?);
    if plan.installs_stable_policy() {
        objects.extend(STABLE.fill(values)?);
    }
    Ok(objects)
}

fn nothing() -> K8s {
    K8s {
        affinity: None,
        env: Vec::new(),
        hpa_spec: None,
        image_pull_policy: None,
        node_selector: Default::default(),
        pod_annotations: Default::default(),
        pod_disruption_budget: None,
        priority_class_name: None,
        readiness_probe: None,
        replica_count: None,
        resources: None,
        security_context: None,
        service: None,
        service_annotations: Default::default(),
        strategy: None,
        tolerations: Vec::new(),
        overlays: Vec::new(),
    }
}

fn variable(name: &str, value: &Value) -> Value {
    json!({"name": name, "value": crate::install::plan::text(value)})
}

/// The webhook of the revision.
fn injection(plan: &Plan) -> Value {
    let global = &plan.settings.values.global;
    let path = match (global.multi_cluster.cluster_name.as_str(), global.network.as_str()) {
        _ if !plan.installs_remote() => "/inject".to_owned(),
        (cluster, network) => {
            let escape = |text: &str| text.replace('/', "--slash--");
            format!("/inject/cluster/{}/net/{}", escape(cluster), escape(network))
        }
    };
    let injector = Injector { service: format!("istiod{}", plan.suffix()), namespace: plan.namespace(), path };
    let everywhere = plan.settings.values.injector.enable_namespaces_by_default;
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {
            "name": webhook::name(&plan.suffix(), plan.namespace()),
            "labels": {"app": "sidecar-injector"},
        },
        "webhooks": webhook::entries(&injector, plan.revision(), plan.is_default(), everywhere),
    })
}

/// From how many replicas to how many.
struct Scale {
    min: u32,
    max: u32,
    /// The metric's target, in per cent.
    cpu: u32,
    /// The same; not looked at where there is none.
    memory: Option<u32>,
}

/// The part of the processors' time that it asks for, in per cent, from which on something is scaled (Istio's).
const BUSY: u32 = 80;

impl Scale {
    fn new((min, max): (u32, u32), (cpu, memory): (Option<&Utilization>, Option<&Utilization>)) -> Self {
        let target = |metric: Option<&Utilization>| metric.and_then(|metric| metric.target_average_utilization);
        Self { min, max, cpu: target(cpu).unwrap_or(BUSY), memory: target(memory) }
    }
}

/// How many pods there may be while they are replaced, where it is said.
fn rolling(surge: Option<&Tree>, unavailable: Option<&Tree>) -> Option<Tree> {
    let mut limits = Map::new();
    for (field, limit) in [("maxSurge", surge), ("maxUnavailable", unavailable)] {
        if let Some(Tree(limit)) = limit {
            limits.insert(field.to_owned(), limit.clone());
        }
    }
    (!limits.is_empty()).then(|| Tree(json!({ "rollingUpdate": limits })))
}

fn scaling(
    name: &str,
    namespace: &str,
    labels: &Value,
    selector: &Value,
    limits: &Scale,
    budget: bool,
) -> Result<Vec<Value>, Error> {
    let values = json!({
        "name": name,
        "workloadNamespace": namespace,
        "labels": labels,
        "selector": selector,
        "min": limits.min,
        "max": limits.max,
        "cpu": limits.cpu,
        "memory": limits.memory.map(|target| {
            let target = json!({"type": "Utilization", "averageUtilization": target});
            json!({"type": "Resource", "resource": {"name": "memory", "target": target}})
        }),
    });
    let mut objects = AUTOSCALE.fill(&values)?;
    // With one replica a budget would keep nodes from being emptied.
    if budget || limits.min > 1 {
        objects.extend(DISRUPTION.fill(&values)?);
    }
    Ok(objects)
}

fn gateway_objects(plan: &Plan, gateway: &GatewayPlan<'_>, shared: &Value) -> Result<Vec<Value>, Error> {
    let own = gateway.values;
    let autoscale = own.and_then(|values| values.autoscale_enabled).unwrap_or(false);
    let listed = own.map_or(&[][..], |values| values.ports.as_slice());
    let ports: Vec<Value> = listed
        .iter()
        .map(|port| {
            let mut entry = json!({
                "name": port.name,
                "port": port.port,
                "targetPort": port.target_port.unwrap_or(port.port),
                "protocol": port.protocol.as_deref().unwrap_or("TCP"),
            });
            if let (Some(node_port), Some(entry)) = (port.node_port, entry.as_object_mut()) {
                entry.insert("nodePort".to_owned(), node_port.into());
            }
            entry
        })
        .collect();
    let container_ports: Vec<Value> = listed
        .iter()
        .map(|port| {
            let protocol = port.protocol.as_deref().unwrap_or("TCP");
            json!({"name": port.name, "containerPort": port.target_port.unwrap_or(port.port), "protocol": protocol})
        })
        .collect();
    let mut pod_labels = gateway.labels.clone();
    if let Some(labels) = pod_labels.as_object_mut() {
        labels.insert("sidecar.istio.io/inject".to_owned(), "true".into());
        labels.insert("service.istio.io/canonical-name".to_owned(), json!(gateway.gateway.name));
        labels.insert("service.istio.io/canonical-revision".to_owned(), "latest".into());
        // The pods of another revision are injected by that revision.
        if !plan.is_default() {
            labels.insert(REVISION.to_owned(), plan.revision().into());
        }
    }
    let env: Vec<Value> =
        own.into_iter().flat_map(|values| &values.env).map(|(name, Tree(value))| variable(name, value)).collect();
    let service_type = own.and_then(|values| values.service_type).map_or("LoadBalancer", |kind| kind.as_str());
    let places = json!({
        "name": gateway.gateway.name,
        "workloadNamespace": gateway.namespace,
        "labels": gateway.labels,
        "podLabels": pod_labels,
        "serviceType": service_type,
        "ports": ports,
        "containerPorts": container_ports,
        "env": if env.is_empty() { Value::Null } else { Value::Array(env) },
        "replicas": if autoscale { Value::Null } else { json!(1) },
        "resources": own.map_or(Value::Null, |values| tree(values.resources.as_ref())),
        "image": gateway.image,
        "pullPolicy": plan.pull_policy(gateway.gateway.k8s.as_ref()).as_str(),
        "pullSecrets": shared["pullSecrets"],
        "podSecurity": shared["podSecurity"],
        "containerSecurity": shared["containerSecurity"],
    });
    let mut objects = GATEWAY.fill(&places)?;
    if let Some(values) = own {
        let mut service = Map::new();
        if let Some(address) = &values.load_balancer_ip {
            service.insert("loadBalancerIP".to_owned(), json!(address));
        }
        if !values.load_balancer_source_ranges.is_empty() {
            service.insert("loadBalancerSourceRanges".to_owned(), json!(values.load_balancer_source_ranges));
        }
        if let Some(policy) = &values.external_traffic_policy {
            service.insert("externalTrafficPolicy".to_owned(), json!(policy));
        }
        let fragments = K8s {
            service: Some(Tree(Value::Object(service))),
            service_annotations: values.service_annotations.clone(),
            strategy: rolling(values.rolling_max_surge.as_ref(), values.rolling_max_unavailable.as_ref()),
            node_selector: values.node_selector.clone(),
            tolerations: values.tolerations.clone(),
            pod_annotations: values.pod_annotations.clone(),
            priority_class_name: plan.settings.values.global.priority_class_name.clone(),
            ..nothing()
        };
        customise(&mut objects, &fragments)?;
        if autoscale {
            let limits = Scale::new(
                (values.autoscale_min.unwrap_or(1), values.autoscale_max.unwrap_or(5)),
                (values.cpu.as_ref(), values.memory.as_ref()),
            );
            let budget = gateway.gateway.k8s.as_ref().is_some_and(|k8s| k8s.pod_disruption_budget.is_some());
            let name = &gateway.gateway.name;
            objects.extend(scaling(name, gateway.namespace, &gateway.labels, &gateway.labels, &limits, budget)?);
        }
    }
    Ok(objects)
}
