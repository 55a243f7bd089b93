//! ServiceEntry.

use std::collections::HashSet;

use crate::resources::field::Cx;
use crate::resources::service_entry::{Location, Resolution, ServiceEntry, ServicePort};
use crate::resources::values::is_lower_label;
use crate::resources::workload_entry::WorkloadAddress;

/// The protocols that a service's port can speak, whatever the case of their letters.
pub(in crate::resources) const PROTOCOLS: &[&str] =
    &["HTTP", "HTTPS", "GRPC", "GRPC-Web", "HTTP2", "TCP", "TLS", "UDP", "Mongo", "Redis", "MySQL"];

/// Those of them whose requests name a host.
const NAMING: &[&str] = &["HTTP", "HTTP2", "GRPC", "HTTPS", "TLS"];

pub(in crate::resources) fn service_entry(entry: &ServiceEntry, cx: &mut Cx) {
    let resolution = entry.resolution.unwrap_or(Resolution::None);
    if entry.workload_selector.is_some() && !entry.endpoints.is_empty() {
        cx.error("has both `workloadSelector` and `endpoints`, and only one of them can be: remove one");
    }
    for (index, host) in entry.hosts.iter().enumerate() {
        let text = host.as_str();
        cx.at("hosts", |cx| {
            cx.at_index(index, |cx| {
                if text == "*" {
                    cx.error("cannot be `*`, which would be every host: name the service's");
                } else if host.is_wildcard() && !text.starts_with("*.") {
                    cx.warn(
                        "has a wildcard that is part of a label, which matches nothing but itself: write `*.` instead",
                    );
                }
            });
        });
    }
    let networks =
        entry.addresses.iter().position(|address| address.get().prefix_len() != address.get().max_prefix_len());
    if let (Some(index), false) = (networks, matches!(resolution, Resolution::None | Resolution::Static)) {
        cx.at("addresses", |cx| {
            cx.at_index(index, |cx| {
                cx.error(format!(
                    "is a network, which {resolution} cannot have: name addresses, or use NONE or STATIC"
                ));
            });
        });
    }
    let mut numbers = HashSet::new();
    cx.at("ports", |cx| {
        for (index, port) in entry.ports.iter().enumerate() {
            if !numbers.insert(port.number) {
                cx.at_index(index, |cx| {
                    cx.error_at("number", format!("repeats {}: remove one of the two", port.number));
                });
            }
        }
    });
    endpoints(entry, resolution, cx);
    super::export_to_or_nobody(&entry.export_to, cx);
}

fn endpoints(entry: &ServiceEntry, resolution: Resolution, cx: &mut Cx) {
    match resolution {
        Resolution::None if !entry.endpoints.is_empty() => {
            cx.error_at(
                "endpoints",
                "cannot be set with the resolution NONE: set resolution to STATIC or DNS, or remove them",
            );
        }
        Resolution::DnsRoundRobin if entry.endpoints.len() > 1 => {
            cx.error_at("endpoints", "can be only one with DNS_ROUND_ROBIN: use DNS, or keep one");
        }
        Resolution::Static => {
            each_address(entry, cx, |address| {
                matches!(address, WorkloadAddress::Host(_))
                    .then_some("is a name, and STATIC takes addresses: use DNS, or write the address")
            });
        }
        Resolution::Dns | Resolution::DnsRoundRobin => {
            each_address(entry, cx, |address| {
                matches!(address, WorkloadAddress::Unix(_))
                    .then_some("is a Unix socket, which DNS does not know: use STATIC")
            });
            let wildcard = entry.hosts.iter().position(|host| host.is_wildcard());
            if let (Some(index), true, true) = (wildcard, entry.endpoints.is_empty(), entry.workload_selector.is_none())
            {
                cx.at("hosts", |cx| {
                    cx.at_index(index, |cx| {
                        cx.error(format!("is a wildcard, which {resolution} cannot resolve: add endpoints, or use NONE or DYNAMIC_DNS"));
                    });
                });
            }
        }
        Resolution::DynamicDns => dynamic(entry, cx),
        Resolution::None => {}
    }
}

fn each_address(entry: &ServiceEntry, cx: &mut Cx, fault: impl Fn(&WorkloadAddress) -> Option<&'static str>) {
    for (index, endpoint) in entry.endpoints.iter().enumerate() {
        if let Some(fault) = endpoint.address.as_ref().and_then(&fault) {
            cx.at("endpoints", |cx| cx.at_index(index, |cx| cx.error_at("address", fault)));
        }
    }
}

/// The name that a client asks for is resolved, so that the protocol has to say it and the entry must not.
fn dynamic(entry: &ServiceEntry, cx: &mut Cx) {
    for (index, host) in entry.hosts.iter().enumerate().filter(|(_, host)| !host.is_wildcard()) {
        cx.at("hosts", |cx| {
            cx.at_index(index, |cx| cx.error(format!("is {host}, and DYNAMIC_DNS is for wildcards: use DNS")));
        });
    }
    for (field, set) in [
        ("addresses", !entry.addresses.is_empty()),
        ("endpoints", !entry.endpoints.is_empty()),
        ("workloadSelector", entry.workload_selector.is_some()),
    ] {
        if set {
            cx.error_at(field, "cannot be set with DYNAMIC_DNS, which finds endpoints by name: remove it");
        }
    }
    if entry.location == Some(Location::MeshInternal) {
        cx.error_at("location", "has to be MESH_EXTERNAL with DYNAMIC_DNS");
    }
    for (index, port) in entry.ports.iter().enumerate() {
        let protocol = port.protocol.as_deref().unwrap_or_default();
        if !NAMING.iter().any(|known| known.eq_ignore_ascii_case(protocol)) {
            cx.at("ports", |cx| {
                cx.at_index(index, |cx| {
                    cx.error_at(
                        "protocol",
                        format!(
                            "has to be one of {} with DYNAMIC_DNS, whose clients have to say the name",
                            NAMING.join(", ")
                        ),
                    );
                });
            });
        }
    }
}

pub(in crate::resources) fn service_port(port: &ServicePort, cx: &mut Cx) {
    if !is_lower_label(&port.name) {
        cx.error_at("name", "is no port's name: lower-case letters, digits and `-`, at most 63");
    }
    protocol(port.protocol.as_deref(), cx);
}

/// The protocol of a port, whatever the case of its letters; empty means that it is found out.
pub(in crate::resources) fn protocol(protocol: Option<&str>, cx: &mut Cx) {
    let Some(protocol) = protocol.filter(|protocol| !protocol.is_empty()) else { return };
    if !PROTOCOLS.iter().any(|known| known.eq_ignore_ascii_case(protocol)) {
        let hint = cx.guess(protocol, PROTOCOLS);
        cx.error_at("protocol", format!("is {protocol:?}, which is no protocol{hint}"));
    }
}
