//! ratings: the stars that reviewers gave.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use crate::runtime::samples::context::AppContext;
use crate::runtime::samples::reply;

/// Products whose posted ratings are kept; more are answered but not stored.
const POSTED_LIMIT: usize = 1024;

pub(in crate::runtime::samples) fn handle(context: &AppContext, request: &Request<Bytes>) -> Response<Bytes> {
    let path = request.uri().path();
    if path == "/health" {
        return reply::ok(&json!({ "status": "Ratings is healthy" }));
    }
    if !path.starts_with("/ratings") {
        return reply::not_found();
    }
    let Some(id) = super::id_after(path, "/ratings") else {
        return reply::error(StatusCode::BAD_REQUEST, "please provide numeric product ID");
    };
    match *request.method() {
        Method::GET | Method::HEAD => {
            let stored = context.posted_ratings.lock().get(&id).cloned();
            let ratings = stored.unwrap_or_else(|| json!({ "Reviewer1": 5, "Reviewer2": 4 }));
            reply::ok(&json!({ "id": id, "ratings": ratings }))
        }
        Method::POST => match serde_json::from_slice::<Value>(request.body()) {
            Ok(ratings) if ratings.is_object() => {
                let mut posted = context.posted_ratings.lock();
                if posted.len() < POSTED_LIMIT || posted.contains_key(&id) {
                    posted.insert(id, ratings.clone());
                }
                reply::ok(&json!({ "id": id, "ratings": ratings }))
            }
            _ => reply::error(StatusCode::BAD_REQUEST, "please provide valid ratings JSON"),
        },
        _ => reply::error(StatusCode::METHOD_NOT_ALLOWED, "ratings answers GET and POST"),
    }
}
