//! One stored object and its place.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

/// Where an object is: its resource (`plural.group`), its namespace (empty for what has none) and its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// `plural.group`, for example `pods.` and `deployments.apps`.
    pub resource: Arc<str>,
    /// The namespace; empty where the resource is not namespaced.
    pub namespace: Arc<str>,
    /// The name.
    pub name: Arc<str>,
}

impl Key {
    /// A key of its parts.
    #[must_use]
    pub fn new(resource: &Arc<str>, namespace: &str, name: &str) -> Self {
        Self { resource: Arc::clone(resource), namespace: Arc::from(namespace), name: Arc::from(name) }
    }

    /// The key as the disk holds it. No part can contain a slash.
    pub(super) fn to_disk(&self) -> String {
        format!("{}/{}/{}", self.resource, self.namespace, self.name)
    }

    pub(super) fn from_disk(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '/');
        Some(Self {
            resource: Arc::from(parts.next()?),
            namespace: Arc::from(parts.next()?),
            name: Arc::from(parts.next()?),
        })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{} {}", self.resource, self.name)
        } else {
            write!(f, "{} {}/{}", self.resource, self.namespace, self.name)
        }
    }
}

/// One version of an object: its JSON, and of it only what selecting and collecting need parsed.
#[derive(Debug)]
pub struct Object {
    /// Its resource version.
    pub version: u64,
    /// The object in JSON, without `apiVersion` and `kind`: those differ by the version it is served in.
    pub json: Bytes,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `metadata.uid`.
    pub uid: String,
    /// The uids of `metadata.ownerReferences`.
    pub owners: Vec<String>,
    /// Whether `metadata.deletionTimestamp` is set.
    pub deleting: bool,
}

#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    metadata: HeadMeta,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct HeadMeta {
    uid: String,
    labels: Option<BTreeMap<String, String>>,
    owner_references: Option<Vec<HeadOwner>>,
    deletion_timestamp: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct HeadOwner {
    #[serde(default)]
    uid: String,
}

impl Object {
    /// The object made of `value`, which must be a valid object; sets `metadata.resourceVersion`.
    pub fn new(version: u64, mut value: Value) -> Self {
        if let Some(map) = value.as_object_mut() {
            map.remove("apiVersion");
            map.remove("kind");
        }
        if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("resourceVersion".to_owned(), version.to_string().into());
        }
        let json = Bytes::from(value.to_string());
        Self::from_json(version, json.clone()).unwrap_or(Self {
            version,
            json,
            labels: BTreeMap::new(),
            uid: String::new(),
            owners: Vec::new(),
            deleting: false,
        })
    }

    /// An object that is shown and not stored: it has no version.
    pub fn unstored(value: Value) -> Self {
        let mut object = Self::new(0, value);
        let mut value = object.value();
        if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("resourceVersion");
        }
        object.json = Bytes::from(value.to_string());
        object
    }

    /// Appends the object's JSON to `out` as an item of a list that says what its items are.
    pub fn write_item(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.json);
    }

    /// Reads what the disk held.
    pub(super) fn from_json(version: u64, json: Bytes) -> Result<Self, serde_json::Error> {
        let Head { metadata } = serde_json::from_slice(&json)?;
        Ok(Self {
            version,
            labels: metadata.labels.unwrap_or_default(),
            uid: metadata.uid,
            owners: metadata.owner_references.unwrap_or_default().into_iter().map(|owner| owner.uid).collect(),
            deleting: metadata.deletion_timestamp.is_some(),
            json,
        })
    }

    /// The object parsed, without `apiVersion` and `kind`.
    #[must_use]
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.json).unwrap_or(Value::Null)
    }

    /// The object's JSON as version `api_version` of `kind`, appended to `out`.
    pub fn write_as(&self, api_version: &str, kind: &str, out: &mut Vec<u8>) {
        // Versions and kinds are DNS labels and identifiers: nothing in them needs escaping.
        out.extend_from_slice(b"{\"apiVersion\":\"");
        out.extend_from_slice(api_version.as_bytes());
        out.extend_from_slice(b"\",\"kind\":\"");
        out.extend_from_slice(kind.as_bytes());
        out.push(b'"');
        let rest = self.json.get(1..).unwrap_or(b"}");
        if rest.len() > 1 {
            out.push(b',');
        }
        out.extend_from_slice(rest);
    }
}
