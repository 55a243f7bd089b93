//! productpage: the front end. A page for people, JSON for scripts, and a login that names the user to the services
//! behind it in the `end-user` header. The login is a demonstration: it asks for no password and proves nothing.

use std::time::Duration;

use bytes::Bytes;
use http::header::{COOKIE, HeaderMap, HeaderValue, LOCATION, SET_COOKIE};
use http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use super::{form, forwarded, page};
use crate::runtime::samples::context::AppContext;
use crate::runtime::samples::{reply, server};

/// The cookie that holds the user's name, percent-encoded.
const SESSION: &str = "session";
const END_USER: &str = "end-user";
/// Deadline of one call to a service, as in the upstream sample.
const CALL_LIMIT: Duration = Duration::from_secs(3);
/// Calls made to reviews before giving up; the upstream sample's tutorials count on the second one.
const REVIEWS_ATTEMPTS: usize = 2;
const TITLE: &str = "The Comedy of Errors";

pub(in crate::runtime::samples) async fn handle(context: &AppContext, request: Request<Bytes>) -> Response<Bytes> {
    let path = request.uri().path().to_owned();
    match (request.method(), path.as_str()) {
        (&Method::GET | &Method::HEAD, "/" | "/index.html") => reply::html(page::index()),
        (&Method::GET | &Method::HEAD, "/health") => reply::text(StatusCode::OK, "Product page is healthy"),
        (&Method::GET | &Method::HEAD, "/productpage") => productpage(context, &request).await,
        (&Method::POST, "/login") => login(&request),
        (&Method::GET | &Method::HEAD, "/logout") => logout(),
        (&Method::GET | &Method::HEAD, "/static/style.css") => stylesheet(),
        (&Method::GET | &Method::HEAD, "/api/v1/products" | "/api/v1/products/") => reply::ok(&json!([product()])),
        (&Method::GET | &Method::HEAD, _) => match path.strip_prefix("/api/v1/products/") {
            Some(rest) => api(context, &request, rest).await,
            None => reply::not_found(),
        },
        _ => reply::not_found(),
    }
}

fn product() -> Value {
    json!({
        "id": 0,
        "title": TITLE,
        "descriptionHtml": "An early and short comedy of Shakespeare's: twins parted at birth arrive in one town, \
                            and everybody takes everybody for somebody else.",
    })
}

/// `{id}`, `{id}/reviews` and `{id}/ratings` below `/api/v1/products/`.
async fn api(context: &AppContext, request: &Request<Bytes>, rest: &str) -> Response<Bytes> {
    let (id, part) = rest.trim_end_matches('/').split_once('/').unwrap_or((rest.trim_end_matches('/'), "details"));
    let Ok(id) = id.parse::<u32>() else {
        return reply::error(StatusCode::BAD_REQUEST, "a product id is a number");
    };
    let headers = downstream_headers(request.headers());
    let result = match part {
        "details" => call(context, "details", &format!("/details/{id}"), headers).await,
        "ratings" => call(context, "ratings", &format!("/ratings/{id}"), headers).await,
        "reviews" => reviews(context, id, headers).await,
        _ => return reply::not_found(),
    };
    match result {
        Ok(body) => reply::ok(&body),
        Err(failure) => reply::error(failure.status, &failure.message),
    }
}

async fn productpage(context: &AppContext, request: &Request<Bytes>) -> Response<Bytes> {
    let headers = downstream_headers(request.headers());
    let (details, reviews) =
        tokio::join!(call(context, "details", "/details/0", headers.clone()), reviews(context, 0, headers.clone()),);
    let user = session_user(request.headers());
    reply::html(page::product(
        TITLE,
        user.as_deref(),
        details.as_ref().map_err(|failure| failure.message.as_str()),
        reviews.as_ref().map_err(|failure| failure.message.as_str()),
    ))
}

struct CallFailure {
    status: StatusCode,
    message: String,
}

async fn reviews(context: &AppContext, id: u32, headers: HeaderMap) -> Result<Value, CallFailure> {
    let mut outcome = call(context, "reviews", &format!("/reviews/{id}"), headers.clone()).await;
    for _ in 1..REVIEWS_ATTEMPTS {
        if outcome.is_ok() {
            break;
        }
        outcome = call(context, "reviews", &format!("/reviews/{id}"), headers.clone()).await;
    }
    outcome
}

async fn call(context: &AppContext, service: &str, path: &str, headers: HeaderMap) -> Result<Value, CallFailure> {
    let unavailable = |status| CallFailure {
        status,
        message: format!("Sorry, product {service} are currently unavailable for this book."),
    };
    let url = context.service_url(service, path);
    match context.client.get(&url, headers, CALL_LIMIT).await {
        Ok(fetched) if fetched.status == StatusCode::OK => {
            serde_json::from_slice(&fetched.body).map_err(|_| unavailable(StatusCode::BAD_GATEWAY))
        }
        Ok(fetched) => {
            server::log_line(&format!("{url} answered {}", fetched.status));
            Err(unavailable(fetched.status))
        }
        Err(error) => {
            server::log_line(&error.to_string());
            Err(unavailable(StatusCode::INTERNAL_SERVER_ERROR))
        }
    }
}

/// What the services behind are sent: the trace headers, and the user of the session where there is one.
fn downstream_headers(incoming: &HeaderMap) -> HeaderMap {
    let mut headers = forwarded(incoming);
    if let Some(user) = session_user(incoming).and_then(|user| HeaderValue::from_str(&user).ok()) {
        headers.insert(END_USER, user);
    }
    headers
}

fn session_user(headers: &HeaderMap) -> Option<String> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find(|(name, value)| *name == SESSION && !value.is_empty())
        .map(|(_, value)| form::decode(value))
}

fn login(request: &Request<Bytes>) -> Response<Bytes> {
    let body = String::from_utf8_lossy(request.body());
    let user = form::pairs(&body)
        .find(|(name, _)| name == "username")
        .map(|(_, user)| user.trim().to_owned())
        .filter(|user| !user.is_empty() && user.len() <= 256 && !user.chars().any(char::is_control));
    match user {
        Some(user) => back_to_page(&format!("{SESSION}={}; Path=/; HttpOnly; SameSite=Lax", form::encode(&user))),
        None => reply::error(StatusCode::BAD_REQUEST, "a login needs a username of 1 to 256 characters"),
    }
}

fn logout() -> Response<Bytes> {
    back_to_page(&format!("{SESSION}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0"))
}

fn back_to_page(cookie: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::FOUND;
    response.headers_mut().insert(LOCATION, HeaderValue::from_static("/productpage"));
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

fn stylesheet() -> Response<Bytes> {
    let mut response = reply::text(StatusCode::OK, page::STYLE);
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8"));
    response
}
