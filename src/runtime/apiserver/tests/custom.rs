//! CustomResourceDefinitions.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use super::{object, options, start, status};
use crate::runtime::apiserver::ApiServer;

fn definition() -> CustomResourceDefinition {
    let spec = json!({"type": "object", "required": ["n"], "properties": {
        "n": {"type": "integer", "minimum": 1}, "mode": {"type": "string", "default": "A", "enum": ["A", "B"]}}});
    let schema = json!({"openAPIV3Schema": {"type": "object", "properties": {
        "spec": spec, "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}});
    let version = |name: &str, storage: bool| {
        json!({"name": name, "served": true, "storage": storage, "schema": schema, "subresources": {"status": {}},
            "additionalPrinterColumns": [{"name": "N", "type": "integer", "jsonPath": ".spec.n"}]})
    };
    object(json!({"metadata": {"name": "things.x.io"}, "spec": {
        "group": "x.io", "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing", "shortNames": ["th"]},
        "versions": [version("v1beta1", false), version("v1", true)]}}))
}

fn things(server: &ApiServer, version: &str) -> Api<DynamicObject> {
    let kind = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("x.io", version, "Thing"), "things");
    Api::namespaced_with(server.client("test"), "default", &kind)
}

fn thing(name: &str, spec: Value) -> DynamicObject {
    object(json!({"apiVersion": "x.io/v1", "kind": "Thing", "metadata": {"name": name}, "spec": spec}))
}

#[tokio::test]
async fn are_served_at_once_in_all_versions_and_after_a_restart() {
    let (server, dir) = start();
    let post = PostParams::default();
    assert_eq!(status(things(&server, "v1").list(&ListParams::default()).await.unwrap_err()).code, 404);
    let definitions: Api<CustomResourceDefinition> = Api::all(server.client("test"));
    let made = definitions.create(&post, &definition()).await.unwrap();
    let conditions = made.status.unwrap().conditions.unwrap();
    assert!(conditions.iter().any(|c| c.type_ == "Established" && c.status == "True"));
    let (client, kind) = (server.client("test"), GroupVersionKind::gvk("x.io", "v1", "Thing"));
    assert_eq!(kube::discovery::pinned_kind(&client, &kind).await.unwrap().0.plural, "things");
    drop(client);
    things(&server, "v1").create(&post, &thing("a", json!({"n": 1}))).await.unwrap();
    let beta = things(&server, "v1beta1").get("a").await.unwrap();
    assert_eq!(beta.types.unwrap().api_version, "x.io/v1beta1");
    assert_eq!(beta.data["spec"], json!({"n": 1, "mode": "A"}));
    drop(definitions);
    server.close().await;
    let server = ApiServer::open(options(dir.path())).unwrap();
    assert_eq!(things(&server, "v1").list(&ListParams::default()).await.unwrap().items.len(), 1);
    let definitions: Api<CustomResourceDefinition> = Api::all(server.client("test"));
    definitions.delete("things.x.io", &DeleteParams::default()).await.unwrap();
    let wait = async {
        while definitions.get_opt("things.x.io").await.unwrap().is_some() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), wait).await.unwrap();
    assert_eq!(status(things(&server, "v1").list(&ListParams::default()).await.unwrap_err()).code, 404);
}

#[tokio::test]
async fn prune_validate_and_keep_status_apart() {
    let (server, _dir) = start();
    let post = PostParams::default();
    Api::<CustomResourceDefinition>::all(server.client("test")).create(&post, &definition()).await.unwrap();
    let api = things(&server, "v1");
    let made = api.create(&post, &thing("a", json!({"n": 1, "extra": true}))).await.unwrap();
    assert_eq!(made.data["spec"], json!({"n": 1, "mode": "A"}));
    for (spec, message) in [
        (json!({}), "Thing.x.io \"b\" is invalid: spec.n: Required value"),
        (
            json!({"n": 0}),
            "Thing.x.io \"b\" is invalid: spec.n: Invalid value: 0: spec.n in body should be greater than or equal to 1",
        ),
        (
            json!({"n": 1, "mode": "C"}),
            "Thing.x.io \"b\" is invalid: spec.mode: Unsupported value: \"C\": supported values: \"A\", \"B\"",
        ),
    ] {
        let refused = status(api.create(&post, &thing("b", spec)).await.unwrap_err());
        assert_eq!((refused.code, refused.message.as_str()), (422, message));
    }
    let both = json!({"spec": {"n": 2}, "status": {"ok": true}});
    let after = api.patch_status("a", &PatchParams::default(), &Patch::Merge(&both)).await.unwrap();
    assert_eq!((&after.data["spec"]["n"], &after.data["status"]), (&json!(1), &json!({"ok": true})));
    let after = api.patch("a", &PatchParams::default(), &Patch::Merge(&both)).await.unwrap();
    assert_eq!((&after.data["spec"]["n"], after.metadata.generation), (&json!(2), Some(2)));
    let apply = PatchParams::apply("me");
    let wanted = json!({"apiVersion": "x.io/v1", "kind": "Thing", "metadata": {"name": "c"}, "spec": {"n": 5}});
    let applied = api.patch("c", &apply, &Patch::Apply(&wanted)).await.unwrap();
    assert_eq!(applied.data["spec"]["n"], 5);
}

#[tokio::test]
async fn wrong_definitions_are_refused() {
    let (server, _dir) = start();
    let definitions: Api<CustomResourceDefinition> = Api::all(server.client("test"));
    let mut wrong = definition();
    wrong.metadata.name = Some("other.x.io".to_owned());
    for version in &mut wrong.spec.versions {
        version.storage = false;
    }
    let refused = status(definitions.create(&PostParams::default(), &wrong).await.unwrap_err());
    assert!(refused.message.contains("must be spec.names.plural"), "{}", refused.message);
    assert!(refused.message.contains("exactly one version marked as storage version"), "{}", refused.message);
}

#[tokio::test]
async fn the_definitions_of_the_real_world_are_accepted() {
    let upstream = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/upstream/crds");
    let (server, _dir) = start();
    let definitions: Api<CustomResourceDefinition> = Api::all(server.client("test"));
    for file in ["istio.yaml", "gateway-api-standard.yaml"] {
        let Ok(text) = std::fs::read(upstream.join(file)) else {
            eprintln!("skipped: {file} is not here");
            continue;
        };
        let loaded = crate::yaml::load(file, &text);
        for document in loaded.documents {
            if document.value["kind"] != "CustomResourceDefinition" {
                continue;
            }
            let name = document.value["metadata"]["name"].as_str().unwrap().to_owned();
            let apply = PatchParams::apply("mesh");
            if let Err(error) = definitions.patch(&name, &apply, &Patch::Apply(&document.value)).await {
                panic!("{name}: {error}");
            }
        }
    }
}
