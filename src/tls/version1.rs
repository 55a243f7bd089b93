//! Certificates of X.509 version 1: without extensions, as `openssl x509 -req` makes them where nobody asks for more, and so
//! Istio's guides to gateways.
//!
//! The library reads version 3 alone. A certificate of version 1 is taken here as that of a server or a client itself, and only
//! where an authority that a user named has signed it directly. It is never taken for an authority's, and it holds no name: a
//! peer who is asked for one is refused.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, SubjectPublicKeyInfoDer, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, DigitallySignedStruct, Error, InconsistentKeys, PeerMisbehaved, crypto};
use x509_parser::certificate::X509Certificate;
use x509_parser::oid_registry::{OID_PKCS1_SHA1WITHRSA, OID_SHA1_WITH_RSA};
use x509_parser::x509::X509Version;

use super::{TlsError, provider};

/// The certificate, where it is of version 1.
pub(super) fn read<'a>(certificate: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    let (_, read) = x509_parser::parse_x509_certificate(certificate).ok()?;
    (read.version() == X509Version::V1).then_some(read)
}

/// What a server or a client shows: a chain, leaf first, and the key that belongs to it.
///
/// # Errors
/// [`TlsError::Configuration`] where the certificate or key cannot be used, or they do not belong together.
pub(super) fn shown(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<SingleCertAndKey>, TlsError> {
    let provider = provider();
    let certified = match chain.first().and_then(read) {
        None => CertifiedKey::from_der(chain, key, &provider),
        Some(leaf) => provider
            .key_provider
            .load_private_key(key)
            .and_then(|key| {
                let belongs = key.public_key().is_none_or(|public| public.as_ref() == leaf.public_key().raw);
                if belongs { Ok(key) } else { Err(InconsistentKeys::KeyMismatch.into()) }
            })
            .map(|key| CertifiedKey::new(chain, key)),
    };
    Ok(Arc::new(certified.map_err(TlsError::Configuration)?.into()))
}

/// Whether one of the authorities has signed this certificate of version 1, and its time is now.
pub(super) fn verify(
    leaf: &X509Certificate<'_>,
    authorities: &[CertificateDer<'_>],
    now: UnixTime,
) -> Result<(), CertificateError> {
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let validity = leaf.validity();
    if now < validity.not_before.timestamp() {
        return Err(CertificateError::NotValidYet);
    }
    if now > validity.not_after.timestamp() {
        return Err(CertificateError::Expired);
    }
    let algorithm = leaf.signature_algorithm.oid();
    if *algorithm == OID_PKCS1_SHA1WITHRSA || *algorithm == OID_SHA1_WITH_RSA {
        return Err(CertificateError::BadSignature);
    }
    let mut named = authorities
        .iter()
        .filter_map(|authority| Some(x509_parser::parse_x509_certificate(authority).ok()?.1))
        .filter(|authority| authority.subject().as_raw() == leaf.issuer().as_raw())
        .peekable();
    if named.peek().is_none() {
        return Err(CertificateError::UnknownIssuer);
    }
    let signed = named.any(|authority| leaf.verify_signature(Some(authority.public_key())).is_ok());
    if signed { Ok(()) } else { Err(CertificateError::BadSignature) }
}

/// That the peer has the key of its certificate, by a signature of TLS 1.2.
pub(super) fn signed_tls12(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let Some(leaf) = read(certificate) else {
        return verify_tls12_signature(message, certificate, signature, algorithms);
    };
    let known = algorithms.mapping.iter().find(|(scheme, _)| *scheme == signature.scheme);
    let (_, known) = known.ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
    let key = &leaf.public_key().subject_public_key.data;
    let signed = known.iter().any(|algorithm| algorithm.verify_signature(key, message, signature.signature()).is_ok());
    if signed { Ok(HandshakeSignatureValid::assertion()) } else { Err(CertificateError::BadSignature.into()) }
}

/// The same, of TLS 1.3.
pub(super) fn signed_tls13(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    match read(certificate) {
        None => verify_tls13_signature(message, certificate, signature, algorithms),
        Some(leaf) => {
            let key = SubjectPublicKeyInfoDer::from(leaf.public_key().raw);
            crypto::verify_tls13_signature_with_raw_key(message, &key, signature, algorithms)
        }
    }
}
