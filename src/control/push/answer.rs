//! What a name means to the one who asks (`docs/wire.md` sections 2 to 5).

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::compile::{self, GatewayWorkload, KeySource, Scope};
use crate::model::{
    Endpoint, Endpoints, Listener, Reporting, Service, Settings, Side, TunnelProtocol, VirtualHost, Workload,
};
use crate::wire::name::{EndpointsName, RoutesName, SELF, ServiceName, TrafficPolicyName, WILDCARD};
use crate::wire::proto::mesh::v1;
use crate::wire::{Encoded, MAX_ENDPOINTS_PER_CHUNK, ResourceType, ServiceRecord, name};

use super::super::source::{Key, Placed, inbound_services};
use super::{Answer, Question, Snapshot};
use crate::identity::SpiffeId;

/// Who asks.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Its pod.
    pub pod: Key,
    /// What it has proved to be.
    pub identity: SpiffeId,
    /// Whether it has listeners of its own.
    pub is_gateway: bool,
    /// What its clients see.
    clients: Scope,
    /// The same, as names have it.
    scope: name::Scope,
}

impl Subject {
    /// The proxy of a pod. Its scope is what `snapshot` says.
    pub fn new(pod: Key, identity: SpiffeId, is_gateway: bool, snapshot: &Snapshot) -> Self {
        let clients = snapshot.clients_of(&pod, is_gateway);
        let scope = named(&clients);
        Self { pod, identity, is_gateway, clients, scope }
    }

    /// Takes note of which scope it is of now. Whether that is another one.
    pub fn look_again(&mut self, snapshot: &Snapshot) -> bool {
        let clients = snapshot.clients_of(&self.pod, self.is_gateway);
        if clients == self.clients {
            return false;
        }
        self.scope = named(&clients);
        self.clients = clients;
        true
    }
}

/// Two scopes whose clients see the same have one name.
fn named(clients: &Scope) -> name::Scope {
    let egress = clients.egress.as_ref().map(|egress| format!("{egress:?}"));
    let parts = [&*clients.namespace].into_iter().chain(egress.as_deref());
    name::Scope::of(parts.chain(clients.selected.iter().map(String::as_str)))
}

/// Why a name has no answer of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The name has a scope that is not the caller's.
    ForeignScope,
    /// The name is none of its type.
    NoName,
}

impl Question {
    /// What `name` asks for where `subject` says it.
    pub fn parse(subject: &Subject, kind: ResourceType, name: &str) -> Result<Self, Refusal> {
        let admitted = |scope: &name::Scope| if *scope == subject.scope { Ok(()) } else { Err(Refusal::ForeignScope) };
        let scoped = |scope: &name::Scope, host: Arc<str>| {
            admitted(scope).map(|()| Self::Scoped(kind, subject.scope.clone(), host))
        };
        match kind {
            ResourceType::Settings | ResourceType::InboundPolicy if *name == *SELF => {
                Ok(Self::Own(kind, subject.pod.clone()))
            }
            ResourceType::Listener if *name == *WILDCARD && subject.is_gateway => {
                Ok(Self::Own(kind, subject.pod.clone()))
            }
            ResourceType::Settings | ResourceType::InboundPolicy | ResourceType::Listener => Err(Refusal::NoName),
            ResourceType::Service => {
                let ServiceName { scope, authority } = name.parse().map_err(|_| Refusal::NoName)?;
                scoped(&scope, authority)
            }
            ResourceType::TrafficPolicy => {
                let TrafficPolicyName { scope, host } = name.parse().map_err(|_| Refusal::NoName)?;
                // What is told to a gateway holds what only gateways are told: Secrets of their namespace.
                if subject.is_gateway {
                    return admitted(&scope).map(|()| Self::Gateways(kind, subject.scope.clone(), host));
                }
                scoped(&scope, host)
            }
            ResourceType::Endpoints => {
                let EndpointsName { namespace, host, chunk } = name.parse().map_err(|_| Refusal::NoName)?;
                Ok(match namespace {
                    None => Self::Endpoints(host, chunk),
                    Some(namespace) => Self::External(subject.pod.namespace.clone(), namespace, host, chunk),
                })
            }
            ResourceType::Routes => match name.parse().map_err(|_| Refusal::NoName)? {
                RoutesName::Service { scope, host } => scoped(&scope, host),
                RoutesName::Gateway { scope, port, host } => {
                    admitted(&scope).map(|()| Self::VirtualHost(subject.pod.clone(), port, host))
                }
            },
        }
    }
}

impl Snapshot {
    fn clients_of(&self, pod: &Key, is_gateway: bool) -> Scope {
        match self.pod(pod).filter(|_| !is_gateway) {
            Some(placed) => compile::scope(&self.world, &pod.namespace, &placed.workload.labels),
            None => Scope::of_namespace(pod.namespace.clone()),
        }
    }

    /// The service of a host, as far as `subject` sees it.
    fn seen(&self, subject: &Subject, host: &str) -> Option<&Arc<Service>> {
        compile::service_of(&self.world, &subject.clients, host)
            .filter(|service| subject.clients.sees(&self.world, service))
    }

    /// Where the keys come from of those whose tokens `subject` believes.
    pub fn key_sources(&self, subject: &Subject) -> BTreeSet<KeySource> {
        let placed = self.pod(&subject.pod);
        placed.map(|placed| compile::key_sources_of(&self.world, &placed.workload)).unwrap_or_default()
    }

    /// The resources that `name` means to `subject`, whose question is `question`; none where there is no such thing.
    pub fn answer(&self, subject: &Subject, question: &Question, name: &Arc<str>) -> Answer {
        if *question == Question::Own(ResourceType::Listener, subject.pod.clone()) {
            return self.remember(question, || self.listeners(subject));
        }
        self.remember(question, || {
            self.compile(subject, question).map(|encoded| (name.clone(), encoded)).into_iter().collect()
        })
    }

    fn compile(&self, subject: &Subject, question: &Question) -> Option<Encoded> {
        match question {
            Question::Own(ResourceType::Settings, _) => Some(self.settings(subject)),
            Question::Own(..) => self.inbound_policy(subject),
            Question::Scoped(ResourceType::Service, _, authority) => self.service(subject, authority),
            Question::Scoped(ResourceType::TrafficPolicy, _, host) | Question::Gateways(_, _, host) => {
                let service = self.seen(subject, host)?;
                let policy = compile::traffic_policy(&self.world, &subject.clients, service, subject.is_gateway);
                Some(Encoded::new(&v1::TrafficPolicy::from(&policy)))
            }
            Question::Scoped(_, _, host) => {
                let service = subject.clients.narrowed(self.seen(subject, host)?);
                let routes = compile::routes(&self.world, &subject.clients, &service);
                Some(Encoded::new(&v1::Routes::from(&routes)))
            }
            Question::VirtualHost(_, port, host) => {
                let edge = self.edge(self.gateway(subject)?);
                let routes = edge.serves(*port, host).then(|| edge.routes(&self.world, *port, host))?;
                Some(Encoded::new(&v1::Routes::from(&routes)))
            }
            Question::Endpoints(host, chunk) => self.endpoints(host, *chunk),
            Question::External(viewer, namespace, host, chunk) => {
                let all = self.world.external.get(host).into_iter().flatten();
                let mut visible = all.filter(|known| known.is_visible(viewer));
                let found = visible.find(|known| known.service.namespace == *namespace)?;
                part(host, &found.endpoints.endpoints, *chunk)
            }
        }
    }

    fn settings(&self, subject: &Subject) -> Encoded {
        let of_clients = subject.clients.egress.as_ref().and_then(|egress| egress.outbound_mode);
        let placed = self.pod(&subject.pod);
        let topology = placed.map(|placed| placed.topology).unwrap_or_default().or(self.world.mesh.topology);
        let logs = self.world.mesh.access_log.unwrap_or(self.mesh.access_log);
        let workload = placed.map(|placed| &*placed.workload);
        let reporting = |side| match workload {
            Some(workload) => compile::reporting(&self.world, workload, side, logs),
            None => Reporting { log: logs, ..Reporting::default() },
        };
        let settings = Settings {
            scope: subject.scope.as_str().into(),
            trust_domain: self.mesh.trust_domain.clone(),
            cluster: self.mesh.cluster.clone(),
            outbound_mode: of_clients.or(self.world.mesh.outbound_mode).unwrap_or(self.mesh.outbound_mode),
            client: reporting(Side::Client),
            server: reporting(Side::Server),
            proxy_protocol: topology.proxy_protocol,
            trusted_proxies: topology.trusted_proxies.unwrap_or(0),
            bundle: Some(self.mesh.bundle.clone()),
        };
        Encoded::new(&v1::Settings::from(&settings))
    }

    fn inbound_policy(&self, subject: &Subject) -> Option<Encoded> {
        let placed = self.pod(&subject.pod)?;
        // Whoever asks is the proxy in front of it, whatever the pod's labels say.
        let workload = Workload {
            identity: Some(subject.identity.clone()),
            protocol: TunnelProtocol::MutualTls,
            ..(*placed.workload).clone()
        };
        let services = inbound_services(&self.world, &self.created, placed);
        let aliases = self.world.mesh.trust_domain_aliases.iter();
        let domains: Vec<Arc<str>> = self.mesh.trust_domains.iter().chain(aliases).cloned().collect();
        let policy = compile::inbound_policy(&self.world, Arc::new(workload), services, &domains);
        Some(Encoded::new(&v1::InboundPolicy::from(&policy)))
    }

    fn service(&self, subject: &Subject, authority: &str) -> Option<Encoded> {
        let service = compile::resolve(&self.world, &subject.clients, authority)?;
        let host = service.host.clone();
        let count = compile::endpoints_of(&self.world, service).len();
        let namespace = (!self.world.services.contains_key(&host)).then(|| service.namespace.clone());
        // There is always a first chunk, so that a service's first endpoint does not change the service.
        let chunks = u32::try_from(count.div_ceil(MAX_ENDPOINTS_PER_CHUNK).max(1)).unwrap_or(u32::MAX);
        let scope = subject.scope.clone();
        let record = ServiceRecord {
            service: (**subject.clients.narrowed(service)).clone(),
            routes: RoutesName::Service { scope: scope.clone(), host: host.clone() }.to_string().into(),
            traffic_policy: TrafficPolicyName { scope, host: host.clone() }.to_string().into(),
            endpoints: (0..chunks)
                .map(|chunk| {
                    EndpointsName { namespace: namespace.clone(), host: host.clone(), chunk }.to_string().into()
                })
                .collect(),
        };
        Some(Encoded::new(&v1::Service::from(&record)))
    }

    fn endpoints(&self, host: &Arc<str>, chunk: u32) -> Option<Encoded> {
        self.world.services.get(host)?;
        let all = self.world.endpoints.get(host).map_or(&[][..], |endpoints| &endpoints.endpoints);
        part(host, all, chunk)
    }

    fn gateway(&self, subject: &Subject) -> Option<GatewayWorkload> {
        let placed = self.pod(&subject.pod).filter(|_| subject.is_gateway)?;
        Some(GatewayWorkload {
            scope: subject.clients.clone(),
            labels: placed.workload.labels.clone(),
            target_ports: self.target_ports(placed),
        })
    }

    fn target_ports(&self, placed: &Placed) -> Vec<(u16, u16)> {
        let endpoints = placed.hosts.iter().filter_map(|host| self.world.endpoints.get(host));
        let own = endpoints
            .flat_map(|endpoints| &endpoints.endpoints)
            .filter(|endpoint| endpoint.workload.uid == placed.workload.uid);
        let mut ports: Vec<(u16, u16)> = own.flat_map(|endpoint| endpoint.ports.iter().copied()).collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    }

    fn listeners(&self, subject: &Subject) -> Answer {
        let Some(workload) = self.gateway(subject) else { return Arc::from([]) };
        let edge = self.edge(workload);
        let listeners = edge.listeners().iter().cloned();
        listeners
            .map(|listener| {
                let port = listener.port;
                let named = |virtual_host: VirtualHost| {
                    let host = virtual_host.host;
                    let scope = subject.scope.clone();
                    let routes = RoutesName::Gateway { scope, port, host: host.clone() }.to_string().into();
                    VirtualHost { host, routes }
                };
                let virtual_hosts = listener.virtual_hosts.into_iter().map(named).collect();
                let listener = Listener { virtual_hosts, ..listener };
                (port.to_string().into(), Encoded::new(&v1::Listener::from(&listener)))
            })
            .collect()
    }
}

/// One chunk of a service's endpoints; the first is always there.
fn part(host: &Arc<str>, all: &[Arc<Endpoint>], chunk: u32) -> Option<Encoded> {
    let wanted = usize::try_from(chunk).ok()?;
    let part = match (all.chunks(MAX_ENDPOINTS_PER_CHUNK).nth(wanted), chunk) {
        (Some(part), _) => part.to_vec(),
        (None, 0) => Vec::new(),
        (None, _) => return None,
    };
    Some(Encoded::new(&v1::Endpoints::from(&Endpoints { host: host.clone(), endpoints: part })))
}
