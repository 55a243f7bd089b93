//! Services whose ports do not say what is spoken on them.

use serde_json::Value;

use crate::analyze::Found;
use crate::analyze::codes::{EXTERNAL_NAME_SERVICE_TYPE_INVALID_PORT_NAME, PORT_NAME_IS_NOT_UNDER_NAMING_CONVENTION};
use crate::analyze::message::place;
use crate::analyze::object::text;
use crate::analyze::snapshot::Snapshot;

/// The protocols that a port's name can start with.
const PROTOCOLS: &[&str] =
    &["http", "https", "grpc", "grpc-web", "http2", "tcp", "tls", "udp", "mongo", "redis", "mysql"];

/// Well-known ports of protocols whose server speaks first, so that they are named by number.
const BY_NUMBER: &[u64] = &[25, 3306, 27017];

/// Namespaces of Kubernetes' own Services.
const SYSTEM: &[&str] = &["kube-system", "kube-public", "kube-node-lease", "local-path-storage"];

/// What a port is said to speak; none if nothing is.
fn protocol(port: &Value) -> Option<&str> {
    match text(port, "/protocol") {
        "UDP" => return Some("udp"),
        "SCTP" => return None,
        _ => {}
    }
    let chosen = text(port, "/appProtocol");
    match chosen {
        "kubernetes.io/h2c" => return Some("http2"),
        "kubernetes.io/ws" => return Some("http"),
        "kubernetes.io/wss" => return Some("https"),
        _ => {}
    }
    let of = |name: &str| {
        let lower = name.to_ascii_lowercase();
        PROTOCOLS
            .iter()
            .filter(|known| lower == **known || lower.starts_with(&format!("{known}-")))
            .max_by_key(|known| known.len())
            .copied()
    };
    if !chosen.is_empty() {
        return of(chosen);
    }
    let number = port.get("port").and_then(Value::as_u64).unwrap_or_default();
    of(text(port, "/name")).or_else(|| BY_NUMBER.contains(&number).then_some("tcp"))
}

/// All of them.
pub fn run(snapshot: &Snapshot, found: &mut Found) {
    for service in snapshot.all("Service") {
        let managed = !service.label("gateway.networking.k8s.io/gateway-name").is_empty()
            || !service.label("gateway.istio.io/managed").is_empty();
        if service.is_control_plane() || managed || SYSTEM.contains(&&*service.namespace) {
            continue;
        }
        let external = service.text("/spec/type") == "ExternalName";
        for (index, port) in service.items("/spec/ports").iter().enumerate() {
            let protocol = protocol(port);
            let name = text(port, "/name");
            let number = port.get("port").and_then(Value::as_u64).unwrap_or_default();
            let place = place!["spec", "ports", index, "port"];
            if external && matches!(protocol, None | Some("tcp")) {
                let text = format!(
                    "The port {number} of an ExternalName Service is {name:?}: without a protocol that names hosts, it captures all traffic of the port. Name it after one, as http."
                );
                found.at(EXTERNAL_NAME_SERVICE_TYPE_INVALID_PORT_NAME, service, &place, text);
            } else if !external && protocol.is_none() {
                let target = port.get("targetPort").map(Value::to_string).unwrap_or_else(|| number.to_string());
                let text = format!(
                    "The name {name:?} of port {number} (target {target}) does not say what is spoken: start it with the protocol, as http-, or set appProtocol."
                );
                found.at(PORT_NAME_IS_NOT_UNDER_NAMING_CONVENTION, service, &place, text);
            }
        }
    }
}
