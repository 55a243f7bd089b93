//! Strategic merge patch: lists of objects merge by a key, and directives delete and replace.

use serde_json::{Map, Value};

use super::Shape;
use crate::runtime::apiserver::failure::Failure;

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const ORDER: &str = "$setElementOrder/";

/// Merges `patch` into `live`.
pub(super) fn merge(live: &mut Value, patch: &Value, shape: &Shape<'_>) -> Result<(), Failure> {
    let Some(patch) = patch.as_object() else {
        *live = patch.clone();
        return Ok(());
    };
    match patch.get(DIRECTIVE).and_then(Value::as_str) {
        None | Some("merge") => {}
        Some("replace") => {
            let mut plain = patch.clone();
            plain.remove(DIRECTIVE);
            *live = plain.into();
            return Ok(());
        }
        Some("delete") => {
            *live = Map::new().into();
            return Ok(());
        }
        Some(other) => return Err(wrong(format!("unknown directive {DIRECTIVE}: {other:?}"))),
    }
    if !live.is_object() {
        *live = Map::new().into();
    }
    let Some(map) = live.as_object_mut() else { return Ok(()) };
    if let Some(kept) = patch.get(RETAIN_KEYS).and_then(Value::as_array) {
        map.retain(|name, _| kept.iter().any(|key| key == name));
    }
    for (name, value) in patch {
        if let Some(name) = name.strip_prefix(DELETE_FROM) {
            let gone = value.as_array().map(Vec::as_slice).unwrap_or_default();
            if let Some(list) = map.get_mut(name).and_then(Value::as_array_mut) {
                list.retain(|item| !gone.contains(item));
            }
            continue;
        }
        if name == DIRECTIVE || name == RETAIN_KEYS || name.starts_with(ORDER) {
            continue;
        }
        let below = shape.field(name);
        match value {
            Value::Null => {
                map.remove(name);
            }
            Value::Object(_) => merge(map.entry(name.clone()).or_insert(Value::Null), value, &below)?,
            Value::Array(items) => {
                let place = map.entry(name.clone()).or_insert_with(|| Value::Array(Vec::new()));
                merge_list(place, items, &below)?;
            }
            plain => {
                map.insert(name.clone(), plain.clone());
            }
        }
    }
    for (name, order) in patch {
        if let Some(name) = name.strip_prefix(ORDER)
            && let (Some(list), Some(order)) = (map.get_mut(name).and_then(Value::as_array_mut), order.as_array())
        {
            let key = shape.field(name).patch_key();
            sort(list, order, key);
        }
    }
    Ok(())
}

fn merge_list(live: &mut Value, items: &[Value], shape: &Shape<'_>) -> Result<(), Failure> {
    let Some(key) = shape.patch_key() else {
        *live = items.to_vec().into();
        return Ok(());
    };
    if !live.is_array() {
        *live = Value::Array(Vec::new());
    }
    let Some(list) = live.as_array_mut() else { return Ok(()) };
    if key == "=" {
        for item in items {
            if !list.contains(item) {
                list.push(item.clone());
            }
        }
        return Ok(());
    }
    if items.iter().any(|item| item[DIRECTIVE] == "replace") {
        list.clear();
    }
    for item in items {
        let directive = item[DIRECTIVE].as_str();
        if directive == Some("replace") && item.as_object().is_some_and(|item| item.len() == 1) {
            continue;
        }
        let identity = &item[key];
        if identity.is_null() {
            return Err(wrong(format!("map: {item} does not contain declared merge key: {key}")));
        }
        if directive == Some("delete") {
            list.retain(|known| known[key] != *identity);
            continue;
        }
        match list.iter_mut().find(|known| known[key] == *identity) {
            Some(known) => merge(known, item, &shape.item())?,
            None => {
                let mut fresh = Map::new().into();
                merge(&mut fresh, item, &shape.item())?;
                list.push(fresh);
            }
        }
    }
    Ok(())
}

/// Puts the items that `order` names in its order; others keep their place behind the one they follow.
fn sort(list: &mut [Value], order: &[Value], key: Option<&str>) {
    let place = |item: &Value| {
        order.iter().position(|wanted| match key {
            Some(key) if key != "=" => wanted[key] == item[key],
            _ => wanted == item,
        })
    };
    let mut last = 0;
    list.sort_by_cached_key(|item| {
        if let Some(place) = place(item) {
            last = place;
        }
        place(item).unwrap_or(last)
    });
}

fn wrong(message: String) -> Failure {
    Failure::bad_request(format!("the strategic merge patch does not fit: {message}"))
}
