//! A review, from what the API server asks to what it is answered (`AdmissionReview` of `admission.k8s.io/v1`,
//! <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/>).

use k8s_openapi::ByteString;
use serde_json::{Map, Value, json};

use crate::inject;
use crate::resources::{self, kinds};

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    /// Which question this is.
    pub(super) uid: &'a str,
    pub(super) operation: &'a str,
    pub(super) group: &'a str,
    pub(super) kind: &'a str,
    pub(super) subresource: &'a str,
    /// Empty for kinds that have none.
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
    /// The object as it would be stored; null when it is deleted.
    pub(super) object: &'a Value,
}

impl<'a> Asked<'a> {
    /// What a review asks; `None` where it asks nothing.
    pub(super) fn of(review: &'a Value) -> Option<Self> {
        if review.get("kind")? != "AdmissionReview" || review.get("apiVersion")? != "admission.k8s.io/v1" {
            return None;
        }
        let request = review.get("request")?;
        let text = |pointer: &str| request.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        Some(Self {
            uid: request.get("uid")?.as_str()?,
            operation: request.get("operation")?.as_str()?,
            group: text("/kind/group"),
            kind: request.pointer("/kind/kind")?.as_str()?,
            subresource: text("/subResource"),
            namespace: text("/namespace"),
            name: text("/name"),
            object: request.get("object").unwrap_or(&Value::Null),
        })
    }
}

/// What is answered.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    /// It may be stored.
    Allowed {
        /// Changed like this (RFC 6902).
        patch: Option<Value>,
        /// With these words to whoever wrote it.
        warnings: Vec<String>,
    },
    /// It may not.
    Denied {
        /// HTTP status.
        code: u16,
        /// Why.
        message: String,
    },
}

impl Answer {
    const fn unchanged() -> Self {
        Self::Allowed { patch: None, warnings: Vec::new() }
    }

    /// The review that answers question `uid`.
    pub(super) fn review(&self, uid: &str) -> Value {
        let mut response = Map::new();
        response.insert("uid".to_owned(), uid.into());
        match self {
            Self::Allowed { patch, warnings } => {
                response.insert("allowed".to_owned(), true.into());
                if let Some(patch) = patch {
                    response.insert("patchType".to_owned(), "JSONPatch".into());
                    response.insert("patch".to_owned(), json!(ByteString(patch.to_string().into_bytes())));
                }
                if !warnings.is_empty() {
                    response.insert("warnings".to_owned(), json!(warnings));
                }
            }
            Self::Denied { code, message } => {
                let reason = if *code == 422 { "Invalid" } else { "BadRequest" };
                response.insert("allowed".to_owned(), false.into());
                response.insert("status".to_owned(), json!({"code": code, "reason": reason, "message": message}));
            }
        }
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
    }
}

/// A pod that is about to be created.
pub(super) fn inject(asked: &Asked<'_>, settings: &inject::Settings) -> Answer {
    if asked.operation != "CREATE" || asked.kind != "Pod" || !asked.subresource.is_empty() {
        return Answer::unchanged();
    }
    if !inject::decide_selected(asked.namespace, asked.object).inject {
        return Answer::unchanged();
    }
    let mut pod = asked.object.clone();
    match inject::inject(&mut pod, settings) {
        Ok(inject::Outcome::AlreadyThere) => Answer::unchanged(),
        Ok(_) => match serde_json::to_value(json_patch::diff(asked.object, &pod)) {
            Ok(patch) => Answer::Allowed { patch: Some(patch), warnings: inject::unheeded(asked.object) },
            Err(error) => Answer::Denied { code: 500, message: error.to_string() },
        },
        Err(error) => Answer::Denied { code: 422, message: error.to_string() },
    }
}

/// An object of the mesh that is about to be stored.
pub(super) fn validate(asked: &Asked<'_>) -> Answer {
    if asked.operation == "DELETE" || !asked.subresource.is_empty() {
        return Answer::unchanged();
    }
    // An object on its way out may only lose finalizers; what it says no longer matters.
    if asked.object.pointer("/metadata/deletionTimestamp").is_some() {
        return Answer::unchanged();
    }
    let Some(kind) = kinds::find(asked.group, asked.kind) else { return Answer::unchanged() };
    let findings = resources::validate(kind, asked.object);
    if findings.is_refused() {
        let Asked { kind, group, name, .. } = asked;
        return Answer::Denied { code: 422, message: format!("{kind}.{group} {name:?} is invalid: {findings}") };
    }
    Answer::Allowed { patch: None, warnings: findings.warnings.iter().map(ToString::to_string).collect() }
}
