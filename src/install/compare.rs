//! What differs between two sets of objects.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::yaml;

/// How an object differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Only the second set has it.
    Added,
    /// Only the first set has it.
    Removed,
    /// Both have it, with different content.
    Changed,
}

/// One object that differs; both sides as YAML, empty where it is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// `Kind namespace/name`.
    pub object: String,
    /// How.
    pub change: Change,
    /// In the first set.
    pub before: String,
    /// In the second set.
    pub after: String,
}

/// What differs between two sets, in the order of the objects' names. The order of the sets does not matter.
pub fn compare<'v>(
    before: impl IntoIterator<Item = &'v Value>,
    after: impl IntoIterator<Item = &'v Value>,
) -> Vec<Difference> {
    let before: BTreeMap<String, &Value> = before.into_iter().map(|object| (name(object), object)).collect();
    let after: BTreeMap<String, &Value> = after.into_iter().map(|object| (name(object), object)).collect();
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    let differing = names.into_iter().filter_map(|name| {
        let (old, new) = (before.get(name), after.get(name));
        let change = match (old, new) {
            (Some(old), Some(new)) if old == new => return None,
            (Some(_), Some(_)) => Change::Changed,
            (None, _) => Change::Added,
            (_, None) => Change::Removed,
        };
        let text = |side: Option<&&Value>| side.map_or(String::new(), |object| yaml::to_string(object));
        Some(Difference { object: name.clone(), change, before: text(old), after: text(new) })
    });
    differing.collect()
}

/// `Kind namespace/name`.
fn name(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let (kind, name) = (text("/kind").unwrap_or("?"), text("/metadata/name").unwrap_or("?"));
    match text("/metadata/namespace") {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

/// What the server adds to every object.
const SERVER_SIDE: [&str; 6] =
    ["creationTimestamp", "generation", "managedFields", "resourceVersion", "uid", "selfLink"];

/// The object as its author wrote it, as far as that can be told: without what the server adds to every object.
#[must_use]
pub fn normalise(mut object: Value) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        SERVER_SIDE.iter().for_each(|field| {
            metadata.remove(*field);
        });
    }
    if let Some(object) = object.as_object_mut() {
        object.remove("status");
    }
    object
}
