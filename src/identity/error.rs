//! What can be wrong with an identity, said so that a reader knows which file or certificate to look at.

use std::path::PathBuf;

/// An identity, key, certificate or authority that cannot be used, and why.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The text is not a SPIFFE trust domain.
    #[error("trust domain {value:?} is not valid: {reason}")]
    TrustDomain {
        /// The text, cut where it is long.
        value: String,
        /// The rule it breaks.
        reason: &'static str,
    },
    /// The text is not a workload's SPIFFE id.
    #[error(
        "SPIFFE id {value:?} is not valid: {reason} (expected spiffe://<trust domain>/ns/<namespace>/sa/<service account>)"
    )]
    SpiffeId {
        /// The text, cut where it is long.
        value: String,
        /// The rule it breaks.
        reason: &'static str,
    },
    /// PEM text that holds nothing of the kind looked for, or is damaged.
    #[error("no usable {wanted} in the PEM text: {reason}")]
    Pem {
        /// What was looked for, as "certificate".
        wanted: &'static str,
        /// What was wrong with the text.
        reason: String,
    },
    /// A certificate that cannot be read.
    #[error("a certificate cannot be read: {0}")]
    Certificate(String),
    /// A certificate whose subject alternative names are not those of a workload.
    #[error("the certificate does not name a workload: {0}")]
    NotAWorkload(String),
    /// A certificate chain that does not hold together.
    #[error("the certificate chain is broken: {0}")]
    Chain(String),
    /// A private key of a kind that is not accepted here.
    #[error("the private key cannot be used: {0}")]
    Key(String),
    /// A signing request that the authority turns down.
    #[error("the certificate signing request is refused: {0}")]
    Request(String),
    /// The authority could not sign.
    #[error("cannot sign a certificate: {0}")]
    Sign(String),
    /// The authority's directory holds some of its files, but not all.
    #[error(
        "the certificate authority in {} is incomplete: {missing} is missing; put the file there, or use an empty directory to have a new authority made",
        dir.display()
    )]
    Incomplete {
        /// The authority's directory.
        dir: PathBuf,
        /// The file that is not there.
        missing: &'static str,
    },
    /// The directory holds files, but none of an authority's.
    #[error(
        "{} holds other files and no certificate authority; name an empty directory, or put ca-cert.pem, ca-key.pem, root-cert.pem and cert-chain.pem there",
        dir.display()
    )]
    Occupied {
        /// The directory.
        dir: PathBuf,
    },
    /// One of the authority's files is wrong.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, with the remedy.
        reason: String,
    },
    /// The file system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as "read".
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
}
