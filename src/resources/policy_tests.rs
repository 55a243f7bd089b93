use serde_json::json;

use super::authorization_values::{Attribute, IpBlock, PathMatch, ServiceAccount, TextMatch};
use super::tests::{document, lines};
use super::*;

/// What is wrong with an AuthorizationPolicy of this spec.
fn policy(spec: &str) -> (Vec<String>, Vec<String>) {
    judged("AuthorizationPolicy", "", spec)
}

fn authentication(rule: &str) -> (Vec<String>, Vec<String>) {
    judged("RequestAuthentication", "", &format!("{{jwtRules: [{rule}]}}"))
}

fn judged(kind: &str, annotations: &str, spec: &str) -> (Vec<String>, Vec<String>) {
    let document = document(&format!(
        "apiVersion: security.istio.io/v1\nkind: {kind}\nmetadata: {{name: a, annotations: {{{annotations}}}}}\nspec: {spec}\n"
    ));
    let findings = check(kinds::of(&document.value).expect("a known kind"), &document.value);
    (lines(&findings.errors), lines(&findings.warnings))
}

#[test]
fn a_policy_keeps_what_was_written() {
    let document = document(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: a, namespace: b}\nspec:\n  action: DENY\n  rules:\n  - from:\n    - source: {principals: [\"cluster.local/ns/*\"], notIpBlocks: [10.0.0.0/8, \"::1\"], remoteIpBlocks: [1.2.3.4]}\n    to:\n    - operation: {paths: [/a, \"/b/{*}/c/{**}\"], ports: [\"80\"], methods: [GET]}\n    when:\n    - {key: \"request.auth.claims[a][b]\", values: [\"x*\"]}\n",
    );
    let object = Object::<AuthorizationPolicy>::from_document(&document).unwrap();
    let rule = &object.spec.rules[0];
    let source = rule.from[0].source.as_ref().unwrap();
    assert_eq!(source.principals, [TextMatch::Prefix("cluster.local/ns/".into())]);
    assert_eq!(source.not_ip_blocks.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.0/8", "::1"]);
    assert_eq!(rule.when[0].key, Attribute::Claim(["a".to_owned(), "b".to_owned()].into()));
    assert_eq!(Object::<AuthorizationPolicy>::from_value(&object.to_value()).unwrap().spec, object.spec);
    assert_eq!(object.to_value()["spec"], document.value["spec"]);
}

#[test]
fn what_is_compared_is_parsed() {
    let text = |text: &str| text.parse::<TextMatch>().unwrap();
    for (pattern, yes, no) in
        [("a", "a", "ab"), ("a*", "ab", "ba"), ("*a", "ba", "ab"), ("*", "x", ""), ("a*b", "a*b", "axb")]
    {
        assert!(text(pattern).matches(yes), "{pattern} {yes}");
        assert!(!text(pattern).matches(no), "{pattern} {no}");
        assert_eq!(text(pattern).to_string(), pattern);
    }
    for fine in ["/a/{*}/b", "/{**}", "/{*}/{**}/end", "/a*", "*", "*.jpg"] {
        assert_eq!(fine.parse::<PathMatch>().map(|path| path.to_string()), Ok(fine.to_owned()));
    }
    for wrong in ["a/{*}", "/{**}/{*}", "/{**}/a/{**}", "/a{*}", "/{*}b", "/{*}/c*", "/{a}/{*}", ""] {
        assert!(wrong.parse::<PathMatch>().is_err(), "{wrong}");
    }
    for (wrong, fine) in [("1.2.3", "1.2.3.4"), ("1.2.3.4/33", "1.2.3.4/32"), ("x", "fe80::/10")] {
        assert!(wrong.parse::<IpBlock>().is_err() && fine.parse::<IpBlock>().is_ok());
    }
    assert_eq!("b/a".parse::<ServiceAccount>().map(|account| account.namespace), Ok(Some("b".to_owned())));
    for wrong in ["a/b/c", "*", "ns/*", "", "/a", "a/"] {
        assert!(wrong.parse::<ServiceAccount>().is_err(), "{wrong}");
    }
}

#[test]
fn attributes_are_known_by_name() {
    for key in [
        "request.headers[x-a]",
        "request.auth.claims[iss]",
        "request.auth.claims[a][b]",
        "source.serviceAccount",
        "experimental.envoy.filters.a.b[c]",
    ] {
        assert_eq!(key.parse::<Attribute>().map(|attribute| attribute.to_string()), Ok(key.to_owned()));
    }
    for key in
        ["request.headers", "request.headers[]", "request.headers[a][b]", "request.auth.claims[a]b]", "source.port"]
    {
        assert!(key.parse::<Attribute>().is_err(), "{key}");
    }
    let fault = "source.pricipal".parse::<Attribute>().unwrap_err();
    assert!(fault.ends_with("did you mean `source.principal`?"), "{fault}");
}

#[test]
fn policies_that_cannot_be_meant_are_refused() {
    let cases = [
        ("{action: CUSTOM, rules: [{}]}", "spec.provider is required with CUSTOM"),
        ("{action: CUSTOM, provider: {name: x}}", "spec.rules is empty, and nobody would be asked"),
        ("{provider: {name: x}}", "spec.provider has no use with ALLOW"),
        ("{action: DENY}", "spec.rules is empty, and nothing would be denied"),
        ("{rules: [{from: []}]}", "spec.rules[0].from is empty"),
        ("{rules: [{from: [{}]}]}", "spec.rules[0].from[0].source is required"),
        ("{rules: [{from: [{source: {}}]}]}", "spec.rules[0].from[0].source is empty, and would mean anything"),
        ("{rules: [{to: [{operation: {}}]}]}", "spec.rules[0].to[0].operation is empty"),
        ("{rules: [{when: [{key: source.ip}]}]}", "spec.rules[0].when[0] says nothing about the attribute"),
        ("{rules: [{when: [{key: source.ip, values: [a]}]}]}", "spec.rules[0].when[0].values[0] is neither an address"),
        ("{rules: [{to: [{operation: {ports: [\"0\"]}}]}]}", "spec.rules[0].to[0].operation.ports[0] has to be a port"),
        (
            "{selector: {matchLabels: {a: b}}, targetRefs: [{kind: Service, name: b}]}",
            "spec has both `selector` and `targetRefs`",
        ),
        ("{targetRefs: [{kind: Pod, name: b}]}", "spec.targetRefs[0] names a Pod of Kubernetes' core"),
        ("{targetRef: {kind: Service, name: b, namespace: c}}", "spec.targetRef.namespace cannot be set"),
        (
            "{action: CUSTOM, provider: {name: x}, rules: [{from: [{source: {namespaces: [a]}}]}]}",
            "spec.rules[0].from[0].source.namespaces cannot be used with CUSTOM",
        ),
    ];
    for (spec, wanted) in cases {
        let (errors, _) = policy(spec);
        assert!(errors.len() == 1 && errors[0].starts_with(wanted), "{spec}: {errors:?}");
    }
    let (errors, warnings) = policy("{action: DENY, rules: [{to: [{operation: {methods: [POST]}}]}]}");
    assert!(errors.is_empty() && warnings[0].contains("on ports that are not HTTP"), "{errors:?} {warnings:?}");
    assert_eq!(policy("{}"), (vec![], vec![]));
}

#[test]
fn a_dry_run_is_one_or_is_refused() {
    for (kind, annotation, spec, fine) in [
        ("AuthorizationPolicy", "istio.io/dry-run: \"true\"", "{rules: [{}]}", true),
        ("AuthorizationPolicy", "istio.io/dry-run: \"yes\"", "{rules: [{}]}", false),
        ("AuthorizationPolicy", "istio.io/dry-run: \"true\"", "{action: AUDIT, rules: [{}]}", false),
        ("PeerAuthentication", "istio.io/dry-run: \"true\"", "{}", false),
    ] {
        let (errors, _) = judged(kind, annotation, spec);
        assert_eq!(errors.is_empty(), fine, "{kind} {annotation}: {errors:?}");
        assert!(
            errors.iter().all(|error| error.starts_with("metadata.annotations[\"istio.io/dry-run\"]")),
            "{errors:?}"
        );
    }
}

#[test]
fn tokens_rules_are_checked() {
    let cases = [
        ("{}", "spec.jwtRules[0].issuer is required"),
        ("{issuer: a, jwks: \"{\"}", "spec.jwtRules[0].jwks is no JSON"),
        ("{issuer: a, jwks: \"{}\"}", "spec.jwtRules[0].jwks is no set of keys"),
        ("{issuer: a, jwksUri: \"ftp://b/c\"}", "spec.jwtRules[0].jwksUri is no URL"),
        ("{issuer: a, jwks: \"{\\\"keys\\\": []}\", jwksUri: \"https://b\"}", "spec.jwtRules[0] has both"),
        ("{issuer: a, timeout: 0s}", "spec.jwtRules[0].timeout has to be at least 1ms"),
    ];
    for (rule, wanted) in cases {
        let (errors, _) = authentication(rule);
        assert!(errors.len() == 1 && errors[0].starts_with(wanted), "{rule}: {errors:?}");
    }
    let keys = json!({"keys": [{"kty": "RSA", "d": "secret"}]}).to_string();
    let (errors, warnings) = authentication(&json!({"issuer": "a", "jwks": keys}).to_string());
    assert!(errors.is_empty() && warnings[0].contains("has a secret key"), "{errors:?} {warnings:?}");
}

#[test]
fn what_is_not_in_force_is_refused_at_the_door_and_sound_behind_it() {
    for kind in ["AuthorizationPolicy", "RequestAuthentication"] {
        let object = json!({"apiVersion": "security.istio.io/v1", "kind": kind, "metadata": {"name": "a"}});
        let known = kinds::of(&object).unwrap();
        assert!(check(known, &object).is_empty());
        let refused =
            enforcement::hits(known, &object).iter().any(|hit| hit.consequence == enforcement::Consequence::Refused);
        assert_eq!(validate(known, &object).is_refused(), refused, "{kind}");
    }
}
