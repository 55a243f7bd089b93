//! The runtime as a value: everything that `mesh up` starts, in the order in which one needs the other.
//!
//! It guarantees that what it started has ended when [`Runtime::stop`] returns, and that a start that fails leaves nothing behind.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::control::{self, ControlPlane, PROXIES_PATH, Source};
use crate::identity::{Authority, IdentityError, TrustDomain};
use crate::inject;
use crate::kube::Connection;
use crate::model::OutboundMode;
use crate::net::{self, BindError};
use crate::proxy::Workers;
use crate::runtime::admission::{Injection, NotInForce, Validation};
use crate::runtime::apiserver::{self, ApiServer, Extra, StoreError};
use crate::runtime::controllers::Controllers;
use crate::runtime::loopback::addresses::{AddressBlock, AddressError};
use crate::runtime::loopback::{self, Ingress, LoopbackNetwork, LoopbackOptions};
use crate::runtime::node::logs::{LogError, LogStore};
use crate::runtime::node::network::PodNetwork;
use crate::runtime::node::{Node, NodeError, NodeOptions, RunningPods};
use crate::runtime::ports::PortChoice;
use crate::runtime::seed::{self, SeedError};
use crate::runtime::state::{RuntimeRecord, StateDir, StateError};
use crate::runtime::status::{self, RuntimeStatus};
use crate::runtime::traffic::Counted;
use crate::serve::{self, Body};
use crate::telemetry::Registries;
use crate::tls::{self, TlsError};

/// Threads that serve the pods' proxies.
const WORKERS: usize = 2;

/// The node's name.
const NODE: &str = "mesh";

/// The cluster's name, as metrics report it.
const CLUSTER: &str = "Kubernetes";

/// The cluster's domain.
const DOMAIN: &str = "cluster.local";

/// The namespace whose configuration holds for the whole mesh.
const ROOT_NAMESPACE: &str = "istio-system";

/// How long the API server's certificate holds; each start makes a new one.
const SERVER_CERTIFICATE: Duration = Duration::from_secs(365 * 24 * 3600);

/// The block of addresses that a runtime without pods prefers.
const FIRST_BLOCK: u8 = 64;

/// When memory is given back after the start: when pods are up, and when the first requests have been through.
const SETTLED: [Duration; 2] = [Duration::from_secs(3), Duration::from_secs(20)];

/// How long a part may take to end.
const STOP: Duration = Duration::from_secs(10);

/// What a runtime is started with.
#[derive(Debug, Clone)]
pub struct RuntimeOptions {
    /// Where it keeps its state.
    pub data_dir: std::path::PathBuf,
    /// Port of the API server on 127.0.0.1.
    pub api_port: PortChoice,
    /// Port of the ingress gateway on 127.0.0.1.
    pub ingress_port: PortChoice,
}

/// Why a runtime does not start.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The data directory cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// A port cannot be had.
    #[error("the {what}'s port: {source}")]
    Port {
        /// Whose.
        what: &'static str,
        /// Why not.
        source: BindError,
    },
    /// The API server's store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The certificate authority cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The API server cannot speak TLS.
    #[error("the API server's certificate: {0}")]
    Tls(#[from] TlsError),
    /// There are no addresses for pods.
    #[error(transparent)]
    Addresses(#[from] AddressError),
    /// Logs cannot be kept.
    #[error(transparent)]
    Logs(#[from] LogError),
    /// The node does not start.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// What every runtime has cannot be put in place.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// The API server does not answer its own process.
    #[error("the API server: {0}")]
    Api(#[from] kube::Error),
    /// The system gives no threads or sockets.
    #[error("the runtime cannot be started: {0}")]
    System(#[from] std::io::Error),
}

/// A runtime at work.
pub struct Runtime {
    state: StateDir,
    parts: Arc<Parts>,
    api: ApiServer,
    controllers: Controllers,
    node: Node,
    serving: JoinHandle<()>,
    /// Ends controllers and node.
    stop_pods: CancellationToken,
    /// Ends the control plane and the API server's port.
    stop: CancellationToken,
    notes: [Option<String>; 2],
}

/// What the runtime's status is read from.
struct Parts {
    client: Client,
    control: ControlPlane,
    network: Arc<LoopbackNetwork>,
    registries: Registries,
    addresses: [SocketAddr; 2],
    kubeconfig: String,
    started: Instant,
}

impl Runtime {
    /// Starts everything on the current tokio runtime: API server, control plane, controllers, node. What was stored before is in
    /// force again: pods are started, with their former addresses where those are free.
    ///
    /// # Errors
    /// [`RuntimeError`] says what is in the way; what had been started has ended by then.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn start(options: RuntimeOptions) -> Result<Self, RuntimeError> {
        let started = Instant::now();
        let state = StateDir::open(&options.data_dir)?;
        let bind = |what, choice: PortChoice| choice.bind().map_err(|source| RuntimeError::Port { what, source });
        let api_socket = bind("API server", options.api_port)?;
        let ingress_socket = bind("ingress gateway", options.ingress_port)?;
        let api_address = api_socket.local_addr()?;
        let ingress = Arc::new(Ingress::new(ingress_socket)?);
        let notes = [options.api_port.note(api_address.port()), options.ingress_port.note(ingress.address().port())];

        let trust_domain = TrustDomain::new(DOMAIN)?;
        let authority = Arc::new(Authority::load_or_create(&state.path("ca"), &trust_domain)?);
        let logs = LogStore::open(state.path("logs"))?;
        let parts: Arc<OnceLock<Arc<Parts>>> = Arc::default();
        let running: Arc<RunningPods> = Arc::default();
        let api = ApiServer::open(apiserver::Options {
            admission: vec![
                Arc::new(Injection::new(inject::Settings {
                    host: inject::Host::Runtime,
                    ..inject::Settings::default()
                })),
                Arc::new(Validation),
                Arc::new(NotInForce),
            ],
            extra: vec![("/mesh/".to_owned(), answers(parts.clone()))],
            logs: Some(Arc::new(logs.reader())),
            streams: Some(running.clone()),
            ..apiserver::Options::new(state.root())
        })?;

        let stop = CancellationToken::new();
        let stop_pods = CancellationToken::new();
        // Whatever ends this function early ends what it has started.
        let ends = [stop.clone().drop_guard(), stop_pods.clone().drop_guard()];
        let api_url = format!("https://{api_address}");
        let connection = Connection::new(api.client("system:mesh"), "mesh", api_url.as_str());
        seed::seed(&connection, &state).await?;
        seed::forget_lives(&connection).await?;

        let way_in = control::WayIn::default();
        let control = ControlPlane::start(
            control::Options {
                source: Source::Kubernetes(api.client("system:serviceaccount:istio-system:istiod")),
                authority: authority.clone(),
                trust_domain: trust_domain.clone(),
                cluster: CLUSTER.into(),
                domain: DOMAIN.into(),
                root_namespace: ROOT_NAMESPACE.into(),
                outbound_mode: OutboundMode::AllowAny,
                access_log: true,
                candidate: None,
                way_in: Some(way_in.clone()),
            },
            stop.clone(),
        );
        let root = authority.root_pem();
        let controllers = Controllers::start(&api.client("system:kube-controller-manager"), &root, &stop_pods);
        let client = api.client("system:node:mesh");
        let registries = Registries::default();
        let network = LoopbackOptions {
            workers: Workers::new(WORKERS)?,
            control: control.clone(),
            trust_domain,
            ingress: ingress.clone(),
            registries: registries.clone(),
            logs: logs.clone(),
            client: client.clone(),
            domain: DOMAIN.to_owned(),
        };
        let block = AddressBlock::take(block_of_pods(&client).await?)?;
        let network = Arc::new(LoopbackNetwork::new(network, block)?);
        // Set once, here.
        let _ = way_in.set(network.way_in(ROOT_NAMESPACE)?);
        let host_ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let node_options =
            NodeOptions { running, root_certificate: root, ..NodeOptions::new(NODE, state.root(), host_ip, logs) };
        let pod_network: Arc<dyn PodNetwork> = network.clone();
        let node = Node::start(client, node_options, pod_network, stop_pods.clone())?;

        let names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"].map(str::to_owned);
        let (chain, key) = authority.sign_server(&names, &[api_address.ip()], SERVER_CERTIFICATE)?;
        let server_tls = tls::server(chain, key.private_key(), &[b"h2", b"http/1.1"])?;
        let kubeconfig = apiserver::kubeconfig(&api_url, &authority.root_pem(), api.admin_token());
        state.write_private("kubeconfig", kubeconfig.as_bytes())?;
        api_socket.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(api_socket)?;
        let serving = tokio::spawn(api.serve(listener, Some(server_tls), stop.clone()));

        let this = Arc::new(Parts {
            client: connection.client,
            control,
            network,
            registries,
            addresses: [api_address, ingress.address()],
            kubeconfig: state.kubeconfig().display().to_string(),
            started,
        });
        // Set once, here.
        let _ = parts.set(this.clone());
        for guard in ends {
            guard.disarm();
        }
        let trim = stop.clone();
        tokio::spawn(async move { trim.run_until_cancelled(trim_when_settled()).await });
        Ok(Self { state, parts: this, api, controllers, node, serving, stop_pods, stop, notes })
    }

    /// A client of the API server who may do everything.
    pub fn connection(&self) -> Connection {
        Connection::new(self.parts.client.clone(), "mesh", self.api_url())
    }

    /// URL of the API server.
    pub fn api_url(&self) -> String {
        self.parts.api_url()
    }

    /// URL of the ingress gateway.
    pub fn ingress_url(&self) -> String {
        self.parts.ingress_url()
    }

    /// Why the API server is not where it was to be expected.
    pub fn api_port_note(&self) -> Option<&str> {
        self.notes.first().and_then(Option::as_deref)
    }

    /// Why the ingress gateway is not where it was to be expected.
    pub fn ingress_port_note(&self) -> Option<&str> {
        self.notes.last().and_then(Option::as_deref)
    }

    /// Where the kubeconfig is.
    pub fn kubeconfig(&self) -> std::path::PathBuf {
        self.state.kubeconfig()
    }

    /// What the pods' proxies have counted so far.
    pub fn traffic(&self) -> Counted {
        Counted::new(self.parts.registries.snapshot())
    }

    /// Says to other processes that it is ready, and where.
    pub fn write_record(&self) -> Result<(), RuntimeError> {
        let record = RuntimeRecord { pid: std::process::id(), api: self.api_url(), ingress: self.ingress_url() };
        Ok(self.state.write_record(&record)?)
    }

    /// Waits until the control plane has read everything once. `false`: it ended before.
    pub async fn ready(&self) -> bool {
        self.parts.control.ready().await
    }

    /// Ends pods, then proxies, then the rest. What is stored is kept.
    pub async fn stop(self) {
        self.stop_pods.cancel();
        bounded("the node", self.node.join()).await;
        bounded("the controllers", self.controllers.join()).await;
        self.stop.cancel();
        bounded("the control plane", self.parts.control.stopped()).await;
        bounded("the API server's port", async {
            // It was cancelled; a panic in it was logged where it happened.
            let _ = self.serving.await;
        })
        .await;
        bounded("the API server", self.api.close()).await;
    }
}

/// Starting takes much more memory than serving: what is free once pods run is given back.
async fn trim_when_settled() {
    for after in SETTLED {
        tokio::time::sleep(after).await;
        net::trim_heap();
    }
}

async fn bounded(what: &str, ends: impl Future<Output = ()>) {
    if tokio::time::timeout(STOP, ends).await.is_err() {
        tracing::warn!("{what} did not end within {} s", STOP.as_secs());
    }
}

/// The block that stored pods have their addresses in.
async fn block_of_pods(client: &Client) -> Result<u8, kube::Error> {
    let pods = Api::<Pod>::all(client.clone()).list(&kube::api::ListParams::default()).await?;
    let addresses = pods.items.into_iter().filter_map(|pod| pod.status?.pod_ip?.parse::<Ipv4Addr>().ok());
    let blocks = addresses.filter(Ipv4Addr::is_loopback).map(|address| {
        let [_, block, _, _] = address.octets();
        block
    });
    Ok(blocks.min().unwrap_or(FIRST_BLOCK))
}

impl Parts {
    fn api_url(&self) -> String {
        let [api, _] = self.addresses;
        format!("https://{api}")
    }

    fn ingress_url(&self) -> String {
        let [_, ingress] = self.addresses;
        format!("http://{ingress}")
    }

    async fn status(&self) -> Result<RuntimeStatus, kube::Error> {
        let pods = Api::<Pod>::all(self.client.clone()).list(&kube::api::ListParams::default()).await?;
        let uptime = self.started.elapsed();
        let traffic = Counted::new(self.registries.snapshot());
        Ok(RuntimeStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_seconds: uptime.as_secs(),
            api: self.api_url(),
            ingress: self.ingress_url(),
            kubeconfig: self.kubeconfig.clone(),
            network: loopback::LIMITS.to_owned(),
            pods: status::pods(&pods.items, &self.network.proxies(), &self.control.status(), self.control.generation()),
            traffic: traffic.since(&Counted::default(), uptime),
        })
    }
}

/// Answers what is asked beside the Kubernetes API.
fn answers(parts: Arc<OnceLock<Arc<Parts>>>) -> Extra {
    Arc::new(move |request: Request<Bytes>| {
        let parts = parts.get().cloned();
        Box::pin(async move {
            match (request.uri().path(), parts) {
                (status::PATH, Some(parts)) => match parts.status().await {
                    Ok(status) => json(StatusCode::OK, &status),
                    Err(error) => json(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
                },
                (PROXIES_PATH, Some(parts)) => json(StatusCode::OK, &parts.control.proxies()),
                (_, None) => json(StatusCode::SERVICE_UNAVAILABLE, &"the runtime is starting"),
                _ => json(StatusCode::NOT_FOUND, &format!("there are {} and {PROXIES_PATH}", status::PATH)),
            }
        })
    })
}

fn json(status: StatusCode, value: &impl serde::Serialize) -> Response<Body> {
    let body = serde_json::to_vec(value).unwrap_or_default();
    let mut response = Response::new(serve::full(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}
