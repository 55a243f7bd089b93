//! DestinationRule.

use std::collections::HashSet;

use crate::resources::destination_rule::{
    ClientTls, ClientTlsMode, ConnectionPool, ConsistentHash, DestinationRule, Distribute, Failover, Http2KeepAlive,
    HttpPool, LoadBalancer, LocalityLb, OutlierDetection, PortPolicy, Subset, TcpPool, TrafficPolicy, Tunnel,
};
use crate::resources::field::Cx;
use crate::resources::policy_target::selects_something;
use crate::resources::values::{ExportTo, Host, is_lower_label};

pub(in crate::resources) fn destination_rule(rule: &DestinationRule, cx: &mut Cx) {
    if rule.host.is_ip() {
        cx.error_at("host", format!("has to be a host name, and is the address {}", rule.host));
    }
    let mut names = HashSet::new();
    cx.at("subsets", |cx| {
        for (index, subset) in rule.subsets.iter().enumerate() {
            if !names.insert(subset.name.as_str()) {
                cx.at_index(index, |cx| {
                    cx.error_at("name", format!("repeats {:?}: rename one of the two", subset.name));
                });
            }
        }
    });
    super::export_to(&rule.export_to, cx);
    selects_something(rule.workload_selector.as_ref(), "workloadSelector", cx);
    let own = ExportTo::Namespace(cx.namespace.clone());
    let beyond = rule.export_to.iter().any(|entry| *entry != ExportTo::Private && *entry != own);
    if rule.workload_selector.is_some() && beyond {
        cx.error_at("exportTo", "cannot go beyond the own namespace in a rule with a workloadSelector: use `.`");
    }
}

pub(in crate::resources) fn subset(subset: &Subset, cx: &mut Cx) {
    subset_name(&subset.name, "name", cx);
    super::labels(&subset.labels, "labels", cx);
}

/// The name of a subset, where it is given and where it is used.
pub(super) fn subset_name(name: &str, field: &str, cx: &mut Cx) {
    if !is_lower_label(name) {
        cx.error_at(
            field,
            format!("is no subset's name: {name:?} (lower-case letters, digits and `-`, at most 63 of them)"),
        );
    }
}

pub(in crate::resources) fn traffic_policy(policy: &TrafficPolicy, cx: &mut Cx) {
    let empty = policy.load_balancer.is_none()
        && policy.connection_pool.is_none()
        && policy.outlier_detection.is_none()
        && policy.tls.is_none()
        && policy.port_level_settings.is_empty()
        && policy.tunnel.is_none()
        && policy.proxy_protocol.is_none()
        && policy.retry_budget.is_none();
    if empty {
        cx.error("is empty: set a field of it, or remove it");
    }
    if policy.tunnel.is_some() && policy.proxy_protocol.is_some() {
        cx.error("has both `tunnel` and `proxyProtocol`, and only one of them can be: remove one");
    }
    fails_over_unseen(policy.load_balancer.as_ref(), policy.outlier_detection.is_some(), cx);
}

/// Where no endpoint is ever left out, none of another region is ever tried.
fn fails_over_unseen(balancer: Option<&LoadBalancer>, detects: bool, cx: &mut Cx) {
    let setting = balancer.and_then(|balancer| balancer.locality_lb_setting.as_ref());
    if !detects && setting.is_some_and(|setting| !setting.failover.is_empty() || !setting.failover_priority.is_empty())
    {
        cx.at("loadBalancer", |cx| {
            cx.warn_at(
                "localityLbSetting",
                "fails over only where outlierDetection is set beside loadBalancer: add it",
            );
        });
    }
}

pub(in crate::resources) fn port_policy(policy: &PortPolicy, cx: &mut Cx) {
    if policy.port.is_none() {
        cx.error_at("port", "is required: say which port the settings are for");
    }
    if policy.load_balancer.is_none()
        && policy.connection_pool.is_none()
        && policy.outlier_detection.is_none()
        && policy.tls.is_none()
    {
        cx.error("has no settings: set loadBalancer, connectionPool, outlierDetection or tls, or remove it");
    }
    fails_over_unseen(policy.load_balancer.as_ref(), policy.outlier_detection.is_some(), cx);
}

pub(in crate::resources) fn load_balancer(balancer: &LoadBalancer, cx: &mut Cx) {
    if balancer.warmup.is_some() && balancer.warmup_duration_secs.is_some() {
        cx.error("has both `warmup` and `warmupDurationSecs`, and only one of them can be: keep `warmup`");
    } else if balancer.warmup_duration_secs.is_some() {
        cx.warn_at("warmupDurationSecs", "is deprecated: use warmup.duration");
    }
    if balancer.locality_lb_setting.is_some() && balancer.zone_aware_lb_setting.is_some() {
        cx.error("has both `localityLbSetting` and `zoneAwareLbSetting`, and only one of them can be: remove one");
    }
    if balancer.warmup.as_ref().is_some_and(|warmup| warmup.aggression.is_some_and(|aggression| aggression <= 0.0)) {
        cx.at("warmup", |cx| cx.error_at("aggression", "has to be above 0"));
    }
}

pub(in crate::resources) fn consistent_hash(hash: &ConsistentHash, cx: &mut Cx) {
    for (name, value) in
        [("httpHeaderName", &hash.http_header_name), ("httpQueryParameterName", &hash.http_query_parameter_name)]
    {
        if value.as_deref() == Some("") {
            cx.error_at(name, "is empty: name what requests are told apart by");
        }
    }
    if let Some(cookie) = &hash.http_cookie {
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if cookie.name.is_empty() || !cookie.name.bytes().all(token) {
            cx.at("httpCookie", |cx| cx.error_at("name", "is no cookie's name"));
        }
        let text = |text: &str| text.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b';');
        let attributes =
            cookie.attributes.iter().all(|a| text(&a.name) && text(a.value.as_deref().unwrap_or_default()));
        let mut names = HashSet::new();
        for (index, attribute) in cookie.attributes.iter().enumerate() {
            let fault = match attribute.name.as_str() {
                "" => "is empty: name the attribute, or remove it",
                name if !names.insert(name) => "repeats an attribute before it: remove one of the two",
                _ => continue,
            };
            cx.at("httpCookie", |cx| {
                cx.at("attributes", |cx| cx.at_index(index, |cx| cx.error_at("name", fault)));
            });
        }
        if !text(cookie.path.as_deref().unwrap_or_default()) || !attributes {
            cx.error_at("httpCookie", "has a `;` or a control character in its path or an attribute");
        }
    }
    let largest = 1 << 20;
    let sizes = [
        ("ringHash", hash.ring_hash.as_ref().and_then(|ring| ring.minimum_ring_size)),
        ("maglev", hash.maglev.as_ref().and_then(|maglev| maglev.table_size)),
    ];
    for (name, size) in sizes {
        if let Some(size) = size.filter(|size| *size > largest) {
            cx.error_at(name, format!("has a table of {size} entries, and {largest} is the most"));
        }
    }
    if let Some((_, Some(size))) =
        sizes.get(1).filter(|(_, size)| size.is_some_and(|size| size != 0 && !is_prime(size)))
    {
        cx.error_at("maglev", format!("has a table of {size} entries, which is no prime: the default is 65537"));
    }
    if hash.minimum_ring_size.is_some_and(|size| size != 0) && (hash.ring_hash.is_some() || hash.maglev.is_some()) {
        cx.error_at("minimumRingSize", "cannot be set with ringHash or maglev: remove it");
    } else if hash.minimum_ring_size.is_some() {
        cx.warn_at("minimumRingSize", "is deprecated: use ringHash.minimumRingSize");
    }
}

fn is_prime(number: u64) -> bool {
    number >= 2
        && (2..).take_while(|divisor| divisor * divisor <= number).all(|divisor| !number.is_multiple_of(divisor))
}

pub(in crate::resources) fn locality_lb(setting: &LocalityLb, cx: &mut Cx) {
    let fails_over = !setting.failover.is_empty() || !setting.failover_priority.is_empty();
    if fails_over && !setting.distribute.is_empty() {
        cx.error("has both `distribute` and `failover`, and only one of them can be: remove one");
    }
}

pub(in crate::resources) fn distribute(distribute: &Distribute, cx: &mut Cx) {
    let sum: u64 = distribute.to.values().copied().map(u64::from).sum();
    if sum != 100 {
        cx.error_at("to", format!("has shares that sum to {sum}, and they have to sum to 100"));
    }
    for (locality, share) in &distribute.to {
        if *share == 0 || *share > 100 {
            cx.at("to", |cx| cx.error_at(locality, format!("has to be between 1 and 100, and is {share}")));
        }
    }
}

pub(in crate::resources) fn failover(failover: &Failover, cx: &mut Cx) {
    if failover.from == failover.to {
        cx.error_at("to", "has to be another region than from");
    }
    for (name, region) in [("from", &failover.from), ("to", &failover.to)] {
        if region.as_deref().is_some_and(|region| region.contains('*')) {
            cx.error_at(name, "cannot have a wildcard: name a region");
        }
    }
}

pub(in crate::resources) fn connection_pool(pool: &ConnectionPool, cx: &mut Cx) {
    if pool.tcp.is_none() && pool.http.is_none() {
        cx.error("is empty: set tcp or http, or remove it");
    }
}

pub(in crate::resources) fn tcp_pool(pool: &TcpPool, cx: &mut Cx) {
    not_negative("maxConnections", pool.max_connections, cx);
}

pub(in crate::resources) fn http_pool(pool: &HttpPool, cx: &mut Cx) {
    not_negative("http1MaxPendingRequests", pool.http1_max_pending_requests, cx);
    not_negative("http2MaxRequests", pool.http2_max_requests, cx);
    not_negative("maxRequestsPerConnection", pool.max_requests_per_connection, cx);
    not_negative("maxRetries", pool.max_retries, cx);
    not_negative("maxConcurrentStreams", pool.max_concurrent_streams, cx);
    let upgrades = pool.h2_upgrade_policy == Some(crate::resources::destination_rule::H2UpgradePolicy::Upgrade);
    if upgrades && pool.use_client_protocol == Some(true) {
        cx.error_at("useClientProtocol", "cannot be set with h2UpgradePolicy UPGRADE: remove one of the two");
    }
}

pub(in crate::resources) fn http2_keep_alive(probes: &Http2KeepAlive, cx: &mut Cx) {
    for (name, set) in [("interval", probes.interval.is_some()), ("timeout", probes.timeout.is_some())] {
        if !set {
            cx.error_at(name, "is required: add it");
        }
    }
}

fn not_negative(field: &str, value: Option<i32>, cx: &mut Cx) {
    if let Some(value) = value.filter(|value| *value < 0) {
        cx.error_at(field, format!("cannot be negative, and is {value}"));
    }
}

pub(in crate::resources) fn outlier_detection(detection: &OutlierDetection, cx: &mut Cx) {
    for (name, percent) in
        [("maxEjectionPercent", detection.max_ejection_percent), ("minHealthPercent", detection.min_health_percent)]
    {
        if let Some(percent) = percent.filter(|percent| !(0..=100).contains(percent)) {
            cx.error_at(name, format!("has to be between 0 and 100, and is {percent}"));
        }
    }
    if detection.consecutive_errors.is_some() {
        cx.warn_at("consecutiveErrors", "is deprecated: use consecutive5xxErrors or consecutiveGatewayErrors");
    }
    let apart = detection.split_external_local_origin_errors == Some(true);
    if !apart && detection.consecutive_local_origin_failures.is_some_and(|count| count > 0) {
        cx.error_at("consecutiveLocalOriginFailures", "needs splitExternalLocalOriginErrors: set it to true");
    }
}

pub(in crate::resources) fn client_tls(tls: &ClientTls, cx: &mut Cx) {
    let own = [("clientCertificate", tls.client_certificate.is_some()), ("privateKey", tls.private_key.is_some())];
    let given = [
        ("caCertificates", tls.ca_certificates.is_some()),
        ("credentialName", tls.credential_name.is_some()),
        ("caCrl", tls.ca_crl.is_some()),
    ];
    match tls.mode {
        Some(ClientTlsMode::IstioMutual) => {
            for (name, set) in own.into_iter().chain(given) {
                if set {
                    cx.error_at(
                        name,
                        "cannot be set with ISTIO_MUTUAL, which uses the mesh's own certificates: remove it",
                    );
                }
            }
        }
        Some(ClientTlsMode::Mutual) if tls.credential_name.is_none() => {
            for (name, set) in own {
                if !set {
                    cx.error_at(name, "is required with MUTUAL: add it, or credentialName");
                }
            }
        }
        _ => {}
    }
    if matches!(tls.mode, Some(ClientTlsMode::Simple | ClientTlsMode::Mutual)) && tls.credential_name.is_some() {
        let of_the_secret = given.into_iter().filter(|(name, _)| *name != "credentialName");
        for (name, set) in own.into_iter().chain(of_the_secret) {
            if set {
                cx.error_at(name, "cannot be set with credentialName, whose secret holds it: remove one of the two");
            }
        }
    }
    let unchecked = tls.insecure_skip_verify == Some(true);
    if unchecked && matches!(tls.mode, Some(ClientTlsMode::Simple | ClientTlsMode::Mutual)) {
        // With MUTUAL, the secret may be there for the client's own certificate alone.
        let by_secret = tls.mode == Some(ClientTlsMode::Simple) && tls.credential_name.is_some();
        for (name, set) in [
            ("caCertificates", tls.ca_certificates.is_some()),
            ("credentialName", by_secret),
            ("subjectAltNames", !tls.subject_alt_names.is_empty()),
        ] {
            if set {
                cx.error_at(
                    name,
                    "cannot be set with insecureSkipVerify, which checks no server: remove one of the two",
                );
            }
        }
    }
    if tls.subject_alt_names.iter().any(String::is_empty) {
        cx.error_at("subjectAltNames", "has an empty name: remove it");
    }
}

pub(in crate::resources) fn tunnel(tunnel: &Tunnel, cx: &mut Cx) {
    if tunnel.protocol.as_deref().is_some_and(|protocol| !matches!(protocol, "" | "CONNECT" | "POST")) {
        cx.error_at("protocol", "has to be CONNECT or POST");
    }
    match tunnel.target_host.parse::<Host>() {
        Ok(host) if !host.is_wildcard() => {}
        Ok(_) => cx.error_at("targetHost", "cannot be a wildcard: name one host"),
        Err(message) => cx.error_at("targetHost", message),
    }
}
