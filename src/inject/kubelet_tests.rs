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

fn refusal(annotations: Value) -> String {
    let mut pod = web();
    pod["metadata"]["annotations"] = annotations;
    inject(&mut pod, &Settings::default()).unwrap_err().to_string()
}

fn variable<'v>(container: &'v Value, name: &str) -> &'v Value {
    let mut all = container["env"].as_array().unwrap().iter().filter(|variable| variable["name"] == name);
    let found = all.next().unwrap_or(&Value::Null);
    assert!(all.next().is_none(), "{name} is there once");
    found
}

#[test]
fn what_a_pod_says_about_its_proxy_is_laid_over_what_is_injected() {
    let mut pod = web();
    pod["spec"]["containers"].as_array_mut().unwrap().push(json!({
        "name": "istio-proxy",
        "image": "auto",
        "imagePullPolicy": "Always",
        "resources": {"requests": {"cpu": "123m"}},
        "env": [{"name": "HOST_IP", "value": "10.0.0.1"}, {"name": "MINE", "value": "x"}],
        "volumeMounts": [{"name": "certs", "mountPath": "/etc/certs"}],
        "readinessProbe": {"tcpSocket": {"port": 15021}},
        "securityContext": {"runAsUser": 1234, "readOnlyRootFilesystem": false},
    }));
    let settings = Settings { pull_policy: Some("IfNotPresent".to_owned()), ..Settings::default() };
    assert_eq!(inject(&mut pod, &settings).unwrap(), Outcome::Injected);
    let init = &pod["spec"]["initContainers"];
    assert_eq!(names(init), ["istio-init", "istio-proxy", "migrate"], "wherever the pod has said it");
    assert_eq!(names(&pod["spec"]["containers"]), ["app"]);
    assert_eq!(init[0]["args"], json!(["capture", "--proxy-id=1234"]), "whose traffic is left alone");
    let proxy = &init[1];
    assert_eq!((&proxy["image"], &proxy["imagePullPolicy"]), (&json!("mesh/proxy"), &json!("IfNotPresent")));
    assert_eq!(proxy["restartPolicy"], "Always");
    assert_eq!(proxy["resources"]["requests"]["cpu"], "123m");
    assert_eq!(variable(proxy, "HOST_IP"), &json!({"name": "HOST_IP", "value": "10.0.0.1"}));
    assert_eq!(variable(proxy, "MINE")["value"], "x");
    assert_eq!(variable(proxy, "TRUST_DOMAIN")["value"], "cluster.local");
    assert_eq!(names(&proxy["volumeMounts"]), ["istio-token", "istiod-ca-cert", "certs"]);
    let ready = &proxy["readinessProbe"];
    assert!(ready.get("httpGet").is_none() && ready["tcpSocket"]["port"] == 15021 && ready["periodSeconds"] == 15);
    let security = &proxy["securityContext"];
    assert_eq!((&security["runAsUser"], &security["runAsGroup"]), (&json!(1234), &json!(1337)));
    assert_eq!((&security["readOnlyRootFilesystem"], &security["privileged"]), (&json!(false), &json!(false)));

    let mut named = web();
    named["spec"]["containers"].as_array_mut().unwrap().push(json!({"name": "istio-proxy", "image": "mine/proxy:3"}));
    named["spec"]["initContainers"].as_array_mut().unwrap().push(json!({"name": "istio-init", "args": ["mine"]}));
    inject(&mut named, &Settings { native: false, ..Settings::default() }).unwrap();
    assert_eq!(named["spec"]["containers"][0]["image"], "mine/proxy:3");
    assert_eq!(names(&named["spec"]["initContainers"]), ["istio-init", "migrate"]);
    assert_eq!(named["spec"]["initContainers"][0]["args"], json!(["mine"]));
}

#[test]
fn the_settings_of_proxies_are_the_meshs_and_over_them_the_pods() {
    let mesh = json!({"proxyMetadata": {"A": "mesh", "B": "mesh"}, "concurrency": 2, "drainDuration": "45s"});
    let settings = Settings { proxy: ProxySettings::read(&mesh).unwrap(), ..Settings::default() };
    let own = "proxyMetadata: {B: pod}\nterminationDrainDuration: 20s\nholdApplicationUntilProxyStarts: false\n";
    let pod = injected(&settings, json!({"proxy.istio.io/config": own, "sidecar.istio.io/logLevel": "warning"}));
    let proxy = &pod["spec"]["initContainers"][1];
    assert_eq!(variable(proxy, "A")["value"], "mesh");
    assert_eq!(variable(proxy, "B")["value"], "pod");
    assert_eq!(variable(proxy, LINGER)["value"], "20s");
    assert_eq!(variable(proxy, "RUST_LOG")["value"], "warn");
    assert!(proxy.get("startupProbe").is_none(), "the application does not wait");
    assert_eq!(proxy["args"].as_array().unwrap()[3..], [json!("--workers"), json!("2")]);
    let name = "traffic.sidecar.istio.io/excludeOutboundPorts";
    let everywhere =
        Settings { annotations: [(name.to_owned(), "3306".to_owned())].into_iter().collect(), ..Settings::default() };
    let pod = injected(&everywhere, json!({}));
    assert_eq!(pod["spec"]["initContainers"][0]["args"], json!(["capture", "--exclude-outbound-ports=3306"]));
    assert!(pod["metadata"]["annotations"].get(name).is_none(), "the pod has not said it");
    let own = injected(&everywhere, json!({name: "5432"}));
    assert_eq!(own["spec"]["initContainers"][0]["args"], json!(["capture", "--exclude-outbound-ports=5432"]));
    let classic = Settings { native: false, ..Settings::default() };
    let unheld = injected(&classic, json!({"proxy.istio.io/config": "holdApplicationUntilProxyStarts: false"}));
    assert!(unheld["spec"]["containers"][0].get("lifecycle").is_none());

    for (annotation, value, said) in [
        ("proxy.istio.io/config", "concurrency: many", "a number of threads"),
        ("proxy.istio.io/config", "- a", "no mapping"),
        ("sidecar.istio.io/logLevel", "loud", "none of trace"),
        ("readiness.status.sidecar.istio.io/periodSeconds", "often", "no whole number"),
        ("sidecar.istio.io/userVolume", "[]", "no JSON mapping"),
        ("inject.istio.io/templates", "sidecar,spire", "there is no template \"spire\""),
        ("inject.istio.io/templates", "grpc-agent", "there are sidecar and gateway"),
        ("inject.istio.io/templates", "sidecar,gateway", "a pod is one of them"),
    ] {
        let error = refusal(json!({annotation: value}));
        assert!(error.contains(annotation) && error.contains(said), "{error}");
    }
}

#[test]
fn volumes_secrets_and_readiness_that_are_asked_for_are_there() {
    let settings = Settings { pull_secrets: vec!["registry".to_owned()], ..Settings::default() };
    let pod = injected(
        &settings,
        json!({
            "sidecar.istio.io/userVolume": r#"{"certs": {"secret": {"secretName": "x"}}}"#,
            "sidecar.istio.io/userVolumeMount": r#"{"certs": {"mountPath": "/etc/certs", "readOnly": true}}"#,
            "readiness.status.sidecar.istio.io/periodSeconds": "5",
            "inject.istio.io/templates": "sidecar,sidecar",
        }),
    );
    assert_eq!(names(&pod["spec"]["imagePullSecrets"]), ["registry"]);
    assert_eq!(names(&pod["spec"]["volumes"]), ["data", "istio-token", "istiod-ca-cert", "certs"]);
    let proxy = &pod["spec"]["initContainers"][1];
    assert_eq!(proxy["readinessProbe"]["periodSeconds"], 5);
    let mount = proxy["volumeMounts"].as_array().unwrap().last().unwrap();
    assert_eq!(mount, &json!({"name": "certs", "mountPath": "/etc/certs", "readOnly": true}));
}

#[test]
fn what_is_not_heeded_is_said() {
    let mut pod = web();
    assert_eq!(unheeded(&pod), Vec::<String>::new());
    pod["metadata"]["annotations"] = json!({"traffic.sidecar.istio.io/excludeInterfaces": "eth1"});
    pod["spec"]["securityContext"] = json!({"runAsUser": 1337});
    let said = unheeded(&pod).join("\n");
    assert!(said.contains("excludeInterfaces is not in force") && said.contains("container app runs as user 1337"));
}

#[test]
fn a_gateway_may_listen_on_every_port() {
    let pod = |own: Value| {
        let mut pod = json!({
            "metadata": {"name": "gw", "annotations": {"inject.istio.io/templates": "gateway"}},
            "spec": {"containers": [{"name": "istio-proxy", "image": "auto", "imagePullPolicy": "Always"}], "securityContext": own},
        });
        let settings = Settings { pull_policy: Some("IfNotPresent".to_owned()), ..Settings::default() };
        inject(&mut pod, &settings).unwrap();
        pod["spec"].take()
    };
    let spec = pod(json!({"fsGroup": 1337}));
    let sysctls = json!([{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]);
    assert_eq!(spec["securityContext"], json!({"fsGroup": 1337, "sysctls": sysctls}));
    assert_eq!(spec["containers"][0]["imagePullPolicy"], "IfNotPresent");
    assert_eq!(pod(json!({"sysctls": []}))["securityContext"]["sysctls"], json!([]));
}
