//! Requests on one client connection, one after the other: head in, decision, upstream, head and bodies through.
//!
//! The parts: `head` waits for a request, `plan` decides where it goes, `handle` does what the rule asks for, `forward` takes it
//! there, `mirror` sends copies, `reply` answers where the proxy itself has to, `wait` watches both sides meanwhile, within `times`. Every way out ends in [`Exchange::finish`], which counts and logs.

mod admit;
mod affinity;
mod consult;
mod forward;
mod handle;
mod head;
mod mirror;
mod plan;
mod reply;
mod retry;
mod tell;
mod times;
mod variables;
mod wait;

use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::time::Instant;

use crate::identity::SpiffeId;
use crate::model::authz::Claims;
use crate::model::{ClusterName, HostPattern, InboundPolicy, MtlsMode, Side, Tracing};
use crate::proxy::connection::Conn;
use crate::proxy::filter::edge::Stance;
use crate::proxy::filter::logged::Logged;
use crate::proxy::filter::request_id::RequestId;
use crate::proxy::filter::stats::{Call, Counted, Protocol, Sides};
use crate::proxy::http1::head::Headers;
use crate::proxy::http1::{HTTP2_PREFACE, Head, Name, Refusal, Target};
use crate::proxy::http2;
use crate::proxy::limits;
use crate::proxy::local::Local;
use crate::proxy::proxy_protocol::Ends;
use crate::proxy::timer::Deadline;
use crate::proxy::trace::SpanContext;
use crate::proxy::upstream::Hop;
use crate::resources::expression::Expression;
use crate::telemetry::{AccessRecord, Counter, Party};

use plan::{Goal, Plan};
use reply::Reply;
use times::Times;

/// What requests on a connection are for.
#[derive(Debug, Clone)]
pub enum Role {
    /// For the workload that the proxy stands beside: the port that they came to, and where the application listens.
    Inbound {
        /// Port of the workload.
        port: u16,
        /// Address of the application.
        app: SocketAddr,
    },
    /// From that workload, to a name; with the token that it must know.
    OutboundName {
        /// The pod's token.
        token: Arc<str>,
    },
    /// From that workload, captured on the way to an address.
    OutboundAddress {
        /// Where it was going.
        original: SocketAddr,
    },
    /// From outside, to a port of a gateway.
    Gateway {
        /// Port of the listener.
        port: u16,
    },
}

impl Role {
    fn stance(&self) -> Stance {
        match self {
            Self::Inbound { .. } => Stance::Inbound,
            Self::OutboundName { .. } | Self::OutboundAddress { .. } => Stance::Outbound,
            Self::Gateway { .. } => Stance::Gateway,
        }
    }

    /// On which side of the workload's traffic they are.
    pub fn side(&self) -> Side {
        match self {
            Self::Inbound { .. } => Side::Server,
            Self::OutboundName { .. } | Self::OutboundAddress { .. } | Self::Gateway { .. } => Side::Client,
        }
    }
}

/// A mesh peer, proved by mutual TLS.
#[derive(Debug, Clone)]
pub struct MeshPeer {
    /// Who it is.
    pub identity: SpiffeId,
    /// The same, as text.
    pub uri: Arc<str>,
    /// SHA-256 of its certificate, in hexadecimal.
    pub hash: Arc<str>,
    /// Who we are to it.
    pub own: Arc<str>,
    /// What telemetry knows of it; more, once it has announced itself.
    pub party: Arc<Party>,
}

/// What is known of a client's connection.
#[derive(Debug, Clone)]
pub struct Facts {
    /// What its requests are for.
    pub role: Role,
    /// Our address on it.
    pub local: Option<SocketAddr>,
    /// The client's, as far as it is known.
    pub remote: Option<SocketAddr>,
    /// Of whoever made the TCP connection: the client, or a load balancer that has announced it.
    pub direct: Option<SocketAddr>,
    /// The peer, over mutual TLS.
    pub peer: Option<MeshPeer>,
    /// The server name that it asked for.
    pub server_name: Box<[u8]>,
    /// Whether its requests come as HTTP/2.
    pub http2: bool,
    /// At a gateway's port with TLS: the hosts that the connection was let in for.
    pub admitted: Option<Arc<[HostPattern]>>,
}

impl Facts {
    /// The scheme of the client's requests.
    pub fn scheme(&self) -> &'static str {
        if self.admitted.is_some() { "https" } else { "http" }
    }

    /// Between whom the connection is: the client, and what it was on its way to.
    pub fn ends(&self) -> Option<Ends> {
        let destination = match self.role {
            Role::OutboundAddress { original } => Some(original),
            _ => self.local,
        };
        Some(Ends { source: self.remote?, destination: destination? })
    }
}

/// Tables that a request needs, lent by the worker.
#[derive(Debug, Default)]
pub struct Scratch {
    request: Head,
    response: Head,
    target: Target,
    /// Whole lines that the request gets.
    added: Vec<u8>,
    /// Whole lines that the response gets.
    added_back: Vec<u8>,
    request_id: RequestId,
}

/// Whether the connection takes another request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Again,
    /// It is closed, and the client has nothing under way.
    Close,
    /// It is closed while the client may still be sending.
    Linger,
}

/// Serves a client's connection until it ends.
pub async fn serve(local: &Rc<Local>, conn: Conn, facts: Facts) {
    if let Some((conn, facts)) = requests(local, conn, facts).await {
        Box::pin(http2::serve(local, conn, facts)).await;
    }
}

/// Serves one stream of a connection that carries several.
pub async fn serve_stream(local: &Rc<Local>, conn: Conn, facts: Facts) {
    // What it carries is one message, and no preface.
    let _ = requests(local, conn, facts).await;
}

/// Serves HTTP/1.1 requests, one after the other. Answers the connection where it turns out to speak HTTP/2.
async fn requests(local: &Rc<Local>, mut conn: Conn, mut facts: Facts) -> Option<(Conn, Facts)> {
    let seat = local.seats.take();
    let mut deadline = Deadline::default();
    let mut times = Times::default();
    loop {
        let found = head::read(local, &seat, &mut conn, &mut deadline).await;
        let refusal = match found {
            // What was let in before the policy became strict is not let in any longer.
            Ok(Some(_)) if is_outdated(local, &facts) => {
                local.shared.registry.count(Counter::PlaintextRefused);
                return None;
            }
            Ok(Some(_)) if !facts.http2 && conn.window().starts_with(HTTP2_PREFACE) => return Some((conn, facts)),
            Ok(Some(length)) => {
                conn.hold(length);
                None
            }
            Ok(None) => return None,
            Err(refusal) => Some(refusal),
        };
        let mut scratch = local.worker.scratch.borrow_mut().pop().unwrap_or_default();
        let mut exchange = Exchange {
            local,
            conn: &mut conn,
            facts: &mut facts,
            scratch: &mut scratch,
            deadline: &mut deadline,
            times: &mut times,
            permitted: false,
            delayed: false,
            exhausted: false,
            cookie: None,
            granted: Vec::new(),
            taken: Taken::Nothing,
            because: String::new(),
            started: Instant::now(),
            own: local.shared.directory.inbound(),
            claims: None,
            trace: None,
        };
        let next = exchange.run(refusal).await;
        local.worker.keep(scratch);
        match next {
            Next::Again if !facts.http2 => conn.release(),
            // A stream carries one request: what its client sent behind it, for a WebSocket that was not granted, is none.
            Next::Again | Next::Close => {
                conn.linger(&mut deadline, Duration::ZERO, 0).await;
                return None;
            }
            Next::Linger => {
                conn.linger(&mut deadline, local.shared.limits.linger, limits::MAX_LINGER).await;
                return None;
            }
        }
    }
}

/// Whether a client that has not proved who it is would have to by now.
fn is_outdated(local: &Local, facts: &Facts) -> bool {
    let Role::Inbound { port, .. } = facts.role else { return false };
    facts.peer.is_none() && local.shared.directory.inbound().is_some_and(|own| own.mtls(port).0 == MtlsMode::Strict)
}

/// One request and its response.
struct Exchange<'a> {
    local: &'a Rc<Local>,
    conn: &'a mut Conn,
    facts: &'a mut Facts,
    scratch: &'a mut Scratch,
    deadline: &'a mut Deadline,
    times: &'a mut Times,
    /// Whether the response says what other origins' pages may do.
    permitted: bool,
    /// Whether the request was held up on purpose.
    delayed: bool,
    /// Whether it was tried as often as it may be.
    exhausted: bool,
    /// A cookie that the client gets with its response.
    cookie: Option<String>,
    /// Headers that providers of authorization want the client to get.
    granted: Vec<(String, Bytes)>,
    /// How much of the request's body has left the client's connection.
    taken: Taken,
    /// The policies that had a say, for the log.
    because: String,
    started: Instant,
    own: Option<Arc<InboundPolicy>>,
    /// What the request's token says, once it was verified.
    claims: Option<Claims>,
    /// Of which trace it is, where there are any.
    trace: Option<(Arc<Tracing>, SpanContext)>,
}

/// How much of a request's body has left the connection that it came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    /// What has come of it is still there, from its beginning.
    Nothing,
    /// Some; what follows there is the rest of it.
    Part,
    /// All; what follows there is something else.
    Everything,
}

/// The version that a client speaks, as logs and headers name it.
fn protocol(http2: bool, http10: bool) -> &'static str {
    match (http2, http10) {
        (true, _) => "HTTP/2",
        (false, true) => "HTTP/1.0",
        (false, false) => "HTTP/1.1",
    }
}

/// How an exchange ended, for those who count and log.
struct Outcome<'o> {
    code: u16,
    flags: &'static str,
    details: &'static str,
    failure: &'o str,
    plan: Option<&'o Plan>,
    hop: Option<&'o Hop>,
    upstream_local: Option<SocketAddr>,
    upstream_time: Option<Duration>,
    received: u64,
    sent: u64,
    sent_head: usize,
    /// How a call of gRPC ended, where anybody said it.
    grpc_status: Option<u8>,
}

/// A cluster by the name that Envoy gives it.
enum ClusterText<'p> {
    Known(&'p ClusterName),
    Inbound(u16),
    Passthrough,
}

impl fmt::Display for ClusterText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(name) => name.fmt(f),
            Self::Inbound(port) => write!(f, "inbound|{port}||"),
            Self::Passthrough => f.write_str("PassthroughCluster"),
        }
    }
}

/// Flags together with those of an injected delay and of used-up tries, in Envoy's order.
fn flags(flags: &'static str, delayed: bool, exhausted: bool) -> &'static str {
    match (flags, delayed, exhausted) {
        (_, false, false) => flags,
        ("-", true, false) => "DI",
        ("-", false, true) => "URX",
        ("-", true, true) => "DI,URX",
        ("FI", true, _) => "DI,FI",
        ("UF", true, false) => "UF,DI",
        ("UF", false, true) => "UF,URX",
        ("UF", true, true) => "UF,DI,URX",
        ("UC", true, false) => "UC,DI",
        ("UC", false, true) => "UC,URX",
        ("UC", true, true) => "UC,DI,URX",
        ("UT", true, false) => "UT,DI",
        ("UT", false, true) => "UT,URX",
        ("UT", true, true) => "UT,DI,URX",
        ("UH", false, true) => "UH,URX",
        ("UO", false, true) => "UO,URX",
        ("DC", true, _) => "DI,DC",
        _ => flags,
    }
}

impl Outcome<'_> {
    fn new(code: u16, flags: &'static str, details: &'static str) -> Self {
        Self {
            code,
            flags,
            details,
            failure: "",
            plan: None,
            hop: None,
            upstream_local: None,
            upstream_time: None,
            received: 0,
            sent: 0,
            sent_head: 0,
            grpc_status: None,
        }
    }
}

impl Scratch {
    /// Whether it has not grown beyond what most requests need.
    pub fn is_modest(&self) -> bool {
        let texts = [self.added.capacity(), self.added_back.capacity(), self.target.capacity()];
        texts.iter().sum::<usize>() <= limits::BUFFER
    }
}

impl Exchange<'_> {
    async fn run(&mut self, refusal: Option<Refusal>) -> Next {
        let read = match refusal {
            Some(refusal) => Err(refusal),
            None => self.read(),
        };
        if let Err(refusal) = read {
            self.local.shared.registry.count(Counter::RequestsRefused);
            return self.reply(Reply::refusal(refusal), None).await;
        }
        match self.plan().await {
            Ok(plan) => self.carry_out(&plan).await,
            Err(reply) => self.reply(*reply, None).await,
        }
    }

    fn read(&mut self) -> Result<(), Refusal> {
        let bytes = self.conn.head();
        crate::proxy::http1::parse_request(bytes, self.local.shared.http10, &mut self.scratch.request)?;
        crate::proxy::http1::read_target(&self.scratch.request, bytes, &mut self.scratch.target)
    }

    fn stance(&self) -> Stance {
        self.facts.role.stance()
    }

    /// Counts and logs.
    fn finish(&self, outcome: &Outcome<'_>) {
        let outcome = &Outcome { flags: flags(outcome.flags, self.delayed, self.exhausted), ..*outcome };
        let duration = self.started.elapsed();
        let shared = &self.local.shared;
        let settings = shared.directory.settings();
        let endpoint = outcome.hop.and_then(|hop| hop.endpoint.as_ref());
        let (call, mutual_tls) = match self.facts.role {
            Role::Inbound { port, .. } => {
                let peer = self.facts.peer.as_ref();
                (Call::Inbound(port, peer.map(|peer| &peer.party)), peer.is_some())
            }
            _ => {
                let service = match outcome.plan.map(|plan| &plan.goal) {
                    Some(Goal::Cluster(cluster)) => Some(&cluster.service),
                    _ => None,
                };
                let proved = outcome.upstream_local.is_some() && outcome.hop.is_some_and(|hop| hop.expected.is_some());
                (Call::Outbound(service, endpoint), proved)
            }
        };
        let (own, cluster) = (self.own.as_ref(), &settings.cluster);
        let side = self.facts.role.side();
        let reporting = settings.reporting(side);
        let customized = self.local.stats.customized(side, reporting.metrics.as_ref(), &shared.registry, |told| {
            self.as_logged(outcome, duration, |logged| told(logged));
        });
        let counted = Counted {
            sides: Sides { call, own, cluster, flags: outcome.flags, mutual_tls, customized: customized.as_ref() },
            code: outcome.code,
            protocol: match self.facts.http2 && self.is_grpc() {
                true => Protocol::Grpc(outcome.grpc_status),
                false => Protocol::Http,
            },
            duration,
            request_bytes: self.conn.head().len() as u64 + outcome.received,
            response_bytes: outcome.sent_head as u64 + outcome.sent,
        };
        self.local.stats.count(&counted, &shared.registry, self.local.worker.number);
        if reporting.log {
            self.log(outcome, duration, reporting.filter.as_deref());
        }
        self.tell(outcome, duration, &settings);
    }

    /// The cluster that a request is sent to, as logs and traces name it.
    fn cluster_of<'p>(&self, plan: &'p Plan) -> Option<ClusterText<'p>> {
        match (&plan.goal, &self.facts.role) {
            (Goal::Cluster(cluster), _) => Some(ClusterText::Known(&cluster.name)),
            (Goal::Address(_), Role::Inbound { port, .. }) => Some(ClusterText::Inbound(*port)),
            (Goal::Address(_), _) => Some(ClusterText::Passthrough),
            (Goal::Answer, _) => None,
        }
    }

    fn log(&self, outcome: &Outcome<'_>, duration: Duration, filter: Option<&Expression>) {
        let mut log = self.local.log.borrow_mut();
        let Some(log) = log.as_mut() else { return };
        self.as_logged(outcome, duration, |logged| {
            if filter.is_none_or(|filter| filter.holds(logged)) {
                log.log(logged.record);
            }
        });
    }

    /// Hands what is known of the request to `told`.
    fn as_logged(&self, outcome: &Outcome<'_>, duration: Duration, told: impl FnOnce(&Logged<'_>)) {
        let bytes = self.conn.head();
        let (request, target) = (&self.scratch.request, &self.scratch.target);
        let generated = self.scratch.request_id.as_bytes();
        let cluster = outcome.plan.and_then(|plan| self.cluster_of(plan));
        let rule = outcome.plan.and_then(Plan::rule);
        let written = |name| request.get(name, bytes).unwrap_or_default();
        let record = AccessRecord {
            method: request.method.of(bytes),
            path: request.target.of(bytes),
            protocol: protocol(self.facts.http2, request.http10),
            code: outcome.code,
            flags: outcome.flags,
            details: outcome.details,
            termination: "",
            transport_failure: outcome.failure,
            bytes_received: outcome.received,
            bytes_sent: outcome.sent,
            duration,
            upstream_time: outcome.upstream_time,
            forwarded_for: request.received(Name::ForwardedFor, bytes).unwrap_or_default(),
            user_agent: written(Name::UserAgent),
            request_id: match written(Name::RequestId) {
                b"" => generated,
                present => present,
            },
            authority: &target.authority,
            upstream_host: outcome.hop.map(|hop| hop.address),
            upstream_cluster: cluster.as_ref().map(|cluster| cluster as &dyn std::fmt::Display),
            upstream_local: outcome.upstream_local,
            downstream_local: self.facts.local,
            downstream_remote: self.facts.remote,
            server_name: &self.facts.server_name,
            route_name: rule.map_or("", |rule| &rule.name),
            rule: match (rule, self.because.as_str()) {
                (_, "") => rule.map(|rule| &rule.provenance as &dyn std::fmt::Display),
                _ => Some(&self.because),
            },
            ..AccessRecord::new(SystemTime::now() - duration)
        };
        let headers = Headers { head: request, bytes };
        told(&Logged {
            record: &record,
            headers: Some(&headers),
            scheme: self.facts.scheme(),
            mutual_tls: self.facts.peer.is_some(),
        });
    }
}
