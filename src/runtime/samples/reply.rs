//! Responses of the built-in apps.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use serde_json::{Value, json};

fn with_type(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

pub(super) fn json(status: StatusCode, body: &Value) -> Response<Bytes> {
    with_type(status, "application/json", Bytes::from(body.to_string()))
}

pub(super) fn ok(body: &Value) -> Response<Bytes> {
    json(StatusCode::OK, body)
}

/// JSON for people.
pub(super) fn pretty(body: &Value) -> Response<Bytes> {
    with_type(StatusCode::OK, "application/json", Bytes::from(format!("{body:#}\n")))
}

pub(super) fn html(body: String) -> Response<Bytes> {
    with_type(StatusCode::OK, "text/html; charset=utf-8", Bytes::from(body))
}

pub(super) fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Bytes> {
    with_type(status, "text/plain; charset=utf-8", body.into())
}

/// Bytes of a type that is not shown to people.
pub(super) fn binary(content_type: &'static str, body: Bytes) -> Response<Bytes> {
    with_type(StatusCode::OK, content_type, body)
}

pub(super) fn error(status: StatusCode, message: &str) -> Response<Bytes> {
    json(status, &json!({ "error": message }))
}

pub(super) fn not_found() -> Response<Bytes> {
    error(StatusCode::NOT_FOUND, "this app serves no such path")
}
