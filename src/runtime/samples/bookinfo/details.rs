//! details: the facts about a book.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use serde_json::json;

use crate::runtime::samples::reply;

pub(in crate::runtime::samples) fn handle(request: &Request<Bytes>) -> Response<Bytes> {
    let path = request.uri().path();
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return reply::error(StatusCode::METHOD_NOT_ALLOWED, "details answers GET");
    }
    if path == "/health" {
        return reply::ok(&json!({ "status": "Details is healthy" }));
    }
    if !path.starts_with("/details") {
        return reply::not_found();
    }
    match super::id_after(path, "/details") {
        Some(id) => reply::ok(&json!({
            "id": id,
            "author": "William Shakespeare",
            "year": 1595,
            "type": "paperback",
            "pages": 200,
            "publisher": "PublisherA",
            "language": "English",
            "ISBN-10": "1234567890",
            "ISBN-13": "123-1234567890",
        })),
        None => reply::error(StatusCode::BAD_REQUEST, "please provide numeric product id"),
    }
}
