//! The four kinds of patch.
//!
//! Strategic merge knows its merge keys from a table of field names; apply merges lists by the same keys, or by those of the
//! custom kind's schema, and takes every other list as a whole.

use serde_json::{Map, Value};

use super::failure::Failure;
use super::limits;
use super::schema::{ListType, Schema};

/// Lists that merge by key: field, the list the owner sits in (empty for any), keys.
const LISTS: &[(&str, &str, &str)] = &[
    ("containers", "", "name"),
    ("initContainers", "", "name"),
    ("ephemeralContainers", "", "name"),
    ("volumes", "", "name"),
    ("env", "", "name"),
    ("imagePullSecrets", "", "name"),
    ("secrets", "", "name"),
    ("volumeMounts", "", "mountPath"),
    ("volumeDevices", "", "devicePath"),
    ("hostAliases", "", "ip"),
    ("ownerReferences", "", "uid"),
    ("conditions", "", "type"),
    ("topologySpreadConstraints", "", "topologyKey"),
    ("ports", "containers", "containerPort"),
    ("ports", "initContainers", "containerPort"),
    ("ports", "spec", "port"),
];

/// Lists of plain values that merge as sets.
const SETS: &[&str] = &["finalizers"];

const ACCEPTED: &str = "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml";

/// `current` after the patch in `body`; `current` is none only when apply makes the object.
pub(super) fn patched(
    media: &str,
    body: &[u8],
    current: Option<&Value>,
    schema: Option<&Schema>,
    builtin: bool,
) -> Result<Value, Failure> {
    let wrong = |error: &dyn std::fmt::Display| Failure::bad_request(format!("error decoding patch: {error}"));
    let mut value = current.cloned().unwrap_or_else(|| Value::Object(Map::new()));
    match media {
        "application/json-patch+json" => {
            let patch: json_patch::Patch = serde_json::from_slice(body).map_err(|e| wrong(&e))?;
            if patch.0.len() > limits::JSON_PATCH_OPERATIONS {
                return Err(Failure::too_large(limits::JSON_PATCH_OPERATIONS));
            }
            json_patch::patch(&mut value, &patch).map_err(|e| Failure::unprocessable(e.to_string()))?;
        }
        "application/merge-patch+json" => {
            json_patch::merge(&mut value, &serde_json::from_slice(body).map_err(|e| wrong(&e))?);
        }
        "application/strategic-merge-patch+json" if builtin => {
            strategic(&mut value, serde_json::from_slice(body).map_err(|e| wrong(&e))?, "")?;
        }
        "application/apply-patch+yaml" => {
            let applied: Value = match serde_json::from_slice(body) {
                Ok(value) => value,
                Err(_) => serde_yaml::from_slice(body).map_err(|e| wrong(&e))?,
            };
            apply(&mut value, applied, schema, "", "");
        }
        other => return Err(Failure::unsupported_media_type(other, ACCEPTED)),
    }
    Ok(value)
}

fn merge_key(field: &str, parent: &str) -> Option<&'static str> {
    let fits = |(name, inside, _): &&(&str, &str, &str)| *name == field && (inside.is_empty() || *inside == parent);
    LISTS.iter().find(fits).map(|(_, _, key)| *key)
}

/// Merges `patch` into `value`, the field (or the item of the list) named `place`.
fn strategic(value: &mut Value, patch: Value, place: &str) -> Result<(), Failure> {
    let Value::Object(mut patch) = patch else {
        *value = patch;
        return Ok(());
    };
    match patch.remove("$patch").as_ref().and_then(Value::as_str) {
        None | Some("merge") => {}
        Some("replace") => {
            *value = Value::Object(patch);
            return Ok(());
        }
        Some("delete") => {
            *value = Value::Object(Map::new());
            return Ok(());
        }
        Some(other) => return Err(Failure::bad_request(format!("unknown $patch directive {other:?}"))),
    }
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    let Some(map) = value.as_object_mut() else {
        return Ok(());
    };
    if let Some(Value::Array(keep)) = patch.remove("$retainKeys") {
        map.retain(|name, _| keep.iter().any(|kept| kept == name));
    }
    for (name, change) in patch {
        if let Some(field) = name.strip_prefix("$deleteFromPrimitiveList/") {
            if let (Some(Value::Array(list)), Value::Array(gone)) = (map.get_mut(field), &change) {
                list.retain(|item| !gone.contains(item));
            }
            continue;
        }
        // The order of a merged list is its own; clients name the order that they would have.
        if name.starts_with("$setElementOrder/") {
            continue;
        }
        match (change, merge_key(&name, place)) {
            (Value::Null, _) => {
                map.remove(&name);
            }
            (Value::Array(items), Some(key)) => {
                let list = map.entry(name.clone()).or_insert_with(|| Value::Array(Vec::new()));
                strategic_list(list, items, key, &name)?;
            }
            (Value::Array(items), None) if SETS.contains(&name.as_str()) => union(map, name, items),
            (change, _) => {
                strategic(map.entry(name.clone()).or_insert(Value::Null), change, &name)?;
            }
        }
    }
    Ok(())
}

fn strategic_list(list: &mut Value, items: Vec<Value>, key: &str, name: &str) -> Result<(), Failure> {
    if !list.is_array() {
        *list = Value::Array(Vec::new());
    }
    let Some(list) = list.as_array_mut() else {
        return Ok(());
    };
    if items.iter().any(|item| item["$patch"] == "replace") {
        list.clear();
    }
    for item in items {
        let Some(id) = item.get(key).cloned() else {
            if item["$patch"] == "replace" {
                continue;
            }
            return Err(Failure::bad_request(format!(
                "map: {item} does not contain declared merge key: {key}"
            )));
        };
        if item["$patch"] == "delete" {
            list.retain(|old| old.get(key) != Some(&id));
            continue;
        }
        match list.iter_mut().find(|old| old.get(key) == Some(&id)) {
            Some(old) => strategic(old, item, name)?,
            None => {
                let mut new = Value::Null;
                strategic(&mut new, item, name)?;
                list.push(new);
            }
        }
    }
    Ok(())
}

fn union(map: &mut Map<String, Value>, name: String, items: Vec<Value>) {
    let list = map.entry(name).or_insert_with(|| Value::Array(Vec::new()));
    if let Some(list) = list.as_array_mut() {
        for item in items {
            if !list.contains(&item) {
                list.push(item);
            }
        }
    }
}

fn apply(value: &mut Value, applied: Value, schema: Option<&Schema>, field: &str, parent: &str) {
    let list_type = schema.map(|schema| &schema.list_type);
    match applied {
        Value::Object(fields) if schema.is_none_or(|schema| !schema.atomic_map) => {
            if !value.is_object() {
                *value = Value::Object(Map::new());
            }
            let Some(map) = value.as_object_mut() else {
                return;
            };
            for (name, change) in fields {
                if change.is_null() {
                    map.remove(&name);
                    continue;
                }
                let below = schema.and_then(|schema| {
                    schema.properties.get(&name).or(schema.additional.as_deref())
                });
                let entry = map.entry(name.clone()).or_insert(Value::Null);
                apply(entry, change, below, &name, field);
            }
        }
        Value::Array(items) => {
            let keys: Vec<&str> = match (list_type, schema) {
                (Some(ListType::Map(keys)), _) => keys.iter().map(String::as_str).collect(),
                (_, None) => merge_key(field, parent).into_iter().collect(),
                _ => Vec::new(),
            };
            let set = list_type == Some(&ListType::Set) || SETS.contains(&field);
            let Some(list) = value.as_array_mut().filter(|_| set || !keys.is_empty()) else {
                *value = Value::Array(items);
                return;
            };
            let below = schema.and_then(|schema| schema.items.as_deref());
            for item in items {
                let same = |old: &&mut Value| {
                    if set { **old == item } else { keys.iter().all(|key| old.get(key) == item.get(key)) }
                };
                match list.iter_mut().find(same) {
                    Some(old) => apply(old, item, below, field, field),
                    None => list.push(item),
                }
            }
        }
        other => *value = other,
    }
}
