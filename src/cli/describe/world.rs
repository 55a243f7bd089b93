//! A cluster's objects, read once, as the control plane would compile them.

use std::sync::Arc;

use serde_json::Value;

use super::{Exposure, rules};
use crate::cli::error::{CliResult, Kind, WithKind};
use crate::compile::{self, GatewayWorkload, Scope, World};
use crate::identity::TrustDomain;
use crate::kube::{self, Connection, Selection};
use crate::model::{Action, Service, Workload};
use crate::resources::kinds;

/// The cluster's domain, and the mesh's.
const DOMAIN: &str = "cluster.local";

/// The namespace whose configuration holds for the whole mesh.
const ROOT_NAMESPACE: &str = "istio-system";

/// Groups of which every kind is read, and Kubernetes' own kinds beside them. Secrets are not: nothing that is said needs them.
const GROUPS: [&str; 2] = ["networking.istio.io", "security.istio.io"];
const KINDS: [(&str, &str); 3] = [("v1", "Service"), ("v1", "Pod"), ("discovery.k8s.io/v1", "EndpointSlice")];

/// What is there.
pub(super) struct Cluster {
    pub(super) world: World,
    pub(super) trust_domain: TrustDomain,
    pods: Vec<Value>,
    services: Vec<Value>,
}

impl Cluster {
    /// Reads everything that has a say.
    pub(super) async fn read(connection: &Connection) -> CliResult<Self> {
        let of_the_mesh = kinds::KINDS.iter().filter(|kind| GROUPS.contains(&kind.group));
        let wanted: Vec<(String, &str)> = KINDS
            .iter()
            .map(|(version, kind)| ((*version).to_owned(), *kind))
            .chain(of_the_mesh.map(|kind| (kind.api_version(), kind.kind)))
            .collect();
        let lists = wanted.iter().map(|(version, kind)| kube::list(connection, version, kind, Selection::default()));
        let objects: Vec<Value> = futures_util::future::try_join_all(lists).await?.into_iter().flatten().collect();
        let trust_domain = TrustDomain::new(DOMAIN).kind(Kind::Failed)?;
        let world = World::from_values(DOMAIN, ROOT_NAMESPACE, &trust_domain, &objects);
        let of = |kind: &str| objects.iter().filter(|object| object["kind"] == kind).cloned().collect::<Vec<_>>();
        Ok(Self { world, trust_domain, pods: of("Pod"), services: of("Service") })
    }

    pub(super) fn pod(&self, namespace: &str, name: &str) -> Option<&Value> {
        let is = |pod: &&Value| pod["metadata"]["namespace"] == namespace && pod["metadata"]["name"] == name;
        self.pods.iter().find(is)
    }

    /// The services that lead to a workload.
    pub(super) fn services_of(&self, workload: &Workload) -> Vec<Arc<Service>> {
        let leads = |service: &&Arc<Service>| {
            let held = self.world.endpoints.get(&service.host);
            held.is_some_and(|held| held.endpoints.iter().any(|one| one.workload.uid == workload.uid))
        };
        self.world.services.values().filter(leads).cloned().collect()
    }

    /// The ways from outside to a service: what gateways that are running would do with requests.
    pub(super) fn exposures(&self, service: &Service) -> Vec<Exposure> {
        let mut found: Vec<Exposure> = Vec::new();
        for gateway in self.gateways() {
            let edge = compile::Edge::new(&self.world, &gateway);
            for listener in edge.listeners() {
                for virtual_host in &listener.virtual_hosts {
                    let mut routes = edge.routes(&self.world, listener.port, &virtual_host.host);
                    routes.http.retain(|rule| match &rule.action {
                        Action::Forward(to) => to.iter().any(|to| to.cluster.host == service.host),
                        Action::Redirect(_) | Action::Respond(_) => false,
                    });
                    let from: Vec<String> = listener.provenance.iter().map(ToString::to_string).collect();
                    let (gateway, host) = (from.join(", "), virtual_host.host.to_string());
                    let known =
                        |one: &Exposure| one.gateway == gateway && one.host == host && one.port == listener.port;
                    if !routes.http.is_empty() && !found.iter().any(known) {
                        found.push(Exposure { gateway, port: listener.port, host, rules: rules(&routes) });
                    }
                }
            }
        }
        found
    }

    /// The workloads that are gateways.
    fn gateways(&self) -> Vec<GatewayWorkload> {
        let workloads = self.pods.iter().filter_map(|pod| compile::workload(pod, &self.trust_domain));
        let is_gateway = |workload: &Workload| {
            self.world.gateways.iter().any(|gateway| {
                let selector = &gateway.spec.selector;
                !selector.is_empty()
                    && selector.iter().all(|(key, value)| workload.label(key.as_str()) == Some(value.as_str()))
            })
        };
        let gateways = workloads.filter(is_gateway);
        gateways
            .map(|workload| {
                let selects = |service: &&Value| {
                    let selector = service["spec"]["selector"].as_object();
                    service["metadata"]["namespace"] == *workload.namespace
                        && selector.is_some_and(|selector| {
                            !selector.is_empty()
                                && selector.iter().all(|(key, value)| workload.label(key) == value.as_str())
                        })
                };
                let ports = self.services.iter().filter(selects).flat_map(|service| {
                    let ports = service["spec"]["ports"].as_array().cloned().unwrap_or_default();
                    ports.into_iter().filter_map(|port| {
                        let number = |field: &str| port[field].as_u64().and_then(|number| u16::try_from(number).ok());
                        Some((number("port")?, number("targetPort").or_else(|| number("port"))?))
                    })
                });
                GatewayWorkload {
                    scope: Scope::of_namespace(workload.namespace.clone()),
                    target_ports: ports.collect(),
                    labels: workload.labels.clone(),
                }
            })
            .collect()
    }
}
