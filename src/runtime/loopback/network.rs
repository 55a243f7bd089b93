//! Pods on loopback addresses, each with its proxy.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use rustls::crypto::SecureRandom;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::addresses::{AddressBlock, AddressError, MAX_PODS, PodAddresses};
use super::forward::{Caller, Forwarder};
use super::names::Names;
use super::{Ingress, admin as reachable};
use crate::compile::gateway_api::GATEWAY_NAME;
use crate::control::ControlPlane;
use crate::identity::{SpiffeId, TrustDomain};
use crate::proxy::directory::Directory;
use crate::proxy::xds::{NodeId, ProxyKind, XdsClient, XdsConfig, in_memory};
use crate::proxy::{Bind, Proxy, ProxyConfig, Workers, admin};
use crate::runtime::node::logs::LogStore;
use crate::runtime::node::network::{NetworkError, PodAttachment, PodNetwork, PodSpecLite};
use crate::telemetry::snapshot::Listed;
use crate::telemetry::{AccessLog, AccessLogFormat, Registries, Registry};

/// Where a pod's app finds its outbound proxy: Envoy's port for captured outbound traffic.
const OUTBOUND_PORT: u16 = 15_001;

/// Where an app reads its proxy's URL.
const PROXY_VARIABLES: [&str; 2] = ["http_proxy", "HTTP_PROXY"];

/// Name of the proxy's container, for its log.
const CONTAINER: &str = "istio-proxy";

/// Label, and its value, of the pods that may have the machine's ingress port.
const INGRESS_LABEL: (&str, &str) = ("istio", "ingressgateway");

/// How long requests under way may take when a pod ends.
const DRAIN: Duration = Duration::from_secs(5);

/// What a loopback network is made of.
pub struct LoopbackOptions {
    /// Threads that serve every pod's proxy.
    pub workers: Workers,
    /// Tells the proxies what they need to know.
    pub control: ControlPlane,
    /// The mesh's trust domain.
    pub trust_domain: TrustDomain,
    /// The machine's way in.
    pub ingress: Arc<Ingress>,
    /// Where the proxies count.
    pub registries: Registries,
    /// Where the proxies log.
    pub logs: Arc<LogStore>,
    /// Reads the Services that pods without a sidecar find by name.
    pub client: kube::Client,
    /// The cluster's domain.
    pub domain: String,
}

/// The network.
pub struct LoopbackNetwork {
    options: LoopbackOptions,
    forwarder: Forwarder,
    /// Ends the watches behind the forwarder's names.
    _names: DropGuard,
    addresses: Mutex<AddressBlock>,
    hosted: Mutex<HashMap<String, Hosted>>,
}

/// A pod's proxy, as far as others care.
#[derive(Debug, Clone)]
pub struct HostedProxy {
    /// Namespace of the pod.
    pub namespace: Arc<str>,
    /// Name of the pod.
    pub pod: Arc<str>,
    /// Whether it has settings, policy and certificate.
    pub ready: bool,
    /// Until when its certificate holds.
    pub certificate_expires: Option<SystemTime>,
}

struct Hosted {
    proxy: Proxy,
    namespace: Arc<str>,
    directory: Directory,
    /// Ends the tasks that keep the directory.
    _control: DropGuard,
    _listed: Listed,
}

impl LoopbackNetwork {
    /// A network without pods. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// The system's, where the forwarder of pods without a sidecar cannot listen.
    pub fn new(options: LoopbackOptions, addresses: AddressBlock) -> std::io::Result<Self> {
        let names = Names::new(&options.domain);
        let listener = TcpListener::bind((addresses.node(), OUTBOUND_PORT))?;
        let forwarder = Forwarder::start(listener, Arc::clone(&names))?;
        let ends = CancellationToken::new();
        // They end with their token, and have nothing to tell.
        let _watches = names.follow(&options.client, &ends);
        let (addresses, hosted) = (Mutex::new(addresses), Mutex::default());
        Ok(Self { options, forwarder, _names: ends.drop_guard(), addresses, hosted })
    }

    /// The URL of an HTTP proxy for the runtime's own calls to Services, from `namespace`.
    ///
    /// # Errors
    /// The system's, where it gives no random numbers.
    pub fn way_in(&self, namespace: &str) -> std::io::Result<String> {
        let token = secret().map_err(std::io::Error::other)?;
        let caller = Caller::of_node(namespace, IpAddr::V4(self.addresses.lock().node()));
        Ok(self.forwarder.admit(caller, &token))
    }

    /// The proxies of the pods that have one, by namespace and name.
    pub fn proxies(&self) -> Vec<HostedProxy> {
        let mut proxies: Vec<HostedProxy> = self.hosted.lock().values().map(Hosted::view).collect();
        proxies.sort_unstable_by(|a, b| (&a.namespace, &a.pod).cmp(&(&b.namespace, &b.pod)));
        proxies
    }

    fn attach_now(&self, pod: &PodSpecLite) -> Result<PodAttachment, NetworkError> {
        let addresses = self.addresses.lock().allocate(&pod.uid, pod.ip).map_err(|error| match error {
            AddressError::Full => NetworkError::NoAddress { range: format!("{MAX_PODS} loopback addresses") },
            error @ AddressError::NoBlock { .. } => failed(pod, error),
        })?;
        if !pod.meshed && !pod.gateway {
            let ip = IpAddr::V4(addresses.pod);
            let token = secret().map_err(|error| failed(pod, error))?;
            let url = self.forwarder.admit(Caller::of_pod(pod, ip), &token);
            let env = PROXY_VARIABLES.map(|name| (name.to_owned(), url.clone())).to_vec();
            return Ok(PodAttachment { pod_ip: ip, app_ip: ip, env });
        }
        let attached = self.host(pod, addresses);
        if attached.is_err() {
            self.release(&pod.uid);
        }
        attached
    }

    fn host(&self, pod: &PodSpecLite, addresses: PodAddresses) -> Result<PodAttachment, NetworkError> {
        let (pod_ip, app_ip) = (IpAddr::V4(addresses.pod), IpAddr::V4(addresses.app));
        let namespace: Arc<str> = pod.namespace.as_str().into();
        let name: Arc<str> = pod.name.as_str().into();
        let identity = SpiffeId::new(&self.options.trust_domain, &pod.namespace, &pod.service_account)
            .map_err(|error| failed(pod, error))?;
        let kind = if pod.gateway { ProxyKind::Router } else { ProxyKind::Sidecar };
        let mut env = Vec::new();
        let listeners = if pod.gateway {
            vec![self.gateway(pod, addresses)]
        } else {
            let token = secret().map_err(|error| failed(pod, error))?;
            let url = format!("http://pod:{token}@{pod_ip}:{OUTBOUND_PORT}");
            env.extend(PROXY_VARIABLES.map(|name| (name.to_owned(), url.clone())));
            let mut ports: Vec<u16> =
                pod.ports.iter().filter(|port| port.protocol == "TCP").map(|port| port.port).collect();
            ports.sort_unstable();
            ports.dedup();
            let inbound = ports.into_iter().map(|port| Bind::InboundExplicit {
                bind: SocketAddr::new(pod_ip, port),
                app: SocketAddr::new(app_ip, port),
            });
            let outbound = Bind::OutboundExplicit { bind: SocketAddr::new(pod_ip, OUTBOUND_PORT), token: token.into() };
            inbound.chain([outbound]).collect()
        };
        let log = self
            .options
            .logs
            .sink(&pod.namespace, &pod.name, &pod.uid, CONTAINER)
            .map_err(|error| failed(pod, error))?;
        let log = AccessLog::start(AccessLogFormat::Text, log).map_err(|error| failed(pod, error))?;

        let control = CancellationToken::new();
        let ends_control = control.clone().drop_guard();
        let plane = self.options.control.clone();
        let connect = in_memory(move || {
            let (plane, identity) = (plane.clone(), identity.clone());
            async move { plane.connect_in_memory(identity).await }
        });
        let node = NodeId { kind, ip: pod_ip, pod: name.clone(), namespace: namespace.clone() };
        // The connection proves who calls.
        let token = Arc::new(|| None);
        let directory = XdsClient::start(XdsConfig { node, connect, token }, control.clone());
        let registry = Registry::default();
        let mut config = ProxyConfig::new(name.clone(), namespace.clone(), directory.clone());
        config.listeners = listeners;
        config.registry = registry.clone();
        config.access_log = Some(Arc::new(log));
        let proxy = Proxy::start(&self.options.workers, config).map_err(|error| failed(pod, error))?;
        reachable::start(addresses.pod, &proxy.subject(), &control);
        let listed = self.options.registries.list(&format!("{namespace}/{name}"), registry);
        let hosted = Hosted { proxy, namespace, directory, _control: ends_control, _listed: listed };
        self.hosted.lock().insert(pod.uid.clone(), hosted);
        Ok(PodAttachment { pod_ip, app_ip, env })
    }

    fn gateway(&self, pod: &PodSpecLite, addresses: PodAddresses) -> Bind {
        let (label, value) = INGRESS_LABEL;
        let is_ingress = pod.labels.get(label).is_some_and(|found| found == value);
        let may = pod.labels.contains_key(GATEWAY_NAME) || (is_ingress && self.options.ingress.lend(&pod.uid));
        let (ingress, uid) = (Arc::clone(&self.options.ingress), pod.uid.clone());
        Bind::Gateway { addresses: Arc::new(move |port| ingress.addresses(addresses.pod, port, &uid, may)) }
    }

    fn release(&self, uid: &str) {
        self.forwarder.dismiss(uid);
        self.options.ingress.take_back(uid);
        self.addresses.lock().release(uid);
    }
}

impl PodNetwork for LoopbackNetwork {
    fn attach(&self, pod: &PodSpecLite) -> BoxFuture<'_, Result<PodAttachment, NetworkError>> {
        let pod = pod.clone();
        Box::pin(async move {
            // An attempt that was dropped half-way left its proxy behind.
            self.detach(&pod.uid).await;
            self.attach_now(&pod)
        })
    }

    fn detach(&self, uid: &str) -> BoxFuture<'_, ()> {
        let uid = uid.to_owned();
        Box::pin(async move {
            let hosted = self.hosted.lock().remove(&uid);
            if let Some(hosted) = hosted {
                hosted.end().await;
            }
            self.release(&uid);
        })
    }

    fn ask_proxy(&self, uid: &str, method: &http::Method, path_and_query: &str) -> Option<admin::Response> {
        let subject = self.hosted.lock().get(uid)?.proxy.subject();
        Some(admin::handle(admin::Request::of(method, path_and_query), &subject))
    }

    fn sidecar_ready(&self, uid: &str) -> bool {
        self.hosted.lock().get(uid).is_some_and(|hosted| *hosted.directory.ready().borrow())
    }
}

impl Hosted {
    fn view(&self) -> HostedProxy {
        HostedProxy {
            namespace: self.namespace.clone(),
            pod: self.proxy.name().clone(),
            ready: *self.directory.ready().borrow(),
            certificate_expires: self.directory.credentials().map(|credentials| credentials.expires()),
        }
    }

    /// Lets requests under way finish; what is not done in time is cut off.
    async fn end(self) {
        self.proxy.drain(DRAIN).await;
    }
}

impl fmt::Debug for LoopbackNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoopbackNetwork").field("pods", &self.hosted.lock().len()).finish_non_exhaustive()
    }
}

fn failed(pod: &PodSpecLite, reason: impl fmt::Display) -> NetworkError {
    NetworkError::Failed { pod: format!("{}/{}", pod.namespace, pod.name), reason: reason.to_string() }
}

/// 16 random bytes in hexadecimal.
fn secret() -> Result<String, &'static str> {
    let mut bytes = [0; 16];
    let random: &dyn SecureRandom = crate::tls::provider().secure_random;
    random.fill(&mut bytes).map_err(|_| "the system gives no random numbers")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
