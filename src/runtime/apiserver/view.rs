//! The shapes an object or a list can be asked for: as it is, its metadata only, or a table.

use http::HeaderMap;
use http::header::ACCEPT;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::failure::Failure;
use super::registry::Resource;
use super::request::Query;
use super::store::Object;
use super::table;

/// A shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// The objects.
    Full,
    /// Their metadata.
    Metadata,
    /// A table, its rows with this much of the objects.
    Table(Include),
}

/// How much of an object a table row carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Include {
    None,
    Metadata,
    Object,
}

impl View {
    /// What the `Accept` header asks for: its first entry that can be served.
    pub(super) fn parse(headers: &HeaderMap, query: &Query) -> Result<Self, Failure> {
        let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
        for entry in accept.split(',') {
            let mut parts = entry.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            let json = matches!(media, "application/json" | "*/*" | "application/*" | "");
            if !json {
                continue;
            }
            let parameters: Vec<&str> = parts.collect();
            let shape = parameters.iter().find_map(|parameter| parameter.strip_prefix("as="));
            match shape {
                None => return Ok(Self::Full),
                Some("Table") if parameters.contains(&"v=v1") => {
                    let include = match query.get("includeObject") {
                        Some("None") => Include::None,
                        Some("Object") => Include::Object,
                        _ => Include::Metadata,
                    };
                    return Ok(Self::Table(include));
                }
                Some("PartialObjectMetadata" | "PartialObjectMetadataList") => {
                    return Ok(Self::Metadata);
                }
                Some(_) => {}
            }
        }
        Err(Failure::not_acceptable())
    }

    /// One object in this shape, as JSON. `heads` says whether a table carries its column definitions.
    pub(super) fn one(self, resource: &Resource, version: &str, object: &Object, heads: bool) -> Vec<u8> {
        match self {
            Self::Full => {
                let mut out = Vec::with_capacity(object.json.len() + 64);
                object.write_as(&resource.api_version(version), &resource.kind, &mut out);
                out
            }
            Self::Metadata => metadata(object).to_string().into_bytes(),
            Self::Table(include) => {
                let row = row(resource, version, object, include, Timestamp::now());
                let table = table::table(resource, version, vec![row], heads, &object.version.to_string());
                table.to_string().into_bytes()
            }
        }
    }
}

/// An object's metadata as an object of its own.
pub(super) fn metadata(object: &Object) -> Value {
    let mut value = object.value();
    json!({
        "apiVersion": "meta.k8s.io/v1",
        "kind": "PartialObjectMetadata",
        "metadata": value["metadata"].take(),
    })
}

/// One row of a table.
pub(super) fn row(resource: &Resource, version: &str, object: &Object, include: Include, now: Timestamp) -> Value {
    let mut value = object.value();
    let cells = table::cells(resource, version, &value, now);
    let shown = match include {
        Include::None => Value::Null,
        Include::Metadata => json!({
            "apiVersion": "meta.k8s.io/v1",
            "kind": "PartialObjectMetadata",
            "metadata": value["metadata"].take(),
        }),
        Include::Object => {
            value["apiVersion"] = resource.api_version(version).into();
            value["kind"] = resource.kind.as_str().into();
            value
        }
    };
    if shown.is_null() { json!({"cells": cells}) } else { json!({"cells": cells, "object": shown}) }
}
