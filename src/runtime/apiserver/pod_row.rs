//! The row of a pod in `kubectl get pods`: the one status word that sums up all containers.

use jiff::Timestamp;
use serde_json::Value;

use super::columns::{age, int, list, or_none, since, string};

/// The cells after the name.
pub(super) fn row(pod: &Value, now: Timestamp) -> Vec<Value> {
    let summary = summarise(pod);
    let restarts = match summary.last_restart {
        Some(time) if summary.restarts > 0 => {
            let ago = since(time, now);
            format!("{} ({} ago)", summary.restarts, ago.as_str().unwrap_or_default())
        }
        _ => summary.restarts.to_string(),
    };
    let gates = list(pod, "/spec/readinessGates");
    let gates: Value = if gates.is_empty() {
        "<none>".into()
    } else {
        let met = gates.iter().filter(|gate| condition(pod, string(gate, "/conditionType")) == Some("True")).count();
        format!("{met}/{}", gates.len()).into()
    };
    vec![
        format!("{}/{}", summary.ready, summary.total).into(),
        summary.status.into(),
        restarts.into(),
        age(pod, now),
        or_none(string(pod, "/status/podIP")),
        or_none(string(pod, "/spec/nodeName")),
        or_none(string(pod, "/status/nominatedNodeName")),
        gates,
    ]
}

struct Summary<'a> {
    ready: usize,
    total: usize,
    restarts: i64,
    last_restart: Option<&'a str>,
    status: String,
}

fn condition<'a>(pod: &'a Value, kind: &str) -> Option<&'a str> {
    list(pod, "/status/conditions").iter().find(|c| c["type"] == kind).and_then(|c| c["status"].as_str())
}

/// A sidecar is an init container that is restarted for as long as the pod runs; it counts like a container.
fn is_sidecar(pod: &Value, name: &str) -> bool {
    list(pod, "/spec/initContainers").iter().any(|c| c["name"] == name && c["restartPolicy"] == "Always")
}

fn terminated_word(state: &Value) -> String {
    let reason = string(state, "/terminated/reason");
    if !reason.is_empty() {
        return reason.to_owned();
    }
    match int(state, "/terminated/signal") {
        0 => format!("ExitCode:{}", int(state, "/terminated/exitCode")),
        signal => format!("Signal:{signal}"),
    }
}

fn summarise(pod: &Value) -> Summary<'_> {
    let inits = list(pod, "/spec/initContainers");
    let sidecars = inits.iter().filter(|c| c["restartPolicy"] == "Always").count();
    let reason = string(pod, "/status/reason");
    let phase = string(pod, "/status/phase");
    let mut summary = Summary {
        ready: 0,
        total: list(pod, "/spec/containers").len() + sidecars,
        restarts: 0,
        last_restart: None,
        status: if reason.is_empty() { phase } else { reason }.to_owned(),
    };
    let gated =
        list(pod, "/status/conditions").iter().any(|c| c["type"] == "PodScheduled" && c["reason"] == "SchedulingGated");
    if gated {
        "SchedulingGated".clone_into(&mut summary.status);
    }
    let initializing = init_containers(pod, inits.len(), &mut summary);
    if !initializing || condition(pod, "Initialized") == Some("True") {
        containers(pod, &mut summary);
    }
    if pod.pointer("/metadata/deletionTimestamp").is_some() {
        let word = if reason == "NodeLost" {
            "Unknown"
        } else if matches!(phase, "Succeeded" | "Failed") {
            return summary;
        } else {
            "Terminating"
        };
        word.clone_into(&mut summary.status);
    }
    summary
}

fn restarted<'a>(status: &'a Value, summary: &mut Summary<'a>) {
    summary.restarts += int(status, "/restartCount");
    let finished = string(status, "/lastState/terminated/finishedAt");
    if !finished.is_empty() {
        summary.last_restart = summary.last_restart.max(Some(finished));
    }
}

/// Walks the init containers up to the first unfinished one; whether there is one.
fn init_containers<'a>(pod: &'a Value, count: usize, summary: &mut Summary<'a>) -> bool {
    let mut initializing = false;
    for (index, status) in list(pod, "/status/initContainerStatuses").iter().enumerate() {
        let name = string(status, "/name");
        let sidecar = is_sidecar(pod, name);
        if sidecar {
            restarted(status, summary);
            if status["ready"] == true {
                summary.ready += 1;
            }
        }
        if initializing {
            continue;
        }
        let state = &status["state"];
        if !state["terminated"].is_null() && int(state, "/terminated/exitCode") == 0 {
            continue;
        }
        if sidecar && status["started"] == true {
            continue;
        }
        if !sidecar {
            restarted(status, summary);
        }
        let waiting = string(state, "/waiting/reason");
        summary.status = if !state["terminated"].is_null() {
            format!("Init:{}", terminated_word(state))
        } else if !waiting.is_empty() && waiting != "PodInitializing" {
            format!("Init:{waiting}")
        } else {
            format!("Init:{index}/{count}")
        };
        initializing = true;
    }
    initializing
}

fn containers<'a>(pod: &'a Value, summary: &mut Summary<'a>) {
    let mut running = false;
    for status in list(pod, "/status/containerStatuses").iter().rev() {
        restarted(status, summary);
        let state = &status["state"];
        let waiting = string(state, "/waiting/reason");
        if !waiting.is_empty() {
            waiting.clone_into(&mut summary.status);
        } else if !state["terminated"].is_null() {
            summary.status = terminated_word(state);
        } else if status["ready"] == true && !state["running"].is_null() {
            running = true;
            summary.ready += 1;
        }
    }
    // Completed while a container still runs is not the pod's word.
    if summary.status == "Completed" && running {
        summary.status = if condition(pod, "Ready") == Some("True") { "Running" } else { "NotReady" }.to_owned();
    }
}
