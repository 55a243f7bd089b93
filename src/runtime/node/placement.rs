//! Whether a pod may run on the node: its selector and affinity, the node's taints and `kubectl cordon`.
//!
//! The words are the scheduler's. Spreading, resources and affinity to other pods decide between nodes, of which there is one here.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Node, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodSpec, Taint, Toleration,
};

/// The scheduler whose pods the node takes.
const SCHEDULER: &str = "default-scheduler";
/// The taint that a cordoned node has.
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// What a pod says about where it runs.
#[derive(Debug, Clone, Default)]
pub(in crate::runtime) struct Placement {
    scheduler: Option<String>,
    gated: bool,
    selector: BTreeMap<String, String>,
    required: Option<NodeSelector>,
    tolerations: Vec<Toleration>,
}

impl Placement {
    /// Of a pod, or of a template.
    pub(in crate::runtime) fn of(spec: &PodSpec) -> Self {
        let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
        Self {
            scheduler: spec.scheduler_name.clone().filter(|name| !name.is_empty()),
            gated: spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty()),
            selector: spec.node_selector.clone().unwrap_or_default(),
            required: affinity
                .and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.clone()),
            tolerations: spec.tolerations.clone().unwrap_or_default(),
        }
    }

    /// Whether another scheduler is to place it.
    pub(super) fn is_others(&self) -> bool {
        self.scheduler.as_deref().is_some_and(|name| name != SCHEDULER)
    }

    /// Whether it waits for its gates to be removed.
    pub(super) fn is_gated(&self) -> bool {
        self.gated
    }

    /// Whether the node's labels are what it wants.
    pub(in crate::runtime) fn selects(&self, node: &Node) -> bool {
        let none = BTreeMap::new();
        let labels = node.metadata.labels.as_ref().unwrap_or(&none);
        let name = node.metadata.name.as_deref().unwrap_or_default();
        self.selector.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self
                .required
                .as_ref()
                .is_none_or(|wanted| wanted.node_selector_terms.iter().any(|term| term_holds(term, labels, name)))
    }

    /// Why it may not run on the node, as the scheduler says it of one node.
    pub(super) fn misfit(&self, node: &Node) -> Option<String> {
        let spec = node.spec.clone().unwrap_or_default();
        let tolerated = |taint: &Taint| self.tolerations.iter().any(|toleration| tolerates(toleration, taint));
        let cordon = Taint { key: UNSCHEDULABLE.to_owned(), effect: "NoSchedule".to_owned(), ..Taint::default() };
        if spec.unschedulable == Some(true) && !tolerated(&cordon) {
            return Some("1 node(s) were unschedulable".to_owned());
        }
        let taints = spec.taints.unwrap_or_default();
        let keeps_away =
            |taint: &&Taint| matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute") && !tolerated(taint);
        if taints.iter().any(|taint| keeps_away(&taint)) {
            return Some("1 node(s) had untolerated taint(s)".to_owned());
        }
        (!self.selects(node)).then(|| "1 node(s) didn't match Pod's node affinity/selector".to_owned())
    }
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let effect = toleration.effect.as_deref().unwrap_or_default();
    let key = toleration.key.as_deref().unwrap_or_default();
    let exists = toleration.operator.as_deref() == Some("Exists");
    (effect.is_empty() || effect == taint.effect)
        && match key {
            "" => exists,
            key => {
                key == taint.key
                    && (exists
                        || toleration.value.as_deref().unwrap_or_default()
                            == taint.value.as_deref().unwrap_or_default())
            }
        }
}

/// A term with nothing in it selects nothing.
fn term_holds(term: &NodeSelectorTerm, labels: &BTreeMap<String, String>, name: &str) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    (!expressions.is_empty() || !fields.is_empty())
        && expressions.iter().all(|one| requirement_holds(one, labels.get(&one.key).map(String::as_str)))
        && fields.iter().all(|one| one.key == "metadata.name" && requirement_holds(one, Some(name)))
}

fn requirement_holds(requirement: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let among = value.is_some_and(|value| values.iter().any(|wanted| wanted == value));
    let compare = || Some((value?.parse::<i64>().ok()?, values.first()?.parse::<i64>().ok()?));
    match requirement.operator.as_str() {
        "In" => among,
        "NotIn" => !among,
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compare().is_some_and(|(value, bound)| value > bound),
        "Lt" => compare().is_some_and(|(value, bound)| value < bound),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn misfit(pod: Value, node: Value) -> Option<String> {
        let spec: PodSpec = serde_json::from_value(pod).unwrap();
        let mut node: Node = serde_json::from_value(json!({"spec": node})).unwrap();
        node.metadata.name = Some("mesh".to_owned());
        node.metadata.labels =
            Some(BTreeMap::from([("zone".to_owned(), "a".to_owned()), ("cpus".to_owned(), "4".to_owned())]));
        Placement::of(&spec).misfit(&node)
    }

    #[test]
    fn a_pod_fits_where_selector_affinity_and_taints_agree() {
        let affinity = |key: &str, operator: &str, values: &[&str]| {
            json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": key, "operator": operator, "values": values}]}]}}}})
        };
        let fits = |pod: Value, node: Value| assert_eq!(misfit(pod.clone(), node), None, "{pod}");
        fits(json!({}), json!({}));
        fits(json!({"nodeSelector": {"zone": "a"}}), json!({}));
        fits(affinity("zone", "In", &["a", "b"]), json!({}));
        fits(affinity("cpus", "Gt", &["2"]), json!({}));
        let wrong = "1 node(s) didn't match Pod's node affinity/selector";
        for pod in
            [json!({"nodeSelector": {"zone": "b"}}), affinity("zone", "NotIn", &["a"]), affinity("gpu", "Exists", &[])]
        {
            assert_eq!(misfit(pod.clone(), json!({})).as_deref(), Some(wrong), "{pod}");
        }
        let cordoned = || json!({"unschedulable": true});
        assert_eq!(misfit(json!({}), cordoned()).as_deref(), Some("1 node(s) were unschedulable"));
        fits(json!({"tolerations": [{"key": UNSCHEDULABLE, "operator": "Exists"}]}), cordoned());
        let tainted = || json!({"taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}]});
        assert_eq!(misfit(json!({}), tainted()).as_deref(), Some("1 node(s) had untolerated taint(s)"));
        fits(json!({"tolerations": [{"key": "k", "value": "v"}]}), tainted());
        fits(json!({"tolerations": [{"operator": "Exists"}]}), tainted());
        fits(json!({}), json!({"taints": [{"key": "k", "effect": "PreferNoSchedule"}]}));
    }
}
