//! The one task that keeps a directory: it listens to the stream, to the workload's questions and to time, and lets the
//! holdings decide what follows.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::proxy::directory::{Ask, Holdings, SubscriptionChange, limits};
use crate::wire::ResourceType;
use crate::wire::name::KEYS;
use crate::wire::proto::envoy::service::discovery::v3::DeltaDiscoveryResponse;

use super::XdsConfig;
use super::backoff::{Backoff, LONGEST};
use super::decode::decode;
use super::link::{Event, Link, Up};
use super::outbox::{Outbox, opening};

/// How many answers may wait to take force. A control plane that sends more without waiting is told that they arrived.
const MAX_UNACKNOWLEDGED: usize = 64;

/// An answer that is not acknowledged yet.
struct Unacknowledged {
    kind: ResourceType,
    nonce: String,
    names: Vec<Arc<str>>,
    error: Option<String>,
}

/// Keeps a directory.
pub(super) struct Client {
    config: XdsConfig,
    holdings: Holdings,
    questions: mpsc::Receiver<Ask>,
    /// The channel that is up, for those who make calls of their own.
    channel: watch::Sender<Option<Channel>>,
    outbox: Outbox,
    unacknowledged: Vec<Unacknowledged>,
    backoff: Backoff,
    /// Whether the loss of the stream has been reported, so that an outage is one line and not one per attempt.
    is_loss_reported: bool,
}

impl Client {
    pub(super) fn new(
        config: XdsConfig,
        holdings: Holdings,
        questions: mpsc::Receiver<Ask>,
        channel: watch::Sender<Option<Channel>>,
    ) -> Self {
        Self {
            config,
            holdings,
            questions,
            channel,
            outbox: Outbox::default(),
            unacknowledged: Vec::new(),
            backoff: Backoff::default(),
            is_loss_reported: false,
        }
    }

    /// Keeps the directory until told to stop.
    pub(super) async fn run(mut self, token: CancellationToken) {
        let mut ticks = interval_at(Instant::now() + limits::TICK, limits::TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut link = self.attempt();
        loop {
            let deadline = self.holdings.deadline();
            let has_requests = !self.outbox.is_empty();
            tokio::select! {
                () = token.cancelled() => break,
                event = link.event(has_requests) => link = self.follow(link, event),
                Some(asked) = self.questions.recv() => {
                    self.ask(asked);
                    while let Ok(asked) = self.questions.try_recv() {
                        self.ask(asked);
                    }
                }
                _ = ticks.tick() => self.holdings.tick(),
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => self.holdings.expire(),
            }
            self.settle();
        }
        self.holdings.shared().connected.store(false, Ordering::Relaxed);
        self.channel.send_replace(None);
    }

    fn ask(&mut self, asked: Ask) {
        match asked {
            Ask::Name(name) => self.holdings.ask(&name),
            Ask::Keys => self.outbox.change(SubscriptionChange {
                kind: ResourceType::InboundPolicy,
                name: KEYS.into(),
                subscribed: true,
            }),
        }
    }

    fn attempt(&self) -> Link {
        let credentials = self.holdings.shared().credentials.load_full();
        // A control plane that does not (any more) take the certificate says so after the handshake, and not in words that a
        // program could rely on. Where there is a token, every other attempt after a failure proves itself with that alone.
        let by_token = self.backoff.failures() % 2 == 1 && (self.config.token)().is_some();
        let credentials = credentials.filter(|_| !by_token);
        Link::open(&self.config, credentials, opening(&self.config.node.to_string(), &self.holdings))
    }

    /// What becomes of the link after something happened to it.
    fn follow(&mut self, mut link: Link, event: Event) -> Link {
        match event {
            Event::Retry => return self.attempt(),
            Event::Up(up) => {
                tracing::info!(node = %self.config.node, "connected to the control plane");
                self.is_loss_reported = false;
                self.outbox = Outbox::default();
                self.channel.send_replace(Some(up.channel.clone()));
                self.holdings.shared().connected.store(true, Ordering::Relaxed);
                return Link::Up(up);
            }
            Event::Response(response) => {
                if let Link::Up(up) = &mut link {
                    self.receive(up, response);
                }
            }
            Event::Writable => {
                if let Link::Up(up) = &link
                    && let Some(request) = self.outbox.next()
                {
                    up.send(request);
                }
            }
            Event::Lost(reason) => return self.lose(&link, &reason),
        }
        link
    }

    fn lose(&mut self, link: &Link, reason: &str) -> Link {
        let now = Instant::now();
        if let Link::Up(up) = link
            && now.duration_since(up.since) >= LONGEST
        {
            self.backoff.reset();
        }
        self.holdings.shared().connected.store(false, Ordering::Relaxed);
        self.channel.send_replace(None);
        self.outbox = Outbox::default();
        self.unacknowledged.clear();
        let wait = self.backoff.next();
        if std::mem::replace(&mut self.is_loss_reported, true) {
            tracing::debug!(node = %self.config.node, reason, retry_in = ?wait, "still no control plane");
        } else {
            tracing::warn!(
                node = %self.config.node, reason, retry_in = ?wait,
                "no control plane; what is held stays in force"
            );
        }
        Link::Down { until: now + wait }
    }

    /// Takes in a response. It is acknowledged when it is in force.
    fn receive(&mut self, up: &mut Up, response: DeltaDiscoveryResponse) {
        let now = Instant::now();
        let DeltaDiscoveryResponse { type_url, nonce, resources, removed_resources, .. } = response;
        let Some(kind) = ResourceType::from_url(&type_url) else {
            let error = format!("this proxy knows no resources of type `{type_url}`");
            self.outbox.acknowledge(type_url, nonce, Some(error));
            return;
        };
        let mut names = Vec::with_capacity(resources.len());
        let mut errors = Vec::new();
        for envelope in resources {
            let name: Arc<str> = envelope.name.as_str().into();
            match decode(kind, &envelope) {
                Ok(resource) => {
                    self.holdings.apply(&name, envelope.version.into(), resource, now);
                    names.push(name);
                }
                Err(error) => {
                    tracing::warn!(resource = %kind, %name, %error, "refused what the control plane sent");
                    self.holdings.refuse(kind, &name);
                    errors.push(format!("{name}: {error}"));
                }
            }
        }
        for name in removed_resources {
            self.holdings.remove(kind, &name.into());
        }
        if kind == ResourceType::Settings && self.holdings.has_scope() {
            up.first_answer_by = None;
            self.outbox.open(&self.holdings);
        }
        let error = (!errors.is_empty()).then(|| errors.join("; "));
        self.unacknowledged.push(Unacknowledged { kind, nonce, names, error });
    }

    /// Puts into force what is complete, and says what follows from it.
    fn settle(&mut self) {
        self.holdings.settle(Instant::now());
        for change in self.holdings.take_changes() {
            self.outbox.change(change);
        }
        if self.unacknowledged.is_empty() {
            return;
        }
        // The control plane holds one type's next answer back until the one before is acknowledged. Routes that somebody
        // waits for must not be held up by routes that wait for something themselves.
        let hurry = self.holdings.awaits_routes();
        let too_many = self.unacknowledged.len() > MAX_UNACKNOWLEDGED;
        let (holdings, outbox) = (&self.holdings, &mut self.outbox);
        self.unacknowledged.retain_mut(|answer| {
            let waits = answer.error.is_none()
                && !too_many
                && !(hurry && answer.kind == ResourceType::Routes)
                && answer.names.iter().any(|name| holdings.is_warming(answer.kind, name));
            if !waits {
                outbox.acknowledge(
                    answer.kind.url().to_owned(),
                    std::mem::take(&mut answer.nonce),
                    answer.error.take(),
                );
            }
            waits
        });
    }
}
