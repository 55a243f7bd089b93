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
    let own = ANALYZERS.iter().filter(|analyzer| analyzer.name.starts_with("mesh."));
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
        ("{sourceNamespace: a}", "{sourceNamespace: b}"),
        ("{uri: {prefix: /a}}", "{uri: {exact: /a/1}}, {uri: {exact: /c}}"),
        ("{queryParams: {a: {exact: b}}}", "{uri: {exact: /a}}"),
        ("{scheme: {exact: http}}", "{uri: {exact: /a}}"),
    ] {
        assert!(!never(earlier, later), "{earlier} leaves something of {later}");
    }
}

#[test]
fn expressions_that_look_like_something_else() {
    let said = |regex: &str| {
        let text = virtual_service(&rule(&format!("{{uri: {{regex: '{regex}'}}}}")));
        found(&text).iter().any(|line| line == "MSH0005 VirtualService default/a spec.http[0].match[0].uri.regex")
    };
    for odd in ["/api/*", "/api", "/v1-*"] {
        assert!(said(odd), "{odd}");
    }
    for fine in ["/api/.*", "/api/[a-z]*", "/v[12]", "/(a|b)*", r"/a\d*"] {
        assert!(!said(fine), "{fine}");
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
fn what_is_not_in_force_is_found() {
    let text = "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {name: a}\nspec: {}\n";
    assert_eq!(found(text), ["MSH0001 EnvoyFilter default/a kind"]);
}

fn wanted(namespace: Option<&str>, suppressed: &[&str]) -> Wanted {
    Wanted {
        namespace: namespace.map(str::to_owned),
        threshold: Level::Info,
        suppressed: suppressed.iter().map(|one| one.parse().unwrap()).collect(),
    }
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
