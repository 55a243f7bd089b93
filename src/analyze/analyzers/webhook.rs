//! Injection webhooks: at most one for each pod, and all of them lead to a Service that exists.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::analyze::Found;
use crate::analyze::codes::INVALID_WEBHOOK;
use crate::analyze::message::place;
use crate::analyze::object::{Labels, Object, items, map, text};
use crate::analyze::snapshot::Snapshot;

/// Whether a configuration is one of Istio's injectors.
pub fn is_injector(object: &Object) -> bool {
    object.name.starts_with("istio-sidecar-injector") || object.name.starts_with("istio-revision-tag")
}

/// Whether a webhook takes pods with these labels in a namespace with those.
pub fn is_selected(webhook: &Value, namespace: &Labels<'_>, pod: &Labels<'_>) -> bool {
    takes(webhook, "/namespaceSelector", namespace) && takes(webhook, "/objectSelector", pod)
}

/// Kubernetes' label selectors.
fn takes(webhook: &Value, pointer: &str, labels: &Labels<'_>) -> bool {
    let wanted = map(webhook, &format!("{pointer}/matchLabels"));
    let expressions = items(webhook, &format!("{pointer}/matchExpressions"));
    crate::analyze::object::selects(&wanted, labels)
        && expressions.iter().all(|expression| {
            let held = labels.get(text(expression, "/key")).copied();
            let among = || items(expression, "/values").iter().any(|value| value.as_str() == held);
            match text(expression, "/operator") {
                "In" => held.is_some() && among(),
                "NotIn" => held.is_none() || !among(),
                "Exists" => held.is_some(),
                "DoesNotExist" => held.is_none(),
                _ => false,
            }
        })
}

/// Ambiguous webhooks, and those that lead nowhere.
pub fn run(snapshot: &Snapshot, found: &mut Found) {
    let injectors: Vec<&Object> =
        snapshot.all("MutatingWebhookConfiguration").iter().filter(|object| is_injector(object)).collect();
    overlaps(&injectors, found);
    for object in injectors {
        for (index, webhook) in object.items("/webhooks").iter().enumerate() {
            let (namespace, name) =
                (text(webhook, "/clientConfig/service/namespace"), text(webhook, "/clientConfig/service/name"));
            if !name.is_empty() && snapshot.find("Service", namespace, name).is_none() {
                let place = place!["webhooks", index, "clientConfig", "service"];
                let outcome = match text(webhook, "/failurePolicy") {
                    "Ignore" => "pods start without a proxy",
                    _ => "no pod starts",
                };
                let text = format!(
                    "The webhook {} leads to the Service {namespace}/{name}, which does not exist: {outcome}. Remove the webhook, or install the control plane again.",
                    text(webhook, "/name")
                );
                found.at(INVALID_WEBHOOK, object, &place, text);
            }
        }
    }
}

/// Tries every combination of the labels that injectors look at.
fn overlaps(injectors: &[&Object], found: &mut Found) {
    let mut revisions: BTreeSet<&str> = BTreeSet::new();
    for object in injectors {
        revisions.insert(match object.label("istio.io/rev") {
            "" => "default",
            revision => revision,
        });
    }
    let with = |values: &[&'static str]| -> Vec<Option<&str>> {
        std::iter::once(None).chain(values.iter().copied().map(Some)).collect()
    };
    let with_revisions: Vec<Option<&str>> = std::iter::once(None).chain(revisions.iter().copied().map(Some)).collect();
    let mut conflicts: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    for injection in with(&["enabled", "disabled"]) {
        for namespace_revision in &with_revisions {
            for inject in with(&["true", "false"]) {
                for pod_revision in &with_revisions {
                    let labels = |pairs: [(&'static str, Option<&'_ str>); 2]| -> Vec<(&'static str, String)> {
                        pairs.into_iter().filter_map(|(key, value)| Some((key, value?.to_owned()))).collect()
                    };
                    let namespace = labels([("istio-injection", injection), ("istio.io/rev", *namespace_revision)]);
                    let pod = labels([("sidecar.istio.io/inject", inject), ("istio.io/rev", *pod_revision)]);
                    let namespace: Labels<'_> = namespace.iter().map(|(key, value)| (*key, value.as_str())).collect();
                    let pod: Labels<'_> = pod.iter().map(|(key, value)| (*key, value.as_str())).collect();
                    let taken: Vec<(usize, String)> = injectors
                        .iter()
                        .enumerate()
                        .flat_map(|(index, object)| {
                            object.items("/webhooks").iter().map(move |webhook| (index, object, webhook))
                        })
                        .filter(|(_, _, webhook)| is_selected(webhook, &namespace, &pod))
                        .map(|(index, object, webhook)| (index, format!("{}/{}", object.name, text(webhook, "/name"))))
                        .collect();
                    if taken.len() > 1 {
                        for (index, _) in &taken {
                            conflicts.entry(*index).or_default().extend(taken.iter().map(|(_, name)| name.clone()));
                        }
                    }
                }
            }
        }
    }
    for (index, names) in conflicts {
        let Some(object) = injectors.get(index) else { continue };
        let names: Vec<String> = names.into_iter().collect();
        let text = format!("The webhooks {} inject the same pods: narrow their selectors.", names.join(", "));
        found.note(INVALID_WEBHOOK, object, text);
    }
}
