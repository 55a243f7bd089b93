use std::time::Duration;

use super::super::fixtures::{self, OTHER_SCOPE, RATINGS, REVIEWS, SCOPE, cluster};
use super::super::{Resolution, Target, UnavailableReason};
use super::*;
use crate::model::{HostPattern, ListenerProtocol, VirtualHost};
use crate::resources::Provenance;

/// Holdings, and a control plane that knows nothing by itself.
struct Bench {
    holdings: Holdings,
    directory: Directory,
    now: Instant,
    version: u32,
    subscribed: BTreeSet<(ResourceType, String)>,
}

impl Bench {
    fn new() -> Self {
        let mut bench = Self::bare(false);
        bench.send("self", Resource::Settings(fixtures::settings(SCOPE)));
        bench
    }

    fn bare(gateway: bool) -> Self {
        let (holdings, directory, _) = Holdings::new(gateway);
        Self { holdings, directory, now: Instant::now(), version: 0, subscribed: BTreeSet::new() }
    }

    fn settle(&mut self) {
        self.holdings.settle(self.now);
        for change in self.holdings.take_changes() {
            let name = (change.kind, change.name.to_string());
            let changed = if change.subscribed { self.subscribed.insert(name) } else { self.subscribed.remove(&name) };
            assert!(changed, "{change:?} changes nothing");
        }
    }

    fn send(&mut self, name: &str, resource: Resource) {
        self.version += 1;
        self.holdings.apply(&name.into(), self.version.to_string().into(), resource, self.now);
        self.settle();
    }

    fn remove(&mut self, kind: ResourceType, name: &str) {
        self.holdings.remove(kind, &name.into());
        self.settle();
    }

    fn ask(&mut self, authority: &str) {
        self.holdings.ask(&authority.into());
        self.settle();
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.holdings.expire();
        self.settle();
    }

    fn ticks(&mut self, count: u32) {
        for _ in 0..count {
            self.holdings.tick();
            self.settle();
        }
    }

    fn service(&mut self, scope: &str, authority: &str, host: &str) {
        let record = fixtures::record(scope, host).into();
        self.send(&format!("{scope}/{authority}"), Resource::Service(record));
    }

    fn policy(&mut self, scope: &str, host: &str, versions: &[&str]) {
        self.send(&format!("{scope}/{host}"), Resource::TrafficPolicy(fixtures::policy(host, versions)));
    }

    fn endpoints(&mut self, host: &str, pods: &[(u8, &str)]) {
        self.send(&format!("{host}/0"), Resource::Endpoints(fixtures::endpoints(host, pods)));
    }

    fn routes(&mut self, scope: &str, host: &str, destinations: &[(&str, &str, u32)]) {
        let name = format!("{scope}/{host}");
        self.send(&name, Resource::Routes(fixtures::routes(&name, destinations)));
    }

    /// `reviews` with two pods and a route to subset v1.
    fn reviews(&mut self) {
        self.ask("reviews");
        self.service(SCOPE, "reviews", REVIEWS);
        self.policy(SCOPE, REVIEWS, &["v1"]);
        self.endpoints(REVIEWS, &[(11, "v1"), (12, "v2")]);
        self.routes(SCOPE, REVIEWS, &[(REVIEWS, "v1", 1)]);
    }

    fn target(&self, authority: &str) -> Arc<Target> {
        match self.directory.get(authority) {
            Some(Resolution::Known(target)) => target,
            other => panic!("{authority} is {other:?}"),
        }
    }

    /// The pods that a cluster in force leads to, by the last byte of their address.
    fn pods(&self, authority: &str, host: &str, subset: &str) -> Option<Vec<u8>> {
        let target = self.target(authority);
        let cluster = target.routes.cluster(&cluster(host, subset))?;
        let last = |endpoint: &Arc<super::super::UpstreamEndpoint>| match endpoint.address.ip() {
            std::net::IpAddr::V4(address) => address.octets()[3],
            std::net::IpAddr::V6(_) => 0,
        };
        Some(cluster.endpoints.iter().map(last).collect())
    }

    fn is_subscribed(&self, kind: ResourceType, name: &str) -> bool {
        self.subscribed.contains(&(kind, name.to_owned()))
    }
}

#[test]
fn a_name_leads_to_everything_that_it_takes() {
    let mut bench = Bench::new();
    bench.reviews();
    assert_eq!(bench.pods("reviews", REVIEWS, "v1"), Some(vec![11]));
    let expected = [
        (ResourceType::Service, format!("{SCOPE}/reviews")),
        (ResourceType::TrafficPolicy, format!("{SCOPE}/{REVIEWS}")),
        (ResourceType::Endpoints, format!("{REVIEWS}/0")),
        (ResourceType::Routes, format!("{SCOPE}/{REVIEWS}")),
    ];
    assert_eq!(bench.subscribed, expected.into());
}

#[test]
fn the_order_of_answers_does_not_matter() {
    // Every order in which the four answers can come; what is not subscribed yet is sent again afterwards, as a server does.
    let mut order = [0, 1, 2, 3];
    for _ in 0..24 {
        let mut bench = Bench::new();
        bench.ask("reviews");
        for _ in 0..4 {
            for step in order {
                match step {
                    0 => bench.service(SCOPE, "reviews", REVIEWS),
                    1 => bench.policy(SCOPE, REVIEWS, &["v1"]),
                    2 => bench.endpoints(REVIEWS, &[(11, "v1")]),
                    _ => bench.routes(SCOPE, REVIEWS, &[(REVIEWS, "v1", 1)]),
                }
                if let Some(Resolution::Known(_)) = bench.directory.get("reviews") {
                    assert_eq!(bench.pods("reviews", REVIEWS, "v1"), Some(vec![11]), "{order:?}");
                }
            }
        }
        assert_eq!(bench.pods("reviews", REVIEWS, "v1"), Some(vec![11]), "{order:?}");
        next_permutation(&mut order);
    }
}

fn next_permutation(order: &mut [i32; 4]) {
    let Some(pivot) = (0..3).rev().find(|i| order[*i] < order[i + 1]) else { return order.reverse() };
    let swap = (pivot..4).rev().find(|i| order[*i] > order[pivot]).unwrap();
    order.swap(pivot, swap);
    order[pivot + 1..].reverse();
}

#[test]
fn nothing_is_asked_for_before_the_scope_is_known() {
    let mut bench = Bench::bare(false);
    bench.ask("reviews");
    assert!(bench.subscribed.is_empty());
    bench.send("self", Resource::Settings(fixtures::settings(SCOPE)));
    assert!(bench.is_subscribed(ResourceType::Service, &format!("{SCOPE}/reviews")));
}

#[test]
fn two_aliases_share_everything_but_their_entry() {
    let mut bench = Bench::new();
    bench.reviews();
    bench.ask("reviews.shop");
    bench.service(SCOPE, "reviews.shop", REVIEWS);
    let (short, long) = (bench.target("reviews"), bench.target("reviews.shop"));
    assert!(Arc::ptr_eq(&short.routes, &long.routes));
    assert_eq!(bench.subscribed.len(), 5, "{:?}", bench.subscribed);
}

#[test]
fn the_alias_that_is_left_keeps_what_both_used() {
    let mut bench = Bench::new();
    bench.reviews();
    bench.ask("reviews.shop");
    bench.service(SCOPE, "reviews.shop", REVIEWS);
    bench.remove(ResourceType::Service, &format!("{SCOPE}/reviews"));
    assert!(matches!(bench.directory.get("reviews"), Some(Resolution::Unknown)));
    assert_eq!(bench.pods("reviews.shop", REVIEWS, "v1"), Some(vec![11]));
}

#[test]
fn a_negative_answer_is_remembered_and_ends_when_the_service_appears() {
    let mut bench = Bench::new();
    bench.ask("reviews");
    assert!(bench.directory.get("reviews").is_none());
    bench.remove(ResourceType::Service, &format!("{SCOPE}/reviews"));
    assert!(matches!(bench.directory.get("reviews"), Some(Resolution::Unknown)));
    assert!(bench.is_subscribed(ResourceType::Service, &format!("{SCOPE}/reviews")));
    bench.reviews();
    assert_eq!(bench.pods("reviews", REVIEWS, "v1"), Some(vec![11]));
}

#[test]
fn a_changed_endpoint_replaces_its_cluster_and_no_other() {
    let mut bench = Bench::new();
    bench.reviews();
    bench.ask("ratings");
    bench.service(SCOPE, "ratings", RATINGS);
    bench.policy(SCOPE, RATINGS, &[]);
    bench.endpoints(RATINGS, &[(21, "v1")]);
    bench.routes(SCOPE, RATINGS, &[(RATINGS, "", 1)]);
    bench.policy(SCOPE, REVIEWS, &["v1", "v2"]);
    bench.routes(SCOPE, REVIEWS, &[(REVIEWS, "v1", 9), (REVIEWS, "v2", 1)]);
    let (reviews, ratings) = (bench.target("reviews"), bench.target("ratings"));

    bench.endpoints(REVIEWS, &[(11, "v1"), (12, "v2"), (13, "v2")]);

    let after = bench.target("reviews");
    let of = |target: &Target, subset| target.routes.cluster(&cluster(REVIEWS, subset)).unwrap().clone();
    assert!(Arc::ptr_eq(&ratings, &bench.target("ratings")), "another service was replaced");
    assert!(Arc::ptr_eq(&reviews.routes.routes, &after.routes.routes), "the rules were replaced");
    assert!(
        Arc::ptr_eq(&of(&reviews, "v1"), &of(&after, "v1")),
        "a subset was replaced that the change does not touch"
    );
    let (before, after) = (of(&reviews, "v2"), of(&after, "v2"));
    assert_eq!((before.endpoints.len(), after.endpoints.len()), (1, 2));
    assert!(Arc::ptr_eq(&before.endpoints[0], &after.endpoints[0]), "an endpoint was replaced that did not change");
}

#[test]
fn what_is_counted_per_endpoint_outlives_a_change_of_its_weight() {
    use std::sync::atomic::Ordering::Relaxed;

    let mut bench = Bench::new();
    bench.reviews();
    let of =
        |bench: &Bench| bench.target("reviews").routes.cluster(&cluster(REVIEWS, "v1")).unwrap().endpoints[0].clone();
    let before = of(&bench);
    before.state.active.store(3, Relaxed);
    let mut changed = fixtures::endpoints(REVIEWS, &[(11, "v1")]);
    Arc::make_mut(&mut changed.endpoints[0]).weight = 7;
    bench.send(&format!("{REVIEWS}/0"), Resource::Endpoints(changed));
    let after = of(&bench);
    assert_eq!((after.endpoint.weight, after.state.active.load(Relaxed)), (7, 3));
}

#[test]
fn an_endpoint_that_is_not_ready_gets_no_requests() {
    let mut bench = Bench::new();
    bench.reviews();
    let mut changed = fixtures::endpoints(REVIEWS, &[(11, "v1"), (13, "v1"), (14, "v1")]);
    Arc::make_mut(&mut changed.endpoints[0]).health = crate::model::Health::Unhealthy;
    Arc::make_mut(&mut changed.endpoints[2]).health = crate::model::Health::Draining;
    bench.send(&format!("{REVIEWS}/0"), Resource::Endpoints(changed));
    assert_eq!(bench.pods("reviews", REVIEWS, "v1"), Some(vec![13]));
}

#[test]
fn new_routes_wait_for_the_subset_that_they_name() {
    let mut bench = Bench::new();
    bench.reviews();
    bench.routes(SCOPE, REVIEWS, &[(REVIEWS, "v2", 1)]);
    assert!(bench.holdings.is_warming(ResourceType::Routes, &format!("{SCOPE}/{REVIEWS}")));
    assert_eq!(bench.pods("reviews", REVIEWS, "v1"), Some(vec![11]), "the routes before stay in force");
    bench.policy(SCOPE, REVIEWS, &["v1", "v2"]);
    assert!(!bench.holdings.is_warming(ResourceType::Routes, &format!("{SCOPE}/{REVIEWS}")));
    assert_eq!(bench.pods("reviews", REVIEWS, "v2"), Some(vec![12]));
}

#[test]
fn new_routes_wait_for_the_endpoints_of_another_service() {
    let mut bench = Bench::new();
    bench.reviews();
    bench.routes(SCOPE, REVIEWS, &[(RATINGS, "", 1)]);
    assert!(bench.is_subscribed(ResourceType::Service, &format!("{SCOPE}/{RATINGS}")), "the proxy asks by itself");
    bench.service(SCOPE, RATINGS, RATINGS);
    bench.policy(SCOPE, RATINGS, &[]);
    assert_eq!(bench.pods("reviews", REVIEWS, "v1"), Some(vec![11]), "the routes before stay in force");
    bench.endpoints(RATINGS, &[(21, "v1")]);
    assert_eq!(bench.pods("reviews", RATINGS, ""), Some(vec![21]));
    assert!(
        !bench.is_subscribed(ResourceType::Routes, &format!("{SCOPE}/{RATINGS}")),
        "nobody needs the rules of ratings"
    );
}

#[test]
fn routes_in_force_follow_changes_while_new_ones_wait() {
    let mut bench = Bench::new();
    bench.reviews();
    bench.routes(SCOPE, REVIEWS, &[(REVIEWS, "v9", 1)]);
    bench.endpoints(REVIEWS, &[(12, "v2"), (15, "v1")]);
    assert_eq!(bench.pods("reviews", REVIEWS, "v1"), Some(vec![15]));
}

#[test]
fn warming_is_bounded() {
    let mut bench = Bench::new();
    bench.reviews();
    bench.routes(SCOPE, REVIEWS, &[(REVIEWS, "v2", 1), (REVIEWS, "v1", 1)]);
    assert_eq!(bench.holdings.deadline(), Some(bench.now + limits::WARMING));
    bench.pass(limits::WARMING - Duration::from_millis(1));
    assert_eq!(bench.target("reviews").routes.clusters().count(), 1);
    assert!(bench.pods("reviews", REVIEWS, "v1").is_some());
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.target("reviews").routes.routes.http[0].provenance.rule.as_deref(), Some("http[0]"));
    assert_eq!(bench.pods("reviews", REVIEWS, "v2"), None, "what is missing has no cluster");
    assert_eq!(bench.holdings.deadline(), None);

    bench.routes(SCOPE, REVIEWS, &[(REVIEWS, "v2", 1), (REVIEWS, "v1", 2)]);
    assert_eq!(bench.holdings.deadline(), None, "a subset that was missing before is not waited for again");
}

#[test]
fn first_routes_do_not_wait_for_a_subset_that_nobody_defined() {
    let mut bench = Bench::new();
    bench.ask("reviews");
    bench.service(SCOPE, "reviews", REVIEWS);
    bench.policy(SCOPE, REVIEWS, &[]);
    bench.endpoints(REVIEWS, &[(11, "v1")]);
    bench.routes(SCOPE, REVIEWS, &[(REVIEWS, "v2", 1), (REVIEWS, "", 9)]);
    assert_eq!(bench.pods("reviews", REVIEWS, ""), Some(vec![11]));
    assert_eq!(bench.pods("reviews", REVIEWS, "v2"), None);
}

#[test]
fn a_deleted_destination_has_no_cluster() {
    let mut bench = Bench::new();
    bench.reviews();
    bench.routes(SCOPE, REVIEWS, &[(RATINGS, "", 1)]);
    bench.remove(ResourceType::Service, &format!("{SCOPE}/{RATINGS}"));
    assert_eq!(bench.pods("reviews", RATINGS, ""), None);
}

#[test]
fn a_service_is_not_talked_to_without_its_policy() {
    let mut bench = Bench::new();
    bench.reviews();
    bench.remove(ResourceType::TrafficPolicy, &format!("{SCOPE}/{REVIEWS}"));
    assert_eq!(bench.pods("reviews", REVIEWS, "v1"), None);
    bench.policy(SCOPE, REVIEWS, &["v1"]);
    assert_eq!(bench.pods("reviews", REVIEWS, "v1"), Some(vec![11]));
}

#[test]
fn a_chunk_that_replaces_another_is_waited_for() {
    let mut bench = Bench::new();
    bench.reviews();
    let mut record = fixtures::record(SCOPE, REVIEWS);
    record.endpoints = vec![format!("{REVIEWS}/1").into()];
    bench.send(&format!("{SCOPE}/reviews"), Resource::Service(record.into()));
    assert_eq!(bench.pods("reviews", REVIEWS, "v1"), Some(vec![11]), "no moment without endpoints");
    bench.send(&format!("{REVIEWS}/1"), Resource::Endpoints(fixtures::endpoints(REVIEWS, &[(16, "v1")])));
    assert_eq!(bench.pods("reviews", REVIEWS, "v1"), Some(vec![16]));
}

#[test]
fn a_refused_resource_leaves_what_was_in_force() {
    let mut bench = Bench::new();
    bench.reviews();
    let before = bench.target("reviews");
    for (kind, name) in bench.subscribed.clone() {
        bench.holdings.refuse(kind, &name.as_str().into());
    }
    bench.settle();
    assert!(Arc::ptr_eq(&before, &bench.target("reviews")));
}

#[test]
fn a_name_whose_first_answer_is_refused_is_unavailable_and_not_unknown() {
    for refused in [ResourceType::Service, ResourceType::Routes] {
        let mut bench = Bench::new();
        bench.ask("reviews");
        if refused == ResourceType::Routes {
            bench.service(SCOPE, "reviews", REVIEWS);
            bench.holdings.refuse(refused, &format!("{SCOPE}/{REVIEWS}").into());
        } else {
            bench.holdings.refuse(refused, &format!("{SCOPE}/reviews").into());
        }
        bench.settle();
        let found = bench.directory.get("reviews");
        assert!(matches!(found, Some(Resolution::Unavailable(UnavailableReason::Incomplete))), "{refused}: {found:?}");
    }
}

#[test]
fn an_idle_name_is_given_up_with_what_only_it_needed() {
    let mut bench = Bench::new();
    bench.reviews();
    bench.ask("ratings");
    bench.service(SCOPE, "ratings", RATINGS);
    bench.policy(SCOPE, RATINGS, &[]);
    bench.endpoints(RATINGS, &[(21, "v1")]);
    bench.routes(SCOPE, RATINGS, &[(RATINGS, "", 1)]);
    bench.routes(SCOPE, REVIEWS, &[(REVIEWS, "v1", 9), (RATINGS, "", 1)]);
    for _ in 0..limits::IDLE_TICKS + 1 {
        bench.ticks(1);
        assert!(bench.directory.get("reviews").is_some(), "a name in use is kept");
    }
    assert!(bench.directory.get("ratings").is_none());
    assert!(!bench.is_subscribed(ResourceType::Routes, &format!("{SCOPE}/{RATINGS}")));
    assert_eq!(bench.pods("reviews", RATINGS, ""), Some(vec![21]), "what another name needs is kept");

    bench.ask("ratings");
    bench.routes(SCOPE, RATINGS, &[(RATINGS, "", 1)]);
    assert_eq!(bench.pods("ratings", RATINGS, ""), Some(vec![21]), "a request that comes later asks again");

    bench.ticks(limits::IDLE_TICKS + 1);
    assert!(bench.subscribed.is_empty(), "{:?}", bench.subscribed);
    assert!(
        bench.directory.names().is_empty() && bench.holdings.hosts.is_empty() && bench.holdings.dependants.is_empty()
    );
}

#[test]
fn beyond_the_limit_the_name_idle_for_longest_is_given_up() {
    let mut bench = Bench::new();
    bench.ask("oldest");
    bench.ticks(1);
    for n in 1..limits::MAX_ASKED_NAMES {
        bench.holdings.ask(&format!("name-{n}").into());
    }
    bench.settle();
    bench.ask("newest");
    bench.ticks(1);
    assert_eq!(bench.subscribed.len(), limits::MAX_ASKED_NAMES);
    assert!(!bench.is_subscribed(ResourceType::Service, &format!("{SCOPE}/oldest")));
    assert!(bench.is_subscribed(ResourceType::Service, &format!("{SCOPE}/newest")));
}

#[test]
fn names_in_all_are_limited() {
    let mut bench = Bench::new();
    bench.ask("reviews");
    let mut record = fixtures::record(SCOPE, REVIEWS);
    record.endpoints = (0..limits::MAX_NAMES).map(|n| format!("{REVIEWS}/{n}").into()).collect();
    bench.send(&format!("{SCOPE}/reviews"), Resource::Service(record.into()));
    assert_eq!(bench.subscribed.len(), limits::MAX_NAMES);
    let announced: usize = ResourceType::all().map(|kind| bench.holdings.subscriptions(kind).len()).sum();
    assert_eq!(announced, limits::MAX_NAMES + 2, "settings and inbound policy are not counted");
}

#[test]
fn a_new_scope_takes_force_when_all_of_it_is_there() {
    let mut bench = Bench::new();
    bench.reviews();
    bench.ask("nowhere");
    bench.remove(ResourceType::Service, &format!("{SCOPE}/nowhere"));
    let before = bench.target("reviews");
    bench.send("self", Resource::Settings(fixtures::settings(OTHER_SCOPE)));
    assert!(bench.holdings.is_warming(ResourceType::Settings, "self"));
    // The control plane refuses the old scope's names from now on.
    bench.remove(ResourceType::Service, &format!("{SCOPE}/reviews"));
    bench.service(OTHER_SCOPE, "reviews", REVIEWS);
    bench.policy(OTHER_SCOPE, REVIEWS, &["v1", "v2"]);
    bench.routes(OTHER_SCOPE, REVIEWS, &[(REVIEWS, "v2", 1)]);
    assert!(Arc::ptr_eq(&before, &bench.target("reviews")), "one name is not answered yet");
    assert_eq!(&*bench.directory.settings().scope, SCOPE);

    bench.remove(ResourceType::Service, &format!("{OTHER_SCOPE}/nowhere"));
    assert_eq!(&*bench.directory.settings().scope, OTHER_SCOPE);
    assert_eq!(bench.pods("reviews", REVIEWS, "v2"), Some(vec![12]));
    bench.ticks(1);
    assert!(bench.subscribed.iter().all(|(_, name)| !name.starts_with(SCOPE)), "{:?}", bench.subscribed);
}

#[test]
fn a_new_scope_is_waited_for_only_so_long() {
    let mut bench = Bench::new();
    bench.reviews();
    bench.send("self", Resource::Settings(fixtures::settings(OTHER_SCOPE)));
    bench.pass(limits::WARMING);
    assert_eq!(&*bench.directory.settings().scope, OTHER_SCOPE);
    assert_eq!(bench.pods("reviews", REVIEWS, "v1"), Some(vec![11]), "until there is an answer, the one before holds");
}

#[test]
fn a_listener_takes_force_with_its_routes() {
    let mut bench = Bench::bare(true);
    bench.send("self", Resource::Settings(fixtures::settings(SCOPE)));
    let routes = format!("{SCOPE}/gateway/8080/*");
    let listener = Listener {
        port: 8080,
        protocol: ListenerProtocol::Http,
        provenance: vec![Provenance::new("Gateway", "shop", "gateway")],
        virtual_hosts: vec![VirtualHost { host: HostPattern::Any, routes: routes.as_str().into() }],
        tls: Vec::new(),
        redirected: Vec::new(),
    };
    bench.send("8080", Resource::Listener(listener));
    bench.service(SCOPE, REVIEWS, REVIEWS);
    assert!(bench.directory.listeners().borrow().is_empty());
    bench.send(&routes, Resource::Routes(fixtures::routes(&routes, &[(REVIEWS, "", 1)])));
    bench.service(SCOPE, REVIEWS, REVIEWS);
    bench.policy(SCOPE, REVIEWS, &[]);
    assert!(bench.directory.listeners().borrow().is_empty());
    bench.endpoints(REVIEWS, &[(11, "v1")]);
    assert_eq!(bench.directory.listeners().borrow().len(), 1);
    let in_force = bench.directory.gateway_routes(&routes).unwrap();
    assert_eq!(in_force.cluster(&cluster(REVIEWS, "")).map(|cluster| cluster.endpoints.len()), Some(1));

    bench.remove(ResourceType::Listener, "8080");
    bench.ticks(1);
    assert!(bench.directory.listeners().borrow().is_empty() && bench.directory.gateway_routes(&routes).is_none());
    assert!(bench.subscribed.is_empty(), "{:?}", bench.subscribed);
}
