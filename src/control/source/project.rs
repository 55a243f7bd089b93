//! From the API server's objects to [`Item`]s. What an object does not say gets Kubernetes' own default.

use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;

use crate::compile;
use crate::inject::SIDECAR;
use crate::model::{Health, Labels};

use super::{Item, Key, PodItem, ServiceItem, SliceEndpoint, SliceItem};

/// Set on pods that a proxy stands before, by whoever put it there.
const TLS_MODE: &str = "security.istio.io/tlsMode";
/// Written by the injector.
const SIDECAR_STATUS: &str = "sidecar.istio.io/status";
/// Settings of the pod's proxy (Istio's ProxyConfig).
const PROXY_CONFIG: &str = "proxy.istio.io/config";
/// Names the service of a slice.
const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// What a Deployment adds to the names of its ReplicaSets.
const TEMPLATE_HASH: &str = "pod-template-hash";

/// A Service. `None` where it cannot be read as one.
pub(super) fn service(service: &core::Service, domain: &str) -> Option<Item> {
    let created = service.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = balancer.and_then(|balancer| balancer.ingress.as_deref()).unwrap_or_default();
    let published =
        ingress.iter().filter_map(|one| one.ip.as_deref().or(one.hostname.as_deref())).map(Arc::from).collect();
    let value = serde_json::to_value(service).ok()?;
    let service = compile::service(&value, domain, None)?;
    Some(Item::Service(ServiceItem { service: Arc::new(service), published, created }))
}

/// A Secret. `None` where it holds nothing for TLS: nothing else of it is kept.
pub(super) fn secret(secret: &core::Secret) -> Option<Item> {
    let data = secret.data.as_ref()?;
    compile::TlsSecret::read(|name| data.get(name).map(|entry| entry.0.clone()))
        .map(|read| Item::Secret(Arc::new(read)))
}

/// The certificates of authorities in a ConfigMap. `None` where it holds none: nothing else of it is kept.
pub(super) fn authorities(map: &core::ConfigMap) -> Option<Item> {
    map.data.as_ref()?.get(compile::AUTHORITIES_ENTRY).map(|pem| Item::Authorities(pem.as_str().into()))
}

/// The labels of a Namespace.
pub(super) fn namespace(namespace: &core::Namespace) -> Option<Item> {
    let labels = namespace.metadata.labels.iter().flatten();
    Some(Item::Namespace(labels.map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect()))
}

/// A Pod. One that has ended has given its addresses back.
pub(super) fn pod(pod: &core::Pod) -> Option<Item> {
    let meta = &pod.metadata;
    let status = pod.status.as_ref();
    let ended = status.and_then(|status| status.phase.as_deref()).is_some_and(|p| p == "Succeeded" || p == "Failed");
    if ended {
        return None;
    }
    let name = meta.name.as_deref()?;
    let labels: Labels =
        meta.labels.iter().flatten().map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect();
    let mut addresses: Vec<IpAddr> = Vec::new();
    if let Some(status) = status {
        let listed = status.pod_ips.iter().flatten().map(|ip| ip.ip.as_str());
        for address in status.pod_ip.as_deref().into_iter().chain(listed).filter_map(|ip| ip.parse().ok()) {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }
    let owner = meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
    let workload_name = owner.map_or(name, |owner| {
        let hash = labels.get(TEMPLATE_HASH).filter(|_| owner.kind == "ReplicaSet");
        hash.and_then(|hash| owner.name.strip_suffix(&**hash)?.strip_suffix('-')).unwrap_or(&owner.name)
    });
    let annotation = |name: &str| meta.annotations.as_ref()?.get(name).map(String::as_str);
    let has_proxy = labels.get(TLS_MODE).is_some_and(|mode| &**mode == "istio") || annotation(SIDECAR_STATUS).is_some();
    let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref());
    let conditions = status.and_then(|status| status.conditions.as_ref());
    let says_ready = conditions.into_iter().flatten().any(|one| one.type_ == "Ready" && one.status == "True");
    Some(Item::Pod(PodItem {
        addresses,
        service_account: account.filter(|account| !account.is_empty()).unwrap_or("default").into(),
        workload_name: workload_name.into(),
        has_proxy,
        is_ready: says_ready && meta.deletion_timestamp.is_none(),
        is_gateway: pod.spec.as_ref().is_some_and(is_gateway),
        topology: annotation(PROXY_CONFIG).map(compile::annotated_topology).unwrap_or_default(),
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default().into(),
        labels,
    }))
}

/// Whether a pod is a gateway: its proxy is told that it is, or there is nothing but the proxy. What runs in a pod cannot change that.
fn is_gateway(spec: &core::PodSpec) -> bool {
    let proxies = || spec.containers.iter().filter(|container| container.name == SIDECAR);
    let is_told = |container: &core::Container| {
        container.args.iter().flatten().any(|argument| argument == "router" || argument == "--router")
    };
    proxies().any(is_told) || (!spec.containers.is_empty() && proxies().count() == spec.containers.len())
}

/// An EndpointSlice. `None` for one that belongs to no service.
pub(super) fn slice(slice: &discovery::EndpointSlice) -> Option<Item> {
    let namespace = slice.metadata.namespace.as_deref()?;
    let service = slice.metadata.labels.as_ref()?.get(SERVICE_NAME)?;
    let ports = slice.ports.iter().flatten().filter(|port| port.protocol.as_deref().is_none_or(|name| name == "TCP"));
    let ports = ports.filter_map(|port| {
        let number = u16::try_from(port.port?).ok().filter(|number| *number > 0)?;
        Some((port.name.as_deref().unwrap_or_default().into(), number))
    });
    let endpoints = slice.endpoints.iter().flatten().filter_map(|endpoint| {
        let target = endpoint.target_ref.as_ref().filter(|target| target.kind.as_deref() == Some("Pod"));
        let conditions = endpoint.conditions.as_ref();
        // Kubernetes: a condition that is not set counts as ready, serving and not terminating.
        let ready = conditions.and_then(|conditions| conditions.ready).unwrap_or(true);
        let serving = conditions.and_then(|conditions| conditions.serving).unwrap_or(ready);
        let terminating = conditions.and_then(|conditions| conditions.terminating).unwrap_or(false);
        let health = match (ready, terminating && serving) {
            (true, _) => Health::Healthy,
            (false, true) => Health::Draining,
            (false, false) => Health::Unhealthy,
        };
        Some(SliceEndpoint {
            // Kubernetes: every address of an endpoint is the same endpoint, and consumers use the first.
            address: endpoint.addresses.first()?.parse().ok()?,
            pod: target.and_then(|target| {
                Some(Key::new(target.namespace.as_deref().unwrap_or(namespace), target.name.as_deref()?))
            }),
            health,
        })
    });
    let item = SliceItem { service: service.as_str().into(), ports: ports.collect(), endpoints: endpoints.collect() };
    Some(Item::EndpointSlice(item))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_in_which_an_application_runs_is_no_gateway() {
        for (spec, expected) in [
            (json!({"containers": [{"name": "istio-proxy"}]}), true),
            (json!({"containers": [{"name": "istio-proxy", "args": ["proxy", "router"]}, {"name": "log"}]}), true),
            (json!({"containers": [{"name": "log"}, {"name": "istio-proxy", "args": ["proxy", "--router"]}]}), true),
            (json!({"containers": [{"name": "app"}, {"name": "istio-proxy", "args": ["proxy", "sidecar"]}]}), false),
            (json!({"containers": [{"name": "app", "args": ["--router"]}]}), false),
            (json!({"containers": [{"name": "app"}], "initContainers": [{"name": "istio-proxy"}]}), false),
            (json!({"containers": []}), false),
        ] {
            let pod = json!({"metadata": {"name": "a", "namespace": "b"}, "spec": spec});
            let Some(Item::Pod(read)) = pod_of(&pod) else { panic!("{pod}") };
            assert_eq!(read.is_gateway, expected, "{pod}");
        }
    }

    fn pod_of(value: &serde_json::Value) -> Option<Item> {
        pod(&serde_json::from_value(value.clone()).unwrap())
    }
}
