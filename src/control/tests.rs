//! The control plane over connections in memory, with the proxies' own client at the other end.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tonic::Code;

use super::source::{Item, Key, Kind, PodItem, ServiceItem, SliceEndpoint, SliceItem};
use super::*;
use crate::compile;
use crate::model::{Action, GatewayTopology, Health, Labels, MtlsMode};
use crate::proxy::directory::{Directory, Resolution, Target};
use crate::proxy::xds::{NodeId, ProxyKind, XdsClient, XdsConfig, in_memory, over};
use crate::resources::Object;
use crate::wire::ResourceType;
use crate::wire::proto::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use crate::wire::proto::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, Node, Status as Detail,
};

mod changes;
mod gateway;
mod keys;

struct Mesh {
    plane: ControlPlane,
    events: mpsc::Sender<Event>,
    token: CancellationToken,
    authority: Arc<Authority>,
    _files: tempfile::TempDir,
}

fn id(namespace: &str) -> SpiffeId {
    format!("spiffe://cluster.local/ns/{namespace}/sa/default").parse().unwrap()
}

fn pod(address: [u8; 4], version: &str) -> Item {
    Item::Pod(PodItem {
        addresses: vec![address.into()],
        service_account: "default".into(),
        labels: Labels::from([("app".into(), "web".into()), ("version".into(), version.into())]),
        workload_name: format!("web-{version}").into(),
        has_proxy: true,
        is_ready: true,
        is_gateway: false,
        topology: GatewayTopology::default(),
        node: "".into(),
    })
}

fn service(namespace: &str, name: &str) -> (Key, Item) {
    let value = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"ports": [{"name": "http", "port": 80}]},
    });
    let service = Arc::new(compile::service(&value, "cluster.local", None).unwrap());
    (Key::new(namespace, name), Item::Service(ServiceItem { service, published: Arc::default(), created: None }))
}

fn slice(namespace: &str, name: &str, pods: &[(&str, [u8; 4])]) -> (Key, Item) {
    let endpoint = |(pod, address): &(&str, [u8; 4])| SliceEndpoint {
        address: (*address).into(),
        pod: Some(Key::new(namespace, pod)),
        health: Health::Healthy,
    };
    let endpoints = pods.iter().map(endpoint).collect();
    let item = SliceItem { service: name.into(), ports: vec![("http".into(), 8080)], endpoints };
    (Key::new(namespace, &format!("{name}-1")), Item::EndpointSlice(item))
}

fn canary(v2: u32) -> (Key, Item) {
    let to = |subset: &str, weight: u32| json!({"destination": {"host": "web", "subset": subset}, "weight": weight});
    let value: Value = json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"hosts": ["web"], "http": [{"route": [to("v1", 100 - v2), to("v2", v2)]}]},
    });
    (Key::new("shop", "web"), Item::VirtualService(Arc::new(Object::from_value(&value).unwrap())))
}

fn subsets() -> (Key, Item) {
    let value: Value = json!({
        "apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"host": "web", "subsets": [
            {"name": "v1", "labels": {"version": "v1"}}, {"name": "v2", "labels": {"version": "v2"}},
        ]},
    });
    (Key::new("shop", "web"), Item::DestinationRule(Arc::new(Object::from_value(&value).unwrap())))
}

/// The namespaces `shop` and `bank`, each with a service `web` and two pods.
async fn mesh() -> Mesh {
    let files = tempfile::tempdir().unwrap();
    let trust_domain = TrustDomain::new("cluster.local").unwrap();
    let authority = Arc::new(Authority::load_or_create(&files.path().join("ca"), &trust_domain).unwrap());
    let (events, source) = mpsc::channel(64);
    let token = CancellationToken::new();
    let options = Options {
        source: Source::Memory(source),
        authority: authority.clone(),
        trust_domain,
        cluster: "Kubernetes".into(),
        domain: "cluster.local".into(),
        root_namespace: "istio-system".into(),
        outbound_mode: OutboundMode::AllowAny,
        access_log: false,
        candidate: None,
        way_in: None,
    };
    let plane = ControlPlane::start(options, token.clone());
    let mut items = vec![subsets(), canary(10)];
    for (namespace, third) in [("shop", 1), ("bank", 2)] {
        items.push(service(namespace, "web"));
        items.push((Key::new(namespace, "web-v1"), pod([10, 0, third, 1], "v1")));
        items.push((Key::new(namespace, "web-v2"), pod([10, 0, third, 2], "v2")));
        items.push(slice(namespace, "web", &[("web-v1", [10, 0, third, 1]), ("web-v2", [10, 0, third, 2])]));
    }
    for kind in Kind::ALL {
        let of_kind = items.iter().filter(|(_, item)| item.kind() == kind).cloned().collect();
        events.send(Event::Replace(kind, of_kind)).await.unwrap();
    }
    Mesh { plane, events, token, authority, _files: files }
}

fn node(namespace: &str) -> NodeId {
    let third = if namespace == "shop" { 1 } else { 2 };
    let ip = [10, 0, third, 1].into();
    NodeId { kind: ProxyKind::Sidecar, ip, pod: "web-v1".into(), namespace: namespace.into() }
}

impl Mesh {
    /// The proxy of the pod `web-v1` in a namespace.
    async fn proxy(&self, namespace: &str) -> Directory {
        let (plane, identity) = (self.plane.clone(), id(namespace));
        let connect = in_memory(move || {
            let (plane, identity) = (plane.clone(), identity.clone());
            async move { plane.connect_in_memory(identity).await }
        });
        let config = XdsConfig { node: node(namespace), connect, token: Arc::new(|| None) };
        let directory = XdsClient::start(config, self.token.clone());
        let mut ready = directory.ready();
        timeout(Duration::from_secs(10), ready.wait_for(|ready| *ready)).await.unwrap().unwrap();
        directory
    }

    async fn tell(&self, event: Event) {
        self.events.send(event).await.unwrap();
    }

    /// A stream whose requests are written by hand.
    async fn stream(&self, namespace: &str) -> Stream {
        let connection = self.plane.connect_in_memory(id(namespace)).await.unwrap();
        let channel = over(connection, "control-plane").await.unwrap();
        let (requests, mut queued) = mpsc::channel(16);
        let outgoing = futures_util::stream::poll_fn(move |cx| queued.poll_recv(cx));
        let mut client = AggregatedDiscoveryServiceClient::new(channel);
        let responses = client.delta_aggregated_resources(outgoing).await.unwrap().into_inner();
        Stream { requests, responses }
    }
}

struct Stream {
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    responses: tonic::Streaming<DeltaDiscoveryResponse>,
}

impl Stream {
    async fn ask(&self, kind: ResourceType, names: &[&str], node: Option<String>) {
        let request = DeltaDiscoveryRequest {
            type_url: kind.url().to_owned(),
            node: node.map(|id| Node { id, ..Node::default() }),
            resource_names_subscribe: names.iter().map(|name| (*name).to_owned()).collect(),
            ..DeltaDiscoveryRequest::default()
        };
        self.requests.send(request).await.unwrap();
    }

    async fn settle(&self, response: &DeltaDiscoveryResponse, error: Option<&str>) {
        let request = DeltaDiscoveryRequest {
            type_url: response.type_url.clone(),
            response_nonce: response.nonce.clone(),
            error_detail: error.map(|message| Detail { code: 3, message: message.to_owned() }),
            ..DeltaDiscoveryRequest::default()
        };
        self.requests.send(request).await.unwrap();
    }

    async fn next(&mut self) -> Result<DeltaDiscoveryResponse, tonic::Status> {
        let message = timeout(Duration::from_secs(10), self.responses.message()).await.expect("an answer in time");
        message.map(|message| message.expect("the stream goes on"))
    }

    /// Announces the pod `web-v1` of a namespace and takes in its settings.
    async fn announce(&mut self, namespace: &str) -> String {
        self.ask(ResourceType::Settings, &["self"], Some(node(namespace).to_string())).await;
        let response = self.next().await.unwrap();
        self.settle(&response, None).await;
        let any = response.resources[0].resource.clone().unwrap();
        let settings: crate::wire::proto::mesh::v1::Settings = prost::Message::decode(any.value).unwrap();
        settings.scope
    }
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let reached = async {
        while !condition() {
            sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(timeout(Duration::from_secs(10), reached).await.is_ok(), "never: {what}");
}

async fn target(directory: &Directory, authority: &str) -> Arc<Target> {
    match directory.resolve(authority).await {
        Resolution::Known(target) => target,
        other => panic!("{authority} is {other:?}"),
    }
}

fn weights(target: &Target) -> Vec<u32> {
    let Action::Forward(clusters) = &target.routes.routes.http[0].action else { panic!("the rule forwards") };
    clusters.iter().map(|cluster| cluster.weight).collect()
}

fn now_held(directory: &Directory, authority: &str) -> Option<Arc<Target>> {
    match directory.get(authority) {
        Some(Resolution::Known(target)) => Some(target),
        _ => None,
    }
}

#[tokio::test]
async fn two_namespaces_that_each_have_a_service_web_get_their_own() {
    let mesh = mesh().await;
    let (shop, bank) = (mesh.proxy("shop").await, mesh.proxy("bank").await);
    assert_ne!(shop.settings().scope, bank.settings().scope);
    let of_shop = target(&shop, "web").await;
    let of_bank = target(&bank, "web").await;
    assert_eq!(&*of_shop.service.host, "web.shop.svc.cluster.local");
    assert_eq!(&*of_bank.service.host, "web.bank.svc.cluster.local");
    assert_eq!(&*target(&shop, "web.bank").await.service.host, "web.bank.svc.cluster.local");
    // The rule speaks of the shop's `web`; the bank's is routed to itself.
    assert_eq!(weights(&of_shop), [90, 10]);
    assert_eq!(weights(&of_bank).len(), 1);
}

#[tokio::test]
async fn a_proxy_is_told_who_its_workload_is_and_what_it_answers_for() {
    let mesh = mesh().await;
    let directory = mesh.proxy("shop").await;
    let inbound = directory.inbound().unwrap();
    assert_eq!(inbound.workload.identity, Some(id("shop")));
    assert_eq!(&*inbound.workload.workload_name, "web-v1");
    assert_eq!(inbound.service(8080).map(|service| &*service.host), Some("web.shop.svc.cluster.local"));
    assert_eq!(directory.credentials().unwrap().svid.id, id("shop"));
    // A subset has the endpoints that its labels choose, each with the identity to expect there.
    let target = target(&directory, "web").await;
    let Action::Forward(clusters) = &target.routes.routes.http[0].action else { panic!("the rule forwards") };
    let v2 = target.routes.cluster(&clusters[1].cluster).unwrap();
    let found: Vec<_> =
        v2.endpoints.iter().map(|it| (it.address.to_string(), it.endpoint.workload.identity.clone())).collect();
    assert_eq!(found, [("10.0.1.2:8080".to_owned(), Some(id("shop")))]);
}

#[tokio::test]
async fn a_changed_weight_arrives() {
    let mesh = mesh().await;
    let directory = mesh.proxy("shop").await;
    assert_eq!(weights(&*target(&directory, "web").await), [90, 10]);
    let before = mesh.plane.generation();
    let (key, item) = canary(50);
    mesh.tell(Event::Apply(key, item)).await;
    until("the new weight is in force", || now_held(&directory, "web").is_some_and(|t| weights(&t) == [50, 50])).await;
    assert_eq!(mesh.plane.generation(), before + 1);
    until("the proxy is in sync", || mesh.plane.status()[0].generation == before + 1).await;
}

#[tokio::test]
async fn an_unknown_name_is_negative_until_the_service_appears() {
    let mesh = mesh().await;
    let directory = mesh.proxy("shop").await;
    assert!(matches!(directory.resolve("late").await, Resolution::Unknown));
    let (key, item) = service("shop", "late");
    mesh.tell(Event::Apply(key.clone(), item)).await;
    until("the service is known", || now_held(&directory, "late").is_some()).await;
    mesh.tell(Event::Delete(Kind::Service, key)).await;
    until("the service is gone", || now_held(&directory, "late").is_none()).await;
}

#[tokio::test]
async fn a_pod_that_becomes_ready_is_among_the_endpoints_and_one_that_goes_is_not() {
    let mesh = mesh().await;
    let directory = mesh.proxy("bank").await;
    let count = |directory: &Directory| {
        let target = now_held(directory, "web")?;
        let Action::Forward(clusters) = &target.routes.routes.http[0].action else { panic!("the rule forwards") };
        Some(target.routes.cluster(&clusters[0].cluster)?.endpoints.len())
    };
    target(&directory, "web").await;
    assert_eq!(count(&directory), Some(2));
    // The slice is ahead of the pod.
    let pods = [("web-v1", [10, 0, 2, 1]), ("web-v2", [10, 0, 2, 2]), ("web-v3", [10, 0, 2, 3])];
    let (key, item) = slice("bank", "web", &pods);
    mesh.tell(Event::Apply(key, item)).await;
    mesh.tell(Event::Apply(Key::new("bank", "web-v3"), pod([10, 0, 2, 3], "v3"))).await;
    until("there are three", || count(&directory) == Some(3)).await;
    let (key, item) = slice("bank", "web", &pods[2..]);
    mesh.tell(Event::Apply(key, item)).await;
    until("there is one", || count(&directory) == Some(1)).await;
}

#[tokio::test]
async fn a_name_of_anothers_scope_is_refused_and_counted() {
    let mesh = mesh().await;
    let bank = mesh.proxy("bank").await.settings().scope.clone();
    let mut stream = mesh.stream("shop").await;
    let own = stream.announce("shop").await;
    let (foreign, fine) = (format!("{bank}/web"), format!("{own}/web"));
    stream.ask(ResourceType::Service, &[&foreign, &fine], None).await;
    let response = stream.next().await.unwrap();
    assert_eq!(response.removed_resources, [foreign]);
    assert_eq!(response.resources.iter().map(|resource| &resource.name).collect::<Vec<_>>(), [&fine]);
    until("the refusal is counted", || mesh.plane.status().iter().any(|status| status.foreign_names == 1)).await;
}

#[tokio::test]
async fn a_refused_response_is_reported_and_the_next_change_is_sent_all_the_same() {
    let mesh = mesh().await;
    let mut stream = mesh.stream("shop").await;
    let scope = stream.announce("shop").await;
    let name = format!("{scope}/web.shop.svc.cluster.local");
    stream.ask(ResourceType::Routes, &[&name], None).await;
    let first = stream.next().await.unwrap();
    // Held back while the first is in flight, and merged.
    for weight in [20, 30] {
        let (key, item) = canary(weight);
        let before = mesh.plane.generation();
        mesh.tell(Event::Apply(key, item)).await;
        until("the change is published", || mesh.plane.generation() > before).await;
    }
    stream.settle(&first, Some("http[0]: is not to my liking")).await;
    let second = stream.next().await.unwrap();
    assert_ne!(second.resources[0].version, first.resources[0].version);
    let nack = mesh.plane.status()[0].last_nack.clone().unwrap();
    assert_eq!((nack.kind, nack.message.as_str()), (ResourceType::Routes, "http[0]: is not to my liking"));
    stream.settle(&second, None).await;
    let newest = mesh.plane.generation();
    until("the proxy is in sync", || mesh.plane.status()[0].generation == newest).await;
    assert!(mesh.plane.status()[0].last_nack.is_some());
}

#[tokio::test]
async fn nobody_speaks_for_a_pod_of_another_identity() {
    let mesh = mesh().await;
    let mut stream = mesh.stream("bank").await;
    stream.ask(ResourceType::Settings, &["self"], Some(node("shop").to_string())).await;
    let refused = stream.next().await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("shop/web-v1") && refused.message().contains("ns/bank"), "{refused}");
}

#[tokio::test]
async fn what_a_proxy_holds_already_is_not_sent_again() {
    let mesh = mesh().await;
    let mut stream = mesh.stream("shop").await;
    let scope = stream.announce("shop").await;
    let (web, other) = (format!("{scope}/web"), format!("{scope}/web.bank"));
    stream.ask(ResourceType::Service, &[&web], None).await;
    let version = stream.next().await.unwrap().resources[0].version.clone();

    let mut stream = mesh.stream("shop").await;
    stream.announce("shop").await;
    let request = DeltaDiscoveryRequest {
        type_url: ResourceType::Service.url().to_owned(),
        resource_names_subscribe: vec![web.clone(), other.clone()],
        initial_resource_versions: [(web, version)].into(),
        ..DeltaDiscoveryRequest::default()
    };
    stream.requests.send(request).await.unwrap();
    let response = stream.next().await.unwrap();
    assert_eq!(response.resources.iter().map(|resource| &resource.name).collect::<Vec<_>>(), [&other]);
}

#[tokio::test]
async fn it_ends_when_told_to() {
    let mesh = mesh().await;
    let directory = mesh.proxy("shop").await;
    mesh.token.cancel();
    assert!(timeout(Duration::from_secs(10), mesh.plane.stopped()).await.is_ok());
    assert!(mesh.plane.connect_in_memory(id("shop")).await.is_err());
    // What is held stays in force.
    assert!(directory.inbound().is_some());
}

fn peer_authentication(mode: &str) -> (Key, Item) {
    let value: Value = json!({
        "apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication",
        "metadata": {"name": "default", "namespace": "shop"}, "spec": {"mtls": {"mode": mode}},
    });
    (Key::new("shop", "default"), Item::PeerAuthentication(Arc::new(Object::from_value(&value).unwrap())))
}

#[tokio::test]
async fn a_changed_mode_of_mutual_tls_reaches_the_workload_and_those_who_call_it() {
    let mesh = mesh().await;
    let (callee, caller) = (mesh.proxy("shop").await, mesh.proxy("bank").await);
    target(&caller, "web.shop").await;
    let speaks_tls = || {
        let target = now_held(&caller, "web.shop")?;
        let Action::Forward(clusters) = &target.routes.routes.http[0].action else { return None };
        let cluster = target.routes.cluster(&clusters[0].cluster)?;
        cluster.endpoints.first().map(|endpoint| endpoint.endpoint.speaks_tls(8080))
    };
    for (mode, expected) in [
        ("STRICT", MtlsMode::Strict),
        ("DISABLE", MtlsMode::Disable),
        ("PERMISSIVE", MtlsMode::Permissive),
        ("DISABLE", MtlsMode::Disable),
    ] {
        let (key, item) = peer_authentication(mode);
        mesh.tell(Event::Apply(key, item)).await;
        until(mode, || callee.inbound().is_some_and(|inbound| inbound.mtls(8080).0 == expected)).await;
        until(mode, || speaks_tls() == Some(expected != MtlsMode::Disable)).await;
    }
    mesh.tell(Event::Delete(Kind::PeerAuthentication, Key::new("shop", "default"))).await;
    until("permissive again", || speaks_tls() == Some(true)).await;
}

#[tokio::test]
async fn a_root_is_replaced_while_both_are_believed() {
    let mesh = mesh().await;
    let directory = mesh.proxy("shop").await;
    let domain = TrustDomain::new("cluster.local").unwrap();
    let believed = |directory: &Directory| directory.credentials().unwrap().bundle.roots(&domain).len();
    assert_eq!(believed(&directory), 1);
    let files = tempfile::tempdir().unwrap();
    let new = Authority::load_or_create(&files.path().join("new"), &domain).unwrap();
    let old_root = mesh.authority.root_pem();
    let both = files.path().join("new/root-cert.pem");
    std::fs::write(&both, old_root.clone() + &new.root_pem()).unwrap();
    let new = Arc::new(Authority::load_or_create(&files.path().join("new"), &domain).unwrap());
    let before = directory.credentials().unwrap().svid.chain.clone();
    mesh.plane.replace_authority(new.clone());
    until("both roots are believed", || believed(&directory) == 2).await;
    assert_eq!(directory.credentials().unwrap().svid.chain, before, "the certificate stays until it is due");
    // Who comes later has a certificate of the new one, and believes both.
    let later = mesh.proxy("bank").await;
    assert_eq!(believed(&later), 2);
    let (old, new) = (directory.credentials().unwrap(), later.credentials().unwrap());
    // Each proves itself to the other.
    for (server, client) in [(&old, &new), (&new, &old)] {
        let (near, far) = tokio::io::duplex(16 << 10);
        let connector = tokio_rustls::TlsConnector::from(
            client.client_tls(&server.svid.id, crate::proxy::directory::Spoken::Http1).unwrap(),
        );
        let name = rustls::pki_types::ServerName::try_from("web").unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(server.server_tls.clone());
        let (connected, accepted) = tokio::join!(connector.connect(name, near), acceptor.accept(far));
        assert!(connected.is_ok() && accepted.is_ok(), "{connected:?} {accepted:?}");
    }
}
