use std::time::Duration;

use super::*;
use crate::model::{
    ClusterPolicy, Distribution, Endpoint, HashKey, HashPolicy, HashTable, Locality, LocalityPattern, LocalityPolicy,
    OutlierPolicy, Workload,
};
use crate::proxy::testing;
use crate::proxy::upstream::Groups;
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
        cluster.groups.each[0].weights = Weights::of([1, 2, 5].into_iter());
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

/// Endpoints of a cluster at these places, for a client in `r1/z1`.
fn placed(policy: ClusterPolicy, places: &[&str]) -> Cluster {
    let addresses: Vec<SocketAddr> =
        (0..places.len()).map(|n| SocketAddr::from(([10, 0, 0, 1], 1000 + n as u16))).collect();
    let mut cluster = Arc::into_inner(testing::cluster("web", policy, &addresses, None)).expect("the only one");
    let at =
        |place: &str| Workload { locality: Locality::parse(place), ..(*testing::workload("web", "v1", None)).clone() };
    let endpoints = cluster.endpoints.iter().zip(places).map(|(known, place)| {
        let endpoint = Endpoint { workload: Arc::new(at(place)), ..(*known.endpoint).clone() };
        Arc::new(UpstreamEndpoint { endpoint: Arc::new(endpoint), address: known.address, state: Arc::default() })
    });
    let own = at("r1/z1");
    (cluster.endpoints, cluster.groups) = Groups::divide(endpoints.collect(), &cluster.policy, Some(&own), None);
    cluster
}

#[test]
fn the_nearest_take_everything_until_too_few_of_them_are_left() {
    for balancer in [Balancer::RoundRobin, Balancer::Random, Balancer::LeastRequest] {
        let policy = ClusterPolicy {
            balancer,
            locality: Some(LocalityPolicy::Nearest { failover: Vec::new() }),
            outlier: Some(OutlierPolicy { most_ejected: 100, ..OutlierPolicy::default() }),
            ..ClusterPolicy::default()
        };
        // The cluster has them in the order of their nearness, wherever they stood before.
        let cluster = placed(policy, &["r2", "r1/z1", "r1/z2", "r1/z1"]);
        let near = counts(&cluster, 1000);
        assert!(near[0] + near[1] == 1000 && near[0].abs_diff(500) < 100, "{balancer:?} {near:?}");
        let fail = |index: usize| (0..5).for_each(|_| report(&cluster, &cluster.endpoints[index], Report::Answer(500)));
        fail(0);
        let half = counts(&cluster, 1000);
        assert!(half[1].abs_diff(700) < 80 && half[2].abs_diff(300) < 80 && half[3] == 0, "{balancer:?} {half:?}");
        fail(1);
        assert_eq!(counts(&cluster, 100), [0, 0, 100, 0], "{balancer:?}");
        fail(2);
        assert_eq!(counts(&cluster, 100), [0, 0, 0, 100], "{balancer:?}");
        // A retry finds what is left elsewhere.
        let tried = [cluster.endpoints[3].address];
        assert!(pick(&cluster, &tried, 7, None).is_some());
        fail(3);
        assert!(pick(&cluster, &[], 7, None).is_none());
    }
}

#[test]
fn a_retry_leaves_the_place_whose_endpoints_were_all_tried() {
    let locality = Some(LocalityPolicy::Nearest { failover: Vec::new() });
    let cluster = placed(ClusterPolicy { locality, ..ClusterPolicy::default() }, &["r1/z1", "r2"]);
    let near = cluster.endpoints[0].address;
    assert_eq!(pick(&cluster, &[], 7, None).map(|picked| picked.address), Some(near));
    assert_eq!(pick(&cluster, &[near], 7, None).map(|picked| picked.address), Some(cluster.endpoints[1].address));
}

#[test]
fn shares_of_places_are_kept_and_keys_stay_with_their_endpoint() {
    let to = vec![(LocalityPattern::new("r1/*"), 80), (LocalityPattern::new("r2/*"), 20)];
    let locality = LocalityPolicy::Distribute(vec![Distribution { from: LocalityPattern::new("r1/*"), to }]);
    let policy = ClusterPolicy { locality: Some(locality), ..ClusterPolicy::default() };
    let cluster = placed(policy.clone(), &["r1/z1", "r1/z1", "r2/z1", "r3/z1"]);
    let seen = counts(&cluster, 4000);
    assert_eq!(seen.len(), 3, "one place has no share");
    assert!((seen[0] + seen[1]).abs_diff(3200) < 150 && seen[0].abs_diff(1600) < 150, "{seen:?}");
    let hash = Some(HashPolicy { key: HashKey::Source, table: HashTable::Ring(64) });
    let hashed = placed(ClusterPolicy { hash, ..policy }, &["r1/z1", "r1/z1", "r2/z1"]);
    for key in 0..200_u64 {
        let key = Some(crate::proxy::upstream::hash(&key.to_be_bytes()));
        let first = pick(&hashed, &[], 1, key).map(|picked| picked.address);
        assert_eq!(pick(&hashed, &[], u64::MAX, key).map(|picked| picked.address), first);
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_endpoint_comes_to_its_share_little_by_little() {
    let warmup = Some(Warmup { duration: Duration::from_secs(100), least: 1_000, aggression: 1_000 });
    for balancer in [Balancer::RoundRobin, Balancer::LeastRequest] {
        let mut cluster = Arc::into_inner(cluster(balancer, 3)).expect("the only one");
        cluster.policy.warmup = warmup;
        tokio::time::advance(Duration::from_secs(200)).await;
        let new = &cluster.endpoints[2];
        cluster.endpoints[2] =
            Arc::new(UpstreamEndpoint { endpoint: new.endpoint.clone(), address: new.address, state: Arc::default() });
        // Beside two with a whole share: a tenth of 2.1, then half of 2.5, then a third.
        for (seconds, expected) in [(0, 143), (50, 600), (50, 1000)] {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            let seen = counts(&cluster, 3000)[2];
            assert!(seen.abs_diff(expected) < 120, "{balancer:?} after {seconds} s more: {seen}");
        }
    }
}
