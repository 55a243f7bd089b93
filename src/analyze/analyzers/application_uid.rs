//! Applications that run as the proxy's user: their traffic passes for the proxy's own, and is not captured.

use serde_json::Value;

use crate::analyze::Found;
use crate::analyze::codes::INVALID_APPLICATION_UID;
use crate::analyze::message::place;
use crate::analyze::object::{items, text};
use crate::analyze::snapshot::Snapshot;
use crate::yaml::Segment;

/// The user that the proxy runs as.
const PROXY_USER: u64 = 1337;

const TEXT: &str =
    "The application runs as user 1337, which is the proxy's: its traffic is not captured. Choose another.";

/// Where the kinds that have pods say what these are.
const TEMPLATES: &[(&str, &str, &[&str])] = &[
    ("Pod", "", &[]),
    ("Deployment", "/spec/template", &["spec", "template"]),
    ("StatefulSet", "/spec/template", &["spec", "template"]),
    ("DaemonSet", "/spec/template", &["spec", "template"]),
    ("Job", "/spec/template", &["spec", "template"]),
    ("CronJob", "/spec/jobTemplate/spec/template", &["spec", "jobTemplate", "spec", "template"]),
];

/// Pods, and workloads, with containers of that user.
pub fn run(snapshot: &Snapshot, found: &mut Found) {
    for (kind, pointer, steps) in TEMPLATES {
        for object in snapshot.all(kind).iter().filter(|object| !object.is_control_plane()) {
            let user = |value: &Value| value.pointer("/securityContext/runAsUser").and_then(Value::as_u64);
            let prefix = steps.iter().map(|step| Segment::from(*step));
            let Some(spec) = object.at(&format!("{pointer}/spec")) else { continue };
            if user(spec) == Some(PROXY_USER) {
                let place = prefix.chain(["spec".into(), "securityContext".into(), "runAsUser".into()]).collect();
                found.at(INVALID_APPLICATION_UID, object, &place, TEXT);
                continue;
            }
            let faulty = items(spec, "/containers").iter().position(|container| {
                !matches!(text(container, "/name"), "istio-proxy" | "istio-operator")
                    && user(container) == Some(PROXY_USER)
            });
            if let Some(index) = faulty {
                let place = place!["spec", "containers", index, "securityContext", "runAsUser"];
                let place = prefix.chain(place.segments().iter().cloned()).collect();
                found.at(INVALID_APPLICATION_UID, object, &place, TEXT);
            }
        }
    }
}
