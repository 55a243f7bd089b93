//! What is to be said to the control plane on the stream that is up.
//!
//! Subscriptions gather here until the stream takes them, so that a burst of names becomes one request. A name that is given up
//! and asked for again is first unsubscribed and then subscribed: only then does the answer come again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::proxy::directory::{Holdings, SubscriptionChange};
use crate::wire::ResourceType;
use crate::wire::proto::envoy::service::discovery::v3::{DeltaDiscoveryRequest, Node, Status};

/// How many bytes of names and versions one request carries at most: far below the longest message, whatever their framing.
const REQUEST_BYTES: usize = 1 << 20;

/// `google.rpc.Code.INVALID_ARGUMENT`.
const INVALID_ARGUMENT: i32 = 3;

/// What waits to be sent.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    acknowledgements: VecDeque<DeltaDiscoveryRequest>,
    queues: BTreeMap<ResourceType, Queue>,
    /// Whether names with a scope may be asked for on this stream.
    is_open: bool,
}

#[derive(Debug, Default)]
struct Queue {
    unsubscribe: BTreeSet<Arc<str>>,
    /// Names, with the version held where the stream is new.
    subscribe: BTreeMap<Arc<str>, Option<Arc<str>>>,
}

/// The requests that open a stream: what every proxy has, and for a gateway its listeners.
///
/// Settings are asked for without saying which version is held. They are always answered therefore, and with them it is known
/// in which scope the rest is to be asked for.
pub(super) fn opening(node: &str, holdings: &Holdings) -> Vec<DeltaDiscoveryRequest> {
    let mut requests = Vec::new();
    for kind in [ResourceType::Settings, ResourceType::InboundPolicy, ResourceType::Listener] {
        let names = holdings.subscriptions(kind);
        if names.is_empty() {
            continue;
        }
        let mut request = request(kind);
        match kind {
            ResourceType::Settings => request.node = Some(Node { id: node.to_owned(), ..Node::default() }),
            ResourceType::Listener => {
                let versions = holdings.listener_versions().into_iter();
                request.initial_resource_versions = versions.map(|(n, v)| (n.to_string(), v.to_string())).collect();
            }
            _ => {
                let versions = names.iter().filter_map(|(name, version)| Some((name, version.as_ref()?)));
                request.initial_resource_versions = versions.map(|(n, v)| (n.to_string(), v.to_string())).collect();
            }
        }
        request.resource_names_subscribe = names.into_iter().map(|(name, _)| name.to_string()).collect();
        requests.push(request);
    }
    requests
}

fn request(kind: ResourceType) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest { type_url: kind.url().to_owned(), ..DeltaDiscoveryRequest::default() }
}

impl Outbox {
    /// Names with a scope may be asked for from now on: everything that is wanted is announced, with what is held of it.
    pub(super) fn open(&mut self, holdings: &Holdings) {
        if std::mem::replace(&mut self.is_open, true) {
            return;
        }
        for kind in [ResourceType::Service, ResourceType::TrafficPolicy, ResourceType::Endpoints, ResourceType::Routes]
        {
            let queue =
                Queue { unsubscribe: BTreeSet::new(), subscribe: holdings.subscriptions(kind).into_iter().collect() };
            self.queues.insert(kind, queue);
        }
    }

    /// A change of subscriptions. Before the stream is open there is nothing to change.
    pub(super) fn change(&mut self, change: SubscriptionChange) {
        if !self.is_open {
            return;
        }
        let queue = self.queues.entry(change.kind).or_default();
        if change.subscribed {
            queue.subscribe.entry(change.name).or_default();
        } else if queue.subscribe.remove(&change.name).is_none() {
            queue.unsubscribe.insert(change.name);
        }
    }

    /// An answer is in force, or cannot be used.
    pub(super) fn acknowledge(&mut self, type_url: String, nonce: String, error: Option<String>) {
        self.acknowledgements.push_back(DeltaDiscoveryRequest {
            type_url,
            response_nonce: nonce,
            error_detail: error.map(|message| Status { code: INVALID_ARGUMENT, message }),
            ..DeltaDiscoveryRequest::default()
        });
    }

    /// Whether there is nothing to say.
    pub(super) fn is_empty(&self) -> bool {
        self.acknowledgements.is_empty() && self.queues.values().all(Queue::is_empty)
    }

    /// The next request.
    pub(super) fn next(&mut self) -> Option<DeltaDiscoveryRequest> {
        if let Some(acknowledgement) = self.acknowledgements.pop_front() {
            return Some(acknowledgement);
        }
        let (kind, queue) = self.queues.iter_mut().find(|(_, queue)| !queue.is_empty())?;
        let mut request = request(*kind);
        let mut room = REQUEST_BYTES;
        let again = queue.unsubscribe.iter().any(|name| queue.subscribe.contains_key(name));
        while let Some(name) = queue.unsubscribe.pop_first() {
            room = room.saturating_sub(name.len());
            request.resource_names_unsubscribe.push(name.to_string());
            if room == 0 {
                return Some(request);
            }
        }
        if again {
            return Some(request);
        }
        while let Some((name, version)) = queue.subscribe.pop_first() {
            room = room.saturating_sub(2 * name.len() + version.as_ref().map_or(0, |version| version.len()));
            if let Some(version) = version {
                request.initial_resource_versions.insert(name.to_string(), version.to_string());
            }
            request.resource_names_subscribe.push(name.to_string());
            if room == 0 {
                break;
            }
        }
        Some(request)
    }
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.unsubscribe.is_empty() && self.subscribe.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> Outbox {
        Outbox { is_open: true, ..Outbox::default() }
    }

    fn change(name: &str, subscribed: bool) -> SubscriptionChange {
        SubscriptionChange { kind: ResourceType::Service, name: name.into(), subscribed }
    }

    fn sent(outbox: &mut Outbox) -> Vec<(Vec<String>, Vec<String>)> {
        std::iter::from_fn(|| outbox.next())
            .map(|request| (request.resource_names_unsubscribe, request.resource_names_subscribe))
            .collect()
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_burst_of_names_is_one_request() {
        let mut outbox = open();
        for name in ["a", "b", "c"] {
            outbox.change(change(name, true));
        }
        outbox.change(change("d", false));
        assert_eq!(sent(&mut outbox), [(names(&["d"]), names(&["a", "b", "c"]))]);
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_name_given_up_before_it_was_sent_is_never_sent() {
        let mut outbox = open();
        outbox.change(change("a", true));
        outbox.change(change("a", false));
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_name_asked_for_again_is_unsubscribed_first() {
        let mut outbox = open();
        outbox.change(change("a", false));
        outbox.change(change("a", true));
        assert_eq!(sent(&mut outbox), [(names(&["a"]), vec![]), (vec![], names(&["a"]))]);
    }

    #[test]
    fn acknowledgements_go_first_and_alone() {
        let mut outbox = open();
        outbox.change(change("a", true));
        outbox.acknowledge("type".into(), "7".into(), Some("http[0]: is empty".into()));
        let first = outbox.next().unwrap();
        assert_eq!((first.response_nonce.as_str(), first.resource_names_subscribe.len()), ("7", 0));
        assert_eq!(first.error_detail.map(|status| status.message).as_deref(), Some("http[0]: is empty"));
        assert!(outbox.next().is_some_and(|request| request.response_nonce.is_empty()));
    }

    #[test]
    fn as_many_names_as_a_proxy_may_hold_fit_into_messages() {
        let mut outbox = open();
        for n in 0..20_000 {
            outbox.change(change(&format!("{n:0>200}"), true));
        }
        let requests: Vec<_> = std::iter::from_fn(|| outbox.next()).collect();
        let longest = requests.iter().map(prost::Message::encoded_len).max();
        assert!(longest < Some(crate::wire::MAX_MESSAGE_BYTES), "{longest:?}");
        assert_eq!(requests.iter().map(|request| request.resource_names_subscribe.len()).sum::<usize>(), 20_000);
    }
}
