//! `stefanprodan/podinfo`, which canaries are shown with: JSON about the pod, and answers as they are asked for.
//!
//! Its cache, tokens, files and gRPC are not there.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde_json::{Map, Value, json};

use super::context::AppContext;
use super::echo::fields;
use super::httpbin::DELAY_LIMIT;
use super::reply;

/// The version of podinfo that this is like.
const VERSION: &str = "6.14.1";

/// JSON about the pod. `/status/CODE` answers with that code, `/delay/SECONDS` later, `/echo` with what came.
pub(super) async fn handle(context: &AppContext, request: &Request<Bytes>) -> Response<Bytes> {
    let path = request.uri().path();
    let (word, rest) = path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_start_matches('/'), ""));
    match word {
        "healthz" | "readyz" => reply::pretty(&json!({"status": "OK"})),
        "version" => reply::pretty(&json!({"version": VERSION, "commit": "unknown"})),
        "headers" => {
            let all: Map<String, Value> =
                fields(request.headers()).map(|(name, values)| (name, json!(values))).collect();
            reply::pretty(&all.into())
        }
        "status" => {
            let code = rest.parse().unwrap_or(StatusCode::BAD_REQUEST);
            let mut response = reply::pretty(&json!({"status": code.as_u16()}));
            *response.status_mut() = code;
            response
        }
        "delay" => {
            let seconds = rest.parse::<u64>().unwrap_or(0);
            tokio::time::sleep(Duration::from_secs(seconds).min(DELAY_LIMIT)).await;
            reply::pretty(&json!({"delay": seconds}))
        }
        "echo" => {
            let mut response = Response::new(request.body().clone());
            *response.status_mut() = StatusCode::ACCEPTED;
            response
        }
        "" | "api" => reply::pretty(&json!({
            "hostname": context.environment.pod_name,
            "version": VERSION,
            "revision": "unknown",
            "color": context.shown("PODINFO_UI_COLOR"),
            "message": match context.shown("PODINFO_UI_MESSAGE") {
                "" => format!("greetings from podinfo v{VERSION}"),
                message => message.to_owned(),
            },
        })),
        _ => reply::text(StatusCode::NOT_FOUND, "404 page not found\n"),
    }
}
