//! Events: what `kubectl describe pod` tells of a pod's life.
//!
//! What happened is read from two states of a pod, before and after. Events are written by one task, in order; when more happens
//! than it can write, the rest is dropped, never waited for. The same thing happening again is counted, not repeated.

use std::collections::HashMap;

use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::container::{Phase, Record};
use super::network::PodSpecLite;
use super::plan::{ContainerPlan, PodPlan};

/// Events that wait to be written.
const QUEUE: usize = 1024;
/// Events that are remembered to be counted; of more, all are forgotten.
const REMEMBERED: usize = 4096;
/// Who reports.
const COMPONENT: &str = "kubelet";
/// Who reports where a pod is placed.
const SCHEDULER: &str = "default-scheduler";

/// Something worth telling.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Note {
    pub(super) warning: bool,
    pub(super) reason: &'static str,
    pub(super) message: String,
    /// The container it is about.
    pub(super) container: Option<String>,
}

impl Note {
    pub(super) fn about(container: &ContainerPlan, warning: bool, reason: &'static str, message: String) -> Self {
        Self { warning, reason, message, container: Some(container.name.clone()) }
    }
}

/// What happened to the containers of a pod between two looks.
pub(super) fn between(plan: &PodPlan, before: &[Record], after: &[Record]) -> Vec<Note> {
    let mut notes = Vec::new();
    for ((container, before), after) in plan.all().zip(before).zip(after) {
        let (name, image) = (&container.name, &container.image);
        let mut note = |warning, reason, message| notes.push(Note::about(container, warning, reason, message));
        let ran = |record: &Record| match &record.phase {
            Phase::Running { since } => Some(*since),
            _ => None,
        };
        // A container may have run and ended between two looks.
        let last = |record: &Record| match &record.phase {
            Phase::Ended(ended) => Some(ended.started),
            _ => record.last.as_ref().map(|ended| ended.started),
        };
        let started = ran(after).or_else(|| last(after).filter(|_| last(before) != last(after)));
        if started.is_some() && started != ran(before) {
            if !before.has_run() {
                note(false, "Pulled", format!("Container image \"{image}\" already present on machine"));
            }
            note(false, "Created", format!("Created container: {name}"));
            note(false, "Started", format!("Started container {name}"));
        }
        match (&before.phase, &after.phase) {
            (before, Phase::Waiting { reason: "CrashLoopBackOff", .. }) if before != &after.phase => {
                note(true, "BackOff", format!("Back-off restarting failed container {name}"));
            }
            (before, Phase::Waiting { reason, message: Some(message) }) if before != &after.phase => {
                note(true, "Failed", format!("Error: {reason}: {message}"));
            }
            _ => {}
        }
        if let (Phase::Running { .. }, Some(ended)) = (&before.phase, &after.last)
            && before.last.as_ref() != Some(ended)
            && let Some(message) = &ended.message
        {
            note(true, "Unhealthy", message.clone());
            note(false, "Killing", format!("Container {name} failed a probe, will be restarted"));
        }
        if before.started && after.started && before.ready && !after.ready {
            note(true, "Unhealthy", format!("Readiness probe of container {name} failed"));
        }
    }
    notes
}

/// Where notes are handed in.
#[derive(Debug, Clone)]
pub(super) struct Events {
    notes: mpsc::Sender<(ObjectReference, Note)>,
}

impl Events {
    /// Starts the task that writes; it ends with `stop`.
    pub(super) fn start(client: Client, node: String, stop: CancellationToken) -> (Self, tokio::task::JoinHandle<()>) {
        let (notes, mut queue) = mpsc::channel(QUEUE);
        let task = tokio::spawn(async move {
            let mut writer = Writer { client, node, known: HashMap::new() };
            let writing = async {
                while let Some((pod, note)) = queue.recv().await {
                    writer.write(pod, note).await;
                }
            };
            stop.run_until_cancelled(writing).await;
        });
        (Self { notes }, task)
    }

    /// Tells something about a pod.
    pub(super) fn tell(&self, pod: &PodSpecLite, note: Note) {
        let about = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            namespace: Some(pod.namespace.clone()),
            name: Some(pod.name.clone()),
            uid: Some(pod.uid.clone()),
            field_path: note.container.as_ref().map(|name| format!("spec.containers{{{name}}}")),
            resource_version: None,
        };
        // A full queue means that there is too much to tell.
        let _ = self.notes.try_send((about, note));
    }
}

struct Writer {
    client: Client,
    node: String,
    /// By pod's uid and what happened: the event's name and how often.
    known: HashMap<(String, Note), (String, i32)>,
}

impl Writer {
    async fn write(&mut self, about: ObjectReference, note: Note) {
        let now = Timestamp::now();
        let namespace = about.namespace.clone().unwrap_or_default();
        let api = Api::<Event>::namespaced(self.client.clone(), &namespace);
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        let key = (about.uid.clone().unwrap_or_default(), note.clone());
        if let Some((name, count)) = self.known.get_mut(&key) {
            *count += 1;
            let patch = json!({ "count": *count, "lastTimestamp": Time(now) });
            if api.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await.is_ok() {
                return;
            }
            // It was collected meanwhile.
            self.known.remove(&key);
        }
        // Unique by its time, as in Kubernetes.
        let name = format!("{}.{:x}", about.name.as_deref().unwrap_or_default(), now.as_nanosecond());
        let placed = matches!(note.reason, "Scheduled" | "FailedScheduling");
        let component = if placed { SCHEDULER } else { COMPONENT };
        let event = Event {
            metadata: ObjectMeta { name: Some(name.clone()), namespace: Some(namespace), ..ObjectMeta::default() },
            involved_object: about,
            type_: Some(if note.warning { "Warning" } else { "Normal" }.to_owned()),
            reason: Some(note.reason.to_owned()),
            message: Some(note.message),
            first_timestamp: Some(Time(now)),
            last_timestamp: Some(Time(now)),
            count: Some(1),
            source: Some(EventSource {
                component: Some(component.to_owned()),
                host: Some(self.node.clone()).filter(|_| !placed),
            }),
            reporting_component: Some(component.to_owned()),
            reporting_instance: Some(self.node.clone()),
            ..Event::default()
        };
        match api.create(&PostParams::default(), &event).await {
            Ok(_) => {
                self.known.insert(key, (name, 1));
            }
            // The namespace is going, or the API server is: nobody will read it.
            Err(error) => tracing::debug!(%error, "cannot write an event"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::node::container::Ended;

    fn plan() -> PodPlan {
        let pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "u"},
            "spec": {"containers": [{"name": "c", "image": "busybox", "command": ["false"]}]},
        }));
        PodPlan::new(&pod.unwrap(), "node").unwrap()
    }

    #[test]
    fn a_life_is_told_in_the_words_of_kubernetes() {
        let plan = plan();
        let container = &plan.containers[0];
        let created = Record::waiting("ContainerCreating", None, container);
        let started = Timestamp::from_second(100).unwrap();
        let running =
            Record { phase: Phase::Running { since: started }, started: true, ready: true, ..created.clone() };
        let ended = Ended {
            exit_code: 1,
            signal: None,
            reason: "Error",
            message: None,
            started,
            finished: Timestamp::from_second(101).unwrap(),
        };
        let waits = Phase::Waiting { reason: "CrashLoopBackOff", message: Some("restarting".to_owned()) };
        let crashed = Record { phase: waits, last: Some(ended), restarts: 1, ..created };
        let reasons = |before: &Record, after: &Record| -> Vec<&'static str> {
            let notes = between(&plan, std::slice::from_ref(before), std::slice::from_ref(after));
            notes.into_iter().map(|note| note.reason).collect()
        };
        let created = Record::waiting("ContainerCreating", None, container);
        assert_eq!(reasons(&created, &running), ["Pulled", "Created", "Started"]);
        assert_eq!(reasons(&running, &crashed), ["BackOff"]);
        assert_eq!(reasons(&created, &crashed), ["Pulled", "Created", "Started", "BackOff"]);
        assert_eq!(reasons(&running, &running), [""; 0]);
    }
}
