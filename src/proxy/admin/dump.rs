//! What a proxy holds, as plain values: `/config_dump` writes them, `mesh proxy-config` reads them.
//!
//! It guarantees that every rule, policy and listener names the object that it comes from, and that no key, token or certificate
//! body is among the values.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::{Subject, Way};
use crate::identity;
use crate::model::authz::PolicyAction;
use crate::model::{
    Action, Authorities, ClientCertificates, ClusterPolicy, Collector, Handling, HttpRule, InboundPolicy, Listener,
    MtlsMode, OutboundMode, RequestMatch, RetryPolicy, StringMatch, Tracing, UpstreamTls,
};
use crate::proxy::directory::{Cluster, Directory, Resolution, RoutesInForce};
use crate::resources::Provenance;

/// Everything that a proxy holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dump {
    /// Unique id of the workload; empty until the control plane has said it, and for gateways of files.
    pub workload: String,
    /// What the proxy is told about itself.
    pub settings: Settings,
    /// Whether the stream to the control plane is up.
    pub connected: bool,
    /// Whether it serves.
    pub ready: bool,
    /// Ways in.
    pub listeners: Vec<ListenerDump>,
    /// Rules, by the name that was asked for or the gateway's host.
    pub routes: Vec<RouteDump>,
    /// Groups of endpoints, each once.
    pub clusters: Vec<ClusterDump>,
    /// Names that stand for nothing in the mesh.
    pub unknown: Vec<UnknownDump>,
    /// Certificates, without keys.
    pub certificates: Vec<CertificateDump>,
    /// What the workload demands of its callers.
    pub policies: Vec<PolicyDump>,
}

/// What the proxy is told about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// The scope in which it asks.
    pub scope: String,
    /// The mesh's trust domain.
    pub trust_domain: String,
    /// Name of the cluster.
    pub cluster: String,
    /// `ALLOW_ANY` or `REGISTRY_ONLY`.
    pub outbound_mode: String,
    /// Whether requests that the workload makes, or that come through a gateway, are logged.
    pub client_access_log: bool,
    /// Whether requests that the workload gets are logged.
    pub server_access_log: bool,
    /// Where spans go: `PROVIDER at HOST:PORT, of N % of the requests`; empty where nothing is traced.
    pub tracing: String,
}

/// One way in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ListenerDump {
    /// Address that is listened on.
    pub address: String,
    /// Port that is listened on.
    pub port: u16,
    /// `inbound`, `outbound` or `gateway`.
    pub direction: String,
    /// What is spoken.
    pub protocol: String,
    /// Which connections or hosts are taken.
    pub matches: Vec<String>,
    /// Where they go.
    pub destination: String,
    /// The objects that say so.
    pub from: Vec<String>,
}

/// The rules of one name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RouteDump {
    /// The name that was asked for; `PORT/HOST` of a gateway.
    pub name: String,
    /// The host that it stands for.
    pub host: String,
    /// The first rule that matches is taken.
    pub rules: Vec<RuleDump>,
}

/// One rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RuleDump {
    /// Where it was written.
    pub rule: String,
    /// Its name.
    pub name: String,
    /// Alternatives; none: every request.
    pub matches: Vec<String>,
    /// Where requests go, or what they are answered with.
    pub to: Vec<TargetDump>,
    /// What happens to them on the way.
    pub handling: Vec<String>,
}

/// Where requests go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TargetDump {
    /// Name of a cluster, or `redirect 301`, `respond 404`.
    pub to: String,
    /// Share relative to its siblings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
}

/// A group of endpoints.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClusterDump {
    /// As Envoy's users know it: `outbound|9080|v2|reviews.default.svc.cluster.local`.
    pub name: String,
    /// Fully qualified host.
    pub fqdn: String,
    /// Port of the service; of an inbound cluster, of the workload.
    pub port: u16,
    /// Subset, or nothing.
    pub subset: String,
    /// `inbound` or `outbound`.
    pub direction: String,
    /// How endpoints are chosen.
    pub balancer: String,
    /// What is spoken to them.
    pub tls: String,
    /// The DestinationRule in force, or nothing.
    pub rule: String,
    /// Requests under way.
    pub requests: usize,
    /// Where they go.
    pub endpoints: Vec<EndpointDump>,
}

/// One endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointDump {
    /// Address and port.
    pub address: String,
    /// `NAMESPACE/NAME` of the pod.
    pub workload: String,
    /// `HEALTHY`: others are not sent to, and not held.
    pub status: String,
    /// `OK`, or `FAILED` while outlier detection leaves it out.
    pub outlier: String,
    /// `mtls` or `plaintext`.
    pub protocol: String,
    /// Share relative to its siblings.
    pub weight: u32,
    /// Requests under way.
    pub active: usize,
}

/// A name without a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UnknownDump {
    /// As it was asked for.
    pub name: String,
    /// Why there is none.
    pub reason: String,
}

/// A certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CertificateDump {
    /// `default`, `ROOTCA`, or the gateway server that shows it.
    pub name: String,
    /// `Cert Chain` or `CA`.
    pub kind: String,
    /// Whom it names.
    pub identity: String,
    /// `ACTIVE`, `EXPIRED` or `MISSING`.
    pub status: String,
    /// Serial number, in hexadecimal.
    pub serial: String,
    /// First moment at which it holds.
    pub not_before: String,
    /// Last moment at which it holds.
    pub not_after: String,
}

/// Something that the workload demands of its callers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PolicyDump {
    /// `mtls`, `authorization` or `token`.
    pub kind: String,
    /// Mode, action, or issuer.
    pub action: String,
    /// The port that it is for; `None`: all others.
    pub port: Option<u16>,
    /// How many rules it has.
    pub rules: usize,
    /// Whether it is only said what it would do.
    pub dry_run: bool,
    /// Where it was written; empty: the mesh's default.
    pub rule: String,
    /// What it lacks, so that it refuses whatever it is about; empty: nothing.
    pub lacks: String,
}

/// Reads everything that the proxy holds.
pub(super) fn dump(subject: &Subject) -> Dump {
    let directory = &subject.directory;
    let settings = directory.settings();
    let inbound = directory.inbound();
    let mut routes = Vec::new();
    let mut unknown = Vec::new();
    for (name, resolution) in directory.names() {
        let reason = match resolution {
            Resolution::Known(target) => {
                routes.push(route(name.to_string(), &target.service.host, &target.routes));
                continue;
            }
            Resolution::Unknown => "unknown to the mesh",
            Resolution::Unavailable(reason) => reason.detail(),
        };
        unknown.push(UnknownDump { name: name.to_string(), reason: reason.to_owned() });
    }
    let gateway = directory.listeners().borrow().clone();
    for listener in gateway.iter() {
        for virtual_host in &listener.virtual_hosts {
            let host = virtual_host.host.to_string();
            let name = format!("{}/{host}", listener.port);
            let Some(held) = directory.gateway_routes(&virtual_host.routes) else {
                unknown.push(UnknownDump { name, reason: "its routes are not there yet".to_owned() });
                continue;
            };
            routes.push(route(name, &host, &held));
        }
    }
    let inbound = inbound.as_deref();
    let outbound = clusters(directory);
    let clusters = inbound_clusters(subject, inbound).chain(outbound.values().map(|held| cluster(held))).collect();
    Dump {
        workload: inbound.map(|inbound| inbound.workload.uid.to_string()).unwrap_or_default(),
        listeners: listeners(subject, inbound, &gateway, outbound_mode(settings.outbound_mode)),
        settings: Settings {
            scope: settings.scope.to_string(),
            trust_domain: settings.trust_domain.to_string(),
            cluster: settings.cluster.to_string(),
            outbound_mode: outbound_mode(settings.outbound_mode).to_owned(),
            client_access_log: settings.client.log,
            server_access_log: settings.server.log,
            tracing: settings
                .client
                .tracing
                .as_ref()
                .or(settings.server.tracing.as_ref())
                .map(|tracing| traced(tracing))
                .unwrap_or_default(),
        },
        connected: directory.connected(),
        ready: *directory.ready().borrow(),
        routes,
        clusters,
        unknown,
        certificates: certificates(directory, &gateway),
        policies: inbound.map(policies).unwrap_or_default(),
    }
}

fn traced(tracing: &Tracing) -> String {
    let Collector { name, host, port, .. } = &tracing.collector;
    let percent = f64::from(tracing.sampling.millionths()) / 10_000.0;
    format!("{name} at {host}:{port}, of {percent} % of the requests")
}

fn outbound_mode(mode: OutboundMode) -> &'static str {
    match mode {
        OutboundMode::AllowAny => "ALLOW_ANY",
        OutboundMode::RegistryOnly => "REGISTRY_ONLY",
    }
}

/// PeerAuthentication's word for a mode.
fn mtls_mode(mode: MtlsMode) -> &'static str {
    match mode {
        MtlsMode::Disable => "DISABLE",
        MtlsMode::Permissive => "PERMISSIVE",
        MtlsMode::Strict => "STRICT",
    }
}

fn provenance(provenance: Option<&Provenance>) -> String {
    provenance.map(ToString::to_string).unwrap_or_default()
}

fn listeners(
    subject: &Subject,
    inbound: Option<&InboundPolicy>,
    gateway: &[Listener],
    outbound_mode: &str,
) -> Vec<ListenerDump> {
    let at = |address: &std::net::SocketAddr| (address.ip().to_string(), address.port());
    let to_workload = |address: String, port: u16, target: u16, app: Option<std::net::SocketAddr>| {
        let service = inbound.and_then(|inbound| inbound.service(target));
        let (mode, rule) = inbound.map_or((MtlsMode::Strict, None), |inbound| inbound.mtls(target));
        let host = service.map_or("the workload", |service| &*service.host);
        let app = app.map(|app| format!(" at {app}")).unwrap_or_default();
        ListenerDump {
            address,
            port,
            direction: "inbound".to_owned(),
            protocol: service.map_or_else(String::new, |service| format!("{:?}", service.protocol)),
            matches: vec![format!("port {target}, mTLS {}", mtls_mode(mode))],
            destination: format!("{host}{app}"),
            from: rule.map(ToString::to_string).into_iter().collect(),
        }
    };
    let ways = subject.ways.iter().flat_map(|way| match way {
        Way::Inbound { address, app } => {
            let (ip, port) = at(address);
            vec![to_workload(ip, port, port, Some(*app))]
        }
        Way::InboundRedirected { address } => {
            let (ip, port) = at(address);
            let services = inbound.map_or(&[][..], |inbound| &inbound.services);
            let mut targets: Vec<u16> = services.iter().map(|service| service.target_port).collect();
            targets.dedup();
            targets.into_iter().map(|target| to_workload(ip.clone(), port, target, None)).collect()
        }
        Way::Outbound { address } | Way::OutboundRedirected { address } => {
            let (address, port) = at(address);
            vec![ListenerDump {
                address,
                port,
                direction: "outbound".to_owned(),
                protocol: "Detect".to_owned(),
                matches: vec!["ALL".to_owned()],
                destination: format!("the name or address that was asked for, else {outbound_mode}"),
                from: Vec::new(),
            }]
        }
    });
    let bound = subject.bound.borrow().clone();
    let served = gateway.iter().map(|listener| {
        let open = bound.iter().find(|open| open.port == listener.port);
        let (address, port) = open.map_or_else(|| ("-".to_owned(), listener.port), |open| at(&open.address));
        ListenerDump {
            address,
            port,
            direction: "gateway".to_owned(),
            protocol: format!("{:?}", listener.protocol).to_uppercase(),
            matches: listener.virtual_hosts.iter().map(|host| host.host.to_string()).collect(),
            destination: format!("routes {}/HOST", listener.port),
            from: listener.provenance.iter().map(ToString::to_string).collect(),
        }
    });
    ways.chain(served).collect()
}

/// Every cluster that is held, each once, by its name.
pub(super) fn clusters(directory: &Directory) -> BTreeMap<String, Arc<Cluster>> {
    let mut clusters = BTreeMap::new();
    let mut hold = |routes: &RoutesInForce| {
        for held in routes.clusters() {
            clusters.entry(held.name.to_string()).or_insert_with(|| held.clone());
        }
    };
    for (_, resolution) in directory.names() {
        if let Resolution::Known(target) = resolution {
            hold(&target.routes);
        }
    }
    for virtual_host in directory.listeners().borrow().iter().flat_map(|listener| &listener.virtual_hosts) {
        if let Some(held) = directory.gateway_routes(&virtual_host.routes) {
            hold(&held);
        }
    }
    clusters
}

fn cluster(cluster: &Cluster) -> ClusterDump {
    use std::sync::atomic::Ordering::Relaxed;
    let endpoints = cluster.endpoints.iter().map(|held| {
        let workload = &held.endpoint.workload;
        let tls = held.endpoint.speaks_tls(held.address.port()) && cluster.policy.tls != UpstreamTls::Disable;
        EndpointDump {
            address: held.address.to_string(),
            workload: format!("{}/{}", workload.namespace, workload.name),
            status: "HEALTHY".to_owned(),
            outlier: if held.state.health.is_ejected() { "FAILED" } else { "OK" }.to_owned(),
            protocol: if tls { "mtls" } else { "plaintext" }.to_owned(),
            weight: held.endpoint.weight,
            active: held.state.active.load(Relaxed),
        }
    });
    ClusterDump {
        name: cluster.name.to_string(),
        fqdn: cluster.name.host.to_string(),
        port: cluster.name.port,
        subset: cluster.name.subset.as_deref().unwrap_or_default().to_owned(),
        direction: "outbound".to_owned(),
        balancer: balancer(&cluster.policy),
        tls: upstream_tls(&cluster.policy.tls),
        rule: provenance(cluster.policy_provenance.as_ref()),
        requests: cluster.state.requests.load(Relaxed),
        endpoints: endpoints.collect(),
    }
}

/// What is spoken to endpoints; of what a user wrote, names and no PEM.
fn upstream_tls(tls: &UpstreamTls) -> String {
    let origination = match tls {
        UpstreamTls::Originate(origination) => origination,
        UpstreamTls::Unavailable(reason) => return format!("Unavailable: {reason}"),
        UpstreamTls::Auto => return "Auto".to_owned(),
        UpstreamTls::Disable => return "Disable".to_owned(),
        UpstreamTls::IstioMutual { .. } => return "IstioMutual".to_owned(),
    };
    let authorities = match &origination.authorities {
        Authorities::System => "the machine's authorities",
        Authorities::Pem(_) => "authorities of its own",
        Authorities::File(file) => file,
        Authorities::Unverified => "nobody asked who it is",
    };
    let name = origination.server_name.as_deref().unwrap_or("its host");
    format!("Originate: {name}, {authorities}")
}

fn balancer(policy: &ClusterPolicy) -> String {
    if policy.hash.is_some() { "ConsistentHash".to_owned() } else { format!("{:?}", policy.balancer) }
}

fn inbound_clusters<'s>(
    subject: &'s Subject,
    inbound: Option<&'s InboundPolicy>,
) -> impl Iterator<Item = ClusterDump> + 's {
    let services = inbound.map_or(&[][..], |inbound| &inbound.services);
    services.iter().map(|service| {
        let port = service.target_port;
        let app = subject.ways.iter().find_map(|way| match way {
            Way::Inbound { address, app } if address.port() == port => Some(app.to_string()),
            _ => None,
        });
        let endpoint = EndpointDump {
            address: app.unwrap_or_else(|| format!("127.0.0.1:{port}")),
            status: "HEALTHY".to_owned(),
            outlier: "OK".to_owned(),
            protocol: "plaintext".to_owned(),
            weight: 1,
            ..EndpointDump::default()
        };
        ClusterDump {
            name: format!("inbound|{port}||{}", service.host),
            fqdn: service.host.to_string(),
            port,
            direction: "inbound".to_owned(),
            tls: "Disable".to_owned(),
            endpoints: vec![endpoint],
            ..ClusterDump::default()
        }
    })
}

fn route(name: String, host: &str, routes: &RoutesInForce) -> RouteDump {
    RouteDump { name, host: host.to_owned(), rules: routes.routes.http.iter().map(RuleDump::of).collect() }
}

impl RuleDump {
    /// A rule in words.
    pub fn of(rule: &HttpRule) -> Self {
        let to = match &rule.action {
            Action::Forward(destinations) => destinations
                .iter()
                .map(|to| TargetDump { to: to.cluster.to_string(), weight: Some(to.weight) })
                .collect(),
            Action::Redirect(redirect) => {
                vec![TargetDump { to: format!("redirect {}", redirect.status), weight: None }]
            }
            Action::Respond(response) => vec![TargetDump { to: format!("respond {}", response.status), weight: None }],
        };
        Self {
            rule: rule.provenance.to_string(),
            name: rule.name.to_string(),
            matches: rule.matches.iter().map(conditions).collect(),
            to,
            handling: handling(&rule.handling),
        }
    }
}

/// A value's condition: `/exact`, `/prefix*`, `/segments[/*]`, `regex EXPRESSION`, `*`.
fn value(expected: &StringMatch) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match expected {
        StringMatch::Exact(exact) | StringMatch::ExactIgnoringCase(exact) => text(exact),
        StringMatch::Prefix(prefix) | StringMatch::PrefixIgnoringCase(prefix) => text(prefix) + "*",
        StringMatch::Segments(prefix) => text(prefix) + "[/*]",
        StringMatch::Regex(expression) => format!("regex {}", expression.as_str()),
        StringMatch::Present => "*".to_owned(),
    }
}

/// The conditions of a match in one line, all of which must hold.
fn conditions(conditions: &RequestMatch) -> String {
    let mut words = Vec::new();
    let mut word = |name: &str, expected: &Option<StringMatch>| {
        if let Some(expected) = expected {
            let sign = if name.is_empty() { "" } else { "=" };
            words.push(format!("{name}{sign}{}", value(expected)));
        }
    };
    word("", &conditions.path);
    word("method", &conditions.method);
    word("scheme", &conditions.scheme);
    word("authority", &conditions.authority);
    let listed = [("?", &conditions.query), ("", &conditions.headers), ("without ", &conditions.without_headers)];
    for (before, list) in listed {
        words.extend(list.iter().map(|(name, expected)| format!("{before}{name}={}", value(expected))));
    }
    for (before, list) in [("", &conditions.claims), ("without ", &conditions.without_claims)] {
        words.extend(list.iter().map(|(way, expected)| format!("{before}claim {}={}", way.join("."), value(expected))));
    }
    words.extend(conditions.port.map(|port| format!("port={port}")));
    words.extend(conditions.source_namespace.as_deref().map(|namespace| format!("from namespace {namespace}")));
    words.extend(conditions.source_labels.iter().map(|(key, value)| format!("from {key}={value}")));
    words.extend(conditions.unsupported.iter().map(|path| format!("never ({path} is not in force)")));
    words.join(" ")
}

/// What happens to requests on the way, a word each.
fn handling(handling: &Handling) -> Vec<String> {
    let mut words = Vec::new();
    words.extend(handling.timeout.map(|timeout| format!("timeout {timeout:?}")));
    if handling.retry != RetryPolicy::default() {
        words.push(format!("retries {}", handling.retry.attempts));
    }
    if let Some(fault) = &handling.fault {
        words.extend(fault.delay.as_ref().map(|(delay, _)| format!("fault delay {delay:?}")));
        words.extend(fault.abort.as_ref().map(|_| "fault abort".to_owned()));
    }
    words.extend(handling.rewrite.as_ref().map(|_| "rewrite".to_owned()));
    words.extend(handling.mirrors.iter().map(|mirror| format!("mirror {}", mirror.cluster)));
    words.extend(handling.cors.as_ref().map(|_| "cors".to_owned()));
    words
}

pub(super) fn certificates(directory: &Directory, gateway: &[Listener]) -> Vec<CertificateDump> {
    let mut found = Vec::new();
    if let Some(credentials) = directory.credentials() {
        let leaf = credentials.svid.chain.first();
        found.extend(leaf.map(|leaf| certificate("default", "Cert Chain", credentials.svid.id.to_string(), leaf)));
        for domain in credentials.bundle.trust_domains() {
            let roots = credentials.bundle.roots(domain).iter();
            found.extend(roots.map(|root| certificate("ROOTCA", "CA", domain.to_string(), root)));
        }
    }
    for server in gateway.iter().flat_map(|listener| &listener.tls) {
        let name = server.provenance.to_string();
        let hosts = server.hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let missing = || CertificateDump {
            name: name.clone(),
            kind: "Cert Chain".to_owned(),
            identity: hosts.clone(),
            status: "MISSING".to_owned(),
            ..CertificateDump::default()
        };
        let chain = server.certificate.as_ref().and_then(|(chain, _)| identity::first_certificate(chain));
        found.push(chain.map_or_else(missing, |leaf| certificate(&name, "Cert Chain", hosts.clone(), &leaf)));
        if let ClientCertificates::Optional(roots) | ClientCertificates::Required(roots) = &server.clients
            && let Some(root) = identity::first_certificate(roots)
        {
            found.push(certificate(&name, "CA", "clients".to_owned(), &root));
        }
    }
    found
}

fn certificate(
    name: &str,
    kind: &str,
    identity: String,
    certificate: &rustls::pki_types::CertificateDer<'_>,
) -> CertificateDump {
    let validity = identity::validity(certificate).ok();
    let time = |time: SystemTime| jiff::Timestamp::try_from(time).map(|time| time.to_string()).unwrap_or_default();
    let status = match validity {
        Some(validity) if (validity.not_before..=validity.not_after).contains(&SystemTime::now()) => "ACTIVE",
        _ => "EXPIRED",
    };
    CertificateDump {
        name: name.to_owned(),
        kind: kind.to_owned(),
        identity,
        status: status.to_owned(),
        serial: identity::serial_number(certificate).unwrap_or_default(),
        not_before: validity.map(|validity| time(validity.not_before)).unwrap_or_default(),
        not_after: validity.map(|validity| time(validity.not_after)).unwrap_or_default(),
    }
}

/// What keeps a policy from being decided as it is written.
fn lacking(inbound: &InboundPolicy, action: &PolicyAction) -> String {
    match action {
        PolicyAction::Custom(name) if !inbound.providers.iter().any(|provider| provider.name == *name) => {
            format!("no provider {name}: what it matches is refused (mesh analyze says why)")
        }
        _ => String::new(),
    }
}

fn policies(inbound: &InboundPolicy) -> Vec<PolicyDump> {
    let (mode, rule) = &inbound.default_mtls;
    let mtls = |port: Option<u16>, mode: MtlsMode, rule: Option<&Provenance>| PolicyDump {
        kind: "mtls".to_owned(),
        action: mtls_mode(mode).to_owned(),
        port,
        rule: provenance(rule),
        ..PolicyDump::default()
    };
    let ports = inbound.port_mtls.iter().map(|(port, mode, rule)| mtls(Some(*port), *mode, Some(rule)));
    let tokens = inbound.tokens.iter().map(|token| PolicyDump {
        kind: "token".to_owned(),
        action: if token.issuer.is_empty() { "any issuer".to_owned() } else { token.issuer.to_string() },
        rule: token.provenance.to_string(),
        lacks: if token.keys.is_empty() {
            "no keys: every token of this issuer is refused".to_owned()
        } else {
            String::new()
        },
        ..PolicyDump::default()
    });
    let authorization = inbound.authorization.iter().map(|policy| PolicyDump {
        kind: "authorization".to_owned(),
        action: policy.action.to_string(),
        rules: policy.rules.len(),
        dry_run: policy.dry_run,
        rule: policy.provenance.to_string(),
        lacks: lacking(inbound, &policy.action),
        ..PolicyDump::default()
    });
    [mtls(None, *mode, rule.as_ref())].into_iter().chain(ports).chain(tokens).chain(authorization).collect()
}
