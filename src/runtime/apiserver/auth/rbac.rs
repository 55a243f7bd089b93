//! Roles and their bindings, as users write them (`rbac.authorization.k8s.io`): what they grant to somebody.
//!
//! They only ever grant. A binding to a role that is not there grants nothing, unless it is one of the roles that every Kubernetes
//! has for its users (`cluster-admin`, `admin`, `edit`, `view`).

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Question, User};
use crate::runtime::apiserver::columns::{list, string};
use crate::runtime::apiserver::store::{Key, Store};

/// Resources that `view` shows, and `edit` changes: those of a namespace that are neither secret nor about permissions.
const PLAIN: [&str; 20] = [
    "configmaps",
    "endpoints",
    "events",
    "persistentvolumeclaims",
    "pods",
    "pods/log",
    "pods/status",
    "replicationcontrollers",
    "serviceaccounts",
    "services",
    "daemonsets",
    "deployments",
    "deployments/scale",
    "replicasets",
    "statefulsets",
    "statefulsets/scale",
    "jobs",
    "cronjobs",
    "ingresses",
    "endpointslices",
];

/// What only `edit` reaches.
const EDITED: [&str; 6] =
    ["secrets", "pods/exec", "pods/attach", "pods/portforward", "pods/eviction", "serviceaccounts/token"];

/// Groups of the resources above.
const GROUPS: [&str; 6] = ["", "apps", "batch", "networking.k8s.io", "discovery.k8s.io", "autoscaling"];

/// Groups of the mesh's configuration, which its users may see and change like the rest of a namespace.
const MESH_GROUPS: [&str; 5] = [
    "networking.istio.io",
    "security.istio.io",
    "telemetry.istio.io",
    "extensions.istio.io",
    "gateway.networking.k8s.io",
];

/// The rules of a role that every Kubernetes has for its users.
fn standard(name: &str) -> Option<Value> {
    let read = ["get", "list", "watch"];
    let write = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];
    let rule = |groups: &[&str], resources: &[&str], verbs: &[&str]| json!({"apiGroups": groups, "resources": resources, "verbs": verbs});
    let edit = || vec![rule(&GROUPS, &PLAIN, &write), rule(&[""], &EDITED, &write), rule(&MESH_GROUPS, &["*"], &write)];
    Some(match name {
        "cluster-admin" => json!([rule(&["*"], &["*"], &["*"])]),
        "view" => json!([rule(&GROUPS, &PLAIN, &read), rule(&MESH_GROUPS, &["*"], &read)]),
        "edit" => json!(edit()),
        "admin" => {
            let mut rules = edit();
            rules.push(rule(&["rbac.authorization.k8s.io"], &["roles", "rolebindings"], &write));
            json!(rules)
        }
        _ => return None,
    })
}

/// Whether roles grant it to `user`.
pub(super) fn grants(store: &Store, user: &User, question: &Question<'_>) -> bool {
    rules(store, user, question.namespace).iter().any(|rule| covers(rule, question))
}

/// Every rule that is bound to `user` in a namespace (empty: for the cluster as a whole).
pub(super) fn rules(store: &Store, user: &User, namespace: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut bound = |bindings: &str, place: Option<&str>| {
        let bindings: Arc<str> = format!("{bindings}.rbac.authorization.k8s.io").into();
        let page = store.list(&bindings, place, None, None, |_, _| true);
        for (_, binding) in page.objects {
            let binding = binding.value();
            if list(&binding, "/subjects").iter().any(|subject| is(subject, user)) {
                found.extend(role(store, &binding, place.unwrap_or_default()));
            }
        }
    };
    bound("clusterrolebindings", None);
    if !namespace.is_empty() {
        bound("rolebindings", Some(namespace));
    }
    found
}

fn is(subject: &Value, user: &User) -> bool {
    let name = string(subject, "/name");
    match string(subject, "/kind") {
        "ServiceAccount" => *user.name == format!("system:serviceaccount:{}:{name}", string(subject, "/namespace")),
        "User" => *user.name == *name,
        "Group" => user.groups.iter().any(|group| group == name),
        _ => false,
    }
}

fn role(store: &Store, binding: &Value, namespace: &str) -> Vec<Value> {
    let (kind, name) = (string(binding, "/roleRef/kind"), string(binding, "/roleRef/name"));
    let (resource, namespace) = match kind {
        "Role" => ("roles.rbac.authorization.k8s.io", namespace),
        _ => ("clusterroles.rbac.authorization.k8s.io", ""),
    };
    match store.get(&Key::new(&Arc::from(resource), namespace, name)) {
        Some(role) => list(&role.value(), "/rules").to_vec(),
        None if kind == "ClusterRole" => standard(name).and_then(|rules| rules.as_array().cloned()).unwrap_or_default(),
        None => Vec::new(),
    }
}

fn covers(rule: &Value, question: &Question<'_>) -> bool {
    let has = |field: &str, wanted: &str| list(rule, field).iter().any(|entry| entry == "*" || *entry == wanted);
    let resource = |entry: &Value| {
        let entry = entry.as_str().unwrap_or_default();
        match entry.split_once('/') {
            Some((resource, subresource)) => {
                (resource == "*" || resource == question.resource)
                    && (subresource == "*" || subresource == question.subresource)
                    && !question.subresource.is_empty()
            }
            None => entry == "*" || entry == question.resource && question.subresource.is_empty(),
        }
    };
    let names = list(rule, "/resourceNames");
    has("/verbs", question.verb)
        && has("/apiGroups", question.group)
        && list(rule, "/resources").iter().any(resource)
        && (names.is_empty() || names.iter().any(|name| *name == question.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask<'q>(verb: &'q str, resource: &'q str, subresource: &'q str, name: &'q str) -> Question<'q> {
        Question { verb, group: "", resource, subresource, namespace: "shop", name }
    }

    #[test]
    fn a_rule_covers_what_it_names_and_nothing_beside_it() {
        let rule = json!({"apiGroups": [""], "resources": ["configmaps", "pods/log"], "verbs": ["get"]});
        assert!(covers(&rule, &ask("get", "configmaps", "", "a")));
        assert!(covers(&rule, &ask("get", "pods", "log", "a")));
        for refused in [
            ask("list", "configmaps", "", ""),
            ask("get", "secrets", "", "a"),
            ask("get", "pods", "", "a"),
            ask("get", "pods", "exec", "a"),
            ask("get", "configmaps", "status", "a"),
        ] {
            assert!(!covers(&rule, &refused), "{refused:?}");
        }
        let named = json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"], "resourceNames": ["a"]});
        assert!(covers(&named, &ask("delete", "secrets", "", "a")));
        assert!(!covers(&named, &ask("list", "secrets", "", "")) && !covers(&named, &ask("get", "secrets", "", "b")));
    }

    #[test]
    fn the_standard_roles_differ_in_what_they_reach() {
        let can = |role: &str, question: &Question<'_>| {
            standard(role).unwrap().as_array().unwrap().iter().any(|rule| covers(rule, question))
        };
        let (read, write) = (ask("get", "pods", "", "a"), ask("delete", "pods", "", "a"));
        let (secret, exec) = (ask("get", "secrets", "", "a"), ask("create", "pods", "exec", "a"));
        assert!(can("view", &read) && !can("view", &write) && !can("view", &secret) && !can("view", &exec));
        assert!(can("edit", &write) && can("edit", &secret) && can("edit", &exec));
        assert!(can("cluster-admin", &ask("impersonate", "users", "", "x")));
        assert!(standard("absent").is_none());
    }
}
