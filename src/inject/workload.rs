//! What a running pod has, and what it would get if it were started now.

use std::collections::BTreeMap;

use serde_json::Value;

use super::decision::{Decision, Injector, decide_for, texts};

/// The annotation in which injection says what it did.
const STATUS: &str = "sidecar.istio.io/status";

/// How a running pod stands to what its namespace asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It runs as it would be started now.
    Current,
    /// It has no sidecar and would get one.
    Missing,
    /// Its sidecar is another revision's.
    Outdated {
        /// That revision.
        revision: String,
    },
    /// It has a sidecar and would get none.
    Superfluous,
}

/// The revision of a pod's sidecar; `None` without one.
pub fn sidecar_revision(pod: &Value) -> Option<String> {
    let status = pod.get("metadata")?.get("annotations")?.get(STATUS)?.as_str()?;
    let status: Value = serde_json::from_str(status).ok()?;
    Some(status.get("revision").and_then(Value::as_str).unwrap_or(super::DEFAULT_REVISION).to_owned())
}

/// What injection would decide about a pod that exists, in a namespace with these labels.
pub fn decide_for_pod(injector: Injector<'_>, namespace: &BTreeMap<String, String>, pod: &Value) -> Decision {
    let host_network = pod.pointer("/spec/hostNetwork").and_then(Value::as_bool) == Some(true);
    decide_for(injector, namespace, &texts(pod, "labels"), &texts(pod, "annotations"), host_network)
}

/// How a running pod stands to what would be decided about it, by the control plane of `revision` that injects as `injector`.
pub fn standing(injector: Injector<'_>, revision: &str, namespace: &BTreeMap<String, String>, pod: &Value) -> Standing {
    match (sidecar_revision(pod), decide_for_pod(injector, namespace, pod).inject) {
        (None, true) => Standing::Missing,
        (Some(_), false) => Standing::Superfluous,
        (Some(has), true) if has != revision => Standing::Outdated { revision: has },
        (None, false) | (Some(_), true) => Standing::Current,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_is_held_against_what_it_would_get_now() {
        let enabled = BTreeMap::from([("istio-injection".to_owned(), "enabled".to_owned())]);
        let tagged = BTreeMap::from([("istio.io/rev".to_owned(), "prod".to_owned())]);
        let nothing = BTreeMap::new();
        let bare = json!({"metadata": {"name": "a"}, "spec": {}});
        let with = |revision: &str| {
            let status = json!({"initContainers": ["istio-proxy"], "revision": revision}).to_string();
            json!({"metadata": {"annotations": {"sidecar.istio.io/status": status}}, "spec": {}})
        };
        for (asks, revision, namespace, pod, expected) in [
            ("default", "default", &enabled, bare.clone(), Standing::Missing),
            ("default", "default", &nothing, bare, Standing::Current),
            ("default", "default", &enabled, with("default"), Standing::Current),
            ("default", "default", &nothing, with("default"), Standing::Superfluous),
            ("prod", "1-2", &tagged, with("1-1"), Standing::Outdated { revision: "1-1".into() }),
            ("prod", "1-2", &tagged, with("1-2"), Standing::Current),
        ] {
            assert_eq!(standing(Injector::asked_as(asks), revision, namespace, &pod), expected);
        }
        let host = json!({"metadata": {}, "spec": {"hostNetwork": true}});
        assert_eq!(standing(Injector::asked_as("default"), "default", &enabled, &host), Standing::Current);
        let everywhere = Injector { asked_as: "default", everywhere: true };
        let silent = json!({"metadata": {"name": "a"}, "spec": {}});
        assert_eq!(standing(everywhere, "default", &nothing, &silent), Standing::Missing);
        let disabled = BTreeMap::from([("istio-injection".to_owned(), "disabled".to_owned())]);
        assert_eq!(standing(everywhere, "default", &disabled, &silent), Standing::Current);
    }
}
