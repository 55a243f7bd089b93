//! Pods that leave their proxy's image to injection, where nothing injects them.

use serde_json::Value;

use super::injection::proxy;
use super::webhook::{is_injector, is_selected};
use crate::analyze::Found;
use crate::analyze::codes::{IMAGE_AUTO_WITHOUT_INJECTION_ERROR, IMAGE_AUTO_WITHOUT_INJECTION_WARNING};
use crate::analyze::object::{items, map, selects, text};
use crate::analyze::snapshot::Snapshot;

/// The image that stands for the injector's.
const AUTO: &str = "auto";

/// Pods that still have the image, and Deployments whose pods will.
pub fn run(snapshot: &Snapshot, found: &mut Found) {
    for pod in snapshot.all("Pod").iter().filter(|pod| proxy(pod) == Some(AUTO)) {
        let text =
            "The pod's proxy has the image `auto`, which injection replaces: the pod was not injected and can't start.";
        found.note(IMAGE_AUTO_WITHOUT_INJECTION_ERROR, pod, text);
    }
    for deployment in snapshot.all("Deployment") {
        let Some(template) = deployment.at("/spec/template") else { continue };
        let auto = ["/spec/containers", "/spec/initContainers"]
            .iter()
            .flat_map(|list| items(template, list))
            .any(|container: &Value| text(container, "/name") == "istio-proxy" && text(container, "/image") == AUTO);
        if !auto {
            continue;
        }
        let namespace = snapshot.find("Namespace", "", &deployment.namespace);
        let namespace_labels = namespace.map(|namespace| namespace.labels()).unwrap_or_default();
        let labels = map(template, "/metadata/labels");
        let injected =
            snapshot.all("MutatingWebhookConfiguration").iter().filter(|object| is_injector(object)).any(|object| {
                object.items("/webhooks").iter().any(|webhook| is_selected(webhook, &namespace_labels, &labels))
            });
        // A pod that has got its proxy says more than webhooks do: the built-in runtime has none.
        let shown = snapshot
            .all("Pod")
            .iter()
            .filter(|pod| pod.namespace == deployment.namespace)
            .any(|pod| selects(&labels, &pod.labels()) && proxy(pod).is_some_and(|image| image != AUTO));
        if !injected && !shown {
            let text = "The proxy has the image `auto`, which injection replaces, and no webhook injects these pods: label them, or their namespace.";
            found.note(IMAGE_AUTO_WITHOUT_INJECTION_WARNING, deployment, text);
        }
    }
}
