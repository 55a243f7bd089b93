//! The door: everything that can be said about an object without looking at others.

use serde_json::Value;

use super::finding::{Findings, Severity};
use super::kinds::{Kind, Support};
use super::object::{self, Resource};
use super::{DestinationRule, Gateway, PeerAuthentication, VirtualService, enforcement};
use crate::yaml::Path;

/// Checks an object of `kind`: fields and their types, Istio's rules, and what is not in force yet.
///
/// The API server's admission, `mesh apply` and `mesh validate` all call this. Objects of Kubernetes' own kinds pass.
pub fn validate(kind: &Kind, value: &Value) -> Findings {
    match kind.support {
        Support::Kubernetes => Findings::default(),
        Support::NotYet => {
            let mut findings = Findings::default();
            let message = format!("is {}, which is not in force yet: it is refused rather than ignored", kind.kind);
            findings.push(Path::root().key("kind"), Severity::Error, message);
            findings
        }
        Support::Configuration => match kind.kind {
            VirtualService::KIND => of::<VirtualService>(value),
            DestinationRule::KIND => of::<DestinationRule>(value),
            Gateway::KIND => of::<Gateway>(value),
            PeerAuthentication::KIND => of::<PeerAuthentication>(value),
            _ => Findings::default(),
        },
    }
}

fn of<T: Resource>(value: &Value) -> Findings {
    let (_, mut findings) = object::read::<T>(value);
    findings.extend(enforcement::findings(&enforcement::hits(T::KIND, value)));
    findings
}
