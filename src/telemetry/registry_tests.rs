use super::*;
use crate::telemetry::labels::{Party, Reporter};
use crate::telemetry::overrides::{Customized, MetricOverride, StandardMetric};

fn labels(version: &str, code: u16) -> RequestLabels {
    let party =
        |workload: &str| Arc::new(Party { workload: workload.into(), namespace: "default".into(), ..Party::default() });
    RequestLabels {
        reporter: Reporter::Destination,
        source: party("productpage-v1"),
        destination: Arc::new(Party {
            version: version.into(),
            canonical_revision: version.into(),
            ..(*party("reviews")).clone()
        }),
        destination_service: "reviews.default.svc.cluster.local".into(),
        destination_service_name: "reviews".into(),
        destination_service_namespace: "default".into(),
        request_protocol: "http",
        response_code: code,
        grpc_response_status: "",
        response_flags: "-",
        mutual_tls: true,
        customized: None,
    }
}

#[test]
fn shards_of_one_series_are_added_up() {
    let registry = Registry::default();
    let (first, second) = (registry.request_cell(&labels("v1", 200), 0), registry.request_cell(&labels("v1", 200), 1));
    assert!(!Arc::ptr_eq(&first, &second));
    first.record(Duration::from_millis(3), 100, 1000);
    second.record(Duration::from_millis(7), 100, 1000);
    let text = registry.render();
    let line = text.lines().find(|line| line.starts_with("istio_requests_total{")).expect("the counter");
    assert!(line.ends_with(" 2"), "{line}");
    for label in [
        r#"reporter="destination""#,
        r#"source_workload="productpage-v1""#,
        r#"source_principal="unknown""#,
        r#"destination_version="v1""#,
        r#"destination_service="reviews.default.svc.cluster.local""#,
        r#"response_code="200""#,
        r#"response_flags="-""#,
        r#"connection_security_policy="mutual_tls""#,
    ] {
        assert!(line.contains(label), "{label} is not in {line}");
    }
    assert!(text.contains("istio_request_duration_milliseconds_sum{") && text.contains("le=\"+Inf\""));
}

#[test]
fn the_number_of_series_is_bounded() {
    let registry = Registry::with_limits(3, SERIES_IDLE);
    for code in 200..300 {
        registry.request_cell(&labels("v1", code), 0).record(Duration::ZERO, 0, 0);
    }
    // Beyond the limit, only as many as there are status codes for one reporter.
    for version in 0..500 {
        registry.request_cell(&labels(&version.to_string(), 200), 0).record(Duration::ZERO, 0, 0);
    }
    assert!(registry.len() <= 3 + 100, "{}", registry.len());
    assert!(registry.counter(Counter::SeriesOverLimit) > 0);
}

#[test]
fn an_idle_series_expires_and_its_cell_says_so() {
    let registry = Registry::with_limits(10, Duration::from_secs(60));
    let cell = registry.request_cell(&labels("v1", 200), 0);
    cell.record(Duration::ZERO, 0, 0);
    let now = Instant::now();
    registry.expire(now);
    registry.expire(now + Duration::from_secs(59));
    assert!(!cell.is_retired());
    registry.expire(now + Duration::from_secs(61));
    assert!(cell.is_retired());
    assert!(registry.is_empty());
}

#[test]
fn a_row_tells_successes_latency_and_mutual_tls() {
    let registry = Registry::default();
    for (code, times) in [(200, 9), (503, 1)] {
        for _ in 0..times {
            registry.request_cell(&labels("v2", code), 0).record(Duration::from_millis(3), 1, 1);
        }
    }
    let rows = registry.snapshot();
    assert_eq!(rows.len(), 1);
    let row = &rows[0];
    assert_eq!((&*row.service, &*row.version, row.requests, row.successes), ("reviews", "v2", 10, 9));
    assert_eq!(row.mutual_tls, 10);
    assert!(row.latency.quantile(0.99).is_some_and(|milliseconds| (1.0..=5.0).contains(&milliseconds)));
}

#[test]
fn label_values_are_escaped() {
    let registry = Registry::default();
    registry.request_cell(&labels("a\"b\\c\nd", 200), 0).record(Duration::ZERO, 0, 0);
    assert!(registry.render().contains(r#"destination_version="a\"b\\c\nd""#));
}

/// A registry of which these overrides are told, with two versions of one workload that were asked once each.
fn overridden(said: MetricOverride, value: &str) -> String {
    let overrides = Arc::new(MetricOverrides::from([(StandardMetric::RequestCount, said)]));
    let registry = Registry::default();
    // What was counted before is told no more.
    registry.request_cell(&labels("v1", 200), 0).record(Duration::ZERO, 0, 0);
    registry.override_metrics(Reporter::Destination, Some(overrides.clone()));
    for version in ["v1", "v2"] {
        let customized = Customized { overrides: overrides.clone(), values: vec![value.into()] };
        let labels = RequestLabels { customized: Some(Arc::new(customized)), ..labels(version, 200) };
        registry.request_cell(&labels, 0).record(Duration::from_millis(1), 10, 10);
    }
    assert_eq!(registry.snapshot().iter().map(|row| row.requests).sum::<u64>(), 3);
    registry.render()
}

fn lines<'t>(text: &'t str, metric: &str) -> Vec<&'t str> {
    text.lines().filter(|line| line.starts_with(&format!("{metric}{{"))).collect()
}

#[test]
fn labels_are_removed_set_and_added_and_series_that_become_equal_are_one() {
    let removed = ["destination_version", "destination_canonical_revision"].map(Arc::from).to_vec();
    let set = vec![("destination_app".into(), 0), ("host".into(), 0)];
    let text = overridden(MetricOverride { hidden: false, removed, set }, "a\"b");
    let [line] = lines(&text, "istio_requests_total")[..] else { panic!("{text}") };
    assert!(line.contains("destination_app=\"a\\\"b\",") && line.ends_with(",host=\"a\\\"b\"} 2"), "{line}");
    assert!(!line.contains("destination_version") && !line.contains("destination_canonical_revision"), "{line}");
    // The other metrics are as they were, and of one name and labels there is one line.
    let counts = lines(&text, "istio_request_bytes_count");
    assert!(counts.len() == 2 && counts.iter().all(|line| line.ends_with(" 1") && !line.contains("host=")), "{text}");
}

#[test]
fn a_hidden_metric_is_not_told() {
    let text = overridden(MetricOverride { hidden: true, ..MetricOverride::default() }, "");
    assert_eq!(lines(&text, "istio_requests_total"), [""; 0]);
    assert_eq!(lines(&text, "istio_request_bytes_count").len(), 2);
}

#[test]
fn a_metric_that_has_lost_every_label_is_one_line_that_can_be_read() {
    let registry = Registry::default();
    registry.request_cell(&labels("v1", 200), 0).record(Duration::ZERO, 0, 0);
    let mut all = Vec::new();
    labels("v1", 200).each(|name, _| all.push(Arc::from(name)));
    let text = overridden(MetricOverride { hidden: false, removed: all, set: Vec::new() }, "");
    assert_eq!(lines(&text, "istio_requests_total"), ["istio_requests_total{} 2"]);
}
