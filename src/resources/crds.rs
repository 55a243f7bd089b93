//! CustomResourceDefinitions, generated from the kinds' declarations.

use serde_json::{Value, json};

use super::field::Field;
use super::kinds::{self, Kind};
use super::object::Resource;
use super::{DestinationRule, Gateway, PeerAuthentication, VirtualService};

/// What `kubectl get` shows of a kind beside name and age: name, JSON path, description.
type Columns = &'static [(&'static str, &'static str, &'static str)];

/// The definitions of every configuration kind, as `apiextensions.k8s.io/v1` objects.
pub fn crds() -> Vec<Value> {
    [
        definition::<VirtualService>(&[
            ("Gateways", ".spec.gateways", "The Gateways and sidecars that apply the rules"),
            ("Hosts", ".spec.hosts", "The hosts that clients address"),
        ]),
        definition::<DestinationRule>(&[("Host", ".spec.host", "The service's host")]),
        definition::<Gateway>(&[]),
        definition::<PeerAuthentication>(&[("Mode", ".spec.mtls.mode", "What the workloads take")]),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The structural OpenAPI v3 schema of a kind's objects; `None` for kinds that are no configuration.
pub fn schema(kind: &Kind) -> Option<Value> {
    let spec = match kind.kind {
        VirtualService::KIND => VirtualService::schema(),
        DestinationRule::KIND => DestinationRule::schema(),
        Gateway::KIND => Gateway::schema(),
        PeerAuthentication::KIND => PeerAuthentication::schema(),
        _ => return None,
    };
    Some(object_schema(&spec))
}

fn definition<T: Resource>(columns: Columns) -> Option<Value> {
    let kind = kinds::find(T::GROUP, T::KIND)?;
    let schema = object_schema(&T::schema());
    let mut printed: Vec<Value> = columns
        .iter()
        .map(|(name, path, description)| {
            json!({"name": name, "type": "string", "jsonPath": path, "description": description})
        })
        .collect();
    if !printed.is_empty() {
        printed.push(json!({
            "name": "Age",
            "type": "date",
            "jsonPath": ".metadata.creationTimestamp",
            "description": "When the object was created",
        }));
    }
    let versions: Vec<Value> = kind
        .versions
        .iter()
        .enumerate()
        .map(|(index, version)| {
            let mut version = json!({
                "name": version,
                "served": true,
                "storage": index == 0,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": schema},
            });
            if !printed.is_empty() {
                version["additionalPrinterColumns"] = Value::Array(printed.clone());
            }
            version
        })
        .collect();
    let category = kind.group.replace('.', "-");
    let category = category.strip_suffix("-io").unwrap_or(&category);
    Some(json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{}.{}", kind.plural, kind.group)},
        "spec": {
            "group": kind.group,
            "names": {
                "kind": kind.kind,
                "listKind": format!("{}List", kind.kind),
                "plural": kind.plural,
                "singular": kind.singular,
                "shortNames": kind.short_names,
                "categories": ["istio-io", format!("{category}-io")],
            },
            "scope": "Namespaced",
            "versions": versions,
        },
    }))
}

fn object_schema(spec: &Value) -> Value {
    let number_or_text =
        json!({"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": true});
    let text = json!({"type": "string"});
    let time = json!({"type": "string", "format": "date-time"});
    json!({
        "type": "object",
        "properties": {
            "spec": spec,
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
    })
}
