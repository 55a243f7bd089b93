use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;

fn labels(text: &str) -> BTreeMap<String, String> {
    text.split_whitespace()
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn istio_s_table_of_labels_decides() {
    const INJECT: &str = "sidecar.istio.io/inject=";
    let t = |value: &str| format!("{INJECT}{value}");
    // namespace labels, pod labels, pod annotations, expected, reason
    let table = [
        ("istio-injection=enabled", String::new(), String::new(), true, Reason::NamespaceLabel),
        ("istio-injection=enabled", t("true"), String::new(), true, Reason::PodLabel),
        ("istio-injection=enabled", t("false"), String::new(), false, Reason::PodLabel),
        ("istio-injection=enabled", String::new(), t("false"), false, Reason::PodAnnotation),
        ("istio-injection=enabled", t("true"), t("false"), true, Reason::PodLabel),
        ("istio-injection=enabled", String::new(), t("maybe"), true, Reason::NamespaceLabel),
        ("istio-injection=disabled", String::new(), String::new(), false, Reason::NamespaceLabel),
        ("istio-injection=disabled", t("true"), String::new(), false, Reason::NamespaceLabel),
        ("", String::new(), String::new(), false, Reason::NotAsked),
        ("", t("true"), String::new(), true, Reason::PodLabel),
        ("", t("false"), String::new(), false, Reason::PodLabel),
        ("", String::new(), t("true"), false, Reason::NotAsked),
        ("istio.io/rev=default", String::new(), String::new(), true, Reason::Revision),
        ("istio.io/rev=canary", String::new(), String::new(), false, Reason::OtherRevision),
        ("istio.io/rev=canary", t("true"), String::new(), false, Reason::OtherRevision),
        ("istio-injection=enabled istio.io/rev=canary", String::new(), String::new(), true, Reason::NamespaceLabel),
        ("", "istio.io/rev=default".to_owned(), String::new(), true, Reason::Revision),
        ("", format!("istio.io/rev=canary {}", t("true")), String::new(), false, Reason::OtherRevision),
        (
            "kubernetes.io/metadata.name=kube-system istio-injection=enabled",
            t("true"),
            String::new(),
            false,
            Reason::IgnoredNamespace,
        ),
    ];
    for (namespace, pod, annotations, inject, reason) in table {
        let decision = decide(&labels(namespace), &labels(&pod), &labels(&annotations), false);
        assert_eq!(
            decision,
            Decision { inject, reason },
            "namespace [{namespace}] pod [{pod}] annotations [{annotations}]"
        );
    }
    let enabled = labels("istio-injection=enabled");
    let on_host = decide(&enabled, &labels(&t("true")), &labels(""), true);
    assert_eq!(on_host, Decision { inject: false, reason: Reason::HostNetwork });
    assert!(!decide_for(Injector::asked_as("canary"), &enabled, &labels(""), &labels(""), false).inject);
    assert!(
        decide_for(Injector::asked_as("canary"), &labels("istio.io/rev=canary"), &labels(""), &labels(""), false)
            .inject
    );
}

fn reviews() -> Value {
    json!({
        "metadata": {
            "generateName": "reviews-v2-7d9c6b5f4-",
            "labels": { "app": "reviews", "version": "v2", "pod-template-hash": "7d9c6b5f4" },
            "ownerReferences": [{ "kind": "ReplicaSet", "name": "reviews-v2-7d9c6b5f4", "controller": true }],
        },
        "spec": {
            "containers": [{ "name": "reviews", "image": "reviews" }],
            "initContainers": [{ "name": "migrate", "image": "migrate" }],
        },
    })
}

#[test]
fn the_sidecar_is_native_and_comes_first() {
    let mut pod = reviews();
    let settings = Settings { host: Host::Runtime, ..Settings::default() };
    assert_eq!(inject(&mut pod, &settings).unwrap(), Outcome::Injected);
    let init = pod["spec"]["initContainers"].as_array().unwrap();
    assert_eq!(init.len(), 2);
    assert_eq!((&init[0]["name"], &init[0]["restartPolicy"]), (&json!("istio-proxy"), &json!("Always")));
    assert_eq!(pod["spec"]["containers"].as_array().unwrap().len(), 1);

    let labels = &pod["metadata"]["labels"];
    assert_eq!(labels["security.istio.io/tlsMode"], "istio");
    assert_eq!(labels["service.istio.io/canonical-name"], "reviews");
    assert_eq!(labels["service.istio.io/canonical-revision"], "v2");
    let annotations = &pod["metadata"]["annotations"];
    let status: Value = serde_json::from_str(annotations["sidecar.istio.io/status"].as_str().unwrap()).unwrap();
    assert_eq!(status["initContainers"], json!(["istio-proxy"]));
    assert_eq!(annotations["kubectl.kubernetes.io/default-container"], "reviews");
    let env = init[0]["env"].as_array().unwrap();
    assert!(env.contains(&json!({ "name": "ISTIO_META_WORKLOAD_NAME", "value": "reviews-v2" })));
}

#[test]
fn injecting_twice_changes_nothing() {
    let mut pod = reviews();
    inject(&mut pod, &Settings::default()).unwrap();
    let once = pod.clone();
    assert_eq!(inject(&mut pod, &Settings::default()).unwrap(), Outcome::AlreadyThere);
    assert_eq!(pod, once);
}

#[test]
fn what_the_user_wrote_stays() {
    let mut pod = reviews();
    pod["metadata"]["labels"]["service.istio.io/canonical-name"] = json!("mine");
    pod["metadata"]["labels"]["security.istio.io/tlsMode"] = json!("disabled");
    inject(&mut pod, &Settings::default()).unwrap();
    assert_eq!(pod["metadata"]["labels"]["service.istio.io/canonical-name"], "mine");
    assert_eq!(pod["metadata"]["labels"]["security.istio.io/tlsMode"], "disabled");
}

#[test]
fn a_bare_pod_is_its_own_workload() {
    let mut pod = json!({ "metadata": { "name": "curl" }, "spec": { "containers": [{ "name": "curl" }] } });
    inject(&mut pod, &Settings::default()).unwrap();
    assert_eq!(pod["metadata"]["labels"]["service.istio.io/canonical-name"], "curl");
    assert_eq!(pod["metadata"]["labels"]["service.istio.io/canonical-revision"], "latest");
}

#[test]
fn a_gateway_gets_its_image_and_no_second_proxy() {
    let mut pod = json!({
        "metadata": {
            "name": "istio-ingressgateway-x",
            "annotations": { "inject.istio.io/templates": "gateway" },
            "labels": { "istio": "ingressgateway", "sidecar.istio.io/inject": "true" },
        },
        "spec": { "containers": [{ "name": "istio-proxy", "image": "auto", "env": [{ "name": "TRUST_DOMAIN", "value": "mine" }] }] },
    });
    assert_eq!(inject(&mut pod, &Settings::default()).unwrap(), Outcome::Gateway);
    assert_eq!(pod["spec"]["containers"][0]["image"], "mesh/proxy");
    assert!(pod["spec"].get("initContainers").is_none());
    let env = pod["spec"]["containers"][0]["env"].as_array().unwrap();
    let domains: Vec<_> = env.iter().filter(|variable| variable["name"] == "TRUST_DOMAIN").collect();
    assert_eq!(domains, [&json!({ "name": "TRUST_DOMAIN", "value": "mine" })]);
    let once = pod.clone();
    assert_eq!(inject(&mut pod, &Settings::default()).unwrap(), Outcome::AlreadyThere);
    assert_eq!(pod, once);
}

#[test]
fn what_is_not_a_pod_is_refused_by_name() {
    let error = inject(&mut json!({ "metadata": { "name": "x" } }), &Settings::default()).unwrap_err().to_string();
    assert!(error.contains("pod x") && error.contains("spec"), "{error}");
    let mut odd = json!({ "metadata": { "labels": 3 }, "spec": { "containers": [] } });
    assert!(inject(&mut odd, &Settings::default()).is_err());
}

#[test]
fn a_name_that_is_cut_still_ends_as_a_label_may() {
    let mut pod = reviews();
    pod["metadata"]["labels"] = json!({});
    pod["metadata"]["ownerReferences"] = json!([{
        "kind": "StatefulSet", "name": format!("{}-more", "a".repeat(62)), "controller": true,
    }]);
    inject(&mut pod, &Settings::default()).unwrap();
    assert_eq!(pod["metadata"]["labels"]["service.istio.io/canonical-name"], "a".repeat(62));
}
