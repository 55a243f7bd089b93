//! What the API server asks before it stores: sidecars for pods (`/inject`), and whether an object of the mesh is right
//! (`/validate`).
//!
//! Served over HTTPS with a certificate of the mesh's own authority, whose roots [`trust`] enters into the webhooks' objects. It
//! guarantees that the answers are those of `inject/` and of `resources/`, which the built-in runtime and the command line ask as
//! well; that a request has one answer, whatever is in it; and that nothing is changed by being asked, so that dry runs are safe.
//!
//! It refuses to look at labels of namespaces: the API server has, by the webhook's selectors.

mod review;
mod trust;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::inject;
use crate::serve::{self, Body, Limits, Service, Tls, full, handler};

use super::server::{Audience, Certificate};
use super::{ControlPlane, ServerError};

/// The largest review that is read, in bytes: two versions of an object of at most 3 MiB each.
const MAX_REVIEW: usize = 8 << 20;

/// Time that a review may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(10);

/// What serving webhooks needs.
pub struct WebhookOptions {
    /// The socket.
    pub listener: std::net::TcpListener,
    /// DNS names that the API server calls it by.
    pub names: Vec<String>,
    /// The API server, whose webhooks of the revision learn whom to believe; `None`: somebody else sees to that.
    pub client: Option<kube::Client>,
    /// How pods get their sidecars; its revision says which webhooks are this control plane's.
    pub injection: inject::Settings,
}

/// How often each was asked, and what became of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked(Arc<[AtomicU64; 6]>);

/// An outcome that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Count {
    Injected,
    Skipped,
    NotInjected,
    Valid,
    Invalid,
    Unreadable,
}

/// The counters, with Istio's names where it has them.
const COUNTERS: [(Count, &str, &str); 6] = [
    (Count::Injected, "sidecar_injection_success_total", "Pods that got a sidecar."),
    (Count::Skipped, "sidecar_injection_skip_total", "Pods that were to have none."),
    (Count::NotInjected, "sidecar_injection_failure_total", "Pods that were refused."),
    (Count::Valid, "galley_validation_passed", "Objects that were found right."),
    (Count::Invalid, "galley_validation_failed", "Objects that were refused."),
    (Count::Unreadable, "mesh_webhook_unreadable_total", "Requests that were no reviews."),
];

impl Asked {
    fn count(&self, what: Count) {
        let place = COUNTERS.iter().position(|(counted, ..)| *counted == what);
        if let Some(counter) = place.and_then(|place| self.0.get(place)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Name, help and value of each counter.
    pub(super) fn counts(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        COUNTERS.iter().zip(&*self.0).map(|((_, name, help), value)| (*name, *help, value.load(Ordering::Relaxed)))
    }
}

impl ControlPlane {
    /// Answers the API server's reviews until the control plane ends, and has its webhooks believe the mesh's authority.
    ///
    /// # Errors
    /// [`ServerError`] where the socket cannot be used or no certificate can be made for the names.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn serve_webhooks(&self, options: WebhookOptions) -> Result<(), ServerError> {
        let WebhookOptions { listener, names, client, injection } = options;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let certificate = Certificate::new(self.authority.clone(), names, Vec::new(), Audience::ApiServer)?;
        let tls = Tls::Current(Arc::new(move || certificate.config()));
        let reviewer = Reviewer { settings: Arc::new(injection), asked: self.asked.clone() };
        if let Some(client) = client {
            let believed = trust::keep(client, reviewer.settings.revision.clone(), self.roots.subscribe());
            let (plane, token) = (self.clone(), self.token.clone());
            self.tasks.spawn(token.run_until_cancelled_owned(async move {
                // Asked before everything has been read, it would answer; but what it answers would not be in force anywhere.
                if plane.ready().await {
                    believed.await;
                }
            }));
        }
        let service = reviewer.service();
        self.tasks.spawn(serve::serve(listener, tls, Limits::default(), service, self.token.clone()));
        Ok(())
    }
}

#[derive(Debug, Clone)]
struct Reviewer {
    settings: Arc<inject::Settings>,
    asked: Asked,
}

impl Reviewer {
    fn service(self) -> impl Service {
        handler(move |request: Request<Incoming>| {
            let reviewer = self.clone();
            async move { reviewer.answer(request).await }
        })
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path();
        // `/inject/cluster/NAME/net/NAME` is how a remote cluster says which it is (Istio's form).
        let injects = path == "/inject" || path.starts_with("/inject/");
        let cluster = injects.then(|| cluster_of(path)).flatten();
        let no_review = |status: StatusCode, reason: &str| {
            self.asked.count(Count::Unreadable);
            refusal(status, reason)
        };
        if !injects && path != "/validate" {
            return no_review(StatusCode::NOT_FOUND, "there are /inject and /validate\n");
        }
        if *request.method() != Method::POST {
            return no_review(StatusCode::METHOD_NOT_ALLOWED, "a review is sent with POST\n");
        }
        let body = match timeout(ARRIVAL, Limited::new(request.into_body(), MAX_REVIEW).collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) => return no_review(StatusCode::PAYLOAD_TOO_LARGE, &format!("{error}\n")),
            Err(_) => return no_review(StatusCode::REQUEST_TIMEOUT, "the review did not arrive in time\n"),
        };
        let review: Value = match serde_json::from_slice(&body) {
            Ok(review) => review,
            Err(error) => return no_review(StatusCode::BAD_REQUEST, &format!("this is no JSON: {error}\n")),
        };
        let Some(asked) = review::Asked::of(&review) else {
            return no_review(StatusCode::BAD_REQUEST, "this is no AdmissionReview of admission.k8s.io/v1\n");
        };
        let answer = if injects { self.inject(&asked, cluster) } else { self.validate(&asked) };
        let mut response = Response::new(full(answer.review(asked.uid).to_string()));
        let json = header::HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
    }

    fn inject(&self, asked: &review::Asked<'_>, cluster: Option<String>) -> review::Answer {
        let settings = match cluster {
            None => self.settings.clone(),
            Some(cluster) => Arc::new(inject::Settings { cluster, ..(*self.settings).clone() }),
        };
        let answer = review::inject(asked, &settings);
        self.asked.count(match &answer {
            review::Answer::Allowed { patch: Some(_), .. } => Count::Injected,
            review::Answer::Allowed { .. } => Count::Skipped,
            review::Answer::Denied { message, .. } => {
                tracing::warn!(namespace = asked.namespace, message, "a pod was refused");
                Count::NotInjected
            }
        });
        answer
    }

    fn validate(&self, asked: &review::Asked<'_>) -> review::Answer {
        let answer = review::validate(asked);
        self.asked.count(match &answer {
            review::Answer::Allowed { .. } => Count::Valid,
            review::Answer::Denied { .. } => Count::Invalid,
        });
        answer
    }
}

/// The cluster that a path names, as `/inject/cluster/NAME/net/NAME`.
fn cluster_of(path: &str) -> Option<String> {
    let mut parts = path.strip_prefix("/inject/")?.split('/');
    let named = parts.by_ref().find(|part| *part == "cluster").and_then(|_| parts.next())?;
    Some(named.replace("--slash--", "/")).filter(|name| !name.is_empty())
}

fn refusal(status: StatusCode, reason: &str) -> Response<Body> {
    let mut response = Response::new(full(reason.to_owned()));
    *response.status_mut() = status;
    response
}
