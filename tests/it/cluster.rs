//! A cluster for tests: the built-in API server in this process, and `mesh` executables that are its control plane and proxies.

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use mesh::identity::{Authority, TrustDomain};
use mesh::resources;
use mesh::runtime::apiserver::{ApiServer, Options, kubeconfig};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::harness::MESH;

/// How long anything may take that is waited for.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The API server, and where its files are.
pub struct Cluster {
    pub server: Arc<ApiServer>,
    pub directory: tempfile::TempDir,
    stop: CancellationToken,
    /// Whether the API server can be reached over the network.
    reachable: watch::Sender<bool>,
}

/// Carries connections to the API server as long as it is to be reachable, and cuts them when it is not any more.
async fn carry(from: tokio::net::TcpListener, to: SocketAddr, reachable: watch::Receiver<bool>) {
    let mut carried = JoinSet::new();
    while let Ok((mut near, _)) = from.accept().await {
        let mut reachable = reachable.clone();
        carried.spawn(async move {
            if *reachable.borrow()
                && let Ok(mut far) = tokio::net::TcpStream::connect(to).await
            {
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                    _ = reachable.wait_for(|reachable| !reachable) => {}
                }
            }
        });
        while carried.try_join_next().is_some() {}
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Cluster {
    /// An API server on a port of its own, with the mesh's definitions and the namespace `istio-system`.
    pub async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let server = Arc::new(ApiServer::open(Options::new(&data)).unwrap());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let way = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", way.local_addr().unwrap());
        let authority =
            Authority::load_or_create(&directory.path().join("ca"), &TrustDomain::new("cluster.local").unwrap())
                .unwrap();
        let (chain, key) =
            authority.sign_server(&[], &["127.0.0.1".parse().unwrap()], Duration::from_secs(3600)).unwrap();
        let tls = mesh::tls::server(chain, key.private_key(), &[b"h2", b"http/1.1"]).unwrap();
        let stop = CancellationToken::new();
        let reachable = watch::Sender::new(true);
        let carrying = carry(way, listener.local_addr().unwrap(), reachable.subscribe());
        tokio::spawn(stop.clone().run_until_cancelled_owned(carrying));
        let (serving, until) = (server.clone(), stop.clone());
        tokio::spawn(async move { serving.serve(listener, Some(tls), until).await });
        let config = kubeconfig(&url, &authority.root_pem(), server.admin_token());
        std::fs::write(directory.path().join("kubeconfig"), config).unwrap();
        let cluster = Self { server, directory, stop, reachable };
        for definition in resources::crds() {
            cluster.apply(&definition).await;
        }
        cluster.namespace("istio-system").await;
        cluster
    }

    /// Whether the control plane, and everybody else but these tests, reaches the API server from now on.
    pub fn set_reachable(&self, reachable: bool) {
        self.reachable.send_replace(reachable);
    }

    pub fn client(&self) -> kube::Client {
        self.server.client("test")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub async fn namespace(&self, name: &str) {
        self.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})).await;
    }

    /// Applies one object.
    pub async fn apply(&self, object: &Value) {
        let (api, name) = self.api(object);
        let parameters = PatchParams::apply("test").force();
        if let Err(error) = api.patch(&name, &parameters, &Patch::Apply(object)).await {
            panic!("{name}: {error}");
        }
    }

    /// Applies the objects of a YAML text.
    pub async fn apply_yaml(&self, text: &str) {
        for document in mesh::yaml::load("test.yaml", text.as_bytes()).documents {
            self.apply(&document.value).await;
        }
    }

    pub async fn delete(&self, object: &Value) {
        let (api, name) = self.api(object);
        api.delete(&name, &kube::api::DeleteParams::default()).await.unwrap();
    }

    fn api(&self, object: &Value) -> (Api<DynamicObject>, String) {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let api_version = text("/apiVersion");
        let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
        let kind = GroupVersionKind::gvk(group, version, &text("/kind"));
        let known = mesh::resources::kinds::of(object).map(|kind| kind.plural.to_owned());
        let plural = known.unwrap_or_else(|| format!("{}s", kind.kind.to_lowercase()));
        let resource = ApiResource::from_gvk_with_plural(&kind, &plural);
        let api = match text("/metadata/namespace") {
            namespace if namespace.is_empty() => Api::all_with(self.client(), &resource),
            namespace => Api::namespaced_with(self.client(), &namespace, &resource),
        };
        (api, text("/metadata/name"))
    }

    /// A pod with a proxy before it, of the service account `account`, at an address.
    pub async fn pod(&self, namespace: &str, name: &str, account: &str, address: IpAddr, labels: &Value) {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client(), namespace);
        if accounts.get_opt(account).await.unwrap().is_none() {
            let object = json!({"apiVersion": "v1", "kind": "ServiceAccount",
                "metadata": {"name": account, "namespace": namespace}});
            self.apply(&object).await;
        }
        let mut labels = labels.clone();
        labels["security.istio.io/tlsMode"] = "istio".into();
        // A gateway is a pod with nothing but a proxy.
        let container = if labels.get("istio").is_some() { "istio-proxy" } else { "app" };
        let pod = json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "spec": {"serviceAccountName": account, "containers": [{"name": container, "image": "app:1"}]}});
        self.apply(&pod).await;
        let status = json!({"status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}});
        let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(self.client(), namespace);
        pods.patch_status(name, &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
    }

    /// A service `name` with one port, and its endpoints: addresses, and the pods that have them.
    pub async fn service(
        &self,
        namespace: &str,
        name: &str,
        port: (&str, u16, u16),
        endpoints: &[(IpAddr, Option<&str>)],
    ) {
        let (port_name, number, target) = port;
        self.apply(&json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"ports": [{"name": port_name, "port": number, "targetPort": target, "protocol": "TCP"}]}}))
            .await;
        let endpoints: Vec<Value> = endpoints
            .iter()
            .map(|(address, pod)| {
                let mut endpoint = json!({"addresses": [address], "conditions": {"ready": true}});
                if let Some(pod) = pod {
                    endpoint["targetRef"] = json!({"kind": "Pod", "name": pod, "namespace": namespace});
                }
                endpoint
            })
            .collect();
        self.apply(&json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": format!("{name}-1"), "namespace": namespace,
                "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4", "endpoints": endpoints,
            "ports": [{"name": port_name, "port": target, "protocol": "TCP"}]}))
            .await;
    }

    /// Writes a token of the service account, bound to the pod, and answers its file.
    pub async fn token(&self, namespace: &str, account: &str, pod: &str) -> PathBuf {
        let request: TokenRequest = serde_json::from_value(json!({"spec": {"audiences": ["istio-ca"],
            "expirationSeconds": 3600, "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": pod}}}))
        .unwrap();
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client(), namespace);
        let made = accounts.create_token_request(account, &PostParams::default(), &request).await.unwrap();
        let path = self.path(&format!("{namespace}-{pod}.token"));
        std::fs::write(&path, made.status.and_then(|status| status.token).unwrap()).unwrap();
        path
    }

    /// Waits for the roots in a namespace, and answers the file that they are written to.
    pub async fn roots(&self, namespace: &str) -> PathBuf {
        let maps: Api<ConfigMap> = Api::namespaced(self.client(), namespace);
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(map) = maps.get_opt("istio-ca-root-cert").await.unwrap() {
                let path = self.path(&format!("{namespace}-root.pem"));
                std::fs::write(&path, &map.data.unwrap()["root-cert.pem"]).unwrap();
                return path;
            }
            assert!(Instant::now() < deadline, "no roots in {namespace}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// `mesh control-plane` on this cluster, at `xds`.
    pub fn control_plane(&self, xds: SocketAddr, more: &[&str]) -> Process {
        let mut command = Command::new(MESH);
        command.arg("control-plane").arg("--kubeconfig").arg(self.path("kubeconfig"));
        command.args(["--xds-address", &xds.to_string(), "--name", "localhost"]);
        command.args(["--health-address", &free().to_string(), "--monitoring-address", &free().to_string()]);
        command.args(["--webhook-address", &free().to_string()]);
        Process::start("control-plane", command.args(more), self.directory.path())
    }

    /// `mesh proxy` of a pod, with everything that it needs to prove itself.
    pub async fn proxy(&self, xds: SocketAddr, pod: (&str, &str, &str, IpAddr), more: &[&str]) -> Process {
        let (namespace, name, account, address) = pod;
        let token = self.token(namespace, account, name).await;
        self.proxy_with(xds, (namespace, name, address), &token, more).await
    }

    /// The same, with a token of somebody's choice.
    pub async fn proxy_with(
        &self,
        xds: SocketAddr,
        (namespace, name, address): (&str, &str, IpAddr),
        token: &Path,
        more: &[&str],
    ) -> Process {
        let roots = self.roots(namespace).await;
        let mut command = Command::new(MESH);
        command.args(["proxy", "--xds-address", &format!("localhost:{}", xds.port())]);
        command.arg("--xds-ca").arg(roots).arg("--token-file").arg(token);
        command.args(["--pod", name, "--namespace", namespace, "--pod-ip", &address.to_string()]);
        command.args(["--status-address", &free().to_string(), "--admin-address", &free().to_string()]);
        Process::start(name, command.args(more), self.directory.path())
    }
}

/// A running `mesh`, ended with the test.
pub struct Process {
    child: Child,
    said: Arc<Mutex<String>>,
    name: String,
}

impl Process {
    fn start(name: &str, command: &mut Command, home: &Path) -> Self {
        let command = command.env("HOME", home).env("NO_COLOR", "1").env_remove("POD_NAME").env_remove("POD_NAMESPACE");
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        for reader in [Box::new(out) as Box<dyn std::io::Read + Send>, Box::new(err)] {
            let said = said.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(reader).lines().map_while(Result::ok) {
                    let mut said = said.lock().unwrap();
                    said.push_str(&line);
                    said.push('\n');
                }
            });
        }
        Self { child, said, name: name.to_owned() }
    }

    /// Everything that it has said, on both streams.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits until it has said `text`.
    pub async fn says(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.said().contains(text) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "{} ended ({ended:?}) and said:\n{}", self.name, self.said());
            assert!(Instant::now() < deadline, "{} never said {text:?}, but:\n{}", self.name, self.said());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// Ends it as `kill -9` does.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it politely, and answers its exit code.
    pub fn stop(mut self) -> Option<i32> {
        self.signal(Signal::SIGTERM);
        self.child.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{} said:\n{}", self.name, self.said());
        }
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address on 127.0.0.1 that nobody listens on.
pub fn free() -> SocketAddr {
    free_on("127.0.0.1".parse().unwrap())
}

/// An address on `ip` that nobody listens on.
pub fn free_on(ip: IpAddr) -> SocketAddr {
    TcpListener::bind((ip, 0)).unwrap().local_addr().unwrap()
}
