//! Namespaces and pods that are not injected, or not as their labels say.

use serde_json::Value;

use crate::analyze::Found;
use crate::analyze::codes::{
    NAMESPACE_INJECTION_ENABLED_BY_DEFAULT, NAMESPACE_MULTIPLE_INJECTION_LABELS, NAMESPACE_NOT_INJECTED,
    POD_MISSING_PROXY,
};
use crate::analyze::message::place;
use crate::analyze::object::{Object, text};
use crate::analyze::snapshot::{Snapshot, embedded};

/// The label that turns injection on.
const INJECTION: &str = "istio-injection";
/// The label that says by which control plane.
const REVISION: &str = "istio.io/rev";
/// The label for ambient mode.
const MODE: &str = "istio.io/dataplane-mode";

/// Namespaces that belong to Kubernetes.
const SYSTEM: &[&str] = &["kube-system", "kube-public", "kube-node-lease", "local-path-storage"];

/// All of them.
pub fn run(snapshot: &Snapshot, found: &mut Found) {
    let by_default = injector(snapshot, "istio-sidecar-injector")
        .and_then(|values| values.pointer("/sidecarInjectorWebhook/enableNamespacesByDefault").and_then(Value::as_bool))
        .unwrap_or_default();
    for namespace in snapshot.all("Namespace") {
        let own = *namespace.name == *snapshot.options.istio_namespace || SYSTEM.contains(&&*namespace.name);
        if !own {
            judge(namespace, by_default, found);
        }
    }
    for pod in snapshot.all("Pod") {
        let wanted = snapshot
            .find("Namespace", "", &pod.namespace)
            .is_some_and(|namespace| namespace.label(INJECTION) == "enabled");
        let chosen = match pod.label("sidecar.istio.io/inject") {
            "" => pod.annotation("sidecar.istio.io/inject"),
            label => label,
        };
        let host_network = pod.at("/spec/hostNetwork").and_then(Value::as_bool).unwrap_or_default();
        if wanted && !chosen.eq_ignore_ascii_case("false") && !host_network && proxy(pod).is_none() {
            let text = "The pod has no proxy, though its namespace is injected: it was started before, or injection failed. Restart it.";
            found.note(POD_MISSING_PROXY, pod, text);
        }
    }
}

fn judge(namespace: &Object, by_default: bool, found: &mut Found) {
    let labels = namespace.labels();
    let injection = labels.get(INJECTION).copied();
    let set: Vec<&str> = [INJECTION, REVISION, MODE]
        .into_iter()
        .filter(|label| labels.get(label).is_some_and(|value| *label != MODE || *value == "ambient"))
        .collect();
    if set.len() > 1 && injection.is_none_or(|value| value == "enabled") {
        let text =
            format!("The namespace has the labels {}, of which only one can hold: remove the others.", set.join(", "));
        found.at(NAMESPACE_MULTIPLE_INJECTION_LABELS, namespace, &place!["metadata", "labels"], text);
    }
    if set.is_empty() {
        let place = place!["metadata", "name"];
        if by_default {
            let text = "The namespace is injected by default, without a label of its own.";
            found.at(NAMESPACE_INJECTION_ENABLED_BY_DEFAULT, namespace, &place, text);
        } else {
            let text = format!(
                "The namespace's pods get no proxy: label it with {INJECTION}=enabled, or {INJECTION}=disabled if that is meant."
            );
            found.at(NAMESPACE_NOT_INJECTED, namespace, &place, text);
        }
    }
}

/// The image of a pod's proxy; none if it has none.
pub fn proxy(pod: &Object) -> Option<&str> {
    ["/spec/containers", "/spec/initContainers"]
        .iter()
        .flat_map(|list| pod.items(list))
        .find(|container| text(container, "/name") == "istio-proxy")
        .map(|container| text(container, "/image"))
}

/// The values that an injector was installed with.
pub fn injector(snapshot: &Snapshot, name: &str) -> Option<Value> {
    embedded(snapshot.find("ConfigMap", &snapshot.options.istio_namespace, name)?, "values")
}
