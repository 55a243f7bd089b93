//! The types of the built-in kinds: every field of Kubernetes 1.36's, with its type, and how lists and maps of it merge.
//!
//! `fields.txt` is the one table. What is refused or dropped as no field of a kind, what the four patches and server-side apply
//! merge by which key, and what OpenAPI documents and `kubectl explain` say are all read from it. `texts.txt` says in our own words
//! what kinds and the fields most written are for; a field without a text is explained by its name and its type.
//!
//! A line without indentation names a type (`atomic` after it where an object of the type is replaced as a whole); the lines below
//! are its fields: `name type`, `!` after the name of a field that is required. After the type: `#7` its number in protobuf (`#1.4`
//! where it is in a message whose fields are its own in JSON, `*` where a zero is a value and not the absence of one), `in:A|B` its
//! values, `default:x` what it is when it is not said, `here` for an object that is there even where nothing is in it, `map:k,k`,
//! `set`, `atomic` or `granular` for server-side apply, `patch:strategy:key` for strategic merge. A type that is no object has one
//! line, `= type`.

mod check;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::LazyLock;

pub(super) use self::check::{WrongType, check};

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Int32,
    Int64,
    Number,
    Boolean,
    /// Base64.
    Bytes,
    /// RFC 3339.
    Time,
    IntOrText,
    /// A text, or a number that becomes one.
    Quantity,
    /// An object with any fields.
    Object,
    Any,
    /// A type of the table, by its name.
    Named(&'static str),
}

impl Form {
    fn parse(text: &'static str) -> Option<Self> {
        Some(match text {
            "string" => Self::Text,
            "int32" => Self::Int32,
            "int64" => Self::Int64,
            "double" | "number" => Self::Number,
            "boolean" => Self::Boolean,
            "bytes" => Self::Bytes,
            "date-time" => Self::Time,
            "int-or-string" => Self::IntOrText,
            "quantity" => Self::Quantity,
            "object" => Self::Object,
            "any" => Self::Any,
            name if name.contains('.') => Self::Named(name),
            _ => return None,
        })
    }
}

/// What a value is, and whether there is one of it, a list or a map, or both in each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// What the table says: `[]`, `{}` and the name of a form.
    text: &'static str,
}

/// A shape without its outermost container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layer {
    List(Shape),
    Map(Shape),
    One(Form),
}

impl Shape {
    /// The outermost layer.
    pub(super) fn layer(self) -> Layer {
        if let Some(text) = self.text.strip_prefix("[]") {
            return Layer::List(Self { text });
        }
        if let Some(text) = self.text.strip_prefix("{}") {
            return Layer::Map(Self { text });
        }
        Layer::One(Form::parse(self.text).unwrap_or(Form::Any))
    }

    /// An object of the type of that name.
    pub(super) fn named(type_name: &'static str) -> Self {
        Self { text: type_name }
    }
}

/// How server-side apply merges a list or a map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Merge {
    /// Lists as a whole, maps by field.
    #[default]
    Usual,
    /// As a whole.
    Atomic,
    /// Maps by field, of types that are atomic elsewhere.
    Granular,
    /// By value.
    Set,
    /// By the values of these keys, separated by commas.
    Map(&'static str),
}

/// One field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) required: bool,
    /// Its number in protobuf; empty where it is not sent.
    pub(super) number: &'static str,
    /// Whether a zero or an empty message is a value there.
    pub(super) pointer: bool,
    /// Its values, separated by `|`.
    pub(super) choices: Option<&'static str>,
    pub(super) default: Option<&'static str>,
    /// An object that is no pointer.
    pub(super) always_there: bool,
    pub(super) merge: Merge,
    /// Strategy and key of strategic merge.
    pub(super) patch: Option<(&'static str, Option<&'static str>)>,
}

/// One type.
#[derive(Debug)]
pub(super) struct Type {
    pub(super) name: &'static str,
    /// Server-side apply replaces objects of it as a whole.
    pub(super) atomic: bool,
    /// What it is, where it is no object with fields.
    pub(super) alias: Option<Form>,
    pub(super) fields: Vec<Field>,
}

impl Type {
    /// The field of that name.
    pub(super) fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Its name without group and version, as Kubernetes' sources call it.
    pub(super) fn short_name(&self) -> &'static str {
        self.name.rsplit('.').next().unwrap_or(self.name)
    }
}

static TYPES: LazyLock<HashMap<&'static str, Type>> = LazyLock::new(|| {
    let mut types = HashMap::new();
    let mut current: Option<Type> = None;
    for line in include_str!("fields.txt").lines() {
        let Some(field) = line.strip_prefix(' ') else {
            types.extend(current.take().map(|done| (done.name, done)));
            let (name, mark) = line.split_once(' ').unwrap_or((line, ""));
            current = Some(Type { name, atomic: mark == "atomic", alias: None, fields: Vec::new() });
            continue;
        };
        let Some(current) = &mut current else { continue };
        match field.strip_prefix("= ") {
            Some(form) => current.alias = Form::parse(form),
            None => current.fields.extend(parse_field(field)),
        }
    }
    types.extend(current.map(|done| (done.name, done)));
    types
});

static TEXTS: LazyLock<HashMap<&'static str, &'static str>> =
    LazyLock::new(|| include_str!("texts.txt").lines().filter_map(|line| line.split_once(": ")).collect());

fn parse_field(line: &'static str) -> Option<Field> {
    let mut words = line.split(' ');
    let name = words.next()?;
    let shape = Shape { text: words.next()? };
    let mut field = Field {
        name: name.trim_end_matches('!'),
        shape,
        required: name.ends_with('!'),
        number: "",
        pointer: false,
        choices: None,
        default: None,
        always_there: false,
        merge: Merge::Usual,
        patch: None,
    };
    for word in words {
        if let Some(number) = word.strip_prefix('#') {
            field.number = number.trim_end_matches('*');
            field.pointer = number.ends_with('*');
            continue;
        }
        match word.split_once(':') {
            None if word == "here" => field.always_there = true,
            None if word == "set" => field.merge = Merge::Set,
            None if word == "atomic" => field.merge = Merge::Atomic,
            None if word == "granular" => field.merge = Merge::Granular,
            Some(("map", keys)) => field.merge = Merge::Map(keys),
            Some(("in", choices)) => field.choices = Some(choices),
            Some(("default", default)) => field.default = Some(default),
            Some(("patch", patch)) => {
                field.patch = Some(patch.split_once(':').map_or((patch, None), |(how, key)| (how, Some(key))));
            }
            _ => return None,
        }
    }
    Some(field)
}

/// The type of that name.
pub(super) fn get(name: &str) -> Option<&'static Type> {
    TYPES.get(name)
}

/// The type of a built-in kind.
pub(super) fn of_kind(group: &str, version: &str, kind: &str) -> Option<&'static Type> {
    let group = if group.is_empty() { "core" } else { group.split('.').next().unwrap_or(group) };
    get(&format!("{group}.{version}.{kind}"))
}

/// The metadata of every object.
pub(super) const METADATA: &str = "meta.v1.ObjectMeta";

/// What a type is for, or a field of it; empty where nothing is written. What every object has, any type with `metadata` has.
pub(super) fn text(type_name: &str, field: Option<&str>) -> &'static str {
    let Some(field) = field else { return TEXTS.get(type_name).copied().unwrap_or_default() };
    let own = TEXTS.get(format!("{type_name}.{field}").as_str());
    let is_object = || get(type_name).is_none_or(|found| found.field("metadata").is_some());
    let shared = || is_object().then(|| TEXTS.get(format!("*.{field}").as_str())).flatten();
    own.or_else(shared).copied().unwrap_or_default()
}
