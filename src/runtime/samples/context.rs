//! What an app knows about the pod it runs in.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, broadcast};

use super::client::{Client, ProxyAddress};
use super::jaeger::store::Store;
use super::websocket;

/// Posts that a slow WebSocket may be behind; it misses older ones.
const POSTS: usize = 64;

/// Requests whose tries are counted at one time.
const TRIED: usize = 4096;

/// Variables that apps repeat as they are, or that say how they serve.
const SHOWN: &[&str] = &[
    "NAMESPACE",
    "INGRESS_NAME",
    "SERVICE_NAME",
    "POD_IP",
    "INSTANCE_IP",
    "ECHO_TEXT",
    "PODINFO_UI_COLOR",
    "PODINFO_UI_MESSAGE",
    "GRPC_ECHO_SERVER",
    "TCP_ECHO_SERVER",
    "HTTP_PORT",
    "H2C_PORT",
    "HTTPS_PORT",
    "TCP_PORT",
    "TLS_PORT",
    "TLS_SERVER_CERT",
    "TLS_SERVER_PRIVKEY",
    "TLS_SERVER_PRIV_KEY",
    "TLS_CLIENT_CACERTS",
];

/// The environment variables an app reads, parsed once at its start.
#[derive(Debug, Clone)]
pub struct Environment {
    /// Where to listen (`APP_IP`; all addresses when unset).
    pub listen_ip: IpAddr,
    /// The pod's name (`POD_NAME`, else `HOSTNAME`).
    pub pod_name: String,
    /// What the image's own variables say (`NAMESPACE`, `SERVICE_NAME`, `ECHO_TEXT`, …), for apps that repeat them.
    pub shown: BTreeMap<&'static str, String>,
    /// The cluster's name (`CLUSTER_NAME`), as Bookinfo's reviews report it.
    pub cluster_name: Option<String>,
    /// `SERVICE_VERSION`, which overrides helloworld's built-in version.
    pub service_version: Option<String>,
    /// `SERVICES_DOMAIN`: appended to the names of the services that Bookinfo calls.
    pub services_domain: Option<String>,
    /// The container's arguments (`APP_ARGS`, one on each line).
    pub arguments: Vec<String>,
    /// The outbound proxy (`http_proxy`, else `HTTP_PROXY`).
    pub proxy: Option<ProxyAddress>,
}

impl Environment {
    /// Reads the environment through `lookup`. A value that cannot be parsed is an error that names its variable.
    pub fn parse(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let non_empty = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let listen_ip = match non_empty("APP_IP") {
            Some(text) => text.parse().map_err(|_| format!("APP_IP is {text:?}: expected an IP address"))?,
            None => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        let proxy = match non_empty("http_proxy").or_else(|| non_empty("HTTP_PROXY")) {
            Some(text) => Some(ProxyAddress::parse(&text).map_err(|error| format!("http_proxy: {error}"))?),
            None => None,
        };
        Ok(Self {
            listen_ip,
            pod_name: non_empty("POD_NAME").or_else(|| non_empty("HOSTNAME")).unwrap_or_else(|| "unknown".to_owned()),
            shown: SHOWN.iter().filter_map(|name| Some((*name, non_empty(name)?))).collect(),
            cluster_name: non_empty("CLUSTER_NAME"),
            service_version: non_empty("SERVICE_VERSION"),
            services_domain: non_empty("SERVICES_DOMAIN"),
            arguments: non_empty("APP_ARGS").map_or_else(Vec::new, |all| all.lines().map(str::to_owned).collect()),
            proxy,
        })
    }
}

impl Environment {
    /// One of the variables that apps repeat; empty where it is not set.
    pub(super) fn shown(&self, name: &str) -> &str {
        self.shown.get(name).map_or("", String::as_str)
    }
}

/// What a running app holds: its environment, its client, and the state that lives as long as the process.
pub struct AppContext {
    pub(super) environment: Environment,
    pub(super) client: Client,
    /// Ratings that were posted, by product id.
    pub(super) posted_ratings: Mutex<BTreeMap<u32, serde_json::Value>>,
    /// Permits for WebSocket sessions.
    pub(super) sessions: Arc<Semaphore>,
    /// What was posted for everybody who listens on a WebSocket.
    pub(super) posts: broadcast::Sender<String>,
    /// What was told to a collector of traces.
    pub(super) traces: Mutex<Store>,
    /// How often each request was tried, by the id that it gives itself.
    tries: Mutex<BTreeMap<String, u32>>,
}

impl AppContext {
    /// A context whose calls go through the environment's proxy, or directly where there is none.
    pub fn new(environment: Environment) -> Self {
        Self {
            client: Client::new(environment.proxy.clone()),
            environment,
            posted_ratings: Mutex::new(BTreeMap::new()),
            sessions: websocket::permits(),
            posts: broadcast::channel(POSTS).0,
            traces: Mutex::default(),
            tries: Mutex::new(BTreeMap::new()),
        }
    }

    /// One of the variables that apps repeat; empty where it is not set.
    pub(super) fn shown(&self, name: &str) -> &str {
        self.environment.shown(name)
    }

    /// Counts the tries of a request by the id that it gives itself: how many there were before. Ids beyond [`TRIED`] are new ones.
    pub(super) fn tried(&self, id: &str) -> u32 {
        let mut tries = self.tries.lock();
        if tries.len() >= TRIED && !tries.contains_key(id) {
            tries.clear();
        }
        let count = tries.entry(id.to_owned()).or_default();
        let before = *count;
        *count = before.saturating_add(1);
        before
    }

    /// The URL of a Bookinfo service.
    pub(super) fn service_url(&self, service: &str, path: &str) -> String {
        match &self.environment.services_domain {
            Some(domain) => format!("http://{service}.{domain}:9080{path}"),
            None => format!("http://{service}:9080{path}"),
        }
    }
}
