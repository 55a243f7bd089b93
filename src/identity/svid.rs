//! A workload's certificate and key, checked to belong together.

use std::time::{Duration, SystemTime};

use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{IdentityError, KeyPair, SpiffeId, certificate, pem};

/// How far ahead of half-life a full jitter moves a renewal, as a part of the lifetime.
const JITTER_SPREAD: f64 = 0.1;

/// An X.509-SVID: a chain that names one workload, and its private key. Prints without the key.
#[derive(Debug, Clone)]
pub struct Svid {
    /// Whom the leaf names.
    pub id: SpiffeId,
    /// The certificates to present, leaf first, without the root.
    pub chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
    /// First moment at which the leaf holds.
    pub not_before: SystemTime,
    /// Last moment at which the leaf holds.
    pub not_after: SystemTime,
}

impl Svid {
    /// Puts together what `CreateCertificate` answers (`chain_pem`: leaf first, root last or left out, one or more
    /// certificates per element) and the key that the request was made with.
    ///
    /// # Errors
    /// [`IdentityError`] where a certificate cannot be read, the leaf does not name exactly one workload, is a CA's,
    /// or is another key's, and where a certificate is not signed by the one after it.
    pub fn new(chain_pem: &[String], key: KeyPair) -> Result<Self, IdentityError> {
        let mut chain = Vec::with_capacity(chain_pem.len());
        for text in chain_pem {
            chain.extend(pem::certificates(text)?);
        }
        let leaf = chain.first().ok_or_else(|| IdentityError::Chain("it holds no certificate".into()))?;
        let id = certificate::spiffe_id(leaf)?;
        let validity = certificate::validity(leaf)?;
        check_leaf(leaf, &key)?;
        check_links(&chain)?;
        if chain.len() > 1 && ends_in_a_root(&chain)? {
            chain.pop();
        }
        Ok(Self { id, chain, key, not_before: validity.not_before, not_after: validity.not_after })
    }

    /// The leaf's private key, in the form that TLS takes.
    pub fn private_key(&self) -> PrivateKeyDer<'static> {
        self.key.private_key()
    }

    /// When to ask for the next certificate: at half of this one's life, moved ahead by up to a tenth of it.
    ///
    /// `jitter` is a random number from 0 to 1, drawn by the caller; what lies outside is brought to the nearer end.
    pub fn renew_at(&self, jitter: f64) -> SystemTime {
        let lifetime = self.not_after.duration_since(self.not_before).unwrap_or(Duration::ZERO);
        let jitter = if jitter.is_finite() { jitter.clamp(0.0, 1.0) } else { 0.0 };
        self.not_before + lifetime.mul_f64(0.5 - JITTER_SPREAD * jitter)
    }
}

fn check_leaf(leaf: &CertificateDer<'_>, key: &KeyPair) -> Result<(), IdentityError> {
    let parsed = certificate::parse(leaf)?;
    if parsed.is_ca() {
        return Err(IdentityError::NotAWorkload("it is the certificate of an authority".into()));
    }
    if parsed.public_key().raw != key.public_key_info() {
        return Err(IdentityError::Key("the certificate was issued for another key".into()));
    }
    Ok(())
}

fn check_links(chain: &[CertificateDer<'_>]) -> Result<(), IdentityError> {
    for pair in chain.windows(2) {
        let [subject, issuer] = pair else { continue };
        let (subject, issuer) = (certificate::parse(subject)?, certificate::parse(issuer)?);
        if !certificate::is_signed_by(&subject, &issuer) {
            return Err(IdentityError::Chain(format!(
                "the certificate issued by {:?} is not signed by the one after it, {:?}",
                subject.issuer().to_string(),
                issuer.subject().to_string()
            )));
        }
    }
    Ok(())
}

fn ends_in_a_root(chain: &[CertificateDer<'_>]) -> Result<bool, IdentityError> {
    match chain.last() {
        Some(last) => Ok(certificate::is_self_issued(&certificate::parse(last)?)),
        None => Ok(false),
    }
}

#[cfg(test)]
#[path = "svid_tests.rs"]
mod tests;
