//! Gateway.

use std::collections::HashSet;

use crate::resources::field::Cx;
use crate::resources::gateway::{Gateway, Server, ServerPort, ServerTls, ServerTlsMode};
use crate::resources::suggest;

/// A protocol that a server can speak.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Http,
    Tls,
    Tcp,
}

const PROTOCOLS: &[(&str, Family)] = &[
    ("HTTP", Family::Http),
    ("HTTP2", Family::Http),
    ("GRPC", Family::Http),
    ("GRPC-WEB", Family::Http),
    ("HTTPS", Family::Tls),
    ("TLS", Family::Tls),
    ("TCP", Family::Tcp),
    ("MONGO", Family::Tcp),
    ("REDIS", Family::Tcp),
    ("MYSQL", Family::Tcp),
];

const UNIX: &str = "unix://";

fn family(protocol: &str) -> Option<Family> {
    PROTOCOLS.iter().find(|(name, _)| name.eq_ignore_ascii_case(protocol)).map(|(_, family)| *family)
}

pub(in crate::resources) fn gateway(gateway: &Gateway, cx: &mut Cx) {
    if gateway.servers.is_empty() {
        cx.error_at("servers", "is empty: a Gateway has to have at least one server");
    }
    let mut names = HashSet::new();
    cx.at("servers", |cx| {
        for (index, server) in gateway.servers.iter().enumerate() {
            if !names.insert(server.port.name.as_str()) {
                cx.at_index(index, |cx| {
                    cx.at("port", |cx| {
                        cx.error_at(
                            "name",
                            format!("repeats {:?}, and names of ports have to differ: rename one", server.port.name),
                        );
                    });
                });
            }
        }
    });
}

pub(in crate::resources) fn server(server: &Server, cx: &mut Cx) {
    if server.hosts.is_empty() && !cx.is_faulty("hosts") {
        cx.error_at("hosts", "is empty: name the hosts that are served, or \"*\" for all");
    }
    bind(server, cx);
    let redirects = server.tls.as_ref().is_some_and(|tls| tls.https_redirect == Some(true));
    match (family(&server.port.protocol), &server.tls) {
        (Some(Family::Tls), None) => {
            cx.error_at("tls", format!("is required, since the port speaks {}: add it", server.port.protocol));
        }
        (Some(Family::Http), Some(tls)) if !only_redirects(tls) => {
            cx.error_at(
                "tls",
                "can only have httpsRedirect, since the port speaks plaintext: change its protocol to HTTPS",
            );
        }
        (Some(Family::Tcp), Some(_)) => {
            cx.error_at("tls", "cannot be set, since the port speaks plaintext: change its protocol to TLS");
        }
        _ => {}
    }
    if redirects && family(&server.port.protocol) == Some(Family::Tls) {
        cx.at("tls", |cx| cx.warn_at("httpsRedirect", "only works on ports that speak HTTP"));
    }
}

fn only_redirects(tls: &ServerTls) -> bool {
    matches!(tls.mode, None | Some(ServerTlsMode::Passthrough))
        && tls.server_certificate.is_none()
        && tls.private_key.is_none()
        && tls.ca_certificates.is_none()
}

fn bind(server: &Server, cx: &mut Cx) {
    let bind = server.bind.as_deref().unwrap_or_default();
    match bind.strip_prefix(UNIX) {
        Some(path) => {
            if !path.starts_with(['/', '@']) || path.ends_with('/') {
                cx.error_at("bind", "has to have an absolute path behind `unix://`");
            }
            if server.port.number != 0 {
                cx.at("port", |cx| cx.error_at("number", "has to be 0, since bind is a Unix socket"));
            }
        }
        None => {
            if !bind.is_empty() && bind.parse::<std::net::IpAddr>().is_err() {
                cx.error_at("bind", format!("has to be an IP address, and is {:?}", suggest::shortened(bind)));
            }
            if !(1..=65535).contains(&server.port.number) {
                cx.at("port", |cx| {
                    cx.error_at("number", format!("has to be a port from 1 to 65535, and is {}", server.port.number));
                });
            }
        }
    }
}

pub(in crate::resources) fn server_port(port: &ServerPort, cx: &mut Cx) {
    if family(&port.protocol).is_none() {
        let known: Vec<&str> = PROTOCOLS.iter().map(|(name, _)| *name).collect();
        let hint = cx.guess(&port.protocol, &known);
        let hint =
            if hint.contains("did you mean") { hint } else { format!(": it can be one of {}", known.join(", ")) };
        cx.error_at("protocol", format!("is {:?}, which is no protocol{hint}", suggest::shortened(&port.protocol)));
    }
    if port.name.is_empty() {
        cx.error_at("name", "is empty: name the port, as `http` for example");
    }
    if port.target_port.is_some_and(|port| port != 0) {
        cx.error_at("targetPort", "has no effect in a Gateway: remove it");
    }
}

pub(in crate::resources) fn server_tls(tls: &ServerTls, cx: &mut Cx) {
    let sources = [
        ("credentialName", tls.credential_name.is_some()),
        ("credentialNames", !tls.credential_names.is_empty()),
        ("tlsCertificates", !tls.tls_certificates.is_empty()),
    ];
    let mut set = sources.iter().filter(|(_, set)| *set);
    if let (Some((first, _)), Some((second, _))) = (set.next(), set.next()) {
        cx.error(format!("has both `{first}` and `{second}`, and only one of them can be: remove one"));
    }
    if tls.server_certificate.is_some()
        && tls.private_key.is_some()
        && let Some((source, _)) = sources.iter().find(|(_, set)| *set)
    {
        cx.error(format!("has both `serverCertificate` and `{source}`, and only one of them can be: remove one"));
    }
    let from_files = !sources.iter().any(|(_, set)| *set);
    let files = [
        ("serverCertificate", tls.server_certificate.is_some()),
        ("privateKey", tls.private_key.is_some()),
        ("caCertificates", tls.ca_certificates.is_some()),
    ];
    let needed = match tls.mode {
        Some(ServerTlsMode::IstioMutual) => {
            for (name, set) in files.into_iter().chain(sources) {
                if set {
                    cx.error_at(
                        name,
                        "cannot be set with ISTIO_MUTUAL, which uses the mesh's own certificates: remove it",
                    );
                }
            }
            0
        }
        None | Some(ServerTlsMode::Passthrough | ServerTlsMode::AutoPassthrough) => {
            for (name, set) in files.into_iter().chain(sources) {
                if set {
                    cx.warn_at(name, "has no effect, since the connections are passed on as they are");
                }
            }
            0
        }
        Some(ServerTlsMode::Simple) if from_files => 2,
        Some(ServerTlsMode::Mutual | ServerTlsMode::OptionalMutual) if from_files => 3,
        _ => 0,
    };
    for (name, set) in files.into_iter().take(needed) {
        if !set {
            cx.error_at(name, "is required: add it, or credentialName");
        }
    }
    if tls.ca_crl.is_some() && tls.credential_name.is_some() {
        cx.error_at("caCrl", "cannot be set with credentialName: put the list into the secret");
    } else if tls.ca_crl.is_some() && tls.mode == Some(ServerTlsMode::Simple) {
        cx.error_at("caCrl", "cannot be set with SIMPLE, where clients show no certificates");
    }
}
