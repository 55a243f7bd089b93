//! EnvoyFilters whose changes depend on what others change, or can't be made.

use std::collections::HashSet;

use serde_json::Value;

use crate::analyze::Found;
use crate::analyze::codes::{
    Code, ENVOY_FILTER_USES_ADD_OPERATION_INCORRECTLY, ENVOY_FILTER_USES_RELATIVE_OPERATION,
    ENVOY_FILTER_USES_RELATIVE_OPERATION_WITH_PROXY_VERSION, ENVOY_FILTER_USES_REMOVE_OPERATION_INCORRECTLY,
    ENVOY_FILTER_USES_REPLACE_OPERATION_INCORRECTLY,
};
use crate::analyze::message::place;
use crate::analyze::object::text;
use crate::analyze::snapshot::Snapshot;

/// What REPLACE can replace.
const REPLACEABLE: &[&str] = &["NETWORK_FILTER", "HTTP_FILTER", "VIRTUAL_HOST"];

/// What can neither be added to nor removed from.
const FIXED: &[&str] = &["ROUTE_CONFIGURATION", "HTTP_ROUTE"];

/// All of them.
pub fn run(snapshot: &Snapshot, found: &mut Found) {
    let mut seen = HashSet::new();
    for filter in snapshot.all("EnvoyFilter") {
        let ordered = filter.at("/spec/priority").and_then(Value::as_i64).unwrap_or_default() != 0;
        for (index, patch) in filter.items("/spec/configPatches").iter().enumerate() {
            let apply_to = text(patch, "/applyTo");
            let operation = text(patch, "/patch/operation");
            let name = text(patch, "/patch/value/name");
            let versioned = !text(patch, "/match/proxy/proxyVersion").is_empty();
            let place = place!["spec", "configPatches", index, "patch", "operation"];
            let mut note = |code: Code, why: String| found.at(code, filter, &place, why);
            let replaces = operation == "REPLACE";
            let allowed = !replaces || REPLACEABLE.contains(&apply_to);
            if !allowed {
                let why = format!("REPLACE has no effect on {apply_to}: it replaces {} only.", REPLACEABLE.join(", "));
                note(ENVOY_FILTER_USES_REPLACE_OPERATION_INCORRECTLY, why);
            }
            if operation == "ADD" && FIXED.contains(&apply_to) {
                note(
                    ENVOY_FILTER_USES_ADD_OPERATION_INCORRECTLY,
                    format!("ADD has no effect on {apply_to}: use MERGE."),
                );
            }
            let removable = operation != "REMOVE" || !FIXED.contains(&apply_to);
            if !removable {
                let why = format!("REMOVE has no effect on {apply_to}.");
                note(ENVOY_FILTER_USES_REMOVE_OPERATION_INCORRECTLY, why);
            }
            let relative = matches!(operation, "INSERT_BEFORE" | "INSERT_AFTER" | "REMOVE" | "REPLACE");
            if relative && allowed && removable && !ordered {
                let again = !name.is_empty() && !seen.insert(name) && versioned;
                if again {
                    let why = format!(
                        "{operation} depends on the order of EnvoyFilters, and the proxy's version decides which of several changes to {name} is made: set priority, or use INSERT_FIRST."
                    );
                    note(ENVOY_FILTER_USES_RELATIVE_OPERATION_WITH_PROXY_VERSION, why);
                } else {
                    let why = format!(
                        "{operation} depends on the order of EnvoyFilters, which is not fixed: set priority, or use INSERT_FIRST."
                    );
                    note(ENVOY_FILTER_USES_RELATIVE_OPERATION, why);
                }
            }
        }
    }
}
