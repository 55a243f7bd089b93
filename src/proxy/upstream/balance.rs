//! Which endpoint of a cluster takes a request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::model::Balancer;
use crate::proxy::directory::{Cluster, UpstreamEndpoint};

/// Picks an endpoint as the cluster's policy says, leaving out those that were `tried` unless nothing else is left. `None` when
/// there is none at all.
///
/// `draw` is a uniformly distributed number; least request looks at two endpoints, drawn with its two halves.
pub fn pick(cluster: &Cluster, tried: &[SocketAddr], draw: u64) -> Option<Arc<UpstreamEndpoint>> {
    let endpoints = &cluster.endpoints;
    let first = match cluster.policy.balancer {
        Balancer::RoundRobin => cluster.cursor.fetch_add(1, Ordering::Relaxed).checked_rem(endpoints.len())?,
        Balancer::Random => index(draw as u32, endpoints.len()),
        Balancer::LeastRequest => {
            let one = index(draw as u32, endpoints.len());
            // Another one, every other with the same probability.
            let step = index((draw >> 32) as u32, endpoints.len().saturating_sub(1)) + 1;
            let other = (one + step).checked_rem(endpoints.len())?;
            if active(cluster, other) < active(cluster, one) { other } else { one }
        }
    };
    let untried = (0..endpoints.len())
        .filter_map(|step| endpoints.get((first + step) % endpoints.len()))
        .find(|endpoint| !tried.contains(&endpoint.address));
    untried.or_else(|| endpoints.get(first)).cloned()
}

fn index(draw: u32, count: usize) -> usize {
    ((u64::from(draw) * count as u64) >> 32) as usize
}

fn active(cluster: &Cluster, index: usize) -> usize {
    cluster.endpoints.get(index).map_or(usize::MAX, |endpoint| endpoint.state.active.load(Ordering::Relaxed))
}

#[cfg(test)]
#[path = "balance_tests.rs"]
mod tests;
