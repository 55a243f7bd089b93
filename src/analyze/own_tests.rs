use super::*;
use crate::yaml;

/// What is found in a text, as `CODE resource path`.
fn found(text: &str) -> Vec<String> {
    messages(text)
        .iter()
        .map(|message| format!("{} {} {}", message.code.id, message.resource(), message.path))
        .collect()
}

fn messages(text: &str) -> Vec<Message> {
    let loaded = yaml::load("t.yaml", text.as_bytes());
    assert!(loaded.errors.is_empty(), "{}", loaded.errors[0]);
    let objects = loaded.documents.into_iter().flat_map(|document| Object::of_document(document, "default", None));
    let snapshot = Snapshot::new(Options::default(), objects);
    let of_the_mesh = ["mesh.", "schema.ValidationAnalyzer.GatewayAPI", "schema.ValidationAnalyzer.MeshConfig"];
    let own = ANALYZERS.iter().filter(|analyzer| of_the_mesh.iter().any(|start| analyzer.name.starts_with(start)));
    analyze(&snapshot, own)
}

fn virtual_service(rules: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: a}}\nspec:\n  hosts: [reviews]\n  http:\n{rules}"
    )
}

fn rule(conditions: &str) -> String {
    format!("  - match: [{conditions}]\n    route: [{{destination: {{host: reviews}}}}]\n")
}

#[test]
fn a_rule_that_never_gets_a_request_is_named_with_the_one_that_does() {
    let never = |earlier: &str, later: &str| {
        let text = virtual_service(&format!("{}{}", rule(earlier), rule(later)));
        messages(&text).iter().any(|message| message.code.id == "MSH0002" && message.text.contains("http[0] takes"))
    };
    for (earlier, later) in [
        ("{uri: {prefix: /a}}", "{uri: {exact: /a/b}}"),
        ("{uri: {prefix: /}}", "{method: {exact: GET}}"),
        ("{headers: {x: {}}}", "{headers: {x: {exact: a}}}"),
        ("{uri: {regex: /a.*}}", "{uri: {prefix: /abc}}"),
        ("{uri: {prefix: /a}}, {uri: {prefix: /b}}", "{uri: {exact: /a/1}}, {uri: {exact: /b/1}}"),
        ("{withoutHeaders: {x: {exact: a}}}", "{withoutHeaders: {x: {exact: a}}, uri: {exact: /a}}"),
    ] {
        assert!(never(earlier, later), "{earlier} covers {later}");
    }
    for (earlier, later) in [
        ("{uri: {exact: /a}}", "{uri: {prefix: /a}}"),
        ("{uri: {prefix: /a}, method: {exact: GET}}", "{uri: {exact: /a}}"),
        ("{withoutHeaders: {x: {}}}", "{uri: {exact: /a}}"),
        ("{withoutHeaders: {x: {exact: a}}}", "{uri: {exact: /a}}"),
        ("{uri: {prefix: /a}}", "{uri: {regex: /a.*}}"),
        ("{port: 80}", "{port: 81}"),
        ("{port: 80}", "{uri: {exact: /a}}"),
        ("{port: 80}, {port: 81}", "{uri: {exact: /a}}"),
        ("{sourceNamespace: a}", "{sourceNamespace: b}"),
        ("{uri: {prefix: /a}}", "{uri: {exact: /a/1}}, {uri: {exact: /c}}"),
        ("{queryParams: {a: {exact: b}}}", "{uri: {exact: /a}}"),
        ("{scheme: {exact: http}}", "{uri: {exact: /a}}"),
    ] {
        assert!(!never(earlier, later), "{earlier} leaves something of {later}");
    }
}

#[test]
fn a_rule_for_one_gateway_leaves_the_others_theirs() {
    let said = |gateways: &str, earlier: &str, later: &str| -> Vec<String> {
        let text = virtual_service(&format!("{}{}", rule(earlier), rule(later))) + &format!("  gateways: {gateways}\n");
        let messages = messages(&text).into_iter().filter(|message| message.code.id == "MSH0002");
        messages.map(|message| message.path.to_string()).collect()
    };
    for (gateways, earlier, later, wanted) in [
        ("[edge, mesh]", "{gateways: [mesh]}", "{gateways: [edge]}", vec![]),
        ("[edge, mesh]", "{gateways: [mesh]}", "{gateways: [default/edge]}", vec![]),
        ("[edge, mesh]", "{gateways: [mesh]}", "{uri: {exact: /a}}", vec![]),
        ("[edge, mesh]", "{gateways: [mesh]}", "{gateways: [mesh], uri: {exact: /a}}", vec!["spec.http[1]"]),
        ("[edge, mesh]", "{uri: {prefix: /a}}", "{gateways: [edge], uri: {exact: /a}}", vec!["spec.http[1]"]),
        ("[edge]", "{uri: {prefix: /a}}", "{gateways: [mesh]}", vec!["spec.http[1].match[0].gateways"]),
        ("[edge]", "{uri: {prefix: /a}}", "{gateways: [default/edge]}", vec![]),
        ("[other/edge]", "{uri: {prefix: /a}}", "{gateways: [edge]}", vec!["spec.http[1].match[0].gateways"]),
    ] {
        assert_eq!(said(gateways, earlier, later), wanted, "{gateways} {earlier} {later}");
    }
}

#[test]
fn a_match_that_no_request_holds_is_found() {
    let said = |conditions: &str| {
        let found = found(&virtual_service(&rule(conditions)));
        found.into_iter().find_map(|line| line.strip_prefix("MSH0002 VirtualService default/a ").map(str::to_owned))
    };
    for (conditions, field) in [
        ("{uri: {prefix: api}}", "uri"),
        ("{uri: {exact: index.html}}", "uri"),
        ("{uri: {prefix: 'https://a.example.com/'}}", "uri"),
        ("{method: {exact: get}}", "method"),
        ("{method: {exact: Post}}", "method"),
    ] {
        assert_eq!(said(conditions), Some(format!("spec.http[0].match[0].{field}")), "{conditions}");
    }
    for conditions in [
        "{uri: {prefix: /api}}",
        "{uri: {exact: '*'}}",
        "{uri: {prefix: ''}}",
        "{uri: {regex: 'api'}}",
        "{method: {exact: GET}}",
        "{method: {exact: PURGE}}",
        "{method: {exact: purge}}",
        "{method: {prefix: P}}",
        "{method: {regex: 'GET|POST'}}",
        "{headers: {method: {exact: get}}}",
    ] {
        assert_eq!(said(conditions), None, "{conditions}");
    }
}

#[test]
fn expressions_that_look_like_something_else() {
    let said = |field: &str, regex: &str| {
        let text = virtual_service(&rule(&format!("{{{}}}", field.replace("REGEX", &format!("regex: '{regex}'")))));
        messages(&text).into_iter().find(|message| message.code.id == "MSH0005").map(|message| message.text)
    };
    let (path, host, header) = ("uri: {REGEX}", "authority: {REGEX}", "headers: {a: {REGEX}}");
    for (field, regex, wanted) in [
        (path, "/api/*", "write `.*`"),
        (path, "/api", "write exact, or prefix"),
        (path, "/v1-*", "write `.*`"),
        (path, "/static*", "write `.*`"),
        (path, "/*/users/[0-9]+", "write `.*`"),
        (path, "^/api", "write prefix"),
        (path, "^/api/v[0-9]/users", "add `.*` at the end"),
        (path, "api/.*", "matches no path"),
        (path, r"\.(png|jpg)$", "matches no path"),
        (path, "/v1|v2", "the `|` divides the whole"),
        (path, "/a/.*|b/.*", "the `|` divides the whole"),
        (host, "shop.example.com", "stands for any character"),
        (host, ".*.example.com", "stands for any character"),
        (host, "(www|api).example.org", "stands for any character"),
        ("headers: {origin: {REGEX}}", "https://.*shop.example.com", "stands for any character"),
        (header, "beta*", "write `.*`"),
        (header, "jason", "write exact"),
        (header, "^beta", "write prefix"),
    ] {
        let text = said(field, regex).unwrap_or_default();
        assert!(text.contains(wanted), "{field} {regex}: {text}");
    }
    for (field, regex) in [
        (path, "/api/.*"),
        (path, "/api/[a-z]*"),
        (path, "/v[12]"),
        (path, "/(a|b)*"),
        (path, r"/a\d*"),
        (path, "/a//*b"),
        (path, "/a|/b"),
        (path, "^/api$|^/v1/.*$"),
        (path, "^/api/.*"),
        (path, "^/(api|v1)(/.*)?$"),
        (path, "(?i)/api/.*"),
        (path, ".*/admin/.*"),
        (path, "[/]api"),
        (path, "/colou?r/ab*c"),
        (path, "/index.html?"),
        (path, "a*/b"),
        (host, r"shop\.example\.com"),
        (host, r".*\.example\.com(:[0-9]+)?"),
        (host, "[a-z.]+"),
        (host, r"a.+\.example\.com"),
        (header, "^(.*?; )?(user=jason)(;.*)?$"),
        (header, ".*Chrome.*"),
        (header, "[0-9a-f]{8}-.*"),
        (header, "v1.2"),
        (header, "Bearer .+"),
    ] {
        assert_eq!(said(field, regex), None, "{field} {regex}");
    }
}

#[test]
fn expressions_of_other_places_are_looked_at() {
    let text = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a}
spec:
  hosts: [reviews]
  http:
  - corsPolicy: {allowOrigins: [{exact: a}, {regex: 'https://.*.example.com'}]}
    route: [{destination: {host: reviews}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: b}
spec:
  parentRefs: [{name: edge}]
  rules:
  - matches:
    - {path: {type: RegularExpression, value: api/.*}, headers: [{type: RegularExpression, name: version, value: beta}]}
    - {path: {type: PathPrefix, value: /api*}}
    backendRefs: [{name: reviews, port: 80}]
";
    let found: Vec<String> = found(text).into_iter().filter(|line| line.starts_with("MSH0005")).collect();
    assert_eq!(
        found,
        [
            "MSH0005 HTTPRoute default/b spec.rules[0].matches[0].headers[0].value",
            "MSH0005 HTTPRoute default/b spec.rules[0].matches[0].path.value",
            "MSH0005 VirtualService default/a spec.http[0].corsPolicy.allowOrigins[1].regex",
        ]
    );
}

#[test]
fn a_host_of_several_service_entries_is_the_oldests() {
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: reviews, namespace: shop}\nspec: {ports: [{port: 80, name: http}]}\n";
    let entry = |namespace: &str, name: &str, host: &str, rest: &str| {
        format!(
            "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{hosts: [{host}], ports: [{{number: 80, name: http, protocol: HTTP}}]{rest}}}\n"
        )
    };
    let said = |entries: &[String]| -> Vec<String> {
        let found = found(&format!("{service}{}", entries.concat()));
        found.into_iter().filter_map(|line| line.strip_prefix("MSH0009 ServiceEntry ").map(str::to_owned)).collect()
    };
    let one = || entry("shop", "one", "a.example.com", "");
    for (entries, wanted) in [
        (vec![one(), entry("shop", "two", "a.example.com", "")], vec!["shop/two spec.hosts[0]"]),
        (vec![entry("shop", "two", "a.example.com", ""), one()], vec!["shop/two spec.hosts[0]"]),
        (vec![one(), entry("bank", "two", "A.example.com", "")], vec!["bank/two spec.hosts[0]"]),
        (vec![entry("shop", "own", "reviews.shop.svc.cluster.local", "")], vec!["shop/own spec.hosts[0]"]),
        (vec![one(), entry("bank", "two", "a.example.com", ", exportTo: ['.']")], vec![]),
        (vec![one(), entry("shop", "two", "b.example.com", "")], vec![]),
        (vec![one(), entry("shop", "two", "'*.example.com'", "")], vec![]),
        (vec![entry("shop", "own", "other.shop.svc.cluster.local", "")], vec![]),
        (vec![entry("shop", "own", "reviews.bank.svc.cluster.local", "")], vec![]),
    ] {
        assert_eq!(said(&entries), wanted, "{}", entries.concat());
    }
}

#[test]
fn objects_that_take_what_is_not_theirs() {
    let services = "
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec: {clusterIP: 10.0.0.7, ports: [{port: 80, name: http}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: everybody, namespace: other}
spec: {hosts: [reviews.shop.svc.cluster.local], http: [{route: [{destination: {host: reviews.shop.svc.cluster.local}}]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: own, namespace: other}
spec: {hosts: [reviews.shop.svc.cluster.local], exportTo: ['.'], http: [{route: [{destination: {host: reviews.shop.svc.cluster.local}}]}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: wide, namespace: other}
spec: {hosts: [a.example.com], addresses: [10.0.0.0/8], ports: [{number: 80, name: http, protocol: HTTP}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: apart, namespace: other}
spec: {hosts: [b.example.com], addresses: [10.1.0.0/16], ports: [{number: 80, name: http, protocol: HTTP}]}
";
    let own: Vec<String> = found(services).into_iter().filter(|line| !line.starts_with("MSH0001")).collect();
    assert_eq!(
        own,
        ["MSH0004 VirtualService other/everybody spec.hosts[0]", "MSH0006 ServiceEntry other/wide spec.addresses[0]"]
    );
}

#[test]
fn of_several_destination_rules_the_oldest_holds() {
    let rule = |name: &str, created: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: {name}, creationTimestamp: {created}}}\nspec: {{host: reviews, trafficPolicy: {{loadBalancer: {{simple: RANDOM}}}}}}\n"
        )
    };
    let text = format!("{}---\n{}", rule("a", "2026-02-01T00:00:00Z"), rule("b", "2026-01-01T00:00:00Z"));
    let messages = messages(&text);
    let conflict: Vec<&Message> = messages.iter().filter(|message| message.code.id == "MSH0003").collect();
    assert_eq!(conflict.len(), 1);
    assert_eq!((&*conflict[0].name, conflict[0].text.contains("default/b")), ("a", true));
    assert_eq!(conflict[0].reference().as_deref(), Some("t.yaml:4"));
}

#[test]
fn what_the_door_refuses_is_found_whatever_the_kind() {
    let text = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: a}
spec: {parentRefs: [{name: edge}], rules: [{matches: [{method: get}]}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    nosuch: 1
  meshNetworks: |
    networks: [
";
    let found: Vec<String> = found(text).into_iter().filter(|line| line.starts_with("IST0106")).collect();
    assert_eq!(
        found,
        [
            "IST0106 ConfigMap istio-system/istio data.mesh",
            "IST0106 ConfigMap istio-system/istio data.meshNetworks",
            "IST0106 HTTPRoute default/a spec.rules[0].matches[0].method",
        ]
    );
}

#[test]
fn what_is_not_in_force_is_found() {
    let text = "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {name: a}\nspec: {}\n";
    assert_eq!(found(text), ["MSH0001 EnvoyFilter default/a kind"]);
    let said = &messages(text)[0].text;
    assert!(said.starts_with("kind EnvoyFilter is kept, and not in force yet: "), "{said}");
}

fn wanted(namespace: Option<&str>, suppressed: &[&str]) -> Wanted {
    Wanted {
        namespace: namespace.map(str::to_owned),
        suppressed: suppressed.iter().map(|one| one.parse().unwrap()).collect(),
    }
}

/// What all analyzers find in a text, as `CODE resource path`.
fn found_by_all(text: &str) -> Vec<String> {
    let loaded = yaml::load("t.yaml", text.as_bytes());
    assert!(loaded.errors.is_empty(), "{}", loaded.errors[0]);
    let objects = loaded.documents.into_iter().flat_map(|document| Object::of_document(document, "default", None));
    let snapshot = Snapshot::new(Options::default(), objects);
    let found = analyze(&snapshot, ANALYZERS.iter().filter(|analyzer| analyzer.default));
    found.iter().map(|message| format!("{} {} {}", message.code.id, message.resource(), message.path)).collect()
}

#[test]
fn kinds_of_other_groups_are_not_taken_for_the_meshs() {
    let text = "
apiVersion: v1
kind: Service
metadata: {name: hello}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: hello}
spec: {template: {}}
---
apiVersion: policy.linkerd.io/v1alpha1
kind: AuthorizationPolicy
metadata: {name: hello}
spec: {requiredAuthenticationRefs: []}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: hello}
spec: {hosts: [hello], http: [{route: [{destination: {host: hello, port: {number: 80}}}]}]}
";
    assert_eq!(found_by_all(text), Vec::<String>::new());
}

#[test]
fn machines_are_parts_of_a_service_as_pods_are() {
    let text = |version: &str| {
        format!(
            "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: legacy}}
spec: {{hosts: [legacy.example.com], resolution: STATIC, location: MESH_INTERNAL, ports: [{{number: 80, name: http, protocol: HTTP}}], workloadSelector: {{labels: {{app: legacy}}}}}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: one}}
spec: {{address: 10.0.0.1, labels: {{app: legacy, version: {version}}}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: legacy}}
spec: {{host: legacy.example.com, subsets: [{{name: v1, labels: {{version: v1}}}}]}}
"
        )
    };
    let code = |version: &str| found_by_all(&text(version)).iter().any(|line| line.starts_with("IST0173"));
    assert_eq!((code("v1"), code("v2")), (false, true));
}

#[test]
fn a_rule_for_everybody_sees_what_its_own_namespace_does() {
    let text = "
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: wide}
spec: {hosts: ['*.example.com'], exportTo: ['.'], ports: [{number: 80, name: http, protocol: HTTP}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: api}
spec: {hosts: [api.example.com], exportTo: ['*'], http: [{route: [{destination: {host: api.example.com}}]}]}
";
    assert_eq!(found_by_all(text), Vec::<String>::new());
}

#[test]
fn the_same_configuration_in_two_clusters_is_one() {
    let clusters: [Option<std::sync::Arc<str>>; 2] = [Some("east".into()), Some("west".into())];
    let sidecar = |hosts: &str| {
        serde_json::json!({
            "apiVersion": "networking.istio.io/v1", "kind": "Sidecar", "metadata": {"name": "default", "namespace": "a"},
            "spec": {"egress": [{"hosts": [hosts]}]},
        })
    };
    let namespace = serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}});
    let live = || {
        let both = |cluster: &Option<std::sync::Arc<str>>| {
            [sidecar("./*"), namespace.clone()].map(|value| Object::of_cluster(value, cluster.as_ref()).unwrap())
        };
        clusters.iter().flat_map(both).collect::<Vec<_>>()
    };
    let codes = |objects: Vec<Object>| -> Vec<&'static str> {
        let snapshot = Snapshot::new(Options::default(), objects);
        let chosen = ANALYZERS.iter().filter(|analyzer| analyzer.name.contains("idecar"));
        analyze(&snapshot, chosen).iter().map(|message| message.code.id).collect()
    };
    assert_eq!(codes(live()), Vec::<&str>::new());
    // A file replaces what is there, wherever it is.
    let mut laid = live();
    laid.push(Object::of_cluster(sidecar("short"), None).unwrap());
    assert_eq!(codes(laid), ["IST0106"]);
}

#[test]
fn what_is_not_wanted_is_not_shown() {
    let namespace = |name: &str| format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n");
    let text = format!("{}---\n{}", namespace("frod"), namespace("other"));
    let of = |wanted: &Wanted| -> Vec<String> {
        let loaded = yaml::load("t.yaml", text.as_bytes());
        let objects = loaded.documents.into_iter().flat_map(|document| Object::of_document(document, "default", None));
        let snapshot = Snapshot::new(Options::default(), objects);
        wanted.of(analyze(&snapshot, ANALYZERS)).iter().map(|message| message.resource()).collect()
    };
    assert_eq!(of(&wanted(None, &[])), ["Namespace frod", "Namespace other"]);
    assert_eq!(of(&wanted(Some("frod"), &[])), ["Namespace frod"]);
    assert_eq!(of(&wanted(None, &["IST0102=Namespace f*"])), ["Namespace other"]);
    assert_eq!(of(&wanted(None, &["IST0*=*"])), Vec::<String>::new());
    assert!("IST0102".parse::<Suppression>().is_err() && "a=b=c".parse::<Suppression>().is_err());
    assert!(!"IST9999=*".parse::<Suppression>().unwrap().is_known());
}

#[test]
fn an_objects_author_can_suppress_codes() {
    let text = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a, annotations: {galley.istio.io/analyze-suppress: \"IST0001, IST0102\"}}\n";
    let loaded = yaml::load("t.yaml", text.as_bytes());
    let objects = loaded.documents.into_iter().flat_map(|document| Object::of_document(document, "", None));
    let usual = ANALYZERS.iter().filter(|analyzer| analyzer.default);
    assert!(analyze(&Snapshot::new(Options::default(), objects), usual).is_empty());
}

#[test]
fn files_are_laid_over_a_cluster() {
    let namespace = |labels: serde_json::Value| serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a", "labels": labels}});
    let live = || Object::of_cluster(namespace(serde_json::json!({})), None).unwrap();
    let document =
        yaml::load("t.yaml", namespace(serde_json::json!({"istio-injection": "enabled"})).to_string().as_bytes());
    let file = document.documents.into_iter().flat_map(|document| Object::of_document(document, "", None));
    let codes = |objects: Vec<Object>| analyze(&Snapshot::new(Options::default(), objects), ANALYZERS).len();
    assert_eq!(codes(vec![live()]), 1);
    assert_eq!(codes(std::iter::once(live()).chain(file).collect()), 0);
}

#[test]
fn reports_hold_every_message() {
    let text = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: \"a\", namespace: b}\nspec:\n  selector: {x: \"<y>\"}\n  servers: []\n";
    let loaded = yaml::load("dir/t.yaml", text.as_bytes());
    let objects = loaded.documents.into_iter().flat_map(|document| Object::of_document(document, "", None));
    let messages = analyze(&Snapshot::new(Options::default(), objects), ANALYZERS);
    assert!(messages.len() > 1);
    let log = sarif(&messages, "1");
    assert_eq!(log["runs"][0]["results"].as_array().map(Vec::len), Some(messages.len()));
    let place = &log["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "dir/t.yaml");
    assert!(place["region"]["startLine"].as_u64().is_some_and(|line| line > 0));
    let xml = junit(&messages, Level::Error);
    assert!(xml.contains("tests=\"1\" failures=\"1\"") && xml.contains("x=&lt;y&gt;") && !xml.contains("<y>"), "{xml}");
    assert!(junit(&[], Level::Error).contains("tests=\"1\" failures=\"0\""));
    let json = messages[0].to_json();
    for field in ["code", "documentationUrl", "level", "message", "origin", "reference"] {
        assert!(json[field].is_string(), "{field}");
    }
}

#[test]
fn routes_of_the_gateway_api_that_do_not_attach_or_have_no_backend() {
    let route = |name: &str, parent: &str, backend: &str| {
        format!(
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}, namespace: shop}}\n\
             spec: {{parentRefs: [{parent}], rules: [{{backendRefs: [{{name: {backend}, port: 80}}]}}]}}\n"
        )
    };
    let text = "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec: {ports: [{port: 80, name: http}]}\n---\n\
        apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: front, namespace: shop}\n\
        spec: {gatewayClassName: istio, listeners: [{name: http, port: 80, protocol: HTTP}]}\n"
        .to_owned()
        + &route("fine", "{name: front}", "web")
        + &route("lost", "{name: front, sectionName: https}", "web")
        + &route("empty", "{name: front}", "gone")
        // Somebody else's Gateway is somebody else's to speak of.
        + &route("foreign", "{name: other}", "gone");
    assert_eq!(
        found(&text),
        ["MSH0007 HTTPRoute shop/empty spec.rules", "MSH0007 HTTPRoute shop/lost spec.parentRefs[0]"]
    );
}

#[test]
fn a_policy_whose_provider_cannot_be_asked_says_why() {
    let mesh = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: |\n    \
        extensionProviders:\n    - {name: good, envoyExtAuthzGrpc: {service: authz, port: 9000}}\n    \
        - {name: soon, envoyExtAuthzHttp: {service: authz, port: 80, timeout: soon}}\n    \
        - {name: traces, zipkin: {service: z, port: 1}}\n---\n";
    let policy = |action: &str, provider: &str| {
        format!(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: a}}\n\
             spec: {{action: {action}, provider: {{name: {provider}}}, rules: [{{}}]}}\n"
        )
    };
    for (provider, said) in [
        ("good", None),
        ("soon", Some("(extensionProviders[1]: soon: timeout is no duration such as 5s)")),
        ("traces", Some("no entry of extensionProviders")),
        ("nobody", Some("no entry of extensionProviders")),
    ] {
        let messages = messages(&format!("{mesh}{}", policy("CUSTOM", provider)));
        let named = messages.iter().find(|message| message.code.id == "MSH0008");
        assert_eq!(named.is_some(), said.is_some(), "{provider}");
        if let (Some(named), Some(said)) = (named, said) {
            assert!(named.text.contains(said) && named.path.to_string() == "spec.provider.name", "{named:?}");
        }
    }
    // Files without the mesh's settings may be meant for a mesh that has them.
    assert!(!found(&policy("CUSTOM", "nobody")).iter().any(|found| found.starts_with("MSH0008")));
}
