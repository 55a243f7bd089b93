//! What has to hold between the fields of an object: Istio's own rules, one file per kind.
//!
//! The declarations of the kinds name these checks; they run wherever an object is decoded, so that the API server's
//! admission, `mesh apply`, `mesh validate` and the control plane cannot disagree. What is missing *around* an object (a host,
//! a subset, a gateway that is not there yet) is not their business.

pub(super) mod authorization_policy;
pub(super) mod destination_rule;
pub(super) mod envoy_filter;
pub(super) mod extension;
pub(super) mod gateway;
pub(super) mod gateway_api;
pub(super) mod peer_authentication;
pub(super) mod request_authentication;
pub(super) mod service_entry;
pub(super) mod sidecar;
pub(super) mod telemetry;
pub(super) mod virtual_service;
pub(super) mod workload_entry;

use std::collections::HashSet;

use super::field::Cx;
use super::suggest;
use super::values::{ExportTo, Labels, is_label};

/// Labels as Kubernetes allows them.
fn labels(labels: &Labels, field: &str, cx: &mut Cx) {
    cx.at(field, |cx| {
        for (key, value) in labels {
            let (prefix, name) = match key.split_once('/') {
                Some((prefix, name)) => (Some(prefix), name),
                None => (None, key.as_str()),
            };
            if !is_qualified(name) || !prefix.is_none_or(|prefix| prefix.split('.').all(is_label)) {
                cx.error_at(key, "is no label's key: it has to be a name, or a domain, `/` and a name");
            } else if !value.is_empty() && !is_qualified(value) {
                cx.error_at(
                    key,
                    format!(
                        "has {:?}, which is no label's value: letters, digits, `-`, `_` and `.`, at most 63",
                        suggest::shortened(value)
                    ),
                );
            }
        }
    });
}

fn is_qualified(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    bytes.len() <= 63
        && ends(bytes.first())
        && ends(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// Everybody or some, each of them once.
fn export_to(export_to: &[ExportTo], cx: &mut Cx) {
    for (index, _) in export_to.iter().enumerate().filter(|(_, entry)| **entry == ExportTo::Nobody) {
        cx.at("exportTo", |cx| {
            cx.at_index(index, |cx| {
                cx.error("cannot be `~`, which only a ServiceEntry can say: use `.`, or remove the object");
            });
        });
    }
    export_to_or_nobody(export_to, cx);
}

/// The same, or nobody.
fn export_to_or_nobody(export_to: &[ExportTo], cx: &mut Cx) {
    let own = ExportTo::Namespace(cx.namespace.clone());
    let canonical = |entry: &ExportTo| match entry {
        ExportTo::Private => own.clone(),
        other => other.clone(),
    };
    cx.at("exportTo", |cx| {
        let mut seen = HashSet::new();
        for (index, entry) in export_to.iter().enumerate() {
            if !seen.insert(canonical(entry)) {
                cx.at_index(index, |cx| cx.error(format!("repeats {entry}: remove it")));
            }
        }
        if export_to.len() > 1 && export_to.contains(&ExportTo::Public) {
            cx.error("has `*`, which is everybody, beside others: keep one or the other");
        } else if export_to.len() > 1 && export_to.contains(&ExportTo::Nobody) {
            cx.error("has `~`, which is nobody, beside others: keep one or the other");
        }
    });
}

/// Weights of several destinations have to give at least one of them something.
fn weights(weights: impl ExactSizeIterator<Item = u32>, cx: &mut Cx) {
    let count = weights.len();
    let sum: u64 = weights.map(u64::from).sum();
    if count > 1 && sum == 0 {
        cx.error_at(
            "route",
            format!("has {count} destinations whose weights sum to 0: give at least one of them a weight"),
        );
    } else if sum > i32::MAX as u64 {
        cx.error_at("route", format!("has weights that sum to {sum}, and {} is the most", i32::MAX));
    }
}

/// A share of a hundred; fractions below a ten-thousandth are lost.
fn percentage(value: f64, cx: &mut Cx) {
    if !(0.0..=100.0).contains(&value) {
        cx.error(format!("has to be between 0 and 100, and is {value}"));
    } else if value > 0.0 && value < 0.0001 {
        cx.error(format!("is {value}, and 0.0001 is the smallest share beside 0"));
    }
}

/// An address or a network in CIDR notation.
fn subnets(subnets: &[String], field: &str, cx: &mut Cx) {
    cx.at(field, |cx| {
        for (index, subnet) in subnets.iter().enumerate() {
            let fine = subnet.parse::<std::net::IpAddr>().is_ok() || subnet.parse::<ipnet::IpNet>().is_ok();
            if !fine {
                cx.at_index(index, |cx| {
                    cx.error(format!(
                        "is neither an address nor a network as `10.0.0.0/8` is: {:?}",
                        suggest::shortened(subnet)
                    ));
                });
            }
        }
    });
}
