//! Server-side apply and managed fields.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::{object, start, status};

fn config(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data})
}

#[tokio::test]
async fn creates_merges_shares_prunes_and_changes_nothing_twice() {
    let (server, _dir) = start();
    let api: Api<ConfigMap> = Api::namespaced(server.client("test"), "default");
    let (one, two) = (PatchParams::apply("one"), PatchParams::apply("two"));
    let made = api.patch("c", &one, &Patch::Apply(config(json!({"a": "1", "b": "1"})))).await.unwrap();
    let again = api.patch("c", &one, &Patch::Apply(config(json!({"a": "1", "b": "1"})))).await.unwrap();
    assert_eq!(made, again, "the same configuration is no write");
    api.patch("c", &two, &Patch::Apply(config(json!({"b": "1", "x": "2"})))).await.unwrap();
    // The first one lets go of both: what the second has too stays.
    let left = api.patch("c", &one, &Patch::Apply(config(json!({"z": "3"})))).await.unwrap();
    let data = serde_json::to_value(left.data).unwrap();
    assert_eq!(data, json!({"b": "1", "x": "2", "z": "3"}));
    let managers: Vec<_> = left.metadata.managed_fields.unwrap().into_iter().map(|e| e.manager.unwrap()).collect();
    assert_eq!(managers.len(), 2, "{managers:?}");
}

#[tokio::test]
async fn conflicts_name_the_manager_and_the_field_unless_forced() {
    let (server, _dir) = start();
    let api: Api<Deployment> = Api::namespaced(server.client("test"), "default");
    let spec = |image: &str| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {
            "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}},
            "spec": {"containers": [{"name": "x", "image": image}]}}}})
    };
    api.patch("d", &PatchParams::apply("one"), &Patch::Apply(spec("i:1"))).await.unwrap();
    let refused = api.patch("d", &PatchParams::apply("two"), &Patch::Apply(spec("i:2"))).await.unwrap_err();
    let refused = status(refused);
    assert_eq!(refused.code, 409);
    assert_eq!(
        refused.message,
        "Apply failed with 1 conflict: conflict with \"one\": .spec.template.spec.containers[name=\"x\"].image"
    );
    let cause = &refused.details.unwrap().causes[0];
    assert_eq!((cause.reason.as_str(), cause.message.as_str()), ("FieldManagerConflict", "conflict with \"one\""));
    let forced = api.patch("d", &PatchParams::apply("two").force(), &Patch::Apply(spec("i:2"))).await.unwrap();
    assert_eq!(forced.spec.unwrap().template.spec.unwrap().containers[0].image.as_deref(), Some("i:2"));
    // The image is the second one's now: the first gets the conflict.
    let back = api.patch("d", &PatchParams::apply("one"), &Patch::Apply(spec("i:1"))).await.unwrap_err();
    assert!(status(back).message.contains("conflict with \"two\""));
    // A plain write takes what it changes.
    let scale = Patch::Merge(json!({"spec": {"replicas": 5}}));
    let by_hand = PatchParams { field_manager: Some("hand".to_owned()), ..PatchParams::default() };
    api.patch("d", &by_hand, &scale).await.unwrap();
    let mut wants = spec("i:2");
    wants["spec"]["replicas"] = 2.into();
    let refused = api.patch("d", &PatchParams::apply("two"), &Patch::Apply(wants)).await.unwrap_err();
    let message = status(refused).message;
    assert_eq!(message, "Apply failed with 1 conflict: conflict with \"hand\" using apps/v1: .spec.replicas");
}

#[tokio::test]
async fn status_is_applied_by_its_subresource_alone() {
    let (server, _dir) = start();
    let api: Api<Deployment> = Api::namespaced(server.client("test"), "default");
    let exported = |replicas: i32| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "labels": {"by": replicas.to_string()}},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"a": "b"}},
                "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "x", "image": "i"}]}}},
            "status": {"replicas": replicas}})
    };
    api.patch("d", &PatchParams::apply("one"), &Patch::Apply(exported(1))).await.unwrap();
    let shown = api.patch_status("d", &PatchParams::apply("two"), &Patch::Apply(exported(2))).await.unwrap();
    assert_eq!(shown.spec.unwrap().replicas, Some(1));
    assert_eq!(shown.status.unwrap().replicas, Some(2));
    let shown = api.patch("d", &PatchParams::apply("one"), &Patch::Apply(exported(1))).await.unwrap();
    assert_eq!(shown.status.unwrap().replicas, Some(2));
    let owned: Vec<Vec<String>> = shown
        .metadata
        .managed_fields
        .unwrap()
        .into_iter()
        .map(|entry| entry.fields_v1.unwrap().0.as_object().unwrap().keys().cloned().collect())
        .collect();
    assert_eq!(owned, [vec!["f:metadata", "f:spec"], vec!["f:status"]]);
}

#[tokio::test]
async fn lists_merge_by_key_and_a_dropped_item_goes() {
    let (server, _dir) = start();
    let api: Api<Deployment> = Api::namespaced(server.client("test"), "default");
    let spec = |containers: Value| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {
            "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}},
            "spec": {"containers": containers}}}})
    };
    let apply = PatchParams::apply("one");
    let two = json!([{"name": "x", "image": "x:1"}, {"name": "y", "image": "y:1"}]);
    api.patch("d", &apply, &Patch::Apply(spec(two))).await.unwrap();
    let left = api.patch("d", &apply, &Patch::Apply(spec(json!([{"name": "y", "image": "y:2"}])))).await.unwrap();
    let containers = left.spec.unwrap().template.spec.unwrap().containers;
    assert_eq!(containers.len(), 1);
    assert_eq!(containers[0].image.as_deref(), Some("y:2"));
}

#[tokio::test]
async fn what_was_created_otherwise_can_be_applied_to() {
    let (server, _dir) = start();
    let api: Api<ConfigMap> = Api::namespaced(server.client("test"), "default");
    api.create(&PostParams::default(), &object(config(json!({"a": "1"})))).await.unwrap();
    let apply = PatchParams::apply("one");
    api.patch("c", &apply, &Patch::Apply(config(json!({"a": "1", "b": "2"})))).await.unwrap();
    let refused = api.patch("c", &apply, &Patch::Apply(config(json!({"a": "9"})))).await.unwrap_err();
    assert_eq!(status(refused).code, 409);
}
