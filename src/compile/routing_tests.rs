use super::tests::{aged, decided, goes, object, scope, service, world};
use super::*;
use crate::model::{Action, HostPattern, Labels, ListenerProtocol, RedirectPort};

const WEB: &str = "web.shop.svc.cluster.local";

fn web(spec: &str) -> String {
    object("VirtualService", "shop", "web", spec)
}

#[test]
fn a_rule_that_says_nothing_about_a_client_leaves_the_service_as_it_is() {
    let to = |subset: &str| format!("route: [{{destination: {{host: web, subset: {subset}}}}}]");
    let other = format!("{{hosts: [web], http: [{{match: [{{sourceLabels: {{app: other}}}}], {}}}]}}", to("v2"));
    let own = format!("{{hosts: [web], http: [{{match: [{{sourceLabels: {{app: client}}}}], {}}}]}}", to("v2"));
    let bank = format!("{{hosts: [web], http: [{{match: [{{sourceNamespace: bank}}], {}}}]}}", to("v2"));
    let port = format!("{{hosts: [web], http: [{{match: [{{port: 8080}}], {}}}]}}", to("v2"));
    let edge =
        format!("{{hosts: [web], gateways: [mesh, edge], http: [{{match: [{{gateways: [edge]}}], {}}}]}}", to("v2"));
    let path = format!("{{hosts: [web], http: [{{match: [{{uri: {{exact: /a}}, port: 80}}], {}}}]}}", to("v2"));
    for (spec, port, expected) in [
        (&other, 80, "|80||"),
        (&own, 80, "|80|v2|"),
        (&bank, 80, "|80||"),
        (&port, 80, "|80||"),
        (&port, 8080, "|8080|v2|"),
        (&edge, 80, "|80||"),
        // What a request asks for is another thing: who wrote rules for a client leaves it without a route.
        (&path, 80, "no route"),
        (&path, 8080, "|8080||"),
    ] {
        let world = world(&(service("web", "shop", &[80, 8080]) + &web(spec)));
        let found = goes(&world, "shop", "web", port, "/", &[]);
        let expected = if expected.starts_with('|') { format!("outbound{expected}{WEB}") } else { expected.to_owned() };
        assert_eq!(found, expected, "{spec} at {port}");
    }
}

#[test]
fn the_next_rule_of_a_host_decides_for_clients_that_the_first_says_nothing_about() {
    let rule = |name: &str, second: u32, host: &str, conditions: &str| {
        let spec = format!(
            "{{hosts: ['{host}'], http: [{{{conditions}route: [{{destination: {{host: web, subset: {name}}}}}]}}]}}"
        );
        aged(&object("VirtualService", "shop", name, &spec), second)
    };
    let first = rule("first", 1, "web", "match: [{sourceLabels: {app: other}}, {port: 8080}], ");
    let second = rule("second", 2, "web", "match: [{sourceLabels: {app: client}}], ");
    let wide = rule("wide", 0, "*.shop.svc.cluster.local", "");
    let services = service("web", "shop", &[80, 8080]);
    for (config, port, expected) in [
        (format!("{first}{second}{wide}"), 80, "second"),
        (format!("{first}{second}{wide}"), 8080, "first"),
        (format!("{first}{wide}"), 80, "wide"),
        (format!("{first}{second}"), 80, "second"),
        (first, 80, ""),
    ] {
        let world = world(&(services.clone() + &config));
        let found = goes(&world, "shop", "web", port, "/", &[]);
        assert_eq!(found, format!("outbound|{port}|{expected}|{WEB}"), "{config}");
    }
}

fn gateway(target_ports: &[(u16, u16)]) -> GatewayWorkload {
    let labels = Labels::from([("app".into(), "edge".into())]);
    GatewayWorkload { scope: scope("shop"), labels, target_ports: target_ports.to_vec() }
}

const FRONT: &str = "{selector: {}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}";

/// Where a request through the Gateway goes.
fn through(world: &World, workload: &GatewayWorkload, port: u16, path: &str) -> String {
    let routes = gateway_routes(world, workload, port, &HostPattern::parse("a.com"));
    // The proxy knows the port that it listens on, and no other.
    decided(&routes, "shop", port, path, &[])
}

#[test]
fn a_rule_for_a_port_of_a_gateway_means_the_port_that_the_gateway_names() {
    let spec = "{hosts: [a.com], gateways: [front], http: [\
        {match: [{port: 443}], route: [{destination: {host: web, subset: wrong}}]}, \
        {match: [{sourceLabels: {app: other}}], route: [{destination: {host: web, subset: wrong}}]}, \
        {match: [{uri: {prefix: /old}, port: 80}], redirect: {uri: /new, derivePort: FROM_REQUEST_PORT}}, \
        {match: [{port: 80, sourceLabels: {app: edge}}], route: [{destination: {host: web, subset: right}}]}]}";
    let text = service("web", "shop", &[80, 9090]) + &object("Gateway", "shop", "front", FRONT) + &web(spec);
    let world = world(&text);
    let workload = gateway(&[(80, 8080)]);
    // The destination has several ports and the rule names none: it is that of the server.
    assert_eq!(through(&world, &workload, 8080, "/"), format!("outbound|80|right|{WEB}"));
    let routes = gateway_routes(&world, &workload, 8080, &HostPattern::parse("a.com"));
    assert_eq!(routes.http.len(), 2);
    let Action::Redirect(redirect) = &routes.http[0].action else { panic!("{:?}", routes.http[0]) };
    assert_eq!(redirect.port, RedirectPort::Number(80));
}

#[test]
fn at_a_gateway_rules_that_take_every_request_come_last_whoever_wrote_them() {
    let rule = |name: &str, second: u32, rules: &str| {
        let spec = format!("{{hosts: [a.com], gateways: [front], http: [{rules}]}}");
        aged(&object("VirtualService", "shop", name, &spec), second)
    };
    let to = |subset: &str| format!("route: [{{destination: {{host: web, subset: {subset}}}}}]");
    let api = rule("api", 2, &format!("{{match: [{{uri: {{prefix: /api}}}}], {}}}", to("api")));
    for (conditions, is_last) in [
        ("", true),
        ("match: [{}], ", true),
        ("match: [{uri: {prefix: /}}], ", true),
        ("match: [{uri: {prefix: /}, ignoreUriCase: true}], ", true),
        ("match: [{uri: {regex: '.*'}}], ", true),
        ("match: [{uri: {exact: /x}}, {uri: {prefix: /}}], ", true),
        ("match: [{uri: {prefix: /a}}], ", false),
        ("match: [{method: {exact: GET}}], ", false),
        ("match: [{uri: {prefix: /}, withoutHeaders: {x: {}}}], ", false),
    ] {
        let front = rule("front", 1, &format!("{{{conditions}{}}}", to("front")));
        let text = service("web", "shop", &[80]) + &object("Gateway", "shop", "front", FRONT) + &front + &api;
        let expected = if is_last { "api" } else { "front" };
        let found = through(&world(&text), &gateway(&[]), 80, "/api");
        assert_eq!(found, format!("outbound|80|{expected}|{WEB}"), "{conditions}");
    }
    // Within one object what follows such a rule is never asked.
    let cut = rule("cut", 1, &format!("{{{}}}, {{match: [{{uri: {{prefix: /api}}}}], {}}}", to("all"), to("never")));
    let text = service("web", "shop", &[80]) + &object("Gateway", "shop", "front", FRONT) + &cut;
    assert_eq!(through(&world(&text), &gateway(&[]), 80, "/api"), format!("outbound|80|all|{WEB}"));
}

#[test]
fn what_is_bound_to_a_server_that_is_not_opened_is_not_served_on_its_port() {
    let younger = "{selector: {}, servers: [{port: {number: 80, name: https, protocol: HTTPS}, hosts: ['*'], \
        tls: {mode: SIMPLE, credentialName: a}}]}";
    let spec = "{hosts: [a.com], gateways: [younger], http: [{route: [{destination: {host: web}}]}]}";
    let text = service("web", "shop", &[80])
        + &aged(&object("Gateway", "shop", "front", FRONT), 1)
        + &aged(&object("Gateway", "shop", "younger", younger), 2)
        + &web(spec);
    let world = world(&text);
    let edge = Edge::new(&world, &gateway(&[]));
    let ports: Vec<_> = edge.listeners().iter().map(|found| (found.port, found.protocol)).collect();
    assert_eq!(ports, [(80, ListenerProtocol::Http)]);
    assert!(edge.listeners()[0].virtual_hosts.is_empty() && !edge.serves(80, &HostPattern::parse("a.com")));
    assert_eq!(through(&world, &gateway(&[]), 80, "/"), "no route");
}

#[test]
fn clients_know_where_a_delegate_of_a_known_host_sends_requests() {
    let sidecar = "{egress: [{hosts: [./web.shop.svc.cluster.local]}]}";
    let root = "{hosts: [web], http: [{delegate: {name: rules, namespace: ops}}]}";
    let rules = "{http: [{route: [{destination: {host: reviews.bank.svc.cluster.local}}]}]}";
    let text = service("web", "shop", &[80])
        + &service("reviews", "bank", &[80])
        + &object("Sidecar", "shop", "default", sidecar)
        + &web(root);
    let knows = |text: &str| {
        let world = world(text);
        let scope = super::scope(&world, &"shop".into(), &Labels::new());
        resolve(&world, &scope, "reviews.bank").is_some()
    };
    assert!(!knows(&text));
    assert!(knows(&(text + &object("VirtualService", "ops", "rules", rules))));
}

#[test]
fn rules_of_objects_that_a_sidecar_does_not_import_do_not_hold_for_its_clients() {
    let sidecar = |hosts: &str| object("Sidecar", "shop", "default", &format!("{{egress: [{{hosts: [{hosts}]}}]}}"));
    let rule = format!("{{hosts: [{WEB}], http: [{{route: [{{destination: {{host: {WEB}, subset: evil}}}}]}}]}}");
    let text = service("web", "shop", &[80]) + &object("VirtualService", "evil", "web", &rule);
    for (hosts, expected) in [("./*", ""), ("./*, evil/other.com", ""), ("./*, 'evil/*'", "evil"), ("'*/*'", "evil")] {
        let world = world(&(text.clone() + &sidecar(hosts)));
        let scope = super::scope(&world, &"shop".into(), &Labels::new());
        let found = routes(&world, &scope, resolve(&world, &scope, "web").unwrap());
        assert_eq!(decided(&found, "shop", 80, "/", &[]), format!("outbound|80|{expected}|{WEB}"), "{hosts}");
    }
}

#[test]
fn of_several_services_of_one_host_clients_mean_one_that_their_sidecar_imports() {
    let entry = |namespace: &str, second: u32| {
        let spec = "{hosts: [api.partner.com], ports: [{number: 80, name: http, protocol: HTTP}]}";
        aged(&object("ServiceEntry", namespace, "api", spec), second)
    };
    let sidecar = object("Sidecar", "shop", "default", "{egress: [{hosts: ['b/*']}]}");
    let world = world(&(entry("a", 1) + &entry("b", 2) + &sidecar));
    let of = |scope: &Scope| resolve(&world, scope, "api.partner.com").map(|found| found.namespace.to_string());
    assert_eq!(of(&scope("other")).as_deref(), Some("a"));
    assert_eq!(of(&super::scope(&world, &"shop".into(), &Labels::new())).as_deref(), Some("b"));
}

#[test]
fn another_name_of_something_outside_is_not_a_service_without_endpoints() {
    let text = "---\napiVersion: v1\nkind: Service\nmetadata: {name: far, namespace: shop}\n\
        spec: {type: ExternalName, externalName: example.com, ports: [{name: http, port: 80}]}\n";
    assert_eq!(goes(&world(text), "shop", "far", 80, "/", &[]), "unknown");
}
