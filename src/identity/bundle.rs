//! Which roots vouch for which trust domain.
//!
//! Roots are kept by domain, and a verifier looks only among those of the domain that a certificate claims:
//! the authority of one domain can never issue an identity of another.

use std::{collections::BTreeMap, fmt, sync::Arc};

use rustls::pki_types::CertificateDer;

use super::{IdentityError, TrustDomain, certificate, pem};

/// The roots of one trust domain, or of several that trust each other. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct TrustBundle(Arc<BTreeMap<TrustDomain, Vec<CertificateDer<'static>>>>);

impl TrustBundle {
    /// The certificates in `pem` as the roots of `trust_domain`.
    ///
    /// # Errors
    /// [`IdentityError::Pem`] where there is none, [`IdentityError::Certificate`] where one is not an authority's.
    pub fn from_pem(trust_domain: &TrustDomain, pem: &str) -> Result<Self, IdentityError> {
        let mut roots: Vec<CertificateDer<'static>> = Vec::new();
        for root in pem::certificates(pem)? {
            if !certificate::parse(&root)?.is_ca() {
                return Err(IdentityError::Certificate(format!(
                    "it is offered as a root of {trust_domain}, and is no authority's (CA:TRUE is missing)"
                )));
            }
            if !roots.contains(&root) {
                roots.push(root);
            }
        }
        Ok(Self(Arc::new(BTreeMap::from([(trust_domain.clone(), roots)]))))
    }

    /// Both bundles' roots, each for its own domain: what to trust while a root is being replaced.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut domains = BTreeMap::clone(&self.0);
        for (domain, added) in other.0.iter() {
            let roots: &mut Vec<_> = domains.entry(domain.clone()).or_default();
            for root in added {
                if !roots.contains(root) {
                    roots.push(root.clone());
                }
            }
        }
        Self(Arc::new(domains))
    }

    /// The trust domains that have roots here, in order.
    pub fn trust_domains(&self) -> impl Iterator<Item = &TrustDomain> {
        self.0.keys()
    }

    /// The roots that may vouch for `trust_domain`; none where it is unknown.
    pub fn roots(&self, trust_domain: &TrustDomain) -> &[CertificateDer<'static>] {
        self.0.get(trust_domain).map_or(&[], Vec::as_slice)
    }

    /// The roots that may vouch for `trust_domain` as PEM text.
    pub fn pem_of(&self, trust_domain: &TrustDomain) -> String {
        self.roots(trust_domain).iter().map(|root| pem::certificate_pem(root)).collect()
    }

    /// All roots as PEM text, in the order of their domains.
    pub fn to_pem(&self) -> String {
        self.0.values().flatten().map(|root| pem::certificate_pem(root)).collect()
    }
}

impl fmt::Debug for TrustBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(domain, roots)| (domain, roots.len()))).finish()
    }
}

#[cfg(test)]
#[path = "bundle_tests.rs"]
mod tests;
