//! The proxy's connection to the control plane: delta ADS and the workload's certificate, over one channel.
//!
//! [`XdsClient::start`] gives a [`Directory`] and the tasks that keep it. The stream comes and goes; what is held stays in
//! force while it is away, is announced with its versions when it is back, and only what changed is sent again
//! (`docs/wire.md` §10). An answer is acknowledged when it is in force; one that cannot be used is refused with the reason,
//! and leaves what was in force.
//!
//! The client does not know what carries it: a [`Connect`] gives a channel, over TCP and TLS or in memory, and the same code
//! runs over both.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::proxy::directory::{Directory, Holdings};

mod backoff;
mod certificate;
mod client;
mod decode;
mod link;
mod outbox;
mod transport;

pub use transport::{Connect, RootsSource, TransportError, in_memory, over, over_tls};

/// What a proxy is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProxyKind {
    /// It stands beside a workload and asks for what that uses.
    Sidecar,
    /// It is a gateway, and has listeners of its own.
    Router,
}

/// How a proxy announces itself. The control plane checks it against what the proxy has proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeId {
    /// What it is for.
    pub kind: ProxyKind,
    /// Address of its pod.
    pub ip: IpAddr,
    /// Name of its pod.
    pub pod: Arc<str>,
    /// Namespace of its pod.
    pub namespace: Arc<str>,
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            ProxyKind::Sidecar => "sidecar",
            ProxyKind::Router => "router",
        };
        let Self { ip, pod, namespace, .. } = self;
        write!(f, "{kind}~{ip}~{pod}.{namespace}~{namespace}.svc.cluster.local")
    }
}

/// Reads the service account token that proves the proxy to the control plane, anew each time, because it is rotated. `None`
/// where the connection itself proves who calls.
pub type TokenSource = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// What an [`XdsClient`] needs.
#[derive(Clone)]
pub struct XdsConfig {
    /// How the proxy announces itself.
    pub node: NodeId,
    /// How the control plane is reached.
    pub connect: Connect,
    /// How the proxy proves itself before it has a certificate.
    pub token: TokenSource,
}

impl fmt::Debug for XdsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("XdsConfig").field("node", &self.node).finish_non_exhaustive()
    }
}

/// What reads the time of day.
type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// The client of the control plane.
#[derive(Debug)]
pub struct XdsClient;

impl XdsClient {
    /// Starts the tasks that keep a directory, on the current tokio runtime. They end when `token` is cancelled; the
    /// directory then serves on from what it holds.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(config: XdsConfig, token: CancellationToken) -> Directory {
        Self::start_by(config, Arc::new(SystemTime::now), token)
    }

    fn start_by(config: XdsConfig, clock: Clock, token: CancellationToken) -> Directory {
        let (holdings, directory, questions) = Holdings::new(config.node.kind == ProxyKind::Router);
        let (publish_channel, channel) = watch::channel(None);
        let renewal = certificate::Renewal::new(&config, channel, holdings.shared().clone(), clock);
        tokio::spawn(renewal.run(token.clone()));
        tokio::spawn(client::Client::new(config, holdings, questions, publish_channel).run(token));
        directory
    }
}

#[cfg(test)]
mod tests;
