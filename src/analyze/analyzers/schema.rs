//! Objects that break their kind's rules, and rules of VirtualServices that others leave nothing for.

use std::collections::BTreeSet;

use crate::analyze::Found;
use crate::analyze::codes::{
    SCHEMA_VALIDATION_ERROR, SCHEMA_WARNING, VIRTUAL_SERVICE_INEFFECTIVE_MATCH, VIRTUAL_SERVICE_UNREACHABLE_RULE,
};
use crate::analyze::message::place;
use crate::analyze::object::Object;
use crate::analyze::shadow::{Shadow, shadows};
use crate::analyze::snapshot::Snapshot;
use crate::resources::{self, Severity, VirtualService, kinds, mesh_config};
use crate::yaml::{self, Path};

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

/// The kinds of the Gateway API, but for its Gateway: that is looked at with Istio's, which has the same name.
pub fn gateway_api(snapshot: &Snapshot, found: &mut Found) {
    for kind in kinds::KINDS.iter().filter(|kind| kind.group == "gateway.networking.k8s.io" && kind.kind != "Gateway") {
        run(snapshot, kind.kind, found);
    }
}

/// The settings of the mesh, which a ConfigMap holds as texts.
pub fn settings(snapshot: &Snapshot, found: &mut Found) {
    for object in snapshot.all("ConfigMap").iter().filter(|object| mesh_config::is_settings(object.value())) {
        for settings in mesh_config::Settings::ALL {
            let entry = settings.entry();
            let Some(text) = object.at("/data").and_then(|data| data.get(entry)?.as_str()) else { continue };
            let place = place!["data", entry];
            let loaded = yaml::load(entry, text.as_bytes());
            for error in &loaded.errors {
                found.at(SCHEMA_VALIDATION_ERROR, object, &place, format!("{error}."));
            }
            for document in &loaded.documents {
                for finding in settings.validate(&document.value).iter() {
                    let code = match finding.severity {
                        Severity::Error => SCHEMA_VALIDATION_ERROR,
                        Severity::Warning => SCHEMA_WARNING,
                    };
                    found.at(code, object, &place, format!("In {entry}, {} {}.", finding.path, finding.message));
                }
            }
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
