//! Sidecar.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

use crate::resources::field::Cx;
use crate::resources::gateway::ServerTlsMode;
use crate::resources::sidecar::{
    CaptureMode, EgressListener, EgressNamespace, IngressListener, OutboundMode, OutboundTrafficPolicy, Sidecar,
    SidecarPort,
};
use crate::resources::suggest;

const UNIX: &str = "unix://";

pub(in crate::resources) fn sidecar(sidecar: &Sidecar, cx: &mut Cx) {
    if sidecar.workload_selector.as_ref().is_some_and(|selector| selector.labels.is_empty()) {
        cx.warn_at("workloadSelector", "has no labels and selects every workload of the namespace: remove it");
    }
    let silent = sidecar.ingress.is_empty()
        && sidecar.egress.is_empty()
        && sidecar.outbound_traffic_policy.is_none()
        && sidecar.inbound_connection_pool.is_none();
    if silent {
        cx.error("says nothing: set egress, ingress, outboundTrafficPolicy or inboundConnectionPool");
    }
    let mut ports = HashSet::new();
    cx.at("ingress", |cx| {
        for (index, listener) in sidecar.ingress.iter().enumerate() {
            if listener.port.number.is_some_and(|number| !ports.insert(number)) {
                cx.at_index(index, |cx| {
                    cx.at("port", |cx| cx.error_at("number", "repeats the port of a listener before it: remove one"));
                });
            }
        }
    });
    egress_listeners(&sidecar.egress, cx);
}

fn egress_listeners(listeners: &[EgressListener], cx: &mut Cx) {
    let mut addresses = HashSet::new();
    let mut sockets = HashSet::new();
    let mut catch_all = None;
    cx.at("egress", |cx| {
        for (index, listener) in listeners.iter().enumerate() {
            cx.at_index(index, |cx| {
                let number = listener.port.as_ref().map(|port| port.number);
                let socket = listener.bind.as_deref().filter(|bind| bind.starts_with(UNIX));
                if let Some(Some(number)) = number
                    && !addresses.insert(number)
                {
                    cx.at("port", |cx| cx.error_at("number", "repeats the port of a listener before it: remove one"));
                } else if let Some(socket) = socket
                    && !sockets.insert(socket)
                {
                    cx.error_at("bind", "repeats the socket of a listener before it: remove one");
                }
                if let Some(first) = catch_all {
                    cx.error(format!(
                        "is never used: egress[{first}] has no port and takes everything, so it has to be last"
                    ));
                }
            });
            if listener.port.is_none() {
                catch_all.get_or_insert(index);
            }
        }
    });
}

pub(in crate::resources) fn ingress(listener: &IngressListener, cx: &mut Cx) {
    if listener.port.number.is_none() {
        cx.at("port", |cx| cx.error_at("number", "is required: add it"));
    }
    if let Some(bind) = listener.bind.as_deref().filter(|bind| !bind.is_empty() && bind.parse::<IpAddr>().is_err()) {
        cx.error_at("bind", format!("has to be an IP address, and is {:?}", suggest::shortened(bind)));
    }
    let endpoint = listener.default_endpoint.as_deref().unwrap_or_default();
    let fine = match endpoint.strip_prefix(UNIX) {
        Some(path) => path.starts_with(['/', '@']) && !path.ends_with('/'),
        None => {
            endpoint.is_empty()
                || endpoint.parse::<SocketAddr>().is_ok_and(|address| {
                    address.port() != 0 && (address.ip().is_unspecified() || address.ip().is_loopback())
                })
        }
    };
    if !fine {
        cx.error_at(
            "defaultEndpoint",
            format!(
                "is none of `127.0.0.1:PORT`, `[::1]:PORT`, `0.0.0.0:PORT`, `[::]:PORT` and `unix:///SOCKET`: {:?}",
                suggest::shortened(endpoint)
            ),
        );
    }
    let Some(tls) = &listener.tls else { return };
    if !matches!(tls.mode, Some(ServerTlsMode::Simple | ServerTlsMode::Mutual | ServerTlsMode::OptionalMutual)) {
        cx.at("tls", |cx| cx.error_at("mode", "has to be SIMPLE, MUTUAL or OPTIONAL_MUTUAL in a Sidecar"));
    }
    if tls.https_redirect == Some(true) {
        cx.at("tls", |cx| cx.error_at("httpsRedirect", "cannot be set in a Sidecar: remove it"));
    }
}

pub(in crate::resources) fn egress(listener: &EgressListener, cx: &mut Cx) {
    let bind = listener.bind.as_deref().unwrap_or_default();
    let unix = bind.strip_prefix(UNIX);
    match (&listener.port, unix) {
        (None, _) if !bind.is_empty() => cx.error_at("bind", "needs a port: set port, or remove it"),
        (None, _) if matches!(listener.capture_mode, Some(CaptureMode::None)) => {
            cx.error_at("captureMode", "cannot be NONE without a port to address: set port");
        }
        (Some(port), Some(path)) => {
            if !path.starts_with(['/', '@']) {
                cx.error_at("bind", "has to have an absolute path behind `unix://`");
            }
            if port.number.is_some() {
                cx.at("port", |cx| cx.error_at("number", "has to be left out, since bind is a Unix socket"));
            }
            if matches!(listener.capture_mode, Some(CaptureMode::Iptables)) {
                cx.error_at("captureMode", "has to be DEFAULT or NONE, since bind is a Unix socket");
            }
        }
        (Some(port), None) => {
            if port.number.is_none() {
                cx.at("port", |cx| cx.error_at("number", "is required: add it"));
            }
            if !bind.is_empty() && bind.parse::<IpAddr>().is_err() {
                cx.error_at("bind", format!("has to be an IP address, and is {:?}", suggest::shortened(bind)));
            }
        }
        (None, _) => {}
    }
    if listener.hosts.is_empty() && !cx.is_faulty("hosts") {
        cx.error_at("hosts", "is empty: name the hosts, or write `~/*` for none");
    }
    covered_hosts(listener, cx);
    let nobody = listener.hosts.iter().any(|host| host.namespace == EgressNamespace::Nobody);
    if nobody && listener.hosts.len() > 1 {
        cx.warn_at("hosts", "has `~/*`, which is nothing, beside others: remove it");
    }
}

/// Entries that bring in nothing, since another one brings it in already.
fn covered_hosts(listener: &EgressListener, cx: &mut Cx) {
    let own = |namespace: &EgressNamespace| match namespace {
        EgressNamespace::Own => EgressNamespace::Named(cx.namespace.clone()),
        other => other.clone(),
    };
    let hosts: Vec<_> = listener
        .hosts
        .iter()
        .map(|host| (host, own(&host.namespace)))
        .map(|(host, namespace)| {
            (!host.excluded && namespace != EgressNamespace::Nobody, namespace, host.host.as_str())
        })
        .collect();
    let whole: HashSet<&EgressNamespace> =
        hosts.iter().filter(|(counts, _, host)| *counts && *host == "*").map(|(_, namespace, _)| namespace).collect();
    let mut seen = HashSet::new();
    cx.at("hosts", |cx| {
        for (index, (counts, namespace, host)) in hosts.iter().enumerate() {
            let wider = match (*host, namespace) {
                ("*", EgressNamespace::Any) => None,
                _ if whole.contains(&EgressNamespace::Any) => Some("*/*"),
                ("*", _) => None,
                _ => whole.contains(namespace).then_some("all of its namespace"),
            };
            if *counts && !seen.insert((namespace, host)) {
                cx.at_index(index, |cx| cx.warn("repeats an entry before it: remove it"));
            } else if let Some(wider) = wider.filter(|_| *counts) {
                cx.at_index(index, |cx| {
                    cx.warn(format!("brings in nothing, since another entry is {wider}: remove it"));
                });
            }
        }
    });
}

pub(in crate::resources) fn port(port: &SidecarPort, cx: &mut Cx) {
    super::service_entry::protocol(port.protocol.as_deref(), cx);
    if port.target_port.is_some() {
        cx.error_at("targetPort", "has no effect in a Sidecar: remove it");
    }
}

pub(in crate::resources) fn outbound_traffic_policy(policy: &OutboundTrafficPolicy, cx: &mut Cx) {
    let Some(proxy) = &policy.egress_proxy else { return };
    if policy.mode == Some(OutboundMode::RegistryOnly) || policy.mode.is_none() {
        cx.error_at("egressProxy", "needs the mode ALLOW_ANY: set it, or remove egressProxy");
    }
    if !proxy.host.as_str().contains('.') {
        cx.at("egressProxy", |cx| cx.error_at("host", "has to be a fully qualified name: write it out"));
    }
    if proxy.port.is_none() {
        cx.at("egressProxy", |cx| cx.error_at("port", "is required: add it"));
    }
}
