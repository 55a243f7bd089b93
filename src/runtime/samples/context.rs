//! What an app knows about the pod it runs in.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use parking_lot::Mutex;

use super::client::{Client, ProxyAddress};

/// The environment variables an app reads, parsed once at its start.
#[derive(Debug, Clone)]
pub struct Environment {
    /// Where to listen (`APP_IP`; all addresses when unset).
    pub listen_ip: IpAddr,
    /// The pod's name (`POD_NAME`, else `HOSTNAME`).
    pub pod_name: String,
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
            cluster_name: non_empty("CLUSTER_NAME"),
            service_version: non_empty("SERVICE_VERSION"),
            services_domain: non_empty("SERVICES_DOMAIN"),
            arguments: non_empty("APP_ARGS").map_or_else(Vec::new, |all| all.lines().map(str::to_owned).collect()),
            proxy,
        })
    }
}

/// What a running app holds: its environment, its client, and the state that lives as long as the process.
pub struct AppContext {
    pub(super) environment: Environment,
    pub(super) client: Client,
    /// Ratings that were posted, by product id.
    pub(super) posted_ratings: Mutex<BTreeMap<u32, serde_json::Value>>,
}

impl AppContext {
    /// A context whose calls go through the environment's proxy, or directly where there is none.
    pub fn new(environment: Environment) -> Self {
        Self {
            client: Client::new(environment.proxy.clone()),
            environment,
            posted_ratings: Mutex::new(BTreeMap::new()),
        }
    }

    /// The URL of a Bookinfo service.
    pub(super) fn service_url(&self, service: &str, path: &str) -> String {
        match &self.environment.services_domain {
            Some(domain) => format!("http://{service}.{domain}:9080{path}"),
            None => format!("http://{service}:9080{path}"),
        }
    }
}
