//! The client side towards servers that know nothing of the mesh: the web's rules, with what a user wants otherwise.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, Error, RootCertStore};
use x509_parser::extensions::{GeneralName, ParsedExtension};

use super::edge::authorities;
use super::signatures::signatures;
use super::{NAMED_VERSIONS, PeerError, TlsError, protocols, provider, version1};

/// Who vouches for servers.
#[derive(Debug, Clone, Copy)]
pub enum OriginTrust<'a> {
    /// Whom this machine believes.
    System,
    /// These authorities, as PEM.
    Authorities(&'a str),
    /// Nobody: whoever answers is believed, as the user said in so many words.
    Anybody,
}

/// A client of servers outside the mesh. `names`: those one of which a server's certificate must hold; none: the name that the
/// connection asks for. `certificate`: chain and key to show, as PEM. TLS 1.2 and 1.3.
///
/// # Errors
/// [`TlsError`] where certificates, key or authorities cannot be read or used, or the machine believes nobody.
pub fn origin_client(
    trust: OriginTrust<'_>,
    names: &[Arc<str>],
    certificate: Option<(&str, &str)>,
    alpn: &[&[u8]],
) -> Result<Arc<ClientConfig>, TlsError> {
    let unreadable = |error: rustls::pki_types::pem::Error| TlsError::Pem(error.to_string());
    let (authorities, roots) = match trust {
        OriginTrust::System => (Vec::new(), Some(system_roots()?)),
        OriginTrust::Authorities(pem) => {
            let (authorities, roots) = authorities(pem)?;
            (authorities, Some(roots))
        }
        OriginTrust::Anybody => (Vec::new(), None),
    };
    let algorithms = provider().signature_verification_algorithms;
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(NAMED_VERSIONS)
        .map_err(TlsError::Configuration)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(OriginVerifier {
            roots,
            authorities,
            names: names.to_vec(),
            algorithms,
        }));
    let mut config = match certificate {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<Vec<_>, _>>();
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(unreadable)?;
            builder.with_client_cert_resolver(version1::shown(chain.map_err(unreadable)?, key)?)
        }
    };
    config.alpn_protocols = protocols(alpn);
    Ok(Arc::new(config))
}

fn system_roots() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    // A machine's list commonly holds a few that are of no use.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() { Err(TlsError::NoRoots) } else { Ok(roots) }
}

/// Verifies servers by the web's rules.
struct OriginVerifier {
    /// `None`: nothing is verified but that the server has the key.
    roots: Option<RootCertStore>,
    /// The same, where a user named them.
    authorities: Vec<CertificateDer<'static>>,
    names: Vec<Arc<str>>,
    algorithms: WebPkiSupportedAlgorithms,
}

/// Whether a certificate holds one of these names: of a host, or a URI.
pub(super) fn has_a_name(names: &[Arc<str>], leaf: &CertificateDer<'_>, parsed: &ParsedCertificate<'_>) -> bool {
    let uris = uris(leaf);
    names.iter().any(|name| match ServerName::try_from(&**name) {
        Ok(server) => verify_server_name(parsed, &server).is_ok(),
        Err(_) => uris.iter().any(|uri| **uri == **name),
    })
}

/// The URIs that a certificate is for.
fn uris(leaf: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, certificate)) = x509_parser::parse_x509_certificate(leaf) else { return Vec::new() };
    let names = certificate.extensions().iter().filter_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
        _ => None,
    });
    let uris = names.flatten().filter_map(|name| match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    });
    uris.collect()
}

impl ServerCertVerifier for OriginVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(roots) = &self.roots else { return Ok(ServerCertVerified::assertion()) };
        if let Some(leaf) = version1::read(end_entity) {
            version1::verify(&leaf, &self.authorities, now)?;
            let name = server_name.to_str().into_owned();
            let wanted = if self.names.is_empty() { name } else { self.names.join(", ") };
            return Err(PeerError::OtherNames(wanted).into());
        }
        let parsed = ParsedCertificate::try_from(end_entity)?;
        verify_server_cert_signed_by_trust_anchor(&parsed, roots, intermediates, now, self.algorithms.all)?;
        if self.names.is_empty() {
            verify_server_name(&parsed, server_name)?;
        } else if !has_a_name(&self.names, end_entity, &parsed) {
            return Err(PeerError::OtherNames(self.names.join(", ")).into());
        }
        Ok(ServerCertVerified::assertion())
    }

    signatures!();
}

impl fmt::Debug for OriginVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OriginVerifier").field("names", &self.names).finish_non_exhaustive()
    }
}
