//! What the server does on its own: the first namespaces, the dependents of what is gone, the end of what waits for its dependents.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::auth::User;
use super::limits;
use super::server::Inner;
use super::store::{Expect, Key};

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

/// Runs until `stop` is cancelled.
pub(super) async fn housekeeping(inner: Arc<Inner>, stop: CancellationToken) {
    let work = async {
        let client = super::client::client(Arc::clone(&inner), User::trusted("system:garbage-collector"));
        for name in ["default", "kube-system"] {
            let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            send(&client, http::Method::POST, "/api/v1/namespaces", &body).await;
        }
        loop {
            sweep(&inner, &client).await;
            // A sweep may leave work that another write makes possible: the time bounds how long that goes unseen.
            let _ = tokio::time::timeout(limits::SWEEP_TIME, inner.store.garbage()).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = work => {}
    }
}

/// Refusals are left to the next sweep: what is already there, or already gone, needs nothing.
async fn send(client: &kube::Client, method: http::Method, path: &str, body: &Value) {
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json")
        .body(body.to_string().into_bytes());
    if let Ok(request) = request
        && let Err(error) = client.request_text(request).await
    {
        tracing::debug!(%error, path, "housekeeping was refused");
    }
}

async fn sweep(inner: &Inner, client: &kube::Client) {
    let (orphans, deleting) = inner.store.suspects();
    for key in orphans {
        remove(inner, client, &key).await;
    }
    for key in deleting {
        let Some(object) = inner.store.latest(&key) else {
            continue;
        };
        let mut value = object.value();
        let waits = |name: &str| {
            value.pointer("/metadata/finalizers").and_then(Value::as_array).is_some_and(|all| all.iter().any(|f| f == name))
        };
        let (foreground, orphan) = (waits(FOREGROUND), waits(ORPHAN));
        if !foreground && !orphan {
            continue;
        }
        let dependents = inner.store.dependents(&object.uid);
        for dependent in &dependents {
            if foreground {
                remove(inner, client, dependent).await;
            } else {
                release(inner, dependent, &object.uid).await;
            }
        }
        if !inner.store.dependents(&object.uid).is_empty() {
            continue;
        }
        if let Some(Value::Array(all)) = value.pointer_mut("/metadata/finalizers") {
            all.retain(|name| name != FOREGROUND && name != ORPHAN);
        }
        if let Some(path) = path(inner, &key) {
            let left = &value["metadata"]["finalizers"];
            let patch = json!({"metadata": {"finalizers": left, "resourceVersion": object.version.to_string()}});
            let request = http::Request::patch(path)
                .header("content-type", "application/merge-patch+json")
                .body(patch.to_string().into_bytes());
            if let Ok(request) = request
                && let Err(error) = client.request_text(request).await
            {
                tracing::debug!(%error, %key, "a finalizer stays for another sweep");
            }
        }
    }
}

async fn remove(inner: &Inner, client: &kube::Client, key: &Key) {
    let going = inner.store.latest(key).is_none_or(|object| object.deleting);
    if !going && let Some(path) = path(inner, key) {
        send(client, http::Method::DELETE, &path, &json!({"propagationPolicy": "Background"})).await;
    }
}

/// Takes the owner `uid` out of an object.
async fn release(inner: &Inner, key: &Key, uid: &str) {
    let Some(object) = inner.store.latest(key) else {
        return;
    };
    let mut value = object.value();
    if let Some(Value::Array(owners)) = value.pointer_mut("/metadata/ownerReferences") {
        owners.retain(|owner| owner["uid"] != uid);
    }
    if let Err(error) = inner.store.put(key.clone(), Expect::Version(object.version), value).await {
        tracing::debug!(%error, %key, "an owner stays for another sweep");
    }
}

fn path(inner: &Inner, key: &Key) -> Option<String> {
    let registry = inner.registry.load();
    let resource = registry.by_key(&key.resource)?;
    let version = resource.versions.iter().find(|version| version.served)?;
    let api = resource.api_version(&version.name);
    let root = if resource.group.is_empty() { "api" } else { "apis" };
    let namespace = if key.namespace.is_empty() { String::new() } else { format!("namespaces/{}/", key.namespace) };
    Some(format!("/{root}/{api}/{namespace}{}/{}", resource.plural, key.name))
}
