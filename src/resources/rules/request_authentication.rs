//! RequestAuthentication.

use serde_json::Value;

use crate::resources::field::Cx;
use crate::resources::policy_target::{one_attachment, text};
use crate::resources::request_authentication::{JwtRule, RequestAuthentication};

pub(in crate::resources) fn request_authentication(policy: &RequestAuthentication, cx: &mut Cx) {
    one_attachment(policy.selector.as_ref(), policy.target_ref.as_ref(), &policy.target_refs, cx);
}

pub(in crate::resources) fn jwt_rule(rule: &JwtRule, cx: &mut Cx) {
    let uri = rule.jwks_uri.is_some() || rule.jwks_uri_old.is_some();
    if uri && rule.jwks.is_some() {
        cx.error("has both `jwks` and `jwksUri`, and only one of them can be: remove one");
    } else if rule.jwks_uri.is_some() && rule.jwks_uri_old.is_some() {
        cx.error("has both `jwksUri` and `jwks_uri`, which are the same: remove `jwks_uri`");
    }
    if rule.issuer.is_none() && !uri {
        cx.error_at("issuer", "is required where jwksUri is not set: name who issues the tokens");
    }
    if let Some(keys) = &rule.jwks {
        cx.at("jwks", |cx| jwks(keys, cx));
    }
    if rule.output_payload_to_header.as_deref().is_some_and(|header| header.contains(char::is_whitespace)) {
        cx.error_at("outputPayloadToHeader", "is no header's name: it has a blank");
    }
}

/// Keys as RFC 7517 writes them: `{"keys": [...]}`.
fn jwks(text_of_keys: &str, cx: &mut Cx) {
    if text_of_keys.is_empty() {
        return;
    }
    let parsed: Value = match serde_json::from_str(text_of_keys) {
        Ok(parsed) => parsed,
        Err(error) => {
            cx.error(format!("is no JSON: {error}"));
            return;
        }
    };
    let Some(keys) = parsed.get("keys").and_then(Value::as_array) else {
        cx.error("is no set of keys: it has to be `{\"keys\": [...]}`");
        return;
    };
    for (index, key) in keys.iter().enumerate() {
        if text(key, "kty").is_none() {
            cx.error(format!("has a key (number {index}) without a type: every key has a `kty`"));
        }
        if key.get("d").is_some() || text(key, "kty") == Some("oct") {
            cx.warn(format!("has a secret key (number {index}), and only public keys belong here: replace it"));
        }
    }
}
