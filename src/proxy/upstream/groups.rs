//! The endpoints of a cluster, divided by where they are: each group is balanced over by itself.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::model::{ClusterPolicy, Workload, locality};
use crate::proxy::directory::UpstreamEndpoint;
use crate::proxy::upstream::{Table, Weights};

/// Endpoints that are as near as each other.
#[derive(Debug)]
pub struct Group {
    /// Their places among the cluster's.
    pub range: Range<usize>,
    /// Their shares, where their weights differ.
    pub weights: Option<Weights>,
    /// Which of them a key means, where the policy asks for it.
    pub table: Option<Table>,
    /// Where round robin goes on. It carries over from the group that this one replaces.
    pub cursor: AtomicUsize,
}

/// The groups of a cluster, the nearest first.
#[derive(Debug, Default)]
pub struct Groups {
    /// None is empty.
    pub each: Box<[Group]>,
    /// Their shares of the load; `None`: each gets what those before it cannot take.
    pub shares: Option<Vec<u64>>,
}

impl Groups {
    /// Divides endpoints as the policy says for `own`, the workload of this proxy. Answers them in the order of their groups; those
    /// that get nothing are left out.
    pub fn divide(
        endpoints: Vec<Arc<UpstreamEndpoint>>,
        policy: &ClusterPolicy,
        own: Option<&Workload>,
        previous: Option<&Self>,
    ) -> (Box<[Arc<UpstreamEndpoint>]>, Self) {
        let divided = policy.locality.as_ref().zip(own).map(|(policy, own)| {
            let places: Vec<_> =
                endpoints.iter().map(|known| (&*known.endpoint.workload, known.endpoint.weight)).collect();
            locality::divide(policy, own, &places)
        });
        let Some(divided) = divided else {
            let each = Some(0..endpoints.len()).filter(|all| !all.is_empty());
            let each = each.into_iter().map(|range| Group::of(range, &endpoints, policy)).collect();
            let groups = Self { each, shares: None };
            return (endpoints.into(), groups.going_on(previous));
        };
        let mut placed: Vec<(usize, Arc<UpstreamEndpoint>)> =
            divided.of.iter().zip(endpoints).filter_map(|(group, endpoint)| Some(((*group)?, endpoint))).collect();
        // Stable: within a group the order stays.
        placed.sort_by_key(|(group, _)| *group);
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for chunk in placed.chunk_by(|(a, _), (b, _)| a == b) {
            let start = ranges.last().map_or(0, |range| range.end);
            ranges.push(start..start + chunk.len());
        }
        let endpoints: Box<[_]> = placed.into_iter().map(|(_, endpoint)| endpoint).collect();
        let each = ranges.into_iter().map(|range| Group::of(range, &endpoints, policy)).collect();
        (endpoints, Self { each, shares: divided.shares }.going_on(previous))
    }

    /// Whether both divide in the same way.
    pub fn is_same(&self, other: &Self) -> bool {
        let ranges = |groups: &Self| groups.each.iter().map(|group| group.range.clone()).collect::<Vec<_>>();
        self.shares == other.shares && ranges(self) == ranges(other)
    }

    fn going_on(self, previous: Option<&Self>) -> Self {
        for (group, before) in self.each.iter().zip(previous.iter().flat_map(|previous| &previous.each)) {
            group.cursor.store(before.cursor.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        self
    }
}

impl Group {
    fn of(range: Range<usize>, endpoints: &[Arc<UpstreamEndpoint>], policy: &ClusterPolicy) -> Self {
        let members = endpoints.get(range.clone()).unwrap_or_default();
        let named =
            || members.iter().map(|known| (known.address.to_string(), known.endpoint.weight)).collect::<Vec<_>>();
        Self {
            weights: Weights::of(members.iter().map(|known| known.endpoint.weight)),
            table: policy.hash.as_ref().map(|hash| Table::build(hash.table, &named())),
            cursor: AtomicUsize::new(0),
            range,
        }
    }
}
