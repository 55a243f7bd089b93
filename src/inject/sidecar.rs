//! The sidecar itself: a native one (an init container that restarts always), so that it is up before the app and
//! ends after it; or a classic one, beside the app's containers, which holds them back until it is ready.

use serde_json::{Map, Value, json};

use super::{annotation, capture, probes};

/// Name of the proxy's container.
pub const SIDECAR: &str = "istio-proxy";

const STATUS: &str = "sidecar.istio.io/status";
const TEMPLATES: &str = "inject.istio.io/templates";
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";
const POD_TEMPLATE_HASH: &str = "pod-template-hash";
/// Longest value of a label, in bytes.
const LABEL_LIMIT: usize = 63;

/// The variable that says for how long a proxy goes on once it was told to end.
pub const LINGER: &str = "TERMINATION_DRAIN_DURATION";

/// The annotation that says whether a pod's sidecar is a native one.
const NATIVE: &str = "sidecar.istio.io/nativeSidecar";
/// The annotation that names a pod's own image of the proxy.
const PROXY_IMAGE: &str = "sidecar.istio.io/proxyImage";
/// The annotations that say what a pod's proxy asks for and may use.
const RESOURCES: [(&str, &str, &str); 4] = [
    ("sidecar.istio.io/proxyCPU", "requests", "cpu"),
    ("sidecar.istio.io/proxyMemory", "requests", "memory"),
    ("sidecar.istio.io/proxyCPULimit", "limits", "cpu"),
    ("sidecar.istio.io/proxyMemoryLimit", "limits", "memory"),
];

/// Volumes with what a proxy proves itself with, and whom it believes.
const TOKEN_VOLUME: &str = "istio-token";
const ROOTS_VOLUME: &str = "istiod-ca-cert";

/// Who runs a pod's containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Host {
    /// A kubelet: the proxy is a program in a container, traffic is led to it by rules in the pod's network.
    #[default]
    Kubelet,
    /// The built-in runtime, which hosts the proxy itself and sees to everything around it.
    Runtime,
}

/// What the mesh's owner decides about sidecars.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Image of the proxy.
    pub image: String,
    /// The control plane's revision.
    pub revision: String,
    /// The cluster's name.
    pub cluster: String,
    /// `trustDomain` of the mesh.
    pub trust_domain: String,
    /// Where the control plane answers, `host:port`.
    pub discovery_address: String,
    /// Who runs the pods.
    pub host: Host,
    /// `imagePullPolicy` of the proxy; Kubernetes' own where there is none.
    pub pull_policy: Option<String>,
    /// `resources` of the proxy.
    pub resources: Option<Value>,
    /// Sidecars are native ones, unless a pod says otherwise.
    pub native: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            image: "mesh/proxy".to_owned(),
            revision: super::DEFAULT_REVISION.to_owned(),
            cluster: "Kubernetes".to_owned(),
            trust_domain: "cluster.local".to_owned(),
            discovery_address: "istiod.istio-system.svc:15012".to_owned(),
            host: Host::default(),
            pull_policy: None,
            resources: None,
            native: true,
        }
    }
}

/// What [`inject`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A sidecar was added.
    Injected,
    /// The pod is a gateway: its own proxy container was completed.
    Gateway,
    /// The pod has its sidecar already.
    AlreadyThere,
}

/// A pod that cannot be injected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InjectError {
    /// The value is not a pod.
    #[error("pod {name}: {path} is not {expected}; the object is not a Pod")]
    Shape {
        /// The pod's name, as far as it is known.
        name: String,
        /// The field.
        path: &'static str,
        /// What belongs there.
        expected: &'static str,
    },
    /// An annotation says something that cannot be done.
    #[error("pod {name}: annotation {annotation}: {reason}")]
    Annotation {
        /// The pod's name, as far as it is known.
        name: String,
        /// The annotation.
        annotation: &'static str,
        /// What is wrong with it, and what can be written instead.
        reason: String,
    },
}

/// Adds the sidecar, the labels by which the mesh knows the pod and the status annotation. A pod that is refused is left as it was.
///
/// # Errors
/// It is no pod, or an annotation says what cannot be done.
pub fn inject(pod: &mut Value, settings: &Settings) -> Result<Outcome, InjectError> {
    let mut injected = pod.clone();
    let outcome = add(&mut injected, settings)?;
    *pod = injected;
    Ok(outcome)
}

fn add(pod: &mut Value, settings: &Settings) -> Result<Outcome, InjectError> {
    let name = pod_name(pod);
    let shape = |path, expected| InjectError::Shape { name: name.clone(), path, expected };
    let workload = workload_name(pod);

    let spec = pod.get("spec").ok_or_else(|| shape("spec", "an object"))?;
    let containers =
        spec.get("containers").and_then(Value::as_array).ok_or_else(|| shape("spec.containers", "a list"))?;
    let app_name = containers.iter().find_map(|container| container.get("name")).cloned();
    if annotation::text(pod, STATUS).is_some() || names(spec.get("initContainers")).any(|name| name == SIDECAR) {
        return Ok(Outcome::AlreadyThere);
    }
    let gateway = annotation::text(pod, TEMPLATES) == Some("gateway")
        || containers.iter().any(|container| is_named(container, SIDECAR) && image_of(container) == Some("auto"));
    if !gateway && names(spec.get("containers")).any(|name| name == SIDECAR) {
        return Ok(Outcome::AlreadyThere);
    }

    let mut added = Added::default();
    if gateway {
        let image = annotation::text(pod, PROXY_IMAGE).unwrap_or(&settings.image).to_owned();
        let containers = pod.pointer_mut("/spec/containers").and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten().filter(|container| is_named(container, SIDECAR)) {
            complete_gateway(container, settings, &image);
        }
        added.containers.push(SIDECAR);
    } else {
        let wrong = |(annotation, reason)| InjectError::Annotation { name: name.clone(), annotation, reason };
        let native = annotation::switch(pod, NATIVE).map_err(wrong)?.unwrap_or(settings.native);
        let mut proxy = sidecar(pod, settings, &workload);
        let mut first = Vec::new();
        if settings.host == Host::Kubelet {
            if let Some(capture) = capture::container(pod, settings).map_err(wrong)? {
                added.init.push(capture::NAME);
                first.push(capture);
            }
            if let Some(probed) = probes::rewrite(pod).map_err(wrong)? {
                push_env(&mut proxy, json!({"name": probes::VARIABLE, "value": probed}));
            }
        }
        let list = if native { "initContainers" } else { "containers" };
        for field in ["initContainers", "containers"] {
            let spec = pod.get_mut("spec").and_then(Value::as_object_mut).ok_or_else(|| shape("spec", "an object"))?;
            let containers = spec.entry(field).or_insert_with(|| json!([]));
            if containers.is_null() {
                *containers = json!([]);
            }
            let expected = if field == "containers" { "spec.containers" } else { "spec.initContainers" };
            let containers = containers.as_array_mut().ok_or_else(|| shape(expected, "a list"))?;
            if field == list {
                complete_sidecar(&mut proxy, native);
                containers.insert(0, proxy.take());
            }
            if field == "initContainers" {
                containers.splice(0..0, first.drain(..));
            }
        }
        if native { added.init.push(SIDECAR) } else { added.containers.push(SIDECAR) }
    }
    if settings.host == Host::Kubelet {
        added.volumes = add_volumes(pod).ok_or_else(|| shape("spec.volumes", "a list"))?;
    }

    let (canonical_name, canonical_revision) = canonical(pod, &workload);
    let labels = section(pod, "labels").ok_or_else(|| shape("metadata.labels", "an object"))?;
    for (label, value) in [
        ("security.istio.io/tlsMode", "istio".to_owned()),
        ("service.istio.io/canonical-name", canonical_name),
        ("service.istio.io/canonical-revision", canonical_revision),
    ] {
        labels.entry(label).or_insert(Value::String(value));
    }
    let annotations = section(pod, "annotations").ok_or_else(|| shape("metadata.annotations", "an object"))?;
    let Added { init, containers, volumes } = added;
    let status = json!({
        "initContainers": init, "containers": containers, "volumes": volumes, "revision": settings.revision,
    });
    annotations.insert(STATUS.to_owned(), Value::String(status.to_string()));
    if settings.host == Host::Kubelet && !annotations.contains_key("prometheus.io/scrape") {
        for (key, value) in [("scrape", "true"), ("port", "15020"), ("path", "/stats/prometheus")] {
            annotations.insert(format!("prometheus.io/{key}"), value.into());
        }
    }
    annotations.entry("istio.io/rev").or_insert_with(|| Value::String(settings.revision.clone()));
    if let Some(app) = app_name {
        annotations.entry(DEFAULT_CONTAINER).or_insert(app);
    }
    Ok(if gateway { Outcome::Gateway } else { Outcome::Injected })
}

/// What injection added, by name.
#[derive(Default)]
struct Added {
    init: Vec<&'static str>,
    containers: Vec<&'static str>,
    volumes: Vec<&'static str>,
}

fn pod_name(pod: &Value) -> String {
    let metadata = pod.get("metadata");
    ["name", "generateName"].iter().find_map(|field| metadata?.get(field)?.as_str()).unwrap_or("(unnamed)").to_owned()
}

fn label<'a>(pod: &'a Value, name: &str) -> Option<&'a str> {
    pod.get("metadata")?.get("labels")?.get(name)?.as_str().filter(|value| !value.is_empty())
}

fn names(containers: Option<&Value>) -> impl Iterator<Item = &str> {
    containers.and_then(Value::as_array).into_iter().flatten().filter_map(|container| container.get("name")?.as_str())
}

fn is_named(container: &Value, name: &str) -> bool {
    container.get("name").and_then(Value::as_str) == Some(name)
}

fn image_of(container: &Value) -> Option<&str> {
    container.get("image").and_then(Value::as_str)
}

/// `metadata.labels` or `metadata.annotations`, made where it is missing.
fn section<'a>(pod: &'a mut Value, name: &str) -> Option<&'a mut Map<String, Value>> {
    let metadata = pod.as_object_mut()?.entry("metadata").or_insert_with(|| json!({})).as_object_mut()?;
    let section = metadata.entry(name).or_insert_with(|| json!({}));
    if section.is_null() {
        *section = json!({});
    }
    section.as_object_mut()
}

/// The workload a pod belongs to: its Deployment where a ReplicaSet made the pod, else its controller, else itself.
fn workload_name(pod: &Value) -> String {
    let owners = pod.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let controller =
        owners.into_iter().flatten().find(|owner| owner.get("controller").and_then(Value::as_bool) == Some(true));
    let Some((kind, owner)) =
        controller.and_then(|owner| Some((owner.get("kind")?.as_str()?, owner.get("name")?.as_str()?)))
    else {
        return pod_name(pod).trim_end_matches('-').to_owned();
    };
    match label(pod, POD_TEMPLATE_HASH) {
        Some(hash) if kind == "ReplicaSet" => {
            owner.strip_suffix(hash).and_then(|name| name.strip_suffix('-')).unwrap_or(owner).to_owned()
        }
        _ => owner.to_owned(),
    }
}

/// Canonical service name and revision, by Istio's order of labels.
fn canonical(pod: &Value, workload: &str) -> (String, String) {
    let first = |labels: &[&str]| labels.iter().find_map(|name| label(pod, name)).map(str::to_owned);
    let mut name = first(&["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"])
        .unwrap_or_else(|| workload.to_owned());
    name.truncate(name.floor_char_boundary(LABEL_LIMIT));
    // A label's value ends in a letter or digit.
    name.truncate(name.trim_end_matches(|last: char| !last.is_ascii_alphanumeric()).len());
    let revision = first(&["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"])
        .unwrap_or_else(|| "latest".to_owned());
    (name, revision)
}

fn environment(settings: &Settings, workload: Option<&str>) -> Value {
    let field = |name: &str, path: &str| json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": path } } });
    let mut env = vec![
        field("POD_NAME", "metadata.name"),
        field("POD_NAMESPACE", "metadata.namespace"),
        field("INSTANCE_IP", "status.podIP"),
        field("SERVICE_ACCOUNT", "spec.serviceAccountName"),
        field("HOST_IP", "status.hostIP"),
        json!({ "name": "CA_ADDR", "value": settings.discovery_address }),
        json!({ "name": "TRUST_DOMAIN", "value": settings.trust_domain }),
        json!({ "name": "ISTIO_META_CLUSTER_ID", "value": settings.cluster }),
    ];
    if let Some(workload) = workload {
        env.push(json!({ "name": "ISTIO_META_WORKLOAD_NAME", "value": workload }));
    }
    Value::Array(env)
}

fn probe(period_seconds: u32, failure_threshold: u32) -> Value {
    json!({
        "httpGet": { "path": "/healthz/ready", "port": 15021 },
        "periodSeconds": period_seconds,
        "timeoutSeconds": 3,
        "failureThreshold": failure_threshold,
    })
}

/// How the proxy is started: what a node that hosts it itself does not need to be told.
fn arguments(settings: &Settings, gateway: bool) -> Value {
    let mut arguments = vec!["proxy"];
    if settings.host == Host::Kubelet {
        arguments.extend(["--xds-address", &settings.discovery_address]);
        if gateway {
            arguments.extend(["--router", "--bind", "0.0.0.0"]);
        }
    }
    json!(arguments)
}

fn sidecar(pod: &Value, settings: &Settings, workload: &str) -> Value {
    let mut proxy = json!({
        "name": SIDECAR,
        "image": annotation::text(pod, PROXY_IMAGE).unwrap_or(&settings.image),
        "args": arguments(settings, false),
        "ports": [{ "name": "http-envoy-prom", "containerPort": 15090, "protocol": "TCP" }],
        "env": environment(settings, Some(workload)),
        "startupProbe": probe(1, 600),
        "readinessProbe": probe(15, 4),
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": { "drop": ["ALL"] },
            "privileged": false,
            "readOnlyRootFilesystem": true,
            "runAsGroup": capture::PROXY_ID,
            "runAsNonRoot": true,
            "runAsUser": capture::PROXY_ID,
        },
    });
    if let Some(fields) = proxy.as_object_mut() {
        if let Some(policy) = &settings.pull_policy {
            fields.insert("imagePullPolicy".to_owned(), json!(policy));
        }
        let mut resources = settings.resources.clone().unwrap_or_else(|| json!({}));
        for (name, section, resource) in RESOURCES {
            if let (Some(amount), Some(resources)) = (annotation::text(pod, name), resources.as_object_mut()) {
                let section = resources.entry(section).or_insert_with(|| json!({}));
                if let Some(section) = section.as_object_mut() {
                    section.insert(resource.to_owned(), json!(amount));
                }
            }
        }
        if resources.as_object().is_some_and(|resources| !resources.is_empty()) {
            fields.insert("resources".to_owned(), resources);
        }
        if settings.host == Host::Kubelet {
            fields.insert("volumeMounts".to_owned(), mounts());
        }
    }
    proxy
}

/// What a sidecar needs to come before the application: a native one says so; a classic one holds the containers behind it
/// back by the hook that a kubelet waits for.
fn complete_sidecar(proxy: &mut Value, native: bool) {
    let Some(fields) = proxy.as_object_mut() else { return };
    if native {
        fields.insert("restartPolicy".to_owned(), json!("Always"));
    } else {
        fields.remove("startupProbe");
        let wait = json!({"postStart": {"exec": {"command": ["mesh", "await-proxy"]}}});
        fields.insert("lifecycle".to_owned(), wait);
        // It is told to end together with the application, which may have something to say or to answer yet; a native one after it.
        push_env(proxy, json!({"name": LINGER, "value": "5s"}));
    }
}

fn push_env(container: &mut Value, variable: Value) {
    if let Some(env) = container.get_mut("env").and_then(Value::as_array_mut) {
        env.push(variable);
    }
}

fn mounts() -> Value {
    json!([
        {"name": TOKEN_VOLUME, "mountPath": "/var/run/secrets/tokens", "readOnly": true},
        {"name": ROOTS_VOLUME, "mountPath": "/var/run/secrets/istio", "readOnly": true},
    ])
}

/// Adds the proxy's volumes, those that the pod does not have already; `None` where what stands there is no list.
fn add_volumes(pod: &mut Value) -> Option<Vec<&'static str>> {
    let wanted = [
        (
            TOKEN_VOLUME,
            json!({"name": TOKEN_VOLUME, "projected": {"sources": [{"serviceAccountToken": {
                "audience": "istio-ca", "expirationSeconds": 43200, "path": "istio-token",
            }}]}}),
        ),
        (ROOTS_VOLUME, json!({"name": ROOTS_VOLUME, "configMap": {"name": "istio-ca-root-cert"}})),
    ];
    let volumes = pod.get_mut("spec")?.as_object_mut()?.entry("volumes").or_insert_with(|| json!([]));
    if volumes.is_null() {
        *volumes = json!([]);
    }
    let volumes = volumes.as_array_mut()?;
    let mut added = Vec::new();
    for (name, volume) in wanted {
        if !volumes.iter().any(|present| is_named(present, name)) {
            volumes.push(volume);
            added.push(name);
        }
    }
    Some(added)
}

/// A gateway's deployment names its container and leaves the rest to injection.
fn complete_gateway(container: &mut Value, settings: &Settings, image: &str) {
    let Some(fields) = container.as_object_mut() else { return };
    if matches!(fields.get("image").and_then(Value::as_str), None | Some("auto")) {
        fields.insert("image".to_owned(), json!(image));
    }
    fields.entry("args").or_insert_with(|| arguments(settings, true));
    fields.entry("readinessProbe").or_insert_with(|| probe(if settings.host == Host::Kubelet { 2 } else { 15 }, 4));
    if settings.host == Host::Kubelet {
        let present = fields.entry("volumeMounts").or_insert_with(|| json!([]));
        if let (Some(present), Value::Array(wanted)) = (present.as_array_mut(), mounts()) {
            present.extend(wanted);
        }
    }
    let env = fields.entry("env").or_insert_with(|| json!([]));
    if let (Some(present), Value::Array(wanted)) = (env.as_array_mut(), environment(settings, None)) {
        for variable in wanted {
            let name = variable.get("name");
            if !present.iter().any(|existing| existing.get("name") == name) {
                present.push(variable);
            }
        }
    }
}
