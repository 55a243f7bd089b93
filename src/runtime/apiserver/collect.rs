//! Collecting garbage: dependents whose owners are gone, objects whose deletion waits for them, the content of namespaces under
//! deletion, and old events.
//!
//! It works on what is, not on what happened: whatever a crash leaves behind is collected after the next start.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::columns::{list, string};
use super::definitions;
use super::limits;
use super::server::Inner;
use super::store::{Expect, Key, Object, WriteError};
use super::verbs::{DeleteOptions, Deletion, remove};

/// The finalizer of an object that waits for its dependents to go.
pub(super) const FOREGROUND: &str = "foregroundDeletion";

/// The finalizer of an object whose dependents are to be set free.
pub(super) const ORPHAN: &str = "orphan";

/// Collects until `stop` is cancelled.
pub(super) async fn housekeeping(server: Arc<Inner>, stop: CancellationToken) {
    let mut sweep = tokio::time::interval(limits::SWEEP_TIME);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        // A pass may free what the next one collects.
        while !stop.is_cancelled() && pass(&server).await {}
        tokio::select! {
            () = stop.cancelled() => return,
            () = server.store.garbage() => {}
            _ = sweep.tick() => expire_events(&server).await,
        }
    }
}

/// Removes an object that nothing holds back, and what only it needed.
pub(super) async fn forget(server: &Inner, key: &Key, object: &Object) -> Result<Arc<Object>, WriteError> {
    let gone = server.store.delete(key.clone(), object.version).await?;
    let value = gone.value();
    match &*key.resource {
        "services." => server.ips.release(string(&value, "/spec/clusterIP"), &gone.uid),
        "customresourcedefinitions.apiextensions.k8s.io" => definitions::forget(server, &value),
        _ => {}
    }
    Ok(gone)
}

/// One pass; whether it changed anything.
async fn pass(server: &Inner) -> bool {
    let (orphans, deleting) = server.store.suspects();
    let mut changed = false;
    for key in orphans {
        changed |= delete(server, &key, None).await;
    }
    for key in deleting {
        let Some(object) = server.store.get(&key) else { continue };
        let value = object.value();
        if &*key.resource == "namespaces." {
            changed |= empty_namespace(server, &key).await;
        }
        if &*key.resource == "customresourcedefinitions.apiextensions.k8s.io" {
            changed |= empty_definition(server, &key, &value).await;
        }
        for finalizer in list(&value, "/metadata/finalizers") {
            changed |= match finalizer.as_str() {
                Some(FOREGROUND) => foreground(server, &key, &object).await,
                Some(ORPHAN) => set_free(server, &key, &object).await,
                _ => false,
            };
        }
    }
    changed
}

/// Deletes; whether that changed anything.
async fn delete(server: &Inner, key: &Key, finalizer: Option<&'static str>) -> bool {
    let before = server.store.latest(key).map(|object| object.version);
    let options = DeleteOptions { finalizer, ..DeleteOptions::default() };
    match remove(server, key, &options).await {
        Ok(Some(Deletion::Gone(_))) => true,
        Ok(Some(Deletion::Marked(object))) => before != Some(object.version),
        Ok(None) | Err(WriteError::Conflict) => false,
        Err(error) => {
            tracing::warn!(%key, %error, "garbage could not be collected");
            false
        }
    }
}

async fn foreground(server: &Inner, key: &Key, owner: &Object) -> bool {
    let mut changed = false;
    let mut blocked = false;
    for dependent in server.store.dependents(&owner.uid) {
        let Some(object) = server.store.latest(&dependent) else { continue };
        let value = object.value();
        blocked |= list(&value, "/metadata/ownerReferences")
            .iter()
            .any(|reference| reference["uid"] == owner.uid.as_str() && reference["blockOwnerDeletion"] == true);
        if !object.deleting {
            changed |= delete(server, &dependent, Some(FOREGROUND)).await;
        }
    }
    if !blocked {
        changed |= drop_finalizer(server, key, FOREGROUND).await;
    }
    changed
}

async fn set_free(server: &Inner, key: &Key, owner: &Object) -> bool {
    for dependent in server.store.dependents(&owner.uid) {
        let freed = edit(server, &dependent, |value| {
            let kept: Vec<Value> = list(value, "/metadata/ownerReferences")
                .iter()
                .filter(|reference| reference["uid"] != owner.uid.as_str())
                .cloned()
                .collect();
            match value["metadata"].as_object_mut() {
                Some(metadata) if kept.is_empty() => {
                    metadata.remove("ownerReferences");
                }
                _ => value["metadata"]["ownerReferences"] = kept.into(),
            }
        });
        if !freed.await {
            return false;
        }
    }
    drop_finalizer(server, key, ORPHAN).await
}

async fn drop_finalizer(server: &Inner, key: &Key, finalizer: &str) -> bool {
    let dropped = edit(server, key, |value| {
        let kept: Vec<Value> =
            list(value, "/metadata/finalizers").iter().filter(|known| *known != finalizer).cloned().collect();
        value["metadata"]["finalizers"] = kept.into();
    });
    dropped.await && (delete(server, key, None).await || server.store.latest(key).is_none())
}

/// Changes the object at `key`; whether it is changed now (or gone).
async fn edit(server: &Inner, key: &Key, change: impl Fn(&mut Value)) -> bool {
    for _ in 0..limits::RETRIES {
        let Some(object) = server.store.latest(key) else { return true };
        let mut value = object.value();
        change(&mut value);
        match server.store.put(key.clone(), Expect::Version(object.version), value).await {
            Ok(_) => return true,
            Err(WriteError::Conflict) => {}
            Err(error) => {
                tracing::warn!(%key, %error, "garbage could not be collected");
                return false;
            }
        }
    }
    false
}

/// Deletes what is in a namespace under deletion, and at last the namespace.
async fn empty_namespace(server: &Inner, key: &Key) -> bool {
    let content = server.store.in_namespace(&key.name);
    if content.is_empty() {
        let freed = edit(server, key, |value| {
            if let Some(spec) = value.get_mut("spec").and_then(Value::as_object_mut) {
                spec.remove("finalizers");
            }
        });
        return freed.await && delete(server, key, None).await;
    }
    let mut changed = false;
    for key in content {
        changed |= delete(server, &key, None).await;
    }
    changed
}

/// Deletes the objects of a definition under deletion, and at last the definition.
async fn empty_definition(server: &Inner, key: &Key, value: &Value) -> bool {
    if !list(value, "/metadata/finalizers").iter().any(|known| known == definitions::CLEANUP) {
        return false;
    }
    let content = server.store.list(&key.name, None, None, None, |_, _| true).objects;
    if content.is_empty() {
        return drop_finalizer(server, key, definitions::CLEANUP).await;
    }
    let mut changed = false;
    for (key, _) in content {
        changed |= delete(server, &key, None).await;
    }
    changed
}

async fn expire_events(server: &Inner) {
    let oldest = Timestamp::now().as_second() - limits::EVENT_TIME.as_secs().cast_signed();
    let old = server.store.list("events.", None, None, None, |_, object| {
        let value = object.value();
        let last = ["/lastTimestamp", "/metadata/creationTimestamp"]
            .iter()
            .find_map(|path| string(&value, path).parse::<Timestamp>().ok());
        last.is_some_and(|last| last.as_second() < oldest)
    });
    for (key, _) in old.objects {
        delete(server, &key, None).await;
    }
}
