//! Sets of fields, in the form that `metadata.managedFields` stores (`FieldsV1`).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::runtime::apiserver::patch::{ListRule, Shape};

/// A set of places in an object. Steps are `f:name`, `k:{"key":"value"}` and `v:value`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldSet {
    /// Whether the place itself is in the set.
    pub(crate) member: bool,
    /// What is below it.
    pub(crate) below: BTreeMap<String, Self>,
}

impl FieldSet {
    pub(crate) fn is_empty(&self) -> bool {
        !self.member && self.below.is_empty()
    }

    /// Every field that `value` sets.
    pub(crate) fn of(value: &Value, shape: &Shape<'_>) -> Self {
        let mut set = Self::default();
        match value {
            Value::Object(map) if !map.is_empty() && !shape.atomic_map() => {
                for (name, value) in map {
                    set.below.insert(format!("f:{name}"), Self::of(value, &shape.field(name)));
                }
            }
            Value::Array(items) => match steps(items, &shape.list()) {
                Some(steps) => {
                    for (step, item) in steps.iter().zip(items) {
                        let mut below = Self::of(item, &shape.item());
                        below.member = true;
                        set.below.insert(step.clone(), below);
                    }
                    set.member = items.is_empty();
                }
                None => set.member = true,
            },
            _ => set.member = true,
        }
        set
    }

    /// Every field that `value` sets where there was nothing, with the maps and lists that came up with it. What a kind of
    /// Kubernetes' own always holds, even where it is empty, did not come up.
    fn of_new(value: &Value, shape: &Shape<'_>) -> Self {
        let mut set = Self::of(value, shape);
        match value {
            Value::Object(map) if !shape.atomic_map() => {
                for (name, value) in map {
                    if let Some(below) = set.below.get_mut(&format!("f:{name}")) {
                        *below = Self::of_new(value, &shape.field(name));
                    }
                }
            }
            Value::Array(items) => {
                for (step, item) in steps(items, &shape.list()).iter().flatten().zip(items) {
                    set.below.insert(step.clone(), Self { member: true, ..Self::of_new(item, &shape.item()) });
                }
            }
            _ => {}
        }
        set.member |= !set.below.is_empty() && !shape.always_there();
        set
    }

    /// The fields that differ between `old` and `new`: those new or changed in `new`, and those gone from it.
    pub(crate) fn changes(old: &Value, new: &Value, shape: &Shape<'_>) -> (Self, Self) {
        let (mut set, mut gone) = (Self::default(), Self::default());
        if old == new {
            return (set, gone);
        }
        let mut add = |step: String, (below_set, below_gone): (Self, Self)| {
            if !below_set.is_empty() {
                set.below.insert(step.clone(), below_set);
            }
            if !below_gone.is_empty() {
                gone.below.insert(step, below_gone);
            }
        };
        match (old, new) {
            (Value::Object(old), Value::Object(new)) if !shape.atomic_map() => {
                for (name, value) in new {
                    let below = shape.field(name);
                    let changed = match old.get(name) {
                        Some(old) => Self::changes(old, value, &below),
                        None => (Self::of_new(value, &below), Self::default()),
                    };
                    add(format!("f:{name}"), changed);
                }
                for (name, value) in old.iter().filter(|(name, _)| !new.contains_key(*name)) {
                    add(format!("f:{name}"), (Self::default(), Self::of(value, &shape.field(name)).whole()));
                }
            }
            (Value::Array(old), Value::Array(new)) => {
                let rule = shape.list();
                let (Some(old_steps), Some(new_steps)) = (steps(old, &rule), steps(new, &rule)) else {
                    return (Self { member: true, ..Self::default() }, Self::default());
                };
                let item = shape.item();
                for (step, value) in new_steps.iter().zip(new) {
                    let known = old_steps.iter().position(|known| known == step).and_then(|at| old.get(at));
                    let changed = match known {
                        Some(old) => Self::changes(old, value, &item),
                        None => (Self { member: true, ..Self::of_new(value, &item) }, Self::default()),
                    };
                    add(step.clone(), changed);
                }
                for (step, value) in old_steps.iter().zip(old).filter(|(step, _)| !new_steps.contains(step)) {
                    add(step.clone(), (Self::default(), Self::of(value, &item).whole()));
                }
            }
            _ => {
                set = Self::of(new, shape);
                gone = Self::of(old, shape).difference(&set);
            }
        }
        (set, gone)
    }

    /// The same, with every place on the way to a member: what goes takes all of it along.
    fn whole(self) -> Self {
        let below = self.below.into_iter().map(|(step, below)| (step, below.whole())).collect();
        Self { member: true, below }
    }

    /// Both together.
    pub(crate) fn union(mut self, other: &Self) -> Self {
        self.member |= other.member;
        for (step, below) in &other.below {
            let own = self.below.remove(step).unwrap_or_default();
            self.below.insert(step.clone(), own.union(below));
        }
        self
    }

    /// What is in this one and not in `other`.
    pub(crate) fn difference(&self, other: &Self) -> Self {
        let below = self
            .below
            .iter()
            .filter_map(|(step, below)| {
                let left = match other.below.get(step) {
                    Some(other) => below.difference(other),
                    None => below.clone(),
                };
                (!left.is_empty()).then(|| (step.clone(), left))
            })
            .collect();
        Self { member: self.member && !other.member, below }
    }

    /// What is in both.
    pub(crate) fn intersection(&self, other: &Self) -> Self {
        let below = self
            .below
            .iter()
            .filter_map(|(step, below)| {
                let both = below.intersection(other.below.get(step)?);
                (!both.is_empty()).then(|| (step.clone(), both))
            })
            .collect();
        Self { member: self.member && other.member, below }
    }

    /// The paths of the members, as Kubernetes writes them.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut out = Vec::new();
        self.collect("", &mut out);
        out
    }

    fn collect(&self, path: &str, out: &mut Vec<String>) {
        if self.member {
            out.push(path.to_owned());
        }
        for (step, below) in &self.below {
            below.collect(&format!("{path}{}", shown(step)), out);
        }
    }

    /// Removes the members from `value`: the fields and items that nobody wants any more.
    pub(crate) fn remove_from(&self, value: &mut Value, shape: &Shape<'_>) {
        match value {
            Value::Object(map) => {
                for (step, below) in &self.below {
                    let Some(name) = step.strip_prefix("f:") else { continue };
                    let field = shape.field(name);
                    let Some(child) = map.get_mut(name) else { continue };
                    below.remove_from(child, &field);
                    let emptied = match child {
                        Value::Object(child) => child.is_empty(),
                        Value::Array(child) => child.is_empty(),
                        _ => true,
                    };
                    let whole = below.member || !below.below.is_empty();
                    if whole && (below.member && below.below.is_empty() || emptied) {
                        map.remove(name);
                    }
                }
            }
            Value::Array(items) => {
                let Some(known) = steps(items, &shape.list()) else { return };
                let item = shape.item();
                let mut kept = Vec::new();
                for (step, mut value) in known.iter().zip(std::mem::take(items)) {
                    match self.below.get(step) {
                        Some(below) if below.member => {}
                        Some(below) => {
                            below.remove_from(&mut value, &item);
                            kept.push(value);
                        }
                        None => kept.push(value),
                    }
                }
                *items = kept;
            }
            _ => {}
        }
    }

    /// `FieldsV1`.
    pub(crate) fn to_json(&self) -> Value {
        let mut map = Map::new();
        if self.member && !self.below.is_empty() {
            map.insert(".".to_owned(), Map::new().into());
        }
        for (step, below) in &self.below {
            map.insert(step.clone(), below.to_json());
        }
        map.into()
    }

    /// Reads `FieldsV1`.
    pub(crate) fn from_json(value: &Value) -> Self {
        let Some(map) = value.as_object() else { return Self::default() };
        let below: BTreeMap<String, Self> = map
            .iter()
            .filter(|(step, _)| *step != ".")
            .map(|(step, value)| (step.clone(), Self::from_json(value)))
            .collect();
        Self { member: below.is_empty() || map.contains_key("."), below }
    }
}

/// The steps to the items of a list that merges; `None` where it does not, or where an item has no identity.
pub(crate) fn steps(items: &[Value], rule: &ListRule) -> Option<Vec<String>> {
    match rule {
        ListRule::Atomic => None,
        ListRule::Set => Some(items.iter().map(|item| format!("v:{item}")).collect()),
        ListRule::Map(keys) => items
            .iter()
            .map(|item| {
                let mut identity = Map::new();
                for (key, default) in keys {
                    match (item.get(key), default) {
                        (Some(value), _) => identity.insert(key.clone(), value.clone()),
                        (None, Some(default)) => identity.insert(key.clone(), (*default).into()),
                        (None, None) => None,
                    };
                }
                (!identity.is_empty()).then(|| format!("k:{}", Value::Object(identity)))
            })
            .collect(),
    }
}

/// One step of a path, as Kubernetes writes it.
fn shown(step: &str) -> String {
    if let Some(name) = step.strip_prefix("f:") {
        return format!(".{name}");
    }
    if let Some(value) = step.strip_prefix("v:") {
        return format!("[={value}]");
    }
    let keys = step.strip_prefix("k:").and_then(|keys| serde_json::from_str::<Map<String, Value>>(keys).ok());
    let keys: Vec<String> = keys.into_iter().flatten().map(|(key, value)| format!("{key}={value}")).collect();
    format!("[{}]", keys.join(","))
}
