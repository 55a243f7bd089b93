//! Objects of which at most one can hold for a pod.

use std::collections::BTreeMap;

use crate::analyze::Found;
use crate::analyze::codes::Code;
use crate::analyze::message::place;
use crate::analyze::object::Object;
use crate::analyze::snapshot::{Snapshot, by_namespace};

/// How a kind selects, and what its faults are called.
pub struct Rows {
    /// Where its selector is.
    pub selector: &'static str,
    /// The same as steps.
    pub steps: &'static [&'static str],
    /// Several of them for one pod.
    pub conflict: Code,
    /// Several of them for a whole namespace.
    pub several: Code,
}

/// Those that select no pod.
pub fn none(snapshot: &Snapshot, objects: &[&Object], rows: &Rows, found: &mut Found) {
    for object in objects {
        let selector = object.map(rows.selector);
        if !selector.is_empty() && snapshot.selected(&selector, Some(&object.namespace)).is_empty() {
            super::no_such_selector(object, &selector, rows.steps, found);
        }
    }
}

/// Those that select a pod that another selects: one message for each, and each of its pods.
pub fn conflicts(snapshot: &Snapshot, objects: &[&Object], rows: &Rows, found: &mut Found) {
    let mut pods: BTreeMap<(&str, &str), Vec<&Object>> = BTreeMap::new();
    let selectors: Vec<_> = objects.iter().map(|object| (*object, object.map(rows.selector))).collect();
    for (object, selector) in selectors.iter().filter(|(_, selector)| !selector.is_empty()) {
        for pod in snapshot.selected(selector, Some(&object.namespace)) {
            pods.entry((&object.namespace, pod.name.as_ref())).or_default().push(object);
        }
    }
    for ((namespace, pod), users) in pods.iter().filter(|(_, users)| users.len() > 1) {
        let names: Vec<&str> = users.iter().map(|user| &*user.name).collect();
        for user in users {
            let text =
                format!("{} select one pod, {namespace}/{pod}, together: only one of them holds.", names.join(", "));
            found.at(rows.conflict, user, &place!["metadata", "name"], text);
        }
    }
}

/// Those without a selector, of which a namespace has several.
pub fn defaults(objects: &[&Object], rows: &Rows, found: &mut Found) {
    let all = objects.iter().copied().filter(|object| object.map(rows.selector).is_empty());
    for (namespace, users) in by_namespace(all).iter().filter(|(_, users)| users.len() > 1) {
        let names: Vec<&str> = users.iter().map(|user| &*user.name).collect();
        for user in users {
            let text =
                format!("{} are all for the whole namespace {namespace}: only one of them holds.", names.join(", "));
            found.at(rows.several, user, &place!["metadata", "name"], text);
        }
    }
}
