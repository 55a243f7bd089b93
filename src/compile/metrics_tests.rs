use serde_json::{Value, json};

use super::*;
use crate::compile::MeshConfig;
use crate::resources::Object;

const MESH: &str = "extensionProviders: [{name: prom, prometheus: {}}, {name: sd, stackdriver: {}}]";

/// What these levels make of a metric: whether it is left out, and its labels, each with the expression that it is set to.
fn made(mesh: &str, levels: &[Value], side: Side, metric: StandardMetric) -> (bool, Vec<(String, Option<String>)>) {
    let mesh = MeshConfig::parse(mesh).unwrap();
    let levels = levels.iter().map(|metrics| {
        let value = json!({"apiVersion": "telemetry.istio.io/v1", "kind": "Telemetry",
            "metadata": {"namespace": "shop", "name": "all"}, "spec": {"metrics": metrics}});
        Object::<Telemetry>::from_value(&value).unwrap().spec
    });
    let levels: Vec<Telemetry> = levels.collect();
    let levels: Vec<&Telemetry> = levels.iter().collect();
    let Some(metrics) = metrics(&mesh.telemetry, &levels, side) else { return (false, vec![]) };
    let said = metrics.overrides.get(&metric).cloned().unwrap_or_default();
    let set = |(name, at): &(Arc<str>, usize)| (name.to_string(), Some(metrics.values[*at].as_str().to_owned()));
    let mut labels: Vec<_> = said.set.iter().map(set).collect();
    labels.extend(said.removed.iter().map(|name| (name.to_string(), None)));
    (said.hidden, labels)
}

fn set(name: &str, value: &str) -> (String, Option<String>) {
    (name.to_owned(), Some(value.to_owned()))
}

#[test]
fn an_override_is_about_its_metric_and_its_side() {
    use StandardMetric::*;
    let one = |matches: Value| json!([{"overrides": [{"match": matches, "tagOverrides": {"a": {"value": "'x'"}}}]}]);
    let everything: Vec<StandardMetric> = StandardMetric::ALL.map(|(metric, _)| metric).to_vec();
    for (matches, sides, metrics) in [
        (json!(null), [true, true], everything.clone()),
        (json!({"metric": "ALL_METRICS"}), [true, true], everything),
        (json!({"metric": "REQUEST_COUNT", "mode": "CLIENT"}), [true, false], vec![RequestCount]),
        (json!({"metric": "REQUEST_DURATION", "mode": "SERVER"}), [false, true], vec![RequestDuration]),
        (json!({"metric": "REQUEST_SIZE", "mode": "CLIENT_AND_SERVER"}), [true, true], vec![RequestSize]),
        (json!({"metric": "RESPONSE_SIZE"}), [true, true], vec![ResponseSize]),
        (json!({"metric": "TCP_OPENED_CONNECTIONS"}), [true, true], vec![ConnectionsOpened]),
        (json!({"metric": "TCP_CLOSED_CONNECTIONS"}), [true, true], vec![ConnectionsClosed]),
        (json!({"metric": "TCP_SENT_BYTES"}), [true, true], vec![BytesSent]),
        (json!({"metric": "TCP_RECEIVED_BYTES"}), [true, true], vec![BytesReceived]),
        (json!({"metric": "GRPC_REQUEST_MESSAGES"}), [true, true], vec![]),
        (json!({"customMetric": "requests_total"}), [true, true], vec![RequestCount]),
        (json!({"customMetric": "istio_request_bytes"}), [true, true], vec![RequestSize]),
        (json!({"customMetric": "mine"}), [true, true], vec![]),
    ] {
        for (side, of_side) in [Side::Client, Side::Server].into_iter().zip(sides) {
            for (metric, _) in StandardMetric::ALL {
                let expected = if of_side && metrics.contains(&metric) { vec![set("a", "'x'")] } else { vec![] };
                assert_eq!(
                    made(MESH, &[one(matches.clone())], side, metric),
                    (false, expected),
                    "{matches} {metric:?}"
                );
            }
        }
    }
}

#[test]
fn the_nearer_level_changes_what_it_names_and_leaves_the_rest() {
    let labels = |labels: Value| json!([{"overrides": [{"tagOverrides": labels}]}]);
    let off = |metric: &str, off: bool| json!([{"overrides": [{"match": {"metric": metric}, "disabled": off}]}]);
    let root = labels(json!({"a": {"value": "'root'"}, "b": {"operation": "REMOVE"}}));
    let near = labels(json!({"a": {"operation": "UPSERT", "value": "request.host"}, "c": {"value": "'near'"}}));
    let both = vec![set("a", "request.host"), set("c", "'near'"), ("b".to_owned(), None)];
    for (levels, expected) in [
        (vec![], (false, vec![])),
        (vec![root.clone()], (false, vec![set("a", "'root'"), ("b".to_owned(), None)])),
        (vec![root.clone(), near.clone()], (false, both.clone())),
        (vec![root.clone(), labels(json!({"a": {"operation": "REMOVE"}}))], {
            (false, vec![("a".to_owned(), None), ("b".to_owned(), None)])
        }),
        (vec![root.clone(), off("ALL_METRICS", true)], (true, vec![])),
        (vec![root.clone(), off("REQUEST_COUNT", true), near.clone()], (true, vec![])),
        (vec![off("ALL_METRICS", true), off("REQUEST_COUNT", false), root, near], (false, both)),
        (vec![off("REQUEST_SIZE", true)], (false, vec![])),
    ] {
        assert_eq!(made(MESH, &levels, Side::Server, StandardMetric::RequestCount), expected, "{levels:?}");
    }
}

#[test]
fn metrics_are_for_prometheus() {
    let entry = |providers: &[&str], off: Option<bool>| {
        let providers: Vec<Value> = providers.iter().map(|name| json!({"name": name})).collect();
        json!([{"providers": providers, "overrides": [{"disabled": off, "tagOverrides": {"a": {"value": "'x'"}}}]}])
    };
    let x = || vec![set("a", "'x'")];
    let sd = format!("{MESH}\ndefaultProviders: {{metrics: [sd]}}");
    for (mesh, levels, expected) in [
        (MESH, vec![entry(&["prometheus"], None)], (false, x())),
        (MESH, vec![entry(&["prom"], None)], (false, x())),
        (MESH, vec![entry(&["sd", "prom"], None)], (false, x())),
        // What is for others alone shows nothing here; what is also for others is left as it was.
        (MESH, vec![entry(&["sd"], None)], (true, vec![])),
        (MESH, vec![entry(&["prom"], None), entry(&["sd"], Some(true))], (false, x())),
        // Without providers it is about those before.
        (MESH, vec![entry(&["sd"], None), entry(&[], None)], (true, vec![])),
        (MESH, vec![entry(&["prom"], None), entry(&[], Some(true))], (true, vec![])),
        (&sd, vec![], (true, vec![])),
        (&sd, vec![entry(&["prom"], None)], (false, x())),
    ] {
        assert_eq!(made(mesh, &levels, Side::Client, StandardMetric::BytesSent), expected, "{levels:?}");
    }
}

#[test]
fn names_are_such_as_prometheus_takes_and_what_cannot_be_read_has_no_value() {
    let labels = json!({"a-b": {"value": "'x'"}, "le": {"value": "no.such"}, "4xx": {"value": "'x'"}});
    let (_, labels) =
        made(MESH, &[json!([{"overrides": [{"tagOverrides": labels}]}])], Side::Client, StandardMetric::BytesSent);
    assert_eq!(labels, [set("_4xx", "'x'"), set("_le", "'unknown'"), set("a_b", "'x'")]);
}
