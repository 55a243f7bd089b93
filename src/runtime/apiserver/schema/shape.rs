//! Pruning and defaulting: giving an object its schema's shape.

use serde_json::Value;

use super::Schema;

/// The fields every object has, whatever its schema says.
const OBJECT_FIELDS: [&str; 3] = ["apiVersion", "kind", "metadata"];

impl Schema {
    /// Removes every field of `object` (a whole object) that the schema does not know; their paths, at most `limit`.
    pub fn prune(&self, object: &mut Value, limit: usize) -> Vec<String> {
        let mut pruned = Vec::new();
        self.prune_at(object, "", true, limit, &mut pruned);
        pruned
    }

    fn prune_at(&self, value: &mut Value, path: &str, root: bool, limit: usize, pruned: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                let known = |name: &str| {
                    self.preserve
                        || self.additional.is_some()
                        || self.properties.contains_key(name)
                        || ((root || self.embedded) && OBJECT_FIELDS.contains(&name))
                };
                map.retain(|name, _| {
                    let keep = known(name);
                    if !keep && pruned.len() < limit {
                        pruned.push(join(path, name));
                    }
                    keep
                });
                for (name, value) in map.iter_mut() {
                    if (root || self.embedded) && OBJECT_FIELDS.contains(&name.as_str()) {
                        continue;
                    }
                    let child = self.properties.get(name).or(self.additional.as_deref());
                    if let Some(child) = child {
                        child.prune_at(value, &join(path, name), false, limit, pruned);
                    }
                }
            }
            Value::Array(items) => {
                if let Some(schema) = &self.items {
                    for (index, item) in items.iter_mut().enumerate() {
                        schema.prune_at(item, &format!("{path}[{index}]"), false, limit, pruned);
                    }
                }
            }
            _ => {}
        }
    }

    /// Sets what is missing and has a default; drops nulls where the schema allows none and has a default.
    pub fn set_defaults(&self, value: &mut Value) {
        match value {
            Value::Object(map) => {
                for (name, child) in &self.properties {
                    if let Some(default) = &child.default {
                        let missing = match map.get(name) {
                            None => true,
                            Some(Value::Null) => !child.nullable,
                            Some(_) => false,
                        };
                        if missing {
                            map.insert(name.clone(), default.clone());
                        }
                    }
                    if let Some(value) = map.get_mut(name) {
                        child.set_defaults(value);
                    }
                }
                if let Some(additional) = &self.additional {
                    for (name, value) in map.iter_mut() {
                        if !self.properties.contains_key(name) {
                            additional.set_defaults(value);
                        }
                    }
                }
            }
            Value::Array(items) => {
                if let Some(schema) = &self.items {
                    for item in items {
                        schema.set_defaults(item);
                    }
                }
            }
            _ => {}
        }
    }

    /// Drops nulls of fields that are not nullable: in Kubernetes they mean "not set".
    pub fn drop_nulls(&self, value: &mut Value) {
        match value {
            Value::Object(map) => {
                map.retain(|name, value| {
                    let Some(child) = self.properties.get(name) else {
                        return true;
                    };
                    !value.is_null() || child.nullable || child.kind.is_none()
                });
                for (name, value) in map.iter_mut() {
                    if let Some(child) = self.properties.get(name).or(self.additional.as_deref()) {
                        child.drop_nulls(value);
                    }
                }
            }
            Value::Array(items) => {
                if let Some(schema) = &self.items {
                    items.iter_mut().for_each(|item| schema.drop_nulls(item));
                }
            }
            _ => {}
        }
    }
}

/// `path.name`.
fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
