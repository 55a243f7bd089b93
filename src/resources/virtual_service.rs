//! VirtualService: which requests to a host go where.

use std::collections::BTreeMap;

use super::field::{Limit, names, record};
use super::rules::virtual_service as rules;
use super::values::{Duration, ExportTo, GatewayRef, Host, Labels, Pattern, Port, StringMatch, Weight};

/// Headers that a rule's changes leave alone: they frame the message, belong to one connection, or say where the request goes,
/// which is a rewrite's to change.
pub const FIXED_HEADERS: [&str; 11] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "proxy-connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "http2-settings",
    "expect",
];

record! {
    /// Which requests to a host go where.
    pub struct VirtualService {
        /// The hosts that clients address: names, wildcards, or IP addresses at gateways. None in a delegate.
        hosts: Vec<Host> = "hosts";
        /// The Gateways that apply the rules; `mesh` means the sidecars, and is what an empty list means.
        gateways: Vec<GatewayRef> = "gateways";
        /// Rules for HTTP requests; the first that matches is taken.
        http: Vec<HttpRoute> = "http";
        /// Rules for TLS connections that are not terminated.
        tls: Vec<TlsRoute> = "tls";
        /// Rules for other TCP connections.
        tcp: Vec<TcpRoute> = "tcp";
        /// The namespaces whose proxies see the rules.
        export_to: Vec<ExportTo> = "exportTo";
    }
    check: rules::virtual_service;
}

record! {
    /// One rule for HTTP requests.
    pub struct HttpRoute {
        /// A name for logs and metrics.
        name: Option<String> = "name";
        /// Conditions, one of which has to hold; none means every request.
        matches: Vec<HttpMatch> = "match";
        /// Where requests go.
        route: Vec<HttpDestination> = "route";
        /// Answers with a redirect instead.
        redirect: Option<Redirect> = "redirect";
        /// Answers directly instead.
        direct_response: Option<DirectResponse> = "directResponse";
        /// Leaves the decision to another VirtualService.
        delegate: Option<Delegate> = "delegate";
        /// Changes path or authority on the way.
        rewrite: Option<Rewrite> = "rewrite";
        /// How long a request may take in all.
        timeout: Option<Duration> = "timeout" [Limit::AtLeast1ms];
        /// When a request is tried again.
        retries: Option<Retries> = "retries";
        /// Faults to inject.
        fault: Option<Fault> = "fault";
        /// Where copies of requests go.
        mirror: Option<Destination> = "mirror";
        /// Several places where copies of requests go.
        mirrors: Vec<Mirror> = "mirrors";
        /// Deprecated: use mirrorPercentage.
        mirror_percent: Option<u32> = "mirrorPercent" [Limit::Nullable];
        /// Deprecated: use mirrorPercentage.
        mirror_percent_old: Option<u32> = "mirror_percent" [Limit::Nullable];
        /// The share of requests that is copied.
        mirror_percentage: Option<Percent> = "mirrorPercentage";
        /// What other origins' pages may do.
        cors_policy: Option<CorsPolicy> = "corsPolicy";
        /// Headers to change.
        headers: Option<Headers> = "headers";
    }
    check: rules::http_route;
}

record! {
    /// Conditions on a request, all of which have to hold.
    pub struct HttpMatch {
        /// A name for logs and metrics.
        name: Option<String> = "name";
        /// On the path, without the query.
        uri: Option<StringMatch> = "uri";
        /// On the scheme.
        scheme: Option<StringMatch> = "scheme";
        /// On the method.
        method: Option<StringMatch> = "method";
        /// On the authority.
        authority: Option<StringMatch> = "authority";
        /// On headers, by lower-case name.
        headers: BTreeMap<String, StringMatch> = "headers";
        /// On headers that must not be so.
        without_headers: BTreeMap<String, StringMatch> = "withoutHeaders";
        /// On parameters of the query.
        query_params: BTreeMap<String, StringMatch> = "queryParams";
        /// Whether letters' case matters in exact and prefix matches of uri.
        ignore_uri_case: Option<bool> = "ignoreUriCase";
        /// On the port that the request was sent to.
        port: Option<Port> = "port";
        /// On the labels of the client's workload.
        source_labels: Labels = "sourceLabels";
        /// On the namespace of the client's workload.
        source_namespace: Option<String> = "sourceNamespace";
        /// The Gateways that apply the match, instead of the VirtualService's.
        gateways: Vec<GatewayRef> = "gateways";
        /// The prefix of the route's statistics.
        stat_prefix: Option<String> = "statPrefix";
    }
    check: rules::http_match;
}

record! {
    /// A weighted destination of HTTP requests.
    pub struct HttpDestination {
        /// Where to.
        destination: Destination = "destination";
        /// The share of requests, relative to the sum of all.
        weight: Weight = "weight";
        /// Headers to change for this destination.
        headers: Option<Headers> = "headers";
    }
}

record! {
    /// A service, and what part of it.
    pub struct Destination {
        /// The service's host; a short name is meant in the rule's namespace.
        host: Host = "host";
        /// The name of a subset from the host's DestinationRule.
        subset: Option<String> = "subset";
        /// The service's port; not needed if it has only one.
        port: Option<PortSelector> = "port";
    }
    check: rules::destination;
}

record! {
    /// A port of a service.
    pub struct PortSelector {
        /// Its number.
        number: Option<Port> = "number";
    }
    check: rules::port_selector;
}

record! {
    /// A redirect as the answer.
    pub struct Redirect {
        /// The path to go to, in full.
        uri: Option<String> = "uri";
        /// What replaces the matched prefix of the path.
        prefix_rewrite: Option<String> = "prefixRewrite";
        /// The authority to go to.
        authority: Option<String> = "authority";
        /// The port to go to.
        port: Option<Port> = "port";
        /// How the port is found.
        derive_port: Option<DerivePort> = "derivePort";
        /// The scheme to go to.
        scheme: Option<String> = "scheme";
        /// The status; 301 if not said.
        redirect_code: Option<u32> = "redirectCode";
    }
    one_of: &[&["port", "derivePort"]];
    check: rules::redirect;
}

names! {
    /// Where a redirect's port comes from.
    pub enum DerivePort {
        /// The scheme's own.
        FromProtocolDefault = "FROM_PROTOCOL_DEFAULT",
        /// The request's.
        FromRequestPort = "FROM_REQUEST_PORT",
    }
}

record! {
    /// A fixed answer.
    pub struct DirectResponse {
        /// The status.
        status: u32 = "status";
        /// The body.
        body: Option<Body> = "body";
    }
    check: rules::direct_response;
}

record! {
    /// The body of a fixed answer.
    pub struct Body {
        /// As text.
        string: Option<String> = "string";
        /// As bytes, in base64.
        bytes: Option<String> = "bytes" [Limit::Bytes];
    }
    one_of: &[&["string", "bytes"]];
}

record! {
    /// Another VirtualService that decides.
    pub struct Delegate {
        /// Its name.
        name: Option<String> = "name";
        /// Its namespace.
        namespace: Option<String> = "namespace";
    }
    check: rules::delegate;
}

record! {
    /// Changes to path and authority.
    pub struct Rewrite {
        /// What replaces the path, or its matched prefix.
        uri: Option<String> = "uri";
        /// What replaces the authority.
        authority: Option<String> = "authority";
        /// A substitution in the path.
        uri_regex_rewrite: Option<RegexRewrite> = "uriRegexRewrite";
    }
    check: rules::rewrite;
}

record! {
    /// A substitution by regular expression.
    pub struct RegexRewrite {
        /// What is looked for.
        matches: Option<Pattern> = "match";
        /// What replaces it.
        rewrite: Option<String> = "rewrite";
    }
    check: rules::regex_rewrite;
}

record! {
    /// When a request is tried again.
    pub struct Retries {
        /// How often at most; 0 means never.
        attempts: Option<i32> = "attempts";
        /// How long one try may take.
        per_try_timeout: Option<Duration> = "perTryTimeout" [Limit::AtLeast1ms];
        /// After what, separated by commas.
        retry_on: Option<String> = "retryOn";
        /// Whether other localities are tried.
        retry_remote_localities: Option<bool> = "retryRemoteLocalities" [Limit::Nullable];
        /// Whether hosts that failed are avoided.
        retry_ignore_previous_hosts: Option<bool> = "retryIgnorePreviousHosts" [Limit::Nullable];
        /// How long to wait before the first new try.
        backoff: Option<Duration> = "backoff" [Limit::AtLeast1ms];
    }
    check: rules::retries;
}

record! {
    /// Faults to inject.
    pub struct Fault {
        /// Waiting.
        delay: Option<Delay> = "delay";
        /// Answering with an error.
        abort: Option<Abort> = "abort";
    }
    check: rules::fault;
}

record! {
    /// A delay to inject.
    pub struct Delay {
        /// How long.
        fixed_delay: Option<Duration> = "fixedDelay" [Limit::AtLeast1ms];
        /// Not supported.
        exponential_delay: Option<Duration> = "exponentialDelay" [Limit::AtLeast1ms];
        /// Deprecated: use percentage.
        percent: Option<i32> = "percent";
        /// The share of requests.
        percentage: Option<Percent> = "percentage";
    }
    one_of: &[&["fixedDelay", "exponentialDelay"]];
    check: rules::delay;
}

record! {
    /// An error to inject.
    pub struct Abort {
        /// The HTTP status.
        http_status: Option<i32> = "httpStatus";
        /// The gRPC status, by name.
        grpc_status: Option<String> = "grpcStatus";
        /// Not supported.
        http2_error: Option<String> = "http2Error";
        /// The share of requests.
        percentage: Option<Percent> = "percentage";
    }
    one_of: &[&["httpStatus", "grpcStatus", "http2Error"]];
    check: rules::abort;
}

record! {
    /// A share of a hundred.
    pub struct Percent {
        /// From 0 to 100.
        value: Option<f64> = "value";
    }
    check: rules::percent;
}

record! {
    /// A place where copies of requests go.
    pub struct Mirror {
        /// Where to.
        destination: Destination = "destination";
        /// The share of requests that is copied.
        percentage: Option<Percent> = "percentage";
    }
}

record! {
    /// What other origins' pages may do.
    pub struct CorsPolicy {
        /// Deprecated: use allowOrigins.
        allow_origin: Vec<String> = "allowOrigin";
        /// The origins.
        allow_origins: Vec<StringMatch> = "allowOrigins";
        /// The methods they may use.
        allow_methods: Vec<String> = "allowMethods";
        /// The headers they may send.
        allow_headers: Vec<String> = "allowHeaders";
        /// The headers they may read.
        expose_headers: Vec<String> = "exposeHeaders";
        /// How long a preflight's answer holds.
        max_age: Option<Duration> = "maxAge" [Limit::AtLeast1ms];
        /// Whether they may send credentials.
        allow_credentials: Option<bool> = "allowCredentials" [Limit::Nullable];
        /// What becomes of preflights from other origins.
        unmatched_preflights: Option<UnmatchedPreflights> = "unmatchedPreflights";
    }
    check: rules::cors_policy;
}

names! {
    /// What becomes of preflights that no origin matches.
    pub enum UnmatchedPreflights {
        /// The default, which is to forward them.
        Unspecified = "UNSPECIFIED",
        /// They go upstream.
        Forward = "FORWARD",
        /// They are answered without CORS headers.
        Ignore = "IGNORE",
    }
}

record! {
    /// Headers to change.
    pub struct Headers {
        /// In requests.
        request: Option<HeaderChanges> = "request";
        /// In responses.
        response: Option<HeaderChanges> = "response";
    }
    check: rules::headers;
}

record! {
    /// Changes to headers.
    pub struct HeaderChanges {
        /// Headers that get this value instead of any they have.
        set: BTreeMap<String, String> = "set";
        /// Headers that get this value beside those they have.
        add: BTreeMap<String, String> = "add";
        /// Headers that are taken away.
        remove: Vec<String> = "remove";
    }
}

record! {
    /// One rule for TLS connections.
    pub struct TlsRoute {
        /// Conditions, one of which has to hold.
        matches: Vec<TlsMatch> = "match" [Limit::Required];
        /// Where connections go.
        route: Vec<RouteDestination> = "route";
    }
    check: rules::tls_route;
}

record! {
    /// Conditions on a TLS connection.
    pub struct TlsMatch {
        /// The server names that clients ask for.
        sni_hosts: Vec<Host> = "sniHosts" [Limit::Required];
        /// The addresses that connections go to.
        destination_subnets: Vec<String> = "destinationSubnets";
        /// The port that connections go to.
        port: Option<Port> = "port";
        /// On the labels of the client's workload.
        source_labels: Labels = "sourceLabels";
        /// On the namespace of the client's workload.
        source_namespace: Option<String> = "sourceNamespace";
        /// The Gateways that apply the match.
        gateways: Vec<GatewayRef> = "gateways";
    }
    check: rules::tls_match;
}

record! {
    /// One rule for TCP connections.
    pub struct TcpRoute {
        /// Conditions, one of which has to hold; none means every connection.
        matches: Vec<TcpMatch> = "match";
        /// Where connections go.
        route: Vec<RouteDestination> = "route";
    }
    check: rules::tcp_route;
}

record! {
    /// Conditions on a TCP connection.
    pub struct TcpMatch {
        /// The addresses that connections go to.
        destination_subnets: Vec<String> = "destinationSubnets";
        /// The port that connections go to.
        port: Option<Port> = "port";
        /// Not in use.
        source_subnet: Option<String> = "sourceSubnet";
        /// On the labels of the client's workload.
        source_labels: Labels = "sourceLabels";
        /// On the namespace of the client's workload.
        source_namespace: Option<String> = "sourceNamespace";
        /// The Gateways that apply the match.
        gateways: Vec<GatewayRef> = "gateways";
    }
    check: rules::tcp_match;
}

record! {
    /// A weighted destination of connections.
    pub struct RouteDestination {
        /// Where to.
        destination: Destination = "destination";
        /// The share of connections, relative to the sum of all.
        weight: Weight = "weight";
    }
}
