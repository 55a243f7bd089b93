//! `GET …/pods/{name}/log`: the seam to whoever runs the pods.

use std::io;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{Stream, StreamExt};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};

use super::columns::{list, string};
use super::failure::Failure;
use super::response;
use super::verbs::Call;
use crate::serve::Body;

/// Which part of a log is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Whether to go on as lines are written.
    pub follow: bool,
    /// Only the last lines.
    pub tail: Option<u64>,
    /// The log of the container's previous run.
    pub previous: bool,
    /// Each line preceded by its time.
    pub timestamps: bool,
    /// Only lines of the last seconds.
    pub since_seconds: Option<u64>,
    /// At most so many bytes.
    pub limit_bytes: Option<u64>,
}

/// A log, piece by piece.
pub type LogStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// Reads the logs of pods.
pub trait PodLogs: Send + Sync {
    /// Opens the log of one container.
    fn open(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        options: LogOptions,
    ) -> BoxFuture<'static, io::Result<LogStream>>;
}

/// Answers the request.
pub(super) async fn answer(call: &Call) -> Result<Response<Body>, Failure> {
    let pod = call.current()?.1;
    let name = call.place.name.as_str();
    let containers = || {
        list(&pod, "/spec/containers")
            .iter()
            .chain(list(&pod, "/spec/initContainers"))
            .map(|container| string(container, "/name"))
    };
    let container = match call.query.get("container") {
        Some(wanted) => containers()
            .find(|name| *name == wanted)
            .ok_or_else(|| Failure::bad_request(format!("container {wanted} is not valid for pod {name}")))?,
        None => {
            let mut own = list(&pod, "/spec/containers").iter();
            match (own.next(), own.next()) {
                (Some(only), None) => string(only, "/name"),
                _ => {
                    let all: Vec<&str> = containers().collect();
                    return Err(Failure::bad_request(format!(
                        "a container name must be specified for pod {name}, choose one of: [{}]",
                        all.join(" ")
                    )));
                }
            }
        }
    };
    let Some(logs) = &call.server.logs else {
        return Err(Failure::bad_request("no node serves logs here"));
    };
    let options = LogOptions {
        follow: call.query.flag("follow"),
        tail: call.query.number("tailLines")?,
        previous: call.query.flag("previous"),
        timestamps: call.query.flag("timestamps"),
        since_seconds: call.query.number("sinceSeconds")?,
        limit_bytes: call.query.number("limitBytes")?,
    };
    let stream = logs.open(&call.place.namespace, name, container, options).await.map_err(|error| {
        Failure::bad_request(format!("container {container:?} in pod {name:?} has no log: {error}"))
    })?;
    let stop = call.server.stop.clone();
    let frames = stream
        .map(|piece| piece.map(http_body::Frame::data).map_err(Into::into))
        .take_until(async move { stop.cancelled().await });
    let body = StreamBody::new(frames).boxed_unsync();
    Ok(response::stream(StatusCode::OK, "text/plain", body))
}
