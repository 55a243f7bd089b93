//! OpenAPI v3 documents, one per group and version: what kubectl explains, and where it reads that the server validates fields.
//!
//! Built-in kinds come from the table of [`types`], custom ones from their definitions. OpenAPI v2, which no client reads that knows
//! v3, is a document without definitions: kubectl asks for it before it says that there is no such kind.

use std::collections::BTreeSet;

use http::{Response, StatusCode};
use serde_json::{Map, Value, json};

use super::columns::{list, string};
use super::kinds::REVIEWS;
use super::registry::{Registry, Resource};
use super::response;
use super::server::{Inner, VERSION};
use super::store::Key;
use super::types::{self, Field, Form, Layer, Merge, Shape, Type};
use crate::serve::Body;

/// The type under which clients ask for OpenAPI v2, the name of which is not one that HTTP allows.
const V2: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/// A document of OpenAPI v2 that defines nothing: the field `swagger`, the first, is `2.0`.
const EMPTY: &[u8] = b"\x0a\x032.0";

/// Answers a path below `/openapi/v3`, and `/openapi/v2`.
pub(super) fn answer(server: &Inner, kinds: &Registry, path: &str) -> Option<Response<Body>> {
    if path == "/openapi/v2" {
        return Some(response::bytes(StatusCode::OK, V2, EMPTY));
    }
    let rest = path.strip_prefix("/openapi/v3")?;
    let value = match rest.trim_matches('/') {
        "" => index(kinds),
        place => document(server, kinds, place)?,
    };
    Some(response::json(StatusCode::OK, &value))
}

fn prefix(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

fn index(kinds: &Registry) -> Value {
    let mut paths = Map::new();
    let mut add = |place: String| {
        let url = format!("/openapi/v3/{place}");
        paths.insert(place, json!({"serverRelativeURL": url}));
    };
    for resource in kinds.iter() {
        for version in resource.versions.iter().filter(|version| version.served) {
            add(prefix(&resource.group, &version.name));
        }
    }
    REVIEWS.iter().for_each(|review| add(prefix(review.group, review.version)));
    json!({"paths": paths})
}

fn document(server: &Inner, kinds: &Registry, place: &str) -> Option<Value> {
    let mut document = Document { paths: Map::new(), schemas: Map::new(), wanted: BTreeSet::new() };
    for resource in kinds.iter() {
        for version in resource.versions.iter().filter(|version| version.served) {
            if prefix(&resource.group, &version.name) == place {
                document.kind(server, resource, &version.name, place);
            }
        }
    }
    for review in REVIEWS.iter().filter(|review| prefix(review.group, review.version) == place) {
        let kind = json!({"group": review.group, "version": review.version, "kind": review.kind});
        if let Some(name) = document.built_in(review.group, review.version, review.kind, &kind) {
            document
                .paths
                .insert(format!("/{place}/{}", review.plural), json!({"post": operation("post", &kind, &name)}));
        }
    }
    document.resolve();
    (!document.paths.is_empty()).then(|| {
        json!({
            "openapi": "3.0.0", "info": {"title": "mesh", "version": VERSION},
            "paths": document.paths, "components": {"schemas": document.schemas},
        })
    })
}

struct Document {
    paths: Map<String, Value>,
    schemas: Map<String, Value>,
    /// Types that a schema names and that are not written yet.
    wanted: BTreeSet<&'static str>,
}

impl Document {
    fn kind(&mut self, server: &Inner, resource: &Resource, version: &str, place: &str) {
        let kind = json!({"group": resource.group, "version": version, "kind": resource.kind});
        let name = match self.built_in(&resource.group, version, &resource.kind, &kind) {
            Some(name) if resource.builtin.is_some() => name,
            _ => {
                let name = format!("{}.{version}.{}", reversed(&resource.group), resource.kind);
                let schema = self.custom(server, resource, version, &kind);
                self.schemas.insert(name.clone(), schema);
                name
            }
        };
        let scope = if resource.namespaced { "namespaces/{namespace}/" } else { "" };
        let collection = format!("/{place}/{scope}{}", resource.plural);
        let verb = |action: &str| operation(action, &kind, &name);
        self.paths.insert(
            format!("{collection}/{{name}}"),
            json!({"get": verb("get"), "put": verb("put"), "patch": verb("patch"), "delete": verb("delete")}),
        );
        self.paths.insert(collection, json!({"get": verb("list"), "post": verb("post")}));
    }

    /// Writes the schema of a built-in kind; its name.
    fn built_in(&mut self, group: &str, version: &str, kind: &str, identity: &Value) -> Option<String> {
        let found = types::of_kind(group, version, kind)?;
        let mut schema = self.object(found);
        schema["x-kubernetes-group-version-kind"] = json!([identity]);
        let name = full_name(found.name);
        self.schemas.insert(name.clone(), schema);
        Some(name)
    }

    /// The schema of a custom kind, with what every object has.
    fn custom(&mut self, server: &Inner, resource: &Resource, version: &str, kind: &Value) -> Value {
        let mut schema = definition(server, resource, version)
            .unwrap_or_else(|| json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}));
        schema["x-kubernetes-group-version-kind"] = json!([kind]);
        if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            for name in ["apiVersion", "kind"] {
                properties
                    .insert(name.to_owned(), json!({"type": "string", "description": types::text("", Some(name))}));
            }
            let mut metadata = self.one(Form::Named(types::METADATA));
            metadata["description"] = types::text("", Some("metadata")).into();
            properties.insert("metadata".to_owned(), metadata);
        }
        schema
    }

    /// Writes the types that the schemas name, and those that these name.
    fn resolve(&mut self) {
        while let Some(name) = self.wanted.pop_first() {
            let full = full_name(name);
            if !self.schemas.contains_key(&full)
                && let Some(found) = types::get(name)
            {
                let schema = self.object(found);
                self.schemas.insert(full, schema);
            }
        }
    }

    fn object(&mut self, found: &Type) -> Value {
        let mut schema = match found.alias {
            Some(form) => self.one(form),
            None => {
                let properties: Map<String, Value> =
                    found.fields.iter().map(|field| (field.name.to_owned(), self.field(found, field))).collect();
                let required: Vec<&str> =
                    found.fields.iter().filter(|field| field.required).map(|field| field.name).collect();
                let mut schema = json!({"type": "object", "properties": properties});
                if !required.is_empty() {
                    schema["required"] = required.into();
                }
                schema
            }
        };
        describe(&mut schema, types::text(found.name, None));
        if found.atomic {
            schema["x-kubernetes-map-type"] = "atomic".into();
        }
        schema
    }

    fn field(&mut self, owner: &Type, field: &Field) -> Value {
        let mut schema = self.shape(field.shape);
        if let (Some(reference), true) = (schema.get("$ref").cloned(), field.always_there) {
            schema = json!({"allOf": [{"$ref": reference}], "default": {}});
        }
        let text = types::text(owner.name, Some(field.name));
        if !text.is_empty() && schema.get("$ref").is_some() {
            // What stands beside a `$ref` is not read.
            schema = json!({"allOf": [schema]});
        }
        describe(&mut schema, text);
        if let Some(choices) = field.choices {
            let choices: Vec<&str> = choices.split('|').collect();
            match schema.get_mut("items") {
                Some(items) => items["enum"] = choices.into(),
                None => schema["enum"] = choices.into(),
            }
        }
        if let Some(default) = field.default {
            schema["default"] = default.parse::<i64>().map_or_else(|_| default.into(), Value::from);
        }
        let is_list = matches!(field.shape.layer(), Layer::List(_));
        match field.merge {
            Merge::Usual => {}
            Merge::Atomic if is_list => schema["x-kubernetes-list-type"] = "atomic".into(),
            Merge::Atomic => schema["x-kubernetes-map-type"] = "atomic".into(),
            Merge::Granular => schema["x-kubernetes-map-type"] = "granular".into(),
            Merge::Set => schema["x-kubernetes-list-type"] = "set".into(),
            Merge::Map(keys) => {
                schema["x-kubernetes-list-type"] = "map".into();
                schema["x-kubernetes-list-map-keys"] = keys.split(',').collect::<Vec<_>>().into();
            }
        }
        if let Some((strategy, key)) = field.patch {
            schema["x-kubernetes-patch-strategy"] = strategy.into();
            if let Some(key) = key {
                schema["x-kubernetes-patch-merge-key"] = key.into();
            }
        }
        schema
    }

    fn shape(&mut self, shape: Shape) -> Value {
        match shape.layer() {
            Layer::List(items) => json!({"type": "array", "items": self.shape(items)}),
            Layer::Map(values) => json!({"type": "object", "additionalProperties": self.shape(values)}),
            Layer::One(form) => self.one(form),
        }
    }

    fn one(&mut self, form: Form) -> Value {
        match form {
            Form::Text => json!({"type": "string"}),
            Form::Int32 => json!({"type": "integer", "format": "int32"}),
            Form::Int64 => json!({"type": "integer", "format": "int64"}),
            Form::Number => json!({"type": "number", "format": "double"}),
            Form::Boolean => json!({"type": "boolean"}),
            Form::Bytes => json!({"type": "string", "format": "byte"}),
            Form::Time => json!({"type": "string", "format": "date-time"}),
            Form::IntOrText => json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]}),
            Form::Quantity => json!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
            Form::Object => json!({"type": "object"}),
            Form::Any => json!({}),
            Form::Named(name) => {
                self.wanted.insert(name);
                json!({"$ref": format!("#/components/schemas/{}", full_name(name))})
            }
        }
    }
}

fn describe(schema: &mut Value, text: &str) {
    if !text.is_empty() {
        schema["description"] = text.into();
    }
}

/// Where Kubernetes' sources keep a type: clients show the last part, and some know whole names.
fn full_name(name: &str) -> String {
    let package = match name.split('.').next().unwrap_or_default() {
        "meta" => "io.k8s.apimachinery.pkg.apis",
        "resource" => "io.k8s.apimachinery.pkg.api",
        "intstr" => "io.k8s.apimachinery.pkg.util",
        "runtime" => "io.k8s.apimachinery.pkg",
        "apiextensions" => "io.k8s.apiextensions-apiserver.pkg.apis",
        _ => "io.k8s.api",
    };
    format!("{package}.{name}")
}

fn reversed(group: &str) -> String {
    let mut parts: Vec<&str> = group.split('.').collect();
    parts.reverse();
    parts.join(".")
}

fn operation(action: &str, kind: &Value, schema: &str) -> Value {
    let parameter =
        |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}});
    let mut value = json!({
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": kind,
        "responses": {"200": {"description": "OK", "content": {"application/json": {
            "schema": {"$ref": format!("#/components/schemas/{schema}")}}}}},
    });
    if matches!(action, "post" | "put" | "patch") {
        value["parameters"] = json!([parameter("dryRun"), parameter("fieldManager"), parameter("fieldValidation")]);
    }
    value
}

fn definition(server: &Inner, resource: &Resource, version: &str) -> Option<Value> {
    let key = Key::new(&std::sync::Arc::from("customresourcedefinitions.apiextensions.k8s.io"), "", &resource.key);
    let definition = server.store.get(&key)?.value();
    list(&definition, "/spec/versions")
        .iter()
        .find(|found| string(found, "/name") == version)
        .and_then(|found| found.pointer("/schema/openAPIV3Schema"))
        .cloned()
}
