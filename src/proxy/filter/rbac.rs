//! AuthorizationPolicies on the request path: the facts go in, `model::authz` decides, and what it decided is said.

use std::net::IpAddr;

use crate::model::InboundPolicy;
use crate::model::authz::{self, Facts, Outcome};

/// What a client is told that may not do what it asks for (Envoy's words).
pub const DENIED: &str = "RBAC: access denied";

/// The detail in the log of a request or connection that was refused.
pub const DENIED_DETAIL: &str = "rbac_access_denied";

/// What the policies say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Said {
    /// Whether the request may go on.
    pub allowed: bool,
    /// Whether an AUDIT policy wants it noted.
    pub audited: bool,
    /// Whether policies that only say what they would do would refuse it, or allow what is refused.
    pub differs_in_dry_run: bool,
    /// The policies that had a say, for the log; empty where none had.
    pub because: String,
}

/// Decides about a connection. Providers are asked about requests alone; a connection that one should decide about is refused.
pub fn decide_connection(policy: &InboundPolicy, facts: &Facts<'_>) -> Said {
    match authz::custom(&policy.authorization, facts).first() {
        Some((provider, asked)) => {
            let because = format!("{asked}: its provider {provider} cannot be asked about a connection");
            Said { because, ..Said::default() }
        }
        None => decide(policy, facts, true),
    }
}

/// Decides about a request or a connection that no provider has a say in, or that all of them allow. `explain`: whether somebody
/// reads [`Said::because`] if it is allowed.
pub fn decide(policy: &InboundPolicy, facts: &Facts<'_>, explain: bool) -> Said {
    if policy.authorization.is_empty() {
        return Said { allowed: true, ..Said::default() };
    }
    let verdict = authz::decide(&policy.authorization, facts);
    let allowed = verdict.outcome.is_allowed();
    let differs = verdict.dry_run.filter(|dry_run| dry_run.is_allowed() != allowed);
    let mut because = String::new();
    if explain || !allowed {
        if let Some(by) = verdict.outcome.by() {
            because = by.to_string();
        }
        if let Some(audit) = verdict.audit {
            join(&mut because, &format!("audit: {audit}"));
        }
        if let Some(dry_run) = &differs {
            // Istio's guide looks for these words in the log.
            let would = if dry_run.is_allowed() { "shadow allowed" } else { "shadow denied" };
            let by = match dry_run {
                Outcome::Allowed(None) => "no policy".to_owned(),
                Outcome::Allowed(Some(by)) | Outcome::Denied(by) => by.to_string(),
            };
            join(&mut because, &format!("{would} by {by} (dry run)"));
        }
    }
    Said { allowed, audited: verdict.audit.is_some(), differs_in_dry_run: differs.is_some(), because }
}

fn join(text: &mut String, more: &str) {
    if !text.is_empty() {
        text.push_str("; ");
    }
    text.push_str(more);
}

/// The client's address by `X-Forwarded-For` as it came: the last entry, which the proxy before us has appended. What cannot be
/// read as an address is nobody's.
pub fn remote(forwarded_for: &[u8]) -> Option<IpAddr> {
    let last = forwarded_for.rsplit(|byte| *byte == b',').next()?;
    std::str::from_utf8(last.trim_ascii()).ok()?.parse().ok()
}

/// The client of a gateway in front of which this many `proxies` are believed: the entry of `X-Forwarded-For` that the outermost of
/// them has appended; the last entry is the gateway's own, who has connected: `direct`. That is the client where no proxy is
/// believed or there are fewer entries (Envoy's rule for `xff_num_trusted_hops`).
pub fn client(forwarded_for: Option<&[u8]>, proxies: u32, direct: Option<IpAddr>) -> Option<IpAddr> {
    let place = usize::try_from(proxies).ok().filter(|place| *place > 0 && direct.is_some());
    let entry = place.zip(forwarded_for).and_then(|(place, entries)| entries.rsplit(|byte| *byte == b',').nth(place));
    match entry {
        Some(entry) => std::str::from_utf8(entry.trim_ascii()).ok()?.parse().ok(),
        None => direct,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_believes_as_many_entries_as_proxies_stand_in_front_of_it() {
        for (value, proxies, expected) in [
            (Some("9.9.9.9, 1.2.3.4,10.0.0.1"), 0, Some("10.0.0.1")),
            (Some("9.9.9.9, 1.2.3.4,10.0.0.1"), 1, Some("1.2.3.4")),
            (Some("6.6.6.6,9.9.9.9, 1.2.3.4,10.0.0.1"), 2, Some("9.9.9.9")),
            (Some("1.2.3.4,10.0.0.1"), 2, Some("10.0.0.1")),
            (Some("evil, 1.2.3.4,10.0.0.1"), 2, None),
            (None, 1, Some("10.0.0.1")),
            (None, u32::MAX, Some("10.0.0.1")),
        ] {
            let found = client(value.map(str::as_bytes), proxies, "10.0.0.1".parse().ok());
            assert_eq!(found, expected.map(|ip| ip.parse().unwrap()), "{value:?} behind {proxies}");
        }
    }

    #[test]
    fn the_client_is_whom_the_last_proxy_saw() {
        for (value, expected) in [
            ("1.2.3.4", Some("1.2.3.4")),
            ("9.9.9.9, 1.2.3.4", Some("1.2.3.4")),
            ("fd00::1", Some("fd00::1")),
            ("1.2.3.4, evil", None),
            ("", None),
        ] {
            assert_eq!(remote(value.as_bytes()), expected.map(|ip| ip.parse().unwrap()), "{value}");
        }
    }
}
