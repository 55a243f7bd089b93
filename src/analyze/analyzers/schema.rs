//! Objects that break their kind's rules, and rules of VirtualServices that others leave nothing for.

use std::collections::BTreeSet;

use crate::analyze::Found;
use crate::analyze::codes::{
    SCHEMA_VALIDATION_ERROR, SCHEMA_WARNING, VIRTUAL_SERVICE_INEFFECTIVE_MATCH, VIRTUAL_SERVICE_UNREACHABLE_RULE,
};
use crate::analyze::object::Object;
use crate::analyze::shadow::{Shadow, shadows};
use crate::analyze::snapshot::Snapshot;
use crate::resources::{self, VirtualService, kinds};
use crate::yaml::Path;

/// The objects of one kind.
pub fn run(snapshot: &Snapshot, kind: &str, found: &mut Found) {
    for object in snapshot.all(kind) {
        let Some(kind) = kinds::of(object.value()) else { continue };
        let findings = resources::check(kind, object.value());
        let mut said: BTreeSet<Path> = BTreeSet::new();
        if kind.kind == "VirtualService" && !findings.is_refused() {
            said = unreachable(object, found);
        }
        for finding in &findings.errors {
            found.at(SCHEMA_VALIDATION_ERROR, object, &finding.path, format!("{} {}.", finding.path, finding.message));
        }
        for finding in findings.warnings.iter().filter(|finding| !said.contains(&finding.path)) {
            found.at(SCHEMA_WARNING, object, &finding.path, format!("{} {}.", finding.path, finding.message));
        }
    }
}

/// Answers with the places that were spoken of.
fn unreachable(object: &Object, found: &mut Found) -> BTreeSet<Path> {
    let mut said = BTreeSet::new();
    let Ok(parsed) = resources::Object::<VirtualService>::from_value(object.value()) else { return said };
    for shadow in shadows(&parsed.spec) {
        let (place, code) = match &shadow {
            Shadow::Rule { place, .. } => (place, VIRTUAL_SERVICE_UNREACHABLE_RULE),
            Shadow::Match { place, .. } => (place, VIRTUAL_SERVICE_INEFFECTIVE_MATCH),
        };
        found.at(code, object, place, shadow.to_string());
        said.insert(place.clone());
    }
    said
}
