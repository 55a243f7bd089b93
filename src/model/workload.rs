//! A workload: what runs behind an address, who it is and how it is spoken to.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::identity::SpiffeId;

/// Labels of a workload, in order of their keys.
pub type Labels = BTreeMap<Arc<str>, Arc<str>>;

/// Where a workload runs, from the coarse to the fine; empty where unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Locality {
    /// Region (`topology.kubernetes.io/region`).
    pub region: Arc<str>,
    /// Zone (`topology.kubernetes.io/zone`).
    pub zone: Arc<str>,
    /// Sub-zone (`topology.istio.io/subzone`).
    pub subzone: Arc<str>,
}

impl Locality {
    /// Reads `region/zone/subzone`, of which parts at the end may be missing.
    pub fn parse(text: &str) -> Self {
        let mut parts = text.splitn(3, '/').map(Arc::from);
        let mut next = || parts.next().unwrap_or_default();
        Self { region: next(), zone: next(), subzone: next() }
    }

    /// What a workload's own labels say: Istio's `istio-locality` (with dots where it has no slashes, which labels cannot hold), else
    /// Kubernetes' topology.
    pub fn of_labels(labels: &Labels) -> Self {
        let label = |key: &str| labels.get(key).cloned().unwrap_or_default();
        match labels.get("istio-locality").filter(|place| !place.is_empty()) {
            Some(place) if place.contains('/') => Self::parse(place),
            Some(place) => Self::parse(&place.replace('.', "/")),
            None => Self {
                region: label("topology.kubernetes.io/region"),
                zone: label("topology.kubernetes.io/zone"),
                subzone: label("topology.istio.io/subzone"),
            },
        }
    }

    /// The same, with `other` where it says nothing at all.
    #[must_use]
    pub fn or(self, other: &Self) -> Self {
        if self == Self::default() { other.clone() } else { self }
    }
}

/// How a workload's address is to be spoken to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum TunnelProtocol {
    /// As the application speaks; there is no proxy in front of it.
    #[default]
    Plaintext,
    /// Mutual TLS with SPIFFE identities, to the sidecar in front of it.
    MutualTls,
}

/// One workload: a pod, or a machine of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// Unique in the mesh: `cluster//Pod/namespace/name`.
    pub uid: Arc<str>,
    /// Name of the pod.
    pub name: Arc<str>,
    /// Namespace of the pod.
    pub namespace: Arc<str>,
    /// Every address under which it is reached.
    pub addresses: Vec<IpAddr>,
    /// Who it proves to be; `None` for a workload outside the mesh.
    pub identity: Option<SpiffeId>,
    /// Labels of the pod.
    pub labels: Labels,
    /// Name of the controller that owns it (`reviews-v2`), as metrics report it.
    pub workload_name: Arc<str>,
    /// `service.istio.io/canonical-name`, else `app.kubernetes.io/name`, else `app`, else the workload's name.
    pub canonical_name: Arc<str>,
    /// `service.istio.io/canonical-revision`, else `app.kubernetes.io/version`, else `version`, else `latest`.
    pub canonical_revision: Arc<str>,
    /// Where it runs.
    pub locality: Locality,
    /// The machine that it runs on; empty where unknown.
    pub node: Arc<str>,
    /// How it is spoken to.
    pub protocol: TunnelProtocol,
}

impl Workload {
    /// One that has no address yet, proves nothing and speaks plaintext. What it is called in telemetry is what its labels say, else
    /// `workload_name`.
    pub fn new(uid: Arc<str>, name: Arc<str>, namespace: Arc<str>, workload_name: Arc<str>, labels: Labels) -> Self {
        let label = |keys: [&str; 3]| keys.iter().find_map(|key| labels.get(*key)).cloned();
        Self {
            uid,
            name,
            namespace,
            addresses: Vec::new(),
            identity: None,
            canonical_name: label(["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"])
                .unwrap_or_else(|| workload_name.clone()),
            canonical_revision: label(["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"])
                .unwrap_or_else(|| "latest".into()),
            workload_name,
            locality: Locality::of_labels(&labels),
            node: Arc::default(),
            labels,
            protocol: TunnelProtocol::Plaintext,
        }
    }

    /// What is at an address of which nothing else is known.
    pub fn at(address: IpAddr, uid: Arc<str>, namespace: Arc<str>) -> Self {
        let name: Arc<str> = address.to_string().into();
        Self { addresses: vec![address], ..Self::new(uid, name.clone(), namespace, name, Labels::new()) }
    }

    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(|value| &**value)
    }

    /// Whether every one of `wanted` is among the workload's labels.
    pub fn has_labels(&self, wanted: &[(Arc<str>, Arc<str>)]) -> bool {
        wanted.iter().all(|(key, value)| self.labels.get(key) == Some(value))
    }
}
