//! What has to hold between the fields of the Gateway API's objects: the rules that its definitions state in CEL, as code.

mod routes;

pub(in crate::resources) use routes::*;

use std::collections::HashSet;
use std::net::IpAddr;

use crate::resources::field::Cx;
use crate::resources::gateway_api::backend_tls_policy::{
    BackendTLSPolicy, BackendValidation, PolicyTarget, SubjectAltName, SubjectAltNameType,
};
use crate::resources::gateway_api::gateway::{
    Gateway, GatewayAddress, Infrastructure, LabelCondition, Listener, ListenerSet, ListenerTls, TlsMode,
};
use crate::resources::gateway_api::reference::{BackendObjectRef, BackendRef};
use crate::resources::gateway_api::text::{Group, KindName, is_qualified_name, is_subdomain};
use crate::resources::suggest::shortened;
use crate::resources::values::Port;

pub(in crate::resources) fn gateway(gateway: &Gateway, cx: &mut Cx) {
    listeners(&gateway.listeners, cx);
    let mut seen = HashSet::new();
    for (index, address) in gateway.addresses.iter().enumerate() {
        let sort = address.address_type.as_ref().map_or("IPAddress", |sort| sort.as_str());
        let Some(value) = address.value.as_ref().filter(|_| matches!(sort, "IPAddress" | "Hostname")) else { continue };
        if !seen.insert((sort, value)) {
            cx.at("addresses", |cx| cx.at_index(index, |cx| cx.error_at("value", "is listed before: remove one")));
        }
    }
}

pub(in crate::resources) fn listener_set(set: &ListenerSet, cx: &mut Cx) {
    listeners(&set.listeners, cx);
}

fn listeners(listeners: &[Listener], cx: &mut Cx) {
    let mut seen = HashSet::new();
    cx.at("listeners", |cx| {
        for (index, listener) in listeners.iter().enumerate() {
            cx.at_index(index, |cx| {
                listener_protocol(listener, cx);
                if !seen.insert((listener.port, &listener.protocol, &listener.hostname)) {
                    cx.error("has port, protocol and hostname of a listener before it: change one of them");
                }
            });
        }
    });
}

fn listener_protocol(listener: &Listener, cx: &mut Cx) {
    let mode = listener.tls.as_ref().map(|tls| tls.mode);
    match listener.protocol.as_str() {
        protocol @ ("HTTP" | "TCP" | "UDP") if mode.is_some() => {
            cx.error_at("tls", format!("cannot be set with {protocol}: remove it, or write HTTPS or TLS"));
        }
        "HTTPS" if mode == Some(Some(TlsMode::Passthrough)) => {
            cx.at("tls", |cx| cx.error_at("mode", "has to be Terminate with HTTPS: write it, or the protocol TLS"));
        }
        "TLS" if mode.is_none_or(|mode| mode.is_none()) => {
            cx.error_at("tls", "has to say its mode with TLS: add `mode: Passthrough` or `mode: Terminate`");
        }
        _ => {}
    }
    if let protocol @ ("TCP" | "UDP") = listener.protocol.as_str()
        && listener.hostname.is_some()
    {
        cx.error_at("hostname", format!("cannot be set with {protocol}, which has no hosts: remove it"));
    }
}

pub(in crate::resources) fn listener_tls(tls: &ListenerTls, cx: &mut Cx) {
    let terminates = tls.mode != Some(TlsMode::Passthrough);
    if terminates && tls.certificate_refs.is_empty() && tls.options.is_empty() {
        cx.error_at("certificateRefs", "is required where TLS ends: name the Secret with certificate and key");
    }
}

pub(in crate::resources) fn address(address: &GatewayAddress, cx: &mut Cx) {
    let Some(value) = address.value.as_ref().map(|value| value.as_str()).filter(|value| !value.is_empty()) else {
        return;
    };
    match address.address_type.as_ref().map_or("IPAddress", |sort| sort.as_str()) {
        "Hostname" if !is_subdomain(value.strip_prefix("*.").unwrap_or(value)) => {
            cx.error_at("value", format!("is no host: {:?}", shortened(value)));
        }
        "IPAddress" if value.parse::<IpAddr>().is_err() => {
            cx.error_at("value", format!("is no IP address: {:?} (or write `type: Hostname`)", shortened(value)));
        }
        _ => {}
    }
}

pub(in crate::resources) fn infrastructure(infrastructure: &Infrastructure, cx: &mut Cx) {
    label_keys("labels", infrastructure.labels.keys(), cx);
    label_keys("annotations", infrastructure.annotations.keys(), cx);
}

fn label_keys<'k>(field: &str, keys: impl Iterator<Item = &'k String>, cx: &mut Cx) {
    for key in keys {
        let (prefix, name) = key.split_once('/').map_or((None, key.as_str()), |(prefix, name)| (Some(prefix), name));
        let fine = is_qualified_name(name)
            && name.len() <= 63
            && prefix.is_none_or(|prefix| prefix.len() < 253 && is_subdomain(prefix));
        if !fine {
            let fault = "is no key of a label: it has to be a name, or a domain, `/` and a name";
            cx.at(field, |cx| cx.error_at(key, fault));
        }
    }
}

pub(in crate::resources) fn label_condition(condition: &LabelCondition, cx: &mut Cx) {
    if !matches!(condition.operator.as_str(), "In" | "NotIn" | "Exists" | "DoesNotExist") {
        let written = shortened(&condition.operator);
        cx.warn_at(
            "operator",
            format!("is {written:?}, which is not In, NotIn, Exists or DoesNotExist: the condition never holds"),
        );
    }
}

/// A Service has ports, and one of them has to be meant.
fn needs_port(group: Option<&Group>, kind: Option<&KindName>, port: Option<Port>, cx: &mut Cx) {
    let is_service =
        group.is_none_or(|group| group.as_str().is_empty()) && kind.is_none_or(|kind| kind.as_str() == "Service");
    if is_service && port.is_none() {
        cx.error_at("port", "is required for a Service: add it");
    }
}

pub(in crate::resources) fn backend_object(backend: &BackendObjectRef, cx: &mut Cx) {
    needs_port(backend.group.as_ref(), backend.kind.as_ref(), backend.port, cx);
}

pub(in crate::resources) fn backend(backend: &BackendRef, cx: &mut Cx) {
    needs_port(backend.group.as_ref(), backend.kind.as_ref(), backend.port, cx);
}

pub(in crate::resources) fn backend_tls(policy: &BackendTLSPolicy, cx: &mut Cx) {
    cx.at("targetRefs", |cx| {
        for (index, target) in policy.target_refs.iter().enumerate() {
            let is_same = |other: &&PolicyTarget| {
                other.group == target.group && other.kind == target.kind && other.name == target.name
            };
            for other in policy.target_refs.iter().take(index).filter(is_same) {
                let fault = if other.section_name == target.section_name {
                    "is listed before: remove one"
                } else if other.section_name.is_none() || target.section_name.is_none() {
                    "names an object as a whole that is named by its ports as well: add `sectionName` to both"
                } else {
                    continue;
                };
                cx.at_index(index, |cx| cx.error(fault));
                break;
            }
        }
    });
}

pub(in crate::resources) fn backend_validation(validation: &BackendValidation, cx: &mut Cx) {
    match (validation.ca_certificate_refs.is_empty(), validation.well_known.is_some()) {
        (true, false) => cx.error("names no authorities: add `caCertificateRefs` or `wellKnownCACertificates`"),
        (false, true) => {
            cx.error(
                "has both `caCertificateRefs` and `wellKnownCACertificates`, and only one of them can be: remove one",
            );
        }
        _ => {}
    }
}

pub(in crate::resources) fn subject_alt_name(name: &SubjectAltName, cx: &mut Cx) {
    let (wanted, present, other, other_present) = match name.name_type {
        SubjectAltNameType::Hostname => ("hostname", name.hostname.is_some(), "uri", name.uri.is_some()),
        SubjectAltNameType::Uri => ("uri", name.uri.is_some(), "hostname", name.hostname.is_some()),
    };
    if !present {
        cx.error_at(wanted, format!("is required with the type {}: add it", name.name_type));
    }
    if other_present {
        cx.error_at(other, format!("cannot be set with the type {}: remove it", name.name_type));
    }
}
