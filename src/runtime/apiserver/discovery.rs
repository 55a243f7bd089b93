//! What is served, said to clients: groups, versions, resources.

use serde_json::{Value, json};

use super::kinds::{GROUP_ORDER, REVIEWS};
use super::registry::Registry;

const VERBS: [&str; 8] =
    ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// The document at `path`, if there is one.
pub(super) fn answer(registry: &Registry, path: &str) -> Option<Value> {
    let parts: Vec<&str> = path.split('/').skip(1).filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        ["api"] => Some(json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})),
        ["apis"] => {
            let groups: Vec<Value> = groups(registry).iter().map(|name| group(registry, name)).collect();
            Some(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
        }
        ["api", version] => resources(registry, "", version),
        ["apis", name] => groups(registry).iter().any(|known| known == name).then(|| group(registry, name)),
        ["apis", group, version] => resources(registry, group, version),
        _ => None,
    }
}

fn groups(registry: &Registry) -> Vec<String> {
    let mut names: Vec<String> =
        GROUP_ORDER.iter().filter(|name| !name.is_empty()).map(|&name| name.to_owned()).collect();
    for resource in registry.iter() {
        if !resource.group.is_empty() && !names.contains(&resource.group) {
            names.push(resource.group.clone());
        }
    }
    names
}

fn group(registry: &Registry, name: &str) -> Value {
    let mut versions: Vec<&str> = Vec::new();
    let custom = registry.iter().filter(|r| r.group == name).flat_map(|r| &r.versions);
    let served = custom.filter(|version| version.served).map(|version| version.name.as_str());
    let reviews = REVIEWS.iter().filter(|review| review.group == name).map(|review| review.version);
    for version in served.chain(reviews) {
        if !versions.contains(&version) {
            versions.push(version);
        }
    }
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| json!({"groupVersion": format!("{name}/{version}"), "version": version}))
        .collect();
    json!({
        "kind": "APIGroup", "apiVersion": "v1", "name": name,
        "preferredVersion": versions.first(), "versions": versions,
    })
}

fn resources(registry: &Registry, group: &str, version: &str) -> Option<Value> {
    let mut all = Vec::new();
    for resource in registry.iter().filter(|resource| resource.group == group) {
        let Some(served) = resource.version(version) else {
            continue;
        };
        all.push(json!({
            "name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced,
            "kind": resource.kind, "verbs": VERBS, "shortNames": resource.short, "categories": resource.categories,
        }));
        let mut sub = |name: &str, kind: &str, verbs: &[&str]| {
            all.push(json!({
                "name": format!("{}/{name}", resource.plural), "singularName": "",
                "namespaced": resource.namespaced, "kind": kind, "verbs": verbs,
            }));
        };
        if served.status {
            sub("status", &resource.kind, &["get", "patch", "update"]);
        }
        if served.scale.is_some() {
            sub("scale", "Scale", &["get", "patch", "update"]);
        }
        match resource.key.as_ref() {
            "pods." => sub("log", "Pod", &["get"]),
            "serviceaccounts." => sub("token", "TokenRequest", &["create"]),
            _ => {}
        }
    }
    for review in REVIEWS.iter().filter(|r| r.group == group && r.version == version) {
        all.push(json!({
            "name": review.plural, "singularName": "", "namespaced": false, "kind": review.kind, "verbs": ["create"],
        }));
    }
    let api = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    (!all.is_empty())
        .then(|| json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api, "resources": all}))
}
