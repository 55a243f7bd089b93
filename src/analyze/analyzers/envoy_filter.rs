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

/// All of them; that a filter depends on others is said once.
pub fn run(snapshot: &Snapshot, found: &mut Found) {
    // Names of what is changed for some versions of the proxy only.
    let mut versioned: HashSet<&str> = HashSet::new();
    for filter in snapshot.all("EnvoyFilter") {
        let ordered = filter.at("/spec/priority").and_then(Value::as_i64).unwrap_or_default() != 0;
        let mut said: Vec<Code> = Vec::new();
        for (index, patch) in filter.items("/spec/configPatches").iter().enumerate() {
            let (apply_to, operation) = (text(patch, "/applyTo"), text(patch, "/patch/operation"));
            let place = place!["spec", "configPatches", index, "patch", "operation"];
            if let Some((code, why)) = impossible(apply_to, operation) {
                found.at(code, filter, &place, why);
                continue;
            }
            let relative = matches!(operation, "INSERT_BEFORE" | "INSERT_AFTER" | "REMOVE" | "REPLACE");
            if !relative || ordered {
                continue;
            }
            let name = text(patch, "/patch/value/name");
            let (code, why) = if versioned.contains(name) {
                let why = format!(
                    "{operation} depends on the order of EnvoyFilters, and on the proxy's version, since {name} is changed for some versions only: set priority, or use INSERT_FIRST."
                );
                (ENVOY_FILTER_USES_RELATIVE_OPERATION_WITH_PROXY_VERSION, why)
            } else {
                let why = format!(
                    "{operation} depends on the order of EnvoyFilters, which is not fixed: set priority, or use INSERT_FIRST."
                );
                (ENVOY_FILTER_USES_RELATIVE_OPERATION, why)
            };
            if !name.is_empty() && !text(patch, "/match/proxy/proxyVersion").is_empty() {
                versioned.insert(name);
            }
            if !said.contains(&code) {
                said.push(code);
                found.at(code, filter, &place, why);
            }
        }
    }
}

/// What an operation can't do.
fn impossible(apply_to: &str, operation: &str) -> Option<(Code, String)> {
    match operation {
        "REPLACE" if !REPLACEABLE.contains(&apply_to) => Some((
            ENVOY_FILTER_USES_REPLACE_OPERATION_INCORRECTLY,
            format!("REPLACE has no effect on {apply_to}: it replaces {} only.", REPLACEABLE.join(", ")),
        )),
        "ADD" if FIXED.contains(&apply_to) => {
            Some((ENVOY_FILTER_USES_ADD_OPERATION_INCORRECTLY, format!("ADD has no effect on {apply_to}: use MERGE.")))
        }
        "REMOVE" if FIXED.contains(&apply_to) => {
            Some((ENVOY_FILTER_USES_REMOVE_OPERATION_INCORRECTLY, format!("REMOVE has no effect on {apply_to}.")))
        }
        _ => None,
    }
}
