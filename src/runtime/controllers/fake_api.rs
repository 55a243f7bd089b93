//! A small API server for tests of what sits on one: objects in memory, create, get, list, watch, replace, merge patch,
//! graceful deletion of pods, and garbage collection by owner.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use http::{Method, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use k8s_openapi::jiff::Timestamp;
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;

type Id = (String, String, String);

#[derive(Default)]
struct State {
    version: u64,
    objects: BTreeMap<Id, Value>,
    /// Everything that happened: version, plural, event.
    history: Vec<(u64, Id, Value)>,
}

/// The server. Clones share their objects.
#[derive(Clone)]
pub(in crate::runtime) struct FakeApi {
    state: Arc<Mutex<State>>,
    version: Arc<watch::Sender<u64>>,
}

const RESOURCES: &[(&str, &str, &str)] = &[
    ("v1", "namespaces", "Namespace"),
    ("v1", "nodes", "Node"),
    ("v1", "pods", "Pod"),
    ("v1", "services", "Service"),
    ("v1", "serviceaccounts", "ServiceAccount"),
    ("v1", "configmaps", "ConfigMap"),
    ("v1", "events", "Event"),
    ("v1", "secrets", "Secret"),
    ("apps/v1", "deployments", "Deployment"),
    ("apps/v1", "replicasets", "ReplicaSet"),
    ("apps/v1", "statefulsets", "StatefulSet"),
    ("apps/v1", "daemonsets", "DaemonSet"),
    ("batch/v1", "jobs", "Job"),
    ("batch/v1", "cronjobs", "CronJob"),
    ("discovery.k8s.io/v1", "endpointslices", "EndpointSlice"),
    ("coordination.k8s.io/v1", "leases", "Lease"),
];

struct Failure(u16, &'static str, String);

impl FakeApi {
    pub(in crate::runtime) fn new() -> Self {
        let (version, _) = watch::channel(0);
        Self { state: Arc::default(), version: Arc::new(version) }
    }

    pub(in crate::runtime) fn client(&self) -> kube::Client {
        kube::Client::new(self.clone(), "default")
    }

    async fn answer(self, request: Request<Body>) -> Response<FakeBody> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let query: BTreeMap<String, String> =
            crate::runtime::samples::query_pairs(head.uri.query().unwrap_or("")).collect();
        match self.dispatch(&head.method, head.uri.path(), &query, &body) {
            Ok(Answer::Once(value)) => respond(200, &value),
            Ok(Answer::Watch(id, from)) => {
                let lines = self.watch(id, from);
                Response::new(StreamBody::new(lines.map(|line| Ok(Frame::data(line))).boxed()))
            }
            Err(Failure(code, reason, message)) => respond(
                code,
                &json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message }),
            ),
        }
    }

    fn dispatch(
        &self,
        method: &Method,
        path: &str,
        query: &BTreeMap<String, String>,
        body: &Value,
    ) -> Result<Answer, Failure> {
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        let parts = if parts[0] == "api" { &parts[2..] } else { &parts[3..] };
        let (namespace, rest) = match parts {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() && *rest != ["status"] => (*namespace, rest),
            rest => ("", rest),
        };
        let (plural, name, sub) = match rest {
            [plural] => (*plural, "", ""),
            [plural, name] => (*plural, *name, ""),
            [plural, name, sub] => (*plural, *name, *sub),
            other => panic!("no such path: {other:?}"),
        };
        let id = (plural.to_owned(), namespace.to_owned(), name.to_owned());
        let mut state = self.state.lock();
        let answer = match (method.as_str(), name) {
            ("GET", "") if query.contains_key("watch") => {
                let from = query.get("resourceVersion").and_then(|version| version.parse().ok()).unwrap_or(0);
                return Ok(Answer::Watch(id, from));
            }
            ("GET", "") => state.list(&id, query.get("labelSelector")),
            ("GET", _) => state.get(&id).cloned()?,
            ("POST", _) if sub == "token" => {
                let expires = "2100-01-01T00:00:00Z";
                return Ok(Answer::Once(json!({
                    "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {},
                    "spec": { "audiences": ["any"], "expirationSeconds": 3600 },
                    "status": { "token": "token", "expirationTimestamp": expires },
                })));
            }
            ("POST", "") => state.create(id, body.clone())?,
            ("POST", _) if sub == "token" => {
                return Err(Failure(404, "NotFound", format!("{id:?}: there are no tokens here")));
            }
            ("PUT", _) => state.replace(&id, body.clone())?,
            ("PATCH", _) => {
                let mut next = state.get(&id)?.clone();
                let wanted = body["metadata"]["uid"].as_str();
                if wanted.is_some_and(|uid| next["metadata"]["uid"] != uid) {
                    return Err(Failure(409, "Conflict", "another uid".to_owned()));
                }
                json_patch::merge(&mut next, body);
                state.replace(&id, next)?
            }
            ("DELETE", _) => state.delete(&id, body)?,
            other => panic!("{other:?} {path}"),
        };
        let version = state.version;
        drop(state);
        self.version.send_replace(version);
        Ok(Answer::Once(answer))
    }

    fn watch(&self, (plural, namespace, _): Id, from: u64) -> BoxStream<'static, Bytes> {
        let changes = self.version.subscribe();
        let state = Arc::clone(&self.state);
        stream::unfold((changes, from, state), move |(mut changes, from, state)| {
            let (plural, namespace) = (plural.clone(), namespace.clone());
            async move {
                loop {
                    changes.borrow_and_update();
                    let next = state
                        .lock()
                        .history
                        .iter()
                        .find(|(version, id, _)| {
                            *version > from && id.0 == plural && (namespace.is_empty() || id.1 == namespace)
                        })
                        .map(|(version, _, event)| (*version, format!("{event}\n")));
                    if let Some((version, line)) = next {
                        return Some((Bytes::from(line), (changes, version, state)));
                    }
                    if changes.changed().await.is_err() {
                        return None;
                    }
                }
            }
        })
        .boxed()
    }
}

enum Answer {
    Once(Value),
    Watch(Id, u64),
}

impl State {
    fn get(&self, id: &Id) -> Result<&Value, Failure> {
        self.objects.get(id).ok_or_else(|| Failure(404, "NotFound", format!("{id:?} not found")))
    }

    fn store(&mut self, kind: &str, id: &Id, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.history.push((self.version, id.clone(), json!({ "type": kind, "object": object })));
        match kind {
            "DELETED" => self.objects.remove(id),
            _ => self.objects.insert(id.clone(), object.clone()),
        };
        object
    }

    fn list(&self, (plural, namespace, _): &Id, selector: Option<&String>) -> Value {
        let wanted: Vec<(&str, &str)> =
            selector.map(|text| text.split(',').filter_map(|pair| pair.split_once('=')).collect()).unwrap_or_default();
        let items: Vec<&Value> = self
            .objects
            .iter()
            .filter(|(id, _)| id.0 == *plural && (namespace.is_empty() || id.1 == *namespace))
            .map(|(_, object)| object)
            .filter(|object| wanted.iter().all(|(key, value)| object["metadata"]["labels"][key] == *value))
            .collect();
        let (version, kind) =
            RESOURCES.iter().find(|resource| resource.1 == plural).map(|(version, _, kind)| (version, kind)).unwrap();
        json!({
            "apiVersion": version, "kind": format!("{kind}List"),
            "metadata": { "resourceVersion": self.version.to_string() }, "items": items,
        })
    }

    fn create(&mut self, mut id: Id, mut object: Value) -> Result<Value, Failure> {
        if object["spec"]["serviceAccountName"] == "nosuch" {
            return Err(Failure(403, "Forbidden", "service account nosuch not found".to_owned()));
        }
        let number = self.version + 1;
        let metadata = &mut object["metadata"];
        if metadata["name"].is_null() {
            metadata["name"] = json!(format!("{}{number:05}", metadata["generateName"].as_str().unwrap()));
        }
        id.2 = metadata["name"].as_str().unwrap().to_owned();
        if self.objects.contains_key(&id) {
            return Err(Failure(409, "AlreadyExists", format!("{id:?} exists")));
        }
        if !id.1.is_empty() {
            metadata["namespace"] = json!(id.1);
        }
        metadata["uid"] = json!(format!("uid-{number}"));
        metadata["creationTimestamp"] = json!(Timestamp::now().to_string());
        metadata["generation"] = json!(1);
        Ok(self.store("ADDED", &id, object))
    }

    fn replace(&mut self, id: &Id, mut object: Value) -> Result<Value, Failure> {
        let before = self.get(id)?.clone();
        if object["spec"] != before["spec"] {
            object["metadata"]["generation"] = json!(before["metadata"]["generation"].as_i64().unwrap() + 1);
        }
        Ok(if object == before { before } else { self.store("MODIFIED", id, object) })
    }

    fn delete(&mut self, id: &Id, options: &Value) -> Result<Value, Failure> {
        let mut object = self.get(id)?.clone();
        let uid = options["preconditions"]["uid"].as_str();
        if uid.is_some_and(|uid| object["metadata"]["uid"] != uid) {
            return Err(Failure(409, "Conflict", "another uid".to_owned()));
        }
        let now = options["gracePeriodSeconds"] == 0;
        let waits = id.0 == "pods" && object["spec"]["nodeName"].is_string();
        if waits && !now {
            if object["metadata"]["deletionTimestamp"].is_null() {
                object["metadata"]["deletionTimestamp"] = json!(Timestamp::now().to_string());
                let grace =
                    options["gracePeriodSeconds"].as_i64().or(object["spec"]["terminationGracePeriodSeconds"].as_i64());
                object["metadata"]["deletionGracePeriodSeconds"] = json!(grace.unwrap_or(30));
            }
            return Ok(self.store("MODIFIED", id, object));
        }
        let gone = self.store("DELETED", id, object);
        let owned: Vec<Id> = self
            .objects
            .iter()
            .filter(|(_, object)| {
                let owners = object["metadata"]["ownerReferences"].as_array();
                owners.into_iter().flatten().any(|owner| owner["uid"] == gone["metadata"]["uid"])
            })
            .map(|(id, _)| id.clone())
            .collect();
        for id in owned {
            self.delete(&id, &Value::Null)?;
        }
        Ok(gone)
    }
}

type FakeBody = StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;

fn respond(code: u16, value: &Value) -> Response<FakeBody> {
    let frame = Frame::data(Bytes::from(value.to_string()));
    let body = StreamBody::new(stream::once(async { Ok(frame) }).boxed());
    Response::builder().status(code).header("content-type", "application/json").body(body).unwrap()
}

impl tower::Service<Request<Body>> for FakeApi {
    type Response = Response<FakeBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> BoxFuture<'static, Result<Self::Response, Infallible>> {
        let api = self.clone();
        Box::pin(async move { Ok(api.answer(request).await) })
    }
}

/// Polls `check` until it answers, for at most 20 s; `what` is what did not happen.
pub(in crate::runtime) async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut check: impl FnMut() -> F) -> T {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        if let Some(found) = check().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "did not happen within 20 s: {what}");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
