//! Sidecar: what a workload's proxy knows of the mesh, and what it listens for.

use std::fmt;
use std::str::FromStr;

use super::destination_rule::ConnectionPool;
use super::field::{Limit, names, record};
use super::gateway::ServerTls;
use super::rules::sidecar as rules;
use super::suggest::shortened;
use super::values::{Host, Port, is_lower_label, parsed, written_out};
use super::virtual_service::Destination;
use super::workload_entry::LabelSelector;

record! {
    /// What a workload's proxy knows of the mesh, and what it listens for.
    pub struct Sidecar {
        /// The workloads; all of the namespace, or of the mesh in its root namespace, if not said.
        workload_selector: Option<LabelSelector> = "workloadSelector";
        /// What it listens for on its workload's behalf; as the workload's services say, if not said.
        ingress: Vec<IngressListener> = "ingress";
        /// What it knows of the mesh; everything, if not said.
        egress: Vec<EgressListener> = "egress";
        /// Limits of connections from the proxy to its workload.
        inbound_connection_pool: Option<ConnectionPool> = "inboundConnectionPool";
        /// What becomes of connections to hosts that it does not know.
        outbound_traffic_policy: Option<OutboundTrafficPolicy> = "outboundTrafficPolicy";
    }
    check: rules::sidecar;
}

record! {
    /// A port that the proxy opens on its workload's behalf.
    pub struct IngressListener {
        /// The port.
        port: SidecarPort = "port";
        /// The address.
        bind: Option<String> = "bind";
        /// Whether connections are captured.
        capture_mode: Option<CaptureMode> = "captureMode";
        /// Where the workload listens: `127.0.0.1:PORT`, `0.0.0.0:PORT` for the workload's own address, or `unix://SOCKET`.
        default_endpoint: Option<String> = "defaultEndpoint";
        /// How connections are secured.
        tls: Option<ServerTls> = "tls";
        /// Limits of connections to the workload.
        connection_pool: Option<ConnectionPool> = "connectionPool";
    }
    check: rules::ingress;
}

record! {
    /// What the proxy knows of the mesh.
    pub struct EgressListener {
        /// The port that it is known at; every one if not said.
        port: Option<SidecarPort> = "port";
        /// The address, or Unix socket, that the proxy listens on.
        bind: Option<String> = "bind";
        /// Whether connections are captured.
        capture_mode: Option<CaptureMode> = "captureMode";
        /// The hosts, with their namespaces.
        hosts: Vec<EgressHost> = "hosts" [Limit::Required];
    }
    check: rules::egress;
}

record! {
    /// A port.
    pub struct SidecarPort {
        /// Its number.
        number: Option<Port> = "number";
        /// The protocol spoken on it.
        protocol: Option<String> = "protocol";
        /// Its name.
        name: Option<String> = "name";
        /// Not in use.
        target_port: Option<Port> = "targetPort";
    }
    check: rules::port;
}

names! {
    /// Whether connections are captured.
    pub enum CaptureMode {
        /// As the proxy is set.
        Default = "DEFAULT",
        /// They are.
        Iptables = "IPTABLES",
        /// They are not: clients address the proxy.
        None = "NONE",
    }
}

record! {
    /// What becomes of connections to hosts that the proxy does not know.
    pub struct OutboundTrafficPolicy {
        /// Whether they go on.
        mode: Option<OutboundMode> = "mode";
        /// Where they go instead.
        egress_proxy: Option<Destination> = "egressProxy";
    }
    check: rules::outbound_traffic_policy;
}

names! {
    /// Whether connections to hosts that the proxy does not know go on.
    pub enum OutboundMode {
        /// They are refused.
        RegistryOnly = "REGISTRY_ONLY",
        /// They go on.
        AllowAny = "ALLOW_ANY",
    }
}

parsed!(EgressHost);

/// Hosts that a proxy knows: `namespace/host`; with `~` before it, hosts that it does not know after all.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EgressHost {
    /// Whether the hosts are taken out of those that other entries bring in.
    pub excluded: bool,
    /// Whose hosts.
    pub namespace: EgressNamespace,
    /// Which.
    pub host: Host,
}

/// Whose hosts a proxy knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum EgressNamespace {
    /// `*`: every namespace's.
    Any,
    /// `.`: its own.
    Own,
    /// `~`: nobody's.
    Nobody,
    /// One namespace's.
    Named(String),
}

impl FromStr for EgressHost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((namespace, host)) = text.split_once('/') else {
            return Err(format!("has no namespace: write `*/{0}`, `./{0}` or `namespace/{0}`", shortened(text)));
        };
        let (excluded, namespace) = match namespace {
            "~" => (false, EgressNamespace::Nobody),
            other => {
                let inner = other.strip_prefix('~');
                let namespace = match inner.unwrap_or(other) {
                    "*" => EgressNamespace::Any,
                    "." => EgressNamespace::Own,
                    name if is_lower_label(name) => EgressNamespace::Named(name.to_owned()),
                    name => {
                        return Err(format!(
                            "has {:?} before the `/`, which is neither a namespace nor `.`, `*` or `~`",
                            shortened(name)
                        ));
                    }
                };
                (inner.is_some(), namespace)
            }
        };
        Ok(Self { excluded, namespace, host: written_out(host)? })
    }
}

impl fmt::Display for EgressHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.excluded {
            f.write_str("~")?;
        }
        f.write_str(match &self.namespace {
            EgressNamespace::Any => "*",
            EgressNamespace::Own => ".",
            EgressNamespace::Nobody => "~",
            EgressNamespace::Named(name) => name,
        })?;
        write!(f, "/{}", self.host)
    }
}
