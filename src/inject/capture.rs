//! The init container that leads a pod's traffic to its proxy, as the pod's annotations say.

use ipnet::IpNet;
use serde_json::{Value, json};

use super::annotation::{self, Wrong};
use super::sidecar::Settings;

/// Name of the container (Istio's).
pub const NAME: &str = "istio-init";

/// The user and group that a proxy runs as, by which the rules tell its traffic from the application's.
pub(super) const PROXY_ID: u32 = 1337;

const MODE: &str = "sidecar.istio.io/interceptionMode";

/// What an annotation lists.
#[derive(Clone, Copy, PartialEq, Eq)]
enum List {
    /// Ports.
    Ports,
    /// Ports, or `*`.
    AnyPorts,
    /// Ranges of addresses.
    Ranges,
    /// Ranges of addresses, or `*`.
    AnyRanges,
}

/// The annotations that say what is captured, and what `mesh capture` calls each.
const LISTS: [(&str, &str, List); 6] = [
    ("traffic.sidecar.istio.io/includeInboundPorts", "--inbound-ports", List::AnyPorts),
    ("traffic.sidecar.istio.io/excludeInboundPorts", "--exclude-inbound-ports", List::Ports),
    ("traffic.sidecar.istio.io/includeOutboundIPRanges", "--outbound-ranges", List::AnyRanges),
    ("traffic.sidecar.istio.io/excludeOutboundIPRanges", "--exclude-outbound-ranges", List::Ranges),
    ("traffic.sidecar.istio.io/includeOutboundPorts", "--outbound-ports", List::AnyPorts),
    ("traffic.sidecar.istio.io/excludeOutboundPorts", "--exclude-outbound-ports", List::Ports),
];

impl List {
    fn check(self, text: &str) -> Result<(), String> {
        let any = matches!(self, Self::AnyPorts | Self::AnyRanges);
        if any && text == "*" {
            return Ok(());
        }
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            match self {
                Self::Ports | Self::AnyPorts => match part.parse::<u16>() {
                    Ok(1..) => {}
                    _ => return Err(format!("{part:?} is not a port from 1 to 65535")),
                },
                Self::Ranges | Self::AnyRanges => {
                    let range: Result<IpNet, _> = part.parse();
                    if range.is_err() {
                        return Err(format!("{part:?} is not a range of addresses such as 10.0.0.0/8"));
                    }
                }
            }
        }
        Ok(())
    }
}

/// The container, for a proxy that runs as `user`; `None` where the pod wants nothing captured.
pub(super) fn container(pod: &Value, settings: &Settings, user: Option<u64>) -> Result<Option<Value>, Wrong> {
    match annotation::text(pod, MODE) {
        None | Some("REDIRECT") => {}
        Some("NONE") => return Ok(None),
        Some(other) => {
            return Err((MODE, format!("{other:?} is not in force; there are REDIRECT, the default, and NONE")));
        }
    }
    let mut arguments = vec!["capture".to_owned()];
    if let Some(user) = user.filter(|user| *user != u64::from(PROXY_ID)) {
        arguments.push(format!("--proxy-id={user}"));
    }
    for (name, flag, list) in LISTS {
        if let Some(text) = annotation::text(pod, name) {
            list.check(text).map_err(|reason| (name, reason))?;
            let parts: Vec<&str> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
            arguments.push(format!("{flag}={}", parts.join(",")));
        }
    }
    let field = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    let mut container = json!({
        "name": NAME,
        "image": settings.image,
        "args": arguments,
        "env": [field("INSTANCE_IP", "status.podIP")],
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]},
            "privileged": false,
            "readOnlyRootFilesystem": true,
            "runAsGroup": 0,
            "runAsNonRoot": false,
            "runAsUser": 0,
        },
    });
    if let Some(fields) = container.as_object_mut() {
        if let Some(policy) = &settings.pull_policy {
            fields.insert("imagePullPolicy".to_owned(), json!(policy));
        }
        if let Some(resources) = &settings.resources {
            fields.insert("resources".to_owned(), resources.clone());
        }
    }
    Ok(Some(container))
}
