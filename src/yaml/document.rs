//! What loading yields: documents whose values can be located in their source.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::{Error, Path, Segment};

/// A place in a text: line and column, both from 1; the column counts characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl Position {
    /// The first character of a text.
    pub const START: Self = Self { line: 1, column: 1 };
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A place in a named text, shown as `file:line:column`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourcePosition {
    /// The name the text was loaded under: a file, `-` or a URL.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl SourcePosition {
    /// `position` in the text called `file`.
    pub fn new(file: Arc<str>, position: Position) -> Self {
        Self { file, line: position.line, column: position.column }
    }

    /// The place without the text's name.
    pub fn position(&self) -> Position {
        Position { line: self.line, column: self.column }
    }
}

impl fmt::Display for SourcePosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Everything that [`load`](super::load) found in one text.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The documents that are sound, in order. Empty documents are left out.
    pub documents: Vec<Document>,
    /// What is wrong with the others, in order.
    pub errors: Vec<Error>,
}

/// One YAML document: its value, and where each part of it stands.
#[derive(Clone, Debug)]
pub struct Document {
    /// The name the text was loaded under.
    pub name: Arc<str>,
    /// The document's content.
    pub value: Value,
    /// The line its content starts at, from 1.
    pub start_line: u32,
    pub(super) located: Located,
}

impl Document {
    /// Where the value at `path` stands: its key for a mapping's entry, its first character otherwise. `None` if the path
    /// leads to nothing.
    pub fn locate(&self, path: &Path) -> Option<Position> {
        let located = self.descend(path)?;
        Some(located.key.unwrap_or(located.value))
    }

    /// Where the value at `path` starts, past its key. `None` if the path leads to nothing.
    pub fn locate_value(&self, path: &Path) -> Option<Position> {
        self.descend(path).map(|located| located.value)
    }

    /// [`locate`](Self::locate) for a path whose last steps may be missing from the document: the innermost step that exists.
    pub fn locate_nearest(&self, path: &Path) -> Position {
        let mut here = &self.located;
        for segment in path.segments() {
            match here.child(segment) {
                Some(child) => here = child,
                None => break,
            }
        }
        here.key.unwrap_or(here.value)
    }

    /// [`locate_nearest`](Self::locate_nearest), together with the name of the text.
    pub fn source(&self, path: &Path) -> SourcePosition {
        SourcePosition::new(Arc::clone(&self.name), self.locate_nearest(path))
    }

    /// The objects of the document: itself, or the items of a Kubernetes list (a `List`, or any `…List` with `items`), each as
    /// a document of its own that knows its place.
    pub fn into_items(self) -> Vec<Self> {
        // What has a name is an object, whatever its kind is called.
        let is_named = self.value.pointer("/metadata/name").is_some();
        let kind = self.value.get("kind").and_then(Value::as_str).unwrap_or_default();
        let is_list = kind == "List" || kind.ends_with("List") && !is_named;
        if !is_list || !self.value.get("items").is_some_and(Value::is_array) {
            return vec![self];
        }
        let Self { name, mut value, located, .. } = self;
        let Some(Value::Array(items)) = value.get_mut("items").map(Value::take) else { return Vec::new() };
        let places = match located.children {
            Children::Mapping(mut entries) => entries.remove("items").map(|items| items.children),
            _ => None,
        };
        let Some(Children::Sequence(places)) = places else { return Vec::new() };
        let named = |(value, located): (Value, Located)| Self {
            name: Arc::clone(&name),
            start_line: located.value.line,
            value,
            located,
        };
        items.into_iter().zip(places).map(named).collect()
    }

    fn descend(&self, path: &Path) -> Option<&Located> {
        path.segments().iter().try_fold(&self.located, |here, segment| here.child(segment))
    }
}

/// A value's place, and the places of what is inside it.
#[derive(Clone, Debug)]
pub(super) struct Located {
    pub(super) key: Option<Position>,
    pub(super) value: Position,
    pub(super) children: Children,
}

#[derive(Clone, Debug)]
pub(super) enum Children {
    None,
    Sequence(Vec<Located>),
    Mapping(BTreeMap<String, Located>),
}

impl Located {
    pub(super) fn scalar(value: Position) -> Self {
        Self { key: None, value, children: Children::None }
    }

    fn child(&self, segment: &Segment) -> Option<&Self> {
        match (&self.children, segment) {
            (Children::Sequence(items), Segment::Index(index)) => items.get(*index),
            (Children::Mapping(entries), Segment::Key(key)) => entries.get(key.as_ref()),
            _ => None,
        }
    }
}
