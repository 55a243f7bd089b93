//! The control plane over the built-in API server's own client: what it lists, watches and survives.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use kube::client::Body;
use mesh::control::{Candidate, ControlPlane, Options, Source, ca};
use mesh::identity::{Authority, AuthorityFiles, TrustDomain};
use mesh::model::OutboundMode;
use mesh::proxy::directory::{Directory, Resolution};
use mesh::proxy::xds::{NodeId, ProxyKind, XdsClient, XdsConfig, in_memory};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::cluster::{Cluster, PATIENCE};

/// An API server that can be made to fail: away altogether, or forgetful of what watches have seen.
#[derive(Clone, Default)]
struct Faults {
    is_away: Arc<AtomicBool>,
    forgets: Arc<AtomicUsize>,
    watches: Arc<AtomicUsize>,
}

#[derive(Clone)]
struct Faulty {
    inner: kube::Client,
    faults: Faults,
}

type Answer = Response<Full<bytes::Bytes>>;

impl tower::Service<Request<Body>> for Faulty {
    type Response =
        Response<http_body_util::combinators::UnsyncBoxBody<bytes::Bytes, Box<dyn std::error::Error + Send + Sync>>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Self { inner, faults } = self.clone();
        Box::pin(async move {
            let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
            let failed = |code: u16, reason: &str| {
                let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason,
                    "message": reason, "code": code, "metadata": {}});
                let answer: Answer =
                    Response::builder().status(code).body(Full::new(status.to_string().into())).unwrap();
                answer.map(|body| body.map_err(|never| match never {}).boxed_unsync())
            };
            if faults.is_away.load(Ordering::SeqCst) {
                return Ok(failed(503, "ServiceUnavailable"));
            }
            if is_watch {
                faults.watches.fetch_add(1, Ordering::SeqCst);
                let left = faults.forgets.load(Ordering::SeqCst);
                if left > 0
                    && faults.forgets.compare_exchange(left, left - 1, Ordering::SeqCst, Ordering::SeqCst).is_ok()
                {
                    return Ok(failed(410, "Expired"));
                }
            }
            match inner.send(request).await {
                Ok(response) => Ok(response.map(|body| {
                    let cut = faults.is_away.clone();
                    // A server that goes away takes its watches along.
                    let body = body.map_err(|error| -> Box<dyn std::error::Error + Send + Sync> { Box::new(error) });
                    Cut { body: body.boxed_unsync(), cut }.boxed_unsync()
                })),
                Err(_) => Ok(failed(503, "ServiceUnavailable")),
            }
        })
    }
}

/// A body that breaks off when the server goes away.
struct Cut<B> {
    body: B,
    cut: Arc<AtomicBool>,
}

impl<B> http_body::Body for Cut<B>
where
    B: http_body::Body<Error = Box<dyn std::error::Error + Send + Sync>> + Unpin,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<B::Data>, B::Error>>> {
        if self.cut.load(Ordering::SeqCst) {
            return Poll::Ready(Some(Err("the connection was reset".into())));
        }
        // It is looked at again and again, as a socket's end would be noticed.
        let (waker, polled) = (cx.waker().clone(), Pin::new(&mut self.body).poll_frame(cx));
        if polled.is_pending() {
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(50)).await;
                waker.wake();
            });
        }
        polled
    }
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

struct Mesh {
    cluster: Cluster,
    plane: ControlPlane,
    directory: Directory,
    faults: Faults,
    token: CancellationToken,
}

impl Drop for Mesh {
    fn drop(&mut self) {
        self.token.cancel();
    }
}

/// A service `web` with a pod, and the pod's proxy connected.
async fn mesh() -> Mesh {
    let cluster = Cluster::start().await;
    let address = [127, 0, 71, 1].into();
    cluster.pod("default", "web-1", "web", address, &json!({"app": "web"})).await;
    cluster.service("default", "web", ("http", 80, 8080), &[(address, Some("web-1"))]).await;
    let faults = Faults::default();
    let faulty = Faulty { inner: cluster.client(), faults: faults.clone() };
    let client = kube::Client::new(faulty.map_err(|never: Infallible| match never {}), "default");
    let trust_domain = TrustDomain::new("cluster.local").unwrap();
    let authority = Arc::new(Authority::load_or_create(&cluster.path("mesh-ca"), &trust_domain).unwrap());
    let token = CancellationToken::new();
    let options = Options {
        source: Source::Kubernetes(client),
        authority,
        trust_domain: trust_domain.clone(),
        cluster: "Kubernetes".into(),
        domain: "cluster.local".into(),
        root_namespace: "istio-system".into(),
        outbound_mode: OutboundMode::AllowAny,
        access_log: false,
        candidate: None,
        way_in: None,
    };
    let plane = ControlPlane::start(options, token.clone());
    assert!(tokio::time::timeout(PATIENCE, plane.ready()).await.unwrap());
    let id = mesh::identity::SpiffeId::new(&trust_domain, "default", "web").unwrap();
    let opening = plane.clone();
    let connect = in_memory(move || {
        let (plane, id) = (opening.clone(), id.clone());
        async move { plane.connect_in_memory(id).await }
    });
    let node = NodeId { kind: ProxyKind::Sidecar, ip: address, pod: "web-1".into(), namespace: "default".into() };
    let config = XdsConfig { node, connect, token: Arc::new(|| None) };
    let directory = XdsClient::start(config, token.clone());
    let mut ready = directory.ready();
    tokio::time::timeout(PATIENCE, ready.wait_for(|ready| *ready)).await.unwrap().unwrap();
    Mesh { cluster, plane, directory, faults, token }
}

impl Mesh {
    async fn modify_rules(&self, count: usize) {
        let rules: Vec<_> = (0..count)
            .map(|n| json!({"match": [{"uri": {"exact": format!("/{n}")}}], "route": [{"destination": {"host": "web"}}]}))
            .collect();
        let route = json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
            "metadata": {"name": "web", "namespace": "default"}, "spec": {"hosts": ["web"], "http": rules}});
        self.cluster.apply(&route).await;
    }

    fn rules(&self) -> Option<usize> {
        match self.directory.get("web") {
            Some(Resolution::Known(target)) => Some(target.routes.routes.http.len()),
            _ => None,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_listed_and_what_changes_reaches_a_proxy() {
    let mesh = mesh().await;
    assert!(matches!(mesh.directory.resolve("web").await, Resolution::Known(_)));
    for count in [1, 3, 2] {
        mesh.modify_rules(count).await;
        until("the new rules are in force", || mesh.rules() == Some(count)).await;
    }
    let deny = json!({"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
        "metadata": {"name": "no", "namespace": "default"}, "spec": {}});
    mesh.cluster.apply(&deny).await;
    let policies = || mesh.directory.inbound().map(|inbound| inbound.authorization.len());
    until("the policy is in force", || policies() == Some(1)).await;
    let newest = mesh.plane.generation();
    until("the proxy is in sync", || mesh.plane.status()[0].generation >= newest).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_far_each_kind_has_been_seen_is_told_once_it_is_in_force() {
    const KIND: &str = "VirtualService.networking.istio.io";
    let mesh = mesh().await;
    let seen = || mesh.plane.proxies().seen.get(KIND).copied();
    assert_eq!(seen(), Some(0), "the kind is watched, and there is no object");
    mesh.modify_rules(1).await;
    until("the object has been seen", || seen() > Some(0)).await;
    let first = seen();
    mesh.modify_rules(2).await;
    until("its next version has been seen", || seen() > first).await;
    assert!(matches!(mesh.directory.resolve("web").await, Resolution::Known(_)));
    let wanted = mesh.plane.proxies().generation;
    until("the proxy is in sync", || mesh.plane.proxies().proxies[0].generation >= wanted).await;
    assert_eq!(mesh.rules(), Some(2), "and has what was seen before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_control_planes_one_leads_and_the_next_follows_at_once() {
    let cluster = Cluster::start().await;
    let holder = || async {
        let lease = "/apis/coordination.k8s.io/v1/namespaces/istio-system/leases/leader";
        let request = Request::get(lease).body(Vec::new()).unwrap();
        let found = cluster.client().request::<serde_json::Value>(request).await.ok()?;
        Some(found["spec"]["holderIdentity"].as_str()?.to_owned())
    };
    let leads = async |name: &str| {
        let deadline = Instant::now() + PATIENCE;
        while holder().await.as_deref() != Some(name) {
            assert!(Instant::now() < deadline, "{name} does not lead within {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let trust_domain = TrustDomain::new("cluster.local").unwrap();
    let authority = Arc::new(Authority::load_or_create(&cluster.path("mesh-ca"), &trust_domain).unwrap());
    let start = |name: &str, token: &CancellationToken| {
        let options = Options {
            source: Source::Kubernetes(cluster.client()),
            authority: authority.clone(),
            trust_domain: trust_domain.clone(),
            cluster: "Kubernetes".into(),
            domain: "cluster.local".into(),
            root_namespace: "istio-system".into(),
            outbound_mode: OutboundMode::AllowAny,
            access_log: false,
            way_in: None,
            candidate: Some(Candidate {
                namespace: "istio-system".to_owned(),
                lease: "leader".to_owned(),
                name: name.to_owned(),
            }),
        };
        ControlPlane::start(options, token.clone())
    };
    let (first, second) = (CancellationToken::new(), CancellationToken::new());
    let stopping = start("istiod-a", &first);
    leads("istiod-a").await;
    let _plane = start("istiod-b", &second);
    assert_eq!(holder().await.as_deref(), Some("istiod-a"));
    first.cancel();
    stopping.stopped().await;
    leads("istiod-b").await;
    second.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_server_that_is_away_for_a_while_changes_nothing_and_what_was_missed_is_made_up_for() {
    let mesh = mesh().await;
    mesh.modify_rules(1).await;
    assert!(matches!(mesh.directory.resolve("web").await, Resolution::Known(_)));
    until("the rule is in force", || mesh.rules() == Some(1)).await;
    mesh.faults.is_away.store(true, Ordering::SeqCst);
    mesh.modify_rules(4).await;
    let seen = mesh.faults.watches.load(Ordering::SeqCst);
    // Long enough for every watch to have noticed.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(mesh.rules(), Some(1));
    mesh.faults.is_away.store(false, Ordering::SeqCst);
    until("what was missed is in force", || mesh.rules() == Some(4)).await;
    assert!(mesh.faults.watches.load(Ordering::SeqCst) > seen, "watches are opened again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_whose_past_is_forgotten_starts_from_a_list() {
    let mesh = mesh().await;
    mesh.modify_rules(1).await;
    assert!(matches!(mesh.directory.resolve("web").await, Resolution::Known(_)));
    until("the rule is in force", || mesh.rules() == Some(1)).await;
    mesh.faults.is_away.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(200)).await;
    mesh.modify_rules(2).await;
    mesh.faults.forgets.store(20, Ordering::SeqCst);
    mesh.faults.is_away.store(false, Ordering::SeqCst);
    until("the list is in force", || mesh.rules() == Some(2)).await;
    mesh.modify_rules(3).await;
    until("it is watched again", || mesh.rules() == Some(3)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clusters_authority_is_made_once_and_a_plugged_in_one_is_whole_or_an_error() {
    let cluster = Cluster::start().await;
    let trust_domain = TrustDomain::new("cluster.local").unwrap();
    let client = cluster.client();
    let (first, second) = tokio::join!(
        ca::from_secret(&client, "istio-system", &trust_domain),
        ca::from_secret(&client, "istio-system", &trust_domain)
    );
    let made = first.unwrap().root_pem();
    assert_eq!(second.unwrap().root_pem(), made, "two that start at once agree");
    assert_eq!(ca::from_secret(&client, "istio-system", &trust_domain).await.unwrap().root_pem(), made);

    let own = AuthorityFiles::generate(&trust_domain).unwrap();
    let secret = |files: &[(&str, &str)]| {
        let data: serde_json::Map<String, serde_json::Value> =
            files.iter().map(|(name, text)| ((*name).to_owned(), json!(text))).collect();
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "cacerts", "namespace": "istio-system"},
            "stringData": data})
    };
    let named = own.named();
    cluster.apply(&secret(&named)).await;
    let plugged = ca::from_secret(&client, "istio-system", &trust_domain).await.unwrap();
    assert_eq!(Some(plugged.root_pem().as_str()), own.root.as_deref());
    // A part of it is an error, never a reason to go back to another root.
    cluster.delete(&secret(&[])).await;
    cluster.apply(&secret(&named[1..])).await;
    let error = ca::from_secret(&client, "istio-system", &trust_domain).await.unwrap_err().to_string();
    assert!(error.contains("istio-system/cacerts") && error.contains("ca-key.pem"), "{error}");
}
