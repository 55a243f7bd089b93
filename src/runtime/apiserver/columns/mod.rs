//! The columns of `kubectl get`, per built-in kind, as Kubernetes prints them.

mod network;
mod storage;
mod workloads;

use jiff::Timestamp;
use serde_json::{Map, Value};

pub use self::network::*;
pub use self::storage::*;
pub use self::workloads::*;

/// One column of a table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Title.
    pub name: &'static str,
    /// OpenAPI type: `string`, `integer`, `boolean` or `date`.
    pub kind: &'static str,
    /// 0 is always shown, above it only with `-o wide`.
    pub priority: i64,
}

const fn text(name: &'static str) -> Column {
    Column { name, kind: "string", priority: 0 }
}

const fn wide(name: &'static str) -> Column {
    Column { name, kind: "string", priority: 1 }
}

const fn flag(name: &'static str) -> Column {
    Column { name, kind: "boolean", priority: 0 }
}

const fn number(name: &'static str) -> Column {
    Column { name, kind: "integer", priority: 0 }
}

/// The columns of a kind and how a row is made. The name comes first in every table, and is not part of the row function's answer.
#[derive(Clone, Copy)]
pub struct Printer {
    /// The columns after `Name`.
    pub columns: &'static [Column],
    /// The cells after the name.
    pub row: fn(&Value, Timestamp) -> Vec<Value>,
}

/// Name and age.
pub const PLAIN: Printer = Printer { columns: &[text("Age")], row: |o, now| vec![age(o, now)] };

pub const NAMESPACE: Printer =
    Printer { columns: &[text("Status"), text("Age")], row: |o, now| vec![at(o, "/status/phase"), age(o, now)] };

pub const POD: Printer = Printer {
    columns: &[
        text("Ready"),
        text("Status"),
        text("Restarts"),
        text("Age"),
        wide("IP"),
        wide("Node"),
        wide("Nominated Node"),
        wide("Readiness Gates"),
    ],
    row: super::pod_row::row,
};

pub const CONFIG_MAP: Printer = Printer {
    columns: &[text("Data"), text("Age")],
    row: |o, now| {
        let count = size(o, "/data") + size(o, "/binaryData");
        vec![count.into(), age(o, now)]
    },
};

pub const SECRET: Printer = Printer {
    columns: &[text("Type"), text("Data"), text("Age")],
    row: |o, now| vec![at(o, "/type"), size(o, "/data").to_string().into(), age(o, now)],
};

pub const NODE: Printer = Printer {
    columns: &[
        text("Status"),
        text("Roles"),
        text("Age"),
        text("Version"),
        wide("Internal-IP"),
        wide("External-IP"),
        wide("OS-Image"),
        wide("Kernel-Version"),
        wide("Container-Runtime"),
    ],
    row: |o, now| {
        let ready = list(o, "/status/conditions")
            .iter()
            .find(|c| c["type"] == "Ready")
            .map_or("Unknown", |c| if c["status"] == "True" { "Ready" } else { "NotReady" });
        let status = if o.pointer("/spec/unschedulable") == Some(&Value::Bool(true)) {
            format!("{ready},SchedulingDisabled")
        } else {
            ready.to_owned()
        };
        let roles: Vec<String> = o
            .pointer("/metadata/labels")
            .and_then(Value::as_object)
            .into_iter()
            .flat_map(Map::keys)
            .filter_map(|label| label.strip_prefix("node-role.kubernetes.io/"))
            .map(str::to_owned)
            .collect();
        let address = |kind: &str| {
            list(o, "/status/addresses")
                .iter()
                .find(|a| a["type"] == kind)
                .map_or("<none>".into(), |a| a["address"].clone())
        };
        vec![
            status.into(),
            or_none(&roles.join(",")),
            age(o, now),
            at(o, "/status/nodeInfo/kubeletVersion"),
            address("InternalIP"),
            address("ExternalIP"),
            or_unknown(string(o, "/status/nodeInfo/osImage")),
            or_unknown(string(o, "/status/nodeInfo/kernelVersion")),
            or_unknown(string(o, "/status/nodeInfo/containerRuntimeVersion")),
        ]
    },
};

/// Events print no name first; their own first column is `Last Seen`.
pub const EVENT: Printer = Printer {
    columns: &[
        text("Last Seen"),
        text("Type"),
        text("Reason"),
        text("Object"),
        wide("Subobject"),
        wide("Source"),
        text("Message"),
        wide("First Seen"),
        wide("Count"),
        wide("Name"),
    ],
    row: |o, now| {
        let time = |paths: &[&str]| {
            let found = paths.iter().map(|path| string(o, path)).find(|time| !time.is_empty());
            since(found.unwrap_or_default(), now)
        };
        let kind = string(o, "/involvedObject/kind").to_lowercase();
        let name = string(o, "/involvedObject/name");
        let source = string(o, "/source/component");
        let source = if source.is_empty() { string(o, "/reportingComponent") } else { source };
        let host = string(o, "/source/host");
        let source = if host.is_empty() { source.to_owned() } else { format!("{source}, {host}") };
        vec![
            time(&["/series/lastObservedTime", "/lastTimestamp", "/eventTime", "/metadata/creationTimestamp"]),
            at(o, "/type"),
            at(o, "/reason"),
            format!("{kind}/{name}").into(),
            at(o, "/involvedObject/fieldPath"),
            source.into(),
            string(o, "/message").trim().into(),
            time(&["/firstTimestamp", "/eventTime", "/metadata/creationTimestamp"]),
            o["count"].as_i64().unwrap_or(1).to_string().into(),
            at(o, "/metadata/name"),
        ]
    },
};

pub const LEASE: Printer =
    Printer { columns: &[text("Holder"), text("Age")], row: |o, now| vec![at(o, "/spec/holderIdentity"), age(o, now)] };

pub const CREATED_AT: Printer = Printer {
    columns: &[Column { name: "Created At", kind: "date", priority: 0 }],
    row: |o, _| vec![at(o, "/metadata/creationTimestamp")],
};

pub const BINDING: Printer = Printer {
    columns: &[text("Role"), text("Age"), wide("Users"), wide("Groups"), wide("ServiceAccounts")],
    row: |o, now| {
        let subjects = |kind: &str| -> Value {
            let of_kind = list(o, "/subjects").iter().filter(|subject| subject["kind"] == kind);
            let names: Vec<String> = of_kind
                .map(|subject| match string(subject, "/namespace") {
                    "" => string(subject, "/name").to_owned(),
                    namespace => format!("{namespace}/{}", string(subject, "/name")),
                })
                .collect();
            names.join(", ").into()
        };
        vec![
            format!("{}/{}", string(o, "/roleRef/kind"), string(o, "/roleRef/name")).into(),
            age(o, now),
            subjects("User"),
            subjects("Group"),
            subjects("ServiceAccount"),
        ]
    },
};

pub const WEBHOOKS: Printer = Printer {
    columns: &[number("Webhooks"), text("Age")],
    row: |o, now| vec![size(o, "/webhooks").into(), age(o, now)],
};

pub const CONTROLLER_REVISION: Printer = Printer {
    columns: &[text("Controller"), text("Revision"), text("Age")],
    row: |o, now| {
        let owner = list(o, "/metadata/ownerReferences").iter().find(|owner| owner["controller"] == true);
        let controller = owner.map_or_else(String::new, |owner| {
            let group = string(owner, "/apiVersion").split_once('/').map_or("", |(group, _)| group);
            let kind = string(owner, "/kind").to_lowercase();
            let dot = if group.is_empty() { "" } else { "." };
            format!("{kind}{dot}{group}/{}", string(owner, "/name"))
        });
        vec![or_none(&controller), at(o, "/revision"), age(o, now)]
    },
};

/// What a quota limits, `used/hard` of each: what is asked for, and what may be taken.
pub const RESOURCE_QUOTA: Printer = Printer {
    columns: &[text("Request"), text("Limit"), text("Age")],
    row: |o, now| {
        let (mut requests, mut limits) = (Vec::new(), Vec::new());
        for (name, hard) in o.pointer("/status/hard").and_then(Value::as_object).into_iter().flatten() {
            let used = o["status"]["used"][name.as_str()].as_str().unwrap_or("0");
            let shown = format!("{name}: {used}/{}", hard.as_str().unwrap_or_default());
            if name.starts_with("limits.") { limits.push(shown) } else { requests.push(shown) }
        }
        vec![requests.join(", ").into(), limits.join(", ").into(), age(o, now)]
    },
};

pub const PRIORITY_CLASS: Printer = Printer {
    columns: &[number("Value"), flag("Global-Default"), text("Age"), text("PreemptionPolicy")],
    row: |o, now| {
        vec![
            int(o, "/value").into(),
            o["globalDefault"].as_bool().unwrap_or_default().into(),
            age(o, now),
            at(o, "/preemptionPolicy"),
        ]
    },
};

pub const RUNTIME_CLASS: Printer =
    Printer { columns: &[text("Handler"), text("Age")], row: |o, now| vec![at(o, "/handler"), age(o, now)] };

pub(super) fn at(object: &Value, path: &str) -> Value {
    match object.pointer(path) {
        Some(Value::String(text)) => text.as_str().into(),
        Some(Value::Null) | None => "".into(),
        Some(other) => other.to_string().into(),
    }
}

pub(super) fn string<'a>(object: &'a Value, path: &str) -> &'a str {
    object.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn list<'a>(object: &'a Value, path: &str) -> &'a [Value] {
    object.pointer(path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

pub(super) fn int(object: &Value, path: &str) -> i64 {
    object.pointer(path).and_then(Value::as_i64).unwrap_or_default()
}

fn size(object: &Value, path: &str) -> usize {
    match object.pointer(path) {
        Some(Value::Object(map)) => map.len(),
        Some(Value::Array(list)) => list.len(),
        _ => 0,
    }
}

pub(super) fn or_none(text: &str) -> Value {
    if text.is_empty() { "<none>".into() } else { text.into() }
}

fn or_unknown(text: &str) -> Value {
    if text.is_empty() { "<unknown>".into() } else { text.into() }
}

fn first(all: &[String], shown: usize) -> String {
    let head: Vec<&str> = all.iter().take(shown).map(String::as_str).collect();
    let head = head.join(",");
    match all.len().checked_sub(shown) {
        Some(more) if more > 0 => format!("{head} + {more} more..."),
        _ => head,
    }
}

fn labels(map: Option<&Value>) -> Value {
    let all: Vec<String> = map
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    or_none(&all.join(","))
}

fn selector(selector: Option<&Value>) -> Value {
    labels(selector.and_then(|s| s.get("matchLabels")))
}

/// The object's age.
pub(super) fn age(object: &Value, now: Timestamp) -> Value {
    since(string(object, "/metadata/creationTimestamp"), now)
}

/// How long ago `time` was, as kubectl writes durations.
pub(super) fn since(time: &str, now: Timestamp) -> Value {
    match time.parse::<Timestamp>() {
        Ok(then) => human(now.as_second() - then.as_second()).into(),
        Err(_) => "<unknown>".into(),
    }
}

/// A duration in at most two units, the finer one dropped as it loses weight.
pub(super) fn human(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |major: i64, unit: &str, minor: i64, small: &str| {
        if minor == 0 { format!("{major}{unit}") } else { format!("{major}{unit}{minor}{small}") }
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => two(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}
