//! What the runtime says about itself: served at [`PATH`] by its API server, read by `mesh status`.

use std::path::Path;

use serde::{Deserialize, Serialize};

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
