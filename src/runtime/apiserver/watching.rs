//! Watches: the objects that are there, if wanted, then every change, until time, the client or the server ends it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::failure::Failure;
use super::registry::Resource;
use super::selector::Selector;
use super::store::{Change, Event, Object, Watch};
use super::verbs::Call;
use super::view::View;
use super::{limits, response};
use crate::serve::{Body, BodyError};

struct Watching {
    watch: Watch,
    lines: VecDeque<Bytes>,
    selector: Selector,
    namespace: String,
    name: String,
    resource: Arc<Resource>,
    version: String,
    view: View,
    heads: bool,
    bookmarks: bool,
    ends: Instant,
    ended: bool,
}

/// Answers a watch.
pub(super) fn answer(call: &Call) -> Result<Response<Body>, Failure> {
    let selector = call.selector()?;
    let asked = call.query.number("resourceVersion")?.unwrap_or(0);
    let initial = call.query.flag("sendInitialEvents");
    let store = &call.server.store;
    let seconds = call.query.number("timeoutSeconds")?.filter(|seconds| *seconds > 0);
    let time = seconds.map_or(limits::WATCH_TIME, Duration::from_secs).min(limits::WATCH_TIME);
    let mut watching = Watching {
        watch: store.watch(&call.resource.key, Some(asked)),
        lines: VecDeque::new(),
        selector,
        namespace: call.place.namespace.clone(),
        name: call.place.name.clone(),
        resource: Arc::clone(&call.resource),
        version: call.place.version.clone(),
        view: call.view,
        heads: true,
        bookmarks: call.query.flag("allowWatchBookmarks"),
        ends: Instant::now() + time,
        ended: false,
    };
    if asked == 0 || initial {
        let page = call.page(&watching.selector, None, None);
        watching.watch = store.watch(&call.resource.key, Some(page.version));
        for (_, object) in &page.objects {
            watching.line("ADDED", object);
        }
        if initial {
            watching.bookmark(true);
        }
    }
    let stop = call.server.stop.clone();
    let lines = stream::unfold((watching, stop), |(mut watching, stop)| async move {
        let line = tokio::select! {
            () = stop.cancelled() => None,
            line = watching.next() => line,
        }?;
        Some((Ok::<_, BodyError>(Frame::data(line)), (watching, stop)))
    });
    Ok(response::stream(StatusCode::OK, "application/json", StreamBody::new(lines).boxed_unsync()))
}

impl Watching {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Some(line);
            }
            if self.ended || Instant::now() >= self.ends {
                return None;
            }
            let quiet = (Instant::now() + limits::BOOKMARK_TIME).min(self.ends);
            match timeout_at(quiet, self.watch.next()).await {
                Err(_) if self.bookmarks => self.bookmark(false),
                Err(_) => {}
                Ok(Ok(Some(events))) => events.iter().for_each(|event| self.event(event)),
                Ok(Ok(None)) => return None,
                Ok(Err(oldest)) => {
                    let status = Failure::expired(self.watch.version(), oldest.0).to_json();
                    self.ended = true;
                    self.push(&json!({"type": "ERROR", "object": status}));
                }
            }
        }
    }

    fn event(&mut self, event: &Event) {
        let place = (self.namespace.is_empty() || *event.key.namespace == *self.namespace)
            && (self.name.is_empty() || *event.key.name == *self.name);
        if !place {
            return;
        }
        let now = self.selector.matches(&event.key, &event.object);
        let before = event.previous.as_ref().is_some_and(|old| self.selector.matches(&event.key, old));
        let kind = match (event.change, before, now) {
            (Change::Deleted, true, _) | (Change::Modified, true, false) => "DELETED",
            (Change::Added | Change::Modified, false, true) => "ADDED",
            (Change::Modified | Change::Added, true, true) => "MODIFIED",
            _ => return,
        };
        self.line(kind, &event.object);
    }

    fn line(&mut self, kind: &str, object: &Object) {
        let mut line = format!("{{\"type\":\"{kind}\",\"object\":").into_bytes();
        line.extend(self.view.one(&self.resource, &self.version, object, self.heads));
        line.extend_from_slice(b"}\n");
        self.heads = false;
        self.lines.push_back(line.into());
    }

    fn bookmark(&mut self, initial: bool) {
        let mut metadata = json!({"resourceVersion": self.watch.version().to_string()});
        if initial {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        self.push(&json!({"type": "BOOKMARK", "object": {
            "apiVersion": self.resource.api_version(&self.version), "kind": self.resource.kind, "metadata": metadata,
        }}));
    }

    fn push(&mut self, line: &Value) {
        self.lines.push_back(format!("{line}\n").into());
    }
}
