use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;
use crate::model::matching::WholeMatch;

fn cluster(subset: &str) -> ClusterName {
    ClusterName { host: "reviews.default.svc.cluster.local".into(), port: 9080, subset: Some(subset.into()) }
}

fn forward(matches: Vec<RequestMatch>, destinations: &[(&str, u32)]) -> HttpRule {
    HttpRule {
        provenance: Provenance::new("VirtualService", "default", "reviews"),
        name: "default".into(),
        matches,
        action: Action::Forward(
            destinations.iter().map(|(subset, weight)| WeightedCluster::new(cluster(subset), *weight)).collect(),
        ),
        handling: Handling::default(),
        tier: 0,
    }
}

fn exact(value: &str) -> StringMatch {
    StringMatch::Exact(value.as_bytes().into())
}

fn jason() -> RequestMatch {
    RequestMatch { headers: vec![("end-user".into(), exact("jason"))], ..RequestMatch::default() }
}

fn routes(http: Vec<HttpRule>) -> Routes {
    Routes { name: "reviews".into(), http, ..Routes::default() }
}

/// A request target, its query included.
fn subset_for(routes: &Routes, path: &str, headers: &[(&str, &[u8])], draw: u64) -> Option<String> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value).unwrap());
    }
    let labels = Labels::from([("app".into(), "productpage".into())]);
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let facts = RequestFacts {
        method: b"GET",
        path: path.as_bytes(),
        query: query.as_bytes(),
        scheme: "http",
        authority: b"reviews:9080",
        headers: &map,
        claims: None,
        port: 9080,
        source_labels: &labels,
        source_namespace: "default",
    };
    match decide(routes, &facts, draw) {
        Decision::Forward { cluster, .. } => cluster.subset.as_deref().map(str::to_owned),
        Decision::Answer { .. } | Decision::NoRoute => None,
    }
}

#[test]
fn the_first_rule_that_takes_the_request_decides() {
    let routes = routes(vec![forward(vec![jason()], &[("v2", 1)]), forward(vec![], &[("v1", 1)])]);
    assert_eq!(subset_for(&routes, "/", &[("end-user", b"jason")], 0).as_deref(), Some("v2"));
    assert_eq!(subset_for(&routes, "/", &[("end-user", b"jasons")], 0).as_deref(), Some("v1"));
    assert_eq!(subset_for(&routes, "/", &[], 0).as_deref(), Some("v1"));
}

#[test]
fn a_second_header_line_takes_part_in_the_match() {
    let routes = routes(vec![forward(vec![jason()], &[("v2", 1)])]);
    assert_eq!(subset_for(&routes, "/", &[("end-user", b"jason"), ("end-user", b"eve")], 0), None);
}

#[test]
fn conditions_of_one_match_must_all_hold_and_one_match_suffices() {
    let by_path = RequestMatch { path: Some(StringMatch::Prefix((*b"/api").into())), ..jason() };
    let by_method = RequestMatch { method: Some(exact("POST")), ..RequestMatch::default() };
    let by_regex =
        RequestMatch { path: Some(StringMatch::Regex(WholeMatch::new("/v[12]").unwrap())), ..RequestMatch::default() };
    let routes = routes(vec![forward(vec![by_path, by_method, by_regex], &[("v2", 1)])]);
    assert_eq!(subset_for(&routes, "/api/x", &[], 0), None);
    assert_eq!(subset_for(&routes, "/x", &[("end-user", b"jason")], 0), None);
    assert_eq!(subset_for(&routes, "/apix", &[("end-user", b"jason")], 0).as_deref(), Some("v2"));
    assert_eq!(subset_for(&routes, "/v2", &[], 0).as_deref(), Some("v2"));
}

#[test]
fn a_header_that_must_be_absent_keeps_the_rule_from_matching() {
    let without = RequestMatch {
        without_headers: vec![("x-beta".into(), StringMatch::Regex(WholeMatch::new("[a-z]+").unwrap()))],
        ..RequestMatch::default()
    };
    let routes = routes(vec![forward(vec![without], &[("v1", 1)])]);
    assert_eq!(subset_for(&routes, "/", &[], 0).as_deref(), Some("v1"));
    assert_eq!(subset_for(&routes, "/", &[("x-beta", b"yes")], 0), None);
}

#[test]
fn a_match_with_a_condition_that_is_not_in_force_never_holds() {
    let unsupported =
        RequestMatch { unsupported: vec!["http[0].match[0].queryParams".into()], ..RequestMatch::default() };
    let routes = routes(vec![forward(vec![unsupported], &[("v1", 1)])]);
    assert_eq!(subset_for(&routes, "/", &[], 0), None);
}

#[test]
fn scheme_authority_and_query_parameters_are_matched_as_they_are_written() {
    let query = |name: &str, expected: StringMatch| RequestMatch {
        query: vec![(name.into(), expected)],
        ..RequestMatch::default()
    };
    let regex = |source: &str| StringMatch::Regex(WholeMatch::new(source).unwrap());
    for (conditions, target, expected) in [
        (query("user", exact("jason")), "/?a=b&user=jason", true),
        (query("user", exact("jason")), "/?user=jason2", false),
        (query("user", exact("jason")), "/?xuser=jason", false),
        (query("user", exact("jason")), "/", false),
        (query("user", exact("jason")), "/?user=eve&user=jason", false),
        (query("debug", StringMatch::Present), "/?debug", true),
        (query("debug", StringMatch::Present), "/?debugx=1", false),
        (query("debug", exact("")), "/?debug", true),
        (query("v", regex("[0-9]+")), "/?v=12", true),
        (query("v", regex("[0-9]+")), "/?v=12a", false),
        (RequestMatch { scheme: Some(exact("http")), ..RequestMatch::default() }, "/", true),
        (RequestMatch { scheme: Some(exact("https")), ..RequestMatch::default() }, "/", false),
        (RequestMatch { authority: Some(exact("reviews:9080")), ..RequestMatch::default() }, "/", true),
        (RequestMatch { authority: Some(exact("reviews")), ..RequestMatch::default() }, "/", false),
    ] {
        let routes = routes(vec![forward(vec![conditions.clone()], &[("v1", 1)])]);
        assert_eq!(subset_for(&routes, target, &[], 0).is_some(), expected, "{conditions:?} {target}");
    }
}

#[test]
fn source_conditions_look_at_the_callers_workload() {
    let caller = |app: &str, namespace: &str| RequestMatch {
        source_labels: vec![("app".into(), app.into())],
        source_namespace: Some(namespace.into()),
        ..RequestMatch::default()
    };
    for (app, namespace, expected) in
        [("productpage", "default", Some("v1")), ("other", "default", None), ("productpage", "other", None)]
    {
        let routes = routes(vec![forward(vec![caller(app, namespace)], &[("v1", 1)])]);
        assert_eq!(subset_for(&routes, "/", &[], 0).as_deref(), expected, "{app} in {namespace}");
    }
}

#[test]
fn the_draw_divides_requests_by_weight_at_exact_boundaries() {
    let routes = routes(vec![forward(vec![], &[("v1", 90), ("v2", 10)])]);
    let at = |share: f64| subset_for(&routes, "/", &[], (share * u64::MAX as f64) as u64).unwrap();
    assert_eq!(at(0.0), "v1");
    assert_eq!(at(0.8999), "v1");
    assert_eq!(at(0.9001), "v2");
    assert_eq!(subset_for(&routes, "/", &[], u64::MAX).as_deref(), Some("v2"));
}

proptest! {
    #[test]
    fn every_draw_lands_on_a_destination(weights in prop::collection::vec(1u32..=u32::MAX, 1..6), draw: u64) {
        let names: Vec<String> = (0..weights.len()).map(|index| format!("v{index}")).collect();
        let destinations: Vec<(&str, u32)> = names.iter().map(String::as_str).zip(weights).collect();
        let routes = routes(vec![forward(vec![], &destinations)]);
        prop_assert!(subset_for(&routes, "/", &[], draw).is_some());
    }
}

#[test]
fn a_later_tier_is_asked_where_nothing_before_it_is_for_the_client() {
    let of_labels = |app: &str, path: Option<StringMatch>| RequestMatch {
        source_labels: vec![("app".into(), app.into())],
        path,
        ..RequestMatch::default()
    };
    let tiers = |first: RequestMatch| {
        let last = HttpRule { tier: 1, ..forward(Vec::new(), &[("own", 1)]) };
        routes(vec![forward(vec![first], &[("rule", 1)]), last])
    };
    let at = |routes: &Routes| subset_for(routes, "/a", &[], 0);
    assert_eq!(at(&tiers(of_labels("other", None))).as_deref(), Some("own"));
    assert_eq!(at(&tiers(RequestMatch { port: Some(80), ..RequestMatch::default() })).as_deref(), Some("own"));
    assert_eq!(at(&tiers(of_labels("productpage", None))).as_deref(), Some("rule"));
    assert_eq!(at(&tiers(of_labels("productpage", Some(exact("/b"))))), None);
}
