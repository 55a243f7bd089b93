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

/// The running demo.
#[derive(Debug)]
pub struct Demo {
    visitor: Visitor,
    pods: usize,
}

impl Demo {
    /// Someone who visits it.
    pub fn visitor(&self) -> Visitor {
        self.visitor.clone()
    }

    /// How many pods it has.
    pub fn pods(&self) -> usize {
        self.pods
    }
}

/// Puts Bookinfo in place and waits until its first page has come through `ingress`. What is there already stays, so that a demo
/// that was changed is found as it was left. `progress` is told what is waited for.
///
/// The wait has no bound of its own.
pub async fn start(connection: &Connection, ingress: &str, progress: impl Fn(&str)) -> Result<Demo, DemoError> {
    let namespaces = Api::<Namespace>::all(connection.client.clone());
    let label = json!({ "metadata": { "labels": { "istio-injection": "enabled" } } });
    namespaces.patch(NAMESPACE, &PatchParams::default(), &Patch::Merge(&label)).await?;
    for manifest in manifests::DEMO {
        progress(manifest.path);
        for mut object in seed::objects(&manifest)? {
            if let Some(metadata) = object.get_mut("metadata").and_then(serde_json::Value::as_object_mut) {
                metadata.entry("namespace").or_insert_with(|| NAMESPACE.into());
            }
            let reference = client::ObjectRef::of(&object).map_err(SeedError::from)?;
            if client::get(connection, &reference).await.map_err(SeedError::from)?.is_none() {
                client::apply(connection, &object, ApplyOptions::default()).await.map_err(SeedError::from)?;
            }
        }
    }
    let deployments = Api::<Deployment>::namespaced(connection.client.clone(), NAMESPACE);
    let pods = loop {
        let listed = deployments.list(&ListParams::default()).await?;
        let missing = listed.items.iter().find(|deployment| available(deployment) < wanted(deployment));
        match missing {
            None => break listed.items.iter().map(wanted).sum(),
            Some(deployment) => progress(deployment.metadata.name.as_deref().unwrap_or_default()),
        }
        sleep(POLL).await;
    };
    progress("the ingress gateway");
    let visitor = Visitor::new(ingress);
    // Listeners, routes and endpoints follow the pods by some milliseconds, and what is known of deployments may be of an earlier
    // life.
    while !is_whole(&visitor).await {
        sleep(POLL).await;
    }
    Ok(Demo { visitor, pods })
}

/// Whether the first page is there, and the reviews for everybody.
async fn is_whole(visitor: &Visitor) -> bool {
    visitor.product_page(false).await.is_ok()
        && visitor.reviews_version(true).await.is_ok()
        && visitor.reviews_version(false).await.is_ok()
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
