//! Answers in fixed forms, and those about cookies, credentials and caches.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, COOKIE, ETAG, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    LAST_MODIFIED, SET_COOKIE, WWW_AUTHENTICATE,
};
use http::{Request, Response, StatusCode};
use serde_json::{Map, Value, json};

use super::{moved, query, text};
use crate::runtime::apiserver::random::uid;
use crate::runtime::samples::reply;

const HTML: &str = "<!DOCTYPE html>
<html>
  <body>
    <h1>A page of httpbin</h1>
    <p>It is here to be fetched.</p>
  </body>
</html>
";

const XML: &str = "<?xml version='1.0' encoding='us-ascii'?>
<slideshow title=\"Sample Slide Show\" date=\"Date of publication\" author=\"Yours Truly\">
  <slide type=\"all\"><title>Wake up to WonderWidgets!</title></slide>
</slideshow>
";

const ROBOTS: &str = "User-agent: *\nDisallow: /deny\n";
const UTF8: &str = "<h1>Unicode</h1>\n<p>ἐν ἀρχῇ · Зарегистрируйтесь · ๏ แผ่นดิน · ያለ · ⠁⠧⠑ · 漢字 · ∮ E⋅da = Q</p>\n";
/// A day that no client has seen yet.
const MODIFIED: &str = "Thu, 01 Jan 2026 00:00:00 GMT";

/// The answer, where the path is one of these.
pub(super) fn handle(request: &Request<Bytes>, segments: &[&str]) -> Option<Response<Bytes>> {
    Some(match segments {
        ["uuid"] => match uid() {
            Ok(uuid) => reply::pretty(&json!({ "uuid": uuid })),
            Err(_) => reply::error(StatusCode::INTERNAL_SERVER_ERROR, "the system gives no random numbers"),
        },
        ["json"] => reply::pretty(&json!({"slideshow": {
            "author": "Yours Truly", "date": "date of publication", "title": "Sample Slide Show",
            "slides": [{"title": "Wake up to WonderWidgets!", "type": "all"}],
        }})),
        ["html"] => reply::html(HTML.to_owned()),
        ["encoding", "utf8"] => reply::html(UTF8.to_owned()),
        ["xml"] => typed(reply::text(StatusCode::OK, XML), "application/xml"),
        ["robots.txt"] => reply::text(StatusCode::OK, ROBOTS),
        ["deny"] => reply::text(StatusCode::OK, "YOU SHOULDN'T BE HERE\n"),
        ["dump", "request"] => dump(request),
        ["redirect-to"] => redirect_to(request),
        ["cookies"] => reply::pretty(&cookies(request)),
        ["cookies", "set"] => set_cookies(request, ""),
        ["cookies", "delete"] => set_cookies(request, "; Max-Age=0"),
        ["basic-auth", user, password] => basic(request, user, password, StatusCode::UNAUTHORIZED),
        ["hidden-basic-auth", user, password] => basic(request, user, password, StatusCode::NOT_FOUND),
        ["bearer"] => bearer(request),
        ["cache"] => cache(request),
        ["cache", seconds] => match seconds.parse::<u32>() {
            Ok(seconds) => {
                let mut response = reply::pretty(&json!(query(request)));
                set(&mut response, CACHE_CONTROL, &format!("public, max-age={seconds}"));
                response
            }
            Err(_) => reply::error(StatusCode::BAD_REQUEST, "an age is a number of seconds"),
        },
        ["etag", etag] => tagged(request, etag),
        ["base64", value] | ["base64", "decode", value] => decoded(value),
        ["base64", "encode", value] => reply::text(StatusCode::OK, BASE64_URL_SAFE.encode(value)),
        ["unstable"] => unstable(request),
        _ => return None,
    })
}

fn set(response: &mut Response<Bytes>, name: http::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().append(name, value);
    }
}

fn typed(mut response: Response<Bytes>, content_type: &'static str) -> Response<Bytes> {
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn dump(request: &Request<Bytes>) -> Response<Bytes> {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let mut out = format!("{} {target} {:?}\r\n", request.method(), request.version());
    for (name, value) in request.headers() {
        out.push_str(&format!(
            "{}: {}\r\n",
            super::capitalised(name.as_str()),
            String::from_utf8_lossy(value.as_bytes())
        ));
    }
    out.push_str("\r\n");
    out.push_str(&String::from_utf8_lossy(request.body()));
    reply::text(StatusCode::OK, out)
}

fn redirect_to(request: &Request<Bytes>) -> Response<Bytes> {
    let args = query(request);
    let status = args.get("status_code").and_then(|code| code.parse().ok()).filter(StatusCode::is_redirection);
    match args.get("url") {
        Some(url) => moved(status.unwrap_or(StatusCode::FOUND), url),
        None => reply::error(StatusCode::BAD_REQUEST, "say where: ?url=…"),
    }
}

fn cookies(request: &Request<Bytes>) -> Value {
    let sent = request.headers().get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = sent.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let named: Map<String, Value> = pairs.map(|(name, value)| (name.to_owned(), json!(value))).collect();
    json!({ "cookies": named })
}

fn set_cookies(request: &Request<Bytes>, attributes: &str) -> Response<Bytes> {
    let mut response = moved(StatusCode::FOUND, "/cookies");
    for (name, value) in query(request) {
        set(&mut response, SET_COOKIE, &format!("{name}={value}; Path=/{attributes}"));
    }
    response
}

fn basic(request: &Request<Bytes>, user: &str, password: &str, refusal: StatusCode) -> Response<Bytes> {
    let expected = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")));
    let authorized = request.headers().get(AUTHORIZATION).is_some_and(|value| value.as_bytes() == expected.as_bytes());
    let status = if authorized { StatusCode::OK } else { refusal };
    let body = json!({ "authenticated": authorized, "authorized": authorized, "user": user });
    let mut response = reply::json(status, &body);
    if status == StatusCode::UNAUTHORIZED {
        set(&mut response, WWW_AUTHENTICATE, "Basic realm=\"Fake Realm\"");
    }
    response
}

fn bearer(request: &Request<Bytes>) -> Response<Bytes> {
    match text(request.headers(), AUTHORIZATION.as_str()).as_deref().and_then(|value| value.strip_prefix("Bearer ")) {
        Some(token) => reply::pretty(&json!({ "authenticated": true, "token": token })),
        None => {
            let mut response = reply::json(StatusCode::UNAUTHORIZED, &json!({ "authenticated": false }));
            set(&mut response, WWW_AUTHENTICATE, "Bearer");
            response
        }
    }
}

fn cache(request: &Request<Bytes>) -> Response<Bytes> {
    let is_cached = [IF_MODIFIED_SINCE, IF_NONE_MATCH].iter().any(|name| request.headers().contains_key(name));
    let mut response = if is_cached {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        reply::pretty(&json!(query(request)))
    };
    set(&mut response, LAST_MODIFIED, MODIFIED);
    set(&mut response, ETAG, "\"fake-etag\"");
    response
}

fn tagged(request: &Request<Bytes>, etag: &str) -> Response<Bytes> {
    let quoted = format!("\"{etag}\"");
    let names = |header| {
        text(request.headers(), header)
            .map(|value| value.split(',').any(|tag| matches!(tag.trim(), "*") || tag.trim() == quoted))
    };
    let status = match (names(IF_NONE_MATCH.as_str()), names(IF_MATCH.as_str())) {
        (Some(true), _) => StatusCode::NOT_MODIFIED,
        (None, Some(false)) => StatusCode::PRECONDITION_FAILED,
        _ => StatusCode::OK,
    };
    let mut response = match status {
        StatusCode::OK => reply::pretty(&json!(query(request))),
        status => {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = status;
            response
        }
    };
    set(&mut response, ETAG, &quoted);
    response
}

fn decoded(value: &str) -> Response<Bytes> {
    match BASE64_STANDARD.decode(value).or_else(|_| BASE64_URL_SAFE.decode(value)) {
        Ok(bytes) => reply::text(StatusCode::OK, bytes),
        Err(error) => reply::error(StatusCode::BAD_REQUEST, &format!("not base64: {error}")),
    }
}

/// Fails every other time, or as `failure_rate` says.
fn unstable(request: &Request<Bytes>) -> Response<Bytes> {
    let rate = query(request).get("failure_rate").map_or(Some(0.5), |rate| rate.parse::<f64>().ok());
    let Some(rate) = rate.filter(|rate| (0.0..=1.0).contains(rate)) else {
        return reply::error(StatusCode::BAD_REQUEST, "a failure rate is a number from 0 to 1");
    };
    let draw = f64::from(crate::runtime::tools::random()) / f64::from(u32::MAX);
    let status = if draw < rate { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK };
    reply::text(status, Bytes::new())
}
