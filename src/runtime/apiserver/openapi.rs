//! OpenAPI v3 documents: as much as kubectl needs to know that the server validates fields itself, and to explain custom kinds.
//!
//! The built-in kinds are there with their names only; no field list of theirs is published. There is no OpenAPI v2.

use std::sync::Arc;

use http::{Response, StatusCode};
use serde_json::{Map, Value, json};

use super::columns::{list, string};
use super::registry::{Registry, Resource};
use super::response;
use super::server::{Inner, VERSION};
use super::store::Key;
use crate::serve::Body;

/// Answers a path below `/openapi/v3`.
pub(super) fn answer(server: &Inner, kinds: &Registry, path: &str) -> Option<Response<Body>> {
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
    for resource in kinds.iter() {
        for version in resource.versions.iter().filter(|version| version.served) {
            let place = prefix(&resource.group, &version.name);
            let url = format!("/openapi/v3/{place}");
            paths.insert(place, json!({"serverRelativeURL": url}));
        }
    }
    json!({"paths": paths})
}

fn document(server: &Inner, kinds: &Registry, place: &str) -> Option<Value> {
    let (mut paths, mut schemas) = (Map::new(), Map::new());
    for resource in kinds.iter() {
        for version in resource.versions.iter().filter(|version| version.served) {
            if prefix(&resource.group, &version.name) != place {
                continue;
            }
            let kind = json!({"group": resource.group, "version": version.name, "kind": resource.kind});
            let name = format!("{}.{}.{}", reversed(&resource.group), version.name, resource.kind);
            schemas.insert(name.clone(), schema(server, resource, &version.name, &kind));
            let scope = if resource.namespaced { "namespaces/{namespace}/" } else { "" };
            let collection = format!("/{place}/{scope}{}", resource.plural);
            let verb = |action: &str| operation(action, &kind, &name);
            paths.insert(
                format!("{collection}/{{name}}"),
                json!({
                    "get": verb("get"), "put": verb("put"), "patch": verb("patch"), "delete": verb("delete"),
                }),
            );
            paths.insert(collection, json!({"get": verb("list"), "post": verb("post")}));
        }
    }
    (!paths.is_empty()).then(|| {
        json!({
            "openapi": "3.0.0", "info": {"title": "mesh", "version": VERSION},
            "paths": paths, "components": {"schemas": schemas},
        })
    })
}

fn reversed(group: &str) -> String {
    if group.is_empty() {
        return "core".to_owned();
    }
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

fn schema(server: &Inner, resource: &Arc<Resource>, version: &str, kind: &Value) -> Value {
    let mut schema = custom_schema(server, resource, version)
        .unwrap_or_else(|| json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}));
    schema["x-kubernetes-group-version-kind"] = json!([kind]);
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        let text = json!({"type": "string"});
        properties.insert("apiVersion".to_owned(), text.clone());
        properties.insert("kind".to_owned(), text);
        properties.entry("metadata".to_owned()).or_insert_with(|| json!({"type": "object"}));
    }
    schema
}

fn custom_schema(server: &Inner, resource: &Resource, version: &str) -> Option<Value> {
    if resource.builtin.is_some() {
        return None;
    }
    let key = Key::new(&Arc::from("customresourcedefinitions.apiextensions.k8s.io"), "", &resource.key);
    let definition = server.store.get(&key)?.value();
    list(&definition, "/spec/versions")
        .iter()
        .find(|found| string(found, "/name") == version)
        .and_then(|found| found.pointer("/schema/openAPIV3Schema"))
        .cloned()
}
