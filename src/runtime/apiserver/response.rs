//! Answers.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, WARNING};
use http::{Response, StatusCode};
use serde_json::Value;

use super::failure::Failure;
use super::limits;
use crate::serve::{Body, full};

/// An answer in JSON.
pub(super) fn json(code: StatusCode, value: &Value) -> Response<Body> {
    bytes(code, "application/json", value.to_string())
}

/// An answer of any type.
pub(super) fn bytes(code: StatusCode, content_type: &'static str, content: impl Into<Bytes>) -> Response<Body> {
    stream(code, content_type, full(content))
}

/// An answer whose body is on its way.
pub(super) fn stream(code: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert("cache-control", HeaderValue::from_static("no-cache, private"));
    response
}

/// A refusal.
pub(super) fn failure(failure: &Failure) -> Response<Body> {
    if failure.reason == Failure::NO_PAGE {
        return bytes(failure.code, "text/plain; charset=utf-8", format!("{}\n", failure.message));
    }
    json(failure.code, &failure.to_json())
}

/// Adds `Warning` headers, as clients print them.
pub(super) fn warn(response: &mut Response<Body>, warnings: &[String]) {
    for warning in warnings.iter().take(limits::WARNINGS) {
        let quoted: String = warning.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let quoted = quoted.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
            response.headers_mut().append(WARNING, value);
        } else if let Ok(value) = HeaderValue::from_bytes(format!("299 - \"{quoted}\"").as_bytes()) {
            response.headers_mut().append(WARNING, value);
        }
    }
}
