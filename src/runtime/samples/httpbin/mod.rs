//! httpbin: echoes what arrived, so that a user sees what the mesh did to a request.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, HeaderMap, HeaderName, HeaderValue, LOCATION};
use http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use super::context::AppContext;
use super::{reply, websocket};
use crate::serve::{self, Body};

mod formats;
mod stream;

/// Longest `/delay/{seconds}`, in seconds; more is cut to it.
pub(super) const DELAY_LIMIT: Duration = Duration::from_secs(10);
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

pub(super) async fn handle(flavour: Flavour, context: &AppContext, request: Request<Bytes>) -> Response<Body> {
    let path = request.uri().path().trim_end_matches('/').to_owned();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    match segments.as_slice() {
        ["websocket", "echo"] => return websocket::accept(context, request, stream::echo),
        ["stream", count] => return stream::lines(flavour, &request, count),
        ["drip"] => return stream::drip(&request),
        ["sse"] => return stream::events(&request),
        ["trailers"] => return stream::trailers(&request),
        _ => {}
    }
    whole(flavour, context, &request, &segments).await.map(serve::full)
}

async fn whole(flavour: Flavour, context: &AppContext, request: &Request<Bytes>, segments: &[&str]) -> Response<Bytes> {
    let first = segments.first().copied().unwrap_or_default();
    let second = segments.get(1).copied();
    if let Some(response) = formats::handle(request, segments) {
        return response;
    }
    match (request.method(), first, second) {
        (_, "anything", _) => reply::pretty(&echo(flavour, request, true)),
        (_, "status", Some(code)) => status(code),
        (_, "delay", Some(seconds)) => delay(flavour, request, seconds).await,
        (&Method::GET | &Method::HEAD, "get", None) => reply::pretty(&echo(flavour, request, false)),
        (&Method::HEAD, "head", None) => reply::pretty(&echo(flavour, request, false)),
        (&Method::POST, "post" | "upload", None)
        | (&Method::PUT, "put", None)
        | (&Method::PATCH, "patch", None)
        | (&Method::DELETE, "delete", None) => reply::pretty(&echo(flavour, request, false)),
        (_, "headers", None) => reply::pretty(&json!({ "headers": headers(flavour, request.headers()) })),
        (_, "ip", None) => reply::pretty(&json!({ "origin": origin(request.headers()) })),
        (_, "user-agent", None) => reply::pretty(&json!({ "user-agent": text(request.headers(), "user-agent") })),
        (_, "bytes", Some(count)) => bytes(count),
        (_, "response-headers", None) => response_headers(request),
        (_, "redirect" | "relative-redirect", Some(count)) => redirect("", count),
        (_, "absolute-redirect", Some(count)) => redirect(&base(request), count),
        (_, "hostname", None) => reply::pretty(&json!({ "hostname": context.environment.pod_name })),
        (_, "health", None) => reply::text(StatusCode::OK, "httpbin is healthy"),
        (&Method::GET | &Method::HEAD, "", None) => reply::text(
            StatusCode::OK,
            "httpbin: /get /head /post /put /patch /delete /upload /anything /headers /ip /user-agent /hostname /uuid\n\
             /status/{code} /delay/{seconds} /bytes/{n} /stream/{n} /drip /sse /trailers /websocket/echo /unstable\n\
             /redirect/{n} /relative-redirect/{n} /absolute-redirect/{n} /redirect-to /response-headers /dump/request\n\
             /cookies /cookies/set /cookies/delete /basic-auth/{user}/{password} /hidden-basic-auth/{user}/{password}\n\
             /bearer /cache /cache/{seconds} /etag/{etag} /base64/{value} /encoding/utf8 /html /json /xml /robots.txt /deny\n",
        ),
        _ => reply::not_found(),
    }
}

fn status(code: &str) -> Response<Bytes> {
    let parsed = code.parse::<u16>().ok().filter(|code| (200..=599).contains(code));
    match parsed.and_then(|code| StatusCode::from_u16(code).ok()) {
        Some(status) => {
            let teapot = if status == StatusCode::IM_A_TEAPOT { "I'm a teapot!" } else { "" };
            let mut response = Response::new(Bytes::from(teapot));
            *response.status_mut() = status;
            response
        }
        None => reply::error(StatusCode::BAD_REQUEST, "a status is a number from 200 to 599"),
    }
}

async fn delay(flavour: Flavour, request: &Request<Bytes>, seconds: &str) -> Response<Bytes> {
    match seconds.parse::<f64>() {
        Ok(seconds) if seconds.is_finite() && seconds >= 0.0 => {
            tokio::time::sleep(Duration::from_secs_f64(seconds.min(DELAY_LIMIT.as_secs_f64()))).await;
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

/// `http://host` of the request.
fn base(request: &Request<Bytes>) -> String {
    format!("http://{}", text(request.headers(), HOST.as_str()).unwrap_or_default())
}

fn redirect(base: &str, count: &str) -> Response<Bytes> {
    let step = if base.is_empty() { "redirect" } else { "absolute-redirect" };
    let target = match count.parse::<u8>() {
        Ok(0 | 1) => format!("{base}/get"),
        Ok(left) => format!("{base}/{step}/{}", left - 1),
        Err(_) => return reply::error(StatusCode::BAD_REQUEST, "a number of redirects is 0 to 255"),
    };
    moved(StatusCode::FOUND, &target)
}

fn moved(status: StatusCode, target: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    if let Ok(value) = HeaderValue::from_str(target) {
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
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let mut out = json!({
        "args": arguments(flavour, request),
        "headers": headers(flavour, request.headers()),
        "origin": origin(request.headers()),
        "url": format!("{}{target}", base(request)),
    });
    if let Some(fields) = out.as_object_mut() {
        if with_method || !matches!(*request.method(), Method::GET | Method::HEAD) {
            let body = request.body();
            fields.insert("data".to_owned(), Value::String(String::from_utf8_lossy(body).into_owned()));
            fields.insert("json".to_owned(), serde_json::from_slice(body).unwrap_or(Value::Null));
        }
        if with_method || flavour == Flavour::Go {
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

pub(in crate::runtime) fn capitalised(name: &str) -> String {
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
    crate::runtime::samples::bookinfo::form::pairs(request.uri().query().unwrap_or("")).collect()
}
