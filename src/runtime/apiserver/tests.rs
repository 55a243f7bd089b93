//! What clients see, through `kube::Client` in memory.

use futures_util::TryStreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{ApiServer, Options};

/// A server with its first namespaces.
async fn start() -> (ApiServer, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let server = ApiServer::open(Options::new(dir.path())).unwrap();
    let mut watch = server.inner.store.watch("namespaces.", Some(0));
    let mut seen = 0;
    while seen < 2 {
        seen += watch.next().await.unwrap().unwrap().len();
    }
    (server, dir)
}

fn object<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn config(name: &str, value: &str) -> ConfigMap {
    object(json!({"metadata": {"name": name, "labels": {"app": name}}, "data": {"k": value}}))
}

fn code(error: kube::Error) -> u16 {
    match error {
        kube::Error::Api(status) => status.code,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn creates_reads_updates_and_deletes_with_optimistic_locking() {
    let (server, dir) = start().await;
    let api: Api<ConfigMap> = Api::namespaced(server.client("test"), "default");
    let made = api.create(&PostParams::default(), &config("a", "1")).await.unwrap();
    assert_eq!(code(api.create(&PostParams::default(), &config("a", "1")).await.unwrap_err()), 409);
    let mut next = made.clone();
    next.data = Some([("k".to_owned(), "2".to_owned())].into());
    let second = api.replace("a", &PostParams::default(), &next).await.unwrap();
    assert_ne!(second.metadata.resource_version, made.metadata.resource_version);
    assert_eq!(second.metadata.uid, made.metadata.uid);
    assert_eq!(code(api.replace("a", &PostParams::default(), &next).await.unwrap_err()), 409);
    api.create(&PostParams::default(), &config("b", "1")).await.unwrap();
    assert_eq!(api.list(&ListParams::default().labels("app=b")).await.unwrap().items.len(), 1);
    let page = api.list(&ListParams::default().limit(1)).await.unwrap();
    let token = page.metadata.continue_.unwrap();
    let rest = api.list(&ListParams::default().limit(1).continue_token(&token)).await.unwrap();
    assert_eq!(rest.items[0].metadata.name.as_deref(), Some("b"));
    api.delete("a", &DeleteParams::default()).await.unwrap();
    assert_eq!(code(api.get("a").await.unwrap_err()), 404);
    drop(api);
    server.close().await;
    let server = ApiServer::open(Options::new(dir.path())).unwrap();
    let api: Api<ConfigMap> = Api::namespaced(server.client("test"), "default");
    assert_eq!(api.list(&ListParams::default()).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn watches_from_a_list_on() {
    let (server, _dir) = start().await;
    let api: Api<ConfigMap> = Api::namespaced(server.client("test"), "default");
    let from = api.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    api.create(&PostParams::default(), &config("a", "1")).await.unwrap();
    api.patch("a", &PatchParams::default(), &Patch::Merge(json!({"data": {"k": "2"}}))).await.unwrap();
    api.delete("a", &DeleteParams::default()).await.unwrap();
    let mut events = std::pin::pin!(api.watch(&WatchParams::default(), &from).await.unwrap());
    assert!(matches!(events.try_next().await.unwrap(), Some(WatchEvent::Added(_))));
    assert!(matches!(events.try_next().await.unwrap(), Some(WatchEvent::Modified(_))));
    assert!(matches!(events.try_next().await.unwrap(), Some(WatchEvent::Deleted(_))));
}

#[tokio::test]
async fn patches_and_scales_a_deployment() {
    let (server, _dir) = start().await;
    let api: Api<Deployment> = Api::namespaced(server.client("test"), "default");
    let spec = json!({"selector": {"matchLabels": {"a": "b"}}, "template": {
        "metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "x", "image": "one"}, {"name": "y", "image": "y"}]}}});
    let made: Deployment = object(json!({"metadata": {"name": "d"}, "spec": spec}));
    let made = api.create(&PostParams::default(), &made).await.unwrap();
    assert_eq!(made.spec.unwrap().replicas, Some(1));
    let patch = json!({"spec": {"template": {"spec": {"containers": [{"name": "x", "image": "two"}]}}}});
    let after = api.patch("d", &PatchParams::default(), &Patch::Strategic(patch)).await.unwrap();
    let images: Vec<_> = after.spec.unwrap().template.spec.unwrap().containers.into_iter().map(|c| c.image.unwrap()).collect();
    assert_eq!(images, ["two", "y"]);
    assert_eq!(after.metadata.generation, Some(2));
    let status = json!({"status": {"readyReplicas": 1}, "spec": {"replicas": 9}});
    let after = api.patch_status("d", &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    assert_eq!((after.spec.unwrap().replicas, after.metadata.generation), (Some(1), Some(2)));
    let scale = api.patch_scale("d", &PatchParams::default(), &Patch::Merge(json!({"spec": {"replicas": 3}}))).await.unwrap();
    assert_eq!(scale.spec.unwrap().replicas, Some(3));
}

#[tokio::test]
async fn gives_each_service_an_address_and_applies() {
    let (server, _dir) = start().await;
    let api: Api<Service> = Api::namespaced(server.client("test"), "default");
    let applied = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}});
    let apply = PatchParams::apply("test");
    let one = api.patch("s", &apply, &Patch::Apply(&applied)).await.unwrap();
    let two = api.patch("s", &apply, &Patch::Apply(&applied)).await.unwrap();
    assert_eq!(one, two, "the same configuration changes nothing");
    assert!(one.spec.unwrap().cluster_ip.unwrap().starts_with("10.96."));
}

#[tokio::test]
async fn collects_what_a_deleted_owner_leaves() {
    let (server, _dir) = start().await;
    let api: Api<ConfigMap> = Api::namespaced(server.client("test"), "default");
    let owner = api.create(&PostParams::default(), &config("owner", "1")).await.unwrap();
    let owned: ConfigMap = object(json!({"metadata": {"name": "owned", "ownerReferences": [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.metadata.uid}]}}));
    let owned = api.create(&PostParams::default(), &owned).await.unwrap();
    let params = WatchParams::default().fields("metadata.name=owned");
    let from = owned.metadata.resource_version.unwrap();
    let mut events = std::pin::pin!(api.watch(&params, &from).await.unwrap());
    api.delete("owner", &DeleteParams::default()).await.unwrap();
    assert!(matches!(events.try_next().await.unwrap(), Some(WatchEvent::Deleted(_))));
}

#[tokio::test]
async fn serves_what_a_definition_defines_and_refuses_what_it_forbids() {
    let (server, _dir) = start().await;
    let client = server.client("test");
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {"n": {"type": "integer"}}}}});
    let crd: CustomResourceDefinition = object(json!({"metadata": {"name": "things.x.io"}, "spec": {
        "group": "x.io", "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing"},
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]}}));
    Api::all(client.clone()).create(&PostParams::default(), &crd).await.unwrap();
    let (thing, _) = kube::discovery::pinned_kind(&client, &kube::core::GroupVersionKind::gvk("x.io", "v1", "Thing")).await.unwrap();
    let api: Api<DynamicObject> = Api::namespaced_with(client, "default", &thing);
    let good: DynamicObject = object(json!({"apiVersion": "x.io/v1", "kind": "Thing", "metadata": {"name": "a"}, "spec": {"n": 1, "z": 2}}));
    let made = api.create(&PostParams::default(), &good).await.unwrap();
    assert_eq!(made.data["spec"], json!({"n": 1}));
    let bad: DynamicObject = object(json!({"apiVersion": "x.io/v1", "kind": "Thing", "metadata": {"name": "b"}, "spec": {"n": "x"}}));
    assert_eq!(code(api.create(&PostParams::default(), &bad).await.unwrap_err()), 422);
    let definitions: Api<CustomResourceDefinition> = Api::all(server.client("test"));
    definitions.delete("things.x.io", &DeleteParams::default()).await.unwrap();
    assert_eq!(code(api.get("a").await.unwrap_err()), 404);
    definitions.create(&PostParams::default(), &crd).await.unwrap();
    assert!(api.list(&ListParams::default()).await.unwrap().items.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_works_over_a_socket() {
    let (server, dir) = start().await;
    if std::process::Command::new("kubectl").arg("version").arg("--client").output().is_err() {
        eprintln!("skipped: kubectl is not installed");
        return;
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let config = |name: &str, token: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, super::kubeconfig(&url, &made.cert.pem(), token)).unwrap();
        format!("--kubeconfig={}", path.display())
    };
    let (admin, stranger) = (config("admin", server.admin_token()), config("stranger", "x"));
    let cache = format!("--cache-dir={}", dir.path().join("cache").display());
    let manifest = dir.path().join("m.json");
    let content = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"k": "v"}});
    std::fs::write(&manifest, content.to_string()).unwrap();
    let kubectl = |config: &str, arguments: &str| {
        let mut command = tokio::process::Command::new("kubectl");
        command.args([config, &cache]).args(arguments.split_whitespace()).kill_on_drop(true);
        async move {
            let output = tokio::time::timeout(std::time::Duration::from_secs(60), command.output()).await.unwrap().unwrap();
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
        }
    };
    let stop = tokio_util::sync::CancellationToken::new();
    let talk = async {
        let apply = format!("apply --validate=false -f {}", manifest.display());
        for (arguments, expected) in [
            ("get namespaces", "kube-system   Active"),
            (apply.as_str(), "configmap/c created"),
            (apply.as_str(), "configmap/c unchanged"),
            ("get configmaps", "c      1      "),
            ("label configmap c a=b", "configmap/c labeled"),
            ("get cm -l a=b -o name", "configmap/c"),
            ("api-resources", "deployments"),
            ("version", "v1.36.0+mesh"),
            ("delete configmap c", "configmap \"c\" deleted"),
            ("get configmap c", "configmaps \"c\" not found"),
        ] {
            let shown = kubectl(&admin, arguments).await;
            assert!(shown.contains(expected), "kubectl {arguments}: {shown}");
        }
        let refused = kubectl(&stranger, "get cm").await;
        assert!(refused.contains("logged in") || refused.contains("Unauthorized"), "{refused}");
        stop.cancel();
    };
    tokio::join!(server.serve(listener, Some(std::sync::Arc::new(tls)), stop.clone()), talk);
}
