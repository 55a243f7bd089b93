//! Sets of fields.

use serde_json::json;

use super::set::FieldSet;
use crate::runtime::apiserver::patch::Shape;
use crate::runtime::apiserver::types;

#[test]
fn lists_the_fields_of_an_object_by_key() {
    let object = json!({"spec": {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": {"spec": {"containers": [
        {"name": "a", "image": "x", "ports": [{"containerPort": 80}]}]}}}});
    let set = FieldSet::of(&object, &Shape::builtin(types::get("apps.v1.Deployment")));
    assert_eq!(
        set.to_json(),
        json!({"f:spec": {"f:replicas": {}, "f:selector": {}, "f:template": {"f:spec": {"f:containers": {
            "k:{\"name\":\"a\"}": {".": {}, "f:image": {}, "f:name": {}, "f:ports": {
                "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}}}}}}})
    );
    assert_eq!(FieldSet::from_json(&set.to_json()), set);
    assert!(set.paths().contains(&".spec.template.spec.containers[name=\"a\"].image".to_owned()));
}

#[test]
fn tells_changes_and_removals() {
    let shape = Shape::builtin(types::get("core.v1.ConfigMap"));
    let (changed, gone) =
        FieldSet::changes(&json!({"data": {"a": "1", "b": "1"}}), &json!({"data": {"a": "2", "c": "1"}}), &shape);
    assert_eq!(changed.paths(), [".data.a", ".data.c"]);
    assert_eq!(gone.paths(), [".data.b"]);
    let mut value = json!({"data": {"a": "1", "b": "1"}});
    gone.remove_from(&mut value, &shape);
    assert_eq!(value, json!({"data": {"a": "1"}}));
}
