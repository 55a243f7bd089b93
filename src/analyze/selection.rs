//! Which messages are wanted.

use std::str::FromStr;

use super::codes::CODES;
use super::message::Message;

/// A code, and the objects for which it is not wanted: `IST0102=Namespace frod`, with `*` for anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppression {
    code: String,
    resource: String,
}

impl FromStr for Suppression {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (code, resource) =
            text.split_once('=').filter(|(_, resource)| !resource.contains('=')).ok_or_else(|| {
                format!("{text:?} is not CODE=RESOURCE, as \"IST0102=Namespace frod\" or \"IST0102=*\" are")
            })?;
        Ok(Self { code: code.to_owned(), resource: resource.to_owned() })
    }
}

impl Suppression {
    /// Whether the code is one that a message can have.
    pub fn is_known(&self) -> bool {
        CODES.iter().any(|code| glob(&self.code, code.id))
    }

    /// The code, as it was written.
    pub fn code(&self) -> &str {
        &self.code
    }

    fn suppresses(&self, message: &Message) -> bool {
        glob(&self.code, message.code.id) && glob(&self.resource, &message.resource())
    }
}

/// Which messages are wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The namespace; all if not said. Objects of the cluster as a whole are always wanted.
    pub namespace: Option<String>,
    /// What is not wanted.
    pub suppressed: Vec<Suppression>,
}

impl Wanted {
    /// The messages that are, each once.
    pub fn of(&self, messages: Vec<Message>) -> Vec<Message> {
        let mut kept: Vec<Message> = messages
            .into_iter()
            .filter(|message| {
                let own = self.namespace.as_deref().is_none_or(|wanted| *message.namespace == *wanted);
                own || message.namespace.is_empty() || &*message.kind == "Namespace"
            })
            .filter(|message| {
                // A namespace is an object of its own.
                let named = &*message.kind != "Namespace"
                    || self.namespace.as_deref().is_none_or(|wanted| *message.name == *wanted);
                named && !self.suppressed.iter().any(|suppression| suppression.suppresses(message))
            })
            .collect();
        kept.dedup_by(|a, b| {
            a.code == b.code && a.text == b.text && a.resource() == b.resource() && a.source == b.source
        });
        kept
    }
}

/// Whether `pattern`, in which `*` stands for anything, is `text`.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}
