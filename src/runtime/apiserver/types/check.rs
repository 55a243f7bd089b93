//! Whether an object is of its type: fields that no type has are dropped and named, a wrong type is an error in Go's words.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value};

use super::{Form, Layer, Shape, Type, get};

/// A value that is not of its field's type, in Kubernetes' words, so that scripts and people find what they know.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(in crate::runtime::apiserver) struct WrongType(String);

/// Gives `object` the fields of its type, and no others; at most `limit` paths of those that were dropped. Nulls mean "not set"
/// and are dropped in silence.
pub(in crate::runtime::apiserver) fn check(
    object: &mut Value,
    root: &'static Type,
    limit: usize,
) -> Result<Vec<String>, WrongType> {
    let mut checker =
        Checker { owner: root.short_name(), path: Vec::new(), shown: String::new(), unknown: Vec::new(), limit };
    checker.one(object, Form::Named(root.name))?;
    Ok(checker.unknown)
}

struct Checker {
    owner: &'static str,
    /// Names of the fields on the way.
    path: Vec<String>,
    /// The same with indices.
    shown: String,
    unknown: Vec<String>,
    limit: usize,
}

impl Checker {
    fn shape(&mut self, value: &mut Value, shape: Shape) -> Result<(), WrongType> {
        match (shape.layer(), value) {
            (Layer::One(form), value) => self.one(value, form),
            (Layer::List(items), Value::Array(values)) => {
                for (index, value) in values.iter_mut().enumerate() {
                    self.below(&format!("[{index}]"), |checker| checker.shape(value, items))?;
                }
                Ok(())
            }
            (Layer::Map(values), Value::Object(map)) => {
                map.retain(|_, value| !value.is_null());
                for (key, value) in map {
                    self.below(&format!(".{key}"), |checker| checker.shape(value, values))?;
                }
                Ok(())
            }
            (layer @ (Layer::List(_) | Layer::Map(_)), value) => Err(self.wrong(value, &go_name(layer))),
        }
    }

    fn one(&mut self, value: &mut Value, form: Form) -> Result<(), WrongType> {
        let fits = match form {
            Form::Any => true,
            Form::Text => value.is_string(),
            Form::Int32 => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
            Form::Int64 => value.is_i64(),
            Form::Number => value.is_number(),
            Form::Boolean => value.is_boolean(),
            Form::Object => value.is_object(),
            Form::IntOrText => value.is_string() || value.is_i64(),
            Form::Quantity if value.is_number() => {
                *value = value.to_string().into();
                true
            }
            Form::Quantity => match value.as_str() {
                Some(text) if quantity().is_some_and(|form| form.is_match(text)) => true,
                _ => return Err(WrongType(format!("quantities must match the regular expression '{QUANTITY}'"))),
            },
            Form::Bytes => match value.as_str().map(illegal_base64) {
                Some(Some(place)) => return Err(WrongType(format!("illegal base64 data at input byte {place}"))),
                given => given.is_some(),
            },
            Form::Time => match value.as_str() {
                Some(text) if text.parse::<jiff::Timestamp>().is_err() => {
                    return Err(WrongType(format!(
                        "parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse {text:?} as \"2006\""
                    )));
                }
                given => given.is_some(),
            },
            Form::Named(name) => match (get(name), &mut *value) {
                (None, _) => true,
                (Some(Type { alias: Some(alias), .. }), value) => return self.one(value, *alias),
                (Some(kind), Value::Object(map)) => return self.object(map, kind),
                (Some(_), _) => false,
            },
        };
        if fits { Ok(()) } else { Err(self.wrong(value, &go_name(Layer::One(form)))) }
    }

    fn object(&mut self, map: &mut Map<String, Value>, kind: &'static Type) -> Result<(), WrongType> {
        map.retain(|_, value| !value.is_null());
        for (name, value) in map.iter_mut() {
            let Some(field) = kind.field(name) else {
                if self.unknown.len() < self.limit {
                    let dot = if self.shown.is_empty() { "" } else { "." };
                    self.unknown.push(format!("{}{dot}{name}", self.shown));
                }
                continue;
            };
            let outer = std::mem::replace(&mut self.owner, kind.short_name());
            self.path.push(name.clone());
            let dot = if self.shown.is_empty() { "" } else { "." };
            self.below(&format!("{dot}{name}"), |checker| checker.shape(value, field.shape))?;
            self.path.pop();
            self.owner = outer;
        }
        map.retain(|name, _| kind.field(name).is_some());
        Ok(())
    }

    fn below(&mut self, step: &str, work: impl FnOnce(&mut Self) -> Result<(), WrongType>) -> Result<(), WrongType> {
        let length = self.shown.len();
        self.shown.push_str(step);
        work(self)?;
        self.shown.truncate(length);
        Ok(())
    }

    fn wrong(&self, value: &Value, wanted: &str) -> WrongType {
        let given = match value {
            Value::Null => "null".to_owned(),
            Value::Bool(_) => "bool".to_owned(),
            Value::Number(number) if wanted.starts_with("int") => format!("number {number}"),
            Value::Number(_) => "number".to_owned(),
            Value::String(_) => "string".to_owned(),
            Value::Array(_) => "array".to_owned(),
            Value::Object(_) => "object".to_owned(),
        };
        let path = self.path.join(".");
        WrongType(format!("json: cannot unmarshal {given} into Go struct field {}.{path} of type {wanted}", self.owner))
    }
}

const QUANTITY: &str = "^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$";

fn quantity() -> Option<&'static Regex> {
    static FORM: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(QUANTITY).ok());
    FORM.as_ref()
}

/// Where a text stops being base64.
fn illegal_base64(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let end = text.trim_end_matches('=').len();
    let digit = |c: &u8| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'/' | b'\n' | b'\r');
    if let Some(place) = bytes.iter().take(end).position(|c| !digit(c)) {
        return Some(place);
    }
    let digits = bytes.iter().take(end).filter(|c| !matches!(c, b'\n' | b'\r')).count();
    let padding = bytes.len() - end;
    ((digits + padding) % 4 != 0 || padding > 2).then_some(bytes.len())
}

/// What Kubernetes' sources call a type.
fn go_name(layer: Layer) -> String {
    match layer {
        Layer::List(items) => format!("[]{}", go_name(items.layer())),
        Layer::Map(values) => format!("map[string]{}", go_name(values.layer())),
        Layer::One(form) => match form {
            Form::Text | Form::Quantity => "string".to_owned(),
            Form::Int32 | Form::IntOrText => "int32".to_owned(),
            Form::Int64 => "int64".to_owned(),
            Form::Number => "float64".to_owned(),
            Form::Boolean => "bool".to_owned(),
            Form::Bytes => "[]uint8".to_owned(),
            Form::Time => "time.Time".to_owned(),
            Form::Object | Form::Any => "object".to_owned(),
            Form::Named(name) => match name.rsplit('.').take(2).collect::<Vec<_>>().as_slice() {
                // `core.v1.PodSpec` is `v1.PodSpec` in Go.
                [kind, version] => format!("{version}.{kind}"),
                _ => name.to_owned(),
            },
        },
    }
}
