//! reviews: what readers wrote, in three versions that differ in the stars they show.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use crate::runtime::samples::app::ReviewsVersion;
use crate::runtime::samples::context::AppContext;
use crate::runtime::samples::reply;

/// How long ratings may take; black stars are shown to users who can wait longer, as in the upstream sample, whose
/// fault-injection tutorial rests on the difference.
const fn ratings_timeout(version: ReviewsVersion) -> Duration {
    match version {
        ReviewsVersion::V1 | ReviewsVersion::V2 => Duration::from_secs(10),
        ReviewsVersion::V3 => Duration::from_millis(2_500),
    }
}

const fn star_color(version: ReviewsVersion) -> Option<&'static str> {
    match version {
        ReviewsVersion::V1 => None,
        ReviewsVersion::V2 => Some("black"),
        ReviewsVersion::V3 => Some("red"),
    }
}

/// Reviewer and text.
const REVIEWS: [(&str, &str); 2] = [
    (
        "Reviewer1",
        "Two pairs of twins, one confused town, and not a dull page. I laughed from the first mix-up to the last.",
    ),
    (
        "Reviewer2",
        "Great fun, if thinner than the later plays. The plot runs like clockwork; the characters sometimes do as well.",
    ),
];

pub(in crate::runtime::samples) async fn handle(
    version: ReviewsVersion,
    context: &AppContext,
    request: &Request<Bytes>,
) -> Response<Bytes> {
    let path = request.uri().path();
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return reply::error(StatusCode::METHOD_NOT_ALLOWED, "reviews answers GET");
    }
    if path == "/health" {
        return reply::ok(&json!({ "status": "Reviews is healthy" }));
    }
    if !path.starts_with("/reviews") {
        return reply::not_found();
    }
    let Some(id) = super::id_after(path, "/reviews") else {
        return reply::error(StatusCode::BAD_REQUEST, "please provide numeric product id");
    };
    let ratings = match star_color(version) {
        Some(color) => Some((color, ratings(version, context, request, id).await)),
        None => None,
    };
    let reviews: Vec<Value> = REVIEWS
        .iter()
        .map(|(reviewer, text)| {
            let mut review = json!({ "reviewer": reviewer, "text": text });
            if let (Some((color, ratings)), Some(fields)) = (&ratings, review.as_object_mut()) {
                let stars = ratings.as_ref().and_then(|ratings| ratings.get(reviewer)).and_then(Value::as_i64);
                let rating = match stars {
                    Some(stars) => json!({ "stars": stars, "color": color }),
                    None => json!({ "error": "Ratings service is currently unavailable" }),
                };
                fields.insert("rating".to_owned(), rating);
            }
            review
        })
        .collect();
    reply::ok(&json!({
        "id": id.to_string(),
        "podname": context.environment.pod_name,
        "clustername": context.environment.cluster_name.as_deref().unwrap_or("null"),
        "reviews": reviews,
    }))
}

async fn ratings(version: ReviewsVersion, context: &AppContext, request: &Request<Bytes>, id: u32) -> Option<Value> {
    let url = context.service_url("ratings", &format!("/ratings/{id}"));
    let headers = super::forwarded(request.headers());
    let fetched = context.client.get(&url, headers, ratings_timeout(version)).await;
    match fetched {
        Ok(fetched) if fetched.status == StatusCode::OK => {
            serde_json::from_slice::<Value>(&fetched.body).ok()?.get("ratings").cloned()
        }
        Ok(fetched) => {
            crate::runtime::samples::server::log_line(&format!("{url} answered {}", fetched.status));
            None
        }
        Err(error) => {
            crate::runtime::samples::server::log_line(&error.to_string());
            None
        }
    }
}
