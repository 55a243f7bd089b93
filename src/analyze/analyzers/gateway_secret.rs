//! Gateways whose secrets are missing, or hold no certificate that can be used.

use serde_json::Value;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::analyze::Found;
use crate::analyze::codes::{INVALID_GATEWAY_CREDENTIAL, REFERENCED_RESOURCE_NOT_FOUND};
use crate::analyze::message::place;
use crate::analyze::object::{Object, text};
use crate::analyze::snapshot::Snapshot;

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
            let name = text(server, "/tls/credentialName");
            if name.is_empty() {
                continue;
            }
            let place = place!["spec", "servers", index, "tls", "credentialName"];
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

/// The names under which a secret holds certificate and key.
const ENTRIES: &[(&str, &str)] = &[("cert", "key"), ("tls.crt", "tls.key")];

/// What is wrong with a secret.
fn fault(secret: &Object) -> Option<String> {
    let Some((certificate, key)) =
        ENTRIES.iter().find_map(|(certificate, key)| Some((bytes(secret, certificate)?, bytes(secret, key)?)))
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

/// An entry of a secret, decoded.
fn bytes(secret: &Object, name: &str) -> Option<Vec<u8>> {
    if let Some(plain) = secret.at("/stringData").and_then(|data| data.get(name)).and_then(Value::as_str) {
        return Some(plain.as_bytes().to_vec());
    }
    decode(secret.at("/data")?.get(name)?.as_str()?)
}

/// Base64 (RFC 4648), blanks aside.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0_u32, 0_u8);
    for symbol in text.bytes().filter(|b| !b.is_ascii_whitespace() && *b != b'=') {
        let value = match symbol {
            b'A'..=b'Z' => symbol - b'A',
            b'a'..=b'z' => symbol - b'a' + 26,
            b'0'..=b'9' => symbol - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.extend((bits >> held).to_be_bytes().last());
        }
    }
    Some(bytes)
}
