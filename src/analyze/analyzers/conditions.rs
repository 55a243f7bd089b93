//! Objects whose status says that they do not work.

use serde_json::Value;

use crate::analyze::Found;
use crate::analyze::codes::NEGATIVE_CONDITION_STATUS;
use crate::analyze::object::{Object, items, text};
use crate::analyze::snapshot::Snapshot;

/// Kinds, their API groups, and the conditions that count.
const WATCHED: &[(&str, &str, &[&str])] = &[
    ("", "Service", &["istio.io/WaypointBound"]),
    ("networking.istio.io", "ServiceEntry", &["istio.io/WaypointBound"]),
    ("networking.istio.io", "WorkloadEntry", &["istio.io/WaypointBound"]),
    ("security.istio.io", "AuthorizationPolicy", &["ZtunnelAccepted", "WaypointAccepted"]),
    ("gateway.networking.k8s.io", "Gateway", &["Accepted", "Programmed", "ResolvedRefs"]),
    ("gateway.networking.k8s.io", "HTTPRoute", &["Accepted", "Programmed", "ResolvedRefs"]),
    ("gateway.networking.k8s.io", "GRPCRoute", &["Accepted", "Programmed", "ResolvedRefs"]),
];

/// All of them.
pub fn run(snapshot: &Snapshot, found: &mut Found) {
    for (group, kind, types) in WATCHED {
        for object in snapshot.of(group, kind) {
            let parents = object.items("/status/parents").iter().flat_map(|parent| items(parent, "/conditions"));
            for condition in object.items("/status/conditions").iter().chain(parents) {
                judge(object, condition, types, found);
            }
        }
    }
}

fn judge(object: &Object, condition: &Value, types: &[&str], found: &mut Found) {
    let kind = text(condition, "/type");
    let partial = &*object.kind == "AuthorizationPolicy" && text(condition, "/reason") == "PartiallyInvalid";
    if types.contains(&kind) && (text(condition, "/status") == "False" || partial) {
        let reason = text(condition, "/reason");
        let message = text(condition, "/message");
        found.note(
            NEGATIVE_CONDITION_STATUS,
            object,
            format!("The status says {kind} is not so ({reason}): {message}"),
        );
    }
}
