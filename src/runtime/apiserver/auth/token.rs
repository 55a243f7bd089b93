//! Bearer tokens: the administrator's, and those of service accounts (JWTs, ES256).
//!
//! Both secrets live in the data directory with mode 0600. A service account's token is worth something only while its account,
//! and the pod it is bound to, exist: that is for the caller to check, with the uids in [`Claims`].

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use jiff::Timestamp;
use rcgen::KeyPair;
use serde_json::{Value, json};

use super::super::random;
use super::super::store::StoreError;

/// What a token says, verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Namespace of the account.
    pub namespace: String,
    /// Name of the account.
    pub account: String,
    /// Uid of the account.
    pub account_uid: String,
    /// Name and uid of the pod it is bound to.
    pub pod: Option<(String, String)>,
    /// For whom it is.
    pub audiences: Vec<String>,
    /// When it ends, seconds since 1970.
    pub expires: i64,
}

/// Characters of the administrator's token, at least.
const LEAST: usize = 32;

/// Makes and checks tokens.
pub struct Tokens {
    admin: String,
    key: EcdsaKeyPair,
    issuer: String,
}

impl Tokens {
    /// Reads the secrets in `dir`, or makes them.
    ///
    /// # Errors
    /// They can be neither read nor written, or are damaged.
    pub fn open(dir: &Path, issuer: &str) -> Result<Self, StoreError> {
        let wrong = |name: &str, reason: String| StoreError::Keys { path: dir.join(name), reason };
        let admin = kept(&dir.join("admin-token"), || random::secret().map_err(|error| error.message))?;
        // What is short is what a full disk or a slip of the hand left of it, and is guessed.
        if admin.trim().len() < LEAST {
            let why = format!("it holds fewer than {LEAST} characters; delete it, and a new one is made");
            return Err(wrong("admin-token", why));
        }
        let pem = kept(&dir.join("service-account-key.pem"), || {
            KeyPair::generate().map(|key| key.serialize_pem()).map_err(|error| error.to_string())
        })?;
        let key = KeyPair::from_pem(&pem).map_err(|error| wrong("service-account-key.pem", error.to_string()))?;
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.serialize_der())
            .map_err(|error| wrong("service-account-key.pem", error.to_string()))?;
        Ok(Self { admin: admin.trim().to_owned(), key, issuer: issuer.to_owned() })
    }

    /// The administrator's token.
    pub fn admin(&self) -> &str {
        &self.admin
    }

    /// Who signs.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Whether `token` is the administrator's, in a time that does not tell how much of it is right.
    pub fn is_admin(&self, token: &str) -> bool {
        let (a, b) = (token.as_bytes(), self.admin.as_bytes());
        let differing = a.iter().zip(b).fold(0_u8, |sum, (a, b)| sum | (a ^ b));
        a.len() == b.len() && differing == 0
    }

    /// A signed token.
    ///
    /// # Errors
    /// The key does not sign.
    pub fn issue(&self, claims: &Claims, now: Timestamp) -> Result<String, String> {
        let mut kubernetes = json!({
            "namespace": claims.namespace,
            "serviceaccount": {"name": claims.account, "uid": claims.account_uid},
        });
        if let Some((name, uid)) = &claims.pod {
            kubernetes["pod"] = json!({"name": name, "uid": uid});
        }
        let id = random::uid().map_err(|error| error.message)?;
        let body = json!({
            "iss": self.issuer,
            "sub": format!("system:serviceaccount:{}:{}", claims.namespace, claims.account),
            "aud": claims.audiences,
            "iat": now.as_second(),
            "nbf": now.as_second(),
            "exp": claims.expires,
            "jti": id,
            "kubernetes.io": kubernetes,
        });
        let head = json!({"alg": "ES256", "typ": "JWT"});
        let signed = format!("{}.{}", BASE64.encode(head.to_string()), BASE64.encode(body.to_string()));
        let signature =
            self.key.sign(&SystemRandom::new(), signed.as_bytes()).map_err(|_| "the key does not sign".to_owned())?;
        Ok(format!("{signed}.{}", BASE64.encode(signature)))
    }

    /// What a token says.
    ///
    /// # Errors
    /// It is malformed, not ours, not valid yet or any more, or for none of `audiences` (when any are asked for).
    pub fn verify(&self, token: &str, audiences: &[String], now: Timestamp) -> Result<Claims, String> {
        let malformed = || "the token is malformed".to_owned();
        let (signed, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
        let (head, body) = signed.split_once('.').ok_or_else(malformed)?;
        let parse = |part: &str| -> Option<Value> { serde_json::from_slice(&BASE64.decode(part).ok()?).ok() };
        let head = parse(head).ok_or_else(malformed)?;
        if head["alg"] != "ES256" {
            return Err("the token is not signed with ES256".to_owned());
        }
        let signature = BASE64.decode(signature).map_err(|_| malformed())?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key().as_ref())
            .verify(signed.as_bytes(), &signature)
            .map_err(|_| "the token was not signed by this server".to_owned())?;
        let body = parse(body).ok_or_else(malformed)?;
        if body["iss"] != self.issuer.as_str() {
            return Err(format!("the token was issued by {}", body["iss"]));
        }
        let (starts, ends) = (&body["nbf"], body["exp"].as_i64().unwrap_or_default());
        if ends <= now.as_second() {
            return Err("the token has expired".to_owned());
        }
        if starts.as_i64().is_none_or(|starts| starts > now.as_second() + 10) {
            return Err("the token is not valid yet".to_owned());
        }
        let given: Vec<String> =
            body["aud"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        if !audiences.is_empty() && !given.iter().any(|audience| audiences.contains(audience)) {
            return Err(format!("token audiences {given:?} is invalid for the target audiences {audiences:?}"));
        }
        let about = &body["kubernetes.io"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(Claims {
            namespace: text(&about["namespace"]),
            account: text(&about["serviceaccount"]["name"]),
            account_uid: text(&about["serviceaccount"]["uid"]),
            pod: about.get("pod").map(|pod| (text(&pod["name"]), text(&pod["uid"]))),
            audiences: given,
            expires: ends,
        })
    }
}

/// The secret in `path`; made, and written with mode 0600, if the file is not there.
fn kept(path: &Path, make: impl FnOnce() -> Result<String, String>) -> Result<String, StoreError> {
    match fs::read_to_string(path) {
        Ok(text) => return Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(StoreError::io(path, &error)),
    }
    let text = make().map_err(|reason| StoreError::Keys { path: path.to_owned(), reason })?;
    // Written aside and renamed, so that a crash leaves no half of a key.
    let aside = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&aside, path)
    };
    write().map_err(|error| StoreError::io(path, &error))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(now: Timestamp) -> Claims {
        Claims {
            namespace: "default".to_owned(),
            account: "web".to_owned(),
            account_uid: "u".to_owned(),
            pod: Some(("web-1".to_owned(), "p".to_owned())),
            audiences: vec!["istio-ca".to_owned()],
            expires: now.as_second() + 600,
        }
    }

    #[test]
    fn verifies_its_own_tokens_and_only_those() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let tokens = Tokens::open(one.path(), "mesh").unwrap();
        let other = Tokens::open(two.path(), "mesh").unwrap();
        let now = Timestamp::now();
        for _ in 0..50 {
            let token = tokens.issue(&claims(now), now).unwrap();
            assert_eq!(tokens.verify(&token, &[], now).unwrap(), claims(now));
            assert!(other.verify(&token, &[], now).is_err());
        }
        let token = tokens.issue(&claims(now), now).unwrap();
        assert!(tokens.verify(&token, &["istio-ca".to_owned()], now).is_ok());
        assert!(tokens.verify(&token, &["api".to_owned()], now).unwrap_err().contains("audiences"));
        let later = Timestamp::from_second(now.as_second() + 601).unwrap();
        assert!(tokens.verify(&token, &[], later).unwrap_err().contains("expired"));
        for broken in ["", "a.b", "a.b.c", &token[..token.len() - 3], &token.replace('.', "")] {
            assert!(tokens.verify(broken, &[], now).is_err(), "{broken}");
        }
        let none =
            token.replacen(&BASE64.encode(r#"{"alg":"ES256","typ":"JWT"}"#), &BASE64.encode(r#"{"alg":"none"}"#), 1);
        assert!(tokens.verify(&none, &[], now).is_err());
    }

    #[test]
    fn keeps_its_secrets_private_and_over_a_restart() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let first = Tokens::open(dir.path(), "mesh").unwrap();
        let again = Tokens::open(dir.path(), "mesh").unwrap();
        assert_eq!(first.admin(), again.admin());
        assert!(first.is_admin(again.admin()) && !first.is_admin("x") && !first.is_admin(""));
        for entry in fs::read_dir(dir.path()).unwrap() {
            let mode = entry.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        fs::write(dir.path().join("admin-token"), "").unwrap();
        assert!(matches!(Tokens::open(dir.path(), "mesh"), Err(StoreError::Keys { .. })));
    }
}
