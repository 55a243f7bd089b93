//! A pod's own say in what is injected: a container that is called as one that is injected is laid over it
//! (<https://istio.io/latest/docs/setup/additional-setup/sidecar-injection/#customizing-injection>).

use serde_json::{Map, Value, json};

/// An image that stands for the mesh's own.
pub(super) const AUTO: &str = "auto";

/// Lists whose items are told apart by a field of theirs (Kubernetes' merge keys); other lists are replaced as a whole.
const KEYS: [(&str, &str); 4] =
    [("env", "name"), ("ports", "containerPort"), ("volumeDevices", "devicePath"), ("volumeMounts", "mountPath")];

/// How a probe or a hook asks: one of them.
const HANDLERS: [&str; 5] = ["exec", "grpc", "httpGet", "sleep", "tcpSocket"];

/// What the API server writes where no image with a version, and so no policy, was written.
pub(super) const ASSUMED_POLICY: &str = "Always";

/// Takes the pod's own container of this name out of it, wherever it stands.
pub(super) fn take(pod: &mut Value, name: &str) -> Option<Value> {
    ["/spec/containers", "/spec/initContainers"].into_iter().find_map(|list| {
        let containers = pod.pointer_mut(list)?.as_array_mut()?;
        let place = containers.iter().position(|container| container.get("name").and_then(Value::as_str) == Some(name));
        place.map(|place| containers.remove(place))
    })
}

/// Lays what a pod says about a container over what is injected under its name. What it says wins, image `auto` apart.
pub(super) fn lay_over(injected: &mut Value, mut own: Value) {
    if let Some(own) = own.as_object_mut()
        && own.get("image").and_then(Value::as_str).is_none_or(|image| image == AUTO)
    {
        own.remove("image");
        if own.get("imagePullPolicy").and_then(Value::as_str) == Some(ASSUMED_POLICY) {
            own.remove("imagePullPolicy");
        }
    }
    merge(injected, own);
}

fn merge(base: &mut Value, over: Value) {
    let (Value::Object(into), Value::Object(from)) = (&mut *base, &over) else {
        *base = over;
        return;
    };
    if HANDLERS.iter().any(|handler| from.contains_key(*handler)) {
        into.retain(|field, _| from.contains_key(field) || !HANDLERS.contains(&field.as_str()));
    }
    let Value::Object(from) = over else { return };
    for (field, value) in from {
        let key = KEYS.iter().find(|(list, _)| *list == field).map(|(_, key)| *key);
        match (into.get_mut(&field), key, value) {
            (Some(Value::Array(items)), Some(key), Value::Array(others)) => merge_items(items, others, key),
            (Some(present), _, value) => merge(present, value),
            (None, _, value) => {
                into.insert(field, value);
            }
        }
    }
}

/// An item takes the place of the one that it has the key in common with.
fn merge_items(items: &mut Vec<Value>, others: Vec<Value>, key: &str) {
    for other in others {
        let same = items.iter_mut().find(|item| other.get(key).is_some() && item.get(key) == other.get(key));
        match same {
            Some(item) => *item = other,
            None => items.push(other),
        }
    }
}

/// The user that a container says it runs as.
pub(super) fn user(container: &Value) -> Option<u64> {
    container.pointer("/securityContext/runAsUser").and_then(Value::as_u64)
}

/// Volumes and mounts that a pod wants its proxy to have: a mapping from name to what Kubernetes has there.
pub(super) fn named(text: &str) -> Result<Vec<Value>, String> {
    let wrong = || "is no JSON mapping of names to objects, such as {\"certs\": {\"secret\": {\"secretName\": \"x\"}}}";
    let parsed: Map<String, Value> = serde_json::from_str(text).map_err(|error| format!("{}: {error}", wrong()))?;
    let entries = parsed.into_iter().map(|(name, value)| match value {
        Value::Object(mut entry) => {
            entry.insert("name".to_owned(), json!(name));
            Ok(Value::Object(entry))
        }
        _ => Err(wrong().to_owned()),
    });
    entries.collect()
}
