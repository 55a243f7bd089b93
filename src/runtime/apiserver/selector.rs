//! Label and field selectors.

use std::collections::BTreeMap;

use serde_json::Value;

use super::failure::Failure;
use super::registry::Resource;
use super::store::{Key, Object};

#[derive(Debug)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
}

#[derive(Debug)]
struct FieldTerm {
    path: String,
    equal: bool,
    value: String,
}

/// What a list or a watch is narrowed to.
#[derive(Debug, Default)]
pub struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<FieldTerm>,
}

impl Selector {
    /// Reads both selectors of a request for `resource`.
    ///
    /// # Errors
    /// One does not parse, or names a field that cannot be selected by.
    pub fn parse(labels: Option<&str>, fields: Option<&str>, resource: &Resource) -> Result<Self, Failure> {
        let labels = labels.map(parse_labels).transpose()?.unwrap_or_default();
        let fields = fields.map(parse_fields).transpose()?.unwrap_or_default();
        for term in &fields {
            let known = matches!(term.path.as_str(), "metadata.name" | "metadata.namespace")
                || resource.builtin.is_some_and(|builtin| builtin.selectable.contains(&term.path.as_str()));
            if !known {
                let message = match resource.builtin.is_none_or(|builtin| builtin.selectable.is_empty()) {
                    true => format!(
                        "{:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
                        term.path
                    ),
                    false => format!("field label not supported: {}", term.path),
                };
                return Err(Failure::bad_request(message));
            }
        }
        Ok(Self { labels, fields })
    }

    /// Whether everything is selected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether the object is selected.
    #[must_use]
    pub fn matches(&self, key: &Key, object: &Object) -> bool {
        if !self.labels.iter().all(|r| r.holds(&object.labels)) {
            return false;
        }
        let mut parsed: Option<Value> = None;
        self.fields.iter().all(|term| {
            let equal = match term.path.as_str() {
                "metadata.name" => *key.name == *term.value,
                "metadata.namespace" => *key.namespace == *term.value,
                path => {
                    let value = parsed.get_or_insert_with(|| object.value());
                    let pointer = match path {
                        "source" => "/source/component".to_owned(),
                        path => format!("/{}", path.replace('.', "/")),
                    };
                    match value.pointer(&pointer) {
                        Some(Value::String(text)) => *text == term.value,
                        Some(Value::Null) | None => term.value.is_empty() || term.value == "false" || term.value == "0",
                        Some(other) => term.value.parse::<Value>().is_ok_and(|value| value == *other),
                    }
                }
            };
            equal == term.equal
        })
    }
}

impl Requirement {
    fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        match self {
            Self::In(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
            Self::NotIn(key, values) => !labels.get(key).is_some_and(|value| values.contains(value)),
            Self::Exists(key) => labels.contains_key(key),
            Self::Missing(key) => !labels.contains_key(key),
        }
    }
}

/// Splits at commas outside parentheses.
fn split(text: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    text.split(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    })
    .map(str::trim)
    .filter(|part| !part.is_empty())
    .collect()
}

fn parse_labels(text: &str) -> Result<Vec<Requirement>, Failure> {
    split(text).into_iter().map(requirement).collect()
}

fn requirement(text: &str) -> Result<Requirement, Failure> {
    let wrong = || {
        Failure::bad_request(format!(
            "unable to parse requirement: {text:?} is none of key=value, key!=value, key in (a,b), key notin (a,b), key, !key"
        ))
    };
    let key = |key: &str| -> Result<String, Failure> {
        let key = key.trim();
        let fits = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
        fits.then(|| key.to_owned()).ok_or_else(wrong)
    };
    if let Some(name) = text.strip_prefix('!') {
        return Ok(Requirement::Missing(key(name)?));
    }
    for (operator, equal) in [("!=", false), ("==", true), ("=", true)] {
        if let Some((name, value)) = text.split_once(operator) {
            let values = vec![value.trim().to_owned()];
            return Ok(if equal {
                Requirement::In(key(name)?, values)
            } else {
                Requirement::NotIn(key(name)?, values)
            });
        }
    }
    if let Some((head, values)) = text.split_once('(') {
        let values = values.strip_suffix(')').ok_or_else(wrong)?;
        let values = values.split(',').map(|v| v.trim().to_owned()).collect();
        let mut words = head.split_whitespace();
        return match (words.next(), words.next(), words.next()) {
            (Some(name), Some("in"), None) => Ok(Requirement::In(key(name)?, values)),
            (Some(name), Some("notin"), None) => Ok(Requirement::NotIn(key(name)?, values)),
            _ => Err(wrong()),
        };
    }
    Ok(Requirement::Exists(key(text)?))
}

fn parse_fields(text: &str) -> Result<Vec<FieldTerm>, Failure> {
    split(text)
        .into_iter()
        .map(|part| {
            for (operator, equal) in [("!=", false), ("==", true), ("=", true)] {
                if let Some((path, value)) = part.split_once(operator) {
                    return Ok(FieldTerm { path: path.trim().to_owned(), equal, value: value.trim().to_owned() });
                }
            }
            Err(Failure::bad_request(format!("invalid field selector: {part:?} is neither path=value nor path!=value")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(selector: &str, labels: &[(&str, &str)]) -> bool {
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        parse_labels(selector).unwrap().iter().all(|r| r.holds(&labels))
    }

    #[test]
    fn selects_by_label() {
        let labels = [("app", "web"), ("tier", "front")];
        for (selector, expected) in [
            ("app=web", true),
            ("app==web,tier!=back", true),
            ("app in (api, web),tier", true),
            ("app notin (api,web)", false),
            ("!app", false),
            ("!other", true),
            ("other!=x", true),
            ("", true),
        ] {
            assert_eq!(holds(selector, &labels), expected, "{selector}");
        }
        for wrong in ["app in web", "(a)", "a b c", "app in (a"] {
            assert!(parse_labels(wrong).is_err(), "{wrong}");
        }
    }
}
