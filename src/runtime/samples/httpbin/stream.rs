//! Answers that take their time.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use futures_util::{SinkExt, StreamExt};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, TRAILER};
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::json;
use tokio::time::timeout;

use super::{Flavour, echo as description, query};
use crate::runtime::samples::reply;
use crate::runtime::samples::websocket::{self, Socket};
use crate::serve::{self, Body};

/// Longest time between first and last byte.
const DURATION_LIMIT: Duration = Duration::from_secs(60);
const PIECES_LIMIT: usize = 10_000;
const LINES_LIMIT: usize = 100;

fn streamed(content_type: &'static str, pieces: impl Stream<Item = Bytes> + Send + 'static) -> Response<Body> {
    let frames = pieces.map(|piece| Ok::<_, Infallible>(Frame::data(piece)));
    let mut response = Response::new(StreamBody::new(frames).map_err(|never| match never {}).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// The pieces, one every `pause`, the first after `delay`.
fn paced(
    pieces: impl Iterator<Item = Bytes> + Send + 'static,
    delay: Duration,
    pause: Duration,
) -> impl Stream<Item = Bytes> + Send {
    stream::unfold((pieces, delay), move |(mut pieces, wait)| async move {
        let piece = pieces.next()?;
        tokio::time::sleep(wait).await;
        Some((piece, (pieces, pause)))
    })
}

/// A line of JSON for each of `count`.
pub(super) fn lines(flavour: Flavour, request: &Request<Bytes>, count: &str) -> Response<Body> {
    let Ok(count) = count.parse::<usize>() else {
        return reply::error(StatusCode::BAD_REQUEST, "a number of lines, 100 at most").map(serve::full);
    };
    let mut about = description(flavour, request, false);
    let lines = (0..count.min(LINES_LIMIT)).map(move |id| {
        if let Some(fields) = about.as_object_mut() {
            fields.insert("id".to_owned(), json!(id));
        }
        Bytes::from(format!("{about}\n"))
    });
    streamed("application/json", stream::iter(lines))
}

struct Pace {
    count: usize,
    delay: Duration,
    pause: Duration,
}

/// `duration`, `delay` and a count of pieces from the query; durations in seconds or as Go writes them.
fn pace(args: &BTreeMap<String, String>, counted: &str, default: usize) -> Result<Pace, String> {
    let span = |name: &str, default: Duration| match args.get(name) {
        None => Ok(default),
        Some(value) => value
            .parse::<f64>()
            .ok()
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .or_else(|| value.parse::<crate::resources::Duration>().ok().map(crate::resources::Duration::get))
            .map(|span| span.min(DURATION_LIMIT))
            .ok_or_else(|| format!("{name} is {value:?}: expected seconds")),
    };
    let count = match args.get(counted) {
        None => default,
        Some(value) => value.parse().map_err(|_| format!("{counted} is {value:?}: expected a number"))?,
    };
    let count = count.clamp(1, PIECES_LIMIT);
    let gaps = u32::try_from(count.saturating_sub(1).max(1)).unwrap_or(u32::MAX);
    let pause = span("duration", Duration::from_secs(2))? / gaps;
    Ok(Pace { count, delay: span("delay", Duration::ZERO)?, pause })
}

/// `numbytes` bytes over `duration`, after `delay`.
pub(super) fn drip(request: &Request<Bytes>) -> Response<Body> {
    let args = query(request);
    let pace = match pace(&args, "numbytes", 10) {
        Ok(pace) => pace,
        Err(problem) => return reply::error(StatusCode::BAD_REQUEST, &problem).map(serve::full),
    };
    let pieces = std::iter::repeat_n(Bytes::from_static(b"*"), pace.count);
    let mut response = streamed("application/octet-stream", paced(pieces, pace.delay, pace.pause));
    if let Some(code) = args.get("code").and_then(|code| code.parse().ok()) {
        *response.status_mut() = code;
    }
    response
}

/// `count` server-sent events over `duration`.
pub(super) fn events(request: &Request<Bytes>) -> Response<Body> {
    let pace = match pace(&query(request), "count", 10) {
        Ok(pace) => pace,
        Err(problem) => return reply::error(StatusCode::BAD_REQUEST, &problem).map(serve::full),
    };
    let events = (0..pace.count).map(|id| {
        let now = k8s_openapi::jiff::Timestamp::now().as_millisecond();
        Bytes::from(format!("event: ping\ndata: {}\n\n", json!({"id": id, "timestamp": now})))
    });
    streamed("text/event-stream", paced(events, pace.delay, pace.pause))
}

/// The query as trailers.
pub(super) fn trailers(request: &Request<Bytes>) -> Response<Body> {
    let mut trailers = HeaderMap::new();
    for (name, value) in query(request) {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(&value)) {
            trailers.append(name, value);
        }
    }
    let names = trailers.keys().map(HeaderName::as_str).collect::<Vec<_>>().join(", ");
    let frames = [Frame::data(Bytes::from_static(b"\n")), Frame::trailers(trailers)].map(Ok::<_, Infallible>);
    let body = StreamBody::new(stream::iter(frames)).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    if let Ok(names) = HeaderValue::from_str(&names) {
        response.headers_mut().insert(TRAILER, names);
    }
    response
}

/// Sends every message back.
pub(super) async fn echo(mut socket: Socket) {
    while let Ok(Some(Ok(message))) = timeout(websocket::IDLE, socket.next()).await {
        let is_data = message.is_text() || message.is_binary();
        if message.is_close() || is_data && socket.send(message).await.is_err() {
            return;
        }
    }
}
