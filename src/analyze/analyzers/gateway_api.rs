//! The Gateway API: definitions that are too old, and selectors where they do not count.

use crate::analyze::Found;
use crate::analyze::codes::{GATEWAY_APICRD_VERSION_BELOW_MINIMUM, INEFFECTIVE_SELECTOR};
use crate::analyze::message::place;
use crate::analyze::object::selects;
use crate::analyze::snapshot::Snapshot;

/// Definitions, and the version of the API that they have to be of.
const MINIMUM: &[(&str, (u64, u64))] = &[
    ("grpcroutes.gateway.networking.k8s.io", (1, 1)),
    ("backendtlspolicies.gateway.networking.k8s.io", (1, 4)),
    ("tlsroutes.gateway.networking.k8s.io", (1, 5)),
    ("tcproutes.gateway.networking.k8s.io", (1, 6)),
];

/// Definitions of too old a version.
pub fn versions(snapshot: &Snapshot, found: &mut Found) {
    for definition in snapshot.all("CustomResourceDefinition") {
        let Some((_, minimum)) = MINIMUM.iter().find(|(name, _)| *name == &*definition.name) else { continue };
        let installed = definition.annotation("gateway.networking.k8s.io/bundle-version");
        let Some(version) = parse(installed) else { continue };
        if version < *minimum {
            let (major, minor) = minimum;
            let text = format!(
                "The definition is of version {installed}, and {major}.{minor} is needed: objects of the kind are not read."
            );
            found.note(GATEWAY_APICRD_VERSION_BELOW_MINIMUM, definition, text);
        }
    }
}

fn parse(version: &str) -> Option<(u64, u64)> {
    let release = version.trim_start_matches('v').split(['-', '+']).next()?;
    let mut numbers = release.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Kinds that can be attached by selector and by reference.
const POLICIES: &[&str] = &["AuthorizationPolicy", "RequestAuthentication", "Telemetry", "WasmPlugin"];

/// Policies that select pods of the Gateway API's Gateways, which are attached by reference only.
pub fn selectors(snapshot: &Snapshot, found: &mut Found) {
    for policy in POLICIES.iter().flat_map(|kind| snapshot.all(kind)) {
        let selector = policy.map("/spec/selector/matchLabels");
        let attached = policy.at("/spec/targetRef").is_some() || policy.at("/spec/targetRefs").is_some();
        if selector.is_empty() || attached {
            continue;
        }
        for pod in snapshot.pods_in(&policy.namespace).filter(|pod| selects(&selector, &pod.labels())) {
            let gateway = pod.label("gateway.networking.k8s.io/gateway-name");
            if !gateway.is_empty() {
                let text = format!(
                    "The selector takes the pod {} of the Gateway {gateway}, where selectors have no effect: use targetRefs.",
                    pod.name
                );
                found.at(INEFFECTIVE_SELECTOR, policy, &place!["spec", "selector"], text);
            }
        }
    }
}
