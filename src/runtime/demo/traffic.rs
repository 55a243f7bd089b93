//! A little traffic for the demo, through the ingress gateway as a visitor's browser would send it.

use std::time::Duration;

use serde::Deserialize;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// Time between two requests of the background traffic.
const PERIOD: Duration = Duration::from_millis(100);

/// Every so many requests, one comes from the user that the header rule names.
const JASON_EVERY: u64 = 5;

/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The header that the demo's rule matches, and its value.
pub const JASON: (&str, &str) = ("end-user", "jason");

/// Why a request of the demo was not answered as it should be.
#[derive(Debug, thiserror::Error)]
pub enum TrafficError {
    /// No answer.
    #[error("no answer from {url}: {source}")]
    NoAnswer {
        /// The request's URL.
        url: String,
        /// What happened.
        source: reqwest::Error,
    },
    /// An answer that says no.
    #[error("{url} answered {status}: {body}")]
    Status {
        /// The request's URL.
        url: String,
        /// The answer's status.
        status: u16,
        /// Start of its body.
        body: String,
    },
    /// An answer that does not say which version of reviews it comes from.
    #[error("{url} answered something that is not a list of reviews: {body}")]
    NotReviews {
        /// The request's URL.
        url: String,
        /// Start of its body.
        body: String,
    },
}

/// A visitor of the demo's shop.
#[derive(Debug, Clone)]
pub struct Visitor {
    client: reqwest::Client,
    ingress: String,
}

#[derive(Deserialize)]
struct Reviews {
    podname: String,
}

impl Visitor {
    /// A visitor who comes in through `ingress` (`http://127.0.0.1:8080`).
    pub fn new(ingress: &str) -> Self {
        // The ingress speaks plain HTTP: without trust anchors and the environment's proxies the client costs next to nothing.
        let builder = reqwest::Client::builder().no_proxy().timeout(REQUEST_TIMEOUT).pool_max_idle_per_host(4);
        let client = builder.tls_certs_only([]).build().unwrap_or_default();
        Self { client, ingress: ingress.to_owned() }
    }

    /// Opens the product page.
    pub async fn product_page(&self, jason: bool) -> Result<(), TrafficError> {
        self.get("/productpage", jason).await.map(drop)
    }

    /// Asks for the reviews and says which version answered: `v1`, `v2` or `v3`.
    pub async fn reviews_version(&self, jason: bool) -> Result<String, TrafficError> {
        let path = "/api/v1/products/0/reviews";
        let body = self.get(path, jason).await?;
        let version = serde_json::from_str::<Reviews>(&body).ok().and_then(|reviews| {
            // A pod of a deployment is named `reviews-v2-HASH-RANDOM`.
            reviews.podname.strip_prefix("reviews-")?.split('-').next().map(str::to_owned)
        });
        version.ok_or_else(|| TrafficError::NotReviews { url: self.url(path), body: start_of(&body) })
    }

    async fn get(&self, path: &str, jason: bool) -> Result<String, TrafficError> {
        let url = self.url(path);
        let no_answer = |source| TrafficError::NoAnswer { url: url.clone(), source };
        let mut request = self.client.get(&url);
        if jason {
            request = request.header(JASON.0, JASON.1);
        }
        let response = request.send().await.map_err(no_answer)?;
        let status = response.status();
        let body = response.text().await.map_err(no_answer)?;
        if status.is_success() {
            return Ok(body);
        }
        Err(TrafficError::Status { url: url.clone(), status: status.as_u16(), body: start_of(&body) })
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.ingress)
    }

    /// Visits until cancelled, ten times a second. What fails shows in the proxies' metrics.
    pub async fn stroll(self, cancelled: CancellationToken) {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut visits = 0u64;
        loop {
            tokio::select! {
                () = cancelled.cancelled() => return,
                _ = ticks.tick() => {}
            }
            visits += 1;
            let visit = self.product_page(visits % JASON_EVERY == 0);
            tokio::select! {
                () = cancelled.cancelled() => return,
                _ = visit => {}
            }
        }
    }
}

fn start_of(body: &str) -> String {
    body.chars().take(200).collect()
}
