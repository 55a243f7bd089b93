//! Sidecars that select one pod together, or none, or have no effect.

use crate::analyze::Found;
use crate::analyze::codes::{
    CONFLICTING_SIDECAR_WORKLOAD_SELECTORS, INEFFECTIVE_POLICY, MULTIPLE_SIDECARS_WITHOUT_WORKLOAD_SELECTORS,
};
use crate::analyze::object::Object;
use crate::analyze::snapshot::Snapshot;

/// All of them.
pub fn run(snapshot: &Snapshot, found: &mut Found) {
    let sidecars: Vec<&Object> = snapshot.all("Sidecar").iter().collect();
    let rows = super::selection::Rows {
        selector: "/spec/workloadSelector/labels",
        steps: &["spec", "workloadSelector", "labels"],
        conflict: CONFLICTING_SIDECAR_WORKLOAD_SELECTORS,
        several: MULTIPLE_SIDECARS_WITHOUT_WORKLOAD_SELECTORS,
    };
    super::selection::none(snapshot, &sidecars, &rows, found);
    super::selection::conflicts(snapshot, &sidecars, &rows, found);
    super::selection::defaults(&sidecars, &rows, found);
    for sidecar in sidecars {
        let selector = sidecar.map(rows.selector);
        let ambient = if selector.is_empty() {
            snapshot.is_ambient_namespace(&sidecar.namespace)
        } else {
            snapshot.selected(&selector, Some(&sidecar.namespace)).iter().any(|pod| snapshot.is_ambient(pod))
        };
        if ambient {
            let text = "The Sidecar takes pods of ambient mode, which have no sidecar: it has no effect on them.";
            found.note(INEFFECTIVE_POLICY, sidecar, text);
        }
    }
}
