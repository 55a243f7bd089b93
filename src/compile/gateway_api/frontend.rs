//! How a Gateway checks the clients of its listeners (`spec.tls.frontend`): for a port of its own settings, or by the default.
//!
//! Where nobody can vouch for a client, no client is served.

use std::sync::Arc;

use super::attach::{Entry, Speech};
use super::backend_tls::{AuthorityFault, authority};
use super::is_granted;
use crate::compile::world::World;
use crate::resources::gateway_api::gateway::{FrontendValidation, Gateway};
use crate::resources::gateway_api::reference::ObjectRef;

/// Why an authority cannot vouch for clients; the reasons' names are the Gateway API's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientsFault {
    /// It is in another namespace, and nothing there permits it.
    RefNotPermitted,
    /// It is neither ConfigMap nor Secret.
    InvalidCACertificateKind,
    /// It is not there, or holds no certificate of an authority.
    InvalidCACertificateRef,
}

impl ClientsFault {
    /// The reason's name.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::RefNotPermitted => "RefNotPermitted",
            Self::InvalidCACertificateKind => "InvalidCACertificateKind",
            Self::InvalidCACertificateRef => "InvalidCACertificateRef",
        }
    }

    /// The reason as the end of a sentence.
    pub(super) fn sentence(self) -> &'static str {
        match self {
            Self::RefNotPermitted => "is in another namespace, and no ReferenceGrant there permits it",
            Self::InvalidCACertificateKind => "is neither a ConfigMap nor a Secret",
            Self::InvalidCACertificateRef => "is not there, or has no certificate of an authority (`ca.crt`)",
        }
    }
}

/// Who vouches for the clients of a listener.
pub(super) struct Clients<'w> {
    /// The authorities, as PEM; `None` where none can be used.
    pub(super) authorities: Option<Arc<str>>,
    /// Those that cannot be used.
    pub(super) faults: Vec<(ClientsFault, &'w ObjectRef)>,
}

/// Who vouches for the clients of a listener; `None` where they are not checked.
pub(super) fn clients<'w>(world: &World, entry: &Entry<'w>, speech: Speech) -> Option<Clients<'w>> {
    let validation = validation(&entry.gateway.spec, entry.listener.port.get()).filter(|_| speech == Speech::Https)?;
    let own = entry.gateway.meta.namespace.as_str();
    let mut authorities = String::new();
    let mut faults = Vec::new();
    for reference in &validation.ca_certificate_refs {
        let namespace = reference.namespace.as_ref().map_or(own, |namespace| namespace.as_str());
        let (group, kind, name) = (reference.group.as_str(), reference.kind.as_str(), reference.name.as_str());
        match authority(world, namespace, (group, kind, name)) {
            Err(AuthorityFault::InvalidKind) => faults.push((ClientsFault::InvalidCACertificateKind, reference)),
            _ if !is_granted(world, "Gateway", own, ("", kind), namespace, name) => {
                faults.push((ClientsFault::RefNotPermitted, reference));
            }
            Err(AuthorityFault::InvalidCACertificateRef) => {
                faults.push((ClientsFault::InvalidCACertificateRef, reference));
            }
            Ok(pem) => authorities.extend([&**pem, "\n"]),
        }
    }
    Some(Clients { authorities: (!authorities.is_empty()).then(|| authorities.into()), faults })
}

/// What a port's settings say, or those for every port.
fn validation(gateway: &Gateway, port: u16) -> Option<&FrontendValidation> {
    let frontend = gateway.tls.as_ref()?.frontend.as_ref()?;
    let own = frontend.per_port.iter().find(|settings| settings.port.get() == port);
    own.map_or(&frontend.default, |own| &own.tls).validation.as_ref()
}
