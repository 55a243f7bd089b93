//! What a runtime starts with: the definitions of the mesh's kinds, and the objects of `istio-system`.

use serde_json::Value;

use crate::kube::{self, ApplyOptions, Connection, ObjectRef};
use crate::resources;
use crate::runtime::samples::manifests::Manifest;
use crate::yaml;

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
    /// The API server refuses one.
    #[error(transparent)]
    Api(#[from] kube::Error),
}

/// Brings the definitions up to date and creates what is missing in `istio-system`; what is there stays as its users made it.
pub async fn seed(connection: &Connection) -> Result<(), SeedError> {
    for definition in resources::crds() {
        kube::apply(connection, &definition, ApplyOptions { force: true, dry_run: false }).await?;
    }
    for object in objects(&SYSTEM)? {
        if kube::get(connection, &ObjectRef::of(&object)?).await?.is_none() {
            kube::apply(connection, &object, ApplyOptions::default()).await?;
        }
    }
    Ok(())
}

/// The objects of a manifest, in its order.
pub fn objects(manifest: &Manifest) -> Result<Vec<Value>, SeedError> {
    let loaded = yaml::load(manifest.path, manifest.text.as_bytes());
    match loaded.errors.into_iter().next() {
        Some(error) => Err(SeedError::Manifest(error)),
        None => Ok(loaded.documents.into_iter().map(|document| document.value).collect()),
    }
}
