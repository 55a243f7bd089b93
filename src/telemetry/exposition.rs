//! The Prometheus text format.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write;
use std::sync::Arc;

use super::histogram::Buckets;
use super::labels::RequestLabels;
use super::overrides::StandardMetric;
use super::registry::{ConnectionTotals, Totals};

/// What a series has counted, which can be added up.
pub(super) trait Sum: Clone {
    /// Adds what another one has counted.
    fn merge(&mut self, other: &Self);
}

/// Picks one of a series' histograms.
type Pick = fn(&Totals) -> &Buckets;

const HISTOGRAMS: [(StandardMetric, &str, Pick); 3] = [
    (StandardMetric::RequestDuration, "Duration of requests.", |totals| &totals.duration),
    (StandardMetric::RequestSize, "Size of requests.", |totals| &totals.request_bytes),
    (StandardMetric::ResponseSize, "Size of responses.", |totals| &totals.response_bytes),
];

/// Series as they are counted, each with its labels as text.
struct Told<'s, T> {
    series: &'s [(Arc<RequestLabels>, T)],
    /// Their labels where nobody makes anything of them; none if somebody does.
    plain: Option<Vec<String>>,
}

impl<'s, T: Sum> Told<'s, T> {
    fn new(series: &'s [(Arc<RequestLabels>, T)]) -> Self {
        let is_plain = series.iter().all(|(labels, _)| labels.customized.is_none());
        let text = |(labels, _): &(Arc<RequestLabels>, T)| label_text(|each| labels.each(each));
        Self { series, plain: is_plain.then(|| series.iter().map(text).collect()) }
    }

    /// Hands the labels and totals of every series of a metric to `each`.
    fn each(&self, metric: StandardMetric, mut each: impl FnMut(&str, &T)) {
        if let Some(plain) = &self.plain {
            return plain.iter().zip(self.series).for_each(|(text, (_, totals))| each(text, totals));
        }
        let mut sums: BTreeMap<String, T> = BTreeMap::new();
        for (labels, totals) in self.series.iter().filter(|(labels, _)| !labels.is_hidden(metric)) {
            match sums.entry(label_text(|each| labels.each_of(metric, each))) {
                Entry::Occupied(mut sum) => sum.get_mut().merge(totals),
                Entry::Vacant(place) => {
                    place.insert(totals.clone());
                }
            }
        }
        sums.iter().for_each(|(text, totals)| each(text, totals));
    }
}

/// Istio's request metrics.
pub(super) fn requests(text: &mut String, series: &[(Arc<RequestLabels>, Totals)]) {
    let told = Told::new(series);
    let name = StandardMetric::RequestCount.name();
    header(text, name, "Requests.", "counter");
    told.each(StandardMetric::RequestCount, |labels, totals| line(text, name, "", labels, None, totals.requests));
    for (metric, help, pick) in HISTOGRAMS {
        let name = metric.name();
        header(text, name, help, "histogram");
        told.each(metric, |labels, totals| {
            let buckets = pick(totals);
            for (bound, count) in buckets.cumulated() {
                line(text, name, "_bucket", labels, Some(&bound.to_string()), count);
            }
            line(text, name, "_bucket", labels, Some("+Inf"), buckets.count());
            line(text, name, "_sum", labels, None, buckets.sum());
            line(text, name, "_count", labels, None, buckets.count());
        });
    }
}

/// Help and value of a counter.
type ConnectionCounter = (StandardMetric, &'static str, fn(&ConnectionTotals) -> u64);

const CONNECTION_COUNTERS: [ConnectionCounter; 4] = [
    (StandardMetric::ConnectionsOpened, "TCP connections opened.", |totals| totals.opened),
    (StandardMetric::ConnectionsClosed, "TCP connections closed.", |totals| totals.closed),
    (StandardMetric::BytesReceived, "Bytes received on TCP connections.", |totals| totals.received),
    (StandardMetric::BytesSent, "Bytes sent on TCP connections.", |totals| totals.sent),
];

/// Istio's metrics of connections.
pub(super) fn connections(text: &mut String, series: &[(Arc<RequestLabels>, ConnectionTotals)]) {
    let told = Told::new(series);
    for (metric, help, pick) in CONNECTION_COUNTERS {
        header(text, metric.name(), help, "counter");
        told.each(metric, |labels, totals| line(text, metric.name(), "", labels, None, pick(totals)));
    }
}

/// One counter without labels.
pub(super) fn counter(text: &mut String, name: &str, help: &str, value: u64) {
    header(text, name, help, "counter");
    put(text, format_args!("{name} {value}\n"));
}

fn header(text: &mut String, name: &str, help: &str, kind: &str) {
    put(text, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
}

fn line(text: &mut String, name: &str, suffix: &str, labels: &str, bound: Option<&str>, value: impl std::fmt::Display) {
    let comma = if labels.is_empty() { "" } else { "," };
    match bound {
        Some(bound) => put(text, format_args!("{name}{suffix}{{{labels}{comma}le=\"{bound}\"}} {value}\n")),
        None => put(text, format_args!("{name}{suffix}{{{labels}}} {value}\n")),
    }
}

/// Labels that `pairs` hands to what it is given, as text.
fn label_text(pairs: impl FnOnce(&mut dyn FnMut(&str, &str))) -> String {
    let mut text = String::with_capacity(900);
    pairs(&mut |name, value| {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(name);
        text.push_str("=\"");
        for character in value.chars() {
            match character {
                '"' => text.push_str("\\\""),
                '\\' => text.push_str("\\\\"),
                '\n' => text.push_str("\\n"),
                other => text.push(other),
            }
        }
        text.push('"');
    });
    text
}

fn put(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = text.write_fmt(arguments);
}
