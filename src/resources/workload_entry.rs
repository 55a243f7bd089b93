//! WorkloadEntry and WorkloadGroup: workloads that are no pods, and what those of a group have in common.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::field::{Limit, record};
use super::request_authentication::HEADER;
use super::rules::workload_entry as rules;
use super::suggest::shortened;
use super::values::{Host, Labels, Port, parsed};

record! {
    /// A workload that is no pod.
    pub struct WorkloadEntry {
        /// Where it is reached: an IP address, a host name, or a Unix socket.
        address: Option<WorkloadAddress> = "address" [Limit::MaxLength(256), Limit::Cel(SOCKET)];
        /// Its ports by the names of the service's ports; the service's own where one is not named.
        ports: BTreeMap<String, Port> = "ports" [Limit::MaxProperties(128), Limit::Cel(PORT_NAMES)];
        /// Its labels.
        labels: Labels = "labels" [Limit::MaxProperties(256)];
        /// The network that it is in, where it is not reached directly.
        network: Option<String> = "network" [Limit::MaxLength(2048)];
        /// Region, zone and subzone, with `/` between.
        locality: Option<String> = "locality" [Limit::MaxLength(2048)];
        /// Its share of requests, relative to others.
        weight: Option<u32> = "weight";
        /// The service account that it runs as.
        service_account: Option<String> = "serviceAccount" [Limit::MaxLength(253)];
    }
    cel: &[("has(self.address) || has(self.network)", "address or network has to be set"), NO_PORTS];
    check: rules::workload_entry;
}

record! {
    /// What the workloads of a group have in common.
    pub struct WorkloadGroup {
        /// Labels and annotations of the entries that are made.
        metadata: Option<GroupMeta> = "metadata";
        /// What their entries say.
        template: WorkloadTemplate = "template";
        /// How a workload's health is found out.
        probe: Option<Probe> = "probe";
    }
}

record! {
    /// Labels and annotations of the entries of a group.
    pub struct GroupMeta {
        /// The labels.
        labels: Labels = "labels" [Limit::MaxProperties(256)];
        /// The annotations.
        annotations: BTreeMap<String, String> = "annotations" [Limit::MaxProperties(256)];
    }
    check: rules::group_meta;
}

record! {
    /// What the entries of a group say; each fills in its own address.
    pub struct WorkloadTemplate {
        /// Where a workload is reached.
        address: Option<WorkloadAddress> = "address" [Limit::MaxLength(256), Limit::Cel(SOCKET)];
        /// Its ports by the names of the service's ports.
        ports: BTreeMap<String, Port> = "ports" [Limit::MaxProperties(128), Limit::Cel(PORT_NAMES)];
        /// Its labels.
        labels: Labels = "labels" [Limit::MaxProperties(256)];
        /// The network that it is in.
        network: Option<String> = "network" [Limit::MaxLength(2048)];
        /// Region, zone and subzone, with `/` between.
        locality: Option<String> = "locality" [Limit::MaxLength(2048)];
        /// Its share of requests.
        weight: Option<u32> = "weight";
        /// The service account that it runs as.
        service_account: Option<String> = "serviceAccount" [Limit::MaxLength(253)];
    }
    cel: &[NO_PORTS];
    check: rules::workload_template;
}

const SOCKET: &[(&str, &str)] = &[
    (
        r#"self.startsWith("unix://") ? (self.substring(7, 8) == "/" || self.substring(7, 8) == "@") : true"#,
        "a Unix socket has to have an absolute path, or an abstract name",
    ),
    (r#"self.startsWith("unix://") ? !self.endsWith("/") : true"#, "a Unix socket cannot be a directory"),
];

const PORT_NAMES: &[(&str, &str)] = &[(
    r#"self.all(key, size(key) < 63 && key.matches("^[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$"))"#,
    "the name of a port has letters, digits and `-`",
)];

const NO_PORTS: (&str, &str) = (
    r#"(has(self.address) ? self.address : "").startsWith("unix://") ? !has(self.ports) : true"#,
    "a Unix socket has no ports",
);

parsed!(WorkloadAddress);

/// Where a workload is reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum WorkloadAddress {
    /// An IP address.
    Ip(IpAddr),
    /// A name that DNS knows.
    Host(Host),
    /// A Unix socket: an absolute path, or an abstract name with `@` before it.
    Unix(String),
}

const UNIX: &str = "unix://";

impl FromStr for WorkloadAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Ip(address));
        }
        if let Some(path) = text.strip_prefix(UNIX) {
            if !path.starts_with(['/', '@']) || path.len() < 2 {
                return Err(format!(
                    "has to have an absolute path, or an abstract name as `@name`, behind `{UNIX}`: {:?}",
                    shortened(text)
                ));
            }
            if path.ends_with('/') {
                return Err(format!("is a directory, and has to be a socket: {:?}", shortened(text)));
            }
            return Ok(Self::Unix(path.to_owned()));
        }
        let host: Host = text.parse()?;
        if host.is_wildcard() {
            return Err(format!("has a wildcard, and a workload is at one place: {:?}", shortened(text)));
        }
        Ok(Self::Host(host))
    }
}

impl fmt::Display for WorkloadAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Host(host) => host.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX}{path}"),
        }
    }
}

record! {
    /// Selects workloads by labels that they have.
    pub struct LabelSelector {
        /// The labels.
        labels: Labels = "labels" [Limit::MaxProperties(256), Limit::ItemsMaxLength(63), Limit::ItemsCel(NO_WILDCARD)];
    }
    check: rules::label_selector;
}

const NO_WILDCARD: &[(&str, &str)] = &[("!self.contains(\"*\")", "a label's value cannot hold a wildcard")];

record! {
    /// How a workload's health is found out.
    pub struct Probe {
        /// Seconds before the first time.
        initial_delay_seconds: Option<i32> = "initialDelaySeconds" [Limit::Min(0)];
        /// Seconds that one time may take.
        timeout_seconds: Option<i32> = "timeoutSeconds" [Limit::Min(0)];
        /// Seconds between times.
        period_seconds: Option<i32> = "periodSeconds" [Limit::Min(0)];
        /// Successes in a row that make it healthy.
        success_threshold: Option<i32> = "successThreshold" [Limit::Min(0)];
        /// Failures in a row that make it unhealthy.
        failure_threshold: Option<i32> = "failureThreshold" [Limit::Min(0)];
        /// By an HTTP request.
        http_get: Option<HttpProbe> = "httpGet";
        /// By a TCP connection.
        tcp_socket: Option<TcpProbe> = "tcpSocket";
        /// By a command.
        exec: Option<ExecProbe> = "exec";
        /// By a gRPC health check.
        grpc: Option<GrpcProbe> = "grpc";
    }
    one_of: &[&["httpGet", "tcpSocket", "exec", "grpc"]];
    check: rules::probe;
}

record! {
    /// Health by an HTTP request.
    pub struct HttpProbe {
        /// The path.
        path: Option<String> = "path";
        /// The port.
        port: Port = "port";
        /// The host.
        host: Option<String> = "host";
        /// HTTP or HTTPS.
        scheme: Option<String> = "scheme" [Limit::Cel(SCHEME)];
        /// Headers.
        http_headers: Vec<ProbeHeader> = "httpHeaders";
    }
    check: rules::http_probe;
}

const SCHEME: &[(&str, &str)] = &[(r#"self in ["", "HTTP", "HTTPS"]"#, "scheme has to be HTTP or HTTPS")];

record! {
    /// A header of a probe.
    pub struct ProbeHeader {
        /// Its name.
        name: Option<String> = "name" [Limit::Pattern(HEADER)];
        /// Its value.
        value: Option<String> = "value";
    }
}

record! {
    /// Health by a TCP connection.
    pub struct TcpProbe {
        /// The host.
        host: Option<String> = "host";
        /// The port.
        port: Port = "port";
    }
}

record! {
    /// Health by a command.
    pub struct ExecProbe {
        /// The command and its arguments.
        command: Vec<String> = "command" [Limit::Required, Limit::ItemsMinLength(1)];
    }
}

record! {
    /// Health by gRPC's health check.
    pub struct GrpcProbe {
        /// The service that is asked for.
        service: Option<String> = "service";
        /// The port.
        port: Option<Port> = "port";
    }
}
