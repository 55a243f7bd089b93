//! A pod's status, as a pure function of what the node knows about it.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus, HostIP,
    PodCondition, PodIP, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::container::{Ended, Phase, Record};
use super::plan::{ContainerPlan, PodPlan, ProxyPlan, RestartPolicy, Runnable};

/// What the node knows about a pod at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    pub(super) pod_ip: Option<IpAddr>,
    pub(super) host_ip: IpAddr,
    pub(super) started: Timestamp,
    /// Since when the proxy is ready; `None` while it is not, or where there is none.
    pub(super) proxy_ready: Option<Timestamp>,
    /// Init containers, then containers.
    pub(super) containers: Vec<Record>,
    /// Why the pod cannot start, shown as its reason and message.
    pub(super) blocked: Option<(&'static str, String)>,
    /// It ran longer than it may.
    pub(super) overdue: bool,
}

impl View {
    /// The records of init containers, and of containers.
    pub(super) fn parts(&self, plan: &PodPlan) -> (&[Record], &[Record]) {
        self.containers.split_at_checked(plan.init.len()).unwrap_or((&[], &self.containers))
    }
}

/// The status to publish. `previous` are the conditions published before, whose times stay while nothing changes.
pub(super) fn status(plan: &PodPlan, view: &View, previous: &[PodCondition], now: Timestamp) -> PodStatus {
    let phase = phase(plan, view);
    let proxy_status = plan.proxy.as_ref().map(|proxy| proxy_status(proxy, plan, view));
    let (init_front, front) = match (&plan.proxy, proxy_status) {
        (Some(ProxyPlan { native: true, .. }), Some(status)) => (Some(status), None),
        (_, front) => (None, front),
    };
    let (init_records, records) = view.parts(plan);
    let uid = &plan.network.uid;
    let initialized = plan.init.iter().zip(init_records).all(|(plan, record)| is_initialized(plan, record));
    let inits = plan.init.iter().zip(init_records).map(|(plan, record)| {
        let status = app_status(plan, record, uid);
        let done = matches!(&record.phase, Phase::Ended(ended) if ended.exit_code == 0);
        if plan.sidecar { status } else { ContainerStatus { ready: done, ..status } }
    });
    let init_statuses: Vec<_> = init_front.into_iter().chain(inits).collect();
    let apps = plan.containers.iter().zip(records).map(|(plan, record)| match &record.phase {
        // Its turn has not come.
        Phase::Waiting { reason: "ContainerCreating", .. } if !initialized => {
            ContainerStatus { state: Some(waiting("PodInitializing", None)), ..app_status(plan, record, uid) }
        }
        _ => app_status(plan, record, uid),
    });
    let containers: Vec<_> = front.into_iter().chain(apps).collect();

    let is_sidecar = |name: &str| {
        plan.proxy.as_ref().is_some_and(|proxy| proxy.name == name)
            || plan.init.iter().any(|init| init.sidecar && init.name == name)
    };
    let proxy = init_statuses.iter().filter(|status| is_sidecar(&status.name));
    let unready: Vec<_> =
        proxy.chain(&containers).filter(|status| !status.ready).map(|status| status.name.as_str()).collect();
    let ready = unready.is_empty() && phase == "Running";
    let not_ready = (!ready).then(|| match phase {
        "Succeeded" => ("PodCompleted", "every container has completed".to_owned()),
        _ => ("ContainersNotReady", format!("containers with unready status: [{}]", unready.join(" "))),
    });
    let initialized =
        initialized && (view.proxy_ready.is_some() || !plan.proxy.as_ref().is_some_and(|proxy| proxy.native));
    let not_initialized = || ("ContainersNotInitialized", "init containers are not up".to_owned());
    let conditions = [
        ("PodReadyToStartContainers", view.pod_ip.is_some(), None),
        ("Initialized", initialized, (!initialized).then(not_initialized)),
        ("Ready", ready, not_ready.clone()),
        ("ContainersReady", ready, not_ready),
        ("PodScheduled", true, None),
    ]
    .map(|(kind, is_true, why)| condition(kind, is_true, why, previous, plan.generation, now));

    let overdue = view
        .overdue
        .then(|| ("DeadlineExceeded", "Pod was active on the node longer than the specified deadline".to_owned()));
    let (reason, message) = overdue.or_else(|| view.blocked.clone()).unzip();
    PodStatus {
        phase: Some(phase.to_owned()),
        reason: reason.map(str::to_owned),
        message,
        conditions: Some(conditions.to_vec()),
        container_statuses: Some(containers),
        init_container_statuses: Some(init_statuses).filter(|statuses| !statuses.is_empty()),
        host_ip: Some(view.host_ip.to_string()),
        host_ips: Some(vec![HostIP { ip: view.host_ip.to_string() }]),
        pod_ip: view.pod_ip.map(|ip| ip.to_string()),
        pod_ips: view.pod_ip.map(|ip| vec![PodIP { ip: ip.to_string() }]),
        start_time: Some(Time(view.started)),
        qos_class: plan.quality.clone(),
        observed_generation: plan.generation,
        ..PodStatus::default()
    }
}

/// Whether the next container may start: an init container has done its work, a sidecar is up.
pub(super) fn is_initialized(plan: &ContainerPlan, record: &Record) -> bool {
    match &record.phase {
        Phase::Ended(ended) => plan.sidecar || ended.exit_code == 0,
        Phase::Running { .. } => plan.sidecar && record.started,
        // Between two runs a sidecar does not hold up what has begun.
        Phase::Waiting { .. } => plan.sidecar && record.last.is_some(),
    }
}

/// Whether the pod has ended for good.
pub(super) fn is_over(plan: &PodPlan, view: &View) -> bool {
    matches!(phase(plan, view), "Succeeded" | "Failed")
}

fn phase(plan: &PodPlan, view: &View) -> &'static str {
    if view.overdue {
        return "Failed";
    }
    let (init, records) = view.parts(plan);
    let failed = |record: &Record| matches!(&record.phase, Phase::Ended(ended) if ended.exit_code != 0);
    let mut ordinary = plan.init.iter().zip(init).filter(|(plan, _)| !plan.sidecar);
    if plan.restart == RestartPolicy::Never && ordinary.any(|(_, record)| failed(record)) {
        return "Failed";
    }
    let ended: Vec<_> = records
        .iter()
        .filter_map(|record| match &record.phase {
            Phase::Ended(ended) => Some(ended.exit_code),
            _ => None,
        })
        .collect();
    if !plan.containers.is_empty() && ended.len() == plan.containers.len() && plan.restart != RestartPolicy::Always {
        return if ended.iter().all(|code| *code == 0) { "Succeeded" } else { "Failed" };
    }
    let begun = |record: &Record| !matches!(record.phase, Phase::Waiting { .. }) || record.last.is_some();
    let proxy_up = plan.proxy.is_none() || view.proxy_ready.is_some();
    if proxy_up && view.pod_ip.is_some() && records.iter().all(begun) { "Running" } else { "Pending" }
}

fn proxy_status(proxy: &ProxyPlan, plan: &PodPlan, view: &View) -> ContainerStatus {
    let over = is_over(plan, view);
    let state = match view.proxy_ready {
        // It ends with the last of those that it served.
        Some(started) if over => terminated(&Ended {
            exit_code: 0,
            signal: None,
            reason: "Completed",
            message: None,
            started,
            finished: view.containers.iter().filter_map(Record::finished).max().unwrap_or(started),
        }),
        Some(since) => running(since),
        None => waiting("PodInitializing", None),
    };
    let ready = view.proxy_ready.is_some() && !over;
    ContainerStatus {
        name: proxy.name.clone(),
        image: proxy.image.clone(),
        image_id: "mesh://builtin/proxy".to_owned(),
        container_id: Some(format!("mesh://{}/{}", plan.network.uid, proxy.name)),
        ready,
        started: Some(ready),
        state: Some(state),
        ..ContainerStatus::default()
    }
}

fn app_status(plan: &ContainerPlan, record: &Record, uid: &str) -> ContainerStatus {
    let state = match &record.phase {
        Phase::Waiting { reason, message } => waiting(reason, message.clone()),
        Phase::Running { since } => running(*since),
        Phase::Ended(ended) => terminated(ended),
    };
    ContainerStatus {
        name: plan.name.clone(),
        image: plan.image.clone(),
        image_id: match &plan.runnable {
            Runnable::Yes(app) => format!("mesh://builtin/{app}"),
            Runnable::No { .. } => String::new(),
        },
        container_id: record.has_run().then(|| format!("mesh://{uid}/{}", plan.name)),
        ready: record.ready,
        started: Some(record.started),
        restart_count: i32::try_from(record.restarts).unwrap_or(i32::MAX),
        state: Some(state),
        last_state: record.last.as_ref().map(terminated),
        ..ContainerStatus::default()
    }
}

fn waiting(reason: &str, message: Option<String>) -> ContainerState {
    ContainerState {
        waiting: Some(ContainerStateWaiting { reason: Some(reason.to_owned()), message }),
        ..ContainerState::default()
    }
}

fn running(since: Timestamp) -> ContainerState {
    ContainerState {
        running: Some(ContainerStateRunning { started_at: Some(Time(since)) }),
        ..ContainerState::default()
    }
}

fn terminated(ended: &Ended) -> ContainerState {
    ContainerState {
        terminated: Some(ContainerStateTerminated {
            exit_code: ended.exit_code,
            signal: ended.signal,
            reason: Some(ended.reason.to_owned()),
            message: ended.message.clone(),
            started_at: Some(Time(ended.started)),
            finished_at: Some(Time(ended.finished)),
            container_id: None,
        }),
        ..ContainerState::default()
    }
}

fn condition(
    kind: &str,
    is_true: bool,
    why: Option<(&'static str, String)>,
    previous: &[PodCondition],
    generation: Option<i64>,
    now: Timestamp,
) -> PodCondition {
    let status = if is_true { "True" } else { "False" };
    let since = previous
        .iter()
        .find(|condition| condition.type_ == kind && condition.status == status)
        .and_then(|condition| condition.last_transition_time.clone());
    let (reason, message) = why.unzip();
    PodCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        last_transition_time: Some(since.unwrap_or(Time(now))),
        reason: reason.map(str::to_owned),
        message,
        observed_generation: generation,
        ..PodCondition::default()
    }
}
