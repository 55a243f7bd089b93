use super::*;
use crate::model::{ClusterPolicy, OutlierPolicy};
use crate::proxy::testing;
use crate::proxy::worker::Worker;

fn counts(cluster: &Cluster, times: usize) -> Vec<usize> {
    let worker = Worker::new(0);
    let mut counts = vec![0; cluster.endpoints.len()];
    for _ in 0..times {
        let picked = pick(cluster, &[], worker.draw(), None).expect("an endpoint");
        let index = cluster.endpoints.iter().position(|endpoint| Arc::ptr_eq(endpoint, &picked)).expect("one of them");
        counts[index] += 1;
    }
    counts
}

fn cluster(balancer: Balancer, count: u16) -> Arc<Cluster> {
    let addresses: Vec<SocketAddr> = (0..count).map(|n| SocketAddr::from(([10, 0, 0, 1], 1000 + n))).collect();
    testing::cluster("web", ClusterPolicy { balancer, ..ClusterPolicy::default() }, &addresses, None)
}

#[test]
fn round_robin_takes_each_in_turn() {
    assert_eq!(counts(&cluster(Balancer::RoundRobin, 3), 300), [100, 100, 100]);
}

#[test]
fn random_spreads_evenly() {
    for count in counts(&cluster(Balancer::Random, 4), 4000) {
        assert!((850..1150).contains(&count), "{count}");
    }
}

#[test]
fn least_request_avoids_the_busy_one() {
    let cluster = cluster(Balancer::LeastRequest, 3);
    cluster.endpoints[1].state.active.store(50, Ordering::Relaxed);
    let counts = counts(&cluster, 3000);
    assert_eq!(counts[1], 0, "of two, the busy one is never the less busy");
    assert!(counts[0] > 1200 && counts[2] > 1200, "{counts:?}");
}

#[test]
fn a_retry_goes_elsewhere_while_there_is_an_elsewhere() {
    for balancer in [Balancer::RoundRobin, Balancer::Random, Balancer::LeastRequest] {
        let cluster = cluster(balancer, 2);
        let first = cluster.endpoints[0].address;
        for draw in 0..100_u64 {
            let picked = pick(&cluster, &[first], draw << 27, None).expect("an endpoint");
            assert_ne!(picked.address, first);
        }
        let all: Vec<SocketAddr> = cluster.endpoints.iter().map(|endpoint| endpoint.address).collect();
        assert!(pick(&cluster, &all, 7, None).is_some());
        assert!(pick(&self::cluster(balancer, 0), &[], 7, None).is_none());
    }
}

#[test]
fn weights_divide_what_every_balancer_hands_out() {
    for balancer in [Balancer::RoundRobin, Balancer::Random, Balancer::LeastRequest] {
        let mut cluster = Arc::into_inner(cluster(balancer, 3)).expect("the only one");
        cluster.weights = Weights::of([1, 2, 5].into_iter());
        let counts = counts(&cluster, 8000);
        let near = |found: usize, expected: usize| found.abs_diff(expected) < 200;
        assert!(near(counts[0], 1000) && near(counts[1], 2000) && near(counts[2], 5000), "{balancer:?} {counts:?}");
    }
    assert!(Weights::of([3, 3].into_iter()).is_none());
}

#[test]
fn an_endpoint_that_fails_is_left_out_within_the_limits() {
    let with = |outlier: OutlierPolicy| {
        let mut cluster = Arc::into_inner(cluster(Balancer::RoundRobin, 3)).expect("the only one");
        cluster.policy.outlier = Some(outlier);
        for _ in 0..5 {
            report(&cluster, &cluster.endpoints[0], Report::Answer(500));
            report(&cluster, &cluster.endpoints[1], Report::Failure);
        }
        cluster
    };
    let all = OutlierPolicy { most_ejected: 100, ..OutlierPolicy::default() };
    assert_eq!(counts(&with(all.clone()), 30), [0, 0, 30]);
    // Of three, ten per cent are none.
    assert_eq!(counts(&with(OutlierPolicy::default()), 30), [10, 10, 10]);
    let half = OutlierPolicy { most_ejected: 50, ..OutlierPolicy::default() };
    assert_eq!(counts(&with(half), 30)[0], 0);
    let panicking = OutlierPolicy { least_healthy: 50, most_ejected: 100, ..OutlierPolicy::default() };
    assert_eq!(counts(&with(panicking), 30), [10, 10, 10]);
    let none_left = with(all);
    for _ in 0..5 {
        report(&none_left, &none_left.endpoints[2], Report::Failure);
    }
    assert!(pick(&none_left, &[], 7, None).is_none());
}
