//! AuthorizationPolicies that select nothing, name namespaces that do not exist, or ask providers that cannot be asked.

use crate::analyze::Found;
use crate::analyze::codes::{NO_MATCHING_WORKLOADS_FOUND, PROVIDER_NOT_ASKED, REFERENCED_RESOURCE_NOT_FOUND};
use crate::analyze::message::place;
use crate::analyze::object::{Object, items, text};
use crate::analyze::snapshot::Snapshot;
use crate::compile::MeshConfig;
use crate::resources::authorization_values::TextMatch;

/// Both.
pub fn run(snapshot: &Snapshot, found: &mut Found) {
    for policy in snapshot.all("AuthorizationPolicy") {
        workloads(snapshot, policy, found);
        namespaces(snapshot, policy, found);
    }
}

fn workloads(snapshot: &Snapshot, policy: &Object, found: &mut Found) {
    if policy.at("/spec/targetRef").is_some() || policy.at("/spec/targetRefs").is_some() {
        return;
    }
    let selector = policy.map("/spec/selector/matchLabels");
    let everywhere = *policy.namespace == *snapshot.root_namespace();
    if everywhere && selector.is_empty() {
        return;
    }
    let in_mesh = |pod: &Object| snapshot.is_in_mesh(pod) || snapshot.is_ambient(pod);
    let any = if selector.is_empty() {
        snapshot.pods_in(&policy.namespace).any(in_mesh)
    } else {
        let namespace = (!everywhere).then_some(&*policy.namespace);
        snapshot.selected(&selector, namespace).into_iter().any(in_mesh)
    };
    if !any {
        let labels: Vec<String> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let what =
            if labels.is_empty() { "its namespace".to_owned() } else { format!("the labels {}", labels.join(",")) };
        let text = format!("The policy has no effect: there is no workload of the mesh for {what}.");
        found.at(NO_MATCHING_WORKLOADS_FOUND, policy, &place!["spec", "selector", "matchLabels"], text);
    }
}

fn namespaces(snapshot: &Snapshot, policy: &Object, found: &mut Found) {
    for (rule_index, rule) in policy.items("/spec/rules").iter().enumerate() {
        for (from_index, from) in items(rule, "/from").iter().enumerate() {
            for field in ["namespaces", "notNamespaces"] {
                let names = items(from, &format!("/source/{field}"));
                for (index, name) in names.iter().enumerate() {
                    let Some(name) = name.as_str() else { continue };
                    let Ok(pattern) = name.to_lowercase().parse::<TextMatch>() else { continue };
                    let exists = snapshot.find("Namespace", "", name).is_some()
                        || snapshot
                            .all("Namespace")
                            .iter()
                            .any(|namespace| pattern.matches(&namespace.name.to_lowercase()));
                    if !exists {
                        let place = place!["spec", "rules", rule_index, "from", from_index, "source", field, index];
                        let text = format!("There is no namespace that {name:?} would mean: the source never matches.");
                        found.at(REFERENCED_RESOURCE_NOT_FOUND, policy, &place, text);
                    }
                }
            }
        }
    }
}

/// Policies that leave the decision to somebody who is not among the mesh's providers, or is in a way in which nobody can be asked.
pub fn providers(snapshot: &Snapshot, found: &mut Found) {
    // Settings that are none leave the providers that were there before, whoever they were.
    let Ok(settings) = MeshConfig::read(&snapshot.mesh_config) else { return };
    let written = items(&snapshot.mesh_config, "/extensionProviders");
    for policy in snapshot.all("AuthorizationPolicy") {
        let name = policy.text("/spec/provider/name");
        if policy.text("/spec/action") != "CUSTOM" || name.is_empty() || settings.provider(name).is_some() {
            continue;
        }
        let refused = written.iter().position(|provider| text(provider, "/name") == name).and_then(|index| {
            let path = format!("extensionProviders[{index}]");
            settings.refused.iter().find(|refused| refused.path == path)
        });
        let why = match refused {
            Some(refused) => format!("its entry cannot be used ({refused})"),
            None => {
                "no entry of extensionProviders with envoyExtAuthzHttp or envoyExtAuthzGrpc has that name".to_owned()
            }
        };
        let text = format!("The provider {name:?} is not asked: {why}. What the policy matches is refused.");
        found.at(PROVIDER_NOT_ASKED, policy, &place!["spec", "provider", "name"], text);
    }
}
