//! Who is calling: what the certificate proves, and what an authenticated mesh proxy adds about its workload.
//!
//! The caller's proxy tells the name, revision and labels of its workload in `x-mesh-peer`, once per connection and with every
//! stream of HTTP/2, over mutual TLS only. The called proxy believes it for telemetry alone, never for a decision: a proxy may misname its workload, not its identity.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::identity::SpiffeId;
use crate::model::{InboundPolicy, Workload};
use crate::proxy::http1::encode::add_line;
use crate::proxy::limits;
use crate::telemetry::Party;

/// Name of the header.
pub const HEADER: &str = "x-mesh-peer";

/// Separates the header's fields.
const SEPARATOR: u8 = b';';

/// The parties of one identity by what each announced.
type Announced = HashMap<Box<[u8]>, Arc<Party>>;

/// What we are, our cluster, and the value that says both.
type Announcement = (Arc<InboundPolicy>, Arc<str>, Vec<u8>);

/// What one worker of one proxy knows of its peers, and tells them.
///
/// A peer that comes again, on whichever connection or stream, is the same [`Party`]: what is kept by a party's address (metric
/// cells) is found again.
#[derive(Debug, Default)]
pub struct Peers {
    /// By identity, then by what was announced.
    known: RefCell<HashMap<SpiffeId, Announced>>,
    /// What we announce, and what it was made of.
    own: RefCell<Option<Announcement>>,
}

impl Peers {
    /// [`identify`]. At most [`limits::MAX_PEERS`] are remembered.
    pub fn identify(&self, identity: &SpiffeId, announced: Option<&[u8]>) -> Arc<Party> {
        let key = announced.and_then(read).unwrap_or_default();
        let mut known = self.known.borrow_mut();
        if let Some(party) = known.get(identity).and_then(|of_identity| of_identity.get(key)) {
            return party.clone();
        }
        if known.values().map(HashMap::len).sum::<usize>() >= limits::MAX_PEERS {
            known.clear();
        }
        let party = Arc::new(identify(identity, announced));
        known.entry(identity.clone()).or_default().insert(key.into(), party.clone());
        party
    }

    /// Adds the line that tells a peer who we are, unless it would be too long.
    pub fn announce(&self, own: &Arc<InboundPolicy>, cluster: &Arc<str>, lines: &mut Vec<u8>) {
        let mut made = self.own.borrow_mut();
        let current = made.as_ref().is_some_and(|(of, on, _)| Arc::ptr_eq(of, own) && on == cluster);
        if !current {
            *made = Some((own.clone(), cluster.clone(), announce(&party_of(&own.workload, cluster, false))));
        }
        if let Some((_, _, value)) = made.as_ref()
            && !value.is_empty()
        {
            add_line(lines, HEADER, value);
        }
    }
}

/// A workload as telemetry reports it. `cluster` is the name of the cluster that it runs in.
pub fn party_of(workload: &Workload, cluster: &Arc<str>, proved: bool) -> Party {
    let label = |key: &str| workload.labels.get(key).cloned().unwrap_or_default();
    let principal = match &workload.identity {
        Some(identity) if proved => identity.to_string().into(),
        _ => Arc::default(),
    };
    Party {
        workload: workload.workload_name.clone(),
        namespace: workload.namespace.clone(),
        principal,
        app: label("app"),
        version: label("version"),
        cluster: cluster.clone(),
        canonical_service: workload.canonical_name.clone(),
        canonical_revision: workload.canonical_revision.clone(),
    }
}

/// The header's value for a workload; empty when it would be too long.
fn announce(party: &Party) -> Vec<u8> {
    let fields = [
        &party.workload,
        &party.app,
        &party.version,
        &party.canonical_service,
        &party.canonical_revision,
        &party.cluster,
    ];
    let mut value = Vec::new();
    for (index, field) in fields.into_iter().enumerate() {
        if index > 0 {
            value.push(SEPARATOR);
        }
        value.extend(field.bytes().map(|byte| if is_plain(byte) { byte } else { b'_' }));
    }
    if value.len() > limits::MAX_PEER_METADATA {
        value.clear();
    }
    value
}

/// The caller, from the identity that it has proved and the header's value, if there is one that can be read.
fn identify(identity: &SpiffeId, announced: Option<&[u8]>) -> Party {
    let announced = announced.and_then(read).unwrap_or_default();
    let mut fields = announced
        .split(|byte| *byte == SEPARATOR)
        .map(|field| -> Arc<str> { String::from_utf8_lossy(field).as_ref().into() });
    let mut next = || fields.next().unwrap_or_default();
    Party {
        workload: next(),
        app: next(),
        version: next(),
        canonical_service: next(),
        canonical_revision: next(),
        cluster: next(),
        // What the certificate proves does not come from the header.
        namespace: identity.namespace().into(),
        principal: identity.to_string().into(),
    }
}

fn read(value: &[u8]) -> Option<&[u8]> {
    let plain = |byte: &u8| is_plain(*byte) || *byte == SEPARATOR;
    (value.len() <= limits::MAX_PEER_METADATA && value.iter().all(plain)).then_some(value)
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'/' | b':')
}

/// Labels where there is no workload to take them from.
pub const NO_LABELS: &BTreeMap<Arc<str>, Arc<str>> = &BTreeMap::new();

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::TrustDomain;

    fn identity() -> SpiffeId {
        let trust_domain = TrustDomain::new("cluster.local").expect("a trust domain");
        SpiffeId::new(&trust_domain, "shop", "web").expect("an id")
    }

    #[test]
    fn what_a_proxy_announces_is_understood() {
        let party = Party {
            workload: "web-v1".into(),
            app: "web".into(),
            version: "v1".into(),
            canonical_service: "web".into(),
            canonical_revision: "v1".into(),
            cluster: "Kubernetes".into(),
            namespace: "shop".into(),
            principal: "spiffe://cluster.local/ns/shop/sa/web".into(),
        };
        assert_eq!(identify(&identity(), Some(&announce(&party))), party);
    }

    #[test]
    fn a_peer_that_comes_again_is_the_same_party() {
        let peers = Peers::default();
        let first = peers.identify(&identity(), Some(b"web-v1;web"));
        assert!(Arc::ptr_eq(&first, &peers.identify(&identity(), Some(b"web-v1;web"))));
        assert!(!Arc::ptr_eq(&first, &peers.identify(&identity(), None)));
        for number in 0..limits::MAX_PEERS {
            peers.identify(&identity(), Some(format!("web-{number}").as_bytes()));
        }
        let known = peers.known.borrow().values().map(HashMap::len).sum::<usize>();
        assert!(known <= limits::MAX_PEERS, "{known} are remembered");
    }

    #[test]
    fn identity_and_namespace_come_from_the_certificate_alone() {
        for announced in [None, Some(&b"\"};evil"[..]), Some(&[b'a'; limits::MAX_PEER_METADATA + 1])] {
            let party = identify(&identity(), announced);
            assert_eq!((&*party.namespace, &*party.workload), ("shop", ""), "{announced:?}");
            assert_eq!(&*party.principal, "spiffe://cluster.local/ns/shop/sa/web");
        }
    }
}
