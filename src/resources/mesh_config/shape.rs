//! What a setting looks like, and the one function that holds a value against it.

use serde_json::Value;

use crate::resources::field::{Cx, Field};
use crate::resources::suggest::shortened;
use crate::resources::values::Duration;

/// What a setting looks like. Null stands for one that is absent, as in all of them.
pub(super) enum Shape {
    /// Text.
    Text,
    /// A boolean.
    Flag,
    /// A whole number of 32 bits; text with one counts, as in protobuf's JSON.
    Whole,
    /// The same from 0 on.
    Count,
    /// A number.
    Number,
    /// A duration such as `5s`.
    Span,
    /// One of these words.
    One(&'static [&'static str]),
    /// Texts by name.
    Texts,
    /// Anything.
    Tree,
    /// A list of these.
    List(&'static Self),
    /// A mapping with names of its own to these.
    Entries(&'static Self),
    /// A mapping with these fields.
    Record(&'static Record),
    /// What a kind of the mesh's has as well.
    Like(fn(&Value, &mut Cx)),
}

/// A mapping with known fields.
pub(super) struct Record {
    pub(super) fields: &'static [(&'static str, Shape)],
    /// Fields of which at most one can be set.
    pub(super) one_of: &'static [&'static str],
}

/// What a type of another kind looks like.
pub(super) const fn like<T: Field>() -> Shape {
    Shape::Like(|value, cx| {
        T::decode(value, cx);
    })
}

/// Notes what of a value does not fit.
pub(super) fn check(value: &Value, shape: &Shape, cx: &mut Cx) {
    if value.is_null() {
        return;
    }
    match shape {
        Shape::Tree => {}
        Shape::Text if value.is_string() => {}
        Shape::Text => cx.wrong_type("a string", value),
        Shape::Flag if value.is_boolean() => {}
        Shape::Flag => cx.wrong_type("a boolean", value),
        Shape::Number if value.is_number() => {}
        Shape::Number => cx.wrong_type("a number", value),
        Shape::Whole => whole(value, i64::from(i32::MIN), i64::from(i32::MAX), cx),
        Shape::Count => whole(value, 0, i64::from(u32::MAX), cx),
        Shape::Span => match value.as_str() {
            Some(text) if text.parse::<Duration>().is_ok() => {}
            Some(text) => cx.error(format!("is no duration: {:?} (write one such as `5s`)", shortened(text))),
            None => cx.wrong_type("a duration such as `5s`", value),
        },
        Shape::One(words) => match value.as_str() {
            Some(word) if words.contains(&word) => {}
            Some(word) => cx.error(format!("cannot be {:?}{}", shortened(word), cx.guess(word, words))),
            None => cx.wrong_type("a string", value),
        },
        Shape::Texts => check(value, &Shape::Entries(&Shape::Text), cx),
        Shape::List(items) => match value.as_array() {
            Some(list) => {
                for (index, item) in list.iter().enumerate() {
                    cx.at_index(index, |cx| check(item, items, cx));
                }
            }
            None => cx.wrong_type("a list", value),
        },
        Shape::Entries(entries) => match value.as_object() {
            Some(map) => {
                for (key, entry) in map {
                    cx.at(key, |cx| check(entry, entries, cx));
                }
            }
            None => cx.wrong_type("a mapping", value),
        },
        Shape::Record(record) => fields(value, record, cx),
        Shape::Like(decode) => decode(value, cx),
    }
}

fn fields(value: &Value, record: &Record, cx: &mut Cx) {
    let known: Vec<&str> = record.fields.iter().map(|(name, _)| *name).collect();
    let Some(object) = cx.object(value, &known) else { return };
    for (name, shape) in record.fields {
        if let Some(value) = object.get(*name) {
            cx.at(name, |cx| check(value, shape, cx));
        }
    }
    cx.one_of(object, &[record.one_of]);
}

fn whole(value: &Value, least: i64, most: i64, cx: &mut Cx) {
    let number = value.as_i64().or_else(|| value.as_str()?.parse().ok());
    match number {
        Some(number) if (least..=most).contains(&number) => {}
        Some(number) => cx.error(format!("has to be from {least} to {most}, and is {number}")),
        None => cx.wrong_type("a whole number", value),
    }
}
