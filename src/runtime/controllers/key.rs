//! Names of objects, selectors and owners, as the controllers use them.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};

/// A namespaced object's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Key {
    pub(super) fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), name: name.to_owned() }
    }

    pub(super) fn of(metadata: &ObjectMeta) -> Self {
        Self {
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
        }
    }

    /// The controller of an object, if it is of this kind.
    pub(super) fn of_owner(metadata: &ObjectMeta, kind: &str) -> Option<Self> {
        let owner = controller_of(metadata).filter(|owner| owner.kind == kind)?;
        Some(Self { namespace: metadata.namespace.clone().unwrap_or_default(), name: owner.name.clone() })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The owner that controls an object.
pub(super) fn controller_of(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

/// Whether `uid` controls the object.
pub(super) fn is_controlled_by(metadata: &ObjectMeta, uid: &str) -> bool {
    controller_of(metadata).is_some_and(|owner| owner.uid == uid)
}

/// A reference that makes `owner` the controller of what carries it.
pub(super) fn owner_reference(api_version: &str, kind: &str, owner: &ObjectMeta) -> OwnerReference {
    OwnerReference {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        name: owner.name.clone().unwrap_or_default(),
        uid: owner.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// Whether a selector of a workload matches. An empty selector matches nothing here: the API refuses it, and it would
/// otherwise take every pod of the namespace.
pub(super) fn selects(selector: &LabelSelector, labels: Option<&BTreeMap<String, String>>) -> bool {
    let expressions = selector.match_expressions.as_deref().unwrap_or_default();
    let exact = selector.match_labels.as_ref();
    if expressions.is_empty() && exact.is_none_or(BTreeMap::is_empty) {
        return false;
    }
    let value = |key: &str| labels.and_then(|labels| labels.get(key));
    let exact_match = exact.into_iter().flatten().all(|(key, wanted)| value(key) == Some(wanted));
    exact_match
        && expressions.iter().all(|expression| {
            let present = value(&expression.key);
            let listed = present.is_some_and(|value| expression.values.iter().flatten().any(|known| known == value));
            match expression.operator.as_str() {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => present.is_some(),
                "DoesNotExist" => present.is_none(),
                _ => false,
            }
        })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelectorRequirement;

    use super::*;

    #[test]
    fn selectors_match_as_in_kubernetes() {
        let labels: BTreeMap<_, _> = [("app".to_owned(), "web".to_owned())].into();
        let by = |operator: &str, key: &str, values: &[&str]| LabelSelector {
            match_labels: None,
            match_expressions: Some(vec![LabelSelectorRequirement {
                key: key.to_owned(),
                operator: operator.to_owned(),
                values: Some(values.iter().map(|value| (*value).to_owned()).collect()),
            }]),
        };
        for (selector, expected) in [
            (by("In", "app", &["web", "api"]), true),
            (by("In", "app", &["api"]), false),
            (by("NotIn", "app", &["web"]), false),
            (by("NotIn", "tier", &["web"]), true),
            (by("Exists", "app", &[]), true),
            (by("DoesNotExist", "app", &[]), false),
            (by("Near", "app", &[]), false),
            (LabelSelector::default(), false),
            (LabelSelector { match_labels: Some(labels.clone()), match_expressions: None }, true),
        ] {
            assert_eq!(selects(&selector, Some(&labels)), expected, "{selector:?}");
        }
        assert!(!selects(&by("In", "app", &["web"]), None));
    }
}
