//! What a policy is attached to: workloads by their labels, or objects by their names.

use serde_json::Value;

use super::field::{Cx, Limit, record};
use super::peer_authentication::WorkloadSelector;
use super::values::is_lower_label;

record! {
    /// An object that a policy is attached to.
    pub struct TargetRef {
        /// Its API group; empty for Kubernetes' core.
        group: Option<String> = "group" [Limit::MaxLength(253), Limit::Pattern(GROUP)];
        /// Its kind.
        kind: String = "kind" [Limit::MinLength(1), Limit::MaxLength(63), Limit::Pattern(KIND)];
        /// Its name.
        name: String = "name" [Limit::MinLength(1), Limit::MaxLength(253)];
        /// Its namespace, which can only be the policy's own, and is left out.
        namespace: Option<String> = "namespace" [Limit::Cel(NO_NAMESPACE)];
    }
    check: target;
}

const GROUP: super::field::TextPattern = super::field::TextPattern {
    pattern: r"^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    holds: |text| text.is_empty() || text.split('.').all(is_lower_label),
    sentence: "is no API group: it has lower-case letters, digits and `-`, and `.` between such words",
};

const KIND: super::field::TextPattern = super::field::TextPattern {
    pattern: "^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$",
    holds: |text| {
        text.starts_with(|first: char| first.is_ascii_alphabetic())
            && !text.ends_with('-')
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    },
    sentence: "is no kind: it has letters, digits and `-`, and starts with a letter",
};

const NO_NAMESPACE: &[(&str, &str)] = &[("self.size() == 0", "a policy cannot target another namespace")];

/// What can be a target: API group and kind.
const TARGETS: &[(&str, &str)] = &[
    ("", "Service"),
    ("core", "Service"),
    ("networking.istio.io", "ServiceEntry"),
    ("gateway.networking.k8s.io", "Gateway"),
    ("gateway.networking.k8s.io", "GatewayClass"),
];

fn target(target: &TargetRef, cx: &mut Cx) {
    let group = target.group.as_deref().unwrap_or_default();
    if target.namespace.as_deref().is_some_and(|namespace| !namespace.is_empty()) {
        cx.error_at("namespace", "cannot be set, since a policy holds in its own namespace: remove it");
    }
    let sound = !cx.is_faulty("group") && !cx.is_faulty("kind");
    if sound && !TARGETS.contains(&(group, target.kind.as_str())) {
        let known: Vec<&str> = TARGETS.iter().skip(1).map(|(_, kind)| *kind).collect();
        let of = if group.is_empty() { "Kubernetes' core".to_owned() } else { format!("group {group}") };
        cx.error(format!(
            "names a {} of {of}, and a policy can be attached to one of {}",
            target.kind,
            known.join(", ")
        ));
    }
}

/// The rule that the schema of every kind with a selector and target references states.
pub(super) const ONE_ATTACHMENT: (&str, &str) = (
    "(has(self.selector) ? 1 : 0) + (has(self.targetRef) ? 1 : 0) + (has(self.targetRefs) ? 1 : 0) <= 1",
    "only one of selector, targetRef and targetRefs can be set",
);

/// A policy is attached in one way.
pub(super) fn one_attachment(
    selector: Option<&WorkloadSelector>,
    target: Option<&TargetRef>,
    targets: &[TargetRef],
    cx: &mut Cx,
) {
    selects_something(selector, "selector", cx);
    let ways = [("selector", selector.is_some()), ("targetRef", target.is_some()), ("targetRefs", !targets.is_empty())];
    let mut set = ways.iter().filter(|(_, set)| *set);
    if let (Some((first, _)), Some((second, _))) = (set.next(), set.next()) {
        cx.error(format!("has both `{first}` and `{second}`, and a policy is attached in one way: remove one"));
    }
}

/// A selector without labels looks like one that selects nothing, and selects everything.
pub(super) fn selects_something(selector: Option<&WorkloadSelector>, field: &str, cx: &mut Cx) {
    if selector.is_some_and(|selector| selector.match_labels.is_empty()) {
        cx.warn_at(field, "has no labels and selects every workload of the namespace: remove it");
    }
}

/// The value of a string field, for checks on objects that may not be sound.
pub(super) fn text<'v>(value: &'v Value, field: &str) -> Option<&'v str> {
    value.get(field).and_then(Value::as_str)
}
