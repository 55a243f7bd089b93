//! ServiceEntry.

use std::collections::HashSet;

use crate::resources::field::Cx;
use crate::resources::service_entry::{Resolution, ServiceEntry, ServicePort};
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
    let mut names = HashSet::new();
    cx.at("ports", |cx| {
        for (index, port) in entry.ports.iter().enumerate() {
            names.insert(port.name.as_str());
            if !numbers.insert(port.number) {
                cx.at_index(index, |cx| {
                    cx.error_at("number", format!("repeats {}: remove one of the two", port.number));
                });
            }
        }
    });
    one_host_of_bytes(entry, resolution, cx);
    endpoints(entry, resolution, cx);
    if matches!(resolution, Resolution::Static | Resolution::Dns | Resolution::DnsRoundRobin) {
        endpoint_ports(entry, resolution, &names, cx);
    }
    if entry.workload_selector.as_ref().is_some_and(|selector| selector.labels.is_empty()) {
        cx.warn_at("workloadSelector", "has no labels and selects every workload of the namespace: add labels");
    }
    if entry.workload_selector.is_some() && resolution == Resolution::None {
        cx.warn_at("workloadSelector", "has no effect with the resolution NONE: set resolution to STATIC or DNS");
    }
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

/// A connection of bytes does not say which of several hosts it is for.
fn one_host_of_bytes(entry: &ServiceEntry, resolution: Resolution, cx: &mut Cx) {
    const SAYING: [&str; 6] = ["HTTP", "HTTP2", "GRPC", "GRPC-Web", "HTTPS", "TLS"];

    if entry.hosts.len() < 2 || matches!(resolution, Resolution::None | Resolution::DynamicDns) {
        return;
    }
    named_protocols(entry, &SAYING, "where there are several hosts: make an entry for each host", cx);
    let dns = matches!(resolution, Resolution::Dns | Resolution::DnsRoundRobin);
    let by_address = |port: &ServicePort| {
        port.protocol
            .as_deref()
            .is_some_and(|protocol| ["HTTPS", "TLS"].iter().any(|tls| tls.eq_ignore_ascii_case(protocol)))
    };
    if dns && !entry.addresses.is_empty() && entry.ports.iter().any(by_address) {
        cx.warn_at("addresses", "do not say which of the hosts a connection is for: make an entry for each host");
    }
}

/// An endpoint's ports are ports of the entry; a socket is one port, whichever.
fn endpoint_ports(entry: &ServiceEntry, resolution: Resolution, names: &HashSet<&str>, cx: &mut Cx) {
    for (index, endpoint) in entry.endpoints.iter().enumerate() {
        for name in endpoint.ports.keys().filter(|name| !names.contains(name.as_str())) {
            cx.at("endpoints", |cx| {
                cx.at_index(index, |cx| {
                    cx.at("ports", |cx| {
                        cx.error_at(name, "is the name of no port of the entry: add it to ports, or rename it");
                    });
                });
            });
        }
        let is_socket = matches!(endpoint.address, Some(WorkloadAddress::Unix(_)));
        if is_socket && resolution == Resolution::Static && entry.ports.len() != 1 {
            cx.at("endpoints", |cx| {
                cx.at_index(index, |cx| {
                    cx.error_at("address", "is a Unix socket, which is one port, and the entry has several or none");
                });
            });
        }
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
    named_protocols(entry, NAMING, "with DYNAMIC_DNS, whose clients have to say the name", cx);
}

/// Every port has one of these protocols, because of `why`.
fn named_protocols(entry: &ServiceEntry, known: &[&str], why: &str, cx: &mut Cx) {
    for (index, port) in entry.ports.iter().enumerate() {
        let protocol = port.protocol.as_deref().unwrap_or_default();
        if !known.iter().any(|one| one.eq_ignore_ascii_case(protocol)) {
            let wrong = format!("has to be one of {} {why}", known.join(", "));
            cx.at("ports", |cx| cx.at_index(index, |cx| cx.error_at("protocol", wrong)));
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
