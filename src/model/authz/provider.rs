//! Whom CUSTOM policies ask: what is asked, what of the answer counts, and what holds where there is none.

use std::sync::Arc;
use std::time::Duration;

use super::condition::Text;

/// A provider of decisions, outside of the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// Its name in the mesh's settings, by which policies name it.
    pub name: Arc<str>,
    /// Host of its service.
    pub host: Arc<str>,
    /// Port of the service.
    pub port: u16,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Whether requests go on when it does not answer.
    pub fail_open: bool,
    /// The status that refuses them otherwise; 4xx or 5xx.
    pub status_on_error: u16,
    /// How much of a request's body it sees; `None`: nothing.
    pub body: Option<CheckedBody>,
    /// How it is asked.
    pub protocol: ProviderProtocol,
}

/// How much of a request's body a provider sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckedBody {
    /// At most so many bytes.
    pub max_bytes: u32,
    /// Whether it is asked about the beginning of a longer one; such a request is refused otherwise.
    pub allow_partial: bool,
    /// Whether gRPC carries it as bytes instead of as text.
    pub as_bytes: bool,
}

/// How a provider is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProviderProtocol {
    /// `envoy.service.auth.v3.Authorization` over gRPC.
    Grpc,
    /// The request without its body, over HTTP: 200 allows.
    Http(HttpCheck),
}

/// What is asked over HTTP, and what of the answer goes where. Names of headers are in lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpCheck {
    /// What the path of the question begins with.
    pub path_prefix: Arc<str>,
    /// Headers of the request that the question has as well.
    pub request_headers: Vec<Text>,
    /// Further headers of the question, in place of the request's.
    pub additional_headers: Vec<(Box<str>, Box<str>)>,
    /// Headers of the answer that the request is sent on with.
    pub upstream_on_allow: Vec<Text>,
    /// Headers of the answer that the client gets with the response.
    pub downstream_on_allow: Vec<Text>,
    /// Headers of the answer that a refused client gets; none: all of them.
    pub downstream_on_deny: Vec<Text>,
}

impl Text {
    /// Whether one of the names is this header's (lower case).
    pub fn any(names: &[Self], header: &str) -> bool {
        names.iter().any(|name| name.matches(header.as_bytes()))
    }
}
