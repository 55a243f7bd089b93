//! What every request goes through: who asks, what for, and may they.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use jiff::Timestamp;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::admission::Admission;
use super::auth::{self, Power, Question, Tokens, User};
use super::columns::string;
use super::failure::Failure;
use super::log::PodLogs;
use super::registry::{Registry, Resource};
use super::request::{Place, Query, Verb};
use super::service_ip::ServiceIps;
use super::store::{Key, Store, StoreError};
use super::verbs::Call;
use super::view::View;
use super::{Extra, Options, discovery, limits, response, reviews};
use crate::serve::Body;

/// The version of Kubernetes whose API this is.
pub const VERSION: &str = "v1.36.0+mesh";

/// What all requests share.
pub(super) struct Inner {
    pub(super) store: Store,
    pub(super) registry: ArcSwap<Registry>,
    pub(super) tokens: Tokens,
    pub(super) admission: Vec<Arc<dyn Admission>>,
    pub(super) logs: Option<Arc<dyn PodLogs>>,
    pub(super) ips: ServiceIps,
    pub(super) stop: CancellationToken,
    extra: Vec<(String, Extra)>,
}

impl Inner {
    pub(super) fn open(options: Options, stop: CancellationToken) -> Result<Self, StoreError> {
        let store = Store::open(&options.data_dir.join("state.redb"))?;
        let tokens = Tokens::open(&options.data_dir, &options.issuer)?;
        let mut registry = Registry::builtin();
        let all = |resource: &str| store.list(resource, None, None, None, |_, _| true).objects;
        for (key, object) in all("customresourcedefinitions.apiextensions.k8s.io") {
            match Resource::custom(&object.value()) {
                Ok(resource) => registry.insert(resource),
                Err(_) => tracing::warn!(%key, "a stored definition is not understood"),
            }
        }
        let ips = ServiceIps::new(options.service_cidr);
        for (key, object) in all("services.") {
            let value = object.value();
            let address = string(&value, "/spec/clusterIP");
            if !matches!(address, "" | "None") && let Err(error) = ips.take(address, &object.uid) {
                tracing::warn!(%key, %error, "a stored cluster IP is not available");
            }
        }
        Ok(Self {
            store,
            registry: ArcSwap::from_pointee(registry),
            tokens,
            admission: options.admission,
            logs: options.logs,
            ips,
            stop,
            extra: options.extra,
        })
    }

    /// Changes what is served.
    pub(super) fn redefine(&self, change: impl Fn(&mut Registry)) {
        self.registry.rcu(|registry| {
            let mut next = Registry::clone(registry);
            change(&mut next);
            next
        });
    }

    /// Answers a request that came over a socket.
    pub(super) async fn answer_outside<B>(self: Arc<Self>, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let open = matches!(request.uri().path(), "/healthz" | "/livez" | "/readyz");
        let bearer = bearer(request.headers()).and_then(|token| self.user(token));
        match bearer {
            Some(user) => self.answer_as(user, request).await,
            None if open => response::bytes(StatusCode::OK, "text/plain", "ok"),
            None => response::failure(&Failure::unauthorized()),
        }
    }

    /// Answers `user`.
    pub(super) async fn answer_as<B>(
        self: Arc<Self>,
        user: User,
        request: Request<B>,
    ) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        match self.answer(user, request).await {
            Ok(response) => response,
            Err(failure) => response::failure(&failure),
        }
    }

    async fn answer<B>(
        self: Arc<Self>,
        user: User,
        request: Request<B>,
    ) -> Result<Response<Body>, Failure>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let collected = Limited::new(body, limits::REQUEST_BYTES).collect();
        let body = tokio::time::timeout(limits::REQUEST_TIME, collected)
            .await
            .map_err(|_| Failure::timeout("the request body did not arrive in time"))?
            .map_err(|_| Failure::too_large(limits::REQUEST_BYTES))?
            .to_bytes();
        let path = parts.uri.path();
        if let Some((_, extra)) = self.extra.iter().find(|(prefix, _)| path.starts_with(prefix)) {
            if user.power != Power::All {
                return Err(Failure::no_such_path());
            }
            return Ok(extra(Request::from_parts(parts, body)).await);
        }
        let Some(place) = Place::parse(path) else {
            if parts.method != Method::GET {
                return Err(Failure::method_not_allowed());
            }
            return match path {
                "/healthz" | "/livez" | "/readyz" => {
                    Ok(response::bytes(StatusCode::OK, "text/plain", "ok"))
                }
                "/version" => Ok(response::json(StatusCode::OK, &version())),
                _ => discovery::answer(&self.registry.load(), path)
                    .map(|found| response::json(StatusCode::OK, &found))
                    .ok_or_else(Failure::no_such_path),
            };
        };
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        let verb = place.verb(&parts.method, &query)?;
        auth::authorize(&user, verb, &question(&place, verb))?;
        if let Some(answer) = reviews::answer(&self, &user, &place, verb, &body) {
            return answer;
        }
        let resource = self
            .registry
            .load()
            .get(&place.group, &place.plural)
            .filter(|resource| resource.version(&place.version).is_some())
            .cloned()
            .ok_or_else(Failure::no_such_path)?;
        let scoped = !place.namespace.is_empty();
        let whole = place.name.is_empty() && verb != Verb::Create;
        if scoped != resource.namespaced && !(resource.namespaced && whole) {
            return Err(Failure::no_such_path());
        }
        let media = parts
            .headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .unwrap_or("application/json")
            .trim()
            .to_owned();
        let view = View::parse(&parts.headers, &query)?;
        Call { server: self, user, place, query, verb, resource, view, media, body }.answer().await
    }

    /// Whose token this is.
    pub(super) fn user(&self, token: &str) -> Option<User> {
        if self.tokens.is_admin(token) {
            return Some(User::trusted("system:admin"));
        }
        let issuer = [self.tokens.issuer().to_owned()];
        self.bearer(token, &issuer).ok().map(|(user, _)| user)
    }

    /// The service account of a token for one of `audiences`, and the token's audiences.
    pub(super) fn bearer(
        &self,
        token: &str,
        audiences: &[String],
    ) -> Result<(User, Vec<String>), String> {
        let claims = self.tokens.verify(token, audiences, Timestamp::now())?;
        let lives = |resource: &str, name: &str, uid: &str| {
            self.store
                .get(&Key::new(&Arc::from(resource), &claims.namespace, name))
                .is_some_and(|object| object.uid == uid)
        };
        if !lives("serviceaccounts.", &claims.account, &claims.account_uid) {
            return Err("the service account of the token is gone".to_owned());
        }
        if let Some((name, uid)) = &claims.pod
            && !lives("pods.", name, uid)
        {
            return Err("the pod of the token is gone".to_owned());
        }
        let user = User {
            pod: claims.pod,
            uid: claims.account_uid,
            ..User::service_account(&claims.namespace, &claims.account)
        };
        Ok((user, claims.audiences))
    }

    /// The labels of a namespace; none if it is not there.
    pub(super) fn namespace_labels(&self, name: &str) -> BTreeMap<String, String> {
        self.store
            .latest(&Key::new(&Arc::from("namespaces."), "", name))
            .map(|namespace| namespace.labels.clone())
            .unwrap_or_default()
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ").map(str::trim)
}

fn question(place: &Place, verb: Verb) -> Question<'_> {
    Question {
        verb: verb.name(),
        group: &place.group,
        resource: &place.plural,
        subresource: &place.subresource,
        namespace: &place.namespace,
        name: &place.name,
    }
}

fn version() -> serde_json::Value {
    json!({
        "major": "1", "minor": "36", "gitVersion": VERSION, "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "", "platform": "linux/amd64",
    })
}
