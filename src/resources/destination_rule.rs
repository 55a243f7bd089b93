//! DestinationRule: the parts a service has, and how clients talk to it.

use std::collections::BTreeMap;

use super::field::{Limit, names, record};
use super::peer_authentication::WorkloadSelector;
use super::rules::destination_rule as rules;
use super::values::{Duration, ExportTo, Host, Labels, Port};
use super::virtual_service::PortSelector;

record! {
    /// The parts a service has, and how clients talk to it.
    pub struct DestinationRule {
        /// The service's host; a short name is meant in the rule's namespace.
        host: Host = "host";
        /// How clients talk to every part.
        traffic_policy: Option<TrafficPolicy> = "trafficPolicy";
        /// The parts, for VirtualServices to name.
        subsets: Vec<Subset> = "subsets";
        /// The namespaces whose proxies see the rule.
        export_to: Vec<ExportTo> = "exportTo";
        /// The clients that the rule is for; all if not said.
        workload_selector: Option<WorkloadSelector> = "workloadSelector";
    }
    check: rules::destination_rule;
}

record! {
    /// A part of a service.
    pub struct Subset {
        /// Its name.
        name: String = "name";
        /// The labels of its workloads.
        labels: Labels = "labels";
        /// How clients talk to this part.
        traffic_policy: Option<TrafficPolicy> = "trafficPolicy";
    }
    check: rules::subset;
}

record! {
    /// How clients talk to a service.
    pub struct TrafficPolicy {
        /// How an endpoint is chosen.
        load_balancer: Option<LoadBalancer> = "loadBalancer";
        /// How many connections and requests there may be.
        connection_pool: Option<ConnectionPool> = "connectionPool";
        /// When an endpoint is left out for a while.
        outlier_detection: Option<OutlierDetection> = "outlierDetection";
        /// How connections are secured.
        tls: Option<ClientTls> = "tls";
        /// Policies of single ports.
        port_level_settings: Vec<PortPolicy> = "portLevelSettings" [Limit::MaxItems(4096)];
        /// Tunnels TCP through HTTP.
        tunnel: Option<Tunnel> = "tunnel";
        /// Announces the client's address to the server.
        proxy_protocol: Option<ProxyProtocol> = "proxyProtocol";
        /// How many of the requests may be retries.
        retry_budget: Option<RetryBudget> = "retryBudget";
    }
    check: rules::traffic_policy;
}

record! {
    /// The policy of one port.
    pub struct PortPolicy {
        /// The service's port.
        port: Option<PortSelector> = "port";
        /// How an endpoint is chosen.
        load_balancer: Option<LoadBalancer> = "loadBalancer";
        /// How many connections and requests there may be.
        connection_pool: Option<ConnectionPool> = "connectionPool";
        /// When an endpoint is left out for a while.
        outlier_detection: Option<OutlierDetection> = "outlierDetection";
        /// How connections are secured.
        tls: Option<ClientTls> = "tls";
    }
    check: rules::port_policy;
}

record! {
    /// How an endpoint is chosen.
    pub struct LoadBalancer {
        /// By a simple rule.
        simple: Option<SimpleBalancer> = "simple";
        /// By what the request holds.
        consistent_hash: Option<ConsistentHash> = "consistentHash";
        /// By load that endpoints report.
        backend_utilization: Option<BackendUtilization> = "backendUtilization";
        /// By locality first.
        locality_lb_setting: Option<LocalityLb> = "localityLbSetting";
        /// By zone first.
        zone_aware_lb_setting: Option<ZoneAwareLb> = "zoneAwareLbSetting";
        /// Deprecated: use warmup.
        warmup_duration_secs: Option<Duration> = "warmupDurationSecs" [Limit::AtLeast1ms];
        /// How new endpoints get their share.
        warmup: Option<Warmup> = "warmup";
    }
    one_of: &[&["simple", "consistentHash", "backendUtilization"]];
    check: rules::load_balancer;
}

names! {
    /// A simple rule to choose an endpoint.
    pub enum SimpleBalancer {
        /// The default, which is the least busy of two.
        Unspecified = "UNSPECIFIED",
        /// Deprecated: LEAST_REQUEST.
        LeastConn = "LEAST_CONN",
        /// Any.
        Random = "RANDOM",
        /// The address that the client asked for.
        Passthrough = "PASSTHROUGH",
        /// One after the other.
        RoundRobin = "ROUND_ROBIN",
        /// The one of two with fewer requests.
        LeastRequest = "LEAST_REQUEST",
    }
}

record! {
    /// The same endpoint for the same key.
    pub struct ConsistentHash {
        /// The key is this header.
        http_header_name: Option<String> = "httpHeaderName";
        /// The key is a cookie.
        http_cookie: Option<HttpCookie> = "httpCookie";
        /// The key is the client's address.
        use_source_ip: Option<bool> = "useSourceIp";
        /// The key is this parameter of the query.
        http_query_parameter_name: Option<String> = "httpQueryParameterName";
        /// Hashes on a ring.
        ring_hash: Option<RingHash> = "ringHash";
        /// Hashes by Maglev's table.
        maglev: Option<Maglev> = "maglev";
        /// Deprecated: use ringHash.
        minimum_ring_size: Option<u64> = "minimumRingSize";
    }
    one_of: &[&["httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName"], &["ringHash", "maglev"]];
    check: rules::consistent_hash;
}

record! {
    /// A cookie as key.
    pub struct HttpCookie {
        /// Its name.
        name: String = "name";
        /// Its path.
        path: Option<String> = "path";
        /// How long it holds; said at all, it is generated.
        ttl: Option<Duration> = "ttl";
        /// More attributes.
        attributes: Vec<CookieAttribute> = "attributes";
    }
}

record! {
    /// An attribute of a cookie.
    pub struct CookieAttribute {
        /// Its name.
        name: String = "name";
        /// Its value.
        value: Option<String> = "value";
    }
}

record! {
    /// A ring of hashes.
    pub struct RingHash {
        /// Its least size.
        minimum_ring_size: Option<u64> = "minimumRingSize";
    }
}

record! {
    /// Maglev's table.
    pub struct Maglev {
        /// Its size, a prime.
        table_size: Option<u64> = "tableSize";
    }
}

record! {
    /// Balancing by load that endpoints report.
    pub struct BackendUtilization {
        /// What errors weigh, in percent.
        error_utilization_penalty_percent: Option<u32> = "errorUtilizationPenaltyPercent";
        /// The metrics that count.
        metric_names: Vec<String> = "metricNamesForComputingUtilization";
        /// When a weight is forgotten.
        weight_expiration_period: Option<Duration> = "weightExpirationPeriod";
        /// How long a new endpoint reports before it counts.
        weight_stabilization_period: Option<Duration> = "weightStabilizationPeriod";
        /// How often weights are computed.
        weight_update_period: Option<Duration> = "weightUpdatePeriod";
    }
}

record! {
    /// Balancing by locality.
    pub struct LocalityLb {
        /// Shares by locality of the client.
        distribute: Vec<Distribute> = "distribute";
        /// Where to go when a region fails.
        failover: Vec<Failover> = "failover";
        /// Labels by which endpoints are near, the most important first.
        failover_priority: Vec<String> = "failoverPriority";
        /// Whether any of it is in use.
        enabled: Option<bool> = "enabled" [Limit::Nullable];
    }
    check: rules::locality_lb;
}

record! {
    /// Shares of localities.
    pub struct Distribute {
        /// The client's locality.
        from: Option<String> = "from";
        /// Shares by locality, a hundred in all.
        to: BTreeMap<String, u32> = "to";
    }
    check: rules::distribute;
}

record! {
    /// A region to go to.
    pub struct Failover {
        /// The region that fails.
        from: Option<String> = "from";
        /// The region to go to.
        to: Option<String> = "to";
    }
    check: rules::failover;
}

record! {
    /// Balancing by zone.
    pub struct ZoneAwareLb {
        /// Whether it is in use.
        enabled: Option<bool> = "enabled" [Limit::Nullable];
        /// Where to go when a region fails.
        failover: Vec<Failover> = "failover";
        /// Labels by which endpoints are near.
        failover_priority: Vec<String> = "failoverPriority";
        /// From how many endpoints on.
        min_cluster_size: Option<u32> = "minClusterSize" [Limit::Min(1), Limit::Nullable];
    }
}

record! {
    /// How new endpoints get their share.
    pub struct Warmup {
        /// How long it takes.
        duration: Duration = "duration" [Limit::AtLeast1ms];
        /// The share to start with.
        minimum_percent: Option<f64> = "minimumPercent" [Limit::Between(0, 100), Limit::Nullable];
        /// How fast it grows.
        aggression: Option<f64> = "aggression" [Limit::Min(0), Limit::Nullable];
    }
}

record! {
    /// How many connections and requests there may be.
    pub struct ConnectionPool {
        /// Of connections.
        tcp: Option<TcpPool> = "tcp";
        /// Of requests.
        http: Option<HttpPool> = "http";
    }
    check: rules::connection_pool;
}

record! {
    /// Limits of connections.
    pub struct TcpPool {
        /// How many there may be.
        max_connections: Option<i32> = "maxConnections";
        /// How long connecting may take.
        connect_timeout: Option<Duration> = "connectTimeout" [Limit::AtLeast1ms];
        /// Probes of idle connections.
        tcp_keepalive: Option<TcpKeepalive> = "tcpKeepalive";
        /// How long a connection may last.
        max_connection_duration: Option<Duration> = "maxConnectionDuration" [Limit::AtLeast1ms];
        /// How long a connection may be idle; 0s means forever.
        idle_timeout: Option<Duration> = "idleTimeout";
    }
    check: rules::tcp_pool;
}

record! {
    /// Probes of idle connections.
    pub struct TcpKeepalive {
        /// How many may fail.
        probes: Option<u32> = "probes";
        /// After how long the first is sent.
        time: Option<Duration> = "time" [Limit::AtLeast1ms];
        /// How long between them.
        interval: Option<Duration> = "interval" [Limit::AtLeast1ms];
    }
}

record! {
    /// Limits of requests.
    pub struct HttpPool {
        /// How many may wait for a connection.
        http1_max_pending_requests: Option<i32> = "http1MaxPendingRequests";
        /// How many may run.
        http2_max_requests: Option<i32> = "http2MaxRequests";
        /// How many one connection may carry.
        max_requests_per_connection: Option<i32> = "maxRequestsPerConnection";
        /// How many may be retries.
        max_retries: Option<i32> = "maxRetries";
        /// How long a connection may be idle.
        idle_timeout: Option<Duration> = "idleTimeout" [Limit::AtLeast1ms];
        /// Whether HTTP/1.1 becomes HTTP/2.
        h2_upgrade_policy: Option<H2UpgradePolicy> = "h2UpgradePolicy";
        /// Whether the client's protocol is kept.
        use_client_protocol: Option<bool> = "useClientProtocol";
        /// How many may run on one HTTP/2 connection.
        max_concurrent_streams: Option<i32> = "maxConcurrentStreams";
        /// Probes of HTTP/2 connections.
        http2_keep_alive: Option<Http2KeepAlive> = "http2KeepAlive";
    }
    check: rules::http_pool;
}

names! {
    /// Whether HTTP/1.1 becomes HTTP/2.
    pub enum H2UpgradePolicy {
        /// As the mesh has it.
        Default = "DEFAULT",
        /// No.
        DoNotUpgrade = "DO_NOT_UPGRADE",
        /// Yes.
        Upgrade = "UPGRADE",
    }
}

record! {
    /// Probes of HTTP/2 connections.
    pub struct Http2KeepAlive {
        /// How long between them.
        interval: Option<Duration> = "interval" [Limit::AtLeast1ms];
        /// How long an answer may take.
        timeout: Option<Duration> = "timeout" [Limit::AtLeast1ms];
    }
    check: rules::http2_keep_alive;
}

record! {
    /// When an endpoint is left out for a while.
    pub struct OutlierDetection {
        /// Deprecated: use consecutive5xxErrors.
        consecutive_errors: Option<i32> = "consecutiveErrors";
        /// Whether errors of our own count apart.
        split_external_local_origin_errors: Option<bool> = "splitExternalLocalOriginErrors";
        /// How many failures of our own in a row.
        consecutive_local_origin_failures: Option<u32> = "consecutiveLocalOriginFailures" [Limit::Nullable];
        /// How many answers 502, 503 or 504 in a row.
        consecutive_gateway_errors: Option<u32> = "consecutiveGatewayErrors" [Limit::Nullable];
        /// How many answers 5xx in a row.
        consecutive_5xx_errors: Option<u32> = "consecutive5xxErrors" [Limit::Nullable];
        /// How often is looked.
        interval: Option<Duration> = "interval" [Limit::AtLeast1ms];
        /// How long an endpoint is left out, times how often it was.
        base_ejection_time: Option<Duration> = "baseEjectionTime" [Limit::AtLeast1ms];
        /// How many endpoints may be left out, in percent.
        max_ejection_percent: Option<i32> = "maxEjectionPercent";
        /// Below how many healthy endpoints, in percent, none is left out.
        min_health_percent: Option<i32> = "minHealthPercent";
        /// The statuses that count as errors.
        http_error_codes: Vec<u32> = "outlierDetectionHttpErrorCodes" [Limit::ItemsBetween(100, 599)];
    }
    check: rules::outlier_detection;
}

record! {
    /// How connections to a service are secured.
    pub struct ClientTls {
        /// How.
        mode: Option<ClientTlsMode> = "mode";
        /// The file of the client's certificate.
        client_certificate: Option<String> = "clientCertificate";
        /// The file of its key.
        private_key: Option<String> = "privateKey";
        /// The file of the authorities that servers are checked against.
        ca_certificates: Option<String> = "caCertificates";
        /// The secret that holds all of these.
        credential_name: Option<String> = "credentialName";
        /// The names one of which the server's certificate has to hold.
        subject_alt_names: Vec<String> = "subjectAltNames";
        /// The server name that is asked for.
        sni: Option<String> = "sni";
        /// Whether the server is not checked at all.
        insecure_skip_verify: Option<bool> = "insecureSkipVerify" [Limit::Nullable];
        /// The file of revoked certificates.
        ca_crl: Option<String> = "caCrl";
    }
    check: rules::client_tls;
}

names! {
    /// How a client secures its connections.
    pub enum ClientTlsMode {
        /// Not at all.
        Disable = "DISABLE",
        /// TLS.
        Simple = "SIMPLE",
        /// TLS with a certificate of the client's.
        Mutual = "MUTUAL",
        /// TLS with the mesh's certificates.
        IstioMutual = "ISTIO_MUTUAL",
    }
}

record! {
    /// Tunnels TCP through HTTP.
    pub struct Tunnel {
        /// CONNECT or POST.
        protocol: Option<String> = "protocol";
        /// The host to reach through the tunnel.
        target_host: String = "targetHost";
        /// The port to reach through the tunnel.
        target_port: Port = "targetPort";
    }
    check: rules::tunnel;
}

record! {
    /// Announces the client's address to the server.
    pub struct ProxyProtocol {
        /// The protocol's version.
        version: Option<ProxyProtocolVersion> = "version";
    }
}

names! {
    /// A version of the PROXY protocol.
    pub enum ProxyProtocolVersion {
        /// Text.
        V1 = "V1",
        /// Binary.
        V2 = "V2",
    }
}

record! {
    /// How many of the requests may be retries.
    pub struct RetryBudget {
        /// The share, in percent.
        percent: Option<f64> = "percent" [Limit::Between(0, 100), Limit::Nullable];
        /// How many are always allowed.
        min_retry_concurrency: Option<u32> = "minRetryConcurrency";
        /// The span that is counted.
        budget_interval: Option<Duration> = "budgetInterval";
    }
}
