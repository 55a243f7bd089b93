use serde_json::{Value, json};

use super::order::rank;
use super::*;
use crate::kube::ObjectRef;
use crate::yaml;

fn layers(profile: &str, set: &[&str]) -> Layers {
    Layers {
        profile: Some(profile.to_owned()),
        set: set.iter().map(|text| text.parse().unwrap()).collect(),
        ..Layers::default()
    }
}

fn try_plan(profile: &str, set: &[&str]) -> Result<Plan, Error> {
    Ok(Plan::new(layers(profile, set).settings()?, Platform::Kubernetes))
}

fn objects(profile: &str, set: &[&str]) -> Vec<Value> {
    render(&try_plan(profile, set).unwrap()).unwrap()
}

/// `Kind name` of everything but definitions.
fn names(objects: &[Value]) -> Vec<String> {
    let references = objects.iter().map(|object| ObjectRef::of(object).unwrap());
    references
        .filter(|object| object.kind != "CustomResourceDefinition")
        .map(|object| format!("{} {}", object.kind, object.name))
        .collect()
}

fn find<'v>(objects: &'v [Value], kind: &str, name: &str) -> &'v Value {
    let found = objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("{kind} {name} is not among {:?}", names(objects)))
}

#[test]
fn the_default_profile_consists_of_istios_objects_in_the_order_of_application() {
    assert_eq!(
        names(&objects("default", &[])),
        [
            "ServiceAccount istio-reader-service-account",
            "ServiceAccount istiod",
            "ClusterRole istio-reader-clusterrole-istio-system",
            "ClusterRole istiod-clusterrole-istio-system",
            "ClusterRoleBinding istio-reader-clusterrole-istio-system",
            "ClusterRoleBinding istiod-clusterrole-istio-system",
            "Role istiod",
            "RoleBinding istiod",
            "ConfigMap istio",
            "Service istiod",
            "Deployment istiod",
            "HorizontalPodAutoscaler istiod",
            "MutatingWebhookConfiguration istio-sidecar-injector",
            "ValidatingWebhookConfiguration istio-validator-istio-system",
            "ServiceAccount istio-ingressgateway-service-account",
            "Role istio-ingressgateway-sds",
            "RoleBinding istio-ingressgateway-sds",
            "Service istio-ingressgateway",
            "Deployment istio-ingressgateway",
            "HorizontalPodAutoscaler istio-ingressgateway",
        ]
    );
}

#[test]
fn every_profile_renders_sound_manifests_and_always_the_same() {
    for (name, _) in profiles() {
        let rendered = objects(name, &[]);
        let text = yaml::to_string_all(&rendered);
        assert_eq!(text, yaml::to_string_all(&objects(name, &[])), "{name}");
        assert!(!text.contains("${"), "{name}");
        let loaded = yaml::load(name, text.as_bytes());
        assert!(loaded.errors.is_empty());
        let again: Vec<Value> = loaded.documents.into_iter().map(|document| document.value).collect();
        assert_eq!(again, rendered, "{name}");
        assert!(rendered.is_sorted_by_key(rank), "{name}");
        for object in &rendered {
            assert!(component_of(object).is_some() && object["metadata"]["labels"][MANAGED_BY.0] == MANAGED_BY.1);
        }
        let mut references: Vec<String> =
            rendered.iter().map(|object| ObjectRef::of(object).unwrap().to_string()).collect();
        references.sort();
        references.dedup();
        assert_eq!(references.len(), rendered.len(), "{name} has an object twice");
    }
}

/// Kinds that a built-in kind has are read as their types: a field that does not survive is misspelt.
#[test]
fn the_manifests_have_no_fields_that_kubernetes_does_not_know() {
    use k8s_openapi::api::{admissionregistration::v1 as admission, apps, autoscaling, core, policy, rbac};
    use serde::{Serialize, de::DeserializeOwned};

    fn survives<T: DeserializeOwned + Serialize>(value: &Value) -> Value {
        let typed: T = serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{error}: {value}"));
        serde_json::to_value(typed).unwrap()
    }
    for (name, set) in [("demo", vec!["revision=canary"]), ("stable", vec!["values.pilot.autoscaleMin=2"])] {
        for object in objects(name, &set) {
            let kept = match object["kind"].as_str().unwrap() {
                "ServiceAccount" => survives::<core::v1::ServiceAccount>(&object),
                "ConfigMap" => survives::<core::v1::ConfigMap>(&object),
                "Service" => survives::<core::v1::Service>(&object),
                "Deployment" => survives::<apps::v1::Deployment>(&object),
                "ClusterRole" => survives::<rbac::v1::ClusterRole>(&object),
                "ClusterRoleBinding" => survives::<rbac::v1::ClusterRoleBinding>(&object),
                "Role" => survives::<rbac::v1::Role>(&object),
                "RoleBinding" => survives::<rbac::v1::RoleBinding>(&object),
                "HorizontalPodAutoscaler" => survives::<autoscaling::v2::HorizontalPodAutoscaler>(&object),
                "PodDisruptionBudget" => survives::<policy::v1::PodDisruptionBudget>(&object),
                "MutatingWebhookConfiguration" => survives::<admission::MutatingWebhookConfiguration>(&object),
                "ValidatingWebhookConfiguration" => survives::<admission::ValidatingWebhookConfiguration>(&object),
                "ValidatingAdmissionPolicy" => survives::<admission::ValidatingAdmissionPolicy>(&object),
                "ValidatingAdmissionPolicyBinding" => survives::<admission::ValidatingAdmissionPolicyBinding>(&object),
                "CustomResourceDefinition" => continue,
                other => panic!("{other} is not held against its type"),
            };
            assert_eq!(kept, object);
        }
    }
}

#[test]
fn profiles_differ_as_their_summaries_say() {
    let demo = objects("demo", &[]);
    find(&demo, "Deployment", "istio-egressgateway");
    assert!(!names(&demo).iter().any(|name| name.starts_with("HorizontalPodAutoscaler")));
    let mesh = find(&demo, "ConfigMap", "istio")["data"]["mesh"].as_str().unwrap();
    assert!(mesh.contains("accessLogFile: /dev/stdout") && mesh.contains("sampling: 100"), "{mesh}");
    assert!(objects("empty", &[]).is_empty());
    assert!(!names(&objects("minimal", &[])).iter().any(|name| name.contains("gateway")));
    assert!(names(&objects("stable", &[])).iter().any(|name| name.starts_with("ValidatingAdmissionPolicy ")));
    let remote = objects("remote", &[]);
    assert!(!names(&remote).iter().any(|name| name == "Deployment istiod"));
    let hook = find(&remote, "MutatingWebhookConfiguration", "istio-sidecar-injector");
    assert_eq!(hook["webhooks"][0]["clientConfig"]["service"]["path"], "/inject/cluster/Kubernetes/net/");
    let openshift = objects("openshift", &[]);
    let pod = &find(&openshift, "Deployment", "istiod")["spec"]["template"]["spec"];
    assert!(pod.get("securityContext").is_none() && pod["containers"][0]["securityContext"].get("runAsUser").is_none());
    for ambient in ["ambient", "openshift-ambient"] {
        let error = try_plan(ambient, &[]).unwrap_err().to_string();
        assert!(error.contains("ambient mode, which mesh does not have yet"), "{error}");
    }
    assert!(try_plan("deflaut", &[]).unwrap_err().to_string().contains("default, demo"));
}

#[test]
fn settings_have_the_types_that_they_need_whatever_they_look_like() {
    let rendered = objects(
        "default",
        &[
            "tag=1.20",
            "hub=registry.example.com:5000/mesh",
            "values.pilot.autoscaleEnabled=false",
            "values.pilot.replicaCount=3",
            "values.pilot.env.VERBOSE=true",
            r"components.pilot.k8s.nodeSelector.kubernetes\.io/os=linux",
            "components.ingressGateways[0].k8s.replicaCount=2",
            "values.gateways.istio-ingressgateway.autoscaleEnabled=false",
            "components.pilot.k8s.resources={requests: {cpu: 1}}",
        ],
    );
    let istiod = &find(&rendered, "Deployment", "istiod")["spec"];
    let container = &istiod["template"]["spec"]["containers"][0];
    assert_eq!(istiod["replicas"], 3);
    assert_eq!(container["resources"]["requests"]["cpu"], 1);
    assert_eq!(istiod["template"]["spec"]["nodeSelector"]["kubernetes.io/os"], "linux");
    assert_eq!(container["image"], "registry.example.com:5000/mesh/proxy:1.2");
    let verbose = container["env"].as_array().unwrap().iter().find(|variable| variable["name"] == "VERBOSE").unwrap();
    assert_eq!(verbose["value"], "true");
    assert_eq!(find(&rendered, "Deployment", "istio-ingressgateway")["spec"]["replicas"], 2);
}

#[test]
fn settings_that_do_not_exist_or_do_not_fit_are_refused_with_their_path() {
    for (set, expected) in [
        ("values.global.prxy.logLevel=debug", "values.global.prxy is not a field of this kind: did you mean `proxy`?"),
        ("values.pilot.autoscaleEnabled=maybe", "has to be true or false"),
        ("values.pilot.replicaCount=many", "values.pilot.replicaCount has to be a whole number"),
        ("components.cni.enabled=true", "belongs to ambient mode"),
        ("components.ingressGateways[name:x].enabled=true", "leads to nothing"),
        ("revision=Not_A_Name", "revision has to be lower-case letters"),
        ("hub=bad hub", "has to be a registry and a path"),
        ("values.gateways.istio-ingressgateway.ports[0].port=70000", "has to be from 1 to 65535"),
        ("values.global.istioNamespace=A_B", "values.global.istioNamespace has to be lower-case letters"),
        ("values.global.proxy.excludeIPRanges=10.0.0.0", "has to be ranges of addresses"),
        ("values.global.proxy.logLevel=loud", "has to be one of trace"),
        (
            "values.global.proxy_init.resources.limits.cpu=1",
            "that mesh does not have: the init container has the proxy's",
        ),
        ("values.pilot.cni.enabled=true", "mesh has no network plugin"),
    ] {
        let error = try_plan("default", &[set]).unwrap_err().to_string();
        assert!(error.contains(expected), "{set}: {error}");
    }
    for text in ["profile", "a..b=1", "=x"] {
        assert!(text.parse::<Assignment>().is_err(), "{text}");
    }
}

fn file(text: &str) -> Layers {
    Layers { files: yaml::load("file.yaml", text.as_bytes()).documents, ..Layers::default() }
}

#[test]
fn files_choose_profiles_and_say_where_they_are_wrong() {
    let good = "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec:\n  profile: demo\n  meshConfig:\n    accessLogFile: /dev/stderr\n  components:\n    ingressGateways:\n    - name: edge\n      enabled: true\n      namespace: edge\n      label: {istio: edge}\n";
    let settings = file(good).settings().unwrap();
    let rendered = render(&Plan::new(settings, Platform::Kubernetes)).unwrap();
    let edge = find(&rendered, "Deployment", "edge");
    assert_eq!(edge["metadata"]["namespace"], "edge");
    assert_eq!(edge["spec"]["selector"]["matchLabels"]["istio"], "edge");
    find(&rendered, "Deployment", "istio-ingressgateway");
    assert!(find(&rendered, "ConfigMap", "istio")["data"]["mesh"].as_str().unwrap().contains("/dev/stderr"));

    let error = file(&good.replace("enabled", "enabld")).settings().unwrap_err().to_string();
    assert!(
        error.contains("file.yaml:10:7: components.ingressGateways[2].enabld is not a field")
            || error.contains("enabld"),
        "{error}"
    );
    let silent =
        "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec:\n  values:\n  components:\n    pilot:\n";
    assert!(file(silent).settings().is_ok(), "sections with nothing in them say nothing");
    let error = file("apiVersion: v1\nkind: ConfigMap\n").settings().unwrap_err().to_string();
    assert!(error.starts_with("file.yaml:2:1: settings are an IstioOperator"), "{error}");
}

#[test]
fn settings_of_istios_charts_reach_what_they_are_about() {
    let rendered = objects(
        "default",
        &[
            "values.pilot.cpu.targetAverageUtilization=60",
            "values.pilot.memory.targetAverageUtilization=70",
            "values.pilot.rollingMaxSurge=1",
            "values.pilot.envVarFrom=[{name: KEY, valueFrom: {secretKeyRef: {name: s, key: k}}}]",
            "values.gateways.istio-egressgateway.enabled=true",
            "values.gateways.istio-ingressgateway.nodeSelector.zone=edge",
            "components.ingressGateways[0].tag=7",
            "components.egressGateways[0].k8s.strategy.type=Recreate",
            "values.global.proxy.excludeIPRanges=169.254.169.254/32",
            "values.global.proxy.logLevel=debug",
            "values.global.imagePullSecrets[0]=registry",
            "meshConfig.defaultConfig.terminationDrainDuration=20s",
            "meshConfig.defaultConfig.proxyMetadata.A=b",
        ],
    );
    let metrics = &find(&rendered, "HorizontalPodAutoscaler", "istiod")["spec"]["metrics"];
    assert_eq!(metrics[0]["resource"]["target"]["averageUtilization"], 60);
    assert_eq!((&metrics[1]["resource"]["name"], metrics.as_array().unwrap().len()), (&json!("memory"), 2));
    let gateway = find(&rendered, "HorizontalPodAutoscaler", "istio-ingressgateway");
    assert_eq!(gateway["spec"]["metrics"].as_array().unwrap().len(), 1);
    let istiod = &find(&rendered, "Deployment", "istiod")["spec"];
    assert_eq!(istiod["strategy"]["rollingUpdate"], json!({"maxSurge": 1, "maxUnavailable": "25%"}));
    let container = &istiod["template"]["spec"]["containers"][0];
    assert!(container["env"].as_array().unwrap().iter().any(|variable| variable["name"] == "KEY"));
    let args: Vec<&str> = container["args"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for expected in [
        "--proxy-annotation=traffic.sidecar.istio.io/excludeOutboundIPRanges=169.254.169.254/32",
        "--proxy-annotation=sidecar.istio.io/logLevel=debug",
        "--proxy-pull-secret=registry",
        r#"--proxy-config={"proxyMetadata":{"A":"b"},"terminationDrainDuration":"20s"}"#,
    ] {
        assert!(args.contains(&expected), "{expected} is not in {args:#?}");
    }
    let pod = |name: &str| find(&rendered, "Deployment", name)["spec"].clone();
    assert_eq!(pod("istio-ingressgateway")["template"]["spec"]["nodeSelector"]["zone"], "edge");
    let image = &pod("istio-ingressgateway")["template"]["metadata"]["annotations"]["sidecar.istio.io/proxyImage"];
    assert_eq!(image, "mesh/proxy:7");
    assert_eq!(pod("istio-egressgateway")["strategy"], json!({"type": "Recreate"}));
}

#[test]
fn overlays_change_single_fields_and_are_refused_where_they_fit_nothing() {
    let overlay =
        |patch: &str| format!("components.pilot.k8s.overlays=[{{kind: Deployment, name: istiod, patches: [{patch}]}}]");
    let patch = overlay("{path: 'spec.template.spec.containers.[name:discovery].args.[-1]', value: --verbose}");
    let rendered = objects("default", &[&patch]);
    let args = &find(&rendered, "Deployment", "istiod")["spec"]["template"]["spec"]["containers"][0]["args"];
    assert_eq!(args.as_array().unwrap().last().unwrap(), "--verbose");
    let removed = objects("default", &[&overlay("{path: spec.strategy}")]);
    assert!(find(&removed, "Deployment", "istiod")["spec"].get("strategy").is_none());
    for wrong in [
        overlay("{path: 'spec.template.spec.containers.[name:nobody].args', value: 1}"),
        overlay("{path: a, value: 1}").replace("name: istiod", "name: other"),
    ] {
        let error = render(&try_plan("default", &[&wrong]).unwrap()).unwrap_err().to_string();
        assert!(error.starts_with("overlay of Deployment"), "{error}");
    }
}

#[test]
fn a_revision_has_names_of_its_own_and_leaves_the_default_alone() {
    let rendered = objects("minimal", &["revision=canary"]);
    let all = names(&rendered);
    for name in [
        "Deployment istiod-canary",
        "ConfigMap istio-canary",
        "MutatingWebhookConfiguration istio-sidecar-injector-canary",
    ] {
        assert!(all.iter().any(|known| known == name), "{name}: {all:?}");
    }
    let istiod = find(&rendered, "Service", "istiod-canary");
    assert_eq!(istiod["spec"]["selector"]["istio.io/rev"], "canary");
    let hook = find(&rendered, "MutatingWebhookConfiguration", "istio-sidecar-injector-canary");
    assert_eq!(hook["webhooks"].as_array().unwrap().len(), 2, "only what names the revision");
    let validation = find(&rendered, "ValidatingWebhookConfiguration", "istio-validator-canary-istio-system");
    assert_eq!(validation["webhooks"][0]["objectSelector"]["matchExpressions"][0]["values"][0], "canary");
    let shared: Vec<&String> = all.iter().filter(|name| names(&objects("minimal", &[])).contains(name)).collect();
    assert!(shared.is_empty(), "removing one revision would take it from the other: {shared:?}");
}

#[test]
fn the_built_in_runtime_gets_no_control_plane_of_its_own() {
    let plan = Plan::new(layers("demo", &[]).settings().unwrap(), Platform::Runtime);
    let all = names(&render(&plan).unwrap());
    assert!(all.contains(&"ConfigMap istio".to_owned()) && all.contains(&"Deployment istio-ingressgateway".to_owned()));
    for kind in ["ClusterRole", "Role ", "MutatingWebhook", "HorizontalPod", "Deployment istiod", "Service istiod"] {
        assert!(!all.iter().any(|name| name.starts_with(kind)), "{kind}: {all:?}");
    }
}

#[test]
fn comparing_names_what_came_went_and_changed() {
    let (before, after) = (objects("default", &[]), objects("demo", &["values.global.logging.level=debug"]));
    let differences = compare(&before, &after);
    let of = |change: Change| -> Vec<&str> {
        differences.iter().filter(|found| found.change == change).map(|found| found.object.as_str()).collect()
    };
    assert!(of(Change::Added).contains(&"Deployment istio-system/istio-egressgateway"));
    assert_eq!(of(Change::Removed).len(), 2);
    assert!(of(Change::Changed).contains(&"Deployment istio-system/istiod"));
    assert!(compare(&before, &before).is_empty());
}
