//! What a proxy needs to know, and the pure functions that decide.
//!
//! This is the heart of the house. It holds configuration that is compiled, resolved and cheap to evaluate: no short host name
//! left to qualify, every regular expression compiled, every list in evaluation order. Whatever has a say in a decision carries
//! its [`Provenance`](crate::resources::Provenance), so that an access log line and an explanation can name the rule that decided.
//!
//! Deciding is a pure function ([`route::decide`], [`stream::decide`], [`listener::Listener::virtual_host`], [`inbound::InboundPolicy::mtls`]); the
//! proxy calls it per request and the commands that explain call the very same function. There is no second implementation of a
//! matching rule anywhere.
//!
//! The room refuses I/O, async and clocks and randomness of its own: what varies is an argument.

pub mod authz;
pub mod handling;
pub mod inbound;
pub mod listener;
pub mod locality;
pub mod matching;
pub mod policy;
pub mod pool;
pub mod route;
pub mod service;
pub mod settings;
pub mod stream;
pub mod telemetry;
pub mod token;
pub mod workload;

pub use handling::{
    AbortStatus, Cors, DirectResponse, Fault, Handling, HeaderChanges, HeaderEdits, HeaderText, Mirror, PathRewrite,
    Redirect, RedirectFacts, RedirectPath, RedirectPort, RetryCondition, RetryPolicy, Rewrite, Share, Substitution,
    TryFailure,
};
pub use inbound::{InboundPolicy, InboundService, IngressPort, Loopback, MtlsMode};
pub use listener::{
    ClientCertificates, HostPattern, Listener, ListenerProtocol, PrivateKeyPem, ServerTls, Termination, TlsDemands,
    TlsVersions, VirtualHost,
};
pub use locality::{Distribution, LocalityPattern, LocalityPolicy};
pub use matching::{HeaderLookup, InvalidRegex, StringMatch};
pub use policy::{
    Authorities, Balancer, ClusterPolicy, Http2Use, Origination, OwnCertificate, ProxyProtocol, Subset, TrafficPolicy,
    UpstreamTls,
};
pub use pool::{CookieKey, HashKey, HashPolicy, HashTable, Keepalive, OutlierPolicy, PoolLimits, RetryBudget, Warmup};
pub use route::{Action, Decision, HttpRule, RequestFacts, RequestMatch, Routes, WeightedCluster};
pub use service::{
    AppProtocol, ClusterName, Endpoint, Endpoints, Health, Resolution, Service, ServicePort, TrafficDistribution,
};
pub use settings::{GatewayTopology, OutboundMode, Settings};
pub use stream::{StreamDecision, StreamFacts, StreamMatch, StreamRule};
pub use telemetry::{Collector, CollectorProtocol, Metrics, Reporting, Side, TagValue, Tracing};
pub use workload::{Labels, Locality, TunnelProtocol, Workload};
