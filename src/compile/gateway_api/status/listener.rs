//! What is said of listeners, and of the ListenerSets that add them.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{condition, holds, proxies};
use crate::compile::gateway_api::attach::{Conflict, Entry, SetFault, Speech, attachments, takes_kind};
use crate::compile::gateway_api::frontend::clients;
use crate::compile::gateway_api::listeners::certificate;
use crate::compile::gateway_api::{GROUP, Route, is_granted};
use crate::compile::world::World;
use crate::resources::Object;
use crate::resources::gateway_api::gateway::{Gateway, ListenerSet};
use crate::tls::{EdgeClients, edge_server};

/// What is said of a listener.
pub(super) fn status(world: &World, entry: &Entry<'_>, conflict: Option<Conflict>) -> Value {
    let generation = entry.generation();
    let listener = entry.listener;
    let speech = Speech::of(listener);
    let named = listener.allowed_routes.as_ref().map_or(&[][..], |allowed| &allowed.kinds);
    let kinds = speech.map_or(&[][..], Speech::kinds).iter().filter(|kind| takes_kind(listener, kind));
    let supported: Vec<Value> = kinds.map(|kind| json!({"group": GROUP, "kind": kind})).collect();
    let accepted = match (speech, conflict) {
        (None, _) => {
            let message = format!("{} is not served: HTTP, HTTPS, TLS and TCP are", listener.protocol);
            condition("Accepted", Err("UnsupportedProtocol"), &message, generation)
        }
        (Some(_), Some(conflict)) => condition("Accepted", Err(conflict.as_str()), sentence(conflict), generation),
        (Some(speech), None) if has_no_authority(world, entry, speech) => {
            let message = "nobody vouches for its clients, so none is served";
            condition("Accepted", Err("NoValidCACertificate"), message, generation)
        }
        (Some(_), None) => condition("Accepted", Ok("Accepted"), "it is served", generation),
    };
    let resolved = match unresolved(world, entry, speech) {
        Some((reason, message)) => condition("ResolvedRefs", Err(reason), &message, generation),
        None if named.len() > supported.len() => {
            let message = "allowedRoutes names a kind that the listener cannot take";
            condition("ResolvedRefs", Err("InvalidRouteKinds"), message, generation)
        }
        None => condition("ResolvedRefs", Ok("ResolvedRefs"), "everything it names is there", generation),
    };
    let works = speech.is_some() && unresolved(world, entry, speech).is_none();
    let programmed = match conflict {
        Some(conflict) => condition("Programmed", Err(conflict.as_str()), sentence(conflict), generation),
        None if works => condition("Programmed", Ok("Programmed"), "it is in force", generation),
        None => condition("Programmed", Err("Invalid"), "the other conditions say why", generation),
    };
    let conflicted = match conflict {
        Some(conflict) => condition("Conflicted", Ok(conflict.as_str()), sentence(conflict), generation),
        None => condition("Conflicted", Err("NoConflicts"), "no other listener has what it asks for", generation),
    };
    json!({
        "name": listener.name.as_str(),
        "supportedKinds": supported,
        "attachedRoutes": attached_routes(world, entry),
        "conditions": [accepted, programmed, resolved, conflicted],
    })
}

fn sentence(conflict: Conflict) -> &'static str {
    match conflict {
        Conflict::Protocol => "a listener that goes before it has the port for another protocol",
        Conflict::Hostname => "a listener that goes before it has the port for the same hostname",
    }
}

fn has_no_authority(world: &World, entry: &Entry<'_>, speech: Speech) -> bool {
    clients(world, entry, speech).is_some_and(|checked| checked.authorities.is_none())
}

/// What a listener names and cannot be used: why, in a word and in a sentence.
fn unresolved(world: &World, entry: &Entry<'_>, speech: Option<Speech>) -> Option<(&'static str, String)> {
    let speech = speech.filter(|speech| speech.has_certificates())?;
    certificate_fault(world, entry).or_else(|| {
        let (fault, reference) = clients(world, entry, speech)?.faults.into_iter().next()?;
        Some((fault.as_str(), format!("{} {} {}", reference.kind, reference.name, fault.sentence())))
    })
}

fn certificate_fault(world: &World, entry: &Entry<'_>) -> Option<(&'static str, String)> {
    let references = entry.listener.tls.as_ref().map_or(&[][..], |tls| &tls.certificate_refs);
    references.iter().find_map(|reference| {
        let own = entry.namespace();
        let namespace = reference.namespace.as_ref().map_or(own, |namespace| namespace.as_str());
        let name = reference.name.as_str();
        let (reason, why) = match certificate(world, entry, reference).and_then(|secret| secret.certificate.as_ref()) {
            Some((chain, key)) => {
                let error = edge_server(chain, key.reveal(), EdgeClients::Anonymous, &[]).err()?;
                ("InvalidCertificateRef", format!("cannot be used: {error}"))
            }
            None if !is_granted(world, entry.kind(), own, ("", "Secret"), namespace, name) => {
                ("RefNotPermitted", "is in another namespace, and no ReferenceGrant there permits it".to_owned())
            }
            None => ("InvalidCertificateRef", "is not there, or has no certificate with its key".to_owned()),
        };
        let kind = reference.kind.as_ref().map_or("Secret", |kind| kind.as_str());
        Some((reason, format!("{kind} {namespace}/{name} {why}")))
    })
}

/// How many routes are attached to a listener.
fn attached_routes(world: &World, entry: &Entry<'_>) -> usize {
    count(world, entry, &world.http_routes)
        + count(world, entry, &world.grpc_routes)
        + count(world, entry, &world.tls_routes)
        + count(world, entry, &world.tcp_routes)
}

fn count<T: Route>(world: &World, entry: &Entry<'_>, routes: &[Arc<Object<T>>]) -> usize {
    routes.iter().filter(|route| attachments(world, route).any(|(found, _)| found.is(entry))).count()
}

/// What is said of a ListenerSet that its Gateway takes, with what is said of its listeners.
pub(super) fn of_set(
    world: &World,
    gateway: &Object<Gateway>,
    set: &Object<ListenerSet>,
    listeners: &[&Value],
) -> Value {
    let generation = set.meta.generation;
    let works = |listener: &&Value| holds(listener, "Programmed");
    let message = "one of its listeners is not served: see there";
    let (accepted, programmed) = match (listeners.iter().any(works), listeners.iter().all(works)) {
        (false, _) => (
            condition("Accepted", Err("ListenersNotValid"), message, generation),
            condition("Programmed", Err("ListenersNotValid"), message, generation),
        ),
        (true, all) => {
            let (reason, message) =
                if all { ("Accepted", "its Gateway serves it") } else { ("ListenersNotValid", message) };
            let programmed = match proxies(world, gateway) {
                Ok(()) => condition("Programmed", Ok("Programmed"), "its Gateway's proxies have it", generation),
                Err(message) => condition("Programmed", Err("Pending"), &message, generation),
            };
            (condition("Accepted", Ok(reason), message, generation), programmed)
        }
    };
    json!({"conditions": [accepted, programmed], "listeners": listeners})
}

/// What is said of a ListenerSet that its Gateway does not take.
pub(super) fn of_refused_set(set: &Object<ListenerSet>, fault: SetFault) -> Value {
    let (reason, message) = match fault {
        SetFault::NotAllowed => {
            ("NotAllowed", "the Gateway's allowedListeners do not permit ListenerSets of this namespace")
        }
    };
    let conditions = ["Accepted", "Programmed"].map(|kind| condition(kind, Err(reason), message, set.meta.generation));
    json!({"conditions": conditions, "listeners": []})
}
