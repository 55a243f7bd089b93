//! Removing a mesh. Definitions and what users wrote stay, unless everything is asked to go.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::install::apply::{RECORD, installed, record_name};
use crate::install::foreign::is_ours;
use crate::install::plan::Platform;
use crate::install::verify::records;
use crate::install::{COMPONENT, Error, LEADER_LEASE, MANAGED_BY};
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
}

/// What would go.
///
/// # Errors
/// Nothing of it is installed, or the server does not answer.
pub async fn removable(connection: &Connection, extent: &Extent) -> Result<Removal, Error> {
    let known = records(connection).await?;
    let revisions: Vec<String> = match extent {
        Extent::Revision(revision) => vec![revision.clone()],
        Extent::Everything => {
            let mut revisions: Vec<String> = known.iter().map(|record| record.revision.clone()).collect();
            revisions.extend(unrecorded(connection).await?);
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
    let mut removal = Removal { objects, kept: Vec::new() };
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

/// Revisions whose installation was interrupted before it was recorded.
async fn unrecorded(connection: &Connection) -> Result<Vec<String>, Error> {
    let labels = format!("{}={},{COMPONENT}!={RECORD}", MANAGED_BY.0, MANAGED_BY.1);
    let selection = Selection { namespace: None, labels: &labels };
    let mut revisions = Vec::new();
    for (api_version, kind) in [("v1", "ConfigMap"), ("v1", "ServiceAccount"), ("apps/v1", "Deployment")] {
        let found = kube::list(connection, api_version, kind, selection).await?;
        revisions.extend(found.iter().filter_map(|object: &Value| super::revision_of(object).map(str::to_owned)));
    }
    Ok(revisions)
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

/// What a mesh has made while it ran, beside what was installed: its root in every namespace, its authority's key, the locks of
/// its installers. Waits, up to `bound`, until no control plane runs any more that would make it again.
///
/// # Errors
/// The server does not answer or does not permit it.
pub async fn left_behind(connection: &Connection, bound: Duration) -> Result<Vec<ObjectRef>, Error> {
    let everywhere = |labels| Selection { namespace: None, labels };
    let deadline = Instant::now() + bound;
    while Instant::now() < deadline && !kube::list(connection, "v1", "Pod", everywhere("app=istiod")).await?.is_empty()
    {
        tokio::time::sleep(AGAIN).await;
    }
    let mut found = kube::list(connection, "v1", "ConfigMap", everywhere("istio.io/config=true")).await?;
    found.retain(|object| name(object) == Some("istio-ca-root-cert"));
    // Its type is its own; a Secret that a user made as the mesh's authority is called cacerts and stays.
    for (api_version, kind, ours) in
        [("v1", "Secret", "istio-ca-secret"), ("coordination.k8s.io/v1", "Lease", "mesh-install")]
    {
        let all = kube::list(connection, api_version, kind, everywhere("")).await?;
        found.extend(all.into_iter().filter(|object| {
            let name = name(object).unwrap_or_default();
            name == ours || (kind == "Lease" && (name.starts_with("mesh-install-") || name == LEADER_LEASE))
        }));
    }
    found.iter().map(|object| Ok(ObjectRef::of(object)?)).collect()
}

fn name(object: &Value) -> Option<&str> {
    object.pointer("/metadata/name")?.as_str()
}
