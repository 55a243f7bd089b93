//! Webhooks of a control plane outside of the cluster.

use crate::analyze::Found;
use crate::analyze::codes::{EXTERNAL_CONTROL_PLANE_ADDRESS_IS_NOT_A_HOSTNAME, INVALID_EXTERNAL_CONTROL_PLANE_CONFIG};
use crate::analyze::message::place;
use crate::analyze::object::text;
use crate::analyze::snapshot::Snapshot;

/// How the names of the configurations start.
const WEBHOOKS: &[(&str, &str)] = &[
    ("ValidatingWebhookConfiguration", "istio-validator"),
    ("MutatingWebhookConfiguration", "istio-sidecar-injector"),
];

/// Those that lead nowhere, or to an address.
pub fn run(snapshot: &Snapshot, found: &mut Found) {
    for (kind, prefix) in WEBHOOKS {
        for object in snapshot.all(kind).iter().filter(|object| object.name.starts_with(prefix)) {
            for (index, webhook) in object.items("/webhooks").iter().enumerate() {
                let place = place!["webhooks", index, "clientConfig", "url"];
                let name = text(webhook, "/name");
                let url = text(webhook, "/clientConfig/url");
                if url.is_empty() {
                    if webhook.pointer("/clientConfig/service").is_none_or(serde_json::Value::is_null) {
                        let text = format!("The webhook {name} has neither url nor service: nobody is asked.");
                        found.at(INVALID_EXTERNAL_CONTROL_PLANE_CONFIG, object, &place, text);
                    }
                    continue;
                }
                match url.parse::<http::Uri>().ok().as_ref().and_then(http::Uri::host) {
                    None => {
                        let text = format!("The webhook {name} has {url:?}, which is no URL.");
                        found.at(INVALID_EXTERNAL_CONTROL_PLANE_CONFIG, object, &place, text);
                    }
                    Some(host) if host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok() => {
                        let text = format!(
                            "The webhook {name} names the control plane by the address {host}: a host name can be checked against its certificate."
                        );
                        found.at(EXTERNAL_CONTROL_PLANE_ADDRESS_IS_NOT_A_HOSTNAME, object, &place, text);
                    }
                    Some(_) => {}
                }
            }
        }
    }
}
