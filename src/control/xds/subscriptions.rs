//! What a proxy asked for of one type, and what it was told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::control::push::{Question, Refusal, Snapshot, Subject};
use crate::wire::name::{MAX_NAME_BYTES, WILDCARD};
use crate::wire::proto::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource};
use crate::wire::{MAX_MESSAGE_BYTES, ResourceType};

/// How many bytes of resources one response carries at most; the rest follows when it is acknowledged.
const RESPONSE_BYTES: usize = MAX_MESSAGE_BYTES / 2;

/// Bytes of names that cannot be subscribed to, as they wait to be answered.
const MAX_REFUSED_BYTES: usize = 64 << 10;

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
    names: BTreeMap<Arc<str>, Result<Question, Refusal>>,
    /// The version that the proxy holds under each name; `None`: it knows that there is nothing.
    told: BTreeMap<Arc<str>, Option<Arc<str>>>,
    /// Names to be answered whatever has changed: new ones, and what did not fit into the response before.
    due: BTreeSet<Arc<str>>,
    /// The generation in which every name that was not due was what is told; 0: none.
    seen: u64,
    /// Names that cannot be subscribed to, to be answered once.
    refused: Vec<String>,
    /// How many names had another's scope.
    pub(super) foreign: u64,
    pub(super) in_flight: Option<InFlight>,
}

impl Subscriptions {
    pub(super) fn new(kind: ResourceType) -> Self {
        Self {
            kind,
            names: BTreeMap::new(),
            told: BTreeMap::new(),
            due: BTreeSet::new(),
            seen: 0,
            refused: Vec::new(),
            foreign: 0,
            in_flight: None,
        }
    }

    /// How many names are kept of what was asked for, and of what it says that it holds.
    pub(super) fn len(&self) -> usize {
        self.names.len().max(self.told.len())
    }

    /// Whether there are more names that cannot be subscribed to than it may send before it takes an answer.
    pub(super) fn is_flooded(&self) -> bool {
        self.refused.iter().map(String::len).sum::<usize>() > MAX_REFUSED_BYTES
    }

    /// Takes in a request's names.
    pub(super) fn change(&mut self, request: DeltaDiscoveryRequest, subject: &Subject) {
        for name in request.resource_names_unsubscribe {
            self.names.remove(&*name);
            self.due.remove(&*name);
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
            let question = Question::parse(subject, self.kind, &name);
            if question == Err(Refusal::ForeignScope) && !self.names.contains_key(&name) {
                self.foreign += 1;
            }
            // Who subscribes is answered, even to what it has been told before.
            self.told.remove(&name);
            self.due.insert(name.clone());
            self.names.insert(name, question);
        }
        let is_wildcard = self.names.contains_key(WILDCARD);
        for (name, version) in request.initial_resource_versions {
            if is_wildcard || self.names.contains_key(&*name) {
                self.told.insert(name.into(), Some(version.into()));
            }
        }
    }

    /// The subject is of another scope now. What it holds in the one before stays as it is told, until it has everything in this.
    pub(super) fn change_scope(&mut self, subject: &Subject) {
        for (name, question) in &mut self.names {
            let now = Question::parse(subject, self.kind, name);
            if question.is_err() && now.is_ok() {
                self.due.insert(name.clone());
            }
            *question = now;
        }
    }

    /// The names whose answer may be another one than what is told.
    fn take_due(&mut self, snapshot: &Snapshot) -> BTreeSet<Arc<str>> {
        let mut due = std::mem::take(&mut self.due);
        let changes = snapshot.changes_since(std::mem::replace(&mut self.seen, snapshot.generation));
        let touched = |question: &Result<Question, Refusal>| match (&changes, question) {
            // Too long ago to know.
            (None, Ok(_)) => true,
            (Some(changes), Ok(question)) => changes.touch(question),
            // What is refused has been told so, and stays refused.
            (_, Err(_)) => false,
        };
        if changes.as_ref().is_none_or(|changes| !changes.is_empty()) {
            due.extend(self.names.iter().filter(|(_, question)| touched(question)).map(|(name, _)| name.clone()));
        }
        due
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
        for name in self.take_due(snapshot) {
            let answer = match self.names.get(&name) {
                Some(Ok(question)) => snapshot.answer(subject, question, &name),
                _ => Arc::from([]),
            };
            if *name == *WILDCARD {
                // What it meant before and does not any more.
                let exists = |told: &Arc<str>| answer.iter().any(|(name, _)| name == told);
                let gone: Vec<Arc<str>> = self.told.keys().filter(|told| !exists(told)).cloned().collect();
                for name in gone {
                    self.told.remove(&name);
                    response.removed_resources.push(name.to_string());
                }
            } else if answer.is_empty() && self.told.get(&name) != Some(&None) {
                if room < name.len() {
                    self.due.insert(name);
                    continue;
                }
                room -= name.len();
                response.removed_resources.push(name.to_string());
                self.told.insert(name.clone(), None);
            }
            for (resource, encoded) in &*answer {
                if self.told.get(resource).and_then(Option::as_ref) == Some(&encoded.version) {
                    continue;
                }
                let size = encoded.bytes.len() + resource.len();
                // A resource that is larger than a response goes alone.
                if size > room && !(response.resources.is_empty() && response.removed_resources.is_empty()) {
                    self.due.insert(name.clone());
                    continue;
                }
                room = room.saturating_sub(size);
                response.resources.push(Resource {
                    version: encoded.version.to_string(),
                    resource: Some(self.kind.any(encoded.bytes.clone())),
                    name: resource.to_string(),
                    aliases: Vec::new(),
                });
                self.told.insert(resource.clone(), Some(encoded.version.clone()));
            }
        }
        let is_empty = response.resources.is_empty() && response.removed_resources.is_empty();
        (!is_empty).then_some(response)
    }
}
