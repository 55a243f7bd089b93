use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::*;
use crate::identity::TrustDomain;
use crate::model::{
    AppProtocol, Balancer, Decision, HostPattern, InboundService, Labels, Listener, ListenerProtocol, MtlsMode,
    RequestFacts, Routes, StreamFacts, Termination, UpstreamTls, Workload, route, stream,
};
use crate::yaml;

pub(super) fn world(text: &str) -> World {
    let loaded = yaml::load("mesh.yaml", text.as_bytes());
    assert_eq!(loaded.errors, []);
    let trust_domain = TrustDomain::new("cluster.local").unwrap();
    World::from_documents("cluster.local", "istio-system", &trust_domain, &loaded.documents).unwrap()
}

pub(super) fn service(name: &str, namespace: &str, ports: &[u16]) -> String {
    let ports: Vec<String> = ports.iter().map(|port| format!("{{name: http-{port}, port: {port}}}")).collect();
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{ports: [{}]}}\n",
        ports.join(", ")
    )
}

pub(super) fn object(kind: &str, namespace: &str, name: &str, spec: &str) -> String {
    let group = if kind == "PeerAuthentication" { "security" } else { "networking" };
    format!(
        "---\napiVersion: {group}.istio.io/v1\nkind: {kind}\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n"
    )
}

/// The same object, created at a second of one minute.
pub(super) fn aged(text: &str, second: u32) -> String {
    text.replace("metadata: {", &format!("metadata: {{creationTimestamp: '2026-01-01T00:00:{second:02}Z', "))
}

pub(super) fn scope(namespace: &str) -> Scope {
    Scope::of_namespace(namespace)
}

/// Where a GET from `namespace` to `authority` goes; the cluster, or why not.
pub(super) fn goes(
    world: &World,
    namespace: &str,
    authority: &str,
    port: u16,
    path: &str,
    headers: &[(&str, &str)],
) -> String {
    let Some(service) = resolve(world, &scope(namespace), authority) else { return "unknown".to_owned() };
    decided(&routes(world, &scope(namespace), service), namespace, port, path, headers)
}

pub(super) fn decided(routes: &Routes, namespace: &str, port: u16, path: &str, headers: &[(&str, &str)]) -> String {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    let labels = Labels::from([("app".into(), "client".into())]);
    let facts = RequestFacts {
        method: b"GET",
        path: path.as_bytes(),
        query: b"",
        scheme: "http",
        authority: b"web",
        headers: &map,
        claims: None,
        port,
        source_labels: &labels,
        source_namespace: namespace,
    };
    match route::decide(routes, &facts, 0) {
        Decision::Forward { cluster, .. } => cluster.to_string(),
        Decision::Answer { rule, .. } => rule.provenance.to_string(),
        Decision::NoRoute => "no route".to_owned(),
    }
}

#[test]
fn two_namespaces_that_each_have_a_service_web_see_their_own() {
    let world = world(&(service("web", "shop", &[80]) + &service("web", "bank", &[80])));
    for (from, authority, expected) in [
        ("shop", "web", "outbound|80||web.shop.svc.cluster.local"),
        ("bank", "web", "outbound|80||web.bank.svc.cluster.local"),
        ("shop", "web.bank", "outbound|80||web.bank.svc.cluster.local"),
        ("shop", "web.bank.svc", "outbound|80||web.bank.svc.cluster.local"),
        ("shop", "web.bank.svc.cluster.local", "outbound|80||web.bank.svc.cluster.local"),
        ("other", "web", "unknown"),
        ("shop", "web.bank.pod", "unknown"),
        ("shop", "web.bank.svc.example.com", "unknown"),
    ] {
        assert_eq!(goes(&world, from, authority, 80, "/", &[]), expected, "{authority} from {from}");
    }
}

#[test]
fn a_short_host_in_an_object_means_a_service_of_its_own_namespace() {
    let rule = "{hosts: [web], http: [{route: [{destination: {host: web, subset: v2}}]}]}";
    let text =
        service("web", "shop", &[80]) + &service("web", "bank", &[80]) + &object("VirtualService", "bank", "web", rule);
    let world = world(&text);
    assert_eq!(goes(&world, "bank", "web", 80, "/", &[]), "outbound|80|v2|web.bank.svc.cluster.local");
    assert_eq!(goes(&world, "shop", "web", 80, "/", &[]), "outbound|80||web.shop.svc.cluster.local");
    // The rule holds for everybody who calls the bank's service: that is what exportTo is for.
    assert_eq!(goes(&world, "shop", "web.bank", 80, "/", &[]), "outbound|80|v2|web.bank.svc.cluster.local");
}

#[test]
fn a_rule_that_is_not_exported_holds_in_its_own_namespace_only() {
    let rule = "{hosts: [web.bank.svc.cluster.local], exportTo: ['.'], http: [{route: [{destination: {host: web.bank.svc.cluster.local, subset: v2}}]}]}";
    let text = service("web", "bank", &[80]) + &object("VirtualService", "shop", "web", rule);
    let world = world(&text);
    assert_eq!(goes(&world, "shop", "web.bank", 80, "/", &[]), "outbound|80|v2|web.bank.svc.cluster.local");
    assert_eq!(goes(&world, "bank", "web", 80, "/", &[]), "outbound|80||web.bank.svc.cluster.local");
}

#[test]
fn of_two_objects_for_one_host_the_oldest_wins_and_an_exact_host_beats_a_wildcard() {
    let to = |host: &str, subset: &str| {
        format!("{{hosts: ['{host}'], http: [{{route: [{{destination: {{host: web, subset: {subset}}}}}]}}]}}")
    };
    let young = aged(&object("VirtualService", "shop", "a-young", &to("web", "young")), 2);
    let old = aged(&object("VirtualService", "shop", "z-old", &to("web", "old")), 1);
    let wildcard = aged(&object("VirtualService", "shop", "wildcard", &to("*.shop.svc.cluster.local", "wild")), 0);
    let services = service("web", "shop", &[80]);
    let both = world(&format!("{services}{young}{old}{wildcard}"));
    assert_eq!(goes(&both, "shop", "web", 80, "/", &[]), "outbound|80|old|web.shop.svc.cluster.local");
    let one = world(&format!("{services}{wildcard}"));
    assert_eq!(goes(&one, "shop", "web", 80, "/", &[]), "outbound|80|wild|web.shop.svc.cluster.local");
}

#[test]
fn an_object_that_takes_no_request_leaves_no_route() {
    let rule = "{hosts: [web], http: [{match: [{uri: {exact: /a}}], route: [{destination: {host: web}}]}]}";
    let world = world(&(service("web", "shop", &[80]) + &object("VirtualService", "shop", "web", rule)));
    assert_eq!(goes(&world, "shop", "web", 80, "/a", &[]), "outbound|80||web.shop.svc.cluster.local");
    assert_eq!(goes(&world, "shop", "web", 80, "/b", &[]), "no route");
}

#[test]
fn a_rule_that_is_not_in_force_takes_nothing_and_the_next_one_decides() {
    let rule = "{hosts: [web.example.com], gateways: [front], http: [\
        {match: [{headers: {'@request.auth.claims.a': {exact: b}}}], route: [{destination: {host: web}}]}, \
        {route: [{destination: {host: web, subset: v1}}]}]}";
    let front = "{selector: {}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}";
    let text = service("web", "shop", &[80])
        + &object("Gateway", "shop", "front", front)
        + &object("VirtualService", "shop", "web", rule);
    let gateway = GatewayWorkload { scope: scope("shop"), labels: Labels::new(), target_ports: Vec::new() };
    let routes = gateway_routes(&world(&text), &gateway, 80, &HostPattern::parse("web.example.com"));
    assert_eq!(decided(&routes, "shop", 80, "/", &[]), "outbound|80|v1|web.shop.svc.cluster.local");
}

#[test]
fn a_destination_without_a_port_keeps_the_requests_port_where_its_service_has_several() {
    let rule = "{hosts: [web], http: [{route: [{destination: {host: web}}]}]}";
    let text = service("web", "shop", &[80, 8080]) + &object("VirtualService", "shop", "web", rule);
    let world = world(&text);
    assert_eq!(goes(&world, "shop", "web", 80, "/", &[]), "outbound|80||web.shop.svc.cluster.local");
    assert_eq!(goes(&world, "shop", "web", 8080, "/", &[]), "outbound|8080||web.shop.svc.cluster.local");
}

#[test]
fn source_and_port_conditions_are_left_to_the_decision() {
    let rule = "{hosts: [web], http: [\
        {match: [{sourceLabels: {app: other}}], route: [{destination: {host: web, subset: a}}]}, \
        {match: [{sourceNamespace: bank}], route: [{destination: {host: web, subset: b}}]}, \
        {match: [{port: 80, sourceLabels: {app: client}}], route: [{destination: {host: web, subset: c}}]}]}";
    let world = world(&(service("web", "shop", &[80]) + &object("VirtualService", "shop", "web", rule)));
    assert_eq!(goes(&world, "shop", "web", 80, "/", &[]), "outbound|80|c|web.shop.svc.cluster.local");
    assert_eq!(goes(&world, "bank", "web.shop", 80, "/", &[]), "outbound|80|b|web.shop.svc.cluster.local");
    assert_eq!(goes(&world, "shop", "web", 81, "/", &[]), "no route");
}

#[test]
fn a_rule_for_a_gateway_does_not_hold_for_sidecars_nor_the_other_way_round() {
    let text = service("web", "shop", &[80])
        + &object(
            "Gateway",
            "edge",
            "front",
            "{selector: {istio: gw}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['shop/*.example.com']}]}",
        )
        + &object(
            "VirtualService",
            "shop",
            "web",
            "{hosts: [www.example.com, www.example.org], gateways: [edge/front], http: [\
            {match: [{uri: {prefix: /api}, gateways: [mesh]}], route: [{destination: {host: web, subset: mesh}}]}, \
            {match: [{uri: {prefix: /api}}], route: [{destination: {host: web, subset: api}}]}, \
            {route: [{destination: {host: web, subset: rest}}]}]}",
        );
    let world = world(&text);
    assert_eq!(goes(&world, "shop", "web", 80, "/", &[]), "outbound|80||web.shop.svc.cluster.local");
    let gateway = GatewayWorkload {
        scope: scope("edge"),
        labels: Labels::from([("istio".into(), "gw".into())]),
        target_ports: vec![(80, 8080)],
    };
    let listeners = listeners(&world, &gateway);
    assert_eq!(listeners.len(), 1);
    assert_eq!(listeners[0].port, 8080);
    let hosts: Vec<String> = listeners[0].virtual_hosts.iter().map(|host| host.host.to_string()).collect();
    assert_eq!(hosts, ["www.example.com"]);
    let routes = gateway_routes(&world, &gateway, 8080, &HostPattern::parse("www.example.com"));
    assert_eq!(routes.name, listeners[0].virtual_hosts[0].routes);
    assert_eq!(decided(&routes, "edge", 8080, "/api", &[]), "outbound|80|api|web.shop.svc.cluster.local");
    assert_eq!(decided(&routes, "edge", 8080, "/", &[]), "outbound|80|rest|web.shop.svc.cluster.local");
    assert_eq!(routes.http.len(), 2);
}

#[test]
fn a_policys_blocks_override_each_other_one_by_one() {
    let rule = "{host: web, trafficPolicy: {\
            loadBalancer: {simple: ROUND_ROBIN}, tls: {mode: DISABLE}, \
            portLevelSettings: [{port: {number: 81}, loadBalancer: {simple: RANDOM}}]}, \
        subsets: [{name: v1}, {name: v2, labels: {version: v2}, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}]}";
    let world = world(&(service("web", "shop", &[80, 81]) + &object("DestinationRule", "shop", "web", rule)));
    let web = resolve(&world, &scope("shop"), "web").unwrap();
    let policy = traffic_policy(&world, &scope("shop"), web, false);
    let top = policy.policies.for_port(80);
    assert_eq!((top.balancer, top.tls.clone()), (Balancer::RoundRobin, UpstreamTls::Disable));
    let by_port = policy.policies.for_port(81);
    assert_eq!((by_port.balancer, by_port.tls.clone()), (Balancer::Random, UpstreamTls::Auto));
    let v2 = policy.subset("v2").unwrap();
    assert_eq!(
        (v2.policies.default.balancer, v2.policies.default.tls.clone()),
        (Balancer::RoundRobin, UpstreamTls::IstioMutual { server_name: None, names: Vec::new() })
    );
    assert_eq!(v2.provenance.to_string(), "DestinationRule shop/web subsets[1] (mesh.yaml:7:1)");
    assert!(policy.subset("v3").is_none());
}

#[test]
fn the_clients_own_rule_goes_before_the_services_and_the_meshs() {
    let rule = |balancer: &str| {
        format!("{{host: web.shop.svc.cluster.local, trafficPolicy: {{loadBalancer: {{simple: {balancer}}}}}}}")
    };
    let text = service("web", "shop", &[80])
        + &object("DestinationRule", "istio-system", "web", &rule("RANDOM"))
        + &object("DestinationRule", "bank", "web", &rule("ROUND_ROBIN"));
    let world = world(&text);
    let balancer = |namespace: &str| {
        let web = resolve(&world, &scope(namespace), "web.shop").unwrap();
        traffic_policy(&world, &scope(namespace), web, false).policies.default.balancer
    };
    assert_eq!(balancer("bank"), Balancer::RoundRobin);
    assert_eq!(balancer("shop"), Balancer::Random);
}

#[test]
fn a_gateway_in_the_root_namespace_takes_the_services_rule_before_the_meshs() {
    let rule = |host: &str, balancer: &str, export: &str| {
        format!("{{host: '{host}', {export} trafficPolicy: {{loadBalancer: {{simple: {balancer}}}}}}}")
    };
    let mesh = object("DestinationRule", "istio-system", "all", &rule("*.svc.cluster.local", "RANDOM", ""));
    let own = object("DestinationRule", "shop", "web", &rule("web", "ROUND_ROBIN", ""));
    let private =
        object("DestinationRule", "istio-system", "gw", &rule("*.cluster.local", "LEAST_REQUEST", "exportTo: ['.'],"));
    let web = service("web", "shop", &[80]);
    for (text, expected) in [
        (format!("{web}{mesh}"), Balancer::Random),
        (format!("{web}{mesh}{own}"), Balancer::RoundRobin),
        (format!("{web}{mesh}{own}{private}"), Balancer::LeastRequest),
    ] {
        let world = world(&text);
        let gateway = scope("istio-system");
        let policy = traffic_policy(&world, &gateway, resolve(&world, &gateway, "web.shop").unwrap(), true);
        assert_eq!(policy.policies.default.balancer, expected, "{text}");
    }
}

#[test]
fn every_rule_that_is_compiled_has_somewhere_to_send_requests_to() {
    // The delegate is not there: its rule takes no request, and must not make proxies refuse its siblings.
    let rule = "{hosts: [web], http: [\
        {name: delegate, match: [{uri: {prefix: /old}}], delegate: {name: other}}, \
        {name: taken, route: [{destination: {host: web, subset: v1}, weight: 0}]}]}";
    let world = world(&(service("web", "shop", &[80, 81]) + &object("VirtualService", "shop", "web", rule)));
    let routes = routes(&world, &scope("shop"), resolve(&world, &scope("shop"), "web").unwrap());
    assert!(routes.http.iter().all(|rule| &*rule.name == "taken"), "{routes:?}");
    assert_eq!(decided(&routes, "shop", 81, "/old", &[]), "outbound|81|v1|web.shop.svc.cluster.local");
}

#[test]
fn a_delegate_decides_within_what_the_rule_that_delegates_asks_for() {
    let root = "{hosts: [web], http: [\
        {match: [{uri: {prefix: /team}, headers: {x: {exact: a}}}], delegate: {name: team, namespace: team}, timeout: 5s}, \
        {match: [{uri: {prefix: /gone}}], delegate: {name: gone}}, \
        {match: [{uri: {prefix: /private}}], delegate: {name: private, namespace: team}}, \
        {route: [{destination: {host: web}}]}]}";
    let team = "{http: [\
        {match: [{uri: {exact: /other}}], route: [{destination: {host: web, subset: never}}]}, \
        {match: [{uri: {prefix: /team/v2}}, {uri: {exact: /team/two}}], timeout: 1s, route: [{destination: {host: own}}]}, \
        {name: rest, route: [{destination: {host: web.shop.svc.cluster.local, subset: rest}}]}]}";
    let private = "{exportTo: [.], http: [{route: [{destination: {host: own}}]}]}";
    let text = service("web", "shop", &[80])
        + &service("own", "team", &[80])
        + &object("VirtualService", "shop", "web", root)
        + &object("VirtualService", "team", "team", team)
        + &object("VirtualService", "team", "private", private);
    let world = world(&text);
    let (x, none) = (&[("x", "a")][..], &[][..]);
    for (path, headers, expected) in [
        ("/team/v2/x", x, "outbound|80||own.team.svc.cluster.local"),
        ("/team/two", x, "outbound|80||own.team.svc.cluster.local"),
        ("/team/three", x, "outbound|80|rest|web.shop.svc.cluster.local"),
        ("/team/v2", none, "outbound|80||web.shop.svc.cluster.local"),
        ("/other", x, "outbound|80||web.shop.svc.cluster.local"),
        ("/gone", x, "outbound|80||web.shop.svc.cluster.local"),
        ("/private", x, "outbound|80||web.shop.svc.cluster.local"),
    ] {
        assert_eq!(goes(&world, "shop", "web", 80, path, headers), expected, "{path} {headers:?}");
    }
    let routes = routes(&world, &scope("shop"), resolve(&world, &scope("shop"), "web").unwrap());
    let shown: Vec<(String, Option<u64>)> = routes
        .http
        .iter()
        .map(|rule| {
            let shown = rule.provenance.to_string();
            let object = shown.split(" (").next().unwrap_or_default().to_owned();
            (object, rule.handling.timeout.map(|timeout| timeout.as_secs()))
        })
        .collect();
    let expected = [
        ("VirtualService team/team http[1]", Some(1)),
        ("VirtualService team/team http[2]", Some(5)),
        ("VirtualService shop/web http[3]", None),
    ];
    assert_eq!(shown, expected.map(|(rule, timeout)| (rule.to_owned(), timeout)));
}

#[test]
fn a_short_host_of_a_virtual_service_is_qualified_at_a_gateway_as_well() {
    let text = object(
        "Gateway",
        "shop",
        "front",
        "{selector: {}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}",
    ) + &object(
        "VirtualService",
        "shop",
        "web",
        "{hosts: [web], gateways: [front], http: [{route: [{destination: {host: web}}]}]}",
    );
    let gateway = GatewayWorkload { scope: scope("shop"), labels: Labels::new(), target_ports: Vec::new() };
    let found = listeners(&world(&text), &gateway);
    let hosts: Vec<String> = found[0].virtual_hosts.iter().map(|host| host.host.to_string()).collect();
    assert_eq!(hosts, ["web.shop.svc.cluster.local"]);
}

#[test]
fn subsets_of_several_rules_for_one_host_add_up() {
    let rule = |subset: &str| format!("{{host: web, subsets: [{{name: {subset}, labels: {{version: {subset}}}}}]}}");
    let text = service("web", "shop", &[80])
        + &object("DestinationRule", "shop", "a", &rule("v1"))
        + &object("DestinationRule", "shop", "b", &rule("v2"));
    let world = world(&text);
    let policy = traffic_policy(&world, &scope("shop"), resolve(&world, &scope("shop"), "web").unwrap(), false);
    assert!(policy.subset("v1").is_some() && policy.subset("v2").is_some());
}

fn modes(text: &str, namespace: &str) -> (MtlsMode, MtlsMode) {
    let workload = Workload {
        uid: "web".into(),
        name: "web".into(),
        namespace: namespace.into(),
        addresses: Vec::new(),
        identity: None,
        labels: Labels::from([("app".into(), "web".into())]),
        workload_name: "web".into(),
        canonical_name: "web".into(),
        canonical_revision: "latest".into(),
        locality: Default::default(),
        node: Default::default(),
        protocol: Default::default(),
    };
    let policy = inbound_policy(&world(text), workload.into(), Vec::<InboundService>::new(), &[]);
    (policy.mtls(80).0, policy.mtls(81).0)
}

#[test]
fn the_narrowest_peer_authentication_that_says_something_decides() {
    use MtlsMode::{Disable, Permissive, Strict};
    let mesh = object("PeerAuthentication", "istio-system", "mesh", "{mtls: {mode: STRICT}}");
    let namespace = object("PeerAuthentication", "shop", "all", "{mtls: {mode: DISABLE}}");
    let ports = object(
        "PeerAuthentication",
        "shop",
        "web",
        "{selector: {matchLabels: {app: web}}, mtls: {mode: UNSET}, portLevelMtls: {'81': {mode: PERMISSIVE}}}",
    );
    let foreign = object(
        "PeerAuthentication",
        "istio-system",
        "web",
        "{selector: {matchLabels: {app: web}}, mtls: {mode: DISABLE}}",
    );
    for (text, expected) in [
        (String::from("{}"), (Permissive, Permissive)),
        (mesh.clone(), (Strict, Strict)),
        (format!("{mesh}{namespace}"), (Disable, Disable)),
        (format!("{mesh}{ports}"), (Strict, Permissive)),
        (format!("{mesh}{namespace}{ports}"), (Disable, Permissive)),
        (format!("{mesh}{foreign}"), (Strict, Strict)),
    ] {
        assert_eq!(modes(&text, "shop"), expected, "{text}");
    }
}

#[test]
fn a_sidecar_says_which_services_its_clients_know() {
    let services = service("web", "shop", &[80])
        + &service("api", "shop", &[80])
        + &service("web", "bank", &[80])
        + &service("log", "istio-system", &[80]);
    let sidecar = |namespace: &str, name: &str, spec: &str| object("Sidecar", namespace, name, spec);
    let knows = |config: &str, namespace: &str, labels: &[(&str, &str)]| -> String {
        let world = world(&(services.clone() + config));
        let labels: Labels = labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        let scope = super::scope(&world, &namespace.into(), &labels);
        let hosts = ["web.shop", "api.shop", "web.bank", "log.istio-system"];
        hosts.into_iter().filter(|host| resolve(&world, &scope, host).is_some()).collect::<Vec<_>>().join(" ")
    };
    let all = "web.shop api.shop web.bank log.istio-system";
    for (config, namespace, labels, expected) in [
        (String::new(), "shop", &[][..], all),
        (sidecar("shop", "default", "{egress: [{hosts: ['./*']}]}"), "shop", &[], "web.shop api.shop"),
        (sidecar("shop", "default", "{egress: [{hosts: ['./*']}]}"), "bank", &[], all),
        (sidecar("istio-system", "default", "{egress: [{hosts: ['./*']}]}"), "bank", &[], "web.bank"),
        (
            sidecar("istio-system", "default", "{egress: [{hosts: ['./*', 'istio-system/*']}]}")
                + &sidecar("shop", "default", "{egress: [{hosts: ['*/web.bank.svc.cluster.local']}]}"),
            "shop",
            &[],
            "web.bank",
        ),
        (
            sidecar("shop", "own", "{workloadSelector: {labels: {app: a}}, egress: [{hosts: ['~/*']}]}"),
            "shop",
            &[("app", "a")],
            "",
        ),
        (
            sidecar("shop", "own", "{workloadSelector: {labels: {app: a}}, egress: [{hosts: ['~/*']}]}"),
            "shop",
            &[("app", "b")],
            all,
        ),
        (
            sidecar("shop", "default", "{egress: [{hosts: ['*/*', '~shop/api.shop.svc.cluster.local']}]}"),
            "shop",
            &[],
            "web.shop web.bank log.istio-system",
        ),
        // Where a rule about a known host sends requests is known as well.
        (
            sidecar("shop", "default", "{egress: [{hosts: ['./web.shop.svc.cluster.local']}]}")
                + &object(
                    "VirtualService",
                    "shop",
                    "web",
                    "{hosts: [web], http: [{route: [{destination: {host: web.bank.svc.cluster.local}}]}]}",
                ),
            "shop",
            &[],
            "web.shop web.bank",
        ),
    ] {
        assert_eq!(knows(&config, namespace, labels), expected, "{config} in {namespace} with {labels:?}");
    }
}

#[test]
fn a_destination_rule_for_chosen_clients_is_for_them_alone() {
    let rule = |name: &str, more: &str, balancer: &str| {
        let spec = format!("{{host: web, {more} trafficPolicy: {{loadBalancer: {{simple: {balancer}}}}}}}");
        object("DestinationRule", "shop", name, &spec)
    };
    let config = service("web", "shop", &[80])
        + &rule("all", "", "ROUND_ROBIN")
        + &rule("chosen", "workloadSelector: {matchLabels: {app: a}},", "RANDOM");
    let world = world(&config);
    for (labels, namespace, expected) in [
        (&[("app", "a")][..], "shop", Balancer::Random),
        (&[("app", "b")], "shop", Balancer::RoundRobin),
        (&[], "shop", Balancer::RoundRobin),
        (&[("app", "a")], "bank", Balancer::RoundRobin),
    ] {
        let labels: Labels = labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        let scope = super::scope(&world, &namespace.into(), &labels);
        let service = resolve(&world, &scope, "web.shop").unwrap();
        let policy = traffic_policy(&world, &scope, service, false);
        assert_eq!(policy.policies.default.balancer, expected, "{namespace} {labels:?}");
    }
}

#[test]
fn clients_that_know_the_same_are_of_one_scope() {
    let sidecar = |namespace: &str, name: &str, spec: &str| object("Sidecar", namespace, name, spec);
    let spec = "{egress: [{hosts: ['./*']}]}";
    let none = super::scope(&world(""), &"shop".into(), &Labels::new());
    let first = super::scope(&world(&sidecar("shop", "a", spec)), &"shop".into(), &Labels::new());
    let second = super::scope(&world(&sidecar("shop", "b", spec)), &"shop".into(), &Labels::new());
    assert_eq!(first, second);
    assert_ne!(first, none);
    let empty =
        super::scope(&world(&sidecar("shop", "a", "{egress: [{hosts: ['*/*']}]}")), &"shop".into(), &Labels::new());
    assert_eq!(empty, none);
}

/// Where a connection to a port of a service goes, for a client in `namespace` that asks for a server name, or none.
fn carried(world: &World, namespace: &str, authority: &str, port: u16, server_name: Option<&str>) -> String {
    let Some(service) = resolve(world, &scope(namespace), authority) else { return "unknown".to_owned() };
    connected(&routes(world, &scope(namespace), service), port, server_name)
}

fn connected(routes: &Routes, port: u16, server_name: Option<&str>) -> String {
    let labels = Labels::new();
    let destination = Some([10, 0, 0, 1].into());
    let facts = StreamFacts { server_name, destination, port, source_labels: &labels, source_namespace: "shop" };
    match stream::decide(&routes.streams, &facts, 0) {
        Some(found) => found.destination.cluster.to_string(),
        None => "no rule".to_owned(),
    }
}

fn database(ports: &str) -> String {
    format!("---\napiVersion: v1\nkind: Service\nmetadata: {{name: db, namespace: shop}}\nspec: {{ports: [{ports}]}}\n")
}

#[test]
fn connections_to_a_service_go_by_its_rules_and_else_to_itself() {
    let ports = "{name: tcp, port: 5432}, {name: tls, port: 8443}, {name: http, port: 80}";
    let rules = "{hosts: [db.shop.svc.cluster.local], tcp: [{match: [{port: 5432}], route: [{destination: {host: db, subset: v2}}]}], \
        tls: [{match: [{sniHosts: [db.shop.svc.cluster.local], port: 8443}], route: [{destination: {host: db, port: {number: 5432}}}]}]}";
    let world = world(&(database(ports) + &object("VirtualService", "shop", "db", rules)));
    let own = "db.shop.svc.cluster.local";
    assert_eq!(carried(&world, "shop", "db", 5432, None), format!("outbound|5432|v2|{own}"));
    assert_eq!(carried(&world, "shop", "db", 8443, Some(own)), format!("outbound|5432||{own}"));
    assert_eq!(carried(&world, "shop", "db", 8443, Some("other.org")), format!("outbound|8443||{own}"));
    assert_eq!(carried(&world, "shop", "db", 8443, None), format!("outbound|8443||{own}"));
    // Plaintext HTTP is routed request by request.
    assert_eq!(carried(&world, "shop", "db", 80, None), "no rule");
    // Rules for connections leave requests alone.
    assert_eq!(goes(&world, "shop", "db", 80, "/", &[]), format!("outbound|80||{own}"));
}

#[test]
fn every_virtual_service_of_a_host_has_a_say_in_its_connections() {
    let to = |subset: &str, port: u16| {
        format!(
            "{{hosts: [db], tcp: [{{match: [{{port: {port}}}], route: [{{destination: {{host: db, subset: {subset}}}}}]}}]}}"
        )
    };
    let ports = "{name: tcp-a, port: 1}, {name: tcp-b, port: 2}";
    let text = database(ports)
        + &aged(&object("VirtualService", "shop", "young", &to("young", 2)), 2)
        + &aged(&object("VirtualService", "shop", "old", &to("old", 1)), 1);
    let world = world(&text);
    assert_eq!(carried(&world, "shop", "db", 1, None), "outbound|1|old|db.shop.svc.cluster.local");
    assert_eq!(carried(&world, "shop", "db", 2, None), "outbound|2|young|db.shop.svc.cluster.local");
}

#[test]
fn a_gateways_ports_are_what_their_servers_say() {
    let gateway = "{selector: {}, servers: [\
        {port: {number: 9000, name: tcp, protocol: TCP}, hosts: ['*']},\
        {port: {number: 8443, name: tls, protocol: TLS}, hosts: ['*.example.com'], tls: {mode: PASSTHROUGH}},\
        {port: {number: 8443, name: bare, protocol: HTTPS}, hosts: [bare.org], tls: {}},\
        {port: {number: 8443, name: ended, protocol: TLS}, hosts: [db.org], tls: {mode: SIMPLE, credentialName: db}}]}";
    let rules = "{hosts: ['*.example.com', db.org, bare.org], gateways: [front], \
        tls: [{match: [{sniHosts: ['*.example.com'], port: 8443}], route: [{destination: {host: db, port: {number: 1}}}]}, \
              {match: [{sniHosts: [bare.org]}], route: [{destination: {host: db, port: {number: 2}}}]}], \
        tcp: [{match: [{port: 9000}], route: [{destination: {host: db, port: {number: 3}}}]}, {route: [{destination: {host: db, port: {number: 4}}}]}]}";
    let text = database("{name: tcp, port: 1}")
        + &object("Gateway", "shop", "front", gateway)
        + &object("VirtualService", "shop", "rules", rules);
    let world = world(&text);
    // The service in front of the gateway has the port that the rules name, and leads to another one.
    let workload = GatewayWorkload { scope: scope("shop"), labels: Labels::new(), target_ports: vec![(9000, 19000)] };
    let listeners = listeners(&world, &workload);
    let found: Vec<_> = listeners.iter().map(|listener| (listener.port, listener.protocol)).collect();
    assert_eq!(found, [(8443, ListenerProtocol::Tls), (19000, ListenerProtocol::Tcp)]);
    let terminations: Vec<_> = listeners[0].tls.iter().map(|server| server.termination).collect();
    assert_eq!(terminations, [Termination::Passthrough, Termination::Passthrough, Termination::Tcp]);
    let hosts: Vec<_> = listeners[1].virtual_hosts.iter().map(|known| known.host.to_string()).collect();
    assert_eq!(hosts, ["*"]);
    let to = |port: u16, host: &str, server_name: Option<&str>| {
        let routes = gateway_routes(&world, &workload, port, &HostPattern::parse(host));
        connected(&routes, port, server_name)
    };
    let target = |port: u16| format!("outbound|{port}||db.shop.svc.cluster.local");
    assert_eq!(to(19000, "*", None), target(3));
    assert_eq!(to(8443, "*.example.com", Some("a.example.com")), target(1));
    assert_eq!(to(8443, "bare.org", Some("bare.org")), target(2));
    assert_eq!(to(8443, "db.org", Some("db.org")), target(4));
    // At a name that is passed through, the rules for other connections have no say.
    assert_eq!(to(8443, "bare.org", None), "no rule");
}

#[test]
fn a_port_that_passes_on_by_itself_names_every_cluster_and_is_shared_with_nothing_else() {
    let gateway = "{selector: {}, servers: [\
        {port: {number: 15443, name: tls, protocol: TLS}, hosts: ['*.local', 'bank/*.org'], tls: {mode: AUTO_PASSTHROUGH}},\
        {port: {number: 15443, name: other, protocol: TLS}, hosts: ['*.com'], tls: {mode: PASSTHROUGH}}]}";
    let subsets = "{host: db, subsets: [{name: v1, labels: {version: v1}}]}";
    let entry = |host: &str, location: &str| {
        format!(
            "{{hosts: [{host}], location: {location}, resolution: STATIC, ports: [{{number: 80, name: http, protocol: HTTP}}]}}"
        )
    };
    let text = database("{name: tcp, port: 1}")
        + &object("Gateway", "shop", "front", gateway)
        + &object("DestinationRule", "shop", "db", subsets)
        + &object("ServiceEntry", "bank", "inside", &entry("a.org", "MESH_INTERNAL"))
        + &object("ServiceEntry", "shop", "elsewhere", &entry("b.org", "MESH_INTERNAL"))
        + &object("ServiceEntry", "bank", "outside", &entry("c.org", "MESH_EXTERNAL"));
    let world = world(&text);
    let workload = GatewayWorkload { scope: scope("shop"), labels: Labels::new(), target_ports: Vec::new() };
    let listeners = listeners(&world, &workload);
    assert_eq!(listeners.len(), 1);
    let terminations: Vec<_> = listeners[0].tls.iter().map(|server| server.termination).collect();
    assert_eq!(terminations, [Termination::AutoPassthrough]);
    let hosts: Vec<_> = listeners[0].virtual_hosts.iter().map(|known| known.host.to_string()).collect();
    assert_eq!(hosts, ["*.local", "*.org"]);
    let to = |host: &str, name: &str| {
        connected(&gateway_routes(&world, &workload, 15443, &HostPattern::parse(host)), 15443, Some(name))
    };
    for (host, name, expected) in [
        ("*.local", "outbound_.1_._.db.shop.svc.cluster.local", "outbound|1||db.shop.svc.cluster.local"),
        ("*.local", "outbound_.1_.v1_.db.shop.svc.cluster.local", "outbound|1|v1|db.shop.svc.cluster.local"),
        ("*.local", "outbound_.2_._.db.shop.svc.cluster.local", "no rule"),
        ("*.local", "db.shop.svc.cluster.local", "no rule"),
        ("*.org", "outbound_.80_._.a.org", "outbound|80||a.org"),
        ("*.org", "outbound_.80_._.b.org", "no rule"),
        ("*.org", "outbound_.80_._.c.org", "no rule"),
    ] {
        assert_eq!(to(host, name), expected, "{name}");
    }
}

#[test]
fn a_sidecar_says_at_which_ports_its_clients_know_a_service() {
    let services = service("web", "shop", &[80, 81, 82]) + &service("api", "shop", &[80]);
    let listener = |port: &str, hosts: &str| format!("{{{port}hosts: ['{hosts}']}}");
    let port = |number: u16, protocol: &str| format!("port: {{number: {number}, protocol: {protocol}, name: p}}, ");
    let of = |listeners: &[String], more: &str| {
        let spec = format!("{{egress: [{}]}}", listeners.join(", "));
        let world = world(&(services.clone() + &object("Sidecar", "shop", "default", &spec) + more));
        let scope = super::scope(&world, &"shop".into(), &Labels::new());
        ["web", "api"].map(|name| {
            let ports = |service: &Arc<crate::model::Service>| {
                let known = scope.narrowed(service);
                let told = routes(&world, &scope, &known);
                let ports: Vec<u16> = known.ports.iter().map(|port| port.number).collect();
                assert_eq!(told.http.len(), ports.len(), "a port without rules is led to itself, and no other");
                ports
            };
            resolve(&world, &scope, name).map(ports)
        })
    };
    let (web, all) = ("./web.shop.svc.cluster.local", "./*");
    let [http, tcp] = [port(80, "HTTP"), port(82, "TCP")];
    for (listeners, expected) in [
        (vec![listener("", all)], [Some(vec![80, 81, 82]), Some(vec![80])]),
        (vec![listener(&http, all)], [Some(vec![80]), Some(vec![80])]),
        (vec![listener(&tcp, all)], [Some(vec![82]), None]),
        (vec![listener(&http, web), listener(&tcp, all)], [Some(vec![80, 82]), None]),
        (vec![listener(&tcp, web), listener("", "./api.shop.svc.cluster.local")], [Some(vec![82]), Some(vec![80])]),
        (vec![listener(&port(9, "TCP"), all)], [None, None]),
        (
            vec![listener(&tcp, "*/*"), listener(&http, "./api.shop.svc.cluster.local")],
            [Some(vec![82]), Some(vec![80])],
        ),
    ] {
        assert_eq!(of(&listeners, ""), expected, "{listeners:?}");
    }
    // Where only a rule leads, it leads to every port.
    let lead = object(
        "VirtualService",
        "shop",
        "api",
        "{hosts: [api], tcp: [{route: [{destination: {host: web, port: {number: 81}}}]}]}",
    );
    let known = of(&[listener("", "./api.shop.svc.cluster.local")], &lead);
    assert_eq!(known, [Some(vec![80, 81, 82]), Some(vec![80])]);
}

#[test]
fn a_workloads_sidecar_says_on_which_ports_it_answers() {
    let sidecar = |name: &str, selector: &str, endpoint: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n{selector}  \
             ingress:\n  - {{port: {{number: 9090, protocol: HTTP, name: web}}, defaultEndpoint: '{endpoint}'}}\n  \
             - {{port: {{number: 9091, protocol: TCP, name: raw}}}}\n---\n"
        )
    };
    let all = sidecar("all", "", "127.0.0.1:80");
    let world = world(&(all + &sidecar("web", "  workloadSelector: {labels: {app: web}}\n", "0.0.0.0:81")));
    let ingress = |namespace: &str, app: &str| {
        let labels = [("app".into(), app.into())].into();
        let workload = Workload::new("a".into(), "a".into(), namespace.into(), "a".into(), labels);
        let policy = inbound_policy(&world, Arc::new(workload), Vec::new(), &["cluster.local".into()]);
        let endpoint = policy.ingress.first().and_then(|ingress| ingress.endpoint).map(|endpoint| endpoint.to_string());
        (endpoint, policy.protocol(9090), policy.protocol(9091), policy.protocol(80))
    };
    let of = |endpoint: &str| (Some(endpoint.to_owned()), AppProtocol::Http, AppProtocol::Tcp, AppProtocol::Detect);
    assert_eq!(ingress("shop", "web"), of("0.0.0.0:81"));
    assert_eq!(ingress("shop", "other"), of("127.0.0.1:80"));
    assert_eq!(ingress("bank", "web").0, None);
}

#[test]
fn what_came_past_the_door_with_less_security_than_it_asks_for_serves_and_calls_nobody() {
    let server = |number: u16, more: &str, tls: &str| {
        format!(
            "{{port: {{number: {number}, name: p{number}, protocol: HTTPS}}, hosts: [a.org], {more}\
             tls: {{mode: MUTUAL, credentialName: web{tls}}}}}"
        )
    };
    let servers = [
        server(1, "", ""),
        server(2, "", ", verifyCertificateHash: [a]"),
        server(3, "", ", verifyCertificateSpki: [a]"),
        server(4, "bind: 127.0.0.1, ", ""),
    ];
    let mut world =
        world(&object("Gateway", "shop", "front", &format!("{{selector: {{}}, servers: [{}]}}", servers.join(", "))));
    let text = |name: &str| Some(name.as_bytes().to_vec());
    world.secrets.insert(("shop".into(), "web".into()), Arc::new(TlsSecret::read(text).unwrap()));
    let gateway = GatewayWorkload { scope: scope("shop"), labels: Labels::new(), target_ports: Vec::new() };
    let shown = |listener: &Listener| (listener.port, listener.tls[0].certificate.is_some());
    let shown: Vec<_> = listeners(&world, &gateway).iter().map(shown).collect();
    assert_eq!(shown, [(1, true), (2, false), (3, false)]);

    let tls = |settings: &str| {
        let rule = format!("{{host: web, trafficPolicy: {{tls: {settings}}}}}");
        let world = self::world(&(service("web", "shop", &[80]) + &object("DestinationRule", "shop", "a", &rule)));
        let service = resolve(&world, &scope("shop"), "web").unwrap();
        traffic_policy(&world, &scope("shop"), service, false).policies.default.tls
    };
    assert!(matches!(tls("{mode: SIMPLE, caCrl: /crl}"), UpstreamTls::Unavailable(reason) if reason.contains("caCrl")));
    let names = |names: &str| tls(&format!("{{mode: ISTIO_MUTUAL, subjectAltNames: [{names}]}}"));
    let ledger = "spiffe://cluster.local/ns/bank/sa/ledger";
    assert_eq!(names(ledger), UpstreamTls::IstioMutual { server_name: None, names: vec![ledger.parse().unwrap()] });
    assert!(matches!(names("bank.example.com"), UpstreamTls::Unavailable(_)));
}
