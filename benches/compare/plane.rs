//! The control plane that tells mesh's sidecars what to do, in this process, and the authority that everybody's certificates
//! come from.

use std::convert::Infallible;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use mesh::compile;
use mesh::control::source::{Event, Item, Key, Kind, PodItem, ServiceItem, SliceEndpoint, SliceItem};
use mesh::control::{ControlPlane, Options, ServerOptions, Source};
use mesh::identity::{Authority, TrustDomain};
use mesh::model::{GatewayTopology, Health, OutboundMode};
use mesh::resources::Object;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, SanType};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::backend::Speaks;
use crate::process::{Process, free};

/// Where the caller and the called are.
pub const NAMESPACE: &str = "shop";
/// Of whom the called side takes requests, and for what not.
pub const FORBIDDEN: &str = "/private";
/// What the caller has to know to use its sidecar.
pub const TOKEN: &str = "bench";
/// Pods of each service that nobody calls.
const PODS: usize = 2;

/// A control plane at work.
pub struct Plane {
    mesh: PathBuf,
    address: SocketAddr,
    files: tempfile::TempDir,
    token: CancellationToken,
    _events: mpsc::Sender<Event>,
}

impl Drop for Plane {
    fn drop(&mut self) {
        self.token.cancel();
    }
}

/// The service that is called: where its sidecar listens and what it speaks.
#[derive(Debug, Clone, Copy)]
pub struct Called {
    pub sidecar: SocketAddr,
    pub speaks: Speaks,
}

impl Plane {
    /// Starts one that knows the called service, and so many others.
    pub async fn start(mesh: &Path, called: Called, others: usize) -> Result<Self, String> {
        let files = tempfile::tempdir().map_err(said)?;
        let trust_domain = TrustDomain::new("cluster.local").map_err(said)?;
        let authority = Arc::new(Authority::load_or_create(&files.path().join("ca"), &trust_domain).map_err(said)?);
        std::fs::write(files.path().join("root.pem"), authority.root_pem()).map_err(said)?;
        let (events, source) = mpsc::channel(16);
        let token = CancellationToken::new();
        let options = Options {
            source: Source::Memory(source),
            authority,
            trust_domain,
            cluster: "Kubernetes".into(),
            domain: "cluster.local".into(),
            root_namespace: "istio-system".into(),
            outbound_mode: OutboundMode::RegistryOnly,
            access_log: true,
            candidate: None,
            way_in: None,
        };
        let plane = ControlPlane::start(options, token.clone());
        let items = items(called, others)?;
        for kind in Kind::ALL {
            let of_kind = items.iter().filter(|(_, item)| item.kind() == kind).cloned().collect();
            events.send(Event::Replace(kind, of_kind)).await.map_err(said)?;
        }
        let listener = std::net::TcpListener::bind("127.0.0.1:0").map_err(said)?;
        let address = listener.local_addr().map_err(said)?;
        let served = plane.serve(ServerOptions {
            listener,
            names: vec!["localhost".to_owned()],
            addresses: Vec::new(),
            token_reviews: Some(kube::Client::new(Reviews, "default")),
        });
        served.map_err(said)?;
        if !plane.ready().await {
            return Err("the control plane has stopped".to_owned());
        }
        Ok(Self { mesh: mesh.to_owned(), address, files, token, _events: events })
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// Starts the sidecar of `pod`, which is also the name of its service account.
    pub fn sidecar(&self, pod: &str, ip: Ipv4Addr, more: &[String]) -> Result<Process, String> {
        let token = self.file(&format!("{pod}.token"));
        std::fs::write(&token, pod).map_err(said)?;
        let text = |path: PathBuf| path.display().to_string();
        let mut arguments: Vec<String> = ["proxy", "--pod", pod, "--namespace", NAMESPACE].map(str::to_owned).into();
        for (flag, value) in [
            ("--xds-address", format!("localhost:{}", self.address.port())),
            ("--xds-ca", text(self.file("root.pem"))),
            ("--token-file", text(token)),
            ("--pod-ip", ip.to_string()),
            ("--status-address", free()?.to_string()),
            ("--admin-address", free()?.to_string()),
        ] {
            arguments.extend([flag.to_owned(), value]);
        }
        arguments.extend_from_slice(more);
        Process::start(&self.mesh, &[], |_| arguments.clone())
    }

    /// Makes `name.pem` beside the roots, a certificate of the workload `name` from the mesh's authority and its key, and answers
    /// both.
    pub fn certify(&self, name: &str) -> Result<(String, String), String> {
        let read = |file: &str| std::fs::read_to_string(self.file("ca").join(file)).map_err(said);
        let key = rcgen::KeyPair::from_pem(&read("ca-key.pem")?).map_err(said)?;
        let issuer = Issuer::from_ca_cert_pem(&read("ca-cert.pem")?, key).map_err(said)?;
        let mut params = CertificateParams::new(vec!["web".to_owned()]).map_err(said)?;
        let id = identity(name);
        params.subject_alt_names.push(SanType::URI(id.as_str().try_into().map_err(said)?));
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = rcgen::KeyPair::generate().map_err(said)?;
        let certificate = params.signed_by(&key, &issuer).map_err(said)?;
        let (chain, key) = (certificate.pem(), key.serialize_pem());
        std::fs::write(self.file(&format!("{name}.pem")), format!("{chain}{key}")).map_err(said)?;
        Ok((chain, key))
    }
}

/// SPIFFE id of a service account of the namespace.
pub fn identity(account: &str) -> String {
    format!("spiffe://cluster.local/ns/{NAMESPACE}/sa/{account}")
}

/// An error as text.
pub fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn pod(name: &str, address: [u8; 4]) -> (Key, Item) {
    let item = PodItem {
        is_ready: true,
        addresses: vec![address.into()],
        service_account: name.into(),
        labels: [("app".into(), name.into()), ("version".into(), "v1".into())].into(),
        workload_name: name.into(),
        has_proxy: true,
        is_gateway: false,
        topology: GatewayTopology::default(),
        node: "".into(),
    };
    (Key::new(NAMESPACE, name), Item::Pod(item))
}

fn service(name: &str, port: &str, target: u16, pods: &[(String, [u8; 4])]) -> Result<[(Key, Item); 2], String> {
    let value = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"ports": [{"name": port, "port": 80}]}});
    let service = Arc::new(compile::service(&value, "cluster.local", None).ok_or("a service is not understood")?);
    let endpoint = |(pod, address): &(String, [u8; 4])| SliceEndpoint {
        address: (*address).into(),
        pod: Some(Key::new(NAMESPACE, pod)),
        health: Health::Healthy,
    };
    let slice = SliceItem {
        service: name.into(),
        ports: vec![(port.into(), target)],
        endpoints: pods.iter().map(endpoint).collect(),
    };
    Ok([
        (Key::new(NAMESPACE, name), Item::Service(ServiceItem { service, created: None, published: Arc::default() })),
        (Key::new(NAMESPACE, &format!("{name}-1")), Item::EndpointSlice(slice)),
    ])
}

fn items(called: Called, others: usize) -> Result<Vec<(Key, Item)>, String> {
    let port = match called.speaks {
        Speaks::Http1 => "http",
        Speaks::Http2 => "http2",
        Speaks::Bytes => "tcp",
    };
    let mut items = vec![pod("client", [127, 0, 0, 2]), pod("server", [127, 0, 0, 1])];
    items.extend(service("web", port, called.sidecar.port(), &[("server".to_owned(), [127, 0, 0, 1])])?);
    let strict = json!({"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication",
        "metadata": {"name": "default", "namespace": NAMESPACE}, "spec": {"mtls": {"mode": "STRICT"}}});
    let strict = Object::from_value(&strict).map_err(said)?;
    items.push((Key::new(NAMESPACE, "default"), Item::PeerAuthentication(Arc::new(strict))));
    let mut rule = json!({"from": [{"source": {"principals": [identity("client").trim_start_matches("spiffe://")]}}]});
    if called.speaks != Speaks::Bytes {
        rule["to"] = json!([{"operation": {"notPaths": [format!("{FORBIDDEN}*")]}}]);
    }
    let allowed = json!({"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
        "metadata": {"name": "web", "namespace": NAMESPACE}, "spec": {"rules": [rule]}});
    let allowed = Object::from_value(&allowed).map_err(said)?;
    items.push((Key::new(NAMESPACE, "web"), Item::AuthorizationPolicy(Arc::new(allowed))));
    for number in 0..others {
        let name = format!("other-{number}");
        let address = |pod: usize| [10, (number >> 8) as u8, number as u8, pod as u8 + 1];
        let pods: Vec<(String, [u8; 4])> = (0..PODS).map(|pod| (format!("{name}-{pod}"), address(pod))).collect();
        items.extend(pods.iter().map(|(name, address)| pod(name, *address)));
        items.extend(service(&name, "http", 8080, &pods)?);
    }
    Ok(items)
}

/// An API server that reviews tokens, and does nothing else: a token is the name of its service account.
#[derive(Clone)]
struct Reviews;

impl tower::Service<Request<kube::client::Body>> for Reviews {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<kube::client::Body>) -> Self::Future {
        Box::pin(async move {
            let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            let mut review: Value = serde_json::from_slice(&body).unwrap_or_default();
            let account = review.pointer("/spec/token").and_then(Value::as_str).unwrap_or_default();
            let user = format!("system:serviceaccount:{NAMESPACE}:{account}");
            let status = json!({"authenticated": true, "audiences": ["istio-ca"], "user": {"username": user}});
            review["status"] = status;
            Ok(Response::new(Full::new(review.to_string().into())))
        })
    }
}

/// How long a sidecar may take to be told everything.
pub const READY: Duration = Duration::from_secs(30);
