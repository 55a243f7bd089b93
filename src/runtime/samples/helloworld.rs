//! helloworld: says which version and instance answered.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};

use super::context::AppContext;
use super::reply;

pub(super) fn handle(version: &str, context: &AppContext, request: &Request<Bytes>) -> Response<Bytes> {
    match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/hello") => {
            let version = context.environment.service_version.as_deref().unwrap_or(version);
            let instance = &context.environment.pod_name;
            reply::text(StatusCode::OK, format!("Hello version: {version}, instance: {instance}\n"))
        }
        (&Method::GET | &Method::HEAD, "/health") => reply::text(StatusCode::OK, "Helloworld is healthy"),
        _ => reply::not_found(),
    }
}
