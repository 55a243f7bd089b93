use serde_json::json;

use super::tests::{conditions, front, object, said, services, workload, world};
use crate::compile::{Scope, World, gateway_routes, listeners, resolve, routes};
use crate::model::stream::{StreamFacts, decide};
use crate::model::{Labels, ListenerProtocol, Routes, StreamRule, Termination};

const PASSTHROUGH: &str = "{name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough}}";

fn tls_route(name: &str, hostnames: &str, backend: &str) -> String {
    let spec = format!(
        "{{parentRefs: [{{name: front}}], hostnames: [{hostnames}], rules: [{{backendRefs: [{{name: {backend}, port: 80}}]}}]}}"
    );
    object("TLSRoute", "shop", name, &spec)
}

fn tcp_route(name: &str, parents: &str, backends: &str) -> String {
    let spec = format!("{{parentRefs: [{parents}], rules: [{{backendRefs: [{backends}]}}]}}");
    object("TCPRoute", "shop", name, &spec)
}

/// Where rules send a connection that asks for a name, by draw.
fn sent(rules: &[StreamRule], name: Option<&str>, port: u16, draw: u64) -> Option<String> {
    let labels = Labels::new();
    let facts =
        StreamFacts { server_name: name, destination: None, port, source_labels: &labels, source_namespace: "shop" };
    decide(rules, &facts, draw).map(|found| found.destination.cluster.host.to_string())
}

/// Where a gateway's port sends a connection: by the most specific of its hosts.
fn at_port(world: &World, port: u16, name: Option<&str>) -> Option<String> {
    let all = listeners(world, &workload());
    let listener = all.iter().find(|listener| listener.port == port)?;
    let mut hosts: Vec<_> =
        listener.virtual_hosts.iter().filter(|known| known.host.matches(name.unwrap_or_default())).collect();
    hosts.sort_by_key(|known| std::cmp::Reverse(known.host.precedence()));
    hosts.iter().find_map(|known| {
        let Routes { streams, .. } = gateway_routes(world, &workload(), port, &known.host);
        sent(&streams, name, port, 0)
    })
}

#[test]
fn connections_go_by_their_server_name() {
    let listener = "{name: tls, port: 443, protocol: TLS, hostname: '*.example.com', tls: {mode: Passthrough}}";
    let text = front(listener) + &tls_route("exact", "a.example.com", "web") + &tls_route("wide", "'*.com'", "api");
    let world = world(&text);
    let found = listeners(&world, &workload());
    assert_eq!((found[0].port, found[0].protocol), (8443, ListenerProtocol::Tls));
    assert_eq!(found[0].tls[0].termination, Termination::Passthrough);
    for (name, expected) in [
        ("a.example.com", Some("web.shop.svc.cluster.local")),
        ("b.example.com", Some("api.shop.svc.cluster.local")),
        ("a.other.com", None),
        ("", None),
    ] {
        assert_eq!(at_port(&world, 8443, Some(name)).as_deref(), expected, "{name}");
    }
}

#[test]
fn one_port_passes_on_some_names_and_ends_tls_for_others() {
    let listeners_of = "{name: passes, port: 443, protocol: TLS, hostname: a.com, tls: {mode: Passthrough}},
        {name: ends, port: 443, protocol: TLS, hostname: b.com, tls: {mode: Terminate, certificateRefs: [{name: cert}]}}";
    let text = front(listeners_of) + &tls_route("a", "a.com", "web") + &tls_route("b", "b.com", "api");
    let world = world(&text);
    let found = listeners(&world, &workload());
    let [listener] = found.as_slice() else { panic!("one port: {found:?}") };
    let terminations: Vec<Termination> = listener.tls.iter().map(|tls| tls.termination).collect();
    assert_eq!(terminations, [Termination::Passthrough, Termination::Tcp]);
    assert_eq!(at_port(&world, 8443, Some("a.com")).as_deref(), Some("web.shop.svc.cluster.local"));
    assert_eq!(at_port(&world, 8443, Some("b.com")).as_deref(), Some("api.shop.svc.cluster.local"));
    let status = said(&world, "Gateway");
    assert_eq!(status["listeners"][0]["supportedKinds"].as_array().map(Vec::len), Some(1));
    assert_eq!(status["listeners"][1]["attachedRoutes"], 1);
}

#[test]
fn of_several_routes_for_a_port_the_oldest_has_the_connections_and_all_are_counted() {
    let listener = "{name: raw, port: 9000, protocol: TCP}";
    let at = |name: &str, day: u8, backend: &str| {
        let route = tcp_route(name, "{name: front}", &format!("{{name: {backend}, port: 80}}"));
        route.replace("generation: 3", &format!("generation: 3, creationTimestamp: '2026-01-0{day}T00:00:00Z'"))
    };
    let world = world(&(front(listener) + &at("a-young", 2, "api") + &at("old", 1, "web")));
    assert_eq!(listeners(&world, &workload())[0].protocol, ListenerProtocol::Tcp);
    assert_eq!(at_port(&world, 9000, None).as_deref(), Some("web.shop.svc.cluster.local"));
    assert_eq!(said(&world, "Gateway")["listeners"][0]["attachedRoutes"], 2);
}

#[test]
fn a_share_that_cannot_be_used_fails_and_does_not_fall_to_the_others() {
    let listener = "{name: raw, port: 9000, protocol: TCP}";
    let route = tcp_route(
        "raw",
        "{name: front}",
        "{name: web, port: 80, weight: 3}, {name: gone, port: 80, weight: 1}, {name: api, port: 80, weight: 0}",
    );
    let world = world(&(front(listener) + &route));
    let [rule] = gateway_routes(&world, &workload(), 9000, &crate::model::HostPattern::Any).streams.try_into().unwrap();
    let to = |part: u64| sent(std::slice::from_ref(&rule), None, 9000, u64::MAX / 8 * part).unwrap();
    assert_eq!([1, 5, 7].map(to), ["web.shop.svc.cluster.local", "web.shop.svc.cluster.local", "gone.invalid"]);
    let status = said(&world, "TCPRoute");
    assert_eq!(
        conditions(&status["parents"][0]["conditions"]),
        ["Accepted=True/Accepted", "ResolvedRefs=False/BackendNotFound"]
    );
}

#[test]
fn a_route_is_turned_away_by_listeners_of_other_protocols() {
    let tls = tls_route("tls", "a.com", "web");
    let tcp = tcp_route("tcp", "{name: front}", "{name: web, port: 80}");
    let named =
        |section: &str| tcp_route("tcp", &format!("{{name: front, sectionName: {section}}}"), "{name: web, port: 80}");
    for (listener, route, expected) in [
        ("{name: http, port: 80, protocol: HTTP}", &tls, "Accepted=False/NotAllowedByListeners"),
        ("{name: http, port: 80, protocol: HTTP}", &tcp, "Accepted=False/NotAllowedByListeners"),
        (PASSTHROUGH, &tcp, "Accepted=False/NotAllowedByListeners"),
        (PASSTHROUGH, &named("other"), "Accepted=False/NoMatchingParent"),
        ("{name: raw, port: 9, protocol: TCP}", &tls, "Accepted=False/NotAllowedByListeners"),
        ("{name: raw, port: 9, protocol: TCP}", &named("raw"), "Accepted=True/Accepted"),
        (
            "{name: tls, port: 443, protocol: TLS, hostname: '*.b.com', tls: {mode: Passthrough}}",
            &tls,
            "Accepted=False/NoMatchingListenerHostname",
        ),
    ] {
        let world = world(&(front(listener) + route));
        let kind = if route.contains("TLSRoute") { "TLSRoute" } else { "TCPRoute" };
        assert_eq!(conditions(&said(&world, kind)["parents"][0]["conditions"])[0], expected, "{listener} {route}");
        let attached = usize::from(expected.starts_with("Accepted=True"));
        assert_eq!(said(&world, "Gateway")["listeners"][0]["attachedRoutes"], attached, "{listener} {route}");
    }
}

#[test]
fn a_listener_says_which_of_the_kinds_that_it_is_asked_to_take_it_can() {
    let listener = "{name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough},
        allowedRoutes: {kinds: [{kind: TCPRoute}, {kind: TLSRoute}]}}";
    let status = said(&world(&front(listener)), "Gateway");
    let listener = &status["listeners"][0];
    assert_eq!(listener["supportedKinds"], json!([{"group": "gateway.networking.k8s.io", "kind": "TLSRoute"}]));
    assert_eq!(conditions(&listener["conditions"])[2], "ResolvedRefs=False/InvalidRouteKinds");
}

#[test]
fn datagrams_are_not_routed_and_it_is_said() {
    let route = object(
        "UDPRoute",
        "shop",
        "dns",
        "{parentRefs: [{name: front}], rules: [{backendRefs: [{name: web, port: 80}]}]}",
    );
    let world = world(&(front("{name: dns, port: 53, protocol: UDP}") + &route));
    assert_eq!(listeners(&world, &workload()), []);
    let status = said(&world, "UDPRoute");
    assert_eq!(conditions(&status["parents"][0]["conditions"])[0], "Accepted=False/UnsupportedProtocol");
    assert_eq!(conditions(&said(&world, "Gateway")["conditions"])[0], "Accepted=False/ListenersNotValid");
}

#[test]
fn connections_to_a_service_go_where_its_routes_send_them() {
    let services = services().replace("{name: http, port: 80}", "{name: tcp, port: 80}");
    let parent = "{group: '', kind: Service, name: web, namespace: shop, port: 80}";
    let producer = tcp_route("web", parent, "{name: api, port: 80}");
    let consumer = producer
        .replace("namespace: shop, generation", "namespace: bank, generation")
        .replace("name: api", "name: ledger");
    let consumer = consumer.replace("name: ledger, port", "name: ledger, namespace: bank, port");
    let goes = |text: &str, namespace: &str| {
        let (world, scope) = (world(text), Scope::of_namespace(namespace));
        let service = resolve(&world, &scope, "web.shop.svc.cluster.local").unwrap();
        sent(&routes(&world, &scope, service).streams, None, 80, 0).unwrap()
    };
    assert_eq!(goes(&services, "shop"), "web.shop.svc.cluster.local");
    assert_eq!(goes(&(services.clone() + &producer), "bank"), "api.shop.svc.cluster.local");
    let both = services + &producer + &consumer;
    assert_eq!(goes(&both, "shop"), "api.shop.svc.cluster.local");
    assert_eq!(goes(&both, "bank"), "ledger.bank.svc.cluster.local");
}
