//! The keys of an issuer (RFC 7517), and what they verify.
//!
//! A key says what it is for by its type: a token that names another algorithm than its key can have is not tried with it, so
//! that no public key is ever taken for a secret.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;

use super::TokenError;
use super::jws::{Algorithm, Jws};

/// Keys that are looked at in one set.
const MAX_KEYS: usize = 256;

/// The keys of an issuer. Equal where their text is.
#[derive(Clone)]
pub struct KeySet {
    source: Arc<str>,
    keys: Arc<[PublicKey]>,
}

#[derive(Debug)]
struct PublicKey {
    id: Option<String>,
    /// The one algorithm that the set allows it for.
    algorithm: Option<Algorithm>,
    material: Material,
}

enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rsa { .. } => "RSA",
            Self::P256(_) => "P-256",
            Self::P384(_) => "P-384",
            Self::Ed25519(_) => "Ed25519",
        })
    }
}

impl KeySet {
    /// Reads a set, `{"keys": [...]}`. What is no set is one without keys; a key that cannot be used is left out.
    pub fn parse(source: Arc<str>) -> Self {
        let parsed: Option<Value> = serde_json::from_str(&source).ok();
        let listed = parsed.as_ref().and_then(|set| set.get("keys")).and_then(Value::as_array);
        let keys = listed.into_iter().flatten().take(MAX_KEYS).filter_map(PublicKey::parse).collect();
        Self { source, keys }
    }

    /// The set as it was written.
    pub fn source(&self) -> &Arc<str> {
        &self.source
    }

    /// Whether no key of it can be used.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether one of the keys has signed the token.
    pub(super) fn verify(&self, token: &Jws<'_>) -> Result<(), TokenError> {
        if self.keys.is_empty() {
            return Err(TokenError::NoKeys);
        }
        let fits = |key: &&PublicKey| {
            // A key without an id may be any; a token without one may be signed by any.
            let named = key.id.is_none() || token.key_id.is_none() || key.id == token.key_id;
            named
                && key.algorithm.is_none_or(|algorithm| algorithm == token.algorithm)
                && key.material.is_for(token.algorithm)
        };
        let mut tried = false;
        for key in self.keys.iter().filter(fits) {
            tried = true;
            if key.material.has_signed(token) {
                return Ok(());
            }
        }
        Err(if tried { TokenError::Signature } else { TokenError::NoKey })
    }
}

impl PartialEq for KeySet {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for KeySet {}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeySet").field(&self.keys).finish()
    }
}

impl PublicKey {
    fn parse(key: &Value) -> Option<Self> {
        let text = |field: &str| key.get(field).and_then(Value::as_str);
        if text("use").is_some_and(|usage| usage != "sig") {
            return None;
        }
        let bytes = |field: &str| BASE64_URL_SAFE_NO_PAD.decode(text(field)?).ok();
        let material = match (text("kty")?, text("crv")) {
            ("RSA", _) => Material::Rsa { n: stripped(bytes("n")?), e: stripped(bytes("e")?) },
            ("EC", Some("P-256")) => Material::P256(point(&bytes("x")?, &bytes("y")?, 32)?),
            ("EC", Some("P-384")) => Material::P384(point(&bytes("x")?, &bytes("y")?, 48)?),
            ("OKP", Some("Ed25519")) => Material::Ed25519(bytes("x").filter(|x| x.len() == 32)?),
            _ => return None,
        };
        let algorithm = match text("alg") {
            None => None,
            Some(name) => Some(Algorithm::named(name)?),
        };
        Some(Self { id: text("kid").map(str::to_owned), algorithm, material })
    }
}

/// A number without leading zeros, as the verifier wants it.
fn stripped(number: Vec<u8>) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default().to_vec()
}

/// A point in uncompressed form (SEC 1 section 2.3.3).
fn point(x: &[u8], y: &[u8], size: usize) -> Option<Vec<u8>> {
    (x.len() == size && y.len() == size).then(|| [&[4], x, y].concat())
}

impl Material {
    fn is_for(&self, algorithm: Algorithm) -> bool {
        match self {
            Self::Rsa { .. } => matches!(
                algorithm,
                Algorithm::Rs256
                    | Algorithm::Rs384
                    | Algorithm::Rs512
                    | Algorithm::Ps256
                    | Algorithm::Ps384
                    | Algorithm::Ps512
            ),
            Self::P256(_) => algorithm == Algorithm::Es256,
            Self::P384(_) => algorithm == Algorithm::Es384,
            Self::Ed25519(_) => algorithm == Algorithm::EdDsa,
        }
    }

    fn has_signed(&self, token: &Jws<'_>) -> bool {
        let (signed, signature) = (token.signed, token.signature.as_slice());
        let rsa = |parameters| match self {
            // Moduli below 2048 bits are refused by the parameters.
            Self::Rsa { n, e } => RsaPublicKeyComponents { n, e }.verify(parameters, signed, signature).is_ok(),
            _ => false,
        };
        match (self, token.algorithm) {
            (Self::P256(key), Algorithm::Es256) => {
                UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, key).verify(signed, signature).is_ok()
            }
            (Self::P384(key), Algorithm::Es384) => {
                UnparsedPublicKey::new(&signature::ECDSA_P384_SHA384_FIXED, key).verify(signed, signature).is_ok()
            }
            (Self::Ed25519(key), Algorithm::EdDsa) => {
                UnparsedPublicKey::new(&signature::ED25519, key).verify(signed, signature).is_ok()
            }
            (_, Algorithm::Rs256) => rsa(&signature::RSA_PKCS1_2048_8192_SHA256),
            (_, Algorithm::Rs384) => rsa(&signature::RSA_PKCS1_2048_8192_SHA384),
            (_, Algorithm::Rs512) => rsa(&signature::RSA_PKCS1_2048_8192_SHA512),
            (_, Algorithm::Ps256) => rsa(&signature::RSA_PSS_2048_8192_SHA256),
            (_, Algorithm::Ps384) => rsa(&signature::RSA_PSS_2048_8192_SHA384),
            (_, Algorithm::Ps512) => rsa(&signature::RSA_PSS_2048_8192_SHA512),
            _ => false,
        }
    }
}
