//! WorkloadEntry and WorkloadGroup.

use std::collections::BTreeMap;

use crate::resources::field::Cx;
use crate::resources::suggest;
use crate::resources::values::{Port, is_label};
use crate::resources::workload_entry::{
    GroupMeta, HttpProbe, LabelSelector, Probe, WorkloadAddress, WorkloadEntry, WorkloadTemplate,
};

pub(in crate::resources) fn workload_entry(entry: &WorkloadEntry, cx: &mut Cx) {
    if entry.address.is_none() && entry.network.as_deref().unwrap_or_default().is_empty() {
        cx.error_at("address", "is required where network is not set: say where the workload is reached");
    }
    place(entry.address.as_ref(), &entry.ports, cx);
    locality(entry.locality.as_deref(), cx);
    super::labels(&entry.labels, "labels", cx);
}

pub(in crate::resources) fn workload_template(template: &WorkloadTemplate, cx: &mut Cx) {
    place(template.address.as_ref(), &template.ports, cx);
    locality(template.locality.as_deref(), cx);
    super::labels(&template.labels, "labels", cx);
}

fn place(address: Option<&WorkloadAddress>, ports: &BTreeMap<String, Port>, cx: &mut Cx) {
    if matches!(address, Some(WorkloadAddress::Unix(_))) && !ports.is_empty() {
        cx.error_at("ports", "cannot be set, since a Unix socket has no ports: remove them");
    }
    cx.at("ports", |cx| {
        for name in ports.keys().filter(|name| !is_label(name)) {
            cx.error_at(name, "is no port's name: letters, digits and `-`, at most 63");
        }
    });
}

fn locality(locality: Option<&str>, cx: &mut Cx) {
    let Some(locality) = locality.filter(|locality| !locality.is_empty()) else { return };
    let parts: Vec<&str> = locality.split('/').collect();
    if parts.len() > 3 || parts.iter().any(|part| part.is_empty()) || locality.contains('*') {
        cx.error_at(
            "locality",
            format!("is no place, as `region/zone/subzone` is: {:?}", suggest::shortened(locality)),
        );
    }
}

pub(in crate::resources) fn label_selector(selector: &LabelSelector, cx: &mut Cx) {
    cx.at("labels", |cx| {
        for (key, value) in &selector.labels {
            if key.is_empty() {
                cx.error("has an empty key, which no label has");
            } else if key.contains('*') || value.contains('*') {
                cx.error_at(key, "has a wildcard, and a selector compares labels as they are: write the label out");
            }
        }
    });
}

pub(in crate::resources) fn group_meta(meta: &GroupMeta, cx: &mut Cx) {
    super::labels(&meta.labels, "labels", cx);
}

pub(in crate::resources) fn probe(probe: &Probe, cx: &mut Cx) {
    if probe.http_get.is_none() && probe.tcp_socket.is_none() && probe.exec.is_none() && probe.grpc.is_none() {
        cx.error("says nothing about how: set httpGet, tcpSocket, exec or grpc");
    }
}

pub(in crate::resources) fn http_probe(probe: &HttpProbe, cx: &mut Cx) {
    if let Some(scheme) = probe.scheme.as_deref().filter(|scheme| !matches!(*scheme, "" | "HTTP" | "HTTPS")) {
        cx.error_at("scheme", format!("has to be HTTP or HTTPS, and is {:?}", suggest::shortened(scheme)));
    }
}
