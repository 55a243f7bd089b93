//! Commands about single objects, and about what the mesh makes of them, on the built-in runtime.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::harness::{MESH, Runtime, eventually, mesh, repository, stderr, stdout};

const POD: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: curlimages/curl}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
"#;

fn inject(arguments: &[&str], input: &str) -> (String, String, Option<i32>) {
    let mut child = Command::new(MESH)
        .arg("kube-inject")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (stdout(&output), stderr(&output), output.status.code())
}

#[test]
fn files_are_injected_without_a_cluster_and_only_once() {
    let (once, _, code) = inject(&["-f", "-"], POD);
    assert_eq!(code, Some(0));
    assert!(once.contains("name: istio-proxy") && once.contains("restartPolicy: Always"), "{once}");
    assert!(once.contains("kind: Service\n"), "{once}");
    let (twice, said, _) = inject(&["-f", "-"], &once);
    assert_eq!(twice, once);
    assert!(said.contains("web has its sidecar already"), "{said}");
    let refusing = POD.replace("{app: web}}\n    spec", "{app: web, sidecar.istio.io/inject: \"false\"}}\n    spec");
    let (left, said, _) = inject(&["-f", "-"], &refusing);
    assert!(!left.contains("istio-proxy") && said.contains("it gets no sidecar"), "{left}{said}");
    let (canary, ..) = inject(&["-f", "-", "--revision", "canary"], POD);
    assert!(canary.contains("istiod-canary.istio-system.svc:15012"), "{canary}");
}

#[test]
fn objects_are_shown_waited_for_and_deleted() {
    let runtime = Runtime::start(&[]);
    let file = runtime.path("web.yaml");
    std::fs::write(&file, POD).unwrap();
    assert!(runtime.mesh(&["apply", "-f", file.as_str()]).status.success());
    let waited = runtime.mesh(&["wait", "deploy/web"]);
    assert!(stdout(&waited).contains("Deployment web is ready"), "{}{}", stdout(&waited), stderr(&waited));
    let table = stdout(&runtime.mesh(&["get", "deploy"]));
    let words: Vec<&str> = table.split_whitespace().collect();
    assert_eq!(words[..2], ["NAME", "READY"], "{table}");
    assert!(table.contains("web    1/1"), "{table}");
    assert!(stdout(&runtime.mesh(&["get", "svc", "-A"])).contains("istio-ingressgateway"));
    let yaml = stdout(&runtime.mesh(&["get", "svc", "web", "-o", "yaml"]));
    assert!(yaml.contains("app: web") && !yaml.contains("managedFields"), "{yaml}");
    let none = runtime.mesh(&["get", "vs"]);
    assert!(none.status.success() && stderr(&none).contains("there is no VirtualService in namespace default"));
    assert_eq!(runtime.mesh(&["get", "vs", "nope"]).status.code(), Some(1));
    assert_eq!(runtime.mesh(&["get", "nonsense"]).status.code(), Some(64));

    let deleted = runtime.mesh(&["delete", "-f", file.as_str()]);
    assert_eq!(stdout(&deleted), "Service web deleted\nDeployment web deleted\n", "{}", stderr(&deleted));
    assert!(stderr(&deleted).starts_with("→ mesh ("), "{}", stderr(&deleted));
    let absent = runtime.mesh(&["delete", "deploy/web"]);
    assert_eq!(absent.status.code(), Some(1));
    assert!(stderr(&absent).contains("Deployment web"), "{}", stderr(&absent));
    assert!(runtime.mesh(&["delete", "deploy/web", "--ignore-not-found"]).status.success());
    let late = runtime.mesh(&["wait", "deploy/web", "--timeout", "200ms"]);
    assert_eq!(late.status.code(), Some(1));
    assert!(stderr(&late).contains("Deployment web is not there"), "{}", stderr(&late));
}

#[test]
fn the_demos_proxies_are_in_sync_and_checks_pass() {
    let runtime = Runtime::demo();
    let waited = runtime.mesh(&["wait", "--for", "distribution"]);
    assert!(stdout(&waited).contains("is in force in"), "{}{}", stdout(&waited), stderr(&waited));
    let rows = eventually("every proxy is in sync", || {
        let json = runtime.mesh(&["proxy-status", "-o", "json"]);
        let rows: Vec<Value> = serde_json::from_slice(&json.stdout).unwrap();
        rows.iter().all(|row| row["status"] == "SYNCED").then_some(rows)
    });
    for app in ["productpage", "reviews", "details", "ratings", "istio-ingressgateway"] {
        assert!(rows.iter().any(|row| row["pod"].as_str().unwrap().starts_with(app)), "{app}: {rows:#?}");
    }
    let pod = rows[0]["pod"].as_str().unwrap();
    let table = runtime.mesh(&["proxy-status", pod, "--exit-code"]);
    let table = stdout(&table);
    assert!(table.starts_with("POD") && table.lines().count() == 2, "{table}");
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    assert_eq!(runtime.mesh(&["proxy-status", "nobody"]).status.code(), Some(1));

    let checked = runtime.mesh(&["check"]);
    assert!(checked.status.success(), "{}{}", stdout(&checked), stderr(&checked));
    assert!(stdout(&checked).contains("✓"), "{}", stdout(&checked));
    assert!(runtime.mesh(&["check", "--pre"]).status.success());
    let version = stdout(&runtime.mesh(&["version"]));
    assert!(version.lines().count() >= 2 && version.contains("v1.36"), "{version}");
    let decided = runtime.mesh(&["check-inject", "deploy/productpage-v1"]);
    assert!(stdout(&decided).contains("label istio-injection of the namespace"), "{}", stdout(&decided));
    let refused = runtime.mesh(&["check-inject", "-l", "sidecar.istio.io/inject=false"]);
    assert_eq!(refused.status.code(), Some(1));
    let route = repository("samples/bookinfo/virtual-service-reviews-50-50.yaml").display().to_string();
    assert!(runtime.mesh(&["apply", "-f", route.as_str()]).status.success());
    assert!(runtime.mesh(&["wait", "--for", "distribution", "vs/reviews"]).status.success());
    eventually("the proxy has logged a request", || {
        runtime.visitor().get("/productpage", &[]);
        let logs = runtime.mesh(&["logs", "deploy/productpage-v1", "--proxy", "--tail", "5"]);
        stdout(&logs).contains("productpage").then_some(())
    });
}

#[test]
fn without_a_cluster_the_version_is_the_programs_alone() {
    let output = mesh(&["version"]);
    assert!(output.status.success() && stderr(&output).is_empty(), "{}", stderr(&output));
    assert_eq!(stdout(&output).lines().count(), 1);
}
