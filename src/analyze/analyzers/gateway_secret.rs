//! Gateways whose secrets are missing, or hold no certificate that can be used.

use x509_parser::prelude::{FromDer, X509Certificate};

use crate::analyze::Found;
use crate::analyze::codes::{INVALID_GATEWAY_CREDENTIAL, REFERENCED_RESOURCE_NOT_FOUND};
use crate::analyze::message::place;
use crate::analyze::object::{Object, items, text};
use crate::analyze::snapshot::Snapshot;
use crate::compile::secret_entry;

/// Both, and Gateways without pods, for which there is no place to look.
pub fn run(snapshot: &Snapshot, found: &mut Found) {
    for gateway in snapshot.gateways() {
        let selector = gateway.map("/spec/selector");
        let pods = snapshot.selected(&selector, None);
        let Some(pod) = pods.first() else {
            super::no_such_selector(gateway, &selector, &["spec", "selector"], found);
            continue;
        };
        for (index, server) in gateway.items("/spec/servers").iter().enumerate() {
            let single = ("credentialName", text(server, "/tls/credentialName"));
            let several = items(server, "/tls/credentialNames").iter().filter_map(|name| name.as_str());
            let all = std::iter::once(single).chain(several.map(|name| ("credentialNames", name)));
            for (field, name) in all.filter(|(_, name)| !name.is_empty()) {
                let place = place!["spec", "servers", index, "tls", field];
                match snapshot.find("Secret", &pod.namespace, name) {
                    None => {
                        let text = format!(
                            "There is no Secret {name} in the namespace of the Gateway's pods ({}).",
                            pod.namespace
                        );
                        found.at(REFERENCED_RESOURCE_NOT_FOUND, gateway, &place, text);
                    }
                    Some(secret) => {
                        if let Some(fault) = fault(secret) {
                            let text = format!("The Secret {name} {fault}.");
                            found.at(INVALID_GATEWAY_CREDENTIAL, gateway, &place, text);
                        }
                    }
                }
            }
        }
    }
}

/// The names under which a secret holds certificate and key.
const ENTRIES: &[(&str, &str)] = &[("cert", "key"), ("tls.crt", "tls.key")];

/// What is wrong with a secret.
fn fault(secret: &Object) -> Option<String> {
    let entry = |name: &str| secret_entry(secret.at("")?, name);
    let Some((certificate, key)) =
        ENTRIES.iter().find_map(|(certificate, key)| Some((entry(certificate)?, entry(key)?)))
    else {
        return Some("holds neither tls.crt with tls.key nor cert with key".to_owned());
    };
    if key.is_empty() {
        return Some("holds an empty key".to_owned());
    }
    let Ok((_, pem)) = x509_parser::pem::parse_x509_pem(&certificate) else {
        return Some("holds a certificate that is no PEM".to_owned());
    };
    let Ok((_, parsed)) = X509Certificate::from_der(&pem.contents) else {
        return Some("holds a certificate that can't be read".to_owned());
    };
    let validity = parsed.validity();
    (!validity.is_valid()).then(|| {
        format!("holds a certificate that is valid from {} to {} only", validity.not_before, validity.not_after)
    })
}
