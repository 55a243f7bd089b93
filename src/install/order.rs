//! The kinds that an installation is made of, in the order in which they are applied; what goes, goes in reverse.

use serde_json::Value;

use crate::install::{COMPONENT, REVISION};

/// A kind that installations consist of.
pub(super) struct Installed {
    pub(super) api_version: &'static str,
    pub(super) kind: &'static str,
    pub(super) stage: Stage,
    /// Whether what is no longer wanted is removed. Definitions stay, and namespaces with what users put there.
    pub(super) pruned: bool,
}

/// What has to be ready before the next begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// What the others need to exist.
    Ground,
    /// The control plane.
    ControlPlane,
    /// What the API server asks the control plane: before it answers, pods could not be created.
    Webhooks,
    /// What injection completes.
    Gateways,
}

const fn kind(api_version: &'static str, kind: &'static str, stage: Stage) -> Installed {
    Installed { api_version, kind, stage, pruned: true }
}

/// Every kind, in order of application.
pub(super) const KINDS: &[Installed] = &[
    Installed { pruned: false, ..kind("v1", "Namespace", Stage::Ground) },
    Installed { pruned: false, ..kind("apiextensions.k8s.io/v1", "CustomResourceDefinition", Stage::Ground) },
    kind("v1", "ServiceAccount", Stage::ControlPlane),
    kind("rbac.authorization.k8s.io/v1", "ClusterRole", Stage::ControlPlane),
    kind("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", Stage::ControlPlane),
    kind("rbac.authorization.k8s.io/v1", "Role", Stage::ControlPlane),
    kind("rbac.authorization.k8s.io/v1", "RoleBinding", Stage::ControlPlane),
    kind("v1", "ConfigMap", Stage::ControlPlane),
    kind("v1", "Service", Stage::ControlPlane),
    kind("apps/v1", "Deployment", Stage::ControlPlane),
    kind("autoscaling/v2", "HorizontalPodAutoscaler", Stage::ControlPlane),
    kind("policy/v1", "PodDisruptionBudget", Stage::ControlPlane),
    kind("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", Stage::Webhooks),
    kind("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding", Stage::Webhooks),
    kind("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", Stage::Webhooks),
    kind("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", Stage::Webhooks),
];

/// When an object is applied: its stage, and its kind's place within.
pub(super) fn rank(object: &Value) -> (Stage, usize) {
    let kind = object.get("kind").and_then(Value::as_str);
    let place = KINDS.iter().position(|known| Some(known.kind) == kind);
    let stage = match component_of(object) {
        Some("IngressGateways" | "EgressGateways") => Stage::Gateways,
        _ => place.and_then(|place| KINDS.get(place)).map_or(Stage::Gateways, |known| known.stage),
    };
    (stage, place.unwrap_or(KINDS.len()))
}

fn label<'o>(object: &'o Value, name: &str) -> Option<&'o str> {
    object.get("metadata")?.get("labels")?.get(name)?.as_str()
}

/// The part of the mesh that an object belongs to.
pub fn component_of(object: &Value) -> Option<&str> {
    label(object, COMPONENT)
}

/// The revision that an object belongs to.
pub fn revision_of(object: &Value) -> Option<&str> {
    label(object, REVISION)
}
