//! What is wrong with an object: its metadata, its schema, and the rules of the built-in kinds that controllers rely on.

use serde_json::Value;

use super::columns::{list, string};
use super::definitions::CLEANUP;
use super::failure::{Cause, Failure};
use super::registry::Resource;
use super::verbs::Call;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_1123: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const LABEL_NAME: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

/// Bytes of all annotations of one object.
const ANNOTATION_BYTES: usize = 256 * 1024;

/// Everything that is wrong.
pub(super) fn check(call: &Call, object: &Value, old: Option<&Value>) -> Result<Vec<Cause>, Failure> {
    let mut causes = Vec::new();
    metadata(object, old, call.resource.builtin.map(|builtin| builtin.kind), &mut causes);
    match call.resource.builtin.map(|builtin| builtin.kind) {
        None => {
            if let Some(schema) = call.version()?.schema.clone() {
                causes.extend(schema.validate(object));
            }
        }
        Some("Pod") => {
            pod(&object["spec"], "spec", &mut causes);
            pod_restart(&object["spec"], "spec", &["Always", "OnFailure", "Never"], &mut causes);
            if let Some(old) = old {
                pod_update(&old["spec"], &object["spec"], &mut causes);
            }
        }
        Some("Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet") => workload(object, old, &mut causes),
        Some("Job") => {
            let spec = &object["spec"]["template"]["spec"];
            pod(spec, "spec.template.spec", &mut causes);
            job_restart(spec, "spec.template.spec", &mut causes);
        }
        Some("CronJob") => {
            schedule(object, &mut causes);
            let spec = &object["spec"]["jobTemplate"]["spec"]["template"]["spec"];
            pod(spec, "spec.jobTemplate.spec.template.spec", &mut causes);
            job_restart(spec, "spec.jobTemplate.spec.template.spec", &mut causes);
        }
        Some("Lease") => {
            let seconds = &object["spec"]["leaseDurationSeconds"];
            if seconds.as_i64().is_some_and(|seconds| seconds <= 0) {
                causes.push(Cause::invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0"));
            }
        }
        Some("RoleBinding" | "ClusterRoleBinding") => {
            if let Some(old) = old.filter(|old| old["roleRef"] != object["roleRef"]) {
                causes.push(Cause::invalid("roleRef", &role(&object["roleRef"], old), "cannot change roleRef"));
            }
        }
        Some("Service") => service(object, old, &mut causes),
        Some("CustomResourceDefinition") => {
            if let Err(wrong) = Resource::custom(object) {
                causes.extend(wrong);
            }
        }
        Some(kind @ ("ConfigMap" | "Secret")) => {
            data_keys(object, &mut causes);
            if kind == "Secret" {
                secret(object, old, &mut causes);
            }
            if let Some(old) = old.filter(|old| old["immutable"] == true)
                && (old["data"] != object["data"] || old["binaryData"] != object["binaryData"])
            {
                causes.push(Cause::forbidden("data", "field is immutable when `immutable` is set"));
            }
        }
        Some(_) => {}
    }
    Ok(causes)
}

fn alphanumeric(c: u8) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && bytes.first().is_some_and(|c| alphanumeric(*c))
        && bytes.last().is_some_and(|c| alphanumeric(*c))
        && bytes.iter().all(|c| alphanumeric(*c) || *c == b'-')
}

fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(|part| !part.is_empty() && is_label_of_any_length(part))
}

fn is_label_of_any_length(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(|c| alphanumeric(*c))
        && bytes.last().is_some_and(|c| alphanumeric(*c))
        && bytes.iter().all(|c| alphanumeric(*c) || *c == b'-')
}

fn is_name_part(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(c))
}

fn metadata(object: &Value, old: Option<&Value>, kind: Option<&str>, causes: &mut Vec<Cause>) {
    let name = string(object, "/metadata/name");
    if old.is_none() {
        let (fits, why) = match kind {
            Some("Service" | "Namespace") => (is_label(name), LABEL_1123),
            _ => (is_subdomain(name), SUBDOMAIN),
        };
        if !fits {
            causes.push(Cause::invalid("metadata.name", &name.into(), why));
        }
    }
    for (key, value) in object.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten() {
        qualified("metadata.labels", key, causes);
        let value = value.as_str().unwrap_or_default();
        if !value.is_empty() && !is_name_part(value) {
            causes.push(Cause::invalid("metadata.labels", &value.into(), LABEL_VALUE));
        }
    }
    let mut bytes = 0;
    for (key, value) in object.pointer("/metadata/annotations").and_then(Value::as_object).into_iter().flatten() {
        qualified("metadata.annotations", &key.to_lowercase(), causes);
        bytes += key.len() + value.as_str().map_or(0, str::len);
    }
    if bytes > ANNOTATION_BYTES {
        causes.push(Cause {
            reason: "FieldValueTooLong".to_owned(),
            message: format!("Too long: may not be more than {ANNOTATION_BYTES} bytes"),
            field: "metadata.annotations".to_owned(),
        });
    }
    for owner in list(object, "/metadata/ownerReferences") {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if string(owner, &format!("/{field}")).is_empty() {
                let field = format!("metadata.ownerReferences.{field}");
                causes.push(Cause::invalid(field, &"".into(), "must not be empty"));
            }
        }
    }
    finalizers(object, old, causes);
}

fn qualified(field: &str, key: &str, causes: &mut Vec<Cause>) {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if prefix.is_some_and(|prefix| !is_subdomain(prefix)) {
        causes.push(Cause::invalid(field, &key.into(), format!("prefix part {SUBDOMAIN}")));
    }
    if !is_name_part(name) {
        causes.push(Cause::invalid(field, &key.into(), LABEL_NAME));
    }
}

/// Finalizers of Kubernetes' own, which have no path in their domain; a definition has the last.
const FINALIZERS: [&str; 4] = ["kubernetes", "foregroundDeletion", "orphan", CLEANUP];

fn finalizers(object: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let all = list(object, "/metadata/finalizers");
    for (index, finalizer) in all.iter().enumerate() {
        let text = finalizer.as_str().unwrap_or_default();
        if !text.contains('/') && !FINALIZERS.contains(&text) {
            let why = "name is neither a standard finalizer name nor is it fully qualified";
            causes.push(Cause::invalid(format!("metadata.finalizers[{index}]"), finalizer, why));
        }
    }
    let Some(old) = old.filter(|old| !string(old, "/metadata/deletionTimestamp").is_empty()) else { return };
    let known = list(old, "/metadata/finalizers");
    let new: Vec<String> = all.iter().filter(|finalizer| !known.contains(finalizer)).map(ToString::to_string).collect();
    if !new.is_empty() {
        let why = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
            new.join(", ")
        );
        causes.push(Cause::forbidden("metadata.finalizers", &why));
    }
}

fn data_keys(object: &Value, causes: &mut Vec<Cause>) {
    for field in ["data", "binaryData"] {
        for key in object[field].as_object().into_iter().flatten().map(|(key, _)| key) {
            let fits = !key.is_empty()
                && key.len() <= 253
                && key.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(&c));
            if !fits {
                causes.push(Cause::invalid(format!("{field}[{key}]"), &key.as_str().into(), CONFIG_KEY));
            }
        }
    }
}

fn secret(object: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    if old.is_some_and(|old| old["type"] != object["type"]) {
        causes.push(Cause::invalid("type", &object["type"], "field is immutable"));
    }
    let needed: &[&str] = match string(object, "/type") {
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        _ => &[],
    };
    for key in needed.iter().filter(|key| object["data"].get(**key).is_none()) {
        causes.push(Cause::required(format!("data[{key}]"), ""));
    }
}

/// A role reference as Kubernetes shows it in refusals; what a change leaves out stays.
fn role(given: &Value, old: &Value) -> Value {
    let field = |name: &str| given.get(name).or_else(|| old["roleRef"].get(name)).cloned().unwrap_or_default();
    serde_json::json!({"APIGroup": field("apiGroup"), "Kind": field("kind"), "Name": field("name")})
}

/// What of a running pod may be changed: images, some times, and tolerations that are added.
const POD_CHANGEABLE: [&str; 4] =
    ["activeDeadlineSeconds", "terminationGracePeriodSeconds", "tolerations", "schedulingGates"];

fn pod_update(old: &Value, new: &Value, causes: &mut Vec<Cause>) {
    let fixed = |spec: &Value| {
        let mut spec = spec.clone();
        if let Some(spec) = spec.as_object_mut() {
            POD_CHANGEABLE.iter().for_each(|field| {
                spec.remove(*field);
            });
            // The scheduler sets it.
            spec.remove("nodeName");
        }
        for list in ["containers", "initContainers", "ephemeralContainers"] {
            for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                if let Some(container) = container.as_object_mut() {
                    container.remove("image");
                    // Where the image decides, it follows the image.
                    container.remove("imagePullPolicy");
                }
            }
        }
        spec
    };
    if fixed(old) != fixed(new) {
        let why = "pod updates may not change fields other than `spec.containers[*].image`,\
                   `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to \
                   existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously \
                   negative)";
        causes.push(Cause::forbidden("spec", why));
    }
}

fn pod_restart(spec: &Value, path: &str, known: &[&str], causes: &mut Vec<Cause>) {
    let policy = string(spec, "/restartPolicy");
    if !known.contains(&policy) {
        let known: Vec<String> = known.iter().map(|policy| (*policy).to_owned()).collect();
        causes.push(Cause::unsupported(format!("{path}.restartPolicy"), &policy.into(), &known));
    }
}

fn job_restart(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let field = format!("{path}.restartPolicy");
    match string(spec, "/restartPolicy") {
        "OnFailure" | "Never" => {}
        // What was not said defaults to it, and a Job's pods must end.
        "" | "Always" => causes.push(Cause::required(field, "valid values: \"OnFailure\", \"Never\"")),
        _ => pod_restart(spec, path, &["OnFailure", "Never"], causes),
    }
}

fn schedule(object: &Value, causes: &mut Vec<Cause>) {
    let text = string(object, "/spec/schedule");
    if text.is_empty() {
        causes.push(Cause::required("spec.schedule", ""));
    } else if !text.starts_with('@') && text.split_whitespace().count() != 5 {
        let why = format!("expected exactly 5 fields, found {}: {text:?}", text.split_whitespace().count());
        causes.push(Cause::invalid("spec.schedule", &text.into(), why));
    }
}

fn pod(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let containers = list(spec, "/containers");
    if containers.is_empty() {
        causes.push(Cause::required(format!("{path}.containers"), ""));
    }
    let mut names = std::collections::BTreeSet::new();
    for field in ["containers", "initContainers"] {
        for (index, container) in list(spec, &format!("/{field}")).iter().enumerate() {
            let here = format!("{path}.{field}[{index}]");
            let name = string(container, "/name");
            if name.is_empty() {
                causes.push(Cause::required(format!("{here}.name"), ""));
            } else if !is_label(name) {
                causes.push(Cause::invalid(format!("{here}.name"), &name.into(), LABEL_1123));
            } else if !names.insert(name) {
                causes.push(Cause::duplicate(format!("{here}.name"), &name.into()));
            }
            if string(container, "/image").is_empty() {
                causes.push(Cause::required(format!("{here}.image"), ""));
            }
            for (index, port) in list(container, "/ports").iter().enumerate() {
                port_range(&port["containerPort"], &format!("{here}.ports[{index}].containerPort"), causes);
            }
        }
    }
}

fn port_range(port: &Value, path: &str, causes: &mut Vec<Cause>) {
    if !port.as_i64().is_some_and(|port| (1..=65535).contains(&port)) {
        causes.push(Cause::invalid(path, port, "must be between 1 and 65535, inclusive"));
    }
}

fn workload(object: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    if spec["replicas"].as_i64().is_some_and(|replicas| replicas < 0) {
        causes.push(Cause::invalid("spec.replicas", &spec["replicas"], "must be greater than or equal to 0"));
    }
    let selector = &spec["selector"];
    let wanted = selector["matchLabels"].as_object();
    if wanted.is_none_or(|labels| labels.is_empty()) && list(selector, "/matchExpressions").is_empty() {
        causes.push(Cause::required("spec.selector", ""));
    }
    let labels = &spec["template"]["metadata"]["labels"];
    if wanted.into_iter().flatten().any(|(key, value)| labels[key.as_str()] != *value) {
        causes.push(Cause::invalid(
            "spec.template.metadata.labels",
            labels,
            "`selector` does not match template `labels`",
        ));
    }
    if old.is_some_and(|old| old["spec"]["selector"] != *selector) {
        causes.push(Cause::invalid("spec.selector", selector, "field is immutable"));
    }
    pod(&spec["template"]["spec"], "spec.template.spec", causes);
}

fn service(object: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    let kinds = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"].map(str::to_owned);
    if !kinds.iter().any(|kind| spec["type"] == kind.as_str()) {
        causes.push(Cause::unsupported("spec.type", &spec["type"], &kinds));
    }
    let ports = list(spec, "/ports");
    if ports.is_empty() && spec["type"] != "ExternalName" && spec["clusterIP"] != "None" {
        causes.push(Cause::required("spec.ports", ""));
    }
    let mut names = std::collections::BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        port_range(&port["port"], &format!("spec.ports[{index}].port"), causes);
        if port["targetPort"].is_number() {
            port_range(&port["targetPort"], &format!("spec.ports[{index}].targetPort"), causes);
        }
        let name = string(port, "/name");
        if name.is_empty() && ports.len() > 1 {
            causes.push(Cause::required(format!("spec.ports[{index}].name"), ""));
        } else if !name.is_empty() && !names.insert(name) {
            causes.push(Cause::duplicate(format!("spec.ports[{index}].name"), &name.into()));
        }
    }
    if let Some(old) = old
        && spec["type"] != "ExternalName"
        && !string(old, "/spec/clusterIP").is_empty()
        && old["spec"]["clusterIP"] != spec["clusterIP"]
    {
        causes.push(Cause::invalid("spec.clusterIPs[0]", &spec["clusterIP"], "may not change once set"));
    }
}
