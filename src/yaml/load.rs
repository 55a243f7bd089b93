//! From text to documents: the parser's events become values, and every value's place is noted on the way.
//!
//! Nesting is kept on a stack of our own, so depth costs heap, not call stack. A fault in a document's meaning (a duplicate
//! key, a foreign tag) is noted and the document is read on, so that all such faults are found at once; a fault in its syntax
//! ends the document, and loading resumes at the next `---`. A document with a fault is never handed out.

use std::collections::{BTreeMap, HashMap};
use std::mem;
use std::sync::Arc;

use granit_parser::{Event, Marker, Options, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};
use serde_json::{Map, Value};

use super::document::{Children, Located};
use super::scalar::{self, Scalar};
use super::{Document, Error, ErrorKind, Loaded, Position, text};

/// The most bytes that one document may have.
const MAX_DOCUMENT: usize = 10 << 20;
/// The most levels of nesting.
const MAX_DEPTH: usize = 128;
/// The most values in one document, aliases expanded.
const MAX_NODES: usize = 1_000_000;
/// The most bytes that one document's aliases may expand to.
const MAX_EXPANSION: usize = 10 << 20;
/// The most errors reported for one text.
const MAX_ERRORS: usize = 100;
/// What a value costs beside its text, in bytes, when an alias repeats it.
const NODE_COST: usize = 16;

/// Reads every document of a text. `name` is what errors and positions call the text.
///
/// JSON is read as well, being YAML but for a few corners that no writer of JSON uses. At most 64 MiB are read, at most
/// 10 MiB per document.
pub fn load(name: &str, bytes: &[u8]) -> Loaded {
    let name: Arc<str> = name.into();
    match text::decode(bytes) {
        Ok(text) => Loader::new(name, &text).run(),
        Err((position, kind)) => Loaded { documents: Vec::new(), errors: vec![Error::new(&name, position, kind)] },
    }
}

struct Loader<'t> {
    name: Arc<str>,
    text: &'t str,
    parser: Parser<'t, StrInput<'t>>,
    documents: Vec<Document>,
    errors: Vec<Error>,
    current: Building,
}

/// The document being read.
#[derive(Default)]
struct Building {
    stack: Vec<Frame>,
    root: Option<Node>,
    anchors: HashMap<usize, Anchored>,
    first_byte: usize,
    nodes: usize,
    expanded: usize,
    /// What is kept for aliases to repeat, counted as they are.
    remembered: usize,
    faulty: bool,
}

struct Node {
    value: Value,
    located: Located,
    /// Bytes that one more copy of it would cost.
    cost: usize,
}

/// What an alias repeats; `None` is what no alias may repeat.
type Anchored = Option<Kept>;

struct Kept {
    value: Value,
    located: Located,
    cost: usize,
    nodes: usize,
}

struct Frame {
    kind: FrameKind,
    start: Position,
    first_byte: usize,
    anchor: usize,
    nodes_before: usize,
    cost: usize,
}

enum FrameKind {
    Sequence {
        items: Vec<Value>,
        located: Vec<Located>,
    },
    Mapping {
        entries: Map<String, Value>,
        located: BTreeMap<String, Located>,
        pending: Option<Key>,
        merges: Vec<(Value, Located)>,
    },
}

enum Key {
    Merge,
    Name(String, Position),
    /// A key that was refused: its value is read and dropped.
    Refused,
}

/// Why a document is given up.
enum Stop {
    Fault(Position, ErrorKind),
    Syntax(ScanError),
}

impl<'t> Loader<'t> {
    fn new(name: Arc<str>, text: &'t str) -> Self {
        let mut options = Options::default();
        options.emit_comments = false;
        options.emit_unresolved_aliases = true;
        Self {
            name,
            text,
            parser: Parser::new_from_str_with_options(text, options),
            documents: Vec::new(),
            errors: Vec::new(),
            current: Building::default(),
        }
    }

    fn run(mut self) -> Loaded {
        while let Some(event) = self.parser.next_event() {
            let step = match event {
                Ok((Event::StreamEnd, _)) => break,
                Ok((event, span)) => self.step(event, &span),
                Err(error) => Err(Stop::Syntax(error)),
            };
            let Err(stop) = step else { continue };
            match stop {
                Stop::Fault(position, kind) => self.fault(position, kind),
                Stop::Syntax(error) => self.syntax(&error),
            }
            self.current = Building::default();
            if self.errors.len() > MAX_ERRORS || !self.parser.proceed_next_document().unwrap_or(false) {
                break;
            }
        }
        if self.errors.len() > MAX_ERRORS {
            self.errors.truncate(MAX_ERRORS);
            if let Some(last) = self.errors.last_mut() {
                last.kind = ErrorKind::TooManyErrors { limit: MAX_ERRORS - 1 };
            }
        }
        Loaded { documents: self.documents, errors: self.errors }
    }

    fn step(&mut self, event: Event<'_>, span: &Span) -> Result<(), Stop> {
        let at = position(&span.start);
        let end = span.end.byte_offset().unwrap_or_default();
        let starts = matches!(event, Event::DocumentStart(..));
        if !starts && end.saturating_sub(self.current.first_byte) > MAX_DOCUMENT {
            return Err(Stop::Fault(at, ErrorKind::DocumentSize { limit: MAX_DOCUMENT }));
        }
        let first_byte = span.start.byte_offset().unwrap_or_default();
        match event {
            Event::DocumentStart(..) => {
                self.current = Building { first_byte, ..Building::default() };
                Ok(())
            }
            Event::DocumentEnd => {
                self.finish();
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => self.scalar(&text, style, anchor, tag.as_deref(), at),
            Event::SequenceStart(_, anchor, tag) => {
                self.check_collection_tag(tag.as_deref(), "seq", at);
                let kind = FrameKind::Sequence { items: Vec::new(), located: Vec::new() };
                self.open(kind, anchor, at, first_byte)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.check_collection_tag(tag.as_deref(), "map", at);
                let kind = FrameKind::Mapping {
                    entries: Map::new(),
                    located: BTreeMap::new(),
                    pending: None,
                    merges: Vec::new(),
                };
                self.open(kind, anchor, at, first_byte)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(at),
            Event::Alias(anchor) => self.alias(anchor, at),
            Event::UnresolvedAlias(name) => {
                self.note(at, ErrorKind::UnknownAlias(name.into_owned()));
                self.add(Node::null(at), 0)
            }
            _ => Ok(()),
        }
    }

    fn finish(&mut self) {
        let building = mem::take(&mut self.current);
        let Some(root) = building.root else { return };
        if building.faulty || root.value.is_null() {
            return;
        }
        self.documents.push(Document {
            name: Arc::clone(&self.name),
            start_line: root.located.value.line,
            value: root.value,
            located: root.located,
        });
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        at: Position,
    ) -> Result<(), Stop> {
        let plain = style == ScalarStyle::Plain;
        let is_key = self.awaits_key();
        let merges = text == "<<" && plain && tag.is_none() || tag.is_some_and(|tag| yaml_tag(tag) == Some("merge"));
        if is_key && merges {
            self.set_key(Key::Merge);
            return Ok(());
        }
        let value = match self.scalar_value(text, plain, tag) {
            Ok(value) => value,
            Err(kind) => {
                self.note(at, kind);
                Value::Null
            }
        };
        let node = Node { cost: NODE_COST + text.len(), value, located: Located::scalar(at) };
        if is_key {
            if anchor != 0 {
                self.remember(anchor, &node, 1);
            }
            self.key(node.value, at);
            return Ok(());
        }
        self.add(node, anchor)
    }

    fn scalar_value(&self, text: &str, plain: bool, tag: Option<&Tag>) -> Result<Value, ErrorKind> {
        let resolved = match tag {
            None if plain => scalar::resolve(text),
            None => Scalar::String,
            Some(tag) => {
                let mismatch = || ErrorKind::TagMismatch { text: text.to_owned(), tag: tag.original() };
                match (yaml_tag(tag), scalar::resolve(text)) {
                    (Some("str" | "timestamp"), _) => Scalar::String,
                    (Some("int"), found @ Scalar::Integer(_)) => found,
                    (Some("float"), found @ (Scalar::Integer(_) | Scalar::Float(_))) => found,
                    (Some("bool"), found @ Scalar::Bool(_)) => found,
                    (Some("null"), found @ Scalar::Null) => found,
                    (Some("int" | "float" | "bool" | "null"), _) => return Err(mismatch()),
                    (None, _) if tag.original() == "!" => Scalar::String,
                    _ => return Err(ErrorKind::Tag(tag.original())),
                }
            }
        };
        Ok(match resolved {
            Scalar::Null => Value::Null,
            Scalar::Bool(value) => Value::Bool(value),
            Scalar::Integer(number) => Value::Number(number),
            Scalar::Float(float) => scalar::float_value(float),
            Scalar::NotFinite => return Err(ErrorKind::NotFinite(text.to_owned())),
            Scalar::Timestamp | Scalar::String => Value::String(text.to_owned()),
        })
    }

    fn check_collection_tag(&mut self, tag: Option<&Tag>, expected: &str, at: Position) {
        if let Some(tag) = tag
            && yaml_tag(tag) != Some(expected)
        {
            self.note(at, ErrorKind::Tag(tag.original()));
        }
    }

    fn open(&mut self, kind: FrameKind, anchor: usize, start: Position, first_byte: usize) -> Result<(), Stop> {
        if self.awaits_key() {
            let found = match kind {
                FrameKind::Sequence { .. } => "a list",
                FrameKind::Mapping { .. } => "a mapping (a Go template perhaps? quote it)",
            };
            return Err(Stop::Fault(start, ErrorKind::KeyKind(found)));
        }
        if self.current.stack.len() >= MAX_DEPTH {
            return Err(Stop::Fault(start, ErrorKind::Depth { limit: MAX_DEPTH }));
        }
        self.current.stack.push(Frame {
            kind,
            start,
            first_byte,
            anchor,
            nodes_before: self.current.nodes,
            cost: NODE_COST,
        });
        Ok(())
    }

    /// An item of a list in brackets that ends with a colon, as in `[fe80::]`: YAML 1.2 takes it for a key without a value,
    /// and Kubernetes' reader for a string.
    fn address_like(&self, frame: &Frame) -> Option<String> {
        let FrameKind::Mapping { entries, merges, .. } = &frame.kind else { return None };
        let (true, true, Some((key, Value::Null))) = (entries.len() == 1, merges.is_empty(), entries.iter().next())
        else {
            return None;
        };
        let behind = self.text.get(frame.first_byte..)?.strip_prefix(key.as_str())?.strip_prefix(':')?;
        let in_list = matches!(self.current.stack.last(), Some(Frame { kind: FrameKind::Sequence { .. }, .. }));
        (in_list && behind.starts_with([',', ']'])).then(|| format!("{key}:"))
    }

    fn close(&mut self, at: Position) -> Result<(), Stop> {
        let Some(frame) = self.current.stack.pop() else {
            return Ok(());
        };
        if let Some(text) = self.address_like(&frame) {
            let cost = NODE_COST + text.len();
            self.place(Node { value: Value::String(text), located: Located::scalar(frame.start), cost });
            return Ok(());
        }
        let (value, children) = match frame.kind {
            FrameKind::Sequence { items, located } => (Value::Array(items), Children::Sequence(located)),
            FrameKind::Mapping { mut entries, mut located, merges, .. } => {
                for (value, places) in merges {
                    self.merge(value, places, &mut entries, &mut located);
                }
                (Value::Object(entries), Children::Mapping(located))
            }
        };
        let node = Node { value, located: Located { key: None, value: frame.start, children }, cost: frame.cost };
        let nodes = self.current.nodes - frame.nodes_before + 1;
        if frame.anchor != 0 {
            self.remember(frame.anchor, &node, nodes);
        }
        self.count(at)?;
        self.place(node);
        Ok(())
    }

    /// Counts one more value.
    fn count(&mut self, at: Position) -> Result<(), Stop> {
        self.current.nodes = self.current.nodes.saturating_add(1);
        if self.current.nodes > MAX_NODES {
            return Err(Stop::Fault(at, ErrorKind::Nodes { limit: MAX_NODES }));
        }
        Ok(())
    }

    /// Merges `value` into `entries`, which win; of several mappings in a list, the first one that has a key gives it.
    fn merge(
        &mut self,
        value: Value,
        places: Located,
        entries: &mut Map<String, Value>,
        located: &mut BTreeMap<String, Located>,
    ) {
        match (value, places.children) {
            (Value::Object(from), Children::Mapping(mut from_located)) => {
                for (key, value) in from {
                    if entries.contains_key(&key) {
                        continue;
                    }
                    if let Some(place) = from_located.remove(&key) {
                        located.insert(key.clone(), place);
                    }
                    entries.insert(key, value);
                }
            }
            (Value::Array(list), Children::Sequence(list_located)) => {
                for (item, place) in list.into_iter().zip(list_located) {
                    if item.is_object() {
                        self.merge(item, place, entries, located);
                    } else {
                        self.note(place.value, ErrorKind::Merge(kind_of(&item)));
                    }
                }
            }
            (other, _) => self.note(places.value, ErrorKind::Merge(kind_of(&other))),
        }
    }

    fn alias(&mut self, anchor: usize, at: Position) -> Result<(), Stop> {
        if self.current.stack.iter().any(|frame| frame.anchor == anchor) {
            self.note(at, ErrorKind::RecursiveAlias);
            return self.add(Node::null(at), 0);
        }
        let Some(anchored) = self.current.anchors.get(&anchor) else {
            return self.add(Node::null(at), 0);
        };
        let too_much = || Stop::Fault(at, ErrorKind::AliasExpansion { limit: MAX_EXPANSION });
        let anchored = anchored.as_ref().ok_or_else(too_much)?;
        let expanded = self.current.expanded.saturating_add(anchored.cost);
        if expanded > MAX_EXPANSION {
            return Err(too_much());
        }
        let node = Node { value: anchored.value.clone(), located: anchored.located.clone(), cost: anchored.cost };
        let nodes = anchored.nodes;
        self.current.expanded = expanded;
        self.current.nodes = self.current.nodes.saturating_add(nodes.saturating_sub(1));
        if self.awaits_key() {
            self.key(node.value, at);
            return Ok(());
        }
        if self.current.stack.len() + depth(&node.value) > MAX_DEPTH {
            return Err(Stop::Fault(at, ErrorKind::Depth { limit: MAX_DEPTH }));
        }
        self.add(node, 0)
    }

    /// Adds a finished scalar or alias to what encloses it.
    fn add(&mut self, node: Node, anchor: usize) -> Result<(), Stop> {
        let at = node.located.value;
        if self.awaits_key() {
            self.key(node.value, at);
            return Ok(());
        }
        if anchor != 0 {
            self.remember(anchor, &node, 1);
        }
        self.count(at)?;
        self.place(node);
        Ok(())
    }

    fn place(&mut self, node: Node) {
        let Some(frame) = self.current.stack.last_mut() else {
            self.current.root = Some(node);
            return;
        };
        frame.cost = frame.cost.saturating_add(node.cost);
        match &mut frame.kind {
            FrameKind::Sequence { items, located } => {
                items.push(node.value);
                located.push(Located { key: None, ..node.located });
            }
            FrameKind::Mapping { entries, located, pending, merges } => match pending.take() {
                Some(Key::Merge) => merges.push((node.value, node.located)),
                Some(Key::Name(name, key)) => {
                    let place = Located { key: Some(key), ..node.located };
                    located.insert(name.clone(), place);
                    entries.insert(name, node.value);
                }
                Some(Key::Refused) | None => {}
            },
        }
    }

    fn key(&mut self, value: Value, at: Position) {
        let name = match value {
            Value::String(name) => name,
            Value::Bool(value) => value.to_string(),
            Value::Number(number) => number.to_string(),
            other => {
                self.note(at, ErrorKind::KeyKind(kind_of(&other)));
                self.set_key(Key::Refused);
                return;
            }
        };
        let first = match self.current.stack.last() {
            Some(Frame { kind: FrameKind::Mapping { located, .. }, .. }) => {
                located.get(&name).map(|first| first.key.unwrap_or(first.value))
            }
            _ => None,
        };
        match first {
            Some(first) => {
                self.note(at, ErrorKind::DuplicateKey { key: name, first });
                self.set_key(Key::Refused);
            }
            None => self.set_key(Key::Name(name, at)),
        }
    }

    fn set_key(&mut self, key: Key) {
        if let Some(frame) = self.current.stack.last_mut() {
            if let Key::Name(name, _) = &key {
                frame.cost = frame.cost.saturating_add(name.len());
            }
            if let FrameKind::Mapping { pending, .. } = &mut frame.kind {
                *pending = Some(key);
            }
        }
    }

    fn awaits_key(&self) -> bool {
        matches!(self.current.stack.last(), Some(Frame { kind: FrameKind::Mapping { pending: None, .. }, .. }))
    }

    fn remember(&mut self, anchor: usize, node: &Node, nodes: usize) {
        // Anchors may stand inside of anchors, each with a copy of all that is inside: what is kept is bounded as a whole.
        let remembered = self.current.remembered.saturating_add(node.cost);
        let kept = (remembered <= MAX_EXPANSION).then(|| {
            self.current.remembered = remembered;
            Kept { value: node.value.clone(), located: node.located.clone(), cost: node.cost, nodes }
        });
        self.current.anchors.insert(anchor, kept);
    }

    /// Notes a fault in the document's meaning; reading goes on.
    fn note(&mut self, at: Position, kind: ErrorKind) {
        self.current.faulty = true;
        self.fault(at, kind);
    }

    fn fault(&mut self, at: Position, kind: ErrorKind) {
        if self.errors.len() <= MAX_ERRORS {
            self.errors.push(Error::new(&self.name, at, kind));
        }
    }

    fn syntax(&mut self, error: &ScanError) {
        let at = position(error.marker());
        let line = self.text.lines().nth(at.line as usize - 1).unwrap_or_default();
        let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
        let tab = line.get(..indent).and_then(|indent| indent.find('\t'));
        match tab {
            Some(column) => {
                let column = u32::try_from(column + 1).unwrap_or(u32::MAX);
                let at = Position { column, ..at };
                self.fault(at, ErrorKind::Tab);
            }
            // The parser's own limit, which a text of brackets alone reaches before it yields a value.
            None if error.info().contains("recursion limit") => self.fault(at, ErrorKind::Depth { limit: MAX_DEPTH }),
            None => self.fault(at, ErrorKind::Syntax(error.info())),
        }
    }
}

impl Node {
    fn null(at: Position) -> Self {
        Self { value: Value::Null, located: Located::scalar(at), cost: NODE_COST }
    }
}

fn position(marker: &Marker) -> Position {
    Position {
        line: u32::try_from(marker.line().max(1)).unwrap_or(u32::MAX),
        column: u32::try_from(marker.col() + 1).unwrap_or(u32::MAX),
    }
}

/// A tag's name in YAML's own namespace.
fn yaml_tag(tag: &Tag) -> Option<&str> {
    match tag.parts() {
        ("tag:yaml.org,2002:", suffix) => Some(suffix),
        ("", suffix) => suffix.strip_prefix("tag:yaml.org,2002:"),
        _ => None,
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

/// Levels of nesting; bounded by [`MAX_DEPTH`], as every value of a document is.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(entries) => 1 + entries.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
