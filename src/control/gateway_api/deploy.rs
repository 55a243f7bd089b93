//! What is deployed for a Gateway, as Istio names it: `<gateway>-<class>`, a ServiceAccount, a Deployment and a Service.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::compile::gateway_api::status::deployment_name;
use crate::compile::gateway_api::{GATEWAY_NAME, fitting};
use crate::resources::Object;
use crate::resources::gateway_api::Gateway;

/// What is added to a port below 1024, which a proxy without privileges cannot open: 80 is 8080 on the pod, or 18080 where 8080
/// is a port of its own.
const UNPRIVILEGED: [u16; 2] = [8000, 18_000];

/// Ports that cannot be a pod's: the proxy has them for itself.
const STATUS_PORT: u16 = 15_021;

/// Whether a Gateway's proxies are the mesh's to deploy: one that names a host as its address has some already.
pub(super) fn is_asked_for(gateway: &Object<Gateway>) -> bool {
    let mut sorts = gateway.spec.addresses.iter().filter_map(|address| address.address_type.as_ref());
    !sorts.any(|sort| sort.as_str() == "Hostname")
}

/// The objects, in the order in which one needs the other. `opened`: the ports that it opens, and what each speaks.
pub(super) fn objects(gateway: &Object<Gateway>, opened: &BTreeMap<u16, String>) -> Vec<Value> {
    let name = deployment_name(gateway);
    let namespace = gateway.meta.namespace.as_str();
    let own_name = fitting(&gateway.meta.name);
    let selector = json!({GATEWAY_NAME: own_name});
    let infrastructure = gateway.spec.infrastructure.as_ref();
    let mut labels: BTreeMap<&str, &str> = infrastructure
        .iter()
        .flat_map(|asked| &asked.labels)
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    labels.insert(GATEWAY_NAME, &own_name);
    labels.insert("gateway.networking.k8s.io/gateway-class-name", gateway.spec.gateway_class_name.as_str());
    let annotations: BTreeMap<&str, &str> = infrastructure
        .iter()
        .flat_map(|asked| &asked.annotations)
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    let metadata = json!({"name": name, "namespace": namespace, "labels": labels, "annotations": annotations});
    let mut of_pods = labels.clone();
    of_pods.insert("sidecar.istio.io/inject", "true");
    of_pods.insert("service.istio.io/canonical-name", &name);
    of_pods.insert("service.istio.io/canonical-revision", "latest");
    let mut annotations_of_pods = annotations.clone();
    annotations_of_pods.insert("inject.istio.io/templates", "gateway");
    vec![
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}),
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
            "spec": {
                "selector": {"matchLabels": selector},
                "template": {
                    "metadata": {"labels": of_pods, "annotations": annotations_of_pods},
                    "spec": {
                        "serviceAccountName": name,
                        "containers": [{"name": "istio-proxy", "image": "auto"}],
                    },
                },
            },
        }),
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": metadata,
            "spec": {"type": "LoadBalancer", "selector": selector, "ports": ports(opened)},
        }),
    ]
}

/// One port for each number that a listener has, and the one that load balancers ask about health.
fn ports(opened: &BTreeMap<u16, String>) -> Vec<Value> {
    let of_listeners = opened.iter().map(|(&number, protocol)| {
        let moved = UNPRIVILEGED.map(|added| number.saturating_add(added));
        let free = moved.into_iter().find(|target| !opened.contains_key(target));
        let target = if number < 1024 { free.unwrap_or(number) } else { number };
        json!({"name": format!("{protocol}-{number}"), "port": number, "targetPort": target, "appProtocol": protocol})
    });
    let status = json!({"name": "status-port", "port": STATUS_PORT, "targetPort": STATUS_PORT, "appProtocol": "tcp"});
    of_listeners.filter(|port| port["port"] != STATUS_PORT).chain([status]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gateway(more: &Value) -> Object<Gateway> {
        let mut spec = json!({
            "gatewayClassName": "istio",
            "listeners": [{"name": "a", "port": 80, "protocol": "HTTP", "hostname": "a.example.com"}],
        });
        for (field, value) in more.as_object().into_iter().flatten() {
            spec[field] = value.clone();
        }
        let value = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
            "metadata": {"name": "front", "namespace": "shop"}, "spec": spec,
        });
        Object::from_value(&value).unwrap()
    }

    #[test]
    fn a_gateways_service_leads_to_ports_without_privileges() {
        let infrastructure = json!({"infrastructure": {"labels": {"team": "a"}}});
        let opened = BTreeMap::from([(80, "http".to_owned()), (9443, "https".to_owned())]);
        let objects = objects(&gateway(&infrastructure), &opened);
        let [account, deployment, service] = objects.as_slice() else { panic!("three objects: {objects:?}") };
        for object in [account, deployment, service] {
            assert_eq!(object["metadata"]["name"], "front-istio");
            assert_eq!(object["metadata"]["labels"]["team"], "a");
        }
        let ports = service["spec"]["ports"].as_array().unwrap();
        let pairs: Vec<_> = ports.iter().map(|port| (port["port"].as_u64(), port["targetPort"].as_u64())).collect();
        assert_eq!(pairs, [(Some(80), Some(8080)), (Some(9443), Some(9443)), (Some(15021), Some(15021))]);
        let both = super::ports(&BTreeMap::from([(80, "http".to_owned()), (8080, "http".to_owned())]));
        assert_eq!((&both[0]["targetPort"], &both[1]["targetPort"]), (&json!(18080), &json!(8080)));
        let pods = &deployment["spec"]["template"]["metadata"]["labels"];
        assert_eq!((&pods[GATEWAY_NAME], &pods["team"]), (&json!("front"), &json!("a")));
    }

    #[test]
    fn a_gateway_that_names_a_host_has_its_proxies_already() {
        assert!(is_asked_for(&gateway(&json!({}))));
        assert!(!is_asked_for(&gateway(&json!({"addresses": [{"type": "Hostname", "value": "a.b"}]}))));
    }
}
