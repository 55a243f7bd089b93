use super::*;
use crate::model::Labels;

/// A workload at `REGION/ZONE/SUBZONE`, on a node, with labels `a=b,c=d`.
fn at(place: &str, node: &str, labels: &str) -> Workload {
    let pairs = labels.split(',').filter_map(|pair| pair.split_once('='));
    let labels: Labels = pairs.map(|(key, value)| (key.into(), value.into())).collect();
    let name: Arc<str> = "w".into();
    Workload {
        locality: Locality::parse(place),
        node: node.into(),
        ..Workload::new(name.clone(), name.clone(), name.clone(), name, labels)
    }
}

fn groups(policy: &LocalityPolicy, own: &Workload, endpoints: &[&str]) -> Vec<Option<usize>> {
    let endpoints: Vec<Workload> = endpoints.iter().map(|place| at(place, "", "")).collect();
    let endpoints: Vec<(&Workload, u32)> = endpoints.iter().map(|endpoint| (endpoint, 1)).collect();
    divide(policy, own, &endpoints).of
}

#[test]
fn the_nearest_come_first_and_there_are_no_gaps() {
    let near = |failover: &[(&str, &str)]| LocalityPolicy::Nearest {
        failover: failover.iter().map(|(from, to)| ((*from).into(), (*to).into())).collect(),
    };
    let own = at("r1/z1/s1", "", "");
    for (policy, endpoints, expected) in [
        (near(&[]), &["r1/z1/s1", "r1/z1/s2", "r1/z2/s1", "r2/z1/s1", "r3"][..], &[0, 1, 2, 3, 3][..]),
        (near(&[]), &["r1/z2/s1", "r2/z1/s1"], &[0, 1]),
        (near(&[]), &["r2/z1/s1", "r2/z2"], &[0, 0]),
        (near(&[("r1", "r3")]), &["r1/z1/s1", "r2", "r3", ""], &[0, 2, 1, 2]),
        (near(&[("r2", "r3")]), &["r1/z1/s1", "r2", "r3"], &[0, 1, 1]),
        (near(&[]), &[], &[]),
    ] {
        let expected: Vec<_> = expected.iter().copied().map(Some).collect();
        assert_eq!(groups(&policy, &own, endpoints), expected, "{policy:?} {endpoints:?}");
    }
    // Nobody knows where anybody is: all are as near.
    assert_eq!(groups(&near(&[]), &at("", "", ""), &["", ""]), [Some(0), Some(0)]);
}

#[test]
fn a_label_counts_as_far_as_all_before_it_agree() {
    let labels = |list: &[&str]| {
        LocalityPolicy::Labels(
            list.iter()
                .map(|entry| match entry.split_once('=') {
                    Some((key, value)) => (key.into(), Some(value.into())),
                    None => ((*entry).into(), None),
                })
                .collect(),
        )
    };
    let place = ["topology.kubernetes.io/region", "topology.kubernetes.io/zone", "kubernetes.io/hostname"];
    let own = at("r1/z1", "n1", "team=a");
    for (policy, endpoints, expected) in [
        (labels(&place), vec![at("r1/z1", "n1", ""), at("r1/z1", "n2", ""), at("r1/z2", "n1", "")], [0, 1, 2]),
        // The zone's name agrees and does not count, because the region's does not.
        (labels(&place), vec![at("r1/z1", "n2", ""), at("r2/z1", "n1", ""), at("r1/z3", "", "")], [0, 2, 1]),
        (labels(&["team"]), vec![at("", "", "team=b"), at("", "", "team=a"), at("", "", "")], [1, 0, 1]),
        (labels(&["team=b"]), vec![at("", "", "team=b"), at("", "", "team=a"), at("", "", "")], [0, 1, 1]),
        // What neither has agrees.
        (labels(&["x", "team"]), vec![at("", "", "team=a"), at("", "", "x=1,team=a"), at("", "", "")], [0, 2, 1]),
    ] {
        let endpoints: Vec<(&Workload, u32)> = endpoints.iter().map(|endpoint| (endpoint, 1)).collect();
        assert_eq!(divide(&policy, &own, &endpoints).of, expected.map(Some), "{policy:?} {endpoints:?}");
    }
}

#[test]
fn shares_are_divided_among_the_places_that_a_pattern_means() {
    let policy = LocalityPolicy::Distribute(vec![
        Distribution {
            from: LocalityPattern::new("r1/z1/*"),
            to: vec![(LocalityPattern::new("r1/z1/*"), 80), (LocalityPattern::new("r1/z2"), 20)],
        },
        Distribution { from: LocalityPattern::new("*"), to: vec![(LocalityPattern::new("r2"), 100)] },
    ]);
    let places = ["r1/z1/a", "r1/z1/a", "r1/z1/b", "r1/z2/a", "r2/z1/a"].map(|place| at(place, "", ""));
    let endpoints: Vec<(&Workload, u32)> = places.iter().map(|place| (place, 2)).collect();
    let here = divide(&policy, &at("r1/z1/x", "", ""), &endpoints);
    assert_eq!(here.of, [Some(0), Some(0), Some(1), Some(2), None]);
    let shares = here.shares.expect("shares");
    let sum: u64 = shares.iter().sum();
    let per_mille: Vec<u64> = shares.iter().map(|share| share * 1000 / sum).collect();
    assert_eq!(per_mille, [533, 266, 200]);
    let elsewhere = divide(&policy, &at("r9", "", ""), &endpoints);
    assert_eq!(elsewhere.of, [None, None, None, None, Some(0)]);
    let none = LocalityPolicy::Distribute(vec![Distribution { from: LocalityPattern::new("r3"), to: Vec::new() }]);
    assert_eq!(divide(&none, &at("r1", "", ""), &endpoints).of, [Some(0); 5]);
}

#[test]
fn load_moves_on_when_fewer_than_one_in_1_4_are_healthy() {
    for (health, expected) in [
        (&[(10, 10), (10, 10)][..], &[100, 0][..]),
        (&[(8, 10), (10, 10)], &[100, 0]),
        (&[(7, 10), (10, 10)], &[98, 2]),
        (&[(5, 10), (10, 10)], &[70, 30]),
        (&[(0, 10), (10, 10)], &[0, 100]),
        (&[(5, 10), (0, 10), (10, 10)], &[70, 0, 30]),
        // Together they take less than all: each gets in proportion.
        (&[(2, 10), (2, 10)], &[50, 50]),
        (&[(0, 10), (0, 10)], &[0, 0]),
        (&[(1, 1)], &[100]),
        (&[], &[]),
    ] {
        assert_eq!(loads(None, health), expected, "{health:?}");
    }
    assert_eq!(loads(Some(&[80, 20]), &[(10, 10), (10, 10)]), [8000, 2000]);
    assert_eq!(loads(Some(&[80, 20]), &[(5, 10), (10, 10)]), [5600, 2000]);
    assert_eq!(loads(Some(&[80, 20]), &[(0, 10), (0, 10)]), [0, 0]);
}

#[test]
fn a_draw_means_the_group_whose_part_it_falls_into() {
    let quarter = 1_u32 << 30;
    assert_eq!([0, 1, 2, 3].map(|number| draw(&[50, 0, 50], number * quarter)), [0, 0, 2, 2].map(Some));
    assert_eq!(draw(&[0, 0], 7), None);
    assert_eq!(draw(&[1], u32::MAX), Some(0));
}

#[test]
fn patterns_stand_for_places() {
    for (pattern, place, expected) in [
        ("*", "r/z/s", true),
        ("r", "r/z/s", true),
        ("r/*", "r/z/s", true),
        ("r/z", "r/z/s", true),
        ("r/z/*", "r/z/s", true),
        ("r/z/s", "r/z/s", true),
        ("r/z/s", "r/z/t", false),
        ("r/y", "r/z/s", false),
        ("r/z/s", "r", false),
        ("q/*", "r/z/s", false),
    ] {
        assert_eq!(LocalityPattern::new(pattern).matches(&Locality::parse(place)), expected, "{pattern} {place}");
    }
}

#[test]
fn the_greatest_weights_are_shared_like_others() {
    let to = |place: &str, share: u32| (LocalityPattern::new(place), share);
    let policy = LocalityPolicy::Distribute(vec![Distribution {
        from: LocalityPattern::new("r1"),
        to: vec![to("r1", 80), to("r2", 20)],
    }]);
    let places: Vec<Workload> = (0..200).map(|number| at(if number < 100 { "r1" } else { "r2" }, "", "")).collect();
    let endpoints: Vec<(&Workload, u32)> = places.iter().map(|place| (place, u32::MAX)).collect();
    let shares = divide(&policy, &at("r1", "", ""), &endpoints).shares;
    assert_eq!(shares, Some(vec![80_000_000, 20_000_000]));
}
