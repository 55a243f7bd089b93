//! What the built-in runtime's API server asks before it stores: the sidecar injector and the mesh's validation.
//!
//! In a cluster both are webhooks; here they are functions of the same process, so a write is never refused because somebody could
//! not be reached.

use http::StatusCode;
use serde_json::Value;

use crate::compile;
use crate::inject::{self, InjectError};
use crate::resources::{self, Finding};
use crate::runtime::apiserver::{Admission, AdmissionRequest, Cause, Denied, Operation};

/// Adds sidecars to new pods that ask for one.
#[derive(Debug, Default)]
pub struct Injection {
    settings: inject::Settings,
}

impl Injection {
    /// An injector with these settings.
    pub const fn new(settings: inject::Settings) -> Self {
        Self { settings }
    }
}

impl Admission for Injection {
    fn name(&self) -> &str {
        "sidecar-injector"
    }

    fn mutate(&self, request: &AdmissionRequest<'_>) -> Result<Option<Value>, Denied> {
        let is_new_pod = request.operation == Operation::Create
            && request.group.is_empty()
            && request.resource == "pods"
            && request.subresource.is_empty();
        if !is_new_pod {
            return Ok(None);
        }
        let map = |path: &str| {
            let entries = request.object.pointer(path).and_then(Value::as_object).into_iter().flatten();
            entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
        };
        let host_network = request.object.pointer("/spec/hostNetwork").and_then(Value::as_bool) == Some(true);
        let decision = inject::decide_for(
            inject::Injector::asked_as(&self.settings.revision),
            request.namespace_labels,
            &map("/metadata/labels"),
            &map("/metadata/annotations"),
            host_network,
        );
        if !decision.inject {
            return Ok(None);
        }
        let mut pod = request.object.clone();
        inject::inject(&mut pod, &self.settings)
            .map_err(|error: InjectError| Denied::invalid(error.to_string(), Vec::new()))?;
        Ok(Some(pod))
    }
}

/// Kinds that are stored so that manifests apply, and that nothing here acts on; what to use instead.
const INERT: &[(&str, &str, &str)] = &[
    ("networking.k8s.io", "Ingress", "with `ingressClassName: istio` the ingress gateway serves it"),
    ("networking.k8s.io", "NetworkPolicy", "AuthorizationPolicy says who may call whom"),
    ("autoscaling", "HorizontalPodAutoscaler", "use kubectl scale"),
    ("policy", "PodDisruptionBudget", "there is one node"),
    ("", "PersistentVolumeClaim", "pods have emptyDir volumes"),
    ("", "ResourceQuota", "nothing is counted"),
    ("", "LimitRange", "pods have no limits"),
    ("", "ReplicationController", "a Deployment keeps pods running"),
    ("", "PersistentVolume", "pods have emptyDir volumes"),
    ("storage.k8s.io", "StorageClass", "pods have emptyDir volumes"),
    ("scheduling.k8s.io", "PriorityClass", "there is one node, and no pod makes room for another"),
    ("node.k8s.io", "RuntimeClass", "every pod is started in the same way"),
];

/// Says what of a Kubernetes object is not in force here.
#[derive(Debug, Default)]
pub struct NotInForce;

impl Admission for NotInForce {
    fn name(&self) -> &str {
        "not-in-force"
    }

    fn validate(&self, request: &AdmissionRequest<'_>) -> Result<Vec<String>, Denied> {
        if request.operation == Operation::Delete || !request.subresource.is_empty() {
            return Ok(Vec::new());
        }
        let inert = INERT.iter().find(|(group, kind, _)| (*group, *kind) == (request.group, request.kind));
        let mut warnings: Vec<String> = inert
            .filter(|_| request.kind != "Ingress" || !compile::is_served(request.object))
            .map(|(_, kind, instead)| format!("{kind} is stored and not in force in the built-in runtime: {instead}"))
            .into_iter()
            .collect();
        if request.kind == "Service" && request.object.pointer("/spec/type").and_then(Value::as_str) == Some("NodePort")
        {
            warnings.push(
                "node ports are not opened in the built-in runtime; use the ingress gateway or kubectl port-forward"
                    .into(),
            );
        }
        Ok(warnings)
    }
}

/// Refuses configuration of the mesh that is wrong, and says what of it is not in force.
#[derive(Debug, Default)]
pub struct Validation;

impl Admission for Validation {
    fn name(&self) -> &str {
        "mesh-validation"
    }

    fn validate(&self, request: &AdmissionRequest<'_>) -> Result<Vec<String>, Denied> {
        if request.operation == Operation::Delete || !request.subresource.is_empty() {
            return Ok(Vec::new());
        }
        // An object on its way out may only lose finalizers; what it says no longer matters.
        if request.object.pointer("/metadata/deletionTimestamp").is_some() {
            return Ok(Vec::new());
        }
        let Some(kind) = resources::kinds::find(request.group, request.kind) else { return Ok(Vec::new()) };
        let changed = request.old_object.and_then(|old| resources::forbidden_change(kind, old, request.object));
        if let Some(message) = changed {
            let message = format!("{}.{} {:?} is invalid: {message}", request.kind, request.group, request.name);
            return Err(Denied { code: StatusCode::UNPROCESSABLE_ENTITY, message, causes: Vec::new() });
        }
        let findings = resources::validate(kind, request.object);
        if findings.is_refused() {
            let causes = findings.errors.iter().map(cause).collect();
            let message = format!("{}.{} {:?} is invalid: {findings}", request.kind, request.group, request.name);
            return Err(Denied { code: StatusCode::UNPROCESSABLE_ENTITY, message, causes });
        }
        Ok(findings.warnings.iter().map(ToString::to_string).collect())
    }
}

fn cause(finding: &Finding) -> Cause {
    Cause { reason: "FieldValueInvalid".to_owned(), message: finding.message.clone(), field: finding.path.to_string() }
}
