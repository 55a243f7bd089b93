use std::fmt::Write;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::status::{Said, statuses};
use crate::compile::{GatewayWorkload, Scope, World, gateway_routes, listeners, resolve, routes};
use crate::identity::TrustDomain;
use crate::model::{
    Action, Decision, HostPattern, Labels, ListenerProtocol, RequestFacts, RetryCondition, Routes, StringMatch, route,
};
use crate::yaml;

pub(super) fn world(text: &str) -> World {
    let loaded = yaml::load("mesh.yaml", text.as_bytes());
    assert_eq!(loaded.errors, []);
    let trust_domain = TrustDomain::new("cluster.local").unwrap();
    World::from_documents("cluster.local", "istio-system", &trust_domain, &loaded.documents).unwrap()
}

pub(super) fn services() -> String {
    let mut text = String::new();
    for (namespace, name) in [("shop", "web"), ("shop", "api"), ("bank", "ledger"), ("shop", "front-istio")] {
        let _ = write!(
            text,
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
             spec: {{ports: [{{name: http, port: 80}}]}}\n"
        );
    }
    text
}

pub(super) fn object(kind: &str, namespace: &str, name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: {kind}\n\
         metadata: {{name: {name}, namespace: {namespace}, generation: 3}}\nspec: {spec}\n"
    )
}

pub(super) fn front(listeners: &str) -> String {
    services() + &object("Gateway", "shop", "front", &format!("{{gatewayClassName: istio, listeners: [{listeners}]}}"))
}

pub(super) const HTTP: &str = "{name: http, port: 80, protocol: HTTP}";

pub(super) fn workload() -> GatewayWorkload {
    GatewayWorkload {
        scope: Scope::of_namespace("shop"),
        labels: Labels::from([("gateway.networking.k8s.io/gateway-name".into(), "front".into())]),
        target_ports: vec![(80, 8080), (443, 8443)],
    }
}

pub(super) fn route(spec: &str) -> String {
    object("HTTPRoute", "shop", "web", &format!("{{parentRefs: [{{name: front}}], {spec}}}"))
}

/// What becomes of a GET: where it goes, or how it is answered.
fn asked(routes: &Routes, path: &str, headers: &[(&str, &str)]) -> String {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let labels = Labels::new();
    let facts = RequestFacts {
        method: b"GET",
        path: path.as_bytes(),
        query: query.as_bytes(),
        scheme: "http",
        authority: b"example.com",
        headers: &map,
        claims: None,
        port: 80,
        source_labels: &labels,
        source_namespace: "shop",
    };
    match route::decide(routes, &facts, 0) {
        Decision::Forward { cluster, .. } => format!("{}:{}", cluster.host, cluster.port),
        Decision::Answer { rule, .. } => match &rule.action {
            Action::Respond(response) => response.status.to_string(),
            Action::Redirect(redirect) => format!("{} {:?}", redirect.status, redirect.path),
            Action::Forward(_) => unreachable!("an answer"),
        },
        Decision::NoRoute => "404".to_owned(),
    }
}

pub(super) fn at_gateway(text: &str, host: &str, path: &str) -> String {
    let world = world(text);
    let listeners = listeners(&world, &workload());
    let Some(listener) = listeners.iter().find(|listener| listener.port == 8080) else { return "no port".to_owned() };
    let Some(found) = listener.virtual_host(host) else { return "no host".to_owned() };
    asked(&gateway_routes(&world, &workload(), 8080, &found.host), path, &[])
}

pub(super) const WEB: &str = "backendRefs: [{name: web, port: 80}]";

pub(super) fn said(world: &World, kind: &str) -> Value {
    let found: Vec<Said> = statuses(world).into_iter().filter(|said| said.kind == kind).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].status.clone()
}

/// `type=status/reason` of each condition.
pub(super) fn conditions(conditions: &Value) -> Vec<String> {
    let text = |condition: &Value, field: &str| condition[field].as_str().unwrap().to_owned();
    let conditions = conditions.as_array().unwrap().iter();
    conditions.map(|c| format!("{}={}/{}", text(c, "type"), text(c, "status"), text(c, "reason"))).collect()
}

#[test]
fn a_gateway_serves_the_routes_that_name_it() {
    let text = front(HTTP) + &route(&format!("rules: [{{matches: [{{path: {{value: /a}}}}], {WEB}}}]"));
    assert_eq!(at_gateway(&text, "example.com", "/a/b"), "web.shop.svc.cluster.local:80");
    assert_eq!(at_gateway(&text, "example.com", "/ab"), "404");
    let other = GatewayWorkload { labels: Labels::new(), ..workload() };
    assert_eq!(listeners(&world(&text), &other), []);
}

#[test]
fn a_class_of_another_controller_is_left_alone() {
    let class = object("GatewayClass", "", "istio", "{controllerName: example.com/other}");
    let text = front(HTTP) + &class + &route(&format!("rules: [{{{WEB}}}]"));
    assert_eq!(at_gateway(&text, "example.com", "/"), "no port");
    let world = world(&text);
    assert_eq!(said(&world, "HTTPRoute")["parents"], serde_json::json!([]));
    assert_eq!(statuses(&world).len(), 1);
}

#[test]
fn the_most_specific_match_wins_whatever_the_order() {
    let rules = "rules: [
        {matches: [{path: {value: /}}], backendRefs: [{name: web, port: 80}]},
        {matches: [{path: {value: /a}, headers: [{name: X, value: red}]}], backendRefs: [{name: ledger, namespace: bank, port: 80}]},
        {matches: [{path: {value: /a}}], filters: [{type: RequestRedirect, requestRedirect: {hostname: a.b}}]},
        {matches: [{path: {type: Exact, value: /a/b}, queryParams: [{name: q, value: '1'}]}], backendRefs: [{name: api, port: 80}]},
        {matches: [{path: {type: RegularExpression, value: '/[a-z]+'}}], backendRefs: [{name: gone, port: 80}]}]";
    let grant = object(
        "ReferenceGrant",
        "bank",
        "shop",
        "{from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: shop}], to: [{group: '', kind: Service}]}",
    );
    let world = world(&(front(HTTP) + &route(rules) + &grant));
    let routes = gateway_routes(&world, &workload(), 8080, &HostPattern::Any);
    for (path, headers, expected) in [
        ("/", &[][..], "web.shop.svc.cluster.local:80"),
        ("/z", &[], "web.shop.svc.cluster.local:80"),
        ("/a", &[("x", "red")], "ledger.bank.svc.cluster.local:80"),
        ("/a", &[], "302 Keep"),
        ("/a/b?q=1", &[("x", "red")], "api.shop.svc.cluster.local:80"),
    ] {
        assert_eq!(asked(&routes, path, headers), expected, "{path} {headers:?}");
    }
}

#[test]
fn hosts_are_those_that_listener_and_route_have_in_common() {
    let listener = "{name: http, port: 80, protocol: HTTP, hostname: '*.example.com'}";
    let rules = format!("rules: [{{{WEB}}}]");
    let text = front(listener) + &route(&format!("hostnames: [a.example.com, other.org], {rules}"));
    assert_eq!(at_gateway(&text, "a.example.com", "/"), "web.shop.svc.cluster.local:80");
    assert_eq!(at_gateway(&text, "b.example.com", "/"), "no host");
    let text = front(listener) + &route(&format!("hostnames: [other.org], {rules}"));
    assert_eq!(at_gateway(&text, "other.org", "/"), "no host");
    let status = said(&world(&text), "HTTPRoute");
    assert_eq!(
        conditions(&status["parents"][0]["conditions"]),
        ["Accepted=False/NoMatchingListenerHostname", "ResolvedRefs=True/ResolvedRefs"]
    );
}

#[test]
fn a_listener_says_whose_routes_attach() {
    let from = |from: &str| format!("{{name: http, port: 80, protocol: HTTP, allowedRoutes: {{namespaces: {from}}}}}");
    let foreign = object(
        "HTTPRoute",
        "bank",
        "ledger",
        "{parentRefs: [{name: front, namespace: shop}], rules: [{backendRefs: [{name: ledger, port: 80}]}]}",
    );
    let bank = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: bank, labels: {edge: 'yes'}}\n";
    for (namespaces, expected) in [
        ("{from: Same}", "no host"),
        ("{from: All}", "ledger.bank.svc.cluster.local:80"),
        ("{from: Selector, selector: {matchLabels: {edge: 'yes'}}}", "ledger.bank.svc.cluster.local:80"),
        ("{from: Selector, selector: {matchExpressions: [{key: edge, operator: DoesNotExist}]}}", "no host"),
        ("{from: Selector}", "no host"),
    ] {
        let text = front(&from(namespaces)) + &foreign + bank;
        assert_eq!(at_gateway(&text, "example.com", "/"), expected, "{namespaces}");
        let status = said(&world(&text), "HTTPRoute");
        let accepted =
            if expected == "no host" { "Accepted=False/NotAllowedByListeners" } else { "Accepted=True/Accepted" };
        assert_eq!(conditions(&status["parents"][0]["conditions"])[0], accepted, "{namespaces}");
    }
}

#[test]
fn a_backend_of_another_namespace_needs_a_grant() {
    let rules = "rules: [{backendRefs: [{name: ledger, namespace: bank, port: 80}]}]";
    let text = front(HTTP) + &route(rules);
    assert_eq!(at_gateway(&text, "example.com", "/"), "500");
    let status = said(&world(&text), "HTTPRoute");
    assert_eq!(
        conditions(&status["parents"][0]["conditions"]),
        ["Accepted=True/Accepted", "ResolvedRefs=False/RefNotPermitted"]
    );
    for (kind, to, expected) in [
        ("HTTPRoute", "{group: '', kind: Service, name: ledger}", "ledger.bank.svc.cluster.local:80"),
        ("HTTPRoute", "{group: '', kind: Service, name: other}", "500"),
        ("GRPCRoute", "{group: '', kind: Service}", "500"),
    ] {
        let grant = object(
            "ReferenceGrant",
            "bank",
            "shop",
            &format!("{{from: [{{group: gateway.networking.k8s.io, kind: {kind}, namespace: shop}}], to: [{to}]}}"),
        );
        assert_eq!(at_gateway(&(text.clone() + &grant), "example.com", "/"), expected, "{kind} {to}");
    }
}

#[test]
fn what_has_nowhere_to_go_answers_500_and_says_so() {
    for (rules, reason) in [
        ("rules: [{backendRefs: [{name: gone, port: 80}]}]", "ResolvedRefs=False/BackendNotFound"),
        ("rules: [{backendRefs: [{name: web, port: 81}]}]", "ResolvedRefs=False/BackendNotFound"),
        ("rules: [{backendRefs: [{name: web, kind: Bucket, group: a.b, port: 80}]}]", "ResolvedRefs=False/InvalidKind"),
        ("rules: [{matches: [{path: {value: /}}]}]", "ResolvedRefs=True/ResolvedRefs"),
        ("rules: [{backendRefs: [{name: web, port: 80, weight: 0}]}]", "ResolvedRefs=True/ResolvedRefs"),
    ] {
        let text = front(HTTP) + &route(rules);
        assert_eq!(at_gateway(&text, "example.com", "/"), "500", "{rules}");
        let status = said(&world(&text), "HTTPRoute");
        assert_eq!(conditions(&status["parents"][0]["conditions"])[1], reason, "{rules}");
    }
}

#[test]
fn a_service_has_the_rules_of_the_routes_that_name_it() {
    let parent = "parentRefs: [{group: '', kind: Service, name: web, port: 80}]";
    let producer = object(
        "HTTPRoute",
        "shop",
        "web",
        &format!("{{{parent}, rules: [{{backendRefs: [{{name: api, port: 80}}]}}]}}"),
    );
    let consumer = object(
        "HTTPRoute",
        "bank",
        "web",
        "{parentRefs: [{group: '', kind: Service, name: web, namespace: shop}],
          rules: [{matches: [{path: {value: /x}}], backendRefs: [{name: ledger, port: 80}]}]}",
    );
    let goes = |text: &str, namespace: &str, path: &str| {
        let (world, scope) = (world(text), Scope::of_namespace(namespace));
        let service = resolve(&world, &scope, "web.shop.svc.cluster.local").unwrap();
        asked(&routes(&world, &scope, service), path, &[])
    };
    let both = services() + &producer + &consumer;
    assert_eq!(goes(&services(), "shop", "/"), "web.shop.svc.cluster.local:80");
    assert_eq!(goes(&both, "shop", "/"), "api.shop.svc.cluster.local:80");
    // Clients of `bank` have a route of their own.
    assert_eq!(goes(&both, "bank", "/x"), "ledger.bank.svc.cluster.local:80");
    assert_eq!(goes(&both, "bank", "/"), "404");
    // A VirtualService for the host decides alone.
    let virtual_service = "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\n\
        metadata: {name: web, namespace: shop}\n\
        spec: {hosts: [web], http: [{route: [{destination: {host: web}}]}]}\n";
    assert_eq!(goes(&(both + virtual_service), "shop", "/"), "web.shop.svc.cluster.local:80");
}

#[test]
fn a_rewrite_replaces_whole_segments() {
    for (prefix, replacement, path, expected) in [
        ("/foo", "/xyz", "/foo/bar", "/xyz/bar"),
        ("/foo/", "/xyz", "/foo/bar", "/xyz/bar"),
        ("/foo", "/xyz/", "/foo/bar", "/xyz/bar"),
        ("/foo", "/xyz", "/foo", "/xyz"),
        ("/foo", "/xyz", "/foo/", "/xyz/"),
        ("/foo", "", "/foo/bar", "/bar"),
        ("/foo", "/", "/foo/bar", "/bar"),
        ("/foo", "", "/foo", "/"),
        ("/", "/xyz", "/foo", "/xyz/foo"),
    ] {
        let rules = format!(
            "rules: [{{matches: [{{path: {{value: {prefix}}}}}], {WEB}, filters: [{{type: URLRewrite, urlRewrite: \
             {{path: {{type: ReplacePrefixMatch, replacePrefixMatch: '{replacement}'}}}}}}]}}]"
        );
        let world = world(&(front(HTTP) + &route(&rules)));
        let routes = gateway_routes(&world, &workload(), 8080, &HostPattern::Any);
        let rule = &routes.http[0];
        let rewrite = rule.handling.rewrite.as_ref().and_then(|rewrite| rewrite.path.as_ref()).unwrap();
        let written = rewrite.apply(path.as_bytes(), rule.matches[0].path.as_ref());
        assert_eq!(String::from_utf8(written).unwrap(), expected, "{prefix} {replacement:?} {path}");
    }
}

#[test]
fn filters_times_and_shares_are_the_models() {
    let rules = "rules: [{backendRefs: [{name: web, port: 80, weight: 9}, {name: api, port: 80, filters: [
          {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-A, value: b}]}}]}],
        timeouts: {request: 10s, backendRequest: 2s}, retry: {attempts: 4, codes: [503], backoff: 100ms},
        filters: [
          {type: ResponseHeaderModifier, responseHeaderModifier: {remove: [Server]}},
          {type: RequestMirror, requestMirror: {backendRef: {name: api, port: 80}, fraction: {numerator: 1, denominator: 4}}},
          {type: CORS, cors: {allowOrigins: ['https://*.a.com'], allowMethods: [GET, PUT], maxAge: 9}},
          {type: URLRewrite, urlRewrite: {hostname: other.org, path: {type: ReplaceFullPath, replaceFullPath: /z}}}]}]";
    let world = world(&(front(HTTP) + &route(rules)));
    let routes = gateway_routes(&world, &workload(), 8080, &HostPattern::Any);
    let [rule] = routes.http.as_slice() else { panic!("one rule: {routes:?}") };
    let Action::Forward(shares) = &rule.action else { panic!("forwards: {rule:?}") };
    assert_eq!(shares.iter().map(|share| share.weight).collect::<Vec<_>>(), [9, 1]);
    let (name, value) = &shares[1].headers.request.set[0];
    assert_eq!((&**name, value.as_str()), ("x-a", "b"));
    let handling = &rule.handling;
    assert_eq!(handling.timeout.map(|timeout| timeout.as_secs()), Some(10));
    assert_eq!(handling.retry.per_try_timeout.map(|timeout| timeout.as_secs()), Some(2));
    assert_eq!((handling.retry.attempts, &handling.retry.status_codes[..]), (4, &[503][..]));
    assert!(handling.retry.on.contains(&RetryCondition::Reset), "a try that takes too long is tried again");
    assert_eq!(handling.headers.response.remove.iter().map(|name| &**name).collect::<Vec<_>>(), ["server"]);
    assert_eq!(handling.mirrors[0].share.millionths(), 250_000);
    let cors = handling.cors.as_ref().unwrap();
    assert!(cors.permits(b"https://x.a.com") && !cors.permits(b"https://a.com") && !cors.permits(b"http://x.a.com"));
    assert_eq!((&*cors.methods, cors.max_age, cors.forwards_unmatched), ("GET,PUT", Some(9), false));
    let rewrite = handling.rewrite.as_ref().unwrap();
    assert_eq!(rewrite.authority.as_deref(), Some("other.org"));
    assert_eq!(rewrite.path.as_ref().unwrap().apply(b"/a/b", None), b"/z");
}

#[test]
fn calls_are_matched_by_service_and_method() {
    let rules = "{parentRefs: [{name: front}], rules: [
        {matches: [{method: {service: a.B}}], backendRefs: [{name: web, port: 80}]},
        {matches: [{method: {service: a.B, method: C}}], backendRefs: [{name: api, port: 80}]},
        {matches: [{method: {method: D}}], filters: [{type: ExtensionRef, extensionRef: {group: a.b, kind: C, name: d}}]}]}";
    let text = front(HTTP) + &object("GRPCRoute", "shop", "calls", rules);
    let routes = gateway_routes(&world(&text), &workload(), 8080, &HostPattern::Any);
    for (path, expected) in [
        ("/a.B/X", "web.shop.svc.cluster.local:80"),
        ("/a.B/C", "api.shop.svc.cluster.local:80"),
        ("/z.Z/D", "500"),
        ("/z.Z/E", "404"),
    ] {
        assert_eq!(asked(&routes, path, &[]), expected, "{path}");
    }
    assert!(matches!(routes.http[0].matches[0].path, Some(StringMatch::Exact(_))));
}

#[test]
fn a_listener_with_tls_shows_the_secret_that_it_may_name() {
    let listener = "{name: https, port: 443, protocol: HTTPS, hostname: a.com, tls: {certificateRefs: [{name: cert, namespace: keys}]}}";
    let secret = |chain: &str, key: &str| {
        let data = serde_json::json!({"tls.crt": chain, "tls.key": key});
        format!("---\napiVersion: v1\nkind: Secret\nmetadata: {{name: cert, namespace: keys}}\nstringData: {data}\n")
    };
    let pair = rcgen::generate_simple_self_signed(["a.com".to_owned()]).unwrap();
    let sound = secret(&pair.cert.pem(), &pair.signing_key.serialize_pem());
    let grant = object(
        "ReferenceGrant",
        "keys",
        "edge",
        "{from: [{group: gateway.networking.k8s.io, kind: Gateway, namespace: shop}], to: [{group: '', kind: Secret}]}",
    );
    for (text, shown, resolved) in [
        (front(listener) + &sound, false, "ResolvedRefs=False/RefNotPermitted"),
        (front(listener) + &grant, false, "ResolvedRefs=False/InvalidCertificateRef"),
        (front(listener) + &secret("chain", "key") + &grant, true, "ResolvedRefs=False/InvalidCertificateRef"),
        (front(listener) + &sound + &grant, true, "ResolvedRefs=True/ResolvedRefs"),
    ] {
        let world = world(&text);
        let listeners = listeners(&world, &workload());
        assert_eq!((listeners[0].port, listeners[0].protocol), (8443, ListenerProtocol::Tls));
        assert_eq!(listeners[0].tls[0].certificate.is_some(), shown);
        let status = said(&world, "Gateway");
        assert_eq!(conditions(&status["listeners"][0]["conditions"])[2], resolved);
    }
}

#[test]
fn a_gateways_status_counts_what_is_attached() {
    let listeners = "{name: http, port: 80, protocol: HTTP}, {name: raw, port: 9000, protocol: UDP}";
    let mut world = world(&(front(listeners) + &route(&format!("rules: [{{{WEB}}}]"))));
    let status = said(&world, "Gateway");
    assert_eq!(conditions(&status["conditions"]), ["Accepted=True/ListenersNotValid", "Programmed=False/Pending"]);
    // What only the cluster can resolve is no address for those outside.
    assert!(status.get("addresses").is_none(), "{status}");
    let published: Vec<Arc<str>> = vec!["192.0.2.1".into(), "front.example.com".into()];
    world.published.insert("front-istio.shop.svc.cluster.local".into(), published.into());
    let status = said(&world, "Gateway");
    assert_eq!(
        status["addresses"],
        json!([{"type": "IPAddress", "value": "192.0.2.1"}, {"type": "Hostname", "value": "front.example.com"}])
    );
    let [http, raw] = status["listeners"].as_array().unwrap().as_slice() else { panic!("two: {status}") };
    assert_eq!((&http["name"], &http["attachedRoutes"]), (&"http".into(), &1.into()));
    assert_eq!(http["supportedKinds"].as_array().map(Vec::len), Some(2));
    assert_eq!(http["conditions"][0]["observedGeneration"], 3);
    assert_eq!(raw["attachedRoutes"], 0);
    assert_eq!(conditions(&raw["conditions"])[0], "Accepted=False/UnsupportedProtocol");
}
