//! Roles and their bindings.

use serde_json::{Value, json};

use super::super::columns::list;
use super::super::failure::Cause;
use super::rules::{self, Field, Rule};

/// What may be said of whom.
const SUBJECT: &[Field] = &[("name", Rule::Needed), ("kind", Rule::OneOf(&["ServiceAccount", "User", "Group"]))];

/// The rules of a role.
pub(super) fn rules(kind: &str, object: &Value, causes: &mut Vec<Cause>) {
    for (index, rule) in list(object, "/rules").iter().enumerate() {
        let here = format!("rules[{index}]");
        let needed = |field: &str, why: &str, causes: &mut Vec<Cause>| {
            if list(rule, &format!("/{field}")).is_empty() {
                causes.push(Cause::required(format!("{here}.{field}"), why));
            }
        };
        needed("verbs", "verbs must contain at least one value", causes);
        let pages = &rule["nonResourceURLs"];
        if !list(rule, "/nonResourceURLs").is_empty() {
            let why = match kind {
                "Role" => "namespaced rules cannot apply to non-resource URLs",
                _ if list(rule, "/apiGroups").is_empty() && list(rule, "/resources").is_empty() => continue,
                _ => "rules cannot apply to both regular resources and non-resource URLs",
            };
            causes.push(Cause::invalid(format!("{here}.nonResourceURLs"), pages, why));
            continue;
        }
        needed("apiGroups", "resource rules must supply at least one api group", causes);
        needed("resources", "resource rules must supply at least one resource", causes);
    }
}

/// A binding, and what a change of it does that none may.
pub(super) fn binding(kind: &str, object: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let known: &[Field] = match kind {
        "RoleBinding" => &[("kind", Rule::OneOf(&["Role", "ClusterRole"])), ("name", Rule::Needed)],
        _ => &[("kind", Rule::OneOf(&["ClusterRole"])), ("name", Rule::Needed)],
    };
    rules::check(&object["roleRef"], "roleRef", known, causes);
    for (index, subject) in list(object, "/subjects").iter().enumerate() {
        let here = format!("subjects[{index}]");
        rules::check(subject, &here, SUBJECT, causes);
        if kind == "ClusterRoleBinding" && subject["kind"] == "ServiceAccount" {
            rules::check(subject, &here, &[("namespace", Rule::Needed)], causes);
        }
    }
    if let Some(old) = old.filter(|old| old["roleRef"] != object["roleRef"]) {
        causes.push(Cause::invalid("roleRef", &role(&object["roleRef"], old), "cannot change roleRef"));
    }
}

/// A role reference as Kubernetes shows it in refusals; what a change leaves out stays.
fn role(given: &Value, old: &Value) -> Value {
    let field = |name: &str| given.get(name).or_else(|| old["roleRef"].get(name)).cloned().unwrap_or_default();
    json!({"APIGroup": field("apiGroup"), "Kind": field("kind"), "Name": field("name")})
}
