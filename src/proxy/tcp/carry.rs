//! Taking a connection whose bytes are not looked at to where a rule, or the client, sends it.
//!
//! Every way out is one line of the access log. A connection that cannot be made is tried at the other endpoints of its cluster:
//! nothing of the client's has been sent then.

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::SystemTime;

use crate::model::stream::{StreamFacts, decide, needs_server_name};
use crate::model::{HashKey, OutboundMode, Service};
use crate::proxy::connection::Conn;
use crate::proxy::detect;
use crate::proxy::directory::{Cluster, Report, RoutesInForce};
use crate::proxy::exchange::{Facts, Role};
use crate::proxy::filter::{peer, rbac};
use crate::proxy::local::Local;
use crate::proxy::tcp::meter::Meter;
use crate::proxy::tcp::{Bounds, TunnelEnd, tunnel_within};
use crate::proxy::upstream::{self, Active, Asked, Hop, Place};
use crate::resources::Provenance;
use crate::telemetry::{AccessRecord, Counter};

/// Endpoints that are tried for one connection.
const MAX_TRIES: usize = 3;

/// Where a connection goes.
#[derive(Debug, Clone)]
pub enum Course {
    /// To this address, in plaintext: something outside the mesh.
    Address(SocketAddr),
    /// To the application, in plaintext.
    Application(SocketAddr),
    /// To one of a cluster's endpoints, because of a rule.
    Cluster(Arc<Cluster>, Provenance),
    /// The same, where it is the client's own mesh TLS that goes all the way.
    Sealed(Arc<Cluster>, Provenance),
}

impl Course {
    /// The cluster, and the rule.
    fn cluster(&self) -> Option<(&Arc<Cluster>, &Provenance)> {
        match self {
            Self::Cluster(cluster, rule) | Self::Sealed(cluster, rule) => Some((cluster, rule)),
            Self::Address(_) | Self::Application(_) => None,
        }
    }
}

/// What a connection to a gateway's port asks for by its server name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsksFor {
    /// Nothing: it has none that counts.
    Nothing,
    /// A host.
    Host,
    /// A cluster, with which it speaks mesh TLS.
    Cluster,
}

/// Why a connection goes nowhere: flag, detail and sentence of its line in the log, and the rule.
#[derive(Debug)]
pub struct Refused {
    flags: &'static str,
    details: &'static str,
    reason: String,
    rule: Option<String>,
    /// The service that it was for.
    service: Option<Arc<Service>>,
}

impl Refused {
    fn new(flags: &'static str, details: &'static str, reason: impl Into<String>) -> Self {
        Self { flags, details, reason: reason.into(), rule: None, service: None }
    }

    /// Nobody says where it goes.
    pub fn no_route(to: impl std::fmt::Display) -> Self {
        Self::new("NR", "route_not_found", format!("no rule takes a connection to {to}"))
    }

    /// There is no answer about it to act upon.
    pub fn unavailable(to: impl std::fmt::Display, details: &'static str) -> Self {
        Self::new("NC", details, format!("the control plane has not said where {to} is"))
    }

    /// The mesh does not know where it goes, and lets nothing through that it does not know.
    pub fn not_in_mesh(to: impl std::fmt::Display) -> Self {
        Self::new("UH", "blackhole", format!("{to} is not known to the mesh, and its outbound mode is REGISTRY_ONLY"))
    }
}

/// What a connection to the upstream is, once it is there.
pub struct Open {
    conn: Conn,
    hop: Hop,
    _active: Option<Active>,
    _place: Option<Place>,
}

impl Open {
    /// The connection.
    pub fn conn(&mut self) -> &mut Conn {
        &mut self.conn
    }
}

/// What rules say about a connection that goes to `destination` and `port`. `server_name`: what its client asks for, where it
/// speaks TLS.
pub fn plan(
    local: &Local,
    routes: &RoutesInForce,
    server_name: Option<&str>,
    destination: Option<IpAddr>,
    port: u16,
) -> Option<Result<Course, Refused>> {
    let own = local.shared.directory.inbound();
    let own = own.as_ref().map(|own| &own.workload);
    let facts = StreamFacts {
        server_name,
        destination,
        port,
        source_labels: own.map_or(peer::NO_LABELS, |own| &own.labels),
        source_namespace: own.map_or(&*local.shared.namespace, |own| &own.namespace),
    };
    let decided = decide(&routes.routes.streams, &facts, local.worker.draw())?;
    let name = &decided.destination.cluster;
    Some(match routes.cluster(name) {
        Some(cluster) => Ok(Course::Cluster(cluster.clone(), decided.rule.provenance.clone())),
        None => Err(Refused {
            rule: Some(decided.rule.provenance.to_string()),
            ..Refused::new(
                "NC",
                "cluster_not_found",
                format!("there is no cluster {name}: its service, port or subset is missing"),
            )
        }),
    })
}

/// Whether the first bytes have to be seen before it is known where a connection to the port goes.
pub fn waits_for_client(routes: &RoutesInForce, port: u16) -> bool {
    needs_server_name(&routes.routes.streams, port)
}

/// Takes a connection through a gateway's port to where the port's rules send it.
pub async fn serve_gateway(local: &Local, client: Conn, facts: &Facts, port: u16, asks_for: AsksFor) {
    if let Err(refused) = admit(local, facts, port) {
        return log_refused(local, facts, &refused);
    }
    let name = String::from_utf8_lossy(&facts.server_name).to_ascii_lowercase();
    let server_name = (asks_for != AsksFor::Nothing).then_some(&*name);
    match gateway_course(local, server_name, facts.local.map(|local| local.ip()), port) {
        Ok(Course::Cluster(cluster, rule)) if asks_for == AsksFor::Cluster => {
            carry(local, client, &Course::Sealed(cluster, rule), facts).await;
        }
        Ok(course) => carry(local, client, &course, facts).await,
        Err(refused) => log_refused(local, facts, &refused),
    }
}

/// The most specific of the port's hosts that has a rule for the connection decides.
fn gateway_course(
    local: &Local,
    server_name: Option<&str>,
    destination: Option<IpAddr>,
    port: u16,
) -> Result<Course, Refused> {
    let listeners = local.listeners.borrow().clone();
    let listener = listeners.iter().find(|listener| listener.port == port);
    let hosts = listener.map_or(&[][..], |listener| listener.virtual_hosts.as_slice());
    let mut matching: Vec<_> =
        hosts.iter().filter(|known| known.host.matches(server_name.unwrap_or_default())).collect();
    matching.sort_by_key(|known| std::cmp::Reverse(known.host.precedence()));
    let mut missing = false;
    for virtual_host in matching {
        match local.shared.directory.gateway_routes(&virtual_host.routes) {
            Some(routes) => {
                if let Some(found) = plan(local, &routes, server_name, destination, port) {
                    return found;
                }
            }
            None => missing = true,
        }
    }
    let to = match server_name {
        Some(name) if !name.is_empty() => format!("{name} at port {port}"),
        _ => format!("port {port}"),
    };
    Err(if missing { Refused::unavailable(to, "routes_not_there_yet") } else { Refused::no_route(to) })
}

/// Whether the gateway's own policies let the client in.
fn admit(local: &Local, facts: &Facts, port: u16) -> Result<(), Refused> {
    let shared = &local.shared;
    let Some(policy) = shared.directory.inbound() else {
        // A gateway that is made of files has no policy; one that waits for its own serves nobody.
        let is_ready = *shared.directory.ready().borrow();
        return if is_ready {
            Ok(())
        } else {
            Err(Refused::new("-", "not_ready", "this proxy does not know its policy yet"))
        };
    };
    let said = rbac::decide_connection(&policy, &detect::connection_facts(facts, port));
    if said.allowed {
        return Ok(());
    }
    shared.registry.count(Counter::RequestsDenied);
    Err(Refused { rule: Some(said.because), ..Refused::new("-", rbac::DENIED_DETAIL, rbac::DENIED) })
}

/// What becomes of a connection to an address that the mesh does not know.
pub fn beyond_the_mesh(local: &Local, original: SocketAddr) -> Result<Course, Refused> {
    match local.shared.directory.settings().outbound_mode {
        OutboundMode::AllowAny => Ok(Course::Address(original)),
        OutboundMode::RegistryOnly => Err(Refused::not_in_mesh(original)),
    }
}

/// Connects, and copies bytes both ways until the connection ends.
pub async fn carry(local: &Local, client: Conn, course: &Course, facts: &Facts) {
    let start = SystemTime::now();
    match Box::pin(open(local, course, facts)).await {
        Ok(open) => carry_on(local, client, open, course, facts, start).await,
        Err(refused) => log_refused(local, facts, &refused),
    }
}

/// Copies bytes both ways between the client and a connection that is there.
pub async fn carry_on(
    local: &Local,
    mut client: Conn,
    mut open: Open,
    course: &Course,
    facts: &Facts,
    start: SystemTime,
) {
    let upstream_local = open.conn.local_address();
    let bounds = bounds(local, course);
    let service = course.cluster().map(|(cluster, _)| &cluster.service);
    let endpoint = open.hop.endpoint.as_ref();
    let way = (open.hop.expected.is_some(), Some(open.hop.address));
    let mut meter = Meter::begin(local, facts, service, endpoint, way, "-");
    let (end, up, down) =
        tunnel_within(&mut client, &mut open.conn, bounds, |received, sent| meter.moved(received, sent)).await;
    meter.moved(up, down);
    drop(meter);
    let inbound;
    let (cluster, rule) = match course.cluster() {
        Some((cluster, rule)) => (&cluster.name as &dyn std::fmt::Display, Some(rule as &dyn std::fmt::Display)),
        None => match facts.role {
            Role::Inbound { port, .. } => {
                inbound = format!("inbound|{port}||");
                (&inbound as &dyn std::fmt::Display, None)
            }
            _ => (&"PassthroughCluster" as &dyn std::fmt::Display, None),
        },
    };
    detect::log(
        local,
        facts,
        &AccessRecord {
            // Envoy's flag for a connection that has lasted as long as it may.
            flags: if end == TunnelEnd::Over { "DT" } else { "-" },
            bytes_received: up,
            bytes_sent: down,
            upstream_host: Some(open.hop.address),
            upstream_cluster: Some(cluster),
            upstream_local,
            downstream_local: facts.local,
            downstream_remote: facts.remote,
            server_name: &facts.server_name,
            rule,
            duration: start.elapsed().unwrap_or_default(),
            ..AccessRecord::new(start)
        },
    );
}

fn bounds(local: &Local, course: &Course) -> Bounds {
    let own = Bounds::of(&local.shared.limits);
    let Some((cluster, _)) = course.cluster() else { return own };
    let limits = &cluster.policy.limits;
    let idle = limits.stream_idle.map_or(own.idle, |idle| Some(idle).filter(|idle| !idle.is_zero()));
    Bounds { idle, lifetime: limits.lifetime, ..own }
}

/// Makes the connection to the upstream.
pub async fn open(local: &Local, course: &Course, facts: &Facts) -> Result<Open, Refused> {
    match course {
        Course::Address(address) | Course::Application(address) => {
            let hop = match course {
                Course::Application(_) => Hop::application(*address, local.shared.application_source),
                _ => Hop::plain(*address),
            };
            let conn = connect(local, &hop, None)
                .await
                .map_err(|error| Refused::new("UF", "upstream_connection_failure", error))?;
            Ok(Open { conn, hop, _active: None, _place: None })
        }
        Course::Cluster(cluster, rule) | Course::Sealed(cluster, rule) => {
            let opened = open_cluster(local, cluster, facts, matches!(course, Course::Sealed(..))).await;
            let service = Some(cluster.service.clone());
            opened.map_err(|refused| Refused { rule: Some(rule.to_string()), service, ..refused })
        }
    }
}

async fn open_cluster(local: &Local, cluster: &Arc<Cluster>, facts: &Facts, sealed: bool) -> Result<Open, Refused> {
    let place = place(cluster).await?;
    let key = match cluster.policy.hash.as_ref().map(|hash| &hash.key) {
        Some(HashKey::Source) => facts.remote.map(|remote| upstream::hash(remote.ip().to_string().as_bytes())),
        _ => None,
    };
    // Where a sealed connection was going, nobody says but its server name.
    if upstream::goes_to_original(cluster) && !sealed {
        let hop =
            original_hop(cluster, facts).map_err(|error| Refused::new("UF", "upstream_connection_failure", error))?;
        let hop = hop.announcing(facts.ends());
        let (conn, hop) = connect_to(local, hop, Some(cluster))
            .await
            .map_err(|error| Refused::new("UF", "upstream_connection_failure", error))?;
        return Ok(Open { conn, hop, _active: None, _place: place });
    }
    let mut tried: Vec<SocketAddr> = Vec::new();
    let mut failure = None;
    while tried.len() < MAX_TRIES {
        let picked = upstream::pick(cluster, &tried, local.worker.draw(), key);
        let Some(endpoint) = picked.filter(|endpoint| !tried.contains(&endpoint.address)) else { break };
        tried.push(endpoint.address);
        let hop = if sealed { Hop::sealed } else { Hop::to };
        let connected = match hop(cluster, endpoint.clone()) {
            Ok(hop) => {
                let active = Active::begin(&endpoint.state);
                let hop = hop.announcing(facts.ends());
                connect_to(local, hop, Some(cluster)).await.map(|(conn, hop)| (conn, hop, active))
            }
            Err(error) => Err(error.to_string()),
        };
        match connected {
            Ok((conn, hop, active)) => {
                // What counts as an answer where nothing is read is that somebody is there.
                upstream::report(cluster, &endpoint, Report::Answer(200));
                return Ok(Open { conn, hop, _active: Some(active), _place: place });
            }
            Err(error) => {
                upstream::report(cluster, &endpoint, Report::Failure);
                failure = Some(error);
            }
        }
    }
    Err(match failure {
        Some(failure) => Refused::new("UF", "upstream_connection_failure", failure),
        None => Refused::new(
            "UH",
            "no_healthy_upstream",
            format!("cluster {} has no endpoint that takes connections", cluster.name),
        ),
    })
}

/// Where a connection was going: its address, else the name that its client asks for. At a gateway that is the client's own word,
/// which nobody has vouched for: there it is the service's host.
fn original_hop(cluster: &Cluster, facts: &Facts) -> Result<Hop, String> {
    let (address, name) = match facts.role {
        Role::OutboundAddress { original } => (original, None),
        _ if cluster.name.host.starts_with("*.") => {
            return Err(format!("{} is no one address, and the client has none", cluster.name.host));
        }
        _ => (upstream::nowhere(cluster.name.port), Some(cluster.name.host.clone())),
    };
    Hop::to_original(cluster, address, name).map_err(|error| error.to_string())
}

async fn connect_to(local: &Local, hop: Hop, cluster: Option<&Cluster>) -> Result<(Conn, Hop), String> {
    let hop = hop.for_bytes().looked_up(local).await.map_err(|failed| failed.1)?;
    connect(local, &hop, cluster).await.map(|conn| (conn, hop))
}

async fn connect(local: &Local, hop: &Hop, cluster: Option<&Cluster>) -> Result<Conn, String> {
    let handshake = local.shared.limits.handshake;
    let connecting = upstream::connect(hop, cluster, &local.shared.directory, handshake, &local.worker);
    connecting.await.map_err(|error| error.to_string())
}

/// A place among the connections that the cluster's policy allows, waited for as long as connecting may take.
async fn place(cluster: &Cluster) -> Result<Option<Place>, Refused> {
    let overflow =
        || Refused::new("UO", "overflow", format!("cluster {} has as many connections as it may", cluster.name));
    match upstream::ask(&cluster.state, &cluster.policy.limits) {
        Asked::Unlimited => Ok(None),
        Asked::Place(place) => Ok(Some(place)),
        Asked::Overflow => Err(overflow()),
        Asked::Wait(mut waiting) => {
            let freed = poll_fn(|cx| waiting.poll(cx));
            tokio::time::timeout(cluster.policy.connect_timeout, freed).await.map(Some).map_err(|_| overflow())
        }
    }
}

/// Counts and logs a connection that goes nowhere.
pub fn log_refused(local: &Local, facts: &Facts, refused: &Refused) {
    drop(Meter::begin(local, facts, refused.service.as_ref(), None, (false, None), refused.flags));
    detect::log(
        local,
        facts,
        &AccessRecord {
            flags: refused.flags,
            details: refused.details,
            termination: refused.details,
            transport_failure: &refused.reason,
            downstream_local: facts.local,
            downstream_remote: facts.remote,
            server_name: &facts.server_name,
            rule: refused.rule.as_ref().map(|rule| rule as &dyn std::fmt::Display),
            ..AccessRecord::now()
        },
    );
}
