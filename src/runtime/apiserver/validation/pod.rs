//! A pod, as it is and inside of what makes pods: tables of its fields, and the rules that tie several together.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::columns::{list, string};
use super::super::failure::Cause;
use super::label_keys;
use super::rules::{self, Field, Rule};
use crate::runtime::node::quantity;

const SPEC: &[Field] = &[
    ("dnsPolicy", Rule::OneOf(&["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"])),
    ("securityContext.runAsUser", Rule::Between(0, i32::MAX as i64)),
    ("securityContext.runAsGroup", Rule::Between(0, i32::MAX as i64)),
    ("securityContext.fsGroup", Rule::Between(0, i32::MAX as i64)),
    ("serviceAccountName", Rule::Subdomain),
    ("nodeName", Rule::Subdomain),
    ("activeDeadlineSeconds", Rule::Between(1, i32::MAX as i64)),
    ("hostname", Rule::Label),
    ("subdomain", Rule::Label),
    ("hostAliases[].ip", Rule::Address),
    ("hostAliases[].hostnames[]", Rule::Subdomain),
];

const VOLUME: &[Field] = &[
    ("name", Rule::Needed),
    ("name", Rule::Label),
    ("configMap.name", Rule::Needed),
    ("configMap.defaultMode", Rule::Mode),
    ("configMap.items[].key", Rule::Needed),
    ("configMap.items[].path", Rule::Needed),
    ("configMap.items[].path", Rule::Below),
    ("configMap.items[].mode", Rule::Mode),
    ("secret.secretName", Rule::Needed),
    ("secret.defaultMode", Rule::Mode),
    ("secret.items[].key", Rule::Needed),
    ("secret.items[].path", Rule::Needed),
    ("secret.items[].path", Rule::Below),
    ("secret.items[].mode", Rule::Mode),
    ("downwardAPI.defaultMode", Rule::Mode),
    ("downwardAPI.items[].path", Rule::Needed),
    ("downwardAPI.items[].path", Rule::Below),
    ("projected.defaultMode", Rule::Mode),
    ("hostPath.path", Rule::Needed),
    ("hostPath.path", Rule::NoParent),
    (
        "hostPath.type",
        Rule::OneOf(&[
            "",
            "BlockDevice",
            "CharDevice",
            "Directory",
            "DirectoryOrCreate",
            "File",
            "FileOrCreate",
            "Socket",
        ]),
    ),
    ("persistentVolumeClaim.claimName", Rule::Needed),
];

/// The kinds of volumes, in the order in which Kubernetes counts them.
const SOURCES: &[&str] = &[
    "emptyDir",
    "hostPath",
    "secret",
    "nfs",
    "iscsi",
    "persistentVolumeClaim",
    "downwardAPI",
    "configMap",
    "projected",
    "csi",
    "ephemeral",
    "image",
];

const CONTAINER: &[Field] = &[("image", Rule::Needed), ("image", Rule::Trimmed)];

const CONTAINER_PORT: &[Field] = &[
    ("name", Rule::PortName),
    ("containerPort", Rule::Needed),
    ("containerPort", Rule::Between(1, 65535)),
    ("hostPort", Rule::Between(1, 65535)),
    ("protocol", Rule::OneOf(&["SCTP", "TCP", "UDP"])),
];

const VARIABLE: &[Field] = &[
    ("name", Rule::Needed),
    ("name", Rule::Variable),
    ("valueFrom.fieldRef.fieldPath", Rule::Needed),
    ("valueFrom.configMapKeyRef.name", Rule::SubdomainNeeded),
    ("valueFrom.configMapKeyRef.key", Rule::Needed),
    ("valueFrom.configMapKeyRef.key", Rule::Key),
    ("valueFrom.secretKeyRef.name", Rule::SubdomainNeeded),
    ("valueFrom.secretKeyRef.key", Rule::Needed),
    ("valueFrom.secretKeyRef.key", Rule::Key),
    ("valueFrom.resourceFieldRef.resource", Rule::Needed),
];

const SOURCE_OF_VARIABLES: &[Field] =
    &[("configMapRef.name", Rule::Needed), ("secretRef.name", Rule::Needed), ("prefix", Rule::Variable)];

const MOUNT: &[Field] = &[("name", Rule::Needed), ("mountPath", Rule::Needed)];

const AFTER_MOUNTS: &[Field] = &[("imagePullPolicy", Rule::OneOf(&["Always", "IfNotPresent", "Never"]))];

const PROBE: &[Field] = &[
    ("initialDelaySeconds", Rule::Natural),
    ("timeoutSeconds", Rule::Natural),
    ("periodSeconds", Rule::Natural),
    ("successThreshold", Rule::Natural),
    ("failureThreshold", Rule::Natural),
];

const HANDLER: &[Field] = &[
    ("exec.command", Rule::Needed),
    ("httpGet.port", Rule::PortOrName),
    ("httpGet.scheme", Rule::OneOf(&["HTTP", "HTTPS"])),
    ("tcpSocket.port", Rule::PortOrName),
    ("grpc.port", Rule::Port),
];

const LAST: &[Field] = &[("terminationMessagePolicy", Rule::OneOf(&["File", "FallbackToLogsOnError"]))];

/// Fields that a variable may be made of, annotations and labels by key apart.
const FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// Fields that can be selected by, but that no variable is made of.
const OTHER_FIELDS: &[&str] = &[
    "metadata.annotations",
    "metadata.labels",
    "spec.restartPolicy",
    "spec.schedulerName",
    "status.phase",
    "status.nominatedNodeName",
];

const RESOURCES: &[&str] = &[
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

/// The policies that a pod may have for what ended.
pub(super) const RESTARTS: &[&str] = &["Always", "OnFailure", "Never"];

/// What a pod or a template of pods says, at `path`.
pub(super) fn spec(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    spec_with(&[], spec, path, causes);
}

/// The same, where each pod has a volume of its own for each of `claims` besides.
pub(super) fn spec_with(claims: &[Value], spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let mut volumes = volumes(spec, path, causes);
    volumes.extend(claims.iter().map(|claim| string(claim, "/metadata/name")));
    let containers = list(spec, "/containers");
    if containers.is_empty() {
        causes.push(Cause::required(format!("{path}.containers"), ""));
    }
    let mut seen = Seen { volumes, names: BTreeSet::new(), host_ports: BTreeSet::new() };
    for field in ["containers", "initContainers"] {
        for (index, one) in list(spec, &format!("/{field}")).iter().enumerate() {
            let here = format!("{path}.{field}[{index}]");
            container(one, spec, &here, field == "initContainers", &mut seen, causes);
        }
    }
    restart(spec, path, RESTARTS, causes);
    rules::check(spec, path, SPEC, causes);
    if spec["dnsPolicy"] == "None" && spec["dnsConfig"].is_null() {
        let why = "must provide `dnsConfig` when `dnsPolicy` is None";
        causes.push(Cause::required(format!("{path}.dnsConfig"), why));
    }
    label_keys(&spec["nodeSelector"], &format!("{path}.nodeSelector"), causes);
    for (index, toleration) in list(spec, "/tolerations").iter().enumerate() {
        let here = format!("{path}.tolerations[{index}]");
        let operator = string(toleration, "/operator");
        if string(toleration, "/key").is_empty() && operator != "Exists" {
            let why = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            causes.push(Cause::invalid(format!("{here}.operator"), &operator.into(), why));
        }
        rules::check(toleration, &here, &[("operator", Rule::OneOf(&["Equal", "Exists"]))], causes);
    }
}

/// The policy for what ended is one of these.
pub(super) fn restart(spec: &Value, path: &str, known: &'static [&'static str], causes: &mut Vec<Cause>) {
    rules::check(spec, path, &[("restartPolicy", Rule::OneOf(known))], causes);
}

/// What the containers of one pod share.
struct Seen<'a> {
    volumes: BTreeSet<&'a str>,
    names: BTreeSet<&'a str>,
    host_ports: BTreeSet<String>,
}

/// The names of the volumes.
fn volumes<'a>(spec: &'a Value, path: &str, causes: &mut Vec<Cause>) -> BTreeSet<&'a str> {
    let mut names = BTreeSet::new();
    for (index, volume) in list(spec, "/volumes").iter().enumerate() {
        let here = format!("{path}.volumes[{index}]");
        for more in SOURCES.iter().filter(|source| !volume[**source].is_null()).skip(1) {
            causes.push(Cause::forbidden(format!("{here}.{more}"), "may not specify more than 1 volume type"));
        }
        rules::check(volume, &here, VOLUME, causes);
        let name = string(volume, "/name");
        if !name.is_empty() && !names.insert(name) {
            causes.push(Cause::duplicate(format!("{here}.name"), &name.into()));
        }
    }
    names
}

fn container<'a>(one: &'a Value, spec: &Value, here: &str, init: bool, seen: &mut Seen<'a>, causes: &mut Vec<Cause>) {
    let name = string(one, "/name");
    rules::check(one, here, &[("name", Rule::Needed), ("name", Rule::Label)], causes);
    if !name.is_empty() && !seen.names.insert(name) {
        causes.push(Cause::duplicate(format!("{here}.name"), &name.into()));
    }
    rules::check(one, here, CONTAINER, causes);
    ports(one, spec["hostNetwork"] == true, here, seen, causes);
    for (index, variable) in list(one, "/env").iter().enumerate() {
        let here = format!("{here}.env[{index}]");
        rules::check(variable, &here, VARIABLE, causes);
        value_from(variable, &here, causes);
    }
    for (index, source) in list(one, "/envFrom").iter().enumerate() {
        let given = ["configMapRef", "secretRef"].iter().filter(|field| !source[**field].is_null()).count();
        if given != 1 {
            let why = match given {
                0 => "must specify one of: `configMapRef` or `secretRef`",
                _ => "may not have more than one field specified at a time",
            };
            causes.push(Cause::invalid(format!("{here}.envFrom"), &"".into(), why));
        }
        rules::check(source, &format!("{here}.envFrom[{index}]"), SOURCE_OF_VARIABLES, causes);
    }
    mounts(one, here, &seen.volumes, causes);
    rules::check(one, here, AFTER_MOUNTS, causes);
    resources(&one["resources"], &format!("{here}.resources"), causes);
    let privileges = &one["securityContext"];
    rules::check(one, here, &[("securityContext.runAsUser", Rule::Between(0, i64::from(i32::MAX)))], causes);
    if privileges["privileged"] == true && privileges["allowPrivilegeEscalation"] == false {
        let why = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
        causes.push(Cause::invalid(format!("{here}.securityContext"), privileges, why));
    }
    rules::check(one, here, &[("restartPolicy", Rule::OneOf(&["Always", "Never", "OnFailure"]))], causes);
    let ends = init && one["restartPolicy"] != "Always";
    let handlers = |field: &str, causes: &mut Vec<Cause>| {
        let given = &one[field];
        if given.is_null() {
            return;
        }
        let here = format!("{here}.{field}");
        if ends {
            let why = "may not be set for init containers without restartPolicy=Always";
            causes.push(Cause::forbidden(here, why));
        } else if field == "lifecycle" {
            for hook in ["postStart", "preStop"] {
                if given[hook].is_object() {
                    handler(&given[hook], &format!("{here}.{hook}"), causes);
                }
            }
        } else {
            handler(given, &here, causes);
            rules::check(given, &here, PROBE, causes);
            if field != "readinessProbe" && given["successThreshold"] != 1 {
                causes.push(Cause::invalid(
                    format!("{here}.successThreshold"),
                    &given["successThreshold"],
                    "must be 1",
                ));
            }
        }
    };
    for field in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
        handlers(field, causes);
    }
    rules::check(one, here, LAST, causes);
}

fn ports(one: &Value, host: bool, here: &str, seen: &mut Seen<'_>, causes: &mut Vec<Cause>) {
    let mut names = BTreeSet::new();
    for (index, port) in list(one, "/ports").iter().enumerate() {
        let here = format!("{here}.ports[{index}]");
        rules::check(port, &here, CONTAINER_PORT, causes);
        let name = string(port, "/name");
        if !name.is_empty() && !names.insert(name) {
            causes.push(Cause::duplicate(format!("{here}.name"), &name.into()));
        }
        let on_host = &port["hostPort"];
        if on_host.is_null() || *on_host == 0 {
            continue;
        }
        if host && on_host != &port["containerPort"] {
            let why = "must match `containerPort` when `hostNetwork` is true";
            causes.push(Cause::invalid(format!("{here}.hostPort"), on_host, why));
        }
        let place = format!("{}/{}/{on_host}", string(port, "/protocol"), string(port, "/hostIP"));
        if seen.host_ports.contains(&place) {
            causes.push(Cause::duplicate(format!("{here}.hostPort"), &place.into()));
        } else {
            seen.host_ports.insert(place);
        }
    }
}

fn value_from(variable: &Value, here: &str, causes: &mut Vec<Cause>) {
    let from = &variable["valueFrom"];
    if from.is_null() {
        return;
    }
    let here = format!("{here}.valueFrom");
    let known = ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"];
    let why = match known.iter().filter(|field| !from[**field].is_null()).count() {
        0 => Some(
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        ),
        1 if !string(variable, "/value").is_empty() => Some("may not be specified when `value` is not empty"),
        1 => None,
        _ => Some("may not have more than one field specified at a time"),
    };
    if let Some(why) = why {
        causes.push(Cause::invalid(here.as_str(), &"".into(), why));
    }
    let field = string(from, "/fieldRef/fieldPath");
    let keyed = ["metadata.annotations['", "metadata.labels['"];
    if !field.is_empty() && !FIELDS.contains(&field) && !keyed.iter().any(|prefix| field.starts_with(prefix)) {
        let here = format!("{here}.fieldRef.fieldPath");
        causes.push(if OTHER_FIELDS.contains(&field) {
            let known: Vec<String> = FIELDS.iter().map(|field| (*field).to_owned()).collect();
            Cause::unsupported(here, &field.into(), &known)
        } else {
            let why = format!("error converting fieldPath: field label not supported: {field}");
            Cause::invalid(here, &field.into(), why)
        });
    }
    let resource = string(from, "/resourceFieldRef/resource");
    let large_pages = ["limits.hugepages-", "requests.hugepages-"].iter().any(|prefix| resource.starts_with(prefix));
    if !resource.is_empty() && !large_pages && !RESOURCES.contains(&resource) {
        let known: Vec<String> = RESOURCES.iter().map(|field| (*field).to_owned()).collect();
        causes.push(Cause::unsupported(format!("{here}.resourceFieldRef.resource"), &resource.into(), &known));
    }
}

fn mounts(one: &Value, here: &str, volumes: &BTreeSet<&str>, causes: &mut Vec<Cause>) {
    let mut places = BTreeSet::new();
    for (index, mount) in list(one, "/volumeMounts").iter().enumerate() {
        let place = format!("{here}.volumeMounts[{index}]");
        rules::check(mount, &place, MOUNT, causes);
        let name = string(mount, "/name");
        if !volumes.contains(name) {
            causes.push(Cause::not_found(format!("{place}.name"), &name.into()));
        }
        let path = string(mount, "/mountPath");
        if !path.is_empty() && !places.insert(path) {
            causes.push(Cause::invalid(format!("{place}.mountPath"), &path.into(), "must be unique"));
        }
        // Kubernetes names no index here.
        rules::check(mount, &format!("{here}.volumeMounts"), &[("subPath", Rule::Below)], causes);
    }
}

/// Amounts of what a node has are known by name; others are named by somebody's domain.
fn resources(given: &Value, here: &str, causes: &mut Vec<Cause>) {
    for kind in ["limits", "requests"] {
        for (resource, amount) in given[kind].as_object().into_iter().flatten() {
            let field = format!("{here}.{kind}[{resource}]");
            let standard = ["cpu", "memory", "ephemeral-storage"].contains(&resource.as_str())
                || resource.starts_with("hugepages-");
            if !standard && !resource.contains('/') {
                for why in [
                    "must be a standard resource type or fully qualified",
                    "must be a standard resource for containers",
                ] {
                    causes.push(Cause::invalid(field.as_str(), &json!(resource), why));
                }
            }
            if amount.as_str().and_then(quantity).is_some_and(|amount| amount < 0.0) {
                causes.push(Cause::invalid(field, amount, "must be greater than or equal to 0"));
            }
        }
    }
    for (resource, amount) in given["requests"].as_object().into_iter().flatten() {
        let limit = &given["limits"][resource.as_str()];
        let amounts = amount.as_str().and_then(quantity).zip(limit.as_str().and_then(quantity));
        if amounts.is_some_and(|(request, limit)| request > limit) {
            let why =
                format!("must be less than or equal to {resource} limit of {}", limit.as_str().unwrap_or_default());
            causes.push(Cause::invalid(format!("{here}.requests"), amount, why));
        }
    }
}

/// What a probe or a hook does.
fn handler(given: &Value, here: &str, causes: &mut Vec<Cause>) {
    let known = ["exec", "httpGet", "tcpSocket", "grpc", "sleep"];
    let mut kinds = known.iter().filter(|kind| !given[**kind].is_null());
    if kinds.next().is_none() {
        causes.push(Cause::required(here, "must specify a handler type"));
    }
    for more in kinds {
        causes.push(Cause::forbidden(format!("{here}.{more}"), "may not specify more than 1 handler type"));
    }
    rules::check(given, here, HANDLER, causes);
}

/// What of a running pod may be changed: images, some times, and tolerations that are added.
const CHANGEABLE: [&str; 4] =
    ["activeDeadlineSeconds", "terminationGracePeriodSeconds", "tolerations", "schedulingGates"];

/// What a change of a pod does that none may.
pub(super) fn update(old: &Value, new: &Value, causes: &mut Vec<Cause>) {
    for field in ["containers", "initContainers"] {
        let count = |spec: &Value| list(spec, &format!("/{field}")).len();
        if count(old) != count(new) {
            causes.push(Cause::forbidden(format!("spec.{field}"), "pod updates may not add or remove containers"));
            return;
        }
    }
    if let (Some(before), after) = (old["activeDeadlineSeconds"].as_i64(), &new["activeDeadlineSeconds"]) {
        match after.as_i64() {
            None => causes.push(Cause::invalid(
                "spec.activeDeadlineSeconds",
                after,
                "must not update from a positive integer to nil value",
            )),
            Some(seconds) if seconds > before => {
                let why = "must be less than or equal to previous value";
                causes.push(Cause::invalid("spec.activeDeadlineSeconds", after, why));
            }
            Some(_) => {}
        }
    }
    let fixed = |spec: &Value| {
        let mut spec = spec.clone();
        if let Some(spec) = spec.as_object_mut() {
            CHANGEABLE.iter().for_each(|field| {
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
