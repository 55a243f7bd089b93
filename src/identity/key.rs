//! Private keys of workloads and servers.
//!
//! One algorithm, ECDSA P-256: small, quick to make and to sign with, and understood by every peer that speaks
//! Istio's certificates. A key prints as nothing.

use std::{fmt, sync::Arc};

use rcgen::{CertificateParams, DistinguishedName, PublicKeyData, SanType};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};

use super::{IdentityError, SpiffeId};

/// An ECDSA P-256 key pair. Cheap to clone.
#[derive(Clone)]
pub struct KeyPair(Arc<Inner>);

struct Inner {
    pair: rcgen::KeyPair,
    der: PrivateKeyDer<'static>,
    pem: String,
}

impl KeyPair {
    /// A new key from the system's random source.
    ///
    /// # Errors
    /// [`IdentityError::Key`] where the random source fails.
    pub fn generate() -> Result<Self, IdentityError> {
        let pair = rcgen::KeyPair::generate().map_err(|e| IdentityError::Key(e.to_string()))?;
        let pem = pair.serialize_pem();
        Self::build(pair, pem)
    }

    /// Reads the first private key in `pem` (PKCS #8 or SEC 1).
    ///
    /// # Errors
    /// [`IdentityError::Pem`] where there is no plaintext private key, [`IdentityError::Key`] where it is not P-256.
    pub fn from_pem(pem: &str) -> Result<Self, IdentityError> {
        let pair = parse_private_key(pem)?;
        if pair.algorithm() != &rcgen::PKCS_ECDSA_P256_SHA256 {
            return Err(IdentityError::Key(
                "it is not an ECDSA P-256 key; make one with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`"
                    .into(),
            ));
        }
        Self::build(pair, pem.to_owned())
    }

    fn build(pair: rcgen::KeyPair, pem: String) -> Result<Self, IdentityError> {
        let der = PrivateKeyDer::try_from(pair.serialize_der()).map_err(|e| IdentityError::Key(e.to_owned()))?;
        Ok(Self(Arc::new(Inner { pair, der, pem })))
    }

    /// The private key as PEM text. Whoever asks keeps it secret.
    pub fn to_pem(&self) -> String {
        self.0.pem.clone()
    }

    /// A request, signed by this key, for a certificate that names `id`.
    ///
    /// # Errors
    /// [`IdentityError::Key`] where signing fails.
    pub fn csr_pem(&self, id: &SpiffeId) -> Result<String, IdentityError> {
        let uri = id.as_str().try_into().map_err(|e: rcgen::Error| IdentityError::Key(e.to_string()))?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![SanType::URI(uri)];
        params
            .serialize_request(&self.0.pair)
            .and_then(|request| request.pem())
            .map_err(|e| IdentityError::Key(e.to_string()))
    }

    /// The private key in the form that TLS takes.
    pub fn private_key(&self) -> PrivateKeyDer<'static> {
        self.0.der.clone_key()
    }

    pub(super) fn public_key_info(&self) -> Vec<u8> {
        self.0.pair.subject_public_key_info()
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyPair(secret)")
    }
}

/// Reads a private key of any algorithm that can sign certificates.
pub(super) fn parse_private_key(pem: &str) -> Result<rcgen::KeyPair, IdentityError> {
    let der = PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|e| IdentityError::Pem { wanted: "plaintext private key", reason: e.to_string() })?;
    rcgen::KeyPair::try_from(&der).map_err(|e| IdentityError::Key(e.to_string()))
}
