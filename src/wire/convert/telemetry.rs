//! What a proxy tells about its traffic.

use std::sync::Arc;
use std::time::Duration;

use crate::model::{Collector, CollectorProtocol, Metrics, Reporting, Share, TagValue, Tracing};
use crate::resources::expression::Expression;
use crate::telemetry::{MetricOverride, StandardMetric};
use crate::wire::convert::{ConvertError, Problem, list, non_empty, port};
use crate::wire::proto::mesh::v1;
use crate::wire::proto::mesh::v1::span_tag::Value;

impl From<&Reporting> for v1::Reporting {
    fn from(reporting: &Reporting) -> Self {
        Self {
            log: reporting.log,
            tracing: reporting.tracing.as_deref().map(Into::into),
            filter: reporting.filter.as_ref().map(|filter| filter.as_str().to_owned()).unwrap_or_default(),
            metrics: reporting.metrics.as_deref().map(Into::into),
        }
    }
}

/// What is not there tells nothing.
pub(super) fn reporting(field: &str, message: Option<v1::Reporting>) -> Result<Reporting, ConvertError> {
    let Some(message) = message else { return Ok(Reporting::default()) };
    let tracing = message.tracing.map(Tracing::try_from).transpose();
    let tracing = tracing.map_err(|error| error.within(&format!("{field}.tracing")))?;
    let filter = match message.filter.as_str() {
        "" => None,
        text => match Expression::parse(text) {
            Ok(filter) => Some(Arc::new(filter)),
            Err(_) => {
                return Err(ConvertError::new(format!("{field}.filter"), Problem::Text(message.filter, "condition")));
            }
        },
    };
    let metrics = message.metrics.map(Metrics::try_from).transpose();
    let metrics = metrics.map_err(|error| error.within(&format!("{field}.metrics")))?;
    Ok(Reporting { log: message.log, filter, tracing: tracing.map(Arc::new), metrics: metrics.map(Arc::new) })
}

impl From<&Metrics> for v1::Metrics {
    fn from(metrics: &Metrics) -> Self {
        let set = |(name, at): &(Arc<str>, usize)| v1::SetLabel {
            name: name.to_string(),
            value: u32::try_from(*at).unwrap_or(u32::MAX),
        };
        let said = |(metric, said): (&StandardMetric, &MetricOverride)| v1::MetricOverride {
            metric: metric.name().to_owned(),
            hidden: said.hidden,
            removed: said.removed.iter().map(ToString::to_string).collect(),
            set: said.set.iter().map(set).collect(),
        };
        Self {
            values: metrics.values.iter().map(|value| value.as_str().to_owned()).collect(),
            overrides: metrics.overrides.iter().map(said).collect(),
        }
    }
}

impl TryFrom<v1::Metrics> for Metrics {
    type Error = ConvertError;

    fn try_from(message: v1::Metrics) -> Result<Self, ConvertError> {
        let values = list("values", message.values, |text| {
            Expression::parse_value(&text).map_err(|_| ConvertError::new("value", Problem::Text(text, "expression")))
        })?;
        let overrides = list("overrides", message.overrides, |said| {
            let metric = StandardMetric::named(&said.metric)
                .ok_or_else(|| ConvertError::new("metric", Problem::Text(said.metric, "metric")))?;
            let set = list("set", said.set, |label| Ok((non_empty("name", label.name)?, label.value as usize)))?;
            let removed = said.removed.into_iter().map(Into::into).collect();
            Ok((metric, MetricOverride { hidden: said.hidden, removed, set }))
        })?;
        Ok(Self { values, overrides: Arc::new(overrides.into_iter().collect()) })
    }
}

impl From<&Tracing> for v1::Tracing {
    fn from(tracing: &Tracing) -> Self {
        let collector = &tracing.collector;
        let (protocol, path, headers, timeout) = match &collector.protocol {
            CollectorProtocol::OtlpGrpc => (v1::SpanProtocol::OtlpGrpc, None, &[][..], Duration::ZERO),
            CollectorProtocol::OtlpHttp { path, headers, timeout } => {
                (v1::SpanProtocol::OtlpHttp, Some(path), &headers[..], *timeout)
            }
            CollectorProtocol::Zipkin { path } => (v1::SpanProtocol::Zipkin, Some(path), &[][..], Duration::ZERO),
        };
        Self {
            provider: collector.name.to_string(),
            host: collector.host.to_string(),
            port: collector.port.into(),
            protocol: protocol.into(),
            path: path.map(ToString::to_string).unwrap_or_default(),
            headers: headers
                .iter()
                .map(|(name, value)| v1::HeaderLine { name: name.to_string(), value: value.to_string() })
                .collect(),
            timeout_ms: u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX),
            sampling: tracing.sampling.millionths(),
            reports: tracing.reports,
            propagates: tracing.propagates,
            istio_tags: tracing.istio_tags,
            max_path_bytes: tracing.max_path_bytes,
            tags: tracing.tags.iter().map(|(name, value)| tag(name, value)).collect(),
        }
    }
}

fn tag(name: &Arc<str>, value: &TagValue) -> v1::SpanTag {
    let (value, default_value) = match value {
        TagValue::Literal(value) => (Value::Literal(value.to_string()), None),
        TagValue::Header(header, default) => (Value::Header(header.to_string()), default.as_ref()),
        TagValue::Environment(variable, default) => (Value::Environment(variable.to_string()), default.as_ref()),
    };
    v1::SpanTag { name: name.to_string(), value: Some(value), default_value: default_value.map(ToString::to_string) }
}

impl TryFrom<v1::Tracing> for Tracing {
    type Error = ConvertError;

    fn try_from(message: v1::Tracing) -> Result<Self, ConvertError> {
        let path = |path: String| non_empty("path", path);
        let protocol = match v1::SpanProtocol::try_from(message.protocol) {
            Ok(v1::SpanProtocol::OtlpGrpc) => CollectorProtocol::OtlpGrpc,
            Ok(v1::SpanProtocol::OtlpHttp) => CollectorProtocol::OtlpHttp {
                path: path(message.path)?,
                headers: list("headers", message.headers, |line| {
                    Ok((non_empty("name", line.name)?, line.value.into()))
                })?,
                timeout: Duration::from_millis(message.timeout_ms.into()),
            },
            Ok(v1::SpanProtocol::Zipkin) => CollectorProtocol::Zipkin { path: path(message.path)? },
            Ok(v1::SpanProtocol::Unspecified) | Err(_) => {
                return Err(ConvertError::new("protocol", Problem::UnknownValue(message.protocol)));
            }
        };
        Ok(Self {
            collector: Collector {
                name: message.provider.into(),
                host: non_empty("host", message.host)?,
                port: port("port", message.port)?,
                protocol,
            },
            sampling: Share::of_million(message.sampling),
            reports: message.reports,
            propagates: message.propagates,
            istio_tags: message.istio_tags,
            max_path_bytes: message.max_path_bytes,
            tags: list("tags", message.tags, |tag| {
                let default = tag.default_value.map(Into::into);
                let value = match tag.value.ok_or_else(|| ConvertError::new("value", Problem::Missing))? {
                    Value::Literal(value) => TagValue::Literal(value.into()),
                    Value::Header(header) => TagValue::Header(non_empty("header", header)?, default),
                    Value::Environment(name) => TagValue::Environment(non_empty("environment", name)?, default),
                };
                Ok((non_empty("name", tag.name)?, value))
            })?,
        })
    }
}
