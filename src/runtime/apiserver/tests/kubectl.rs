//! kubectl against the server, over a socket; skipped where kubectl is not installed.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::start;
use crate::identity::{Authority, TrustDomain};
use crate::runtime::apiserver::kubeconfig;

/// Longest time one kubectl may take.
const TIME: Duration = Duration::from_secs(60);

struct Kubectl {
    config: std::path::PathBuf,
    home: std::path::PathBuf,
}

impl Kubectl {
    async fn try_run(&self, arguments: &str, input: &str) -> (bool, String) {
        let mut child = Command::new("kubectl")
            .args(arguments.split_whitespace())
            .env("KUBECONFIG", &self.config)
            .env("HOME", &self.home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
        let output = tokio::time::timeout(TIME, child.wait_with_output()).await.expect("kubectl hangs").unwrap();
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.success(), text)
    }

    async fn run(&self, arguments: &str, input: &str) -> String {
        let (good, text) = self.try_run(arguments, input).await;
        assert!(good, "kubectl {arguments}: {text}");
        text
    }
}

const MANIFEST: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: web, labels: {app: web}}
spec:
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: 8080}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: "web:1", ports: [{containerPort: 8080}]}]
"#;

const DEFINITION: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.x.io}
spec:
  group: x.io
  scope: Namespaced
  names: {plural: things, singular: thing, kind: Thing, shortNames: [th]}
  versions:
  - name: v1
    served: true
    storage: true
    additionalPrinterColumns: [{name: Size, type: integer, jsonPath: .spec.size}]
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              size: {type: integer, description: How large it is.}
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn works_against_this_server() {
    if !std::process::Command::new("kubectl").arg("version").arg("--client").output().is_ok_and(|o| o.status.success())
    {
        eprintln!("skipped: kubectl is not installed");
        return;
    }
    let (server, dir) = start();
    let server = Arc::new(server);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    std::fs::create_dir(dir.path().join("ca")).unwrap();
    let authority =
        Authority::load_or_create(&dir.path().join("ca"), &TrustDomain::new("cluster.local").unwrap()).unwrap();
    let loopback = "127.0.0.1".parse().unwrap();
    let (chain, key) = authority.sign_server(&[], &[loopback], Duration::from_secs(3600)).unwrap();
    let tls = crate::tls::server(chain, key.private_key(), &[b"h2", b"http/1.1"]).unwrap();
    let stop = CancellationToken::new();
    let serving = {
        let (server, stop) = (Arc::clone(&server), stop.clone());
        tokio::spawn(async move { server.serve(listener, Some(tls), stop).await })
    };
    let config = dir.path().join("kubeconfig");
    std::fs::write(&config, kubeconfig(&url, &authority.root_pem(), server.admin_token())).unwrap();
    let kubectl = Kubectl { config, home: dir.path().to_owned() };

    assert_eq!(kubectl.run("create namespace shop", "").await, "namespace/shop created\n");
    let applied = kubectl.run("apply -n shop -f -", MANIFEST).await;
    assert_eq!(applied, "service/web created\ndeployment.apps/web created\n");
    let again = kubectl.run("apply -n shop -f -", MANIFEST).await;
    assert_eq!(again, "service/web unchanged\ndeployment.apps/web unchanged\n");
    let changed = kubectl.run("apply -n shop -f -", &MANIFEST.replace("web:1", "web:2")).await;
    assert!(changed.contains("deployment.apps/web configured"), "{changed}");
    let table = kubectl.run("get deploy -n shop -o wide", "").await;
    let words: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!([words[0], words[1], words[6]], ["web", "0/2", "web:2"], "{table}");
    let table = kubectl.run("get svc -A", "").await;
    assert!(table.contains("ClusterIP") && table.contains("80/TCP") && table.contains("10.96."), "{table}");
    assert!(kubectl.run("get ns", "").await.contains("Active"));
    assert_eq!(kubectl.run("label svc web -n shop tier=front", "").await, "service/web labeled\n");
    assert!(kubectl.run("get svc -n shop -l tier=front -o name", "").await.contains("service/web"));
    assert!(kubectl.run("annotate svc web -n shop note=x", "").await.contains("annotated"));
    assert!(kubectl.run("scale deploy web -n shop --replicas=5", "").await.contains("scaled"));
    assert_eq!(kubectl.run("get deploy web -n shop -o jsonpath={.spec.replicas}", "").await, "5");
    let patch =
        r#"patch deploy web -n shop -p {"spec":{"template":{"spec":{"containers":[{"name":"web","image":"web:3"}]}}}}"#;
    assert!(kubectl.run(patch, "").await.contains("patched"));
    let yaml = kubectl.run("get deploy web -n shop -o yaml", "").await;
    assert!(yaml.contains("image: web:3") && yaml.contains("containerPort: 8080"), "{yaml}");
    let described = kubectl.run("describe svc web -n shop", "").await;
    assert!(described.contains("Selector:") && described.contains("app=web"), "{described}");
    kubectl.run("describe deploy web -n shop", "").await;
    let kinds = kubectl.run("api-resources", "").await;
    assert!(kinds.contains("customresourcedefinitions") && kinds.contains("deploy"), "{kinds}");
    kubectl.run("version", "").await;

    kubectl.run("apply -f -", DEFINITION).await;
    let thing = "apiVersion: x.io/v1\nkind: Thing\nmetadata: {name: a}\nspec: {size: 3}\n";
    assert_eq!(kubectl.run("apply -f -", thing).await, "thing.x.io/a created\n");
    let table = kubectl.run("get th", "").await;
    assert_eq!(table.split_whitespace().collect::<Vec<_>>(), ["NAME", "SIZE", "a", "3"]);
    let explained = kubectl.run("explain thing.spec.size", "").await;
    assert!(explained.contains("How large it is."), "{explained}");
    let (good, refused) = kubectl.try_run("apply -f -", &thing.replace("size", "siez")).await;
    assert!(!good && refused.contains("strict decoding error: unknown field \"spec.siez\""), "{refused}");
    let (good, refused) = kubectl.try_run("create -n shop -f -", &MANIFEST.replace("replicas", "replcas")).await;
    assert!(!good && refused.contains("unknown field \"spec.replcas\""), "{refused}");
    assert!(kubectl.run("apply --server-side -f -", thing).await.contains("serverside-applied"));
    let (good, conflict) =
        kubectl.try_run("apply --server-side --field-manager=other -f -", &thing.replace('3', "4")).await;
    assert!(!good && conflict.contains("conflict") && conflict.contains(".spec.size"), "{conflict}");
    let diff = kubectl.run("apply --dry-run=server -f -", &thing.replace('3', "4")).await;
    assert!(diff.contains("configured (server dry run)"), "{diff}");

    let watched = {
        let kubectl = Kubectl { config: kubectl.config.clone(), home: kubectl.home.clone() };
        tokio::spawn(async move { kubectl.try_run("get th a -w --request-timeout=8s -o name", "").await.1 })
    };
    let (good, waited) = kubectl.try_run("wait --for=delete thing/b --timeout=5s", "").await;
    assert!(good, "{waited}");
    assert!(kubectl.run("delete thing a --wait", "").await.contains("deleted"));
    assert!(watched.await.unwrap().contains("thing.x.io/a"));
    assert!(kubectl.run("delete ns shop", "").await.contains("deleted"));
    assert_eq!(kubectl.run("get deploy -A -o name", "").await, "");
    stop.cancel();
    serving.await.unwrap();
}
