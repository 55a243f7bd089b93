//! An Istio that somebody else installed.

use std::fmt;

use serde_json::Value;

use crate::install::plan::Plan;
use crate::install::{DEFAULT_REVISION, Error, MANAGED_BY, order};
use crate::kube::{self, Connection, ObjectRef, Selection};

/// An object of an Istio that mesh did not install.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// The object.
    pub object: ObjectRef,
    /// Who wrote it last, as far as it says.
    pub manager: Option<String>,
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.manager {
            Some(manager) => write!(f, "{} (by {manager})", self.object),
            None => self.object.fmt(f),
        }
    }
}

/// Whether mesh installed an object.
pub(super) fn is_ours(object: &Value) -> bool {
    let label = object.get("metadata").and_then(|metadata| metadata.get("labels")?.get(MANAGED_BY.0));
    label.and_then(Value::as_str) == Some(MANAGED_BY.1)
}

/// The Deployments of control planes, whoever installed them.
pub(super) async fn control_planes(connection: &Connection) -> Result<Vec<Value>, Error> {
    let selection = Selection { namespace: None, labels: "app=istiod" };
    Ok(kube::list(connection, "apps/v1", "Deployment", selection).await?)
}

fn foreign(object: &Value) -> Result<Foreign, Error> {
    let managers = object.pointer("/metadata/managedFields").and_then(Value::as_array);
    let last = managers
        .into_iter()
        .flatten()
        .filter(|entry| entry.get("subresource").is_none())
        .max_by_key(|entry| entry.get("time").and_then(Value::as_str).unwrap_or_default().to_owned());
    let manager = last.and_then(|entry| entry.get("manager")?.as_str()).map(str::to_owned);
    Ok(Foreign { object: ObjectRef::of(object)?, manager })
}

/// What stands in the way of a plan: control planes of its revision, and objects that it would overwrite.
pub(super) async fn find(connection: &Connection, plan: &Plan, objects: &[Value]) -> Result<Vec<Foreign>, Error> {
    let mut found = Vec::new();
    for control_plane in control_planes(connection).await? {
        let revision = order::revision_of(&control_plane).unwrap_or(DEFAULT_REVISION);
        if !is_ours(&control_plane) && revision == plan.revision() {
            found.push(foreign(&control_plane)?);
        }
    }
    for object in objects.iter().filter(|object| !is_shared(object)) {
        let object = ObjectRef::of(object)?;
        if found.iter().any(|known| known.object == object) {
            continue;
        }
        match kube::get(connection, &object).await {
            Ok(Some(present)) if !is_ours(&present) => found.push(Foreign { object, ..foreign(&present)? }),
            Ok(_) | Err(kube::Error::UnknownKind { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

/// Definitions serve every Istio in the cluster, and namespaces hold more than one.
pub(super) fn is_shared(object: &Value) -> bool {
    matches!(object.get("kind").and_then(Value::as_str), Some("CustomResourceDefinition" | "Namespace"))
}
