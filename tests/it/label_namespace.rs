//! `mesh label-namespace` on the built-in runtime.

use crate::harness::{Runtime, eventually, stderr, stdout};

const WEB: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: docker.io/mccutchen/go-httpbin, ports: [{containerPort: 8080}]}]
---
apiVersion: v1
kind: Pod
metadata: {name: alone, namespace: shop}
spec:
  containers: [{name: alone, image: curlimages/curl}]
"#;

#[test]
fn labelling_shows_what_changes_and_which_pods_do_not_run_as_they_would_be_started_now() {
    let runtime = Runtime::start(&[]);
    let file = runtime.path("web.yaml");
    std::fs::write(&file, WEB).unwrap();
    let applied = runtime.mesh(&["apply", "-f", file.as_str()]);
    assert!(applied.status.success(), "{}", stderr(&applied));
    let rehearsed = eventually("the pods are there", || {
        let output = runtime.mesh(&["label-namespace", "shop", "--dry-run"]);
        (stdout(&output).contains(" Deployment ") && stdout(&output).contains("alone")).then_some(output)
    });
    let said = stdout(&rehearsed);
    let rows: Vec<Vec<&str>> = said.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["NAMESPACE", "BEFORE", "AFTER", "RESULT"]);
    assert_eq!(rows[1], ["shop", "-", "istio-injection=enabled", "would", "be", "labelled"]);
    assert!(rows.contains(&vec!["shop", "alone", "-", "none"]), "{said}");
    assert!(said.lines().all(|line| line.chars().count() <= 80), "{said}");

    let labelled = runtime.mesh(&["label-namespace", "shop", "--restart"]);
    assert!(labelled.status.success(), "{}", stderr(&labelled));
    let noted = stderr(&labelled);
    assert!(noted.contains("Deployment shop/web is started anew"), "{noted}");
    assert!(noted.contains("1 pod that no workload would start anew"), "{noted}");
    eventually("the new pod has a sidecar", || {
        let output = runtime.mesh(&["label-namespace", "shop"]);
        let said = stdout(&output);
        (said.contains("as it was") && !said.contains("Deployment/web")).then_some(())
    });

    let conflicting = runtime.mesh(&["label-namespace", "shop", "--disable"]);
    assert_eq!(conflicting.status.code(), Some(1), "{}", stderr(&conflicting));
    assert!(stderr(&conflicting).contains("--overwrite replaces it by istio-injection=disabled"));
    let json = runtime.mesh(&["label-namespace", "shop", "--disable", "--overwrite", "-o", "json"]);
    let rows: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&rows[0]["before"], &rows[0]["result"]), (&"istio-injection=enabled".into(), &"labelled".into()));
    let superfluous =
        |pod: &serde_json::Value| pod["workload"] == "Deployment/web" && pod["sidecar"] == "no longer wanted";
    assert!(rows[0]["pods"].as_array().unwrap().iter().any(superfluous), "{rows}");
    let removed = runtime.mesh(&["label-namespace", "-l", "istio-injection=disabled", "--remove"]);
    assert!(stdout(&removed).contains("labelled"), "{}{}", stdout(&removed), stderr(&removed));
}

#[test]
fn namespaces_that_keep_the_cluster_running_or_are_not_there_are_refused_before_anything_is_done() {
    let runtime = Runtime::start(&[]);
    for name in ["kube-system", "istio-system"] {
        let refused = runtime.mesh(&["label-namespace", "default", name]);
        assert_eq!(refused.status.code(), Some(64), "{}", stderr(&refused));
        assert!(stderr(&refused).contains(&format!("{name} keeps the cluster or the mesh itself running")));
    }
    let missing = runtime.mesh(&["label-namespace", "default", "nowhere"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(stderr(&missing).contains("has no namespace nowhere; nothing was done"), "{}", stderr(&missing));
    let warned = runtime.mesh(&["label-namespace", "default", "--revision", "canary"]);
    assert!(stderr(&warned).contains("no control plane of revision canary is there"), "{}", stderr(&warned));
    let rest = stdout(&runtime.mesh(&["label-namespace", "default", "--revision", "canary"]));
    assert!(rest.contains("istio.io/rev=canary") && rest.contains("as it was"), "{rest}");
}
