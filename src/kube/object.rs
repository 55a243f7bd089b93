//! Which object is meant.

use std::fmt;

use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::discovery::{self, Scope};
use kube::{Api, Resource as _};
use serde_json::Value;

use crate::kube::{Connection, Error};

/// Names one object: its kind, its name, and its namespace where it says one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectRef {
    /// `group/version`, or `v1`.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Namespace; `None` for the connection's own, and for objects of the cluster as a whole.
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
}

impl ObjectRef {
    /// The object that a manifest describes.
    pub fn of(value: &Value) -> Result<Self, Error> {
        let text = |value: &Value, field: &'static str| {
            let text = value.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
            text.map(str::to_owned).ok_or(Error::Untyped { field })
        };
        let metadata = value.get("metadata").unwrap_or(&Value::Null);
        Ok(Self {
            api_version: text(value, "apiVersion")?,
            kind: text(value, "kind")?,
            namespace: text(metadata, "namespace").ok(),
            name: text(metadata, "name").map_err(|_| Error::Untyped { field: "metadata.name" })?,
        })
    }

    /// Asks the server where objects of this kind are found.
    pub(super) async fn locate(&self, connection: &Connection) -> Result<Location, Error> {
        let (group, version) = self.api_version.split_once('/').unwrap_or(("", &self.api_version));
        let kind = GroupVersionKind::gvk(group, version, &self.kind);
        let (resource, capabilities) = discovery::pinned_kind(&connection.client, &kind)
            .await
            .map_err(|error| Error::of_discovery(error, self, connection))?;
        let own = || connection.namespace.clone();
        let namespace = match capabilities.scope {
            Scope::Namespaced => Some(self.namespace.clone().unwrap_or_else(own)),
            Scope::Cluster => None,
        };
        Ok(Location { resource, namespace })
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

/// Where an object is found on the server.
pub(super) struct Location {
    pub(super) resource: ApiResource,
    pub(super) namespace: Option<String>,
}

impl Location {
    pub(super) fn api(&self, connection: &Connection) -> Api<DynamicObject> {
        match &self.namespace {
            Some(namespace) => Api::namespaced_with(connection.client.clone(), namespace, &self.resource),
            None => Api::all_with(connection.client.clone(), &self.resource),
        }
    }

    /// The objects of the kind in every namespace.
    pub(super) fn everywhere(&self, connection: &Connection) -> Api<DynamicObject> {
        Api::all_with(connection.client.clone(), &self.resource)
    }

    /// Path of the collection that the object is in.
    pub(super) fn path(&self) -> String {
        DynamicObject::url_path(&self.resource, self.namespace.as_deref())
    }
}
