//! Kubernetes' own objects, as far as the mesh cares, and a world made of files.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use crate::compile::endpoints::{endpoints, is_ready, slice_service, workload};
use crate::compile::inbound::plaintext_ports;
use crate::compile::ingress::ingress;
use crate::compile::mesh_config::MeshConfig;
use crate::compile::world::{TlsSecret, World, oldest_first};
use crate::identity::TrustDomain;
use crate::model::{
    AppProtocol, Endpoint, Endpoints, Labels, Resolution, Service, ServicePort, TrafficDistribution, Workload,
};
use crate::resources::{Findings, Object, Provenance, Resource, SourcePosition};
use crate::yaml::{Document, Path};

/// A Kubernetes Service as the mesh sees it; `None` for a value that is no Service, or has no name.
///
/// UDP ports are left out: the mesh does not route them. So are services of the type `ExternalName`: they are other names of what
/// DNS leads to, and have no endpoints of their own to be found wanting.
pub fn service(value: &Value, domain: &str, source: Option<SourcePosition>) -> Option<Service> {
    if value.get("apiVersion")? != "v1" || value.get("kind")? != "Service" {
        return None;
    }
    let text = |value: &Value, field: &str| value.get(field).and_then(Value::as_str).map(str::to_owned);
    let metadata = value.get("metadata")?;
    let name = text(metadata, "name")?;
    let namespace = text(metadata, "namespace").unwrap_or_else(|| "default".to_owned());
    let spec = value.get("spec").unwrap_or(&Value::Null);
    if text(spec, "type").as_deref() == Some("ExternalName") {
        return None;
    }
    let items = |field: &str| spec.get(field).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let ports = items("ports").iter().filter_map(|port| {
        let number = port.get("port").and_then(Value::as_u64).and_then(|number| u16::try_from(number).ok())?;
        let name = text(port, "name").unwrap_or_default();
        let protocol = AppProtocol::of_port(text(port, "appProtocol").as_deref(), &name, number);
        (text(port, "protocol").as_deref() != Some("UDP")).then(|| ServicePort { number, name: name.into(), protocol })
    });
    let annotation = value.pointer("/metadata/annotations/networking.istio.io~1traffic-distribution");
    let mut wanted = [spec.get("trafficDistribution"), annotation].into_iter().flatten().filter_map(Value::as_str);
    let single = text(spec, "clusterIP");
    let addresses = items("clusterIPs").iter().filter_map(Value::as_str).chain(single.as_deref());
    let mut addresses: Vec<IpAddr> = addresses.filter_map(|address| address.parse().ok()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    Some(Service {
        host: format!("{name}.{namespace}.svc.{domain}").into(),
        provenance: Provenance::new("Service", namespace.as_str(), name.as_str()).with_source(source.map(Arc::new)),
        name: name.into(),
        namespace: namespace.into(),
        addresses,
        ports: ports.collect(),
        resolution: Resolution::Endpoints,
        distribution: wanted.find_map(TrafficDistribution::known).unwrap_or_default(),
    })
}

/// The entry of a ConfigMap that holds certificates of authorities (specification of BackendTLSPolicy).
pub const AUTHORITIES_ENTRY: &str = "ca.crt";

/// An object that a world is made of: from a file, which tells its place, or from a cluster.
#[derive(Clone, Copy)]
struct Item<'d> {
    value: &'d Value,
    document: Option<&'d Document>,
}

impl Item<'_> {
    fn place(&self) -> Option<SourcePosition> {
        self.document.map(|document| document.source(&Path::root()))
    }

    fn object<T: Resource>(&self) -> Result<Option<Object<T>>, Findings> {
        match self.document {
            Some(document) => Object::from_document(document).map(Some),
            // It is there, and the control plane leaves it out as well.
            None => Ok(Object::from_value(self.value).ok()),
        }
    }
}

impl World {
    /// A world of the objects of a cluster, as its API server shows them, each with its `apiVersion` and `kind`. What the mesh does
    /// not look at, and what it cannot read, is left out.
    pub fn from_values<'v>(
        domain: &str,
        root_namespace: &str,
        trust_domain: &TrustDomain,
        values: impl IntoIterator<Item = &'v Value>,
    ) -> Self {
        let items = values.into_iter().map(|value| Item { value, document: None }).collect();
        let world = Self::from_items(domain, root_namespace, trust_domain, items);
        // Only documents are refused.
        world.unwrap_or_else(|_| Self::new(domain, root_namespace))
    }

    /// A world of the objects in these documents; kinds that the mesh does not look at are left out. Fails with what is wrong
    /// with an object that it does look at.
    pub fn from_documents<'d>(
        domain: &str,
        root_namespace: &str,
        trust_domain: &TrustDomain,
        documents: impl IntoIterator<Item = &'d Document>,
    ) -> Result<Self, Findings> {
        let items = documents.into_iter().map(|document| Item { value: &document.value, document: Some(document) });
        Self::from_items(domain, root_namespace, trust_domain, items.collect())
    }

    fn from_items(
        domain: &str,
        root_namespace: &str,
        trust_domain: &TrustDomain,
        documents: Vec<Item<'_>>,
    ) -> Result<Self, Findings> {
        let mut world = Self::new(domain, root_namespace);
        for document in &documents {
            if let Some(service) = service(document.value, domain, document.place()) {
                world.services.insert(service.host.clone(), Arc::new(service));
                continue;
            }
            if let Some((name, labels)) = namespace(document.value) {
                world.namespaces.insert(name, labels);
                continue;
            }
            if let Some((name, secret)) = secret(document.value) {
                world.secrets.insert(name, Arc::new(secret));
                continue;
            }
            if let Some(config) = mesh_config(document.value, root_namespace) {
                world.mesh = Arc::new(config);
                continue;
            }
            if let Some((name, authorities)) = authorities(document.value) {
                world.authorities.insert(name, authorities);
                continue;
            }
            if let Some(ingress) = ingress(document.value) {
                world.gateways.push(ingress.gateway);
                ingress.routes.into_iter().for_each(|route| drop(world.virtual_services.insert(route)));
                continue;
            }
            add(document, &mut world.service_entries)?;
            add(document, &mut world.workload_entries)?;
            if let Some(object) = read(document)? {
                world.virtual_services.insert(object);
            } else if let Some(object) = read(document)? {
                world.destination_rules.insert(object);
            }
            add(document, &mut world.sidecars)?;
            add(document, &mut world.gateways)?;
            add(document, &mut world.peer_authentications)?;
            add(document, &mut world.request_authentications)?;
            add(document, &mut world.authorization_policies)?;
            add(document, &mut world.telemetries)?;
            add(document, &mut world.gateway_classes)?;
            add(document, &mut world.edge_gateways)?;
            add(document, &mut world.http_routes)?;
            add(document, &mut world.grpc_routes)?;
            add(document, &mut world.tls_routes)?;
            add(document, &mut world.tcp_routes)?;
            add(document, &mut world.udp_routes)?;
            add(document, &mut world.listener_sets)?;
            add(document, &mut world.backend_tls_policies)?;
            add(document, &mut world.reference_grants)?;
        }
        oldest_first(&mut world.service_entries);
        oldest_first(&mut world.workload_entries);
        oldest_first(&mut world.sidecars);
        oldest_first(&mut world.gateways);
        oldest_first(&mut world.peer_authentications);
        oldest_first(&mut world.request_authentications);
        oldest_first(&mut world.telemetries);
        oldest_first(&mut world.authorization_policies);
        oldest_first(&mut world.gateway_classes);
        oldest_first(&mut world.edge_gateways);
        oldest_first(&mut world.http_routes);
        oldest_first(&mut world.grpc_routes);
        oldest_first(&mut world.tls_routes);
        oldest_first(&mut world.tcp_routes);
        oldest_first(&mut world.udp_routes);
        oldest_first(&mut world.listener_sets);
        oldest_first(&mut world.backend_tls_policies);
        oldest_first(&mut world.reference_grants);
        world.add_endpoints(&documents, trust_domain);
        Ok(world)
    }

    /// Adds the endpoints that EndpointSlices give the services that are there.
    fn add_endpoints(&mut self, documents: &[Item<'_>], trust_domain: &TrustDomain) {
        let mut pods: BTreeMap<(Arc<str>, Arc<str>), Arc<Workload>> = BTreeMap::new();
        let mut ready: Vec<Arc<Workload>> = Vec::new();
        for document in documents {
            let Some(pod) = workload(document.value, trust_domain).map(Arc::new) else { continue };
            ready.extend(is_ready(document.value).then(|| pod.clone()));
            pods.insert((pod.namespace.clone(), pod.name.clone()), pod);
        }
        self.add_external(ready.iter(), trust_domain);
        let find = |namespace: &str, name: &str| pods.get(&(namespace.into(), name.into())).cloned();
        for document in documents {
            let Some((namespace, name)) = slice_service(document.value) else { continue };
            let host: Arc<str> = format!("{name}.{namespace}.svc.{}", self.domain).into();
            let Some(service) = self.services.get(&host) else { continue };
            let mut all = self.endpoints.get(&host).map_or(Vec::new(), |held| held.endpoints.clone());
            all.extend(endpoints(document.value, service, find).into_iter().map(|endpoint| {
                let plaintext = plaintext_ports(self, &endpoint.workload, &endpoint.ports);
                Arc::new(Endpoint { plaintext, ..endpoint })
            }));
            all.sort_by(|a, b| (&a.workload.uid, a.address).cmp(&(&b.workload.uid, b.address)));
            self.endpoints.insert(host.clone(), Arc::new(Endpoints { host, endpoints: all }));
        }
    }
}

/// A Namespace's name and labels. Like the API server, it adds the label that has its name.
fn namespace(value: &Value) -> Option<(Arc<str>, Labels)> {
    if value.get("kind")? != "Namespace" || value.get("apiVersion")? != "v1" {
        return None;
    }
    let name = value.pointer("/metadata/name")?.as_str()?;
    let labels = value.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten();
    let labels = labels.filter_map(|(key, value)| Some((key.as_str().into(), value.as_str()?.into())));
    Some((name.into(), labels.chain([("kubernetes.io/metadata.name".into(), name.into())]).collect()))
}

/// Namespace and name.
type SecretName = (Arc<str>, Arc<str>);

/// What a Kubernetes Secret holds for TLS, and its name.
fn secret(value: &Value) -> Option<(SecretName, TlsSecret)> {
    if value.get("kind")? != "Secret" || value.get("apiVersion")? != "v1" {
        return None;
    }
    let text = |path: &str| value.pointer(path).and_then(Value::as_str);
    let name = (text("/metadata/namespace").unwrap_or("default").into(), text("/metadata/name")?.into());
    Some((name, TlsSecret::read(|name| secret_entry(value, name))?))
}

/// An entry of a Kubernetes Secret as it is in a file: `stringData` goes before `data`, which is base64 on one or more lines.
#[must_use]
pub fn secret_entry(secret: &Value, name: &str) -> Option<Vec<u8>> {
    let text = |field: &str| secret.get(field).and_then(|data| data.get(name)).and_then(Value::as_str);
    match text("stringData") {
        Some(plain) => Some(plain.as_bytes().to_vec()),
        None => BASE64_STANDARD.decode(text("data")?.replace(['\r', '\n'], "")).ok(),
    }
}

/// The mesh's settings, where this is the ConfigMap that holds them. Those that cannot be read are left out, and said.
fn mesh_config(value: &Value, root_namespace: &str) -> Option<MeshConfig> {
    let text = |path: &str| value.pointer(path).and_then(Value::as_str);
    let is_it = text("/kind")? == "ConfigMap"
        && text("/metadata/name")? == MeshConfig::NAME
        && text("/metadata/namespace").unwrap_or("default") == root_namespace;
    let settings = text("/data/mesh").filter(|_| is_it)?;
    match MeshConfig::parse(settings) {
        Ok(config) => Some(config),
        Err(error) => {
            tracing::warn!(%error, "ConfigMap {root_namespace}/{} is not in force", MeshConfig::NAME);
            None
        }
    }
}

/// The certificates of authorities that a ConfigMap holds, and its name.
fn authorities(value: &Value) -> Option<(SecretName, Arc<str>)> {
    if value.get("kind")? != "ConfigMap" || value.get("apiVersion")? != "v1" {
        return None;
    }
    let text = |path: &str| value.pointer(path).and_then(Value::as_str);
    let name = (text("/metadata/namespace").unwrap_or("default").into(), text("/metadata/name")?.into());
    Some((name, value.get("data")?.get(AUTHORITIES_ENTRY)?.as_str()?.into()))
}

/// Adds the document's object, if it is of this kind.
fn add<T: Resource>(document: &Item<'_>, objects: &mut Vec<Arc<Object<T>>>) -> Result<(), Findings> {
    objects.extend(read(document)?);
    Ok(())
}

/// The document's object, if it is of this kind.
fn read<T: Resource>(document: &Item<'_>) -> Result<Option<Arc<Object<T>>>, Findings> {
    let is = |field: &str, wanted: &dyn Fn(&str) -> bool| {
        document.value.get(field).and_then(Value::as_str).is_some_and(wanted)
    };
    let is_it =
        is("kind", &|kind| kind == T::KIND) && is("apiVersion", &|version| version.split('/').next() == Some(T::GROUP));
    if is_it { Ok(document.object()?.map(Arc::new)) } else { Ok(None) }
}
