//! A signed token, taken apart (RFC 7515, compact form). Nothing in it is proved by that.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::TokenError;

/// Deepest nesting that is read; `serde_json` itself stops at 128.
const MAX_CLAIMS: usize = 1024;

/// How a token is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

/// The algorithms that prove something to who has the public key. `none` and those with a shared secret are not among them.
const ALGORITHMS: &[(&str, Algorithm)] = &[
    ("RS256", Algorithm::Rs256),
    ("RS384", Algorithm::Rs384),
    ("RS512", Algorithm::Rs512),
    ("PS256", Algorithm::Ps256),
    ("PS384", Algorithm::Ps384),
    ("PS512", Algorithm::Ps512),
    ("ES256", Algorithm::Es256),
    ("ES384", Algorithm::Es384),
    ("EdDSA", Algorithm::EdDsa),
];

impl Algorithm {
    pub(super) fn named(name: &str) -> Option<Self> {
        ALGORITHMS.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm)
    }
}

/// A token.
#[derive(Debug)]
pub(super) struct Jws<'t> {
    pub(super) algorithm: Algorithm,
    pub(super) key_id: Option<String>,
    pub(super) claims: Map<String, Value>,
    /// The payload as it is written.
    pub(super) payload: &'t str,
    /// What is signed.
    pub(super) signed: &'t [u8],
    pub(super) signature: Vec<u8>,
}

impl<'t> Jws<'t> {
    pub(super) fn parse(token: &'t str) -> Result<Self, TokenError> {
        let malformed = TokenError::Malformed;
        let (signed, signature) = token.rsplit_once('.').ok_or(malformed("it has no dots"))?;
        let (header, payload) = signed.split_once('.').ok_or(malformed("it has one dot"))?;
        if payload.contains('.') {
            return Err(malformed("it has more than two dots"));
        }
        let header = object(header).ok_or(malformed("its header cannot be read"))?;
        if header.contains_key("crit") {
            return Err(TokenError::Critical);
        }
        let algorithm = header.get("alg").and_then(Value::as_str).and_then(Algorithm::named);
        let key_id = match header.get("kid") {
            None => None,
            Some(Value::String(id)) => Some(id.clone()),
            Some(_) => return Err(malformed("its key id is no text")),
        };
        let claims = object(payload).ok_or(malformed("its payload cannot be read"))?;
        if claims.len() > MAX_CLAIMS {
            return Err(malformed("it has more than 1,024 claims"));
        }
        Ok(Self {
            algorithm: algorithm.ok_or(TokenError::Algorithm)?,
            key_id,
            claims,
            payload,
            signed: signed.as_bytes(),
            signature: BASE64_URL_SAFE_NO_PAD
                .decode(signature)
                .map_err(|_| malformed("its signature cannot be read"))?,
        })
    }
}

fn object(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}
