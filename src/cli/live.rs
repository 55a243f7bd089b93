//! What a cluster holds, as far as analyzers look at it.
//!
//! Several kinds are asked for at a time, so that a server far away costs a few round trips and not one for each. A kind that
//! the user may not read is told apart from one of which there is nothing. How long it may take is the caller's to say.

use futures_util::{StreamExt as _, stream};
use serde_json::Value;

use crate::kube::{self, Connection, Selection};
use crate::resources::kinds::KINDS;

/// How many kinds are asked for at a time.
const AT_ONCE: usize = 6;

/// A kind whose objects are read.
#[derive(Debug, Clone, Copy)]
struct ListedKind {
    group: &'static str,
    /// In the order in which they are tried.
    versions: &'static [&'static str],
    kind: &'static str,
    plural: &'static str,
}

/// Kinds that analyzers look at and the mesh has no table entry for.
const MORE_KINDS: &[ListedKind] = &[
    ListedKind {
        group: "admissionregistration.k8s.io",
        versions: &["v1"],
        kind: "MutatingWebhookConfiguration",
        plural: "mutatingwebhookconfigurations",
    },
    ListedKind {
        group: "admissionregistration.k8s.io",
        versions: &["v1"],
        kind: "ValidatingWebhookConfiguration",
        plural: "validatingwebhookconfigurations",
    },
];

/// Kinds of the table that no analyzer looks at.
const NOT_NEEDED: &[&str] = &["Event", "ReplicaSet", "EndpointSlice", "Lease", "ServiceAccount"];

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Live {
    /// The objects, kind by kind in the order of the table.
    pub(super) objects: Vec<Value>,
    /// Kinds that the user may not read, in the plural, and the server's answer.
    pub(super) forbidden: Vec<(&'static str, kube::Error)>,
}

/// Reads everything that analyzers look at; `reading` is told each kind in the plural.
///
/// # Errors
/// What the server says, but for kinds that it does not let the user read.
pub(super) async fn read(connection: &Connection, reading: impl Fn(&'static str)) -> Result<Live, kube::Error> {
    let known = KINDS.iter().filter(|kind| !NOT_NEEDED.contains(&kind.kind)).map(|kind| ListedKind {
        group: kind.group,
        versions: kind.versions,
        kind: kind.kind,
        plural: kind.plural,
    });
    let asked = known.chain(MORE_KINDS.iter().copied()).map(|kind| {
        reading(kind.plural);
        async move { (kind.plural, list(connection, kind).await) }
    });
    let mut answers = stream::iter(asked).buffered(AT_ONCE);
    let mut live = Live::default();
    while let Some((plural, answer)) = answers.next().await {
        match answer {
            Ok(found) => live.objects.extend(found),
            Err(error @ kube::Error::Forbidden { .. }) => live.forbidden.push((plural, error)),
            Err(error) => return Err(error),
        }
    }
    Ok(live)
}

/// The objects of a kind, in the first of its versions that the cluster has.
async fn list(connection: &Connection, kind: ListedKind) -> Result<Vec<Value>, kube::Error> {
    for version in kind.versions {
        let api_version =
            if kind.group.is_empty() { (*version).to_owned() } else { format!("{}/{version}", kind.group) };
        let found = kube::list(connection, &api_version, kind.kind, Selection::default()).await?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}
