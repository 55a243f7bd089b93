//! ServiceEntry: services that Kubernetes does not know.

use super::authorization_values::IpBlock;
use super::field::{Limit, names, record};
use super::rules::service_entry as rules;
use super::values::{ExportTo, Host, Port};
use super::workload_entry::{LabelSelector, WorkloadEntry};

record! {
    /// A service that Kubernetes does not know: outside of the mesh, or in it on machines.
    pub struct ServiceEntry {
        /// Its hosts.
        hosts: Vec<Host> = "hosts" [Limit::Required, Limit::MinItems(1), Limit::MaxItems(256), Limit::ItemsCel(NAMED)];
        /// Its virtual addresses, or networks that it is all of.
        addresses: Vec<IpBlock> = "addresses" [Limit::MaxItems(256), Limit::ItemsMaxLength(64)];
        /// Its ports.
        ports: Vec<ServicePort> = "ports" [Limit::MaxItems(256), Limit::UniqueBy("name"), Limit::Cel(ONE_NUMBER)];
        /// Where it is; MESH_EXTERNAL if not said.
        location: Option<Location> = "location";
        /// How its endpoints are found; NONE if not said.
        resolution: Option<Resolution> = "resolution";
        /// Its endpoints.
        endpoints: Vec<WorkloadEntry> = "endpoints" [Limit::MaxItems(4096)];
        /// The workloads that are its endpoints: pods, and WorkloadEntries.
        workload_selector: Option<LabelSelector> = "workloadSelector";
        /// The namespaces whose proxies see it.
        export_to: Vec<ExportTo> = "exportTo";
        /// The names one of which a server's certificate has to hold.
        subject_alt_names: Vec<String> = "subjectAltNames";
    }
    cel: &[
        (
            "(has(self.workloadSelector) ? 1 : 0) + (has(self.endpoints) ? 1 : 0) <= 1",
            "only one of workloadSelector and endpoints can be set",
        ),
        (
            r#"!((has(self.addresses) ? self.addresses : []).exists(k, k.contains("/")) && !((has(self.resolution) ? self.resolution : "NONE") in ["STATIC", "NONE"]))"#,
            "networks as addresses need the resolution NONE or STATIC",
        ),
        (
            r#"((has(self.resolution) ? self.resolution : "NONE") == "NONE") ? !has(self.endpoints) : true"#,
            "the resolution NONE has no endpoints",
        ),
        (
            r#"((has(self.resolution) ? self.resolution : "") == "DNS_ROUND_ROBIN") ? ((has(self.endpoints) ? self.endpoints : []).size() <= 1) : true"#,
            "the resolution DNS_ROUND_ROBIN has at most one endpoint",
        ),
    ];
    check: rules::service_entry;
}

const NAMED: &[(&str, &str)] = &[("self != \"*\"", "a service needs a name: `*` is none")];

const ONE_NUMBER: &[(&str, &str)] =
    &[("self.all(l1, self.exists_one(l2, l1.number == l2.number))", "the numbers of ports have to differ")];

record! {
    /// A port of a service.
    pub struct ServicePort {
        /// Its number.
        number: Port = "number";
        /// The protocol spoken on it; told by looking, if not said.
        protocol: Option<String> = "protocol" [Limit::MaxLength(256)];
        /// Its name.
        name: String = "name" [Limit::MaxLength(256)];
        /// The endpoints' port; the same number if not said.
        target_port: Option<Port> = "targetPort";
    }
    check: rules::service_port;
}

names! {
    /// Where a service is.
    pub enum Location {
        /// Outside of the mesh: no mutual TLS of the mesh's.
        MeshExternal = "MESH_EXTERNAL",
        /// In the mesh.
        MeshInternal = "MESH_INTERNAL",
    }
}

names! {
    /// How a service's endpoints are found.
    pub enum Resolution {
        /// The address that the client asked for is the endpoint.
        None = "NONE",
        /// They are listed.
        Static = "STATIC",
        /// DNS knows them, and each of its answers is one.
        Dns = "DNS",
        /// DNS knows them, and the first of its answers is taken.
        DnsRoundRobin = "DNS_ROUND_ROBIN",
        /// The name that the client asked for is resolved.
        DynamicDns = "DYNAMIC_DNS",
    }
}
