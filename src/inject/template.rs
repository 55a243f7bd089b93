//! Pods inside of other objects: what a command injects that is given whole files.

use serde_json::{Map, Value, json};

use super::sidecar::{InjectError, Outcome, Settings, inject};

/// Where each kind keeps its pod.
const PODS: &[(&str, &str)] = &[
    ("Pod", ""),
    ("Deployment", "/spec/template"),
    ("ReplicaSet", "/spec/template"),
    ("ReplicationController", "/spec/template"),
    ("StatefulSet", "/spec/template"),
    ("DaemonSet", "/spec/template"),
    ("Job", "/spec/template"),
    ("CronJob", "/spec/jobTemplate/spec/template"),
    ("DeploymentConfig", "/spec/template"),
];

/// The pod that an object is or starts; `None` for kinds that start none.
pub fn pod_of(object: &Value) -> Option<&Value> {
    object.pointer(pointer(object)?)
}

fn pointer(object: &Value) -> Option<&'static str> {
    let kind = object.get("kind")?.as_str()?;
    PODS.iter().find(|(known, _)| *known == kind).map(|(_, pointer)| *pointer)
}

/// Injects the pod that an object is or starts, as it would be when it is created; `None` for kinds that start none.
///
/// The pod of a workload is named after it, so that its canonical name is what it would be in a cluster.
///
/// # Errors
/// What stands where a pod belongs is none.
pub fn inject_object(object: &mut Value, settings: &Settings) -> Result<Option<Outcome>, InjectError> {
    let Some(pointer) = pointer(object) else { return Ok(None) };
    if pointer.is_empty() {
        return inject(object, settings).map(Some);
    }
    let name = object.pointer("/metadata/name").cloned().unwrap_or_else(|| json!(""));
    let Some(Value::Object(template)) = object.pointer_mut(pointer) else { return Ok(None) };
    let metadata = template.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    let own = metadata.get("name").cloned();
    if let (None, Some(metadata)) = (&own, metadata.as_object_mut()) {
        metadata.insert("name".to_owned(), name);
    }
    let mut pod = Value::Object(std::mem::take(template));
    let outcome = inject(&mut pod, settings);
    if let (None, Some(metadata)) = (own, pod.get_mut("metadata").and_then(Value::as_object_mut)) {
        metadata.remove("name");
    }
    if let Value::Object(pod) = pod {
        *template = pod;
    }
    outcome.map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pods_of_workloads_are_injected_and_others_are_left_alone() {
        for (kind, pointer) in PODS.iter().filter(|(_, pointer)| !pointer.is_empty()) {
            let mut object = json!({"kind": kind, "metadata": {"name": "web"}, "spec": {
                "template": {"spec": {"containers": [{"name": "app"}]}},
                "jobTemplate": {"spec": {"template": {"spec": {"containers": [{"name": "app"}]}}}},
            }});
            assert_eq!(inject_object(&mut object, &Settings::default()).unwrap(), Some(Outcome::Injected), "{kind}");
            let pod = object.pointer(pointer).unwrap();
            assert_eq!(pod["spec"]["initContainers"][1]["name"], "istio-proxy", "{kind}");
            assert_eq!(pod["metadata"]["labels"]["service.istio.io/canonical-name"], "web", "{kind}");
            assert!(pod["metadata"].get("name").is_none(), "{kind}");
        }
        let mut service = json!({"kind": "Service", "metadata": {"name": "web"}});
        assert_eq!(inject_object(&mut service, &Settings::default()).unwrap(), None);
        let mut empty = json!({"kind": "Deployment", "metadata": {"name": "web"}, "spec": {"template": {"spec": {}}}});
        assert!(inject_object(&mut empty, &Settings::default()).unwrap_err().to_string().contains("spec.containers"));
    }
}
