//! TLS as the mesh uses it: configurations, and the verifier that reads identities instead of names.
//!
//! Two kinds of connection exist. Between workloads ([`mesh_server`], [`mesh_client`]) both sides are known by SPIFFE
//! id and names play no part. To servers with a name ([`server`], [`client`]: the API server, the control plane over
//! TCP; [`origin_client`]: servers that know nothing of the mesh) the ordinary web rules hold.
//!
//! It guarantees that
//! - a mesh handshake that succeeds has verified the peer's chain against the roots of the trust domain that its one
//!   SPIFFE id names, its times and its purpose, and, for a client, that the id is one of those expected;
//! - it has done so on every connection: sessions between workloads are never resumed, so neither a rotated bundle
//!   nor a changed expectation can be passed by with an old ticket;
//! - a refused peer is refused in words: who, why, since when, and what was expected ([`PeerError`]).
//!
//! It refuses to fall back: no plaintext, no version below TLS 1.3 between workloads (1.2 for named servers), no
//! configuration without roots or without an expected identity. The cryptography is passed in explicitly
//! ([`provider`]); the process-wide default is never consulted.

mod edge;
mod error;
mod origin;
mod signatures;
mod verify;
mod version1;

use std::sync::Arc;

use rustls::{
    CipherSuite, ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion,
    client::Resumption,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::NoServerSessionStorage,
    version::{TLS12, TLS13},
};

use crate::identity::{self, SpiffeId, Svid, TrustBundle};

pub use edge::{EdgeClients, EdgeDemands, EdgeVersions, edge_server, edge_server_with};
pub use error::{PeerError, TlsError};
pub use origin::{OriginTrust, origin_client};
use verify::SpiffeVerifier;

/// What workloads speak with each other.
const MESH_VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13];
/// What named servers accept, and their clients offer.
const NAMED_VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// The cryptography behind every configuration: aws-lc. A client offers TLS_AES_128_GCM_SHA256 first, as the mesh's other
/// proxies do (BoringSSL's order), because it is as safe and costs less than the longer key; a server takes what its client
/// prefers.
pub fn provider() -> Arc<CryptoProvider> {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    Arc::new(provider)
}

/// Whether a server asks its clients who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// A client without a certificate is refused.
    Required,
    /// A client may have no certificate; one that it presents must be good.
    Optional,
    /// No certificate is asked for.
    None,
}

/// The server side of a connection between workloads: presents `svid`, and takes clients that `roots` vouch for.
///
/// `alpn` is in order of preference; empty means that none is negotiated.
///
/// # Errors
/// [`TlsError`] where `roots` is empty or unusable, or the certificate or key is.
pub fn mesh_server(
    svid: &Svid,
    roots: &TrustBundle,
    auth: ClientAuth,
    alpn: &[&[u8]],
) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = identifying_server(MESH_VERSIONS, svid.chain.clone(), svid.private_key(), roots, auth)?;
    config.alpn_protocols = protocols(alpn);
    Ok(Arc::new(config))
}

/// The client side of a connection between workloads: presents `svid`, and takes a server whose id is in `expected`.
///
/// The server name given to the connection is sent as SNI, and is not verified.
///
/// # Errors
/// [`TlsError::NobodyExpected`] where `expected` is empty; others as [`mesh_server`].
pub fn mesh_client(
    svid: &Svid,
    roots: &TrustBundle,
    expected: Arc<[SpiffeId]>,
    alpn: &[&[u8]],
) -> Result<Arc<ClientConfig>, TlsError> {
    if expected.is_empty() {
        return Err(TlsError::NobodyExpected);
    }
    let verifier = SpiffeVerifier::of_servers(roots, expected, &provider())?;
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(MESH_VERSIONS)
        .map_err(TlsError::Configuration)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(svid.chain.clone(), svid.private_key())
        .map_err(TlsError::Configuration)?;
    config.resumption = Resumption::disabled();
    config.alpn_protocols = protocols(alpn);
    Ok(Arc::new(config))
}

/// A server known by name, which asks nothing of its clients. `chain` is leaf first, without the root.
///
/// # Errors
/// [`TlsError::Configuration`] where the certificate or key cannot be used, or do not belong together.
pub fn server(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    alpn: &[&[u8]],
) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(NAMED_VERSIONS)
        .map_err(TlsError::Configuration)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(TlsError::Configuration)?;
    config.alpn_protocols = protocols(alpn);
    Ok(Arc::new(config))
}

/// A server known by name whose clients are workloads, as the control plane is: clients prove a SPIFFE id that
/// `roots` vouch for, as `auth` says. [`peer_id`] then tells who it was.
///
/// # Errors
/// As [`mesh_server`].
pub fn server_for_workloads(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    roots: &TrustBundle,
    auth: ClientAuth,
    alpn: &[&[u8]],
) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = identifying_server(NAMED_VERSIONS, chain, key, roots, auth)?;
    config.alpn_protocols = protocols(alpn);
    Ok(Arc::new(config))
}

/// A client of servers known by name, anonymous to them. Every root in `roots` may vouch for the server.
///
/// # Errors
/// [`TlsError::NoRoots`] where `roots` is empty; [`TlsError::Configuration`] where a root cannot be used.
pub fn client(roots: &TrustBundle, alpn: &[&[u8]]) -> Result<Arc<ClientConfig>, TlsError> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(NAMED_VERSIONS)
        .map_err(TlsError::Configuration)?
        .with_root_certificates(every_root(roots)?)
        .with_no_client_auth();
    config.alpn_protocols = protocols(alpn);
    Ok(Arc::new(config))
}

/// A client of servers known by name that presents `svid`, as a proxy does to its control plane.
///
/// # Errors
/// As [`client`], and [`TlsError::Configuration`] where the certificate or key cannot be used.
pub fn client_as(svid: &Svid, roots: &TrustBundle, alpn: &[&[u8]]) -> Result<Arc<ClientConfig>, TlsError> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(NAMED_VERSIONS)
        .map_err(TlsError::Configuration)?
        .with_root_certificates(every_root(roots)?)
        .with_client_auth_cert(svid.chain.clone(), svid.private_key())
        .map_err(TlsError::Configuration)?;
    config.resumption = Resumption::disabled();
    config.alpn_protocols = protocols(alpn);
    Ok(Arc::new(config))
}

/// The identity of a peer whose handshake has succeeded: pass what the connection's `peer_certificates()` gives.
///
/// `None` where it presented no certificate, or one that names no workload.
pub fn peer_id(certificates: Option<&[CertificateDer<'_>]>) -> Option<SpiffeId> {
    identity::spiffe_id(certificates?.first()?).ok()
}

fn identifying_server(
    versions: &[&'static SupportedProtocolVersion],
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    roots: &TrustBundle,
    auth: ClientAuth,
) -> Result<ServerConfig, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .map_err(TlsError::Configuration)?;
    let builder = match auth {
        ClientAuth::None => builder.with_no_client_auth(),
        ClientAuth::Required | ClientAuth::Optional => {
            let mandatory = auth == ClientAuth::Required;
            let verifier = SpiffeVerifier::of_clients(roots, mandatory, &provider())?;
            builder.with_client_cert_verifier(Arc::new(verifier))
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(TlsError::Configuration)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn every_root(roots: &TrustBundle) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for domain in roots.trust_domains() {
        for root in roots.roots(domain) {
            store.add(root.clone()).map_err(TlsError::Configuration)?;
        }
    }
    if store.is_empty() {
        return Err(TlsError::NoRoots);
    }
    Ok(store)
}

fn protocols(alpn: &[&[u8]]) -> Vec<Vec<u8>> {
    alpn.iter().map(|protocol| protocol.to_vec()).collect()
}

#[cfg(test)]
mod tests;
