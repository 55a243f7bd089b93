//! What an analysis finds.

use std::sync::Arc;

use super::codes::{Code, Level};
use super::object::Object;
use crate::yaml::{Path, SourcePosition};

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What it is.
    pub code: Code,
    /// The sentence.
    pub text: String,
    /// The object's kind.
    pub kind: Arc<str>,
    /// The object's namespace; empty if it has none.
    pub namespace: Arc<str>,
    /// The object's name.
    pub name: Arc<str>,
    /// The object's cluster, where there are several.
    pub cluster: Option<Arc<str>>,
    /// The field, where one is meant.
    pub path: Path,
    /// Where it stands, where the object came from a file.
    pub source: Option<SourcePosition>,
    /// Whether the object's author does not want to hear of it.
    suppressed: bool,
}

/// The annotation with which an object's author suppresses codes: a list of them, or `*`.
const SUPPRESS: &str = "galley.istio.io/analyze-suppress";

impl Message {
    /// A finding about an object, or about `path` in it.
    pub fn new(code: Code, object: &Object, path: &Path, text: String) -> Self {
        let suppressed = object.annotation(SUPPRESS).split(',').map(str::trim).any(|one| one == "*" || one == code.id);
        Self {
            code,
            text,
            kind: Arc::clone(&object.kind),
            namespace: Arc::clone(&object.namespace),
            name: Arc::clone(&object.name),
            cluster: object.cluster.clone(),
            source: object.source(path),
            path: path.clone(),
            suppressed,
        }
    }

    /// A finding about something that is no object of its own.
    pub fn about(code: Code, kind: &str, namespace: &str, name: &str, text: String) -> Self {
        Self {
            code,
            text,
            kind: kind.into(),
            namespace: namespace.into(),
            name: name.into(),
            cluster: None,
            path: Path::root(),
            source: None,
            suppressed: false,
        }
    }

    /// How much it weighs.
    pub fn level(&self) -> Level {
        self.code.level
    }

    /// `Kind namespace/name`, or `Kind name`.
    pub fn resource(&self) -> String {
        if self.namespace.is_empty() {
            format!("{} {}", self.kind, self.name)
        } else {
            format!("{} {}/{}", self.kind, self.namespace, self.name)
        }
    }
}

/// What is found, as it is found.
#[derive(Debug, Default)]
pub struct Found {
    messages: Vec<Message>,
}

impl Found {
    /// Notes something about an object as a whole.
    pub fn note(&mut self, code: Code, object: &Object, text: impl Into<String>) {
        self.messages.push(Message::new(code, object, &Path::root(), text.into()));
    }

    /// Notes something about a field of an object.
    pub fn at(&mut self, code: Code, object: &Object, path: &Path, text: impl Into<String>) {
        self.messages.push(Message::new(code, object, path, text.into()));
    }

    /// Notes something about what is no object of its own.
    pub fn push(&mut self, message: Message) {
        self.messages.push(message);
    }

    /// What was found and is not suppressed by its object, in order.
    pub fn into_messages(self) -> Vec<Message> {
        let mut messages: Vec<Message> = self.messages.into_iter().filter(|message| !message.suppressed).collect();
        messages.sort_by(|a, b| {
            let key = |m: &Message| {
                (
                    m.cluster.clone(),
                    std::cmp::Reverse(m.level()),
                    m.code.id,
                    m.kind.clone(),
                    m.namespace.clone(),
                    m.name.clone(),
                )
            };
            key(a).cmp(&key(b)).then_with(|| (&a.path, &a.text).cmp(&(&b.path, &b.text)))
        });
        messages
    }
}

/// A path from its steps: `place!["spec", "servers", 0, "port"]`.
macro_rules! place {
    ($($step:expr),* $(,)?) => {
        [$($crate::yaml::Segment::from($step)),*].into_iter().collect::<$crate::yaml::Path>()
    };
}

pub(super) use place;
