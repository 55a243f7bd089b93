//! AuthorizationPolicy.

use crate::resources::authorization_policy::{Action, AuthorizationPolicy, Condition, From, Operation, Source, To};
use crate::resources::authorization_values::{Attribute, IpBlock, PortText, TextMatch};
use crate::resources::field::{Cx, Field};
use crate::resources::policy_target::one_attachment;

pub(in crate::resources) fn authorization_policy(policy: &AuthorizationPolicy, cx: &mut Cx) {
    one_attachment(policy.selector.as_ref(), policy.target_ref.as_ref(), &policy.target_refs, cx);
    let named = policy.provider.as_ref().and_then(|provider| provider.name.as_deref()).unwrap_or_default();
    match policy.action.unwrap_or(Action::Allow) {
        Action::Custom => {
            if named.is_empty() {
                cx.error_at("provider", "is required with CUSTOM: name the extension provider that is to decide");
            }
            if policy.rules.is_empty() {
                cx.error_at(
                    "rules",
                    "is empty, and nobody would be asked: write `rules: [{}]` to ask for every request",
                );
            }
            custom(policy, cx);
        }
        action => {
            if policy.provider.is_some() {
                cx.error_at("provider", format!("has no use with {action}: remove it, or set action to CUSTOM"));
            }
            match action {
                Action::Deny if policy.rules.is_empty() => {
                    cx.error_at(
                        "rules",
                        "is empty, and nothing would be denied: write `rules: [{}]` to deny everything",
                    );
                }
                Action::Audit if policy.rules.is_empty() => {
                    cx.warn_at("rules", "is empty, and nothing is audited: write `rules: [{}]` to audit everything");
                }
                Action::Deny => deny_beyond_http(policy, cx),
                _ => {}
            }
        }
    }
}

/// Providers are asked before there is anything to know about the client's token or certificate.
fn custom(policy: &AuthorizationPolicy, cx: &mut Cx) {
    const WHY: &str = "cannot be used with CUSTOM: remove it, or say it in a policy of its own";
    for (rule_index, rule) in policy.rules.iter().enumerate() {
        let mut faults: Vec<Vec<(&str, usize)>> = Vec::new();
        let mut fields = Vec::new();
        for (index, source) in rule.from.iter().enumerate().filter_map(|(i, from)| Some((i, from.source.as_ref()?))) {
            for (field, set) in [
                ("principals", !source.principals.is_empty()),
                ("notPrincipals", !source.not_principals.is_empty()),
                ("requestPrincipals", !source.request_principals.is_empty()),
                ("notRequestPrincipals", !source.not_request_principals.is_empty()),
                ("namespaces", !source.namespaces.is_empty()),
                ("notNamespaces", !source.not_namespaces.is_empty()),
                ("serviceAccounts", !source.service_accounts.is_empty()),
                ("notServiceAccounts", !source.not_service_accounts.is_empty()),
                ("trustDomains", !source.trust_domains.is_empty()),
                ("notTrustDomains", !source.not_trust_domains.is_empty()),
            ] {
                if set {
                    faults.push(vec![("rules", rule_index), ("from", index)]);
                    fields.push(("source", field));
                }
            }
        }
        for (place, (outer, field)) in faults.iter().zip(fields) {
            inside(place, cx, |cx| cx.at(outer, |cx| cx.error_at(field, WHY)));
        }
        for (index, condition) in rule.when.iter().enumerate() {
            let known_late = matches!(
                condition.key,
                Attribute::SourceNamespace
                    | Attribute::SourcePrincipal
                    | Attribute::SourceServiceAccount
                    | Attribute::SourceTrustDomain
                    | Attribute::RequestPrincipal
                    | Attribute::Audiences
                    | Attribute::Presenter
                    | Attribute::Claim(_)
            );
            if known_late {
                inside(&[("rules", rule_index), ("when", index)], cx, |cx| cx.error_at("key", WHY));
            }
        }
    }
}

fn inside(place: &[(&str, usize)], cx: &mut Cx, note: impl FnOnce(&mut Cx)) {
    match place.split_first() {
        Some(((field, index), rest)) => cx.at(field, |cx| cx.at_index(*index, |cx| inside(rest, cx, note))),
        None => note(cx),
    }
}

/// On a port that is not HTTP, what only HTTP has does not count, so that a DENY rule of it denies everything there.
fn deny_beyond_http(policy: &AuthorizationPolicy, cx: &mut Cx) {
    for (rule_index, rule) in policy.rules.iter().enumerate() {
        let of_tcp = |source: &Source| {
            !source.principals.is_empty()
                || !source.not_principals.is_empty()
                || !source.namespaces.is_empty()
                || !source.not_namespaces.is_empty()
                || !source.service_accounts.is_empty()
                || !source.not_service_accounts.is_empty()
                || !source.trust_domains.is_empty()
                || !source.not_trust_domains.is_empty()
                || !source.ip_blocks.is_empty()
                || !source.not_ip_blocks.is_empty()
                || !source.remote_ip_blocks.is_empty()
                || !source.not_remote_ip_blocks.is_empty()
        };
        let sources: Vec<&Source> = rule.from.iter().filter_map(|from| from.source.as_ref()).collect();
        if rule.to.is_empty() && rule.when.is_empty() && !sources.is_empty() && !sources.iter().copied().any(of_tcp) {
            inside(&[("rules", rule_index)], cx, |cx| {
                cx.warn_at(
                    "from",
                    "has only requestPrincipals: on ports that are not HTTP the rule denies everything, so name the HTTP ports in `to`",
                );
            });
        }
        for (index, operation) in rule.to.iter().enumerate().filter_map(|(i, to)| Some((i, to.operation.as_ref()?))) {
            let http = !operation.hosts.is_empty()
                || !operation.not_hosts.is_empty()
                || !operation.methods.is_empty()
                || !operation.not_methods.is_empty()
                || !operation.paths.is_empty()
                || !operation.not_paths.is_empty();
            if http && operation.ports.is_empty() {
                inside(&[("rules", rule_index), ("to", index)], cx, |cx| {
                    cx.warn_at(
                        "operation",
                        "has hosts, methods or paths and no ports: on ports that are not HTTP the rule denies everything, so name the HTTP ports",
                    );
                });
            }
        }
    }
}

pub(in crate::resources) fn from(from: &From, cx: &mut Cx) {
    if from.source.is_none() {
        cx.error_at("source", "is required: say where requests come from, or remove the entry");
    }
}

pub(in crate::resources) fn to(to: &To, cx: &mut Cx) {
    if to.operation.is_none() {
        cx.error_at("operation", "is required: say what is asked for, or remove the entry");
    }
}

const EMPTY: &str = "is empty, and would mean anything: set a field of it";

pub(in crate::resources) fn source(source: &Source, cx: &mut Cx) {
    if matches!(source.encode(), Some(serde_json::Value::Object(fields)) if fields.is_empty()) {
        cx.error(EMPTY);
    }
    let accounts = !source.service_accounts.is_empty() || !source.not_service_accounts.is_empty();
    for (field, set) in [
        ("principals", !source.principals.is_empty()),
        ("notPrincipals", !source.not_principals.is_empty()),
        ("namespaces", !source.namespaces.is_empty()),
        ("notNamespaces", !source.not_namespaces.is_empty()),
    ] {
        if set && accounts {
            cx.error(format!("has both serviceAccounts and {field}, which say the same thing in two ways: remove one"));
            break;
        }
    }
    for (field, domains) in [("trustDomains", &source.trust_domains), ("notTrustDomains", &source.not_trust_domains)] {
        for (index, domain) in domains.iter().enumerate() {
            let inner = match domain {
                TextMatch::Exact(text) | TextMatch::Prefix(text) | TextMatch::Suffix(text) => text,
                TextMatch::Present => continue,
            };
            if inner.contains('*') {
                cx.at(field, |cx| cx.at_index(index, |cx| cx.error("can have `*` only at its start or its end")));
            }
        }
    }
}

pub(in crate::resources) fn operation(operation: &Operation, cx: &mut Cx) {
    if matches!(operation.encode(), Some(serde_json::Value::Object(fields)) if fields.is_empty()) {
        cx.error(EMPTY);
    }
}

pub(in crate::resources) fn condition(condition: &Condition, cx: &mut Cx) {
    if condition.values.is_empty() && condition.not_values.is_empty() {
        cx.error("says nothing about the attribute: set values or notValues");
    }
    for (field, values) in [("values", &condition.values), ("notValues", &condition.not_values)] {
        for (index, value) in values.iter().enumerate() {
            let fault = match condition.key {
                Attribute::SourceIp | Attribute::RemoteIp | Attribute::DestinationIp => value.parse::<IpBlock>().err(),
                Attribute::DestinationPort => value.parse::<PortText>().err(),
                _ => value.parse::<TextMatch>().err(),
            };
            if let Some(fault) = fault {
                cx.at(field, |cx| cx.at_index(index, |cx| cx.error(fault)));
            }
        }
    }
}
