//! Create, read, update, delete, watch, and what the server does on its own.

use std::time::Duration;

use futures_util::TryStreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret, Service};
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::api::{
    Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy, WatchEvent,
    WatchParams,
};
use serde_json::{Value, json};

use super::{object, options, start, status};
use crate::runtime::apiserver::{ApiServer, limits};

fn config(name: &str, value: &str) -> ConfigMap {
    object(json!({"metadata": {"name": name, "labels": {"app": name}}, "data": {"k": value}}))
}

fn deployment(name: &str) -> Deployment {
    let spec = json!({"selector": {"matchLabels": {"a": "b"}}, "template": {
        "metadata": {"labels": {"a": "b"}},
        "spec": {"containers": [{"name": "x", "image": "one"}, {"name": "y", "image": "y:1"}]}}});
    object(json!({"metadata": {"name": name}, "spec": spec}))
}

async fn gone<K>(api: &Api<K>, name: &str)
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let wait = async {
        while api.get_opt(name).await.unwrap().is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait).await.expect("the object must go");
}

#[tokio::test]
async fn locks_optimistically_pages_lists_and_keeps_everything_over_a_restart() {
    let (server, dir) = start();
    let api: Api<ConfigMap> = Api::namespaced(server.client("test"), "default");
    let post = PostParams::default();
    let made = api.create(&post, &config("a", "1")).await.unwrap();
    let again = status(api.create(&post, &config("a", "1")).await.unwrap_err());
    assert_eq!((again.code, again.message.as_str()), (409, "configmaps \"a\" already exists"));
    let mut next = made.clone();
    next.data = Some([("k".to_owned(), "2".to_owned())].into());
    let second = api.replace("a", &post, &next).await.unwrap();
    assert_eq!(second.metadata.uid, made.metadata.uid);
    let late = status(api.replace("a", &post, &next).await.unwrap_err());
    assert!(late.code == 409 && late.message.contains("the object has been modified"), "{}", late.message);
    next.metadata.resource_version = None;
    assert_eq!(api.replace("a", &post, &next).await.unwrap(), second, "an update that changes nothing is no write");
    api.create(&post, &config("b", "1")).await.unwrap();
    assert_eq!(api.list(&ListParams::default().labels("app in (b,c)")).await.unwrap().items.len(), 1);
    assert_eq!(api.list(&ListParams::default().fields("metadata.name!=b")).await.unwrap().items.len(), 1);
    let page = api.list(&ListParams::default().limit(1)).await.unwrap();
    assert_eq!(page.metadata.remaining_item_count, Some(1));
    let token = page.metadata.continue_.unwrap();
    // What changes on a page that was given already is seen by who watches from the last one on.
    next.data = Some([("k".to_owned(), "3".to_owned())].into());
    let second = api.replace("a", &post, &next).await.unwrap();
    let rest = api.list(&ListParams::default().limit(1).continue_token(&token)).await.unwrap();
    assert_eq!(rest.items[0].metadata.name.as_deref(), Some("b"));
    assert_eq!(rest.metadata.resource_version, page.metadata.resource_version);
    assert_eq!(rest.metadata.continue_, None);
    let version = server.resource_version();
    drop(api);
    server.close().await;
    let server = ApiServer::open(options(dir.path())).unwrap();
    assert_eq!(server.resource_version(), version);
    let api: Api<ConfigMap> = Api::namespaced(server.client("test"), "default");
    assert_eq!(api.get("a").await.unwrap(), second);
}

#[tokio::test]
async fn watches_with_selectors_bookmarks_and_initial_events() {
    let (server, _dir) = start();
    let api: Api<ConfigMap> = Api::namespaced(server.client("test"), "default");
    let post = PostParams::default();
    let from = api.create(&post, &config("a", "1")).await.unwrap().metadata.resource_version.unwrap();
    let params = WatchParams::default().labels("app=b");
    let mut events = std::pin::pin!(api.watch(&params, &from).await.unwrap());
    let relabel = |label: &str| Patch::Merge(json!({"metadata": {"labels": {"app": label}}}));
    let patch = PatchParams::default();
    for label in ["c", "b", "b2"] {
        api.patch("a", &patch, &relabel(label)).await.unwrap();
    }
    assert!(matches!(events.try_next().await.unwrap(), Some(WatchEvent::Added(_))), "it came into sight");
    assert!(matches!(events.try_next().await.unwrap(), Some(WatchEvent::Deleted(_))), "it went out of sight");
    let initial = WatchParams { send_initial_events: true, bookmarks: true, ..WatchParams::default() };
    let mut events = std::pin::pin!(api.watch(&initial, "0").await.unwrap());
    assert!(matches!(events.try_next().await.unwrap(), Some(WatchEvent::Added(_))));
    let Some(WatchEvent::Bookmark(mark)) = events.try_next().await.unwrap() else { panic!("no bookmark") };
    assert_eq!(mark.metadata.annotations["k8s.io/initial-events-end"], "true");
    api.delete("a", &DeleteParams::default()).await.unwrap();
    assert!(matches!(events.try_next().await.unwrap(), Some(WatchEvent::Deleted(_))));
}

#[tokio::test]
async fn tells_a_watcher_that_comes_too_late() {
    let (server, _dir) = start();
    let api: Api<ConfigMap> = Api::namespaced(server.client("test"), "default");
    let from = api.create(&PostParams::default(), &config("a", "0")).await.unwrap().metadata.resource_version.unwrap();
    for n in 1..=limits::RING_EVENTS + 1 {
        let patch = Patch::Merge(json!({"data": {"k": n.to_string()}}));
        api.patch("a", &PatchParams::default(), &patch).await.unwrap();
    }
    let error = match api.watch(&WatchParams::default(), &from).await {
        Ok(_) => panic!("a forgotten version was served"),
        Err(error) => status(error),
    };
    assert_eq!((error.code, error.reason.as_str()), (410, "Expired"));
}

#[tokio::test]
async fn patches_scales_and_defaults_a_deployment() {
    let (server, _dir) = start();
    let api: Api<Deployment> = Api::namespaced(server.client("test"), "default");
    let patch = PatchParams::default();
    let made = api.create(&PostParams::default(), &deployment("d")).await.unwrap();
    let spec = made.spec.unwrap();
    assert_eq!((spec.replicas, spec.revision_history_limit), (Some(1), Some(10)));
    assert_eq!(spec.template.spec.unwrap().restart_policy.as_deref(), Some("Always"));
    let containers = json!({"spec": {"template": {"spec": {"containers": [{"name": "x", "image": "two"}]}}}});
    let after = api.patch("d", &patch, &Patch::Strategic(containers)).await.unwrap();
    let after_spec = after.spec.unwrap().template.spec.unwrap();
    let images: Vec<_> = after_spec.containers.into_iter().map(|c| c.image.unwrap()).collect();
    assert_eq!(images, ["two", "y:1"]);
    assert_eq!(after.metadata.generation, Some(2));
    let status_only = json!({"status": {"readyReplicas": 1}, "spec": {"replicas": 9}});
    let after = api.patch_status("d", &patch, &Patch::Merge(status_only)).await.unwrap();
    assert_eq!((after.spec.unwrap().replicas, after.metadata.generation), (Some(1), Some(2)));
    assert_eq!(after.status.unwrap().ready_replicas, Some(1));
    let scale = api.patch_scale("d", &patch, &Patch::Merge(json!({"spec": {"replicas": 3}}))).await.unwrap();
    assert_eq!(scale.spec.unwrap().replicas, Some(3));
    let operations = json!([{"op": "replace", "path": "/spec/replicas", "value": 4}]);
    let operations: json_patch::Patch = serde_json::from_value(operations).unwrap();
    let after = api.patch("d", &patch, &Patch::<()>::Json(operations)).await.unwrap();
    assert_eq!(after.spec.unwrap().replicas, Some(4));
    assert_eq!(after.status.unwrap().ready_replicas, Some(1));
    let other = json!({"spec": {"selector": {"matchLabels": {"a": "c"}}}});
    let refused = status(api.patch("d", &patch, &Patch::Merge(other)).await.unwrap_err());
    assert!(refused.code == 422 && refused.message.contains("field is immutable"), "{}", refused.message);
}

#[tokio::test]
async fn a_patch_that_copies_its_copies_is_refused() {
    let (server, _dir) = start();
    let api: Api<ConfigMap> = Api::namespaced(server.client("test"), "default");
    api.create(&PostParams::default(), &config("a", "1")).await.unwrap();
    let copies: Vec<Value> =
        (0..40).map(|n| json!({"op": "copy", "from": "/metadata", "path": format!("/metadata/c{n}")})).collect();
    let patch: json_patch::Patch = serde_json::from_value(copies.into()).unwrap();
    let refused = api.patch("a", &PatchParams::default(), &Patch::Json::<()>(patch)).await.unwrap_err();
    assert_eq!(status(refused).code, 413);
}

#[tokio::test]
async fn what_is_no_view_of_an_object_is_not_written_as_one() {
    let (server, _dir) = start();
    let client = server.client("test");
    for (method, path) in [
        ("PATCH", "/api/v1/namespaces/default/serviceaccounts/a/token"),
        ("GET", "/api/v1/namespaces/default/serviceaccounts/a/token"),
        ("PATCH", "/api/v1/namespaces/default/pods/a/eviction"),
        ("PUT", "/api/v1/namespaces/default/pods/a/log"),
    ] {
        let request = http::Request::builder().method(method).uri(path);
        let request = request.header("content-type", "application/merge-patch+json").body(b"{}".to_vec()).unwrap();
        let refused = client.request::<Value>(request).await.unwrap_err();
        assert_eq!(status(refused).code, 405, "{method} {path}");
    }
}

#[tokio::test]
async fn gives_each_service_an_address_of_its_own_for_good() {
    let (server, dir) = start();
    let service = |name: &str, ip: Value| -> Service {
        object(json!({"metadata": {"name": name}, "spec": {"clusterIP": ip, "ports": [{"port": 80}]}}))
    };
    let post = PostParams::default();
    let api: Api<Service> = Api::namespaced(server.client("test"), "default");
    let address = |service: Service| service.spec.unwrap().cluster_ip.unwrap();
    let one = api.create(&post, &service("one", Value::Null)).await.unwrap();
    let port = &one.spec.as_ref().unwrap().ports.as_ref().unwrap()[0];
    assert_eq!((port.protocol.as_deref(), port.target_port.is_some()), (Some("TCP"), true));
    let one = address(one);
    assert!(one.starts_with("10.96."), "{one}");
    assert_eq!(address(api.create(&post, &service("none", "None".into())).await.unwrap()), "None");
    drop(api);
    server.close().await;
    let server = ApiServer::open(options(dir.path())).unwrap();
    let api: Api<Service> = Api::namespaced(server.client("test"), "default");
    let taken = status(api.create(&post, &service("two", one.as_str().into())).await.unwrap_err());
    assert!(taken.code == 422 && taken.message.contains("already allocated"), "{}", taken.message);
    assert_ne!(address(api.create(&post, &service("two", Value::Null)).await.unwrap()), one);
    api.delete("one", &DeleteParams::default()).await.unwrap();
    assert_eq!(address(api.create(&post, &service("three", one.as_str().into())).await.unwrap()), one);
}

#[tokio::test]
async fn collects_dependents_in_the_background_in_the_foreground_or_not_at_all() {
    let (server, _dir) = start();
    let api: Api<ConfigMap> = Api::namespaced(server.client("test"), "default");
    let post = PostParams::default();
    for (policy, kept) in [
        (PropagationPolicy::Background, false),
        (PropagationPolicy::Foreground, false),
        (PropagationPolicy::Orphan, true),
    ] {
        let owner = api.create(&post, &config("owner", "1")).await.unwrap();
        let owned: ConfigMap = object(json!({"metadata": {"name": "owned", "ownerReferences": [{
            "apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.metadata.uid,
            "blockOwnerDeletion": true}]}}));
        api.create(&post, &owned).await.unwrap();
        let params = DeleteParams { propagation_policy: Some(policy.clone()), ..DeleteParams::default() };
        api.delete("owner", &params).await.unwrap();
        gone(&api, "owner").await;
        if kept {
            let freed = api.get("owned").await.unwrap();
            assert!(freed.metadata.owner_references.unwrap_or_default().is_empty());
        } else {
            gone(&api, "owned").await;
        }
    }
}

#[tokio::test]
async fn finalizers_and_grace_hold_an_object_back() {
    let (server, _dir) = start();
    let post = PostParams::default();
    let api: Api<ConfigMap> = Api::namespaced(server.client("test"), "default");
    let held: ConfigMap = object(json!({"metadata": {"name": "held", "finalizers": ["x.io/hold"]}}));
    let held = api.create(&post, &held).await.unwrap();
    let other = Preconditions { uid: Some("another".to_owned()), resource_version: None };
    let params = DeleteParams { preconditions: Some(other), ..DeleteParams::default() };
    assert_eq!(status(api.delete("held", &params).await.unwrap_err()).code, 409);
    api.delete("held", &DeleteParams::default()).await.unwrap();
    let marked = api.get("held").await.unwrap();
    assert!(marked.metadata.deletion_timestamp.is_some() && marked.metadata.uid == held.metadata.uid);
    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    api.patch("held", &PatchParams::default(), &free).await.unwrap();
    assert!(api.get_opt("held").await.unwrap().is_none());

    let pods: Api<Pod> = Api::namespaced(server.client("test"), "default");
    let pod = |name: &str, node: Value| -> Pod {
        object(
            json!({"metadata": {"name": name}, "spec": {"nodeName": node, "containers": [{"name": "a", "image": "b"}]}}),
        )
    };
    pods.create(&post, &pod("waiting", Value::Null)).await.unwrap();
    pods.delete("waiting", &DeleteParams::default()).await.unwrap();
    assert!(pods.get_opt("waiting").await.unwrap().is_none(), "no node has seen it");
    pods.create(&post, &pod("running", "node".into())).await.unwrap();
    pods.delete("running", &DeleteParams::default()).await.unwrap();
    let ending = pods.get("running").await.unwrap().metadata;
    assert_eq!(ending.deletion_grace_period_seconds, Some(30));
    pods.delete("running", &DeleteParams::default().grace_period(0)).await.unwrap();
    assert!(pods.get_opt("running").await.unwrap().is_none());
}

#[tokio::test]
async fn a_service_takes_and_gives_back_its_address_with_its_type() {
    let (server, _dir) = start();
    let api: Api<Service> = Api::namespaced(server.client("test"), "default");
    let service = json!({"metadata": {"name": "s"}, "spec": {"clusterIP": "10.96.0.77", "ports": [{"port": 80}]}});
    api.create(&PostParams::default(), &object(service.clone())).await.unwrap();
    let change =
        async |spec: Value| api.patch("s", &PatchParams::default(), &Patch::Merge(json!({ "spec": spec }))).await;
    let outside = change(json!({"type": "ExternalName", "externalName": "example.com"})).await.unwrap().spec.unwrap();
    assert_eq!((outside.cluster_ip, outside.cluster_ips, outside.ip_families), (None, None, None));
    // The address is free again.
    let mut other = service;
    other["metadata"]["name"] = "t".into();
    api.create(&PostParams::default(), &object(other)).await.unwrap();
    let back = change(json!({"type": "ClusterIP", "externalName": null})).await.unwrap().spec.unwrap();
    let address = back.cluster_ip.unwrap();
    assert!(address.starts_with("10.") && address != "10.96.0.77", "{address}");
    let refused = change(json!({"type": "ExternalName", "externalName": "a.b", "clusterIP": "10.96.0.78"})).await;
    assert_eq!(status(refused.unwrap_err()).code, 422);
}

#[tokio::test]
async fn a_schedule_that_never_runs_is_refused() {
    let (server, _dir) = start();
    let api: Api<CronJob> = Api::namespaced(server.client("test"), "default");
    for (schedule, taken) in [("*/5 * * * *", true), ("@every 90s", true), ("61 * * * *", false), ("@reboot", false)] {
        let job = json!({"metadata": {"generateName": "c-"}, "spec": {"schedule": schedule, "jobTemplate": {"spec": {
            "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "x", "image": "i"}]}}}}}});
        let created = api.create(&PostParams::default(), &object(job)).await;
        assert_eq!(created.is_ok(), taken, "{schedule}: {created:?}");
    }
}

#[tokio::test]
async fn a_role_may_be_named_as_a_path_can_hold_it() {
    let (server, _dir) = start();
    let api: Api<ClusterRole> = Api::all(server.client("test"));
    for (name, taken) in [("system:Metrics-server", true), ("a/b", false), ("a%b", false), ("..", false)] {
        let created = api.create(&PostParams::default(), &object(json!({"metadata": {"name": name}}))).await;
        assert_eq!(created.is_ok(), taken, "{name}: {created:?}");
    }
}

#[tokio::test]
async fn a_namespace_goes_with_what_is_in_it() {
    let (server, _dir) = start();
    let post = PostParams::default();
    let namespaces: Api<Namespace> = Api::all(server.client("test"));
    let missing: Api<ConfigMap> = Api::namespaced(server.client("test"), "n");
    let refused = status(missing.create(&post, &config("a", "1")).await.unwrap_err());
    assert_eq!((refused.code, refused.message.as_str()), (404, "namespaces \"n\" not found"));
    let made = namespaces.create(&post, &object(json!({"metadata": {"name": "n"}}))).await.unwrap();
    assert_eq!(made.metadata.labels.unwrap()["kubernetes.io/metadata.name"], "n");
    missing.create(&post, &config("a", "1")).await.unwrap();
    let held: ConfigMap = object(json!({"metadata": {"name": "held", "finalizers": ["x.io/hold"]}}));
    missing.create(&post, &held).await.unwrap();
    // Writing it without what holds its deletion back does not let it go.
    let bare: Namespace = object(json!({"metadata": {"name": "n"}}));
    let kept = namespaces.replace("n", &post, &bare).await.unwrap();
    assert_eq!(kept.spec.unwrap().finalizers.unwrap(), ["kubernetes"]);
    namespaces.delete("n", &DeleteParams::default()).await.unwrap();
    let bare = Patch::Merge(json!({"spec": {"finalizers": null}}));
    namespaces.patch("n", &PatchParams::default(), &bare).await.unwrap();
    let refused = status(missing.create(&post, &config("b", "1")).await.unwrap_err());
    assert!(refused.code == 403 && refused.message.contains("being terminated"), "{}", refused.message);
    gone(&missing, "a").await;
    assert!(namespaces.get("n").await.is_ok(), "it waits for what is held back");
    let free = Patch::Merge(json!({"metadata": {"finalizers": []}}));
    missing.patch("held", &PatchParams::default(), &free).await.unwrap();
    gone(&namespaces, "n").await;
    let refused = status(namespaces.delete("default", &DeleteParams::default()).await.unwrap_err());
    assert_eq!(refused.message, "namespaces \"default\" is forbidden: this namespace may not be deleted");
}

#[tokio::test]
async fn refuses_wrong_objects_in_kubernetes_words() {
    let (server, _dir) = start();
    let client = server.client("test");
    let post = async |kind: &str, body: Value, query: &str| -> kube::core::Status {
        let path = format!("/api/v1/namespaces/default/{kind}?{query}");
        let request = http::Request::post(path).body(body.to_string().into_bytes()).unwrap();
        status(client.request::<Value>(request).await.unwrap_err())
    };
    let name = post("configmaps", json!({"metadata": {"name": "A"}}), "").await;
    assert!(
        name.message
            .starts_with("ConfigMap \"A\" is invalid: metadata.name: Invalid value: \"A\": a lowercase RFC 1123")
    );
    let kind = post("configmaps", json!({"kind": "Secret", "metadata": {"name": "a"}}), "").await;
    assert_eq!(kind.code, 400);
    let strict = post("configmaps", json!({"metadata": {"name": "a"}, "dta": {}}), "fieldValidation=Strict").await;
    assert_eq!(
        strict.message,
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: unknown field \"dta\""
    );
    let typed = post("services", json!({"metadata": {"name": "a"}, "spec": {"ports": [{"port": "x"}]}}), "").await;
    assert!(typed.message.contains("Go struct field ServicePort.spec.ports.port of type int32"), "{}", typed.message);
    let empty = post("services", json!({"metadata": {"name": "a"}, "spec": {}}), "").await;
    assert_eq!(empty.message, "Service \"a\" is invalid: spec.ports: Required value");
    let large = post("configmaps", json!({"metadata": {"name": "a"}, "data": {"x": "y".repeat(2_000_000)}}), "").await;
    assert_eq!(large.code, 413);
    let huge = post("configmaps", json!({"data": {"x": "y".repeat(4_000_000)}}), "").await;
    assert_eq!((huge.code, huge.reason.as_str()), (413, "RequestEntityTooLarge"));
}

#[tokio::test]
async fn plugins_change_refuse_and_warn_and_a_dry_run_stores_nothing() {
    let (server, _dir) = start();
    let api: Api<ConfigMap> = Api::namespaced(server.client("test"), "default");
    let post = PostParams::default();
    let marked = api.create(&post, &config("marked", "1")).await.unwrap();
    assert_eq!(marked.metadata.labels.unwrap()["mark"], "default");
    let evil = status(api.create(&post, &config("evil", "1")).await.unwrap_err());
    assert!(evil.code == 422 && evil.message.contains("evil is not admitted"), "{}", evil.message);
    let body = json!({"metadata": {"name": "odd"}}).to_string().into_bytes();
    let request = http::Request::post("/api/v1/namespaces/default/configmaps").body(body.into()).unwrap();
    let answer = server.client("test").send(request).await.unwrap();
    assert_eq!(answer.headers()["warning"], "299 - \"that is \\\"odd\\\"\"");
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    assert!(api.create(&dry, &config("dry", "1")).await.unwrap().metadata.uid.is_some());
    assert!(api.get_opt("dry").await.unwrap().is_none());
    let secrets: Api<Secret> = Api::namespaced(server.client("test"), "default");
    let secret: Secret = object(json!({"metadata": {"generateName": "s-"}, "stringData": {"k": "v"}}));
    let secret = secrets.create(&post, &secret).await.unwrap();
    assert!(secret.metadata.name.unwrap().starts_with("s-") && secret.string_data.is_none());
    assert_eq!(secret.data.unwrap()["k"].0, b"v");
}
