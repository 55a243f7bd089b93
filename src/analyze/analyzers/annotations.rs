//! Annotations: known, where they belong, with values that can be used.

use std::net::IpAddr;

use crate::analyze::Found;
use crate::analyze::annotation_table::{ANNOTATIONS, Annotation, Form, Status};
use crate::analyze::codes::{
    ALPHA_ANNOTATION, DEPRECATED_ANNOTATION, INVALID_ANNOTATION, MISPLACED_ANNOTATION, UNKNOWN_ANNOTATION,
};
use crate::analyze::message::place;
use crate::analyze::object::{Object, map, text};
use crate::analyze::snapshot::{Snapshot, parsed};
use crate::yaml::Path;

/// The kinds whose annotations are looked at.
const KINDS: &[&str] = &["Namespace", "Service", "Pod", "Deployment"];

/// Alpha annotations that no user writes.
const NOT_BY_USERS: &[&str] = &["istio.io/rev", "sidecar.istio.io/status", "gateway.istio.io/controller-version"];

/// Alpha annotations that Istio's network plugin writes to every pod.
const BY_NETWORK_PLUGIN: &[&str] = &[
    "sidecar.istio.io/interceptionMode",
    "traffic.sidecar.istio.io/excludeInboundPorts",
    "traffic.sidecar.istio.io/includeInboundPorts",
    "traffic.sidecar.istio.io/includeOutboundIPRanges",
];

const TEMPLATE: &str = "/spec/template";

/// The annotations of an object: of itself, and of its template.
fn each(object: &Object, mut visit: impl FnMut(&str, &str, &str, Path)) {
    for (key, value) in object.map("/metadata/annotations") {
        visit(&object.kind, key, value, place!["metadata", "annotations", key]);
    }
    if &*object.kind == "Deployment" {
        for (key, value) in map(object.value(), &format!("{TEMPLATE}/metadata/annotations")) {
            visit("Pod", key, value, place!["spec", "template", "metadata", "annotations", key]);
        }
    }
}

fn is_istios(key: &str) -> bool {
    let domain = key.split('/').next().unwrap_or_default();
    key == "kubernetes.io/ingress.class" || domain == "istio.io" || domain.ends_with(".istio.io")
}

fn find(key: &str) -> Option<&'static Annotation> {
    ANNOTATIONS.iter().find(|known| known.name == key)
}

/// Unknown, misplaced, deprecated and invalid annotations.
pub fn use_of(snapshot: &Snapshot, found: &mut Found) {
    for object in KINDS.iter().flat_map(|kind| snapshot.all(kind)) {
        each(object, |kind, key, value, path| {
            if !is_istios(key) {
                return;
            }
            let Some(known) = find(key) else {
                found.at(
                    UNKNOWN_ANNOTATION,
                    object,
                    &path,
                    format!("The annotation {key} is none of Istio's: check its spelling."),
                );
                return;
            };
            if !known.kinds.contains(&kind) && !known.kinds.contains(&"Any") {
                let place = known.kinds.join(" or ");
                let text = format!("The annotation {key} has no effect on a {kind}: it belongs on a {place}.");
                found.at(MISPLACED_ANNOTATION, object, &path, text);
            }
            let label_too = key == "sidecar.istio.io/inject" && !object.label(key).is_empty();
            if known.deprecated && !label_too {
                let text = format!("The annotation {key} is deprecated and may stop working.");
                found.at(DEPRECATED_ANNOTATION, object, &path, text);
            }
            if let Some(fault) = known.form.fault(value) {
                found.at(
                    INVALID_ANNOTATION,
                    object,
                    &path,
                    format!("The annotation {key} has {value:?}, which {fault}."),
                );
            }
        });
    }
}

/// Annotations that are not stable yet.
pub fn stability(snapshot: &Snapshot, found: &mut Found) {
    for object in KINDS.iter().flat_map(|kind| snapshot.all(kind)) {
        let by_plugin = object.items("/spec/initContainers").iter().any(|c| text(c, "/name") == "istio-validation");
        each(object, |_, key, _, path| {
            let expected = NOT_BY_USERS.contains(&key) || by_plugin && BY_NETWORK_PLUGIN.contains(&key);
            if find(key).is_some_and(|known| known.status == Status::Alpha) && !expected {
                let text = format!("The annotation {key} is not stable yet and may change.");
                found.at(ALPHA_ANNOTATION, object, &path, text);
            }
        });
    }
}

impl Form {
    /// What is wrong with a value of this form.
    fn fault(self, value: &str) -> Option<&'static str> {
        let list = |fine: fn(&str) -> bool| value.is_empty() || value.split(',').map(str::trim).all(fine);
        let (fine, fault) = match self {
            Self::Any => return None,
            Self::Number => (value.parse::<u32>().is_ok(), "is no whole number from 0"),
            Self::Port => (value.parse::<u16>().is_ok(), "is no port"),
            Self::Bool => (
                matches!(
                    value,
                    "true" | "false" | "1" | "0" | "t" | "f" | "T" | "F" | "True" | "False" | "TRUE" | "FALSE"
                ),
                "is neither true nor false",
            ),
            Self::InterceptionMode => {
                (matches!(value, "REDIRECT" | "TPROXY" | "NONE"), "is none of REDIRECT, TPROXY and NONE")
            }
            Self::Ports => (list(|port| port.parse::<u16>().is_ok()), "is no list of ports"),
            Self::PortsOrAll => {
                (value == "*" || list(|port| port.parse::<u16>().is_ok()), "is neither `*` nor a list of ports")
            }
            Self::Networks => (list(is_network), "is no list of networks, as 10.0.0.0/8 is one"),
            Self::NetworksOrAll => (value == "*" || list(is_network), "is neither `*` nor a list of networks"),
            Self::Words => (list(|word| !word.is_empty()), "is no list of names"),
            Self::Quantity => (is_quantity(value), "is no quantity, as 100m or 128Mi are"),
            Self::Yaml => (parsed(value).is_some_and(|value| value.is_object()), "is no mapping in YAML"),
        };
        (!fine).then_some(fault)
    }
}

fn is_network(text: &str) -> bool {
    text.parse::<ipnet::IpNet>().is_ok() || text.parse::<IpAddr>().is_ok()
}

/// A quantity as Kubernetes writes it.
fn is_quantity(text: &str) -> bool {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    number.parse::<f64>().is_ok()
        && matches!(
            unit,
            "" | "n" | "u" | "m" | "k" | "M" | "G" | "T" | "P" | "E" | "Ki" | "Mi" | "Gi" | "Ti" | "Pi" | "Ei"
        )
}
