//! What the runtime says about itself: served at [`PATH`] by its API server, read by `mesh status`.

use std::path::Path;
use std::time::SystemTime;

use k8s_openapi::api::core::v1::{Pod, PodSpec};
use serde::{Deserialize, Serialize};

use crate::control::ProxyStatus;
use crate::runtime::loopback::HostedProxy;
use crate::runtime::state;
use crate::runtime::traffic::Row;

/// Where the API server answers with it; not a resource, so not under `/api`.
pub const PATH: &str = "/mesh/status";

/// The runtime's state at a moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuntimeStatus {
    /// Version of the program.
    pub version: String,
    /// Process id.
    pub pid: u32,
    /// Seconds since it started.
    pub uptime_seconds: u64,
    /// URL of the API server.
    pub api: String,
    /// URL of the ingress gateway.
    pub ingress: String,
    /// Path of the kubeconfig.
    pub kubeconfig: String,
    /// The pod network and what it can't do.
    pub network: String,
    /// Pods, by namespace and name.
    pub pods: Vec<PodStatus>,
    /// Requests since the runtime started.
    pub traffic: Vec<Row>,
}

/// One pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodStatus {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Address.
    pub ip: String,
    /// Ready containers of all, `2/2`.
    pub ready: String,
    /// Whether its proxy has acknowledged what it was sent; `-` without a proxy.
    pub proxy: String,
    /// Until when its proxy's certificate holds; `-` without one.
    pub certificate: String,
}

/// The pods, each with what its proxy and the control plane say about it.
pub(super) fn pods(
    pods: &[Pod],
    proxies: &[HostedProxy],
    connected: &[ProxyStatus],
    generation: u64,
) -> Vec<PodStatus> {
    pods.iter()
        .map(|pod| {
            let namespace = pod.metadata.namespace.clone().unwrap_or_default();
            let name = pod.metadata.name.clone().unwrap_or_default();
            let proxy = proxies.iter().find(|proxy| *proxy.namespace == *namespace && *proxy.pod == *name);
            // `sidecar~IP~POD.NAMESPACE~DOMAIN`
            let node = format!("{name}.{namespace}");
            let stream = connected.iter().rev().find(|status| status.node.split('~').nth(2) == Some(node.as_str()));
            let ip = pod.status.as_ref().and_then(|status| status.pod_ip.clone()).unwrap_or_else(|| "-".to_owned());
            PodStatus {
                ip,
                ready: ready(pod),
                proxy: proxy.map_or("-", |_| configuration(stream, generation)).to_owned(),
                certificate: proxy.map_or_else(|| "-".to_owned(), certificate),
                namespace,
                name,
            }
        })
        .collect()
}

/// Ready containers of all, restartable init containers among them.
fn ready(pod: &Pod) -> String {
    let restartable = |spec: &PodSpec| -> usize {
        let init = spec.init_containers.iter().flatten();
        init.filter(|container| container.restart_policy.as_deref() == Some("Always")).count()
    };
    let all = pod.spec.as_ref().map_or(0, |spec| spec.containers.len() + restartable(spec));
    let statuses = pod.status.as_ref().map(|status| {
        status
            .container_statuses
            .iter()
            .chain(&status.init_container_statuses)
            .flatten()
            .filter(|one| one.ready)
            .count()
    });
    format!("{}/{all}", statuses.unwrap_or(0))
}

fn configuration(stream: Option<&ProxyStatus>, generation: u64) -> &'static str {
    match stream {
        None => "not connected",
        Some(ProxyStatus { last_nack: Some(_), .. }) => "refused",
        Some(status) if status.generation >= generation => "in sync",
        Some(_) => "behind",
    }
}

fn certificate(proxy: &HostedProxy) -> String {
    let Some(expires) = proxy.certificate_expires else { return "none yet".to_owned() };
    match expires.duration_since(SystemTime::now()) {
        Ok(left) if left.as_secs() >= 7200 => format!("{} h left", left.as_secs() / 3600),
        Ok(left) => format!("{} min left", left.as_secs() / 60),
        Err(_) => "expired".to_owned(),
    }
}

/// Why the runtime's status can't be had.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// The kubeconfig can't be used.
    #[error("can't use {path}: {source}")]
    Kubeconfig {
        /// Its path.
        path: String,
        /// What is wrong with it.
        source: kube::config::KubeconfigError,
    },
    /// The API server does not answer.
    #[error("the runtime's API server does not answer: {0}")]
    NoAnswer(#[from] kube::Error),
}

/// Asks the runtime on `root`.
pub async fn fetch(root: &Path) -> Result<RuntimeStatus, StatusError> {
    let path = state::kubeconfig_path(root);
    let failed = |source| StatusError::Kubeconfig { path: path.display().to_string(), source };
    let kubeconfig = kube::config::Kubeconfig::read_from(&path).map_err(failed)?;
    let options = kube::config::KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(failed)?;
    let client = kube::Client::try_from(config)?;
    let request = http::Request::get(PATH).body(Vec::new()).map_err(kube::Error::HttpError)?;
    Ok(client.request(request).await?)
}
