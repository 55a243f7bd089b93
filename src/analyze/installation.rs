//! What files are applied beside: the ingress gateway that an installation of the mesh has.

use serde_json::json;

use super::object::Object;

/// The pod and the Service of the ingress gateway, as a default installation has them.
pub fn installation(namespace: &str) -> Vec<Object> {
    let ports = [("http2", 80, 8080), ("https", 443, 8443), ("tcp", 31400, 31400), ("tls", 15443, 15443)];
    let ports: Vec<_> = ports
        .into_iter()
        .map(|(name, port, target)| json!({"name": name, "port": port, "protocol": "TCP", "targetPort": target}))
        .collect();
    let labels = json!({"istio": "ingressgateway"});
    let objects = [
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "istio-ingressgateway", "namespace": namespace, "labels": labels},
            "spec": {"ports": ports, "selector": labels},
        }),
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "istio-ingressgateway", "namespace": namespace, "labels": labels},
            "spec": {"containers": [{"name": "istio-proxy"}]},
        }),
    ];
    objects.into_iter().filter_map(|value| Object::of_cluster(value, None)).collect()
}
