//! The seam between the node and the pod network.
//!
//! The node knows processes; where a pod's addresses come from, and which proxy stands beside it, is the network's.
//! The node attaches a pod before its first container starts and detaches it after the last one ended; it starts no
//! app before the pod's sidecar is ready.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use futures_util::future::BoxFuture;

use crate::proxy::admin;

/// What a network may know about a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodSpecLite {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// The pod's uid: the key of [`PodNetwork::detach`].
    pub uid: String,
    /// The address the pod had before the runtime was restarted, to be given again where it is free.
    pub ip: Option<IpAddr>,
    /// The service account that the pod's identity is made of.
    pub service_account: String,
    /// The pod's labels.
    pub labels: BTreeMap<String, String>,
    /// Every port an app container listens on: what its containers declare, else the built-in app's own.
    pub ports: Vec<PodPort>,
    /// A sidecar belongs to the pod.
    pub meshed: bool,
    /// The pod is a gateway: it has a proxy and no app.
    pub gateway: bool,
}

/// A port of an app container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodPort {
    /// `containerPort.name`.
    pub name: Option<String>,
    /// 1–65535.
    pub port: u16,
    /// `TCP` unless the container says otherwise.
    pub protocol: String,
}

/// A pod's place in the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodAttachment {
    /// `status.podIP`: what others call.
    pub pod_ip: IpAddr,
    /// Where the app listens; behind a sidecar this is not the pod's address.
    pub app_ip: IpAddr,
    /// Variables for every app container, `http_proxy` among them where the network has an explicit proxy.
    pub env: Vec<(String, String)>,
}

/// Why a pod has no network.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NetworkError {
    /// All addresses are taken.
    #[error("no free pod address in {range}; delete pods or give the runtime a larger range")]
    NoAddress {
        /// The range of pod addresses.
        range: String,
    },
    /// The pod's proxy or its listeners could not be set up.
    #[error("{pod}: {reason}")]
    Failed {
        /// `namespace/name`.
        pod: String,
        /// One sentence, with the remedy.
        reason: String,
    },
}

/// Gives pods their addresses and proxies.
pub trait PodNetwork: Send + Sync + 'static {
    /// Gives the pod its addresses, and starts its proxy if it is meshed or a gateway. Called again after a failure,
    /// and after `detach` when the pod is started anew.
    fn attach(&self, pod: &PodSpecLite) -> BoxFuture<'_, Result<PodAttachment, NetworkError>>;

    /// Ends the pod's proxy (draining it) and frees its addresses. Unknown uids are ignored.
    fn detach(&self, uid: &str) -> BoxFuture<'_, ()>;

    /// Asks the pod's proxy about itself: a path of its administration, and what is behind a `?`. `None` where the pod has no proxy.
    fn ask_proxy(&self, _uid: &str, _method: &http::Method, _path_and_query: &str) -> Option<admin::Response> {
        None
    }

    /// The pod's proxy serves: it has its certificate and its inbound policy. Asked repeatedly, so it must be cheap.
    fn sidecar_ready(&self, uid: &str) -> bool;
}

/// A network without proxies: every pod shares one address of the host. For tests, and for apps on their own.
#[derive(Debug, Clone)]
pub struct HostNetwork {
    ip: IpAddr,
}

impl HostNetwork {
    /// All pods listen on `ip`.
    pub const fn new(ip: IpAddr) -> Self {
        Self { ip }
    }
}

impl Default for HostNetwork {
    fn default() -> Self {
        Self::new(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }
}

impl PodNetwork for HostNetwork {
    fn attach(&self, _pod: &PodSpecLite) -> BoxFuture<'_, Result<PodAttachment, NetworkError>> {
        let attachment = PodAttachment { pod_ip: self.ip, app_ip: self.ip, env: Vec::new() };
        Box::pin(async move { Ok(attachment) })
    }

    fn detach(&self, _uid: &str) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn sidecar_ready(&self, _uid: &str) -> bool {
        true
    }
}
