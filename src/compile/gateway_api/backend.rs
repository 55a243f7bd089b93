//! Backends that routes name, whatever the route is for.

use std::sync::Arc;

use super::is_granted;
use crate::compile::names::service_of;
use crate::compile::world::{Scope, World};
use crate::model::ClusterName;
use crate::resources::gateway_api::text::{Group, KindName, Namespace};

/// What a backend reference names.
pub(super) struct Target<'a> {
    pub(super) group: Option<&'a Group>,
    pub(super) kind: Option<&'a KindName>,
    pub(super) name: &'a str,
    pub(super) namespace: Option<&'a Namespace>,
    pub(super) port: Option<u16>,
}

/// Why requests do not get to a backend; the reasons' names are the Gateway API's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BackendFault {
    /// It is no Service.
    InvalidKind,
    /// It is in another namespace, and nothing there permits it.
    RefNotPermitted,
    /// There is no such Service, or it has no such port.
    BackendNotFound,
}

/// What a reference names, of whichever type the reference is.
macro_rules! target {
    ($reference:expr) => {
        Target {
            group: $reference.group.as_ref(),
            kind: $reference.kind.as_ref(),
            name: $reference.name.as_str(),
            namespace: $reference.namespace.as_ref(),
            port: $reference.port.map(|port| port.get()),
        }
    };
}

pub(super) use target;

impl Target<'_> {
    /// The cluster that requests of a route of `kind` in `own` go to.
    pub(super) fn cluster(&self, world: &World, kind: &str, own: &str) -> Result<ClusterName, BackendFault> {
        let namespace = self.namespace.map_or(own, |namespace| namespace.as_str());
        let group = self.group.map_or("", |group| group.as_str());
        let host: Arc<str> = match (group, self.kind.map_or("Service", |kind| kind.as_str())) {
            ("" | "core", "Service") => format!("{}.{namespace}.svc.{}", self.name, world.domain).into(),
            // Istio's way to name a host that is no Service of Kubernetes.
            ("networking.istio.io", "Hostname") => self.name.into(),
            _ => return Err(BackendFault::InvalidKind),
        };
        let to = if group == "networking.istio.io" { (group, "Hostname") } else { ("", "Service") };
        if !is_granted(world, kind, own, to, namespace, self.name) {
            return Err(BackendFault::RefNotPermitted);
        }
        let port = self.port.ok_or(BackendFault::BackendNotFound)?;
        match service_of(world, &Scope::of_namespace(own), &host) {
            Some(service) if service.port(port).is_some() => Ok(ClusterName { host, port, subset: None }),
            _ => Err(BackendFault::BackendNotFound),
        }
    }

    /// A cluster that nobody ever reaches, so that a share fails and does not fall to its siblings: its host is one that can
    /// never be (RFC 6761).
    pub(super) fn nowhere(&self) -> ClusterName {
        ClusterName { host: format!("{}.invalid", self.name).into(), port: self.port.unwrap_or(80), subset: None }
    }

    /// Whether it is a service of the mesh's own domain.
    pub(super) fn is(&self, world: &World, own: &str, host: &str) -> bool {
        let namespace = self.namespace.map_or(own, |namespace| namespace.as_str());
        let is_service = self.group.is_none_or(|group| matches!(group.as_str(), "" | "core"))
            && self.kind.is_none_or(|kind| kind.as_str() == "Service");
        is_service && *host == *format!("{}.{namespace}.svc.{}", self.name, world.domain)
    }
}
