//! What the clients of a workload know of the mesh, and which rules are for them: the scope that they are of.
//!
//! A client sees the services that its Sidecar's hosts name, and those that rules about these hosts send requests to; a rule that
//! moves traffic needs no second mention of where it goes.
//!
//! The same object says which ports the proxy opens for its workload.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use crate::compile::names::qualify;
use crate::compile::routes::Entry;
use crate::compile::world::{Scope, World, is_visible};
use crate::compile::{delegate, handling};
use crate::model::{AppProtocol, HostPattern, IngressPort, Labels, OutboundMode, Service, ServicePort};
use crate::resources::sidecar::{EgressListener, EgressNamespace, OutboundMode as Outbound};
use crate::resources::virtual_service::Destination;
use crate::resources::{Object, Sidecar, VirtualService};

/// An address on which nothing answers.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// What clients know of the mesh. Sidecars that say the same are the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Egress {
    /// Hosts that are known; `None`: all of them.
    known: Option<Vec<Hosts>>,
    /// Hosts that are not known after all.
    excluded: Vec<Hosts>,
    /// What happens to requests for hosts that are not known, where the Sidecar says it.
    pub outbound_mode: Option<OutboundMode>,
}

/// Hosts of services, of one namespace or (`None`) of any, at one port or (`None`) at all.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Hosts {
    namespace: Option<Arc<str>>,
    host: HostPattern,
    port: Option<u16>,
}

impl Hosts {
    fn meets(&self, namespace: &str, host: &HostPattern) -> bool {
        self.namespace.as_ref().is_none_or(|own| **own == *namespace) && self.host.intersect(host).is_some()
    }

    fn meets_at(&self, namespace: &str, host: &HostPattern, port: u16) -> bool {
        self.port.is_none_or(|own| own == port) && self.meets(namespace, host)
    }
}

/// The Sidecar of a workload: the one that selects it, else its namespace's, else the mesh's, the oldest of several.
pub(super) fn sidecar_of<'w>(world: &'w World, namespace: &str, labels: &Labels) -> Option<&'w Object<Sidecar>> {
    let selector = |object: &Object<Sidecar>| {
        let selector = object.spec.workload_selector.as_ref().map(|selector| &selector.labels);
        selector.filter(|labels| !labels.is_empty()).cloned()
    };
    let oldest = |wanted: &dyn Fn(&Object<Sidecar>) -> bool| {
        world.sidecars.iter().map(|object| &**object).find(|object| wanted(object))
    };
    let everywhere_in = |place: &str| oldest(&|object| object.meta.namespace == place && selector(object).is_none());
    let selecting = oldest(&|object| {
        object.meta.namespace == namespace
            && selector(object).is_some_and(|wanted| {
                wanted.iter().all(|(key, value)| labels.get(key.as_str()).is_some_and(|label| **label == **value))
            })
    });
    selecting.or_else(|| everywhere_in(namespace)).or_else(|| everywhere_in(&world.root_namespace))
}

/// The ports that a workload's Sidecar opens on its behalf, instead of those of its services.
pub(super) fn ingress(world: &World, namespace: &str, labels: &Labels) -> Vec<IngressPort> {
    let Some(object) = sidecar_of(world, namespace, labels) else { return Vec::new() };
    let numbered = object.spec.ingress.iter().enumerate();
    let ports = numbered.filter_map(|(index, listener)| {
        let port = listener.port.number?.get();
        let said = listener.default_endpoint.as_deref().filter(|said| !said.is_empty());
        Some(IngressPort {
            provenance: object.provenance().with_rule(format!("ingress[{index}]")),
            port,
            protocol: AppProtocol::of_port(
                listener.port.protocol.as_deref(),
                listener.port.name.as_deref().unwrap_or_default(),
                port,
            ),
            // What is no address, a Unix socket, is refused at the door; should one come in another way, nothing answers there.
            endpoint: said.map(|said| said.parse().unwrap_or(NOWHERE)),
        })
    });
    ports.collect()
}

/// The scope of the clients beside a workload: what its Sidecar says.
pub fn scope(world: &World, namespace: &Arc<str>, labels: &Labels) -> Scope {
    let found = sidecar_of(world, namespace, labels);
    let egress = found.map(|object| egress(object, namespace, &world.domain));
    let egress = egress.filter(|egress| *egress != Egress::default()).map(Arc::new);
    let chosen = world.destination_rules.iter().filter(|object| {
        let selector = object.spec.workload_selector.as_ref();
        object.meta.namespace == **namespace
            && selector.is_some_and(|selector| {
                let mut wanted = selector.match_labels.iter();
                wanted.all(|(key, value)| labels.get(key.as_str()).is_some_and(|label| **label == **value))
            })
    });
    let selected = Arc::new(chosen.map(|object| object.meta.name.clone()).collect());
    Scope { namespace: namespace.clone(), egress, selected }
}

fn egress(object: &Object<Sidecar>, namespace: &Arc<str>, domain: &str) -> Egress {
    let (mut known, mut excluded) = (Vec::new(), Vec::new());
    let listeners = object.spec.egress.iter();
    for (port, entry) in listeners.flat_map(|listener| listener.hosts.iter().map(|host| (port_of(listener), host))) {
        let of = match &entry.namespace {
            EgressNamespace::Any => None,
            // That of the clients, not of the object: one of the root namespace holds for others.
            EgressNamespace::Own => Some(namespace.clone()),
            EgressNamespace::Named(name) => Some(name.as_str().into()),
            EgressNamespace::Nobody => continue,
        };
        let place = of.as_deref().unwrap_or(namespace);
        let host = HostPattern::parse(&qualify(entry.host.as_str(), place, domain));
        let hosts = Hosts { namespace: of, host, port };
        if entry.excluded { excluded.push(hosts) } else { known.push(hosts) }
    }
    let is_everything = known
        .iter()
        .any(|hosts: &Hosts| hosts.namespace.is_none() && hosts.host == HostPattern::Any && hosts.port.is_none());
    let mode = object.spec.outbound_traffic_policy.as_ref().and_then(|policy| policy.mode);
    Egress {
        known: (!object.spec.egress.is_empty() && !is_everything).then_some(known),
        excluded,
        outbound_mode: mode.map(|mode| match mode {
            Outbound::RegistryOnly => OutboundMode::RegistryOnly,
            Outbound::AllowAny => OutboundMode::AllowAny,
        }),
    }
}

/// The port of services that a listener is about.
fn port_of(listener: &EgressListener) -> Option<u16> {
    listener.port.as_ref()?.number.map(|number| number.get())
}

impl Egress {
    /// Whether hosts are known, of an object in a namespace: its rules hold for the clients (Istio).
    pub(super) fn names(&self, namespace: &str, host: &HostPattern) -> bool {
        let meets = |hosts: &[Hosts]| hosts.iter().any(|hosts| hosts.meets(namespace, host));
        self.known.as_deref().is_none_or(meets) && !meets(&self.excluded)
    }

    /// Whether a service is known at a port.
    fn names_at(&self, service: &Service, port: u16) -> bool {
        let host = HostPattern::parse(&service.host);
        let meets = |hosts: &[Hosts]| hosts.iter().any(|hosts| hosts.meets_at(&service.namespace, &host, port));
        self.known.as_deref().is_none_or(meets) && !meets(&self.excluded)
    }

    /// The ports at which a service is known.
    fn ports<'s>(&'s self, service: &'s Service) -> impl Iterator<Item = &'s ServicePort> {
        service.ports.iter().filter(|port| self.names_at(service, port.number))
    }

    /// Whether a service is known, at some port at least.
    fn knows(&self, service: &Service) -> bool {
        match service.ports.is_empty() {
            true => self.names(&service.namespace, &HostPattern::parse(&service.host)),
            false => self.ports(service).next().is_some(),
        }
    }
}

impl Scope {
    /// The scope of clients in a namespace that no Sidecar and no DestinationRule selects.
    pub fn of_namespace(namespace: impl Into<Arc<str>>) -> Self {
        Self { namespace: namespace.into(), egress: None, selected: Arc::default() }
    }

    /// Whether its clients know a service.
    pub fn sees(&self, world: &World, service: &Service) -> bool {
        let Some(egress) = &self.egress else { return true };
        egress.knows(service)
            || world.virtual_services.iter().any(|object| self.is_led_by(egress, world, object, service))
    }

    /// A service that its clients know, with the ports at which they do: those that egress listeners name; all of them where only a
    /// rule about other hosts leads there.
    pub fn narrowed<'s>(&self, service: &'s Arc<Service>) -> Cow<'s, Arc<Service>> {
        let Some(egress) = &self.egress else { return Cow::Borrowed(service) };
        let ports: Vec<ServicePort> = egress.ports(service).cloned().collect();
        if ports.is_empty() || ports.len() == service.ports.len() {
            return Cow::Borrowed(service);
        }
        Cow::Owned(Arc::new(Service { ports, ..(**service).clone() }))
    }

    /// Whether a rule about hosts that are known sends requests to a service.
    fn is_led_by(&self, egress: &Egress, world: &World, object: &Object<VirtualService>, service: &Service) -> bool {
        Entry::Mesh.admits(object)
            && is_visible(object, &self.namespace)
            && world.virtual_services.hosts(object).iter().any(|host| egress.names(&object.meta.namespace, host))
            && destinations(object, world).any(|host| *host == *service.host)
    }
}

/// The hosts that a VirtualService sends requests and connections to, fully qualified; where it leaves a rule to another one, those
/// of that one as well.
pub fn destinations<'o>(object: &'o Object<VirtualService>, world: &'o World) -> impl Iterator<Item = Arc<str>> + 'o {
    let asked = object.spec.http.iter().filter_map(|rule| rule.delegate.as_ref());
    let delegates = asked.filter_map(move |asked| delegate::find(world, &object.meta.namespace, asked));
    let streams =
        object.spec.tls.iter().flat_map(|rule| &rule.route).chain(object.spec.tcp.iter().flat_map(|rule| &rule.route));
    let streams = streams.map(move |route| qualified(&route.destination, object, world));
    std::iter::once(object).chain(delegates).flat_map(move |object| of_requests(object, world)).chain(streams)
}

fn of_requests<'o>(object: &'o Object<VirtualService>, world: &'o World) -> impl Iterator<Item = Arc<str>> + 'o {
    let rules = object.spec.http.iter();
    let all = rules.flat_map(|rule| {
        let mirrors = handling::mirrors(rule).into_iter().map(|(destination, _)| destination);
        rule.route.iter().map(|route| &route.destination).chain(mirrors)
    });
    all.map(move |destination| qualified(destination, object, world))
}

fn qualified(destination: &Destination, object: &Object<VirtualService>, world: &World) -> Arc<str> {
    qualify(destination.host.as_str(), &object.meta.namespace, &world.domain)
}
