//! watch: the changes of a collection, as a stream of lines.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::json;
use tokio::time::Instant;

use super::failure::{Cause, Failure};
use super::registry::Resource;
use super::selector::Selector;
use super::server::Inner;
use super::store::{Change, Event, Forgotten, Key, Object, Watch};
use super::verbs::Call;
use super::view::View;
use super::{limits, response};
use crate::serve::{Body, BodyError};

/// One watch under way.
struct Watching {
    server: Arc<Inner>,
    watch: Watch,
    resource: Arc<Resource>,
    version: String,
    namespace: String,
    name: Option<String>,
    selector: Selector,
    view: View,
    bookmarks: bool,
    /// Lines that are ready.
    ready: VecDeque<Bytes>,
    /// Whether a table's column definitions are still to be sent.
    heads: bool,
    end: Instant,
    ended: bool,
}

/// Starts a watch.
pub(super) fn watch(call: &Call) -> Result<Response<Body>, Failure> {
    let query = &call.query;
    let selector = Selector::parse(query.get("labelSelector"), query.get("fieldSelector"), &call.resource)?;
    let version = query.number("resourceVersion")?.filter(|version| *version > 0);
    let initial = query.flag("sendInitialEvents");
    if initial && query.get("resourceVersionMatch") != Some("NotOlderThan") {
        let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        return Err(Failure::invalid_option("ListOptions", Cause::forbidden("resourceVersionMatch", why)));
    }
    let seconds = query.number("timeoutSeconds")?.filter(|seconds| *seconds > 0);
    let time = seconds.map_or(limits::WATCH_TIME, Duration::from_secs).min(limits::WATCH_TIME);
    let mut watching = Watching {
        watch: call.server.store.watch(&call.resource.key, version),
        resource: Arc::clone(&call.resource),
        version: call.place.version.clone(),
        namespace: call.place.namespace.clone(),
        name: (!call.place.name.is_empty()).then(|| call.place.name.clone()),
        selector,
        view: call.view,
        bookmarks: query.flag("allowWatchBookmarks"),
        ready: VecDeque::new(),
        heads: true,
        end: Instant::now() + time,
        ended: false,
        server: Arc::clone(&call.server),
    };
    if initial || version.is_none() {
        watching.begin(initial);
    } else {
        // An answer of 410 at once is clearer than an event of it.
        let events =
            watching.watch.ready().map_err(|Forgotten(oldest)| Failure::expired(version.unwrap_or(0), oldest))?;
        watching.push(&events);
    }
    let lines = futures_util::stream::unfold(watching, |mut watching| async move {
        let line = watching.next().await?;
        Some((Ok::<_, BodyError>(Frame::data(line)), watching))
    });
    Ok(response::stream(StatusCode::OK, "application/json", StreamBody::new(lines).boxed_unsync()))
}

impl Watching {
    /// Sends everything that is there as if it had just come up.
    fn begin(&mut self, marked: bool) {
        let namespace = (!self.namespace.is_empty()).then_some(self.namespace.as_str());
        let page =
            self.server.store.list(&self.resource.key, namespace, None, None, |key, object| self.selects(key, object));
        for (_, object) in &page.objects {
            let line = self.line("ADDED", object);
            self.ready.push_back(line);
        }
        self.watch = self.server.store.watch(&self.resource.key, Some(page.version));
        if marked && self.bookmarks {
            let line = self.bookmark(page.version, true);
            self.ready.push_back(line);
        }
    }

    fn selects(&self, key: &Key, object: &Object) -> bool {
        (self.namespace.is_empty() || *key.namespace == *self.namespace)
            && self.name.as_deref().is_none_or(|name| *key.name == *name)
            && (self.selector.is_empty() || self.selector.matches(key, object))
    }

    fn push(&mut self, events: &[Event]) {
        for event in events {
            let now = event.change != Change::Deleted && self.selects(&event.key, &event.object);
            let before = event.previous.as_ref().is_some_and(|previous| self.selects(&event.key, previous));
            // What a selector lets in or out of sight comes up or goes, whatever happened to the object.
            let kind = match (before, now) {
                (false, true) => "ADDED",
                (true, true) => "MODIFIED",
                (true, false) => "DELETED",
                (false, false) => continue,
            };
            // What goes out of sight is shown as it was when it was last seen, at the version of the change.
            let line = match (kind, event.change, &event.previous) {
                ("DELETED", change, Some(previous)) if change != Change::Deleted => {
                    self.line(kind, &Object::new(event.object.version, previous.value()))
                }
                _ => self.line(kind, &event.object),
            };
            self.ready.push_back(line);
        }
    }

    fn line(&mut self, kind: &str, object: &Object) -> Bytes {
        let mut line = format!("{{\"type\":\"{kind}\",\"object\":").into_bytes();
        line.extend(self.view.one(&self.resource, &self.version, object, self.heads));
        line.extend_from_slice(b"}\n");
        self.heads = false;
        line.into()
    }

    fn bookmark(&self, version: u64, initial_end: bool) -> Bytes {
        let mut metadata = json!({"resourceVersion": version.to_string()});
        if initial_end {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let (kind, api_version) = match self.view {
            View::Full => (self.resource.kind.as_str(), self.resource.api_version(&self.version)),
            View::Metadata => ("PartialObjectMetadata", "meta.k8s.io/v1".to_owned()),
            View::Table(_) => ("Table", "meta.k8s.io/v1".to_owned()),
        };
        let object = json!({"kind": kind, "apiVersion": api_version, "metadata": metadata});
        format!("{}\n", json!({"type": "BOOKMARK", "object": object})).into()
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(line);
            }
            if self.ended {
                return None;
            }
            let bookmark = Instant::now() + limits::BOOKMARK_TIME;
            let stop = self.server.stop.clone();
            let events = tokio::select! {
                () = stop.cancelled() => return None,
                () = tokio::time::sleep_until(self.end.min(bookmark)) => {
                    self.ended = Instant::now() >= self.end;
                    if self.bookmarks {
                        return Some(self.bookmark(self.watch.version(), false));
                    }
                    continue;
                }
                events = self.watch.next() => events,
            };
            match events {
                Ok(Some(events)) => self.push(&events),
                Ok(None) => return None,
                Err(Forgotten(oldest)) => {
                    self.ended = true;
                    let status = Failure::expired(self.watch.version(), oldest).to_json();
                    return Some(format!("{}\n", json!({"type": "ERROR", "object": status})).into());
                }
            }
        }
    }
}
