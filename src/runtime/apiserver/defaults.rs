//! The defaults of the built-in kinds, as Kubernetes sets them and clients see them.

use serde_json::{Map, Value, json};

use super::columns::{list, string};
use super::failure::{Cause, Failure};
use super::service_ip::Lease;
use super::verbs::Call;

/// Sets what is missing. `old` is the object before an update.
pub(super) fn set(call: &Call, object: &mut Value, old: Option<&Value>) -> Result<(), Failure> {
    let Some(builtin) = call.resource.builtin else {
        if let Some(schema) = call.version()?.schema.clone() {
            schema.set_defaults(object);
        }
        return Ok(());
    };
    match builtin.kind {
        "Namespace" => {
            let name = string(object, "/metadata/name").to_owned();
            if !name.is_empty() {
                object["metadata"]["labels"]["kubernetes.io/metadata.name"] = name.into();
            }
        }
        "Pod" => {
            pod(&mut object["spec"]);
            pod_itself(&mut object["spec"]);
            default(&mut object["spec"], "serviceAccountName", || "default".into());
        }
        "Deployment" => {
            drop_zeros(
                object,
                &["replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas"],
            );
            let spec = &mut object["spec"];
            default(spec, "replicas", || 1.into());
            default(spec, "revisionHistoryLimit", || 10.into());
            default(spec, "progressDeadlineSeconds", || 600.into());
            rolling(spec, "strategy", &[("maxSurge", "25%".into()), ("maxUnavailable", "25%".into())]);
            template(spec);
        }
        "ReplicaSet" => {
            drop_zeros(object, &["fullyLabeledReplicas", "readyReplicas", "availableReplicas"]);
            let spec = &mut object["spec"];
            default(spec, "replicas", || 1.into());
            template(spec);
        }
        "StatefulSet" => {
            let spec = &mut object["spec"];
            default(spec, "replicas", || 1.into());
            default(spec, "revisionHistoryLimit", || 10.into());
            default(spec, "podManagementPolicy", || "OrderedReady".into());
            rolling(spec, "updateStrategy", &[("partition", 0.into())]);
            template(spec);
        }
        "DaemonSet" => {
            let spec = &mut object["spec"];
            default(spec, "revisionHistoryLimit", || 10.into());
            rolling(spec, "updateStrategy", &[("maxSurge", 0.into()), ("maxUnavailable", 1.into())]);
            template(spec);
            // Of an API that is no more; clients still show it.
            let generation = object["metadata"]["generation"].as_i64().unwrap_or(1);
            default(&mut object["metadata"], "annotations", || json!({}));
            object["metadata"]["annotations"]["deprecated.daemonset.template.generation"] =
                generation.to_string().into();
        }
        "Job" => job(object, old),
        "CronJob" => {
            let spec = &mut object["spec"];
            default(spec, "concurrencyPolicy", || "Allow".into());
            default(spec, "suspend", || false.into());
            default(spec, "successfulJobsHistoryLimit", || 3.into());
            default(spec, "failedJobsHistoryLimit", || 1.into());
            template(&mut spec["jobTemplate"]["spec"]);
        }
        "HorizontalPodAutoscaler" => {
            let spec = &mut object["spec"];
            default(spec, "minReplicas", || 1.into());
            default(spec, "metrics", || {
                json!([{"type": "Resource", "resource": {
                        "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}])
            });
        }
        "Service" => service(object, old),
        "NetworkPolicy" => {
            let mut kinds = vec!["Ingress"];
            if !list(object, "/spec/egress").is_empty() {
                kinds.push("Egress");
            }
            default(&mut object["spec"], "policyTypes", || kinds.into());
            for direction in ["ingress", "egress"] {
                for rule in object["spec"][direction].as_array_mut().into_iter().flatten() {
                    for port in rule.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
                        default(port, "protocol", || "TCP".into());
                    }
                }
            }
        }
        "PersistentVolumeClaim" => default(&mut object["spec"], "volumeMode", || "Filesystem".into()),
        "PersistentVolume" => {
            let spec = &mut object["spec"];
            default(spec, "volumeMode", || "Filesystem".into());
            default(spec, "persistentVolumeReclaimPolicy", || "Retain".into());
        }
        "StorageClass" => {
            default(object, "reclaimPolicy", || "Delete".into());
            default(object, "volumeBindingMode", || "Immediate".into());
        }
        "PriorityClass" => default(object, "preemptionPolicy", || "PreemptLowerPriority".into()),
        "LimitRange" => {
            for limit in object["spec"]["limits"].as_array_mut().into_iter().flatten() {
                limits(limit);
            }
        }
        "Secret" => {
            secret(object);
            default(object, "type", || "Opaque".into());
        }
        "EndpointSlice" => {
            for port in object["ports"].as_array_mut().into_iter().flatten() {
                default(port, "protocol", || "TCP".into());
                default(port, "name", || "".into());
            }
        }
        "CustomResourceDefinition" => {
            let spec = &mut object["spec"];
            default(spec, "conversion", || json!({"strategy": "None"}));
            let names = &mut spec["names"];
            if let Some(kind) = names["kind"].as_str().map(str::to_owned) {
                default(names, "listKind", || format!("{kind}List").into());
                default(names, "singular", || kind.to_lowercase().into());
            }
        }
        _ => {}
    }
    Ok(())
}

/// What a container may take at most is what it gets where nothing is said, and what it gets is what it asks for.
fn limits(limit: &mut Value) {
    if limit["type"] != "Container" {
        return;
    }
    for (from, to) in [("max", "default"), ("default", "defaultRequest"), ("min", "defaultRequest")] {
        for (resource, quantity) in limit[from].as_object().cloned().unwrap_or_default() {
            default(limit, to, || json!({}));
            default(&mut limit[to], &resource, || quantity);
        }
    }
}

/// A Job selects its pods by its own uid, unless it says that it selects by itself.
fn job(object: &mut Value, old: Option<&Value>) {
    let own = [
        ("batch.kubernetes.io/controller-uid", string(object, "/metadata/uid").to_owned()),
        ("batch.kubernetes.io/job-name", string(object, "/metadata/name").to_owned()),
        // The names that these labels had before, which scripts select by.
        ("controller-uid", string(object, "/metadata/uid").to_owned()),
        ("job-name", string(object, "/metadata/name").to_owned()),
    ];
    let spec = &mut object["spec"];
    for (field, value) in [("backoffLimit", 6), ("parallelism", 1)] {
        default(spec, field, || value.into());
    }
    if spec["completions"].is_null() && spec["parallelism"] == 1 {
        spec["completions"] = 1.into();
    }
    default(spec, "completionMode", || "NonIndexed".into());
    default(spec, "suspend", || false.into());
    if let Some(old) = old {
        default(spec, "selector", || old["spec"]["selector"].clone());
    } else if spec["manualSelector"] != true {
        let (uid_label, uid) = &own[0];
        default(spec, "selector", || json!({}));
        default(&mut spec["selector"], "matchLabels", || json!({}));
        spec["selector"]["matchLabels"][*uid_label] = uid.as_str().into();
        default(spec, "template", || json!({}));
        default(&mut spec["template"], "metadata", || json!({}));
        default(&mut spec["template"]["metadata"], "labels", || json!({}));
        for (label, value) in own {
            spec["template"]["metadata"]["labels"][label] = value.into();
        }
    }
    template(spec);
    // What nobody labelled has the labels of its pods.
    let labels = object.pointer("/spec/template/metadata/labels").cloned();
    if let (None, Some(labels)) = (old, labels) {
        default(&mut object["metadata"], "labels", || labels);
    }
}

/// Counts of a status that are 0 are left out.
fn drop_zeros(object: &mut Value, fields: &[&str]) {
    if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
        status.retain(|field, value| *value != 0 || !fields.contains(&field.as_str()));
    }
}

/// Sets a field of an object where it is missing.
fn default(object: &mut Value, field: &str, value: impl FnOnce() -> Value) {
    if object.is_null() {
        *object = Map::new().into();
    }
    if let Some(map) = object.as_object_mut()
        && map.get(field).is_none_or(Value::is_null)
    {
        map.insert(field.to_owned(), value());
    }
}

/// How pods are replaced: one after another, unless something else is said.
fn rolling(spec: &mut Value, field: &str, parts: &[(&str, Value)]) {
    default(spec, field, || json!({}));
    let strategy = &mut spec[field];
    default(strategy, "type", || "RollingUpdate".into());
    if strategy["type"] == "RollingUpdate" {
        default(strategy, "rollingUpdate", || json!({}));
        for (part, value) in parts {
            default(&mut strategy["rollingUpdate"], part, || value.clone());
        }
    }
}

fn template(spec: &mut Value) {
    if let Some(template) = spec.get_mut("template").filter(|template| template.is_object()) {
        pod(&mut template["spec"]);
    }
}

fn pod(spec: &mut Value) {
    // The name that the field had before.
    if let Some(account) = spec.get("serviceAccountName").filter(|name| *name != "").cloned() {
        default(spec, "serviceAccount", || account);
    }
    default(spec, "restartPolicy", || "Always".into());
    default(spec, "dnsPolicy", || "ClusterFirst".into());
    default(spec, "schedulerName", || "default-scheduler".into());
    default(spec, "terminationGracePeriodSeconds", || 30.into());
    default(spec, "securityContext", || json!({}));
    for list in ["containers", "initContainers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            container_defaults(container);
        }
    }
    for volume in spec.get_mut("volumes").and_then(Value::as_array_mut).into_iter().flatten() {
        for (source, mode) in [("configMap", "defaultMode"), ("secret", "defaultMode"), ("projected", "defaultMode")] {
            if let Some(source) = volume.get_mut(source).filter(|source| source.is_object()) {
                default(source, mode, || 420.into());
                for part in source.get_mut("sources").and_then(Value::as_array_mut).into_iter().flatten() {
                    if let Some(token) = part.get_mut("serviceAccountToken").filter(|token| token.is_object()) {
                        default(token, "expirationSeconds", || 3600.into());
                    }
                }
            }
        }
    }
}

/// What a pod has and a template of pods has not: its admission sets it.
fn pod_itself(spec: &mut Value) {
    default(spec, "enableServiceLinks", || true.into());
    for field in ["initContainers", "containers"] {
        for container in spec.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten() {
            // What a container may take at most it also asks for, unless it says otherwise.
            for (resource, quantity) in container["resources"]["limits"].as_object().cloned().unwrap_or_default() {
                default(&mut container["resources"], "requests", || json!({}));
                default(&mut container["resources"]["requests"], &resource, || quantity);
            }
        }
    }
    default(spec, "priority", || 0.into());
    default(spec, "preemptionPolicy", || "PreemptLowerPriority".into());
    default(spec, "tolerations", || json!([]));
    let Some(tolerations) = spec.get_mut("tolerations").and_then(Value::as_array_mut) else { return };
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let tolerates = |one: &Value| {
            (one["key"] == key || one["key"].is_null()) && (one["effect"] == "NoExecute" || one["effect"].is_null())
        };
        if !tolerations.iter().any(tolerates) {
            tolerations.push(json!({
                "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300,
            }));
        }
    }
}

/// How well the pod is served when the node is short of something: what its containers ask for and may take decides.
pub(super) fn quality(spec: &Value) -> &'static str {
    let all = || ["initContainers", "containers"].into_iter().flat_map(|field| list(spec, &format!("/{field}")));
    let said = |container: &Value, kind: &str, resource: &str| {
        container["resources"][kind].get(resource).filter(|quantity| *quantity != "0").cloned()
    };
    let resources = ["cpu", "memory"];
    let nothing = |container: &Value| {
        resources.iter().all(|of| said(container, "limits", of).is_none() && said(container, "requests", of).is_none())
    };
    let everything = |container: &Value| {
        resources.iter().all(|of| {
            let limit = said(container, "limits", of);
            limit.is_some() && limit == said(container, "requests", of)
        })
    };
    match () {
        () if all().all(nothing) => "BestEffort",
        () if all().all(everything) => "Guaranteed",
        () => "Burstable",
    }
}

fn container_defaults(container: &mut Value) {
    let image = string(container, "/image").to_owned();
    let last = image.rsplit('/').next().unwrap_or_default();
    let latest = !last.contains('@') && last.split_once(':').is_none_or(|(_, tag)| tag == "latest");
    default(container, "imagePullPolicy", || if latest { "Always" } else { "IfNotPresent" }.into());
    default(container, "terminationMessagePath", || "/dev/termination-log".into());
    default(container, "terminationMessagePolicy", || "File".into());
    default(container, "resources", || json!({}));
    for port in container.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        default(port, "protocol", || "TCP".into());
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probe) = container.get_mut(probe).filter(|probe| probe.is_object()) else { continue };
        for (field, value) in
            [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
        {
            default(probe, field, || value.into());
        }
        if let Some(get) = probe.get_mut("httpGet").filter(|get| get.is_object()) {
            default(get, "path", || "/".into());
            default(get, "scheme", || "HTTP".into());
        }
        if let Some(ask) = probe.get_mut("grpc").filter(|ask| ask.is_object()) {
            default(ask, "service", || "".into());
        }
    }
    for variable in container.get_mut("env").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(field) = variable.pointer_mut("/valueFrom/fieldRef") {
            default(field, "apiVersion", || "v1".into());
        }
        if let Some(field) = variable.pointer_mut("/valueFrom/resourceFieldRef") {
            default(field, "divisor", || "0".into());
        }
    }
}

fn service(object: &mut Value, old: Option<&Value>) {
    let spec = &mut object["spec"];
    default(spec, "type", || "ClusterIP".into());
    default(spec, "sessionAffinity", || "None".into());
    if spec["type"] == "ExternalName" {
        // What a service of another type was given goes with that type; what somebody wrote stays, and is judged.
        if let (Some(old), Some(spec)) = (old.filter(|old| old["spec"]["type"] != "ExternalName"), spec.as_object_mut())
        {
            for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"] {
                if spec.get(field) == old["spec"].get(field) {
                    spec.remove(field);
                }
            }
        }
    } else {
        default(spec, "internalTrafficPolicy", || "Cluster".into());
        default(spec, "ipFamilyPolicy", || "SingleStack".into());
        default(spec, "ipFamilies", || json!(["IPv4"]));
        if let Some(old) = old {
            for field in ["clusterIP", "clusterIPs"] {
                if let Some(value) = old["spec"].get(field) {
                    default(spec, field, || value.clone());
                }
            }
        }
    }
    for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        default(port, "protocol", || "TCP".into());
        let number = port["port"].clone();
        if let Some(port) = port.as_object_mut() {
            port.retain(|field, value| field != "targetPort" || (*value != 0 && *value != ""));
        }
        default(port, "targetPort", || number);
    }
}

/// `stringData` is written into `data` and never shown.
fn secret(object: &mut Value) {
    let given = object.as_object_mut().and_then(|map| map.remove("stringData"));
    for (name, value) in given.as_ref().and_then(Value::as_object).into_iter().flatten() {
        let bytes = value.as_str().unwrap_or_default().as_bytes().to_vec();
        let encoded = serde_json::to_value(k8s_openapi::ByteString(bytes)).unwrap_or_default();
        object["data"][name.as_str()] = encoded;
    }
}

/// Gives a service that has none its address; to be kept once the service is stored.
pub(super) fn cluster_ip(call: &Call, object: &mut Value, old: Option<&Value>) -> Result<Option<Lease>, Failure> {
    let is_given = |old: &Value| !string(old, "/spec/clusterIP").is_empty();
    if &*call.resource.key != "services." || old.is_some_and(is_given) {
        return Ok(None);
    }
    let spec = &object["spec"];
    let wanted = string(spec, "/clusterIP").to_owned();
    if spec["type"] == "ExternalName" || wanted == "None" {
        if wanted == "None" {
            object["spec"]["clusterIPs"] = json!(["None"]);
        }
        return Ok(None);
    }
    let taken = Lease::take(&call.server, &wanted, string(object, "/metadata/uid"));
    let taken = taken.map_err(|error| {
        let cause =
            Cause::invalid("spec.clusterIPs", &json!([wanted]), format!("failed to allocate IP {wanted}: {error}"));
        Failure::invalid("", "Service", &super::verbs::name_of(object), vec![cause])
    })?;
    let address = taken.address().to_string();
    object["spec"]["clusterIP"] = address.as_str().into();
    object["spec"]["clusterIPs"] = json!([address]);
    Ok(Some(taken))
}
