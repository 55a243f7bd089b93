//! Why a configuration cannot be made, and why a peer was refused.

use std::io;

use crate::identity::{IdentityError, SpiffeId, TrustDomain};

/// A TLS configuration that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// There is nothing to verify a peer with.
    #[error("TLS needs at least one root certificate to verify its peers with; the trust bundle is empty")]
    NoRoots,
    /// A client that would accept no server.
    #[error("a mesh connection needs the SPIFFE ids that its server may have; none is known, so it is refused")]
    NobodyExpected,
    /// The library refused a certificate, key or setting.
    #[error("the TLS configuration cannot be used: {0}")]
    Configuration(#[source] rustls::Error),
    /// A certificate, key or list of authorities that a user wrote cannot be read.
    #[error("cannot be read as PEM: {0}")]
    Pem(String),
    /// The verifier cannot be made from the roots.
    #[error("the root certificates of trust domain {trust_domain} cannot be used: {reason}")]
    Roots {
        /// Whose roots they are.
        trust_domain: TrustDomain,
        /// What the library says.
        reason: String,
    },
}

/// Why a peer's certificate was refused. The peer itself learns only that it was.
///
/// Found inside the error of a failed handshake with [`PeerError::of`].
#[derive(Debug, Clone, thiserror::Error)]
pub enum PeerError {
    /// The certificate does not name exactly one workload.
    #[error("the peer is refused: {0}")]
    Unnamed(String),
    /// Nobody here vouches for the trust domain.
    #[error("{id} is refused: no roots are known for trust domain {}; known: {known}", id.trust_domain())]
    UnknownTrustDomain {
        /// Whom the certificate names.
        id: SpiffeId,
        /// The trust domains with roots, separated by commas.
        known: String,
    },
    /// No root of the trust domain vouches for the certificate.
    #[error(
        "{id} is refused: its certificate is signed by an unknown authority, not by a root of trust domain {} (issuer {issuer:?})",
        id.trust_domain()
    )]
    UnknownAuthority {
        /// Whom the certificate names.
        id: SpiffeId,
        /// Who it says has signed it.
        issuer: String,
    },
    /// The certificate, or one above it, is too old.
    #[error("{id} is refused: its certificate expired, valid until {since}")]
    Expired {
        /// Whom the certificate names.
        id: SpiffeId,
        /// When it expired (RFC 3339).
        since: String,
    },
    /// The certificate, or one above it, holds only later.
    #[error("{id} is refused: its certificate is not valid before {from}; one of the two clocks may be wrong")]
    NotYetValid {
        /// Whom the certificate names.
        id: SpiffeId,
        /// When it begins to hold (RFC 3339).
        from: String,
    },
    /// The certificate was issued for other uses.
    #[error("{id} is refused: its certificate is not for TLS {role} authentication")]
    WrongUse {
        /// Whom the certificate names.
        id: SpiffeId,
        /// "server" or "client".
        role: &'static str,
    },
    /// The server is somebody else.
    #[error("wrong SPIFFE id: got {got}, expected one of {expected}")]
    WrongIdentity {
        /// Whom the certificate names.
        got: SpiffeId,
        /// Who was expected, separated by commas; the first few where there are many.
        expected: String,
    },
    /// A peer outside the mesh whose certificate holds none of the names that it should.
    #[error("the peer's certificate is for none of {0}")]
    OtherNames(String),
    /// Anything else that the library finds wrong with the chain.
    #[error("{id} is refused: {reason}")]
    Chain {
        /// Whom the certificate names.
        id: SpiffeId,
        /// What the library says.
        reason: String,
    },
}

impl PeerError {
    /// The reason inside a failed handshake's error, where it is that this side refused its peer.
    pub fn of(error: &io::Error) -> Option<&Self> {
        Self::of_tls(error.get_ref()?.downcast_ref::<rustls::Error>()?)
    }

    /// The same, from the library's own error.
    pub fn of_tls(error: &rustls::Error) -> Option<&Self> {
        match error {
            rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other)) => other.0.downcast_ref(),
            _ => None,
        }
    }
}

impl From<IdentityError> for PeerError {
    fn from(error: IdentityError) -> Self {
        Self::Unnamed(error.to_string())
    }
}

impl From<PeerError> for rustls::Error {
    fn from(error: PeerError) -> Self {
        Self::InvalidCertificate(rustls::CertificateError::Other(rustls::OtherError(std::sync::Arc::new(error))))
    }
}
