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
    findings.extend(enforcement::findings(kind, &enforcement::hits(kind, value)));
    findings
}

/// What no update may change, as the Gateway API's definitions say: kind, field, and its name in messages.
const IMMUTABLE: &[(&str, &str, &str)] = &[("GatewayClass", "/spec/controllerName", "spec.controllerName")];

/// Why `new` cannot take the place of `old`; `None` where it can.
pub fn forbidden_change(kind: &Kind, old: &Value, new: &Value) -> Option<String> {
    IMMUTABLE.iter().filter(|(name, ..)| *name == kind.kind).find_map(|(_, pointer, field)| {
        let (old, new) = (old.pointer(pointer)?, new.pointer(pointer)?);
        (old != new)
            .then(|| format!("{field} cannot be changed from {old}: delete the {}, and make it anew", kind.kind))
    })
}

/// Checks an object of `kind` against its fields and Istio's rules alone, whatever of it is in force.
pub fn check(kind: &Kind, value: &Value) -> Findings {
    registry::of(kind).map_or_else(Findings::default, |entry| (entry.check)(value))
}
