//! An object under analysis: whatever it holds, sound or not.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::yaml::{Document, Path, SourcePosition};

/// Labels as they stand in an object.
pub type Labels<'o> = BTreeMap<&'o str, &'o str>;

/// Where an object comes from.
#[derive(Clone, Debug)]
enum Origin {
    /// A document.
    File { document: Arc<Document> },
    /// A cluster.
    Cluster { value: Box<Value> },
}

/// An object under analysis.
#[derive(Clone, Debug)]
pub struct Object {
    origin: Origin,
    /// Its kind.
    pub kind: Arc<str>,
    /// Its API group; empty for Kubernetes' core.
    pub group: Arc<str>,
    /// Its namespace; empty for an object of the cluster, or one that names none.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// The cluster that it is in, where there are several.
    pub cluster: Option<Arc<str>>,
}

/// Kinds that live in the cluster as a whole, of those that mesh has no table entry for.
const CLUSTER_SCOPED: &[&str] = &[
    "Namespace",
    "Node",
    "CustomResourceDefinition",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
    "GatewayClass",
    "ClusterRole",
    "ClusterRoleBinding",
    "PersistentVolume",
    "StorageClass",
    "PriorityClass",
    "IngressClass",
    "APIService",
];

impl Object {
    /// The objects of a document: itself, or its items if it is a list. Values that are no objects are left out.
    pub fn of_document(document: Document, default_namespace: &str, cluster: Option<&Arc<str>>) -> Vec<Self> {
        let object = |document| Self::new(Origin::File { document: Arc::new(document) }, default_namespace, cluster);
        document.into_items().into_iter().filter_map(object).collect()
    }

    /// The pod that a workload will have; it stands where its template does.
    pub fn pod_of(workload: &Self) -> Option<Self> {
        let template = workload.at("/spec/template")?;
        let mut value = serde_json::json!({"apiVersion": "v1", "kind": "Pod"});
        value["metadata"] = template.get("metadata").cloned().unwrap_or_else(|| serde_json::json!({}));
        value["spec"] = template.get("spec").cloned().unwrap_or_default();
        Some(Self {
            origin: Origin::Cluster { value: Box::new(value) },
            kind: "Pod".into(),
            group: "".into(),
            namespace: Arc::clone(&workload.namespace),
            name: Arc::clone(&workload.name),
            cluster: workload.cluster.clone(),
        })
    }

    /// An object of a cluster.
    pub fn of_cluster(value: Value, cluster: Option<&Arc<str>>) -> Option<Self> {
        Self::new(Origin::Cluster { value: Box::new(value) }, "", cluster)
    }

    fn new(origin: Origin, default_namespace: &str, cluster: Option<&Arc<str>>) -> Option<Self> {
        let value = origin.value();
        let kind: Arc<str> = value.get("kind")?.as_str()?.into();
        let api_version = value.get("apiVersion")?.as_str()?;
        let group: Arc<str> = api_version.rsplit_once('/').map_or("", |(group, _)| group).into();
        let metadata = value.get("metadata")?;
        let name: Arc<str> = metadata.get("name").or_else(|| metadata.get("generateName"))?.as_str()?.into();
        let namespace = metadata.get("namespace").and_then(Value::as_str).unwrap_or_default();
        let namespace = match namespace {
            _ if CLUSTER_SCOPED.contains(&&*kind) => "",
            "" => default_namespace,
            named => named,
        };
        let namespace = namespace.into();
        Some(Self { kind, group, namespace, name, cluster: cluster.cloned(), origin })
    }

    /// The object as it was written.
    pub fn value(&self) -> &Value {
        self.origin.value()
    }

    /// Whether it came from a file.
    pub fn is_from_file(&self) -> bool {
        matches!(self.origin, Origin::File { .. })
    }

    /// Where `path` stands, where the object came from a file.
    pub fn source(&self, path: &Path) -> Option<SourcePosition> {
        match &self.origin {
            Origin::Cluster { .. } => None,
            Origin::File { document } => Some(document.source(path)),
        }
    }

    /// The value behind a JSON pointer (RFC 6901).
    pub fn at(&self, pointer: &str) -> Option<&Value> {
        self.value().pointer(pointer)
    }

    /// The string behind a JSON pointer; empty if there is none.
    pub fn text(&self, pointer: &str) -> &str {
        self.at(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// The list behind a JSON pointer; empty if there is none.
    pub fn items(&self, pointer: &str) -> &[Value] {
        items(self.value(), pointer)
    }

    /// The strings of a list behind a JSON pointer.
    pub fn texts(&self, pointer: &str) -> Vec<&str> {
        self.items(pointer).iter().filter_map(Value::as_str).collect()
    }

    /// The mapping of strings behind a JSON pointer.
    pub fn map(&self, pointer: &str) -> Labels<'_> {
        map(self.value(), pointer)
    }

    /// Its labels.
    pub fn labels(&self) -> Labels<'_> {
        self.map("/metadata/labels")
    }

    /// One of its labels; empty if it has none.
    pub fn label(&self, name: &str) -> &str {
        self.named("/metadata/labels", name)
    }

    /// One of its annotations; empty if it has none.
    pub fn annotation(&self, name: &str) -> &str {
        self.named("/metadata/annotations", name)
    }

    fn named(&self, pointer: &str, name: &str) -> &str {
        self.at(pointer).and_then(|map| map.get(name)).and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether it belongs to Istio's own installation.
    pub fn is_control_plane(&self) -> bool {
        let labels = self.labels();
        labels.contains_key("istio") || labels.get("release") == Some(&"istio")
    }

    /// `namespace/name`, or its name.
    pub fn full_name(&self) -> String {
        if self.namespace.is_empty() { self.name.to_string() } else { format!("{}/{}", self.namespace, self.name) }
    }
}

impl Origin {
    fn value(&self) -> &Value {
        match self {
            Self::Cluster { value } => value,
            Self::File { document } => &document.value,
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.full_name())
    }
}

/// The list behind a JSON pointer; empty if there is none.
pub fn items<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The string behind a JSON pointer; empty if there is none.
pub fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The mapping of strings behind a JSON pointer.
pub fn map<'v>(value: &'v Value, pointer: &str) -> Labels<'v> {
    let entries = value.pointer(pointer).and_then(Value::as_object);
    entries.into_iter().flatten().filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))).collect()
}

/// Whether every label of `selector` is among `labels`.
pub fn selects(selector: &Labels<'_>, labels: &Labels<'_>) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}
