//! The webhook by which pods get their sidecars, for a revision and for the tags that point to one.
//!
//! Its entries are so made that for every pod exactly one control plane's entry matches, or none, which is Istio's table:
//! `istio-injection` wins over `istio.io/rev`, and a pod's `sidecar.istio.io/inject` decides within what its namespace says.

use serde_json::{Value, json};

const INJECTION: &str = "istio-injection";
const REVISION: &str = "istio.io/rev";
const INJECT: &str = "sidecar.istio.io/inject";

/// Namespaces that keep the cluster itself running.
const SYSTEM: [&str; 4] = ["kube-system", "kube-public", "kube-node-lease", "local-path-storage"];

/// Where the control plane that injects is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Injector<'a> {
    pub(super) service: String,
    pub(super) namespace: &'a str,
    pub(super) path: String,
}

/// Name of the webhook of a revision; the default revision's in the default namespace has no suffix.
pub(super) fn name(revision_suffix: &str, namespace: &str) -> String {
    let namespace = if namespace == "istio-system" { String::new() } else { format!("-{namespace}") };
    format!("istio-sidecar-injector{revision_suffix}{namespace}")
}

/// The entries for `revision`; with `default` also those that `istio-injection=enabled` means, and with `everywhere` those of
/// namespaces that say nothing.
pub(super) fn entries(injector: &Injector<'_>, revision: &str, default: bool, everywhere: bool) -> Vec<Value> {
    let is_in = |key: &str, values: &[&str]| json!({"key": key, "operator": "In", "values": values});
    let not_in = |key: &str, values: &[&str]| json!({"key": key, "operator": "NotIn", "values": values});
    let absent = |key: &str| json!({"key": key, "operator": "DoesNotExist"});
    let not_refused = || not_in(INJECT, &["false"]);
    let silent = || vec![absent(REVISION), absent(INJECTION)];
    let entry = |name: &str, namespace: Vec<Value>, object: Vec<Value>| {
        json!({
            "name": format!("{name}sidecar-injector.istio.io"),
            "clientConfig": {"service": {
                "name": injector.service,
                "namespace": injector.namespace,
                "path": injector.path,
                "port": 443,
            }},
            "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"],
                "scope": "*"}],
            "failurePolicy": "Fail",
            "reinvocationPolicy": "Never",
            "sideEffects": "None",
            "timeoutSeconds": 10,
            "admissionReviewVersions": ["v1"],
            "namespaceSelector": {"matchExpressions": namespace},
            "objectSelector": {"matchExpressions": object},
        })
    };
    let mut entries = vec![
        entry("rev.namespace.", vec![is_in(REVISION, &[revision]), absent(INJECTION)], vec![not_refused()]),
        entry("rev.object.", silent(), vec![not_refused(), is_in(REVISION, &[revision])]),
    ];
    if default {
        entries.push(entry("namespace.", vec![is_in(INJECTION, &["enabled"])], vec![not_refused()]));
        entries.push(entry("object.", silent(), vec![is_in(INJECT, &["true"]), absent(REVISION)]));
        if everywhere {
            let mut namespace = silent();
            namespace.push(not_in("kubernetes.io/metadata.name", &SYSTEM));
            entries.push(entry("auto.", namespace, vec![absent(INJECT), absent(REVISION)]));
        }
    }
    entries
}

/// The entry of namespaces that say nothing.
pub(super) const EVERYWHERE: &str = "auto.sidecar-injector.istio.io";

/// The entry that `istio-injection=enabled` means.
pub(super) const BY_DEFAULT: &str = "namespace.sidecar-injector.istio.io";

/// Whether a webhook has an entry of this name that may match something.
pub(super) fn asks(hook: &Value, name: &str) -> bool {
    let entries = hook.get("webhooks").and_then(Value::as_array).into_iter().flatten();
    let mut named = entries.filter(|entry| entry.get("name").and_then(Value::as_str) == Some(name));
    named.any(|entry| entry.pointer("/namespaceSelector/matchLabels").is_none_or(|labels| *labels != never()))
}

/// Labels that nothing has (Istio's).
fn never() -> Value {
    json!({"istio.io/deactivated": "never-match"})
}

/// The webhook, asked about nothing: another one has taken over what it was asked about.
pub(super) fn silenced(mut hook: Value) -> Value {
    for entry in hook.get_mut("webhooks").and_then(Value::as_array_mut).into_iter().flatten() {
        for selector in ["namespaceSelector", "objectSelector"] {
            if let Some(entry) = entry.as_object_mut() {
                entry.insert(selector.to_owned(), json!({ "matchLabels": never() }));
            }
        }
    }
    hook
}

/// A webhook as it is to be applied over the one that is there: one that the control plane has closed stays as it is, so that
/// installing again opens no gap.
pub(super) fn over_present(object: &Value, present: Option<&Value>) -> Value {
    let mut object = object.clone();
    if object.get("kind").and_then(Value::as_str) != Some("ValidatingWebhookConfiguration") {
        return object;
    }
    let present = present.and_then(|present| present.get("webhooks")?.as_array());
    let entries = object.get_mut("webhooks").and_then(Value::as_array_mut).into_iter().flatten();
    for entry in entries {
        let name = entry.get("name");
        let Some(same) = present.into_iter().flatten().find(|known| known.get("name") == name) else { continue };
        let served = same.pointer("/clientConfig/caBundle").and_then(Value::as_str).is_some_and(|pem| !pem.is_empty());
        // What is not applied keeps the value that somebody else has given it.
        if let (true, Some("Fail"), Some(entry)) =
            (served, same.get("failurePolicy").and_then(Value::as_str), entry.as_object_mut())
        {
            entry.remove("failurePolicy");
        }
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(selector: &Value, labels: &[(&str, &str)]) -> bool {
        selector["matchExpressions"].as_array().unwrap().iter().all(|rule| {
            let value = labels.iter().find(|(key, _)| *key == rule["key"]).map(|(_, value)| *value);
            let listed = |value: &str| rule["values"].as_array().unwrap().iter().any(|wanted| wanted == value);
            match rule["operator"].as_str().unwrap() {
                "In" => value.is_some_and(listed),
                "NotIn" => !value.is_some_and(listed),
                "DoesNotExist" => value.is_none(),
                other => panic!("{other}"),
            }
        })
    }

    #[test]
    fn a_closed_webhook_stays_closed_and_one_that_is_not_served_does_not() {
        let object = json!({"kind": "ValidatingWebhookConfiguration",
            "webhooks": [{"name": "a", "failurePolicy": "Ignore", "timeoutSeconds": 10}]});
        let present = |bundle: &str| json!({"webhooks": [{"name": "a", "failurePolicy": "Fail", "clientConfig": {"caBundle": bundle}}]});
        let closed = over_present(&object, Some(&present("eA==")));
        assert_eq!(closed["webhooks"][0], json!({"name": "a", "timeoutSeconds": 10}));
        assert_eq!(over_present(&object, Some(&present(""))), object);
        assert_eq!(over_present(&object, None), object);
    }

    /// For each namespace and pod, the revisions whose webhooks match: never two of them.
    #[test]
    fn for_every_pod_one_control_plane_or_none_is_asked() {
        let injector = Injector { service: "istiod".into(), namespace: "istio-system", path: "/inject".into() };
        let hooks = [
            ("default", entries(&injector, "default", true, false)),
            ("canary", entries(&injector, "canary", false, false)),
        ];
        let asked = |namespace: &[(&str, &str)], pod: &[(&str, &str)]| -> Vec<&str> {
            let matching = hooks.iter().flat_map(|(revision, entries)| {
                let count = entries.iter().filter(|entry| {
                    matches(&entry["namespaceSelector"], namespace) && matches(&entry["objectSelector"], pod)
                });
                count.map(|_| *revision)
            });
            matching.collect()
        };
        let namespaces: [&[(&str, &str)]; 6] = [
            &[],
            &[("istio.io/rev", "canary")],
            &[("istio.io/rev", "default")],
            &[("istio-injection", "enabled")],
            &[("istio-injection", "enabled"), ("istio.io/rev", "canary")],
            &[("istio-injection", "disabled")],
        ];
        let pods: [&[(&str, &str)]; 5] = [
            &[],
            &[("sidecar.istio.io/inject", "true")],
            &[("istio.io/rev", "canary")],
            &[("sidecar.istio.io/inject", "true"), ("istio.io/rev", "canary")],
            &[("sidecar.istio.io/inject", "false")],
        ];
        let expected: [[&str; 5]; 6] = [
            ["", "default", "canary", "canary", ""],
            ["canary", "canary", "canary", "canary", ""],
            ["default", "default", "default", "default", ""],
            ["default", "default", "default", "default", ""],
            ["default", "default", "default", "default", ""],
            ["", "", "", "", ""],
        ];
        for (namespace, row) in namespaces.iter().zip(expected) {
            for (pod, wanted) in pods.iter().zip(row) {
                assert_eq!(asked(namespace, pod).join(","), wanted, "namespace {namespace:?}, pod {pod:?}");
            }
        }
    }
}
