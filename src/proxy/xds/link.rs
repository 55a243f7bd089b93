//! The stream to the control plane, in whatever state it is: up, being opened, or waiting for the next attempt.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};

use crate::proxy::directory::Credentials;
use crate::wire::MAX_MESSAGE_BYTES;
use crate::wire::proto::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use crate::wire::proto::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};

use super::XdsConfig;
use super::transport::root_cause;

/// How long opening a stream may take, and how long its first answer.
const OPENING: Duration = Duration::from_secs(10);

/// Requests that the stream has not taken yet. More are kept where they can still be merged.
const REQUESTS_IN_FLIGHT: usize = 8;

/// The stream.
pub(super) enum Link {
    /// Waiting for the next attempt.
    Down { until: Instant },
    /// Being opened.
    Opening(BoxFuture<'static, Result<Up, String>>),
    /// Up.
    Up(Box<Up>),
}

/// A stream that is up.
pub(super) struct Up {
    pub(super) channel: Channel,
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    responses: Streaming<DeltaDiscoveryResponse>,
    pub(super) since: Instant,
    /// Until when the first answer has to be there; `None` once it is.
    pub(super) first_answer_by: Option<Instant>,
}

/// What happened to a link.
pub(super) enum Event {
    /// It is time for the next attempt.
    Retry,
    /// The stream is up.
    Up(Box<Up>),
    /// The control plane has sent something.
    Response(DeltaDiscoveryResponse),
    /// The stream takes another request.
    Writable,
    /// There is no stream, for this reason.
    Lost(String),
}

impl Link {
    /// Starts an attempt, whose first words are `opening`.
    pub(super) fn open(
        config: &XdsConfig,
        credentials: Option<Arc<Credentials>>,
        opening: Vec<DeltaDiscoveryRequest>,
    ) -> Self {
        let connecting = (config.connect)(credentials);
        let token = (config.token)();
        Self::Opening(Box::pin(async move {
            let attempt = async {
                let channel = connecting.await.map_err(|error| error.to_string())?;
                start(channel, token, opening).await
            };
            timeout(OPENING, attempt).await.unwrap_or_else(|_| {
                Err(format!("the control plane did not open the stream within {} s", OPENING.as_secs()))
            })
        }))
    }

    /// The next thing that happens. Dropping the future loses nothing.
    ///
    /// `has_requests`: tell when the stream takes one.
    pub(super) async fn event(&mut self, has_requests: bool) -> Event {
        match self {
            Self::Down { until } => {
                sleep_until(*until).await;
                Event::Retry
            }
            Self::Opening(attempt) => match attempt.await {
                Ok(up) => Event::Up(Box::new(up)),
                Err(reason) => Event::Lost(reason),
            },
            Self::Up(up) => up.event(has_requests).await,
        }
    }
}

async fn start(channel: Channel, token: Option<String>, opening: Vec<DeltaDiscoveryRequest>) -> Result<Up, String> {
    let (requests, mut queued) = mpsc::channel(REQUESTS_IN_FLIGHT);
    for request in opening {
        // There are fewer of them than there is room for, and the receiver is at hand.
        requests.try_send(request).map_err(|error| error.to_string())?;
    }
    let outgoing = stream::poll_fn(move |context| queued.poll_recv(context));
    let mut client = AggregatedDiscoveryServiceClient::new(channel.clone())
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let request = authorized(Request::new(outgoing), token)?;
    let responses = client.delta_aggregated_resources(request).await.map_err(|status| sentence(&status))?.into_inner();
    let now = Instant::now();
    Ok(Up { channel, requests, responses, since: now, first_answer_by: Some(now + OPENING) })
}

impl Up {
    async fn event(&mut self, has_requests: bool) -> Event {
        let first_answer_by = self.first_answer_by;
        let overdue = async {
            match first_answer_by {
                Some(deadline) => sleep_until(deadline).await,
                None => pending().await,
            }
        };
        tokio::select! {
            response = self.responses.message() => match response {
                Ok(Some(response)) => Event::Response(response),
                Ok(None) => Event::Lost("the control plane ended the stream".to_owned()),
                Err(status) => Event::Lost(sentence(&status)),
            },
            // A stream that takes nothing more has ended, and says so where it is read.
            Ok(_) = self.requests.reserve(), if has_requests => Event::Writable,
            () = overdue => Event::Lost(format!(
                "the control plane opened the stream and told no settings within {} s", OPENING.as_secs()
            )),
        }
    }

    /// Hands a request to the stream, which has said that it takes one.
    pub(super) fn send(&self, request: DeltaDiscoveryRequest) {
        // A refusal means that the stream is ending; the next one starts from what is held.
        let _ended = self.requests.try_send(request);
    }
}

/// Adds the proof of who calls.
pub(super) fn authorized<T>(mut request: Request<T>, token: Option<String>) -> Result<Request<T>, String> {
    if let Some(token) = token {
        let mut value = MetadataValue::try_from(format!("Bearer {}", token.trim()))
            .map_err(|_| "the service account token holds characters that no token has".to_owned())?;
        value.set_sensitive(true);
        request.metadata_mut().insert("authorization", value);
    }
    Ok(request)
}

/// What a status says, in one sentence.
pub(super) fn sentence(status: &Status) -> String {
    match (status.message(), std::error::Error::source(status)) {
        ("", _) => status.code().description().to_owned(),
        ("transport error", Some(source)) => format!("the connection was lost: {}", root_cause(source)),
        (message, _) => message.to_owned(),
    }
}
