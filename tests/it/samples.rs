//! Istio's own samples, unmodified, on the built-in runtime. Skipped where they, or kubectl, are not at hand.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Runtime, eventually, repository, stderr, stdout};

fn sample(path: &str) -> Option<String> {
    let samples: PathBuf = repository("../shared/upstream/samples");
    let file = samples.join(path);
    if !file.exists() || Command::new("kubectl").arg("version").arg("--client").output().is_err() {
        println!("skipped: no {} or no kubectl", file.display());
        return None;
    }
    Some(file.display().to_string())
}

/// A runtime whose namespace `default` is in the mesh.
fn meshed() -> Runtime {
    let runtime = Runtime::start(&[]);
    runtime.kubectl_ok(&["label", "namespace", "default", "istio-injection=enabled"], None);
    runtime
}

fn apply(runtime: &Runtime, file: &str) -> String {
    let output = runtime.kubectl(&["apply", "-f", file], None).unwrap();
    assert!(output.status.success(), "{file}: {}", stderr(&output));
    stderr(&output)
}

fn available(runtime: &Runtime) {
    let wait = ["wait", "--for=condition=Available", "deployments", "--all", "--timeout=60s"];
    let output = runtime.kubectl(&wait, None).unwrap();
    let pods = runtime.kubectl(&["describe", "pods"], None).unwrap();
    assert!(output.status.success(), "{}\n{}", stderr(&output), stdout(&pods));
}

#[test]
fn bookinfo_is_routed_as_its_files_say() {
    let Some(bookinfo) = sample("bookinfo/platform/kube/bookinfo.yaml") else { return };
    let runtime = meshed();
    apply(&runtime, &bookinfo);
    for file in ["bookinfo-gateway.yaml", "destination-rule-all.yaml", "virtual-service-all-v1.yaml"] {
        apply(&runtime, &sample(&format!("bookinfo/networking/{file}")).unwrap());
    }
    available(&runtime);
    let mut visitor = runtime.visitor();
    eventually("the page is served", || (visitor.get("/productpage", &[]).status == 200).then_some(()));
    let all_v1 = |headers: &[(&str, &str)]| {
        let mut visitor = runtime.visitor();
        (0..20).all(|_| visitor.get("/api/v1/products/0/reviews", headers).reviews_version() == "v1")
    };
    eventually("everybody sees v1", || all_v1(&[]).then_some(()));
    apply(&runtime, &sample("bookinfo/networking/virtual-service-reviews-test-v2.yaml").unwrap());
    eventually("jason sees v2", || {
        let answer = runtime.visitor().get("/api/v1/products/0/reviews", &[("end-user", "jason")]);
        (answer.reviews_version() == "v2").then_some(())
    });
    assert!(all_v1(&[]));
}

#[test]
fn every_file_of_bookinfos_networking_is_accepted_or_refused_for_what_is_not_in_force() {
    let Some(folder) = sample("bookinfo/networking") else { return };
    let runtime = meshed();
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(Path::new(&folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 15, "{files:?}");
    for file in files {
        let output = runtime.kubectl(&["apply", "-f", &file.display().to_string()], None).unwrap();
        // What would be less secure than it says is refused, in words.
        let said = stderr(&output);
        assert!(output.status.success() || said.contains("is not in force yet"), "{}: {said}", file.display());
    }
}

#[test]
fn the_small_samples_run() {
    let Some(httpbin) = sample("httpbin/httpbin.yaml") else { return };
    let runtime = meshed();
    apply(&runtime, &httpbin);
    for file in ["curl/curl.yaml", "sleep/sleep.yaml", "helloworld/helloworld.yaml", "tcp-echo/tcp-echo.yaml"] {
        apply(&runtime, &sample(file).unwrap());
    }
    apply(&runtime, &sample("helloworld/helloworld-gateway.yaml").unwrap());
    available(&runtime);
    let exec = |command: &[&str]| {
        let output = runtime.kubectl(&[&["exec", "deploy/curl", "-c", "curl", "--"], command].concat(), None).unwrap();
        stdout(&output)
    };
    eventually("httpbin answers", || {
        let code = exec(&["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "httpbin:8000/status/418"]);
        (code == "418").then_some(())
    });
    let headers = exec(&["curl", "-s", "http://httpbin:8000/headers"]);
    assert!(headers.contains("\"X-Forwarded-Client-Cert\": ["), "{headers}");
    let mut visitor = runtime.visitor();
    eventually("helloworld is reached from outside", || {
        let answer = visitor.get("/hello", &[]);
        answer.body.starts_with("Hello version: v").then_some(())
    });
}

#[test]
fn the_other_manifests_of_bookinfo_are_understood() {
    let Some(ingress) = sample("bookinfo/platform/kube/bookinfo-ingress.yaml") else { return };
    let runtime = meshed();
    let said = apply(&runtime, &ingress);
    assert!(!said.contains("Warning:"), "{said}");
    for file in [
        "bookinfo.yaml",
        "bookinfo-mysql.yaml",
        "bookinfo-db.yaml",
        "bookinfo-ratings-v2.yaml",
        "bookinfo-details-v2.yaml",
    ] {
        apply(&runtime, &sample(&format!("bookinfo/platform/kube/{file}")).unwrap());
    }
    let said = apply(&runtime, &sample("bookinfo/platform/kube/productpage-nodeport.yaml").unwrap());
    assert!(said.contains("node ports"), "{said}");
    available(&runtime);
    let mut visitor = runtime.visitor();
    eventually("the Ingress leads to productpage, and to nothing else", || {
        let shop = visitor.get("/productpage", &[]);
        (shop.status == 200 && visitor.get("/ratings/0", &[]).status == 404).then_some(())
    });
    // One of another class is stored, and said to be that.
    let other = "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: other}\nspec: {ingressClassName: nginx, rules: [{http: \
                 {paths: [{path: /ratings, pathType: Prefix, backend: {service: {name: ratings, port: {number: 9080}}}}]}}]}\n";
    let said = runtime.kubectl(&["apply", "-f", "-"], Some(other)).map(|output| stderr(&output)).unwrap_or_default();
    assert!(said.contains("ingressClassName: istio"), "{said}");
    runtime.kubectl_ok(&["delete", "ingress", "gateway"], None);
    eventually("it is served no more", || (visitor.get("/productpage", &[]).status == 404).then_some(()));
}

#[test]
fn an_image_that_is_not_built_in_says_what_to_do() {
    let runtime = Runtime::start(&[]);
    let Some(_) = runtime.kubectl_ok(&["create", "deployment", "web", "--image=postgres:16"], None) else { return };
    let described = eventually("the pod says why it waits", || {
        let described = runtime.kubectl_ok(&["describe", "pods", "-l", "app=web"], None)?;
        described.contains("not built in").then_some(described)
    });
    assert!(described.contains("ImageNotKnown") && described.contains("Warning"), "{described}");
}
