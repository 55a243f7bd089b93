//! Networks whose endpoints come from a registry that does not exist.

use serde_json::Value;

use crate::analyze::codes::UNKNOWN_MESH_NETWORKS_SERVICE_REGISTRY;
use crate::analyze::object::{items, text};
use crate::analyze::snapshot::Snapshot;
use crate::analyze::{Found, Message};

/// The registries that are always there.
const BUILT_IN: &[&str] = &["Mock", "Kubernetes", "External"];

/// All of them.
pub fn run(snapshot: &Snapshot, found: &mut Found) {
    let networks =
        snapshot.mesh_networks.as_ref().and_then(|settings| settings.get("networks")).and_then(Value::as_object);
    let Some(networks) = networks else { return };
    let secrets = snapshot.all("Secret").iter().filter(|secret| secret.label("istio/multiCluster") == "true");
    let remote: Vec<&str> = secrets
        .flat_map(|secret| ["/data", "/stringData"].map(|pointer| secret.at(pointer)))
        .flatten()
        .filter_map(Value::as_object)
        .flat_map(|data| data.keys().map(String::as_str))
        .collect();
    for (name, network) in networks {
        for endpoint in items(network, "/endpoints") {
            let registry = text(endpoint, "/fromRegistry");
            if registry.is_empty() || BUILT_IN.contains(&registry) || remote.contains(&registry) {
                continue;
            }
            let text = format!(
                "The network {name} has its endpoints from {registry}, which is no registry: name one of {}, or a cluster that a secret knows.",
                BUILT_IN.join(", ")
            );
            let namespace = &snapshot.options.istio_namespace;
            let message =
                Message::about(UNKNOWN_MESH_NETWORKS_SERVICE_REGISTRY, "MeshNetworks", namespace, "meshnetworks", text);
            found.push(message);
        }
    }
}
