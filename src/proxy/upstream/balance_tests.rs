use super::*;
use crate::model::ClusterPolicy;
use crate::proxy::testing;
use crate::proxy::worker::Worker;

fn counts(cluster: &Cluster, times: usize) -> Vec<usize> {
    let worker = Worker::new(0);
    let mut counts = vec![0; cluster.endpoints.len()];
    for _ in 0..times {
        let picked = pick(cluster, &[], worker.draw()).expect("an endpoint");
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
            let picked = pick(&cluster, &[first], draw << 27).expect("an endpoint");
            assert_ne!(picked.address, first);
        }
        let all: Vec<SocketAddr> = cluster.endpoints.iter().map(|endpoint| endpoint.address).collect();
        assert!(pick(&cluster, &all, 7).is_some());
        assert!(pick(&self::cluster(balancer, 0), &[], 7).is_none());
    }
}
