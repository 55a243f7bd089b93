//! `mesh analyze`: the same codes, forms and exit codes as istioctl's, from files alone and against a cluster.

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use crate::harness::{Runtime, mesh, repository, stderr, stdout};

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    directory
}

fn analyze(directory: &Path, more: &[&str]) -> Output {
    let path = directory.display().to_string();
    let mut arguments = vec!["analyze", "-k=false", path.as_str()];
    arguments.extend(more);
    mesh(&arguments)
}

const NO_GATEWAY: &str = "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
spec:
  hosts: [shop.example.com]
  gateways: [edge]
  http:
  - route:
    - destination: {host: shop}
---
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {ports: [{port: 80, name: http}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: other}
spec:
  selector: {app: edge}
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: [other.example.com]
";

#[test]
fn directories_are_read_with_everything_below_them_with_istioctls_flag_or_without() {
    let directory = folder(&[("a/b/shop.yaml", NO_GATEWAY)]);
    let plain = stdout(&analyze(directory.path(), &[]));
    assert!(plain.contains("IST0101"), "{plain}");
    for flag in ["-R", "--recursive"] {
        assert_eq!(stdout(&analyze(directory.path(), &[flag])), plain);
    }
}

#[test]
fn lines_name_level_code_object_and_place() {
    let directory = folder(&[("a/vs.yaml", NO_GATEWAY), ("readme.txt", "not: [yaml")]);
    let output = analyze(directory.path(), &[]);
    let said = stdout(&output).replace(&directory.path().display().to_string(), "DIR");
    assert_eq!(
        said,
        "Error [IST0101] (VirtualService default/shop DIR/a/vs.yaml:7) There is no Gateway edge.\n\
         Warning [IST0132] (VirtualService default/shop DIR/a/vs.yaml:7) None of the hosts shop.example.com is among those that the Gateway edge serves for this namespace: no request comes in by it.\n"
    );
    assert_eq!(output.status.code(), Some(79), "{}", stderr(&output));
}

#[test]
fn thresholds_suppression_and_selection_decide_the_exit_code() {
    let directory = folder(&[("vs.yaml", NO_GATEWAY)]);
    let code = |more: &[&str]| analyze(directory.path(), more).status.code();
    assert_eq!(code(&["-S", "IST0101=VirtualService default/shop"]), Some(0));
    assert_eq!(code(&["-S", "IST0101=*", "--failure-threshold", "Warning"]), Some(79));
    // What names no namespace is in the one that is named, and what names another is not shown.
    assert_eq!(code(&["-n", "elsewhere"]), Some(79));
    let apart = folder(&[("vs.yaml", &NO_GATEWAY.replace("name: shop\n", "name: shop\n  namespace: shops\n"))]);
    assert_eq!(analyze(apart.path(), &["-n", "elsewhere"]).status.code(), Some(0));
    assert_eq!(analyze(apart.path(), &["-n", "shops"]).status.code(), Some(79));
    assert_eq!(code(&["--analyzer", "virtualservice.JWTClaimRouteAnalyzer"]), Some(0));
    assert_eq!(code(&["--analyzer", "gateway.SecretAnalyser"]), Some(64));
    assert_eq!(code(&["-o", "toml"]), Some(64));
    assert_eq!(code(&["-S", "IST0101"]), Some(64));
    let shown = stdout(&analyze(directory.path(), &["--output-threshold", "Error"]));
    assert_eq!(shown.lines().count(), 1, "{shown}");
}

#[test]
fn what_cannot_be_read_is_said_and_the_rest_is_analyzed() {
    let directory = folder(&[("bad.yaml", "a: [\n"), ("vs.yaml", NO_GATEWAY)]);
    let output = analyze(directory.path(), &[]);
    assert_eq!(output.status.code(), Some(65));
    assert!(stderr(&output).contains("bad.yaml:1:4"), "{}", stderr(&output));
    assert!(stdout(&output).contains("IST0101"));
    assert_eq!(analyze(directory.path(), &["--ignore-unknown"]).status.code(), Some(79));
}

#[test]
fn machines_read_every_form() {
    let directory = folder(&[("vs.yaml", NO_GATEWAY)]);
    let text = |form: &str| stdout(&analyze(directory.path(), &["-o", form]));
    let json: Value = serde_json::from_str(&text("json")).unwrap();
    assert_eq!(json[0]["code"], "IST0101");
    assert_eq!(json[0]["origin"], "VirtualService default/shop");
    assert!(json[0]["reference"].as_str().unwrap().ends_with("vs.yaml:7"));
    let yaml: Value = serde_yaml::from_str(&text("yaml")).unwrap();
    assert_eq!(yaml, json);
    let sarif: Value = serde_json::from_str(&text("sarif")).unwrap();
    assert_eq!(sarif["runs"][0]["results"][1]["ruleId"], "IST0132");
    assert!(text("junit").contains("<failure type=\"IST0101\""));
}

/// Whatever the samples give is in this file, but for what docs/in-force.md says; every line of it was looked at.
#[test]
fn upstreams_samples_give_the_messages_that_are_checked_in() {
    let samples = repository("../shared/upstream/samples");
    if !samples.exists() {
        return;
    }
    let mut said = String::new();
    let mut folders: Vec<PathBuf> = vec![samples.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                files.push(path);
            }
        }
    }
    files.sort();
    // Each file as it would be applied: over the application that it is for.
    let application = samples.join("bookinfo/platform/kube/bookinfo.yaml").display().to_string();
    let base = format!("{}/", samples.display());
    for file in files {
        let path = file.display().to_string();
        let mut arguments = vec!["analyze", "-k=false", "-S", "IST0102=*", "-S", "MSH0001=*", path.as_str()];
        if path.contains("/bookinfo/") && path != application {
            arguments.push(&application);
        }
        let output = mesh(&arguments);
        let text = format!("{}{}", stdout(&output), stderr(&output).replace("✓ nothing found\n", ""));
        said.push_str(&format!("# {}: {}\n", path.replace(&base, ""), output.status.code().unwrap_or(-1)));
        said.push_str(&text.replace(&base, ""));
    }
    let kept = repository("tests/it/analyze_samples.txt");
    if std::env::var_os("UPDATE_SAMPLES").is_some() {
        std::fs::write(&kept, &said).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(&kept).unwrap_or_default(),
        said,
        "set UPDATE_SAMPLES=1 to write what is said now"
    );
}

#[test]
fn a_cluster_is_looked_at_and_files_are_laid_over_it() {
    let runtime = Runtime::demo();
    let clean = runtime.mesh(&["analyze"]);
    assert_eq!(clean.status.code(), Some(0), "{}{}", stdout(&clean), stderr(&clean));
    let directory = folder(&[("vs.yaml", NO_GATEWAY)]);
    let path = directory.path().display().to_string();
    let output = runtime.mesh(&["analyze", &path]);
    assert_eq!(output.status.code(), Some(79), "{}", stderr(&output));
    assert!(stdout(&output).contains("There is no Gateway edge."));
}
