use serde_json::json;

use super::*;

fn deployment(status: Value) -> Value {
    json!({"kind": "Deployment", "metadata": {"generation": 2}, "spec": {"replicas": 2}, "status": status})
}

#[test]
fn a_deployment_is_ready_when_its_new_pods_are_available_and_the_old_ones_are_gone() {
    for (status, expected) in [
        (json!({}), Some("has not been looked at by its controller")),
        (json!({"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1}), Some("has 1 of 2 new pods")),
        (
            json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 2, "availableReplicas": 3}),
            Some("waits for old pods to end"),
        ),
        (
            json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 1}),
            Some("has 1 of 2 pods available"),
        ),
        (json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}), None),
    ] {
        assert_eq!(readiness(&deployment(status.clone())).reason(), expected, "{status}");
    }
    let refused = json!({"observedGeneration": 2, "conditions": [
        {"type": "ReplicaFailure", "status": "True", "message": "quota exceeded"}]});
    assert_eq!(readiness(&deployment(refused)), Readiness::Stuck("can't create pods: quota exceeded".into()));
}

#[test]
fn a_pod_says_which_container_keeps_it_and_why() {
    let pod = |status: Value| json!({"kind": "Pod", "status": status});
    let waiting =
        json!({"name": "discovery", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}});
    assert_eq!(
        readiness(&pod(json!({"phase": "Pending", "containerStatuses": [waiting]}))).reason(),
        Some("container discovery: ImagePullBackOff: no such image")
    );
    let unscheduled = json!({"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes"}]});
    assert_eq!(readiness(&pod(unscheduled)).reason(), Some("can't be scheduled: 0/1 nodes"));
    assert_eq!(readiness(&pod(json!({"conditions": [{"type": "Ready", "status": "True"}]}))), Readiness::Ready);
    assert_eq!(readiness(&pod(json!({"phase": "Succeeded"}))), Readiness::Ready);
}

#[test]
fn a_webhook_is_ready_when_the_control_plane_has_entered_its_certificate() {
    let hook = |config: Value| json!({"kind": "MutatingWebhookConfiguration", "webhooks": [{"clientConfig": config}]});
    assert_ne!(readiness(&hook(json!({"service": {"name": "istiod"}}))), Readiness::Ready);
    assert_eq!(readiness(&hook(json!({"service": {"name": "istiod"}, "caBundle": "eA=="}))), Readiness::Ready);
    assert_eq!(readiness(&json!({"kind": "ConfigMap"})), Readiness::Ready);
}
