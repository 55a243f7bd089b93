//! What is wrong with an object: its metadata, its schema, and the rules of the built-in kinds that controllers rely on.

use serde_json::Value;

use super::columns::{list, string};
use super::failure::{Cause, Failure};
use super::registry::Resource;
use super::verbs::Call;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_1123: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
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
        Some("Pod") => pod(&object["spec"], "spec", &mut causes),
        Some("Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet") => workload(object, old, &mut causes),
        Some("Job") => pod(&object["spec"]["template"]["spec"], "spec.template.spec", &mut causes),
        Some("CronJob") => {
            let spec = &object["spec"]["jobTemplate"]["spec"]["template"]["spec"];
            pod(spec, "spec.jobTemplate.spec.template.spec", &mut causes);
        }
        Some("Service") => service(object, old, &mut causes),
        Some("CustomResourceDefinition") => {
            if let Err(wrong) = Resource::custom(object) {
                causes.extend(wrong);
            }
        }
        Some("ConfigMap" | "Secret") => {
            if let Some(old) = old.filter(|old| old["immutable"] == true)
                && (old["data"] != object["data"] || old["binaryData"] != object["binaryData"])
            {
                causes.push(forbidden("data", "field is immutable when `immutable` is set"));
            }
        }
        Some(_) => {}
    }
    Ok(causes)
}

fn forbidden(field: &str, why: &str) -> Cause {
    Cause { reason: "FieldValueForbidden".to_owned(), message: format!("Forbidden: {why}"), field: field.to_owned() }
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
            Some("Service") => (is_label(name) && !name.starts_with(|c: char| c.is_ascii_digit()), LABEL_1035),
            Some("Namespace") => (is_label(name), LABEL_1123),
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
    for (index, owner) in list(object, "/metadata/ownerReferences").iter().enumerate() {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if string(owner, &format!("/{field}")).is_empty() {
                causes.push(Cause::required(format!("metadata.ownerReferences[{index}].{field}"), "must not be empty"));
            }
        }
    }
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
