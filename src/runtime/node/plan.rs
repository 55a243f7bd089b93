//! What a pod's specification means to this node: parsed once, when the node first sees the pod.
//!
//! A container that the node cannot run is not an error of the pod: it is planned as [`Runnable::No`] with the reason
//! that its status will show, and the pod's other containers run.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use k8s_openapi::api::core::v1::{
    Container, EnvFromSource, EnvVar, Pod, PodCondition, PodSpec, Probe, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::network::{PodPort, PodSpecLite};
use super::placement::Placement;
use super::probe::{Check, ProbePlan};
use super::resources::Resources;
use crate::inject;
use crate::runtime::samples::{self, App};
use crate::runtime::tools;

/// Name of the proxy's container, as injection writes it.
pub(super) const PROXY: &str = "istio-proxy";
/// Init containers that lead a pod's traffic to its proxy, as `kube-inject` writes them: this network does that itself.
const CAPTURING: [&str; 2] = [inject::CAPTURE, "istio-validation"];
const DEFAULT_GRACE_SECONDS: i64 = 30;

/// A pod as this node runs it.
#[derive(Debug, Clone)]
pub(super) struct PodPlan {
    pub(super) network: PodSpecLite,
    pub(super) placement: Placement,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) node_name: String,
    /// App containers, in the order of the specification.
    pub(super) containers: Vec<ContainerPlan>,
    /// The proxy, which the network hosts.
    pub(super) proxy: Option<ProxyPlan>,
    /// Init containers other than the proxy, which run to their end one after the other before the containers start.
    pub(super) init: Vec<ContainerPlan>,
    pub(super) volumes: Vec<Volume>,
    /// Its containers get the token of its service account.
    pub(super) token: bool,
    pub(super) restart: RestartPolicy,
    /// `Succeeded` or `Failed` before the runtime was restarted.
    pub(super) finished: bool,
    pub(super) start_time: Option<Time>,
    pub(super) conditions: Vec<PodCondition>,
    pub(super) generation: Option<i64>,
    pub(super) quality: Option<String>,
    /// How long its containers may take to stop when nobody says how long.
    pub(super) grace: Duration,
    /// How long it may run.
    pub(super) deadline: Option<Duration>,
}

#[derive(Debug, Clone)]
pub(super) struct ProxyPlan {
    pub(super) name: String,
    pub(super) image: String,
    /// It is an init container that restarts always, not an ordinary container.
    pub(super) native: bool,
}

#[derive(Debug, Clone)]
pub(super) struct ContainerPlan {
    pub(super) name: String,
    pub(super) image: String,
    pub(super) runnable: Runnable,
    /// What runs in place of an image's app that does nothing by itself: the program and its arguments.
    pub(super) command: Vec<String>,
    /// Arguments of an image's app.
    pub(super) args: Vec<String>,
    /// Runs before the container is told to stop.
    pub(super) pre_stop: Option<Vec<String>>,
    /// Absolute.
    pub(super) working_dir: String,
    pub(super) mounts: Vec<VolumeMount>,
    pub(super) resources: Resources,
    /// An init container that is started in its turn and then runs beside the others until they have ended.
    pub(super) sidecar: bool,
    pub(super) port: Option<u16>,
    pub(super) env: Vec<EnvVar>,
    pub(super) env_from: Vec<EnvFromSource>,
    pub(super) startup: Option<ProbePlan>,
    pub(super) readiness: Option<ProbePlan>,
    pub(super) liveness: Option<ProbePlan>,
    /// Restarts counted before this runtime started.
    pub(super) restarts: u32,
    /// When the container was started before this runtime started: that process died with its runtime.
    pub(super) ran_before: Option<Time>,
}

#[derive(Debug, Clone)]
pub(super) enum Runnable {
    Yes(App),
    No { reason: &'static str, message: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RestartPolicy {
    Always,
    OnFailure,
    Never,
}

impl PodPlan {
    /// Parses a pod. `None` where it has no uid or no specification, which the API server does not let happen.
    pub(super) fn new(pod: &Pod, node_name: &str) -> Option<Self> {
        let spec = pod.spec.as_ref()?;
        let metadata = &pod.metadata;
        let status = pod.status.as_ref();
        let labels = metadata.labels.clone().unwrap_or_default();
        let init = spec.init_containers.as_deref().unwrap_or_default();
        let native = init.iter().find(|container| is_proxy(container)).map(|container| (container, true));
        let plain = spec.containers.iter().find(|container| is_proxy(container)).map(|container| (container, false));
        let proxy = native.or(plain).map(|(container, native)| ProxyPlan {
            name: container.name.clone(),
            image: container.image.clone().unwrap_or_default(),
            native,
        });
        let containers: Vec<_> = spec
            .containers
            .iter()
            .filter(|container| !is_proxy(container))
            .map(|container| ContainerPlan::new(container, pod))
            .collect();
        let network = PodSpecLite {
            namespace: metadata.namespace.clone().unwrap_or_else(|| "default".to_owned()),
            name: metadata.name.clone()?,
            uid: metadata.uid.clone()?,
            ip: status.and_then(|status| status.pod_ip.as_deref()).and_then(|ip| ip.parse::<IpAddr>().ok()),
            service_account: service_account(spec),
            labels,
            ports: ports(spec, &containers),
            meshed: proxy.is_some() && !containers.is_empty(),
            gateway: proxy.is_some() && containers.is_empty(),
        };
        Some(Self {
            network,
            placement: Placement::of(spec),
            annotations: metadata.annotations.clone().unwrap_or_default(),
            node_name: node_name.to_owned(),
            containers,
            proxy,
            init: init
                .iter()
                .filter(|container| !is_proxy(container))
                .map(|container| ContainerPlan::init(container, pod))
                .collect(),
            volumes: spec.volumes.clone().unwrap_or_default(),
            token: spec.automount_service_account_token != Some(false),
            restart: match spec.restart_policy.as_deref() {
                Some("Never") => RestartPolicy::Never,
                Some("OnFailure") => RestartPolicy::OnFailure,
                _ => RestartPolicy::Always,
            },
            finished: matches!(status.and_then(|status| status.phase.as_deref()), Some("Succeeded" | "Failed")),
            start_time: status.and_then(|status| status.start_time.clone()),
            conditions: status.and_then(|status| status.conditions.clone()).unwrap_or_default(),
            generation: metadata.generation,
            quality: status.and_then(|status| status.qos_class.clone()),
            grace: grace_period(pod),
            deadline: spec.active_deadline_seconds.and_then(|s| u64::try_from(s).ok()).map(Duration::from_secs),
        })
    }

    /// Init containers, then containers: the order of the records.
    pub(super) fn all(&self) -> impl Iterator<Item = &ContainerPlan> {
        self.init.iter().chain(&self.containers)
    }

    /// `namespace/name`.
    pub(super) fn display_name(&self) -> String {
        format!("{}/{}", self.network.namespace, self.network.name)
    }
}

/// How long the pod's containers may take to stop: what the deletion asked for, else what the pod asks for.
pub(super) fn grace_period(pod: &Pod) -> Duration {
    let asked = pod
        .metadata
        .deletion_grace_period_seconds
        .or_else(|| pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds));
    Duration::from_secs(u64::try_from(asked.unwrap_or(DEFAULT_GRACE_SECONDS)).unwrap_or(0))
}

fn is_proxy(container: &Container) -> bool {
    container.name == PROXY
}

fn service_account(spec: &PodSpec) -> String {
    spec.service_account_name
        .clone()
        .or_else(|| spec.service_account.clone())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "default".to_owned())
}

fn port_number(port: i32) -> Option<u16> {
    u16::try_from(port).ok().filter(|port| *port != 0)
}

fn ports(spec: &PodSpec, plans: &[ContainerPlan]) -> Vec<PodPort> {
    let declared = |container: &Container| -> Vec<PodPort> {
        let ports = container.ports.iter().flatten();
        ports
            .filter_map(|port| {
                Some(PodPort {
                    name: port.name.clone(),
                    port: port_number(port.container_port)?,
                    protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
                })
            })
            .collect()
    };
    let apps = spec.containers.iter().filter(|container| !is_proxy(container));
    apps.zip(plans)
        .flat_map(|(container, plan)| match (declared(container), plan.port) {
            // What listens is reached, declared or not.
            (ports, Some(_)) if ports.is_empty() => {
                let own = match &plan.runnable {
                    Runnable::Yes(app) => app.ports(),
                    Runnable::No { .. } => &[],
                };
                own.iter().map(|port| PodPort { name: None, port: *port, protocol: "TCP".to_owned() }).collect()
            }
            (ports, _) => ports,
        })
        .collect()
}

impl ContainerPlan {
    /// An init container: what runs to its end is a command, and nothing probes it; one that restarts always is a sidecar.
    fn init(container: &Container, pod: &Pod) -> Self {
        let mut plan = Self::new(container, pod);
        if container.restart_policy.as_deref() == Some("Always") {
            return Self { sidecar: true, ..plan };
        }
        (plan.startup, plan.readiness, plan.liveness) = (None, None, None);
        if CAPTURING.contains(&plan.name.as_str()) {
            plan.runnable = Runnable::Yes(App::Idle);
            plan.command = vec!["true".to_owned()];
        }
        if matches!(plan.runnable, Runnable::Yes(App::Idle)) && plan.command.is_empty() {
            let message = "an init container needs a command: the built-in image ends by itself never".to_owned();
            plan.runnable = Runnable::No { reason: "NoCommand", message };
        }
        plan
    }

    fn new(container: &Container, pod: &Pod) -> Self {
        let image = container.image.clone().unwrap_or_default();
        let runnable = match samples::resolve(&image) {
            Some(app) => Runnable::Yes(app),
            None => Runnable::No { reason: "ImageNotKnown", message: unknown_image(&image) },
        };
        let declared = container.ports.iter().flatten().find_map(|port| port_number(port.container_port));
        let port = declared.or(match &runnable {
            Runnable::Yes(app) => app.default_port(),
            Runnable::No { .. } => None,
        });
        let before = pod
            .status
            .as_ref()
            .map(|status| [&status.container_statuses, &status.init_container_statuses])
            .and_then(|all| all.into_iter().flatten().flatten().find(|status| status.name == container.name));
        let ran_before = before.and_then(|status| status.state.as_ref()?.running.as_ref()?.started_at.clone());
        let restarts = before.map_or(0, |status| u32::try_from(status.restart_count).unwrap_or(0));
        let mut plan = Self {
            name: container.name.clone(),
            command: match &runnable {
                Runnable::Yes(App::Idle) => command(container, &image),
                _ => Vec::new(),
            },
            resources: Resources::of(container),
            sidecar: false,
            mounts: container.volume_mounts.clone().unwrap_or_default(),
            args: container.args.clone().unwrap_or_default(),
            pre_stop: pre_stop(container),
            working_dir: container.working_dir.clone().unwrap_or_else(|| "/".to_owned()),
            image,
            runnable,
            port,
            env: container.env.clone().unwrap_or_default(),
            env_from: container.env_from.clone().unwrap_or_default(),
            startup: None,
            readiness: None,
            liveness: None,
            restarts: restarts + u32::from(ran_before.is_some()),
            ran_before,
        };
        let probes = [&container.startup_probe, &container.readiness_probe, &container.liveness_probe];
        match probes.map(|probe| probe.as_ref().map(|probe| probe_plan(probe, container)).transpose()) {
            [Ok(startup), Ok(readiness), Ok(liveness)] => {
                // Nothing may be sent to an app before it listens, whether or not its author wrote a probe.
                let listens = match plan.runnable {
                    Runnable::Yes(App::Idle) | Runnable::No { .. } => None,
                    Runnable::Yes(_) => plan.port.map(ProbePlan::listening),
                };
                plan.startup = startup.or(listens);
                plan.readiness = readiness;
                plan.liveness = liveness;
            }
            // What cannot run is not probed.
            _ if matches!(plan.runnable, Runnable::No { .. }) => {}
            [startup, readiness, liveness] => {
                let message = [startup.err(), readiness.err(), liveness.err()].into_iter().flatten().next();
                plan.runnable = Runnable::No { reason: "ProbeNotSupported", message: message.unwrap_or_default() };
            }
        }
        plan
    }
}

/// The command of a `preStop` hook; a pause is one, too.
fn pre_stop(container: &Container) -> Option<Vec<String>> {
    let hook = container.lifecycle.as_ref()?.pre_stop.as_ref()?;
    if let Some(sleep) = &hook.sleep {
        return Some(vec!["sleep".to_owned(), sleep.seconds.to_string()]);
    }
    if let Some(get) = &hook.http_get {
        let port = match &get.port {
            IntOrString::Int(port) => port.to_string(),
            IntOrString::String(port) => port.clone(),
        };
        let path = get.path.as_deref().unwrap_or("/").trim_start_matches('/');
        return Some(vec!["curl".to_owned(), "-s".to_owned(), format!("http://localhost:{port}/{path}")]);
    }
    hook.exec.as_ref()?.command.clone().filter(|command| !command.is_empty())
}

/// What a container of an image without an app of its own runs; nothing: it idles.
fn command(container: &Container, image: &str) -> Vec<String> {
    let given = container.command.iter().flatten().chain(container.args.iter().flatten()).cloned();
    let has_command = container.command.as_ref().is_some_and(|command| !command.is_empty());
    let has_args = container.args.as_ref().is_some_and(|args| !args.is_empty());
    // The images' own script gives curl what is no command itself.
    let is_command = container.args.iter().flatten().next().is_some_and(|first| tools::is_known(first));
    match samples::entrypoint(image) {
        Some(program) if !has_command && has_args && !is_command => {
            [program.to_owned()].into_iter().chain(given).collect()
        }
        _ => given.collect(),
    }
}

fn unknown_image(image: &str) -> String {
    let instead = samples::instead(image).unwrap_or(
        "`mesh up` runs no images, only apps of its own in the place of some (Istio's samples, httpbin, curl, nginx, busybox, fortio, \
         podinfo, jaeger, …): run the program on this machine and name it in a ServiceEntry, or use a Kubernetes cluster",
    );
    format!("image {image:?} is not built in; {instead}")
}

fn probe_plan(probe: &Probe, container: &Container) -> Result<ProbePlan, String> {
    let port = |port: &IntOrString| -> Result<u16, String> {
        let number = match port {
            IntOrString::Int(number) => port_number(*number),
            IntOrString::String(name) => container
                .ports
                .iter()
                .flatten()
                .find(|port| port.name.as_deref() == Some(name))
                .and_then(|port| port_number(port.container_port))
                .or_else(|| name.parse().ok().and_then(port_number)),
        };
        number.ok_or_else(|| {
            format!("container {}: its probe names a port that the container does not have", container.name)
        })
    };
    let check = if let Some(http) = &probe.http_get {
        if http.scheme.as_deref() == Some("HTTPS") {
            return Err(format!("container {}: built-in apps speak plain HTTP; use scheme HTTP", container.name));
        }
        Check::Http {
            port: port(&http.port)?,
            path: http.path.clone().unwrap_or_else(|| "/".to_owned()),
            headers: http
                .http_headers
                .iter()
                .flatten()
                .map(|header| (header.name.clone(), header.value.clone()))
                .collect(),
        }
    } else if let Some(tcp) = &probe.tcp_socket {
        Check::Tcp { port: port(&tcp.port)? }
    } else if let Some(command) = probe.exec.as_ref().and_then(|exec| exec.command.clone()) {
        Check::Exec { command }
    } else {
        return Err(format!(
            "container {}: only httpGet, tcpSocket and exec probes are run by the built-in runtime",
            container.name
        ));
    };
    let seconds = |value: Option<i32>, default: u64| {
        Duration::from_secs(value.and_then(|value| u64::try_from(value).ok()).unwrap_or(default))
    };
    let count = |value: Option<i32>, default: u32| {
        value.and_then(|value| u32::try_from(value).ok()).filter(|value| *value > 0).unwrap_or(default)
    };
    Ok(ProbePlan {
        check,
        initial_delay: seconds(probe.initial_delay_seconds, 0),
        period: seconds(probe.period_seconds, 10).max(Duration::from_secs(1)),
        timeout: seconds(probe.timeout_seconds, 1).max(Duration::from_secs(1)),
        success_threshold: count(probe.success_threshold, 1),
        failure_threshold: count(probe.failure_threshold, 3),
        grace: probe
            .termination_grace_period_seconds
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map(Duration::from_secs),
    })
}
