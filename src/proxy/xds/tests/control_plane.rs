//! A control plane for tests: serves what it is given over in-memory connections, remembers what it was asked, and can be away,
//! silent about a name, or cut off.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use futures_util::{Stream, stream};
use parking_lot::Mutex;
use prost::Message;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use crate::identity::{Authority, TrustDomain};
use crate::proxy::directory::{Directory, fixtures};
use crate::proxy::xds::{NodeId, ProxyKind, XdsClient, XdsConfig, in_memory};
use crate::serve::{Limits, grpc_server};
use crate::wire::proto::envoy::service::discovery::v3::aggregated_discovery_service_server::{
    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
};
use crate::wire::proto::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource};
use crate::wire::proto::istio::v1::auth::istio_certificate_service_server::{
    IstioCertificateService, IstioCertificateServiceServer,
};
use crate::wire::proto::istio::v1::auth::{IstioCertificateRequest, IstioCertificateResponse};
use crate::wire::proto::mesh::v1;
use crate::wire::{Encoded, ResourceType};

type Key = (ResourceType, String);

/// How long the certificates hold that it gives.
pub(super) const CERTIFICATE_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Default)]
struct State {
    resources: BTreeMap<Key, Encoded>,
    /// Names about which nothing is said.
    silent: BTreeSet<Key>,
    requests: Vec<DeltaDiscoveryRequest>,
    tokens: Vec<Option<String>>,
    certificates: usize,
    away: bool,
    /// Connections that were refused.
    refused: usize,
    streams: usize,
    /// What carries the connections.
    cables: Vec<AbortHandle>,
}

struct Shared {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
    incoming: mpsc::UnboundedSender<tokio::io::DuplexStream>,
    authority: Authority,
    clock: Arc<dyn Fn() -> SystemTime + Send + Sync>,
    /// By how many seconds everybody's clock is ahead.
    ahead: Arc<AtomicU64>,
}

/// The control plane, and the proxies that use it.
#[derive(Clone)]
pub(super) struct ControlPlane(Arc<Shared>);

impl ControlPlane {
    /// A control plane that knows settings and an inbound policy, and no service.
    pub(super) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let authority =
            Authority::load_or_create(directory.path(), &TrustDomain::new("cluster.local").unwrap()).unwrap();
        let (incoming, mut connections) = mpsc::unbounded_channel();
        let (started, epoch) = (Instant::now(), SystemTime::now());
        let ahead = Arc::<AtomicU64>::default();
        let jumped = ahead.clone();
        let clock = Arc::new(move || epoch + started.elapsed() + Duration::from_secs(jumped.load(Ordering::Relaxed)));
        let changed = watch::Sender::new(0);
        let plane = Self(Arc::new(Shared { state: Mutex::default(), changed, incoming, authority, clock, ahead }));
        plane.set(ResourceType::Settings, "self", &v1::Settings::from(&fixtures::settings(fixtures::SCOPE)));
        plane.set(ResourceType::InboundPolicy, "self", &v1::InboundPolicy::from(&fixtures::inbound()));
        let accepted =
            stream::poll_fn(move |context| connections.poll_recv(context).map(|next| next.map(Ok::<_, io::Error>)));
        let server = grpc_server(&Limits::default())
            .add_service(AggregatedDiscoveryServiceServer::new(plane.clone()))
            .add_service(IstioCertificateServiceServer::new(plane.clone()));
        tokio::spawn(server.serve_with_incoming(accepted));
        plane
    }

    /// Starts a proxy of this control plane.
    pub(super) fn proxy(&self, kind: ProxyKind, token: CancellationToken) -> Directory {
        let plane = self.clone();
        let config = XdsConfig {
            node: NodeId { kind, ip: [10, 0, 0, 1].into(), pod: "productpage".into(), namespace: "shop".into() },
            connect: in_memory(move || {
                let connection = plane.connection();
                async move { connection }
            }),
            token: Arc::new(|| Some("token-of-the-pod\n".to_owned())),
        };
        XdsClient::start_by(config, self.0.clock.clone(), token)
    }

    /// Starts a sidecar that nobody stops.
    pub(super) fn sidecar(&self) -> Directory {
        self.proxy(ProxyKind::Sidecar, CancellationToken::new())
    }

    fn connection(&self) -> io::Result<tokio::io::DuplexStream> {
        let mut state = self.0.state.lock();
        if state.away {
            state.refused += 1;
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (client, mut near) = tokio::io::duplex(64 << 10);
        let (mut far, server) = tokio::io::duplex(64 << 10);
        let cable = tokio::spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await });
        state.cables.push(cable.abort_handle());
        self.0.incoming.send(server).map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
        Ok(client)
    }

    /// Cuts every connection and accepts no other.
    pub(super) fn go_away(&self) {
        let mut state = self.0.state.lock();
        state.away = true;
        for cable in state.cables.drain(..) {
            cable.abort();
        }
    }

    pub(super) fn come_back(&self) {
        self.0.state.lock().away = false;
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.state.lock());
        self.0.changed.send_modify(|count| *count += 1);
    }

    pub(super) fn set(&self, kind: ResourceType, name: &str, message: &impl Message) {
        self.change(|state| _ = state.resources.insert((kind, name.to_owned()), Encoded::new(message)));
    }

    pub(super) fn remove(&self, kind: ResourceType, name: &str) {
        self.change(|state| _ = state.resources.remove(&(kind, name.to_owned())));
    }

    /// Says nothing about a name until told to speak.
    pub(super) fn keep_silent(&self, kind: ResourceType, name: &str) {
        self.change(|state| _ = state.silent.insert((kind, name.to_owned())));
    }

    pub(super) fn speak(&self) {
        self.change(|state| state.silent.clear());
    }

    /// A service under a name, its policy with subsets v1 and v2, endpoints and routes.
    pub(super) fn add(&self, authority: &str, host: &str, pods: &[(u8, &str)], destinations: &[(&str, &str, u32)]) {
        let scope = fixtures::SCOPE;
        let name = format!("{scope}/{host}");
        let record = v1::Service::from(&fixtures::record(scope, host));
        self.set(ResourceType::TrafficPolicy, &name, &v1::TrafficPolicy::from(&fixtures::policy(host, &["v1", "v2"])));
        self.set(ResourceType::Endpoints, &format!("{host}/0"), &v1::Endpoints::from(&fixtures::endpoints(host, pods)));
        self.routes(host, destinations);
        self.set(ResourceType::Service, &name, &record);
        self.set(ResourceType::Service, &format!("{scope}/{authority}"), &record);
    }

    pub(super) fn routes(&self, host: &str, destinations: &[(&str, &str, u32)]) {
        let name = format!("{}/{host}", fixtures::SCOPE);
        self.set(ResourceType::Routes, &name, &v1::Routes::from(&fixtures::routes(&name, destinations)));
    }

    /// Everything asked so far.
    pub(super) fn requests(&self) -> Vec<DeltaDiscoveryRequest> {
        self.0.state.lock().requests.clone()
    }

    /// Forgets what was asked so far.
    pub(super) fn forget_requests(&self) {
        self.0.state.lock().requests.clear();
    }

    pub(super) fn tokens(&self) -> Vec<Option<String>> {
        self.0.state.lock().tokens.clone()
    }

    pub(super) fn certificates(&self) -> usize {
        self.0.state.lock().certificates
    }

    pub(super) fn refused(&self) -> usize {
        self.0.state.lock().refused
    }

    pub(super) fn streams(&self) -> usize {
        self.0.state.lock().streams
    }

    /// Puts everybody's clock ahead of the time that passes, by so much from the beginning.
    pub(super) fn set_ahead(&self, ahead: Duration) {
        self.0.ahead.store(ahead.as_secs(), Ordering::Relaxed);
    }

    pub(super) fn now(&self) -> SystemTime {
        (self.0.clock)()
    }
}

/// One stream: what is subscribed, and what was last said about it (`None`: nothing, `""`: that it does not exist).
struct Session {
    plane: ControlPlane,
    subscribed: BTreeMap<Key, Option<String>>,
    listens_to_all: bool,
    nonce: u64,
    responses: mpsc::UnboundedSender<Result<DeltaDiscoveryResponse, Status>>,
}

impl Session {
    async fn run(mut self, mut requests: Streaming<DeltaDiscoveryRequest>) {
        let mut changed = self.plane.0.changed.subscribe();
        loop {
            tokio::select! {
                request = requests.message() => match request {
                    Ok(Some(request)) => self.receive(request),
                    _ => return,
                },
                result = changed.changed() => if result.is_err() { return },
            }
            self.respond();
        }
    }

    fn receive(&mut self, request: DeltaDiscoveryRequest) {
        let kind = ResourceType::from_url(&request.type_url).unwrap();
        for name in &request.resource_names_unsubscribe {
            assert!(self.subscribed.remove(&(kind, name.clone())).is_some(), "{kind} {name} was not subscribed");
        }
        for name in &request.resource_names_subscribe {
            if name == "*" {
                self.listens_to_all = true;
                continue;
            }
            let held = request.initial_resource_versions.get(name).cloned();
            let before = self.subscribed.insert((kind, name.clone()), held);
            assert!(before.is_none(), "{kind} {name} was subscribed already");
        }
        self.plane.0.state.lock().requests.push(request);
    }

    fn respond(&mut self) {
        let state = self.plane.0.state.lock();
        if self.listens_to_all {
            for key in state.resources.keys().filter(|(kind, _)| *kind == ResourceType::Listener) {
                self.subscribed.entry(key.clone()).or_default();
            }
        }
        for kind in ResourceType::all() {
            let mut response =
                DeltaDiscoveryResponse { type_url: kind.url().to_owned(), ..DeltaDiscoveryResponse::default() };
            for (key, told) in self.subscribed.iter_mut().filter(|(key, _)| key.0 == kind) {
                if state.silent.contains(key) {
                    continue;
                }
                match state.resources.get(key) {
                    Some(encoded) if told.as_deref() != Some(&*encoded.version) => {
                        *told = Some(encoded.version.to_string());
                        response.resources.push(Resource {
                            name: key.1.clone(),
                            version: encoded.version.to_string(),
                            resource: Some(kind.any(encoded.bytes.clone())),
                            aliases: Vec::new(),
                        });
                    }
                    None if told.as_deref() != Some("") => {
                        *told = Some(String::new());
                        response.removed_resources.push(key.1.clone());
                    }
                    _ => {}
                }
            }
            if !response.resources.is_empty() || !response.removed_resources.is_empty() {
                self.nonce += 1;
                response.nonce = format!("{kind}-{}", self.nonce);
                let _ended = self.responses.send(Ok(response));
            }
        }
    }
}

#[tonic::async_trait]
impl AggregatedDiscoveryService for ControlPlane {
    type DeltaAggregatedResourcesStream =
        Pin<Box<dyn Stream<Item = Result<DeltaDiscoveryResponse, Status>> + Send + 'static>>;

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let token = request.metadata().get("authorization").and_then(|value| value.to_str().ok()).map(str::to_owned);
        {
            let mut state = self.0.state.lock();
            state.tokens.push(token);
            state.streams += 1;
        }
        let (responses, mut queued) = mpsc::unbounded_channel();
        let session =
            Session { plane: self.clone(), subscribed: BTreeMap::new(), listens_to_all: false, nonce: 0, responses };
        tokio::spawn(session.run(request.into_inner()));
        Ok(Response::new(Box::pin(stream::poll_fn(move |context| queued.poll_recv(context)))))
    }
}

#[tonic::async_trait]
impl IstioCertificateService for ControlPlane {
    async fn create_certificate(
        &self,
        request: Request<IstioCertificateRequest>,
    ) -> Result<Response<IstioCertificateResponse>, Status> {
        let id = "spiffe://cluster.local/ns/shop/sa/productpage".parse().unwrap();
        let csr = request.into_inner().csr;
        let chain = self.0.authority.sign_workload_at((self.0.clock)(), &csr, &id, CERTIFICATE_LIFE);
        let cert_chain = chain.map_err(|error| Status::invalid_argument(error.to_string()))?;
        self.0.state.lock().certificates += 1;
        Ok(Response::new(IstioCertificateResponse { cert_chain }))
    }
}
