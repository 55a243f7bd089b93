//! What a workload demands of its callers, from the PeerAuthentications that apply to it, and what it answers on.

use std::sync::Arc;

use crate::compile::authentication::token_rules;
use crate::compile::authorization::authorization;
use crate::compile::selection::{selects, selects_some};
use crate::compile::sidecar::ingress;
use crate::compile::world::World;
use crate::model::authz::PolicyAction;
use crate::model::{InboundPolicy, InboundService, MtlsMode, TunnelProtocol, Workload};
use crate::resources::peer_authentication::{self, MutualTls};
use crate::resources::{Object, PeerAuthentication, Provenance};

/// The inbound policy of a workload: the oldest PeerAuthentication that selects it, then its namespace's, then the mesh's. A mode
/// that is not set is inherited; nothing set anywhere is PERMISSIVE.
///
/// `services` are those that the workload answers for, oldest first; `trust_domains` the names of the mesh's own trust domain.
pub fn inbound_policy(
    world: &World,
    workload: Arc<Workload>,
    services: Vec<InboundService>,
    trust_domains: &[Arc<str>],
) -> InboundPolicy {
    let modes = mtls_modes(world, &workload);
    let authorization = authorization(world, &workload, trust_domains);
    let tokens = token_rules(world, &workload);
    let is_asked = |name: &Arc<str>| {
        authorization.iter().any(|policy| matches!(&policy.action, PolicyAction::Custom(asked) if asked == name))
    };
    let providers = world.mesh.providers.iter().filter(|provider| is_asked(&provider.name)).cloned().collect();
    InboundPolicy {
        default_mtls: modes.default,
        port_mtls: modes.ports,
        services,
        ingress: ingress(world, &workload.namespace, &workload.labels),
        tokens,
        authorization,
        providers,
        workload,
    }
}

/// What a workload takes: mutual TLS, plaintext, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MtlsModes {
    /// For ports that are not named below, and the object that says so (`None`: the mesh's default).
    pub default: (MtlsMode, Option<Provenance>),
    /// (port on the workload, mode, the object that says so).
    pub ports: Vec<(u16, MtlsMode, Provenance)>,
}

impl MtlsModes {
    /// The mode in force on a port of the workload.
    pub fn of(&self, port: u16) -> MtlsMode {
        self.ports.iter().find(|(number, ..)| *number == port).map_or(self.default.0, |(_, mode, _)| *mode)
    }
}

/// The ports of a workload of the mesh that it wants plaintext on, of `ports`: (port of a service, port on the workload).
pub fn plaintext_ports(world: &World, workload: &Workload, ports: &[(u16, u16)]) -> Vec<u16> {
    if workload.protocol != TunnelProtocol::MutualTls {
        return Vec::new();
    }
    let modes = mtls_modes(world, workload);
    ports.iter().map(|(_, target)| *target).filter(|target| modes.of(*target) == MtlsMode::Disable).collect()
}

/// The PeerAuthentications that apply to a workload, merged.
pub fn mtls_modes(world: &World, workload: &Workload) -> MtlsModes {
    let oldest = |wanted: &dyn Fn(&Object<PeerAuthentication>) -> bool| {
        world.peer_authentications.iter().find(|object| wanted(object)).map(|object| &**object)
    };
    let everywhere_in = |namespace: &str, object: &Object<PeerAuthentication>| {
        object.meta.namespace == namespace && !selects_some(object.spec.selector.as_ref())
    };
    let selecting = oldest(&|object| {
        object.meta.namespace == *workload.namespace && {
            let selector = object.spec.selector.as_ref();
            selects_some(selector) && selects(selector, workload)
        }
    });
    let of_namespace = oldest(&|object| everywhere_in(&workload.namespace, object));
    let of_mesh = oldest(&|object| everywhere_in(&world.root_namespace, object));
    let default = [selecting, of_namespace, of_mesh]
        .into_iter()
        .flatten()
        .find_map(|object| Some((mode(object.spec.mtls.as_ref())?, Some(object.provenance()))))
        .unwrap_or((MtlsMode::Permissive, None));
    MtlsModes { default, ports: selecting.map_or(Vec::new(), port_modes) }
}

fn port_modes(object: &Object<PeerAuthentication>) -> Vec<(u16, MtlsMode, Provenance)> {
    let ports = object.spec.port_level_mtls.0.iter();
    let set = ports.filter_map(|(port, settings)| {
        let provenance = object.provenance().with_rule(format!("portLevelMtls[{port}]"));
        Some((port.get(), mode(Some(settings))?, provenance))
    });
    set.collect()
}

fn mode(settings: Option<&MutualTls>) -> Option<MtlsMode> {
    match settings?.mode? {
        peer_authentication::MtlsMode::Unset => None,
        peer_authentication::MtlsMode::Disable => Some(MtlsMode::Disable),
        peer_authentication::MtlsMode::Permissive => Some(MtlsMode::Permissive),
        peer_authentication::MtlsMode::Strict => Some(MtlsMode::Strict),
    }
}
