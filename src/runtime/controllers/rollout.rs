//! How a Deployment's replicas move from its old ReplicaSets to its new one: arithmetic alone.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// A ReplicaSet as the arithmetic sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Set {
    pub(super) name: String,
    /// `spec.replicas`.
    pub(super) replicas: i32,
    /// Available pods, never more than `replicas`.
    pub(super) available: i32,
}

/// A ReplicaSet's new number of replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scale {
    pub(super) name: String,
    pub(super) replicas: i32,
}

impl Scale {
    fn to(set: &Set, replicas: i32) -> Self {
        Self { name: set.name.clone(), replicas }
    }
}

/// How far a rolling update may stray from the wanted number of pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slack {
    pub(super) surge: i32,
    pub(super) unavailable: i32,
}

impl Slack {
    /// `maxSurge` (rounded up) and `maxUnavailable` (rounded down) of `wanted` replicas, 25 % each where unset. Both
    /// zero would never move, so that one pod may be away then.
    pub(super) fn new(surge: Option<&IntOrString>, unavailable: Option<&IntOrString>, wanted: i32) -> Self {
        let quarter = IntOrString::String("25%".to_owned());
        let surge = resolve(surge.unwrap_or(&quarter), wanted, true);
        let unavailable = resolve(unavailable.unwrap_or(&quarter), wanted, false);
        if surge == 0 && unavailable == 0 {
            return Self { surge, unavailable: 1 };
        }
        Self { surge, unavailable: unavailable.min(wanted) }
    }
}

fn resolve(value: &IntOrString, wanted: i32, round_up: bool) -> i32 {
    match value {
        IntOrString::Int(count) => (*count).max(0),
        IntOrString::String(text) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
            let product = i64::from(wanted.max(0)) * percent.max(0);
            let count = if round_up { (product + 99) / 100 } else { product / 100 };
            i32::try_from(count).unwrap_or(i32::MAX)
        }
    }
}

/// One step of a rolling update. `old` is ordered from the oldest.
pub(super) fn rolling(wanted: i32, slack: Slack, new: &Set, old: &[Set]) -> Vec<Scale> {
    if new.replicas > wanted {
        return vec![Scale::to(new, wanted)];
    }
    let total = new.replicas + old.iter().map(|set| set.replicas).sum::<i32>();
    let room = wanted.saturating_add(slack.surge) - total;
    let grown = (new.replicas + room.max(0)).min(wanted);
    if grown > new.replicas {
        return vec![Scale::to(new, grown)];
    }

    // New pods that are not available yet count as away: they are not taken for granted.
    let least_available = wanted - slack.unavailable;
    let mut removable = (total - least_available - (new.replicas - new.available)).max(0);
    let mut shrunk = old.to_vec();
    // Pods that serve nobody go first.
    for set in &mut shrunk {
        let unhealthy = (set.replicas - set.available).clamp(0, removable);
        set.replicas -= unhealthy;
        removable -= unhealthy;
    }
    let available = new.available + old.iter().map(|set| set.available).sum::<i32>();
    let mut removable = removable.min((available - least_available).max(0));
    for set in &mut shrunk {
        let removed = set.replicas.clamp(0, removable);
        set.replicas -= removed;
        removable -= removed;
    }
    changed(old, &shrunk)
}

/// One step of strategy `Recreate`: the new set grows when no old pod is left (`old_pods` counts those that are still
/// ending).
pub(super) fn recreate(wanted: i32, new: &Set, old: &[Set], old_pods: i32) -> Vec<Scale> {
    if old.iter().any(|set| set.replicas > 0) {
        return old.iter().filter(|set| set.replicas > 0).map(|set| Scale::to(set, 0)).collect();
    }
    if old_pods == 0 && new.replicas != wanted { vec![Scale::to(new, wanted)] } else { Vec::new() }
}

fn changed(before: &[Set], after: &[Set]) -> Vec<Scale> {
    before
        .iter()
        .zip(after)
        .filter(|(before, after)| before.replicas != after.replicas)
        .map(|(_, after)| Scale::to(after, after.replicas))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, replicas: i32, available: i32) -> Set {
        Set { name: name.to_owned(), replicas, available }
    }

    fn text(value: &str) -> IntOrString {
        IntOrString::String(value.to_owned())
    }

    #[test]
    fn surge_rounds_up_and_unavailable_down() {
        let slack = |surge, unavailable, wanted| Slack::new(surge, unavailable, wanted);
        assert_eq!(slack(None, None, 10), Slack { surge: 3, unavailable: 2 });
        assert_eq!(slack(None, None, 1), Slack { surge: 1, unavailable: 0 });
        let (none, tenth) = (text("0%"), text("10%"));
        assert_eq!(slack(Some(&none), Some(&tenth), 5), Slack { surge: 0, unavailable: 1 });
        let (two, nine) = (IntOrString::Int(2), IntOrString::Int(9));
        assert_eq!(slack(Some(&two), Some(&nine), 3), Slack { surge: 2, unavailable: 3 });
    }

    /// Plays a rollout in which every pod becomes available (or never does) after each step.
    fn play(wanted: i32, slack: Slack, mut new: Set, mut old: Vec<Set>, new_works: bool) -> (Set, Vec<Set>, usize) {
        for step in 0..100 {
            let scales = rolling(wanted, slack, &new, &old);
            if scales.is_empty() {
                return (new, old, step);
            }
            for scale in scales {
                for set in old.iter_mut().chain([&mut new]).filter(|set| set.name == scale.name) {
                    set.replicas = scale.replicas;
                    set.available = set.available.min(set.replicas);
                }
            }
            let available = new.available + old.iter().map(|set| set.available).sum::<i32>();
            let total = new.replicas + old.iter().map(|set| set.replicas).sum::<i32>();
            assert!(available >= wanted - slack.unavailable, "step {step}: {available} available");
            assert!(total <= wanted + slack.surge, "step {step}: {total} pods");
            if new_works {
                new.available = new.replicas;
            }
        }
        panic!("the rollout does not end: {new:?} {old:?}");
    }

    #[test]
    fn a_rollout_ends_with_the_new_set_alone_and_never_leaves_its_bounds() {
        for wanted in 1..12 {
            for (surge, unavailable) in [(1, 0), (0, 1), (2, 1), (12, 12)] {
                let slack = Slack { surge, unavailable };
                let (new, old, _) = play(wanted, slack, set("new", 0, 0), vec![set("old", wanted, wanted)], true);
                assert_eq!((new.replicas, old[0].replicas), (wanted, 0));
            }
        }
    }

    #[test]
    fn a_new_version_that_never_comes_up_leaves_the_old_one_serving() {
        let slack = Slack { surge: 1, unavailable: 0 };
        let (new, old, _) = play(4, slack, set("new", 0, 0), vec![set("old", 4, 4)], false);
        assert_eq!((new.replicas, old[0].replicas), (1, 4));
    }

    #[test]
    fn broken_old_pods_go_before_working_ones() {
        let slack = Slack { surge: 0, unavailable: 1 };
        let old = [set("older", 2, 2), set("broken", 1, 0)];
        let scales = rolling(3, slack, &set("new", 0, 0), &old);
        assert_eq!(scales, [Scale { name: "broken".to_owned(), replicas: 0 }]);
    }

    #[test]
    fn scaling_down_without_old_sets_is_one_step() {
        let slack = Slack { surge: 1, unavailable: 1 };
        assert_eq!(rolling(1, slack, &set("new", 5, 5), &[]), [Scale { name: "new".to_owned(), replicas: 1 }]);
        assert_eq!(rolling(5, slack, &set("new", 5, 5), &[]), []);
        assert_eq!(rolling(0, slack, &set("new", 0, 0), &[]), []);
    }

    #[test]
    fn recreate_waits_until_the_old_pods_have_ended() {
        let new = set("new", 0, 0);
        assert_eq!(recreate(2, &new, &[set("old", 2, 2)], 2), [Scale { name: "old".to_owned(), replicas: 0 }]);
        assert_eq!(recreate(2, &new, &[set("old", 0, 0)], 1), []);
        assert_eq!(recreate(2, &new, &[set("old", 0, 0)], 0), [Scale { name: "new".to_owned(), replicas: 2 }]);
    }
}
