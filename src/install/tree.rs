//! Trees of settings: laying one over another, and reaching into one by a path.
//!
//! Paths are written as Istio's users write them: names separated by dots, `\.` for a dot inside a name, `[2]` for an item of
//! a list, `[-1]` for one more item, `[name:value]` for the item whose field `name` is `value`.

use std::fmt;

use serde_json::{Map, Value};

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
    Append,
    Where(String, String),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => write!(f, "{}", key.replace('.', "\\.")),
            Self::Index(index) => write!(f, "[{index}]"),
            Self::Append => f.write_str("[-1]"),
            Self::Where(key, value) => write!(f, "[{key}:{value}]"),
        }
    }
}

/// Reads a path. The error reads on from the path.
pub(super) fn parse(text: &str) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut key = String::new();
    let mut characters = text.chars();
    let mut after_bracket = false;
    while let Some(character) = characters.next() {
        match character {
            '\\' => key.push(characters.next().ok_or("ends in a backslash: write what it is to quote")?),
            '.' | '[' => {
                match (key.is_empty(), character) {
                    (false, _) => steps.push(Step::Key(std::mem::take(&mut key))),
                    (true, '.') if !after_bracket => {
                        return Err("has an empty name between dots: remove one".to_owned());
                    }
                    (true, _) => {}
                }
                after_bracket = false;
                if character == '[' {
                    let inside: String = characters.by_ref().take_while(|&next| next != ']').collect();
                    steps.push(bracket(&inside)?);
                    after_bracket = true;
                }
            }
            other => {
                after_bracket = false;
                key.push(other);
            }
        }
    }
    if !key.is_empty() {
        steps.push(Step::Key(key));
    } else if !after_bracket {
        return Err("ends in a dot, or is empty: name a setting".to_owned());
    }
    Ok(steps)
}

fn bracket(inside: &str) -> Result<Step, String> {
    if inside == "-1" {
        return Ok(Step::Append);
    }
    if let Ok(index) = inside.parse() {
        return Ok(Step::Index(index));
    }
    match inside.split_once(':') {
        Some((key, value)) => Ok(Step::Where(key.to_owned(), value.to_owned())),
        None => Err(format!("has [{inside}], which is neither an index nor name:value")),
    }
}

/// The path as it was written, up to and with the step at `last`.
fn shown(path: &[Step], last: usize) -> String {
    let mut text = String::new();
    for step in path.iter().take(last + 1) {
        if !text.is_empty() && matches!(step, Step::Key(_)) {
            text.push('.');
        }
        text.push_str(&step.to_string());
    }
    text
}

/// The longest list that a path may make, so that an index is not an order for memory.
const MAX_ITEMS: usize = 256;

/// Puts `value` where `path` leads, making what is missing on the way; null removes. The error names the path.
pub(super) fn set(root: &mut Value, path: &[Step], value: Value) -> Result<(), String> {
    let Some((last, way)) = path.split_last() else {
        return Err("an empty path leads nowhere: name a setting".to_owned());
    };
    let mut here = root;
    for (depth, step) in way.iter().enumerate() {
        let list = !matches!(path.get(depth + 1), Some(Step::Key(_)));
        here = descend(here, step, list).ok_or_else(|| leads_nowhere(path, depth))?;
    }
    let failed = || leads_nowhere(path, way.len());
    match (last, value) {
        (Step::Key(key), Value::Null) => {
            here.as_object_mut().ok_or_else(failed)?.remove(key);
        }
        (step, Value::Null) => {
            let items = here.as_array_mut().ok_or_else(failed)?;
            let index = position(items, step).filter(|index| *index < items.len()).ok_or_else(failed)?;
            items.remove(index);
        }
        (step, value) => {
            let list = value.is_array();
            *descend(here, step, list).ok_or_else(failed)? = value;
        }
    }
    Ok(())
}

fn leads_nowhere(path: &[Step], depth: usize) -> String {
    format!("{} leads to nothing: check the path", shown(path, depth))
}

fn position(items: &[Value], step: &Step) -> Option<usize> {
    match step {
        Step::Key(_) => None,
        Step::Index(index) => (*index <= items.len() && *index < MAX_ITEMS).then_some(*index),
        Step::Append => (items.len() < MAX_ITEMS).then_some(items.len()),
        Step::Where(key, wanted) => items.iter().position(|item| match item.get(key) {
            Some(value) => super::plan::text(value) == *wanted,
            None => false,
        }),
    }
}

/// The value one step on; what is missing becomes a list or a mapping, as the step after it needs.
fn descend<'v>(here: &'v mut Value, step: &Step, list: bool) -> Option<&'v mut Value> {
    let missing = || if list { Value::Array(Vec::new()) } else { Value::Object(Map::new()) };
    if let Step::Key(key) = step {
        let entry = here.as_object_mut()?.entry(key.clone()).or_insert_with(missing);
        if entry.is_null() {
            *entry = missing();
        }
        return Some(entry);
    }
    let items = here.as_array_mut()?;
    let index = position(items, step)?;
    if index == items.len() {
        items.push(missing());
    }
    items.get_mut(index)
}

/// Lays `over` on `base`: mappings entry by entry, null removes, everything else replaces. Lists whose items all have a `name`
/// are laid over by name where `by_name` says so of their key.
pub(super) fn overlay(base: &mut Value, over: &Value, by_name: &dyn Fn(&str) -> bool) {
    let (Value::Object(into), Value::Object(from)) = (&mut *base, over) else {
        *base = over.clone();
        return;
    };
    for (key, value) in from {
        match (into.get_mut(key), value) {
            (_, Value::Null) => {
                into.remove(key);
            }
            (Some(Value::Array(items)), Value::Array(others)) if by_name(key) => overlay_items(items, others, by_name),
            (Some(existing), value) => overlay(existing, value, by_name),
            (None, value) => {
                into.insert(key.clone(), value.clone());
            }
        }
    }
}

fn overlay_items(items: &mut Vec<Value>, others: &[Value], by_name: &dyn Fn(&str) -> bool) {
    for other in others {
        let name = other.get("name").and_then(Value::as_str);
        let known = items.iter_mut().find(|item| name.is_some() && item.get("name").and_then(Value::as_str) == name);
        match known {
            Some(item) => overlay(item, other, by_name),
            None => items.push(other.clone()),
        }
    }
}

/// Lays the items of `others` on `items`, by their `name`.
pub(super) fn overlay_by_name(items: &mut Vec<Value>, others: &[Value]) {
    overlay_items(items, others, &|_| false);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_reach_into_lists_and_names_with_dots() {
        let mut tree = json!({"list": [{"name": "a", "port": 80}, {"name": "b"}]});
        for (path, value) in [
            ("list[name:b].size", json!(3)),
            ("list.[0].size", json!(1)),
            ("list[-1].name", json!("c")),
            ("list[port:80].seen", json!(true)),
            (r"labels.istio\.io/rev", json!("x")),
            ("new[0].key", json!("v")),
        ] {
            set(&mut tree, &parse(path).unwrap(), value).unwrap();
        }
        assert_eq!(
            tree,
            json!({
                "list": [{"name": "a", "port": 80, "size": 1, "seen": true}, {"name": "b", "size": 3}, {"name": "c"}],
                "labels": {"istio.io/rev": "x"},
                "new": [{"key": "v"}],
            })
        );
        set(&mut tree, &parse("list[name:a]").unwrap(), Value::Null).unwrap();
        set(&mut tree, &parse("labels").unwrap(), Value::Null).unwrap();
        assert_eq!(tree, json!({"list": [{"name": "b", "size": 3}, {"name": "c"}], "new": [{"key": "v"}]}));
    }

    #[test]
    fn paths_that_lead_nowhere_are_refused() {
        for text in ["", "a..b", "a.", ".a", "a[x]", r"a\"] {
            assert!(parse(text).is_err(), "{text}");
        }
        let mut tree = json!({"a": "text", "l": []});
        for text in ["a.b", "l[name:x].y", "l[3]", "l[999999999].x", "l.x"] {
            let error = set(&mut tree, &parse(text).unwrap(), json!(1)).unwrap_err();
            assert!(error.contains("leads to nothing"), "{error}");
        }
        assert_eq!(tree, json!({"a": "text", "l": []}));
    }

    #[test]
    fn what_is_laid_over_replaces_adds_and_removes() {
        let mut base = json!({"a": {"x": 1, "y": [1, 2]}, "gws": [{"name": "g", "on": true}], "n": 1});
        let over = json!({"a": {"y": [3], "z": 2}, "gws": [{"name": "g", "on": false}, {"name": "h"}], "n": null});
        overlay(&mut base, &over, &|key| key == "gws");
        let expected = json!({"a": {"x": 1, "y": [3], "z": 2}, "gws": [{"name": "g", "on": false}, {"name": "h"}]});
        assert_eq!(base, expected);
    }
}
