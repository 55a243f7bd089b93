//! EndpointSlices: the pods behind every Service that has a selector.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::{ObjectReference, Pod, Service, ServicePort, ServiceSpec};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client};
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::key::{Key, is_controlled_by, owner_reference};
use super::load_balancer;
use super::queue::{Next, Outcome, ReconcileError, WorkQueue, work};
use super::watch::{Seen, watch};

const SERVICE_NAME: &str = "kubernetes.io/service-name";
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const MANAGER: &str = "endpointslice-controller.k8s.io";
const HEADLESS: &str = "service.kubernetes.io/headless";
/// Endpoints in one slice, as in Kubernetes.
const SLICE_LIMIT: usize = 100;

type Labels = BTreeMap<String, String>;
/// Selectors of Services, by namespace and name: all that the pods' watch needs to know of them.
type Selectors = Mutex<HashMap<String, HashMap<String, Labels>>>;

pub(super) fn start(client: &Client, stop: &CancellationToken, tasks: &mut JoinSet<()>) {
    let queue = WorkQueue::new();
    let selectors: Arc<Selectors> = Arc::default();

    let mut services = Box::pin(watch(Api::<Service>::all(client.clone()), stop.clone()));
    let (to_do, known) = (queue.clone(), Arc::clone(&selectors));
    tasks.spawn(async move {
        while let Some(seen) = services.next().await {
            let (key, selector) = match seen {
                Seen::There(service) => (Key::of(&service.metadata), service.spec.and_then(|spec| spec.selector)),
                Seen::Gone(service) => (Key::of(&service.metadata), None),
                Seen::Complete => continue,
            };
            remember(&known, &key, selector);
            to_do.add(key).await;
        }
    });

    let mut pods = Box::pin(watch(Api::<Pod>::all(client.clone()), stop.clone()));
    let to_do = queue.clone();
    tasks.spawn(async move {
        // A pod that changes its labels concerns the Services it leaves as well.
        let mut concerned: HashMap<Key, BTreeSet<String>> = HashMap::new();
        while let Some(seen) = pods.next().await {
            let affected: Vec<Key> = match seen {
                Seen::There(pod) => {
                    let key = Key::of(&pod.metadata);
                    let matching = matching(&selectors, &key.namespace, pod.metadata.labels.as_ref());
                    let before = if matching.is_empty() {
                        concerned.remove(&key)
                    } else {
                        concerned.insert(key.clone(), matching.clone())
                    };
                    let names = matching.into_iter().chain(before.unwrap_or_default());
                    names.map(|name| Key::new(&key.namespace, &name)).collect()
                }
                Seen::Gone(pod) => {
                    let key = Key::of(&pod.metadata);
                    let names = concerned.remove(&key).unwrap_or_default();
                    names.iter().map(|name| Key::new(&key.namespace, name)).collect()
                }
                // Pods may have gone while the watch was down.
                Seen::Complete => all(&selectors),
            };
            for key in affected {
                to_do.add(key).await;
            }
        }
    });

    let mut slices = Box::pin(watch(Api::<EndpointSlice>::all(client.clone()), stop.clone()));
    let to_do = queue.clone();
    tasks.spawn(async move {
        while let Some(seen) = slices.next().await {
            if let Seen::There(slice) | Seen::Gone(slice) = seen
                && let Some(owner) = Key::of_owner(&slice.metadata, "Service")
            {
                to_do.add(owner).await;
            }
        }
    });

    let client = client.clone();
    work("endpointslice", &queue, stop, tasks, move |key| {
        let client = client.clone();
        async move { reconcile(&client, &key).await }
    });
}

fn remember(known: &Selectors, key: &Key, selector: Option<Labels>) {
    let mut known = known.lock();
    let namespace = known.entry(key.namespace.clone()).or_default();
    match selector.filter(|selector| !selector.is_empty()) {
        Some(selector) => {
            namespace.insert(key.name.clone(), selector);
        }
        None => {
            namespace.remove(&key.name);
            if namespace.is_empty() {
                known.remove(&key.namespace);
            }
        }
    }
}

fn matching(known: &Selectors, namespace: &str, labels: Option<&Labels>) -> BTreeSet<String> {
    let known = known.lock();
    let services = known.get(namespace).into_iter().flatten();
    services.filter(|(_, selector)| contains(labels, selector)).map(|(name, _)| name.clone()).collect()
}

fn all(known: &Selectors) -> Vec<Key> {
    let known = known.lock();
    known.iter().flat_map(|(namespace, services)| services.keys().map(|name| Key::new(namespace, name))).collect()
}

fn contains(labels: Option<&Labels>, selector: &Labels) -> bool {
    selector.iter().all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
}

async fn reconcile(client: &Client, key: &Key) -> Outcome {
    let Some(service) = Api::<Service>::namespaced(client.clone(), &key.namespace).get_opt(&key.name).await? else {
        return Ok(Next::Change);
    };
    let spec = service.spec.clone().unwrap_or_default();
    let Some(selector) = spec.selector.as_ref().filter(|selector| !selector.is_empty()) else {
        // Without a selector the slices are the user's.
        return Ok(Next::Change);
    };
    if service.metadata.deletion_timestamp.is_some() || spec.type_.as_deref() == Some("ExternalName") {
        return Ok(Next::Change);
    }
    let uid = service
        .metadata
        .uid
        .as_deref()
        .ok_or_else(|| ReconcileError::Incomplete { object: format!("Service {key}"), field: "metadata.uid" })?;
    let pods: Vec<Pod> = Api::<Pod>::namespaced(client.clone(), &key.namespace)
        .list(&ListParams::default())
        .await?
        .into_iter()
        .filter(|pod| contains(pod.metadata.labels.as_ref(), selector))
        .collect();
    let api = Api::<EndpointSlice>::namespaced(client.clone(), &key.namespace);
    let ours = ListParams::default().labels(&format!("{SERVICE_NAME}={},{MANAGED_BY}={MANAGER}", key.name));
    let mut present: BTreeMap<String, EndpointSlice> = api
        .list(&ours)
        .await?
        .into_iter()
        .filter(|slice| is_controlled_by(&slice.metadata, uid))
        .filter_map(|slice| Some((slice.metadata.name.clone()?, slice)))
        .collect();
    for wanted in slices(&service, &spec, &pods) {
        let name = wanted.metadata.name.clone().unwrap_or_default();
        match present.remove(&name) {
            None => {
                api.create(&PostParams::default(), &wanted).await?;
            }
            Some(current) if !is_same(&current, &wanted) => {
                let mut next = wanted;
                next.metadata.resource_version.clone_from(&current.metadata.resource_version);
                api.replace(&name, &PostParams::default(), &next).await?;
            }
            Some(_) => {}
        }
    }
    if spec.type_.as_deref() == Some(load_balancer::LOAD_BALANCER) {
        load_balancer::publish(client, key, &service, &spec, &pods).await?;
    }
    for name in present.keys() {
        match api.delete(name, &DeleteParams::default()).await {
            Ok(_) => {}
            Err(kube::Error::Api(answer)) if answer.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Next::Change)
}

fn is_same(current: &EndpointSlice, wanted: &EndpointSlice) -> bool {
    let list = |slice: &EndpointSlice| slice.endpoints.clone().unwrap_or_default();
    current.metadata.labels == wanted.metadata.labels
        && current.address_type == wanted.address_type
        && current.ports == wanted.ports
        && list(current) == list(wanted)
}

/// A port as it can be compared: name, number, protocol, application protocol.
pub(super) type Port = (Option<String>, i32, String, Option<String>);

/// The slices of a Service. Endpoints share a slice when they have the same address family and the same ports (a named
/// target port may be another number in another pod).
pub(super) fn slices(service: &Service, spec: &ServiceSpec, pods: &[Pod]) -> Vec<EndpointSlice> {
    let mut groups: BTreeMap<(&'static str, Vec<Port>), Vec<Endpoint>> = BTreeMap::new();
    let families: Vec<_> = match spec.ip_families.as_deref() {
        Some(families) if !families.is_empty() => families.to_vec(),
        _ => vec!["IPv4".to_owned(), "IPv6".to_owned()],
    };
    let mut pods: Vec<_> = pods.iter().collect();
    pods.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    for pod in pods {
        let Some((ip, endpoint)) = endpoint(service, spec, pod) else { continue };
        let family = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
        if families.iter().any(|wanted| wanted == family) {
            groups.entry((family, ports(spec, Some(pod)))).or_default().push(endpoint);
        }
    }
    if groups.is_empty() {
        // A Service without pods says so with an empty slice.
        let family = if families.iter().any(|family| family == "IPv4") { "IPv4" } else { "IPv6" };
        groups.insert((family, ports(spec, None)), Vec::new());
    }
    let mut names = (1_usize..).map(|number| number.to_string());
    let mut out = Vec::new();
    for ((family, ports), endpoints) in groups {
        let chunks: Vec<Vec<Endpoint>> = match endpoints.is_empty() {
            true => vec![Vec::new()],
            false => endpoints.chunks(SLICE_LIMIT).map(<[Endpoint]>::to_vec).collect(),
        };
        for endpoints in chunks {
            out.push(EndpointSlice {
                metadata: metadata(service, spec, &names.next().unwrap_or_default()),
                address_type: family.to_owned(),
                endpoints: Some(endpoints),
                ports: Some(ports.iter().map(as_endpoint_port).collect()),
            });
        }
    }
    out
}

fn metadata(service: &Service, spec: &ServiceSpec, suffix: &str) -> ObjectMeta {
    let name = service.metadata.name.as_deref().unwrap_or_default();
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.insert(SERVICE_NAME.to_owned(), name.to_owned());
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    if spec.cluster_ip.as_deref() == Some("None") {
        labels.insert(HEADLESS.to_owned(), String::new());
    }
    ObjectMeta {
        name: Some(format!("{name}-{suffix}")),
        namespace: service.metadata.namespace.clone(),
        labels: Some(labels),
        owner_references: Some(vec![owner_reference("v1", "Service", &service.metadata)]),
        ..ObjectMeta::default()
    }
}

fn as_endpoint_port((name, port, protocol, app_protocol): &Port) -> EndpointPort {
    EndpointPort {
        // An unnamed port has the empty name, as Kubernetes' controller writes it.
        name: Some(name.clone().unwrap_or_default()),
        port: Some(*port),
        protocol: Some(protocol.clone()),
        app_protocol: app_protocol.clone(),
    }
}

/// The Service's ports as numbers of this pod; a named target port that the pod does not have is left out.
pub(super) fn ports(spec: &ServiceSpec, pod: Option<&Pod>) -> Vec<Port> {
    let one = |port: &ServicePort| {
        let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".to_owned());
        let number = match &port.target_port {
            None => port.port,
            Some(IntOrString::Int(0)) => port.port,
            Some(IntOrString::Int(number)) => *number,
            Some(IntOrString::String(name)) => named_port(pod?, name, &protocol)?,
        };
        Some((port.name.clone(), number, protocol, port.app_protocol.clone()))
    };
    spec.ports.iter().flatten().filter_map(one).collect()
}

fn named_port(pod: &Pod, name: &str, protocol: &str) -> Option<i32> {
    let spec = pod.spec.as_ref()?;
    let sidecars =
        spec.init_containers.iter().flatten().filter(|container| container.restart_policy.as_deref() == Some("Always"));
    let containers = spec.containers.iter().chain(sidecars);
    let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
    let found = ports
        .find(|port| port.name.as_deref() == Some(name) && port.protocol.as_deref().unwrap_or("TCP") == protocol)?;
    Some(found.container_port)
}

/// A pod as an endpoint: it has an address and has not finished.
pub(super) fn endpoint(service: &Service, spec: &ServiceSpec, pod: &Pod) -> Option<(IpAddr, Endpoint)> {
    let status = pod.status.as_ref()?;
    let ip: IpAddr = status.pod_ip.as_deref()?.parse().ok()?;
    if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
        return None;
    }
    let ready =
        status.conditions.iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let terminating = pod.metadata.deletion_timestamp.is_some();
    let published = spec.publish_not_ready_addresses == Some(true);
    let pod_spec = pod.spec.as_ref();
    let hostname = pod_spec
        .filter(|spec| spec.subdomain.is_some() && spec.subdomain == service.metadata.name)
        .and_then(|spec| spec.hostname.clone());
    let endpoint = Endpoint {
        addresses: vec![ip.to_string()],
        conditions: Some(EndpointConditions {
            ready: Some(published || (ready && !terminating)),
            serving: Some(ready),
            terminating: Some(terminating),
        }),
        hostname,
        node_name: pod_spec.and_then(|spec| spec.node_name.clone()),
        target_ref: Some(ObjectReference {
            kind: Some("Pod".to_owned()),
            name: pod.metadata.name.clone(),
            namespace: pod.metadata.namespace.clone(),
            uid: pod.metadata.uid.clone(),
            ..ObjectReference::default()
        }),
        ..Endpoint::default()
    };
    Some((ip, endpoint))
}
