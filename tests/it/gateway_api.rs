//! The Gateway API on the built-in runtime: Istio's own sample files, unmodified. Skipped where they, or kubectl, are not at hand.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Runtime, eventually, repository, stderr};

fn sample(path: &str) -> Option<String> {
    let file: PathBuf = repository("../shared/upstream/samples").join(path);
    if !file.exists() || Command::new("kubectl").arg("version").arg("--client").output().is_err() {
        println!("skipped: no {} or no kubectl", file.display());
        return None;
    }
    Some(file.display().to_string())
}

fn apply(runtime: &Runtime, file: &str) {
    let output = runtime.mesh(&["apply", "-f", file]);
    assert!(output.status.success(), "{file}: {}", stderr(&output));
}

/// `type=status` of the conditions at a path of an object.
fn conditions(runtime: &Runtime, kind: &str, name: &str, path: &str) -> Vec<String> {
    let output = runtime.kubectl_ok(&["get", kind, name, "-o", "json"], None).unwrap_or_default();
    let object: serde_json::Value = serde_json::from_str(&output).unwrap_or_default();
    let conditions = object.pointer(path).and_then(|conditions| conditions.as_array().cloned()).unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    conditions.iter().map(|c| format!("{}={}", text(&c["type"]), text(&c["status"]))).collect()
}

#[test]
fn bookinfo_is_served_by_a_gateway_of_the_gateway_api() {
    let Some(bookinfo) = sample("bookinfo/platform/kube/bookinfo.yaml") else { return };
    let runtime = Runtime::start(&[]);
    runtime.kubectl_ok(&["label", "namespace", "default", "istio-injection=enabled"], None);
    apply(&runtime, &bookinfo);
    apply(&runtime, &sample("bookinfo/platform/kube/bookinfo-versions.yaml").unwrap());
    apply(&runtime, &sample("bookinfo/gateway-api/bookinfo-gateway.yaml").unwrap());
    eventually("the page is served", || {
        let served = std::net::TcpStream::connect(runtime.ingress.trim_start_matches("http://")).is_ok();
        (served && runtime.visitor().get("/productpage", &[]).status == 200).then_some(())
    });
    assert_eq!(runtime.visitor().get("/productpagex", &[]).status, 404);

    let version = |wanted: &str| {
        let mut visitor = runtime.visitor();
        (0..20).all(|_| visitor.get("/api/v1/products/0/reviews", &[]).reviews_version() == wanted)
    };
    for (file, wanted) in [("route-reviews-v1.yaml", "v1"), ("route-reviews-v3.yaml", "v3")] {
        apply(&runtime, &sample(&format!("bookinfo/gateway-api/{file}")).unwrap());
        eventually(file, || version(wanted).then_some(()));
    }

    eventually("the gateway's status is written", || {
        let found =
            conditions(&runtime, "gateways.gateway.networking.k8s.io", "bookinfo-gateway", "/status/conditions");
        (found == ["Accepted=True", "Programmed=True"]).then_some(())
    });
    for (route, parent) in [("bookinfo", "a Gateway"), ("reviews", "a Service")] {
        eventually(parent, || {
            let found = conditions(&runtime, "httproutes", route, "/status/parents/0/conditions");
            (found == ["Accepted=True", "ResolvedRefs=True"]).then_some(())
        });
    }
    assert_eq!(conditions(&runtime, "gatewayclasses", "istio", "/status/conditions"), ["Accepted=True"]);

    // What was deployed for a Gateway goes with it, and a route that stays is told so.
    runtime.kubectl_ok(&["delete", "gateways.gateway.networking.k8s.io", "bookinfo-gateway"], None);
    eventually("its deployment is gone", || {
        let found = runtime.kubectl(&["get", "deployments", "bookinfo-gateway-istio"], None)?;
        (!found.status.success()).then_some(())
    });
    eventually("nothing is said of the route any more", || {
        conditions(&runtime, "httproutes", "bookinfo", "/status/parents/0/conditions").is_empty().then_some(())
    });
}

#[test]
fn connections_and_added_listeners_are_served_on_a_gateways_own_address() {
    let Some(echo) = sample("tcp-echo/tcp-echo.yaml") else { return };
    let runtime = Runtime::start(&[]);
    runtime.kubectl_ok(&["label", "namespace", "default", "istio-injection=enabled"], None);
    apply(&runtime, &echo);
    let objects = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: front}
spec:
  gatewayClassName: istio
  allowedListeners: {namespaces: {from: Same}}
  listeners: [{name: http, port: 8080, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: more}
spec:
  parentRef: {name: front}
  listeners: [{name: raw, port: 31400, protocol: TCP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {name: echo}
spec:
  parentRefs: [{name: more, kind: ListenerSet}]
  rules: [{backendRefs: [{name: tcp-echo, port: 9000}]}]
";
    runtime.kubectl_ok(&["apply", "-f", "-"], Some(objects)).unwrap();
    eventually("the ListenerSet is in force", || {
        let found = conditions(&runtime, "listenersets", "more", "/status/conditions");
        (found == ["Accepted=True", "Programmed=True"]).then_some(())
    });
    eventually("the route is attached", || {
        let found = conditions(&runtime, "tcproutes", "echo", "/status/parents/0/conditions");
        (found == ["Accepted=True", "ResolvedRefs=True"]).then_some(())
    });
    let pods = [
        "get",
        "pods",
        "-l",
        "gateway.networking.k8s.io/gateway-name=front",
        "-o",
        "jsonpath={.items[0].status.podIP}",
    ];
    eventually("a connection is carried", || {
        let address = runtime.kubectl_ok(&pods, None)?;
        let mut stream = std::net::TcpStream::connect((address.trim(), 31400)).ok()?;
        stream.set_read_timeout(Some(std::time::Duration::from_secs(5))).ok()?;
        stream.write_all(b"world\n").ok()?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).ok()?;
        (&answer == b"hello world\n").then_some(())
    });
}

#[test]
fn objects_that_come_back_under_their_names_at_once_are_deployed_and_told_anew() {
    let executor = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let runtime = Runtime::start(&[]);
    let connecting = runtime.client();
    executor.block_on(async {
        let client = connecting.await;
        let kinds = ["gateways", "httproutes"];
        let all = |kind: &str| format!("/apis/gateway.networking.k8s.io/v1/namespaces/default/{kind}");
        let one = |kind: &str| format!("{}/front", all(kind));
        let object = |kind: &str, spec: Value| {
            json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": kind, "metadata": {"name": "front"}, "spec": spec})
        };
        let listener = json!({"name": "http", "port": 8088, "protocol": "HTTP"});
        let objects = [
            object("Gateway", json!({"gatewayClassName": "istio", "listeners": [listener]})),
            object("HTTPRoute", json!({"parentRefs": [{"name": "front"}]})),
        ];
        let ask = async |request: http::request::Builder, body: Vec<u8>| {
            client.request::<Value>(request.body(body).unwrap()).await
        };
        let make = async || {
            for (kind, object) in kinds.iter().zip(&objects) {
                ask(http::Request::post(all(kind)), object.to_string().into_bytes()).await.unwrap();
            }
        };
        let uid = |object: &Value| object["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        // The uid of the Gateway, once everything is as it should be around it.
        let settled = async || {
            let deadline = Instant::now() + Duration::from_secs(30);
            loop {
                let gateway = ask(http::Request::get(one("gateways")), Vec::new()).await.unwrap();
                let route = ask(http::Request::get(one("httproutes")), Vec::new()).await.unwrap();
                let deployment = "/apis/apps/v1/namespaces/default/deployments/front-istio";
                let deployment = ask(http::Request::get(deployment), Vec::new()).await.unwrap_or_default();
                let owner = &deployment["metadata"]["ownerReferences"][0]["uid"];
                let is_told = gateway.pointer("/status/conditions/0/status").is_some_and(|status| status == "True")
                    && route.pointer("/status/parents/0/conditions/0/status").is_some_and(|status| status == "True");
                if is_told && *owner == uid(&gateway) && deployment["metadata"]["deletionTimestamp"].is_null() {
                    return uid(&gateway);
                }
                assert!(Instant::now() < deadline, "{gateway:#} {route:#} {deployment:#}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        make().await;
        let first = settled().await;
        for kind in kinds {
            ask(http::Request::delete(one(kind)), Vec::new()).await.unwrap();
        }
        make().await;
        assert_ne!(settled().await, first);
    });
}
