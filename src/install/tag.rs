//! Tags: names for revisions, by which namespaces follow an upgrade without being labelled again.
//!
//! A tag is a webhook of its own, which matches `istio.io/rev=TAG` and asks the revision's control plane.

use serde_json::{Value, json};

use crate::install::apply::{FORCED, TAG, over_present};
use crate::install::foreign::is_ours;
use crate::install::order::revision_of;
use crate::install::plan::Platform;
use crate::install::verify::records;
use crate::install::webhook::{self, Injector};
use crate::install::{COMPONENT, DEFAULT_REVISION, Error, MANAGED_BY, REVISION};
use crate::kube::{self, Applied, Connection, Deleted, ObjectRef, Selection};

const API_VERSION: &str = "admissionregistration.k8s.io/v1";
const KIND: &str = "MutatingWebhookConfiguration";

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Its name.
    pub name: String,
    /// The revision that it points to.
    pub revision: String,
    /// The namespaces that follow it.
    pub namespaces: Vec<String>,
}

fn webhook_name(tag: &str, namespace: &str) -> String {
    let namespace = if namespace == "istio-system" { String::new() } else { format!("-{namespace}") };
    format!("istio-revision-tag-{tag}{namespace}")
}

/// The webhook of a tag. The control plane that it asks enters its own certificate.
pub fn tag_manifest(tag: &str, revision: &str, namespace: &str, everywhere: bool) -> Value {
    let injector =
        Injector { service: format!("istiod{}", super::suffix(revision)), namespace, path: "/inject".to_owned() };
    json!({
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": webhook_name(tag, namespace),
            "labels": {
                "app": "sidecar-injector",
                MANAGED_BY.0: MANAGED_BY.1,
                COMPONENT: "Pilot",
                REVISION: revision,
                TAG: tag,
            },
        },
        "webhooks": webhook::entries(&injector, tag, tag == DEFAULT_REVISION, everywhere),
    })
}

/// The tags of the cluster, by name, those of other installers included.
///
/// # Errors
/// The server does not answer.
pub async fn tags(connection: &Connection) -> Result<Vec<Tag>, Error> {
    let hooks = kube::list(connection, API_VERSION, KIND, Selection { namespace: None, labels: TAG }).await?;
    let namespaces = kube::list(connection, "v1", "Namespace", Selection { namespace: None, labels: REVISION }).await?;
    let mut tags: Vec<Tag> = hooks
        .iter()
        .filter_map(|hook| {
            let name = hook.get("metadata")?.get("labels")?.get(TAG)?.as_str()?;
            let follows = |namespace: &&Value| revision_of(namespace) == Some(name);
            let namespaces = namespaces.iter().filter(follows);
            let namespaces =
                namespaces.filter_map(|found| found.pointer("/metadata/name")?.as_str().map(str::to_owned));
            Some(Tag {
                name: name.to_owned(),
                revision: revision_of(hook).unwrap_or(DEFAULT_REVISION).to_owned(),
                namespaces: namespaces.collect(),
            })
        })
        .collect();
    tags.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(tags)
}

/// Points a tag to a revision; `overwrite` where it points elsewhere.
///
/// # Errors
/// The revision is not installed, the tag points to another one, or its name is a revision's.
pub async fn set_tag(connection: &Connection, manifest: &Value, overwrite: bool) -> Result<Applied, Error> {
    let label = |key: &str| manifest.get("metadata").and_then(|metadata| metadata.get("labels")?.get(key)?.as_str());
    let (tag, revision) = (label(TAG).unwrap_or_default(), label(REVISION).unwrap_or_default());
    let known: Vec<String> = records(connection).await?.into_iter().map(|record| record.revision).collect();
    if !known.iter().any(|installed| installed == revision) {
        let known = match known.as_slice() {
            [] => "nothing is installed".to_owned(),
            known => format!("there is {}", known.join(", ")),
        };
        return Err(Error::NotInstalled { server: connection.server.clone(), revision: revision.to_owned(), known });
    }
    if tag != DEFAULT_REVISION && known.iter().any(|installed| installed == tag) {
        return Err(Error::Tag(format!("{tag} is the name of a revision, and a tag needs a name of its own")));
    }
    let present = tags(connection).await?.into_iter().find(|known| known.name == tag);
    if let Some(present) = present.filter(|present| present.revision != revision && !overwrite) {
        let Tag { name, revision, .. } = present;
        return Err(Error::Tag(format!("tag {name} points to revision {revision}; --overwrite points it elsewhere")));
    }
    let applied = kube::apply(connection, manifest, FORCED).await?;
    if tag == DEFAULT_REVISION {
        settle_default(connection).await?;
    }
    Ok(applied)
}

/// The webhook of the tag `default`, where there is one.
async fn default_tag(connection: &Connection) -> Result<bool, Error> {
    let labels = format!("{TAG}={DEFAULT_REVISION}");
    let hooks = kube::list(connection, API_VERSION, KIND, Selection { namespace: None, labels: &labels }).await?;
    Ok(!hooks.is_empty())
}

/// Whether a webhook that is to be applied is a revision's that stands for `istio-injection=enabled`, while the tag `default` is
/// there, which stands for the same: only one of them may be asked.
pub(super) async fn is_superseded(connection: &Connection, object: &Value) -> Result<bool, Error> {
    let stands = object.get("kind").and_then(Value::as_str) == Some(KIND)
        && object.get("metadata").and_then(|metadata| metadata.get("labels")?.get(TAG)).is_none()
        && webhook::asks(object, webhook::BY_DEFAULT);
    Ok(stands && default_tag(connection).await?)
}

/// Silences the webhooks that the tag `default` takes the place of, or has them asked again.
async fn settle_default(connection: &Connection) -> Result<(), Error> {
    for record in records(connection).await? {
        for object in record.objects(Platform::Kubernetes)? {
            if object.get("kind").and_then(Value::as_str) == Some(KIND) && webhook::asks(&object, webhook::BY_DEFAULT) {
                let wanted = over_present(connection, &ObjectRef::of(&object)?, &object).await?;
                kube::apply(connection, &wanted, FORCED).await?;
            }
        }
    }
    Ok(())
}

/// Whether namespaces that say nothing are injected.
///
/// # Errors
/// The server does not answer or does not permit it.
pub async fn injects_everywhere(connection: &Connection) -> Result<bool, Error> {
    let selection = Selection { namespace: None, labels: "app=sidecar-injector" };
    let hooks = kube::list(connection, API_VERSION, KIND, selection).await?;
    Ok(hooks.iter().any(|hook| webhook::asks(hook, webhook::EVERYWHERE)))
}

/// Removes a tag; `force` although namespaces follow it.
///
/// # Errors
/// There is none of that name, or namespaces follow it.
pub async fn remove_tag(connection: &Connection, name: &str, force: bool) -> Result<(), Error> {
    let known = tags(connection).await?;
    let Some(tag) = known.iter().find(|tag| tag.name == name) else {
        let names: Vec<&str> = known.iter().map(|tag| tag.name.as_str()).collect();
        let known =
            if names.is_empty() { "there is none".to_owned() } else { format!("there is {}", names.join(", ")) };
        return Err(Error::Tag(format!("no tag is called {name}; {known}")));
    };
    if !tag.namespaces.is_empty() && !force {
        return Err(Error::Tag(format!(
            "tag {name} is followed by {}, whose pods would be created without sidecars; --force removes it all the same",
            tag.namespaces.join(", ")
        )));
    }
    let labels = format!("{TAG}={name}");
    let mut ours = 0;
    for hook in kube::list(connection, API_VERSION, KIND, Selection { namespace: None, labels: &labels }).await? {
        let reference = ObjectRef::of(&hook)?;
        if !is_ours(&hook) {
            continue;
        }
        ours += 1;
        if kube::delete(connection, &reference).await? == Deleted::Absent {
            return Err(Error::Tag(format!("tag {name} went away meanwhile")));
        }
    }
    if ours == 0 {
        return Err(Error::Tag(format!("tag {name} was set by another installer, which has to remove it")));
    }
    if name == DEFAULT_REVISION {
        settle_default(connection).await?;
    }
    Ok(())
}
