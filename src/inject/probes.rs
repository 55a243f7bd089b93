//! Probes and hooks of the application's containers, asked through the proxy.
//!
//! A kubelet asks from outside of the pod, without a certificate: behind strict mutual TLS it would be refused, and a port that
//! the proxy holds back would look alive. So it asks the proxy's status port instead, which asks the application from inside
//! (<https://istio.io/latest/docs/ops/configuration/mesh/app-health-check/>).

use serde_json::{Map, Value, json};

use super::annotation::{self, Wrong};
use super::sidecar::SIDECAR;

/// The variable in which the proxy finds what to ask for which path.
pub const VARIABLE: &str = "ISTIO_KUBE_APP_PROBERS";

/// The proxy's port that answers.
const STATUS_PORT: u16 = 15020;

const SWITCH: &str = "sidecar.istio.io/rewriteAppHTTPProbers";

/// Probes and hooks, where each is in a container, and the path that stands for it.
const ASKED: [(&str, &str, &str); 5] = [
    ("/startupProbe", "app-health", "startupz"),
    ("/readinessProbe", "app-health", "readyz"),
    ("/livenessProbe", "app-health", "livez"),
    ("/lifecycle/postStart", "app-lifecycle", "poststartz"),
    ("/lifecycle/preStop", "app-lifecycle", "prestopz"),
];

/// Has a kubelet ask the proxy for every probe and hook over HTTP and every probe by connection or over gRPC, and answers what the proxy has
/// to know for that: the value of [`VARIABLE`]. `None` where there is nothing to ask, or the pod does not want it.
pub(super) fn rewrite(pod: &mut Value) -> Result<Option<String>, Wrong> {
    if annotation::switch(pod, SWITCH)? == Some(false) {
        return Ok(None);
    }
    let mut known = Map::new();
    for list in ["/spec/containers", "/spec/initContainers"] {
        let containers = pod.pointer_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            rewrite_container(container, &mut known);
        }
    }
    Ok(if known.is_empty() { None } else { Some(Value::Object(known).to_string()) })
}

fn rewrite_container(container: &mut Value, known: &mut Map<String, Value>) {
    let Some(name) = container.get("name").and_then(Value::as_str).map(str::to_owned) else { return };
    if name == SIDECAR {
        return;
    }
    let ports = container.get("ports").cloned().unwrap_or_default();
    for (pointer, kind, what) in ASKED {
        let Some(Value::Object(asked)) = container.pointer_mut(pointer) else { continue };
        let timeout = asked.get("timeoutSeconds").cloned();
        let Some(mut question) = question(asked, &ports) else { continue };
        if let (Some(timeout), Some(question)) = (timeout, question.as_object_mut()) {
            question.insert("timeoutSeconds".to_owned(), timeout);
        }
        let path = format!("/{kind}/{name}/{what}");
        asked.remove("tcpSocket");
        asked.remove("grpc");
        asked.insert("httpGet".to_owned(), json!({"path": path, "port": STATUS_PORT}));
        known.insert(path, question);
    }
}

/// What is to be asked instead, with the number of the port; `None` for what is left as it is: commands, and ports that the
/// container does not have.
fn question(asked: &Map<String, Value>, ports: &Value) -> Option<Value> {
    let (field, inner) =
        ["httpGet", "tcpSocket", "grpc"].into_iter().find_map(|field| Some((field, asked.get(field)?.as_object()?)))?;
    // Another host than the pod itself is asked by the kubelet, as ever.
    if inner.contains_key("host") {
        return None;
    }
    let port = match inner.get("port")? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok().or_else(|| {
            let named = ports.as_array()?.iter().find(|port| port.get("name").and_then(Value::as_str) == Some(text))?;
            named.get("containerPort")?.as_u64()
        }),
        _ => None,
    };
    let port = u16::try_from(port?).ok()?;
    let mut inner = inner.clone();
    inner.insert("port".to_owned(), port.into());
    Some(json!({ field: inner }))
}
