//! How the parts of an object merge: which lists merge by which keys, and which parts are replaced as a whole.

use crate::runtime::apiserver::schema::{ListType, Schema};
use crate::runtime::apiserver::types::{self, Field, Form, Layer, Merge, Type};

/// How a list merges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ListRule {
    /// As a whole.
    Atomic,
    /// By value.
    Set,
    /// By the values of keys; a key that is missing has the default that stands beside it.
    Map(Vec<(String, Option<&'static str>)>),
}

/// A place in an object, and how it merges.
#[derive(Clone)]
pub(crate) enum Shape<'a> {
    /// In a built-in kind.
    Builtin {
        /// What is there.
        shape: types::Shape,
        /// The field that it is the value of; none for an object itself, and for the items of a list or map.
        field: Option<&'static Field>,
    },
    /// In a custom kind.
    Custom(&'a Schema),
    /// Nothing is known: fields merge, lists are replaced.
    Unknown,
}

impl Shape<'_> {
    /// An object of a built-in kind.
    pub(crate) fn builtin(kind: Option<&'static Type>) -> Self {
        kind.map_or(Self::Unknown, |kind| Self::Builtin { shape: types::Shape::named(kind.name), field: None })
    }

    /// The shape of a field.
    pub(crate) fn field(&self, name: &str) -> Self {
        match self {
            Self::Builtin { shape, .. } => match shape.layer() {
                Layer::Map(values) => Self::Builtin { shape: values, field: None },
                _ => named(*shape)
                    .and_then(|kind| kind.field(name))
                    .map_or(Self::Unknown, |field| Self::Builtin { shape: field.shape, field: Some(field) }),
            },
            Self::Custom(_) if name == "metadata" => Self::builtin(types::get(types::METADATA)),
            Self::Custom(schema) => {
                let child = schema.properties.get(name).or(schema.additional.as_deref());
                child.map_or(Self::Unknown, Self::Custom)
            }
            Self::Unknown => Self::Unknown,
        }
    }

    /// The shape of a list's items.
    pub(crate) fn item(&self) -> Self {
        match self {
            Self::Builtin { shape, .. } => match shape.layer() {
                Layer::List(shape) => Self::Builtin { shape, field: None },
                _ => Self::Unknown,
            },
            Self::Custom(schema) => schema.items.as_deref().map_or(Self::Unknown, Self::Custom),
            Self::Unknown => Self::Unknown,
        }
    }

    /// Whether an object of this kind holds the place even where nothing is in it: a field of Kubernetes' own types that is no
    /// pointer.
    pub(crate) fn always_there(&self) -> bool {
        match self {
            Self::Builtin { field, .. } => field.is_none_or(|field| field.always_there),
            Self::Custom(_) | Self::Unknown => false,
        }
    }

    /// How server-side apply merges a list here.
    pub(crate) fn list(&self) -> ListRule {
        match self {
            Self::Builtin { shape, field: Some(field) } => match field.merge {
                Merge::Usual | Merge::Atomic | Merge::Granular => ListRule::Atomic,
                Merge::Set => ListRule::Set,
                Merge::Map(keys) => {
                    let items = match shape.layer() {
                        Layer::List(items) => named(items),
                        _ => None,
                    };
                    let default = |key: &str| items.and_then(|items| items.field(key)).and_then(|field| field.default);
                    ListRule::Map(keys.split(',').map(|key| (key.to_owned(), default(key))).collect())
                }
            },
            Self::Custom(schema) => match &schema.list_type {
                ListType::Atomic => ListRule::Atomic,
                ListType::Set => ListRule::Set,
                ListType::Map(keys) => ListRule::Map(keys.iter().map(|key| (key.clone(), None)).collect()),
            },
            Self::Builtin { field: None, .. } | Self::Unknown => ListRule::Atomic,
        }
    }

    /// The key by which strategic merge merges a list here: `=` by value, `None` as a whole.
    pub(crate) fn patch_key(&self) -> Option<&'static str> {
        let Self::Builtin { field: Some(field), .. } = self else { return None };
        let (strategy, key) = field.patch?;
        strategy.split(',').any(|strategy| strategy == "merge").then_some(key.unwrap_or("="))
    }

    /// Whether server-side apply replaces a map here as a whole.
    pub(crate) fn atomic_map(&self) -> bool {
        match self {
            Self::Builtin { shape, field } => match field.map(|field| field.merge) {
                Some(Merge::Atomic) => true,
                Some(Merge::Granular) => false,
                _ => named(*shape).is_some_and(|kind| kind.atomic),
            },
            Self::Custom(schema) => schema.atomic_map,
            Self::Unknown => false,
        }
    }
}

fn named(shape: types::Shape) -> Option<&'static Type> {
    match shape.layer() {
        Layer::One(Form::Named(name)) => types::get(name),
        _ => None,
    }
}
