//! The door: everything that can be said about an object without looking at others.

use serde_json::Value;

use super::finding::Findings;
use super::kinds::Kind;
use super::{enforcement, registry};

/// Checks an object of `kind`: fields and their types, Istio's rules, and what is not in force yet.
///
/// The API server's admission, `mesh apply` and `mesh validate` all call this. Objects of Kubernetes' own kinds pass.
pub fn validate(kind: &Kind, value: &Value) -> Findings {
    let Some(entry) = registry::of(kind) else { return Findings::default() };
    let mut findings = (entry.check)(value);
    findings.extend(enforcement::findings(&enforcement::hits(kind, value)));
    findings
}

/// Checks an object of `kind` against its fields and Istio's rules alone, whatever of it is in force.
pub fn check(kind: &Kind, value: &Value) -> Findings {
    registry::of(kind).map_or_else(Findings::default, |entry| (entry.check)(value))
}
