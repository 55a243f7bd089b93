//! Whom the API server believes when it asks: the roots of the mesh's authority, entered into every webhook of the revision.
//!
//! What anybody changes there is put right. The webhook that validates starts out as one that may be passed by, so that an
//! installation that is under way stands in nobody's way; it is closed once it is served.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::ByteString;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use crate::identity::TrustBundle;

/// Who enters it, in `managedFields`: not who installs, whose next application must not take it away.
const FIELD_MANAGER: &str = "mesh-control-plane";

/// The label that says which control plane a webhook asks.
const REVISION: &str = "istio.io/rev";

/// How long one write may take.
const WRITE: Duration = Duration::from_secs(10);

/// How long after a failed write the next is tried.
const AGAIN: Duration = Duration::from_secs(2);

/// A kind of webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Hook {
    Mutating,
    Validating,
}

impl Hook {
    fn api(self, client: &Client) -> Api<DynamicObject> {
        let (kind, plural) = match self {
            Self::Mutating => ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations"),
            Self::Validating => ("ValidatingWebhookConfiguration", "validatingwebhookconfigurations"),
        };
        let kind = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind);
        Api::all_with(client.clone(), &ApiResource::from_gvk_with_plural(&kind, plural))
    }
}

/// Keeps the webhooks of `revision` up to date with `roots`, for as long as it is polled.
pub(super) async fn keep(client: Client, revision: String, roots: watch::Receiver<TrustBundle>) {
    Keeper { client, revision, roots, known: BTreeMap::new(), listed: BTreeSet::new() }.keep().await;
}

struct Keeper {
    client: Client,
    revision: String,
    roots: watch::Receiver<TrustBundle>,
    known: BTreeMap<(Hook, String), Value>,
    /// Those that a list under way has named so far.
    listed: BTreeSet<(Hook, String)>,
}

impl Keeper {
    async fn keep(mut self) {
        let only = watcher::Config::default().labels(&format!("{REVISION}={}", self.revision));
        let mut mutating = watcher(Hook::Mutating.api(&self.client), only.clone()).default_backoff().boxed();
        let mut validating = watcher(Hook::Validating.api(&self.client), only).default_backoff().boxed();
        let mut again: Option<Instant> = None;
        loop {
            tokio::select! {
                Some(event) = mutating.next() => self.take(Hook::Mutating, event),
                Some(event) = validating.next() => self.take(Hook::Validating, event),
                changed = self.roots.changed() => if changed.is_err() { return },
                () = sleep_until(again.unwrap_or_else(Instant::now)), if again.is_some() => {}
            }
            again = (!self.write().await).then(|| Instant::now() + AGAIN);
        }
    }

    fn take(&mut self, hook: Hook, event: Result<watcher::Event<DynamicObject>, watcher::Error>) {
        match event {
            Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) => {
                let (Some(name), Ok(value)) = (object.metadata.name.clone(), serde_json::to_value(object)) else {
                    return;
                };
                self.listed.insert((hook, name.clone()));
                self.known.insert((hook, name), value);
            }
            Ok(watcher::Event::Delete(object)) => {
                self.known.remove(&(hook, object.metadata.name.unwrap_or_default()));
            }
            Ok(watcher::Event::Init) => self.listed.retain(|(of, _)| *of != hook),
            // What was deleted while nobody watched.
            Ok(watcher::Event::InitDone) => {
                self.known.retain(|key, _| key.0 != hook || self.listed.contains(key));
            }
            Err(error) => tracing::warn!(%error, "the watch of webhooks ended; it is opened again"),
        }
    }

    /// Writes where something else stands than should. Whether all of it succeeded.
    async fn write(&mut self) -> bool {
        let bundle = self.roots.borrow_and_update().to_pem();
        let mut complete = true;
        for ((hook, name), object) in &mut self.known {
            let Some(patch) = patch(*hook, object, &bundle) else { continue };
            let api = hook.api(&self.client);
            let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
            match timeout(WRITE, api.patch(name, &parameters, &Patch::<Value>::Json(patch))).await {
                Ok(Ok(now)) => {
                    tracing::info!(webhook = name.as_str(), "the API server believes this control plane");
                    *object = serde_json::to_value(now).unwrap_or_default();
                }
                // It has gone meanwhile, or changed: the watch says so.
                Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409 | 422) => complete = false,
                Ok(Err(error)) => {
                    tracing::warn!(webhook = name.as_str(), %error, "the certificate was not entered");
                    complete = false;
                }
                Err(_) => complete = false,
            }
        }
        complete
    }
}

/// What is to be changed of a webhook's object; `None`: nothing.
fn patch(hook: Hook, object: &Value, bundle: &str) -> Option<json_patch::Patch> {
    let bundle = json!(ByteString(bundle.as_bytes().to_vec()));
    let mut operations = Vec::new();
    let entries = object.get("webhooks").and_then(Value::as_array);
    for (place, entry) in entries.into_iter().flatten().enumerate() {
        // Who is asked by a URL of somebody's choice may have a certificate of somebody's choice.
        if entry.pointer("/clientConfig/service").is_none() {
            continue;
        }
        let before = operations.len();
        if entry.pointer("/clientConfig/caBundle") != Some(&bundle) {
            let path = format!("/webhooks/{place}/clientConfig/caBundle");
            operations.push(json!({"op": "add", "path": path, "value": bundle}));
        }
        if hook == Hook::Validating && entry.get("failurePolicy").is_none_or(|policy| policy != "Fail") {
            operations.push(json!({"op": "add", "path": format!("/webhooks/{place}/failurePolicy"), "value": "Fail"}));
        }
        if operations.len() > before {
            // An entry that has moved is not written by its old place.
            let same = json!({"op": "test", "path": format!("/webhooks/{place}/name"), "value": entry.get("name")?});
            operations.insert(before, same);
        }
    }
    if operations.is_empty() { None } else { serde_json::from_value(Value::Array(operations)).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_written_once_and_only_where_the_control_plane_is_asked() {
        let mut object = json!({"webhooks": [
            {"name": "a", "clientConfig": {"service": {"name": "istiod"}}, "failurePolicy": "Ignore"},
            {"name": "b", "clientConfig": {"url": "https://elsewhere"}, "failurePolicy": "Ignore"},
        ]});
        let mut mutating = object.clone();
        json_patch::patch(&mut mutating, &patch(Hook::Mutating, &object, "PEM").unwrap()).unwrap();
        assert_eq!(mutating["webhooks"][0]["clientConfig"]["caBundle"], "UEVN");
        assert_eq!(mutating["webhooks"][0]["failurePolicy"], "Ignore");
        assert_eq!(mutating["webhooks"][1], object["webhooks"][1]);
        assert_eq!(patch(Hook::Mutating, &mutating, "PEM"), None);

        let change = patch(Hook::Validating, &object, "PEM").unwrap();
        json_patch::patch(&mut object, &change).unwrap();
        assert_eq!(object["webhooks"][0]["failurePolicy"], "Fail");
        assert_eq!(patch(Hook::Validating, &object, "PEM"), None);
        assert!(patch(Hook::Validating, &object, "OTHER").is_some(), "replaced roots are entered");

        object["webhooks"][0]["name"] = "moved".into();
        assert!(json_patch::patch(&mut object, &change).is_err(), "an entry that has moved is left alone");
    }
}
