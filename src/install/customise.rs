//! How Kubernetes runs a part: the fragments of its `k8s` settings, put into the rendered objects, and overlays over them.

use serde_json::{Value, json};

use crate::install::Error;
use crate::install::settings::{K8s, Overlay, Tree};
use crate::install::tree;

/// Puts the fragments into the part's objects.
pub(super) fn customise(objects: &mut [Value], k8s: &K8s) -> Result<(), Error> {
    for object in objects.iter_mut() {
        match object.get("kind").and_then(Value::as_str) {
            Some("Deployment") => deployment(object, k8s),
            Some("Service") => service(object, k8s),
            Some("HorizontalPodAutoscaler") => lay(object, "/spec", k8s.hpa_spec.as_ref()),
            Some("PodDisruptionBudget") => lay(object, "/spec", k8s.pod_disruption_budget.as_ref()),
            _ => {}
        }
    }
    k8s.overlays.iter().try_for_each(|overlay| lay_over(objects, overlay))
}

fn deployment(object: &mut Value, k8s: &K8s) {
    let trees = |items: &[Tree]| items.iter().map(|Tree(item)| item.clone()).collect::<Vec<_>>();
    let texts = |map: &std::collections::BTreeMap<String, String>| (!map.is_empty()).then(|| Tree(json!(map)));
    let node_selector = texts(&k8s.node_selector);
    let annotations = texts(&k8s.pod_annotations);
    let priority = k8s.priority_class_name.as_ref().map(|name| Tree(json!(name)));
    let tolerations = (!k8s.tolerations.is_empty()).then(|| Tree(Value::Array(trees(&k8s.tolerations))));
    // The fields of one type do not fit another.
    if let Some(Tree(strategy)) = &k8s.strategy
        && strategy.get("type").is_some_and(|kind| kind != "RollingUpdate")
        && let Some(spec) = object.pointer_mut("/spec").and_then(Value::as_object_mut)
    {
        spec.remove("strategy");
    }
    for (pointer, fragment) in [
        ("/spec/strategy", k8s.strategy.as_ref()),
        ("/spec/template/metadata/annotations", annotations.as_ref()),
        ("/spec/template/spec/affinity", k8s.affinity.as_ref()),
        ("/spec/template/spec/nodeSelector", node_selector.as_ref()),
        ("/spec/template/spec/priorityClassName", priority.as_ref()),
        ("/spec/template/spec/securityContext", k8s.security_context.as_ref()),
        ("/spec/template/spec/tolerations", tolerations.as_ref()),
        ("/spec/template/spec/containers/0/resources", k8s.resources.as_ref()),
        ("/spec/template/spec/containers/0/readinessProbe", k8s.readiness_probe.as_ref()),
    ] {
        lay(object, pointer, fragment);
    }
    if let Some(count) = k8s.replica_count
        && let Some(replicas) = object.pointer_mut("/spec/replicas")
    {
        *replicas = count.into();
    }
    if let Some(container) = object.pointer_mut("/spec/template/spec/containers/0").and_then(Value::as_object_mut)
        && !k8s.env.is_empty()
    {
        let env = container.entry("env").or_insert_with(|| json!([]));
        if let Value::Array(env) = env {
            tree::overlay_by_name(env, &trees(&k8s.env));
        }
    }
}

fn service(object: &mut Value, k8s: &K8s) {
    lay(object, "/spec", k8s.service.as_ref());
    if !k8s.service_annotations.is_empty() {
        lay(object, "/metadata/annotations", Some(&Tree(json!(k8s.service_annotations))));
    }
}

/// Lays a fragment over the value at `pointer`, whose parent is there.
fn lay(object: &mut Value, pointer: &str, fragment: Option<&Tree>) {
    let Some(Tree(fragment)) = fragment else { return };
    let Some((parent, key)) = pointer.rsplit_once('/') else { return };
    let Some(parent) = object.pointer_mut(parent).and_then(Value::as_object_mut) else { return };
    tree::overlay(parent.entry(key).or_insert(Value::Null), fragment, &|_| false);
}

fn lay_over(objects: &mut [Value], overlay: &Overlay) -> Result<(), Error> {
    let refused = |reason: String| Error::Overlay { object: format!("{} {}", overlay.kind, overlay.name), reason };
    let meant = |object: &&mut Value| {
        object.get("kind").and_then(Value::as_str) == Some(overlay.kind.as_str())
            && object.pointer("/metadata/name").and_then(Value::as_str) == Some(overlay.name.as_str())
    };
    let object = objects
        .iter_mut()
        .find(meant)
        .ok_or_else(|| refused("there is no such object in this part: check kind and name".to_owned()))?;
    for patch in &overlay.patches {
        let path = tree::parse(&patch.path).map_err(|reason| refused(format!("path {:?} {reason}", patch.path)))?;
        let value = patch.value.as_ref().map_or(Value::Null, |Tree(value)| value.clone());
        tree::set(object, &path, value).map_err(|reason| refused(format!("path {:?}: {reason}", patch.path)))?;
    }
    Ok(())
}
