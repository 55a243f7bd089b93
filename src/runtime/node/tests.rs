//! The node with real processes: this test binary becomes the containers, through
//! [`container_process_entry`].

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use k8s_openapi::api::core::v1::PodStatus;
use kube::api::{DeleteParams, PostParams};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use parking_lot::Mutex;
use serde_json::Value;

use super::logs::LogQuery;
use super::network::{HostNetwork, NetworkError, PodAttachment, PodSpecLite};
use super::pod_exec::{PodExec, run};
use super::*;
use crate::runtime::controllers::fake_api::{FakeApi, until};

const ENTRY: &str = "runtime::node::tests::container_process_entry";
const PARENT_ENTRY: &str = "runtime::node::tests::parent_process_entry";
const REVIEWS: &str = "registry.istio.io/release/examples-bookinfo-reviews-v1:1.20.3";
const HTTPBIN: &str = "mesh.internal/httpbin";

/// What follows `--nocapture` on the command line: this process was started to be something else than a test run.
fn role_arguments() -> Vec<String> {
    std::env::args().skip_while(|argument| argument != "--nocapture").skip(1).collect()
}

fn pod_exec_command() -> Vec<OsString> {
    let mut command = vec![std::env::current_exe().unwrap().into_os_string()];
    command.extend(["--exact", ENTRY, "--nocapture"].map(OsString::from));
    command
}

/// Not a test of its own: the container process of the tests below.
#[test]
fn container_process_entry() {
    if let [parent, pod, image, command @ ..] = role_arguments().as_slice() {
        let exec = PodExec {
            parent: parent.parse().unwrap(),
            pod: pod.clone(),
            image: image.clone(),
            command: command.to_vec(),
            program: pod_exec_command(),
        };
        run(&exec).unwrap();
        std::process::exit(0);
    }
}

/// Not a test of its own: a runtime that starts one container and is then killed.
#[test]
fn parent_process_entry() {
    if let [pod] = role_arguments().as_slice() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let mut command = pod_exec_command();
            command.extend(
                [std::process::id().to_string(), pod.clone(), "mesh.internal/sleep".to_owned()].map(Into::into),
            );
            let process = spawn::Process { command, env: Vec::new(), directory: std::env::temp_dir(), input: false };
            // Kept: the children of a spawner end with it.
            let spawner = Spawner::start().unwrap();
            let _child = spawner.spawn(process).await.unwrap();
            tokio::time::sleep(Duration::from_secs(60)).await;
        });
    }
}

/// Processes that are a container of this pod.
fn processes_of(pod: &str) -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let arguments: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
            arguments.contains(&ENTRY.as_bytes()) && arguments.contains(&pod.as_bytes())
        })
        .collect()
}

/// An address no other test listens on.
fn own_address() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let pid = std::process::id();
    Ipv4Addr::new(127, 200 + (pid >> 8 & 0x1f) as u8, pid as u8, NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A network with a proxy that becomes ready when told, and that records who was attached.
struct GatedNetwork {
    ip: Ipv4Addr,
    ready: AtomicBool,
    attached: Mutex<Vec<PodSpecLite>>,
}

impl PodNetwork for GatedNetwork {
    fn attach(&self, pod: &PodSpecLite) -> BoxFuture<'_, Result<PodAttachment, NetworkError>> {
        self.attached.lock().push(pod.clone());
        let attachment =
            PodAttachment { pod_ip: IpAddr::V4(Ipv4Addr::LOCALHOST), app_ip: self.ip.into(), env: Vec::new() };
        Box::pin(async move { Ok(attachment) })
    }

    fn detach(&self, uid: &str) -> BoxFuture<'_, ()> {
        self.attached.lock().retain(|pod| pod.uid != uid);
        Box::pin(async {})
    }

    fn sidecar_ready(&self, _uid: &str) -> bool {
        self.ready.load(Ordering::Relaxed)
    }
}

struct World {
    api: FakeApi,
    directory: tempfile::TempDir,
    logs: Arc<LogStore>,
    network: Arc<dyn PodNetwork>,
    ip: Ipv4Addr,
    namespace: String,
    node: Option<(Node, CancellationToken)>,
}

impl World {
    fn start() -> Self {
        let ip = own_address();
        Self::with_network(ip, Arc::new(HostNetwork::new(ip.into())))
    }

    fn with_network(ip: Ipv4Addr, network: Arc<dyn PodNetwork>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let logs = LogStore::open(directory.path().join("logs")).unwrap();
        let namespace = format!("n{}", ip.to_string().replace('.', "-"));
        let mut world = Self { api: FakeApi::new(), directory, logs, network, ip, namespace, node: None };
        world.start_node();
        world
    }

    fn start_node(&mut self) {
        let mut options = NodeOptions::new("node", self.directory.path(), self.ip.into(), Arc::clone(&self.logs));
        options.pod_exec = pod_exec_command();
        options.max_pods = 2;
        let stop = CancellationToken::new();
        let node = Node::start(self.api.client(), options, Arc::clone(&self.network), stop.clone()).unwrap();
        self.node = Some((node, stop));
    }

    async fn stop_node(&mut self) {
        let (node, stop) = self.node.take().unwrap();
        stop.cancel();
        node.join().await;
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.api.client(), &self.namespace)
    }

    async fn create(&self, name: &str, spec: Value) {
        let pod = json!({ "metadata": { "name": name }, "spec": spec });
        self.pods().create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    }

    async fn status(&self, name: &str, what: &str, check: impl Fn(&PodStatus) -> bool) -> PodStatus {
        until(&format!("{name}: {what}"), || async {
            let status = self.pods().get(name).await.unwrap().status.unwrap_or_default();
            check(&status).then_some(status)
        })
        .await
    }

    async fn ready(&self, name: &str) -> PodStatus {
        self.status(name, "becomes ready", is_ready).await
    }

    fn processes(&self, name: &str) -> Vec<i32> {
        processes_of(&format!("{}/{name}", self.namespace))
    }
}

fn is_ready(status: &PodStatus) -> bool {
    status.conditions.iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn one_container(image: &str) -> Value {
    json!({ "containers": [{ "name": "app", "image": image }], "terminationGracePeriodSeconds": 10 })
}

async fn get(ip: Ipv4Addr, port: u16, path: &str) -> crate::runtime::samples::Fetched {
    let client = crate::runtime::samples::Client::new(None);
    client.get(&format!("http://{ip}:{port}{path}"), http::HeaderMap::new(), Duration::from_secs(10)).await.unwrap()
}

#[tokio::test]
async fn a_pod_runs_logs_and_ends() {
    let world = World::start();
    world.create("web", one_container(REVIEWS)).await;
    let status = world.ready("web").await;
    assert_eq!(status.phase.as_deref(), Some("Running"));
    assert_eq!(status.pod_ip, Some(world.ip.to_string()));
    assert_eq!(world.pods().get("web").await.unwrap().spec.unwrap().node_name.as_deref(), Some("node"));
    let answer: Value = serde_json::from_slice(&get(world.ip, 9080, "/reviews/0").await.body).unwrap();
    assert_eq!(answer["podname"], "web");

    until("the request is in the log", || async {
        let log = world.logs.read(&world.namespace, "web", Some("app"), LogQuery::default()).unwrap();
        let text: Vec<_> = log.map(|part| String::from_utf8(part.unwrap().to_vec()).unwrap()).collect().await;
        text.concat().contains("GET /reviews/0 200").then_some(())
    })
    .await;

    assert_eq!(world.processes("web").len(), 1);
    world.pods().delete("web", &DeleteParams::default()).await.unwrap();
    until("the object is removed", || async { world.pods().get_opt("web").await.unwrap().is_none().then_some(()) })
        .await;
    assert_eq!(world.processes("web"), [] as [i32; 0]);
    assert!(world.logs.read(&world.namespace, "web", None, LogQuery::default()).is_err());
}

#[tokio::test]
async fn the_environment_is_the_pod_s_own_and_nothing_else() {
    let world = World::start();
    let mut spec = one_container("mesh.internal/examples-helloworld-v1");
    spec["containers"][0]["env"] = json!([
        { "name": "BASE", "value": "v9" },
        { "name": "SERVICE_VERSION", "value": "$(BASE)-x" },
        { "name": "HOSTNAME", "valueFrom": { "fieldRef": { "fieldPath": "metadata.namespace" } } },
    ]);
    world.create("hello", spec).await;
    world.ready("hello").await;
    let answer = get(world.ip, 5000, "/hello").await;
    assert_eq!(answer.body, format!("Hello version: v9-x, instance: {}\n", world.namespace));
    let pid = world.processes("hello")[0];
    let environ = std::fs::read_to_string(format!("/proc/{pid}/environ")).unwrap();
    // This test's own process has both.
    for inherited in [format!("PATH={}", std::env::var("PATH").unwrap_or_default()), "CARGO".to_owned()] {
        assert!(!environ.split('\0').any(|variable| variable.starts_with(&inherited)), "{environ}");
    }
}

#[tokio::test]
async fn an_unknown_image_waits_and_says_what_to_do() {
    let world = World::start();
    for (name, image, said) in [
        ("db", "docker.io/library/postgres:16", "ServiceEntry"),
        ("metrics", "docker.io/prom/prometheus:v3.10.0", "15090/stats/prometheus"),
    ] {
        let mut spec = one_container(image);
        // Of what cannot run no probe is a problem.
        spec["containers"][0]["readinessProbe"] = json!({"grpc": {"port": 8080}});
        world.create(name, spec).await;
        let status = world.status(name, "waits", |status| status.container_statuses.is_some()).await;
        let waiting = status.container_statuses.unwrap()[0].state.clone().unwrap().waiting.unwrap();
        assert_eq!(waiting.reason.as_deref(), Some("ImageNotKnown"));
        let message = waiting.message.unwrap();
        assert!(message.contains(image) && message.contains(said), "{message}");
        assert_eq!(status.phase.as_deref(), Some("Pending"));
    }
}

#[tokio::test]
async fn a_missing_config_map_keeps_the_container_waiting_until_it_is_there() {
    use k8s_openapi::api::core::v1::ConfigMap;
    let world = World::start();
    let mut spec = one_container("mesh.internal/examples-helloworld-v1");
    spec["containers"][0]["env"] = json!([{ "name": "SERVICE_VERSION", "valueFrom": { "configMapKeyRef": { "name": "settings", "key": "version" } } }]);
    world.create("hello", spec).await;
    let waits = |status: &PodStatus| {
        let state = status.container_statuses.as_ref().and_then(|all| all[0].state.clone()?.waiting);
        state.is_some_and(|waiting| waiting.reason.as_deref() == Some("CreateContainerConfigError"))
    };
    let status = world.status("hello", "waits for its ConfigMap", waits).await;
    let message = status.container_statuses.unwrap()[0].state.clone().unwrap().waiting.unwrap().message.unwrap();
    assert!(message.contains("ConfigMap settings does not exist"), "{message}");
    let settings = json!({ "metadata": { "name": "settings" }, "data": { "version": "v7" } });
    let api = Api::<ConfigMap>::namespaced(world.api.client(), &world.namespace);
    api.create(&PostParams::default(), &serde_json::from_value(settings).unwrap()).await.unwrap();
    world.ready("hello").await;
    assert!(get(world.ip, 5000, "/hello").await.body.starts_with(b"Hello version: v7"));
}

#[tokio::test]
async fn a_killed_container_is_restarted_and_counted() {
    let world = World::start();
    world.create("web", one_container(REVIEWS)).await;
    world.ready("web").await;
    kill(Pid::from_raw(world.processes("web")[0]), Signal::SIGKILL).unwrap();
    let restarted = |status: &PodStatus| {
        is_ready(status) && status.container_statuses.as_ref().is_some_and(|all| all[0].restart_count == 1)
    };
    let status = world.status("web", "is restarted", restarted).await;
    let last = status.container_statuses.unwrap()[0].last_state.clone().unwrap().terminated.unwrap();
    assert_eq!((last.exit_code, last.signal), (137, Some(9)));
}

#[tokio::test]
async fn a_failed_liveness_probe_restarts_and_a_failed_readiness_probe_does_not() {
    let world = World::start();
    let mut spec = one_container(HTTPBIN);
    let failing =
        json!({ "httpGet": { "path": "/status/500", "port": 8080 }, "periodSeconds": 1, "failureThreshold": 1 });
    spec["containers"][0]["livenessProbe"] = failing.clone();
    world.create("dead", spec.clone()).await;
    let restarted = |status: &PodStatus| status.container_statuses.as_ref().is_some_and(|all| all[0].restart_count > 0);
    let status = world.status("dead", "is restarted", restarted).await;
    let last = status.container_statuses.unwrap()[0].last_state.clone().unwrap().terminated.unwrap();
    assert!(last.message.unwrap().contains("liveness probe failed: "));
    assert_ne!(last.signal, Some(9), "it is asked to end before it is made to");
    world.pods().delete("dead", &DeleteParams::default()).await.unwrap();
    until("the first pod is gone", || async { world.pods().get_opt("dead").await.unwrap().is_none().then_some(()) })
        .await;

    let containers = &mut spec["containers"][0];
    containers["readinessProbe"] = failing;
    containers["livenessProbe"] = json!({ "tcpSocket": { "port": 8080 } });
    world.create("unready", spec).await;
    let started =
        |status: &PodStatus| status.container_statuses.as_ref().is_some_and(|all| all[0].started == Some(true));
    let status = world.status("unready", "is started", started).await;
    assert!(!is_ready(&status));
}

#[tokio::test]
async fn the_app_starts_behind_its_proxy() {
    let ip = own_address();
    let network = Arc::new(GatedNetwork { ip, ready: AtomicBool::new(false), attached: Mutex::default() });
    let world = World::with_network(ip, Arc::<GatedNetwork>::clone(&network));
    let mut spec = one_container(REVIEWS);
    spec["initContainers"] = json!([{ "name": "istio-proxy", "image": "mesh/proxy", "restartPolicy": "Always" }]);
    spec["serviceAccountName"] = json!("bookinfo-reviews");
    world.create("web", spec).await;
    let attached = |status: &PodStatus| status.pod_ip.is_some();
    let status = world.status("web", "is attached", attached).await;
    assert_eq!(status.phase.as_deref(), Some("Pending"));
    assert_eq!(world.processes("web"), [] as [i32; 0]);
    {
        let attached = network.attached.lock();
        assert_eq!(attached[0].service_account, "bookinfo-reviews");
        assert_eq!(attached[0].ports.iter().map(|port| port.port).collect::<Vec<_>>(), [9080]);
        assert!(attached[0].meshed && !attached[0].gateway);
    }

    network.ready.store(true, Ordering::Relaxed);
    let status = world.ready("web").await;
    assert_eq!(status.pod_ip.as_deref(), Some("127.0.0.1"));
    let proxy = &status.init_container_statuses.unwrap()[0];
    assert!(proxy.ready && proxy.started == Some(true));
    assert_eq!(get(ip, 9080, "/health").await.status, 200);

    network.ready.store(false, Ordering::Relaxed);
    world.status("web", "is not ready without its proxy", |status| !is_ready(status)).await;
    world.pods().delete("web", &DeleteParams::default()).await.unwrap();
    until("the pod is detached", || async { network.attached.lock().is_empty().then_some(()) }).await;
}

#[tokio::test]
async fn a_gateway_is_a_proxy_without_a_process() {
    let ip = own_address();
    let network = Arc::new(GatedNetwork { ip, ready: AtomicBool::new(true), attached: Mutex::default() });
    let world = World::with_network(ip, Arc::<GatedNetwork>::clone(&network));
    world.create("gateway", json!({ "containers": [{ "name": "istio-proxy", "image": "auto" }] })).await;
    let status = world.ready("gateway").await;
    assert_eq!(status.container_statuses.unwrap()[0].name, "istio-proxy");
    assert!(network.attached.lock()[0].gateway);
    assert_eq!(world.processes("gateway"), [] as [i32; 0]);
}

#[tokio::test]
async fn pods_run_again_under_their_names_after_the_runtime_was_restarted() {
    let mut world = World::start();
    world.create("web", one_container(REVIEWS)).await;
    world.ready("web").await;
    let uid = world.pods().get("web").await.unwrap().metadata.uid;
    world.stop_node().await;
    assert_eq!(world.processes("web"), [] as [i32; 0]);
    assert!(world.pods().get_opt("web").await.unwrap().is_some());
    world.start_node();
    let again = |status: &PodStatus| {
        is_ready(status) && status.container_statuses.as_ref().is_some_and(|all| all[0].restart_count == 1)
    };
    world.status("web", "runs again", again).await;
    assert_eq!(world.pods().get("web").await.unwrap().metadata.uid, uid);
    assert_eq!(get(world.ip, 9080, "/health").await.status, 200);
}

#[tokio::test]
async fn a_full_node_says_so_and_takes_the_pod_when_there_is_room() {
    let world = World::start();
    for name in ["a", "b"] {
        world.create(name, one_container("mesh.internal/sleep")).await;
        world.ready(name).await;
    }
    world.create("c", one_container("mesh.internal/sleep")).await;
    let refused = |status: &PodStatus| {
        status.conditions.iter().flatten().any(|condition| condition.reason.as_deref() == Some("Unschedulable"))
    };
    world.status("c", "is not scheduled", refused).await;
    world.pods().delete("a", &DeleteParams::default()).await.unwrap();
    world.ready("c").await;
}

#[tokio::test]
async fn pods_that_come_all_at_once_do_not_overfill_a_node() {
    let world = World::start();
    for name in ["a", "b", "c", "d", "e"] {
        world.create(name, one_container("mesh.internal/sleep")).await;
    }
    let placed = |pod: &Pod| pod.spec.as_ref().unwrap().node_name.is_some();
    let refused = |pod: &Pod| {
        let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions.into_iter().any(|condition| condition.reason.as_deref() == Some("Unschedulable"))
    };
    let pods = until("every pod is placed or refused", || async {
        let pods = world.pods().list(&kube::api::ListParams::default()).await.unwrap().items;
        pods.iter().all(|pod| placed(pod) || refused(pod)).then_some(pods)
    })
    .await;
    assert_eq!(pods.iter().filter(|pod| placed(pod)).count(), 2);
}

#[tokio::test]
async fn a_pod_that_has_ended_keeps_its_logs_and_nothing_else() {
    let ip = own_address();
    let network = Arc::new(GatedNetwork { ip, ready: AtomicBool::new(true), attached: Mutex::default() });
    let mut world = World::with_network(ip, Arc::<GatedNetwork>::clone(&network));
    let job = json!({ "restartPolicy": "Never", "containers": [
        { "name": "app", "image": "busybox", "command": ["echo", "the work is done"] },
        { "name": "istio-proxy", "image": "mesh/proxy" },
    ] });
    for name in ["a", "b"] {
        world.create(name, job.clone()).await;
        let status = world.status(name, "succeeds", |status| status.phase.as_deref() == Some("Succeeded")).await;
        let proxy = status.container_statuses.unwrap().into_iter().find(|found| found.name == "istio-proxy").unwrap();
        assert!(proxy.state.unwrap().terminated.is_some());
    }
    until("its network is free", || async { network.attached.lock().is_empty().then_some(()) }).await;
    // Two are as many as the node takes.
    world.create("c", one_container("mesh.internal/sleep")).await;
    world.ready("c").await;

    world.stop_node().await;
    world.logs = LogStore::open(world.directory.path().join("logs")).unwrap();
    world.start_node();
    let log = until("its log is known", || async {
        world.logs.read(&world.namespace, "a", Some("app"), LogQuery::default()).ok()
    })
    .await;
    let log: Vec<_> = log.map(|part| String::from_utf8(part.unwrap().to_vec()).unwrap()).collect().await;
    // The app is this test's own executable, which says first that it runs a test.
    assert!(log.concat().ends_with("the work is done\n"), "{log:?}");
}

#[tokio::test]
async fn the_node_is_registered_and_renews_its_lease() {
    use k8s_openapi::api::coordination::v1::Lease;
    let world = World::start();
    let leases = Api::<Lease>::namespaced(world.api.client(), "kube-node-lease");
    let lease = until("a lease", || async { leases.get_opt("node").await.unwrap() }).await;
    assert_eq!(lease.spec.unwrap().holder_identity.as_deref(), Some("node"));
    let node = Api::<k8s_openapi::api::core::v1::Node>::all(world.api.client()).get("node").await.unwrap();
    let conditions = node.status.unwrap().conditions.unwrap();
    assert!(conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True"));
}

#[tokio::test]
async fn a_container_dies_with_a_runtime_that_is_killed() {
    let pod = format!("orphans/{}", std::process::id());
    let mut parent = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", PARENT_ENTRY, "--nocapture", &pod])
        .stdout(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let child = until("the container runs", || async { processes_of(&pod).first().copied() }).await;
    // Its own session: it has armed its parent-death signal before that.
    until("the container leads a session", || async {
        (nix::unistd::getsid(Some(Pid::from_raw(child))).ok()?.as_raw() == child).then_some(())
    })
    .await;
    assert_eq!(processes_of(&pod), [child]);
    parent.start_kill().unwrap();
    parent.wait().await.unwrap();
    until("the container is gone", || async { processes_of(&pod).is_empty().then_some(()) }).await;
}

#[test]
fn a_process_whose_runtime_is_gone_does_not_start() {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", ENTRY, "--nocapture", "1", "orphans/late", "mesh.internal/sleep"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("Orphan"), "{output:?}");
}
