//! Rules of the kinds that have no test file of their own: one line each for what is refused, and what is doubtful.

use super::tests::{document, lines};
use super::*;

fn judged(api: &str, kind: &str, spec: &str) -> Findings {
    let text = format!("apiVersion: {api}\nkind: {kind}\nmetadata: {{name: a}}\nspec: {spec}\n");
    let document = document(&text);
    check(kinds::of(&document.value).expect("a known kind"), &document.value)
}

/// Every spec has the one fault, and nothing else.
fn refused(api: &str, kind: &str, cases: &[(&str, &str)]) {
    for (spec, wanted) in cases {
        let errors = lines(&judged(api, kind, spec).errors);
        assert!(errors.len() == 1 && errors[0].starts_with(wanted), "{kind} {spec}: {errors:?}");
    }
}

const NETWORKING: &str = "networking.istio.io/v1";

#[test]
fn service_entries() {
    refused(
        NETWORKING,
        "ServiceEntry",
        &[
            ("{hosts: [a.b], resolution: STATIC, endpoints: [{address: c.d}]}", "spec.endpoints[0].address is a name"),
            (
                "{hosts: [a.b], resolution: DNS, endpoints: [{address: \"unix:///c\"}]}",
                "spec.endpoints[0].address is a Unix",
            ),
            ("{hosts: [\"*.b\"], resolution: DNS}", "spec.hosts[0] is a wildcard, which DNS cannot resolve"),
            ("{hosts: [a.b], resolution: DYNAMIC_DNS}", "spec.hosts[0] is a.b, and DYNAMIC_DNS is for wildcards"),
            (
                "{hosts: [\"*.b\"], resolution: DYNAMIC_DNS, ports: [{number: 1, name: a, protocol: TCP}]}",
                "spec.ports[0].protocol has to be one of",
            ),
            (
                "{hosts: [a.b], resolution: STATIC, ports: [{number: 1, name: a}], endpoints: [{address: 1.2.3.4, ports: {b: 1}}]}",
                "spec.endpoints[0].ports.b is the name of no port of the entry",
            ),
            (
                "{hosts: [a.b], resolution: STATIC, ports: [{number: 1, name: a}, {number: 2, name: b}], endpoints: [{address: \"unix:///c\"}]}",
                "spec.endpoints[0].address is a Unix socket, which is one port",
            ),
            ("{hosts: [a.b], ports: [{number: 1, name: a, protocol: HTP}]}", "spec.ports[0].protocol is \"HTP\""),
            (
                "{hosts: [a.b, c.d], resolution: DNS, ports: [{number: 1, name: a, protocol: TCP}]}",
                "spec.ports[0].protocol has to be one of HTTP, HTTP2",
            ),
            ("{hosts: [a.b], exportTo: [\"~\", b]}", "spec.exportTo has `~`, which is nobody, beside others"),
            ("{hosts: [a.b], addresses: [10.0.0.0/33]}", "spec.addresses[0] is neither an address nor a network"),
        ],
    );
    let entry = judged(NETWORKING, "ServiceEntry", "{hosts: [\"*x\"], exportTo: [\"~\"]}");
    assert!(entry.errors.is_empty() && entry.warnings[0].message.contains("part of a label"), "{entry}");
    let several = judged(
        NETWORKING,
        "ServiceEntry",
        "{hosts: [a.b, c.d], addresses: [1.2.3.4], resolution: DNS, ports: [{number: 1, name: a, protocol: TLS}]}",
    );
    assert!(several.errors.is_empty() && several.warnings[0].path.to_string() == "spec.addresses", "{several}");
    let idle = judged(NETWORKING, "ServiceEntry", "{hosts: [a.b], workloadSelector: {labels: {a: b}}}");
    assert!(idle.errors.is_empty() && idle.warnings[0].message.starts_with("has no effect with the resolution NONE"));
    let rule = judged(NETWORKING, "DestinationRule", "{host: a, exportTo: [\"~\"]}");
    assert!(rule.errors[0].message.contains("only a ServiceEntry can say"), "{rule}");
}

#[test]
fn sidecars() {
    refused(
        NETWORKING,
        "Sidecar",
        &[
            ("{}", "spec says nothing"),
            ("{egress: [{hosts: [a.b]}]}", "spec.egress[0].hosts[0] has no namespace"),
            ("{egress: [{hosts: [\"A_/b\"]}]}", "spec.egress[0].hosts[0] has \"A_\" before the `/`"),
            ("{egress: [{hosts: [\"./*\"]}, {hosts: [\"*/*\"]}]}", "spec.egress[1] is never used"),
            ("{egress: [{bind: 1.2.3.4, hosts: [\"./*\"]}]}", "spec.egress[0].bind needs a port"),
            (
                "{ingress: [{port: {number: 1}, defaultEndpoint: \"1.2.3.4:5\"}]}",
                "spec.ingress[0].defaultEndpoint is none of",
            ),
            ("{ingress: [{port: {number: 1}}, {port: {number: 1}}]}", "spec.ingress[1].port.number repeats"),
            ("{egress: [{hosts: [\"a/*b.c\"]}]}", "spec.egress[0].hosts[0] has a wildcard that is part of a label"),
            ("{egress: [{hosts: [\"./b\"]}]}", "spec.egress[0].hosts[0] is a short name"),
            (
                "{egress: [{port: {number: 1}, hosts: [\"./*\"]}, {port: {number: 1}, bind: 1.2.3.4, hosts: [\"./*\"]}]}",
                "spec.egress[1].port.number repeats",
            ),
            (
                "{egress: [{port: {}, bind: \"unix:///a\", captureMode: IPTABLES, hosts: [\"./*\"]}]}",
                "spec.egress[0].captureMode has to be DEFAULT or NONE",
            ),
            (
                "{egress: [{port: {}, bind: \"unix:///a\", hosts: [\"./*\"]}, {port: {}, bind: \"unix:///a\", hosts: [\"./*\"]}]}",
                "spec.egress[1].bind repeats the socket",
            ),
            (
                "{ingress: [{port: {number: 1}, tls: {mode: ISTIO_MUTUAL}}]}",
                "spec.ingress[0].tls.mode has to be SIMPLE",
            ),
            (
                "{outboundTrafficPolicy: {mode: REGISTRY_ONLY, egressProxy: {host: a.b, port: {number: 1}}}}",
                "spec.outboundTrafficPolicy.egressProxy needs the mode ALLOW_ANY",
            ),
        ],
    );
    for fine in [
        "{egress: [{hosts: [\"~/*\"]}]}",
        "{egress: [{hosts: [\"*/*\", \"~ns/a.b\"]}]}",
        "{ingress: [{port: {number: 1}, defaultEndpoint: \"[::1]:5\"}]}",
    ] {
        assert!(judged(NETWORKING, "Sidecar", fine).is_empty(), "{fine}");
    }
}

#[test]
fn hosts_of_sidecars_that_bring_in_nothing() {
    for (hosts, doubtful) in [
        ("[\"*/*\", \"a/b.c\"]", Some(1)),
        ("[\"a/b.c\", \"*/*\"]", Some(0)),
        ("[\"a/*\", \"a/b.c\"]", Some(1)),
        ("[\"./*\", \"default/b.c\"]", Some(1)),
        ("[\"a/b.c\", \"a/b.c\"]", Some(1)),
        ("[\"a/*\", \"b/b.c\"]", None),
        ("[\"*/b.c\", \"a/*\"]", None),
    ] {
        let findings = judged(NETWORKING, "Sidecar", &format!("{{egress: [{{hosts: {hosts}}}]}}"));
        let places: Vec<String> = findings.warnings.iter().map(|warning| warning.path.to_string()).collect();
        let wanted: Vec<String> = doubtful.iter().map(|at| format!("spec.egress[0].hosts[{at}]")).collect();
        assert_eq!((places, findings.errors.len()), (wanted, 0), "{hosts}");
    }
}

#[test]
fn destination_rules() {
    let policy = |policy: &str| format!("{{host: a, trafficPolicy: {policy}}}");
    let at = "spec.trafficPolicy";
    for (faulty, wanted) in [
        (
            "{tls: {mode: SIMPLE, insecureSkipVerify: true, caCertificates: /a}}",
            ".tls.caCertificates cannot be set with",
        ),
        (
            "{tls: {mode: SIMPLE, insecureSkipVerify: true, credentialName: a}}",
            ".tls.credentialName cannot be set with",
        ),
        (
            "{tls: {mode: MUTUAL, insecureSkipVerify: true, credentialName: a, subjectAltNames: [a]}}",
            ".tls.subjectAltNames cannot be set with",
        ),
        (
            "{connectionPool: {http: {http2KeepAlive: {timeout: 1s}}}}",
            ".connectionPool.http.http2KeepAlive.interval is required",
        ),
        ("{connectionPool: {tcp: {connectTimeout: 1.5ms}}}", ".connectionPool.tcp.connectTimeout has to be whole"),
        (
            "{loadBalancer: {consistentHash: {httpCookie: {name: a, ttl: 1s, attributes: [{name: b}, {name: b}]}}}}",
            ".loadBalancer.consistentHash.httpCookie.attributes[1].name repeats",
        ),
        (
            "{loadBalancer: {localityLbSetting: {}, zoneAwareLbSetting: {}}}",
            ".loadBalancer has both `localityLbSetting` and `zoneAwareLbSetting`",
        ),
        (
            "{loadBalancer: {warmup: {duration: 1s, aggression: 0}}}",
            ".loadBalancer.warmup.aggression has to be above 0",
        ),
        (
            "{tunnel: {targetHost: a.b, targetPort: 1}, proxyProtocol: {version: V1}}",
            " has both `tunnel` and `proxyProtocol`",
        ),
        ("{portLevelSettings: [{port: {number: 1}}]}", ".portLevelSettings[0] has no settings"),
    ] {
        refused(NETWORKING, "DestinationRule", &[(&policy(faulty), &format!("{at}{wanted}"))]);
    }
    let unseen =
        judged(NETWORKING, "DestinationRule", &policy("{loadBalancer: {localityLbSetting: {failoverPriority: [a]}}}"));
    assert!(unseen.errors.is_empty() && unseen.warnings[0].message.contains("outlierDetection"), "{unseen}");
    let seen = policy("{outlierDetection: {}, loadBalancer: {localityLbSetting: {failoverPriority: [a]}}}");
    assert!(judged(NETWORKING, "DestinationRule", &seen).is_empty());
    let unchecked = policy("{tls: {mode: MUTUAL, insecureSkipVerify: true, credentialName: a}}");
    assert!(judged(NETWORKING, "DestinationRule", &unchecked).errors.is_empty());
}

#[test]
fn virtual_services_as_istio_takes_them() {
    let rule = |rule: &str| format!("{{hosts: [a], http: [{{{rule}}}]}}");
    let to = "route: [{destination: {host: a}}]";
    refused(
        NETWORKING,
        "VirtualService",
        &[
            (
                &rule("match: [{uri: {exact: /a}}], redirect: {prefixRewrite: /b}"),
                "spec.http[0].match[0].uri has to be a prefix",
            ),
            (
                &rule(&format!("match: [{{headers: {{a: {{prefix: \"\"}}}}}}], {to}")),
                "spec.http[0].match[0].headers.a.prefix is empty",
            ),
            (
                &rule(&format!("match: [{{headers: {{a: {{regex: \"*\"}}}}}}], {to}")),
                "spec.http[0].match[0].headers.a.regex is no regular",
            ),
            (&rule(&format!("timeout: 1us, {to}")), "spec.http[0].timeout has to be at least 1ms"),
        ],
    );
    for fine in [
        rule(&format!("match: [{{withoutHeaders: {{a: {{regex: \"*\"}}}}}}], {to}")),
        rule("match: [{uri: {regex: a}}], delegate: {name: b}"),
        "{hosts: [outbound_.80_._.a.b.svc.cluster.local], gateways: [c], tls: [{match: [{sniHosts: [outbound_.80_._.a.b.svc.cluster.local]}], route: [{destination: {host: a}}]}]}".to_owned(),
    ] {
        assert!(judged(NETWORKING, "VirtualService", &fine).is_empty(), "{fine}");
    }
    let whole = judged(NETWORKING, "VirtualService", &rule(&format!("match: [{{uri: {{prefix: \"\"}}}}], {to}")));
    assert!(whole.errors.is_empty() && whole.warnings.len() == 1, "{whole}");
    for odd in ["outbound_.http_._.a.b", "outbound_.80_._", "outbound_.80_._.*.b", "outbound_.80_.A_._.b"] {
        assert!(odd.parse::<Host>().is_err(), "{odd}");
    }
}

#[test]
fn gateways() {
    let server = |hosts: &str, tls: &str| {
        format!("{{servers: [{{port: {{number: 443, name: a, protocol: HTTPS}}, hosts: [{hosts}], tls: {tls}}}]}}")
    };
    let simple = "{mode: SIMPLE, credentialName: a}";
    refused(
        NETWORKING,
        "Gateway",
        &[
            (&server("\"*a.b\"", simple), "spec.servers[0].hosts[0] has a wildcard that is part of a label"),
            (&server("a", simple), "spec.servers[0].hosts[0] is a short name"),
            (
                &server("a.b", "{mode: ISTIO_MUTUAL, credentialName: a}"),
                "spec.servers[0].tls.credentialName cannot be set with ISTIO_MUTUAL",
            ),
        ],
    );
    for doubtful in ["{credentialName: a}", "{mode: SIMPLE, credentialName: a, httpsRedirect: true}"] {
        let findings = judged(NETWORKING, "Gateway", &server("a.b", doubtful));
        assert_eq!((findings.errors.len(), findings.warnings.len()), (0, 1), "{doubtful} {findings}");
    }
}

#[test]
fn policies_that_look_like_less_than_they_are() {
    let deny = judged(
        "security.istio.io/v1",
        "AuthorizationPolicy",
        "{action: DENY, rules: [{from: [{source: {requestPrincipals: [a]}}]}]}",
    );
    assert!(deny.errors.is_empty() && deny.warnings[0].path.to_string() == "spec.rules[0].from", "{deny}");
    for (kind, field) in
        [("AuthorizationPolicy", "selector"), ("RequestAuthentication", "selector"), ("PeerAuthentication", "selector")]
    {
        let findings = judged("security.istio.io/v1", kind, &format!("{{{field}: {{}}}}"));
        assert!(findings.errors.is_empty() && findings.warnings[0].message.starts_with("has no labels"), "{findings}");
    }
    refused(
        "security.istio.io/v1",
        "RequestAuthentication",
        &[("{jwtRules: [{issuer: a, jwksUri: \"https://a.b:c\"}]}", "spec.jwtRules[0].jwksUri is no URL")],
    );
}

#[test]
fn workloads() {
    refused(
        NETWORKING,
        "WorkloadEntry",
        &[
            ("{address: \"*.b\"}", "spec.address has a wildcard"),
            ("{address: 1.2.3.4, locality: a//b}", "spec.locality is no place"),
            ("{address: 1.2.3.4, labels: {\"a b\": c}}", "spec.labels[\"a b\"] is no label's key"),
        ],
    );
    refused(
        NETWORKING,
        "WorkloadGroup",
        &[
            ("{template: {}, probe: {}}", "spec.probe says nothing about how"),
            ("{template: {}, probe: {httpGet: {port: 1, scheme: FTP}}}", "spec.probe.httpGet.scheme has to be"),
            ("{template: {address: \"unix:///a\", ports: {a: 1}}}", "spec.template.ports cannot be set"),
        ],
    );
}

#[test]
fn extensions_and_telemetry() {
    refused(
        "extensions.istio.io/v1alpha1",
        "TrafficExtension",
        &[
            ("{}", "spec has no code"),
            ("{lua: {inlineCode: a}, wasm: {url: b}}", "spec has both `wasm` and `lua`"),
            ("{wasm: {url: \"ftp://a\"}}", "spec.wasm.url is no URL"),
        ],
    );
    refused(
        "telemetry.istio.io/v1",
        "Telemetry",
        &[
            ("{tracing: [{customTags: {a: {}}}]}", "spec.tracing[0].customTags.a says nothing"),
            (
                "{tracing: [{randomSamplingPercentage: 101}]}",
                "spec.tracing[0].randomSamplingPercentage has to be between",
            ),
        ],
    );
    refused(
        "telemetry.istio.io/v1",
        "Telemetry",
        &[
            (
                "{accessLogging: [{filter: {expression: \")++\"}}]}",
                "spec.accessLogging[0].filter.expression is no condition",
            ),
            (
                "{accessLogging: [{filter: {expression: \"request.path == \\\"b\"}}]}",
                "spec.accessLogging[0].filter.expression is no condition",
            ),
        ],
    );
    let beyond = judged(
        "telemetry.istio.io/v1",
        "Telemetry",
        "{accessLogging: [{filter: {expression: \"size(request.path) > 3\"}}]}",
    );
    assert!(beyond.errors.is_empty() && beyond.warnings.len() == 1, "{beyond}");
    let several = judged("telemetry.istio.io/v1", "Telemetry", "{tracing: [{}, {}]}");
    assert!(several.errors.is_empty() && several.warnings.len() == 1);
    let label = |value: &str| {
        let spec = format!("{{metrics: [{{overrides: [{{tagOverrides: {{a: {{value: \"{value}\"}}}}}}]}}]}}");
        let found = judged("telemetry.istio.io/v1", "Telemetry", &spec);
        assert!(found.errors.is_empty(), "{value}");
        found.warnings.len()
    };
    assert_eq!(["request.host", "'a' + string(response.code)", "filter_state['x']"].map(label), [0, 0, 1]);
}

#[test]
fn envoy_filters() {
    refused(
        "networking.istio.io/v1alpha3",
        "EnvoyFilter",
        &[
            ("{configPatches: [{patch: {operation: MERGE, value: {}}}]}", "spec.configPatches[0].applyTo is required"),
            ("{configPatches: [{applyTo: CLUSTER}]}", "spec.configPatches[0].patch is required"),
            (
                "{configPatches: [{applyTo: CLUSTER, patch: {operation: INSERT_FIRST, value: {}}}]}",
                "spec.configPatches[0].patch.operation cannot be INSERT_FIRST on CLUSTER",
            ),
            (
                "{configPatches: [{applyTo: CLUSTER, match: {listener: {}}, patch: {operation: MERGE, value: {}}}]}",
                "spec.configPatches[0].match does not look at what CLUSTER changes",
            ),
            (
                "{configPatches: [{applyTo: CLUSTER, patch: {operation: ADD}}]}",
                "spec.configPatches[0].patch.value is required",
            ),
        ],
    );
}

#[test]
fn the_controller_of_a_class_stays() {
    let class = |controller: &str| {
        serde_json::json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {"name": "a"},
            "spec": {"controllerName": controller},
        })
    };
    let kind = kinds::of(&class("a.b/c")).unwrap();
    assert_eq!(forbidden_change(kind, &class("a.b/c"), &class("a.b/c")), None);
    let said = forbidden_change(kind, &class("a.b/c"), &class("a.b/d")).unwrap();
    assert!(said.starts_with("spec.controllerName cannot be changed"), "{said}");
}

#[test]
fn an_authority_that_no_proxy_could_take_is_refused_wherever_it_is_set() {
    for (headers, is_fine) in [
        ("{request: {set: {Host: web.example.com}}}", true),
        ("{request: {set: {':authority': '[fd00::1]:80'}}}", true),
        ("{request: {set: {x-host: a b}}}", true),
        ("{request: {set: {Host: a b}}}", false),
        ("{request: {add: {':authority': bücher.example}}}", false),
    ] {
        for place in [
            "route: [{destination: {host: web}}], headers: EDITS",
            "route: [{destination: {host: web}, headers: EDITS}]",
        ] {
            let spec = format!("{{hosts: [web], http: [{{{}}}]}}", place.replace("EDITS", headers));
            let errors = lines(&judged(NETWORKING, "VirtualService", &spec).errors);
            assert_eq!(errors.is_empty(), is_fine, "{spec}: {errors:?}");
        }
    }
}
