//! Routes of the Gateway API that do not attach, or have nowhere to send requests to.
//!
//! What is said is what the control plane would write into their status, from the same function.

use std::sync::Arc;

use serde_json::Value;

use crate::analyze::Found;
use crate::analyze::codes::ROUTE_NOT_ATTACHED;
use crate::analyze::message::place;
use crate::analyze::object::{self, items, text};
use crate::analyze::snapshot::Snapshot;
use crate::compile::gateway_api::status::statuses;
use crate::compile::{World, oldest_first, service};
use crate::resources::{Object, Resource};

/// One message for each parent that does not take a route, and one for what its rules name and is not there.
pub fn run(snapshot: &Snapshot, found: &mut Found) {
    let world = world(snapshot);
    for said in statuses(&world).iter().filter(|said| said.status.get("parents").is_some()) {
        let Some(route) = snapshot.find(said.kind, &said.namespace, &said.name) else { continue };
        for parent in items(&said.status, "/parents") {
            let reference = parent.get("parentRef").unwrap_or(&Value::Null);
            let same = |written: &Value| {
                ["name", "namespace", "sectionName", "port"]
                    .iter()
                    .all(|field| written.get(field) == reference.get(field))
            };
            let parents = route.items("/spec/parentRefs");
            let by_name = || parents.iter().position(|written| text(written, "/name") == text(reference, "/name"));
            let index = parents.iter().position(same).or_else(by_name);
            for condition in
                items(parent, "/conditions").iter().filter(|condition| text(condition, "/status") == "False")
            {
                let (reason, message) = (text(condition, "/reason"), text(condition, "/message").trim_end_matches('.'));
                match (text(condition, "/type"), index) {
                    ("Accepted", Some(index)) => {
                        let name = text(reference, "/name");
                        let sentence = format!("{name} does not take the route ({reason}): {message}.");
                        found.at(ROUTE_NOT_ATTACHED, route, &place!["spec", "parentRefs", index], sentence);
                    }
                    // The same is said of every parent.
                    ("ResolvedRefs", Some(0)) => {
                        let sentence = format!("{message} ({reason}): requests that would go there fail.");
                        found.at(ROUTE_NOT_ATTACHED, route, &place!["spec", "rules"], sentence);
                    }
                    _ => {}
                }
            }
        }
    }
}

/// What routes may name, as far as it is known.
fn world(snapshot: &Snapshot) -> World {
    let mut world = World::new("cluster.local", snapshot.root_namespace());
    for object in snapshot.all("Service") {
        let mut value = object.value().clone();
        value["metadata"]["namespace"] = (*object.namespace).into();
        if let Some(service) = service(&value, "cluster.local", None) {
            world.services.insert(service.host.clone(), Arc::new(service));
        }
    }
    for object in snapshot.all("Namespace") {
        let labels = object.labels().into_iter().map(|(key, value)| (key.into(), value.into()));
        let name = ("kubernetes.io/metadata.name".into(), (*object.name).into());
        world.namespaces.insert(Arc::clone(&object.name), labels.chain([name]).collect());
    }
    world.gateway_classes = sound(snapshot);
    world.edge_gateways = sound(snapshot);
    world.http_routes = sound(snapshot);
    world.grpc_routes = sound(snapshot);
    world.tls_routes = sound(snapshot);
    world.tcp_routes = sound(snapshot);
    world.udp_routes = sound(snapshot);
    world.listener_sets = sound(snapshot);
    world.reference_grants = sound(snapshot);
    world
}

/// The objects of a kind that are sound.
fn sound<T: Resource>(snapshot: &Snapshot) -> Vec<Arc<Object<T>>> {
    let read = |written: &object::Object| {
        let mut read = Object::<T>::from_value(written.value()).ok()?;
        read.meta.namespace = written.namespace.to_string();
        Some(Arc::new(read))
    };
    let mut objects: Vec<Arc<Object<T>>> = snapshot.of(T::GROUP, T::KIND).filter_map(read).collect();
    oldest_first(&mut objects);
    objects
}
