//! The Node object and its Lease, by which others see that the node is alive.

use std::net::IpAddr;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::{Namespace, Node};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::NodeOptions;

const LEASES: &str = "kube-node-lease";
const LEASE_SECONDS: i32 = 40;
const HEARTBEAT: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_millis(500);

/// Keeps the Node and its Lease until `stop` is cancelled.
pub(super) async fn keep(client: Client, options: NodeOptions, stop: CancellationToken) {
    let mut registered = false;
    loop {
        let beat = async {
            if !registered {
                register(&client, &options).await?;
            }
            renew(&client, &options.name).await
        };
        let pause = match beat.await {
            Ok(()) => {
                registered = true;
                HEARTBEAT
            }
            Err(error) => {
                tracing::warn!(node = %options.name, %error, "cannot report that the node is alive; trying again");
                // The Node or the Lease's namespace may have been deleted: make both again.
                registered = false;
                RETRY
            }
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = stop.cancelled() => return,
        }
    }
}

fn unless_exists<T>(result: kube::Result<T>) -> kube::Result<()> {
    match result {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(answer)) if answer.is_already_exists() || answer.code == 409 => Ok(()),
        Err(error) => Err(error),
    }
}

async fn register(client: &Client, options: &NodeOptions) -> kube::Result<()> {
    let name = &options.name;
    let nodes = Api::<Node>::all(client.clone());
    let labels = [
        ("kubernetes.io/hostname", name.as_str()),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", architecture()),
        ("node-role.kubernetes.io/control-plane", ""),
    ];
    let node = Node {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
            ..ObjectMeta::default()
        },
        ..Node::default()
    };
    unless_exists(nodes.create(&PostParams::default(), &node).await)?;
    let status = json!({ "status": node_status(name, options.host_ip, options.max_pods, Timestamp::now()) });
    nodes.patch_status(name, &PatchParams::default(), &Patch::Merge(&status)).await?;

    let namespace = Namespace {
        metadata: ObjectMeta { name: Some(LEASES.to_owned()), ..ObjectMeta::default() },
        ..Namespace::default()
    };
    unless_exists(Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await)?;
    let lease = Lease {
        metadata: ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() },
        spec: Some(LeaseSpec {
            holder_identity: Some(name.clone()),
            lease_duration_seconds: Some(LEASE_SECONDS),
            renew_time: Some(MicroTime(Timestamp::now())),
            ..LeaseSpec::default()
        }),
    };
    let leases = Api::<Lease>::namespaced(client.clone(), LEASES);
    unless_exists(leases.create(&PostParams::default(), &lease).await)
}

async fn renew(client: &Client, name: &str) -> kube::Result<()> {
    let leases = Api::<Lease>::namespaced(client.clone(), LEASES);
    let patch = json!({ "spec": { "renewTime": MicroTime(Timestamp::now()), "holderIdentity": name } });
    leases.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await.map(|_| ())
}

/// How much of a resource the node has.
pub(super) fn capacity(resource: &str) -> Option<String> {
    match resource {
        "cpu" => Some(std::thread::available_parallelism().map_or(1, std::num::NonZero::get).to_string()),
        "memory" => Some(memory_kib().map_or_else(|| "0".to_owned(), |kib| format!("{kib}Ki"))),
        _ => None,
    }
}

fn node_status(name: &str, ip: IpAddr, max_pods: usize, now: Timestamp) -> Value {
    let (cpus, memory) = (capacity("cpu"), capacity("memory"));
    let resources = json!({ "cpu": cpus, "memory": memory, "pods": max_pods.to_string() });
    let now = now.to_string();
    json!({
        "capacity": resources,
        "allocatable": resources,
        "addresses": [
            { "type": "InternalIP", "address": ip.to_string() },
            { "type": "Hostname", "address": name },
        ],
        "conditions": [{
            "type": "Ready",
            "status": "True",
            "reason": "MeshNodeReady",
            "message": "the built-in node runs pods",
            "lastHeartbeatTime": now,
            "lastTransitionTime": now,
        }],
        "nodeInfo": {
            "architecture": architecture(),
            "operatingSystem": "linux",
            "osImage": "mesh built-in runtime",
            "kernelVersion": kernel_version(),
            "kubeletVersion": concat!("v1.36.0+mesh-", env!("CARGO_PKG_VERSION")),
            "kubeProxyVersion": "",
            "containerRuntimeVersion": concat!("mesh://", env!("CARGO_PKG_VERSION")),
            "machineID": "",
            "systemUUID": "",
            "bootID": "",
        },
    })
}

/// Kubernetes' name of this machine's architecture.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn kernel_version() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease").map(|text| text.trim().to_owned()).unwrap_or_default()
}

fn memory_kib() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.split_whitespace().next()?.parse().ok()
}
