//! Which workloads a policy is about.

use crate::compile::gateway_api::{GATEWAY_NAME, fitting};
use crate::compile::world::World;
use crate::model::Workload;
use crate::resources::Object;
use crate::resources::peer_authentication::WorkloadSelector;
use crate::resources::policy_target::TargetRef;

/// API group of the Gateway API.
const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";

/// Whether a selector names labels; one that does not is about every workload.
pub(super) fn selects_some(selector: Option<&WorkloadSelector>) -> bool {
    selector.is_some_and(|selector| !selector.match_labels.is_empty())
}

/// Whether a workload has every label that a selector names.
pub(super) fn selects(selector: Option<&WorkloadSelector>, workload: &Workload) -> bool {
    selector.is_none_or(|selector| selector.match_labels.iter().all(|(key, value)| workload.label(key) == Some(value)))
}

/// Whether a policy is about a workload: it is of the workload's namespace, or of the mesh's root namespace, and selects it.
pub(super) fn concerns<T>(
    world: &World,
    object: &Object<T>,
    selector: Option<&WorkloadSelector>,
    workload: &Workload,
) -> bool {
    let namespace = object.meta.namespace.as_str();
    (namespace == &*workload.namespace || namespace == &*world.root_namespace) && selects(selector, workload)
}

/// Whether a policy that can be attached to other things than labels is about a workload. One with targets is about the pods of
/// those among them that are Gateways of its own namespace, known by the label that a Gateway's pods have, and about nobody else:
/// unlike a selector, a target of the root namespace's policy reaches no other namespace (Istio).
pub(super) fn is_attached<'o, T>(
    world: &World,
    object: &'o Object<T>,
    selector: Option<&WorkloadSelector>,
    (one, several): (Option<&'o TargetRef>, &'o [TargetRef]),
    workload: &Workload,
) -> bool {
    let mut targets = one.into_iter().chain(several).peekable();
    if targets.peek().is_none() {
        return concerns(world, object, selector, workload);
    }
    let is_gateway = |target: &TargetRef| {
        target.group.as_deref() == Some(GATEWAY_GROUP)
            && target.kind == "Gateway"
            && workload.label(GATEWAY_NAME) == Some(fitting(&target.name).as_str())
    };
    object.meta.namespace == *workload.namespace && targets.any(is_gateway)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::compile::inbound_policy;
    use crate::resources::{AuthorizationPolicy, RequestAuthentication};

    /// How many policies and rules for tokens a pod of `namespace` has, where each of both kinds has this spec.
    fn counts(own: &str, attached: &Value, namespace: &str, gateway: Option<&str>) -> (usize, usize) {
        let mut world = World::new("cluster.local", "istio-system");
        let object = |kind: &str, more: Value| {
            let mut spec = attached.clone();
            spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({"apiVersion": "security.istio.io/v1", "kind": kind, "spec": spec,
                "metadata": {"name": "p", "namespace": own}})
        };
        let policy = object("AuthorizationPolicy", json!({"rules": [{}]}));
        world.authorization_policies.push(Arc::new(Object::<AuthorizationPolicy>::from_value(&policy).unwrap()));
        let tokens = object("RequestAuthentication", json!({"jwtRules": [{"issuer": "https://issuer"}]}));
        world.request_authentications.push(Arc::new(Object::<RequestAuthentication>::from_value(&tokens).unwrap()));
        let labels = gateway.map(|name| (GATEWAY_NAME.into(), name.into())).into_iter().collect();
        let pod = Workload::new("a".into(), "a".into(), namespace.into(), "a".into(), labels);
        let policy = inbound_policy(&world, Arc::new(pod), Vec::new(), &["cluster.local".into()]);
        (policy.authorization.len(), policy.tokens.len())
    }

    #[test]
    fn a_policy_with_targets_is_about_the_gateways_among_them_and_nobody_else() {
        let target = |kind: &str, name: &str| json!({"group": GATEWAY_GROUP, "kind": kind, "name": name});
        let several = json!({"targetRefs": [target("Gateway", "back"), target("Gateway", "front")]});
        let one = json!({"targetRef": target("Gateway", "front")});
        for (own, attached, namespace, gateway, expected) in [
            ("shop", &several, "shop", Some("front"), 1),
            ("shop", &one, "shop", Some("front"), 1),
            ("shop", &one, "shop", Some("back"), 0),
            ("shop", &several, "shop", None, 0),
            ("shop", &several, "bank", Some("front"), 0),
            // A target of the root namespace is one there.
            ("istio-system", &several, "shop", Some("front"), 0),
            ("istio-system", &several, "istio-system", Some("front"), 1),
            // Without targets it holds for gateways as for everybody.
            ("shop", &json!({}), "shop", Some("front"), 1),
            ("istio-system", &json!({}), "shop", Some("front"), 1),
            ("shop", &json!({"targetRefs": [{"kind": "Service", "name": "front"}]}), "shop", Some("front"), 0),
            ("shop", &json!({"targetRefs": [target("GatewayClass", "front")]}), "shop", Some("front"), 0),
        ] {
            assert_eq!(counts(own, attached, namespace, gateway), (expected, expected), "{own} {attached} {gateway:?}");
        }
    }
}
