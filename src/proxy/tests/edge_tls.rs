//! Gateways that terminate TLS: certificates by server name, clients that must show theirs, and what a connection may ask for.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::harness::{App, Peer, edge, header, rules, soon};
use crate::tls;

/// An authority of the user's own.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a root"))
    }

    /// Certificate and key for a name, or for a URI, as PEM.
    pub fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let names = if name.contains("://") { Vec::new() } else { vec![name.to_owned()] };
        let mut params = CertificateParams::new(names).expect("parameters");
        if name.contains("://") {
            params.subject_alt_names.push(SanType::URI(name.try_into().expect("a URI")));
        }
        (params.signed_by(&key, &self.0).expect("a certificate").pem(), key.serialize_pem())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    pub fn secret(&self, secret: &str, name: &str, with_authority: bool) -> String {
        let (chain, key) = self.issue(name);
        let block = |pem: &str| pem.lines().map(|line| format!("    {line}\n")).collect::<String>();
        let mut text = format!(
            "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {secret}, namespace: default}}\nstringData:\n  tls.crt: |\n{}  tls.key: |\n{}",
            block(&chain),
            block(&key)
        );
        if with_authority {
            text += &format!("  ca.crt: |\n{}", block(&self.0.pem()));
        }
        text
    }

    pub fn client(&self, own: Option<&Self>, alpn: &[&[u8]]) -> Arc<ClientConfig> {
        self.client_with(own.map(|authority| authority.issue("client")), alpn)
    }

    /// A client that this authority itself vouches for under a name.
    fn client_named(&self, name: &str) -> Arc<ClientConfig> {
        self.client_with(Some(self.issue(name)), &[])
    }

    fn client_with(&self, own: Option<(String, String)>, alpn: &[&[u8]]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).expect("a root");
        let builder = ClientConfig::builder_with_provider(tls::provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<Vec<_>, _>>();
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
                builder.with_client_auth_cert(chain.expect("a chain"), key).expect("a client")
            }
        };
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Arc::new(config)
    }
}

/// A connection of a client of TLS.
pub async fn secure(
    config: &Arc<ClientConfig>,
    address: SocketAddr,
    name: &str,
) -> Result<TlsStream<TcpStream>, String> {
    let tcp = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let name = ServerName::try_from(name.to_owned()).map_err(|error| error.to_string())?;
    soon(TlsConnector::from(config.clone()).connect(name, tcp)).await.map_err(|error| error.to_string())
}

/// What a client of TLS gets for one request, or that it is not served.
async fn ask(config: &Arc<ClientConfig>, address: SocketAddr, name: &str, host: &str) -> Result<String, String> {
    soon(async {
        let mut stream = secure(config, address, name).await?;
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
        let mut response = String::new();
        stream.read_to_string(&mut response).await.map_err(|error| error.to_string())?;
        Ok(response)
    })
    .await
}

pub const GATEWAY: &str = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: front, namespace: default}\nspec:\n  selector: {}\n  servers:\n";

fn server(number: usize, host: &str, tls: &str) -> String {
    format!("  - {{port: {{number: 8443, name: https-{number}, protocol: HTTPS}}, hosts: ['{host}'], tls: {tls}}}\n")
}

fn to_web() -> String {
    format!("---\n{}", rules("[{route: [{destination: {host: web}}]}]"))
}

#[tokio::test]
async fn each_server_name_is_shown_its_own_certificate_and_served_its_own_hosts() {
    let (first, second) = (Authority::new(), Authority::new());
    let app = App::named("web").await;
    let config = [
        GATEWAY.to_owned(),
        server(1, "a.example.com", "{mode: SIMPLE, credentialName: a}"),
        server(2, "*.example.com", "{mode: MUTUAL, credentialName: b}"),
        first.secret("a", "a.example.com", false),
        second.secret("b", "b.example.com", true),
        to_web(),
    ]
    .concat();
    let (gateway, address) = edge(&[("web", app.address)], &config).await;
    let anonymous = first.client(None, &[b"http/1.1"]);
    let response = ask(&anonymous, address, "a.example.com", "a.example.com").await.expect("served");
    assert!(response.ends_with("web"), "{response}");
    assert_eq!(header(&app.last(), "x-forwarded-proto"), Some("https"));
    // The other server's certificate is another authority's, and it asks for one of the client's.
    let other = second.client(None, &[]);
    assert!(ask(&other, address, "b.example.com", "b.example.com").await.is_err());
    let known = second.client(Some(&second), &[]);
    assert!(ask(&known, address, "b.example.com", "b.example.com").await.expect("served").ends_with("web"));
    let stranger = second.client(Some(&first), &[]);
    assert!(ask(&stranger, address, "b.example.com", "b.example.com").await.is_err());
    // A connection that showed no certificate does not get to the hosts where one is demanded.
    let response = ask(&anonymous, address, "a.example.com", "b.example.com").await.expect("an answer");
    assert!(response.starts_with("HTTP/1.1 421"), "{response}");
    assert!(ask(&anonymous, address, "c.org", "c.org").await.is_err());
    gateway.log.line("no server of this port has this name").await;
    assert_eq!(app.requests.lock().len(), 2);
    // Plaintext is not served on a port with TLS.
    let mut peer = Peer::connect(address).await;
    peer.send("GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n").await;
    assert_eq!(peer.rest().await, "");
}

#[tokio::test]
async fn http2_is_negotiated_where_the_client_offers_it() {
    let authority = Authority::new();
    let app = App::named("web").await;
    let config = [
        GATEWAY.to_owned(),
        server(1, "*", "{mode: OPTIONAL_MUTUAL, credentialName: a}"),
        authority.secret("a", "a.example.com", true),
        to_web(),
    ]
    .concat();
    let (gateway, address) = edge(&[("web", app.address)], &config).await;
    let tcp = TcpStream::connect(address).await.expect("a connection");
    let name = ServerName::try_from("a.example.com").expect("a name");
    let config = authority.client(None, &[b"h2", b"http/1.1"]);
    let stream = soon(TlsConnector::from(config).connect(name, tcp)).await.expect("TLS");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (send, connection) = soon(h2::client::handshake(stream)).await.expect("HTTP/2");
    tokio::spawn(connection);
    let mut send = soon(send.ready()).await.expect("ready");
    let request = http::Request::get("https://a.example.com/x").body(()).expect("a request");
    let (response, _) = send.send_request(request, true).expect("sent");
    assert_eq!(soon(response).await.expect("a response").status(), 200);
    gateway.log.line("\"GET /x HTTP/2\" 200").await;
}

#[tokio::test]
async fn without_its_secret_a_server_serves_nobody_and_says_so() {
    let authority = Authority::new();
    let config = [GATEWAY.to_owned(), server(1, "*", "{mode: SIMPLE, credentialName: gone}"), to_web()].concat();
    let app = App::named("web").await;
    let (gateway, address) = edge(&[("web", app.address)], &config).await;
    assert!(ask(&authority.client(None, &[]), address, "a.example.com", "a.example.com").await.is_err());
    gateway.log.line("the secret of Gateway default/front servers[0]").await;
}

#[tokio::test]
async fn plaintext_is_sent_to_https_where_that_is_asked_for() {
    let config = format!(
        "{GATEWAY}  - {{port: {{number: 8080, name: http, protocol: HTTP}}, hosts: ['*.example.com'], tls: {{httpsRedirect: true}}}}\n{}",
        to_web()
    );
    let app = App::named("web").await;
    let (_gateway, address) = edge(&[("web", app.address)], &config).await;
    let response = Peer::connect(address).await.ask("GET /a?b=c HTTP/1.1\r\nHost: a.example.com:8080\r\n\r\n").await;
    assert!(response.starts_with("HTTP/1.1 301"), "{response}");
    assert_eq!(header(&response, "location"), Some("https://a.example.com/a?b=c"));
    assert!(app.requests.lock().is_empty());
}

/// T15: what a client's certificate says at the edge is no principal of the mesh, so that a policy about principals allows nobody
/// there, and an exception for some of them is one for none.
#[tokio::test]
async fn t15_a_certificate_shown_at_the_edge_makes_no_principal() {
    let (authority, app) = (Authority::new(), App::named("hello").await);
    let who = "spiffe://cluster.local/ns/shop/sa/web";
    let settings = "{mode: MUTUAL, credentialName: web}";
    let gateway = format!("{GATEWAY}{}", server(0, "web.example.com", settings));
    for (policy, expected) in [
        ("{rules: [{from: [{source: {principals: ['*']}}]}]}", "403"),
        ("{rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/web]}}]}]}", "403"),
        ("{rules: [{from: [{source: {namespaces: [shop]}}]}]}", "403"),
        ("{rules: [{from: [{source: {notPrincipals: [cluster.local/ns/bank/sa/x]}}]}]}", "403"),
        ("{action: DENY, rules: [{from: [{source: {notPrincipals: [cluster.local/ns/shop/sa/web]}}]}]}", "403"),
        ("{action: DENY, rules: [{from: [{source: {notNamespaces: [shop]}}]}]}", "403"),
        ("{rules: [{to: [{operation: {hosts: [web.example.com]}}]}]}", "200"),
    ] {
        let policy = format!(
            "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
            metadata: {{name: p, namespace: default}}\nspec: {policy}\n"
        );
        let secret = authority.secret("web", "web.example.com", true);
        let config = format!("{gateway}{}{secret}{policy}", to_web());
        let (_running, address) = edge(&[("web", app.address)], &config).await;
        let client = authority.client_named(who);
        let answer = ask(&client, address, "web.example.com", "web.example.com").await.expect("an answer");
        assert_eq!(answer.split(' ').nth(1), Some(expected), "{policy}: {answer}");
    }
}
