//! The certificate authority's cryptography: it signs, and keeps no record.
//!
//! Who may have which identity is decided by the caller, who has authenticated it; what a signing request says about
//! names, uses or times is ignored. A request proves one thing only: that its sender holds the private key.

mod files;

use std::{
    fmt,
    net::IpAddr,
    path::Path,
    time::{Duration, SystemTime},
};

use rcgen::{
    CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyUsagePurpose, PublicKeyData,
    SanType, SerialNumber, SubjectPublicKeyInfo,
};
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, pem::PemObject};
use x509_parser::{
    certification_request::X509CertificationRequest,
    oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY},
    prelude::FromDer,
    public_key::PublicKey,
};

pub use files::AuthorityFiles;

use super::{
    IdentityError, KeyPair, SpiffeId, TrustBundle, TrustDomain,
    certificate::{self, Validity},
    pem,
};

/// How long before its issue a certificate begins to hold, at most; a peer's clock may be behind by that much.
const MAX_BACKDATE: Duration = Duration::from_secs(120);
/// The part of a lifetime that backdating may take, so that half-life of a short one is not in the past.
const BACKDATE_PART: u32 = 10;
/// Smallest RSA modulus that is signed for, in bits.
const MIN_RSA_BITS: usize = 2048;
/// Longest signing request that is read, in bytes; one for RSA-8192 has about 3 KiB.
const MAX_REQUEST: usize = 16 * 1024;

/// A trust domain's authority: a signing key, its certificate, and the way from there to the root.
pub struct Authority {
    trust_domain: TrustDomain,
    issuer: Issuer<'static, rcgen::KeyPair>,
    /// The signing certificate first, the root last; one element where they are the same.
    path: Vec<CertificateDer<'static>>,
    validity: Validity,
    bundle: TrustBundle,
}

impl Authority {
    /// The authority whose files are in `dir`; where `dir` is empty or missing, a new self-signed one (ECDSA P-256,
    /// 10 years) is made and written there, all of it or nothing.
    ///
    /// The files are `ca-key.pem`, `ca-cert.pem`, `root-cert.pem` (one or more roots) and, where the signing
    /// certificate is not itself a root, `cert-chain.pem`: the names of Istio's `cacerts` secret. Made files have
    /// mode 0600 in a directory of mode 0700.
    ///
    /// # Errors
    /// [`IdentityError::Incomplete`] names the missing file; [`IdentityError::Occupied`] where there are only other
    /// files; [`IdentityError::File`] names the file that is wrong: unreadable, another key's, not an authority's,
    /// expired, without a path to a root, or made for another trust domain; [`IdentityError::Io`].
    pub fn load_or_create(dir: &Path, trust_domain: &TrustDomain) -> Result<Self, IdentityError> {
        match files::load(dir, trust_domain)? {
            Some(authority) => Ok(authority),
            None => {
                files::create(dir, trust_domain)?;
                files::load(dir, trust_domain)?
                    .ok_or_else(|| IdentityError::Incomplete { dir: dir.to_owned(), missing: files::KEY })
            }
        }
    }

    /// The authority whose files these are; `origin` is what errors call the place they come from.
    ///
    /// # Errors
    /// Those of [`Authority::load_or_create`], [`IdentityError::Incomplete`] first among them: a half-present set never
    /// becomes another authority.
    pub fn from_files(origin: &Path, files: AuthorityFiles, trust_domain: &TrustDomain) -> Result<Self, IdentityError> {
        files.check(origin, trust_domain)
    }

    /// Signs a workload's certificate that names `id`, begins up to two minutes ago and ends in `ttl`, or with the
    /// authority's own certificate if that is sooner. Answers one PEM text per certificate, leaf first, root last.
    ///
    /// # Errors
    /// [`IdentityError::Request`] where the request cannot be read, is not signed by its own key, or has a key other
    /// than ECDSA P-256 or RSA of at least 2048 bits; [`IdentityError::Sign`] where `id` is of another trust domain,
    /// `ttl` is below one second, or the authority has expired.
    pub fn sign_workload(&self, csr_pem: &str, id: &SpiffeId, ttl: Duration) -> Result<Vec<String>, IdentityError> {
        self.sign_workload_at(SystemTime::now(), csr_pem, id, ttl)
    }

    /// [`Authority::sign_workload`] as if it were `now`.
    ///
    /// # Errors
    /// Those of [`Authority::sign_workload`].
    pub fn sign_workload_at(
        &self,
        now: SystemTime,
        csr_pem: &str,
        id: &SpiffeId,
        ttl: Duration,
    ) -> Result<Vec<String>, IdentityError> {
        if id.trust_domain() != &self.trust_domain {
            return Err(IdentityError::Sign(format!(
                "{id} is of another trust domain than this authority's, {}",
                self.trust_domain
            )));
        }
        let public_key = requested_key(csr_pem)?;
        let uri = id.as_str().try_into().map_err(sign_error)?;
        let leaf = self.issue(
            &public_key,
            vec![SanType::URI(uri)],
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
            self.lifetime(now, ttl)?,
        )?;
        Ok(std::iter::once(leaf.pem())
            .chain(self.path.iter().map(|certificate| pem::certificate_pem(certificate)))
            .collect())
    }

    /// A new key and a certificate for a server that is known by name or address, not by identity. The chain is
    /// leaf first, without the root. A name may begin with `*.`.
    ///
    /// # Errors
    /// [`IdentityError::Sign`] where there is no name and no address, a name is not a DNS name, `ttl` is below one
    /// second, or the authority has expired.
    pub fn sign_server(
        &self,
        dns: &[String],
        ips: &[IpAddr],
        ttl: Duration,
    ) -> Result<(Vec<CertificateDer<'static>>, KeyPair), IdentityError> {
        if dns.is_empty() && ips.is_empty() {
            return Err(IdentityError::Sign("a server needs at least one name or address".into()));
        }
        let mut names = Vec::with_capacity(dns.len() + ips.len());
        for name in dns {
            let exact = name.strip_prefix("*.").unwrap_or(name);
            rustls::pki_types::DnsName::try_from(exact)
                .map_err(|_| IdentityError::Sign(format!("{name:?} is not the DNS name of a server")))?;
            names.push(SanType::DnsName(name.as_str().try_into().map_err(sign_error)?));
        }
        names.extend(ips.iter().copied().map(SanType::IpAddress));
        let key = KeyPair::generate()?;
        let public_key = SubjectPublicKeyInfo::from_der(&key.public_key_info()).map_err(sign_error)?;
        let leaf = self.issue(
            &public_key,
            names,
            vec![ExtendedKeyUsagePurpose::ServerAuth],
            self.lifetime(SystemTime::now(), ttl)?,
        )?;
        let without_root = self.path.iter().take(self.path.len().saturating_sub(1));
        let chain = std::iter::once(leaf.der().clone()).chain(without_root.cloned()).collect();
        Ok((chain, key))
    }

    /// The roots to trust: all that `root-cert.pem` holds, for this authority's trust domain.
    pub fn bundle(&self) -> TrustBundle {
        self.bundle.clone()
    }

    /// The roots to trust as PEM text, as the ConfigMap `istio-ca-root-cert` carries them.
    pub fn root_pem(&self) -> String {
        self.bundle.to_pem()
    }

    /// The certificate that it signs with.
    pub fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.path.first()
    }

    /// The trust domain whose identities this authority signs.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    fn lifetime(&self, now: SystemTime, ttl: Duration) -> Result<Validity, IdentityError> {
        if ttl < Duration::from_secs(1) {
            return Err(IdentityError::Sign("a certificate lives for at least one second".into()));
        }
        if now > self.validity.not_after {
            return Err(IdentityError::Sign(format!(
                "the authority's own certificate expired at {}; replace it",
                certificate::rfc3339(self.validity.not_after)
            )));
        }
        let end = now.checked_add(ttl).unwrap_or(self.validity.not_after);
        let backdate = MAX_BACKDATE.min(ttl / BACKDATE_PART);
        Ok(Validity {
            not_before: now.checked_sub(backdate).unwrap_or(now),
            not_after: end.min(self.validity.not_after),
        })
    }

    fn issue(
        &self,
        public_key: &SubjectPublicKeyInfo,
        names: Vec<SanType>,
        uses: Vec<ExtendedKeyUsagePurpose>,
        validity: Validity,
    ) -> Result<rcgen::Certificate, IdentityError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = names;
        params.extended_key_usages = uses;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        if public_key.algorithm() == &rcgen::PKCS_RSA_SHA256 {
            params.key_usages.push(KeyUsagePurpose::KeyEncipherment);
        }
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.not_before = validity.not_before.into();
        params.not_after = validity.not_after.into();
        params.serial_number = Some(serial_number()?);
        params.signed_by(public_key, &self.issuer).map_err(sign_error)
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("trust_domain", &self.trust_domain)
            .field("validity", &self.validity)
            .field("bundle", &self.bundle)
            .finish_non_exhaustive()
    }
}

/// The public key of a request whose signature holds. Names, uses and extensions in it are not looked at.
fn requested_key(csr_pem: &str) -> Result<SubjectPublicKeyInfo, IdentityError> {
    let refuse = |reason: &str| IdentityError::Request(reason.to_owned());
    if csr_pem.len() > MAX_REQUEST {
        return Err(refuse("it is longer than 16 KiB"));
    }
    let der = CertificateSigningRequestDer::from_pem_slice(csr_pem.as_bytes())
        .map_err(|e| IdentityError::Request(format!("it is not PEM: {e}")))?;
    let (rest, request) = X509CertificationRequest::from_der(&der)
        .map_err(|e| IdentityError::Request(format!("it cannot be read: {e}")))?;
    if !rest.is_empty() {
        return Err(refuse("there are bytes after its end"));
    }
    let key = &request.certification_request_info.subject_pki;
    check_key(key).map_err(refuse)?;
    request.verify_signature().map_err(|_| refuse("it is not signed by the key that it asks a certificate for"))?;
    SubjectPublicKeyInfo::from_der(key.raw).map_err(|e| IdentityError::Request(format!("its key cannot be used: {e}")))
}

fn check_key(key: &x509_parser::x509::SubjectPublicKeyInfo<'_>) -> Result<(), &'static str> {
    const KINDS: &str = "its key is neither ECDSA P-256 nor RSA of at least 2048 bits";
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) if rsa.key_size() >= MIN_RSA_BITS => Ok(()),
        Ok(PublicKey::EC(_)) if key.algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY => {
            let curve = key.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
            if curve.is_some_and(|curve| curve == OID_EC_P256) { Ok(()) } else { Err(KINDS) }
        }
        _ => Err(KINDS),
    }
}

/// 127 random bits (RFC 5280, section 4.1.2.2, asks for a positive number of at most 20 bytes).
fn serial_number() -> Result<SerialNumber, IdentityError> {
    let mut bytes = [0u8; 16];
    rustls::crypto::aws_lc_rs::default_provider()
        .secure_random
        .fill(&mut bytes)
        .map_err(|_| IdentityError::Sign("the system's random source failed".into()))?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

fn sign_error(error: rcgen::Error) -> IdentityError {
    IdentityError::Sign(error.to_string())
}

#[cfg(test)]
mod tests;
