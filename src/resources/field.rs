//! How a kind's fields are declared, read, written and described: one declaration for all four.
//!
//! [`record!`] and [`names!`] turn a declaration into a Rust type, its decoder, its encoder and its part of the CRD's schema,
//! so that none of them can know a field that the others do not. Decoding collects every fault of an object; the checks that
//! go beyond single fields are named in the declaration and run as soon as their struct is sound, whatever is wrong around it.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value, json};

use super::finding::{Findings, MAX_FINDINGS, Severity};
use super::suggest;
use crate::yaml::{Path, Segment};

/// How the message about a field that there is none of begins.
pub(crate) const UNKNOWN_FIELD: &str = "is not a field of this kind";

/// A type that a field of an object can have.
pub trait Field: Sized {
    /// Whether an object without the field is refused.
    const REQUIRED: bool = true;

    /// Its structural OpenAPI v3 schema.
    fn schema() -> Value;

    /// Reads it; faults go to `cx`, and `None` means there was one.
    fn decode(value: &Value, cx: &mut Cx) -> Option<Self>;

    /// What an absent field means; `None` if it has to be there.
    fn absent() -> Option<Self> {
        None
    }

    /// Writes it; `None` leaves the field out.
    fn encode(&self) -> Option<Value>;
}

/// Reads a value that is not an object of its own, such as the settings of an installation.
///
/// # Errors
/// Everything that is wrong with it, in the order of its fields.
pub fn decode<T: Field>(value: &Value) -> Result<T, Findings> {
    let mut cx = Cx::default();
    let decoded = T::decode(value, &mut cx);
    match decoded {
        Some(decoded) if !cx.findings.is_refused() => Ok(decoded),
        _ => Err(cx.findings),
    }
}

/// A limit of one field: the schema states it and the decoder holds it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    /// A duration of whole milliseconds, and of at least one.
    AtLeast1ms,
    /// A number in this range.
    Between(i64, i64),
    /// Items of a list in this range.
    ItemsBetween(i64, i64),
    /// A number from this on.
    Min(i64),
    /// No more than this many items.
    MaxItems(usize),
    /// At least this many items.
    MinItems(usize),
    /// At least this many entries.
    MinProperties(usize),
    /// Labels that select workloads: no wildcards, no empty keys, short values.
    Selector,
    /// The schema lets the field be null.
    Nullable,
    /// Base64.
    Bytes,
    /// The field has to be there.
    Required,
    /// If the list is there, it has items: an empty one would mean the opposite of what it looks like.
    NotEmpty,
    /// At least this many characters.
    MinLength(usize),
    /// At most this many characters.
    MaxLength(usize),
    /// Items, or an entry's values, of at least this many characters.
    ItemsMinLength(usize),
    /// Items, or an entry's values, of at most this many characters.
    ItemsMaxLength(usize),
    /// No more than this many entries.
    MaxProperties(usize),
    /// Text of this form.
    Pattern(TextPattern),
    /// Items that differ in this field of theirs.
    UniqueBy(&'static str),
    /// What the API server puts in place of an absent field, as JSON. The types' own methods know it as well.
    Default(&'static str),
    /// A list that is changed as a whole.
    Atomic,
    /// Items that differ.
    Set,
    /// Rules that the schema states; the struct's check holds them.
    Cel(&'static [(&'static str, &'static str)]),
    /// The same of a list's items, or of a mapping's values.
    ItemsCel(&'static [(&'static str, &'static str)]),
}

/// The form of a text: as the schema states it, and as code.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TextPattern {
    /// The regular expression.
    pub(super) pattern: &'static str,
    /// The same as a function.
    pub(super) holds: fn(&str) -> bool,
    /// What is wrong with a text that does not match; reads on from the field's path.
    pub(super) sentence: &'static str,
}

/// Where decoding is, and what it has found so far.
#[derive(Debug, Default)]
pub struct Cx {
    path: Path,
    pub(super) findings: Findings,
    /// Namespace of the object.
    pub(super) namespace: String,
}

impl Cx {
    /// Notes an error at the current field.
    pub(crate) fn error(&mut self, message: impl Into<String>) {
        self.findings.push(self.path.clone(), Severity::Error, message.into());
    }

    /// Notes an error at a field of the current struct.
    pub(crate) fn error_at(&mut self, field: &str, message: impl Into<String>) {
        self.at(field, |cx| cx.error(message));
    }

    /// Whether something is wrong with `field` already, so that one fault is said once.
    pub(super) fn is_faulty(&self, field: &str) -> bool {
        let path = self.path.key(field);
        self.findings.errors.iter().any(|finding| finding.path == path)
    }

    /// Whether the current value is an entry of the mapping `field`.
    pub(super) fn is_entry_of(&self, field: &str) -> bool {
        matches!(self.path.segments(), [.., Segment::Key(parent), Segment::Key(_)] if **parent == *field)
    }

    /// What may have been meant by `word`; nothing once there are more errors than are shown, for guessing is not cheap.
    pub(crate) fn guess(&self, word: &str, known: &[&str]) -> String {
        if self.findings.errors.len() < MAX_FINDINGS { suggest::among(word, known) } else { String::new() }
    }

    /// Notes a warning at the current field.
    pub(super) fn warn(&mut self, message: impl Into<String>) {
        self.findings.push(self.path.clone(), Severity::Warning, message.into());
    }

    /// Notes a warning at a field of the current struct.
    pub(super) fn warn_at(&mut self, field: &str, message: impl Into<String>) {
        self.at(field, |cx| cx.warn(message));
    }

    /// Runs `inside` one key deeper.
    pub(super) fn at<T>(&mut self, key: &str, inside: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push_key(key);
        let result = inside(self);
        self.path.pop();
        result
    }

    /// Runs `inside` one index deeper.
    pub(super) fn at_index<T>(&mut self, index: usize, inside: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push_index(index);
        let result = inside(self);
        self.path.pop();
        result
    }

    /// Notes that the value has the wrong type.
    pub(crate) fn wrong_type(&mut self, wanted: &str, value: &Value) {
        let found = match value {
            Value::Null => "null".to_owned(),
            Value::Bool(value) => format!("the boolean {value}"),
            Value::Number(number) => format!("the number {number}"),
            Value::String(text) => format!("the string {:?}", suggest::shortened(text)),
            Value::Array(_) => "a list".to_owned(),
            Value::Object(_) => "a mapping".to_owned(),
        };
        let remedy = match (wanted, value) {
            ("a string", Value::Bool(_) | Value::Number(_)) => ": put it in quotes",
            (wanted, Value::String(_)) if wanted.contains("number") || wanted == "a boolean" => {
                ": write it without quotes"
            }
            ("a list", Value::Null | Value::Array(_)) => "",
            ("a list", _) => ": put `- ` before its items",
            _ => "",
        };
        self.error(format!("has to be {wanted}, and is {found}{remedy}"));
    }

    /// The value as a mapping that has none but the known fields.
    pub(crate) fn object<'v>(&mut self, value: &'v Value, known: &[&str]) -> Option<&'v Map<String, Value>> {
        let Value::Object(object) = value else {
            self.wrong_type("a mapping", value);
            return None;
        };
        for key in object.keys() {
            if !known.contains(&key.as_str()) {
                let hint = self.guess(key, known);
                self.error_at(key, format!("{UNKNOWN_FIELD}{hint}"));
            }
        }
        Some(object)
    }

    /// One field of a struct. Null counts as absent.
    pub(crate) fn field<T: Field>(&mut self, object: &Map<String, Value>, name: &str, limits: &[Limit]) -> Option<T> {
        match object.get(name) {
            None | Some(Value::Null) => {
                let absent = T::absent();
                if absent.is_none() || limits.iter().any(|limit| matches!(limit, Limit::Required)) {
                    self.error_at(name, "is required: add it");
                }
                absent
            }
            Some(value) => self.at(name, |cx| {
                let decoded = T::decode(value, cx)?;
                for limit in limits {
                    limit.check(value, cx);
                }
                Some(decoded)
            }),
        }
    }

    /// At most one field of each group may be set.
    pub(crate) fn one_of(&mut self, object: &Map<String, Value>, groups: &[&[&str]]) {
        for group in groups {
            let mut set = group.iter().filter(|name| object.get(**name).is_some_and(|value| !value.is_null()));
            if let (Some(first), Some(second)) = (set.next(), set.next()) {
                self.error(format!("has both `{first}` and `{second}`, and only one of them can be: remove one"));
            }
        }
    }
}

impl Limit {
    fn check(self, value: &Value, cx: &mut Cx) {
        let items = value.as_array().map_or(0, Vec::len);
        match self {
            Self::AtLeast1ms => {
                let Some(duration) = value.as_str().and_then(|text| text.parse::<super::Duration>().ok()) else {
                    return;
                };
                if duration.get() < std::time::Duration::from_millis(1) {
                    cx.error("has to be at least 1ms");
                } else if !duration.get().as_nanos().is_multiple_of(1_000_000) {
                    cx.error("has to be whole milliseconds");
                }
            }
            Self::Between(min, max) => between(value, min, max, cx),
            Self::ItemsBetween(min, max) => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    cx.at_index(index, |cx| between(item, min, max, cx));
                }
            }
            Self::Min(min) if value.as_f64().is_some_and(|number| number < min as f64) => {
                cx.error(format!("has to be at least {min}, and is {value}"));
            }
            Self::MaxItems(max) if items > max => cx.error(format!("can have at most {max} items, and has {items}")),
            Self::MinItems(min) if items < min => {
                cx.error(format!("has to have at least {min} items, and has {items}"));
            }
            Self::MinProperties(min) if value.as_object().is_some_and(|object| object.len() < min) => {
                cx.error(format!("has to have at least {min} entry: add one, or remove the field"));
            }
            Self::Selector => selector(value, cx),
            Self::NotEmpty if value.as_array().is_some_and(Vec::is_empty) => {
                cx.error("is empty: remove it if it is to mean any, or add an item");
            }
            Self::MinLength(min) => shortest(value, min, cx),
            Self::MaxLength(max) => longest(value, max, cx),
            Self::ItemsMinLength(min) => each(value, cx, |item, cx| shortest(item, min, cx)),
            Self::ItemsMaxLength(max) => each(value, cx, |item, cx| longest(item, max, cx)),
            Self::MaxProperties(max) if value.as_object().is_some_and(|object| object.len() > max) => {
                cx.error(format!("can have at most {max} entries"));
            }
            Self::Pattern(pattern) if value.as_str().is_some_and(|text| !(pattern.holds)(text)) => {
                cx.error(format!("{}: {:?}", pattern.sentence, suggest::shortened(value.as_str().unwrap_or_default())));
            }
            Self::UniqueBy(field) => unique(value, field, cx),
            Self::Set => distinct(value, cx),
            Self::NotEmpty
            | Self::Default(_)
            | Self::Atomic
            | Self::MaxProperties(_)
            | Self::Pattern(_)
            | Self::Cel(_)
            | Self::ItemsCel(_)
            | Self::Min(_)
            | Self::MaxItems(_)
            | Self::MinItems(_)
            | Self::MinProperties(_)
            | Self::Nullable
            | Self::Bytes
            | Self::Required => {}
        }
    }

    fn describe(self, schema: &mut Map<String, Value>) {
        let mut set = |name: &str, value: Value| {
            schema.insert(name.to_owned(), value);
        };
        match self {
            Self::AtLeast1ms => set(
                "x-kubernetes-validations",
                json!([{"message": "must be at least 1ms", "rule": "duration(self) >= duration('1ms')"}]),
            ),
            Self::Between(min, max) => {
                set("minimum", json!(min));
                set("maximum", json!(max));
            }
            Self::ItemsBetween(min, max) => {
                if let Some(Value::Object(items)) = schema.get_mut("items") {
                    Self::Between(min, max).describe(items);
                    items.remove("format");
                }
            }
            Self::Min(min) => set("minimum", json!(min)),
            Self::MaxItems(max) => set("maxItems", json!(max)),
            Self::MinItems(min) => set("minItems", json!(min)),
            Self::MinProperties(min) => set("minProperties", json!(min)),
            Self::Nullable => set("nullable", json!(true)),
            Self::Bytes => set("format", json!("byte")),
            // The first is stated by the struct that has the field, the second by no schema of upstream's.
            Self::Required | Self::NotEmpty => {}
            Self::MinLength(min) => set("minLength", json!(min)),
            Self::MaxLength(max) => set("maxLength", json!(max)),
            Self::ItemsMinLength(_) | Self::ItemsMaxLength(_) | Self::ItemsCel(_) => {
                let limit = match self {
                    Self::ItemsMinLength(min) => Self::MinLength(min),
                    Self::ItemsMaxLength(max) => Self::MaxLength(max),
                    Self::ItemsCel(rules) => Self::Cel(rules),
                    other => other,
                };
                let inner = if schema.contains_key("items") { "items" } else { "additionalProperties" };
                if let Some(Value::Object(items)) = schema.get_mut(inner) {
                    limit.describe(items);
                }
            }
            Self::MaxProperties(max) => set("maxProperties", json!(max)),
            Self::Pattern(pattern) => set("pattern", json!(pattern.pattern)),
            Self::UniqueBy(field) => {
                set("x-kubernetes-list-type", json!("map"));
                set("x-kubernetes-list-map-keys", json!([field]));
            }
            Self::Default(json) => set("default", serde_json::from_str(json).unwrap_or(Value::Null)),
            Self::Atomic => set("x-kubernetes-list-type", json!("atomic")),
            Self::Set => set("x-kubernetes-list-type", json!("set")),
            Self::Cel(rules) => {
                let stated = schema.entry("x-kubernetes-validations").or_insert_with(|| json!([]));
                if let Value::Array(stated) = stated {
                    stated.extend(rules.iter().map(|(rule, message)| json!({"rule": rule, "message": message})));
                }
            }
            Self::Selector => {
                set("maxProperties", json!(4096));
                set(
                    "x-kubernetes-validations",
                    json!([
                        {"message": "a label's key cannot hold a wildcard", "rule": "self.all(key, !key.contains('*'))"},
                        {"message": "a label's key cannot be empty", "rule": "self.all(key, key.size() != 0)"},
                    ]),
                );
                set(
                    "additionalProperties",
                    json!({
                        "type": "string",
                        "maxLength": 63,
                        "x-kubernetes-validations": [
                            {"message": "a label's value cannot hold a wildcard", "rule": "!self.contains('*')"},
                        ],
                    }),
                );
            }
        }
    }
}

fn shortest(value: &Value, min: usize, cx: &mut Cx) {
    if value.as_str().is_some_and(|text| text.chars().count() < min) {
        cx.error(if min == 1 {
            "is empty: write it out, or remove it".to_owned()
        } else {
            format!("has to have at least {min} characters")
        });
    }
}

fn longest(value: &Value, max: usize, cx: &mut Cx) {
    if let Some(length) = value.as_str().map(|text| text.chars().count()).filter(|length| *length > max) {
        cx.error(format!("has {length} characters, and can have at most {max}"));
    }
}

/// Every item of a list, or every value of a mapping.
fn each(value: &Value, cx: &mut Cx, check: impl Fn(&Value, &mut Cx)) {
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                cx.at_index(index, |cx| check(item, cx));
            }
        }
        Value::Object(entries) => {
            for (key, entry) in entries {
                cx.at(key, |cx| check(entry, cx));
            }
        }
        _ => {}
    }
}

fn unique(value: &Value, field: &str, cx: &mut Cx) {
    let mut seen = HashSet::new();
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        let Some(key) = item.get(field).filter(|key| !key.is_null()) else { continue };
        if !seen.insert(key.to_string()) {
            cx.at_index(index, |cx| {
                cx.error_at(field, format!("repeats {key}, and items have to differ in it: remove one"));
            });
        }
    }
}

fn distinct(value: &Value, cx: &mut Cx) {
    let mut seen = HashSet::new();
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        if !seen.insert(item.to_string()) {
            cx.at_index(index, |cx| cx.error(format!("repeats {item}: remove it")));
        }
    }
}

fn between(value: &Value, min: i64, max: i64, cx: &mut Cx) {
    let outside = value.as_f64().is_some_and(|number| number < min as f64 || number > max as f64);
    if outside {
        cx.error(format!("has to be between {min} and {max}, and is {value}"));
    }
}

fn selector(value: &Value, cx: &mut Cx) {
    for (key, value) in value.as_object().into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        let fault = if key.is_empty() {
            "has an empty key, which no label has"
        } else if key.contains('*') || value.contains('*') {
            "has a wildcard, and a selector compares labels as they are: write the label out"
        } else if value.len() > 63 {
            "is longer than 63 characters, as no label is"
        } else {
            continue;
        };
        cx.at(key, |cx| cx.error(fault));
    }
}

/// The schema of a struct under construction.
pub(crate) struct ObjectSchema {
    properties: Map<String, Value>,
    required: Vec<&'static str>,
    rest: Map<String, Value>,
}

impl ObjectSchema {
    pub(crate) fn new(description: &str) -> Self {
        let mut rest = Map::new();
        rest.insert("type".to_owned(), json!("object"));
        if !description.is_empty() {
            rest.insert("description".to_owned(), json!(description.trim()));
        }
        Self { properties: Map::new(), required: Vec::new(), rest }
    }

    pub(crate) fn field<T: Field>(&mut self, name: &'static str, description: &str, limits: &[Limit]) {
        let mut schema = T::schema();
        if let Value::Object(schema) = &mut schema {
            schema.insert("description".to_owned(), json!(description.trim()));
            for limit in limits {
                limit.describe(schema);
            }
        }
        if T::REQUIRED || limits.iter().any(|limit| matches!(limit, Limit::Required)) {
            self.required.push(name);
        }
        self.properties.insert(name.to_owned(), schema);
    }

    /// Structural schemas state "at most one of" as "none of, or exactly this one".
    pub(crate) fn one_of(&mut self, groups: &[&[&str]]) {
        let mut choices: Vec<Value> = groups
            .iter()
            .map(|group| {
                let each: Vec<Value> = group.iter().map(|name| json!({"required": [name]})).collect();
                let mut choice = vec![json!({"not": {"anyOf": each}})];
                choice.extend(each);
                json!({ "oneOf": choice })
            })
            .collect();
        match (choices.len(), choices.pop()) {
            (1, Some(Value::Object(single))) => self.rest.extend(single),
            (_, Some(last)) => {
                choices.push(last);
                self.rest.insert("allOf".to_owned(), Value::Array(choices));
            }
            (_, None) => {}
        }
    }

    pub(crate) fn cel(&mut self, rules: &[(&str, &str)]) {
        let rules: Vec<Value> = rules.iter().map(|(rule, message)| json!({"rule": rule, "message": message})).collect();
        self.rest.insert("x-kubernetes-validations".to_owned(), Value::Array(rules));
    }

    pub(crate) fn finish(self) -> Value {
        let mut schema = self.rest;
        schema.insert("properties".to_owned(), Value::Object(self.properties));
        if !self.required.is_empty() {
            schema.insert("required".to_owned(), json!(self.required));
        }
        Value::Object(schema)
    }
}

/// Declares a struct: `field: Type = "name" [limits];`, then optionally `one_of`, `cel` rules for the schema and a `check`.
macro_rules! record {
    (
        $(#[doc = $doc:literal])*
        pub struct $name:ident {
            $( $(#[doc = $field_doc:literal])+ $field:ident: $type:ty = $json:literal $([$($limit:expr),+])?; )*
        }
        $(one_of: $one_of:expr;)?
        $(cel: $cel:expr;)?
        $(check: $check:path;)?
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $( $(#[doc = $field_doc])+ pub $field: $type, )*
        }

        impl $crate::resources::field::Field for $name {
            const REQUIRED: bool = true;

            fn schema() -> serde_json::Value {
                #[allow(unused_mut)]
                let mut schema = $crate::resources::field::ObjectSchema::new(concat!($($doc),*));
                $( schema.field::<$type>($json, concat!($($field_doc),+), &[$($($limit),+)?]); )*
                $( schema.one_of($one_of); )?
                $( schema.cel($cel); )?
                schema.finish()
            }

            fn decode(value: &serde_json::Value, cx: &mut $crate::resources::field::Cx) -> Option<Self> {
                let object = cx.object(value, &[$($json),*])?;
                $( let $field = cx.field::<$type>(object, $json, &[$($($limit),+)?]); )*
                $( cx.one_of(object, $one_of); )?
                let record = Self { $( $field: $field?, )* };
                $( $check(&record, cx); )?
                Some(record)
            }

            fn encode(&self) -> Option<serde_json::Value> {
                let mut object = serde_json::Map::new();
                $(
                    if let Some(value) = $crate::resources::field::Field::encode(&self.$field) {
                        object.insert($json.to_owned(), value);
                    }
                )*
                Some(serde_json::Value::Object(object))
            }
        }
    };
}

/// Declares an enum of names: `Variant = "NAME"`.
macro_rules! names {
    (
        $(#[doc = $doc:literal])*
        pub enum $name:ident {
            $( $(#[doc = $variant_doc:literal])+ $variant:ident = $json:literal, )+
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $( $(#[doc = $variant_doc])+ $variant, )+
        }

        impl $name {
            /// The name as configuration writes it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $( Self::$variant => $json, )+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl $crate::resources::field::Field for $name {
            fn schema() -> serde_json::Value {
                serde_json::json!({"type": "string", "enum": [$($json),+]})
            }

            fn decode(value: &serde_json::Value, cx: &mut $crate::resources::field::Cx) -> Option<Self> {
                match value.as_str() {
                    $( Some($json) => Some(Self::$variant), )+
                    Some(other) => {
                        let hint = cx.guess(other, &[$($json),+]);
                        cx.error(format!("cannot be {other:?}{hint}"));
                        None
                    }
                    None => {
                        cx.wrong_type("a string", value);
                        None
                    }
                }
            }

            fn encode(&self) -> Option<serde_json::Value> {
                Some(self.as_str().into())
            }
        }
    };
}

pub(crate) use {names, record};

/// Declares how a plain JSON type is read: what it is called, its schema, and how to get it out of a value.
macro_rules! plain {
    ($($type:ty: $wanted:literal, $schema:tt, $get:expr;)+) => {
        $(
            impl Field for $type {
                fn schema() -> Value {
                    json!($schema)
                }

                fn decode(value: &Value, cx: &mut Cx) -> Option<Self> {
                    let get: fn(&Value) -> Option<$type> = $get;
                    let decoded = get(value);
                    if decoded.is_none() {
                        cx.wrong_type($wanted, value);
                    }
                    decoded
                }

                fn encode(&self) -> Option<Value> {
                    Some(Value::from(self.clone()))
                }
            }
        )+
    };
}

plain! {
    String: "a string", {"type": "string"}, |value| value.as_str().map(str::to_owned);
    bool: "a boolean", {"type": "boolean"}, Value::as_bool;
    f64: "a number", {"type": "number", "format": "double"}, Value::as_f64;
    i32: "a whole number of at most 32 bits", {"type": "integer", "format": "int32"},
        |value| i32::try_from(whole(value)?).ok();
    u32: "a whole number from 0 to 4294967295", {"type": "integer", "minimum": 0, "maximum": 4_294_967_295_u32},
        |value| u32::try_from(whole(value)?).ok();
    u64: "a whole number from 0", {"type": "integer", "minimum": 0}, |value| u64::try_from(whole(value)?).ok();
}

/// A number without a fraction, however it is written: JSON does not tell `1.0` from `1`.
pub(super) fn whole(value: &Value) -> Option<i128> {
    const EXACT: f64 = 9_007_199_254_740_992.0;

    let number = value.as_number()?;
    if let Some(whole) = number.as_i128() {
        return Some(whole);
    }
    let float = number.as_f64()?;
    #[expect(clippy::cast_possible_truncation, reason = "whole and within f64's exact integers, as tested")]
    (float.fract() == 0.0 && float.abs() <= EXACT).then_some(float as i128)
}

impl<T: Field> Field for Option<T> {
    const REQUIRED: bool = false;

    fn schema() -> Value {
        T::schema()
    }

    fn decode(value: &Value, cx: &mut Cx) -> Option<Self> {
        T::decode(value, cx).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }

    fn encode(&self) -> Option<Value> {
        self.as_ref().and_then(T::encode)
    }
}

impl<T: Field> Field for Box<T> {
    const REQUIRED: bool = T::REQUIRED;

    fn schema() -> Value {
        T::schema()
    }

    fn decode(value: &Value, cx: &mut Cx) -> Option<Self> {
        T::decode(value, cx).map(Self::new)
    }

    fn encode(&self) -> Option<Value> {
        T::encode(self)
    }
}

impl<T: Field> Field for Vec<T> {
    const REQUIRED: bool = false;

    fn schema() -> Value {
        json!({"type": "array", "items": T::schema()})
    }

    fn decode(value: &Value, cx: &mut Cx) -> Option<Self> {
        let Value::Array(items) = value else {
            cx.wrong_type("a list", value);
            return None;
        };
        // Every item is read before the first fault ends it, so that all faults are found.
        let decoded: Vec<Option<T>> =
            items.iter().enumerate().map(|(index, item)| cx.at_index(index, |cx| T::decode(item, cx))).collect();
        decoded.into_iter().collect()
    }

    fn absent() -> Option<Self> {
        Some(Self::new())
    }

    fn encode(&self) -> Option<Value> {
        let items: Vec<Value> = self.iter().filter_map(T::encode).collect();
        (!items.is_empty()).then_some(Value::Array(items))
    }
}

impl<T: Field> Field for BTreeMap<String, T> {
    const REQUIRED: bool = false;

    fn schema() -> Value {
        json!({"type": "object", "additionalProperties": T::schema()})
    }

    fn decode(value: &Value, cx: &mut Cx) -> Option<Self> {
        let Value::Object(entries) = value else {
            cx.wrong_type("a mapping", value);
            return None;
        };
        let decoded: Vec<Option<(String, T)>> = entries
            .iter()
            .map(|(key, value)| cx.at(key, |cx| T::decode(value, cx)).map(|value| (key.clone(), value)))
            .collect();
        decoded.into_iter().collect()
    }

    fn absent() -> Option<Self> {
        Some(Self::new())
    }

    fn encode(&self) -> Option<Value> {
        let entries: Map<String, Value> =
            self.iter().filter_map(|(key, value)| Some((key.clone(), value.encode()?))).collect();
        (!entries.is_empty()).then_some(Value::Object(entries))
    }
}
