//! httpbin: echoes what arrived, so that a user sees what the mesh did to a request.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, HeaderMap, HeaderName, HeaderValue, LOCATION};
use http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use super::reply;

/// Longest `/delay/{seconds}`, in seconds; more is cut to it.
const DELAY_LIMIT: f64 = 10.0;
/// Largest `/bytes/{n}`.
const BYTES_LIMIT: usize = 100 * 1024;

/// Whose answers it gives: go-httpbin, which Istio's samples have run since 1.23, shows every value of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// The original: values of one name joined with a comma.
    Python,
    /// go-httpbin: lists of values.
    Go,
}

pub(super) async fn handle(flavour: Flavour, request: Request<Bytes>) -> Response<Bytes> {
    let path = request.uri().path().trim_end_matches('/').to_owned();
    let mut segments = path.split('/').skip(1);
    let (first, second) = (segments.next().unwrap_or(""), segments.next());
    match (request.method(), first, second) {
        (_, "anything", _) => reply::pretty(&echo(flavour, &request, true)),
        (_, "status", Some(code)) => status(code),
        (_, "delay", Some(seconds)) => delay(flavour, &request, seconds).await,
        (&Method::GET | &Method::HEAD, "get", None) => reply::pretty(&echo(flavour, &request, false)),
        (&Method::POST, "post", None)
        | (&Method::PUT, "put", None)
        | (&Method::PATCH, "patch", None)
        | (&Method::DELETE, "delete", None) => reply::pretty(&echo(flavour, &request, false)),
        (_, "headers", None) => reply::pretty(&json!({ "headers": headers(flavour, request.headers()) })),
        (_, "ip", None) => reply::pretty(&json!({ "origin": origin(request.headers()) })),
        (_, "user-agent", None) => reply::pretty(&json!({ "user-agent": text(request.headers(), "user-agent") })),
        (_, "bytes", Some(count)) => bytes(count),
        (_, "response-headers", None) => response_headers(&request),
        (_, "redirect", Some(count)) => redirect(count),
        (_, "health", None) => reply::text(StatusCode::OK, "httpbin is healthy"),
        (&Method::GET | &Method::HEAD, "", None) => reply::text(
            StatusCode::OK,
            "httpbin: /get /post /put /patch /delete /anything /headers /ip /user-agent /status/{code} /delay/{seconds} \
             /bytes/{n} /redirect/{n} /response-headers\n",
        ),
        _ => reply::not_found(),
    }
}

fn status(code: &str) -> Response<Bytes> {
    let parsed = code.parse::<u16>().ok().filter(|code| (200..=599).contains(code));
    match parsed.and_then(|code| StatusCode::from_u16(code).ok()) {
        Some(status) => {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = status;
            response
        }
        None => reply::error(StatusCode::BAD_REQUEST, "a status is a number from 200 to 599"),
    }
}

async fn delay(flavour: Flavour, request: &Request<Bytes>, seconds: &str) -> Response<Bytes> {
    match seconds.parse::<f64>() {
        Ok(seconds) if seconds.is_finite() && seconds >= 0.0 => {
            tokio::time::sleep(Duration::from_secs_f64(seconds.min(DELAY_LIMIT))).await;
            reply::pretty(&echo(flavour, request, true))
        }
        _ => reply::error(StatusCode::BAD_REQUEST, "a delay is a number of seconds, 10 at most"),
    }
}

fn bytes(count: &str) -> Response<Bytes> {
    match count.parse::<usize>() {
        Ok(count) => {
            let pattern: Vec<u8> = (b'a'..=b'z').cycle().take(count.min(BYTES_LIMIT)).collect();
            reply::text(StatusCode::OK, pattern)
        }
        Err(_) => reply::error(StatusCode::BAD_REQUEST, "a size is a number of bytes, 102400 at most"),
    }
}

fn redirect(count: &str) -> Response<Bytes> {
    let target = match count.parse::<u8>() {
        Ok(0 | 1) => "/get".to_owned(),
        Ok(left) => format!("/redirect/{}", left - 1),
        Err(_) => return reply::error(StatusCode::BAD_REQUEST, "a number of redirects is 0 to 255"),
    };
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::FOUND;
    if let Ok(value) = HeaderValue::from_str(&target) {
        response.headers_mut().insert(LOCATION, value);
    }
    response
}

fn response_headers(request: &Request<Bytes>) -> Response<Bytes> {
    let args = query(request);
    let mut response = reply::ok(&json!(args));
    for (name, value) in &args {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

fn echo(flavour: Flavour, request: &Request<Bytes>, with_method: bool) -> Value {
    let host = text(request.headers(), HOST.as_str());
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let mut out = json!({
        "args": arguments(flavour, request),
        "headers": headers(flavour, request.headers()),
        "origin": origin(request.headers()),
        "url": format!("http://{}{target}", host.unwrap_or_default()),
    });
    if let Some(fields) = out.as_object_mut() {
        if with_method || !matches!(*request.method(), Method::GET | Method::HEAD) {
            let body = request.body();
            fields.insert("data".to_owned(), Value::String(String::from_utf8_lossy(body).into_owned()));
            fields.insert("json".to_owned(), serde_json::from_slice(body).unwrap_or(Value::Null));
        }
        if with_method {
            fields.insert("method".to_owned(), Value::String(request.method().to_string()));
        }
    }
    out
}

fn arguments(flavour: Flavour, request: &Request<Bytes>) -> Value {
    let args = query(request);
    match flavour {
        Flavour::Python => json!(args),
        Flavour::Go => json!(args.into_iter().map(|(name, value)| (name, [value])).collect::<BTreeMap<_, _>>()),
    }
}

/// Header names in the capitalisation that httpbin shows.
fn headers(flavour: Flavour, headers: &HeaderMap) -> BTreeMap<String, Value> {
    let mut out = BTreeMap::new();
    for name in headers.keys() {
        let values: Vec<_> =
            headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        let shown = match flavour {
            Flavour::Python => json!(values.join(",")),
            Flavour::Go => json!(values),
        };
        out.insert(capitalised(name.as_str()), shown);
    }
    out
}

fn capitalised(name: &str) -> String {
    let mut start = true;
    name.chars()
        .map(|c| {
            let shown = if start { c.to_ascii_uppercase() } else { c };
            start = c == '-';
            shown
        })
        .collect()
}

fn origin(headers: &HeaderMap) -> String {
    text(headers, "x-forwarded-for").unwrap_or_else(|| "127.0.0.1".to_owned())
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn query(request: &Request<Bytes>) -> BTreeMap<String, String> {
    super::bookinfo::form::pairs(request.uri().query().unwrap_or("")).collect()
}
