//! Who a workload is, and how it proves it: SPIFFE ids, keys, certificates, trust bundles, and the authority that signs.
//!
//! The room exists so that every other room handles identities as values that were checked once, at the door.
//!
//! It guarantees that
//! - a [`SpiffeId`] is well-formed and canonical: equal ids are equal bytes, and no two spellings name one workload;
//! - a [`Svid`] holds a chain whose leaf carries exactly one SPIFFE id and belongs to the private key beside it;
//! - a root vouches only for its own trust domain ([`TrustBundle`]);
//! - an [`Authority`] writes the identity that it was told, never one that a signing request asks for, and is either
//!   complete or not there: a half-present set of files is an error, not a reason to make up a new root.
//!
//! It refuses keys other than ECDSA P-256 for workloads (and RSA below 2048 bits in requests), private keys in anything
//! it prints, and ids outside the `spiffe://<trust domain>/ns/<namespace>/sa/<service account>` form.

mod authority;
mod bundle;
mod certificate;
mod error;
mod key;
mod pem;
mod spiffe;
mod svid;

pub use authority::{Authority, AuthorityFiles};
pub use bundle::TrustBundle;
pub(crate) use certificate::rfc3339;
pub use certificate::{Validity, issuer_name, serial_number, spiffe_id, validity};
pub use error::IdentityError;
pub use key::KeyPair;
pub use pem::{certificate_pem, first_certificate};
pub use spiffe::{SpiffeId, TrustDomain};
pub use svid::Svid;
