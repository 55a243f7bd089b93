//! What attaches to what: ListenerSets to Gateways, and routes to the listeners of both.
//!
//! A Gateway has its own listeners and those of the ListenerSets that it allows, in the order in which they win: its own
//! first, then those of the oldest set. A listener that would take from one before it what that one has is in conflict, and
//! nothing of it is served. A reference to a Gateway means the Gateway's own listeners alone; those of a ListenerSet are reached
//! by a reference to the set (specification of ListenerSet).

use std::sync::Arc;

use super::{Rejection, Route, own_gateways};
use crate::compile::world::World;
use crate::model::HostPattern;
use crate::resources::gateway_api::gateway::{
    FromListenerNamespaces, FromNamespaces, Gateway, LabelSelector, Listener, ListenerSet, TlsMode,
};
use crate::resources::gateway_api::reference::{GROUP, ParentRef};
use crate::resources::gateway_api::text::Hostname;
use crate::resources::{Object, Provenance, Resource};

/// A listener of a Gateway: its own, or one that a ListenerSet adds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'w> {
    /// The Gateway whose proxies serve it.
    pub(super) gateway: &'w Arc<Object<Gateway>>,
    /// The set that it is from.
    pub(super) set: Option<&'w Arc<Object<ListenerSet>>>,
    /// Its place among its siblings.
    pub(super) index: usize,
    /// The listener.
    pub(super) listener: &'w Listener,
}

impl Entry<'_> {
    /// Kind of the object that it is from.
    pub(super) fn kind(&self) -> &'static str {
        if self.set.is_some() { ListenerSet::KIND } else { Gateway::KIND }
    }

    /// Namespace of the object that it is from.
    pub(super) fn namespace(&self) -> &str {
        self.set.map_or(&self.gateway.meta.namespace, |set| &set.meta.namespace)
    }

    /// Generation of the object that it is from.
    pub(super) fn generation(&self) -> Option<i64> {
        self.set.map_or(self.gateway.meta.generation, |set| set.meta.generation)
    }

    /// Where it is written.
    pub(super) fn provenance(&self) -> Provenance {
        let object = self.set.map_or_else(|| self.gateway.provenance(), |set| set.provenance());
        object.with_rule(format!("listeners[{}]", self.index))
    }

    /// The hosts that it is for.
    pub(super) fn hosts(&self) -> HostPattern {
        self.listener.hostname.as_ref().map_or(HostPattern::Any, |host| HostPattern::parse(host.as_str()))
    }

    /// Whether both are the same listener.
    pub(super) fn is(&self, other: &Self) -> bool {
        std::ptr::eq(self.listener, other.listener)
    }
}

/// What a listener speaks, as far as the mesh serves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speech {
    /// HTTP without TLS.
    Http,
    /// HTTP behind TLS that ends here.
    Https,
    /// Bytes behind TLS that ends here.
    Terminated,
    /// TLS that is passed on.
    Passthrough,
    /// Bytes.
    Tcp,
}

impl Speech {
    /// What a listener speaks; `None` for what the mesh does not serve.
    pub(super) fn of(listener: &Listener) -> Option<Self> {
        let passes_on = listener.tls.as_ref().is_some_and(|tls| tls.mode == Some(TlsMode::Passthrough));
        match listener.protocol.as_str() {
            "HTTP" => Some(Self::Http),
            "HTTPS" => (!passes_on).then_some(Self::Https),
            "TLS" if passes_on => Some(Self::Passthrough),
            "TLS" => Some(Self::Terminated),
            "TCP" => Some(Self::Tcp),
            _ => None,
        }
    }

    /// The kinds of routes that it takes.
    pub(super) fn kinds(self) -> &'static [&'static str] {
        match self {
            Self::Http | Self::Https => &["HTTPRoute", "GRPCRoute"],
            Self::Terminated => &["TLSRoute", "TCPRoute"],
            Self::Passthrough => &["TLSRoute"],
            Self::Tcp => &["TCPRoute"],
        }
    }

    /// Whether TLS ends here.
    pub(super) fn has_certificates(self) -> bool {
        matches!(self, Self::Https | Self::Terminated)
    }

    /// Whether one port can speak both.
    fn goes_with(self, other: Self) -> bool {
        let is_tls = |speech| matches!(speech, Self::Https | Self::Terminated | Self::Passthrough);
        self == other || (is_tls(self) && is_tls(other))
    }
}

/// What a listener would take from one before it; the reasons' names are the Gateway API's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Conflict {
    /// The port speaks something else.
    Protocol,
    /// The port has this host.
    Hostname,
}

impl Conflict {
    /// The reason's name.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Protocol => "ProtocolConflict",
            Self::Hostname => "HostnameConflict",
        }
    }
}

/// Why a ListenerSet adds no listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SetFault {
    /// The Gateway does not allow it.
    NotAllowed,
}

/// The Gateway of the mesh that a ListenerSet names; `None` where it names none.
pub(super) fn gateway_of<'w>(world: &'w World, set: &Object<ListenerSet>) -> Option<&'w Arc<Object<Gateway>>> {
    let parent = &set.spec.parent_ref;
    let is_gateway = parent.group.as_ref().is_none_or(|group| group.as_str() == GROUP)
        && parent.kind.as_ref().is_none_or(|kind| kind.as_str() == Gateway::KIND);
    let namespace = parent.namespace.as_ref().map_or(set.meta.namespace.as_str(), |namespace| namespace.as_str());
    own_gateways(world)
        .find(|gateway| is_gateway && gateway.meta.name == parent.name.as_str() && gateway.meta.namespace == namespace)
}

/// Whether a Gateway takes a ListenerSet.
pub(super) fn allows(world: &World, gateway: &Object<Gateway>, set: &Object<ListenerSet>) -> Result<(), SetFault> {
    let allowed = gateway.spec.allowed_listeners.as_ref().and_then(|allowed| allowed.namespaces.as_ref());
    let is_allowed = match allowed.and_then(|namespaces| namespaces.from) {
        Some(FromListenerNamespaces::All) => true,
        Some(FromListenerNamespaces::Same) => gateway.meta.namespace == set.meta.namespace,
        Some(FromListenerNamespaces::Selector) => {
            is_selected(world, allowed.and_then(|namespaces| namespaces.selector.as_ref()), &set.meta.namespace)
        }
        Some(FromListenerNamespaces::None) | None => false,
    };
    if is_allowed { Ok(()) } else { Err(SetFault::NotAllowed) }
}

/// The ListenerSets that a Gateway takes, in the order in which they win.
pub(super) fn sets<'w>(world: &'w World, gateway: &'w Arc<Object<Gateway>>) -> Vec<&'w Arc<Object<ListenerSet>>> {
    let taken = world.listener_sets.iter().filter(|set| {
        gateway_of(world, set).is_some_and(|named| Arc::ptr_eq(named, gateway)) && allows(world, gateway, set).is_ok()
    });
    let mut sets: Vec<_> = taken.collect();
    sets.sort_by(|a, b| precedence(a).cmp(&precedence(b)));
    sets
}

/// Which of two objects of a kind wins, least first: the older one, then the one whose namespace and name come first. Among
/// Istio's kinds the name counts before the namespace.
pub(super) fn precedence<T>(object: &Object<T>) -> impl Ord + '_ {
    let meta = &object.meta;
    (meta.creation_time.is_none(), meta.creation_time, &meta.namespace, &meta.name)
}

fn own_entries(gateway: &Arc<Object<Gateway>>) -> impl Iterator<Item = Entry<'_>> {
    let numbered = gateway.spec.listeners.iter().enumerate();
    numbered.map(move |(index, listener)| Entry { gateway, set: None, index, listener })
}

fn set_entries<'w>(
    gateway: &'w Arc<Object<Gateway>>,
    set: &'w Arc<Object<ListenerSet>>,
) -> impl Iterator<Item = Entry<'w>> {
    let numbered = set.spec.listeners.iter().enumerate();
    numbered.map(move |(index, listener)| Entry { gateway, set: Some(set), index, listener })
}

/// Every listener of a Gateway, in the order in which they win, with what is in the way of it.
pub(super) fn entries<'w>(world: &'w World, gateway: &'w Arc<Object<Gateway>>) -> Vec<(Entry<'w>, Option<Conflict>)> {
    let added = sets(world, gateway).into_iter().flat_map(|set| set_entries(gateway, set));
    let mut found: Vec<(Entry<'w>, Option<Conflict>)> = Vec::new();
    for entry in own_entries(gateway).chain(added) {
        let conflict = Speech::of(entry.listener).and_then(|speech| {
            let rivals = found
                .iter()
                .filter(|(known, conflict)| conflict.is_none() && known.listener.port == entry.listener.port);
            let mut spoken = rivals.filter_map(|(known, _)| Some((known, Speech::of(known.listener)?)));
            spoken.find_map(|(known, other)| match (speech.goes_with(other), known.hosts() == entry.hosts()) {
                (false, _) => Some(Conflict::Protocol),
                (true, true) => Some(Conflict::Hostname),
                (true, false) => None,
            })
        });
        found.push((entry, conflict));
    }
    found
}

/// The listeners of a Gateway that are served, in the order in which they win, with what each speaks.
pub(super) fn served<'w>(world: &'w World, gateway: &'w Arc<Object<Gateway>>) -> Vec<(Entry<'w>, Speech)> {
    let sound = entries(world, gateway).into_iter().filter(|(_, conflict)| conflict.is_none());
    sound.filter_map(|(entry, _)| Some((entry, Speech::of(entry.listener)?))).collect()
}

/// Whether a listener leaves requests for `host` to another of the same port: one whose hosts are narrower, and hold it.
pub(super) fn is_isolated(served: &[(Entry<'_>, Speech)], entry: &Entry<'_>, host: &HostPattern) -> bool {
    served.iter().any(|(other, _)| {
        other.listener.port == entry.listener.port
            && other.hosts().precedence() > entry.hosts().precedence()
            && other.hosts().intersect(host).as_ref() == Some(host)
    })
}

/// The listeners that a reference in an object of `namespace` names, as long as they are the mesh's.
pub(super) fn parent_entries<'w>(world: &'w World, parent: &ParentRef, namespace: &str) -> Option<Vec<Entry<'w>>> {
    let namespace = parent.namespace(namespace);
    if parent.names(GROUP, Gateway::KIND) {
        let gateway = own_gateways(world)
            .find(|gateway| gateway.meta.name == parent.name.as_str() && gateway.meta.namespace == namespace)?;
        return Some(own_entries(gateway).collect());
    }
    if !parent.names(GROUP, ListenerSet::KIND) {
        return None;
    }
    let set = world
        .listener_sets
        .iter()
        .find(|set| set.meta.name == parent.name.as_str() && set.meta.namespace == namespace)?;
    let gateway = gateway_of(world, set)?;
    let taken = allows(world, gateway, set).is_ok();
    Some(set_entries(gateway, set).filter(|_| taken).collect())
}

/// Whether a listener takes routes of a kind.
pub(super) fn takes_kind(listener: &Listener, kind: &str) -> bool {
    let kinds = listener.allowed_routes.as_ref().map_or(&[][..], |allowed| &allowed.kinds);
    let named = kinds
        .iter()
        .any(|known| known.kind.as_str() == kind && known.group.as_ref().is_none_or(|group| group.as_str() == GROUP));
    Speech::of(listener).is_some_and(|speech| speech.kinds().contains(&kind)) && (kinds.is_empty() || named)
}

/// Whether a listener takes routes of a namespace.
fn takes_namespace(world: &World, entry: &Entry<'_>, namespace: &str) -> bool {
    let allowed = entry.listener.allowed_routes.as_ref().and_then(|allowed| allowed.namespaces.as_ref());
    match allowed.and_then(|namespaces| namespaces.from).unwrap_or(FromNamespaces::Same) {
        FromNamespaces::All => true,
        FromNamespaces::Same => entry.namespace() == namespace,
        FromNamespaces::Selector => {
            is_selected(world, allowed.and_then(|namespaces| namespaces.selector.as_ref()), namespace)
        }
    }
}

/// Whether a selector selects a namespace. One that is not known has no labels; a selector that is not there selects nothing.
fn is_selected(world: &World, selector: Option<&LabelSelector>, namespace: &str) -> bool {
    let labels = world.namespaces.get(namespace);
    selector.is_some_and(|selector| selector.matches(|key| labels?.get(key).map(|value| &**value)))
}

/// Listeners that a route attaches to, each with the hosts that both have.
pub(super) type Attached<'w> = Vec<(Entry<'w>, Vec<HostPattern>)>;

/// The listeners that a route attaches to through one of its references, each with the hosts that both have; `None` for a
/// reference to what is not the mesh's.
pub(super) fn attached<'w, T: Route>(
    world: &'w World,
    route: &Object<T>,
    parent: &ParentRef,
) -> Option<Result<Attached<'w>, Rejection>> {
    let meant = |entry: &Entry<'_>| {
        parent.section_name.as_ref().is_none_or(|name| *name == entry.listener.name)
            && parent.port.is_none_or(|port| port == entry.listener.port)
    };
    let mut rejection = Rejection::NoMatchingParent;
    let mut found = Vec::new();
    for entry in parent_entries(world, parent, &route.meta.namespace)?.into_iter().filter(meant) {
        if !takes_kind(entry.listener, T::KIND) || !takes_namespace(world, &entry, &route.meta.namespace) {
            rejection = worse(rejection, Rejection::NotAllowedByListeners);
            continue;
        }
        let hosts = shared_hosts(&entry, route.spec.hostnames());
        if hosts.is_empty() {
            rejection = Rejection::NoMatchingListenerHostname;
        } else {
            found.push((entry, hosts));
        }
    }
    Some(if found.is_empty() { Err(rejection) } else { Ok(found) })
}

/// Every listener that a route attaches to, each with the hosts that both have.
pub(super) fn attachments<'w, T: Route>(
    world: &'w World,
    route: &Object<T>,
) -> impl Iterator<Item = (Entry<'w>, Vec<HostPattern>)> {
    let taken = route.spec.parents().iter().filter_map(|parent| attached(world, route, parent)?.ok());
    taken.flatten()
}

/// Of two listeners that turn a route away, the one that came closest to taking it says why.
fn worse(known: Rejection, other: Rejection) -> Rejection {
    if known == Rejection::NoMatchingParent { other } else { known }
}

/// The hosts that a listener and a route have in common.
fn shared_hosts(entry: &Entry<'_>, hostnames: &[Hostname]) -> Vec<HostPattern> {
    let served = entry.hosts();
    if hostnames.is_empty() {
        return vec![served];
    }
    let mut hosts: Vec<HostPattern> =
        hostnames.iter().filter_map(|host| served.intersect(&HostPattern::parse(host.as_str()))).collect();
    hosts.sort();
    hosts.dedup();
    hosts
}
