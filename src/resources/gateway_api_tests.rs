use serde_json::{Value, json};

use super::tests::{Leaves, PORT, differing_rules, flatten, upstream};
use super::*;

/// What the older versions of a kind have otherwise, and ours have as the newest: (definition, version, field).
const OLDER: [(&str, &str, &str); 5] = [
    ("tcproutes", "v1alpha2", ".spec.rules"),
    ("tlsroutes", "v1alpha2", ".spec"),
    ("tlsroutes", "v1alpha2", ".spec.hostnames"),
    ("tlsroutes", "v1alpha2", ".spec.rules"),
    ("udproutes", "v1alpha2", ".spec.rules"),
];

#[test]
fn definitions_are_the_projects_own_field_by_field() {
    let Some(theirs) = upstream("crds/gateway-api-experimental.yaml") else { return };
    let mut differences = Vec::new();
    for ours in gateway_api_crds() {
        let name = ours["metadata"]["name"].as_str().unwrap();
        let theirs = theirs.iter().find(|crd| crd.value["metadata"]["name"] == name).expect("the project has it");
        for field in ["group", "names", "scope"] {
            assert_eq!(ours["spec"][field], theirs.value["spec"][field], "{name} {field}");
        }
        let versions = |definition: &Value| definition["spec"]["versions"].as_array().cloned().unwrap();
        let (ours, theirs) = (versions(&ours), versions(&theirs.value));
        let names = |versions: &[Value]| versions.iter().map(|v| v["name"].to_string()).collect::<Vec<_>>();
        assert_eq!(names(&ours), names(&theirs), "{name}");
        for (ours, theirs) in ours.iter().zip(&theirs) {
            let version = ours["name"].as_str().unwrap();
            for field in ["served", "storage", "subresources"] {
                assert_eq!(ours[field], theirs[field], "{name} {version} {field}");
            }
            let columns = |version: &Value| -> Vec<[Value; 4]> {
                let columns = version["additionalPrinterColumns"].as_array().cloned().unwrap_or_default();
                let fields = ["name", "jsonPath", "type", "priority"];
                columns.into_iter().map(|column| fields.map(|field| column[field].clone())).collect()
            };
            // An older version may show nothing but names.
            if theirs["storage"] == true || !columns(theirs).is_empty() {
                assert_eq!(columns(ours), columns(theirs), "{name} {version}");
            }
            let [ours_only, theirs_only] = differing_rules(ours, theirs);
            let older = |rule: &str| {
                let of = |p: &str| rule.strip_prefix(p).is_some_and(|rest| rest.starts_with(": "));
                OLDER.iter().any(|(kind, v, p)| name.starts_with(kind) && *v == version && of(p))
            };
            let theirs_only = theirs_only.into_iter().filter(|rule| !older(rule));
            for rule in theirs_only.chain(ours_only.into_iter().filter(|_| theirs["storage"] == true)) {
                differences.push(format!("{name} {version} {rule}"));
            }
            let leaves = |version: &Value| {
                let mut leaves = Leaves::new();
                let schema = &version["schema"]["openAPIV3Schema"];
                for part in ["spec", "status"].into_iter().filter(|part| schema["properties"][part].is_object()) {
                    flatten(&schema["properties"][part], &format!(".{part}"), &mut leaves);
                }
                leaves
            };
            let (ours, theirs) = (leaves(ours), leaves(theirs));
            for path in ours.keys().chain(theirs.keys()) {
                match (ours.get(path), theirs.get(path)) {
                    (Some(ours), Some(theirs)) if ours == theirs => {}
                    (Some(ours), Some(theirs)) if ours == PORT && *theirs == format!("{PORT} format=\"int32\"") => {}
                    _ if OLDER.iter().any(|(kind, v, p)| name.starts_with(kind) && *v == version && p == path) => {}
                    (ours, theirs) => {
                        differences.push(format!("{name} {version} {path}: ours {ours:?}, theirs {theirs:?}"));
                    }
                }
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn errors(kind: &str, spec: Value) -> Vec<String> {
    let object = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": kind, "metadata": {"name": "a"}, "spec": spec,
    });
    let findings = check(kinds::of(&object).unwrap(), &object);
    findings.errors.iter().map(|finding| format!("{} {}", finding.path, finding.message)).collect()
}

fn rule(rule: Value) -> Value {
    json!({"parentRefs": [{"name": "g"}], "rules": [rule]})
}

#[test]
fn what_the_definitions_refuse_is_refused_with_a_remedy() {
    let listener = |listener: Value| json!({"gatewayClassName": "istio", "listeners": [listener]});
    let cases: &[(&str, Value, &str)] = &[
        ("Gateway", json!({"gatewayClassName": "istio"}), "spec.listeners is required"),
        (
            "Gateway",
            listener(json!({"name": "a", "port": 80, "protocol": "HTTP", "tls": {"certificateRefs": [{"name": "c"}]}})),
            "spec.listeners[0].tls cannot be set with HTTP",
        ),
        (
            "Gateway",
            listener(json!({"name": "a", "port": 443, "protocol": "HTTPS", "tls": {"mode": "Passthrough"}})),
            "spec.listeners[0].tls.mode has to be Terminate with HTTPS",
        ),
        (
            "Gateway",
            listener(json!({"name": "a", "port": 443, "protocol": "TLS"})),
            "spec.listeners[0].tls has to say its mode",
        ),
        (
            "Gateway",
            listener(json!({"name": "a", "port": 9, "protocol": "TCP", "hostname": "a.b"})),
            "spec.listeners[0].hostname cannot be set with TCP",
        ),
        (
            "Gateway",
            listener(json!({"name": "a", "port": 443, "protocol": "HTTPS", "tls": {}})),
            "spec.listeners[0].tls.certificateRefs is required where TLS ends",
        ),
        (
            "Gateway",
            json!({"gatewayClassName": "istio", "listeners": [
                {"name": "a", "port": 80, "protocol": "HTTP"}, {"name": "b", "port": 80, "protocol": "HTTP"},
            ]}),
            "spec.listeners[1] has port, protocol and hostname of a listener before it",
        ),
        (
            "Gateway",
            json!({"gatewayClassName": "istio", "listeners": [
                {"name": "a", "port": 80, "protocol": "HTTP"}, {"name": "a", "port": 81, "protocol": "HTTP"},
            ]}),
            "spec.listeners[1].name repeats",
        ),
        ("HTTPRoute", json!({"hostnames": ["a.*.com"]}), "spec.hostnames[0] is no host"),
        ("HTTPRoute", json!({"parentRefs": [{"name": "g"}, {"name": "g"}]}), "spec.parentRefs[1] is listed before"),
        (
            "HTTPRoute",
            json!({"parentRefs": [{"name": "g"}, {"name": "g", "sectionName": "a"}]}),
            "spec.parentRefs[1] names a parent that is named before in another way",
        ),
        (
            "HTTPRoute",
            rule(json!({"matches": [{"path": {"value": "a"}}]})),
            "spec.rules[0].matches[0].path.value has to start",
        ),
        (
            "HTTPRoute",
            rule(json!({"matches": [{"path": {"value": "/a//b"}}]})),
            "spec.rules[0].matches[0].path.value has `//`",
        ),
        (
            "HTTPRoute",
            rule(json!({"matches": [{"path": {"type": "RegularExpression", "value": "("}}]})),
            "spec.rules[0].matches[0].path.value is no regular expression",
        ),
        (
            "HTTPRoute",
            rule(json!({"filters": [{"type": "RequestRedirect", "urlRewrite": {}}]})),
            "spec.rules[0].filters[0].requestRedirect is required with the type",
        ),
        (
            "HTTPRoute",
            rule(json!({
                "filters": [{"type": "RequestRedirect", "requestRedirect": {"hostname": "a.b"}}],
                "backendRefs": [{"name": "a", "port": 1}],
            })),
            "spec.rules[0].backendRefs get no requests",
        ),
        (
            "HTTPRoute",
            rule(json!({
                "matches": [{"path": {"type": "Exact", "value": "/a"}}],
                "filters": [{"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/b"}}}],
            })),
            "spec.rules[0].matches has to be one match on a PathPrefix",
        ),
        ("HTTPRoute", rule(json!({"backendRefs": [{"name": "a"}]})), "spec.rules[0].backendRefs[0].port is required"),
        (
            "HTTPRoute",
            rule(json!({"timeouts": {"request": "1s", "backendRequest": "2s"}})),
            "spec.rules[0].timeouts.backendRequest is longer",
        ),
        ("HTTPRoute", rule(json!({"timeouts": {"request": "1.5s"}})), "spec.rules[0].timeouts.request is no duration"),
        (
            "HTTPRoute",
            rule(json!({"filters": [{"type": "CORS", "cors": {"allowOrigins": ["*", "https://a.b"]}}]})),
            "spec.rules[0].filters[0].cors.allowOrigins has `*`",
        ),
        (
            "HTTPRoute",
            rule(json!({"filters": [{"type": "RequestMirror", "requestMirror": {
                "backendRef": {"name": "a", "port": 1}, "percent": 1, "fraction": {"numerator": 1},
            }}]})),
            "spec.rules[0].filters[0].requestMirror has both",
        ),
        ("GRPCRoute", rule(json!({"matches": [{"method": {}}]})), "spec.rules[0].matches[0].method names neither"),
        (
            "GRPCRoute",
            rule(json!({"matches": [{"method": {"service": "a/b"}}]})),
            "spec.rules[0].matches[0].method.service is no service of gRPC",
        ),
        ("TCPRoute", json!({"rules": []}), "spec.rules has to have at least 1 items"),
        (
            "TLSRoute",
            json!({"hostnames": ["10.0.0.1"], "rules": [{"backendRefs": [{"name": "a", "port": 1}]}]}),
            "spec.hostnames[0] is an IP address",
        ),
        (
            "BackendTLSPolicy",
            json!({"targetRefs": [{"group": "", "kind": "Service", "name": "a"}], "validation": {"hostname": "a.b"}}),
            "spec.validation names no authorities",
        ),
        ("ReferenceGrant", json!({"from": [], "to": []}), "spec.from has to have at least 1 items"),
        ("GatewayClass", json!({"controllerName": "a"}), "spec.controllerName has to be a domain, `/` and a path"),
    ];
    for (kind, spec, expected) in cases {
        let found = errors(kind, spec.clone());
        assert!(
            found.iter().any(|error| error.starts_with(expected)),
            "{kind} {spec}\nwanted {expected}\nfound {found:?}"
        );
    }
}

#[test]
fn what_is_not_secured_is_refused_at_the_door() {
    let object = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "a"},
        "spec": {
            "gatewayClassName": "istio", "listeners": [{"name": "a", "port": 80, "protocol": "HTTP"}],
            "tls": {"backend": {"clientCertificateRef": {"name": "a"}}},
        },
    });
    let findings = validate(kinds::of(&object).unwrap(), &object);
    assert!(findings.is_refused(), "{findings}");
    // Istio's kind of the same name has rows of its own.
    let servers = json!([{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}]);
    let istio = json!({
        "apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": {"name": "a"},
        "spec": {"servers": servers, "selector": {"a": "b"}},
    });
    let findings = validate(kinds::of(&istio).unwrap(), &istio);
    assert!(findings.is_empty(), "{findings}");
}

#[test]
fn a_span_is_what_it_says() {
    for (text, millis) in [("1h30m", 5_400_000), ("500ms", 500), ("1m1s1ms", 61_001), ("0s", 0)] {
        let spec = rule(json!({"timeouts": {"request": text}}));
        let object = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "a"}, "spec": spec,
        });
        let route = Object::<gateway_api::HTTPRoute>::from_value(&object).unwrap();
        let timeouts = route.spec.rules[0].timeouts.as_ref().unwrap();
        assert_eq!(timeouts.request.as_ref().unwrap().get().as_millis(), millis, "{text}");
    }
}
