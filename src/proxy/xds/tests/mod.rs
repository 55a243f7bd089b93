//! The client against a control plane in memory, with time paused: it passes only when everybody waits for it.

mod control_plane;

use std::sync::Arc;
use std::time::Duration;

use prost::bytes::Bytes;
use tokio::time::{Instant, advance, sleep, timeout};
use tokio_util::sync::CancellationToken;

use control_plane::{CERTIFICATE_LIFE, ControlPlane};

use super::ProxyKind;
use crate::model::{HostPattern, Listener, ListenerProtocol, VirtualHost};
use crate::proxy::directory::fixtures::{self, OTHER_SCOPE, RATINGS, REVIEWS, SCOPE, cluster};
use crate::proxy::directory::{Directory, Resolution, Target, UnavailableReason, limits};
use crate::resources::Provenance;
use crate::wire::ResourceType;
use crate::wire::proto::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use crate::wire::proto::mesh::v1;

/// Waits for a condition that others bring about.
async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let reached = async {
        while !condition() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    assert!(timeout(Duration::from_secs(60), reached).await.is_ok(), "never: {what}");
}

/// Lets everybody do what there is to do: paused time passes only when all of them wait.
async fn others_wait() {
    sleep(Duration::from_millis(1)).await;
}

async fn ready(directory: &Directory) {
    let mut ready = directory.ready();
    timeout(Duration::from_secs(60), ready.wait_for(|ready| *ready)).await.unwrap().unwrap();
}

async fn target(directory: &Directory, authority: &str) -> Arc<Target> {
    match directory.resolve(authority).await {
        Resolution::Known(target) => target,
        other => panic!("{authority} is {other:?}"),
    }
}

/// The shares of the clusters in force for `reviews`.
fn weights(directory: &Directory) -> Vec<u32> {
    let Some(Resolution::Known(target)) = directory.get("reviews") else { return Vec::new() };
    let crate::model::Action::Forward(destinations) = &target.routes.routes.http[0].action else {
        panic!("the rule forwards")
    };
    destinations.iter().map(|destination| destination.weight).collect()
}

fn asking(requests: &[DeltaDiscoveryRequest], kind: ResourceType) -> Vec<&DeltaDiscoveryRequest> {
    let of_kind = requests.iter().filter(|request| request.type_url == kind.url());
    of_kind.filter(|request| request.response_nonce.is_empty()).collect()
}

fn answering(requests: &[DeltaDiscoveryRequest], kind: ResourceType) -> Vec<&DeltaDiscoveryRequest> {
    let of_kind = requests.iter().filter(|request| request.type_url == kind.url());
    of_kind.filter(|request| !request.response_nonce.is_empty()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_proxy_becomes_ready_and_resolves_what_its_workload_uses() {
    let plane = ControlPlane::start();
    plane.add("reviews", REVIEWS, &[(11, "v1"), (12, "v2")], &[(REVIEWS, "v1", 9), (REVIEWS, "v2", 1)]);
    let directory = plane.sidecar();
    assert!(!*directory.ready().borrow());
    ready(&directory).await;
    assert_eq!(&*directory.settings().trust_domain, "cluster.local");
    assert_eq!(directory.credentials().unwrap().svid.id.to_string(), "spiffe://cluster.local/ns/shop/sa/productpage");

    let target = target(&directory, "reviews").await;
    assert_eq!(&*target.service.host, REVIEWS);
    for subset in ["v1", "v2"] {
        assert_eq!(target.routes.cluster(&cluster(REVIEWS, subset)).unwrap().endpoints.len(), 1);
    }
    let requests = plane.requests();
    let node = requests[0].node.as_ref().map(|node| node.id.as_str());
    assert_eq!(node, Some("sidecar~10.0.0.1~productpage.shop~shop.svc.cluster.local"));
    assert_eq!(plane.tokens(), [Some("Bearer token-of-the-pod".to_owned())]);
    assert!(asking(&requests, ResourceType::Listener).is_empty(), "a sidecar has no listeners");
}

#[tokio::test(start_paused = true)]
async fn a_gateway_gets_its_listeners_with_their_routes() {
    let plane = ControlPlane::start();
    plane.add("reviews", REVIEWS, &[(11, "v1")], &[(REVIEWS, "", 1)]);
    let name = format!("{SCOPE}/gateway/8080/*");
    plane.set(ResourceType::Routes, &name, &v1::Routes::from(&fixtures::routes(&name, &[(REVIEWS, "", 1)])));
    let listener = Listener {
        port: 8080,
        protocol: ListenerProtocol::Http,
        provenance: vec![Provenance::new("Gateway", "shop", "gateway")],
        virtual_hosts: vec![VirtualHost { host: HostPattern::Any, routes: name.as_str().into() }],
        tls: Vec::new(),
        redirected: Vec::new(),
    };
    plane.set(ResourceType::Listener, "8080", &v1::Listener::from(&listener));
    let directory = plane.proxy(ProxyKind::Router, CancellationToken::new());
    let mut listeners = directory.listeners();
    timeout(Duration::from_secs(60), listeners.wait_for(|listeners| !listeners.is_empty())).await.unwrap().unwrap();
    let routes = directory.gateway_routes(&name).unwrap();
    assert_eq!(routes.cluster(&cluster(REVIEWS, "")).unwrap().endpoints.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn first_contact_waits_for_a_control_plane_that_is_away_but_not_for_ever() {
    let plane = ControlPlane::start();
    plane.go_away();
    let directory = plane.sidecar();
    let started = Instant::now();
    let found = directory.resolve("reviews").await;
    assert!(matches!(found, Resolution::Unavailable(UnavailableReason::ControlPlane)), "{found:?}");
    assert_eq!(started.elapsed().as_secs(), limits::FIRST_CONTACT_WAIT.as_secs());
    assert!(!directory.connected());
}

#[tokio::test(start_paused = true)]
async fn first_contact_succeeds_when_the_control_plane_comes_back_in_time() {
    let plane = ControlPlane::start();
    plane.add("reviews", REVIEWS, &[(11, "v1")], &[(REVIEWS, "", 1)]);
    plane.go_away();
    let directory = plane.sidecar();
    let waiting = tokio::spawn({
        let directory = directory.clone();
        async move { directory.resolve("reviews").await }
    });
    until("attempts have failed", || plane.refused() >= 2).await;
    plane.come_back();
    let found = waiting.await.unwrap();
    assert!(matches!(found, Resolution::Known(_)), "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_come_is_a_timeout() {
    let plane = ControlPlane::start();
    plane.keep_silent(ResourceType::Service, &format!("{SCOPE}/reviews"));
    let directory = plane.sidecar();
    ready(&directory).await;
    let found = directory.resolve("reviews").await;
    assert!(matches!(found, Resolution::Unavailable(UnavailableReason::Timeout)), "{found:?}");
    plane.speak();
    until("the answer is remembered", || matches!(directory.get("reviews"), Some(Resolution::Unknown))).await;
}

#[tokio::test(start_paused = true)]
async fn as_many_may_wait_as_the_limit_says_and_their_places_come_back() {
    let plane = ControlPlane::start();
    plane.go_away();
    let directory = plane.sidecar();
    let resolve = |name: String| {
        let directory = directory.clone();
        async move { directory.resolve(&name).await }
    };
    let waiting: Vec<_> = (0..limits::MAX_WAITING).map(|n| tokio::spawn(resolve(format!("name-{n}")))).collect();
    others_wait().await;
    let started = Instant::now();
    let found = directory.resolve("one-more").await;
    assert!(matches!(found, Resolution::Unavailable(UnavailableReason::TooManyWaiting)), "{found:?}");
    assert!(started.elapsed().is_zero(), "it is refused at once");
    for task in &waiting {
        task.abort();
    }
    for task in waiting {
        assert!(task.await.is_err());
    }
    let found = directory.resolve("one-more").await;
    assert!(matches!(found, Resolution::Unavailable(UnavailableReason::ControlPlane)), "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn what_can_be_no_host_is_unknown_without_asking() {
    let plane = ControlPlane::start();
    let directory = plane.sidecar();
    ready(&directory).await;
    for name in ["", "a/b", "Reviews", "reviews.", "reviews:80", "..", &"a".repeat(600)] {
        assert!(matches!(directory.resolve(name).await, Resolution::Unknown), "{name}");
    }
    assert!(asking(&plane.requests(), ResourceType::Service).is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_unknown_name_becomes_known_when_its_service_appears_and_unknown_when_it_goes() {
    let plane = ControlPlane::start();
    let directory = plane.sidecar();
    ready(&directory).await;
    let started = Instant::now();
    assert!(matches!(directory.resolve("reviews").await, Resolution::Unknown));
    assert!(started.elapsed() < Duration::from_secs(1), "a negative answer is given at once");
    plane.add("reviews", REVIEWS, &[(11, "v1")], &[(REVIEWS, "", 1)]);
    until("known", || matches!(directory.get("reviews"), Some(Resolution::Known(_)))).await;
    plane.remove(ResourceType::Service, &format!("{SCOPE}/reviews"));
    until("unknown", || matches!(directory.get("reviews"), Some(Resolution::Unknown))).await;
    let name = format!("{SCOPE}/reviews");
    let requests = plane.requests();
    let asked = asking(&requests, ResourceType::Service).into_iter();
    let times = asked.filter(|request| request.resource_names_subscribe.contains(&name)).count();
    assert_eq!(times, 1, "the first question holds for as long as the name is used");
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_acknowledged_when_it_is_in_force() {
    let plane = ControlPlane::start();
    plane.add("reviews", REVIEWS, &[(11, "v1")], &[(REVIEWS, "v1", 1)]);
    let directory = plane.sidecar();
    target(&directory, "reviews").await;
    until("everything is acknowledged", || answering(&plane.requests(), ResourceType::Routes).len() == 1).await;

    plane.keep_silent(ResourceType::Endpoints, &format!("{RATINGS}/0"));
    plane.add("ratings", RATINGS, &[(21, "v1")], &[(RATINGS, "", 1)]);
    plane.routes(REVIEWS, &[(RATINGS, "", 7)]);
    let endpoints = format!("{RATINGS}/0");
    until("the endpoints are asked for", || {
        let requests = plane.requests();
        asking(&requests, ResourceType::Endpoints).iter().any(|r| r.resource_names_subscribe.contains(&endpoints))
    })
    .await;
    others_wait().await;
    assert_eq!(weights(&directory), [1], "the routes before are in force");
    assert_eq!(answering(&plane.requests(), ResourceType::Routes).len(), 1, "what is not in force is not acknowledged");
    plane.speak();
    until("the new routes are in force", || weights(&directory) == [7]).await;
    until("they are acknowledged", || answering(&plane.requests(), ResourceType::Routes).len() == 2).await;
}

#[tokio::test(start_paused = true)]
async fn routes_that_wait_do_not_hold_up_those_that_somebody_waits_for() {
    let plane = ControlPlane::start();
    plane.add("reviews", REVIEWS, &[(11, "v1")], &[(REVIEWS, "v1", 1)]);
    plane.add("ratings", RATINGS, &[(21, "v1")], &[(RATINGS, "", 1)]);
    let directory = plane.sidecar();
    target(&directory, "reviews").await;
    others_wait().await;
    let before = answering(&plane.requests(), ResourceType::Routes).len();
    plane.routes(REVIEWS, &[(REVIEWS, "v9", 1)]);
    plane.keep_silent(ResourceType::Routes, &format!("{SCOPE}/{RATINGS}"));
    others_wait().await;
    assert_eq!(answering(&plane.requests(), ResourceType::Routes).len(), before, "they wait for a subset");
    let waiting = tokio::spawn({
        let directory = directory.clone();
        async move { directory.resolve("ratings").await }
    });
    until("the waiting routes are acknowledged", || answering(&plane.requests(), ResourceType::Routes).len() > before)
        .await;
    plane.speak();
    let found = waiting.await.unwrap();
    assert!(matches!(found, Resolution::Known(_)), "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_cannot_be_used_is_refused_and_changes_nothing() {
    let plane = ControlPlane::start();
    plane.add("reviews", REVIEWS, &[(11, "v1")], &[(REVIEWS, "v1", 3)]);
    let directory = plane.sidecar();
    target(&directory, "reviews").await;
    let name = format!("{SCOPE}/{REVIEWS}");
    let mut broken = v1::Routes::from(&fixtures::routes(&name, &[(REVIEWS, "v1", 4)]));
    broken.http[0].action = None;
    plane.set(ResourceType::Routes, &name, &broken);
    let refusal = || {
        let requests = plane.requests();
        let refused = requests.iter().find_map(|request| request.error_detail.clone());
        refused.map(|status| status.message)
    };
    until("refused", || refusal().is_some()).await;
    let message = refusal().unwrap();
    assert!(message.contains(&name) && message.contains("http[0]"), "{message}");
    assert_eq!(weights(&directory), [3]);

    plane.set(ResourceType::Routes, &name, &v1::Routes::from(&fixtures::routes(&name, &[(REVIEWS, "v1", 5)])));
    until("what can be used is used", || weights(&directory) == [5]).await;
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_message_are_refused() {
    let plane = ControlPlane::start();
    plane.add("reviews", REVIEWS, &[(11, "v1")], &[(REVIEWS, "v1", 3)]);
    // A field of type 7, which protobuf does not have.
    plane.set(ResourceType::TrafficPolicy, &format!("{SCOPE}/{REVIEWS}"), &Bytes::from_static(&[0x0f, 0xff, 0xff]));
    let directory = plane.sidecar();
    let target = target(&directory, "reviews").await;
    assert!(target.routes.cluster(&cluster(REVIEWS, "v1")).is_none(), "without a policy there is no cluster");
    until("refused", || plane.requests().iter().any(|request| request.error_detail.is_some())).await;
}

#[tokio::test(start_paused = true)]
async fn without_the_control_plane_the_proxy_serves_on_and_then_learns_only_what_changed() {
    let plane = ControlPlane::start();
    plane.add("reviews", REVIEWS, &[(11, "v1")], &[(REVIEWS, "v1", 1)]);
    let directory = plane.sidecar();
    ready(&directory).await;
    target(&directory, "reviews").await;
    assert!(matches!(directory.resolve("nowhere").await, Resolution::Unknown));
    plane.go_away();
    until("the loss is noticed", || !directory.connected()).await;
    advance(Duration::from_secs(120)).await;
    assert_eq!(weights(&directory), [1]);
    plane.forget_requests();
    plane.routes(REVIEWS, &[(REVIEWS, "v1", 8)]);
    plane.come_back();
    until("the change has arrived", || weights(&directory) == [8]).await;

    until("everything is announced", || !asking(&plane.requests(), ResourceType::Routes).is_empty()).await;
    let requests = plane.requests();
    assert!(requests[0].initial_resource_versions.is_empty() && requests[0].type_url == ResourceType::Settings.url());
    for (kind, name) in [
        (ResourceType::InboundPolicy, "self".to_owned()),
        (ResourceType::Service, format!("{SCOPE}/reviews")),
        (ResourceType::TrafficPolicy, format!("{SCOPE}/{REVIEWS}")),
        (ResourceType::Endpoints, format!("{REVIEWS}/0")),
        (ResourceType::Routes, format!("{SCOPE}/{REVIEWS}")),
    ] {
        let announced = asking(&requests, kind);
        assert_eq!(announced.len(), 1, "{kind}");
        assert!(announced[0].initial_resource_versions.contains_key(&name), "{kind} {name}");
    }
    let names = &asking(&requests, ResourceType::Service)[0].resource_names_subscribe;
    assert!(names.contains(&format!("{SCOPE}/nowhere")), "negative answers are still wanted");
    let resent = [ResourceType::TrafficPolicy, ResourceType::Endpoints, ResourceType::InboundPolicy];
    assert!(resent.iter().all(|kind| answering(&requests, *kind).is_empty()), "what did not change is not sent again");
}

#[tokio::test(start_paused = true)]
async fn a_scope_that_changed_while_the_stream_was_down_is_changed_over_to() {
    let plane = ControlPlane::start();
    plane.add("reviews", REVIEWS, &[(11, "v1")], &[(REVIEWS, "v1", 1)]);
    let directory = plane.sidecar();
    target(&directory, "reviews").await;
    plane.go_away();
    until("the loss is noticed", || !directory.connected()).await;
    let name = format!("{OTHER_SCOPE}/{REVIEWS}");
    plane.remove(ResourceType::Service, &format!("{SCOPE}/reviews"));
    plane.remove(ResourceType::Routes, &format!("{SCOPE}/{REVIEWS}"));
    plane.set(ResourceType::Settings, "self", &v1::Settings::from(&fixtures::settings(OTHER_SCOPE)));
    let record = v1::Service::from(&fixtures::record(OTHER_SCOPE, REVIEWS));
    plane.set(ResourceType::Service, &format!("{OTHER_SCOPE}/reviews"), &record);
    plane.set(ResourceType::TrafficPolicy, &name, &v1::TrafficPolicy::from(&fixtures::policy(REVIEWS, &[])));
    plane.set(ResourceType::Routes, &name, &v1::Routes::from(&fixtures::routes(&name, &[(REVIEWS, "", 6)])));
    plane.come_back();
    let mut seen = Vec::new();
    until("the new scope is in force", || {
        seen.push(weights(&directory));
        seen.last().is_some_and(|weights| weights == &[6])
    })
    .await;
    assert!(seen.iter().all(|weights| weights == &[1] || weights == &[6]), "there was a gap");
}

#[tokio::test(start_paused = true)]
async fn an_idle_name_is_unsubscribed() {
    let plane = ControlPlane::start();
    plane.add("reviews", REVIEWS, &[(11, "v1")], &[(REVIEWS, "v1", 1)]);
    let directory = plane.sidecar();
    target(&directory, "reviews").await;
    plane.forget_requests();
    let used = Instant::now();
    let given_up = || {
        let requests = plane.requests();
        asking(&requests, ResourceType::Service).iter().any(|r| !r.resource_names_unsubscribe.is_empty())
    };
    while !given_up() {
        sleep(Duration::from_secs(1)).await;
        assert!(used.elapsed() < Duration::from_secs(660), "never given up");
    }
    assert!(used.elapsed() >= Duration::from_secs(590), "given up after {:?}", used.elapsed());
    assert!(directory.get("reviews").is_none());
    assert_eq!(&*target(&directory, "reviews").await.service.host, REVIEWS);
}

#[tokio::test(start_paused = true)]
async fn a_control_plane_that_tells_nothing_is_left_and_tried_again() {
    let plane = ControlPlane::start();
    plane.keep_silent(ResourceType::Settings, "self");
    let directory = plane.sidecar();
    until("a second stream", || plane.streams() >= 2).await;
    plane.speak();
    ready(&directory).await;
}

#[tokio::test(start_paused = true)]
async fn the_certificate_is_renewed_at_half_of_its_life() {
    let plane = ControlPlane::start();
    let directory = plane.sidecar();
    ready(&directory).await;
    let (first, obtained) = (directory.credentials().unwrap(), plane.now());
    while plane.certificates() < 2 {
        sleep(Duration::from_secs(60)).await;
        assert!(plane.now() < obtained + CERTIFICATE_LIFE.mul_f64(0.61), "not renewed");
    }
    assert!(plane.now() > obtained + CERTIFICATE_LIFE.mul_f64(0.39), "renewed too early");
    until("the new one is in use", || !Arc::ptr_eq(&first, &directory.credentials().unwrap())).await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_is_followed_by_a_certificate_that_holds() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    let plane = ControlPlane::start();
    let directory = plane.sidecar();
    ready(&directory).await;
    // Two days on, one back, one on again.
    for ahead in [DAY * 2, DAY, DAY * 2] {
        let before = directory.credentials().unwrap();
        plane.set_ahead(ahead);
        let jumped = Instant::now();
        until("a new one is in use", || !Arc::ptr_eq(&before, &directory.credentials().unwrap())).await;
        assert!(jumped.elapsed() < Duration::from_secs(30), "{:?}", jumped.elapsed());
        let credentials = directory.credentials().unwrap();
        let (svid, now) = (&credentials.svid, plane.now());
        assert!(svid.not_before <= now && now < svid.not_after, "{svid:?}");
        let obtained = plane.certificates();
        sleep(CERTIFICATE_LIFE / 10).await;
        assert_eq!(plane.certificates(), obtained, "one is enough");
    }
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_cannot_be_renewed_serves_until_it_expires_and_then_says_why() {
    let plane = ControlPlane::start();
    let directory = plane.sidecar();
    ready(&directory).await;
    let credentials = directory.credentials().unwrap();
    plane.go_away();
    sleep(CERTIFICATE_LIFE * 9 / 10).await;
    assert!(Arc::ptr_eq(&credentials, &directory.credentials().unwrap()), "the old one is kept");
    assert!(credentials.check(plane.now()).is_ok());
    sleep(CERTIFICATE_LIFE / 10).await;
    let error = credentials.check(plane.now()).unwrap_err().to_string();
    assert!(error.contains("spiffe://cluster.local/ns/shop/sa/productpage expired at"), "{error}");
    assert!(error.ends_with("there is no connection to the control plane"), "{error}");

    plane.come_back();
    until("a new one is in use", || directory.credentials().unwrap().check(plane.now()).is_ok()).await;
}

#[tokio::test(start_paused = true)]
async fn a_stopped_client_leaves_what_is_known() {
    let plane = ControlPlane::start();
    plane.add("reviews", REVIEWS, &[(11, "v1")], &[(REVIEWS, "v1", 1)]);
    let token = CancellationToken::new();
    let directory = plane.proxy(ProxyKind::Sidecar, token.clone());
    target(&directory, "reviews").await;
    token.cancel();
    until("it has stopped", || !directory.connected()).await;
    assert_eq!(weights(&directory), [1]);
    let started = Instant::now();
    let found = directory.resolve("ratings").await;
    assert!(matches!(found, Resolution::Unavailable(UnavailableReason::ControlPlane)), "{found:?}");
    assert!(started.elapsed() < Duration::from_secs(1), "there is nobody to wait for");
}
