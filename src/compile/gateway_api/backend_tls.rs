//! BackendTLSPolicy: the TLS that clients of a service begin, gateways and sidecars alike.
//!
//! Of several policies for the same service, one for the port goes before one for the whole of it, and the oldest before the
//! others, which are in conflict with it. A DestinationRule that says something about TLS goes before all of them. Where nobody
//! can vouch for the server, nobody is talked to.

use std::sync::Arc;

use crate::compile::world::World;
use crate::model::{Authorities, Origination, OwnCertificate, Service, ServicePort, UpstreamTls};
use crate::resources::gateway_api::BackendTLSPolicy;
use crate::resources::gateway_api::backend_tls_policy::PolicyTarget;
use crate::resources::gateway_api::reference::LocalRef;
use crate::resources::{Object, Provenance};
use crate::tls::{OriginTrust, origin_client};

/// Why an authority cannot vouch for a server; the reasons' names are the Gateway API's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AuthorityFault {
    /// It is neither ConfigMap nor Secret.
    InvalidKind,
    /// It is not there, or holds no certificate of an authority.
    InvalidCACertificateRef,
}

impl AuthorityFault {
    /// The reason's name.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::InvalidKind => "InvalidKind",
            Self::InvalidCACertificateRef => "InvalidCACertificateRef",
        }
    }
}

/// The certificates of the authorities in an object of `namespace`, as PEM. The object is named by group, kind and name.
pub(super) fn authority<'w>(
    world: &'w World,
    namespace: &str,
    (group, kind, name): (&str, &str, &str),
) -> Result<&'w Arc<str>, AuthorityFault> {
    let name = (namespace.into(), name.into());
    let found = match (group, kind) {
        ("" | "core", "ConfigMap") => world.authorities.get(&name),
        ("" | "core", "Secret") => world.secrets.get(&name).and_then(|secret| secret.authorities.as_ref()),
        _ => return Err(AuthorityFault::InvalidKind),
    };
    found
        .filter(|pem| origin_client(OriginTrust::Authorities(pem), &[], None, &[]).is_ok())
        .ok_or(AuthorityFault::InvalidCACertificateRef)
}

/// The same, of an object that a policy names.
pub(super) fn own_authority<'w>(
    world: &'w World,
    policy: &Object<BackendTLSPolicy>,
    reference: &LocalRef,
) -> Result<&'w Arc<str>, AuthorityFault> {
    let named = (reference.group.as_str(), reference.kind.as_str(), reference.name.as_str());
    authority(world, &policy.meta.namespace, named)
}

/// Whether a target is a service of the policy's namespace, as a whole or in a port.
fn names(policy: &Object<BackendTLSPolicy>, target: &PolicyTarget, service: &Service) -> bool {
    matches!(target.group.as_str(), "" | "core")
        && target.kind.as_str() == "Service"
        && target.name.as_str() == &*service.name
        && policy.meta.namespace == *service.namespace
}

/// The policy in force for a port of a service.
pub(super) fn in_force<'w>(
    world: &'w World,
    service: &Service,
    port: &ServicePort,
) -> Option<&'w Arc<Object<BackendTLSPolicy>>> {
    let naming = |wanted: Option<&str>| {
        world.backend_tls_policies.iter().find(|policy| {
            let mut targets = policy.spec.target_refs.iter();
            targets.any(|target| {
                names(policy, target, service) && target.section_name.as_ref().map(|name| name.as_str()) == wanted
            })
        })
    };
    naming(Some(&port.name)).or_else(|| naming(None))
}

/// Whether an older policy has a target of this one.
pub(super) fn is_conflicted(world: &World, policy: &Object<BackendTLSPolicy>) -> bool {
    let older = world.backend_tls_policies.iter().take_while(|known| !std::ptr::eq(&***known, policy));
    let mut older = older.filter(|known| known.meta.namespace == policy.meta.namespace);
    older.any(|known| known.spec.target_refs.iter().any(|target| policy.spec.target_refs.contains(target)))
}

/// The TLS that clients of a port of a service begin, and who says so; `None` where no policy does.
pub(in crate::compile) fn backend_tls(
    world: &World,
    service: &Service,
    port: &ServicePort,
) -> Option<(UpstreamTls, Provenance)> {
    let policy = in_force(world, service, port)?;
    let validation = &policy.spec.validation;
    let authorities = if validation.ca_certificate_refs.is_empty() {
        Some(Authorities::System)
    } else {
        let sound = validation.ca_certificate_refs.iter();
        let sound = sound.filter_map(|reference| own_authority(world, policy, reference).ok());
        let pem: String = sound.flat_map(|pem| [&**pem, "\n"]).collect();
        (!pem.is_empty()).then(|| Authorities::Pem(pem.into()))
    };
    let tls = match authorities {
        None => UpstreamTls::Unavailable(
            format!("{}: nobody vouches for the server: see its caCertificateRefs", policy.provenance()).into(),
        ),
        Some(authorities) => {
            let names = validation.subject_alt_names.iter().filter_map(|name| {
                let host = name.hostname.as_ref().map(|host| host.as_str());
                host.or_else(|| name.uri.as_ref().map(|uri| uri.as_str())).map(Into::into)
            });
            UpstreamTls::Originate(Arc::new(Origination {
                server_name: Some(validation.hostname.as_str().into()),
                subject_names: names.collect(),
                authorities,
                certificate: OwnCertificate::None,
            }))
        }
    };
    Some((tls, policy.provenance()))
}
