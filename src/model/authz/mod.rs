//! Who may do what at a workload: AuthorizationPolicies, compiled, and the decision.
//!
//! [`decide`] is the one implementation of their meaning, and [`custom`] the part of it that comes before tokens are looked at:
//! CUSTOM, then DENY, then ALLOW; AUDIT only notes. It is pure: what is known of a request is an argument ([`Facts`]).
//!
//! Where a request can be read in two ways, the reading that refuses counts. A DENY rule matches if it matches under one of the
//! ways to read a path, a header or a method; an ALLOW rule only if it matches under each of them ([`Lean`]). What is not known
//! never allows: a rule about the client's identity allows nobody who has proved none, not even by a `not` field.

mod condition;
mod facts;
mod path;
mod provider;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use crate::resources::Provenance;

pub use condition::{Attribute, Condition, HostMatch, Lean, TemplatePart, Text, ValueMatch};
pub use facts::{Claims, Facts, HttpFacts};
use path::Paths;
pub use provider::{CheckedBody, HttpCheck, Provider, ProviderProtocol};

/// What becomes of requests that a policy's rules match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyAction {
    /// They are allowed.
    Allow,
    /// They are refused.
    Deny,
    /// They are noted.
    Audit,
    /// The provider of this name decides.
    Custom(Arc<str>),
}

impl PolicyAction {
    /// Which way the rules of such a policy lean where a request can be read in two ways.
    pub fn lean(&self) -> Lean {
        match self {
            Self::Allow => Lean::Allow,
            Self::Deny | Self::Audit | Self::Custom(_) => Lean::Deny,
        }
    }
}

/// As the configuration has it, with the provider: `CUSTOM (opa)`.
impl fmt::Display for PolicyAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allow => f.write_str("ALLOW"),
            Self::Deny => f.write_str("DENY"),
            Self::Audit => f.write_str("AUDIT"),
            Self::Custom(provider) => write!(f, "CUSTOM ({provider})"),
        }
    }
}

/// An AuthorizationPolicy that applies to a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The object.
    pub provenance: Provenance,
    /// What becomes of requests that a rule matches.
    pub action: PolicyAction,
    /// Whether it is only said what it would do (annotation `istio.io/dry-run`).
    pub dry_run: bool,
    /// The rules; none: it matches no request.
    pub rules: Vec<Rule>,
}

/// A rule matches where one of the sources, one of the operations and every condition holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    /// Sources, each a list of conditions all of which hold; none: any.
    pub from: Vec<Vec<Condition>>,
    /// Operations in the same way; none: any.
    pub to: Vec<Vec<Condition>>,
    /// Conditions all of which hold.
    pub when: Vec<Condition>,
}

/// A policy that has a say, and its rule that matched. Displayed as `AuthorizationPolicy shop/web rules[0]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match<'p> {
    /// The policy.
    pub policy: &'p Policy,
    /// Number of the rule; `None`: it refuses because no rule of it matches.
    pub rule: Option<usize>,
}

impl fmt::Display for Match<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rule {
            Some(rule) => write!(f, "{}", self.policy.provenance.clone().with_rule(format!("rules[{rule}]"))),
            None => write!(f, "{}, no rule of which allows it", self.policy.provenance),
        }
    }
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome<'p> {
    /// It is allowed; by a policy, where there is an ALLOW policy.
    Allowed(Option<Match<'p>>),
    /// It is refused: by the DENY policy that matched, or by the ALLOW policies that all did not, the first of which is named.
    Denied(Match<'p>),
}

impl<'p> Outcome<'p> {
    /// Whether the request may go on.
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed(_))
    }

    /// The policy that decided.
    pub fn by(&self) -> Option<Match<'p>> {
        match self {
            Self::Allowed(by) => *by,
            Self::Denied(by) => Some(*by),
        }
    }
}

/// The decision, and what else the policies have to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict<'p> {
    /// What becomes of the request.
    pub outcome: Outcome<'p>,
    /// The AUDIT policy that wants it noted.
    pub audit: Option<Match<'p>>,
    /// What would become of it if the policies that only say what they would do were in force; `None` where there are none.
    pub dry_run: Option<Outcome<'p>>,
}

/// The CUSTOM policies that match, whose providers decide before anything else does: the first of each provider, with its name.
/// Each of them has to allow the request.
pub fn custom<'p>(policies: &'p [Policy], facts: &Facts<'_>) -> Vec<(&'p Arc<str>, Match<'p>)> {
    let mut asked: Vec<(&Arc<str>, Match<'_>)> = Vec::new();
    let in_force = || policies.iter().filter(|policy| !policy.dry_run);
    if !in_force().any(|policy| matches!(policy.action, PolicyAction::Custom(_))) {
        return asked;
    }
    let paths = Paths::of(facts);
    for policy in in_force() {
        let PolicyAction::Custom(provider) = &policy.action else { continue };
        if asked.iter().all(|(known, _)| *known != provider)
            && let Some(found) = policy.matching(facts, &paths)
        {
            asked.push((provider, found));
        }
    }
    asked
}

/// Decides by the DENY and ALLOW policies.
pub fn decide<'p>(policies: &'p [Policy], facts: &Facts<'_>) -> Verdict<'p> {
    let paths = Paths::of(facts);
    let has_dry_run = policies.iter().any(|policy| policy.dry_run);
    let audits = policies.iter().filter(|policy| policy.action == PolicyAction::Audit && !policy.dry_run);
    Verdict {
        outcome: outcome(policies, facts, &paths, false),
        audit: audits.filter_map(|policy| policy.matching(facts, &paths)).next(),
        dry_run: has_dry_run.then(|| outcome(policies, facts, &paths, true)),
    }
}

fn outcome<'p>(policies: &'p [Policy], facts: &Facts<'_>, paths: &Paths<'_>, dry_run: bool) -> Outcome<'p> {
    let of = |action: PolicyAction| {
        policies.iter().filter(move |policy| policy.action == action && (dry_run || !policy.dry_run))
    };
    if let Some(denied) = of(PolicyAction::Deny).find_map(|policy| policy.matching(facts, paths)) {
        return Outcome::Denied(denied);
    }
    match of(PolicyAction::Allow).next() {
        None => Outcome::Allowed(None),
        Some(first) => match of(PolicyAction::Allow).find_map(|policy| policy.matching(facts, paths)) {
            Some(allowed) => Outcome::Allowed(Some(allowed)),
            None => Outcome::Denied(Match { policy: first, rule: None }),
        },
    }
}

impl Policy {
    fn matching(&self, facts: &Facts<'_>, paths: &Paths<'_>) -> Option<Match<'_>> {
        let lean = self.action.lean();
        let rule = self.rules.iter().position(|rule| rule.matches(facts, paths, lean))?;
        Some(Match { policy: self, rule: Some(rule) })
    }
}

impl Rule {
    fn matches(&self, facts: &Facts<'_>, paths: &Paths<'_>, lean: Lean) -> bool {
        let mut readings = paths.readings();
        match lean {
            Lean::Deny => readings.any(|path| self.matches_path(facts, path, lean)),
            Lean::Allow => readings.all(|path| self.matches_path(facts, path, lean)),
        }
    }

    fn matches_path(&self, facts: &Facts<'_>, path: &[u8], lean: Lean) -> bool {
        let all = |conditions: &Vec<Condition>| conditions.iter().all(|condition| condition.holds(facts, path, lean));
        let one = |groups: &[Vec<Condition>]| groups.is_empty() || groups.iter().any(all);
        one(&self.from) && one(&self.to) && all(&self.when)
    }
}
