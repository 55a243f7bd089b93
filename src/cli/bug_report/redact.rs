//! Leaving out what is secret.
//!
//! Secrets keep their names and the names of their entries, and so do ConfigMaps of applications. Elsewhere, values go whose name says
//! that they are secret, alone or within a text, and texts that are tokens or keys by their form.

use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::Value;

/// What stands where something was.
const REDACTED: &str = "(redacted)";

/// Parts of names whose values are secret, in small letters and without what separates words.
const SECRET_WORDS: [&str; 11] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "credential",
    "authorization",
    "cookie",
];

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

/// `name=value`, `name: value`, `--name value`: the name, what is between, and the value.
static NAMED: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"([A-Za-z0-9_.-]+)(["']?[ \t]*[=:][ \t]*["']?)([^\s"',;&}\]]+)"#).ok());

/// A text without tokens, keys, and values whose names say that they are secret.
pub(super) fn text(text: &str) -> String {
    let text = FORMS.iter().fold(text.to_owned(), |text, form| form.replace_all(&text, REDACTED).into_owned());
    let Some(named) = NAMED.as_ref() else { return text };
    let redacted = named.replace_all(&text, |found: &Captures<'_>| match &found[1] {
        name if is_secret(name) => format!("{name}{}{REDACTED}", &found[2]),
        _ => found[0].to_owned(),
    });
    redacted.into_owned()
}

/// A value without what is secret in it.
pub(super) fn value(mut value: Value) -> Value {
    clean(&mut value);
    value
}

/// An object without secrets, and without what nobody reads. ConfigMaps of `system`'s namespace are the mesh's own.
pub(super) fn object(mut object: Value, system: &str) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            COPIES.iter().for_each(|copy| {
                annotations.remove(*copy);
            });
        }
    }
    let of_apps = object["kind"] == "ConfigMap" && object["metadata"]["namespace"] != system;
    if object["kind"] == "Secret" || of_apps {
        for field in ["data", "stringData", "binaryData"] {
            for (_, value) in object.get_mut(field).and_then(Value::as_object_mut).into_iter().flatten() {
                *value = REDACTED.into();
            }
        }
        return object;
    }
    clean(&mut object);
    object
}

fn is_secret(name: &str) -> bool {
    let plain: String = name.chars().filter(|c| !"-_.".contains(*c)).collect::<String>().to_ascii_lowercase();
    // What names a secret, or says where one is, is none: `secretName`, `token-path`.
    let elsewhere = ["name", "path", "file", "ref"].iter().any(|end| plain.ends_with(end));
    !elsewhere && SECRET_WORDS.iter().any(|word| plain.contains(word))
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
                    Value::String(_) if is_secret(name) => *value = REDACTED.into(),
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
        assert_eq!(object(secret, "mesh")["data"], json!({"tls.key": REDACTED}));
        for (namespace, kept) in [("shop", REDACTED), ("mesh", "mtls: on")] {
            let config = json!({"kind": "ConfigMap", "metadata": {"namespace": namespace}, "data": {"k": "mtls: on"}});
            assert_eq!(object(config, "mesh")["data"]["k"], kept, "{namespace}");
        }
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
                "args": ["--admin-password=geheim", "--port=8080"],
                "headers": [{"name": "x-api-key", "value": "0815"}],
            },
        });
        let cleaned = object(pod, "mesh").to_string();
        for gone in ["hunter2", "user:pass", "abc", "geheim", "0815", "managedFields", "last-applied"] {
            assert!(!cleaned.contains(gone), "{gone} in {cleaned}");
        }
        for kept in ["DB_PASSWORD", "secretName", "\"s\"", "\"a\":\"b\"", "host/x", "--port=8080"] {
            assert!(cleaned.contains(kept), "{kept} not in {cleaned}");
        }
        let log = "authorization: Bearer abcdefghijkl\nid eyJhbGciOi.eyJzdWIiOi.c2ln end";
        assert_eq!(text(log), format!("authorization: {REDACTED}\nid {REDACTED} end"));
        let properties = "db.password=hunter2\nSecret-Key: x y\n\"pass_phrase\": \"z\"\nsecretName: s\nport: 80";
        let expected = "db.password=@\nSecret-Key: @ y\n\"pass_phrase\": \"@\"\nsecretName: s\nport: 80";
        assert_eq!(text(properties), expected.replace('@', REDACTED));
    }
}
