//! The listeners of a gateway and their routes, from the Gateways that select it and the VirtualServices bound to them.
//!
//! An [`Edge`] is made once for all hosts of a gateway: who is asked for one of a thousand does not look at the others.

use std::collections::hash_map::Entry as Slot;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::compile::gateway_api;
use crate::compile::routes::{Entry, rules};
use crate::compile::streams::{self, Part};
use crate::compile::world::{Scope, World, is_visible};
use crate::model::{
    Action, ClientCertificates, HostPattern, HttpRule, Labels, Listener, ListenerProtocol, Redirect, RedirectPort,
    RequestMatch, Routes, ServerTls, Service, StreamRule, StringMatch, Termination, TlsDemands, TlsVersions,
    VirtualHost,
};
use crate::resources::gateway::{self as resource, Server, ServerTlsMode, TlsVersion};
use crate::resources::values::NamespaceFilter;
use crate::resources::{Gateway, Object, Provenance, VirtualService};
use crate::yaml::Path;

/// A gateway's workload, as far as Gateways care.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GatewayWorkload {
    /// Its clients' scope: that of its namespace.
    pub scope: Scope,
    /// Labels of the pod.
    pub labels: Labels,
    /// (port, target port) of the services in front of it. A server's port that is a service's port is listened for on its
    /// target port.
    pub target_ports: Vec<(u16, u16)>,
}

/// A server that opens a port of the gateway.
struct Open<'w> {
    port: u16,
    gateway: &'w Arc<Object<Gateway>>,
    /// Its place in the Gateway.
    index: usize,
    server: &'w Server,
    /// Its port, as the Gateway names it.
    number: u16,
    speaks: Speaks<'w>,
    /// Whether all that is said of its TLS is in force. Nobody is served with less.
    is_sound: bool,
    provenance: Provenance,
}

/// What a server speaks.
#[derive(Clone, Copy)]
enum Speaks<'w> {
    /// Plaintext HTTP; requests may be redirected to https.
    Http { redirects: bool },
    /// TLS.
    Tls(Termination, &'w resource::ServerTls),
    /// Bytes.
    Tcp,
}

impl<'w> Speaks<'w> {
    /// What a server speaks; `None` where that is not in force. TLS without a mode is passed through (Istio's default).
    fn of(server: &'w Server) -> Option<Self> {
        let tls = server.tls.as_ref();
        let terminated = |behind: Termination| {
            let tls = tls?;
            match tls.mode.unwrap_or(ServerTlsMode::Passthrough) {
                ServerTlsMode::Simple
                | ServerTlsMode::Mutual
                | ServerTlsMode::OptionalMutual
                | ServerTlsMode::IstioMutual => Some(Self::Tls(behind, tls)),
                ServerTlsMode::Passthrough => Some(Self::Tls(Termination::Passthrough, tls)),
                ServerTlsMode::AutoPassthrough => Some(Self::Tls(Termination::AutoPassthrough, tls)),
            }
        };
        match server.port.protocol.to_ascii_uppercase().as_str() {
            "HTTP" | "HTTP2" | "GRPC" | "GRPC-WEB" => {
                Some(Self::Http { redirects: tls.is_some_and(|tls| tls.https_redirect == Some(true)) })
            }
            "HTTPS" => terminated(Termination::Http),
            "TLS" => terminated(Termination::Tcp),
            "TCP" | "MONGO" | "REDIS" | "MYSQL" => Some(Self::Tcp),
            _ => None,
        }
    }

    /// Whether connections go to the cluster that they name, without any rule.
    fn is_automatic(self) -> bool {
        matches!(self, Self::Tls(Termination::AutoPassthrough, _))
    }

    fn protocol(self) -> ListenerProtocol {
        match self {
            Self::Http { .. } => ListenerProtocol::Http,
            Self::Tls(..) => ListenerProtocol::Tls,
            Self::Tcp => ListenerProtocol::Tcp,
        }
    }

    /// Which rules for connections hold there; `None` where requests are routed.
    fn streams(self) -> Option<Part> {
        match self {
            Self::Http { .. } | Self::Tls(Termination::Http, _) => None,
            Self::Tls(Termination::Passthrough | Termination::AutoPassthrough, _) => Some(Part::Tls),
            Self::Tls(Termination::Tcp, _) | Self::Tcp => Some(Part::Tcp),
        }
    }
}

/// What a gateway serves: its ports, and what is bound to each of their hosts.
#[derive(Debug)]
pub struct Edge {
    workload: GatewayWorkload,
    listeners: Vec<Listener>,
    bound: HashMap<(u16, HostPattern), Vec<Bound>>,
    automatic: Vec<Automatic>,
}

/// A server whose clients reach clusters by their names.
#[derive(Debug)]
struct Automatic {
    port: u16,
    hosts: Vec<HostPattern>,
    gateway: Arc<Object<Gateway>>,
    /// Its place in the Gateway.
    index: usize,
    provenance: Provenance,
}

/// A VirtualService that is bound to a host of a server.
#[derive(Debug)]
struct Bound {
    object: Arc<Object<VirtualService>>,
    gateway: Arc<Object<Gateway>>,
    /// The port, as the Gateway names it.
    number: u16,
    /// Which of its rules hold there for connections; `None` where requests are routed.
    part: Option<Part>,
}

impl Edge {
    /// What `workload` serves.
    pub fn new(world: &World, workload: &GatewayWorkload) -> Self {
        let mut listeners: BTreeMap<u16, Listener> = BTreeMap::new();
        let mut bound: HashMap<(u16, HostPattern), Vec<Bound>> = HashMap::new();
        let claims: Claims<'_> =
            world.virtual_services.iter().map(|object| (object, world.virtual_services.hosts(object))).collect();
        let mut automatic = Vec::new();
        for open in open_servers(world, workload) {
            let listener = listeners.entry(open.port).or_insert_with(|| Listener {
                port: open.port,
                protocol: open.speaks.protocol(),
                provenance: Vec::new(),
                virtual_hosts: Vec::new(),
                tls: Vec::new(),
                redirected: Vec::new(),
            });
            listener.provenance.push(open.provenance.clone());
            let hosts = || open.server.hosts.iter().map(|host| HostPattern::parse(host.host.as_str()));
            match open.speaks {
                Speaks::Tls(termination, tls) => {
                    let hosts = hosts().collect();
                    let mut made = server_tls(world, workload, tls, termination, hosts, open.provenance.clone());
                    if !open.is_sound {
                        (made.certificate, made.clients) = (None, ClientCertificates::None);
                    }
                    listener.tls.push(made);
                }
                Speaks::Http { redirects: true } => listener.redirected.extend(hosts()),
                Speaks::Http { redirects: false } | Speaks::Tcp => {}
            }
            for (host, object) in attached(&claims, workload, &open) {
                let here = match bound.entry((open.port, host.clone())) {
                    Slot::Occupied(known) => known.into_mut(),
                    Slot::Vacant(vacant) => {
                        let routes = routes_name(&workload.scope, open.port, &host);
                        listener.virtual_hosts.push(VirtualHost { host, routes });
                        vacant.insert(Vec::new())
                    }
                };
                let is_it =
                    |known: &Bound| Arc::ptr_eq(&known.object, object) && Arc::ptr_eq(&known.gateway, open.gateway);
                if !here.iter().any(is_it) {
                    here.push(Bound {
                        object: object.clone(),
                        gateway: open.gateway.clone(),
                        number: open.number,
                        part: open.speaks.streams(),
                    });
                }
            }
            if open.speaks.is_automatic() {
                for host in hosts() {
                    if listener.virtual_hosts.iter().all(|known| known.host != host) {
                        let routes = routes_name(&workload.scope, open.port, &host);
                        listener.virtual_hosts.push(VirtualHost { host, routes });
                    }
                }
                automatic.push(Automatic {
                    port: open.port,
                    hosts: hosts().collect(),
                    gateway: open.gateway.clone(),
                    index: open.index,
                    provenance: open.provenance.clone(),
                });
            }
        }
        gateway_api::extend(world, workload, &mut listeners);
        let mut listeners: Vec<Listener> = listeners.into_values().collect();
        for listener in &mut listeners {
            listener.virtual_hosts.sort_by(|a, b| a.host.cmp(&b.host));
        }
        Self { workload: workload.clone(), listeners, bound, automatic }
    }

    /// The listeners, by port.
    pub fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// Whether there is such a host.
    pub fn serves(&self, port: u16, host: &HostPattern) -> bool {
        let mut listeners = self.listeners.iter();
        let listener = listeners.find(|listener| listener.port == port);
        listener.is_some_and(|found| found.virtual_hosts.binary_search_by(|known| known.host.cmp(host)).is_ok())
    }

    /// The routes of one host of one port: those of every VirtualService bound there, oldest first, with the rules that take every
    /// request at the end.
    pub fn routes(&self, world: &World, port: u16, host: &HostPattern) -> Routes {
        let mut found: Vec<HttpRule> = Vec::new();
        let mut at_the_end: Vec<HttpRule> = Vec::new();
        let mut connections: Vec<StreamRule> = Vec::new();
        for bound in self.bound.get(&(port, host.clone())).into_iter().flatten() {
            let Bound { object, number, .. } = bound;
            let entry = entry(&bound.gateway);
            match bound.part {
                None => {
                    let rules = rules(world, object, entry, &[*number]).into_iter();
                    let mut rules = rules.filter_map(|rule| at_server(rule, *number, &self.workload));
                    found.extend(until_catch_all(&mut rules, &mut at_the_end));
                }
                Some(part) => connections.extend(streams::of_gateway(world, object, entry, part, *number)),
            }
        }
        for server in self.automatic.iter().filter(|server| server.port == port && server.hosts.contains(host)) {
            connections.extend(streams::of_clusters(world, &self.workload.scope, &server.provenance, |service| {
                host.matches(&service.host) && server.admits(service)
            }));
        }
        found.append(&mut at_the_end);
        found.dedup();
        connections.dedup();
        found.extend(gateway_api::gateway_rules(world, &self.workload, port, host));
        connections.extend(gateway_api::gateway_streams(world, &self.workload, port, host));
        Routes { name: routes_name(&self.workload.scope, port, host), http: found, streams: connections }
    }
}

impl Automatic {
    /// Whether a service is one of the server's hosts, in a namespace that it names.
    fn admits(&self, service: &Service) -> bool {
        let server = self.gateway.spec.servers.get(self.index);
        server.into_iter().flat_map(|server| &server.hosts).any(|served| {
            HostPattern::parse(served.host.as_str()).matches(&service.host)
                && is_from(&served.namespace, &service.namespace, &self.gateway)
        })
    }
}

/// Whether a server takes what is from a namespace.
fn is_from(served: &NamespaceFilter, namespace: &str, gateway: &Object<Gateway>) -> bool {
    match served {
        NamespaceFilter::Any => true,
        NamespaceFilter::Own => namespace == gateway.meta.namespace,
        NamespaceFilter::Named(named) => namespace == named,
    }
}

/// The listeners of a gateway, by port.
pub fn listeners(world: &World, workload: &GatewayWorkload) -> Vec<Listener> {
    Edge::new(world, workload).listeners
}

/// The routes of one host of one port of a gateway. Who wants those of several asks an [`Edge`].
pub fn gateway_routes(world: &World, workload: &GatewayWorkload, port: u16, host: &HostPattern) -> Routes {
    Edge::new(world, workload).routes(world, port, host)
}

/// What is left of a rule for requests to a server's port: the proxy may listen for it elsewhere, and who sends requests is
/// always the gateway itself. `None` where it takes none of them.
fn at_server(rule: HttpRule, number: u16, workload: &GatewayWorkload) -> Option<HttpRule> {
    let action = match rule.action {
        Action::Redirect(redirect) if redirect.port == RedirectPort::Request => {
            Action::Redirect(Redirect { port: RedirectPort::Number(number), ..redirect })
        }
        other => other,
    };
    let takes_all = rule.matches.is_empty();
    let here = rule.matches.into_iter().filter(|m| m.concerns(number, &workload.labels, &workload.scope.namespace));
    let settled = here.map(|conditions| RequestMatch {
        port: None,
        source_labels: Vec::new(),
        source_namespace: None,
        ..conditions
    });
    let matches: Vec<RequestMatch> = settled.collect();
    (takes_all || !matches.is_empty()).then_some(HttpRule { matches, action, ..rule })
}

/// The rules of one object down to the first alternative that takes every request, which goes to `at_the_end`: what follows it in
/// that object takes none (Istio).
fn until_catch_all(rules: &mut dyn Iterator<Item = HttpRule>, at_the_end: &mut Vec<HttpRule>) -> Vec<HttpRule> {
    let mut found = Vec::new();
    for mut rule in rules {
        let catch_all = rule.matches.iter().position(takes_every_request);
        if catch_all.is_none() && !rule.matches.is_empty() {
            found.push(rule);
            continue;
        }
        let last = rule.matches.drain(catch_all.unwrap_or(0)..).take(1).collect();
        if !rule.matches.is_empty() {
            found.push(rule.clone());
        }
        at_the_end.push(HttpRule { matches: last, ..rule });
        break;
    }
    found
}

/// Whether it asks for nothing, or for a path that every request has: what Istio puts behind all others.
fn takes_every_request(conditions: &RequestMatch) -> bool {
    let any_path = match &conditions.path {
        None => true,
        Some(StringMatch::Prefix(prefix) | StringMatch::PrefixIgnoringCase(prefix)) => **prefix == *b"/",
        Some(StringMatch::Regex(expression)) => expression.as_str() == ".*",
        Some(_) => false,
    };
    any_path && RequestMatch { path: None, ..conditions.clone() } == RequestMatch::default()
}

/// What a server shows and asks for, from the Secret that it names. Only Secrets of the gateway's own namespace are looked at: who
/// may write Gateways elsewhere must not be able to read it.
fn server_tls(
    world: &World,
    workload: &GatewayWorkload,
    tls: &resource::ServerTls,
    termination: Termination,
    hosts: Vec<HostPattern>,
    provenance: Provenance,
) -> ServerTls {
    let name = tls.credential_name.as_deref().unwrap_or_default();
    let name = name.strip_prefix("kubernetes://").unwrap_or(name);
    let secret = |name: String| world.secrets.get(&(workload.scope.namespace.clone(), name.into()));
    let own = secret(name.to_owned());
    let authorities = || {
        own.and_then(|own| own.authorities.clone()).or_else(|| secret(format!("{name}-cacert"))?.authorities.clone())
    };
    let certificate = own.and_then(|own| own.certificate.clone()).filter(|_| !termination.passes_on());
    let (certificate, clients) = match tls.mode {
        Some(ServerTlsMode::Mutual) => match authorities() {
            Some(authorities) => (certificate, ClientCertificates::Required(authorities)),
            // Nobody can vouch for a client, so there is none to be served.
            None => (None, ClientCertificates::None),
        },
        Some(ServerTlsMode::OptionalMutual) => match authorities() {
            Some(authorities) => (certificate, ClientCertificates::Optional(authorities)),
            None => (None, ClientCertificates::None),
        },
        Some(ServerTlsMode::IstioMutual) => (None, ClientCertificates::Mesh),
        _ => (certificate, ClientCertificates::None),
    };
    let texts = |texts: &[String]| texts.iter().map(|text| text.as_str().into()).collect();
    let demands = TlsDemands {
        versions: match (tls.min_protocol_version, tls.max_protocol_version) {
            (Some(TlsVersion::V1_3), _) => TlsVersions::From13,
            (_, Some(TlsVersion::V1_0 | TlsVersion::V1_1 | TlsVersion::V1_2)) => TlsVersions::Only12,
            _ => TlsVersions::All,
        },
        suites: texts(&tls.cipher_suites),
        client_names: texts(&tls.subject_alt_names),
    };
    ServerTls { hosts, termination, certificate, clients, demands, provenance }
}

fn entry(gateway: &Object<Gateway>) -> Entry<'_> {
    Entry::Gateway { namespace: &gateway.meta.namespace, name: &gateway.meta.name }
}

pub(super) fn routes_name(scope: &Scope, port: u16, host: &HostPattern) -> Arc<str> {
    format!("{}/gateway/{port}/{host}", scope.namespace).into()
}

/// The servers of a gateway, the oldest Gateway's first. Of those of one port that speak different things the first has it.
fn open_servers<'w>(world: &'w World, workload: &GatewayWorkload) -> Vec<Open<'w>> {
    let mut open: Vec<Open<'w>> = Vec::new();
    for gateway in &world.gateways {
        let selected = gateway
            .spec
            .selector
            .iter()
            .all(|(key, value)| workload.labels.get(key.as_str()).is_some_and(|label| **label == **value));
        if !selected {
            continue;
        }
        for (index, server) in gateway.spec.servers.iter().enumerate() {
            let Ok(number) = u16::try_from(server.port.number) else { continue };
            let Some(speaks) = Speaks::of(server) else { continue };
            let path = Path::root().key("spec").key("servers").index(index);
            // Open on every address it would be more than it says.
            if gateway.refused(&path.key("bind")).is_some() {
                continue;
            }
            let target = workload.target_ports.iter().find(|(port, _)| *port == number);
            let port = target.map_or(number, |(_, target)| *target);
            // What is passed on without a rule shares its port with nothing else: a connection must not be taken for the other.
            let clashes = |other: &Open<'_>| {
                other.port == port
                    && (other.speaks.protocol() != speaks.protocol()
                        || other.speaks.is_automatic() != speaks.is_automatic())
            };
            if open.iter().any(clashes) {
                continue;
            }
            open.push(Open {
                port,
                gateway,
                index,
                server,
                number,
                speaks,
                is_sound: gateway.refused(&path.key("tls")).is_none(),
                provenance: gateway.provenance().with_rule(format!("servers[{index}]")),
            });
        }
    }
    open
}

/// VirtualServices with their hosts.
type Claims<'w> = Vec<(&'w Arc<Object<VirtualService>>, Vec<HostPattern>)>;

/// The VirtualServices bound to a server, oldest first, each with the hosts that both name.
fn attached<'w>(
    claims: &Claims<'w>,
    workload: &GatewayWorkload,
    open: &Open<'_>,
) -> Vec<(HostPattern, &'w Arc<Object<VirtualService>>)> {
    let mut attached = Vec::new();
    if open.speaks.is_automatic() {
        return attached;
    }
    for (object, hosts) in claims {
        if !entry(open.gateway).admits(object) || !is_visible(object, &workload.scope.namespace) {
            continue;
        }
        for own in hosts {
            for served in &open.server.hosts {
                let from_here = is_from(&served.namespace, &object.meta.namespace, open.gateway);
                let served = HostPattern::parse(served.host.as_str());
                let shared = served.intersect(own).filter(|_| from_here);
                // Bytes name no host: one place holds every rule of the port.
                let place = |host| if matches!(open.speaks, Speaks::Tcp) { HostPattern::Any } else { host };
                attached.extend(shared.map(|host| (place(host), *object)));
            }
        }
    }
    attached
}
