//! The server side at the edge of the mesh: certificates of the user's own, for clients that know nothing of the mesh.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use super::{NAMED_VERSIONS, TlsError, protocols, provider};

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

/// A server known by name whose certificate (`chain`, leaf first) and key are PEM that a user wrote. TLS 1.2 and 1.3.
///
/// # Errors
/// [`TlsError`] where the certificate, the key or the authorities cannot be read or used, or do not belong together.
pub fn edge_server(
    chain: &str,
    key: &str,
    clients: EdgeClients<'_>,
    alpn: &[&[u8]],
) -> Result<Arc<ServerConfig>, TlsError> {
    let unreadable = |error: rustls::pki_types::pem::Error| TlsError::Pem(error.to_string());
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(unreadable)?;
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(NAMED_VERSIONS)
        .map_err(TlsError::Configuration)?;
    let verifier = |pem: &str| {
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            roots.add(root.map_err(unreadable)?).map_err(TlsError::Configuration)?;
        }
        if roots.is_empty() {
            return Err(TlsError::NoRoots);
        }
        Ok(WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()))
    };
    let usable = |error: rustls::server::VerifierBuilderError| TlsError::Pem(error.to_string());
    let builder = match clients {
        EdgeClients::Anonymous => builder.with_no_client_auth(),
        EdgeClients::Required(pem) => builder.with_client_cert_verifier(verifier(pem)?.build().map_err(usable)?),
        EdgeClients::Optional(pem) => {
            builder.with_client_cert_verifier(verifier(pem)?.allow_unauthenticated().build().map_err(usable)?)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(TlsError::Configuration)?;
    config.alpn_protocols = protocols(alpn);
    Ok(Arc::new(config))
}
