//! CustomResourceDefinitions, generated from the kinds' declarations.

use serde_json::{Value, json};

use super::kinds::{self, Kind};
use super::registry::{self, Entry, REGISTRY};

/// The definitions of every configuration kind, as `apiextensions.k8s.io/v1` objects.
///
/// Each is made when it is asked for: all of them at once are several megabytes.
pub fn crds() -> impl Iterator<Item = Value> {
    REGISTRY.iter().filter_map(definition)
}

/// The structural OpenAPI v3 schema of a kind's objects; `None` for kinds that are no configuration.
pub fn schema(kind: &Kind) -> Option<Value> {
    registry::of(kind).map(object_schema)
}

fn definition(entry: &Entry) -> Option<Value> {
    let kind = kinds::find(entry.group, entry.kind)?;
    let schema = object_schema(entry);
    let columns: Vec<Value> = entry
        .columns
        .iter()
        .map(|column| {
            json!({
                "name": column.name,
                "type": column.kind,
                "jsonPath": column.path,
                "description": column.description,
            })
        })
        .collect();
    let stored = entry.stored.or(kind.versions.first().copied());
    let versions: Vec<Value> = kind
        .versions
        .iter()
        .map(|version| {
            let mut definition = json!({
                "name": version,
                "served": true,
                "storage": stored == Some(version),
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": schema},
            });
            if !columns.is_empty() {
                definition["additionalPrinterColumns"] = Value::Array(columns.clone());
            }
            definition
        })
        .collect();
    let category = kind.group.replace('.', "-");
    let category = category.strip_suffix("-io").unwrap_or(&category);
    let mut names = json!({
        "kind": kind.kind,
        "listKind": format!("{}List", kind.kind),
        "plural": kind.plural,
        "singular": kind.singular,
        "categories": ["istio-io", format!("{category}-io")],
    });
    if !kind.short_names.is_empty() {
        names["shortNames"] = json!(kind.short_names);
    }
    Some(json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{}.{}", kind.plural, kind.group)},
        "spec": {"group": kind.group, "names": names, "scope": "Namespaced", "versions": versions},
    }))
}

fn object_schema(entry: &Entry) -> Value {
    let number_or_text =
        json!({"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": true});
    let text = json!({"type": "string"});
    let time = json!({"type": "string", "format": "date-time"});
    let mut schema = json!({
        "type": "object",
        "properties": {
            "spec": (entry.spec_schema)(),
            "status": {
                "type": "object",
                "x-kubernetes-preserve-unknown-fields": true,
                "properties": {
                    "conditions": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {
                                "type": text,
                                "status": text,
                                "reason": text,
                                "message": text,
                                "lastProbeTime": time,
                                "lastTransitionTime": time,
                                "observedGeneration": number_or_text,
                            },
                        },
                    },
                    "observedGeneration": number_or_text,
                    "validationMessages": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {
                                "documentationUrl": text,
                                "level": {"type": "string", "enum": ["UNKNOWN", "ERROR", "WARNING", "INFO"]},
                                "type": {"type": "object", "properties": {"code": text, "name": text}},
                            },
                        },
                    },
                },
            },
        },
    });
    if entry.spec_required {
        schema["required"] = json!(["spec"]);
    }
    schema
}
