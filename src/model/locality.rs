//! Which endpoints are near: how a client's place and those of endpoints divide the endpoints of a cluster into groups, and how
//! much of the load each group gets.
//!
//! The rules are Istio's (`LocalityLoadBalancerSetting`, `trafficDistribution`); how load moves on from a group whose endpoints are
//! left out is Envoy's ("Priority levels", "Locality weighted load balancing"). Everything here is a pure function.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::workload::{Locality, Workload};

/// A group takes all of its load until fewer than one in 1.4 of its endpoints are healthy (Envoy's `overprovisioning_factor`).
const OVERPROVISIONING: usize = 140;

/// How endpoints are told apart by their place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalityPolicy {
    /// The nearest first: of one's own sub-zone, zone, region, then all others.
    Nearest {
        /// (region of the client, region that comes before the others when its own fails).
        failover: Vec<(Arc<str>, Arc<str>)>,
    },
    /// Those first whose labels are the client's: a label counts where all before it agree. (label, the value that endpoints must
    /// have instead of the client's).
    Labels(Vec<(Arc<str>, Option<Arc<str>>)>),
    /// In these shares; the first that is for the client's place.
    Distribute(Vec<Distribution>),
}

/// Shares of the load of clients in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// The clients.
    pub from: LocalityPattern,
    /// (endpoints, share).
    pub to: Vec<(LocalityPattern, u32)>,
}

/// A place with wildcards: `region/zone/subzone`, of which parts at the end may be missing and a `*` stands for any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalityPattern(Arc<str>);

impl LocalityPattern {
    /// Reads a pattern; every text is one.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a place is meant.
    pub fn matches(&self, place: &Locality) -> bool {
        let parts = [&place.region, &place.zone, &place.subzone];
        for (wanted, part) in self.0.split('/').zip(parts) {
            if wanted == "*" {
                return true;
            }
            if *wanted != **part {
                return false;
            }
        }
        true
    }
}

/// How the endpoints of a cluster are divided.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Groups {
    /// The group of each endpoint, in their order; `None`: it gets nothing.
    pub of: Vec<Option<usize>>,
    /// Shares of the groups; `None`: each gets what those before it cannot take.
    pub shares: Option<Vec<u64>>,
}

/// The labels by which Istio knows a workload's place, though they are not the workload's own.
fn label<'w>(workload: &'w Workload, key: &str) -> &'w str {
    match key {
        "topology.kubernetes.io/region" => &workload.locality.region,
        "topology.kubernetes.io/zone" => &workload.locality.zone,
        "topology.istio.io/subzone" => &workload.locality.subzone,
        "kubernetes.io/hostname" => &workload.node,
        other => workload.label(other).unwrap_or_default(),
    }
}

/// Divides endpoints: (workload, weight) of each. `own` is the client.
pub fn divide(policy: &LocalityPolicy, own: &Workload, endpoints: &[(&Workload, u32)]) -> Groups {
    match policy {
        LocalityPolicy::Nearest { failover } => {
            by_rank(endpoints.iter().map(|(workload, _)| rank(&own.locality, &workload.locality, failover)))
        }
        LocalityPolicy::Labels(labels) => by_rank(endpoints.iter().map(|(workload, _)| {
            let agreeing = labels.iter().take_while(|(key, value)| {
                let wanted = value.as_deref().unwrap_or_else(|| label(own, key));
                label(workload, key) == wanted
            });
            labels.len() - agreeing.count()
        })),
        LocalityPolicy::Distribute(distributions) => {
            match distributions.iter().find(|distribution| distribution.from.matches(&own.locality)) {
                Some(distribution) => by_share(&distribution.to, endpoints),
                None => Groups { of: vec![Some(0); endpoints.len()], shares: None },
            }
        }
    }
}

/// How far away an endpoint is: 0 in the client's own sub-zone.
fn rank(own: &Locality, place: &Locality, failover: &[(Arc<str>, Arc<str>)]) -> usize {
    if own.region != place.region {
        let preferred = failover.iter().find(|(from, _)| *from == own.region);
        return if preferred.is_some_and(|(_, to)| *to != place.region) { 4 } else { 3 };
    }
    match (own.zone == place.zone, own.subzone == place.subzone) {
        (true, true) => 0,
        (true, false) => 1,
        (false, _) => 2,
    }
}

/// Groups in the order of their ranks, without gaps.
fn by_rank(ranks: impl Iterator<Item = usize>) -> Groups {
    let ranks: Vec<usize> = ranks.collect();
    let mut order: Vec<usize> = ranks.clone();
    order.sort_unstable();
    order.dedup();
    Groups { of: ranks.iter().map(|rank| order.binary_search(rank).ok()).collect(), shares: None }
}

/// A group for each place that has a share; the places of one pattern divide its share by the weights that they hold.
fn by_share(to: &[(LocalityPattern, u32)], endpoints: &[(&Workload, u32)]) -> Groups {
    let target = |place: &Locality| to.iter().position(|(pattern, _)| pattern.matches(place));
    let mut weights = vec![0_u64; to.len()];
    // (pattern, weight) of each place, in the order in which they come.
    let mut places: BTreeMap<&Locality, (usize, usize, u64)> = BTreeMap::new();
    let mut of = Vec::with_capacity(endpoints.len());
    for (workload, weight) in endpoints {
        let Some(pattern) = target(&workload.locality) else {
            of.push(None);
            continue;
        };
        let next = places.len();
        let (group, _, held) = places.entry(&workload.locality).or_insert((next, pattern, 0));
        *held += u64::from(*weight);
        of.push(Some(*group));
        if let Some(sum) = weights.get_mut(pattern) {
            *sum += u64::from(*weight);
        }
    }
    let mut shares = vec![0; places.len()];
    for (group, pattern, held) in places.into_values() {
        let share = to.get(pattern).map_or(0, |(_, share)| u64::from(*share));
        let whole = weights.get(pattern).copied().unwrap_or(0);
        if let Some(place) = shares.get_mut(group) {
            // Of a hundred endpoints with the greatest weight the product does not fit into 64 bits.
            let parts = (u128::from(share) * u128::from(held) * 1_000_000).checked_div(whole.into()).unwrap_or(0);
            *place = u64::try_from(parts).unwrap_or(u64::MAX);
        }
    }
    Groups { of, shares: Some(shares) }
}

/// What each group gets now, as parts of the sum; `health` is (healthy, all) endpoints of each. All zero: nobody is healthy.
pub fn loads(shares: Option<&[u64]>, health: &[(usize, usize)]) -> Vec<u64> {
    let capacity = |(healthy, all): &(usize, usize)| {
        let per_cent = (healthy * OVERPROVISIONING).checked_div(*all).unwrap_or(0).min(100);
        per_cent as u64
    };
    match shares {
        Some(shares) => shares.iter().zip(health).map(|(share, health)| share * capacity(health)).collect(),
        None => {
            let sum: u64 = health.iter().map(capacity).sum();
            let whole = sum.min(100);
            let mut left = 100;
            let mut loads: Vec<u64> = Vec::with_capacity(health.len());
            for health in health {
                let load = (capacity(health) * 100).checked_div(whole).unwrap_or(0).min(left);
                left -= load;
                loads.push(load);
            }
            // What rounding leaves goes to the first that takes any.
            if let Some(first) = loads.iter_mut().find(|load| **load > 0) {
                *first += left;
            }
            loads
        }
    }
}

/// The group of a draw, given what each gets; `None` where none gets anything.
pub fn draw(loads: &[u64], draw: u32) -> Option<usize> {
    let sum: u64 = loads.iter().sum();
    let mut point = ((u128::from(draw) * u128::from(sum)) >> 32) as u64;
    loads.iter().position(|load| {
        let is_here = point < *load;
        point = point.saturating_sub(*load);
        is_here
    })
}

#[cfg(test)]
#[path = "locality_tests.rs"]
mod tests;
