//! Manifests with places for values: YAML whose strings may hold `${name}`.
//!
//! Values are put in as values, after the YAML was read: nothing that a user writes can become structure. A string that is one
//! place and nothing else becomes the value, whatever its type, and its key or item goes when the value is null; elsewhere the
//! value has to be a scalar and becomes part of the string.

use serde_json::{Map, Value};

use crate::install::Error;
use crate::install::plan::text;
use crate::yaml;

/// A manifest of this program.
pub(super) struct Manifest {
    pub(super) name: &'static str,
    pub(super) text: &'static str,
}

macro_rules! manifest {
    ($name:literal) => {
        $crate::install::manifest::Manifest {
            name: $name,
            text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/manifests/install/", $name, ".yaml")),
        }
    };
}

pub(super) use manifest;

impl Manifest {
    /// The objects, with `values` in their places.
    pub(super) fn fill(&self, values: &Value) -> Result<Vec<Value>, Error> {
        let failed = |reason: String| Error::Manifest { name: self.name, reason };
        let loaded = yaml::load(self.name, self.text.as_bytes());
        if let Some(error) = loaded.errors.first() {
            return Err(failed(error.to_string()));
        }
        let filled = loaded.documents.into_iter().map(|document| fill(document.value, values));
        filled.collect::<Result<_, _>>().map_err(failed)
    }
}

fn fill(value: Value, values: &Value) -> Result<Value, String> {
    match value {
        Value::String(text) => fill_text(text, values),
        Value::Array(items) => {
            let mut filled = Vec::with_capacity(items.len());
            for item in items {
                let place = is_place(&item);
                match fill(item, values)? {
                    Value::Null if place => {}
                    item => filled.push(item),
                }
            }
            Ok(Value::Array(filled))
        }
        Value::Object(entries) => {
            let mut filled = Map::new();
            for (key, value) in entries {
                let place = is_place(&value);
                match fill(value, values)? {
                    Value::Null if place => {}
                    value => {
                        filled.insert(key, value);
                    }
                }
            }
            Ok(Value::Object(filled))
        }
        scalar => Ok(scalar),
    }
}

fn is_place(value: &Value) -> bool {
    matches!(value, Value::String(text) if text.starts_with("${"))
}

fn fill_text(template: String, values: &Value) -> Result<Value, String> {
    let whole = template.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    if let Some(name) = whole.filter(|name| !name.contains("${")) {
        return look_up(values, name).cloned();
    }
    let mut filled = String::new();
    let mut rest = template.as_str();
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').ok_or_else(|| format!("{template:?} has a place without an end"))?;
        filled.push_str(before);
        match look_up(values, name)? {
            value @ (Value::Object(_) | Value::Array(_) | Value::Null) => {
                return Err(format!("{template:?} needs text for {name}, and it is {value}"));
            }
            scalar => filled.push_str(&text(scalar)),
        }
        rest = after;
    }
    filled.push_str(rest);
    Ok(Value::String(filled))
}

fn look_up<'v>(values: &'v Value, name: &str) -> Result<&'v Value, String> {
    let found = name.split('.').try_fold(values, |value, key| value.get(key));
    found.ok_or_else(|| format!("nothing is called {name}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TEXT: &str = "a: ${n}\nb: x-${t}-${n}\nc: ${none}\nd: [\"${none}\", \"${t}\"]\ne: ${tree.x}\nf: null\n";

    #[test]
    fn values_keep_their_type_and_never_become_structure() {
        let manifest = Manifest { name: "test", text: TEXT };
        let hostile = "1\nkind: Secret\n---\n${n}";
        let values = json!({"n": 3, "t": hostile, "none": null, "tree": {"x": {"y": [1]}}});
        let filled = manifest.fill(&values).unwrap();
        let expected = json!({"a": 3, "b": format!("x-{hostile}-3"), "d": [hostile], "e": {"y": [1]}, "f": null});
        assert_eq!(filled, [expected]);
    }

    #[test]
    fn a_place_without_a_value_is_an_error() {
        for text in ["a: ${missing}", "a: x${n", "a: x${tree}"] {
            let error = Manifest { name: "test", text }.fill(&json!({"n": 1, "tree": {}})).unwrap_err();
            assert!(error.to_string().starts_with("manifest test can't be rendered"), "{error}");
        }
    }
}
