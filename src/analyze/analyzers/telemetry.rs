//! Telemetries that select one pod together, or none, or name providers that do not work.

use serde_json::Value;

use super::selection::{Rows, conflicts, defaults, none};
use crate::analyze::Found;
use crate::analyze::codes::{
    CONFLICTING_TELEMETRY_WORKLOAD_SELECTORS, DEPRECATED, INVALID_TELEMETRY_PROVIDER,
    MULTIPLE_TELEMETRIES_WITHOUT_WORKLOAD_SELECTORS,
};
use crate::analyze::message::place;
use crate::analyze::object::{Object, items, text};
use crate::analyze::snapshot::Snapshot;

const ROWS: Rows = Rows {
    selector: "/spec/selector/matchLabels",
    steps: &["spec", "selector", "matchLabels"],
    conflict: CONFLICTING_TELEMETRY_WORKLOAD_SELECTORS,
    several: MULTIPLE_TELEMETRIES_WITHOUT_WORKLOAD_SELECTORS,
};

/// Those that are attached by selector, or to a namespace.
fn unattached(snapshot: &Snapshot) -> Vec<&Object> {
    let attached = |object: &Object| object.at("/spec/targetRef").is_some() || object.at("/spec/targetRefs").is_some();
    snapshot.all("Telemetry").iter().filter(|object| !attached(object)).collect()
}

/// Telemetries that select one pod together, or none.
pub fn selectors(snapshot: &Snapshot, found: &mut Found) {
    let all = unattached(snapshot);
    none(snapshot, &all, &ROWS, found);
    conflicts(snapshot, &all, &ROWS, found);
}

/// Several Telemetries for a whole namespace.
pub fn namespaces(snapshot: &Snapshot, found: &mut Found) {
    defaults(&unattached(snapshot), &ROWS, found);
}

/// Access logging that goes nowhere.
pub fn providers(snapshot: &Snapshot, found: &mut Found) {
    if !items(&snapshot.mesh_config, "/defaultProviders/accessLogging").is_empty() {
        return;
    }
    for telemetry in snapshot.all("Telemetry") {
        for (index, logging) in telemetry.items("/spec/accessLogging").iter().enumerate() {
            let disabled = logging.get("disabled").and_then(Value::as_bool).unwrap_or_default();
            if !disabled && items(logging, "/providers").is_empty() {
                let text = "Access logging names no provider, and the mesh has no default one: nothing is logged.";
                found.at(INVALID_TELEMETRY_PROVIDER, telemetry, &place!["spec", "accessLogging", index], text);
            }
        }
    }
}

/// Tracing by a provider that is on its way out.
pub fn lightstep(snapshot: &Snapshot, found: &mut Found) {
    let providers = items(&snapshot.mesh_config, "/extensionProviders");
    let old: Vec<&str> =
        providers.iter().filter(|one| one.get("lightstep").is_some()).map(|one| text(one, "/name")).collect();
    for telemetry in snapshot.all("Telemetry") {
        for (index, tracing) in telemetry.items("/spec/tracing").iter().enumerate() {
            for provider in items(tracing, "/providers") {
                let name = text(provider, "/name");
                if old.contains(&name) {
                    let text = format!(
                        "The provider {name} is a Lightstep one, which is deprecated: use an OpenTelemetry one."
                    );
                    found.at(DEPRECATED, telemetry, &place!["spec", "tracing", index, "providers"], text);
                }
            }
        }
    }
}
