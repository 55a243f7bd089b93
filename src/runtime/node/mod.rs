//! The node of the built-in runtime: runs the pods that the API server holds, as processes of this machine.
//!
//! Guarantees: every pod bound to this node is run, again after a restart of the runtime under the same name; pods
//! without a node are bound to it while it has room; no process outlives the node; at most one task per pod.
//! Refuses: images that are not built in (the pod waits with reason `ImageNotKnown`).
//!
//! A pod's proxy is no process: it is hosted by the pod network, behind the seam in [`network`].

mod container;
mod env;
mod events;
mod exec;
pub mod logs;
pub mod network;
mod placement;
mod plan;
mod pod;
pub mod pod_exec;
mod probe;
mod register;
mod resources;
mod spawn;
mod status;
mod volumes;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::{Node as NodeObject, Pod, PodCondition};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

pub use self::exec::RunningPods;
pub(in crate::runtime) use self::placement::Placement;
pub(in crate::runtime) use self::resources::parse as quantity;

use self::events::{Events, Note};
use self::logs::{LogStore, make_private};
use self::network::PodNetwork;
use self::plan::PodPlan;
use self::pod::{Command, PodTask, Shared};
use self::spawn::Spawner;

/// How long pods may take to end when the runtime stops.
const LEAVE_GRACE: Duration = Duration::from_secs(5);
/// How often pods that could not be bound are tried again, beside each time that a pod ends.
const BIND_RETRY: Duration = Duration::from_secs(2);
/// Reason of the condition of a pod that fits nowhere.
const UNSCHEDULABLE: &str = "Unschedulable";

/// How a node is set up.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// The node's name.
    pub name: String,
    /// Working directories of pods are made below it, in `pods/`.
    pub data_dir: PathBuf,
    /// The node's own address.
    pub host_ip: IpAddr,
    /// The program that becomes a container, and its first arguments; the node appends its process id, the pod's
    /// `namespace/name` and the image.
    pub pod_exec: Vec<OsString>,
    /// Pods at most.
    pub max_pods: usize,
    /// Where containers' output goes.
    pub logs: Arc<LogStore>,
    /// The API server's root certificate (PEM), for pods that call it.
    pub root_certificate: String,
    /// Where others find the containers that run.
    pub running: Arc<RunningPods>,
}

impl NodeOptions {
    /// A node that runs containers through this very executable, which stays usable while it is rebuilt.
    pub fn new(name: impl Into<String>, data_dir: impl Into<PathBuf>, host_ip: IpAddr, logs: Arc<LogStore>) -> Self {
        Self {
            name: name.into(),
            data_dir: data_dir.into(),
            host_ip,
            pod_exec: ["/proc/self/exe", "pod-exec"].map(OsString::from).to_vec(),
            max_pods: 250,
            logs,
            root_certificate: String::new(),
            running: Arc::default(),
        }
    }
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The directory for pods cannot be made.
    #[error("{path}: cannot make the directory of the node's pods: {source}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// No thread.
    #[error("node {name}: cannot start the thread that starts processes: {source}")]
    Thread {
        /// The node.
        name: String,
        /// The system's answer.
        source: std::io::Error,
    },
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    tasks: Vec<JoinHandle<()>>,
}

impl Node {
    /// Starts the node on the current async runtime. It ends, with all its processes, after `stop` was cancelled.
    pub fn start(
        client: Client,
        options: NodeOptions,
        network: Arc<dyn PodNetwork>,
        stop: CancellationToken,
    ) -> Result<Self, NodeError> {
        let pods = options.data_dir.join("pods");
        make_private(&pods).map_err(|source| NodeError::Directory { path: pods, source })?;
        let spawner = Spawner::start().map_err(|source| NodeError::Thread { name: options.name.clone(), source })?;
        let register = tokio::spawn(register::keep(client.clone(), options.clone(), stop.clone()));
        let (events, writer) = Events::start(client.clone(), options.name.clone(), stop.clone());
        let shared = Arc::new(Shared { client, options, network, spawner, events });
        let pods = tokio::spawn(
            Pods {
                shared,
                pods: HashMap::new(),
                unbound: HashMap::new(),
                bound: HashSet::new(),
                tasks: JoinSet::new(),
            }
            .run(stop),
        );
        Ok(Self { tasks: vec![register, pods, writer] })
    }

    /// Waits until the node has ended; every pod's process has ended then.
    pub async fn join(self) {
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the node failed");
            }
        }
    }
}

struct Running {
    command: watch::Sender<Command>,
    /// Its containers have ended for good, and take no room.
    finished: bool,
}

/// The pods of this node, by uid.
struct Pods {
    shared: Arc<Shared>,
    pods: HashMap<String, Running>,
    /// Pods that could not be bound yet.
    unbound: HashMap<String, PodPlan>,
    /// Pods that were bound and that the watch has not shown bound yet.
    bound: HashSet<String>,
    tasks: JoinSet<String>,
}

impl Pods {
    async fn run(mut self, stop: CancellationToken) {
        let api = Api::<Pod>::all(self.shared.client.clone());
        let mut events = std::pin::pin!(watcher(api, watcher::Config::default()).default_backoff());
        let mut listed = HashSet::new();
        loop {
            let event = tokio::select! {
                () = stop.cancelled() => break,
                Some(ended) = self.tasks.join_next() => {
                    self.forget(ended);
                    self.bind_waiting().await;
                    continue;
                }
                () = sleep(BIND_RETRY), if !self.unbound.is_empty() => {
                    self.bind_waiting().await;
                    continue;
                }
                event = events.next() => event,
            };
            match event {
                Some(Ok(watcher::Event::Init)) => listed.clear(),
                Some(Ok(watcher::Event::InitApply(pod))) => {
                    listed.extend(pod.metadata.uid.clone());
                    self.apply(pod).await;
                }
                Some(Ok(watcher::Event::InitDone)) => {
                    for (uid, running) in &self.pods {
                        if !listed.contains(uid) {
                            running.command.send_replace(Command::Gone);
                        }
                    }
                    self.unbound.retain(|uid, _| listed.contains(uid));
                    self.bound.retain(|uid| listed.contains(uid));
                    self.shared.options.logs.retain(|uid| listed.contains(uid));
                    listed = HashSet::new();
                }
                Some(Ok(watcher::Event::Apply(pod))) => self.apply(pod).await,
                Some(Ok(watcher::Event::Delete(pod))) => {
                    let uid = pod.metadata.uid.unwrap_or_default();
                    self.unbound.remove(&uid);
                    self.bound.remove(&uid);
                    if let Some(running) = self.pods.get(&uid) {
                        running.command.send_replace(Command::Gone);
                    }
                }
                Some(Err(error)) => tracing::warn!(%error, "the watch on pods broke; it is started again"),
                None => break,
            }
        }
        for running in self.pods.values() {
            running.command.send_if_modified(|command| {
                let leave = matches!(command, Command::Run | Command::Delete(_));
                if leave {
                    *command = Command::Leave(LEAVE_GRACE);
                }
                leave
            });
        }
        while self.tasks.join_next().await.is_some() {}
    }

    fn forget(&mut self, ended: Result<String, tokio::task::JoinError>) {
        match ended {
            Ok(uid) => {
                self.pods.remove(&uid);
            }
            Err(error) => {
                tracing::error!(%error, "the task of a pod failed");
                // The one whose receiver is gone.
                self.pods.retain(|_, running| !running.command.is_closed());
            }
        }
    }

    async fn apply(&mut self, pod: Pod) {
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).filter(|name| !name.is_empty());
        let deleted = pod.metadata.deletion_timestamp.is_some();
        let ours = node == Some(self.shared.options.name.as_str());
        if !(ours || node.is_none()) {
            return;
        }
        let Some(plan) = PodPlan::new(&pod, &self.shared.options.name) else { return };
        if ours {
            self.bound.remove(&plan.network.uid);
        }
        let running = self.pods.get_mut(&plan.network.uid);
        match (running, deleted) {
            (Some(running), true) => {
                let grace = plan::grace_period(&pod);
                running.command.send_if_modified(|command| {
                    // A grace period is only ever shortened.
                    let shorter = match *command {
                        Command::Run => true,
                        Command::Delete(before) => grace < before,
                        Command::Gone | Command::Leave(_) => false,
                    };
                    if shorter {
                        *command = Command::Delete(grace);
                    }
                    shorter
                });
            }
            (Some(running), false) => running.finished = plan.finished,
            // Deleted before it was started here: nothing to stop.
            (None, true) => {
                let shared = Arc::clone(&self.shared);
                self.tasks.spawn(async move {
                    pod::remove_object(&shared.client, &plan).await;
                    let network = plan.network;
                    shared.options.logs.remove(&network.namespace, &network.name, &network.uid);
                    network.uid
                });
            }
            (None, false) if ours => {
                self.unbound.remove(&plan.network.uid);
                self.start(plan);
            }
            (None, false) if plan.placement.is_others() => {}
            (None, false) => self.bind(plan).await,
        }
    }

    fn start(&mut self, plan: PodPlan) {
        let (command, commands) = watch::channel(Command::Run);
        let uid = plan.network.uid.clone();
        tracing::debug!(pod = %plan.display_name(), "starting");
        let finished = plan.finished;
        let task = PodTask::new(plan, Arc::clone(&self.shared), commands);
        self.pods.insert(uid.clone(), Running { command, finished });
        self.tasks.spawn(async move {
            task.run().await;
            uid
        });
    }

    async fn bind_waiting(&mut self) {
        for (_, plan) in std::mem::take(&mut self.unbound) {
            self.bind(plan).await;
        }
    }

    /// Why a pod cannot be bound now: reason and message of its condition.
    async fn obstacle(&self, plan: &PodPlan) -> Option<(&'static str, String)> {
        if plan.placement.is_gated() {
            return Some(("SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates".to_owned()));
        }
        let options = &self.shared.options;
        if let Ok(Some(node)) = Api::<NodeObject>::all(self.shared.client.clone()).get_opt(&options.name).await
            && let Some(why) = plan.placement.misfit(&node)
        {
            return Some((UNSCHEDULABLE, format!("0/1 nodes are available: {why}.")));
        }
        let running = self.pods.values().filter(|pod| !pod.finished).count() + self.bound.len();
        (running >= options.max_pods)
            .then(|| (UNSCHEDULABLE, format!("node {} is full: it runs {running} pods; delete some", options.name)))
    }

    /// Binds a pod to this node, or says why not. The pod is started when the watch shows it bound.
    async fn bind(&mut self, mut plan: PodPlan) {
        let options = &self.shared.options;
        let api = Api::<Pod>::namespaced(self.shared.client.clone(), &plan.network.namespace);
        let name = &plan.network.name;
        let parameters = PatchParams::default();
        let result = match self.obstacle(&plan).await {
            None => {
                let patch = json!({ "metadata": { "uid": plan.network.uid }, "spec": { "nodeName": options.name } });
                api.patch(name, &parameters, &Patch::Merge(&patch)).await
            }
            Some((reason, message)) => {
                let told = |condition: &PodCondition| {
                    condition.type_ == "PodScheduled" && condition.message.as_deref() == Some(message.as_str())
                };
                if plan.conditions.iter().any(told) {
                    // Its status says so already.
                    self.unbound.insert(plan.network.uid.clone(), plan);
                    return;
                }
                let patch = json!({ "metadata": { "uid": plan.network.uid }, "status": { "conditions": [{
                    "type": "PodScheduled",
                    "status": "False",
                    "reason": reason,
                    "message": message,
                    "lastTransitionTime": Timestamp::now().to_string(),
                }] } });
                let told = api.patch_status(name, &parameters, &Patch::Merge(&patch)).await;
                if let Ok(pod) = &told {
                    if reason == UNSCHEDULABLE {
                        let note = Note { warning: true, reason: "FailedScheduling", message, container: None };
                        self.shared.events.tell(&plan.network, note);
                    }
                    plan.conditions = pod.status.as_ref().and_then(|s| s.conditions.clone()).unwrap_or_default();
                    self.unbound.insert(plan.network.uid.clone(), plan.clone());
                }
                told
            }
        };
        match result {
            Ok(pod) if pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some()) => {
                self.bound.insert(plan.network.uid.clone());
                let message = format!("Successfully assigned {} to {}", plan.display_name(), options.name);
                let note = Note { warning: false, reason: "Scheduled", message, container: None };
                self.shared.events.tell(&plan.network, note);
            }
            Ok(_) => {}
            Err(kube::Error::Api(answer)) if answer.is_not_found() || answer.is_conflict() => {}
            Err(error) => {
                tracing::warn!(pod = %plan.display_name(), %error, "cannot bind a pod to the node; trying again");
                self.unbound.insert(plan.network.uid.clone(), plan);
            }
        }
    }
}
