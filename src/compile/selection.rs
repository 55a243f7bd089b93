//! Which workloads a policy is about.

use crate::compile::world::World;
use crate::model::Workload;
use crate::resources::Object;
use crate::resources::peer_authentication::WorkloadSelector;

/// Whether a selector names labels; one that does not is about every workload.
pub(super) fn selects_some(selector: Option<&WorkloadSelector>) -> bool {
    selector.is_some_and(|selector| !selector.match_labels.is_empty())
}

/// Whether a workload has every label that a selector names.
pub(super) fn selects(selector: Option<&WorkloadSelector>, workload: &Workload) -> bool {
    selector.is_none_or(|selector| selector.match_labels.iter().all(|(key, value)| workload.label(key) == Some(value)))
}

/// Whether a policy is about a workload: it is of the workload's namespace, or of the mesh's root namespace, and selects it.
pub(super) fn concerns<T>(
    world: &World,
    object: &Object<T>,
    selector: Option<&WorkloadSelector>,
    workload: &Workload,
) -> bool {
    let namespace = object.meta.namespace.as_str();
    (namespace == &*workload.namespace || namespace == &*world.root_namespace) && selects(selector, workload)
}
