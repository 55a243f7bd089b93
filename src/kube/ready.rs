//! Whether objects do what they are for, and why not.
//!
//! [`readiness`] tells from an object alone; [`wait_ready`] looks again and again, asks an object's pods for the reason, and
//! says what has changed.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::kube::{Connection, Error, ObjectRef, Selection, get, list};

/// How often objects are looked at.
const PERIOD: Duration = Duration::from_millis(250);

/// Whether an object does what it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// It does.
    Ready,
    /// It does not yet; the reason reads on from the object's name.
    Waiting(String),
    /// It does not, and will not unless somebody does something.
    Stuck(String),
}

impl Readiness {
    fn waiting(reason: impl Into<String>) -> Self {
        Self::Waiting(reason.into())
    }

    /// The reason, unless it is ready.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Ready => None,
            Self::Waiting(reason) | Self::Stuck(reason) => Some(reason),
        }
    }
}

/// Whether the object does what it is for, as far as it says itself. Kinds that only have to be there are ready.
pub fn readiness(object: &Value) -> Readiness {
    match object.get("kind").and_then(Value::as_str) {
        Some("Deployment") => deployment(object),
        Some("StatefulSet" | "ReplicaSet") => replicas(object),
        Some("DaemonSet") => daemon_set(object),
        Some("Pod") => pod(object),
        Some("CustomResourceDefinition") => match condition(object, "Established") {
            Some(established) if established["status"] == "True" => Readiness::Ready,
            _ => Readiness::waiting("is not established"),
        },
        Some("Namespace") => match object.pointer("/status/phase").and_then(Value::as_str) {
            Some("Terminating") => Readiness::waiting("is being deleted"),
            _ => Readiness::Ready,
        },
        Some("MutatingWebhookConfiguration") => webhooks(object),
        _ => Readiness::Ready,
    }
}

fn number(object: &Value, pointer: &str) -> u64 {
    object.pointer(pointer).and_then(Value::as_u64).unwrap_or_default()
}

fn condition<'o>(object: &'o Value, name: &str) -> Option<&'o Value> {
    object.pointer("/status/conditions")?.as_array()?.iter().find(|condition| condition["type"] == name)
}

fn message(condition: &Value) -> String {
    let text = |field: &str| condition.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    match (text("message"), text("reason")) {
        (message, reason) if message.is_empty() => reason,
        (message, _) => message,
    }
}

fn observed(object: &Value) -> bool {
    number(object, "/status/observedGeneration") >= number(object, "/metadata/generation")
}

fn deployment(object: &Value) -> Readiness {
    if !observed(object) {
        return Readiness::waiting("has not been looked at by its controller");
    }
    if let Some(failure) = condition(object, "ReplicaFailure").filter(|failure| failure["status"] == "True") {
        return Readiness::Stuck(format!("can't create pods: {}", message(failure)));
    }
    let wanted = object.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1);
    let (updated, available) = (number(object, "/status/updatedReplicas"), number(object, "/status/availableReplicas"));
    if updated < wanted {
        return Readiness::waiting(format!("has {updated} of {wanted} new pods"));
    }
    if number(object, "/status/replicas") > updated {
        return Readiness::waiting("waits for old pods to end");
    }
    if available < updated.min(wanted) {
        return Readiness::waiting(format!("has {available} of {wanted} pods available"));
    }
    Readiness::Ready
}

fn replicas(object: &Value) -> Readiness {
    let wanted = object.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1);
    let ready = number(object, "/status/readyReplicas");
    if observed(object) && ready >= wanted {
        return Readiness::Ready;
    }
    Readiness::waiting(format!("has {ready} of {wanted} pods ready"))
}

fn daemon_set(object: &Value) -> Readiness {
    let wanted = number(object, "/status/desiredNumberScheduled");
    let (updated, available) =
        (number(object, "/status/updatedNumberScheduled"), number(object, "/status/numberAvailable"));
    if observed(object) && updated >= wanted && available >= wanted {
        return Readiness::Ready;
    }
    Readiness::waiting(format!("has {available} of {wanted} pods available"))
}

fn pod(object: &Value) -> Readiness {
    if matches!(object.pointer("/status/phase").and_then(Value::as_str), Some("Succeeded")) {
        return Readiness::Ready;
    }
    if condition(object, "Ready").is_some_and(|ready| ready["status"] == "True") {
        return Readiness::Ready;
    }
    pod_trouble(object).unwrap_or_else(|| Readiness::waiting("has containers that are not ready"))
}

/// What keeps a pod from being ready, where it says so.
fn pod_trouble(pod: &Value) -> Option<Readiness> {
    if let Some(scheduled) = condition(pod, "PodScheduled").filter(|scheduled| scheduled["status"] == "False") {
        return Some(Readiness::waiting(format!("can't be scheduled: {}", message(scheduled))));
    }
    let statuses = ["/status/initContainerStatuses", "/status/containerStatuses"];
    let statuses = statuses.iter().filter_map(|list| pod.pointer(list)?.as_array()).flatten();
    for status in statuses {
        let container = status.get("name").and_then(Value::as_str).unwrap_or("?");
        let Some(waiting) = status.pointer("/state/waiting") else { continue };
        let reason = waiting.get("reason").and_then(Value::as_str).unwrap_or_default();
        let said = waiting.get("message").and_then(Value::as_str).unwrap_or(reason);
        if !matches!(reason, "" | "ContainerCreating" | "PodInitializing") {
            let died = status.pointer("/lastState/terminated").map(last_words).unwrap_or_default();
            return Some(Readiness::Stuck(format!("container {container}: {reason}: {said}{died}")));
        }
    }
    None
}

fn last_words(terminated: &Value) -> String {
    let code = number(terminated, "/exitCode");
    match terminated.get("message").and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty()) {
        Some(text) => format!(" (it ended with {code}: {})", text.lines().last().unwrap_or_default()),
        None => format!(" (it ended with {code})"),
    }
}

/// A webhook is served once the control plane has entered its authority's certificate.
fn webhooks(object: &Value) -> Readiness {
    let entries = object.get("webhooks").and_then(Value::as_array);
    let bare = entries.into_iter().flatten().any(|entry| {
        let bundle = entry.pointer("/clientConfig/caBundle").and_then(Value::as_str);
        bundle.is_none_or(str::is_empty) && entry.pointer("/clientConfig/url").is_none()
    });
    if bare { Readiness::waiting("has no certificate from the control plane") } else { Readiness::Ready }
}

/// Waits until every object is ready. `report` hears of the objects that are waited for, with the reason of each, whenever that
/// changes; with none at the end.
///
/// # Errors
/// The server does not answer. What is not ready in time is no error: it is the answer.
pub async fn wait_ready(
    connection: &Connection,
    objects: &[ObjectRef],
    bound: Duration,
    mut report: impl FnMut(&[(ObjectRef, String)]),
) -> Result<Vec<(ObjectRef, String)>, Error> {
    let deadline = Instant::now() + bound;
    let mut pending: Vec<ObjectRef> = objects.to_vec();
    let mut said: Option<Vec<(ObjectRef, String)>> = None;
    loop {
        let mut waiting = Vec::new();
        for object in pending {
            let reason = match get(connection, &object).await? {
                None => Some("is not there".to_owned()),
                Some(value) => match readiness(&value) {
                    Readiness::Ready => None,
                    Readiness::Waiting(reason) | Readiness::Stuck(reason) => {
                        Some(reason_from_pods(connection, &value).await.unwrap_or(reason))
                    }
                },
            };
            if let Some(reason) = reason {
                waiting.push((object, reason));
            }
        }
        if said.as_ref() != Some(&waiting) {
            report(&waiting);
            said = Some(waiting.clone());
        }
        if waiting.is_empty() || Instant::now() >= deadline {
            return Ok(waiting);
        }
        pending = waiting.into_iter().map(|(object, _)| object).collect();
        tokio::time::sleep_until(deadline.min(Instant::now() + PERIOD)).await;
    }
}

/// What the pods of a workload say about why they are not ready.
async fn reason_from_pods(connection: &Connection, workload: &Value) -> Option<String> {
    let namespace = workload.pointer("/metadata/namespace")?.as_str()?;
    let selector = workload.pointer("/spec/selector/matchLabels")?.as_object()?;
    let labels: Vec<String> =
        selector.iter().filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?))).collect();
    let labels = labels.join(",");
    let pods = list(connection, "v1", "Pod", Selection { namespace: Some(namespace), labels: &labels }).await.ok()?;
    pods.iter().find_map(|pod| {
        let name = pod.pointer("/metadata/name")?.as_str()?;
        let trouble = pod_trouble(pod)?;
        Some(format!("pod {name} {}", trouble.reason()?))
    })
}

#[cfg(test)]
#[path = "ready_tests.rs"]
mod tests;
