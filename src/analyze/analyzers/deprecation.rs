//! Fields and kinds that are on their way out.

use serde_json::Value;

use crate::analyze::Found;
use crate::analyze::codes::DEPRECATED;
use crate::analyze::message::place;
use crate::analyze::snapshot::Snapshot;

/// Definitions that nothing reads any more.
const GONE: &[&str] = &["ClusterRbacConfig", "RbacConfig", "ServiceRole", "ServiceRoleBinding"];

/// All of them.
pub fn run(snapshot: &Snapshot, found: &mut Found) {
    for service in snapshot.all("VirtualService") {
        for (index, route) in service.items("/spec/http").iter().enumerate() {
            let percent = route.pointer("/fault/delay/percent").and_then(Value::as_i64).unwrap_or_default();
            if percent > 0 {
                let place = place!["spec", "http", index, "fault", "delay", "percent"];
                found.at(DEPRECATED, service, &place, "The field percent of a delay is deprecated: use percentage.");
            }
        }
    }
    for sidecar in snapshot.all("Sidecar") {
        if sidecar.at("/spec/outboundTrafficPolicy/egressProxy").is_some() {
            let place = place!["spec", "outboundTrafficPolicy", "egressProxy"];
            found.at(
                DEPRECATED,
                sidecar,
                &place,
                "The field egressProxy is deprecated: use a ServiceEntry and a VirtualService.",
            );
        }
    }
    for definition in snapshot.all("CustomResourceDefinition") {
        let kind = definition.text("/spec/names/kind");
        if definition.text("/spec/group") == "rbac.istio.io" && GONE.contains(&kind) {
            found.note(
                DEPRECATED,
                definition,
                format!("The kind {kind} is not read any more: use AuthorizationPolicy."),
            );
        }
    }
}
