//! Clusters: groups of endpoints as they are balanced over, assembled once per change instead of chosen per request.
//!
//! Which endpoints belong to a subset and which of them take requests is decided here, when a cluster is assembled. Reassembly
//! shares what did not change: an endpoint that is the same as before keeps its `Arc`, and a cluster that comes out the same
//! is not replaced at all. What requests count in ([`EndpointState`]) outlives every reassembly.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Weak};

use tokio::sync::Notify;

use crate::model::{
    Action, ClusterName, ClusterPolicy, Endpoint, Health, HttpRule, Routes, Service, TrafficPolicy, WeightedCluster,
    Workload,
};
use crate::proxy::directory::{EndpointHealth, Tallies};
use crate::proxy::upstream::{Groups, Originator};
use crate::resources::Provenance;

/// What is counted per endpoint by every worker, whatever snapshot it looks at.
#[derive(Debug, Default)]
pub struct EndpointState {
    /// Requests under way.
    pub active: AtomicUsize,
    /// What became of the last ones.
    pub health: EndpointHealth,
}

/// What is counted per cluster by every worker, whatever snapshot it looks at.
#[derive(Debug, Default)]
pub struct ClusterState {
    /// Requests under way, retries included.
    pub requests: AtomicUsize,
    /// Retries under way.
    pub retries: AtomicUsize,
    /// Connections that carry requests, where the policy limits them.
    pub connections: AtomicUsize,
    /// Requests that wait for one.
    pub pending: AtomicUsize,
    /// Told when one has ended.
    pub freed: Arc<Notify>,
    /// What became of them.
    pub tallies: Tallies,
}

/// An endpoint of a cluster.
#[derive(Debug)]
pub struct UpstreamEndpoint {
    /// The endpoint, its workload included.
    pub endpoint: Arc<Endpoint>,
    /// Where the cluster's port is reached on it.
    pub address: SocketAddr,
    /// Kept per (workload, address) while anything refers to it.
    pub state: Arc<EndpointState>,
}

/// One group of endpoints that requests are balanced over.
#[derive(Debug)]
pub struct Cluster {
    /// Host, port and subset.
    pub name: ClusterName,
    /// The service.
    pub service: Arc<Service>,
    /// How the endpoints are talked to.
    pub policy: ClusterPolicy,
    /// The DestinationRule that says so; `None` where there is none.
    pub policy_provenance: Option<Provenance>,
    /// Those that take requests, each once, the nearest first; its weight is in [`Endpoint::weight`].
    pub endpoints: Box<[Arc<UpstreamEndpoint>]>,
    /// Kept per name while anything refers to it.
    pub state: Arc<ClusterState>,
    /// How they are divided by where they are.
    pub groups: Groups,
    /// TLS with its endpoints, where they are no part of the mesh. It carries over as long as the policy about it is the same.
    pub origin: Option<Arc<Originator>>,
}

impl Cluster {
    /// Assembles a cluster from what is known of its service.
    ///
    /// `previous` is the cluster that this one may replace; what is unchanged is shared with it, and it is returned itself
    /// when nothing changed. `own` is the workload that calls, as far as it is known. The answer is `None` when the service does not have the port, or its policy not the subset.
    pub fn assemble(
        name: &ClusterName,
        service: &Arc<Service>,
        policy: &TrafficPolicy,
        endpoints: &[Arc<Endpoint>],
        states: &mut EndpointStates,
        own: Option<&Workload>,
        previous: Option<&Arc<Self>>,
    ) -> Option<Arc<Self>> {
        service.port(name.port)?;
        let subset = match &name.subset {
            Some(subset) => Some(policy.subset(subset)?),
            None => None,
        };
        let (policies, provenance) = match subset {
            Some(subset) => (&subset.policies, Some(&subset.provenance)),
            None => (&policy.policies, policy.provenance.as_ref()),
        };
        let known: HashMap<SocketAddr, &Arc<UpstreamEndpoint>> =
            previous.iter().flat_map(|cluster| &cluster.endpoints).map(|known| (known.address, known)).collect();
        let assembled: Vec<Arc<UpstreamEndpoint>> = endpoints
            .iter()
            .filter(|endpoint| endpoint.health == Health::Healthy)
            .filter(|endpoint| subset.is_none_or(|subset| subset.contains(&endpoint.workload)))
            .filter_map(|endpoint| Some((endpoint, endpoint.socket_address(name.port)?)))
            .map(|(endpoint, address)| match known.get(&address) {
                Some(same) if same.endpoint == *endpoint => Arc::clone(same),
                _ => Arc::new(UpstreamEndpoint {
                    endpoint: endpoint.clone(),
                    address,
                    state: states.of(&endpoint.workload.uid, address),
                }),
            })
            .collect();
        let policy = policies.for_port(name.port);
        let (assembled, groups) = Groups::divide(assembled, policy, own, previous.map(|previous| &previous.groups));
        if let Some(previous) = previous
            && previous.policy == *policy
            && previous.policy_provenance.as_ref() == provenance
            && previous.service == *service
            && previous.endpoints.len() == assembled.len()
            && previous.groups.is_same(&groups)
            && previous.endpoints.iter().zip(&assembled).all(|(a, b)| Arc::ptr_eq(a, b))
        {
            return Some(previous.clone());
        }
        let kept =
            previous.filter(|previous| previous.policy.tls == policy.tls).map(|previous| previous.origin.clone());
        Some(Arc::new(Self {
            origin: kept.unwrap_or_else(|| Originator::of(policy, &name.host)),
            groups,
            name: name.clone(),
            service: service.clone(),
            policy: policy.clone(),
            policy_provenance: provenance.cloned(),
            endpoints: assembled,
            state: previous.map_or_else(|| states.of_cluster(name), |previous| previous.state.clone()),
        }))
    }
}

/// The [`EndpointState`]s that are in use. It holds none of them itself.
#[derive(Debug, Default)]
pub struct EndpointStates {
    states: HashMap<(Arc<str>, SocketAddr), Weak<EndpointState>>,
    clusters: HashMap<ClusterName, Weak<ClusterState>>,
}

impl EndpointStates {
    /// The state of a workload at an address: the one in use, else a new one.
    pub fn of(&mut self, workload: &Arc<str>, address: SocketAddr) -> Arc<EndpointState> {
        let held = self.states.entry((workload.clone(), address)).or_default();
        held.upgrade().unwrap_or_else(|| {
            let state = Arc::default();
            *held = Arc::downgrade(&state);
            state
        })
    }

    /// The state of a cluster: the one in use, else a new one.
    pub fn of_cluster(&mut self, name: &ClusterName) -> Arc<ClusterState> {
        let held = self.clusters.entry(name.clone()).or_default();
        held.upgrade().unwrap_or_else(|| {
            let state = Arc::default();
            *held = Arc::downgrade(&state);
            state
        })
    }

    /// Forgets the entries of states that nothing refers to any more.
    pub fn prune(&mut self) {
        self.states.retain(|_, state| state.strong_count() > 0);
        self.clusters.retain(|_, state| state.strong_count() > 0);
    }
}

/// Routes, together with every cluster that they name.
pub struct RoutesInForce {
    /// What `model::route::decide` is asked with.
    pub routes: Arc<Routes>,
    /// In the order of their names.
    clusters: Box<[(ClusterName, Arc<Cluster>)]>,
}

impl RoutesInForce {
    /// Joins routes with their clusters; clusters that the routes do not name are left out.
    pub fn new(routes: Arc<Routes>, clusters: impl IntoIterator<Item = Arc<Cluster>>) -> Self {
        let by_name: HashMap<ClusterName, Arc<Cluster>> =
            clusters.into_iter().map(|cluster| (cluster.name.clone(), cluster)).collect();
        Self::with(routes, |name| by_name.get(name).cloned())
    }

    /// Joins routes with their clusters, looking each of them up once.
    pub(super) fn with(routes: Arc<Routes>, mut find: impl FnMut(&ClusterName) -> Option<Arc<Cluster>>) -> Self {
        let mut names: Vec<&ClusterName> = cluster_names(&routes).collect();
        names.sort_unstable();
        names.dedup();
        let clusters = names.into_iter().filter_map(|name| Some((name.clone(), find(name)?))).collect();
        Self { routes, clusters }
    }

    /// The cluster of this name; `None` when its service, port or subset is not there (503, flag `NC`).
    pub fn cluster(&self, name: &ClusterName) -> Option<&Arc<Cluster>> {
        let found = self.clusters.binary_search_by(|(candidate, _)| candidate.cmp(name)).ok()?;
        self.clusters.get(found).map(|(_, cluster)| cluster)
    }

    /// Every cluster that the routes name and that is there.
    pub fn clusters(&self) -> impl Iterator<Item = &Arc<Cluster>> {
        self.clusters.iter().map(|(_, cluster)| cluster)
    }

    /// Whether both are made of the same parts.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.routes, &other.routes)
            && self.clusters.len() == other.clusters.len()
            && self.clusters.iter().zip(&other.clusters).all(|((_, a), (_, b))| Arc::ptr_eq(a, b))
    }
}

impl fmt::Debug for RoutesInForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoutesInForce")
            .field("routes", &self.routes.name)
            .field("clusters", &self.clusters.iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>())
            .finish()
    }
}

/// Every cluster that routes name, as often as they name it.
pub(in crate::proxy) fn cluster_names(routes: &Routes) -> impl Iterator<Item = &ClusterName> {
    let http = routes.http.iter().flat_map(|rule| {
        let copies = rule.handling.mirrors.iter().map(|mirror| &mirror.cluster);
        destinations(rule).iter().map(|destination| &destination.cluster).chain(copies)
    });
    let streams = routes.streams.iter().flat_map(|rule| &rule.destinations);
    http.chain(streams.map(|destination| &destination.cluster))
}

fn destinations(rule: &HttpRule) -> &[WeightedCluster] {
    match &rule.action {
        Action::Forward(destinations) => destinations,
        Action::Redirect(_) | Action::Respond(_) => &[],
    }
}
