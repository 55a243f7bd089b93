//! Removing a mesh. Definitions and what users wrote stay, unless everything is asked to go.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::install::apply::{RECORD, installed, record_name};
use crate::install::foreign::{control_planes, is_ours};
use crate::install::plan::Platform;
use crate::install::verify::records;
use crate::install::{COMPONENT, Error, LEADER_LEASE, MANAGED_BY, REVISION, suffix};
use crate::kube::{self, Connection, Deleted, ObjectRef, Selection};
use crate::resources;
use crate::resources::kinds::{KINDS, Support};

/// How often it is asked whether a control plane is gone.
const AGAIN: Duration = Duration::from_millis(250);

/// Which installations are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extent {
    /// One revision.
    Revision(String),
    /// Every revision, with the definitions of the mesh's kinds, and so with what users wrote.
    Everything,
}

/// What users wrote, by kind: it goes with the definitions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Purge {
    /// Kinds, with how many objects there are.
    pub objects: Vec<(&'static str, usize)>,
    /// The definitions.
    pub definitions: Vec<ObjectRef>,
}

/// What a purge would take with it.
///
/// # Errors
/// The server does not answer.
pub async fn purge_extent(connection: &Connection) -> Result<Purge, Error> {
    let mut purge = Purge::default();
    for definition in resources::crds() {
        let object = ObjectRef::of(&definition)?;
        if kube::get(connection, &object).await?.is_some_and(|present| is_ours(&present)) {
            purge.definitions.push(object);
        }
    }
    for kind in KINDS.iter().filter(|kind| kind.support != Support::Kubernetes) {
        let count = kube::list(connection, &kind.api_version(), kind.kind, Selection::default()).await?.len();
        if count > 0 {
            purge.objects.push((kind.kind, count));
        }
    }
    Ok(purge)
}

/// What removing an installation comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removal {
    /// The objects that would go, in the order in which they go.
    pub objects: Vec<ObjectRef>,
    /// Those that stay, because another revision has them as well, each with its name.
    pub kept: Vec<(ObjectRef, String)>,
    /// Where the control planes that would go are.
    pub places: Vec<Place>,
}

/// A control plane that mesh installed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Its namespace.
    pub namespace: String,
    /// Its revision.
    pub revision: String,
}

/// What would go.
///
/// # Errors
/// Nothing of it is installed, or the server does not answer.
pub async fn removable(connection: &Connection, extent: &Extent) -> Result<Removal, Error> {
    let known = records(connection).await?;
    let mut places: Vec<Place> = known
        .iter()
        .map(|record| Place { namespace: record.namespace.clone(), revision: record.revision.clone() })
        .collect();
    let revisions: Vec<String> = match extent {
        Extent::Revision(revision) => {
            places.retain(|place| place.revision == *revision);
            vec![revision.clone()]
        }
        Extent::Everything => {
            places.extend(unrecorded(connection).await?);
            places.sort();
            places.dedup();
            let mut revisions: Vec<String> = places.iter().map(|place| place.revision.clone()).collect();
            revisions.sort();
            revisions.dedup();
            revisions
        }
    };
    let mut objects = Vec::new();
    for revision in &revisions {
        objects.extend(installed(connection, revision).await?.into_iter().map(|(object, _)| object));
        // The record goes last: while it is there, an interrupted removal can be run again.
        for record in known.iter().filter(|record| record.revision == *revision) {
            objects.push(ObjectRef {
                api_version: "v1".to_owned(),
                kind: "ConfigMap".to_owned(),
                namespace: Some(record.namespace.clone()),
                name: record_name(revision),
            });
        }
    }
    if let (Extent::Revision(revision), true) = (extent, objects.is_empty()) {
        let there: Vec<&str> = known.iter().map(|record| record.revision.as_str()).collect();
        let known = match there.as_slice() {
            [] => "nothing is installed".to_owned(),
            there => format!("there is {}", there.join(", ")),
        };
        return Err(Error::NotInstalled { server: connection.server.clone(), revision: revision.clone(), known });
    }
    let mut removal = Removal { objects, kept: Vec::new(), places };
    if let Extent::Revision(revision) = extent {
        for other in known.iter().filter(|record| record.revision != *revision) {
            let theirs = other.objects(Platform::Kubernetes)?;
            let theirs = theirs.iter().map(ObjectRef::of).collect::<Result<HashSet<_>, _>>()?;
            let (kept, objects) = removal.objects.into_iter().partition(|object| theirs.contains(object));
            let kept: Vec<ObjectRef> = kept;
            removal.objects = objects;
            removal.kept.extend(kept.into_iter().map(|object| (object, other.revision.clone())));
        }
    }
    Ok(removal)
}

/// Control planes whose installation was interrupted before it was recorded.
async fn unrecorded(connection: &Connection) -> Result<Vec<Place>, Error> {
    let labels = format!("{}={},{COMPONENT}!={RECORD}", MANAGED_BY.0, MANAGED_BY.1);
    let selection = Selection { namespace: None, labels: &labels };
    let mut places = Vec::new();
    for (api_version, kind) in [("v1", "ConfigMap"), ("v1", "ServiceAccount"), ("apps/v1", "Deployment")] {
        let found = kube::list(connection, api_version, kind, selection).await?;
        places.extend(found.iter().filter_map(|object: &Value| {
            let revision = super::revision_of(object)?.to_owned();
            let namespace = object.pointer("/metadata/namespace")?.as_str()?.to_owned();
            Some(Place { namespace, revision })
        }));
    }
    Ok(places)
}

/// Removes objects, in order, and says of each that it went. Returns how many there were.
///
/// # Errors
/// The server does not answer or does not permit it; what is gone by then stays gone, and removing again goes on.
pub async fn remove(
    connection: &Connection,
    objects: &[ObjectRef],
    mut report: impl FnMut(&ObjectRef),
) -> Result<usize, Error> {
    let mut count = 0;
    for object in objects {
        if kube::delete(connection, object).await? == Deleted::Deleted {
            count += 1;
            report(object);
        }
    }
    Ok(count)
}

/// What control planes at `places` have made while they ran, beside what was installed: their authority's key, the locks of
/// their installers, and their root in every namespace. Waits, up to `bound`, until none of them runs any more that would make it
/// again. What a control plane uses that mesh did not install stays: the key beside it, and the roots.
///
/// # Errors
/// The server does not answer or does not permit it.
pub async fn left_behind(connection: &Connection, places: &[Place], bound: Duration) -> Result<Vec<ObjectRef>, Error> {
    let deadline = Instant::now() + bound;
    for Place { namespace, revision } in places {
        let labels = format!("app=istiod,{REVISION}={revision}");
        let selection = Selection { namespace: Some(namespace), labels: &labels };
        while Instant::now() < deadline && !kube::list(connection, "v1", "Pod", selection).await?.is_empty() {
            tokio::time::sleep(AGAIN).await;
        }
    }
    let others: Vec<Value> =
        control_planes(connection).await?.into_iter().filter(|control_plane| !is_ours(control_plane)).collect();
    let is_shared = |namespace: &str| {
        let mut theirs = others.iter().map(|control_plane| control_plane.pointer("/metadata/namespace"));
        theirs.any(|theirs| theirs.and_then(Value::as_str) == Some(namespace))
    };
    let lease = ("coordination.k8s.io/v1", "Lease");
    let mut wanted: Vec<(&str, (&str, &str), String)> = Vec::new();
    for Place { namespace, revision } in places {
        wanted.push((namespace, lease, format!("mesh-install{}", suffix(revision))));
        wanted.push((namespace, lease, LEADER_LEASE.to_owned()));
        // A Secret that a user made as the mesh's authority is called cacerts and stays.
        if !is_shared(namespace) {
            wanted.push((namespace, ("v1", "Secret"), "istio-ca-secret".to_owned()));
        }
    }
    wanted.sort();
    wanted.dedup();
    let mut found = Vec::new();
    for (namespace, (api_version, kind), name) in wanted {
        let object = ObjectRef {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: Some(namespace.to_owned()),
            name,
        };
        match kube::get(connection, &object).await {
            Ok(Some(_)) => found.push(object),
            Ok(None) | Err(kube::Error::UnknownKind { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if others.is_empty() && !places.is_empty() {
        let roots = Selection { namespace: None, labels: "istio.io/config=true" };
        for root in kube::list(connection, "v1", "ConfigMap", roots).await? {
            let root = ObjectRef::of(&root)?;
            if root.name == "istio-ca-root-cert" {
                found.push(root);
            }
        }
    }
    Ok(found)
}
