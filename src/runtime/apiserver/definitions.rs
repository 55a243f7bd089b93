//! CustomResourceDefinitions: stored like any object, served at once.

use std::sync::Arc;

use serde_json::{Value, json};

use super::columns::{list, string};
use super::registry::Resource;
use super::server::{Inner, now};
use super::store::Object;
use super::verbs::Call;

/// The finalizer that keeps a definition until its objects are gone.
pub(super) const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// The name of definitions in the store.
const KEY: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// Serves what the stored definitions define.
pub(super) fn load(server: &Inner) {
    for (_, object) in server.store.list(KEY, None, None, None, |_, _| true).objects {
        serve(server, &object.value());
    }
}

fn serve(server: &Inner, definition: &Value) {
    match Resource::custom(definition) {
        Ok(resource) => {
            let mut registry = server.registry.write();
            let mut next = (**registry).clone();
            next.insert(resource);
            *registry = Arc::new(next);
        }
        // It was valid when it was stored.
        Err(causes) => tracing::warn!(?causes, "a stored definition is not served"),
    }
}

/// Serves a definition that was stored just now.
pub(super) fn changed(call: &Call, stored: &Object) {
    if &*call.resource.key == KEY && !stored.deleting {
        serve(&call.server, &stored.value());
    }
}

/// Stops serving a definition that was removed.
pub(super) fn forget(server: &Inner, definition: &Value) {
    let mut registry = server.registry.write();
    let mut next = (**registry).clone();
    next.remove(string(definition, "/spec/group"), string(definition, "/spec/names/plural"));
    *registry = Arc::new(next);
}

/// Says in a definition's status that it is served, before it is stored.
pub(super) fn establish(call: &Call, definition: &mut Value) {
    if &*call.resource.key != KEY || definition.pointer("/metadata/deletionTimestamp").is_some() {
        return;
    }
    let mut finalizers = list(definition, "/metadata/finalizers").to_vec();
    if !finalizers.iter().any(|known| known == CLEANUP) {
        finalizers.push(CLEANUP.into());
        definition["metadata"]["finalizers"] = finalizers.into();
    }
    let storage = list(definition, "/spec/versions")
        .iter()
        .find(|version| version["storage"] == true)
        .map(|version| version["name"].clone())
        .unwrap_or_default();
    let since = definition
        .pointer("/status/conditions/0/lastTransitionTime")
        .and_then(Value::as_str)
        .map_or_else(now, str::to_owned);
    let condition = |kind: &str, reason: &str, message: &str| json!({"type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": since});
    let status = json!({
        "acceptedNames": definition["spec"]["names"],
        "conditions": [
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ],
        "storedVersions": [storage],
    });
    definition["status"] = status;
}
