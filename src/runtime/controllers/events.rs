//! What controllers did, as `kubectl describe` and `kubectl events` tell it.
//!
//! Telling is best effort: an event that cannot be written holds nothing up.

use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client};

/// Who tells of an object, by its kind.
const CONTROLLERS: [(&str, &str); 6] = [
    ("Deployment", "deployment-controller"),
    ("ReplicaSet", "replicaset-controller"),
    ("StatefulSet", "statefulset-controller"),
    ("DaemonSet", "daemonset-controller"),
    ("Job", "job-controller"),
    ("CronJob", "cronjob-controller"),
];

/// What is told as a warning.
const FAILURES: [&str; 2] = ["BackoffLimitExceeded", "DeadlineExceeded"];

/// Writes an event about an object.
pub(super) async fn tell(client: &Client, namespace: &str, about: &OwnerReference, reason: &str, message: String) {
    let now = Timestamp::now();
    let component = CONTROLLERS.iter().find(|(kind, _)| *kind == about.kind).map(|(_, name)| (*name).to_owned());
    let event = Event {
        metadata: ObjectMeta {
            // Unique by its time, as in Kubernetes.
            name: Some(format!("{}.{:x}", about.name, now.as_nanosecond())),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: Some(about.api_version.clone()),
            kind: Some(about.kind.clone()),
            namespace: Some(namespace.to_owned()),
            name: Some(about.name.clone()),
            uid: Some(about.uid.clone()),
            ..ObjectReference::default()
        },
        type_: Some(if FAILURES.contains(&reason) { "Warning" } else { "Normal" }.to_owned()),
        reason: Some(reason.to_owned()),
        message: Some(message),
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        count: Some(1),
        reporting_component: component.clone(),
        source: Some(EventSource { component, host: None }),
        ..Event::default()
    };
    if let Err(error) = Api::namespaced(client.clone(), namespace).create(&PostParams::default(), &event).await {
        tracing::debug!(%error, "cannot write an event");
    }
}
