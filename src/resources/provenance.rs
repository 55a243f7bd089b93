//! Where a piece of configuration was written: object, rule, place in a file.

use std::fmt;
use std::sync::Arc;

pub use crate::yaml::SourcePosition;

/// Names the object, and the rule in it, that something comes from. Cheap to clone.
///
/// Displayed as `VirtualService default/reviews http[0]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Provenance {
    /// Kind of the object.
    pub kind: Arc<str>,
    /// Namespace of the object.
    pub namespace: Arc<str>,
    /// Name of the object.
    pub name: Arc<str>,
    /// Path of the rule inside the object, for example `http[0]`.
    pub rule: Option<Arc<str>>,
    /// The place, where the object came from a file.
    pub source: Option<Arc<SourcePosition>>,
}

impl Provenance {
    /// An object as a whole.
    pub fn new(kind: impl Into<Arc<str>>, namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self { kind: kind.into(), namespace: namespace.into(), name: name.into(), rule: None, source: None }
    }

    /// One rule of the same object.
    #[must_use]
    pub fn with_rule(&self, rule: impl Into<Arc<str>>) -> Self {
        Self { rule: Some(rule.into()), ..self.clone() }
    }

    /// The same, with the place in a file.
    #[must_use]
    pub fn with_source(self, source: Option<Arc<SourcePosition>>) -> Self {
        Self { source, ..self }
    }
}

impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)?;
        if let Some(rule) = &self.rule {
            write!(f, " {rule}")?;
        }
        if let Some(source) = &self.source {
            write!(f, " ({source})")?;
        }
        Ok(())
    }
}
