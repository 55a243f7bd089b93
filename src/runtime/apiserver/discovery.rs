//! What is served, as clients discover it: `/api`, `/apis`, per group and version, and all at once (aggregated).

use std::collections::BTreeMap;
use std::sync::Arc;

use http::header::ACCEPT;
use http::{HeaderMap, Response, StatusCode};
use serde_json::{Value, json};

use super::kinds::{GROUP_ORDER, REVIEWS};
use super::registry::{Registry, Resource, Version};
use super::response;
use super::server::VERSION;
use crate::serve::Body;

const READ_WRITE: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const PART: [&str; 3] = ["get", "patch", "update"];

/// `/version`.
pub(super) fn version() -> Value {
    json!({
        "major": "1", "minor": "36", "gitVersion": VERSION, "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "rustc",
        "platform": format!("linux/{}", if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }),
        "emulationMajor": "1", "emulationMinor": "36", "minCompatibilityMajor": "1", "minCompatibilityMinor": "35",
    })
}

/// Answers a discovery path.
pub(super) fn answer(kinds: &Registry, path: &str, headers: &HeaderMap) -> Option<Response<Body>> {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    if let ["api"] | ["apis"] = parts.as_slice()
        && let Some(media) = aggregated_media(accept)
    {
        let list = aggregated(kinds, parts == ["api"]);
        return Some(response::bytes(StatusCode::OK, media, list.to_string()));
    }
    let value = match parts.as_slice() {
        ["api"] => json!({
            "kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [],
        }),
        ["apis"] => {
            let all: Vec<Value> = groups(kinds).into_iter().filter(|(group, _)| !group.is_empty()).map(group).collect();
            json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": all})
        }
        ["apis", name] => {
            let found = groups(kinds).into_iter().find(|(group, _)| group == name)?;
            let mut value = group(found);
            value["kind"] = "APIGroup".into();
            value["apiVersion"] = "v1".into();
            value
        }
        ["api", version] => resources(kinds, "", version)?,
        ["apis", group, version] => resources(kinds, group, version)?,
        _ => return None,
    };
    Some(response::json(StatusCode::OK, &value))
}

fn aggregated_media(accept: &str) -> Option<&'static str> {
    let wanted = accept.split(',').find(|entry| entry.contains("as=APIGroupDiscoveryList"))?;
    if wanted.contains("v=v2beta1") {
        // The two versions differ in nothing but their names; clients that know only the older one read this as well.
        return Some("application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList");
    }
    Some("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
}

/// Groups and their versions, the preferred one first.
fn groups(kinds: &Registry) -> Vec<(String, Vec<String>)> {
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for resource in kinds.iter() {
        let versions = groups.entry(&resource.group).or_default();
        for version in resource.versions.iter().filter(|version| version.served) {
            if !versions.contains(&version.name.as_str()) {
                versions.push(&version.name);
            }
        }
    }
    for review in REVIEWS {
        let versions = groups.entry(review.group).or_default();
        if !versions.contains(&review.version) {
            versions.push(review.version);
        }
    }
    let place = |group: &str| GROUP_ORDER.iter().position(|known| *known == group).unwrap_or(GROUP_ORDER.len());
    let mut all: Vec<(String, Vec<String>)> = groups
        .into_iter()
        .filter(|(_, versions)| !versions.is_empty())
        .map(|(group, versions)| (group.to_owned(), versions.into_iter().map(str::to_owned).collect()))
        .collect();
    all.sort_by_key(|(group, _)| (place(group), group.clone()));
    all
}

fn group((name, versions): (String, Vec<String>)) -> Value {
    let shown: Vec<Value> =
        versions.iter().map(|v| json!({"groupVersion": format!("{name}/{v}"), "version": v})).collect();
    json!({"name": name, "versions": shown, "preferredVersion": shown.first()})
}

/// The subresources of a kind: name, the kind they have, verbs.
fn subresources(resource: &Resource, version: &Version) -> Vec<(&'static str, Value, &'static [&'static str])> {
    let own = json!({"group": resource.group, "version": version.name, "kind": resource.kind});
    let mut all = Vec::new();
    if version.status {
        all.push(("status", own.clone(), &PART[..]));
    }
    if version.scale.is_some() {
        let scale = json!({"group": "autoscaling", "version": "v1", "kind": "Scale"});
        all.push(("scale", scale, &PART[..]));
    }
    match resource.builtin.map(|builtin| builtin.kind) {
        Some("Pod") => {
            let options = |kind: &str| json!({"group": "", "version": "v1", "kind": kind});
            all.push(("attach", options("PodAttachOptions"), &["create", "get"]));
            let eviction = json!({"group": "policy", "version": "v1", "kind": "Eviction"});
            all.push(("eviction", eviction, &["create"]));
            all.push(("exec", options("PodExecOptions"), &["create", "get"]));
            all.push(("log", own, &["get"]));
            all.push(("portforward", options("PodPortForwardOptions"), &["create", "get"]));
        }
        Some("ServiceAccount") => {
            let token = json!({"group": "authentication.k8s.io", "version": "v1", "kind": "TokenRequest"});
            all.push(("token", token, &["create"]));
        }
        Some("Namespace") => all.push(("finalize", own, &["update"])),
        _ => {}
    }
    all
}

fn served<'a>(
    kinds: &'a Registry,
    group: &'a str,
    version: &'a str,
) -> impl Iterator<Item = (&'a Arc<Resource>, &'a Version)> {
    kinds
        .iter()
        .filter(move |resource| resource.group == group)
        .filter_map(move |resource| Some((resource, resource.version(version)?)))
}

fn resources(kinds: &Registry, group: &str, version: &str) -> Option<Value> {
    let mut all = Vec::new();
    for (resource, served) in served(kinds, group, version) {
        let mut entry = json!({
            "name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced,
            "kind": resource.kind, "verbs": READ_WRITE,
        });
        if !resource.short.is_empty() {
            entry["shortNames"] = resource.short.clone().into();
        }
        if !resource.categories.is_empty() {
            entry["categories"] = resource.categories.clone().into();
        }
        all.push(entry);
        for (name, kind, verbs) in subresources(resource, served) {
            let mut entry = json!({
                "name": format!("{}/{name}", resource.plural), "singularName": "",
                "namespaced": resource.namespaced, "kind": kind["kind"], "verbs": verbs,
            });
            if kind["group"] != resource.group.as_str() {
                entry["group"] = kind["group"].clone();
                entry["version"] = kind["version"].clone();
            }
            all.push(entry);
        }
    }
    for review in REVIEWS.iter().filter(|review| review.group == group && review.version == version) {
        all.push(json!({
            "name": review.plural, "singularName": review.kind.to_lowercase(), "namespaced": false,
            "kind": review.kind, "verbs": ["create"],
        }));
    }
    let name = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    (!all.is_empty())
        .then(|| json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": all}))
}

fn aggregated(kinds: &Registry, core: bool) -> Value {
    let items: Vec<Value> = groups(kinds)
        .into_iter()
        .filter(|(group, _)| group.is_empty() == core)
        .map(|(group, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|version| {
                    json!({"version": version, "freshness": "Current",
                        "resources": aggregated_resources(kinds, &group, version)})
                })
                .collect();
            json!({"metadata": {"name": group, "creationTimestamp": null}, "versions": versions})
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items,
    })
}

fn aggregated_resources(kinds: &Registry, group: &str, version: &str) -> Vec<Value> {
    let mut all: Vec<Value> = served(kinds, group, version)
        .map(|(resource, served)| {
            let below: Vec<Value> = subresources(resource, served)
                .into_iter()
                .map(|(name, kind, verbs)| json!({"subresource": name, "responseKind": kind, "verbs": verbs}))
                .collect();
            json!({
                "resource": resource.plural,
                "responseKind": {"group": group, "version": version, "kind": resource.kind},
                "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
                "singularResource": resource.singular, "verbs": READ_WRITE, "shortNames": resource.short,
                "categories": resource.categories, "subresources": below,
            })
        })
        .collect();
    for review in REVIEWS.iter().filter(|review| review.group == group && review.version == version) {
        all.push(json!({
            "resource": review.plural,
            "responseKind": {"group": group, "version": version, "kind": review.kind},
            "scope": "Cluster", "singularResource": review.kind.to_lowercase(), "verbs": ["create"],
        }));
    }
    all
}
