use serde_json::{Value, json};

use super::{Layer, Shape, Type, check, get, of_kind, parse_field, text};
use crate::runtime::apiserver::kinds::{BUILTINS, REVIEWS};

fn checked(kind: &str, object: Value) -> Result<(Value, Vec<String>), String> {
    let kind = get(kind).unwrap();
    let mut object = object;
    let unknown = check(&mut object, kind, 16).map_err(|error| error.to_string())?;
    Ok((object, unknown))
}

fn refused(kind: &str, object: Value) -> String {
    checked(kind, object).unwrap_err()
}

#[test]
fn every_built_in_kind_has_a_type_and_a_text() {
    let kinds = BUILTINS.iter().map(|kind| (kind.group, kind.version, kind.kind));
    for (group, version, kind) in kinds.chain(REVIEWS.iter().map(|kind| (kind.group, kind.version, kind.kind))) {
        let found = of_kind(group, version, kind).unwrap_or_else(|| panic!("{kind} is not in fields.txt"));
        assert_eq!(found.short_name(), kind);
        assert!(!text(found.name, None).is_empty(), "{} is not in texts.txt", found.name);
    }
}

#[test]
fn every_line_of_the_table_is_read_and_every_name_in_it_known() {
    let mut owner = "";
    for line in include_str!("fields.txt").lines() {
        let Some(line) = line.strip_prefix(' ') else {
            owner = line.split(' ').next().unwrap();
            continue;
        };
        if line.starts_with("= ") {
            assert!(get(owner).unwrap().alias.is_some(), "{owner}: {line}");
            continue;
        }
        let field = parse_field(line).unwrap_or_else(|| panic!("{owner}: {line}"));
        let mut shape: Shape = field.shape;
        loop {
            match shape.layer() {
                Layer::List(inner) | Layer::Map(inner) => shape = inner,
                Layer::One(super::Form::Named(name)) => break assert!(get(name).is_some(), "{owner}: {line}"),
                Layer::One(super::Form::Any) => break assert!(line.contains(" any"), "{owner}: {line}"),
                Layer::One(_) => break,
            }
        }
    }
}

#[test]
fn every_text_is_about_something() {
    let is_field = |owner: &Type, name: &str| owner.field(name).is_some();
    for line in include_str!("texts.txt").lines() {
        let (name, text) = line.split_once(": ").unwrap_or_else(|| panic!("no text: {line}"));
        assert!(text.ends_with('.') && !text.contains("  "), "{line}");
        if name.starts_with("*.") || get(name).is_some() {
            continue;
        }
        let (owner, field) = name.rsplit_once('.').unwrap();
        assert!(get(owner).is_some_and(|owner| is_field(owner, field)), "{name} is neither a type nor a field");
    }
}

#[test]
fn what_no_type_has_is_dropped_and_named() {
    let pod = json!({"metadata": {"name": "a", "colour": "red"}, "spec": {"containers": [
        {"name": "a", "imagee": "x", "resources": {"limits": {"cpu": 1}}, "command": null}]}});
    let (kept, unknown) = checked("core.v1.Pod", pod).unwrap();
    assert_eq!(unknown, ["metadata.colour", "spec.containers[0].imagee"]);
    assert_eq!(
        kept,
        json!({"metadata": {"name": "a"}, "spec": {"containers": [{"name": "a", "resources": {"limits": {"cpu": "1"}}}]}})
    );
}

#[test]
fn a_wrong_type_is_refused_in_kubernetes_words() {
    let container = |field: &str, value: Value| {
        let mut container = json!({"name": "a", "image": "b"});
        container[field] = value;
        refused("core.v1.Pod", json!({"spec": {"containers": [container]}}))
    };
    let go = |rest: &str| format!("json: cannot unmarshal {rest}");
    assert_eq!(
        refused("core.v1.ConfigMap", json!({"data": {"a": 1}})),
        go("number into Go struct field ConfigMap.data of type string")
    );
    assert_eq!(
        refused("core.v1.ConfigMap", json!({"data": []})),
        go("array into Go struct field ConfigMap.data of type map[string]string")
    );
    assert_eq!(
        refused("core.v1.Pod", json!({"spec": []})),
        go("array into Go struct field Pod.spec of type v1.PodSpec")
    );
    assert_eq!(
        container("env", json!([{"name": "x", "value": 1}])),
        go("number into Go struct field EnvVar.spec.containers.env.value of type string")
    );
    assert_eq!(
        container("ports", json!([{"containerPort": "80"}])),
        go("string into Go struct field ContainerPort.spec.containers.ports.containerPort of type int32")
    );
    assert_eq!(
        container("args", json!("x")),
        go("string into Go struct field Container.spec.containers.args of type []string")
    );
    assert_eq!(
        refused("apps.v1.Deployment", json!({"spec": {"replicas": 1.5}})),
        go("number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32")
    );
    assert_eq!(
        refused("core.v1.Service", json!({"spec": {"ports": [{"port": 80, "targetPort": true}]}})),
        go("bool into Go struct field ServicePort.spec.ports.targetPort of type int32")
    );
    assert_eq!(refused("core.v1.Secret", json!({"data": {"a": "$$"}})), "illegal base64 data at input byte 0");
    let quantity = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
    assert_eq!(container("resources", json!({"limits": {"cpu": "xyz"}})), quantity);
    assert_eq!(container("resources", json!({"limits": {"cpu": true}})), quantity);
}
