//! Refusals, in the words and shapes of Kubernetes: every error a client sees is a `Status` object.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::store::{StoreError, WriteError};

/// One cause inside a `Status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// A CamelCase reason, for example `FieldValueInvalid`.
    pub reason: String,
    /// What is wrong.
    pub message: String,
    /// Where, as a path in the object.
    pub field: String,
}

impl Cause {
    /// `field: Invalid value: value: why`.
    #[must_use]
    pub fn invalid(field: impl Into<String>, value: &Value, why: impl std::fmt::Display) -> Self {
        Self {
            reason: "FieldValueInvalid".to_owned(),
            message: format!("Invalid value: {value}: {why}"),
            field: field.into(),
        }
    }

    /// `field: Required value`, with `why` when it says something.
    #[must_use]
    pub fn required(field: impl Into<String>, why: &str) -> Self {
        let message = if why.is_empty() { "Required value".to_owned() } else { format!("Required value: {why}") };
        Self { reason: "FieldValueRequired".to_owned(), message, field: field.into() }
    }

    /// `field: Unsupported value: value: supported values: …`.
    #[must_use]
    pub fn unsupported(field: impl Into<String>, value: &Value, supported: &[String]) -> Self {
        let supported: Vec<String> = supported.iter().map(|v| format!("{v:?}")).collect();
        Self {
            reason: "FieldValueNotSupported".to_owned(),
            message: format!("Unsupported value: {value}: supported values: {}", supported.join(", ")),
            field: field.into(),
        }
    }

    /// `field: Duplicate value: value`.
    #[must_use]
    pub fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self {
            reason: "FieldValueDuplicate".to_owned(),
            message: format!("Duplicate value: {value}"),
            field: field.into(),
        }
    }

    /// `field: Not found: value`.
    #[must_use]
    pub fn not_found(field: impl Into<String>, value: &Value) -> Self {
        Self { reason: "FieldValueNotFound".to_owned(), message: format!("Not found: {value}"), field: field.into() }
    }

    /// `field: Forbidden: why`.
    #[must_use]
    pub fn forbidden(field: impl Into<String>, why: &str) -> Self {
        Self { reason: "FieldValueForbidden".to_owned(), message: format!("Forbidden: {why}"), field: field.into() }
    }

    /// The same about a value that is shown as one of Kubernetes' own structures: the cause was made with null for it.
    #[must_use]
    pub fn of_structure(mut self, shown: &str) -> Self {
        self.message = self.message.replacen("null", shown, 1);
        self
    }

    fn line(&self) -> String {
        format!("{}: {}", self.field, self.message)
    }
}

/// A refused request.
#[derive(Clone, Debug)]
pub struct Failure {
    /// HTTP status.
    pub code: StatusCode,
    /// Kubernetes' reason, for example `NotFound`.
    pub reason: &'static str,
    /// One sentence.
    pub message: String,
    /// `details.group`, `.kind`, `.name`, where there is an object.
    pub about: Option<Box<About>>,
    /// `details.causes`.
    pub causes: Vec<Cause>,
}

/// What a refusal is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// API group; empty for the core.
    pub group: String,
    /// Plural resource name, or the kind for validation errors.
    pub kind: String,
    /// Name of the object; empty for collections.
    pub name: String,
}

impl About {
    /// What a resource and a name say.
    #[must_use]
    pub fn new(group: &str, kind: &str, name: &str) -> Self {
        Self { group: group.to_owned(), kind: kind.to_owned(), name: name.to_owned() }
    }

    fn qualified(&self) -> String {
        if self.group.is_empty() { self.kind.clone() } else { format!("{}.{}", self.kind, self.group) }
    }
}

impl Failure {
    fn new(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), about: None, causes: Vec::new() }
    }

    /// 400.
    #[must_use]
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// 401.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized")
    }

    /// 403 with a sentence of its own.
    #[must_use]
    pub fn forbidden(about: About, why: impl std::fmt::Display) -> Self {
        let name = if about.name.is_empty() { String::new() } else { format!(" {:?}", about.name) };
        let message = format!("{}{name} is forbidden: {why}", about.qualified());
        Self { about: Some(Box::new(about)), ..Self::new(StatusCode::FORBIDDEN, "Forbidden", message) }
    }

    /// 404 for an object.
    #[must_use]
    pub fn not_found(about: About) -> Self {
        let message = format!("{} {:?} not found", about.qualified(), about.name);
        Self { about: Some(Box::new(about)), ..Self::new(StatusCode::NOT_FOUND, "NotFound", message) }
    }

    /// 404 for a path in a group and version that there are.
    #[must_use]
    pub fn no_such_path() -> Self {
        Self::plain(StatusCode::NOT_FOUND, "NotFound", "the server could not find the requested resource")
    }

    /// 404 for any other path: no `Status`, but a line of text.
    #[must_use]
    pub fn no_page() -> Self {
        Self::new(StatusCode::NOT_FOUND, Self::NO_PAGE, "404 page not found")
    }

    /// The reason of a refusal that is told in a line of text.
    pub const NO_PAGE: &'static str = "";

    /// A refusal that is about nothing in particular; Kubernetes gives it empty details.
    fn plain(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self { about: Some(Box::default()), ..Self::new(code, reason, message) }
    }

    /// 405.
    #[must_use]
    pub fn method_not_allowed() -> Self {
        Self::plain(
            StatusCode::METHOD_NOT_ALLOWED,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )
    }

    /// 406.
    #[must_use]
    pub fn not_acceptable() -> Self {
        Self::plain(
            StatusCode::NOT_ACCEPTABLE,
            "NotAcceptable",
            "406: Not Acceptable\n\nAvailable representations: application/json",
        )
    }

    /// 409, the name is taken.
    #[must_use]
    pub fn already_exists(about: About) -> Self {
        let message = format!("{} {:?} already exists", about.qualified(), about.name);
        Self { about: Some(Box::new(about)), ..Self::new(StatusCode::CONFLICT, "AlreadyExists", message) }
    }

    /// 409, the object changed in between.
    #[must_use]
    pub fn conflict(about: About) -> Self {
        Self::conflict_because(
            about,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// 409 with a reason.
    #[must_use]
    pub fn conflict_because(about: About, why: impl std::fmt::Display) -> Self {
        let message = format!("Operation cannot be fulfilled on {} {:?}: {why}", about.qualified(), about.name);
        Self { about: Some(Box::new(about)), ..Self::new(StatusCode::CONFLICT, "Conflict", message) }
    }

    /// 409 of server-side apply.
    #[must_use]
    pub fn apply_conflict(message: String, causes: Vec<Cause>) -> Self {
        Self { causes, ..Self::new(StatusCode::CONFLICT, "Conflict", message) }
    }

    /// 410, the version is forgotten.
    #[must_use]
    pub fn expired(asked: u64, oldest: u64) -> Self {
        Self::new(StatusCode::GONE, "Expired", format!("too old resource version: {asked} ({oldest})"))
    }

    /// 413.
    #[must_use]
    pub fn too_large(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestEntityTooLarge",
            format!("Request entity too large: limit is {limit}"),
        )
    }

    /// 415.
    #[must_use]
    pub fn unsupported_media_type(accepted: &str) -> Self {
        let message =
            format!("the body of the request was in an unknown format - accepted media types include: {accepted}");
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message)
    }

    /// 415 for a patch of a type that no patch has.
    #[must_use]
    pub fn unknown_patch() -> Self {
        let message = "415: Unsupported Media Type";
        Self::plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message)
    }

    /// 422 with everything that is wrong with an object.
    #[must_use]
    pub fn invalid(group: &str, kind: &str, name: &str, causes: Vec<Cause>) -> Self {
        let about = About::new(group, kind, name);
        let lines: Vec<String> = causes.iter().map(Cause::line).collect();
        let all = match lines.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let message = format!("{} {name:?} is invalid: {all}", about.qualified());
        Self { about: Some(Box::new(about)), causes, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message) }
    }

    /// 422 for a patch that does not fit the object.
    #[must_use]
    pub fn unfitting_patch() -> Self {
        let message = "the server rejected our request due to an error in our request";
        Self::plain(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message)
    }

    /// 422 for a parameter of the request: `kind` is `CreateOptions`, `PatchOptions`, `DeleteOptions` or `ListOptions`.
    #[must_use]
    pub fn invalid_option(kind: &str, cause: Cause) -> Self {
        Self::invalid("meta.k8s.io", kind, "", vec![cause])
    }

    /// 500.
    #[must_use]
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
    }

    /// 504.
    #[must_use]
    pub fn timeout(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", message)
    }

    /// A refusal of an admission plugin.
    #[must_use]
    pub fn denied(code: StatusCode, message: String, about: About, causes: Vec<Cause>) -> Self {
        let reason = if code == StatusCode::FORBIDDEN { "Forbidden" } else { "Invalid" };
        Self { about: Some(Box::new(about)), causes, ..Self::new(code, reason, message) }
    }

    /// What a failed write means to the client; `about` is what it wanted to write.
    #[must_use]
    pub fn write(error: WriteError, about: About) -> Self {
        match error {
            WriteError::Conflict => Self::conflict(about),
            WriteError::TooLarge { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", error.to_string())
            }
            WriteError::Store(error) => {
                let code = match *error {
                    StoreError::DiskFull { .. } => StatusCode::INSUFFICIENT_STORAGE,
                    StoreError::Closed => StatusCode::SERVICE_UNAVAILABLE,
                    _ => StatusCode::INTERNAL_SERVER_ERROR,
                };
                Self::new(code, "InternalError", error.to_string())
            }
        }
    }

    /// The `Status` object.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut details = Map::new();
        if let Some(about) = &self.about {
            for (name, value) in [("name", &about.name), ("group", &about.group), ("kind", &about.kind)] {
                if !value.is_empty() {
                    details.insert(name.to_owned(), value.as_str().into());
                }
            }
        }
        if !self.causes.is_empty() {
            let causes: Vec<Value> = self
                .causes
                .iter()
                .map(|cause| json!({"reason": cause.reason, "message": cause.message, "field": cause.field}))
                .collect();
            details.insert("causes".to_owned(), causes.into());
        }
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code.as_u16(),
        });
        if (!details.is_empty() || self.about.is_some())
            && let Some(status) = status.as_object_mut()
        {
            status.insert("details".to_owned(), details.into());
        }
        status
    }
}
