//! Pairs of sidecars that do the same work: mutual TLS between them, the called side takes requests of one identity and for
//! some paths only, both count and log every request.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use ::mesh::identity::{KeyPair, SpiffeId, Svid, TrustBundle, TrustDomain};
use serde_json::{Value, json};

use crate::backend::Speaks;
use crate::bytes;
use crate::gateway::{HAPROXY, envoy_arguments, haproxy_arguments};
use crate::load::{Connection, Target, once_http2, shake};
use crate::peers::{Peer, Server};
use crate::plane::{Called, FORBIDDEN, Plane, READY, TOKEN, identity, said};
use crate::process::{Process, envoy, free, haproxy};

/// How long an answer to plaintext is waited for, which must not come.
const PLAIN: std::time::Duration = std::time::Duration::from_secs(1);

/// What the called service is asked for by.
const HOST: &str = "web.shop.svc.cluster.local";

/// Every pair that this machine has, before this application. The plane has to live as long as they do.
pub async fn all(program: &Path, app: SocketAddr, speaks: Speaks) -> Result<(Vec<Peer>, Plane), String> {
    let target = |address| Target { address, host: HOST.to_owned(), lines: String::new() };
    let mut peers = vec![Peer { name: "direct", target: target(app), processes: Vec::new(), server: None }];
    let called = Called { sidecar: free()?, speaks };
    let plane = Plane::start(program, called, 0).await?;
    plane.certify("server")?;
    let tls = probe(&plane)?;
    let mut add = |name, target, processes, address| {
        let server = Some(Server { address, tls: tls.clone() });
        peers.push(Peer { name, target, processes, server });
    };

    let (target_of_mesh, processes) = mesh(&plane, called, app)?;
    add("mesh", target_of_mesh, processes, called.sidecar);
    match envoy() {
        Ok(program) => {
            let (near, far) = (free()?, free()?);
            let start =
                |config: Value| Process::start(&program, &[("envoy.json", config.to_string())], envoy_arguments);
            let processes =
                vec![start(envoy_client(&plane, near, far, speaks))?, start(envoy_server(&plane, far, app, speaks))?];
            add("envoy", target(near), processes, far);
        }
        Err(error) => eprintln!("envoy is left out: {error}"),
    }
    match haproxy() {
        Ok(program) => {
            let (near, far) = (free()?, free()?);
            let start = |config: String| Process::start(&program, &[("haproxy.cfg", config)], haproxy_arguments);
            let processes = vec![
                start(haproxy_client(&plane, near, far, speaks))?,
                start(haproxy_server(&plane, far, app, speaks))?,
            ];
            add("haproxy", target(near), processes, far);
        }
        Err(error) => eprintln!("haproxy is left out: {error}"),
    }
    Ok((peers, plane))
}

/// mesh's pair alone, in a mesh with so many services that nobody calls.
pub async fn mesh_among(program: &Path, app: SocketAddr, others: usize) -> Result<(Peer, Plane), String> {
    let called = Called { sidecar: free()?, speaks: Speaks::Http1 };
    let plane = Plane::start(program, called, others).await?;
    let tls = probe(&plane)?;
    let (target, processes) = mesh(&plane, called, app)?;
    let server = Some(Server { address: called.sidecar, tls });
    Ok((Peer { name: "mesh", target, processes, server }, plane))
}

/// mesh's sidecars, and how the caller's is spoken to.
fn mesh(plane: &Plane, called: Called, app: SocketAddr) -> Result<(Target, Vec<Process>), String> {
    let near = free()?;
    let token = plane.file("outbound.token");
    std::fs::write(&token, TOKEN).map_err(said)?;
    // The caller knows its sidecar as its HTTP proxy.
    let of_caller = [
        // Nobody calls it.
        "--inbound".to_owned(),
        format!("{}={}", free()?, free()?),
        "--outbound".to_owned(),
        near.to_string(),
        "--outbound-token-file".to_owned(),
        token.display().to_string(),
    ];
    let of_called = ["--inbound".to_owned(), format!("{}={app}", called.sidecar)];
    let processes = vec![
        plane.sidecar("client", Ipv4Addr::new(127, 0, 0, 2), &of_caller)?,
        plane.sidecar("server", Ipv4Addr::LOCALHOST, &of_called)?,
    ];
    // "x:bench", as `http_proxy=http://x:bench@...` has programs say it.
    let lines = "proxy-authorization: Basic eDpiZW5jaA==\r\n".to_owned();
    Ok((Target { address: near, host: HOST.to_owned(), lines }, processes))
}

/// What a caller says in a handshake with a called side, of whichever peer.
fn probe(plane: &Plane) -> Result<Arc<rustls::ClientConfig>, String> {
    let (chain, key) = plane.certify("client")?;
    let svid = Svid::new(&[chain], KeyPair::from_pem(&key).map_err(said)?).map_err(said)?;
    let roots = std::fs::read_to_string(plane.file("root.pem")).map_err(said)?;
    let domain = TrustDomain::new("cluster.local").map_err(said)?;
    let roots = TrustBundle::from_pem(&domain, &roots).map_err(said)?;
    let expected: SpiffeId = identity("server").parse().map_err(said)?;
    ::mesh::tls::mesh_client(&svid, &roots, Arc::from([expected]), &[]).map_err(said)
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn envoy_context(plane: &Plane, own: &str, peer: &str, alpn: Speaks) -> Value {
    let pem = text(&plane.file(&format!("{own}.pem")));
    json!({
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
        "tls_certificates": [{"certificate_chain": {"filename": pem}, "private_key": {"filename": pem}}],
        "validation_context": {
            "trusted_ca": {"filename": text(&plane.file("root.pem"))},
            "match_typed_subject_alt_names": [{"san_type": "URI", "matcher": {"exact": identity(peer)}}]
        },
        "alpn_protocols": match alpn {
            Speaks::Http1 => json!(["http/1.1"]),
            Speaks::Http2 => json!(["h2"]),
            Speaks::Bytes => json!([]),
        }
    })
}

const ENVOY: &str = "type.googleapis.com/envoy.extensions";

fn envoy_config(listener: SocketAddr, chain: Value, filters: Value, cluster: Value) -> Value {
    let mut chain = chain;
    chain["filters"] = json!([{
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": format!("{ENVOY}.filters.network.http_connection_manager.v3.HttpConnectionManager"),
            "stat_prefix": "http",
            "normalize_path": true,
            "forward_client_cert_details": "APPEND_FORWARD",
            "set_current_client_cert_details": {"uri": true},
            "access_log": [{"name": "envoy.access_loggers.stdout",
                "typed_config": {"@type": format!("{ENVOY}.access_loggers.stream.v3.StdoutAccessLog")}}],
            "http_filters": filters,
            "route_config": {"name": "web", "virtual_hosts": [{"name": "web", "domains": ["*"], "routes": [
                {"match": {"prefix": "/"}, "route": {"cluster": "web", "timeout": "0s", "retry_policy":
                    {"retry_on": "connect-failure,refused-stream,unavailable,cancelled", "num_retries": 2}}}
            ]}]}
        }
    }]);
    envoy_resources(listener, chain, cluster)
}

fn envoy_resources(listener: SocketAddr, chain: Value, cluster: Value) -> Value {
    let address = json!({"socket_address": {"address": "127.0.0.1", "port_value": listener.port()}});
    json!({"static_resources": {
        "listeners": [{"name": "web", "address": address, "filter_chains": [chain]}],
        "clusters": [cluster]
    }})
}

/// The same for bytes; `admitted`: of whose connections alone.
fn envoy_bytes(listener: SocketAddr, mut chain: Value, admitted: Option<&str>, cluster: Value) -> Value {
    let mut filters = Vec::new();
    if let Some(admitted) = admitted {
        filters.push(json!({"name": "envoy.filters.network.rbac", "typed_config": {
            "@type": format!("{ENVOY}.filters.network.rbac.v3.RBAC"),
            "stat_prefix": "rbac",
            "rules": {"action": "ALLOW", "policies": {"web": {
                "permissions": [{"any": true}],
                "principals": [{"authenticated": {"principal_name": {"exact": admitted}}}]
            }}}
        }}));
    }
    filters.push(json!({"name": "envoy.filters.network.tcp_proxy", "typed_config": {
        "@type": format!("{ENVOY}.filters.network.tcp_proxy.v3.TcpProxy"),
        "stat_prefix": "web",
        "cluster": "web",
        "access_log": [{"name": "envoy.access_loggers.stdout",
            "typed_config": {"@type": format!("{ENVOY}.access_loggers.stream.v3.StdoutAccessLog")}}]
    }}));
    chain["filters"] = filters.into();
    envoy_resources(listener, chain, cluster)
}

fn envoy_cluster(to: SocketAddr, speaks: Speaks) -> Value {
    let mut cluster = json!({
        "name": "web", "connect_timeout": "10s", "lb_policy": "LEAST_REQUEST",
        "circuit_breakers": {"thresholds": [{"max_connections": 100_000, "max_pending_requests": 100_000}]},
        "load_assignment": {"cluster_name": "web", "endpoints": [{"lb_endpoints": [{"endpoint":
            {"address": {"socket_address": {"address": "127.0.0.1", "port_value": to.port()}}}}]}]}
    });
    if speaks == Speaks::Http2 {
        cluster["typed_extension_protocol_options"] = json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": format!("{ENVOY}.upstreams.http.v3.HttpProtocolOptions"),
            "explicit_http_config": {"http2_protocol_options": {}}
        }});
    }
    cluster
}

fn envoy_router() -> Value {
    json!({"name": "envoy.filters.http.router", "typed_config": {"@type": format!("{ENVOY}.filters.http.router.v3.Router")}})
}

fn envoy_client(plane: &Plane, near: SocketAddr, far: SocketAddr, speaks: Speaks) -> Value {
    let mut cluster = envoy_cluster(far, speaks);
    cluster["transport_socket"] = json!({"name": "envoy.transport_sockets.tls", "typed_config": {
        "@type": format!("{ENVOY}.transport_sockets.tls.v3.UpstreamTlsContext"),
        "sni": "web",
        "common_tls_context": envoy_context(plane, "client", "server", speaks)
    }});
    match speaks {
        Speaks::Bytes => envoy_bytes(near, json!({}), None, cluster),
        Speaks::Http1 | Speaks::Http2 => envoy_config(near, json!({}), json!([envoy_router()]), cluster),
    }
}

fn envoy_server(plane: &Plane, far: SocketAddr, app: SocketAddr, speaks: Speaks) -> Value {
    let chain = json!({"transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": {
        "@type": format!("{ENVOY}.transport_sockets.tls.v3.DownstreamTlsContext"),
        "require_client_certificate": true,
        "common_tls_context": envoy_context(plane, "server", "client", speaks)
    }}});
    if speaks == Speaks::Bytes {
        return envoy_bytes(far, chain, Some(&identity("client")), envoy_cluster(app, speaks));
    }
    let rbac = json!({"name": "envoy.filters.http.rbac", "typed_config": {
        "@type": format!("{ENVOY}.filters.http.rbac.v3.RBAC"),
        "rules": {"action": "ALLOW", "policies": {"web": {
            "permissions": [{"not_rule": {"url_path": {"path": {"prefix": FORBIDDEN}}}}],
            "principals": [{"authenticated": {"principal_name": {"exact": identity("client")}}}]
        }}}
    }});
    envoy_config(far, chain, json!([rbac, envoy_router()]), envoy_cluster(app, speaks))
}

fn haproxy_client(plane: &Plane, near: SocketAddr, far: SocketAddr, speaks: Speaks) -> String {
    let (pem, ca) = (text(&plane.file("client.pem")), text(&plane.file("root.pem")));
    if speaks == Speaks::Bytes {
        return format!(
            "{HAPROXY}  mode tcp\n  option tcplog\nfrontend outbound\n  bind {near}\n  default_backend web\nbackend web\n  \
            server s {far} ssl crt {pem} ca-file {ca} verify required verifyhost web sni str(web) ssl-min-ver TLSv1.3\n"
        );
    }
    let alpn = if speaks == Speaks::Http2 { "h2" } else { "http/1.1" };
    format!(
        "{HAPROXY}frontend outbound\n  bind {near}\n  unique-id-format %[uuid()]\n  unique-id-header x-request-id\n  \
        default_backend web\nbackend web\n  \
        server s {far} ssl crt {pem} ca-file {ca} verify required verifyhost web sni str(web) alpn {alpn} ssl-min-ver TLSv1.3\n"
    )
}

fn haproxy_server(plane: &Plane, far: SocketAddr, app: SocketAddr, speaks: Speaks) -> String {
    let (pem, ca) = (text(&plane.file("server.pem")), text(&plane.file("root.pem")));
    if speaks == Speaks::Bytes {
        return format!(
            "{HAPROXY}  mode tcp\n  option tcplog\nfrontend inbound\n  \
            bind {far} ssl crt {pem} ca-file {ca} verify required ssl-min-ver TLSv1.3\n  \
            tcp-request session reject unless {{ ssl_c_s_dn(cn) -m str client }}\n  \
            default_backend app\nbackend app\n  server s {app}\n"
        );
    }
    let (alpn, proto) = if speaks == Speaks::Http2 { ("h2", " proto h2") } else { ("http/1.1", "") };
    format!(
        "{HAPROXY}frontend inbound\n  \
        bind {far} ssl crt {pem} ca-file {ca} verify required alpn {alpn} ssl-min-ver TLSv1.3\n  \
        http-request deny unless {{ ssl_c_s_dn(cn) -m str client }}\n  http-request deny if {{ path_beg {FORBIDDEN} }}\n  \
        http-request set-header x-forwarded-client-cert Subject=%[ssl_c_s_dn(cn)]\n  \
        default_backend app\nbackend app\n  server s {app}{proto}\n"
    )
}

/// Whether a pair carries bytes, of the mesh's clients alone, and logs each connection.
async fn check_bytes(peer: &Peer, server: &Server) -> Result<(), String> {
    let deadline = Instant::now() + READY;
    let echoed = || async { bytes::echo(&mut bytes::connect(&peer.target).await?).await };
    while let Err(error) = echoed().await {
        if Instant::now() > deadline {
            return Err(format!("{error}; {}", peer.complaint()));
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    for _ in 0..10 {
        echoed().await?;
    }
    let plain = Target { address: server.address, host: HOST.to_owned(), lines: String::new() };
    let answer = tokio::time::timeout(PLAIN, async { bytes::echo(&mut bytes::connect(&plain).await?).await }).await;
    if matches!(answer, Ok(Ok(()))) {
        return Err("the called side takes plaintext".to_owned());
    }
    peer.has_logged(11).await
}

/// Whether a pair does the work.
pub async fn check(peer: &Peer, speaks: Speaks) -> Result<(), String> {
    let Some(server) = &peer.server else { return Ok(()) };
    if speaks == Speaks::Bytes {
        return check_bytes(peer, server).await;
    }
    let status = |path: &'static str| async move {
        match speaks {
            Speaks::Http1 => {
                let head = peer.connect().await?.get(&peer.target, path, "").await?;
                head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(head)
            }
            Speaks::Http2 => once_http2(&peer.target, path).await,
            Speaks::Bytes => Err("bytes have no status".to_owned()),
        }
    };
    let deadline = Instant::now() + READY;
    loop {
        match status("/").await {
            Ok(200) => break,
            answer if Instant::now() > deadline => return Err(format!("it answers {answer:?}; {}", peer.complaint())),
            _ => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    }
    for _ in 0..100 {
        let answer = status("/reviews/1").await;
        if answer != Ok(200) {
            return Err(format!("it answers {answer:?}"));
        }
    }
    match status(FORBIDDEN).await {
        Ok(403) => {}
        answer => return Err(format!("what is forbidden is answered with {answer:?}")),
    }
    let plain = Target { address: server.address, host: HOST.to_owned(), lines: String::new() };
    if let Ok(head) = Connection::connect(server.address).await?.get(&plain, "/", "").await
        && head.contains(" 200")
    {
        return Err("the called side takes plaintext".to_owned());
    }
    peer.has_logged(101).await
}

/// The cipher suite that the called side and a caller agree on.
pub async fn suite(peer: &Peer) -> Result<String, String> {
    let Some(server) = &peer.server else { return Ok(String::new()) };
    let connection = shake(server.tls.clone(), server.address).await?;
    let suite = connection.stream.get_ref().1.negotiated_cipher_suite().map(|suite| suite.suite());
    Ok(suite.map(|suite| format!("{suite:?}")).unwrap_or_default())
}
