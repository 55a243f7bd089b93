//! Strategic merge, as kubectl uses it.

use serde_json::{Value, json};

use super::{Shape, strategic};
use crate::runtime::apiserver::kinds::{BUILTINS, Builtin};
use crate::runtime::apiserver::types::Type;

fn of(kind: &str) -> Option<&'static Type> {
    BUILTINS.iter().find(|builtin| builtin.kind == kind).and_then(Builtin::fields)
}

fn merged(kind: &str, mut live: Value, patch: Value) -> Value {
    strategic::merge(&mut live, &patch, &Shape::builtin(of(kind))).unwrap();
    live
}

#[test]
fn merges_containers_by_name_also_in_templates() {
    let live = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "a", "image": "x:1", "env": [{"name": "E", "value": "1"}]}, {"name": "b", "image": "y:1"}]}}}});
    let patch = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "b", "image": "y:2"}, {"name": "a", "env": [{"name": "F", "value": "2"}]}]}}}});
    let next = merged("Deployment", live, patch);
    assert_eq!(
        next["spec"]["template"]["spec"]["containers"],
        json!([
            {"name": "a", "image": "x:1", "env": [{"name": "E", "value": "1"}, {"name": "F", "value": "2"}]},
            {"name": "b", "image": "y:2"},
        ])
    );
}

#[test]
fn deletes_replaces_and_orders() {
    let live = || json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}], "nodeSelector": {"x": "y"}}});
    let next = merged("Pod", live(), json!({"spec": {"containers": [{"name": "a", "$patch": "delete"}]}}));
    assert_eq!(next["spec"]["containers"], json!([{"name": "b"}]));
    let next = merged("Pod", live(), json!({"spec": {"nodeSelector": {"$patch": "replace", "z": "1"}}}));
    assert_eq!(next["spec"]["nodeSelector"], json!({"z": "1"}));
    let order = json!({"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}});
    assert_eq!(merged("Pod", live(), order)["spec"]["containers"], json!([{"name": "b"}, {"name": "a"}]));
    let next = merged(
        "Pod",
        json!({"metadata": {"finalizers": ["a", "b"]}}),
        json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"]}}),
    );
    assert_eq!(next["metadata"]["finalizers"], json!(["b", "c"]));
    let mut pod = live();
    let keyless = json!({"spec": {"containers": [{"image": "x"}]}});
    assert!(strategic::merge(&mut pod, &keyless, &Shape::builtin(of("Pod"))).is_err());
}

#[test]
fn replaces_lists_without_a_key() {
    let live = json!({"spec": {"tolerations": [{"key": "a"}]}});
    let next = merged("Pod", live, json!({"spec": {"tolerations": [{"key": "b"}]}}));
    assert_eq!(next["spec"]["tolerations"], json!([{"key": "b"}]));
}
