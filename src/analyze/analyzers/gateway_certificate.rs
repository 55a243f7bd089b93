//! Gateways of one proxy that share a certificate: browsers then reuse one's connections for the other's hosts.

use serde_json::Value;

use crate::analyze::Found;
use crate::analyze::codes::GATEWAY_DUPLICATE_CERTIFICATE;
use crate::analyze::message::place;
use crate::analyze::object::{Object, selects, text};
use crate::analyze::snapshot::Snapshot;

/// What a server's certificate comes from: a secret, or a pair of files.
fn certificate(server: &Value) -> Option<(&str, &str)> {
    let secret = text(server, "/tls/credentialName");
    if !secret.is_empty() {
        return Some((secret, ""));
    }
    let (certificate, key) = (text(server, "/tls/serverCertificate"), text(server, "/tls/privateKey"));
    (!certificate.is_empty() && !key.is_empty()).then_some((certificate, key))
}

/// One message for each pair of servers, in each direction in which one's proxies are the other's too.
pub fn run(snapshot: &Snapshot, found: &mut Found) {
    let mut by_certificate: std::collections::BTreeMap<(&str, &str), Vec<(&Object, usize)>> =
        std::collections::BTreeMap::new();
    let gateways: Vec<&Object> = snapshot.gateways().collect();
    for gateway in &gateways {
        for (index, server) in gateway.items("/spec/servers").iter().enumerate() {
            if let Some(certificate) = certificate(server) {
                by_certificate.entry(certificate).or_default().push((gateway, index));
            }
        }
    }
    for users in by_certificate.values() {
        for (gateway, index) in users {
            let selector = gateway.map("/spec/selector");
            let others: Vec<String> = users
                .iter()
                .filter(|(other, _)| {
                    !std::ptr::eq(*other, *gateway) && selects(&selector, &other.map("/spec/selector"))
                })
                .map(|(other, _)| other.full_name())
                .collect();
            for other in others {
                let text = format!(
                    "{other} serves the same certificate at the same proxies: browsers that reuse connections get 404 for its hosts. Use one Gateway, or certificates of their own."
                );
                found.at(GATEWAY_DUPLICATE_CERTIFICATE, gateway, &place!["spec", "servers", *index, "tls"], text);
            }
        }
    }
}
