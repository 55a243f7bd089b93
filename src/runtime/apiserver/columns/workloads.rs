//! Columns of what runs pods.

use jiff::Timestamp;
use serde_json::Value;

use super::{Printer, age, at, flag, int, labels, list, number, or_none, selector, since, string, text, wide};

pub const DEPLOYMENT: Printer = Printer {
    columns: &[
        text("Ready"),
        text("Up-to-date"),
        text("Available"),
        text("Age"),
        wide("Containers"),
        wide("Images"),
        wide("Selector"),
    ],
    row: |o, now| {
        let want = int(o, "/spec/replicas");
        vec![
            format!("{}/{want}", int(o, "/status/readyReplicas")).into(),
            int(o, "/status/updatedReplicas").into(),
            int(o, "/status/availableReplicas").into(),
            age(o, now),
            containers(o, "/name"),
            containers(o, "/image"),
            selector(o.pointer("/spec/selector")),
        ]
    },
};

pub const REPLICA_SET: Printer = Printer {
    columns: &[
        number("Desired"),
        number("Current"),
        number("Ready"),
        text("Age"),
        wide("Containers"),
        wide("Images"),
        wide("Selector"),
    ],
    row: |o, now| {
        vec![
            int(o, "/spec/replicas").into(),
            int(o, "/status/replicas").into(),
            int(o, "/status/readyReplicas").into(),
            age(o, now),
            containers(o, "/name"),
            containers(o, "/image"),
            selector(o.pointer("/spec/selector")),
        ]
    },
};

pub const STATEFUL_SET: Printer = Printer {
    columns: &[text("Ready"), text("Age"), wide("Containers"), wide("Images")],
    row: |o, now| {
        let want = int(o, "/spec/replicas");
        vec![
            format!("{}/{want}", int(o, "/status/readyReplicas")).into(),
            age(o, now),
            containers(o, "/name"),
            containers(o, "/image"),
        ]
    },
};

pub const DAEMON_SET: Printer = Printer {
    columns: &[
        number("Desired"),
        number("Current"),
        number("Ready"),
        number("Up-to-date"),
        number("Available"),
        text("Node Selector"),
        text("Age"),
        wide("Containers"),
        wide("Images"),
        wide("Selector"),
    ],
    row: |o, now| {
        vec![
            int(o, "/status/desiredNumberScheduled").into(),
            int(o, "/status/currentNumberScheduled").into(),
            int(o, "/status/numberReady").into(),
            int(o, "/status/updatedNumberScheduled").into(),
            int(o, "/status/numberAvailable").into(),
            labels(o.pointer("/spec/template/spec/nodeSelector")),
            age(o, now),
            containers(o, "/name"),
            containers(o, "/image"),
            selector(o.pointer("/spec/selector")),
        ]
    },
};

pub const JOB: Printer = Printer {
    columns: &[
        text("Status"),
        text("Completions"),
        text("Duration"),
        text("Age"),
        wide("Containers"),
        wide("Images"),
        wide("Selector"),
    ],
    row: |o, now| {
        let is = |kind: &str| list(o, "/status/conditions").iter().any(|c| c["type"] == kind && c["status"] == "True");
        let status = match () {
            () if is("Complete") => "Complete",
            () if is("Failed") => "Failed",
            () if is("Suspended") => "Suspended",
            () if o.pointer("/metadata/deletionTimestamp").is_some() => "Terminating",
            () => "Running",
        };
        let done = int(o, "/status/succeeded");
        let completions = match o.pointer("/spec/completions").and_then(Value::as_i64) {
            Some(wanted) => format!("{done}/{wanted}"),
            None => format!("{done}/1 of {}", int(o, "/spec/parallelism")),
        };
        let start = string(o, "/status/startTime");
        let end = string(o, "/status/completionTime").parse::<Timestamp>().unwrap_or(now);
        vec![
            status.into(),
            completions.into(),
            if start.is_empty() { "".into() } else { since(start, end) },
            age(o, now),
            containers(o, "/name"),
            containers(o, "/image"),
            selector(o.pointer("/spec/selector")),
        ]
    },
};

pub const CRON_JOB: Printer = Printer {
    columns: &[
        text("Schedule"),
        text("Timezone"),
        flag("Suspend"),
        number("Active"),
        text("Last Schedule"),
        text("Age"),
        wide("Containers"),
        wide("Images"),
        wide("Selector"),
    ],
    row: |o, now| {
        let suspended = if o.pointer("/spec/suspend") == Some(&Value::Bool(true)) { "True" } else { "False" };
        let last = string(o, "/status/lastScheduleTime");
        vec![
            at(o, "/spec/schedule"),
            or_none(string(o, "/spec/timeZone")),
            suspended.into(),
            list(o, "/status/active").len().into(),
            if last.is_empty() { "<none>".into() } else { since(last, now) },
            age(o, now),
            template_containers(o, "/spec/jobTemplate/spec/template/spec/containers", "/name"),
            template_containers(o, "/spec/jobTemplate/spec/template/spec/containers", "/image"),
            selector(o.pointer("/spec/jobTemplate/spec/selector")),
        ]
    },
};

pub const AUTOSCALER: Printer = Printer {
    columns: &[text("Reference"), text("Targets"), text("MinPods"), text("MaxPods"), text("Replicas"), text("Age")],
    row: |o, now| {
        let targets: Vec<String> = list(o, "/spec/metrics")
            .iter()
            .map(|metric| match metric.pointer("/resource/target/averageUtilization") {
                Some(wanted) => format!("{}: <unknown>/{wanted}%", string(metric, "/resource/name")),
                None => "<unknown>".to_owned(),
            })
            .collect();
        vec![
            format!("{}/{}", string(o, "/spec/scaleTargetRef/kind"), string(o, "/spec/scaleTargetRef/name")).into(),
            or_none(&targets.join(", ")),
            o.pointer("/spec/minReplicas").map_or("<unset>".into(), |minimum| minimum.to_string().into()),
            int(o, "/spec/maxReplicas").to_string().into(),
            int(o, "/status/currentReplicas").to_string().into(),
            age(o, now),
        ]
    },
};

pub const DISRUPTION_BUDGET: Printer = Printer {
    columns: &[text("Min Available"), text("Max Unavailable"), number("Allowed Disruptions"), text("Age")],
    row: |o, now| {
        let or_not_set = |path: &str| -> Value {
            match at(o, path) {
                Value::String(text) if text.is_empty() => "N/A".into(),
                value => value,
            }
        };
        vec![
            or_not_set("/spec/minAvailable"),
            or_not_set("/spec/maxUnavailable"),
            int(o, "/status/disruptionsAllowed").into(),
            age(o, now),
        ]
    },
};

/// Its selector is a map of labels.
pub const REPLICATION_CONTROLLER: Printer = Printer {
    columns: REPLICA_SET.columns,
    row: |o, now| {
        let mut row = (REPLICA_SET.row)(o, now);
        if let Some(last) = row.last_mut() {
            *last = labels(o.pointer("/spec/selector"));
        }
        row
    },
};

pub const POD_TEMPLATE: Printer = Printer {
    columns: &[text("Containers"), text("Images"), text("Pod Labels")],
    row: |o, _| {
        let containers = |field: &str| template_containers(o, "/template/spec/containers", field);
        vec![containers("/name"), containers("/image"), labels(o.pointer("/template/metadata/labels"))]
    },
};

fn containers(workload: &Value, field: &str) -> Value {
    template_containers(workload, "/spec/template/spec/containers", field)
}

fn template_containers(object: &Value, path: &str, field: &str) -> Value {
    let all: Vec<&str> = list(object, path).iter().map(|container| string(container, field)).collect();
    all.join(",").into()
}
