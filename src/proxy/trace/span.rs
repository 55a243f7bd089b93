//! One hop of a request, as it is told.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::model::{HeaderLookup, TagValue, Tracing, Workload};
use crate::proxy::trace::SpanContext;

/// A span that has ended.
#[derive(Debug, Clone)]
pub struct Span {
    /// Who it is.
    pub context: SpanContext,
    /// Whether the workload was called (rather than calling).
    pub server: bool,
    /// What was called: host and port of the service.
    pub name: String,
    /// When it began.
    pub start: SystemTime,
    /// How long it took.
    pub duration: Duration,
    /// Whether it failed: 5xx, or no answer.
    pub failed: bool,
    /// The other end of the connection that the request came on.
    pub remote: Option<SocketAddr>,
    /// What else is known, under the names that Envoy gives.
    pub tags: Vec<(Cow<'static, str>, String)>,
}

/// What is known of a request when it has ended.
pub struct Measured<'a> {
    /// Whether the workload was called.
    pub server: bool,
    /// What was called.
    pub name: String,
    /// Method.
    pub method: &'a [u8],
    /// `http` or `https`.
    pub scheme: &'a str,
    /// Host and port that were asked for.
    pub authority: &'a [u8],
    /// Path and query.
    pub path: &'a [u8],
    /// Version.
    pub protocol: &'static str,
    /// Status; 0 when none was sent.
    pub code: u16,
    /// Response flags.
    pub flags: &'static str,
    /// When it began.
    pub start: SystemTime,
    /// How long it took.
    pub duration: Duration,
    /// Bytes of the request's body.
    pub received: u64,
    /// Bytes of the response's body.
    pub sent: u64,
    /// `user-agent`.
    pub user_agent: &'a [u8],
    /// `x-request-id`.
    pub request_id: &'a [u8],
    /// The other end of the connection.
    pub remote: Option<SocketAddr>,
    /// The cluster that it was sent to.
    pub cluster: Option<String>,
    /// The rule that decided.
    pub rule: Option<String>,
    /// The request's headers.
    pub headers: &'a dyn HeaderLookup,
    /// Our own workload, where it is known.
    pub workload: Option<&'a Workload>,
    /// Name of the pod and its namespace.
    pub pod: (&'a str, &'a str),
    /// The mesh's trust domain, which is its name as well, and the name of the cluster.
    pub mesh: (&'a str, &'a str),
}

impl Span {
    /// The span of a request. Tags have the names that Envoy and Istio give them; `mesh.rule` is the rule that decided.
    pub fn new(context: SpanContext, tracing: &Tracing, measured: &Measured<'_>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let most = usize::try_from(tracing.max_path_bytes).unwrap_or(usize::MAX);
        let path = measured.path.get(..most).unwrap_or(measured.path);
        let failed = measured.code == 0 || measured.code >= 500;
        let mut tags: Vec<(Cow<'static, str>, String)> = Vec::with_capacity(24);
        let mut tag = |name: &'static str, value: String| tags.push((Cow::Borrowed(name), value));
        tag("component", "proxy".to_owned());
        tag("node_id", format!("{}.{}", measured.pod.0, measured.pod.1));
        tag("guid:x-request-id", text(measured.request_id));
        tag("http.url", format!("{}://{}{}", measured.scheme, text(measured.authority), text(path)));
        tag("http.method", text(measured.method));
        tag("http.protocol", measured.protocol.to_owned());
        tag("http.status_code", measured.code.to_string());
        tag("response_flags", measured.flags.to_owned());
        tag("request_size", measured.received.to_string());
        tag("response_size", measured.sent.to_string());
        if !measured.user_agent.is_empty() {
            tag("user_agent", text(measured.user_agent));
        }
        if let Some(remote) = measured.remote {
            tag("peer.address", remote.ip().to_string());
        }
        if let Some(cluster) = &measured.cluster {
            tag("upstream_cluster", cluster.clone());
        }
        if let Some(rule) = &measured.rule {
            tag("mesh.rule", rule.clone());
        }
        if failed {
            tag("error", "true".to_owned());
        }
        if let Some(workload) = measured.workload.filter(|_| tracing.istio_tags) {
            tag("istio.canonical_service", workload.canonical_name.to_string());
            tag("istio.canonical_revision", workload.canonical_revision.to_string());
            tag("istio.mesh_id", measured.mesh.0.to_owned());
            tag("istio.namespace", workload.namespace.to_string());
            tag("istio.cluster_id", measured.mesh.1.to_owned());
        }
        for (name, value) in &tracing.tags {
            if let Some(value) = own_tag(value, measured.headers) {
                tags.push((Cow::Owned(name.to_string()), value));
            }
        }
        Self {
            context,
            server: measured.server,
            name: measured.name.clone(),
            start: measured.start,
            duration: measured.duration,
            failed,
            remote: measured.remote,
            tags,
        }
    }
}

/// The value of a tag of the user's own; `None` where there is none.
fn own_tag(value: &TagValue, headers: &dyn HeaderLookup) -> Option<String> {
    let or_default = |default: &Option<Arc<str>>| default.as_ref().map(ToString::to_string);
    match value {
        TagValue::Literal(value) => Some(value.to_string()),
        TagValue::Header(header, default) => match headers.value(header) {
            Some(value) => Some(String::from_utf8_lossy(&value).into_owned()),
            None => or_default(default),
        },
        TagValue::Environment(variable, default) => std::env::var(&**variable).ok().or_else(|| or_default(default)),
    }
}
