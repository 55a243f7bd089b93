//! Issuers for tests: keys, and tokens that they sign.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// base64url without padding.
pub(crate) fn encode(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// Signs a text.
type Sign = Box<dyn Fn(&[u8]) -> Vec<u8>>;

/// A key, its name in the set, and how it signs.
pub(crate) struct Signer {
    pub(crate) alg: &'static str,
    pub(crate) jwk: Value,
    pub(crate) sign: Sign,
}

/// An issuer with an Ed25519 key.
pub(crate) fn ed25519() -> Signer {
    let key = Ed25519KeyPair::generate().unwrap();
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": encode(key.public_key().as_ref())});
    Signer { alg: "EdDSA", jwk, sign: Box::new(move |text| key.sign(text).as_ref().to_vec()) }
}

impl Signer {
    pub(crate) fn token_with(&self, header: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        let signature = (self.sign)(signed.as_bytes());
        format!("{signed}.{}", encode(&signature))
    }

    pub(crate) fn token(&self, claims: &Value) -> String {
        self.token_with(&json!({"alg": self.alg, "kid": self.jwk["kid"]}), claims)
    }
}
