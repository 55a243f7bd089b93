//! What a proxy holds, as rows of tables; the first row is the headings.

use crate::proxy::admin::{CertificateDump, ClusterDump, ListenerDump, PolicyDump, RouteDump, RuleDump, UnknownDump};

/// What stands in a cell where there is nothing to say.
const NOTHING: &str = "-";

fn headings(names: &[&str]) -> Vec<Vec<String>> {
    vec![names.iter().map(|name| (*name).to_owned()).collect()]
}

fn cell(text: &str) -> String {
    if text.is_empty() { NOTHING.to_owned() } else { text.to_owned() }
}

pub(super) fn listeners(held: &[ListenerDump]) -> Vec<Vec<String>> {
    let mut rows = headings(&["ADDRESS", "PORT", "TYPE", "MATCH", "DESTINATION", "FROM"]);
    for listener in held {
        // One row for each match, the rest of it said once.
        let matches = if listener.matches.is_empty() { vec![String::new()] } else { listener.matches.clone() };
        for matched in matches {
            rows.push(vec![
                cell(&listener.address),
                listener.port.to_string(),
                cell(&listener.protocol),
                cell(&matched),
                cell(&listener.destination),
                cell(&listener.from.join(", ")),
            ]);
        }
    }
    rows
}

pub(super) fn routes(held: &[RouteDump]) -> Vec<Vec<String>> {
    let mut rows = headings(&["NAME", "HOST", "MATCH", "TO", "FROM"]);
    for route in held {
        for rule in &route.rules {
            let alternatives = if rule.matches.is_empty() { vec!["*".to_owned()] } else { rule.matches.clone() };
            for matched in alternatives {
                rows.push(vec![cell(&route.name), short(&route.host), cell(&matched), targets(rule), cell(&rule.rule)]);
            }
        }
        if route.rules.is_empty() {
            rows.push(vec![cell(&route.name), short(&route.host), NOTHING.into(), "nothing".into(), NOTHING.into()]);
        }
    }
    rows
}

/// `reviews.shop` of `reviews.shop.svc.cluster.local`: what tells hosts apart, in 80 columns.
fn short(host: &str) -> String {
    host.split_once(".svc.").map_or(host, |(name, _)| name).to_owned()
}

/// Where a rule sends requests: `reviews.shop:9080/v2 90%`.
pub fn targets(rule: &RuleDump) -> String {
    let total: u32 = rule.to.iter().filter_map(|to| to.weight).sum();
    let words = rule.to.iter().map(|to| {
        let mut parts = to.to.split('|');
        let name = match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some("outbound"), Some(port), Some(""), Some(host)) => format!("{}:{port}", short(host)),
            (Some("outbound"), Some(port), Some(subset), Some(host)) => format!("{}:{port}/{subset}", short(host)),
            _ => to.to.clone(),
        };
        match to.weight {
            Some(weight) if rule.to.len() > 1 && total > 0 => format!("{name} {}%", weight * 100 / total),
            _ => name,
        }
    });
    let mut words: Vec<String> = words.collect();
    words.extend(rule.handling.iter().map(|word| format!("({word})")));
    words.join(" ")
}

pub(super) fn clusters(held: &[ClusterDump]) -> Vec<Vec<String>> {
    let mut rows = headings(&["SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "ENDPOINTS", "TLS", "FROM"]);
    rows.extend(held.iter().map(|cluster| {
        vec![
            cell(&cluster.fqdn),
            cluster.port.to_string(),
            cell(&cluster.subset),
            cell(&cluster.direction),
            cluster.endpoints.len().to_string(),
            cell(&cluster.tls),
            cell(&cluster.rule),
        ]
    }));
    rows
}

pub(super) fn endpoints(held: &[ClusterDump]) -> Vec<Vec<String>> {
    let mut rows = headings(&["ENDPOINT", "STATUS", "OUTLIER CHECK", "ACTIVE", "TLS", "CLUSTER"]);
    for cluster in held {
        rows.extend(cluster.endpoints.iter().map(|endpoint| {
            vec![
                cell(&endpoint.address),
                cell(&endpoint.status),
                cell(&endpoint.outlier),
                endpoint.active.to_string(),
                cell(&endpoint.protocol),
                cell(&cluster.name),
            ]
        }));
    }
    rows
}

pub(super) fn secrets(held: &[CertificateDump]) -> Vec<Vec<String>> {
    let mut rows = headings(&["NAME", "TYPE", "STATUS", "FOR", "SERIAL NUMBER", "NOT AFTER", "NOT BEFORE"]);
    rows.extend(held.iter().map(|held| {
        [&held.name, &held.kind, &held.status, &held.identity, &held.serial, &held.not_after, &held.not_before]
            .map(|text| cell(text))
            .to_vec()
    }));
    rows
}

pub(super) fn policies(held: &[PolicyDump]) -> Vec<Vec<String>> {
    let lacks = held.iter().any(|policy| !policy.lacks.is_empty());
    let mut rows = headings(&["KIND", "ACTION", "PORT", "RULES", "FROM"]);
    if let Some(heading) = rows.first_mut().filter(|_| lacks) {
        heading.push("LACKS".into());
    }
    rows.extend(held.iter().map(|policy| {
        let action = if policy.dry_run { format!("{} (dry run)", policy.action) } else { policy.action.clone() };
        let rules = if policy.kind == "authorization" { policy.rules.to_string() } else { NOTHING.to_owned() };
        let from = if policy.rule.is_empty() { "the mesh's default" } else { &policy.rule };
        let mut row = vec![
            cell(&policy.kind),
            action,
            policy.port.map_or_else(|| "*".into(), |port| port.to_string()),
            rules,
            from.into(),
        ];
        if lacks {
            row.push(cell(&policy.lacks));
        }
        row
    }));
    rows
}

pub(super) fn unknown(held: &[UnknownDump]) -> Vec<Vec<String>> {
    let mut rows = headings(&["NAME", "REASON"]);
    rows.extend(held.iter().map(|unknown| vec![cell(&unknown.name), cell(&unknown.reason)]));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::admin::TargetDump;

    #[test]
    fn what_a_policy_lacks_has_a_column_where_one_lacks_anything() {
        let policy = |kind: &str, lacks: &str| PolicyDump {
            kind: kind.into(),
            action: "a".into(),
            rule: "r".into(),
            lacks: lacks.into(),
            ..PolicyDump::default()
        };
        let whole = policies(&[policy("mtls", ""), policy("token", "")]);
        assert!(whole.iter().all(|row| row.len() == 5 && !row.contains(&"LACKS".to_owned())), "{whole:?}");
        let lacking = policies(&[policy("mtls", ""), policy("token", "no keys")]);
        let last: Vec<_> = lacking.iter().map(|row| (row.len(), row[row.len() - 1].as_str())).collect();
        assert_eq!(last, [(6, "LACKS"), (6, NOTHING), (6, "no keys")]);
    }

    #[test]
    fn where_a_rule_sends_requests_is_said_in_shares_of_a_hundred() {
        let to = |to: &str, weight| TargetDump { to: to.into(), weight };
        let v1 = to("outbound|9080|v1|reviews.shop.svc.cluster.local", Some(3));
        let v2 = to("outbound|9080||reviews.shop.svc.cluster.local", Some(1));
        let rule = RuleDump { to: vec![v1.clone(), v2], handling: vec!["timeout 3s".into()], ..RuleDump::default() };
        assert_eq!(targets(&rule), "reviews.shop:9080/v1 75% reviews.shop:9080 25% (timeout 3s)");
        let rule = RuleDump { to: vec![v1], ..RuleDump::default() };
        assert_eq!(targets(&rule), "reviews.shop:9080/v1");
        let rule = RuleDump { to: vec![to("redirect 301", None)], ..RuleDump::default() };
        assert_eq!(targets(&rule), "redirect 301");
    }
}
