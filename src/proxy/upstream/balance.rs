//! Which endpoint of a cluster takes a request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::model::{Balancer, Warmup, locality};
use crate::proxy::directory::{Cluster, Report, Tally, UpstreamEndpoint};
use crate::proxy::upstream::Group;

/// Draws before the neighbour of an endpoint that is left out is taken.
const DRAWS: u64 = 3;

/// The same where new endpoints come to their share little by little: each draw is one more chance of another one.
const DRAWS_WARMING: u64 = 16;

/// Spreads the bits of a number (the golden ratio's).
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

/// Picks an endpoint as the cluster's policy says, leaving out those that were `tried` unless nothing else is left. `None` when
/// there is none that takes requests.
///
/// `draw` is a uniformly distributed number; least request looks at two endpoints, drawn with its two halves. `key` is the hash of
/// the request's key, where the policy asks for one and the request has it. Where all of a group were tried, another is.
pub fn pick(cluster: &Cluster, tried: &[SocketAddr], draw: u64, key: Option<u64>) -> Option<Arc<UpstreamEndpoint>> {
    let spares = spares(cluster);
    let usable = |endpoint: &&Arc<UpstreamEndpoint>| !spares || !endpoint.state.health.is_ejected();
    let group = group(cluster, spares, key.unwrap_or(draw))?;
    let members = cluster.endpoints.get(group.range.clone())?;
    let by_key = group.table.as_ref().zip(key).and_then(|(table, key)| table.find(key));
    let first = match by_key {
        Some(found) => found,
        None => {
            let warmup = warmup(cluster);
            let draws = if warmup.is_some() { DRAWS_WARMING } else { DRAWS };
            let mut draw = draw;
            let mut first = draw_one(cluster, group, members, draw)?;
            for number in 1..draws {
                let is_good = |endpoint: &Arc<UpstreamEndpoint>| {
                    usable(&endpoint) && warmup.is_none_or(|warmup| is_warm(warmup, endpoint, draw))
                };
                if members.get(first).is_some_and(is_good) {
                    break;
                }
                draw = draw.wrapping_mul(MIX).rotate_left(29 * number as u32 % 64);
                first = draw_one(cluster, group, members, draw)?;
            }
            first
        }
    };
    let in_turn = || (0..members.len()).filter_map(|step| members.get((first + step) % members.len())).filter(usable);
    let untried = |endpoint: &&Arc<UpstreamEndpoint>| !tried.contains(&endpoint.address);
    let elsewhere = || cluster.endpoints.iter().filter(usable).find(untried);
    in_turn().find(untried).or_else(elsewhere).or_else(|| in_turn().next()).cloned()
}

/// The group that a request goes to: the nearest, as long as enough of it are healthy.
fn group(cluster: &Cluster, spares: bool, point: u64) -> Option<&Group> {
    let groups = &cluster.groups;
    let is_settled = groups.each.len() < 2 || (groups.shares.is_none() && !spares);
    if is_settled {
        return groups.each.first();
    }
    let health = |group: &Group| {
        let members = cluster.endpoints.get(group.range.clone()).unwrap_or_default();
        let out = members.iter().filter(|endpoint| spares && endpoint.state.health.is_ejected()).count();
        (members.len() - out, members.len())
    };
    let health: Vec<(usize, usize)> = groups.each.iter().map(health).collect();
    let loads = locality::loads(groups.shares.as_deref(), &health);
    let drawn = locality::draw(&loads, (point.wrapping_mul(MIX) >> 32) as u32);
    groups.each.get(drawn.unwrap_or(0))
}

/// How new endpoints come to their share, where the balancer is one that does so (Envoy's slow start).
fn warmup(cluster: &Cluster) -> Option<&Warmup> {
    let policy = &cluster.policy;
    policy.warmup.as_ref().filter(|_| matches!(policy.balancer, Balancer::RoundRobin | Balancer::LeastRequest))
}

/// Whether an endpoint takes the request for which it was drawn: a new one takes only its share.
fn is_warm(warmup: &Warmup, endpoint: &UpstreamEndpoint, draw: u64) -> bool {
    let share = warmup.share(endpoint.state.health.age());
    share >= 1.0 || f64::from((draw.wrapping_mul(MIX) >> 32) as u32) < share * f64::from(u32::MAX)
}

fn draw_one(cluster: &Cluster, group: &Group, members: &[Arc<UpstreamEndpoint>], draw: u64) -> Option<usize> {
    let count = members.len();
    let place = |draw: u32| match &group.weights {
        None => index(draw, count),
        Some(weights) => weights.at(draw),
    };
    if count == 0 {
        return None;
    }
    Some(match cluster.policy.balancer {
        Balancer::RoundRobin => {
            let turn = group.cursor.fetch_add(1, Ordering::Relaxed);
            match &group.weights {
                None => turn.checked_rem(count)?,
                // Steps of the golden ratio visit every share evenly.
                Some(weights) => weights.at((turn as u32).wrapping_mul(0x9e37_79b9)),
            }
        }
        Balancer::Random | Balancer::Passthrough => place(draw as u32),
        Balancer::LeastRequest => {
            let one = place(draw as u32);
            let other = match &group.weights {
                // Another one, every other with the same probability.
                None => (one + index((draw >> 32) as u32, count.saturating_sub(1)) + 1).checked_rem(count)?,
                Some(weights) => weights.at((draw >> 32) as u32),
            };
            if active(members, other) < active(members, one) { other } else { one }
        }
    })
}

fn index(draw: u32, count: usize) -> usize {
    ((u64::from(draw) * count as u64) >> 32) as usize
}

fn active(members: &[Arc<UpstreamEndpoint>], index: usize) -> usize {
    members.get(index).map_or(usize::MAX, |endpoint| endpoint.state.active.load(Ordering::Relaxed))
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
    if health.count(policy, report) && !health.is_ejected() {
        if policy.may_eject(ejected(cluster), cluster.endpoints.len()) {
            health.eject(policy);
            cluster.state.tallies.add(Tally::Ejections);
        } else {
            cluster.state.tallies.add(Tally::EjectionsSpared);
        }
    }
}

#[cfg(test)]
#[path = "balance_tests.rs"]
mod tests;
