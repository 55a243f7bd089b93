//! Who set which field: `metadata.managedFields`, and server-side apply, which works on it.
//!
//! Every write is recorded. Applying what another manager has set to a different value is a conflict, unless forced; a field that a
//! manager applied once and leaves out now goes, unless somebody else has it too.

mod set;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use self::set::{FieldSet, steps};
use super::columns::{list, string};
use super::failure::{Cause, Failure};
use super::patch::Shape;
use super::server::now;
use super::verbs::Call;

/// How a write came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Anything but server-side apply.
    Update,
    /// Server-side apply.
    Apply,
}

/// Longest name of a manager.
const NAME: usize = 128;

/// Metadata that nobody owns.
const UNOWNED: [&str; 10] = [
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "generation",
    "resourceVersion",
    "managedFields",
    "selfLink",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
];

/// One manager's fields.
#[derive(Clone, Debug)]
struct Entry {
    manager: String,
    apply: bool,
    api_version: String,
    subresource: String,
    time: String,
    fields: FieldSet,
}

impl Entry {
    fn from_json(value: &Value) -> Self {
        let text = |path: &str| string(value, path).to_owned();
        Self {
            manager: text("/manager"),
            apply: string(value, "/operation") == "Apply",
            api_version: text("/apiVersion"),
            subresource: text("/subresource"),
            time: text("/time"),
            fields: FieldSet::from_json(&value["fieldsV1"]),
        }
    }

    fn to_json(&self) -> Value {
        let mut value = json!({
            "manager": self.manager,
            "operation": if self.apply { "Apply" } else { "Update" },
            "apiVersion": self.api_version,
            "time": self.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": self.fields.to_json(),
        });
        if !self.subresource.is_empty() {
            value["subresource"] = self.subresource.as_str().into();
        }
        value
    }

    /// As conflicts name it.
    fn shown(&self) -> String {
        let mut shown = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            shown.push_str(&format!(" with subresource {:?}", self.subresource));
        }
        if !self.apply {
            shown.push_str(&format!(" using {}", self.api_version));
        }
        shown
    }
}

fn entries(object: &Value) -> Vec<Entry> {
    list(object, "/metadata/managedFields").iter().map(Entry::from_json).collect()
}

fn shape(call: &Call) -> Shape<'_> {
    match (call.resource.builtin, call.version()) {
        (Some(builtin), _) => Shape::builtin(builtin.fields()),
        (None, Ok(version)) => version.schema.as_deref().map_or(Shape::Unknown, Shape::Custom),
        (None, Err(_)) => Shape::Unknown,
    }
}

/// The part of an object that managers own.
fn owned(object: &Value) -> Value {
    let mut map: Map<String, Value> = object.as_object().cloned().unwrap_or_default();
    map.remove("apiVersion");
    map.remove("kind");
    if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|field, _| !UNOWNED.contains(&field.as_str()));
        if metadata.is_empty() {
            map.remove("metadata");
        }
    }
    map.into()
}

/// Records in `next` who set what is different from `old`.
pub(super) fn record(call: &Call, old: Option<&Value>, next: &mut Value, origin: Origin) -> Result<(), Failure> {
    let shape = shape(call);
    let nothing = json!({});
    let old_fields = old.map_or_else(|| nothing.clone(), owned);
    let mut new_fields = owned(next);
    if old.is_none() {
        leave_out_own(call, &mut new_fields);
    }
    let (changed, gone) = FieldSet::changes(&old_fields, &new_fields, &shape);
    let applied = match origin {
        Origin::Apply => call.applied.as_ref().map(|config| FieldSet::of(&owned(config), &shape)),
        Origin::Update => None,
    };
    let name: String = call.manager.chars().take(NAME).collect();
    let is_own = |entry: &Entry| {
        entry.manager == name
            && entry.apply == (origin == Origin::Apply)
            && entry.subresource == call.place.subresource
            && (entry.apply || entry.api_version == call.api_version())
    };
    let mut all = old.map(entries).unwrap_or_default();
    let mut own = all.iter().position(is_own).map(|at| all.remove(at));
    for entry in &mut all {
        entry.fields = entry.fields.difference(&gone).difference(&changed);
    }
    let fields = match (applied, &own) {
        (Some(applied), _) => applied,
        (None, Some(own)) => own.fields.difference(&gone).union(&changed),
        (None, None) => changed,
    };
    if own.as_ref().is_none_or(|own| own.fields != fields) {
        own = Some(Entry {
            manager: name,
            apply: origin == Origin::Apply,
            api_version: call.api_version(),
            subresource: call.place.subresource.clone(),
            time: now(),
            fields,
        });
    }
    all.extend(own);
    all.retain(|entry| !entry.fields.is_empty());
    let order = |entry: &Entry| (!entry.apply, entry.time.clone(), entry.manager.clone(), entry.subresource.clone());
    all.sort_by_key(order);
    let all: Vec<Value> = all.iter().map(Entry::to_json).collect();
    match next["metadata"].as_object_mut() {
        // Nobody owns anything: the list is left out, as every empty one is.
        Some(metadata) if all.is_empty() => {
            metadata.remove("managedFields");
        }
        _ => next["metadata"]["managedFields"] = all.into(),
    }
    Ok(())
}

/// What the server itself puts into new objects, which counts as nobody's: (kind, pointer to the object, field).
const SERVERS_OWN: [(&str, &str, &str); 4] = [
    ("Namespace", "", "spec"),
    ("Service", "/spec", "ipFamilies"),
    ("Service", "/spec", "ipFamilyPolicy"),
    ("Pod", "", "status"),
];

fn leave_out_own(call: &Call, object: &mut Value) {
    let kind = call.resource.builtin.map_or("", |builtin| builtin.kind);
    let own = SERVERS_OWN.iter().filter(|(known, ..)| *known == kind).map(|(_, pointer, field)| (*pointer, *field));
    let status = call.version().is_ok_and(|version| version.status).then_some(("", "status"));
    for (pointer, field) in own.chain(status) {
        if let Some(place) = object.pointer_mut(pointer).and_then(Value::as_object_mut) {
            place.remove(field);
        }
    }
}

/// Server-side apply: what `config` makes of `live`.
pub(super) fn merge(call: &Call, live: &Value, config: &Value, force: bool) -> Result<Value, Failure> {
    let shape = shape(call);
    let (wanted, had) = (owned(config), owned(live));
    let mut next = live.clone();
    let mut merged = had.clone();
    overlay(&mut merged, &wanted, &shape);
    let all = entries(live);
    let is_own =
        |entry: &&Entry| entry.manager == call.manager && entry.apply && entry.subresource == call.place.subresource;
    let (changed, _) = FieldSet::changes(&had, &merged, &shape);
    if !force {
        let conflicts: Vec<(String, Vec<String>)> = all
            .iter()
            .filter(|entry| !is_own(entry))
            .map(|entry| (entry.shown(), entry.fields.intersection(&changed).paths()))
            .filter(|(_, paths)| !paths.is_empty())
            .collect();
        if !conflicts.is_empty() {
            return Err(conflict(&conflicts));
        }
    }
    if let Some(own) = all.iter().find(is_own) {
        let mut left = own.fields.difference(&FieldSet::of(&wanted, &shape));
        for other in all.iter().filter(|entry| !is_own(entry)) {
            left = left.difference(&other.fields);
        }
        left.remove_from(&mut merged, &shape);
    }
    let Value::Object(merged) = merged else { return Ok(next) };
    let Some(map) = next.as_object_mut() else { return Ok(next) };
    map.retain(|name, _| matches!(name.as_str(), "apiVersion" | "kind" | "metadata"));
    for (name, value) in merged {
        if name != "metadata" {
            map.insert(name, value);
            continue;
        }
        if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.retain(|field, _| UNOWNED.contains(&field.as_str()));
            metadata.extend(value.as_object().cloned().unwrap_or_default());
        }
    }
    // Only a version that the configuration names is a condition.
    next["metadata"]["resourceVersion"] = config["metadata"]["resourceVersion"].clone();
    Ok(next)
}

/// Lays `wanted` over `live`.
fn overlay(live: &mut Value, wanted: &Value, shape: &Shape<'_>) {
    match (&mut *live, wanted) {
        (Value::Object(live), Value::Object(wanted)) if !shape.atomic_map() => {
            for (name, value) in wanted {
                overlay(live.entry(name.clone()).or_insert(Value::Null), value, &shape.field(name));
            }
        }
        (Value::Array(live), Value::Array(wanted)) => {
            let rule = shape.list();
            let (Some(known), Some(named)) = (steps(live, &rule), steps(wanted, &rule)) else {
                wanted.clone_into(live);
                return;
            };
            let item = shape.item();
            for (step, value) in named.iter().zip(wanted) {
                match known.iter().position(|known| known == step).and_then(|at| live.get_mut(at)) {
                    Some(live) => overlay(live, value, &item),
                    None => live.push(value.clone()),
                }
            }
        }
        (live, wanted) => *live = wanted.clone(),
    }
}

fn conflict(conflicts: &[(String, Vec<String>)]) -> Failure {
    let causes: Vec<Cause> = conflicts
        .iter()
        .flat_map(|(manager, paths)| {
            paths.iter().map(move |path| Cause {
                reason: "FieldManagerConflict".to_owned(),
                message: format!("conflict with {manager}"),
                field: path.clone(),
            })
        })
        .collect();
    let message = match conflicts {
        [(manager, paths)] if paths.len() == 1 => {
            format!("Apply failed with 1 conflict: conflict with {manager}: {}", paths.join(""))
        }
        _ => {
            let mut managers: Vec<&(String, Vec<String>)> = conflicts.iter().collect();
            managers.sort();
            let lines: Vec<String> = managers
                .into_iter()
                .flat_map(|(manager, paths)| {
                    std::iter::once(format!("conflicts with {manager}:"))
                        .chain(paths.iter().map(|path| format!("- {path}")))
                })
                .collect();
            format!("Apply failed with {} conflicts: {}", causes.len(), lines.join("\n"))
        }
    };
    Failure::apply_conflict(message, causes)
}
