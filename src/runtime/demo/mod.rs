//! The demo: Bookinfo behind the ingress gateway, its visitors, and the proof that the mesh did with their requests what it says.

pub mod proof;
pub mod traffic;

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::json;
use tokio::time::sleep;

use crate::kube::{self as client, ApplyOptions, Connection};
use crate::runtime::samples::manifests;
use crate::runtime::seed::{self, SeedError};

use self::traffic::{TrafficError, Visitor};

/// Where Bookinfo runs.
const NAMESPACE: &str = "default";

/// Label of a namespace whose pods get proxies.
const INJECTION: &str = "istio-injection";

/// Time between two looks at what is not ready yet.
const POLL: Duration = Duration::from_millis(20);

/// Why the demo does not start.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// One of its objects cannot be put in place.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// The API server does not answer.
    #[error("the API server: {0}")]
    Api(#[from] kube::Error),
    /// The first request is not answered.
    #[error(transparent)]
    Traffic(#[from] TrafficError),
}

/// The demo in its place.
pub struct Demo {
    visitor: Visitor,
    deployments: Api<Deployment>,
    /// Those of its own: what else is in the namespace may never be ready.
    own: Vec<String>,
}

impl Demo {
    /// Someone who visits it.
    pub fn visitor(&self) -> Visitor {
        self.visitor.clone()
    }

    /// Waits until its first page has come through the ingress, and says how many pods it has. `progress` is told what is waited
    /// for. The wait has no bound of its own: a demo that was changed may never be ready.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn ready(&self, progress: impl Fn(&str)) -> Result<usize, DemoError> {
        let pods = loop {
            let mut listed = self.deployments.list(&ListParams::default()).await?.items;
            listed.retain(|found| found.metadata.name.as_ref().is_some_and(|name| self.own.contains(name)));
            let missing = listed.iter().find(|deployment| available(deployment) < wanted(deployment));
            match missing {
                None => break listed.iter().map(wanted).sum(),
                Some(deployment) => progress(deployment.metadata.name.as_deref().unwrap_or_default()),
            }
            sleep(POLL).await;
        };
        progress("the ingress gateway");
        // Listeners, routes and endpoints follow the pods by some milliseconds, and what is known of deployments may be of an earlier
        // life.
        while let Err(not_yet) = self.whole().await {
            progress(&not_yet.to_string());
            sleep(POLL).await;
        }
        Ok(pods)
    }

    /// Whether the first page is there, and the reviews for everybody.
    async fn whole(&self) -> Result<(), TrafficError> {
        self.visitor.product_page(false).await?;
        self.visitor.reviews_version(true).await?;
        self.visitor.reviews_version(false).await.map(drop)
    }
}

/// Puts Bookinfo in place, for visitors through `ingress`. What is there already stays, so that a demo that was changed is found as it
/// was left. `progress` is told what is put in place.
///
/// # Errors
/// The API server does not answer, or refuses an object.
pub async fn start(connection: &Connection, ingress: &str, progress: impl Fn(&str)) -> Result<Demo, DemoError> {
    let namespaces = Api::<Namespace>::all(connection.client.clone());
    let labels = namespaces.get(NAMESPACE).await?.metadata.labels.unwrap_or_default();
    if !labels.contains_key(INJECTION) {
        let label = json!({ "metadata": { "labels": { INJECTION: "enabled" } } });
        namespaces.patch(NAMESPACE, &PatchParams::default(), &Patch::Merge(&label)).await?;
    }
    let mut own = Vec::new();
    for manifest in manifests::DEMO {
        progress(manifest.path);
        for mut object in seed::objects(&manifest)? {
            if let Some(metadata) = object.get_mut("metadata").and_then(serde_json::Value::as_object_mut) {
                metadata.entry("namespace").or_insert_with(|| NAMESPACE.into());
            }
            let reference = client::ObjectRef::of(&object).map_err(SeedError::from)?;
            if reference.kind == "Deployment" {
                own.push(reference.name.clone());
            }
            if client::get(connection, &reference).await.map_err(SeedError::from)?.is_none() {
                client::apply(connection, &object, ApplyOptions::default()).await.map_err(SeedError::from)?;
            }
        }
    }
    let deployments = Api::<Deployment>::namespaced(connection.client.clone(), NAMESPACE);
    Ok(Demo { visitor: Visitor::new(ingress), deployments, own })
}

fn wanted(deployment: &Deployment) -> usize {
    count(deployment.spec.as_ref().and_then(|spec| spec.replicas).or(Some(1)))
}

fn available(deployment: &Deployment) -> usize {
    count(deployment.status.as_ref().and_then(|status| status.available_replicas))
}

fn count(replicas: Option<i32>) -> usize {
    replicas.and_then(|replicas| usize::try_from(replicas).ok()).unwrap_or(0)
}
