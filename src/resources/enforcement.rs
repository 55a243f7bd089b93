//! What mesh does not do yet, field by field: the one place that knows.
//!
//! A field of a configuration kind is either listed in [`IN_FORCE`] or covered by a row of [`NOT_IN_FORCE`], which says what
//! happens to an object that uses it; a test holds the two against the schema. A row for `kind` covers the whole kind. Unknown means no: a condition that is not
//! evaluated never holds, and what would leave somebody less protected than they asked for is refused.

use serde_json::Value;

use super::finding::{Findings, Severity};
use crate::yaml::{Path, Segment};

/// What happens to an object that uses a field that is not in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consequence {
    /// It is accepted, and its author is told.
    Warning,
    /// It is accepted, its author is told, and the rule or match that the field is in never matches.
    NeverMatches,
    /// It is refused.
    Refused,
}

/// A field that is not in force.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The field; `[]` stands for every item of a list, `{}` for every entry of a mapping.
    pub path: &'static str,
    /// Which values of it.
    pub when: When,
    /// What happens to an object that uses it.
    pub consequence: Consequence,
    /// What the mesh does instead.
    pub instead: &'static str,
}

/// Which values of a field are not in force.
#[derive(Clone, Copy, Debug)]
pub enum When {
    /// All.
    Set,
    /// All but these; of a list, all that has others.
    Not(&'static [&'static str]),
    /// Entries whose key starts like this.
    KeyStarts(&'static str),
}

/// A field of one object that is not in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The field, from the object's root.
    pub path: Path,
    /// What happens.
    pub consequence: Consequence,
    /// What the mesh does instead.
    pub instead: &'static str,
}

const fn warn(path: &'static str, instead: &'static str) -> Row {
    Row { path, when: When::Set, consequence: Consequence::Warning, instead }
}

const fn never(path: &'static str, instead: &'static str) -> Row {
    Row { path, when: When::Set, consequence: Consequence::NeverMatches, instead }
}

const fn refuse(path: &'static str, instead: &'static str) -> Row {
    Row { path, when: When::Set, consequence: Consequence::Refused, instead }
}

/// The fields that are in force, by kind; each stands for everything below it that no row of [`NOT_IN_FORCE`] covers.
pub const IN_FORCE: &[(&str, &[&str])] = &[
    (
        "VirtualService",
        &[
            "spec.hosts",
            "spec.gateways",
            "spec.exportTo",
            "spec.http[].name",
            "spec.http[].match[].uri",
            "spec.http[].match[].ignoreUriCase",
            "spec.http[].match[].method",
            "spec.http[].match[].headers",
            "spec.http[].match[].withoutHeaders",
            "spec.http[].match[].port",
            "spec.http[].match[].sourceLabels",
            "spec.http[].match[].sourceNamespace",
            "spec.http[].match[].gateways",
            "spec.http[].route[].destination",
            "spec.http[].route[].weight",
        ],
    ),
    (
        "DestinationRule",
        &[
            "spec.host",
            "spec.exportTo",
            "spec.subsets[].name",
            "spec.subsets[].labels",
            "spec.trafficPolicy.loadBalancer.simple",
            "spec.trafficPolicy.tls.mode",
        ],
    ),
    (
        "Gateway",
        &[
            "spec.selector",
            "spec.servers[].port.number",
            "spec.servers[].port.name",
            "spec.servers[].port.protocol",
            "spec.servers[].hosts",
            // These two have no meaning in Istio either.
            "spec.servers[].port.targetPort",
            "spec.servers[].defaultEndpoint",
        ],
    ),
    ("PeerAuthentication", &["spec.selector", "spec.mtls", "spec.portLevelMtls"]),
    ("RequestAuthentication", &[]),
    ("AuthorizationPolicy", &[]),
];

const NO_CONDITION: &str = "the match never holds";

/// The fields that are not in force, by kind.
pub const NOT_IN_FORCE: &[(&str, &[Row])] = &[
    (
        "VirtualService",
        &[
            never("spec.tls", "TLS connections go where they would without the rule"),
            never("spec.tcp", "TCP connections go where they would without the rule"),
            never("spec.http[].redirect", "the rule never takes a request"),
            never("spec.http[].directResponse", "the rule never takes a request"),
            never("spec.http[].delegate", "the rule never takes a request"),
            warn("spec.http[].rewrite", "requests go on with their own path and authority"),
            warn("spec.http[].timeout", "the request has no timeout"),
            warn("spec.http[].retries", "requests are not retried by this rule"),
            warn("spec.http[].fault", "no fault is injected"),
            warn("spec.http[].mirror", "requests are not copied"),
            warn("spec.http[].mirrors", "requests are not copied"),
            warn("spec.http[].mirrorPercent", "requests are not copied"),
            warn("spec.http[].mirror_percent", "requests are not copied"),
            warn("spec.http[].mirrorPercentage", "requests are not copied"),
            refuse("spec.http[].corsPolicy", "the service's own answers would decide what other origins may do"),
            warn("spec.http[].headers", "headers stay as they are"),
            warn("spec.http[].route[].headers", "headers stay as they are"),
            warn("spec.http[].match[].name", "the name appears nowhere"),
            warn("spec.http[].match[].statPrefix", "the prefix appears nowhere"),
            never("spec.http[].match[].scheme", NO_CONDITION),
            never("spec.http[].match[].authority", NO_CONDITION),
            never("spec.http[].match[].queryParams", NO_CONDITION),
            Row {
                path: "spec.http[].match[].headers{}",
                when: When::KeyStarts("@request.auth.claims"),
                consequence: Consequence::NeverMatches,
                instead: NO_CONDITION,
            },
            Row {
                path: "spec.http[].match[].withoutHeaders{}",
                when: When::KeyStarts("@request.auth.claims"),
                consequence: Consequence::NeverMatches,
                instead: NO_CONDITION,
            },
        ],
    ),
    (
        "DestinationRule",
        &[
            refuse("spec.workloadSelector", "the rule would apply to every client"),
            Row {
                path: "spec.trafficPolicy.loadBalancer.simple",
                when: When::Not(&["UNSPECIFIED", "ROUND_ROBIN", "LEAST_REQUEST", "LEAST_CONN", "RANDOM"]),
                consequence: Consequence::Warning,
                instead: "the endpoint is the least busy of two",
            },
            warn("spec.trafficPolicy.loadBalancer.consistentHash", "the same key does not mean the same endpoint"),
            warn("spec.trafficPolicy.loadBalancer.backendUtilization", "endpoints' own reports do not count"),
            warn("spec.trafficPolicy.loadBalancer.localityLbSetting", "localities do not count"),
            warn("spec.trafficPolicy.loadBalancer.zoneAwareLbSetting", "zones do not count"),
            warn("spec.trafficPolicy.loadBalancer.warmup", "new endpoints get their full share at once"),
            warn("spec.trafficPolicy.loadBalancer.warmupDurationSecs", "new endpoints get their full share at once"),
            warn("spec.trafficPolicy.connectionPool", "the mesh's own limits hold"),
            warn("spec.trafficPolicy.outlierDetection", "failing endpoints are not left out"),
            Row {
                path: "spec.trafficPolicy.tls.mode",
                when: When::Not(&["ISTIO_MUTUAL", "DISABLE"]),
                consequence: Consequence::Refused,
                instead: "connections would not be secured this way",
            },
            refuse("spec.trafficPolicy.tls.clientCertificate", "clients would not show this certificate"),
            refuse("spec.trafficPolicy.tls.privateKey", "clients would not use this key"),
            refuse("spec.trafficPolicy.tls.caCertificates", "servers would not be checked against these authorities"),
            refuse("spec.trafficPolicy.tls.credentialName", "clients would not use this secret"),
            refuse("spec.trafficPolicy.tls.subjectAltNames", "servers would not be checked for these names"),
            refuse("spec.trafficPolicy.tls.sni", "clients would not ask for this server name"),
            refuse("spec.trafficPolicy.tls.insecureSkipVerify", "servers are checked regardless"),
            refuse("spec.trafficPolicy.tls.caCrl", "revoked certificates would be accepted"),
            refuse(
                "spec.trafficPolicy.portLevelSettings[].tls",
                "connections to this port would not be secured this way",
            ),
            warn("spec.trafficPolicy.portLevelSettings[].port", "the port is treated like all others"),
            warn("spec.trafficPolicy.portLevelSettings[].loadBalancer", "the port is treated like all others"),
            warn("spec.trafficPolicy.portLevelSettings[].connectionPool", "the port is treated like all others"),
            warn("spec.trafficPolicy.portLevelSettings[].outlierDetection", "the port is treated like all others"),
            warn("spec.trafficPolicy.tunnel", "connections are not tunnelled"),
            warn("spec.trafficPolicy.proxyProtocol", "servers do not learn the client's address this way"),
            warn("spec.trafficPolicy.retryBudget", "the mesh's own budget holds"),
            refuse("spec.subsets[].trafficPolicy.tls", "connections to this subset would not be secured this way"),
            refuse(
                "spec.subsets[].trafficPolicy.portLevelSettings[].tls",
                "connections to this subset would not be secured this way",
            ),
            warn("spec.subsets[].trafficPolicy.portLevelSettings[].port", "the subset is treated like all others"),
            warn(
                "spec.subsets[].trafficPolicy.portLevelSettings[].loadBalancer",
                "the subset is treated like all others",
            ),
            warn(
                "spec.subsets[].trafficPolicy.portLevelSettings[].connectionPool",
                "the subset is treated like all others",
            ),
            warn(
                "spec.subsets[].trafficPolicy.portLevelSettings[].outlierDetection",
                "the subset is treated like all others",
            ),
            warn("spec.subsets[].trafficPolicy.loadBalancer", "the subset is treated like all others"),
            warn("spec.subsets[].trafficPolicy.connectionPool", "the subset is treated like all others"),
            warn("spec.subsets[].trafficPolicy.outlierDetection", "the subset is treated like all others"),
            warn("spec.subsets[].trafficPolicy.tunnel", "the subset is treated like all others"),
            warn("spec.subsets[].trafficPolicy.proxyProtocol", "the subset is treated like all others"),
            warn("spec.subsets[].trafficPolicy.retryBudget", "the subset is treated like all others"),
        ],
    ),
    (
        "Gateway",
        &[
            refuse("spec.servers[].tls", "the port would not be secured this way"),
            refuse("spec.servers[].bind", "the port would be open on every address"),
            warn("spec.servers[].name", "the name appears nowhere"),
            Row {
                path: "spec.servers[].port.protocol",
                when: When::Not(&["HTTP"]),
                consequence: Consequence::Warning,
                instead: "the port is not opened",
            },
        ],
    ),
    ("PeerAuthentication", &[]),
    ("RequestAuthentication", &[refuse("kind", "tokens would not be checked")]),
    ("AuthorizationPolicy", &[refuse("kind", "requests would go on that it denies")]),
];

/// What an object of `kind` uses that is not in force.
pub fn hits(kind: &str, object: &Value) -> Vec<Hit> {
    let rows = NOT_IN_FORCE.iter().find(|(known, _)| *known == kind).map_or(&[][..], |(_, rows)| *rows);
    let mut hits = Vec::new();
    for row in rows {
        find(row, row.path, object, &mut Vec::new(), &mut hits);
    }
    hits
}

/// Warnings and errors about what an object of `kind` uses that is not in force.
pub(super) fn findings(hits: &[Hit]) -> Findings {
    let mut findings = Findings::default();
    for hit in hits {
        let severity = match hit.consequence {
            Consequence::Warning | Consequence::NeverMatches => Severity::Warning,
            Consequence::Refused => Severity::Error,
        };
        let remedy = match hit.consequence {
            Consequence::Refused => ": remove it",
            _ => "",
        };
        findings.push(hit.path.clone(), severity, format!("is not in force yet: {}{remedy}", hit.instead));
    }
    findings
}

/// Walks `value` along `pattern`, whose depth bounds the recursion.
fn find(row: &Row, pattern: &str, value: &Value, path: &mut Vec<Segment>, hits: &mut Vec<Hit>) {
    let (step, rest) = match pattern.find(['.', '[', '{']) {
        Some(0) => ("", pattern),
        Some(at) => pattern.split_at(at),
        None => (pattern, ""),
    };
    if !step.is_empty() {
        if let Some(inner) = value.get(step).filter(|inner| !inner.is_null()) {
            path.push(step.into());
            find(row, rest.strip_prefix('.').unwrap_or(rest), inner, path, hits);
            path.pop();
        }
    } else if let Some(rest) = rest.strip_prefix("[]") {
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            path.push(index.into());
            find(row, rest.strip_prefix('.').unwrap_or(rest), item, path, hits);
            path.pop();
        }
    } else if let Some(rest) = rest.strip_prefix("{}") {
        for (key, entry) in value.as_object().into_iter().flatten() {
            path.push(key.as_str().into());
            find(row, rest.strip_prefix('.').unwrap_or(rest), entry, path, hits);
            path.pop();
        }
    } else if applies(row.when, value, path) {
        let path = path.iter().cloned().collect();
        hits.push(Hit { path, consequence: row.consequence, instead: row.instead });
    }
}

fn applies(when: When, value: &Value, path: &[Segment]) -> bool {
    match when {
        When::Set => !is_default(value),
        When::Not(in_force) => {
            let is_in_force = |value: &Value| {
                value.as_str().is_some_and(|text| in_force.iter().any(|known| known.eq_ignore_ascii_case(text)))
            };
            match value {
                Value::Array(items) => !items.iter().all(is_in_force),
                other => !is_in_force(other),
            }
        }
        When::KeyStarts(prefix) => matches!(path.last(), Some(Segment::Key(key)) if key.starts_with(prefix)),
    }
}

/// Whether the value says no more than its absence would. An empty mapping does: `corsPolicy: {}` is a policy.
fn is_default(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}
