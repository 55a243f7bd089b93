//! What is wrong, or worth knowing, about an object.

use std::fmt;

use crate::yaml::{Document, Path, SourcePosition};

/// One fault of an object, with its remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The field, from the object's root.
    pub path: Path,
    /// Whether the object is refused for it.
    pub severity: Severity,
    /// What is wrong and what to do about it; reads on from the path.
    pub message: String,
    /// Where the field stands, when the object came from a file.
    pub source: Option<SourcePosition>,
}

/// How much a [`Finding`] weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The object is accepted, and its author is told.
    Warning,
    /// The object is refused.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(source) = &self.source {
            write!(f, "{source}: ")?;
        }
        if !self.path.segments().is_empty() {
            write!(f, "{} ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// Everything found in one object, in the order of its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("{}", Joined(.errors))]
pub struct Findings {
    /// Why the object is refused; empty if it is not.
    pub errors: Vec<Finding>,
    /// What its author should know.
    pub warnings: Vec<Finding>,
}

impl Findings {
    /// Whether the object is refused.
    pub fn is_refused(&self) -> bool {
        !self.errors.is_empty()
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty() && self.warnings.is_empty()
    }

    /// Errors, then warnings.
    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.errors.iter().chain(&self.warnings)
    }

    /// Gives every finding its place in the document that the object was read from.
    #[must_use]
    pub fn located(mut self, document: &Document) -> Self {
        for finding in self.errors.iter_mut().chain(&mut self.warnings) {
            finding.source = Some(document.source(&finding.path));
        }
        self
    }

    pub(super) fn push(&mut self, path: Path, severity: Severity, message: String) {
        let finding = Finding { path, severity, message, source: None };
        match severity {
            Severity::Error => self.errors.push(finding),
            Severity::Warning => self.warnings.push(finding),
        }
    }

    pub(super) fn extend(&mut self, other: Self) {
        self.errors.extend(other.errors);
        self.warnings.extend(other.warnings);
    }
}

struct Joined<'f>(&'f [Finding]);

impl fmt::Display for Joined<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, finding) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{finding}")?;
        }
        Ok(())
    }
}
