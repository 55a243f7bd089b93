//! The sidecar itself: a native one (an init container that restarts always), so that it is up before the app and
//! ends after it; or a classic one, beside the app's containers, which holds them back until it is ready.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::annotation::Wrong;
use super::proxy_config::ProxySettings;
use super::{annotation, capture, overlay, probes};

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

/// The annotations with volumes and mounts of the proxy.
const USER_VOLUMES: &str = "sidecar.istio.io/userVolume";
const USER_MOUNTS: &str = "sidecar.istio.io/userVolumeMount";
/// The annotation that says how much a pod's proxy logs.
const LOG_LEVEL: &str = "sidecar.istio.io/logLevel";
/// The annotations that say when a pod's proxy counts as ready.
const READINESS: [(&str, &str); 3] = [
    ("readiness.status.sidecar.istio.io/initialDelaySeconds", "initialDelaySeconds"),
    ("readiness.status.sidecar.istio.io/periodSeconds", "periodSeconds"),
    ("readiness.status.sidecar.istio.io/failureThreshold", "failureThreshold"),
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
    /// Names of the Secrets that fetch the image.
    pub pull_secrets: Vec<String>,
    /// Annotations that pods are taken to have which do not.
    pub annotations: BTreeMap<String, String>,
    /// How proxies are run, unless a pod says otherwise.
    pub proxy: ProxySettings,
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
            pull_secrets: Vec::new(),
            annotations: BTreeMap::new(),
            proxy: ProxySettings::default(),
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
    let mut taken = Vec::new();
    if let Some(annotations) = section(&mut injected, "annotations").filter(|_| !settings.annotations.is_empty()) {
        for (name, value) in &settings.annotations {
            if !annotations.contains_key(name) {
                annotations.insert(name.clone(), json!(value));
                taken.push(name);
            }
        }
    }
    let outcome = add(&mut injected, settings)?;
    if let (false, Some(annotations)) = (taken.is_empty(), section(&mut injected, "annotations")) {
        annotations.retain(|name, _| !taken.contains(&name));
    }
    if outcome == Outcome::AlreadyThere {
        return Ok(outcome);
    }
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
    let apps = names(spec.get("containers")).filter(|name| *name != SIDECAR);
    let app_name = apps.chain(names(spec.get("containers"))).next().map(str::to_owned);
    if annotation::text(pod, STATUS).is_some() {
        return Ok(Outcome::AlreadyThere);
    }
    let wrong = |(annotation, reason)| InjectError::Annotation { name: name.clone(), annotation, reason };
    let gateway = match template(pod).map_err(wrong)? {
        Some(template) => template == Template::Gateway,
        None => {
            matches!(containers.as_slice(), [only] if is_named(only, SIDECAR) && image_of(only) == Some(overlay::AUTO))
        }
    };
    let run = settings.proxy.of_pod(pod).map_err(wrong)?;

    let mut added = Added::default();
    if gateway {
        let image = annotation::text(pod, PROXY_IMAGE).unwrap_or(&settings.image).to_owned();
        let containers = pod.pointer_mut("/spec/containers").and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten().filter(|container| is_named(container, SIDECAR)) {
            complete_gateway(container, settings, &image, &run);
        }
        if settings.host == Host::Kubelet {
            open_low_ports(pod);
        }
        added.containers.push(SIDECAR);
    } else {
        let native = annotation::switch(pod, NATIVE).map_err(wrong)?.unwrap_or(settings.native);
        let own = [overlay::take(pod, SIDECAR), overlay::take(pod, capture::NAME)];
        let mut proxy = sidecar(pod, settings, &workload, &run).map_err(wrong)?;
        complete_sidecar(&mut proxy, native, &run);
        let [own_proxy, own_capture] = own;
        if let Some(own) = own_proxy {
            overlay::lay_over(&mut proxy, own);
            if !native && let Some(fields) = proxy.as_object_mut() {
                fields.remove("restartPolicy");
            }
        }
        let mut first = Vec::new();
        if settings.host == Host::Kubelet {
            let user = overlay::user(&proxy);
            match (capture::container(pod, settings, user).map_err(wrong)?, own_capture) {
                (Some(mut capture), own) => {
                    if let Some(own) = own {
                        overlay::lay_over(&mut capture, own);
                    }
                    added.init.push(capture::NAME);
                    first.push(capture);
                }
                // What a pod says about a container that it does not get stays.
                (None, own) => first.extend(own),
            }
            if let Some(probed) = probes::rewrite(pod).map_err(wrong)? {
                push_env(&mut proxy, json!({"name": probes::VARIABLE, "value": probed}));
            }
        } else {
            first.extend(own_capture);
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
                containers.insert(0, proxy.take());
            }
            if field == "initContainers" {
                containers.splice(0..0, first.drain(..));
            }
        }
        if native { added.init.push(SIDECAR) } else { added.containers.push(SIDECAR) }
    }
    if settings.host == Host::Kubelet {
        let own = match annotation::text(pod, USER_VOLUMES) {
            Some(text) => overlay::named(text).map_err(|reason| wrong((USER_VOLUMES, reason)))?,
            None => Vec::new(),
        };
        added.volumes = add_volumes(pod, own).ok_or_else(|| shape("spec.volumes", "a list"))?;
        add_pull_secrets(pod, &settings.pull_secrets).ok_or_else(|| shape("spec.imagePullSecrets", "a list"))?;
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
        annotations.entry(DEFAULT_CONTAINER).or_insert_with(|| Value::String(app));
    }
    Ok(if gateway { Outcome::Gateway } else { Outcome::Injected })
}

/// What a pod asks to be injected with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Template {
    Sidecar,
    Gateway,
}

/// The template that a pod names, where it names one.
fn template(pod: &Value) -> Result<Option<Template>, Wrong> {
    let mut found = None;
    let named = annotation::text(pod, TEMPLATES).into_iter().flat_map(|text| text.split(','));
    for name in named.map(str::trim).filter(|name| !name.is_empty()) {
        let template = match name {
            "sidecar" => Template::Sidecar,
            "gateway" => Template::Gateway,
            other => {
                let reason = format!(
                    "there is no template {other:?}: there are sidecar and gateway, and what else the proxy is to have \
                     is said by a container {SIDECAR} of the pod"
                );
                return Err((TEMPLATES, reason));
            }
        };
        if found.is_some_and(|before| before != template) {
            return Err((TEMPLATES, "names sidecar and gateway, and a pod is one of them".to_owned()));
        }
        found = Some(template);
    }
    Ok(found)
}

/// What injection added, by name.
#[derive(Default)]
struct Added {
    init: Vec<&'static str>,
    containers: Vec<&'static str>,
    volumes: Vec<String>,
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
fn arguments(settings: &Settings, run: &ProxySettings, gateway: bool) -> Value {
    let mut arguments = vec!["proxy".to_owned()];
    let mut say = |words: &[&str]| arguments.extend(words.iter().map(|word| (*word).to_owned()));
    if settings.host == Host::Kubelet {
        say(&["--xds-address", run.discovery.as_ref().unwrap_or(&settings.discovery_address)]);
        if gateway {
            say(&["--router", "--bind", "0.0.0.0"]);
        }
        if let Some(workers) = run.workers.filter(|workers| *workers > 0) {
            say(&["--workers", &workers.to_string()]);
        }
    }
    json!(arguments)
}

/// Variables of the environment that a pod's settings ask for.
fn asked_environment(pod: &Value, run: &ProxySettings) -> Result<Vec<Value>, Wrong> {
    let mut env: Vec<Value> =
        run.metadata.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    if let Some(level) = annotation::text(pod, LOG_LEVEL) {
        // Envoy's words.
        let filter = match level {
            "trace" | "debug" | "info" | "error" | "off" => level,
            "warning" | "warn" => "warn",
            "critical" => "error",
            other => {
                let reason = format!("{other:?} is none of trace, debug, info, warning, error, critical and off");
                return Err((LOG_LEVEL, reason));
            }
        };
        env.push(json!({ "name": "RUST_LOG", "value": filter }));
    }
    Ok(env)
}

/// When the proxy counts as ready, as a pod's annotations say.
fn readiness(pod: &Value) -> Result<Value, Wrong> {
    let mut probe = probe(15, 4);
    for (name, field) in READINESS {
        let Some(text) = annotation::text(pod, name) else { continue };
        let number: u32 = text.parse().map_err(|_| (name, format!("{text:?} is no whole number from 0")))?;
        if let Some(fields) = probe.as_object_mut() {
            fields.insert(field.to_owned(), number.into());
        }
    }
    Ok(probe)
}

fn sidecar(pod: &Value, settings: &Settings, workload: &str, run: &ProxySettings) -> Result<Value, Wrong> {
    let mut env = environment(settings, Some(workload));
    if let Value::Array(env) = &mut env {
        env.extend(asked_environment(pod, run)?);
    }
    let mut proxy = json!({
        "name": SIDECAR,
        "image": annotation::text(pod, PROXY_IMAGE).unwrap_or(&settings.image),
        "args": arguments(settings, run, false),
        "ports": [{ "name": "http-envoy-prom", "containerPort": 15090, "protocol": "TCP" }],
        "env": env,
        "startupProbe": probe(1, 600),
        "readinessProbe": readiness(pod)?,
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
            let mut mounts = mounts();
            if let (Some(text), Value::Array(mounts)) = (annotation::text(pod, USER_MOUNTS), &mut mounts) {
                mounts.extend(overlay::named(text).map_err(|reason| (USER_MOUNTS, reason))?);
            }
            fields.insert("volumeMounts".to_owned(), mounts);
        }
    }
    Ok(proxy)
}

/// What a sidecar needs to come before the application: a native one says so; a classic one holds the containers behind it
/// back by the hook that a kubelet waits for.
fn complete_sidecar(proxy: &mut Value, native: bool, run: &ProxySettings) {
    let Some(fields) = proxy.as_object_mut() else { return };
    let holds = run.holds.unwrap_or(true);
    if native {
        fields.insert("restartPolicy".to_owned(), json!("Always"));
    }
    if !native || !holds {
        fields.remove("startupProbe");
    }
    if !native && holds {
        let wait = json!({"postStart": {"exec": {"command": ["mesh", "await-proxy"]}}});
        fields.insert("lifecycle".to_owned(), wait);
    }
    // A classic one is told to end together with the application, which may have something to say or to answer yet; a native one
    // after it.
    if let Some(drain) = run.drain.as_deref().or((!native).then_some("5s")) {
        push_env(proxy, json!({"name": LINGER, "value": drain}));
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
fn add_volumes(pod: &mut Value, own: Vec<Value>) -> Option<Vec<String>> {
    let mut wanted = vec![
        json!({"name": TOKEN_VOLUME, "projected": {"sources": [{"serviceAccountToken": {
            "audience": "istio-ca", "expirationSeconds": 43200, "path": "istio-token",
        }}]}}),
        json!({"name": ROOTS_VOLUME, "configMap": {"name": "istio-ca-root-cert"}}),
    ];
    wanted.extend(own);
    let volumes = pod.get_mut("spec")?.as_object_mut()?.entry("volumes").or_insert_with(|| json!([]));
    if volumes.is_null() {
        *volumes = json!([]);
    }
    let volumes = volumes.as_array_mut()?;
    let mut added = Vec::new();
    for volume in wanted {
        let Some(name) = volume.get("name").and_then(Value::as_str).map(str::to_owned) else { continue };
        if !volumes.iter().any(|present| is_named(present, &name)) {
            volumes.push(volume);
            added.push(name);
        }
    }
    Some(added)
}

/// Adds the Secrets that fetch the proxy's image; `None` where what stands there is no list.
fn add_pull_secrets(pod: &mut Value, names: &[String]) -> Option<()> {
    if names.is_empty() {
        return Some(());
    }
    let present = pod.get_mut("spec")?.as_object_mut()?.entry("imagePullSecrets").or_insert_with(|| json!([]));
    let present = present.as_array_mut()?;
    for name in names {
        if !present.iter().any(|secret| is_named(secret, name)) {
            present.push(json!({ "name": name }));
        }
    }
    Some(())
}

/// Lets a gateway listen on every port, as Istio's may: Services often name 80 and 443 for the pods, too.
fn open_low_ports(pod: &mut Value) {
    let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) else { return };
    let security = spec.entry("securityContext").or_insert_with(|| json!({}));
    if let Some(security) = security.as_object_mut() {
        let every_port = || json!([{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]);
        security.entry("sysctls").or_insert_with(every_port);
    }
}

/// A gateway's deployment names its container and leaves the rest to injection.
fn complete_gateway(container: &mut Value, settings: &Settings, image: &str, run: &ProxySettings) {
    let Some(fields) = container.as_object_mut() else { return };
    if matches!(fields.get("image").and_then(Value::as_str), None | Some(overlay::AUTO)) {
        fields.insert("image".to_owned(), json!(image));
        // Which is what the API server makes of an image without a version.
        let assumed = fields.get("imagePullPolicy").and_then(Value::as_str) == Some(overlay::ASSUMED_POLICY);
        if let (true, Some(policy)) = (assumed || !fields.contains_key("imagePullPolicy"), &settings.pull_policy) {
            fields.insert("imagePullPolicy".to_owned(), json!(policy));
        }
    }
    fields.entry("args").or_insert_with(|| arguments(settings, run, true));
    fields.entry("readinessProbe").or_insert_with(|| probe(if settings.host == Host::Kubelet { 2 } else { 15 }, 4));
    if settings.host == Host::Kubelet {
        let present = fields.entry("volumeMounts").or_insert_with(|| json!([]));
        if let (Some(present), Value::Array(wanted)) = (present.as_array_mut(), mounts()) {
            present.extend(wanted);
        }
    }
    let env = fields.entry("env").or_insert_with(|| json!([]));
    if let (Some(present), Value::Array(mut wanted)) = (env.as_array_mut(), environment(settings, None)) {
        let drain = run.drain.as_ref().map(|drain| json!({ "name": LINGER, "value": drain }));
        let metadata = run.metadata.iter().map(|(name, value)| json!({ "name": name, "value": value }));
        wanted.extend(metadata.chain(drain));
        for variable in wanted {
            let name = variable.get("name");
            if !present.iter().any(|existing| existing.get("name") == name) {
                present.push(variable);
            }
        }
    }
}
