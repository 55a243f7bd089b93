//! The server side at the edge of the mesh: certificates of the user's own, for clients that know nothing of the mesh.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CipherSuite, DistinguishedName, Error, RootCertStore, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion,
};

use super::origin::has_a_name;
use super::signatures::signatures;
use super::{NAMED_VERSIONS, PeerError, TlsError, protocols, provider, version1};

/// Whether clients show certificates; with the authorities that vouch for them, as PEM.
#[derive(Debug, Clone, Copy)]
pub enum EdgeClients<'a> {
    /// They are not asked for any.
    Anonymous,
    /// One that is shown must be good.
    Optional(&'a str),
    /// They must show a good one.
    Required(&'a str),
}

/// Versions of TLS that a server speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EdgeVersions {
    /// 1.2 and 1.3.
    #[default]
    All,
    /// 1.2, and no later one.
    Only12,
    /// 1.3 or later.
    From13,
}

/// What a server wants otherwise.
#[derive(Debug, Clone, Copy, Default)]
pub struct EdgeDemands<'a> {
    /// The versions that it speaks.
    pub versions: EdgeVersions,
    /// The suites of TLS 1.2, by OpenSSL's names; what is none of [`SUITES`] is not spoken. None: all of them.
    pub suites: &'a [Arc<str>],
    /// Names (of hosts, or URIs) one of which a client's certificate must hold; none: any.
    pub client_names: &'a [Arc<str>],
}

/// The suites of TLS 1.2 that are spoken, by OpenSSL's names.
pub const SUITES: [(&str, CipherSuite); 6] = [
    ("ECDHE-ECDSA-AES128-GCM-SHA256", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-ECDSA-AES256-GCM-SHA384", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("ECDHE-RSA-AES128-GCM-SHA256", CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-RSA-AES256-GCM-SHA384", CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-RSA-CHACHA20-POLY1305", CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

/// [`edge_server_with`] without demands.
///
/// # Errors
/// As there.
pub fn edge_server(
    chain: &str,
    key: &str,
    clients: EdgeClients<'_>,
    alpn: &[&[u8]],
) -> Result<Arc<ServerConfig>, TlsError> {
    edge_server_with(chain, key, clients, alpn, EdgeDemands::default())
}

/// A server known by name whose certificate (`chain`, leaf first) and key are PEM that a user wrote. TLS 1.2 and 1.3.
///
/// # Errors
/// [`TlsError`] where the certificate, the key or the authorities cannot be read or used, or do not belong together.
pub fn edge_server_with(
    chain: &str,
    key: &str,
    clients: EdgeClients<'_>,
    alpn: &[&[u8]],
    demands: EdgeDemands<'_>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let unreadable = |error: rustls::pki_types::pem::Error| TlsError::Pem(error.to_string());
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(unreadable)?;
    let versions: &[&SupportedProtocolVersion] = match demands.versions {
        EdgeVersions::All => NAMED_VERSIONS,
        EdgeVersions::Only12 => &[&TLS12],
        EdgeVersions::From13 => &[&TLS13],
    };
    let builder = ServerConfig::builder_with_provider(with_suites(demands.suites))
        .with_protocol_versions(versions)
        .map_err(TlsError::Configuration)?;
    let builder = match clients {
        EdgeClients::Anonymous => builder.with_no_client_auth(),
        EdgeClients::Required(pem) => {
            builder.with_client_cert_verifier(Arc::new(EdgeVerifier::new(pem, true, demands.client_names)?))
        }
        EdgeClients::Optional(pem) => {
            builder.with_client_cert_verifier(Arc::new(EdgeVerifier::new(pem, false, demands.client_names)?))
        }
    };
    let mut config = builder.with_cert_resolver(version1::shown(chain, key)?);
    config.alpn_protocols = protocols(alpn);
    Ok(Arc::new(config))
}

/// The cryptography with these suites for TLS 1.2. Those of TLS 1.3 are all safe, and stay (as with Envoy).
fn with_suites(wanted: &[Arc<str>]) -> Arc<CryptoProvider> {
    let all = provider();
    if wanted.is_empty() {
        return all;
    }
    let is_wanted = |suite: &SupportedCipherSuite| {
        suite.tls13().is_some()
            || SUITES
                .iter()
                .any(|(name, known)| *known == suite.suite() && wanted.iter().any(|wanted| **wanted == **name))
    };
    let mut chosen = (*all).clone();
    chosen.cipher_suites.retain(is_wanted);
    Arc::new(chosen)
}

/// The certificates of a list that a user wrote, and the store that the library makes of them.
pub(super) fn authorities(pem: &str) -> Result<(Vec<CertificateDer<'static>>, RootCertStore), TlsError> {
    let certificates = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|error| TlsError::Pem(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in &certificates {
        roots.add(certificate.clone()).map_err(TlsError::Configuration)?;
    }
    if roots.is_empty() { Err(TlsError::NoRoots) } else { Ok((certificates, roots)) }
}

/// Takes clients that are vouched for, and whose certificate holds one of the names, where there are any.
#[derive(Debug)]
struct EdgeVerifier {
    verifier: Arc<dyn ClientCertVerifier>,
    authorities: Vec<CertificateDer<'static>>,
    names: Vec<Arc<str>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl EdgeVerifier {
    fn new(pem: &str, mandatory: bool, names: &[Arc<str>]) -> Result<Self, TlsError> {
        let (authorities, roots) = authorities(pem)?;
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
        let builder = if mandatory { builder } else { builder.allow_unauthenticated() };
        let verifier = builder.build().map_err(|error| TlsError::Pem(error.to_string()))?;
        let algorithms = provider().signature_verification_algorithms;
        Ok(Self { verifier, authorities, names: names.to_vec(), algorithms })
    }
}

impl ClientCertVerifier for EdgeVerifier {
    fn offer_client_auth(&self) -> bool {
        self.verifier.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.verifier.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.verifier.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(leaf) = version1::read(end_entity) {
            version1::verify(&leaf, &self.authorities, now)?;
            return match self.names.is_empty() {
                true => Ok(ClientCertVerified::assertion()),
                false => Err(PeerError::OtherNames(self.names.join(", ")).into()),
            };
        }
        let verified = self.verifier.verify_client_cert(end_entity, intermediates, now)?;
        if self.names.is_empty() {
            return Ok(verified);
        }
        if !has_a_name(&self.names, end_entity, &ParsedCertificate::try_from(end_entity)?) {
            return Err(PeerError::OtherNames(self.names.join(", ")).into());
        }
        Ok(verified)
    }

    signatures!();
}
