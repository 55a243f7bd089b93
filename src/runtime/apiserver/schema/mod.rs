//! Structural schemas: what a CustomResourceDefinition says about its objects.
//!
//! A schema is compiled once, when its definition is stored. It prunes what it does not know, sets defaults, and says what is
//! wrong in Kubernetes' words. It refuses what a structural schema may not contain. Rules in CEL (`x-kubernetes-validations`) are not
//! evaluated: what they would refuse is the admission plugins' to refuse.

mod check;
mod shape;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use regex::Regex;
use serde_json::Value;

/// A JSON type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// `object`.
    Object,
    /// `array`.
    Array,
    /// `string`.
    String,
    /// `integer`.
    Integer,
    /// `number`.
    Number,
    /// `boolean`.
    Boolean,
}

impl Type {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "object" => Self::Object,
            "array" => Self::Array,
            "string" => Self::String,
            "integer" => Self::Integer,
            "number" => Self::Number,
            "boolean" => Self::Boolean,
            _ => return None,
        })
    }

    /// Its name in OpenAPI.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }
}

/// How a list merges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ListType {
    /// As a whole.
    #[default]
    Atomic,
    /// By value.
    Set,
    /// By the values of these keys.
    Map(Vec<String>),
}

/// A pattern, compiled at its first use.
#[derive(Debug)]
pub struct Pattern {
    text: String,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    fn regex(&self) -> Option<&Regex> {
        self.compiled.get_or_init(|| Regex::new(&self.text).ok()).as_ref()
    }
}

/// One node of a schema.
#[derive(Debug, Default)]
pub struct Schema {
    kind: Option<Type>,
    nullable: bool,
    int_or_string: bool,
    preserve: bool,
    embedded: bool,
    pub(super) properties: BTreeMap<String, Self>,
    pub(super) additional: Option<Box<Self>>,
    pub(super) items: Option<Box<Self>>,
    required: Vec<String>,
    choices: Vec<Value>,
    default: Option<Value>,
    pattern: Option<Pattern>,
    format: Option<String>,
    minimum: Option<f64>,
    maximum: Option<f64>,
    exclusive_minimum: bool,
    exclusive_maximum: bool,
    multiple_of: Option<f64>,
    min_length: Option<u64>,
    max_length: Option<u64>,
    min_items: Option<u64>,
    max_items: Option<u64>,
    min_properties: Option<u64>,
    max_properties: Option<u64>,
    unique_items: bool,
    pub(super) list_type: ListType,
    pub(super) atomic_map: bool,
    all_of: Vec<Self>,
    any_of: Vec<Self>,
    one_of: Vec<Self>,
    not: Option<Box<Self>>,
}

/// Deepest nesting of a schema.
const DEPTH: usize = 64;

impl Schema {
    /// Compiles the `openAPIV3Schema` at `path` of a definition.
    ///
    /// # Errors
    /// Every place that no structural schema may have, as (path, reason).
    pub fn parse(value: &Value, path: &str) -> Result<Self, Vec<(String, String)>> {
        let mut wrong = Vec::new();
        let schema = Self::node(value, path, 0, &mut wrong);
        if wrong.is_empty() { Ok(schema) } else { Err(wrong) }
    }

    fn node(value: &Value, path: &str, depth: usize, wrong: &mut Vec<(String, String)>) -> Self {
        let mut schema = Self::default();
        let Some(map) = value.as_object() else {
            wrong.push((path.to_owned(), "must be an object".to_owned()));
            return schema;
        };
        if depth > DEPTH {
            wrong.push((path.to_owned(), format!("nested deeper than {DEPTH} levels")));
            return schema;
        }
        let below = depth + 1;
        for (key, value) in map {
            let here = format!("{path}.{key}");
            match key.as_str() {
                "type" => {
                    schema.kind = value.as_str().and_then(Type::parse);
                    if schema.kind.is_none() {
                        wrong.push((here, format!("unsupported type {value}")));
                    }
                }
                "nullable" => schema.nullable = *value == true,
                "x-kubernetes-int-or-string" => schema.int_or_string = *value == true,
                "x-kubernetes-preserve-unknown-fields" => schema.preserve = *value == true,
                "x-kubernetes-embedded-resource" => schema.embedded = *value == true,
                "properties" => {
                    for (name, value) in value.as_object().into_iter().flatten() {
                        let here = format!("{here}[{name}]");
                        let child = Self::node(value, &here, below, wrong);
                        schema.properties.insert(name.clone(), child);
                    }
                }
                "additionalProperties" => match value {
                    Value::Bool(allowed) => schema.preserve |= *allowed,
                    value => {
                        let child = Self::node(value, &here, below, wrong);
                        schema.additional = Some(Box::new(child));
                    }
                },
                "items" => schema.items = Some(Box::new(Self::node(value, &here, below, wrong))),
                "required" => schema.required = strings(value),
                "enum" => schema.choices = value.as_array().cloned().unwrap_or_default(),
                "default" => schema.default = Some(value.clone()),
                "pattern" => {
                    let text = value.as_str().unwrap_or_default().to_owned();
                    schema.pattern = Some(Pattern { text, compiled: OnceLock::new() });
                }
                "format" => schema.format = value.as_str().map(str::to_owned),
                "minimum" => schema.minimum = value.as_f64(),
                "maximum" => schema.maximum = value.as_f64(),
                "exclusiveMinimum" => schema.exclusive_minimum = *value == true,
                "exclusiveMaximum" => schema.exclusive_maximum = *value == true,
                "multipleOf" => schema.multiple_of = value.as_f64(),
                "minLength" => schema.min_length = value.as_u64(),
                "maxLength" => schema.max_length = value.as_u64(),
                "minItems" => schema.min_items = value.as_u64(),
                "maxItems" => schema.max_items = value.as_u64(),
                "minProperties" => schema.min_properties = value.as_u64(),
                "maxProperties" => schema.max_properties = value.as_u64(),
                "uniqueItems" => schema.unique_items = *value == true,
                "x-kubernetes-list-type" => match value.as_str() {
                    Some("set") => schema.list_type = ListType::Set,
                    Some("map") => {
                        let keys = map.get("x-kubernetes-list-map-keys").map(strings);
                        schema.list_type = ListType::Map(keys.unwrap_or_default());
                    }
                    _ => {}
                },
                "x-kubernetes-map-type" => schema.atomic_map = value == "atomic",
                "allOf" => schema.all_of = Self::nodes(value, &here, below, wrong),
                "anyOf" => schema.any_of = Self::nodes(value, &here, below, wrong),
                "oneOf" => schema.one_of = Self::nodes(value, &here, below, wrong),
                "not" => schema.not = Some(Box::new(Self::node(value, &here, below, wrong))),
                "$ref" => wrong.push((here, "$ref is not supported here".to_owned())),
                _ => {}
            }
        }
        schema
    }

    fn nodes(value: &Value, path: &str, depth: usize, wrong: &mut Vec<(String, String)>) -> Vec<Self> {
        value
            .as_array()
            .into_iter()
            .flatten()
            .enumerate()
            .map(|(index, value)| Self::node(value, &format!("{path}[{index}]"), depth, wrong))
            .collect()
    }
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
