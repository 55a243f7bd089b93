//! Which endpoint of a cluster takes a request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::model::Balancer;
use crate::proxy::directory::{Cluster, Report, UpstreamEndpoint};

/// Draws before the neighbour of an endpoint that is left out is taken.
const DRAWS: u64 = 3;

/// Picks an endpoint as the cluster's policy says, leaving out those that were `tried` unless nothing else is left. `None` when
/// there is none that takes requests.
///
/// `draw` is a uniformly distributed number; least request looks at two endpoints, drawn with its two halves. `key` is the hash of
/// the request's key, where the policy asks for one and the request has it.
pub fn pick(cluster: &Cluster, tried: &[SocketAddr], draw: u64, key: Option<u64>) -> Option<Arc<UpstreamEndpoint>> {
    let endpoints = &cluster.endpoints;
    let spares = spares(cluster);
    let usable = |endpoint: &&Arc<UpstreamEndpoint>| !spares || !endpoint.state.health.is_ejected();
    let by_key = cluster.table.as_ref().zip(key).and_then(|(table, key)| table.find(key));
    let first = match by_key {
        Some(found) => found,
        None => {
            let mut first = draw_one(cluster, draw)?;
            for number in 1..DRAWS {
                if endpoints.get(first).is_some_and(|endpoint| usable(&endpoint)) {
                    break;
                }
                first = draw_one(cluster, draw.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29 * number as u32))?;
            }
            first
        }
    };
    let in_turn =
        || (0..endpoints.len()).filter_map(|step| endpoints.get((first + step) % endpoints.len())).filter(usable);
    in_turn().find(|endpoint| !tried.contains(&endpoint.address)).or_else(|| in_turn().next()).cloned()
}

fn draw_one(cluster: &Cluster, draw: u64) -> Option<usize> {
    let count = cluster.endpoints.len();
    let place = |draw: u32| match &cluster.weights {
        None => index(draw, count),
        Some(weights) => weights.at(draw),
    };
    if count == 0 {
        return None;
    }
    Some(match cluster.policy.balancer {
        Balancer::RoundRobin => {
            let turn = cluster.cursor.fetch_add(1, Ordering::Relaxed);
            match &cluster.weights {
                None => turn.checked_rem(count)?,
                // Steps of the golden ratio visit every share evenly.
                Some(weights) => weights.at((turn as u32).wrapping_mul(0x9e37_79b9)),
            }
        }
        Balancer::Random | Balancer::Passthrough => place(draw as u32),
        Balancer::LeastRequest => {
            let one = place(draw as u32);
            let other = match &cluster.weights {
                // Another one, every other with the same probability.
                None => (one + index((draw >> 32) as u32, count.saturating_sub(1)) + 1).checked_rem(count)?,
                Some(weights) => weights.at((draw >> 32) as u32),
            };
            if active(cluster, other) < active(cluster, one) { other } else { one }
        }
    })
}

fn index(draw: u32, count: usize) -> usize {
    ((u64::from(draw) * count as u64) >> 32) as usize
}

fn active(cluster: &Cluster, index: usize) -> usize {
    cluster.endpoints.get(index).map_or(usize::MAX, |endpoint| endpoint.state.active.load(Ordering::Relaxed))
}

/// Shares of endpoints whose weights differ.
#[derive(Debug)]
pub struct Weights {
    /// Sums of the weights up to and with each endpoint.
    sums: Box<[u64]>,
}

impl Weights {
    /// The shares of these weights; `None` where they are all equal.
    pub fn of(weights: impl Iterator<Item = u32> + Clone) -> Option<Self> {
        let first = weights.clone().next()?;
        if weights.clone().all(|weight| weight == first) {
            return None;
        }
        let sums = weights.scan(0_u64, |sum, weight| {
            *sum += u64::from(weight);
            Some(*sum)
        });
        Some(Self { sums: sums.collect() })
    }

    fn at(&self, draw: u32) -> usize {
        let total = self.sums.last().copied().unwrap_or(0);
        let point = ((u128::from(draw) * u128::from(total)) >> 32) as u64;
        self.sums.partition_point(|sum| *sum <= point)
    }
}

/// Whether endpoints are left out at the moment: some are, and not too many.
fn spares(cluster: &Cluster) -> bool {
    let Some(policy) = &cluster.policy.outlier else { return false };
    let ejected = ejected(cluster);
    ejected > 0 && !policy.panics(cluster.endpoints.len() - ejected, cluster.endpoints.len())
}

fn ejected(cluster: &Cluster) -> usize {
    cluster.endpoints.iter().filter(|endpoint| endpoint.state.health.is_ejected()).count()
}

/// Takes note of how a request to an endpoint ended, and leaves it out where that was one failure too many.
pub fn report(cluster: &Cluster, endpoint: &UpstreamEndpoint, report: Report) {
    let Some(policy) = &cluster.policy.outlier else { return };
    let health = &endpoint.state.health;
    if health.count(policy, report)
        && !health.is_ejected()
        && policy.may_eject(ejected(cluster), cluster.endpoints.len())
    {
        health.eject(policy);
    }
}

#[cfg(test)]
#[path = "balance_tests.rs"]
mod tests;
