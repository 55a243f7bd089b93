//! One pod's life on this node: network, proxy, containers, status, end.
//!
//! A pod is one task. It ends when the pod was deleted (then its last act is to remove the object), when the object is
//! gone already, or when the runtime stops (then the object stays, and the next runtime starts the pod again).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodCondition, PodStatus};
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::NodeOptions;
use super::container::{ContainerTask, Phase, Record, Stop};
use super::env;
use super::events::{self, Events, Note};
use super::exec::ContainerPlace;
use super::logs::remove_directory;
use super::network::{PodAttachment, PodNetwork};
use super::plan::{ContainerPlan, PodPlan, RestartPolicy, Runnable};
use super::spawn::Spawner;
use super::status::{View, is_initialized, is_over, status};
use super::volumes::{REFRESH, Volumes};
use crate::runtime::tools::ROOT_VARIABLE;

/// How often the proxy is asked while it is not ready, and once it is.
const PROXY_POLL_STARTING: Duration = Duration::from_millis(20);
const PROXY_POLL_READY: Duration = Duration::from_secs(1);
/// Pauses between attempts that fail: the first, and the longest.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LIMIT: Duration = Duration::from_secs(30);
const DETACH_LIMIT: Duration = Duration::from_secs(30);
/// Attempts to remove the object of a pod that has ended. After that the next watch event starts over.
const REMOVE_ATTEMPTS: u32 = 8;

/// What the node tells a pod's task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    /// Run.
    Run,
    /// The pod was deleted: end within the grace period, then remove the object.
    Delete(Duration),
    /// The object is gone: end at once.
    Gone,
    /// The runtime stops: end within this time, leave the object.
    Leave(Duration),
}

impl Command {
    const fn ends(&self) -> bool {
        !matches!(self, Self::Run)
    }

    const fn stop(self) -> Stop {
        match self {
            Self::Run => Stop::No,
            Self::Delete(grace) | Self::Leave(grace) => Stop::Within(grace),
            Self::Gone => Stop::Within(Duration::ZERO),
        }
    }
}

/// What all pods of a node share.
pub(super) struct Shared {
    pub(super) client: Client,
    pub(super) options: NodeOptions,
    pub(super) network: Arc<dyn PodNetwork>,
    pub(super) spawner: Spawner,
    pub(super) events: Events,
}

/// The task of one pod.
pub(super) struct PodTask {
    plan: PodPlan,
    shared: Arc<Shared>,
    command: watch::Receiver<Command>,
    view: View,
    published: Option<PodStatus>,
    conditions: Vec<PodCondition>,
}

impl PodTask {
    pub(super) fn new(plan: PodPlan, shared: Arc<Shared>, command: watch::Receiver<Command>) -> Self {
        let containers = plan
            .all()
            .map(|container| match &container.runnable {
                Runnable::Yes(_) => Record::waiting("ContainerCreating", None, container),
                Runnable::No { reason, message } => Record::waiting(reason, Some(message.clone()), container),
            })
            .collect();
        let view = View {
            pod_ip: None,
            host_ip: shared.options.host_ip,
            started: plan.start_time.as_ref().map_or_else(Timestamp::now, |time| time.0),
            proxy_ready: None,
            containers,
            blocked: None,
            overdue: false,
        };
        let conditions = plan.conditions.clone();
        Self { plan, shared, command, view, published: None, conditions }
    }

    /// Lives the pod's life.
    pub(super) async fn run(mut self) {
        let mut attached = false;
        if self.plan.finished {
            let network = &self.plan.network;
            let proxy = self.plan.proxy.iter().map(|proxy| proxy.name.as_str());
            let names = self.plan.all().map(|container| container.name.as_str()).chain(proxy);
            self.shared.options.logs.remember(&network.namespace, &network.name, &network.uid, names);
        } else {
            self.publish().await;
            for container in self.plan.all() {
                if let Runnable::No { message, .. } = &container.runnable {
                    let note = Note::about(container, true, "Failed", message.clone());
                    self.shared.events.tell(&self.plan.network, note);
                }
            }
            if let Some(attachment) = self.attach().await {
                attached = true;
                let network = Arc::clone(&self.shared.network);
                self.shared.options.running.enter(&self.plan.network, &attachment, network);
                self.view.pod_ip = Some(attachment.pod_ip);
                self.live(attachment).await;
            }
        }
        self.shared.options.running.leave(&self.plan.network);
        if attached && timeout(DETACH_LIMIT, self.shared.network.detach(&self.plan.network.uid)).await.is_err() {
            tracing::warn!(pod = %self.plan.display_name(), "the pod's network did not let go of it in time");
        }
        remove_directory(&self.directory());
        // What has ended by itself is there, with its logs, until it is deleted.
        told_to_end(&mut self.command).await;
        let command = *self.command.borrow();
        if matches!(command, Command::Delete(_) | Command::Gone) {
            let network = &self.plan.network;
            self.shared.options.logs.remove(&network.namespace, &network.name, &network.uid);
        }
        if matches!(command, Command::Delete(_)) {
            remove_object(&self.shared.client, &self.plan).await;
        }
    }

    /// Attaches the pod to the network, however often it takes; `None` when the pod is to end.
    async fn attach(&mut self) -> Option<PodAttachment> {
        let mut pause = RETRY_FIRST;
        loop {
            let failure = tokio::select! {
                attachment = self.shared.network.attach(&self.plan.network) => match attachment {
                    Ok(attachment) => {
                        self.view.blocked = None;
                        return Some(attachment);
                    }
                    Err(failure) => failure,
                },
                () = told_to_end(&mut self.command) => {
                    // The attempt was dropped half-way: whatever it had taken is given back.
                    let _given_back =
                        timeout(DETACH_LIMIT, self.shared.network.detach(&self.plan.network.uid)).await;
                    return None;
                }
            };
            self.view.blocked = Some(("NetworkNotReady", failure.to_string()));
            self.publish().await;
            tokio::select! {
                () = sleep(pause) => {}
                () = told_to_end(&mut self.command) => return None,
            }
            pause = (pause * 2).min(RETRY_LIMIT);
        }
    }

    /// Runs proxy and containers until the pod is to end, or has nothing left to do, and every container has ended.
    async fn live(&mut self, attachment: PodAttachment) {
        let (stop, stopping) = watch::channel(Stop::No);
        // Sidecars outlive the containers that they serve.
        let (sidecars_stop, sidecars_stopping) = watch::channel(Stop::No);
        let mut sidecars = JoinSet::new();
        let mut refreshed = Instant::now();
        let deadline = self.plan.deadline.map(|limit| {
            let ran = Timestamp::now().duration_since(self.view.started);
            Instant::now() + limit.saturating_sub(ran.try_into().unwrap_or_default())
        });
        let (records, mut changes) = watch::channel(self.view.containers.clone());
        let records = Arc::new(records);
        let mut containers = JoinSet::new();
        let mut started = false;
        // The init container that runs, or is the next to run.
        let (mut init, mut init_runs) = (0, false);
        let mut behind = true;
        let mut done = false;
        let mut command = self.command.clone();
        loop {
            let was_ready = self.view.proxy_ready.is_some();
            let is_ready = self.plan.proxy.is_some() && self.shared.network.sidecar_ready(&self.plan.network.uid);
            if was_ready != is_ready {
                self.view.proxy_ready = is_ready.then(Timestamp::now);
                behind = true;
            }
            // The app starts behind its proxy, or its first calls would leave the mesh.
            if !started && (is_ready || self.plan.proxy.is_none()) {
                while init_runs && self.plan.init.get(init).is_some_and(|plan| is_up(&records, init, plan)) {
                    (init, init_runs) = (init + 1, false);
                }
                if init >= self.plan.init.len() {
                    started = true;
                    let all = init..init + self.plan.containers.len();
                    self.start_containers(all, &mut containers, &attachment, &records, &stopping);
                } else if !init_runs {
                    init_runs = true;
                    let is_sidecar = self.plan.init.get(init).is_some_and(|plan| plan.sidecar);
                    let (tasks, stopping) = match is_sidecar {
                        true => (&mut sidecars, &sidecars_stopping),
                        false => (&mut containers, &stopping),
                    };
                    self.start_containers(init..init + 1, tasks, &attachment, &records, stopping);
                }
            }
            if behind {
                self.look(&changes.borrow_and_update().clone());
                behind = !self.publish().await;
                let ended = |record: &Record| matches!(record.phase, Phase::Ended(_));
                if started && self.view.parts(&self.plan).1.iter().all(ended) {
                    // What they served has ended for good.
                    sidecars_stop.send_replace(Stop::Within(self.plan.grace));
                }
                done = !behind && is_over(&self.plan, &self.view);
                if done {
                    break;
                }
            }
            if refreshed.elapsed() >= REFRESH {
                refreshed = Instant::now();
                self.refresh(&attachment).await;
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                self.view.overdue = true;
                break;
            }
            let poll = if started { PROXY_POLL_READY } else { PROXY_POLL_STARTING };
            tokio::select! {
                _ = changes.changed() => behind = true,
                () = sleep(poll) => {}
                () = told_to_end(&mut command) => break,
            }
        }
        if !done && !containers.is_empty() {
            for container in &self.plan.containers {
                let note = Note::about(container, false, "Killing", format!("Stopping container {}", container.name));
                self.shared.events.tell(&self.plan.network, note);
            }
        }
        // Containers that waited for their proxy never start; the others hear how long they have, and hear again when
        // it becomes shorter.
        for (stop, tasks) in [(stop, &mut containers), (sidecars_stop, &mut sidecars)] {
            loop {
                let asked = *command.borrow_and_update();
                stop.send_replace(if asked.ends() { asked.stop() } else { Stop::Within(self.plan.grace) });
                tokio::select! {
                    ended = tasks.join_next() => if ended.is_none() { break },
                    changed = command.changed() => if changed.is_err() { break },
                }
                self.view.containers.clone_from(&changes.borrow_and_update());
                if !matches!(*command.borrow(), Command::Gone | Command::Leave(_)) {
                    self.publish().await;
                }
            }
        }
        if self.view.overdue {
            self.publish().await;
        }
    }

    /// Brings what is mounted up to date.
    async fn refresh(&self, attachment: &PodAttachment) {
        let options = &self.shared.options;
        let volumes = Volumes {
            client: &self.shared.client,
            pod: &self.plan,
            attachment,
            host_ip: &options.host_ip.to_string(),
            root_certificate: &options.root_certificate,
            directory: &self.directory(),
        };
        if timeout(RETRY_LIMIT, volumes.refresh()).await.is_err() {
            tracing::warn!(pod = %self.plan.display_name(), "its volumes could not be brought up to date in time");
        }
    }

    /// Takes note of how the containers are, and tells what happened to them.
    fn look(&mut self, records: &[Record]) {
        for note in events::between(&self.plan, &self.view.containers, records) {
            self.shared.events.tell(&self.plan.network, note);
        }
        self.view.containers = records.to_vec();
    }

    fn start_containers(
        &self,
        which: std::ops::Range<usize>,
        tasks: &mut JoinSet<()>,
        attachment: &PodAttachment,
        records: &Arc<watch::Sender<Vec<Record>>>,
        stopping: &watch::Receiver<Stop>,
    ) {
        for (index, container) in self.plan.all().enumerate().filter(|(index, _)| which.contains(index)) {
            if let Runnable::No { .. } = container.runnable {
                continue;
            }
            let start = ContainerStart {
                shared: Arc::clone(&self.shared),
                plan: self.plan.clone(),
                container: container.clone(),
                attachment: attachment.clone(),
                directory: self.directory(),
                records: Arc::clone(records),
                stopping: stopping.clone(),
                index,
            };
            tasks.spawn(start.run());
        }
    }

    fn directory(&self) -> PathBuf {
        self.shared.options.data_dir.join("pods").join(&self.plan.network.uid)
    }

    /// Publishes the status if it changed; `false` when that failed and has to be tried again.
    async fn publish(&mut self) -> bool {
        let next = status(&self.plan, &self.view, &self.conditions, Timestamp::now());
        if self.published.as_ref() == Some(&next) {
            return true;
        }
        let network = &self.plan.network;
        let api = Api::<Pod>::namespaced(self.shared.client.clone(), &network.namespace);
        let patch = json!({ "metadata": { "uid": network.uid }, "status": explicit(&next) });
        match api.patch_status(&network.name, &PatchParams::default(), &Patch::Merge(&patch)).await {
            Ok(_) => {
                self.conditions = next.conditions.clone().unwrap_or_default();
                self.published = Some(next);
                true
            }
            // The object is gone or another one has its name; the node hears of it.
            Err(kube::Error::Api(answer)) if answer.is_not_found() || answer.is_conflict() => true,
            Err(error) => {
                tracing::warn!(pod = %self.plan.display_name(), %error, "cannot write a pod's status; trying again");
                false
            }
        }
    }
}

/// Whether what comes after an init container may start.
fn is_up(records: &watch::Sender<Vec<Record>>, index: usize, plan: &ContainerPlan) -> bool {
    records.borrow().get(index).is_some_and(|record| is_initialized(plan, record))
}

/// Returns when the pod is to end, or when nobody is left who could say so.
async fn told_to_end(command: &mut watch::Receiver<Command>) {
    let _told = command.wait_for(Command::ends).await;
}

/// The status as a merge patch: what is absent now is removed.
fn explicit(status: &PodStatus) -> Value {
    let mut value = serde_json::to_value(status).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        for field in ["reason", "message", "podIP", "podIPs", "initContainerStatuses"] {
            fields.entry(field).or_insert(Value::Null);
        }
    }
    value
}

/// Everything between "may start" and a running container.
struct ContainerStart {
    shared: Arc<Shared>,
    plan: PodPlan,
    container: ContainerPlan,
    attachment: PodAttachment,
    directory: PathBuf,
    records: Arc<watch::Sender<Vec<Record>>>,
    stopping: watch::Receiver<Stop>,
    index: usize,
}

impl ContainerStart {
    async fn run(mut self) {
        let mut pause = RETRY_FIRST;
        let env = loop {
            match self.prepare().await {
                Ok(env) => break env,
                Err(message) => self.records.send_modify(|records| {
                    if let Some(record) = records.get_mut(self.index) {
                        record.phase = Phase::Waiting { reason: "CreateContainerConfigError", message: Some(message) };
                    }
                }),
            }
            tokio::select! {
                () = sleep(pause) => {}
                _ = self.stopping.wait_for(Stop::asked) => return,
            }
            pause = (pause * 2).min(RETRY_LIMIT);
        };
        let network = &self.plan.network;
        let root = self.directory.join(&self.container.name);
        let mut command = self.shared.options.pod_exec.clone();
        command.extend(
            [std::process::id().to_string(), self.plan.display_name(), self.container.image.clone()].map(Into::into),
        );
        let place = ContainerPlace { command, env, directory: root, spawner: self.shared.spawner.clone() };
        self.shared.options.running.run(network, &self.container.name, place.clone());
        let is_init = self.index < self.plan.init.len();
        let task = ContainerTask {
            pod: (network.namespace.clone(), network.name.clone(), network.uid.clone()),
            place,
            app_ip: self.attachment.app_ip,
            restart: match self.plan.restart {
                // It is run until it succeeds, and then not again.
                _ if self.container.sidecar => RestartPolicy::Always,
                RestartPolicy::Always if is_init => RestartPolicy::OnFailure,
                restart => restart,
            },
            grace: self.plan.grace,
            logs: Arc::clone(&self.shared.options.logs),
            stop: self.stopping,
            records: self.records,
            index: self.index,
            plan: self.container,
        };
        task.run().await;
    }

    async fn prepare(&self) -> Result<Vec<(String, String)>, String> {
        let options = &self.shared.options;
        let host_ip = options.host_ip.to_string();
        let volumes = Volumes {
            client: &self.shared.client,
            pod: &self.plan,
            attachment: &self.attachment,
            host_ip: &host_ip,
            root_certificate: &options.root_certificate,
            directory: &self.directory,
        };
        let root = volumes.prepare(&self.container.name, &self.container.mounts).await;
        let root = root.map_err(|error| error.to_string())?;
        let env = env::resolve(&self.shared.client, &self.plan, &self.container, &self.attachment, &host_ip).await;
        let mut env = env.map_err(|error| error.to_string())?;
        env.push((ROOT_VARIABLE.to_owned(), root.display().to_string()));
        env.push(("PWD".to_owned(), self.container.working_dir.clone()));
        Ok(env)
    }
}

/// Removes the object of a pod that has ended here.
pub(super) async fn remove_object(client: &Client, plan: &PodPlan) {
    let network = &plan.network;
    let api = Api::<Pod>::namespaced(client.clone(), &network.namespace);
    let parameters = DeleteParams::default()
        .grace_period(0)
        .preconditions(Preconditions { uid: Some(network.uid.clone()), resource_version: None });
    let mut pause = RETRY_FIRST;
    for _ in 0..REMOVE_ATTEMPTS {
        match api.delete(&network.name, &parameters).await {
            Ok(_) => return,
            Err(kube::Error::Api(answer)) if answer.is_not_found() || answer.is_conflict() => return,
            Err(error) => tracing::warn!(pod = %plan.display_name(), %error, "cannot remove a pod that has ended"),
        }
        sleep(pause).await;
        pause = (pause * 2).min(RETRY_LIMIT);
    }
}
