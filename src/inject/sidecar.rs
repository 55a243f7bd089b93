//! The sidecar itself: a native one (an init container that restarts always), so that it is up before the app and
//! ends after it.

use serde_json::{Map, Value, json};

/// Name of the proxy's container.
pub const SIDECAR: &str = "istio-proxy";

const STATUS: &str = "sidecar.istio.io/status";
const TEMPLATES: &str = "inject.istio.io/templates";
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";
const POD_TEMPLATE_HASH: &str = "pod-template-hash";
/// Longest value of a label, in bytes.
const LABEL_LIMIT: usize = 63;

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
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            image: "mesh/proxy".to_owned(),
            revision: super::DEFAULT_REVISION.to_owned(),
            cluster: "Kubernetes".to_owned(),
            trust_domain: "cluster.local".to_owned(),
            discovery_address: "istiod.istio-system.svc:15012".to_owned(),
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
}

/// Adds the sidecar, the labels by which the mesh knows the pod and the status annotation.
pub fn inject(pod: &mut Value, settings: &Settings) -> Result<Outcome, InjectError> {
    let name = pod_name(pod);
    let shape = |path, expected| InjectError::Shape { name: name.clone(), path, expected };
    let workload = workload_name(pod);

    let spec = pod.get("spec").ok_or_else(|| shape("spec", "an object"))?;
    let containers =
        spec.get("containers").and_then(Value::as_array).ok_or_else(|| shape("spec.containers", "a list"))?;
    let app_name = containers.iter().find_map(|container| container.get("name")).cloned();
    if annotation(pod, STATUS).is_some() || names(spec.get("initContainers")).any(|name| name == SIDECAR) {
        return Ok(Outcome::AlreadyThere);
    }
    let gateway = annotation(pod, TEMPLATES) == Some("gateway")
        || containers.iter().any(|container| is_named(container, SIDECAR) && image_of(container) == Some("auto"));
    if !gateway && names(spec.get("containers")).any(|name| name == SIDECAR) {
        return Ok(Outcome::AlreadyThere);
    }

    // Both are checked before anything is added, so that a pod that is refused is left as it was.
    section(pod, "labels").ok_or_else(|| shape("metadata.labels", "an object"))?;
    section(pod, "annotations").ok_or_else(|| shape("metadata.annotations", "an object"))?;

    let status = if gateway {
        let containers = pod.pointer_mut("/spec/containers").and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten().filter(|container| is_named(container, SIDECAR)) {
            complete_gateway(container, settings);
        }
        json!({ "initContainers": [], "containers": [SIDECAR], "revision": settings.revision })
    } else {
        let spec = pod.get_mut("spec").and_then(Value::as_object_mut).ok_or_else(|| shape("spec", "an object"))?;
        let init = spec.entry("initContainers").or_insert_with(|| json!([]));
        if init.is_null() {
            *init = json!([]);
        }
        init.as_array_mut()
            .ok_or_else(|| shape("spec.initContainers", "a list"))?
            .insert(0, sidecar(settings, &workload));
        json!({ "initContainers": [SIDECAR], "containers": [], "revision": settings.revision })
    };

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
    annotations.insert(STATUS.to_owned(), Value::String(status.to_string()));
    annotations.entry("istio.io/rev").or_insert_with(|| Value::String(settings.revision.clone()));
    if let Some(app) = app_name {
        annotations.entry(DEFAULT_CONTAINER).or_insert(app);
    }
    Ok(if gateway { Outcome::Gateway } else { Outcome::Injected })
}

fn pod_name(pod: &Value) -> String {
    let metadata = pod.get("metadata");
    ["name", "generateName"].iter().find_map(|field| metadata?.get(field)?.as_str()).unwrap_or("(unnamed)").to_owned()
}

fn annotation<'a>(pod: &'a Value, name: &str) -> Option<&'a str> {
    pod.get("metadata")?.get("annotations")?.get(name)?.as_str()
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

fn sidecar(settings: &Settings, workload: &str) -> Value {
    json!({
        "name": SIDECAR,
        "image": settings.image,
        "args": ["proxy"],
        "restartPolicy": "Always",
        "ports": [{ "name": "http-envoy-prom", "containerPort": 15090, "protocol": "TCP" }],
        "env": environment(settings, Some(workload)),
        "startupProbe": probe(1, 600),
        "readinessProbe": probe(15, 4),
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": { "drop": ["ALL"] },
            "privileged": false,
            "readOnlyRootFilesystem": true,
            "runAsGroup": 1337,
            "runAsNonRoot": true,
            "runAsUser": 1337,
        },
    })
}

/// A gateway's deployment names its container and leaves the rest to injection.
fn complete_gateway(container: &mut Value, settings: &Settings) {
    let Some(fields) = container.as_object_mut() else { return };
    if matches!(fields.get("image").and_then(Value::as_str), None | Some("auto")) {
        fields.insert("image".to_owned(), Value::String(settings.image.clone()));
    }
    fields.entry("args").or_insert_with(|| json!(["proxy"]));
    fields.entry("readinessProbe").or_insert_with(|| probe(15, 4));
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
