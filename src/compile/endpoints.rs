//! Pods and EndpointSlices, as the mesh sees them.

use std::sync::Arc;

use serde_json::Value;

use crate::identity::{SpiffeId, TrustDomain};
use crate::model::{Endpoint, Health, Labels, Locality, Service, TunnelProtocol, Workload};

/// The label of a pod whose proxy speaks mutual TLS.
const TLS_MODE: (&str, &str) = ("security.istio.io/tlsMode", "istio");

/// A Pod as the mesh sees it; `None` for a value that is no Pod, or has no name.
///
/// It has an identity where its proxy can prove one: in a pod that is part of the mesh.
pub fn workload(pod: &Value, trust_domain: &TrustDomain) -> Option<Workload> {
    if pod.get("apiVersion")? != "v1" || pod.get("kind")? != "Pod" {
        return None;
    }
    let text = |path: &str| pod.pointer(path).and_then(Value::as_str);
    let name = text("/metadata/name")?;
    let namespace = text("/metadata/namespace").unwrap_or("default");
    let entries = pod.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten();
    let labels: Labels =
        entries.filter_map(|(key, value)| Some((key.as_str().into(), value.as_str()?.into()))).collect();
    let meshed = labels.get(TLS_MODE.0).is_some_and(|mode| &**mode == TLS_MODE.1);
    let account = text("/spec/serviceAccountName").unwrap_or("default");
    let identity = meshed.then(|| SpiffeId::new(trust_domain, namespace, account).ok()).flatten();
    let workload_name: Arc<str> = owner(pod, &labels).unwrap_or(name).into();
    let uid: Arc<str> = format!("Kubernetes//Pod/{namespace}/{name}").into();
    Some(Workload {
        addresses: text("/status/podIP").and_then(|address| address.parse().ok()).into_iter().collect(),
        protocol: if identity.is_some() { TunnelProtocol::MutualTls } else { TunnelProtocol::Plaintext },
        identity,
        node: text("/spec/nodeName").unwrap_or_default().into(),
        ..Workload::new(uid, name.into(), namespace.into(), workload_name, labels)
    })
}

/// Whether a Pod takes requests: it is not being deleted, and nobody says that it is not ready. A pod in a file says nothing.
pub(super) fn is_ready(pod: &Value) -> bool {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    let mut ready = conditions.into_iter().flatten().filter(|condition| condition["type"] == "Ready");
    pod.pointer("/metadata/deletionTimestamp").is_none() && ready.all(|condition| condition["status"] == "True")
}

/// The controller that made the pod: of a Deployment's ReplicaSet, the Deployment.
fn owner<'p>(pod: &'p Value, labels: &Labels) -> Option<&'p str> {
    let owners = pod.pointer("/metadata/ownerReferences").and_then(Value::as_array)?;
    let owner = owners.iter().find(|owner| owner.get("controller") == Some(&Value::Bool(true)))?;
    let name = owner.get("name").and_then(Value::as_str)?;
    let hash = labels.get("pod-template-hash");
    Some(hash.and_then(|hash| name.strip_suffix(&**hash)?.strip_suffix('-')).unwrap_or(name))
}

/// The name of the service, in the slice's own namespace, that an EndpointSlice belongs to, and that namespace; `None` for a
/// value that is no EndpointSlice, or belongs to no service.
pub fn slice_service(slice: &Value) -> Option<(&str, &str)> {
    if slice.get("kind")? != "EndpointSlice" || slice.get("apiVersion")? != "discovery.k8s.io/v1" {
        return None;
    }
    let service = slice.pointer("/metadata/labels/kubernetes.io~1service-name").and_then(Value::as_str)?;
    let namespace = slice.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or("default");
    Some((namespace, service))
}

/// The endpoints that an EndpointSlice gives a service. `workload` finds the workload of a pod (namespace, name); an endpoint
/// that names none, or one that is not known, is a workload of its own that speaks plaintext.
pub fn endpoints(
    slice: &Value,
    service: &Service,
    workload: impl Fn(&str, &str) -> Option<Arc<Workload>>,
) -> Vec<Endpoint> {
    let items = |field: &str| slice.get(field).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let targets: Vec<(&str, u16)> = items("ports")
        .iter()
        .filter_map(|port| {
            let number = port.get("port").and_then(Value::as_u64).and_then(|number| u16::try_from(number).ok())?;
            Some((port.get("name").and_then(Value::as_str).unwrap_or(""), number))
        })
        .collect();
    let mapped = service.ports.iter().filter_map(|port| {
        let (_, target) = targets.iter().find(|(name, _)| *name == &*port.name)?;
        Some((port.number, *target))
    });
    let ports: Vec<(u16, u16)> = mapped.collect();
    let mut found = Vec::new();
    for endpoint in items("endpoints") {
        let condition = |name: &str| endpoint.pointer(&format!("/conditions/{name}")).and_then(Value::as_bool);
        let health = match (condition("ready"), condition("terminating")) {
            (_, Some(true)) => Health::Draining,
            (Some(false), _) => Health::Unhealthy,
            // Kubernetes: an unknown condition is to be taken as ready.
            _ => Health::Healthy,
        };
        let target = |field: &str| endpoint.pointer(&format!("/targetRef/{field}")).and_then(Value::as_str);
        let pod = match (target("kind"), target("name")) {
            (Some("Pod"), Some(name)) => workload(target("namespace").unwrap_or(&service.namespace), name),
            _ => None,
        };
        // Addresses of one endpoint are interchangeable; Kubernetes uses the first.
        let first = endpoint.get("addresses").and_then(Value::as_array).and_then(|addresses| addresses.first());
        let Some(address) = first.and_then(Value::as_str).and_then(|address| address.parse().ok()) else { continue };
        let workload = pod.unwrap_or_else(|| {
            let text = |field: &str| endpoint.get(field).and_then(Value::as_str).unwrap_or_default();
            let unknown = Workload::at(address, address.to_string().into(), service.namespace.clone());
            let locality = Locality { zone: text("zone").into(), ..Locality::default() };
            Arc::new(Workload { locality, node: text("nodeName").into(), ..unknown })
        });
        let ports = ports.clone();
        found.push(Endpoint { address, name: None, ports, weight: 1, health, plaintext: Vec::new(), workload });
    }
    found
}
