//! One stream: requests in, responses out, from the newest snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::{Status, Streaming};

use crate::compile::KeySource;
use crate::control::push::{Snapshot, Snapshots, Subject};
use crate::control::token::Caller;
use crate::wire::ResourceType;
use crate::wire::name::KEYS;
use crate::wire::proto::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};

use super::node::Announced;
use super::status::{Entry, Nack};
use super::subscriptions::{InFlight, Subscriptions};

/// How long a stream may stay silent before its proxy has announced itself.
const ANNOUNCEMENT: Duration = Duration::from_secs(10);

/// The most hosts that one proxy asks for (`docs/wire.md` section 12).
const MAX_ASKED_NAMES: usize = 4096;

/// The most names of all types that one proxy is subscribed to.
const MAX_NAMES: usize = 65_536;

/// What a stream needs.
pub(super) struct Serving {
    pub(super) caller: Caller,
    pub(super) requests: Streaming<DeltaDiscoveryRequest>,
    pub(super) responses: mpsc::Sender<Result<DeltaDiscoveryResponse, Status>>,
    pub(super) snapshots: Snapshots,
    pub(super) stale_keys: mpsc::Sender<KeySource>,
    pub(super) entry: Entry,
}

/// A stream whose proxy is known.
struct Admitted {
    subject: Subject,
    responses: mpsc::Sender<Result<DeltaDiscoveryResponse, Status>>,
    stale_keys: mpsc::Sender<KeySource>,
    /// Whether it knows a token that none of its issuer's keys has signed.
    lacks_keys: bool,
    entry: Entry,
    types: BTreeMap<ResourceType, Subscriptions>,
    last_nonce: u64,
    in_sync: u64,
    /// The generation that its scope is from.
    seen: u64,
}

impl Serving {
    /// Serves until the proxy ends the stream, or breaks a rule.
    pub(super) async fn run(mut self) -> Result<(), Status> {
        let first = timeout(ANNOUNCEMENT, self.requests.message())
            .await
            .map_err(|_| Status::deadline_exceeded("the stream was opened and nothing was asked"))??;
        let Some(first) = first else { return Ok(()) };
        let node = first.node.as_ref().map(|node| node.id.clone()).unwrap_or_default();
        let announced = Announced::parse(&node).ok_or_else(|| {
            let form = "KIND~IP~POD.NAMESPACE~NAMESPACE.svc.cluster.local, with a KIND of sidecar or router";
            Status::invalid_argument(format!("the first request's node.id is not of the form {form}"))
        })?;
        let subject = announced.admit(&self.caller, &mut self.snapshots).await?;
        self.entry.announce(&subject.pod, node)?;
        let Self { mut requests, responses, mut snapshots, stale_keys, entry, .. } = self;
        let mut admitted = Admitted {
            subject,
            responses,
            stale_keys,
            lacks_keys: false,
            entry,
            types: BTreeMap::new(),
            last_nonce: 0,
            in_sync: 0,
            seen: 0,
        };
        let mut request = Some(first);
        loop {
            if let Some(request) = request.take() {
                admitted.receive(request)?;
            }
            let newest = snapshots.borrow_and_update().clone();
            if let Some(snapshot) = newest {
                admitted.respond(&snapshot)?;
            }
            tokio::select! {
                message = requests.message() => match message? {
                    Some(message) => request = Some(message),
                    None => return Ok(()),
                },
                changed = snapshots.changed() => {
                    changed.map_err(|_| Status::unavailable("the control plane is stopping"))?;
                }
            }
        }
    }
}

impl Admitted {
    fn receive(&mut self, mut request: DeltaDiscoveryRequest) -> Result<(), Status> {
        let Some(kind) = ResourceType::from_url(&request.type_url) else {
            let told = format!("there are no resources of type `{}`", request.type_url);
            return Err(Status::invalid_argument(told));
        };
        let subscriptions = self.types.entry(kind).or_insert_with(|| Subscriptions::new(kind));
        // A nonce that is not in flight belongs to a response that was settled already.
        let settled = subscriptions.in_flight.take_if(|in_flight| in_flight.nonce == request.response_nonce);
        if let Some(in_flight) = settled
            && let Some(error) = &request.error_detail
        {
            tracing::warn!(
                identity = %self.subject.identity, resource = %kind, error = error.message,
                "a proxy refused what it was sent"
            );
            let nack = Nack { kind, generation: in_flight.generation, message: error.message.clone() };
            self.entry.update(|status| status.last_nack = Some(nack));
        }
        tracing::trace!(identity = %self.subject.identity, ?request, "received");
        if kind == ResourceType::InboundPolicy {
            let names = &mut request.resource_names_subscribe;
            let before = names.len();
            names.retain(|name| name != KEYS);
            self.lacks_keys |= names.len() < before;
        }
        subscriptions.change(request, &self.subject);
        if kind == ResourceType::Service && subscriptions.len() > MAX_ASKED_NAMES {
            return Err(Status::resource_exhausted(format!("a proxy asks for {MAX_ASKED_NAMES} hosts at most")));
        }
        let names = self.types.values().map(Subscriptions::len).sum();
        if names > MAX_NAMES {
            return Err(Status::resource_exhausted(format!("a proxy subscribes to {MAX_NAMES} names at most")));
        }
        self.entry.update(|status| status.subscriptions = names);
        Ok(())
    }

    /// Has the proxy told its scope where that is another one than before; it then asks for everything in that.
    fn look_at_scope(&mut self, snapshot: &Snapshot) {
        let changes = snapshot.changes_since(std::mem::replace(&mut self.seen, snapshot.generation));
        if changes.is_none_or(|changes| changes.touch_scope(&self.subject.pod)) && self.subject.look_again(snapshot) {
            for subscriptions in self.types.values_mut() {
                subscriptions.change_scope(&self.subject);
            }
        }
    }

    /// Sends what has changed, type by type in their order, as far as nothing of the type is in flight.
    fn respond(&mut self, snapshot: &Arc<Snapshot>) -> Result<(), Status> {
        self.look_at_scope(snapshot);
        if std::mem::take(&mut self.lacks_keys) {
            for source in snapshot.key_sources(&self.subject) {
                // Where many lack keys at once, they are on their way.
                let _hurried = self.stale_keys.try_send(source);
            }
        }
        let mut behind = None;
        for subscriptions in self.types.values_mut() {
            if subscriptions.in_flight.is_none()
                && let Some(mut response) = subscriptions.next(snapshot, &self.subject)
            {
                self.last_nonce += 1;
                tracing::trace!(
                    identity = %self.subject.identity, resource = %response.type_url, nonce = self.last_nonce,
                    sent = response.resources.len(), removed = response.removed_resources.len(), "sent"
                );
                response.nonce = self.last_nonce.to_string();
                subscriptions.in_flight =
                    Some(InFlight { nonce: response.nonce.clone(), generation: snapshot.generation });
                self.responses
                    .try_send(Ok(response))
                    .map_err(|_| Status::resource_exhausted("the proxy acknowledges what it has not read"))?;
            }
            if let Some(in_flight) = &subscriptions.in_flight {
                let oldest = behind.get_or_insert(in_flight.generation);
                *oldest = in_flight.generation.min(*oldest);
            }
        }
        // What is in flight for an old generation says nothing about those before it.
        let reached = behind.map_or(snapshot.generation, |oldest: u64| oldest.saturating_sub(1));
        self.in_sync = self.in_sync.max(reached);
        let foreign = self.types.values().map(|subscriptions| subscriptions.foreign).sum();
        let in_sync = self.in_sync;
        self.entry.update(|status| {
            status.generation = in_sync;
            status.foreign_names = foreign;
        });
        Ok(())
    }
}
