//! Leaving out what is secret.
//!
//! Secrets keep their names and the names of their entries. Elsewhere, values go whose name says that they are secret, and texts
//! that are tokens, keys or certificates by their form.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

/// What stands where something was.
const REDACTED: &str = "(redacted)";

/// Parts of names whose values are secret.
const SECRET_WORDS: [&str; 8] = ["password", "passwd", "secret", "token", "apikey", "api_key", "credential", "private"];

/// Annotations that repeat an object as somebody wrote it.
const COPIES: [&str; 1] = ["kubectl.kubernetes.io/last-applied-configuration"];

static FORMS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let forms = [
        // A JSON web token.
        r"eyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*",
        // Anything in PEM but a certificate, which everybody may see.
        r"(?s)-----BEGIN [A-Z ]*KEY-----.*?-----END [A-Z ]*KEY-----",
        r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}",
        // User and password of a URL.
        r"://[^/\s:@]+:[^/\s@]+@",
    ];
    forms.iter().filter_map(|form| Regex::new(form).ok()).collect()
});

/// A text without tokens and keys.
pub(super) fn text(text: &str) -> String {
    FORMS.iter().fold(text.to_owned(), |text, form| form.replace_all(&text, REDACTED).into_owned())
}

/// An object without secrets, and without what nobody reads.
pub(super) fn object(mut object: Value) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            COPIES.iter().for_each(|copy| {
                annotations.remove(*copy);
            });
        }
    }
    if object["kind"] == "Secret" {
        for field in ["data", "stringData"] {
            for (_, value) in object[field].as_object_mut().into_iter().flatten() {
                *value = REDACTED.into();
            }
        }
        return object;
    }
    clean(&mut object);
    object
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

fn clean(value: &mut Value) {
    match value {
        Value::Object(map) => {
            // An environment variable, a header: the name stands beside the value.
            let named = map.get("name").and_then(Value::as_str).is_some_and(is_secret);
            if named && map.get("value").is_some_and(Value::is_string) {
                map.insert("value".to_owned(), REDACTED.into());
            }
            for (name, value) in map {
                match value {
                    // What names a secret is none: `secretName`, `serviceAccountToken`.
                    Value::String(_) if is_secret(name) && !name.ends_with("Name") => *value = REDACTED.into(),
                    value => clean(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(clean),
        Value::String(found) => {
            let cleaned = text(found);
            if cleaned != *found {
                *found = cleaned;
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_keep_their_names_alone() {
        let secret = json!({"kind": "Secret", "metadata": {"name": "s"}, "data": {"tls.key": "a2V5"}});
        assert_eq!(object(secret)["data"], json!({"tls.key": REDACTED}));
    }

    #[test]
    fn what_is_secret_by_its_name_or_its_form_goes_and_the_rest_stays() {
        let pod = json!({
            "kind": "Pod",
            "metadata": {"managedFields": [1], "annotations": {"a": "b", COPIES[0]: "{}"}},
            "spec": {
                "env": [
                    {"name": "DB_PASSWORD", "value": "hunter2"},
                    {"name": "PLAIN", "value": "http://user:pass@host/x"},
                    {"name": "TOKEN_FROM", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                ],
                "volumes": [{"secret": {"secretName": "s"}}],
                "clientSecret": "abc",
            },
        });
        let cleaned = object(pod).to_string();
        for gone in ["hunter2", "user:pass", "abc", "managedFields", "last-applied"] {
            assert!(!cleaned.contains(gone), "{gone} in {cleaned}");
        }
        for kept in ["DB_PASSWORD", "secretName", "\"s\"", "\"a\":\"b\"", "host/x"] {
            assert!(cleaned.contains(kept), "{kept} not in {cleaned}");
        }
        let log = "authorization: Bearer abcdefghijkl\nid eyJhbGciOi.eyJzdWIiOi.c2ln end";
        assert_eq!(text(log), format!("authorization: {REDACTED}\nid {REDACTED} end"));
    }
}
