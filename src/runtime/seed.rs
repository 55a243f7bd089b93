//! What a runtime starts with: the definitions of the mesh's kinds, and the objects of `istio-system`.

use ::kube::api::{Api, ListParams, Patch, PatchParams};
use ::kube::core::GroupVersionKind;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use serde_json::{Value, json};

use crate::kube::{self, ApplyOptions, Connection, ObjectRef};
use crate::resources;
use crate::runtime::samples::manifests::Manifest;
use crate::runtime::state::{StateDir, StateError};
use crate::yaml;

/// Which definitions were applied, each with a digest.
const APPLIED: &str = "definitions";

/// The namespace of the control plane and the ingress gateway.
const SYSTEM: Manifest = Manifest {
    path: "manifests/runtime/istio-system.yaml",
    text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/manifests/runtime/istio-system.yaml")),
};

/// Objects that cannot be put in place.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// A manifest of this program cannot be read.
    #[error("{0}")]
    Manifest(yaml::Error),
    /// The data directory cannot be written.
    #[error(transparent)]
    State(#[from] StateError),
    /// The API server refuses one.
    #[error(transparent)]
    Api(#[from] kube::Error),
}

/// Brings the definitions up to date and creates what is missing in `istio-system`; what is there stays as its users made it.
pub async fn seed(connection: &Connection, state: &StateDir) -> Result<(), SeedError> {
    define(connection, state).await?;
    for object in objects(&SYSTEM)? {
        if kube::get(connection, &ObjectRef::of(&object)?).await?.is_none() {
            kube::apply(connection, &object, ApplyOptions::default()).await?;
        }
    }
    Ok(())
}

/// Takes back that pods were ready in an earlier life of the runtime, which may have ended without a word: nothing of them runs any
/// more, and nobody is to be sent to them until their new processes are ready.
///
/// # Errors
/// The API server does not answer.
pub async fn forget_lives(connection: &Connection) -> Result<(), ::kube::Error> {
    let (parameters, change) = (ListParams::default(), PatchParams::default());
    let pods = Api::<Pod>::all(connection.client.clone()).list(&parameters).await?;
    for pod in pods {
        let Some(mut conditions) = pod.status.and_then(|status| status.conditions) else { continue };
        let mut was_ready = false;
        for condition in conditions.iter_mut().filter(|condition| condition.status == "True") {
            if matches!(condition.type_.as_str(), "Ready" | "ContainersReady") {
                condition.status = "False".to_owned();
                condition.reason = Some("NodeRestarted".to_owned());
                was_ready = true;
            }
        }
        if let (true, Some(name), Some(namespace)) = (was_ready, pod.metadata.name, pod.metadata.namespace) {
            let lost = json!({"status": {"conditions": conditions}});
            let pods = Api::<Pod>::namespaced(connection.client.clone(), &namespace);
            pods.patch_status(&name, &change, &Patch::Merge(lost)).await?;
        }
    }
    let slices = Api::<EndpointSlice>::all(connection.client.clone()).list(&parameters).await?;
    for slice in slices {
        let mut endpoints = slice.endpoints.unwrap_or_default();
        let is_pod = |endpoint: &&mut Endpoint| {
            endpoint.target_ref.as_ref().is_some_and(|target| target.kind.as_deref() == Some("Pod"))
        };
        let mut was_ready = false;
        for conditions in endpoints.iter_mut().filter(is_pod).filter_map(|endpoint| endpoint.conditions.as_mut()) {
            was_ready |= conditions.ready != Some(false);
            conditions.ready = Some(false);
        }
        if let (true, Some(name), Some(namespace)) = (was_ready, slice.metadata.name, slice.metadata.namespace) {
            let slices = Api::<EndpointSlice>::namespaced(connection.client.clone(), &namespace);
            slices.patch(&name, &change, &Patch::Merge(json!({"endpoints": endpoints}))).await?;
        }
    }
    Ok(())
}

/// Applies the definitions that the server does not have as this program makes them. They are large, and a start is to be quick.
async fn define(connection: &Connection, state: &StateDir) -> Result<(), SeedError> {
    let applied = std::fs::read_to_string(state.path(APPLIED)).unwrap_or_default();
    let mut all = String::new();
    for definition in resources::crds().chain(resources::gateway_api_crds()) {
        let name = definition.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let digest = twox_hash::XxHash64::oneshot(0, &serde_json::to_vec(&definition).unwrap_or_default());
        let line = format!("{name} {digest:016x}");
        if !applied.lines().any(|known| known == line) || !is_served(connection, &definition).await {
            kube::apply(connection, &definition, ApplyOptions { force: true, dry_run: false }).await?;
        }
        all.push_str(&line);
        all.push('\n');
    }
    if all != applied {
        state.write_private(APPLIED, all.as_bytes())?;
    }
    Ok(())
}

async fn is_served(connection: &Connection, definition: &Value) -> bool {
    let text = |path: &str| definition.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let kind = GroupVersionKind::gvk(text("/spec/group"), text("/spec/versions/0/name"), text("/spec/names/kind"));
    ::kube::discovery::pinned_kind(&connection.client, &kind).await.is_ok()
}

/// The objects of a manifest, in its order.
pub fn objects(manifest: &Manifest) -> Result<Vec<Value>, SeedError> {
    let loaded = yaml::load(manifest.path, manifest.text.as_bytes());
    match loaded.errors.into_iter().next() {
        Some(error) => Err(SeedError::Manifest(error)),
        None => Ok(loaded.documents.into_iter().map(|document| document.value).collect()),
    }
}
