//! Gateways between networks (`AUTO_PASSTHROUGH`): mesh TLS goes through them to the cluster that it names, and nothing else does.

use std::net::SocketAddr;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::harness::{App, Mesh, Running, absolute, edge, header, outbound, soon, target};
use super::mutual_tls::called;
use crate::model::{AppProtocol, MtlsMode, OutboundMode};

const HOST: &str = "reviews.default.svc.cluster.local";

/// A gateway's port for the hosts of the cluster; with the services `reviews`, whose only pod has a proxy, and `plain`, whose has none.
async fn between(called: SocketAddr, plain: SocketAddr) -> (Running, SocketAddr) {
    let mut config = String::from(
        "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: front, namespace: default}\n\
        spec: {selector: {}, servers: [{port: {number: 15443, name: tls, protocol: TLS}, hosts: ['*.local'], \
        tls: {mode: AUTO_PASSTHROUGH}}]}\n\
        ---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: reviews, namespace: default}\n\
        spec: {host: reviews, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]}\n\
        ---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: outside, namespace: default}\n\
        spec: {hosts: [outside.local], location: MESH_EXTERNAL, resolution: STATIC, ports: [{number: 443, name: tls, protocol: TLS}], \
        endpoints: [{address: 127.0.0.1}]}\n\
        ---\napiVersion: v1\nkind: Pod\nmetadata: {name: reviews-1, namespace: default, \
        labels: {app: reviews, version: v1, security.istio.io/tlsMode: istio}}\n\
        spec: {serviceAccountName: reviews}\nstatus: {podIP: 127.0.0.1}\n",
    );
    for (name, address, target) in
        [("reviews", called, "targetRef: {kind: Pod, name: reviews-1}"), ("plain", plain, "")]
    {
        config += &format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: default}}\n\
            spec: {{ports: [{{name: http, port: 9080}}]}}\n\
            ---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
            metadata: {{name: {name}, namespace: default, labels: {{kubernetes.io/service-name: {name}}}}}\n\
            ports: [{{name: http, port: {}}}]\nendpoints: [{{addresses: [127.0.0.1], {target}}}]\n",
            address.port()
        );
    }
    edge(&[], &config).await
}

/// Whether a client of the mesh gets through to `reviews` under a server name.
async fn shakes(mesh: &Mesh, address: SocketAddr, name: &str, alpn: &[u8]) -> bool {
    let expected = [mesh.id("reviews")].into();
    let config = crate::tls::mesh_client(&mesh.svid("productpage"), &mesh.bundle(), expected, &[alpn]);
    let tcp = TcpStream::connect(address).await.expect("a connection");
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    soon(TlsConnector::from(config.expect("a configuration")).connect(name, tcp)).await.is_ok()
}

#[tokio::test]
async fn a_client_elsewhere_speaks_mesh_tls_with_the_workload_itself() {
    let mesh = Mesh::new();
    let app = App::named("hello").await;
    let server = called(&mesh, MtlsMode::Strict, app.address, AppProtocol::Http);
    let (gateway, address) = between(server.address(), app.address).await;
    let targets = vec![target("reviews", &[address], Some(&mesh.id("reviews")))];
    let client = outbound(targets, OutboundMode::RegistryOnly, Some(mesh.credentials("productpage")));
    let mut peer = client.connect().await;
    for _ in 0..3 {
        let response = peer.ask(&absolute("http://reviews:9080/")).await;
        assert!(response.ends_with("hello"), "{response}");
    }
    let request = app.last();
    let certificate = header(&request, "x-forwarded-client-cert").expect("who called");
    assert!(certificate.ends_with("URI=spiffe://cluster.local/ns/default/sa/productpage"), "{certificate}");
    drop((peer, client));
    let line = gateway.log.line("outbound|9080||reviews.default.svc.cluster.local").await;
    assert!(line.contains("Gateway default/front servers[0]"), "{line}");
}

#[tokio::test]
async fn what_names_no_cluster_of_the_mesh_gets_nowhere() {
    let mesh = Mesh::new();
    let app = App::named("hello").await;
    let server = called(&mesh, MtlsMode::Strict, app.address, AppProtocol::Http);
    let (gateway, address) = between(server.address(), app.address).await;
    let cluster = |port: u16, subset: &str, host: &str| format!("outbound_.{port}_.{subset}_.{host}");
    for subset in ["", "v1"] {
        assert!(shakes(&mesh, address, &cluster(9080, subset, HOST), b"istio").await, "{subset}");
    }
    for (name, alpn, said) in [
        // A subset without endpoints, one that nobody names, a port and a host that are not there.
        (cluster(9080, "v2", HOST), "istio", "no_healthy_upstream"),
        (cluster(9080, "v3", HOST), "istio", "route_not_found"),
        (cluster(80, "", HOST), "istio", "route_not_found"),
        (cluster(9080, "", "ratings.default.svc.cluster.local"), "istio", "route_not_found"),
        // A host is no cluster.
        (HOST.to_owned(), "istio", "route_not_found"),
        // What is outside the mesh is not reached through its gateway.
        (cluster(443, "", "outside.local"), "istio", "route_not_found"),
        // Nor is who would take the client's TLS for its own.
        (cluster(9080, "", "plain.default.svc.cluster.local"), "istio", "speaks no mesh TLS"),
        (cluster(9080, "", HOST), "http/1.1", "nothing but mesh TLS"),
    ] {
        assert!(!shakes(&mesh, address, &name, alpn.as_bytes()).await, "{name}");
        gateway.log.line(said).await;
    }
    let mut plain = TcpStream::connect(address).await.expect("a connection");
    plain.write_all(b"GET / HTTP/1.1\r\nHost: reviews\r\n\r\n").await.expect("written");
    let mut answer = Vec::new();
    let _ = soon(plain.read_to_end(&mut answer)).await;
    assert!(answer.is_empty() && app.requests.lock().is_empty());
}
