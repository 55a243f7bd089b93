//! What is wrong with an object: its metadata, its schema, and the rules of the built-in kinds that controllers rely on.
//!
//! In kube-apiserver's words: `tests/it/fidelity/refusals.yaml` asks both.

mod access;
mod pod;
mod rules;
mod service;
mod workload;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
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
            pod::spec(&object["spec"], "spec", &mut causes);
            if let Some(old) = old {
                pod::update(&old["spec"], &object["spec"], &mut causes);
            }
        }
        Some(kind @ ("Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet")) => {
            workload::set(kind, object, old, &mut causes);
        }
        Some("Job") => workload::job(object, old, &mut causes),
        Some("CronJob") => workload::cron(object, &mut causes),
        Some("Lease") => {
            let seconds = &object["spec"]["leaseDurationSeconds"];
            if seconds.as_i64().is_some_and(|seconds| seconds <= 0) {
                causes.push(Cause::invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0"));
            }
        }
        Some(kind @ ("Role" | "ClusterRole")) => access::rules(kind, object, &mut causes),
        Some(kind @ ("RoleBinding" | "ClusterRoleBinding")) => access::binding(kind, object, old, &mut causes),
        Some("Service") => service::check(object, old, &mut causes),
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
            for field in ["immutable", "data", "binaryData"] {
                if old.is_some_and(|old| old["immutable"] == true && old[field] != object[field]) {
                    causes.push(Cause::forbidden(field, "field is immutable when `immutable` is set"));
                }
            }
        }
        Some(_) => {}
    }
    Ok(causes)
}

/// A name that only has to fit into a path, such as `system:metrics-server`.
fn path_segment(name: &str) -> Option<&'static str> {
    match name {
        "." => Some("may not be '.'"),
        ".." => Some("may not be '..'"),
        name if name.contains('/') => Some("may not contain '/'"),
        name if name.contains('%') => Some("may not contain '%'"),
        _ => None,
    }
}

fn alphanumeric(c: u8) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
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
        let wrong = match kind {
            Some("Service" | "Namespace") => rules::label(name),
            Some("Role" | "ClusterRole" | "RoleBinding" | "ClusterRoleBinding") => path_segment(name),
            _ => (!is_subdomain(name)).then_some(SUBDOMAIN),
        };
        causes.extend(wrong.map(|why| Cause::invalid("metadata.name", &name.into(), why)));
    }
    label_keys(&object["metadata"]["labels"], "metadata.labels", causes);
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

/// Keys and values of labels, at `path`.
fn label_keys(labels: &Value, path: &str, causes: &mut Vec<Cause>) {
    for (key, value) in labels.as_object().into_iter().flatten() {
        qualified(path, key, causes);
        let value = value.as_str().unwrap_or_default();
        if !value.is_empty() && !is_name_part(value) {
            causes.push(Cause::invalid(path, &value.into(), LABEL_VALUE));
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

fn is_config_key(text: &str) -> bool {
    !text.is_empty() && text.len() <= 253 && text.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(&c))
}

fn data_keys(object: &Value, causes: &mut Vec<Cause>) {
    for field in ["data", "binaryData"] {
        for key in object[field].as_object().into_iter().flatten().map(|(key, _)| key) {
            let place = format!("{field}[{key}]");
            if !is_config_key(key) {
                causes.push(Cause::invalid(place, &key.as_str().into(), CONFIG_KEY));
            } else if field == "data" && object["binaryData"].get(key).is_some() {
                causes.push(Cause::invalid(place, &key.as_str().into(), "duplicate of key present in binaryData"));
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
        "kubernetes.io/basic-auth" if object["data"].get("username").or(object["data"].get("password")).is_none() => {
            &["username", "password"]
        }
        _ => &[],
    };
    let account = "kubernetes.io/service-account.name";
    if object["type"] == "kubernetes.io/service-account-token" && object["metadata"]["annotations"][account].is_null() {
        causes.push(Cause::required(format!("metadata.annotations[{account}]"), ""));
    }
    if object["type"] == "kubernetes.io/dockerconfigjson"
        && let Some(Err(wrong)) = object["data"][".dockerconfigjson"].as_str().map(|text| {
            let bytes = BASE64_STANDARD.decode(text).unwrap_or_default();
            serde_json::from_slice::<serde::de::IgnoredAny>(&bytes)
        })
    {
        causes.push(Cause::invalid("data[.dockerconfigjson]", &"<secret contents redacted>".into(), wrong));
    }
    for key in needed.iter().filter(|key| object["data"].get(**key).is_none()) {
        causes.push(Cause::required(format!("data[{key}]"), ""));
    }
}
