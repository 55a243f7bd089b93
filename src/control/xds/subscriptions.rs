//! What a proxy asked for of one type, and what it was told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::control::push::{Refusal, Snapshot, Subject};
use crate::wire::name::{MAX_NAME_BYTES, WILDCARD};
use crate::wire::proto::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource};
use crate::wire::{MAX_MESSAGE_BYTES, ResourceType};

/// How many bytes of resources one response carries at most; the rest follows when it is acknowledged.
const RESPONSE_BYTES: usize = MAX_MESSAGE_BYTES / 2;

/// A response that is not acknowledged yet.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) nonce: String,
    pub(super) generation: u64,
}

/// The subscriptions of one type.
#[derive(Debug)]
pub(super) struct Subscriptions {
    kind: ResourceType,
    names: BTreeSet<Arc<str>>,
    /// The version that the proxy holds under each name; `None`: it knows that there is nothing.
    told: BTreeMap<Arc<str>, Option<Arc<str>>>,
    /// Names that cannot be subscribed to, to be answered once.
    refused: Vec<String>,
    /// How many names had another's scope.
    pub(super) foreign: u64,
    pub(super) in_flight: Option<InFlight>,
}

impl Subscriptions {
    pub(super) fn new(kind: ResourceType) -> Self {
        Self { kind, names: BTreeSet::new(), told: BTreeMap::new(), refused: Vec::new(), foreign: 0, in_flight: None }
    }

    /// How many names there are.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// Takes in a request's names.
    pub(super) fn change(&mut self, request: DeltaDiscoveryRequest) {
        for name in request.resource_names_unsubscribe {
            self.names.remove(&*name);
            self.told.remove(&*name);
            if name == WILDCARD {
                self.told.clear();
            }
        }
        for name in request.resource_names_subscribe {
            if name.len() > MAX_NAME_BYTES {
                self.refused.push(name);
                continue;
            }
            let name: Arc<str> = name.into();
            // Who subscribes is answered, even to what it has been told before.
            self.told.remove(&name);
            self.names.insert(name);
        }
        let is_wildcard = self.names.contains(WILDCARD);
        for (name, version) in request.initial_resource_versions {
            if is_wildcard || self.names.contains(&*name) {
                self.told.insert(name.into(), Some(version.into()));
            }
        }
    }

    /// The next response; `None` where nothing has changed. What is in it counts as told, what did not fit follows with the
    /// one after it.
    pub(super) fn next(&mut self, snapshot: &Snapshot, subject: &Subject) -> Option<DeltaDiscoveryResponse> {
        let mut response = DeltaDiscoveryResponse {
            system_version_info: snapshot.generation.to_string(),
            type_url: self.kind.url().to_owned(),
            removed_resources: std::mem::take(&mut self.refused),
            ..DeltaDiscoveryResponse::default()
        };
        let mut room = RESPONSE_BYTES;
        let mut existing: BTreeSet<Arc<str>> = BTreeSet::new();
        for name in &self.names {
            let answer = match snapshot.answer(subject, self.kind, name) {
                Ok(answer) => answer,
                Err(refusal) => {
                    // Counted when it is told, once.
                    if refusal == Refusal::ForeignScope && !self.told.contains_key(name) {
                        self.foreign += 1;
                    }
                    Arc::from([])
                }
            };
            if answer.is_empty() && **name != *WILDCARD {
                existing.insert(name.clone());
                if self.told.get(name) != Some(&None) {
                    if room < name.len() {
                        continue;
                    }
                    room -= name.len();
                    response.removed_resources.push(name.to_string());
                    self.told.insert(name.clone(), None);
                }
                continue;
            }
            for (name, encoded) in &*answer {
                existing.insert(name.clone());
                if self.told.get(name).and_then(Option::as_ref) == Some(&encoded.version) {
                    continue;
                }
                let size = encoded.bytes.len() + name.len();
                // A resource that is larger than a response goes alone.
                if size > room && !(response.resources.is_empty() && response.removed_resources.is_empty()) {
                    continue;
                }
                room = room.saturating_sub(size);
                response.resources.push(Resource {
                    version: encoded.version.to_string(),
                    resource: Some(self.kind.any(encoded.bytes.clone())),
                    name: name.to_string(),
                    aliases: Vec::new(),
                });
                self.told.insert(name.clone(), Some(encoded.version.clone()));
            }
        }
        // What a wildcard meant before and does not any more.
        let removed = &mut response.removed_resources;
        self.told.retain(|name, version| {
            let exists = existing.contains(name);
            if !exists && version.is_some() {
                removed.push(name.to_string());
            }
            exists
        });
        let is_empty = response.resources.is_empty() && response.removed_resources.is_empty();
        (!is_empty).then_some(response)
    }
}
