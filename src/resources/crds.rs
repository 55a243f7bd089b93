//! CustomResourceDefinitions, generated from the kinds' declarations.
//!
//! What they are at present stands in `manifests/crds/`, for those who install them by other means; `cargo test --lib
//! resources::crds -- --ignored regenerate` writes the files, and a test sees that they are current.

use serde_json::{Value, json};

use super::gateway_api;
use super::kinds::{self, Kind, Scope};
use super::registry::{self, Entry, Family, REGISTRY};

/// The release of the Gateway API whose fields the definitions have, and where it was approved: the API server wants to know
/// for kinds of a group of Kubernetes' own.
const GATEWAY_API: [(&str, &str); 3] = [
    ("api-approved.kubernetes.io", "https://github.com/kubernetes-sigs/gateway-api/pull/4530"),
    ("gateway.networking.k8s.io/bundle-version", "v1.6.0"),
    ("gateway.networking.k8s.io/channel", "experimental"),
];

/// The definitions of Istio's kinds, as `apiextensions.k8s.io/v1` objects.
///
/// Each is made when it is asked for: all of them at once are several megabytes.
pub fn crds() -> impl Iterator<Item = Value> {
    REGISTRY.iter().filter(|entry| matches!(entry.family, Family::Istio)).filter_map(definition)
}

/// The definitions of the Gateway API's kinds. A cluster has its own, which are not the mesh's to replace.
pub fn gateway_api_crds() -> impl Iterator<Item = Value> {
    REGISTRY.iter().filter(|entry| matches!(entry.family, Family::GatewayApi(_))).filter_map(definition)
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
            let mut definition = json!({
                "name": column.name,
                "type": column.kind,
                "jsonPath": column.path,
                "description": column.description,
            });
            if column.priority > 0 {
                definition["priority"] = column.priority.into();
            }
            definition
        })
        .collect();
    let subresources = if matches!(entry.family, Family::GatewayApi(None)) { json!({}) } else { json!({"status": {}}) };
    let stored = entry.stored.or(kind.versions.first().copied());
    let versions: Vec<Value> = kind
        .versions
        .iter()
        .map(|version| {
            let mut definition = json!({
                "name": version,
                "served": true,
                "storage": stored == Some(version),
                "subresources": subresources,
                "schema": {"openAPIV3Schema": schema},
            });
            if !columns.is_empty() {
                definition["additionalPrinterColumns"] = Value::Array(columns.clone());
            }
            definition
        })
        .collect();
    let mut annotations = json!({});
    let categories = match entry.family {
        Family::GatewayApi(_) => {
            annotations = GATEWAY_API.into_iter().map(|(name, value)| (name, json!(value))).collect::<Value>();
            json!(["gateway-api"])
        }
        Family::Istio => {
            let category = kind.group.replace('.', "-");
            json!(["istio-io", format!("{}-io", category.strip_suffix("-io").unwrap_or(&category))])
        }
    };
    let mut names = json!({
        "kind": kind.kind,
        "listKind": format!("{}List", kind.kind),
        "plural": kind.plural,
        "singular": kind.singular,
        "categories": categories,
    });
    if !kind.short_names.is_empty() {
        names["shortNames"] = json!(kind.short_names);
    }
    let scope = match kind.scope {
        Scope::Namespaced => "Namespaced",
        Scope::Cluster => "Cluster",
    };
    let mut definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{}.{}", kind.plural, kind.group)},
        "spec": {"group": kind.group, "names": names, "scope": scope, "versions": versions},
    });
    if annotations != json!({}) {
        definition["metadata"]["annotations"] = annotations;
    }
    Some(definition)
}

fn object_schema(entry: &Entry) -> Value {
    let mut schema = json!({"type": "object", "properties": {"spec": (entry.spec_schema)()}});
    match &entry.family {
        Family::Istio => schema["properties"]["status"] = istio_status(),
        Family::GatewayApi(None) => {}
        Family::GatewayApi(Some(status)) => {
            let mut status = status();
            // An object has these conditions from the start.
            if let Some(conditions) = status.pointer("/properties/conditions/default") {
                status["default"] = json!({"conditions": conditions});
            }
            schema["properties"]["status"] = status;
        }
    }
    if entry.spec_required {
        schema["required"] = json!(["spec"]);
    }
    if matches!(entry.family, Family::GatewayApi(_))
        && let Some(kind) = kinds::find(entry.group, entry.kind)
    {
        gateway_api::cel::state(kind.plural, &mut schema);
    }
    schema
}

/// The status that Istio's kinds have.
fn istio_status() -> Value {
    let number_or_text =
        json!({"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": true});
    let text = json!({"type": "string"});
    let time = json!({"type": "string", "format": "date-time"});
    json!({
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
    })
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::yaml;

    fn files() -> [(PathBuf, String); 2] {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/crds");
        let text = |definitions: &[Value]| {
            format!("# Generated: see src/resources/crds.rs.\n{}", yaml::to_string_all(definitions))
        };
        [
            (directory.join("istio.yaml"), text(&crds().collect::<Vec<_>>())),
            (directory.join("gateway-api.yaml"), text(&gateway_api_crds().collect::<Vec<_>>())),
        ]
    }

    #[test]
    fn the_files_are_current() {
        for (path, text) in files() {
            let written = std::fs::read_to_string(&path).unwrap_or_default();
            let command = "cargo test --lib resources::crds -- --ignored regenerate";
            assert!(written == text, "{} is out of date: run `{command}`", path.display());
        }
    }

    #[test]
    #[ignore = "writes into the source tree"]
    fn regenerate() {
        for (path, text) in files() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
    }
}
