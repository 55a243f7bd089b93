//! The address of a Service of type LoadBalancer: here no balancer is made, because every pod's address is one of this machine.
//!
//! It guarantees that an address is published only where each of the Service's TCP ports is answered on it, so that a script that
//! reads address and port finds somebody there; else the Service waits, as one does in a cluster without a balancer.

use k8s_openapi::api::core::v1::{LoadBalancerIngress, LoadBalancerStatus, Pod, Service, ServiceSpec};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use super::endpoints::{endpoint, ports};
use super::key::Key;
use crate::net::may_listen;
use crate::runtime::loopback::privileged_twin;

/// The kind of Service that has one.
pub(super) const LOAD_BALANCER: &str = "LoadBalancer";

/// Writes the address into the Service's status where it is another than before.
pub(super) async fn publish(
    client: &Client,
    key: &Key,
    service: &Service,
    spec: &ServiceSpec,
    pods: &[Pod],
) -> Result<(), kube::Error> {
    let wanted: Option<Vec<LoadBalancerIngress>> =
        address(service, spec, pods).map(|ip| vec![LoadBalancerIngress { ip: Some(ip), ..Default::default() }]);
    let published = service.status.as_ref().and_then(|status| status.load_balancer.clone()).unwrap_or_default().ingress;
    if published == wanted {
        return Ok(());
    }
    let status = json!({"status": {"loadBalancer": LoadBalancerStatus { ingress: wanted }}});
    let api = Api::<Service>::namespaced(client.clone(), &key.namespace);
    api.patch_status(&key.name, &PatchParams::default(), &Patch::Merge(&status)).await?;
    Ok(())
}

/// The address of the first ready pod, if it answers on all ports.
fn address(service: &Service, spec: &ServiceSpec, pods: &[Pod]) -> Option<String> {
    let (ip, pod) = pods.iter().find_map(|pod| {
        let (ip, endpoint) = endpoint(service, spec, pod)?;
        let ready = endpoint.conditions.and_then(|conditions| conditions.ready) == Some(true);
        ready.then_some((ip, pod))
    })?;
    let targets = ports(spec, Some(pod)).into_iter().map(|(name, target, ..)| (name, target));
    let answered = |number: i32, target: i32| {
        let (Ok(number), Ok(target)) = (u16::try_from(number), u16::try_from(target)) else { return false };
        number == target || privileged_twin(target) == Some(number) && may_listen(number)
    };
    let all = spec.ports.iter().flatten().zip(targets).all(|(port, (_, target))| answered(port.port, target));
    all.then(|| ip.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(ports: &serde_json::Value) -> Service {
        serde_json::from_value(json!({"metadata": {"name": "s"}, "spec": {"type": "LoadBalancer", "ports": ports}}))
            .unwrap()
    }

    fn pod(ready: &str) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "p"}, "spec": {"containers": []},
            "status": {"podIP": "127.64.0.9", "conditions": [{"type": "Ready", "status": ready}]},
        }))
        .unwrap()
    }

    #[test]
    fn an_address_is_published_when_a_ready_pod_answers_on_every_port() {
        let same = service(&json!([{"port": 9000}, {"port": 31400, "targetPort": 31400}]));
        let other = service(&json!([{"port": 9000, "targetPort": 9001}]));
        let of = |service: &Service, pods: &[Pod]| address(service, service.spec.as_ref().unwrap(), pods);
        assert_eq!(of(&same, &[pod("False"), pod("True")]).as_deref(), Some("127.64.0.9"));
        assert_eq!(of(&same, &[pod("False")]), None);
        assert_eq!(of(&other, &[pod("True")]), None);
        for target in [8080, 18080] {
            let web = service(&json!([{"port": 80, "targetPort": target}]));
            assert_eq!(of(&web, &[pod("True")]).is_some(), may_listen(80));
        }
    }
}
