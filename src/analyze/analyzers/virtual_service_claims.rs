//! Routes on a token's claims at gateways that look at no token.

use crate::analyze::Found;
use crate::analyze::codes::JWT_CLAIM_BASED_ROUTING_WITHOUT_REQUEST_AUTH_N;
use crate::analyze::message::place;
use crate::analyze::object::{Object, items, selects};
use crate::analyze::snapshot::Snapshot;

/// How a match on a claim is spelled, in the place of a header.
const CLAIM: &str = "@request.auth.claims";

/// One message for each of a gateway's pods.
pub fn run(snapshot: &Snapshot, found: &mut Found) {
    for service in snapshot.all("VirtualService") {
        let Some((place, key)) = claim(service) else { continue };
        for name in service.texts("/spec/gateways").into_iter().filter(|name| *name != "mesh") {
            let (namespace, short) = super::virtual_service_gateway::reference(name, &service.namespace);
            let gateway =
                snapshot.gateways().find(|gateway| &*gateway.namespace == namespace && &*gateway.name == short);
            let Some(gateway) = gateway else { continue };
            let selector = gateway.map("/spec/selector");
            for pod in snapshot.selected(&selector, None) {
                if !is_authenticated(snapshot, pod) {
                    let text = format!(
                        "The route looks at {key}, and no RequestAuthentication holds for the pod {} of the Gateway {name}: it never matches.",
                        pod.full_name()
                    );
                    found.at(JWT_CLAIM_BASED_ROUTING_WITHOUT_REQUEST_AUTH_N, service, &place, text);
                }
            }
        }
    }
}

/// The first match on a claim.
fn claim(service: &Object) -> Option<(crate::yaml::Path, &str)> {
    for (rule_index, rule) in service.items("/spec/http").iter().enumerate() {
        for (index, conditions) in items(rule, "/match").iter().enumerate() {
            for field in ["headers", "withoutHeaders"] {
                let headers = conditions.get(field).and_then(serde_json::Value::as_object);
                if let Some(key) = headers.into_iter().flatten().map(|(key, _)| key).find(|key| key.starts_with(CLAIM))
                {
                    return Some((place!["spec", "http", rule_index, "match", index, field, key.as_str()], key));
                }
            }
        }
    }
    None
}

fn is_authenticated(snapshot: &Snapshot, pod: &Object) -> bool {
    let root = snapshot.root_namespace();
    snapshot.all("RequestAuthentication").iter().any(|policy| {
        (policy.namespace == pod.namespace || *policy.namespace == *root)
            && selects(&policy.map("/spec/selector/matchLabels"), &pod.labels())
    })
}
