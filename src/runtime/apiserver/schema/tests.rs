//! What a definition's schema does to an object.

use serde_json::{Value, json};

use super::Schema;

fn schema() -> Schema {
    let value = json!({"type": "object", "properties": {"spec": {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "minLength": 1, "pattern": "^[a-z]+$"},
        "port": {"x-kubernetes-int-or-string": true},
        "mode": {"type": "string", "enum": ["A", "B"], "default": "A"},
        "weight": {"type": "integer", "format": "int32", "minimum": 0, "maximum": 100},
        "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "items": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
            "items": {"type": "object", "properties": {"k": {"type": "string"}}}},
    }}}});
    Schema::parse(&value, "schema").unwrap()
}

fn messages(spec: Value) -> Vec<String> {
    let found = schema().validate(&json!({"spec": spec}));
    found.iter().map(|c| format!("{}: {}", c.field, c.message)).collect()
}

#[test]
fn says_what_is_wrong_as_kubernetes_does() {
    let none: [&str; 0] = [];
    assert_eq!(messages(json!({"name": "a", "port": "http", "labels": {"x": "y"}})), none);
    for (spec, message) in [
        (json!({}), "spec.name: Required value"),
        (
            json!({"name": 1}),
            "spec.name: Invalid value: \"integer\": spec.name in body must be of type string: \"integer\"",
        ),
        (json!({"name": "A"}), "spec.name: Invalid value: \"A\": spec.name in body should match '^[a-z]+$'"),
        (json!({"name": "a", "mode": "C"}), "spec.mode: Unsupported value: \"C\": supported values: \"A\", \"B\""),
        (
            json!({"name": "a", "weight": 101}),
            "spec.weight: Invalid value: 101: spec.weight in body should be less than or equal to 100",
        ),
        (
            json!({"name": "a", "port": true}),
            "spec.port: Invalid value: \"boolean\": spec.port in body must be of type integer,string: \"boolean\"",
        ),
        (
            json!({"name": "a", "labels": {"x": 1}}),
            "spec.labels.x: Invalid value: \"integer\": spec.labels.x in body must be of type string: \"integer\"",
        ),
        (json!({"name": "a", "items": [{"k": "1"}, {"k": "1"}]}), "spec.items[1]: Duplicate value: {\"k\":\"1\"}"),
    ] {
        assert_eq!(messages(spec), [message]);
    }
}

#[test]
fn prunes_what_it_does_not_know_and_sets_defaults() {
    let mut object = json!({
        "apiVersion": "a/v1", "kind": "K", "metadata": {"name": "x"},
        "spec": {"name": "a", "extra": 1, "any": {"kept": 1}, "items": [{"k": "1", "z": 2}]},
        "top": true,
    });
    let schema = schema();
    assert_eq!(schema.prune(&mut object, 10), ["top", "spec.extra", "spec.items[0].z"]);
    schema.set_defaults(&mut object);
    assert_eq!(object["spec"], json!({"name": "a", "any": {"kept": 1}, "items": [{"k": "1"}], "mode": "A"}));
    assert_eq!(object["metadata"]["name"], "x");
}

#[test]
fn refuses_what_no_structural_schema_has() {
    let wrong = Schema::parse(&json!({"properties": {"a": {"$ref": "#/x"}, "b": {"type": "text"}}}), "s");
    assert_eq!(wrong.unwrap_err().len(), 2);
}
