//! An object of one of the configuration kinds: who it is, and what it says.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::enforcement::{self, Hit};
use super::field::{Cx, Field, whole};
use super::finding::Findings;
use super::kinds::{self, Kind};
use super::suggest;
use super::values::is_lower_label;
use super::{
    AuthorizationPolicy, DestinationRule, EnvoyFilter, Gateway, PeerAuthentication, Provenance, ProxyConfig,
    RequestAuthentication, ServiceEntry, Sidecar, Telemetry, TrafficExtension, VirtualService, WasmPlugin,
    WorkloadEntry, WorkloadGroup, registry,
};
use crate::yaml::{Document, Path, SourcePosition};

/// A kind of configuration.
pub trait Resource: Field {
    /// Its API group.
    const GROUP: &'static str;
    /// Its name.
    const KIND: &'static str;
}

macro_rules! resources {
    ($($group:literal: $($type:ident),+;)+) => {
        $($(
            impl Resource for $type {
                const GROUP: &'static str = $group;
                const KIND: &'static str = stringify!($type);
            }
        )+)+
    };
}

resources! {
    "networking.istio.io": VirtualService, DestinationRule, Gateway, ServiceEntry, Sidecar, WorkloadEntry, WorkloadGroup,
        EnvoyFilter, ProxyConfig;
    "security.istio.io": PeerAuthentication, RequestAuthentication, AuthorizationPolicy;
    "telemetry.istio.io": Telemetry;
    "extensions.istio.io": WasmPlugin, TrafficExtension;
}

/// What mesh keeps of an object's metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Its name; empty if the API server is to make one up.
    pub name: String,
    /// Its namespace; `default` if it names none.
    pub namespace: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// What tells it from others that had or will have its name, where an API server gave it one.
    pub uid: Option<String>,
    /// When the API server took it in.
    pub creation_time: Option<Timestamp>,
    /// How often its spec was changed.
    pub generation: Option<i64>,
    /// The API server's version of it; opaque.
    pub resource_version: Option<String>,
}

/// An object whose spec is sound.
#[derive(Clone, Debug, PartialEq)]
pub struct Object<T> {
    /// Who it is.
    pub meta: Meta,
    /// What it says.
    pub spec: T,
    /// Where it was written, if it came from a file.
    pub source: Option<SourcePosition>,
    /// What it says and mesh does not do yet. The control plane has to honour it: a match among these never matches, and
    /// what is refused at the door denies, should it have come in another way.
    pub unenforced: Vec<Hit>,
}

impl<T: Resource> Object<T> {
    /// Reads an object. An error holds everything that is wrong with it, in the order of its fields.
    ///
    /// What is not in force yet is no error here but listed in [`unenforced`](Self::unenforced): the door
    /// ([`validate`](super::validate())) refuses it, and whoever is behind the door decides what to do with an object that is
    /// already there.
    pub fn from_value(value: &Value) -> Result<Self, Findings> {
        let (object, findings) = read(value);
        match object {
            Some(object) if !findings.is_refused() => Ok(object),
            _ => Err(findings),
        }
    }

    /// [`from_value`](Self::from_value) for an object from a file: it knows its place, and so does every finding.
    pub fn from_document(document: &Document) -> Result<Self, Findings> {
        let object = Self::from_value(&document.value).map_err(|findings| findings.located(document))?;
        Ok(Self { source: Some(document.source(&Path::root())), ..object })
    }

    /// The kind.
    pub fn kind() -> Option<&'static Kind> {
        kinds::find(T::GROUP, T::KIND)
    }

    /// The object as a value, as it would be written.
    pub fn to_value(&self) -> Value {
        let api_version = Self::kind().map(Kind::api_version).unwrap_or_default();
        let mut meta = serde_json::Map::new();
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                meta.insert(name.to_owned(), value);
            }
        };
        set("name", Some(json!(self.meta.name)));
        set("namespace", Some(json!(self.meta.namespace)));
        set("labels", self.meta.labels.encode());
        set("annotations", self.meta.annotations.encode());
        set("creationTimestamp", self.meta.creation_time.map(|time| json!(time.to_string())));
        set("generation", self.meta.generation.map(Value::from));
        set("resourceVersion", self.meta.resource_version.clone().map(Value::from));
        json!({"apiVersion": api_version, "kind": T::KIND, "metadata": meta, "spec": self.spec.encode()})
    }

    /// The object as the origin of a decision.
    pub fn provenance(&self) -> Provenance {
        Provenance::new(T::KIND, self.meta.namespace.as_str(), self.meta.name.as_str())
            .with_source(self.source.clone().map(Into::into))
    }

    /// What is refused at the door at `path` or below it: with an object that came in another way, nothing is to be as if it were not
    /// written there.
    pub fn refused(&self, path: &Path) -> Option<&Hit> {
        let is_refused = |hit: &&Hit| hit.consequence == enforcement::Consequence::Refused && path.contains(&hit.path);
        self.unenforced.iter().find(is_refused)
    }

    /// What is not in force at `path` or below it, and makes the rule there never match.
    pub fn never_matching(&self, path: &Path) -> impl Iterator<Item = &Hit> {
        self.unenforced
            .iter()
            .filter(move |hit| hit.consequence == enforcement::Consequence::NeverMatches && path.contains(&hit.path))
    }
}

/// Reads an object and says everything about it that can be said without its surroundings.
pub(super) fn read<T: Resource>(value: &Value) -> (Option<Object<T>>, Findings) {
    let mut cx = Cx::default();
    let object = read_object(value, &mut cx);
    (object, cx.findings)
}

fn read_object<T: Resource>(value: &Value, cx: &mut Cx) -> Option<Object<T>> {
    let object = cx.object(value, &["apiVersion", "kind", "metadata", "spec", "status"])?;
    let kind = Object::<T>::kind();
    let api_version: Option<String> = cx.field(object, "apiVersion", &[]);
    if let (Some(api_version), Some(kind)) = (&api_version, kind)
        && !kind.serves(api_version)
    {
        let versions: Vec<String> = kind.api_versions().collect();
        cx.error_at("apiVersion", format!("is {api_version:?}, and a {} has one of {}", T::KIND, versions.join(", ")));
    }
    let name: Option<String> = cx.field(object, "kind", &[]);
    if name.is_some_and(|name| name != T::KIND) {
        cx.error_at("kind", format!("is not {}", T::KIND));
    }
    let meta = match object.get("metadata") {
        None | Some(Value::Null) => {
            cx.error_at("metadata", "is required: add it, with a name");
            None
        }
        Some(meta) => {
            cx.at("metadata", |cx| read_meta(meta, T::KIND == Gateway::KIND && T::GROUP == Gateway::GROUP, cx))
        }
    };
    if let Some(meta) = &meta {
        cx.namespace.clone_from(&meta.namespace);
    }
    // An object without a spec is one with an empty spec, as the API server has it.
    let empty = Value::Object(serde_json::Map::new());
    let written = object.get("spec").filter(|spec| !spec.is_null());
    if written.is_none() && kind.and_then(registry::of).is_some_and(|entry| entry.spec_required) {
        cx.error_at("spec", "is required: add it");
        return None;
    }
    let spec = written.unwrap_or(&empty);
    let decoded = cx.at("spec", |cx| T::decode(spec, cx));
    if let Some(meta) = &meta {
        cx.at("metadata", |cx| dry_run(meta, T::KIND, spec, cx));
    }
    Some(Object {
        meta: meta?,
        spec: decoded?,
        source: None,
        unenforced: kind.map_or_else(Vec::new, |kind| enforcement::hits(kind, value)),
    })
}

const META: &[&str] = &[
    "name",
    "generateName",
    "namespace",
    "labels",
    "annotations",
    "creationTimestamp",
    "generation",
    "resourceVersion",
    "uid",
    "selfLink",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "finalizers",
    "ownerReferences",
    "managedFields",
];

fn read_meta(value: &Value, label_only: bool, cx: &mut Cx) -> Option<Meta> {
    let object = cx.object(value, META)?;
    let name: Option<String> = cx.field(object, "name", &[])?;
    let generate: Option<String> = cx.field(object, "generateName", &[])?;
    match &name {
        None if generate.is_none() => cx.error_at("name", "is required: add it"),
        None => {}
        Some(name) => {
            let fine = if label_only { is_lower_label(name) } else { is_subdomain(name) };
            if !fine {
                let dots = if label_only { "" } else { ", and `.` between such words" };
                cx.error_at(
                    "name",
                    format!(
                        "is {:?}, and a name has lower-case letters, digits and `-`{dots}",
                        suggest::shortened(name)
                    ),
                );
            }
        }
    }
    let namespace: Option<String> = cx.field(object, "namespace", &[])?;
    let namespace = namespace.filter(|namespace| !namespace.is_empty()).unwrap_or_else(|| "default".to_owned());
    if !is_lower_label(&namespace) {
        cx.error_at("namespace", format!("is {:?}, which is no namespace's name", suggest::shortened(&namespace)));
    }
    let created: Option<String> = cx.field(object, "creationTimestamp", &[])?;
    let creation_time = created.and_then(|text| {
        let time = text.parse().ok();
        if time.is_none() {
            cx.error_at(
                "creationTimestamp",
                "is no time as `2026-01-01T00:00:00Z` is: remove it, the API server sets it",
            );
        }
        time
    });
    Some(Meta {
        name: name.unwrap_or_default(),
        namespace,
        labels: cx.field(object, "labels", &[])?,
        annotations: cx.field(object, "annotations", &[])?,
        uid: cx.field(object, "uid", &[])?,
        creation_time,
        generation: object.get("generation").and_then(whole).and_then(|generation| i64::try_from(generation).ok()),
        resource_version: cx.field(object, "resourceVersion", &[])?,
    })
}

/// The annotation that makes an AuthorizationPolicy be noted instead of enforced.
pub const DRY_RUN: &str = "istio.io/dry-run";

/// A policy that its author believes to be tried out must not be in force, and one that is believed in force not tried out.
fn dry_run(meta: &Meta, kind: &str, spec: &Value, cx: &mut Cx) {
    let Some(value) = meta.annotations.get(DRY_RUN) else { return };
    let action = spec.get("action").and_then(Value::as_str).unwrap_or("ALLOW");
    let fault = if kind != AuthorizationPolicy::KIND {
        format!("has no effect on a {kind}: only an AuthorizationPolicy can be tried out")
    } else if !matches!(action, "ALLOW" | "DENY") {
        format!("has no effect with {action}: only ALLOW and DENY can be tried out")
    } else if !matches!(value.as_str(), "true" | "false") {
        format!("has to be \"true\" or \"false\", and is {:?}", suggest::shortened(value))
    } else {
        return;
    };
    cx.at("annotations", |cx| cx.error_at(DRY_RUN, fault));
}

fn is_subdomain(name: &str) -> bool {
    name.len() <= 253 && super::gateway_api::text::is_subdomain(name)
}
