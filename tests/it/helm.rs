//! Helm installs, upgrades, tests, rolls back and uninstalls a chart on the built-in runtime.
//!
//! helm is the one that `MESH_HELM` names, else the one on the path; the test says so and ends where there is none.

use std::process::{Command, Output};

use serde_json::Value;

use crate::harness::{Runtime, repository, stderr, stdout, text};

fn helm(runtime: &Runtime, arguments: &[&str]) -> Option<Output> {
    let program = std::env::var("MESH_HELM").unwrap_or_else(|_| "helm".to_owned());
    Command::new(program)
        .args(arguments)
        .env("KUBECONFIG", runtime.path("kubeconfig"))
        .env("HOME", runtime.directory())
        .current_dir(repository("tests/it/helm"))
        .output()
        .ok()
}

#[test]
fn a_chart_is_installed_upgraded_rolled_back_and_uninstalled() {
    let runtime = Runtime::start(&[]);
    if helm(&runtime, &["version"]).is_none() {
        println!("skipped: there is no helm; MESH_HELM may name one");
        return;
    }
    let run = |arguments: &[&str]| {
        let output = helm(&runtime, arguments).unwrap();
        assert!(output.status.success(), "helm {arguments:?}: {}{}", stdout(&output), stderr(&output));
        stdout(&output)
    };
    let client = tokio::runtime::Runtime::new().unwrap();
    let get = |path: &str| -> Value {
        client.block_on(async {
            let request = http::Request::get(path).body(Vec::new()).unwrap();
            runtime.client().await.request(request).await.unwrap_or_default()
        })
    };
    let widget = || text(&get("/apis/example.com/v1/namespaces/default/widgets/demo")["spec"]["size"]);
    let deployment = || get("/apis/apps/v1/namespaces/default/deployments/demo");

    run(&["install", "demo", "./chart", "--wait", "--timeout", "60s"]);
    assert_eq!(widget(), "small");
    assert_eq!(deployment()["status"]["readyReplicas"], 1);
    let hook = get("/apis/batch/v1/namespaces/default/jobs/demo-migrate");
    assert_eq!(hook["status"]["succeeded"], 1, "the hook ran first: {hook}");

    run(&["upgrade", "demo", "./chart", "--set", "size=large,replicas=2", "--wait", "--timeout", "60s"]);
    assert_eq!(widget(), "large");
    assert_eq!(deployment()["status"]["readyReplicas"], 2);
    let secret = get("/api/v1/namespaces/default/secrets/sh.helm.release.v1.demo.v2");
    assert_eq!(secret["type"], "helm.sh/release.v1");
    run(&["test", "demo", "--timeout", "60s"]);

    run(&["rollback", "demo", "1", "--wait", "--timeout", "60s"]);
    assert_eq!(widget(), "small");
    assert_eq!(deployment()["spec"]["replicas"], 1);
    let history = run(&["history", "demo"]);
    assert_eq!(history.matches("superseded").count(), 2, "{history}");

    // What is refused is told, and the release stays as it was.
    let refused = helm(&runtime, &["upgrade", "demo", "./chart", "--set", "replicas=-1"]).unwrap();
    assert!(stderr(&refused).contains("must be greater than or equal to 0"), "{}", stderr(&refused));
    assert_eq!(deployment()["spec"]["replicas"], 1);

    run(&["uninstall", "demo", "--wait", "--timeout", "60s"]);
    assert_eq!(deployment(), Value::Null);
    assert_eq!(widget(), "");
}

#[test]
fn what_a_chart_renders_can_be_applied() {
    let runtime = Runtime::start(&[]);
    let Some(rendered) = helm(&runtime, &["template", "demo", "./chart", "--include-crds"]) else {
        println!("skipped: there is no helm; MESH_HELM may name one");
        return;
    };
    let rendered = stdout(&rendered);
    let (definition, rest) = rendered.split_at(rendered.find("# Source: shop/templates").unwrap());
    if runtime.kubectl_ok(&["apply", "-f", "-"], Some(definition)).is_none() {
        println!("skipped: there is no kubectl");
        return;
    }
    runtime.kubectl_ok(&["wait", "--for=condition=Established", "crd/widgets.example.com"], None);
    for arguments in [&["apply", "-f", "-"][..], &["apply", "--server-side", "--force-conflicts", "-f", "-"]] {
        runtime.kubectl_ok(arguments, Some(rest));
    }
    runtime.kubectl_ok(&["rollout", "status", "deployment/demo", "--timeout=60s"], None);
    runtime.kubectl_ok(&["wait", "--for=condition=Complete", "job/demo-migrate", "--timeout=60s"], None);
}
