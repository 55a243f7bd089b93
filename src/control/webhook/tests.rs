//! Reviews, from the bytes that the API server sends to the bytes that it gets.

use serde_json::{Value, json};

use super::review::{Answer, Asked, inject, validate};
use super::*;

fn review(operation: &str, group: &str, kind: &str, object: &Value) -> Value {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "7", "operation": operation, "kind": {"group": group, "version": "v1", "kind": kind},
        "namespace": "shop", "name": "x", "object": object,
    }})
}

fn pod(labels: &Value) -> Value {
    json!({"metadata": {"generateName": "web-", "labels": labels}, "spec": {"containers": [{"name": "app"}]}})
}

#[test]
fn a_pod_gets_its_sidecar_as_a_patch_of_what_was_sent() {
    let object = pod(&json!({"app": "web"}));
    let review = review("CREATE", "", "Pod", &object);
    let asked = Asked::of(&review).unwrap();
    let answer = inject(&asked, &inject::Settings::default());
    let Answer::Allowed { patch: Some(patch), .. } = &answer else { panic!("{answer:?}") };
    let mut patched = object;
    let operations: json_patch::Patch = serde_json::from_value(patch.clone()).unwrap();
    json_patch::patch(&mut patched, &operations).unwrap();
    let names: Vec<&Value> =
        patched["spec"]["initContainers"].as_array().unwrap().iter().map(|container| &container["name"]).collect();
    assert_eq!(names, ["istio-init", "istio-proxy"]);

    let sent = answer.review(asked.uid);
    assert_eq!((&sent["response"]["uid"], &sent["response"]["allowed"]), (&json!("7"), &json!(true)));
    assert_eq!(sent["response"]["patchType"], "JSONPatch");
    let encoded: k8s_openapi::ByteString = serde_json::from_value(sent["response"]["patch"].clone()).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&encoded.0).unwrap(), *patch);
}

#[test]
fn a_pod_that_is_to_have_none_is_let_through_and_one_that_cannot_is_refused_in_words() {
    let settings = inject::Settings::default();
    let unchanged = Answer::Allowed { patch: None, warnings: Vec::new() };
    let host = json!({"metadata": {}, "spec": {"hostNetwork": true, "containers": [{"name": "app"}]}});
    for (operation, kind, object) in [
        ("CREATE", "Pod", pod(&json!({"sidecar.istio.io/inject": "false"}))),
        ("CREATE", "Pod", host),
        ("UPDATE", "Pod", pod(&json!({}))),
        ("CREATE", "Service", json!({})),
    ] {
        let review = review(operation, "", kind, &object);
        assert_eq!(inject(&Asked::of(&review).unwrap(), &settings), unchanged, "{operation} {object}");
    }
    let mut odd = pod(&json!({}));
    odd["metadata"]["annotations"] = json!({"traffic.sidecar.istio.io/excludeInboundPorts": "http"});
    let review = review("CREATE", "", "Pod", &odd);
    let Answer::Denied { code: 422, message } = inject(&Asked::of(&review).unwrap(), &settings) else { panic!() };
    assert!(message.contains("excludeInboundPorts") && message.contains("\"http\" is not a port"), "{message}");
}

#[test]
fn an_object_of_the_mesh_is_refused_or_warned_about_as_mesh_validate_does() {
    let service = |spec: Value| {
        json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"name": "x", "namespace": "shop"}, "spec": spec})
    };
    let route = json!([{"route": [{"destination": {"host": "web"}}]}]);
    let group = "networking.istio.io";
    let good = review("CREATE", group, "VirtualService", &service(json!({"hosts": ["web"], "http": route})));
    assert_eq!(validate(&Asked::of(&good).unwrap()), Answer::Allowed { patch: None, warnings: Vec::new() });
    let mut bad = review("UPDATE", group, "VirtualService", &service(json!({"hosts": ["a..b"], "http": route})));
    let Answer::Denied { code: 422, message } = validate(&Asked::of(&bad).unwrap()) else { panic!() };
    assert!(
        message.starts_with("VirtualService.networking.istio.io \"x\" is invalid: spec.hosts[0] is no host name"),
        "{message}"
    );

    // What is on its way out may lose its finalizers, whatever it says.
    bad["request"]["object"]["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert!(matches!(validate(&Asked::of(&bad).unwrap()), Answer::Allowed { .. }));
    let unknown = review("CREATE", "example.com", "Thing", &json!({"spec": 1}));
    assert!(matches!(validate(&Asked::of(&unknown).unwrap()), Answer::Allowed { .. }));
}

#[test]
fn what_is_no_review_asks_nothing() {
    assert!(Asked::of(&json!({})).is_none());
    let mut old = review("CREATE", "", "Pod", &json!({}));
    old["apiVersion"] = json!("admission.k8s.io/v1beta1");
    assert!(Asked::of(&old).is_none());
}

#[test]
fn a_remote_cluster_says_which_it_is() {
    assert_eq!(cluster_of("/inject"), None);
    assert_eq!(cluster_of("/inject/cluster/east/net/n1").as_deref(), Some("east"));
    assert_eq!(cluster_of("/inject/cluster/a--slash--b/net/").as_deref(), Some("a/b"));
    assert_eq!(cluster_of("/inject/cluster/"), None);
}
