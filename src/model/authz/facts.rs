//! What is known of a request, or of a connection, when it is decided about.

use std::net::IpAddr;

use serde_json::{Map, Value};

use crate::identity::SpiffeId;
use crate::model::matching::HeaderLookup;

/// What is known.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// Who the client has proved to be, by mutual TLS.
    pub source: Option<&'a SpiffeId>,
    /// Address of the connection's other end.
    pub source_ip: Option<IpAddr>,
    /// Address of the client, by what trusted proxies say; the same where there are none.
    pub remote_ip: Option<IpAddr>,
    /// Address that the client connected to.
    pub destination_ip: Option<IpAddr>,
    /// Port of the workload.
    pub destination_port: u16,
    /// Server name of the TLS handshake; empty without one.
    pub server_name: &'a [u8],
    /// The request; `None` for a connection whose bytes are not looked at.
    pub http: Option<HttpFacts<'a>>,
}

/// What is known of a request.
#[derive(Clone, Copy)]
pub struct HttpFacts<'a> {
    /// Method, as it came.
    pub method: &'a [u8],
    /// Host: lower case, without port and trailing dot.
    pub host: &'a str,
    /// Port that the authority names.
    pub port: Option<u16>,
    /// Normalised path, without query.
    pub path: &'a [u8],
    /// Headers.
    pub headers: &'a dyn HeaderLookup,
    /// The token that was verified.
    pub token: Option<&'a Claims>,
}

/// The payload of a verified token (RFC 7519), and the claims that are words with blanks between.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// All claims.
    pub all: Map<String, Value>,
    /// Claims whose text is a list of words with blanks between, beside `scope` and `permission`.
    pub space_delimited: Vec<Box<str>>,
}

/// Claims that are always such lists (Istio's).
const SPACE_DELIMITED: [&str; 2] = ["scope", "permission"];

impl Claims {
    /// Issuer and subject with a slash between; `None` where one of them is missing or no text.
    pub fn principal(&self) -> Option<String> {
        let text = |name: &str| self.all.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        Some(format!("{}/{}", text("iss")?, text("sub")?))
    }

    /// The texts of the claim that `path` leads to: one, or those of a list. Numbers and truth values are their JSON text.
    pub fn texts(&self, path: &[impl AsRef<str>]) -> Vec<String> {
        let Some((first, rest)) = path.split_first() else { return Vec::new() };
        let mut found = self.all.get(first.as_ref());
        for name in rest {
            found = found.and_then(|value| value.get(name.as_ref()));
        }
        let is_words = rest.is_empty()
            && (SPACE_DELIMITED.contains(&first.as_ref())
                || self.space_delimited.iter().any(|name| **name == *first.as_ref()));
        match found {
            Some(Value::String(words)) if is_words => {
                words.split(' ').filter(|w| !w.is_empty()).map(str::to_owned).collect()
            }
            Some(Value::Array(items)) => items.iter().filter_map(scalar).collect(),
            Some(value) => scalar(value).into_iter().collect(),
            None => Vec::new(),
        }
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
