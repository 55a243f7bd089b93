//! What is told about traffic: Telemetry objects, and what the mesh's settings say of logs, traces and metrics.
//!
//! It guarantees Istio's order: what a workload's own Telemetry says holds before what its namespace's says, and that before what the
//! root namespace's says, field by field. It refuses a collector that cannot be reached as it is written, for the mesh's settings to
//! say so; what would go to it is not traced.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::compile::mesh_config::{number, text_at, texts_at};
use crate::compile::metrics::metrics;
use crate::compile::selection::{is_attached, selects_some};
use crate::compile::world::World;
use crate::model::{Collector, CollectorProtocol, Reporting, Share, Side, TagValue, Tracing, Workload};
use crate::resources::expression::Expression;
use crate::resources::telemetry::{self, CustomTag, Mode, ModeMatch, ProviderRef, Telemetry};
use crate::resources::{Object, values};

/// The provider that writes lines to the proxy's output, which every mesh has (Istio).
const LINES: &str = "envoy";

/// How many of a hundred requests are traced where nobody says it (Istio).
const SAMPLING_PERCENT: f64 = 1.0;

/// How long a collector may take over HTTP where nobody says it.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What a MeshConfig says of logs, traces and metrics.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MeshTelemetry {
    /// Providers that collect spans, each with the longest path that it wants.
    pub collectors: Vec<(Collector, Option<u32>)>,
    /// Providers that write lines, beside the one that always does.
    pub loggers: Vec<Arc<str>>,
    /// The providers of traces where no Telemetry names one.
    pub default_tracing: Vec<Arc<str>>,
    /// The providers of logs where no Telemetry names one.
    pub default_logging: Vec<Arc<str>>,
    /// Providers whose metrics are Prometheus', beside the one that always has them.
    pub exposers: Vec<Arc<str>>,
    /// The providers of metrics where no Telemetry names one.
    pub default_metrics: Vec<Arc<str>>,
    /// `enableTracing` is false.
    pub tracing_is_off: bool,
    /// `defaultConfig.tracing.sampling`, in per cent.
    pub sampling: Option<f64>,
}

impl MeshTelemetry {
    /// Reads what a MeshConfig says; its providers are read one by one, by [`Self::provider`].
    pub fn read(config: &Value) -> Self {
        let names = |place: &str| {
            let at = config.get("defaultProviders").unwrap_or(&Value::Null);
            texts_at(at, place).into_iter().map(Into::into).collect()
        };
        Self {
            collectors: Vec::new(),
            loggers: Vec::new(),
            default_tracing: names("tracing"),
            default_logging: names("accessLogging"),
            exposers: Vec::new(),
            default_metrics: names("metrics"),
            tracing_is_off: config.get("enableTracing") == Some(&Value::Bool(false)),
            sampling: config.pointer("/defaultConfig/tracing/sampling").and_then(Value::as_f64),
        }
    }

    /// Takes note of a provider of logs, traces or metrics. Whether it is one.
    pub fn provider(&mut self, name: &str, entry: &Value) -> Result<bool, String> {
        if entry.get("envoyFileAccessLog").is_some() {
            self.loggers.push(name.into());
            return Ok(true);
        }
        if entry.get("prometheus").is_some() {
            self.exposers.push(name.into());
            return Ok(true);
        }
        let (kind, settings) = match (entry.get("opentelemetry"), entry.get("zipkin")) {
            (Some(settings), _) => ("opentelemetry", settings),
            (None, Some(settings)) => ("zipkin", settings),
            (None, None) => return Ok(false),
        };
        let service = text_at(settings, "service").ok_or_else(|| format!("{name} names no service"))?;
        let host = service.rsplit_once('/').map_or(service, |(_, host)| host).to_ascii_lowercase();
        let port = settings.get("port").and_then(number).and_then(|port| u16::try_from(port).ok());
        let port = port.filter(|port| *port > 0).ok_or_else(|| format!("{name}: port is none from 1 to 65535"))?;
        let protocol = match (kind, settings.get("http").filter(|http| http.is_object())) {
            ("zipkin", _) => {
                CollectorProtocol::Zipkin { path: path(name, text_at(settings, "path"), "/api/v2/spans")? }
            }
            (_, Some(http)) => over_http(name, http)?,
            (_, None) => CollectorProtocol::OtlpGrpc,
        };
        let most = settings.get("maxTagLength").and_then(number).map(|most| u32::try_from(most).unwrap_or(u32::MAX));
        let collector = Collector { name: name.into(), host: host.into(), port, protocol };
        self.collectors.push((collector, most.filter(|most| *most > 0)));
        Ok(true)
    }
}

fn path(name: &str, given: Option<&str>, default: &str) -> Result<Arc<str>, String> {
    let path = given.unwrap_or(default);
    let is_path = path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic());
    if is_path { Ok(path.into()) } else { Err(format!("{name}: `{path}` is no path")) }
}

fn over_http(name: &str, http: &Value) -> Result<CollectorProtocol, String> {
    let timeout = match http.get("timeout") {
        None | Some(Value::Null) => TIMEOUT,
        Some(given) => {
            let read: Option<values::Duration> = given.as_str().unwrap_or_default().parse().ok();
            let read = read.map(|read| read.get()).filter(|time| !time.is_zero());
            read.ok_or_else(|| format!("{name}: http.timeout is no duration such as 5s"))?
        }
    };
    let lines = http.get("headers").and_then(Value::as_array).into_iter().flatten().map(|line| {
        let header = text_at(line, "name").unwrap_or_default().to_ascii_lowercase();
        let valid = http::HeaderName::from_bytes(header.as_bytes()).is_ok();
        let value = text_at(line, "value").filter(|value| http::HeaderValue::from_str(value).is_ok());
        // An `envName` would be a variable of the proxy's, not of the control plane's.
        let value = value.filter(|_| valid).ok_or_else(|| format!("{name}: http.headers: `{header}` has no value"))?;
        Ok((header.into(), value.into()))
    });
    Ok(CollectorProtocol::OtlpHttp {
        path: path(name, text_at(http, "path"), "/v1/traces")?,
        headers: lines.collect::<Result<_, String>>()?,
        timeout,
    })
}

/// What is told about one side of a workload's traffic. `logs` is what the mesh does where no Telemetry says anything.
pub fn reporting(world: &World, workload: &Workload, side: Side, logs: bool) -> Reporting {
    let levels = levels(world, workload);
    Reporting {
        log: log(world, &levels, side, logs),
        filter: filter(&levels, side).map(Arc::new),
        tracing: tracing(world, &levels, side).map(Arc::new),
        metrics: metrics(&world.mesh.telemetry, &levels, side).map(Arc::new),
    }
}

/// The Telemetry objects of a workload: of the root namespace, of its own, and its own one; the oldest of each.
fn levels<'w>(world: &'w World, workload: &Workload) -> Vec<&'w Telemetry> {
    let of = |object: &'w Arc<Object<Telemetry>>| {
        let spec = &object.spec;
        let targets = (spec.target_ref.as_ref(), spec.target_refs.as_slice());
        let is_own = selects_some(spec.selector.as_ref()) || targets.0.is_some() || !targets.1.is_empty();
        (is_own, is_attached(world, object, spec.selector.as_ref(), targets, workload))
    };
    let general = |namespace: &str| {
        let all = world.telemetries.iter().filter(|object| object.meta.namespace == namespace);
        all.into_iter().find(|object| !of(object).0)
    };
    // One of the root namespace selects workloads of that alone.
    let own = |object: &&'w Arc<Object<Telemetry>>| {
        object.meta.namespace == *workload.namespace && of(object) == (true, true)
    };
    let root = general(&world.root_namespace);
    let namespace = general(&workload.namespace).filter(|_| workload.namespace != world.root_namespace);
    let own = world.telemetries.iter().find(own);
    [root, namespace, own].into_iter().flatten().map(|object| &object.spec).collect()
}

/// Whether what names a side, or none, is about this one.
pub(super) fn is_about(mode: Option<Mode>, side: Side) -> bool {
    match (mode, side) {
        (None | Some(Mode::ClientAndServer), _) => true,
        (Some(Mode::Client), side) => side == Side::Client,
        (Some(Mode::Server), side) => side == Side::Server,
    }
}

fn mode(matches: Option<&ModeMatch>) -> Option<Mode> {
    matches?.mode
}

/// Each level may switch providers on and off; those that it does not name stay as they were.
fn log(world: &World, levels: &[&Telemetry], side: Side, logs: bool) -> bool {
    let telemetry = &world.mesh.telemetry;
    let mut providers: Vec<&str> = telemetry.default_logging.iter().map(|name| &**name).collect();
    if providers.is_empty() && logs {
        providers.push(LINES);
    }
    for entry in levels.iter().flat_map(|level| &level.access_logging) {
        if !is_about(mode(entry.matches.as_ref()), side) {
            continue;
        }
        let named: Vec<&str> = entry.providers.iter().map(|provider| provider.name.as_str()).collect();
        if entry.disabled == Some(true) {
            providers.retain(|provider| !named.is_empty() && !named.contains(provider));
        } else if named.is_empty() && providers.is_empty() {
            // Who wants logs and says nothing else means lines.
            providers.push(LINES);
        } else if !named.is_empty() {
            providers = named;
        }
    }
    let writes = |provider: &str| provider == LINES || telemetry.loggers.iter().any(|known| **known == *provider);
    providers.into_iter().any(writes)
}

/// The nearest condition. One that cannot be read is none, and said where it is written.
fn filter(levels: &[&Telemetry], side: Side) -> Option<Expression> {
    let entries = levels.iter().rev().flat_map(|level| level.access_logging.iter().rev());
    let mut written = entries
        .filter(|entry| is_about(mode(entry.matches.as_ref()), side))
        .filter_map(|entry| entry.filter.as_ref()?.expression.as_deref().filter(|text| !text.is_empty()));
    Expression::parse(written.next()?).ok()
}

fn tracing(world: &World, levels: &[&Telemetry], side: Side) -> Option<Tracing> {
    let telemetry = &world.mesh.telemetry;
    if telemetry.tracing_is_off {
        return None;
    }
    // Of each level the first entry about the side (Istio).
    let entries = levels
        .iter()
        .filter_map(|level| level.tracing.iter().find(|entry| is_about(mode(entry.matches.as_ref()), side)));
    let entries: Vec<&telemetry::Tracing> = entries.collect();
    let named = |providers: &[ProviderRef]| providers.first().map(|provider| provider.name.clone());
    let provider = entries.iter().rev().find_map(|entry| named(&entry.providers));
    let provider = provider.or_else(|| telemetry.default_tracing.first().map(ToString::to_string))?;
    let (collector, most) = telemetry.collectors.iter().find(|(collector, _)| *collector.name == *provider)?;
    let last = |field: fn(&telemetry::Tracing) -> Option<bool>| entries.iter().rev().find_map(|entry| field(entry));
    let sampling = entries.iter().rev().find_map(|entry| entry.random_sampling_percentage);
    let tags = entries.iter().rev().find(|entry| !entry.custom_tags.is_empty()).map(|entry| &entry.custom_tags);
    Some(Tracing {
        collector: collector.clone(),
        sampling: Share::of_hundred(sampling.or(telemetry.sampling).unwrap_or(SAMPLING_PERCENT)),
        reports: !last(|entry| entry.disable_span_reporting).unwrap_or(false),
        propagates: !last(|entry| entry.disable_context_propagation).unwrap_or(false),
        istio_tags: last(|entry| entry.enable_istio_tags).unwrap_or(true),
        max_path_bytes: most.unwrap_or(Tracing::MAX_PATH_BYTES),
        tags: tags.into_iter().flatten().filter_map(|(name, tag)| Some((name.as_str().into(), value(tag)?))).collect(),
    })
}

/// The value of a tag; `None` for one in Envoy's access log format, which is not in force.
fn value(tag: &CustomTag) -> Option<TagValue> {
    let default = |text: &Option<String>| text.as_deref().filter(|text| !text.is_empty()).map(Into::into);
    if let Some(literal) = &tag.literal {
        return Some(TagValue::Literal(literal.value.as_str().into()));
    }
    if let Some(header) = &tag.header {
        return Some(TagValue::Header(header.name.to_ascii_lowercase().into(), default(&header.default_value)));
    }
    let variable = tag.environment.as_ref()?;
    Some(TagValue::Environment(variable.name.as_str().into(), default(&variable.default_value)))
}

#[cfg(test)]
#[path = "telemetry_tests.rs"]
mod tests;
