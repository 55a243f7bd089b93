//! Validation, in the words of Kubernetes.

use serde_json::Value;

use super::{Schema, Type};
use crate::runtime::apiserver::failure::Cause;

/// Most causes one object is refused with.
const CAUSES: usize = 64;

/// Longest text quoted in a cause.
const QUOTED: usize = 200;

impl Schema {
    /// Everything that is wrong with `value`.
    #[must_use]
    pub fn validate(&self, value: &Value) -> Vec<Cause> {
        let mut causes = Vec::new();
        self.check(value, "", true, &mut causes);
        causes
    }

    fn check(&self, value: &Value, path: &str, root: bool, causes: &mut Vec<Cause>) {
        if causes.len() >= CAUSES {
            return;
        }
        if value.is_null() && (self.nullable || self.kind.is_none()) {
            return;
        }
        if !self.check_type(value, path, causes) {
            return;
        }
        self.check_choices(value, path, causes);
        match value {
            Value::String(text) => self.check_string(text, path, causes),
            Value::Number(number) => {
                self.check_number(number.as_f64().unwrap_or_default(), value, path, causes);
            }
            Value::Array(items) => self.check_array(items, path, causes),
            Value::Object(map) => {
                for name in &self.required {
                    if !map.contains_key(name) {
                        causes.push(Cause::required(join(path, name), ""));
                    }
                }
                let count = map.len() as u64;
                if self.min_properties.is_some_and(|least| count < least) {
                    let least = self.min_properties.unwrap_or_default();
                    causes.push(body(path, &count.into(), format!("should have at least {least} properties")));
                }
                if self.max_properties.is_some_and(|most| count > most) {
                    let most = self.max_properties.unwrap_or_default();
                    causes.push(too_many(path, count, most));
                }
                for (name, value) in map {
                    if (root || self.embedded) && name == "metadata" {
                        continue;
                    }
                    if let Some(child) = self.properties.get(name) {
                        child.check(value, &join(path, name), false, causes);
                    } else if let Some(child) = &self.additional {
                        child.check(value, &join(path, name), false, causes);
                    }
                }
            }
            _ => {}
        }
        self.check_combined(value, path, root, causes);
    }

    fn check_type(&self, value: &Value, path: &str, causes: &mut Vec<Cause>) -> bool {
        if self.int_or_string {
            if value.is_string() || value.is_i64() || value.is_u64() {
                return true;
            }
            causes.push(type_error(path, "integer,string", value));
            return false;
        }
        let Some(kind) = self.kind else {
            return true;
        };
        let fits = match kind {
            Type::Object => value.is_object(),
            Type::Array => value.is_array(),
            Type::String => value.is_string(),
            Type::Boolean => value.is_boolean(),
            Type::Number => value.is_number(),
            Type::Integer => {
                value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
            }
        };
        if !fits {
            causes.push(type_error(path, kind.name(), value));
        }
        fits
    }

    fn check_choices(&self, value: &Value, path: &str, causes: &mut Vec<Cause>) {
        if self.choices.is_empty() || self.choices.contains(value) {
            return;
        }
        let supported: Vec<String> = self
            .choices
            .iter()
            .map(|choice| match choice {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            })
            .collect();
        causes.push(Cause::unsupported(path, value, &supported));
    }

    fn check_string(&self, text: &str, path: &str, causes: &mut Vec<Cause>) {
        let value = || Value::from(text);
        if self.min_length.is_some() || self.max_length.is_some() {
            let length = text.chars().count() as u64;
            if let Some(least) = self.min_length.filter(|least| length < *least) {
                causes.push(body(path, &value(), format!("should be at least {least} chars long")));
            }
            if let Some(most) = self.max_length.filter(|most| length > *most) {
                causes.push(Cause {
                    reason: "FieldValueTooLong".to_owned(),
                    message: format!("Too long: may not be more than {most} bytes"),
                    field: path.to_owned(),
                });
            }
        }
        if let Some(pattern) = &self.pattern {
            match pattern.regex() {
                Some(regex) if regex.is_match(text) => {}
                Some(_) => causes.push(body(path, &value(), format!("should match '{}'", pattern.text))),
                None => causes.push(body(
                    path,
                    &value(),
                    format!("cannot be checked: the definition's pattern '{}' does not compile", pattern.text),
                )),
            }
        }
        if let Some(format) = &self.format
            && !fits_format(format, text)
        {
            causes.push(body(path, &value(), format!("must be of type {format}: {:?}", shorten(text))));
        }
    }

    fn check_number(&self, number: f64, value: &Value, path: &str, causes: &mut Vec<Cause>) {
        if let Some(least) = self.minimum {
            if self.exclusive_minimum && number <= least {
                causes.push(body(path, value, format!("should be greater than {least}")));
            } else if number < least {
                causes.push(body(path, value, format!("should be greater than or equal to {least}")));
            }
        }
        if let Some(most) = self.maximum {
            if self.exclusive_maximum && number >= most {
                causes.push(body(path, value, format!("should be less than {most}")));
            } else if number > most {
                causes.push(body(path, value, format!("should be less than or equal to {most}")));
            }
        }
        if let Some(unit) = self.multiple_of
            && unit > 0.0
            && (number / unit).fract() != 0.0
        {
            causes.push(body(path, value, format!("should be a multiple of {unit}")));
        }
        let range = match self.format.as_deref() {
            Some("int32") => Some((f64::from(i32::MIN), f64::from(i32::MAX))),
            Some("uint32") => Some((0.0, f64::from(u32::MAX))),
            _ => None,
        };
        if let Some((least, most)) = range
            && !(least..=most).contains(&number)
        {
            let format = self.format.as_deref().unwrap_or_default();
            causes.push(body(path, value, format!("must be of type {format}: {value}")));
        }
    }

    fn check_array(&self, items: &[Value], path: &str, causes: &mut Vec<Cause>) {
        let count = items.len() as u64;
        if let Some(least) = self.min_items.filter(|least| count < *least) {
            causes.push(body(path, &count.into(), format!("should have at least {least} items")));
        }
        if let Some(most) = self.max_items.filter(|most| count > *most) {
            causes.push(too_many(path, count, most));
        }
        let keys = match &self.list_type {
            super::ListType::Map(keys) => Some(keys.as_slice()),
            super::ListType::Set => Some(&[][..]),
            super::ListType::Atomic if self.unique_items => Some(&[][..]),
            super::ListType::Atomic => None,
        };
        if let Some(keys) = keys {
            let mut seen = std::collections::BTreeSet::new();
            for (index, item) in items.iter().enumerate() {
                let identity = if keys.is_empty() {
                    item.clone()
                } else {
                    let pairs = keys.iter().map(|key| (key.clone(), item[key.as_str()].clone()));
                    Value::Object(pairs.collect())
                };
                if !seen.insert(identity.to_string()) {
                    causes.push(Cause::duplicate(format!("{path}[{index}]"), &identity));
                }
            }
        }
        if let Some(schema) = &self.items {
            for (index, item) in items.iter().enumerate() {
                schema.check(item, &format!("{path}[{index}]"), false, causes);
            }
        }
    }

    fn check_combined(&self, value: &Value, path: &str, root: bool, causes: &mut Vec<Cause>) {
        let holds = |schema: &Self| {
            let mut wrong = Vec::new();
            schema.check(value, path, root, &mut wrong);
            wrong
        };
        for schema in &self.all_of {
            causes.extend(holds(schema));
        }
        if !self.any_of.is_empty() && !self.any_of.iter().any(|schema| holds(schema).is_empty()) {
            causes.push(body(path, value, "must validate at least one schema (anyOf)".to_owned()));
        }
        if !self.one_of.is_empty() {
            let count = self.one_of.iter().filter(|schema| holds(schema).is_empty()).count();
            if count != 1 {
                let found = if count == 0 { "Found none valid" } else { "Found more than one valid" };
                let why = format!("must validate one and only one schema (oneOf). {found}");
                causes.push(body(path, value, why));
            }
        }
        if self.not.as_ref().is_some_and(|schema| holds(schema).is_empty()) {
            causes.push(body(path, value, "must not validate the schema (not)".to_owned()));
        }
    }
}

/// The formats that are checked; others are hints.
fn fits_format(format: &str, text: &str) -> bool {
    match format {
        "date-time" => text.parse::<jiff::Timestamp>().is_ok(),
        "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
        _ => true,
    }
}

fn type_error(path: &str, wanted: &str, value: &Value) -> Cause {
    let given = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    Cause {
        reason: "FieldValueTypeInvalid".to_owned(),
        ..body(path, &Value::from(given), format!("must be of type {wanted}: {given:?}"))
    }
}

fn too_many(path: &str, count: u64, most: u64) -> Cause {
    Cause {
        reason: "FieldValueTooMany".to_owned(),
        message: format!("Too many: {count}: must have at most {most} items"),
        field: path.to_owned(),
    }
}

fn body(path: &str, value: &Value, why: String) -> Cause {
    let shown = match value {
        Value::String(text) if text.len() > QUOTED => Value::from(shorten(text)),
        Value::Object(_) => "object".into(),
        Value::Array(_) => "array".into(),
        other => other.clone(),
    };
    Cause::invalid(path, &shown, format!("{path} in body {why}"))
}

fn shorten(text: &str) -> String {
    text.chars().take(QUOTED).collect()
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
