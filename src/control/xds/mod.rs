//! The delta ADS server (`docs/wire.md`): one task for each stream, which answers from the newest snapshot.
//!
//! It guarantees that a proxy is answered only as who it has proved to be, that one response of a type is in flight at a time
//! and later changes are merged into the next, and that no proxy makes it hold more than the limits say.

mod node;
mod status;
mod stream;
mod subscriptions;

use std::pin::Pin;

use futures_util::Stream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status, Streaming};

use crate::compile::KeySource;
use crate::wire::proto::envoy::service::discovery::v3::aggregated_discovery_service_server::AggregatedDiscoveryService;
use crate::wire::proto::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};

use super::connection::Peer;
use super::push::Snapshots;

pub(super) use status::Registry;
pub use status::{Nack, ProxyStatus};

/// One response of each type may be in flight, so that there is always room for what is sent.
const RESPONSES: usize = 8;

/// Serves streams.
#[derive(Debug, Clone)]
pub(super) struct Discovery {
    pub(super) snapshots: Snapshots,
    pub(super) registry: Registry,
    /// Where keys come from that a token is signed by none of.
    pub(super) stale_keys: mpsc::Sender<KeySource>,
    pub(super) tasks: TaskTracker,
    pub(super) token: CancellationToken,
}

#[tonic::async_trait]
impl AggregatedDiscoveryService for Discovery {
    type DeltaAggregatedResourcesStream = Pin<Box<dyn Stream<Item = Result<DeltaDiscoveryResponse, Status>> + Send>>;

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let caller = Peer::of(&request).await?;
        let entry = self.registry.enter(&caller.identity)?;
        // One more than responses: a place for the sentence that ends the stream.
        let (responses, mut queued) = mpsc::channel(RESPONSES + 1);
        let serving = stream::Serving {
            caller,
            requests: request.into_inner(),
            responses: responses.clone(),
            snapshots: self.snapshots.clone(),
            stale_keys: self.stale_keys.clone(),
            entry,
        };
        let token = self.token.clone();
        self.tasks.spawn(async move {
            let ended = tokio::select! {
                () = token.cancelled() => Err(Status::unavailable("the control plane is stopping")),
                () = responses.closed() => Ok(()),
                ended = serving.run() => ended,
            };
            if let Err(status) = ended {
                // Without room nobody reads, and the stream ends without a sentence.
                let _unread = responses.try_send(Err(status));
            }
        });
        let outgoing = futures_util::stream::poll_fn(move |context| queued.poll_recv(context));
        Ok(Response::new(Box::pin(outgoing)))
    }
}
