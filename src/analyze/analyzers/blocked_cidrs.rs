//! Keys that istiod fetches from URLs that users write, without a list of addresses that it must not ask.

use serde_json::Value;

use crate::analyze::Found;
use crate::analyze::codes::JWKS_URI_FETCH_UNRESTRICTED;
use crate::analyze::object::{items, text};
use crate::analyze::snapshot::Snapshot;

/// The variable that holds the list.
const VARIABLE: &str = "BLOCKED_CIDRS_IN_JWKS_URIS";

/// How many policies are named.
const SHOWN: usize = 5;

/// istiod without the list, where a RequestAuthentication has a jwksUri.
pub fn run(snapshot: &Snapshot, found: &mut Found) {
    let mut names: Vec<String> = snapshot
        .all("RequestAuthentication")
        .iter()
        .filter(|policy| policy.items("/spec/jwtRules").iter().any(|rule| !text(rule, "/jwksUri").is_empty()))
        .map(|policy| policy.full_name())
        .collect();
    if names.is_empty() {
        return;
    }
    names.sort_unstable();
    let mut shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if let Some(more) = names.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        shown.push_str(&format!(" and {more} more"));
    }
    for istiod in snapshot.all("Deployment").iter().filter(|deployment| deployment.label("app") == "istiod") {
        let is_set = |variable: &Value| text(variable, "/name") == VARIABLE && !text(variable, "/value").is_empty();
        let restricted = istiod
            .items("/spec/template/spec/containers")
            .iter()
            .any(|container| items(container, "/env").iter().any(is_set));
        if !restricted {
            let text = format!(
                "istiod fetches keys for {} ({shown}) from whatever address they name: set {VARIABLE} to the networks that it must not ask.",
                count(names.len()),
            );
            found.note(JWKS_URI_FETCH_UNRESTRICTED, istiod, text);
        }
    }
}

fn count(number: usize) -> String {
    format!("{number} RequestAuthentication{}", if number == 1 { "" } else { "s" })
}
