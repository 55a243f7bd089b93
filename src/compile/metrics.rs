//! What is different about metrics: Telemetry's `metrics`.
//!
//! It guarantees Istio's order: entries are read from the root namespace's to the workload's own, each changes what it names, and what
//! it does not name stays. An entry without providers is about those of the entry before it. Metrics are counted for Prometheus alone:
//! what is said of other providers changes nothing, and a workload whose metrics are for other providers only shows none.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::compile::telemetry::{MeshTelemetry, is_about};
use crate::model::{Metrics, Side};
use crate::resources::expression::Expression;
use crate::resources::telemetry::{Metric, MetricMatch, MetricsOverride, ProviderRef, TagOperation, Telemetry};
use crate::telemetry::labels::UNKNOWN;
use crate::telemetry::{MetricOverride, MetricOverrides, StandardMetric};

/// The provider that every mesh has (Istio).
const PROMETHEUS: &str = "prometheus";

/// What is said of one metric so far. A label is set to an expression, or removed.
#[derive(Debug, Clone, Default)]
struct Said<'w> {
    disabled: bool,
    labels: BTreeMap<String, Option<&'w str>>,
}

/// What is different about the metrics of one side of a workload's traffic; `levels` from the farthest to the nearest.
pub(super) fn metrics(mesh: &MeshTelemetry, levels: &[&Telemetry], side: Side) -> Option<Metrics> {
    let shows = |name: &str| name == PROMETHEUS || mesh.exposers.iter().any(|known| **known == *name);
    let defaults = &mesh.default_metrics;
    let mut is_ours = defaults.is_empty() || defaults.iter().any(|name| shows(name));
    let mut said: BTreeMap<StandardMetric, Said<'_>> = BTreeMap::new();
    let entries: Vec<_> = levels.iter().flat_map(|level| &level.metrics).collect();
    let mut is_shown = entries.is_empty() && is_ours;
    for entry in entries {
        if !entry.providers.is_empty() {
            is_ours = entry.providers.iter().any(|ProviderRef { name }| shows(name));
        }
        is_shown |= is_ours;
        let about = |said: &&MetricsOverride| is_about(said.matches.as_ref().and_then(|matches| matches.mode), side);
        for change in entry.overrides.iter().filter(|_| is_ours).filter(about) {
            for metric in matched(change.matches.as_ref()) {
                let said = said.entry(metric).or_default();
                said.disabled = change.disabled.unwrap_or(said.disabled);
                for (name, label) in &change.tag_overrides {
                    let removes = label.operation == Some(TagOperation::Remove);
                    let value = (!removes).then(|| label.value.as_deref().unwrap_or_default());
                    said.labels.insert(label_name(name), value);
                }
            }
        }
    }
    if !is_shown {
        said.clear();
        let none = Said { disabled: true, labels: BTreeMap::new() };
        said.extend(StandardMetric::ALL.map(|(metric, _)| (metric, none.clone())));
    }
    said.retain(|_, said| said.disabled || !said.labels.is_empty());
    (!said.is_empty()).then(|| made_of(&said))
}

fn made_of(said: &BTreeMap<StandardMetric, Said<'_>>) -> Metrics {
    let mut sources: Vec<&str> = Vec::new();
    let mut overrides = MetricOverrides::new();
    for (metric, said) in said {
        let mut made = MetricOverride { hidden: said.disabled, ..MetricOverride::default() };
        // A metric that is left out needs no values.
        for (name, value) in said.labels.iter().filter(|_| !said.disabled) {
            match value {
                None => made.removed.push(name.as_str().into()),
                Some(source) => {
                    let at = sources.iter().position(|known| known == source).unwrap_or_else(|| {
                        sources.push(source);
                        sources.len() - 1
                    });
                    made.set.push((name.as_str().into(), at));
                }
            }
        }
        overrides.insert(*metric, made);
    }
    // What cannot be read was said where it is written, and has no value.
    let unknown = || Expression::parse_value(&format!("'{UNKNOWN}'")).ok();
    let values =
        sources.into_iter().filter_map(|source| Expression::parse_value(source).ok().or_else(unknown)).collect();
    Metrics { values, overrides: Arc::new(overrides) }
}

/// The metrics that an override is about. Those that the mesh does not have are none.
fn matched(matches: Option<&MetricMatch>) -> Vec<StandardMetric> {
    let all = || StandardMetric::ALL.map(|(metric, _)| metric).to_vec();
    let Some(matches) = matches else { return all() };
    if let Some(custom) = &matches.custom_metric {
        return StandardMetric::named(custom).into_iter().collect();
    }
    match matches.metric {
        None | Some(Metric::All) => all(),
        Some(metric) => standard(metric).into_iter().collect(),
    }
}

fn standard(metric: Metric) -> Option<StandardMetric> {
    Some(match metric {
        Metric::RequestCount => StandardMetric::RequestCount,
        Metric::RequestDuration => StandardMetric::RequestDuration,
        Metric::RequestSize => StandardMetric::RequestSize,
        Metric::ResponseSize => StandardMetric::ResponseSize,
        Metric::TcpOpenedConnections => StandardMetric::ConnectionsOpened,
        Metric::TcpClosedConnections => StandardMetric::ConnectionsClosed,
        Metric::TcpReceivedBytes => StandardMetric::BytesReceived,
        Metric::TcpSentBytes => StandardMetric::BytesSent,
        Metric::All | Metric::GrpcRequestMessages | Metric::GrpcResponseMessages => return None,
    })
}

/// A name as Prometheus takes it. `le` belongs to histograms.
fn label_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' };
    let plain: String = name.chars().map(plain).collect();
    if plain == "le" || plain.starts_with(|c: char| c.is_ascii_digit()) { format!("_{plain}") } else { plain }
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
