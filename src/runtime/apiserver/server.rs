//! From a request to the verb that answers it: who asks, what for, and may they.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use jiff::Timestamp;
use parking_lot::RwLock;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::admission::Admission;
use super::auth::{Claims, Power, Question, Tokens, User, authorize};
use super::columns::string;
use super::exec::PodStreams;
use super::failure::Failure;
use super::log::PodLogs;
use super::registry::{Registry, Resource};
use super::request::{Place, Query, Verb};
use super::service_ip::ServiceIps;
use super::store::{Key, Store, StoreError};
use super::verbs::{self, Call};
use super::view::View;
use super::{Extra, Options, definitions, discovery, exec, limits, log, openapi, random, response, reviews, watching};
use crate::serve::Body;

/// The version this server says it has.
pub const VERSION: &str = "v1.36.0+mesh";

/// The namespaces that are always there.
pub(super) const SYSTEM_NAMESPACES: [&str; 3] = ["default", "kube-system", "kube-public"];

/// What every request shares.
pub(super) struct Inner {
    pub(super) store: Store,
    pub(super) registry: RwLock<Arc<Registry>>,
    pub(super) ips: ServiceIps,
    pub(super) tokens: Tokens,
    pub(super) admission: Vec<Arc<dyn Admission>>,
    pub(super) logs: Option<Arc<dyn PodLogs>>,
    pub(super) streams: Option<Arc<dyn PodStreams>>,
    /// Sessions with pods that may be open at one time.
    pub(super) sessions: Arc<Semaphore>,
    pub(super) stop: CancellationToken,
    extra: Vec<(String, Extra)>,
}

impl Inner {
    pub(super) fn open(options: Options, stop: CancellationToken) -> Result<Self, StoreError> {
        let tokens = Tokens::open(&options.data_dir, &options.issuer)?;
        let store = Store::seeded(&options.data_dir.join("state.redb"), system_namespaces()?)?;
        let inner = Self {
            store,
            registry: RwLock::new(Arc::new(Registry::builtin())),
            ips: ServiceIps::new(options.service_cidr),
            tokens,
            admission: options.admission,
            logs: options.logs,
            streams: options.streams,
            sessions: Arc::new(Semaphore::new(limits::SESSIONS)),
            stop,
            extra: options.extra,
        };
        definitions::load(&inner);
        for (_, service) in inner.store.list("services.", None, None, None, |_, _| true).objects {
            let value = service.value();
            // "None" and the empty address of an ExternalName service are no addresses to take.
            let _ = inner.ips.take(string(&value, "/spec/clusterIP"), &service.uid);
        }
        Ok(inner)
    }

    /// The kinds as they are now.
    pub(super) fn kinds(&self) -> Arc<Registry> {
        Arc::clone(&self.registry.read())
    }

    /// Answers a request from a socket: the user is whoever the bearer token says.
    pub(super) async fn answer_outside<B>(self: Arc<Self>, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let path = request.uri().path();
        if matches!(path, "/healthz" | "/livez" | "/readyz" | "/version") {
            return self.answer_as(User::trusted("system:anonymous"), request).await;
        }
        match self.authenticate(request.headers()) {
            Ok(user) => self.answer_as(user, request).await,
            Err(failure) => response::failure(&failure),
        }
    }

    /// Answers a request of `user`.
    pub(super) async fn answer_as<B>(self: Arc<Self>, user: User, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let body = Limited::new(body, limits::REQUEST_BYTES).collect();
        let body = match tokio::time::timeout(limits::REQUEST_TIME, body).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
                return response::failure(&Failure::too_large(limits::REQUEST_BYTES));
            }
            Ok(Err(error)) => {
                return response::failure(&Failure::bad_request(format!("the body could not be read: {error}")));
            }
            Err(_) => return response::failure(&Failure::timeout("the body did not arrive in time")),
        };
        let mut warnings = Vec::new();
        let mut answer = match self.route(user, parts, body, &mut warnings).await {
            Ok(answer) => answer,
            Err(failure) => response::failure(&failure),
        };
        response::warn(&mut answer, &warnings);
        answer
    }

    fn authenticate(&self, headers: &HeaderMap) -> Result<User, Failure> {
        let token = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim())
            .ok_or_else(Failure::unauthorized)?;
        if self.tokens.is_admin(token) {
            let text = |value: &http::HeaderValue| value.to_str().unwrap_or_default().to_owned();
            return Ok(match headers.get("impersonate-user").map(text) {
                Some(name) => {
                    let groups = headers.get_all("impersonate-group").iter().map(text).collect();
                    User::impersonated(&name, groups)
                }
                None if headers.keys().any(|name| name.as_str().starts_with("impersonate-")) => {
                    return Err(Failure::bad_request("groups and the like are impersonated with a user alone"));
                }
                None => User::trusted("system:admin"),
            });
        }
        let audience = [self.tokens.issuer().to_owned()];
        let claims = self.verify(token, &audience).map_err(|_| Failure::unauthorized())?;
        Ok(user_of(claims))
    }

    /// A token's claims, if its account, and the pod it is bound to, are still the ones it was made for.
    pub(super) fn verify(&self, token: &str, audiences: &[String]) -> Result<Claims, String> {
        let claims = self.tokens.verify(token, audiences, Timestamp::now())?;
        let lives = |resource: &str, name: &str, uid: &str| {
            let key = Key::new(&Arc::from(resource), &claims.namespace, name);
            self.store.get(&key).is_some_and(|object| object.uid == uid)
        };
        if !lives("serviceaccounts.", &claims.account, &claims.account_uid) {
            return Err(format!("service account {}/{} is gone", claims.namespace, claims.account));
        }
        if let Some((name, uid)) = &claims.pod
            && !lives("pods.", name, uid)
        {
            return Err(format!("pod {}/{name}, which the token is bound to, is gone", claims.namespace));
        }
        Ok(claims)
    }

    async fn route(
        self: Arc<Self>,
        user: User,
        parts: Parts,
        body: Bytes,
        warnings: &mut Vec<String>,
    ) -> Result<Response<Body>, Failure> {
        let path = parts.uri.path();
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        if let Some(place) = Place::parse(path) {
            return self.resource(user, place, query, &parts, body, warnings).await;
        }
        if let Some((_, handler)) = self.extra.iter().find(|(prefix, _)| path.starts_with(prefix.as_str())) {
            if user.power != Power::All {
                let about = super::failure::About::default();
                return Err(Failure::forbidden(about, format!("User {:?} cannot reach path {path:?}", user.name)));
            }
            return Ok(handler(Request::from_parts(parts, body)).await);
        }
        if parts.method != Method::GET && parts.method != Method::HEAD {
            return Err(Failure::method_not_allowed());
        }
        let kinds = self.kinds();
        match path.trim_end_matches('/') {
            "/healthz" | "/livez" | "/readyz" => Ok(response::bytes(StatusCode::OK, "text/plain", "ok")),
            "/version" => Ok(response::json(StatusCode::OK, &discovery::version())),
            path => {
                if let Some(answer) = openapi::answer(&self, &kinds, path) {
                    return Ok(answer);
                }
                discovery::answer(&kinds, path, &parts.headers).ok_or_else(Failure::no_page)
            }
        }
    }

    async fn resource(
        self: Arc<Self>,
        user: User,
        place: Place,
        query: Query,
        parts: &Parts,
        body: Bytes,
        warnings: &mut Vec<String>,
    ) -> Result<Response<Body>, Failure> {
        let mut verb = place.verb(&parts.method, &query)?;
        let (group, plural) = (place.group.as_str(), place.plural.as_str());
        let question = |verb: Verb| Question {
            verb: verb.name(),
            group,
            resource: plural,
            subresource: &place.subresource,
            namespace: &place.namespace,
            name: &place.name,
        };
        let header = |name| parts.headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
        let content_type = header(CONTENT_TYPE).unwrap_or("application/json");
        let content_type = content_type.split(';').next().unwrap_or_default().trim().to_owned();
        if let Some(review) = reviews::find(&place) {
            authorize(&self.store, &user, verb, &question(verb))?;
            return reviews::answer(&self, &user, review, verb, &content_type, &body);
        }
        let kinds = self.kinds();
        // A group that nobody serves is no path of the API at all.
        let nothing = || match kinds.iter().any(|known| known.group == group) {
            true => Failure::no_such_path(),
            false => Failure::no_page(),
        };
        let resource = kinds.get(group, plural).cloned().ok_or_else(nothing)?;
        let version = resource.version(&place.version).ok_or_else(Failure::no_such_path)?;
        if !resource.namespaced && !place.namespace.is_empty() {
            return Err(Failure::no_such_path());
        }
        if resource.namespaced && place.namespace.is_empty() && (verb.writes() || !place.name.is_empty()) {
            return Err(Failure::no_such_path());
        }
        if verb == Verb::Get && query.flag("watch") && place.subresource.is_empty() {
            verb = Verb::Watch;
        }
        authorize(&self.store, &user, verb, &question(verb))?;
        if let Some(deprecation) = &version.deprecation {
            warnings.push(deprecation.clone());
        }
        if !has_subresource(&resource, &place) {
            return Err(Failure::no_such_path());
        }
        let agent = header(USER_AGENT).unwrap_or("unknown");
        let default_manager = agent.split('/').next().unwrap_or_default();
        let manager = query.get("fieldManager").unwrap_or(default_manager).to_owned();
        let view = match (verb, place.subresource.as_str()) {
            (_, "log" | "attach" | "exec" | "portforward") => View::Full,
            _ => View::parse(&parts.headers, &query)?,
        };
        let mut call = Call {
            server: self,
            resource,
            place,
            query,
            user,
            manager,
            content_type,
            view,
            body,
            warnings: Vec::new(),
            applied: None,
        };
        let answer = match (verb, call.place.subresource.as_str()) {
            (Verb::Get, "log") => log::answer(&call).await,
            (Verb::Get | Verb::Create, "exec") => exec::answer(&call, parts).await,
            (Verb::Get | Verb::Create, "attach") => exec::attach(&call, parts).await,
            (Verb::Get | Verb::Create, "portforward") => exec::forward(&call, parts),
            (Verb::Create, "token") => reviews::token_request(&call),
            (Verb::Create, "eviction") => verbs::evict(&mut call).await,
            (Verb::Get, "scale") => verbs::get_scale(&call),
            (Verb::Update | Verb::Patch, "scale") => verbs::set_scale(&mut call, verb).await,
            (Verb::Get, "" | "status") => verbs::get(&call),
            (Verb::List, "") => verbs::list(&call),
            (Verb::Watch, "") => watching::watch(&call),
            (Verb::Create, "") => verbs::create(&mut call).await,
            (Verb::Update, "" | "status" | "finalize") => verbs::update(&mut call).await,
            (Verb::Patch, "" | "status") => verbs::patch(&mut call).await,
            (Verb::Delete, "") => verbs::delete(&mut call).await,
            (Verb::DeleteCollection, "") => verbs::delete_collection(&mut call).await,
            _ => Err(Failure::method_not_allowed()),
        };
        warnings.append(&mut call.warnings);
        answer
    }
}

/// The namespaces that are always there, as they are created first.
fn system_namespaces() -> Result<Vec<(Key, Value)>, StoreError> {
    let namespace = |name: &str| {
        let uid = random::uid().map_err(|_| StoreError::NoEntropy)?;
        let namespace = json!({
            "metadata": {
                "name": name, "uid": uid, "creationTimestamp": now(),
                "labels": {"kubernetes.io/metadata.name": name},
            },
            "spec": {"finalizers": ["kubernetes"]},
            "status": {"phase": "Active"},
        });
        Ok((Key::new(&Arc::from("namespaces."), "", name), namespace))
    };
    SYSTEM_NAMESPACES.into_iter().map(namespace).collect()
}

fn has_subresource(resource: &Resource, place: &Place) -> bool {
    let Some(version) = resource.version(&place.version) else { return false };
    let kind = resource.builtin.map(|builtin| builtin.kind);
    match place.subresource.as_str() {
        "" => true,
        "status" => version.status,
        "scale" => version.scale.is_some(),
        "log" | "attach" | "exec" | "portforward" => kind == Some("Pod"),
        "eviction" => kind == Some("Pod"),
        "token" => kind == Some("ServiceAccount"),
        "finalize" => kind == Some("Namespace"),
        _ => false,
    }
}

/// The user that verified claims stand for.
pub(super) fn user_of(claims: Claims) -> User {
    User { pod: claims.pod, uid: claims.account_uid, ..User::service_account(&claims.namespace, &claims.account) }
}

/// The time as Kubernetes writes it.
pub(super) fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
