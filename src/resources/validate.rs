//! The door: everything that can be said about an object without looking at others.

use serde_json::Value;

use super::finding::{Findings, Severity};
use super::kinds::{Kind, Support};
use super::{enforcement, registry};
use crate::yaml::Path;

/// Checks an object of `kind`: fields and their types, Istio's rules, and what is not in force yet.
///
/// The API server's admission, `mesh apply` and `mesh validate` all call this. Objects of Kubernetes' own kinds pass.
pub fn validate(kind: &Kind, value: &Value) -> Findings {
    let Some(entry) = registry::of(kind) else {
        let mut findings = Findings::default();
        if kind.support == Support::Configuration {
            let message = format!("is {}, which is not in force yet: it is refused rather than ignored", kind.kind);
            findings.push(Path::root().key("kind"), Severity::Error, message);
        }
        return findings;
    };
    let mut findings = (entry.check)(value);
    findings.extend(enforcement::findings(&enforcement::hits(entry.kind, value)));
    findings
}

/// Checks an object of `kind` against its fields and Istio's rules alone, whatever of it is in force.
pub fn check(kind: &Kind, value: &Value) -> Findings {
    registry::of(kind).map_or_else(Findings::default, |entry| (entry.check)(value))
}
