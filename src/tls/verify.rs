//! The verifier of mesh peers: a chain to the roots of the trust domain that the leaf names, then the id itself.

use std::{
    collections::BTreeMap,
    fmt,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use rustls::{
    CertificateError, DistinguishedName, Error, RootCertStore,
    client::{
        danger::{ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{
        ParsedCertificate, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

use super::signatures::signatures;
use super::{PeerError, TlsError};
use crate::identity::{self, SpiffeId, TrustBundle, TrustDomain};

/// How many expected ids an error names.
const NAMED: usize = 5;

/// Verifies peers by SPIFFE id, in one role.
pub(super) struct SpiffeVerifier {
    anchors: BTreeMap<TrustDomain, Anchors>,
    hints: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
    peer: Peer,
}

/// The roots of one trust domain, in the shapes that the two roles need.
struct Anchors {
    roots: Arc<RootCertStore>,
    clients: Arc<dyn ClientCertVerifier>,
}

enum Peer {
    Server { expected: Arc<[SpiffeId]> },
    Client { mandatory: bool },
}

impl Peer {
    fn role(&self) -> &'static str {
        match self {
            Self::Server { .. } => "server",
            Self::Client { .. } => "client",
        }
    }
}

impl SpiffeVerifier {
    /// Verifies servers, whose id must be in `expected`.
    pub(super) fn of_servers(
        roots: &TrustBundle,
        expected: Arc<[SpiffeId]>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, TlsError> {
        Self::new(roots, Peer::Server { expected }, provider)
    }

    /// Verifies clients, which must present a certificate where `mandatory`.
    pub(super) fn of_clients(
        roots: &TrustBundle,
        mandatory: bool,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, TlsError> {
        Self::new(roots, Peer::Client { mandatory }, provider)
    }

    fn new(roots: &TrustBundle, peer: Peer, provider: &Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let mut anchors = BTreeMap::new();
        let mut hints = Vec::new();
        for domain in roots.trust_domains() {
            let refuse = |reason: String| TlsError::Roots { trust_domain: domain.clone(), reason };
            let mut store = RootCertStore::empty();
            for root in roots.roots(domain) {
                store.add(root.clone()).map_err(|e| refuse(e.to_string()))?;
            }
            let store = Arc::new(store);
            let clients = WebPkiClientVerifier::builder_with_provider(store.clone(), provider.clone())
                .build()
                .map_err(|e| refuse(e.to_string()))?;
            hints.extend(store.subjects());
            anchors.insert(domain.clone(), Anchors { roots: store, clients });
        }
        if anchors.is_empty() {
            return Err(TlsError::NoRoots);
        }
        Ok(Self { anchors, hints, algorithms: provider.signature_verification_algorithms, peer })
    }

    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), PeerError> {
        let id = identity::spiffe_id(leaf)?;
        let Some(anchors) = self.anchors.get(id.trust_domain()) else {
            return Err(PeerError::UnknownTrustDomain { known: join(self.anchors.keys()), id });
        };
        let chain = match &self.peer {
            Peer::Server { .. } => ParsedCertificate::try_from(leaf).and_then(|parsed| {
                verify_server_cert_signed_by_trust_anchor(
                    &parsed,
                    &anchors.roots,
                    intermediates,
                    now,
                    self.algorithms.all,
                )
            }),
            Peer::Client { .. } => anchors.clients.verify_client_cert(leaf, intermediates, now).map(|_| ()),
        };
        if let Err(error) = chain {
            return Err(self.explain(error, id, leaf));
        }
        match &self.peer {
            Peer::Server { expected } if !expected.contains(&id) => {
                Err(PeerError::WrongIdentity { got: id, expected: join(expected.iter()) })
            }
            _ => Ok(()),
        }
    }

    fn explain(&self, error: Error, id: SpiffeId, leaf: &CertificateDer<'_>) -> PeerError {
        let Error::InvalidCertificate(error) = error else {
            return PeerError::Chain { id, reason: error.to_string() };
        };
        match error {
            CertificateError::ExpiredContext { not_after, .. } => PeerError::Expired { id, since: rfc3339(not_after) },
            CertificateError::NotValidYetContext { not_before, .. } => {
                PeerError::NotYetValid { id, from: rfc3339(not_before) }
            }
            // A stranger's root may well have the name of ours: then it is the signature that gives it away.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                PeerError::UnknownAuthority { id, issuer: identity::issuer_name(leaf).unwrap_or_default() }
            }
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                PeerError::WrongUse { id, role: self.peer.role() }
            }
            other => PeerError::Chain { id, reason: other.to_string() },
        }
    }
}

impl ServerCertVerifier for SpiffeVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify(end_entity, intermediates, now)?;
        Ok(ServerCertVerified::assertion())
    }

    signatures!();
}

impl ClientCertVerifier for SpiffeVerifier {
    fn client_auth_mandatory(&self) -> bool {
        !matches!(self.peer, Peer::Client { mandatory: false })
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify(end_entity, intermediates, now)?;
        Ok(ClientCertVerified::assertion())
    }

    signatures!();
}

impl fmt::Debug for SpiffeVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpiffeVerifier")
            .field("peer", &self.peer.role())
            .field("trust_domains", &join(self.anchors.keys()))
            .finish_non_exhaustive()
    }
}

fn join<T: fmt::Display>(items: impl ExactSizeIterator<Item = T>) -> String {
    let more = items.len().saturating_sub(NAMED);
    let mut text = String::new();
    for item in items.take(NAMED) {
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(&item.to_string());
    }
    if more > 0 {
        text.push_str(&format!(", and {more} more"));
    }
    text
}

fn rfc3339(time: UnixTime) -> String {
    let moment = UNIX_EPOCH.checked_add(Duration::from_secs(time.as_secs()));
    identity::rfc3339(moment.unwrap_or(UNIX_EPOCH))
}
