//! That every field of a configuration kind that is said to be in force changes the model.
//!
//! `objects.yaml` and `policies.yaml` set every such field. Each value in them is changed, one at a time, to another sound one; what the
//! mesh then does has to differ somewhere. A field that is accepted and does nothing cannot hide: the declarations of the kinds say
//! which there are, and one that no object here sets fails the test.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::identity::TrustDomain;
use crate::model::{Side, Workload};
use crate::resources::enforcement::{self, When};
use crate::resources::{self, kinds};
use crate::yaml;

/// Fields that change nothing in the model, and why that is right.
const WITHOUT_TRACE: &[(&str, &str, &str)] = &[
    ("VirtualService", "spec.http[].fault.abort.http2Error", "it is refused"),
    ("VirtualService", "spec.http[].fault.delay.exponentialDelay", "it is refused"),
    ("Sidecar", "spec.ingress[].port.targetPort", "it is refused"),
    ("Sidecar", "spec.egress[].port.targetPort", "it is refused"),
    ("Sidecar", "spec.egress[].port.protocol", "the service says what is spoken"),
    ("Sidecar", "spec.egress[].port.name", "the service says what is spoken"),
    ("Telemetry", "spec.metrics[].overrides[].tagOverrides{}.operation", "it changes with the value alone"),
    ("Gateway", "spec.servers[].port.name", "names only have to differ"),
    ("Gateway", "spec.servers[].port.targetPort", "it has no meaning in Istio either, and is refused"),
    ("Gateway", "spec.servers[].defaultEndpoint", "it has no meaning in Istio either"),
    ("RequestAuthentication", "spec.targetRef.namespace", "it is refused"),
    ("RequestAuthentication", "spec.targetRefs[].namespace", "it is refused"),
    ("AuthorizationPolicy", "spec.targetRef.namespace", "it is refused"),
    ("AuthorizationPolicy", "spec.targetRefs[].namespace", "it is refused"),
    ("Telemetry", "spec.targetRef.namespace", "it is refused"),
    ("Telemetry", "spec.targetRefs[].namespace", "it is refused"),
    ("RequestAuthentication", "spec.targetRef.group", "there is one group of Gateways"),
    ("RequestAuthentication", "spec.targetRefs[].group", "there is one group of Gateways"),
    ("AuthorizationPolicy", "spec.targetRef.group", "there is one group of Gateways"),
    ("AuthorizationPolicy", "spec.targetRefs[].group", "there is one group of Gateways"),
    ("Telemetry", "spec.targetRef.group", "there is one group of Gateways"),
    ("Telemetry", "spec.targetRefs[].group", "there is one group of Gateways"),
    ("RequestAuthentication", "spec.targetRef.kind", "other kinds are not in force"),
    ("RequestAuthentication", "spec.targetRefs[].kind", "other kinds are not in force"),
    ("AuthorizationPolicy", "spec.targetRef.kind", "other kinds are not in force"),
    ("AuthorizationPolicy", "spec.targetRefs[].kind", "other kinds are not in force"),
    ("Telemetry", "spec.targetRef.kind", "other kinds are not in force"),
    ("Telemetry", "spec.targetRefs[].kind", "other kinds are not in force"),
];

fn documents(text: &str) -> Vec<Value> {
    let loaded = yaml::load("coverage.yaml", text.as_bytes());
    assert_eq!(loaded.errors, []);
    loaded.documents.into_iter().map(|document| document.value).collect()
}

/// Everything that the mesh does about these objects, as text. What an object of `kind` cannot change is left out, to save time.
fn model(values: &[Value], kind: &str) -> String {
    let is_policy = kind == "DestinationRule";
    let is_routing =
        !matches!(kind, "PeerAuthentication" | "RequestAuthentication" | "AuthorizationPolicy" | "Telemetry");
    let trust_domain = TrustDomain::new("cluster.local").unwrap();
    let world = World::from_values("cluster.local", "istio-system", &trust_domain, values);
    let pods: Vec<Arc<Workload>> =
        values.iter().filter_map(|value| workload(value, &trust_domain)).map(Arc::new).collect();
    let mut text = String::new();
    for pod in &pods {
        let scope = scope(&world, &pod.namespace, &pod.labels);
        write!(text, "{scope:?}").unwrap();
        let inbound = inbound_policy(&world, pod.clone(), Vec::new(), &["cluster.local".into()]);
        let reported = [Side::Client, Side::Server].map(|side| reporting(&world, pod, side, false));
        write!(text, "{inbound:?} {reported:?}").unwrap();
        if !is_routing {
            continue;
        }
        let external = world.external.values().flatten().filter(|external| external.is_visible(&scope.namespace));
        let external: Vec<_> = external.collect();
        for known in &external {
            write!(text, "{:?}", known.networks).unwrap();
        }
        let services = world.services.values().chain(external.iter().map(|external| &external.service));
        for service in services.filter(|service| scope.sees(&world, service)) {
            let edge = pod.labels.contains_key("istio");
            let policy = traffic_policy(&world, &scope, service, edge);
            write!(text, "{policy:?}").unwrap();
            if is_policy {
                continue;
            }
            let endpoints = endpoints_of(&world, service);
            write!(text, "{service:?} {:?} {endpoints:?}", routes(&world, &scope, service)).unwrap();
        }
        if is_policy {
            continue;
        }
        let gateway = GatewayWorkload { scope, labels: pod.labels.clone(), target_ports: Vec::new() };
        for listener in listeners(&world, &gateway) {
            let hosts = listener.virtual_hosts.iter().map(|virtual_host| &virtual_host.host);
            for host in hosts.chain(listener.tls.iter().flat_map(|tls| &tls.hosts)) {
                write!(text, "{:?}", gateway_routes(&world, &gateway, listener.port, host)).unwrap();
            }
            write!(text, "{listener:?}").unwrap();
        }
    }
    write!(text, "{:?}", key_sources(&world)).unwrap();
    text
}

/// Other values of a field, of which at least one is sound and says something else.
fn others(value: &Value, schema: &Value) -> Vec<Value> {
    match value {
        Value::Bool(value) => vec![json!(!value)],
        Value::Number(number) => {
            let number = number.as_i64().unwrap();
            [1, -1, 2, 102].iter().map(|step| json!(number + step)).collect()
        }
        Value::String(text) => {
            let names = schema["enum"].as_array().cloned().unwrap_or_default();
            let mut all: Vec<Value> = names.into_iter().filter(|name| name != value).collect();
            let digit = text.rfind(|c: char| c.is_ascii_digit()).map(|at| {
                let next = match &text[at..=at] {
                    "9" => "8".to_owned(),
                    digit => (digit.parse::<u8>().unwrap() + 1).to_string(),
                };
                format!("{}{next}{}", &text[..at], &text[at + 1..])
            });
            let written = [
                digit.unwrap_or_default(),
                format!("{text}x"),
                format!("x{text}"),
                format!("{text}.x"),
                text.replace("web", "other"),
                "POST".into(),
                "TCP".into(),
                "TLS".into(),
                "INTERNAL".into(),
                "reset".into(),
                "https".into(),
                "http".into(),
                "request.auth.principal".into(),
                r#"{"keys": []}"#.into(),
                "YWE=".into(),
                "bank".into(),
                "*".into(),
                "shop/edge".into(),
                "b.example.com".into(),
                "ECDHE-RSA-AES128-GCM-SHA256".into(),
                "topology.kubernetes.io/zone".into(),
            ];
            all.extend(written.into_iter().filter(|other| !other.is_empty() && other != text).map(Value::from));
            all
        }
        other => panic!("{other}"),
    }
}

/// The leaves of an object: JSON pointer, and the field's path in the schema with the schema there.
fn leaves(value: &Value, schema: &Value, pointer: &str, path: &str, found: &mut Vec<(String, String, Value)>) {
    let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let pointer = format!("{pointer}/{}", escaped(key));
                match schema["properties"].get(key) {
                    Some(schema) => leaves(value, schema, &pointer, &format!("{path}.{key}"), found),
                    None => leaves(value, &schema["additionalProperties"], &pointer, &format!("{path}{{}}"), found),
                }
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                leaves(value, &schema["items"], &format!("{pointer}/{index}"), &format!("{path}[]"), found);
            }
        }
        _ => found.push((pointer.to_owned(), path.to_owned(), schema.clone())),
    }
}

/// The leaves that a schema has.
fn declared(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    if let Some(fields) = schema["properties"].as_object() {
        for (name, schema) in fields {
            declared(schema, &format!("{path}.{name}"), found);
        }
    } else if schema["items"].is_object() {
        declared(&schema["items"], &format!("{path}[]"), found);
    } else if schema["additionalProperties"].is_object() {
        declared(&schema["additionalProperties"], &format!("{path}{{}}"), found);
    } else {
        found.insert(path.to_owned());
    }
}

/// A DestinationRule for each policy and each place that a policy can stand in.
fn rules_of_policies() -> Vec<Value> {
    let policies = documents(include_str!("policies.yaml"));
    let of = |policy: &Value| {
        let mut on_port = policy.clone();
        on_port["port"] = json!({"number": 80});
        let whole = |beside: Value| {
            let mut whole = policy.clone();
            whole.as_object_mut().unwrap().extend(beside.as_object().unwrap().clone());
            whole
        };
        let beside =
            json!({"proxyProtocol": {"version": "V2"}, "retryBudget": {"percent": 20, "minRetryConcurrency": 4}});
        let port_level = json!({"portLevelSettings": [on_port]});
        [
            json!({"host": "web.shop.svc.cluster.local", "trafficPolicy": whole(beside.clone())}),
            json!({"host": "web.shop.svc.cluster.local", "trafficPolicy": port_level}),
            json!({"host": "web.shop.svc.cluster.local", "subsets": [{"name": "v1", "trafficPolicy": whole(beside)}]}),
            json!({"host": "web.shop.svc.cluster.local", "subsets": [{"name": "v1", "trafficPolicy": port_level}]}),
        ]
    };
    let specs = policies.iter().flat_map(of);
    let object = |spec| {
        // Only a gateway reads secrets, which are in its namespace.
        let metadata = json!({"name": "policy", "namespace": "istio-system"});
        json!({"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": metadata, "spec": spec})
    };
    specs.map(object).collect()
}

#[test]
fn every_field_that_is_in_force_changes_the_model() {
    let ground = documents(include_str!("ground.yaml"));
    let mut objects = documents(include_str!("objects.yaml"));
    objects.extend(rules_of_policies());
    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut idle: BTreeSet<String> = BTreeSet::new();
    for object in &objects {
        let kind = kinds::of(object).unwrap();
        let findings = resources::check(kind, object);
        assert!(!findings.is_refused(), "{object}: {findings}");
        let schema = resources::schema(kind).unwrap();
        let compiled = |object: &Value| model(&[ground.as_slice(), std::slice::from_ref(object)].concat(), kind.kind);
        let before = compiled(object);
        let mut found = Vec::new();
        leaves(&object["spec"], &schema["properties"]["spec"], "/spec", "spec", &mut found);
        for (pointer, path, schema) in found {
            let candidates = others(object.pointer(&pointer).unwrap(), &schema).into_iter().map(|other| {
                let mut changed = object.clone();
                *changed.pointer_mut(&pointer).unwrap() = other;
                // Shares that have to sum to a hundred change together.
                if path.ends_with("distribute[].to{}") {
                    let (shares, _) = pointer.rsplit_once('/').unwrap();
                    for share in changed.pointer_mut(shares).unwrap().as_object_mut().unwrap().values_mut() {
                        *share = json!(50);
                    }
                }
                changed
            });
            let sound: Vec<Value> =
                candidates.filter(|changed| !resources::check(kind, changed).is_refused()).collect();
            if sound.iter().any(|changed| compiled(changed) != before) {
                seen.entry(kind.kind.to_owned()).or_default().insert(path);
            } else if !sound.is_empty() {
                idle.insert(format!("{} {path} ({pointer} of {})", kind.kind, object["metadata"]["name"]));
            }
        }
    }
    let excused = |kind: &str, path: &str| WITHOUT_TRACE.iter().any(|(k, p, _)| *k == kind && *p == path);
    idle.retain(|line| !WITHOUT_TRACE.iter().any(|(kind, path, _)| line.starts_with(&format!("{kind} {path} ("))));
    assert!(idle.is_empty(), "accepted, and without any effect:\n{}", idle.into_iter().collect::<Vec<_>>().join("\n"));

    let covers = |pattern: &str, path: &str| {
        path.strip_prefix(pattern).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[', '{']))
    };
    let mut untried = Vec::new();
    for name in enforcement::IN_FORCE.iter().map(|(kind, _)| *kind).collect::<BTreeSet<_>>() {
        let kind = enforcement::kind(name).unwrap();
        if kind.group.starts_with("gateway.") {
            continue;
        }
        let in_force = |path: &str| {
            let mut own = enforcement::IN_FORCE.iter().filter(|(kind, _)| *kind == name);
            let mut rows =
                enforcement::NOT_IN_FORCE.iter().filter(|(kind, _)| *kind == name).flat_map(|(_, rows)| *rows);
            own.any(|(_, fields)| fields.iter().any(|field| covers(field, path)))
                && !rows.any(|row| matches!(row.when, When::Set) && covers(row.path, path))
        };
        let mut all = BTreeSet::new();
        declared(&resources::schema(kind).unwrap()["properties"]["spec"], "spec", &mut all);
        let tried = seen.remove(kind.kind).unwrap_or_default();
        let missing = all.iter().filter(|path| in_force(path) && !tried.contains(*path) && !excused(name, path));
        untried.extend(missing.map(|path| format!("{name} {path}")));
    }
    assert!(untried.is_empty(), "in force, and set by no object here:\n{}", untried.join("\n"));
}
