//! What can be wrong with a text, in one sentence each, with its place and a remedy.

use std::sync::Arc;

use super::{Position, SourcePosition};

/// A fault in a YAML text. Displays as `file:line:column: message`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {kind}")]
pub struct Error {
    /// Where the fault is.
    pub place: SourcePosition,
    /// What the fault is.
    pub kind: ErrorKind,
}

/// The kinds of faults.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The text breaks YAML's grammar.
    #[error("this is not valid YAML: {0}")]
    Syntax(String),
    /// A tab in indentation, which YAML forbids.
    #[error("a tab indents this line, and YAML allows only spaces there: replace the tab with spaces")]
    Tab,
    /// The same key twice in one mapping.
    #[error("the key `{key}` is already set at line {}, column {}: remove one of the two", first.line, first.column)]
    DuplicateKey {
        /// The key.
        key: String,
        /// Where it was set before.
        first: Position,
    },
    /// A sequence, mapping or null as a key.
    #[error("a mapping's key has to be a string, a number or a boolean, and this is {0}")]
    KeyKind(&'static str),
    /// An alias without an anchor before it.
    #[error("the alias `*{0}` has no anchor `&{0}` before it in this document")]
    UnknownAlias(String),
    /// An alias inside the very value its anchor names.
    #[error("this alias stands inside the value that it names, which would never end")]
    RecursiveAlias,
    /// Aliases that expand to too much.
    #[error("the aliases of this document expand to more than {} MiB: write fewer of them out", limit >> 20)]
    AliasExpansion {
        /// The limit in bytes.
        limit: usize,
    },
    /// `<<` with something that is no mapping.
    #[error("`<<` merges a mapping or a list of mappings, and this is {0}")]
    Merge(&'static str),
    /// A tag beyond YAML's own.
    #[error("the tag `{0}` is not supported: remove it, Kubernetes has no use for it")]
    Tag(String),
    /// A value that is not what its tag says.
    #[error("`{text}` cannot be read as the tag `{tag}` says")]
    TagMismatch {
        /// The scalar as written.
        text: String,
        /// The tag as written.
        tag: String,
    },
    /// Infinity or not-a-number.
    #[error("`{0}` is a number that JSON, and with it Kubernetes, does not have: quote it if it is meant as text")]
    NotFinite(String),
    /// Too deeply nested.
    #[error("more than {limit} levels of nesting: this is too deep to be configuration")]
    Depth {
        /// The limit in levels.
        limit: usize,
    },
    /// Too many values.
    #[error("more than {limit} values in one document: split it")]
    Nodes {
        /// The limit in values.
        limit: usize,
    },
    /// A document that is too long.
    #[error("this document is longer than {} MiB: split it", limit >> 20)]
    DocumentSize {
        /// The limit in bytes.
        limit: usize,
    },
    /// A text that is too long.
    #[error("this text is {} MiB long, and at most {} MiB are read: split it", size >> 20, limit >> 20)]
    TextSize {
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A character that no text file holds.
    #[error("the character U+{0:04X} does not belong in a text file: is this a binary file?")]
    Binary(u32),
    /// Bytes that are not in a known encoding.
    #[error("this is not {0}: save the file as UTF-8")]
    Encoding(&'static str),
    /// More errors than are worth reading.
    #[error("more than {limit} errors in this text: the rest is not shown")]
    TooManyErrors {
        /// The limit.
        limit: usize,
    },
}

impl Error {
    pub(super) fn new(name: &Arc<str>, position: Position, kind: ErrorKind) -> Self {
        Self { place: SourcePosition::new(Arc::clone(name), position), kind }
    }

    /// The error with the line it points at and a caret under the column. `source` is the text that was loaded.
    pub fn render(&self, source: &str) -> String {
        render(&self.to_string(), self.place.position(), source)
    }
}

/// `headline`, then the line of `source` at `position` with a caret under its column. A line that does not exist leaves the
/// headline alone; a long line is cut around the column.
pub fn render(headline: &str, position: Position, source: &str) -> String {
    const BEFORE: usize = 60;
    const WIDTH: usize = 100;

    let number = position.line as usize;
    let Some(line) = source.lines().nth(number.saturating_sub(1)) else {
        return headline.to_owned();
    };
    let column = (position.column as usize).saturating_sub(1);
    let skipped = column.saturating_sub(BEFORE);
    let shown: String = line
        .trim_start_matches('\u{feff}')
        .chars()
        .skip(skipped)
        .take(WIDTH)
        .map(|c| match c {
            '\t' => ' ',
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect();
    let gutter = " ".repeat(number.to_string().len());
    let indent = " ".repeat(column - skipped);
    format!("{headline}\n {gutter} |\n {number} | {shown}\n {gutter} | {indent}^")
}
