//! The control plane: what is configured becomes what each proxy is told.
//!
//! `source/` watches and projects, `push/` compiles for a generation what somebody asks for, `xds/` answers proxies, `ca/`
//! certifies them, `webhook/` answers the API server. It runs over a Kubernetes API, ours or another, and serves proxies of the same process over connections
//! whose identity the runtime vouches for ([`ControlPlane::connect_in_memory`]), and those of other processes over TLS
//! ([`ControlPlane::serve`]).
//!
//! It guarantees that nobody is told anything before everything has been read once, that a proxy is told only what its own
//! scope sees, and that a certificate names who the caller has proved to be. It refuses to decide what a rule means: that is
//! `compile/`'s business.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

pub mod ca;
mod connection;
mod gateway_api;
mod keys;
mod leader;
mod push;
mod report;
mod server;
pub mod source;
mod token;
mod webhook;
mod xds;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::io::DuplexStream;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::identity::{Authority, SpiffeId, TrustBundle, TrustDomain};
use crate::kube::Connection;
use crate::model::OutboundMode;
use crate::serve::{Limits, grpc_server};
use crate::wire::MAX_MESSAGE_BYTES;
use crate::wire::proto::envoy::service::discovery::v3::aggregated_discovery_service_server::AggregatedDiscoveryServiceServer;
use crate::wire::proto::istio::v1::auth::istio_certificate_service_server::IstioCertificateServiceServer;

use connection::Accepted;
use push::{MeshSettings, Snapshots};
use source::{Event, Inventory};
use token::TokenReviewer;

pub use leader::Candidate;
pub use report::{MONITORING_PORT, PROXIES_PATH, Proxies, Report};
pub use server::{ServerError, ServerOptions};
pub use webhook::WebhookOptions;
pub use xds::{Nack, ProxyStatus};

/// Events that have not been taken in; more wait where they come from.
const EVENTS: usize = 1024;

/// Keys that were fetched and have not been taken in.
const KEYS: usize = 16;

/// Connections that have not been accepted.
const CONNECTIONS: usize = 64;

/// Bytes on their way in each direction of a connection in memory.
const BUFFER: usize = 64 << 10;

/// Where configuration comes from.
pub enum Source {
    /// A Kubernetes API, watched in every namespace.
    Kubernetes(kube::Client),
    /// Whoever holds the other end.
    Memory(mpsc::Receiver<Event>),
}

/// What a control plane needs.
pub struct Options {
    /// Where configuration comes from.
    pub source: Source,
    /// Signs workloads' certificates.
    pub authority: Arc<Authority>,
    /// The mesh's trust domain.
    pub trust_domain: TrustDomain,
    /// Name of the cluster, as metrics report it.
    pub cluster: Arc<str>,
    /// Domain of the cluster: `cluster.local`.
    pub domain: Arc<str>,
    /// Namespace whose objects hold for the whole mesh.
    pub root_namespace: Arc<str>,
    /// What happens to requests for unknown hosts.
    pub outbound_mode: OutboundMode,
    /// Whether proxies log requests.
    pub access_log: bool,
    /// What it is called where it is one of several, of which one writes; `None`: there is no other.
    pub candidate: Option<Candidate>,
    /// How it reaches Services where it is no pod of the cluster itself; `None`: as every other host.
    pub way_in: Option<WayIn>,
}

/// The URL of an HTTP proxy that leads to the cluster's Services, as soon as there is one.
pub type WayIn = Arc<std::sync::OnceLock<String>>;

/// A control plane at work. A clone is another handle on the same one.
#[derive(Debug, Clone)]
pub struct ControlPlane {
    connections: mpsc::Sender<Accepted>,
    snapshots: Snapshots,
    seen: push::Seen,
    registry: xds::Registry,
    authority: Arc<ArcSwap<Authority>>,
    roots: watch::Sender<TrustBundle>,
    certificates: ca::Issued,
    longest: ca::Longest,
    asked: webhook::Asked,
    trust_domain: TrustDomain,
    tasks: TaskTracker,
    token: CancellationToken,
}

impl ControlPlane {
    /// Starts its tasks on the current tokio runtime. They end when `token` is cancelled ([`Self::stopped`]).
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(options: Options, token: CancellationToken) -> Self {
        let Options {
            source,
            authority,
            trust_domain,
            cluster,
            domain,
            root_namespace,
            outbound_mode,
            access_log,
            candidate,
            way_in,
        } = options;
        let way_in = way_in.map(|proxy| keys::ClusterProxy { proxy, domain: domain.clone() });
        let tasks = TaskTracker::new();
        let cluster_api = match &source {
            Source::Kubernetes(client) => Some(Connection::new(client.clone(), "", "the API server")),
            Source::Memory(_) => None,
        };
        let events = match source {
            Source::Kubernetes(client) => {
                let (sender, events) = mpsc::channel(EVENTS);
                source::watch(&client, &domain, &root_namespace, &sender, &tasks, &token);
                events
            }
            Source::Memory(events) => events,
        };
        let mesh = MeshSettings {
            trust_domain: trust_domain.as_str().into(),
            trust_domains: vec![trust_domain.as_str().into()],
            cluster: cluster.clone(),
            outbound_mode,
            access_log,
            bundle: authority.bundle(),
        };
        let inventory = Inventory::new(trust_domain.clone(), cluster, &domain, &root_namespace);
        let (publisher, snapshots) = watch::channel(None);
        let (wanted, wants) = watch::channel(BTreeMap::new());
        let (fetched, keys) = mpsc::channel(KEYS);
        let (stale_keys, stale) = mpsc::channel(KEYS);
        tasks.spawn(keys::keep(wants, stale, fetched, way_in, token.clone()));
        let (roots, believed) = watch::channel(authority.bundle());
        let seen = push::Seen::default();
        let incoming = push::Incoming { events, keys, roots: believed, wanted, seen: seen.clone() };
        tasks.spawn(push::publish(inventory, Arc::new(mesh), incoming, publisher, token.clone()));

        if let Some(connection) = cluster_api {
            let (snapshots, token) = (snapshots.clone(), token.clone());
            tasks.spawn(async move {
                let work = |token| gateway_api::keep(connection.clone(), snapshots.clone(), token);
                leader::lead(&connection, candidate, token, work).await;
            });
        }
        let registry = xds::Registry::default();
        let discovery = xds::Discovery {
            snapshots: snapshots.clone(),
            registry: registry.clone(),
            stale_keys,
            tasks: tasks.clone(),
            token: token.clone(),
        };
        let authority = Arc::new(ArcSwap::new(authority));
        let certificates = ca::Issued::default();
        let longest = ca::Longest::default();
        let signing = ca::Certificates {
            authority: authority.clone(),
            issued: certificates.clone(),
            longest: longest.clone(),
            quota: ca::Quota::default(),
        };
        let (connections, mut incoming) = mpsc::channel::<Accepted>(CONNECTIONS);
        let incoming =
            futures_util::stream::poll_fn(move |cx| incoming.poll_recv(cx).map(|next| next.map(Ok::<_, io::Error>)));
        let server = grpc_server(&Limits::default())
            .add_service(
                AggregatedDiscoveryServiceServer::new(discovery)
                    .max_decoding_message_size(MAX_MESSAGE_BYTES)
                    .max_encoding_message_size(MAX_MESSAGE_BYTES),
            )
            .add_service(IstioCertificateServiceServer::new(signing).max_decoding_message_size(MAX_MESSAGE_BYTES));
        let stopping = token.clone();
        tasks.spawn(async move {
            let stopping = stopping.cancelled_owned();
            if let Err(error) = server.serve_with_incoming_shutdown(incoming, stopping).await {
                tracing::error!(%error, "the control plane's server ended");
            }
        });
        tasks.close();
        Self {
            connections,
            snapshots,
            seen,
            registry,
            authority,
            roots,
            certificates,
            longest,
            asked: webhook::Asked::default(),
            trust_domain,
            tasks,
            token,
        }
    }

    /// Serves proxies of other processes, over TLS, until the control plane ends.
    ///
    /// # Errors
    /// [`ServerError`] where the socket cannot be used or no certificate can be made for the names.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn serve(&self, mut options: ServerOptions) -> Result<(), ServerError> {
        let reviews = options.token_reviews.take();
        let reviewer = reviews.map(|client| TokenReviewer::new(client, self.trust_domain.clone()));
        let accepted = self.connections.clone();
        server::serve(options, reviewer, self.authority.clone(), accepted, &self.tasks, self.token.clone())
    }

    /// Signs with another authority from now on, and has proxies believe its roots. Certificates that were signed before hold as
    /// long as their root is among these: to replace a root, first have both believed, then sign with the new one, then leave the
    /// old one out when its last certificate has expired.
    pub fn replace_authority(&self, authority: Arc<Authority>) {
        let bundle = authority.bundle();
        self.authority.store(authority);
        self.roots.send_if_modified(|current| {
            let differs = *current != bundle;
            *current = bundle;
            differs
        });
    }

    /// Signs no certificate for longer than this from now on; 1 s to 24 h, to the second.
    pub fn limit_certificates(&self, longest: Duration) {
        self.longest.set(longest);
    }

    /// A connection for a proxy of the same process; the caller vouches that it is `identity`'s. Its other end is served.
    ///
    /// # Errors
    /// [`io::ErrorKind::ConnectionRefused`] once the control plane has stopped.
    pub async fn connect_in_memory(&self, identity: SpiffeId) -> io::Result<DuplexStream> {
        let (near, far) = tokio::io::duplex(BUFFER);
        let refused = |_| io::Error::new(io::ErrorKind::ConnectionRefused, "the control plane has stopped");
        self.connections.send(Accepted::vouched(far, identity)).await.map_err(refused)?;
        Ok(near)
    }

    /// The newest generation; 0 until everything has been read once.
    pub fn generation(&self) -> u64 {
        self.snapshots.borrow().as_ref().map_or(0, |snapshot| snapshot.generation)
    }

    /// Waits until everything has been read once. `false`: it stopped before.
    pub async fn ready(&self) -> bool {
        self.snapshots.clone().wait_for(Option::is_some).await.is_ok()
    }

    /// The connected proxies, in the order in which they came.
    pub fn status(&self) -> Vec<ProxyStatus> {
        self.registry.status()
    }

    /// How far each connected proxy is, and with what.
    pub fn proxies(&self) -> Proxies {
        // In this order: a generation that is read after what was seen holds it.
        let seen = self.seen.lock().clone();
        Proxies { seen, generation: self.generation(), proxies: self.status() }
    }

    /// How many certificates it has signed, and how many requests for one it refused.
    pub fn certificates(&self) -> (u64, u64) {
        self.certificates.counts()
    }

    /// Waits until everything that it started has ended, after its token was cancelled.
    pub async fn stopped(&self) {
        self.tasks.wait().await;
    }
}

#[cfg(test)]
mod tests;
