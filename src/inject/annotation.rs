//! What a pod's annotations say about its sidecar.

use serde_json::Value;

/// An annotation that cannot be followed, and why.
pub(super) type Wrong = (&'static str, String);

/// The text of an annotation.
pub(super) fn text<'a>(pod: &'a Value, name: &str) -> Option<&'a str> {
    pod.get("metadata")?.get("annotations")?.get(name)?.as_str()
}

/// An annotation that says yes or no.
pub(super) fn switch(pod: &Value, name: &'static str) -> Result<Option<bool>, Wrong> {
    match text(pod, name) {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(other) => Err((name, format!("{other:?} is neither true nor false"))),
    }
}
