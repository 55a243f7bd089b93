//! What a built-in object gets that did not say it.

use serde_json::{Map, Value, json};

use super::columns::string;

/// Sets the defaults of `kind` that clients look at.
pub(super) fn set(kind: &str, object: &mut Value, fresh: bool) {
    match kind {
        "Namespace" => {
            let name = string(object, "/metadata/name").to_owned();
            ensure(object, &["metadata", "labels"], &json!({"kubernetes.io/metadata.name": name}));
            if fresh {
                ensure(object, &["spec"], &json!({"finalizers": ["kubernetes"]}));
                object["status"] = json!({"phase": "Active"});
            }
        }
        "Pod" => {
            pod(object.get_mut("spec"));
            if fresh {
                ensure(object, &["spec"], &json!({"serviceAccountName": "default"}));
                object["status"] = json!({"phase": "Pending"});
            }
        }
        "Service" => service(object.get_mut("spec")),
        "Secret" => ensure(object, &[], &json!({"type": "Opaque"})),
        "Deployment" => {
            ensure(object, &["spec"], &json!({
                "replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600,
                "strategy": {"type": "RollingUpdate"},
            }));
            if string(object, "/spec/strategy/type") == "RollingUpdate" {
                ensure(object, &["spec", "strategy", "rollingUpdate"], &json!({"maxUnavailable": "25%", "maxSurge": "25%"}));
            }
            pod(object.pointer_mut("/spec/template/spec"));
        }
        "ReplicaSet" => {
            ensure(object, &["spec"], &json!({"replicas": 1}));
            pod(object.pointer_mut("/spec/template/spec"));
        }
        _ => {}
    }
}

/// Adds the fields of `defaults` that the object at `path` lacks.
fn ensure(object: &mut Value, path: &[&str], defaults: &Value) {
    let mut place = object;
    for name in path {
        let Some(map) = place.as_object_mut() else {
            return;
        };
        place = map.entry(*name).or_insert_with(|| Value::Object(Map::new()));
        if place.is_null() {
            *place = Value::Object(Map::new());
        }
    }
    if let (Some(map), Some(defaults)) = (place.as_object_mut(), defaults.as_object()) {
        for (name, value) in defaults {
            map.entry(name.as_str()).or_insert_with(|| value.clone());
        }
    }
}

fn items<'a>(object: &'a mut Value, name: &str) -> impl Iterator<Item = &'a mut Value> {
    object.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten()
}

fn pod(spec: Option<&mut Value>) {
    let Some(spec) = spec else {
        return;
    };
    ensure(spec, &[], &json!({
        "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "terminationGracePeriodSeconds": 30,
        "schedulerName": "default-scheduler", "securityContext": {},
    }));
    for list in ["containers", "initContainers"] {
        for container in items(spec, list) {
            ensure(container, &[], &json!({
                "resources": {}, "imagePullPolicy": "IfNotPresent", "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
            }));
            for port in items(container, "ports") {
                ensure(port, &[], &json!({"protocol": "TCP"}));
            }
            for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
                if let Some(probe) = container.get_mut(probe) {
                    ensure(probe, &[], &json!({
                        "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
                    }));
                }
            }
        }
    }
}

fn service(spec: Option<&mut Value>) {
    let Some(spec) = spec else {
        return;
    };
    ensure(spec, &[], &json!({"type": "ClusterIP", "sessionAffinity": "None"}));
    if spec["type"] != "ExternalName" {
        ensure(spec, &[], &json!({
            "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "internalTrafficPolicy": "Cluster",
        }));
    }
    for port in items(spec, "ports") {
        let number = port["port"].clone();
        ensure(port, &[], &json!({"protocol": "TCP", "targetPort": number}));
    }
}
