//! Pods that a kubelet runs: capture, volumes, probes, native and classic sidecars.

use serde_json::{Value, json};

use super::*;

fn web() -> Value {
    json!({
        "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {
            "initContainers": [{"name": "migrate"}],
            "containers": [{
                "name": "app",
                "ports": [{"name": "http", "containerPort": 8080}],
                "startupProbe": {"exec": {"command": ["true"]}},
                "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 3, "timeoutSeconds": 2},
                "livenessProbe": {"tcpSocket": {"port": 8080}},
                "lifecycle": {"preStop": {"httpGet": {"path": "/stop", "port": 8081}}},
            }],
            "volumes": [{"name": "data", "emptyDir": {}}],
        },
    })
}

fn injected(settings: &Settings, annotations: Value) -> Value {
    let mut pod = web();
    pod["metadata"]["annotations"] = annotations;
    assert_eq!(inject(&mut pod, settings).unwrap(), Outcome::Injected);
    pod
}

fn names(containers: &Value) -> Vec<&str> {
    containers.as_array().unwrap().iter().map(|container| container["name"].as_str().unwrap()).collect()
}

#[test]
fn traffic_is_captured_before_the_proxy_starts_and_the_proxy_before_everything_else() {
    let pod = injected(&Settings::default(), json!({}));
    let init = &pod["spec"]["initContainers"];
    assert_eq!(names(init), ["istio-init", "istio-proxy", "migrate"]);
    assert_eq!(init[0]["args"], json!(["capture"]));
    assert_eq!(init[0]["securityContext"]["capabilities"], json!({"add": ["NET_ADMIN"], "drop": ["ALL"]}));
    assert_eq!(init[1]["args"], json!(["proxy", "--xds-address", "istiod.istio-system.svc:15012"]));
    assert_eq!(init[1]["securityContext"]["runAsUser"], 1337);
    assert_eq!(names(&pod["spec"]["volumes"]), ["data", "istio-token", "istiod-ca-cert"]);
    let status: Value =
        serde_json::from_str(pod["metadata"]["annotations"]["sidecar.istio.io/status"].as_str().unwrap()).unwrap();
    assert_eq!(status["initContainers"], json!(["istio-init", "istio-proxy"]));
    assert_eq!(status["volumes"], json!(["istio-token", "istiod-ca-cert"]));
}

#[test]
fn probes_and_hooks_are_asked_through_the_proxy() {
    let pod = injected(&Settings::default(), json!({}));
    let app = &pod["spec"]["containers"][0];
    let asked = |path: &str| json!({"path": path, "port": 15020});
    assert_eq!(app["readinessProbe"]["httpGet"], asked("/app-health/app/readyz"));
    assert_eq!(app["readinessProbe"]["periodSeconds"], 3);
    assert_eq!(app["livenessProbe"], json!({"httpGet": asked("/app-health/app/livez")}));
    assert_eq!(app["lifecycle"]["preStop"], json!({"httpGet": asked("/app-lifecycle/app/prestopz")}));
    assert_eq!(app["startupProbe"], json!({"exec": {"command": ["true"]}}), "a command is run in the pod anyway");

    let env = pod["spec"]["initContainers"][1]["env"].as_array().unwrap();
    let known = env.iter().find(|variable| variable["name"] == APPLICATION_PROBES).unwrap();
    let known: Value = serde_json::from_str(known["value"].as_str().unwrap()).unwrap();
    let ready = json!({"httpGet": {"path": "/ready", "port": 8080}, "timeoutSeconds": 2});
    assert_eq!(known["/app-health/app/readyz"], ready);
    assert_eq!(known["/app-health/app/livez"], json!({"tcpSocket": {"port": 8080}}));

    let mut grpc = web();
    grpc["spec"]["containers"][0]["readinessProbe"] =
        json!({"grpc": {"port": 9090, "service": "ready"}, "periodSeconds": 3});
    assert_eq!(inject(&mut grpc, &Settings::default()).unwrap(), Outcome::Injected);
    let asked = json!({"httpGet": asked("/app-health/app/readyz"), "periodSeconds": 3});
    assert_eq!(grpc["spec"]["containers"][0]["readinessProbe"], asked);

    let left = injected(&Settings::default(), json!({"sidecar.istio.io/rewriteAppHTTPProbers": "false"}));
    assert_eq!(left["spec"]["containers"], web()["spec"]["containers"]);
}

#[test]
fn a_classic_sidecar_holds_the_others_back() {
    let classic = Settings { native: false, ..Settings::default() };
    for pod in [
        injected(&classic, json!({})),
        injected(&Settings::default(), json!({"sidecar.istio.io/nativeSidecar": "false"})),
    ] {
        assert_eq!(names(&pod["spec"]["initContainers"]), ["istio-init", "migrate"]);
        assert_eq!(names(&pod["spec"]["containers"]), ["istio-proxy", "app"]);
        let proxy = &pod["spec"]["containers"][0];
        assert_eq!(proxy["lifecycle"]["postStart"]["exec"]["command"], json!(["mesh", "await-proxy"]));
        let env = proxy["env"].as_array().unwrap();
        assert!(env.contains(&json!({"name": LINGER, "value": "5s"})), "the application may have something to say yet");
        assert!(proxy.get("restartPolicy").is_none() && proxy.get("startupProbe").is_none());
    }
    let native = injected(&classic, json!({"sidecar.istio.io/nativeSidecar": "true"}));
    assert_eq!(names(&native["spec"]["initContainers"]), ["istio-init", "istio-proxy", "migrate"]);
}

#[test]
fn annotations_say_what_is_captured_and_what_the_proxy_gets() {
    let pod = injected(
        &Settings { resources: Some(json!({"requests": {"cpu": "10m"}})), ..Settings::default() },
        json!({
            "traffic.sidecar.istio.io/excludeOutboundIPRanges": "10.0.0.0/8, 192.168.1.1/32",
            "traffic.sidecar.istio.io/includeInboundPorts": "",
            "sidecar.istio.io/proxyCPU": "50m",
            "sidecar.istio.io/proxyMemoryLimit": "64Mi",
            "sidecar.istio.io/proxyImage": "mine/proxy:2",
        }),
    );
    let init = &pod["spec"]["initContainers"];
    let arguments = json!(["capture", "--inbound-ports=", "--exclude-outbound-ranges=10.0.0.0/8,192.168.1.1/32"]);
    assert_eq!(init[0]["args"], arguments);
    assert_eq!(init[1]["image"], "mine/proxy:2");
    assert_eq!(init[1]["resources"], json!({"requests": {"cpu": "50m"}, "limits": {"memory": "64Mi"}}));

    let none = injected(&Settings::default(), json!({"sidecar.istio.io/interceptionMode": "NONE"}));
    assert_eq!(names(&none["spec"]["initContainers"]), ["istio-proxy", "migrate"]);
    for (annotation, value, said) in [
        ("sidecar.istio.io/interceptionMode", "TPROXY", "not in force"),
        ("traffic.sidecar.istio.io/excludeOutboundPorts", "0", "not a port"),
        ("traffic.sidecar.istio.io/includeOutboundIPRanges", "10.0.0.0/40", "not a range"),
        ("sidecar.istio.io/nativeSidecar", "maybe", "neither true nor false"),
    ] {
        let mut pod = web();
        pod["metadata"]["annotations"] = json!({annotation: value});
        let before = pod.clone();
        let error = inject(&mut pod, &Settings::default()).unwrap_err().to_string();
        assert!(error.contains("pod web") && error.contains(annotation) && error.contains(said), "{error}");
        assert_eq!(pod, before);
    }
}

#[test]
fn a_gateway_proves_itself_and_listens_for_everybody() {
    let mut pod = json!({
        "metadata": {"name": "gw", "annotations": {"inject.istio.io/templates": "gateway"}},
        "spec": {"containers": [{"name": "istio-proxy", "image": "auto"}]},
    });
    assert_eq!(inject(&mut pod, &Settings::default()).unwrap(), Outcome::Gateway);
    let proxy = &pod["spec"]["containers"][0];
    let arguments = ["proxy", "--xds-address", "istiod.istio-system.svc:15012", "--router", "--bind", "0.0.0.0"];
    assert_eq!(proxy["args"], json!(arguments));
    assert_eq!(names(&proxy["volumeMounts"]), ["istio-token", "istiod-ca-cert"]);
    assert_eq!(names(&pod["spec"]["volumes"]), ["istio-token", "istiod-ca-cert"]);
    assert!(pod["spec"].get("initContainers").is_none());
    let mut own = json!({
        "metadata": {"name": "gw", "annotations": {"inject.istio.io/templates": "gateway", "sidecar.istio.io/proxyImage": "mine/proxy:2"}},
        "spec": {"containers": [{"name": "istio-proxy", "image": "auto"}]},
    });
    inject(&mut own, &Settings::default()).unwrap();
    assert_eq!(own["spec"]["containers"][0]["image"], "mine/proxy:2");
}

#[test]
fn the_built_in_runtime_gets_the_sidecar_alone() {
    let runtime = Settings { host: Host::Runtime, ..Settings::default() };
    let pod = injected(&runtime, json!({}));
    assert_eq!(names(&pod["spec"]["initContainers"]), ["istio-proxy", "migrate"]);
    assert_eq!(pod["spec"]["initContainers"][0]["args"], json!(["proxy"]));
    assert_eq!(pod["spec"]["containers"], web()["spec"]["containers"]);
    assert_eq!(pod["spec"]["volumes"], web()["spec"]["volumes"]);
}
