//! What controllers did, as `kubectl describe` and `kubectl events` tell it.
//!
//! Telling is best effort: an event that cannot be written holds nothing up.

use std::hash::Hasher;

use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use twox_hash::XxHash64;

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
const FAILURES: [&str; 4] = ["BackoffLimitExceeded", "DeadlineExceeded", FAILED_CREATE, "UnparseableSchedule"];

/// The API server refused a pod.
pub(super) const FAILED_CREATE: &str = "FailedCreate";

/// Writes an event about an object. A failure that was told before is counted, not told again.
pub(super) async fn tell(client: &Client, namespace: &str, about: &OwnerReference, reason: &str, message: String) {
    let now = Timestamp::now();
    let failed = FAILURES.contains(&reason);
    // Unique by its time, as in Kubernetes; what may come again is found by what it says.
    let name = match failed {
        true => {
            let mut hasher = XxHash64::with_seed(0);
            hasher.write(format!("{} {reason} {message}", about.uid).as_bytes());
            format!("{}.{:016x}", about.name, hasher.finish())
        }
        false => format!("{}.{:x}", about.name, now.as_nanosecond()),
    };
    let component = CONTROLLERS.iter().find(|(kind, _)| *kind == about.kind).map(|(_, name)| (*name).to_owned());
    let event = Event {
        metadata: ObjectMeta {
            name: Some(name.clone()),
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
        type_: Some(if failed { "Warning" } else { "Normal" }.to_owned()),
        reason: Some(reason.to_owned()),
        message: Some(message),
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        count: Some(1),
        reporting_component: component.clone(),
        source: Some(EventSource { component, host: None }),
        ..Event::default()
    };
    let api = Api::<Event>::namespaced(client.clone(), namespace);
    let written = match api.create(&PostParams::default(), &event).await {
        Err(kube::Error::Api(answer)) if answer.is_already_exists() => again(&api, &name, now).await,
        written => written,
    };
    if let Err(error) = written {
        tracing::debug!(%error, "cannot write an event");
    }
}

async fn again(api: &Api<Event>, name: &str, now: Timestamp) -> kube::Result<Event> {
    let count = api.get(name).await?.count.unwrap_or(1).saturating_add(1);
    let patch = json!({ "count": count, "lastTimestamp": Time(now) });
    api.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await
}
