//! Plugins that see every write before it is stored.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::Value;

pub use super::failure::Cause;

/// What a write does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A new object.
    Create,
    /// A changed object.
    Update,
    /// A removed object.
    Delete,
}

/// A write under review.
#[derive(Debug)]
pub struct AdmissionRequest<'a> {
    /// What it does.
    pub operation: Operation,
    /// Who asked, for example `system:admin`.
    pub user: &'a str,
    /// API group; empty for the core.
    pub group: &'a str,
    /// Version.
    pub version: &'a str,
    /// Kind.
    pub kind: &'a str,
    /// Plural.
    pub resource: &'a str,
    /// Subresource; empty for the object itself.
    pub subresource: &'a str,
    /// Namespace; empty for kinds that have none.
    pub namespace: &'a str,
    /// Name. On create it may be generated, and is known here.
    pub name: &'a str,
    /// The whole object as it would be stored; on delete as it is.
    pub object: &'a Value,
    /// The object as it is; none on create.
    pub old_object: Option<&'a Value>,
    /// Labels of the namespace.
    pub namespace_labels: &'a BTreeMap<String, String>,
    /// Whether nothing will be stored.
    pub dry_run: bool,
}

/// A refusal.
#[derive(Clone, Debug)]
pub struct Denied {
    /// `UNPROCESSABLE_ENTITY` for an object that is wrong, `FORBIDDEN` for one that is not allowed.
    pub code: StatusCode,
    /// One sentence, with the remedy.
    pub message: String,
    /// Every single thing that is wrong.
    pub causes: Vec<Cause>,
}

impl Denied {
    /// The object is wrong.
    #[must_use]
    pub fn invalid(message: impl Into<String>, causes: Vec<Cause>) -> Self {
        Self { code: StatusCode::UNPROCESSABLE_ENTITY, message: message.into(), causes }
    }

    /// The object is not allowed.
    #[must_use]
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self { code: StatusCode::FORBIDDEN, message: message.into(), causes: Vec::new() }
    }
}

/// A plugin. Both functions are pure: they look at the request and nothing else, and a write may be reviewed more than once.
pub trait Admission: Send + Sync {
    /// Its name, said in refusals.
    fn name(&self) -> &str;

    /// A changed object, or `None` to leave it.
    ///
    /// # Errors
    /// The write is refused.
    fn mutate(&self, request: &AdmissionRequest<'_>) -> Result<Option<Value>, Denied> {
        let _ = request;
        Ok(None)
    }

    /// Warnings for the user.
    ///
    /// # Errors
    /// The write is refused.
    fn validate(&self, request: &AdmissionRequest<'_>) -> Result<Vec<String>, Denied> {
        let _ = request;
        Ok(Vec::new())
    }
}
