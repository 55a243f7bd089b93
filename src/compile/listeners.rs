//! The listeners of a gateway and their routes, from the Gateways that select it and the VirtualServices bound to them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::compile::gateway_api;
use crate::compile::names::qualify;
use crate::compile::routes::{Entry, rules};
use crate::compile::streams::{self, Part};
use crate::compile::world::{Scope, World, is_visible};
use crate::model::{
    ClientCertificates, HostPattern, HttpRule, Labels, Listener, ListenerProtocol, Routes, ServerTls, Service,
    StreamRule, Termination, TlsDemands, TlsVersions, VirtualHost,
};
use crate::resources::gateway::{self as resource, Server, ServerTlsMode, TlsVersion};
use crate::resources::values::NamespaceFilter;
use crate::resources::{Gateway, Object, Provenance, VirtualService};
use crate::yaml::Path;

/// A gateway's workload, as far as Gateways care.
#[derive(Debug, Clone)]
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
    gateway: &'w Object<Gateway>,
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

impl Open<'_> {
    /// The hosts whose clusters are reached by their names.
    fn automatic(&self) -> impl Iterator<Item = HostPattern> {
        let hosts = self.server.hosts.iter().filter(|_| self.speaks.is_automatic());
        hosts.map(|host| HostPattern::parse(host.host.as_str()))
    }

    /// Whether a service is one of the server's hosts, in a namespace that it names.
    fn admits(&self, service: &Service) -> bool {
        self.server.hosts.iter().any(|served| {
            HostPattern::parse(served.host.as_str()).matches(&service.host)
                && is_from(&served.namespace, &service.namespace, self.gateway)
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
    let mut listeners: BTreeMap<u16, Listener> = BTreeMap::new();
    for open in open_servers(world, workload) {
        let protocol = open.speaks.protocol();
        let listener = listeners.entry(open.port).or_insert_with(|| Listener {
            port: open.port,
            protocol,
            provenance: Vec::new(),
            virtual_hosts: Vec::new(),
            tls: Vec::new(),
            redirected: Vec::new(),
        });
        if listener.protocol != protocol {
            // The older Gateway has the port, and speaks something else on it.
            continue;
        }
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
        let bound = attached(world, workload, &open).into_iter().map(|(host, _)| host);
        for host in bound.chain(open.automatic()) {
            if listener.virtual_hosts.iter().all(|known| known.host != host) {
                let routes = routes_name(&workload.scope, open.port, &host);
                listener.virtual_hosts.push(VirtualHost { host, routes });
            }
        }
    }
    gateway_api::extend(world, workload, &mut listeners);
    let mut listeners: Vec<Listener> = listeners.into_values().collect();
    for listener in &mut listeners {
        listener.virtual_hosts.sort_by(|a, b| a.host.cmp(&b.host));
    }
    listeners
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

/// The routes of one host of one port: those of every VirtualService bound there, oldest first, with the rules that take every
/// request at the end.
pub fn gateway_routes(world: &World, workload: &GatewayWorkload, port: u16, host: &HostPattern) -> Routes {
    let mut found: Vec<HttpRule> = Vec::new();
    let mut connections: Vec<StreamRule> = Vec::new();
    let mut seen: Vec<(&Object<VirtualService>, &Object<Gateway>)> = Vec::new();
    for open in open_servers(world, workload).iter().filter(|open| open.port == port) {
        for (shared, object) in attached(world, workload, open) {
            let known = seen.iter().any(|(o, g)| std::ptr::eq(*o, object) && std::ptr::eq(*g, open.gateway));
            if shared == *host && !known {
                seen.push((object, open.gateway));
                let entry = entry(open.gateway);
                match open.speaks.streams() {
                    None => found.extend(rules(world, object, entry, None)),
                    Some(part) => connections.extend(streams::of_gateway(world, object, entry, part, open.number)),
                }
            }
        }
        if open.automatic().any(|known| known == *host) {
            connections.extend(streams::of_clusters(world, &workload.scope, &open.provenance, |service| {
                host.matches(&service.host) && open.admits(service)
            }));
        }
    }
    found.dedup();
    connections.dedup();
    // Stable: within both parts the order stays.
    found.sort_by_key(|rule| rule.matches.is_empty());
    found.extend(gateway_api::gateway_rules(world, workload, port, host));
    connections.extend(gateway_api::gateway_streams(world, workload, port, host));
    Routes { name: routes_name(&workload.scope, port, host), http: found, streams: connections }
}

fn entry(gateway: &Object<Gateway>) -> Entry<'_> {
    Entry::Gateway { namespace: &gateway.meta.namespace, name: &gateway.meta.name }
}

pub(super) fn routes_name(scope: &Scope, port: u16, host: &HostPattern) -> Arc<str> {
    format!("{}/gateway/{port}/{host}", scope.namespace).into()
}

fn open_servers<'w>(world: &'w World, workload: &GatewayWorkload) -> Vec<Open<'w>> {
    let mut open = Vec::new();
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
            if open
                .iter()
                .any(|other: &Open<'_>| other.port == port && other.speaks.is_automatic() != speaks.is_automatic())
            {
                continue;
            }
            open.push(Open {
                port,
                gateway,
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

/// The VirtualServices bound to a server, oldest first, each with the hosts that both name.
fn attached<'w>(
    world: &'w World,
    workload: &GatewayWorkload,
    open: &Open<'w>,
) -> Vec<(HostPattern, &'w Object<VirtualService>)> {
    let mut attached = Vec::new();
    if open.speaks.is_automatic() {
        return attached;
    }
    for object in &world.virtual_services {
        if !entry(open.gateway).admits(object) || !is_visible(object, &workload.scope.namespace) {
            continue;
        }
        for own in &object.spec.hosts {
            for served in &open.server.hosts {
                let from_here = is_from(&served.namespace, &object.meta.namespace, open.gateway);
                let served = HostPattern::parse(served.host.as_str());
                let own = HostPattern::parse(&qualify(own.as_str(), &object.meta.namespace, &world.domain));
                let shared = served.intersect(&own).filter(|_| from_here);
                // Bytes name no host: one place holds every rule of the port.
                let place = |host| if matches!(open.speaks, Speaks::Tcp) { HostPattern::Any } else { host };
                attached.extend(shared.map(|host| (place(host), &**object)));
            }
        }
    }
    attached
}
