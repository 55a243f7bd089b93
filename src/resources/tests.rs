use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::yaml;

/// Public data of the upstream project; tests that need it are skipped where it is absent.
pub(super) fn upstream(file: &str) -> Option<Vec<yaml::Document>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/upstream").join(file);
    let bytes = std::fs::read(&path).ok()?;
    let loaded = yaml::load(file, &bytes);
    assert!(loaded.errors.is_empty(), "{file}: {:?}", loaded.errors.first());
    Some(loaded.documents)
}

pub(super) fn document(text: &str) -> yaml::Document {
    let loaded = yaml::load("t.yaml", text.as_bytes());
    assert!(loaded.errors.is_empty(), "{}", loaded.errors[0]);
    loaded.documents.into_iter().next().expect("a document")
}

fn check(text: &str) -> Findings {
    let document = document(text);
    let kind = kinds::of(&document.value).expect("a known kind");
    validate(kind, &document.value).located(&document)
}

pub(super) fn lines(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(ToString::to_string).collect()
}

/// A VirtualService with these rules under `http:`, from line 7 on.
fn service(http: &str) -> String {
    let header = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: reviews}\nspec:\n  hosts: [reviews]\n  http:\n";
    format!("{header}{http}")
}

#[test]
fn a_virtual_service_is_read() {
    let text = service(
        "  - name: jason\n    match:\n    - headers:\n        end-user: {exact: jason}\n        x-any: {}\n      uri: {regex: /a.*}\n    route:\n    - destination: {host: reviews, subset: v2, port: {number: 9080}}\n  - route:\n    - {destination: {host: reviews, subset: v1}, weight: 90}\n    - {destination: {host: reviews, subset: v2}, weight: 10}\n    timeout: 1.5s\n",
    );
    let object = Object::<VirtualService>::from_document(&document(&text)).unwrap();
    assert_eq!(
        object.provenance().with_rule("http[0]").to_string(),
        "VirtualService default/reviews http[0] (t.yaml:1:1)"
    );
    let [first, second] = object.spec.http.as_slice() else { panic!("two rules") };
    assert_eq!(first.matches[0].headers["end-user"], StringMatch::Exact("jason".into()));
    assert_eq!(first.matches[0].headers["x-any"], StringMatch::Present);
    assert_eq!(first.route[0].destination.port.as_ref().and_then(|port| port.number).map(Port::get), Some(9080));
    assert_eq!(second.route.iter().map(|r| r.weight.0).collect::<Vec<_>>(), [90, 10]);
    assert_eq!(second.timeout.map(Duration::get), Some(std::time::Duration::from_millis(1500)));
    assert_eq!(object.unenforced, []);

    let again = Object::<VirtualService>::from_value(&object.to_value()).unwrap();
    assert_eq!(again.spec, object.spec);
}

#[test]
fn every_fault_is_found_with_its_place_and_a_remedy() {
    let text = service(
        "  - mach:\n    - uri: {exact: /}\n    route:\n    - destination: {host: reviews, subset: V1}\n      weight: '90'\n    - destination: {hots: reviews}\n  - match:\n    - uri: /a\n      port: 70000\n    redirect: {uri: /b}\n    route: {destination: {host: x}}\n    timeout: 5\n",
    );
    assert_eq!(
        lines(&check(&text).errors),
        [
            "t.yaml:7:5: spec.http[0].mach is not a field of this kind: did you mean `match`?",
            "t.yaml:10:36: spec.http[0].route[0].destination.subset is no subset's name: \"V1\" (lower-case letters, digits and `-`, at most 63 of them)",
            "t.yaml:11:7: spec.http[0].route[0].weight has to be a whole number of at most 32 bits, and is the string \"90\": write it without quotes",
            "t.yaml:12:21: spec.http[0].route[1].destination.hots is not a field of this kind: did you mean `host`?",
            "t.yaml:12:7: spec.http[0].route[1].destination.host is required: add it",
            "t.yaml:14:7: spec.http[1].match[0].uri has to say how to compare: write `exact: /a` below it",
            "t.yaml:15:7: spec.http[1].match[0].port has to be a port from 1 to 65535, and is 70000",
            "t.yaml:17:5: spec.http[1].route has to be a list, and is a mapping: put `- ` before its items",
            "t.yaml:18:5: spec.http[1].timeout has to be a string, and is the number 5: put it in quotes",
        ]
    );
}

/// One rule per row: rules under `http:`, and the error they give.
#[test]
fn rules_of_virtual_services() {
    let to = "route: [{destination: {host: reviews}}]";
    let cases = [
        (
            "  - route:\n    - destination: {host: a}\n    - destination: {host: b}\n",
            "spec.http[0].route has 2 destinations whose weights sum to 0",
        ),
        ("  - route:\n    - {destination: {host: a}, weight: -1}\n", "spec.http[0].route[0].weight cannot be negative"),
        (&format!("  - {to}\n    redirect: {{uri: /}}\n"), "spec.http[0] has both `route` and `redirect`"),
        ("  - name: x\n", "spec.http[0] says nothing about where requests go"),
        (
            &format!("  - match: [{{uri: {{exact: a, prefix: b}}}}]\n    {to}\n"),
            "spec.http[0].match[0].uri has both `exact` and `prefix`",
        ),
        (
            &format!("  - match: [{{uri: {{regex: '(a'}}}}]\n    {to}\n"),
            "spec.http[0].match[0].uri.regex is no regular expression: \"(a\": unclosed group",
        ),
        (&format!("  - match: [{{uri: {{regex: '*'}}}}]\n    {to}\n"), "write `{}` instead"),
        (&format!("  - match: [{{uri: {{regex: 'a)(b'}}}}]\n    {to}\n"), "unopened group"),
        (
            &format!("  - match: [{{uri: {{regex: '((a{{1000}}){{1000}}){{1000}}'}}}}]\n    {to}\n"),
            "exceeds size limit",
        ),
        (
            &format!("  - match: [{{uri: {{regex: {}}}}}]\n    {to}\n", "a".repeat(1025)),
            "of 1025 bytes, and 1024 is the most",
        ),
        (
            &format!("  - match: [{{headers: {{':method': {{exact: GET}}}}}}]\n    {to}\n"),
            "is no header: match it with method",
        ),
        (&format!("  - match: [{{headers: {{'a b': {{exact: GET}}}}}}]\n    {to}\n"), "is no header's name"),
        (
            &format!("  - match: [{{headers: {{'@request.auth.claims.a': {{exact: b}}}}}}]\n    {to}\n"),
            "which only gateways can",
        ),
        (
            &format!(
                "  - match: [{{headers: {{'@request.auth.claims.a..b': {{exact: b}}}}}}]\n    {to}\n  gateways: [front]\n"
            ),
            "names no claim, as `@request.auth.claims.iss` or `@request.auth.claims[iss]` would",
        ),
        (&format!("  - {to}\n    timeout: 100us\n"), "spec.http[0].timeout has to be at least 1ms"),
        (&format!("  - {to}\n    timeout: 5 seconds\n"), "spec.http[0].timeout is no duration"),
        (&format!("  - {to}\n    timeout: -5s\n"), "spec.http[0].timeout cannot be negative"),
        (
            &format!("  - {to}\n    retries: {{attempts: 3, retryOn: '5xx,gateway-eror'}}\n"),
            "did you mean `gateway-error`?",
        ),
        (&format!("  - {to}\n    retries: {{perTryTimeout: 1s}}\n"), "spec.http[0].retries.attempts is 0"),
        (&format!("  - {to}\n    fault: {{}}\n"), "spec.http[0].fault is empty"),
        (
            &format!("  - {to}\n    fault: {{delay: {{fixedDelay: 1s, percentage: {{value: 101}}}}}}\n"),
            "percentage.value has to be between 0 and 100",
        ),
        (&format!("  - {to}\n    fault: {{abort: {{httpStatus: 99}}}}\n"), "httpStatus has to be between 200 and 599"),
        (&format!("  - {to}\n    rewrite: {{}}\n"), "spec.http[0].rewrite is empty"),
        (
            &format!("  - {to}\n    rewrite: {{authority: a}}\n    headers: {{request: {{set: {{Host: b}}}}}}\n"),
            "sets the authority more than once",
        ),
        (&format!("  - {to}\n    mirror: {{host: '*'}}\n"), "spec.http[0].mirror.host has to be the host of a service"),
        ("  - redirect: {redirectCode: 301}\n", "spec.http[0].redirect says nothing about where to"),
        ("  - redirect: {uri: /, redirectCode: 200}\n", "redirectCode has to be 301"),
        ("  - directResponse: {status: 700}\n", "status has to be between 200 and 599"),
        ("  - route: [{destination: {host: 'a_b'}}]\n", "destination.host is no host name: \"a_b\""),
        ("  - route: [{destination: {host: 'http://a/b'}}]\n", "is a URL, and has to be a host: write \"a\""),
        ("  - route: [{destination: {host: 'a.*.b'}}]\n", "`*` can only be the first label"),
        ("  - route: [{destination: {host: '10.0.0.1'}}]\n", "has to be the host of a service, and is 10.0.0.1"),
        ("  - route: [{destination: {host: '10.0.0.300'}}]\n", "is neither a host name nor an IP address"),
    ];
    for (http, expected) in cases {
        let errors = lines(&check(&service(http)).errors);
        assert_eq!(errors.len(), 1, "{http}: {errors:#?}");
        assert!(errors[0].contains(expected), "{http}: {}", errors[0]);
    }
}

/// One rule per row: kind, spec, and the error it gives.
#[test]
fn rules_of_the_other_kinds() {
    let virtual_service = |spec: Value| ("networking.istio.io/v1", "VirtualService", spec);
    let rule = |spec: Value| ("networking.istio.io/v1beta1", "DestinationRule", spec);
    let gateway = |server: Value| ("networking.istio.io/v1alpha3", "Gateway", json!({"servers": [server]}));
    let peer = |spec: Value| ("security.istio.io/v1", "PeerAuthentication", spec);
    let policy = |policy: Value| rule(json!({"host": "a", "trafficPolicy": policy}));
    let http = json!([{"route": [{"destination": {"host": "a"}}]}]);
    let port = json!({"number": 80, "name": "http", "protocol": "HTTP"});
    let cases = [
        (virtual_service(json!({"hosts": ["a"]})), "spec has no rules"),
        (virtual_service(json!({"hosts": ["*"], "http": http})), "spec.hosts[0] cannot be `*` for sidecars"),
        (virtual_service(json!({"hosts": ["*.b.c", "a.b.c"], "http": http})), "spec.hosts[1] is a.b.c"),
        (virtual_service(json!({"gateways": ["g"], "http": http})), "spec.gateways cannot be set without hosts"),
        (
            virtual_service(json!({"hosts": ["a"], "gateways": ["a/b/c"], "http": http})),
            "spec.gateways[0] names no Gateway",
        ),
        (virtual_service(json!({"hosts": ["a"], "exportTo": ["*", "x"], "http": http})), "spec.exportTo has `*`"),
        (
            virtual_service(json!({"hosts": ["a"], "exportTo": [".", "default"], "http": http})),
            "spec.exportTo[1] repeats",
        ),
        (
            virtual_service(
                json!({"hosts": ["a"], "tls": [{"match": [{"sniHosts": ["b"]}], "route": [{"destination": {"host": "a"}}]}]}),
            ),
            "sniHosts[0] is b, which no host",
        ),
        (rule(json!({})), "spec.host is required"),
        (
            rule(json!({"host": "a", "subsets": [{"name": "v1"}, {"name": "v1"}]})),
            "spec.subsets[1].name repeats \"v1\"",
        ),
        (
            rule(json!({"host": "a", "subsets": [{"name": "v1", "labels": {"version": "a b"}}]})),
            "labels.version has \"a b\"",
        ),
        (rule(json!({"host": "a", "trafficPolicy": {}})), "spec.trafficPolicy is empty"),
        (
            policy(json!({"loadBalancer": {"simple": "ROUNDROBIN"}})),
            "cannot be \"ROUNDROBIN\": did you mean `ROUND_ROBIN`?",
        ),
        (
            policy(json!({"loadBalancer": {"simple": "RANDOM", "consistentHash": {}}})),
            "has both `simple` and `consistentHash`",
        ),
        (
            policy(json!({"tls": {"mode": "ISTIO_MUTUAL", "clientCertificate": "/c"}})),
            "clientCertificate cannot be set with ISTIO_MUTUAL",
        ),
        (
            policy(json!({"outlierDetection": {"maxEjectionPercent": 101}})),
            "maxEjectionPercent has to be between 0 and 100",
        ),
        (policy(json!({"connectionPool": {"tcp": {"maxConnections": -1}}})), "maxConnections cannot be negative"),
        (
            policy(json!({"portLevelSettings": [{"loadBalancer": {"simple": "RANDOM"}}]})),
            "portLevelSettings[0].port is required",
        ),
        (gateway(json!({"hosts": ["*"]})), "spec.servers[0].port is required"),
        (gateway(json!({"port": port})), "spec.servers[0].hosts is required"),
        (gateway(json!({"port": port, "hosts": []})), "spec.servers[0].hosts is empty"),
        (gateway(json!({"port": port, "hosts": ["a/b/c"]})), "spec.servers[0].hosts[0] is no host name: \"b/c\""),
        (
            gateway(json!({"port": {"number": 0, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]})),
            "port.number has to be a port from 1 to 65535",
        ),
        (
            gateway(json!({"port": {"number": 80, "name": "http", "protocol": "HTP"}, "hosts": ["*"]})),
            "did you mean `HTTP`?",
        ),
        (
            gateway(json!({"port": {"number": 443, "name": "https", "protocol": "HTTPS"}, "hosts": ["*"]})),
            "spec.servers[0].tls is required",
        ),
        (("networking.istio.io/v1", "Gateway", json!({})), "spec.servers is empty"),
        (peer(json!({"mtls": {"mode": "strict"}})), "spec.mtls.mode cannot be \"strict\": did you mean `STRICT`?"),
        (peer(json!({"portLevelMtls": {"80": {"mode": "STRICT"}}})), "spec.portLevelMtls needs a selector"),
        (peer(json!({"selector": {"matchLabels": {"a": "b*"}}})), "spec.selector.matchLabels.a has a wildcard"),
    ];
    for ((api_version, kind, spec), expected) in cases {
        let object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}, "spec": spec});
        let findings = validate(kinds::of(&object).unwrap(), &object);
        let errors: Vec<_> = lines(&findings.errors).into_iter().filter(|e| !e.contains("not in force yet")).collect();
        assert_eq!(errors.len(), 1, "{spec}: {errors:#?}");
        assert!(errors[0].contains(expected), "{spec}: {}", errors[0]);
    }
}

#[test]
fn what_is_wrong_around_the_spec_is_found() {
    let errors = |text: &str| lines(&check(text).errors);
    assert_eq!(
        errors(
            "apiVersion: security.istio.io/v1alpha1\nkind: PeerAuthentication\nmetadata: {lables: {}, name: A}\nspce: {}\n"
        ),
        [
            "t.yaml:4:1: spce is not a field of this kind: did you mean `spec`?",
            "t.yaml:1:1: apiVersion is \"security.istio.io/v1alpha1\", and a PeerAuthentication has one of security.istio.io/v1, security.istio.io/v1beta1",
            "t.yaml:3:12: metadata.lables is not a field of this kind: did you mean `labels`?",
            "t.yaml:3:24: metadata.name is \"A\", and a name has lower-case letters, digits and `-`, and `.` between such words",
        ]
    );
    let policy = |spec: &str| {
        errors(&format!(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: a}}\nspec: {spec}\n"
        ))
    };
    assert!(policy("{action: DENY, rules: [{}]}").is_empty());
    assert!(policy("{action: CUSTOM, provider: {name: opa}, rules: [{}]}").is_empty());
    assert!(errors("apiVersion: v1\nkind: Service\nmetadata: {name: a}\n").is_empty());
}

#[test]
fn what_only_a_waypoint_would_act_on_is_accepted_and_said_to_protect_nothing() {
    let front = "{group: gateway.networking.k8s.io, kind: Gateway, name: front}";
    let (web, class) =
        ("{kind: Service, name: web}", "{group: gateway.networking.k8s.io, kind: GatewayClass, name: w}");
    let entry = "{group: networking.istio.io, kind: ServiceEntry, name: out}";
    for (kind, rest, sentence) in [
        (
            "AuthorizationPolicy",
            "rules: [{}]",
            "waypoints alone ask the policy, there are none, and it protects nothing",
        ),
        ("RequestAuthentication", "jwtRules: [{issuer: i}]", "waypoints alone check tokens for it"),
    ] {
        for (targets, places) in [
            (front.to_owned(), &[][..]),
            (web.to_owned(), &["spec.targetRefs[0].kind"]),
            (format!("{front}, {entry}"), &["spec.targetRefs[1].kind"]),
            (format!("{class}, {front}"), &["spec.targetRefs[0].kind"]),
        ] {
            let findings = check(&format!(
                "apiVersion: security.istio.io/v1\nkind: {kind}\nmetadata: {{name: a}}\n\
                 spec: {{targetRefs: [{targets}], {rest}}}\n"
            ));
            assert_eq!(lines(&findings.errors), [""; 0], "{kind} {targets}");
            let said = lines(&findings.warnings);
            assert_eq!(said.len(), places.len(), "{said:?}");
            for (line, place) in said.iter().zip(places) {
                assert!(line.contains(place) && line.contains(sentence), "{line}");
            }
        }
    }
}

#[test]
fn what_is_not_in_force_is_said() {
    let text = service(
        "  - match:\n    - uri: {prefix: /a}\n      queryParams: {q: {exact: a}}\n      name: m\n      statPrefix: s\n      headers: {'@request.auth.claims.a': {exact: b}}\n    delegate: {name: other}\n",
    ) + "  gateways: [front]\n";
    let findings = check(&text);
    assert_eq!(
        lines(&findings.warnings),
        [
            "t.yaml:10:7: spec.http[0].match[0].name is not in force yet: the name appears nowhere",
            "t.yaml:11:7: spec.http[0].match[0].statPrefix is not in force yet: the prefix appears nowhere",
        ]
    );

    let object = Object::<VirtualService>::from_document(&document(&text)).unwrap();
    let rule = |index| yaml::Path::root().key("spec").key("http").index(index);
    assert_eq!(object.never_matching(&rule(0)).count(), 0);

    let tls = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a}\nspec: {host: a, trafficPolicy: {tls: {mode: SIMPLE, caCrl: /a}}}\n";
    assert!(lines(&check(tls).errors)[0].contains("spec.trafficPolicy.tls.caCrl is not in force yet"));
    assert!(check(&tls.replace(", caCrl: /a", "")).is_empty());
}

#[test]
fn unreachable_rules_are_said() {
    let to = "route: [{destination: {host: reviews}}]";
    let findings = check(&service(&format!(
        "  - match: [{{uri: {{exact: /a}}}}]\n    {to}\n  - match: [{{uri: {{exact: /a}}}}]\n    {to}\n  - {to}\n  - {to}\n"
    )));
    assert_eq!(
        lines(&findings.warnings),
        [
            "t.yaml:9:13: spec.http[1].match[0] is never reached: http[0] has the same match",
            "t.yaml:12:5: spec.http[3] is never reached: http[2] has no match and takes every request",
        ]
    );
}

#[test]
fn durations_are_read_as_go_reads_them() {
    let cases = [
        ("1h30m", Some(5_400_000)),
        ("1.5s", Some(1_500)),
        ("20ms", Some(20)),
        ("0s", Some(0)),
        ("0", Some(0)),
        ("1m0.5s", Some(60_500)),
        ("5", None),
        ("", None),
        ("s", None),
        ("5s ", None),
        ("5d", None),
        ("-1s", None),
        ("99999999999h", None),
    ];
    for (text, milliseconds) in cases {
        let duration = text.parse::<Duration>().ok();
        assert_eq!(duration.map(|duration| duration.get().as_millis()), milliseconds, "{text:?}");
        if let Some(duration) = duration {
            assert_eq!(duration.to_string().parse(), Ok(duration));
        }
    }
}

/// Time that grows with the square of what a user sent would hold up everybody else's writes: each of these would take
/// minutes.
#[test]
fn large_objects_are_judged_in_time_and_words_that_are_bounded() {
    let names = |count: usize| (0..count).map(|n| format!("a{n}.example.com")).collect::<Vec<_>>();
    let object = |spec: Value| {
        let object = json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "a"}, "spec": spec});
        validate(kinds::of(&object).unwrap(), &object)
    };
    let http = json!([{"route": [{"destination": {"host": "a"}}]}]);
    let tls = json!([{"match": [{"sniHosts": names(50_000)}], "route": [{"destination": {"host": "a"}}]}]);
    assert!(object(json!({"hosts": names(50_000), "tls": tls, "http": http})).errors.is_empty());

    let mut hosts = names(50_000);
    hosts.push("*.example.com".to_owned());
    let findings = object(json!({"hosts": hosts, "http": http}));
    assert_eq!(
        lines(&findings.errors),
        ["spec.hosts[50000] is *.example.com, which overlaps a0.example.com before it: remove one of the two"]
    );

    let unknown: serde_json::Map<String, Value> = names(50_000).into_iter().map(|name| (name, json!(1))).collect();
    let findings = object(Value::Object(unknown));
    assert_eq!(findings.errors.len(), 101);
    assert!(findings.errors[100].message.contains("there are more than 100 errors"));
}

#[test]
fn kinds_are_found_by_any_of_their_names() {
    for word in ["vs", "virtualservice", "VirtualServices", "virtualservices.networking.istio.io"] {
        assert_eq!(kinds::by_name(word).map(|kind| kind.kind), Some("VirtualService"), "{word}");
    }
    assert_eq!(kinds::by_name("virtualservices.example.com"), None);
    let names: BTreeSet<_> = kinds::KINDS.iter().map(|kind| (kind.group, kind.plural)).collect();
    assert_eq!(names.len(), kinds::KINDS.len());
}

// === schema ===

pub(super) type Leaves = BTreeMap<String, String>;

/// Every field of a schema: its path, with `[]` for items and `{}` for entries, and its type.
pub(super) fn flatten(schema: &Value, path: &str, leaves: &mut Leaves) {
    let mut ty = schema["type"].as_str().unwrap_or("any").to_owned();
    if let Some(names) = schema["enum"].as_array() {
        let mut names: Vec<_> = names.iter().filter_map(Value::as_str).collect();
        names.sort_unstable();
        ty = format!("{ty} {names:?}");
    }
    for limit in [
        "minimum",
        "maximum",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
        "maxLength",
        "minLength",
        "pattern",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-preserve-unknown-fields",
        "format",
        "nullable",
    ] {
        if let Some(limit_value) = schema.get(limit) {
            let number = limit_value.as_f64().map(|number| number.to_string());
            ty += &format!(" {limit}={}", number.unwrap_or_else(|| limit_value.to_string()));
        }
    }
    let mut required: Vec<_> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    required.sort_unstable();
    if !required.is_empty() {
        ty += &format!(" required={required:?}");
    }
    leaves.insert(path.to_owned(), ty);
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        flatten(inner, &format!("{path}.{name}"), leaves);
    }
    if schema["items"].is_object() {
        flatten(&schema["items"], &format!("{path}[]"), leaves);
    }
    if schema["additionalProperties"].is_object() {
        flatten(&schema["additionalProperties"], &format!("{path}{{}}"), leaves);
    }
}

/// The rules that a schema states in CEL, by the path of the field where they stand; blanks and quotes do not count.
pub(super) fn stated(schema: &Value, path: &str, rules: &mut BTreeSet<(String, String)>) {
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        let text = rule["rule"].as_str().unwrap_or_default();
        let text: String =
            text.chars().filter(|c| !c.is_whitespace()).map(|c| if c == '"' { '\'' } else { c }).collect();
        rules.insert((path.to_owned(), text));
        assert!(rule["message"].as_str().is_some_and(|message| !message.is_empty()), "{path}: {rule}");
    }
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        stated(inner, &format!("{path}.{name}"), rules);
    }
    for (name, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
        if schema[name].is_object() {
            stated(&schema[name], &format!("{path}{mark}"), rules);
        }
    }
}

/// The rules of a version that only ours has, and those that only theirs has: `field: rule`.
pub(super) fn differing_rules(ours: &Value, theirs: &Value) -> [BTreeSet<String>; 2] {
    let rules = |version: &Value| {
        let mut rules = BTreeSet::new();
        stated(&version["schema"]["openAPIV3Schema"], "", &mut rules);
        rules
    };
    let (ours, theirs) = (rules(ours), rules(theirs));
    let shown = |set: Vec<&(String, String)>| set.into_iter().map(|(path, rule)| format!("{path}: {rule}")).collect();
    [shown(ours.difference(&theirs).collect()), shown(theirs.difference(&ours).collect())]
}

/// How a port is described.
pub(super) const PORT: &str = "integer minimum=1 maximum=65535";

/// Whether our schema and upstream's may differ here: ports are checked by their schema already.
fn is_meant(ours: &str, theirs: &str) -> bool {
    ours == PORT && theirs == "integer minimum=0 maximum=4294967295"
}

/// The rules that are stated otherwise, and mean the same: limits of ports are limits of the schema; three rules of credentials
/// are one; a set's order; and a default that a rule has no need of.
const MEANT_RULES: [&str; 4] =
    ["0<self&&self<=65535", "has(self.credentialNames)", "rl: isURL(self)", "has(self.portLevelMtls)"];

#[test]
fn definitions_are_upstreams_field_by_field() {
    let Some(theirs) = upstream("crds/istio.yaml") else { return };
    let mut meant = BTreeSet::new();
    let mut other_rules = BTreeSet::new();
    for ours in crds() {
        let name = &ours["metadata"]["name"];
        let theirs = theirs.iter().find(|crd| crd.value["metadata"]["name"] == *name).expect("upstream has it");
        let (ours, theirs) = (&ours["spec"], &theirs.value["spec"]);
        for field in ["group", "names", "scope"] {
            assert_eq!(ours[field], theirs[field], "{name} {field}");
        }
        let by_name = |spec: &Value| -> BTreeMap<String, Value> {
            let versions = spec["versions"].as_array().cloned().unwrap_or_default();
            versions.into_iter().map(|version| (version["name"].to_string(), version)).collect()
        };
        let (ours, theirs) = (by_name(ours), by_name(theirs));
        assert!(ours.keys().eq(theirs.keys()), "{name}: versions");
        for (version, ours) in ours {
            let theirs = &theirs[&version];
            for field in ["served", "storage", "subresources"] {
                assert_eq!(ours[field], theirs[field], "{name} {version} {field}");
            }
            let columns = |version: &Value| -> Vec<(Value, Value, Value)> {
                let columns = version["additionalPrinterColumns"].as_array().cloned().unwrap_or_default();
                columns.into_iter().map(|c| (c["name"].clone(), c["jsonPath"].clone(), c["type"].clone())).collect()
            };
            assert_eq!(columns(&ours), columns(theirs), "{name} {version}");
            let rules = differing_rules(&ours, theirs).into_iter().flatten();
            other_rules.extend(rules.filter(|rule| !MEANT_RULES.iter().any(|meant| rule.contains(meant))));
            let leaves = |version: &Value| {
                let mut leaves = Leaves::new();
                flatten(&version["schema"]["openAPIV3Schema"], "", &mut leaves);
                leaves
            };
            let (ours, theirs) = (leaves(&ours), leaves(theirs));
            for path in ours.keys().chain(theirs.keys()) {
                match (ours.get(path), theirs.get(path)) {
                    (Some(ours), Some(theirs)) if ours == theirs => {}
                    (Some(ours), Some(theirs)) if is_meant(ours, theirs) => {
                        meant.insert(path.rsplit('.').next().unwrap_or_default().to_owned());
                    }
                    (ours, theirs) => panic!("{name} {version} {path}: ours {ours:?}, theirs {theirs:?}"),
                }
            }
        }
    }
    assert_eq!(meant.into_iter().collect::<Vec<_>>(), ["number", "port", "portNumber", "ports{}", "targetPort"]);
    assert_eq!(other_rules, BTreeSet::new());
}

/// A string that a field of this name can have.
fn sample_text(field: &str) -> &'static str {
    match field {
        "addresses" | "ipBlocks" | "notIpBlocks" | "remoteIpBlocks" | "notRemoteIpBlocks" => "10.0.0.0/8",
        "ports" | "notPorts" => "80",
        "egressHosts" => "*/1s",
        "url" => "oci://example.com/code",
        "jwksUri" | "jwks_uri" => "https://example.com/keys",
        "key" => "source.ip",
        "controllerName" => "example.com/c",
        "hostname" | "hostnames" | "name" | "namespace" | "sectionName" | "group" => "a",
        "kind" => "Service",
        "type" => "IPAddress",
        "allowOrigins" => "https://a",
        "uri" => "spiffe://a/b",
        "wellKnownCACertificates" => "System",
        "labels" | "protocol" | "operator" => "a",
        "regex" | "matches" => "a",
        _ => "1s",
    }
}

/// A value of the field that a schema allows, with every field of it set; of fields that exclude each other, the one that
/// `pick` falls on.
fn sample(field: &str, schema: &Value, pick: usize) -> Value {
    if let Some(names) = schema["enum"].as_array() {
        return names[pick % names.len()].clone();
    }
    match schema["type"].as_str() {
        Some("object") if schema["properties"].is_object() => {
            let all = schema["allOf"].as_array().into_iter().flatten();
            let groups = std::iter::once(schema).chain(all).filter_map(|group| group["oneOf"].as_array());
            let excluded: BTreeSet<&str> = groups
                .flat_map(|group| {
                    let names: Vec<&str> = group.iter().filter_map(|one| one["required"][0].as_str()).collect();
                    let kept = names[pick % names.len()];
                    names.into_iter().filter(move |name| *name != kept)
                })
                .collect();
            let fields = schema["properties"].as_object().into_iter().flatten();
            fields
                .filter(|(name, _)| !excluded.contains(name.as_str()))
                .map(|(name, schema)| (name.clone(), sample(name, schema, pick)))
                .collect()
        }
        Some("object") => json!({"80": sample(field, &schema["additionalProperties"], pick)}),
        // Two kinds of hosts go by one name.
        Some("array")
            if field == "hosts" && schema["description"].as_str().is_some_and(|text| text.contains("namespaces.")) =>
        {
            json!([sample_text("egressHosts")])
        }
        Some("array") => json!([sample(field, &schema["items"], pick)]),
        Some("integer") => json!(schema["minimum"].as_i64().unwrap_or(1).max(1)),
        Some("number") => json!(1.5),
        Some("boolean") => json!(true),
        _ => json!(sample_text(field)),
    }
}

#[test]
fn every_field_of_the_schema_is_read_and_written() {
    fn round_trip<T: Resource>() {
        let schema = schema(Object::<T>::kind().unwrap()).unwrap();
        // As many as the largest enum has names, and more than any group of alternatives has members.
        for pick in 0..6 {
            let spec = sample("spec", &schema["properties"]["spec"], pick);
            let mut cx = field::Cx::default();
            let decoded = T::decode(&spec, &mut cx);
            // The sample has every field at once, which the kind's rules do not like; its structure has to be sound.
            let structural = [
                "is not a field",
                "has to be a string",
                "has to be a list",
                "has to be a mapping",
                "has to be a whole",
            ];
            for error in lines(&cx.findings.errors) {
                assert!(!structural.iter().any(|fault| error.contains(fault)), "{} {error}", T::KIND);
            }
            assert_eq!(decoded.and_then(|decoded| decoded.encode()), Some(spec), "{} {pick}", T::KIND);
        }
    }
    round_trip::<VirtualService>();
    round_trip::<DestinationRule>();
    round_trip::<Gateway>();
    round_trip::<PeerAuthentication>();
    round_trip::<RequestAuthentication>();
    round_trip::<AuthorizationPolicy>();
    round_trip::<ServiceEntry>();
    round_trip::<Sidecar>();
    round_trip::<WorkloadEntry>();
    round_trip::<WorkloadGroup>();
    round_trip::<EnvoyFilter>();
    round_trip::<ProxyConfig>();
    round_trip::<Telemetry>();
    round_trip::<WasmPlugin>();
    round_trip::<TrafficExtension>();
    round_trip::<gateway_api::GatewayClass>();
    round_trip::<gateway_api::Gateway>();
    round_trip::<gateway_api::HTTPRoute>();
    round_trip::<gateway_api::GRPCRoute>();
    round_trip::<gateway_api::TLSRoute>();
    round_trip::<gateway_api::TCPRoute>();
    round_trip::<gateway_api::UDPRoute>();
    round_trip::<gateway_api::ListenerSet>();
    round_trip::<gateway_api::ReferenceGrant>();
    round_trip::<gateway_api::BackendTLSPolicy>();
}

#[test]
fn every_field_is_in_force_or_said_not_to_be() {
    let covers = |pattern: &str, path: &str| {
        path.strip_prefix(pattern).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[', '{']))
    };
    let kinds: std::collections::BTreeSet<&str> = enforcement::IN_FORCE.iter().map(|(kind, _)| *kind).collect();
    for kind in &kinds {
        let of_kind = enforcement::IN_FORCE.iter().filter(|(known, _)| known == kind);
        let in_force: Vec<&str> = of_kind.flat_map(|(_, fields)| *fields).copied().collect();
        let of_kind = enforcement::NOT_IN_FORCE.iter().filter(|(known, _)| known == kind);
        let rows: Vec<&enforcement::Row> = of_kind.flat_map(|(_, rows)| *rows).collect();
        let kind = enforcement::kind(kind).unwrap();
        let mut leaves = Leaves::new();
        flatten(&schema(kind).unwrap()["properties"]["spec"], "spec", &mut leaves);
        let rows_of_fields = rows.iter().map(|row| row.path).filter(|path| *path != "kind");
        for pattern in in_force.iter().copied().chain(rows_of_fields) {
            assert!(leaves.contains_key(pattern), "{}: {pattern} is no field", kind.kind);
        }
        let is_leaf = |path: &str| !leaves.keys().any(|other| other != path && covers(path, other));
        for path in leaves.keys().filter(|path| is_leaf(path)) {
            let in_force = in_force.iter().any(|pattern| covers(pattern, path));
            let not = rows.iter().any(|row| matches!(row.when, enforcement::When::Set) && covers(row.path, path));
            let some = rows.iter().any(|row| row.path == "kind" || covers(row.path, path));
            assert!(in_force || some, "{}: {path} is neither in force nor said not to be", kind.kind);
            assert!(!(in_force && not), "{}: {path} is both in force and not", kind.kind);
        }
    }
}

// === upstream's documents ===

#[test]
fn upstreams_valid_documents_are_accepted_and_its_invalid_ones_refused() {
    const FILES: &[&str] = &[
        "authz",
        "destinationrule",
        "envoyfilter",
        "peerauth",
        "proxyconfig",
        "reqauth",
        "serviceentry",
        "telemetry",
        "wasm",
        "workloadentry",
        "workloadgroup",
    ];
    let (mut accepted, mut refused) = (0, 0);
    for kind in FILES {
        let Some(valid) = upstream(&format!("schema/{kind}-valid.yaml")) else { return };
        for document in valid {
            let findings = super::check(kinds::of(&document.value).unwrap(), &document.value).located(&document);
            assert!(!findings.is_refused(), "{findings}");
            accepted += 1;
        }
        for mut document in upstream(&format!("schema/{kind}-invalid.yaml")).unwrap() {
            // What upstream expects stands beside the object.
            document.value.as_object_mut().unwrap().remove("_err");
            let findings = super::check(kinds::of(&document.value).unwrap(), &document.value).located(&document);
            assert!(findings.is_refused(), "{:?}", document.value);
            refused += 1;
        }
    }
    assert_eq!((accepted, refused), (35, 77));
}

#[test]
fn upstreams_samples_are_read() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/upstream/samples/bookinfo/networking");
    let Ok(files) = std::fs::read_dir(root) else { return };
    let mut refused = BTreeSet::new();
    for file in files.filter_map(Result::ok) {
        let name = file.file_name().into_string().unwrap();
        for document in upstream(&format!("samples/bookinfo/networking/{name}")).unwrap() {
            let Some(kind) = kinds::of(&document.value) else { continue };
            for error in validate(kind, &document.value).located(&document).errors {
                assert!(error.message.contains("not in force yet"), "{error}");
                refused.insert(format!("{} {}", kind.kind, error.path));
            }
        }
    }
    assert!(refused.is_empty(), "{refused:?}");
}

// === anything at all ===

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
        "[-0-9.smh*/:]{0,6}".prop_map(Value::from),
    ];
    let key =
        prop_oneof!["[a-z]{0,3}", Just("exact".to_owned()), Just("80".to_owned()), Just("destination".to_owned())];
    leaf.prop_recursive(3, 20, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key.clone(), inner, 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// A sound object in which one place, found by `choices`, is replaced.
fn replaced(schema: &Value, choices: &[usize], with: Value) -> Value {
    let mut value = sample("spec", schema, choices.len());
    replace(&mut value, choices, with);
    value
}

fn replace(here: &mut Value, choices: &[usize], with: Value) {
    let inner = choices.split_first().and_then(|(choice, rest)| match here {
        Value::Object(entries) if !entries.is_empty() => {
            let at = choice % entries.len();
            entries.values_mut().nth(at).map(|inner| (inner, rest))
        }
        Value::Array(items) if !items.is_empty() => {
            let at = choice % items.len();
            items.get_mut(at).map(|inner| (inner, rest))
        }
        _ => None,
    });
    match inner {
        Some((inner, rest)) => replace(inner, rest, with),
        None => *here = with,
    }
}

/// How many of the kinds are configuration; they come first.
const CONFIGURATION: usize = registry::REGISTRY.len();

proptest! {
    #[test]
    fn no_value_makes_it_panic(kind in 0..CONFIGURATION, choices in prop::collection::vec(any::<usize>(), 0..8), with in any_value()) {
        let kind = &kinds::KINDS[kind];
        let spec = replaced(&schema(kind).unwrap()["properties"]["spec"], &choices, with);
        let object = json!({"apiVersion": kind.api_version(), "kind": kind.kind, "metadata": {"name": "a"}, "spec": spec});
        let document = document(&yaml::to_string(&object));
        for finding in validate(kind, &object).located(&document).iter() {
            prop_assert!(!finding.to_string().contains('\n'));
            prop_assert!(finding.source.is_some());
        }
    }

    #[test]
    fn no_object_makes_it_panic(value in any_value()) {
        for kind in kinds::KINDS {
            validate(kind, &value);
        }
    }
}
