//! TLS that the proxy begins with servers that are no part of the mesh: who is believed, what is shown, and that plaintext is never
//! what it falls back to.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::edge_tls::Authority;
use super::harness::{Peer, edge, ok, rules};
use crate::tls::{self, EdgeClients};

/// A server of HTTP over TLS. What it sees: the names that are asked for, and every byte of what is no TLS.
struct Origin {
    address: SocketAddr,
    names: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Origin {
    async fn start(authority: &Authority, name: &str, clients: Option<&Authority>) -> Self {
        let (chain, key) = authority.issue(name);
        let pem = clients.map(Authority::pem);
        let clients = pem.as_deref().map_or(EdgeClients::Anonymous, EdgeClients::Required);
        let config = tls::edge_server(&chain, &key, clients, &[b"http/1.1"]).expect("a server");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let names: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = names.clone();
        let task = tokio::spawn(async move {
            let mut served = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, seen) = (TlsAcceptor::from(config.clone()), seen.clone());
                served.spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    seen.lock().push(stream.get_ref().1.server_name().unwrap_or("none").to_owned());
                    let mut request = Vec::new();
                    let mut room = [0; 4096];
                    while !request.ends_with(b"\r\n\r\n") {
                        match stream.read(&mut room).await {
                            Ok(count @ 1..) => request.extend_from_slice(&room[..count]),
                            _ => return,
                        }
                    }
                    // The client may have left.
                    let _ = stream.write_all(&ok("over TLS")).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        Self { address, names, task }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a client gets whose request goes to the origin under this `tls` of a DestinationRule; where that is 503, also what the log
/// says.
async fn answer(origin: &Origin, tls: &str, more: &str) -> String {
    let rule = format!(
        "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: web, namespace: default}}\n\
        spec: {{host: web, trafficPolicy: {{tls: {tls}}}}}\n{more}"
    );
    let config = rules("[{route: [{destination: {host: web}}]}]") + &rule;
    let (gateway, address) = edge(&[("web", origin.address)], &config).await;
    let response = Peer::connect(address).await.ask("GET / HTTP/1.1\r\nHost: web\r\n\r\n").await;
    match response.starts_with("HTTP/1.1 503") {
        true => response + &gateway.log.line(" 503 ").await,
        false => response,
    }
}

#[tokio::test]
async fn a_server_is_believed_that_the_named_authority_vouches_for() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let host = "web.default.svc.cluster.local";
    let origin = Origin::start(&authority, host, None).await;
    let files = tempfile::tempdir().expect("a directory");
    let pem = |name: &str, authority: &Authority| {
        let path = files.path().join(name);
        std::fs::write(&path, authority.pem()).expect("written");
        path.display().to_string()
    };
    let (good, bad) = (pem("good.pem", &authority), pem("bad.pem", &stranger));
    let response = answer(&origin, &format!("{{mode: SIMPLE, caCertificates: {good}}}"), "").await;
    assert!(response.ends_with("over TLS"), "{response}");
    assert_eq!(*origin.names.lock(), [host]);
    for (tls, reason) in [
        (format!("{{mode: SIMPLE, caCertificates: {bad}}}"), "failed"),
        // This machine believes others.
        ("{mode: SIMPLE}".to_owned(), "TLS with"),
        (format!("{{mode: SIMPLE, caCertificates: {good}, sni: other.org}}"), "not valid for name"),
        (
            format!("{{mode: SIMPLE, caCertificates: {good}, subjectAltNames: [a.org, 'spiffe://x/y']}}"),
            "for none of a.org",
        ),
        (format!("{{mode: SIMPLE, caCertificates: {}/gone.pem}}", files.path().display()), "gone.pem"),
        ("{mode: SIMPLE, credentialName: gone}".to_owned(), "the secret default/gone"),
    ] {
        let response = answer(&origin, &tls, "").await;
        assert!(response.starts_with("HTTP/1.1 503"), "{tls}: {response}");
        assert!(response.contains(reason), "{tls}: {response}");
    }
    assert_eq!(origin.names.lock().len(), 1, "nobody else got through");
}

#[tokio::test]
async fn names_that_the_user_gives_stand_for_the_one_that_is_asked_for() {
    let authority = Authority::new();
    let origin = Origin::start(&authority, "real.example.com", None).await;
    let secret = authority.secret("outside", "unused", true);
    let tls = "{mode: SIMPLE, credentialName: outside, sni: front.example.com, subjectAltNames: [real.example.com]}";
    let response = answer(&origin, tls, &secret).await;
    assert!(response.ends_with("over TLS"), "{response}");
    assert_eq!(*origin.names.lock(), ["front.example.com"]);
    // Whoever says so in so many words checks nothing.
    let response = answer(&origin, "{mode: SIMPLE, insecureSkipVerify: true}", "").await;
    assert!(response.ends_with("over TLS"), "{response}");
}

#[tokio::test]
async fn a_server_that_asks_for_a_certificate_is_shown_one() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let origin = Origin::start(&authority, "web.default.svc.cluster.local", Some(&clients)).await;
    // The secret holds the client's certificate of one authority, and the other one that vouches for the server.
    let own = clients.secret("own", "client", false);
    let vouching = authority.secret("own-cacert", "unused", true);
    let response = answer(&origin, "{mode: MUTUAL, credentialName: own}", &format!("{own}{vouching}")).await;
    assert!(response.ends_with("over TLS"), "{response}");
    let response = answer(&origin, "{mode: SIMPLE, credentialName: own}", &format!("{own}{vouching}")).await;
    assert!(response.starts_with("HTTP/1.1 503"), "{response}");
    let response = answer(&origin, "{mode: MUTUAL, credentialName: own}", &vouching).await;
    assert!(response.contains("tls.crt"), "{response}");
}

#[tokio::test]
async fn a_file_that_changes_is_read_again_and_one_that_breaks_is_not() {
    let (authority, next) = (Authority::new(), Authority::new());
    let origin = Origin::start(&next, "web.default.svc.cluster.local", None).await;
    let files = tempfile::tempdir().expect("a directory");
    let path = files.path().join("ca.pem");
    std::fs::write(&path, authority.pem()).expect("written");
    let config = rules("[{route: [{destination: {host: web}}]}]")
        + &format!(
            "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: web, namespace: default}}\n\
            spec: {{host: web, trafficPolicy: {{tls: {{mode: SIMPLE, caCertificates: {}}}}}}}\n",
            path.display()
        );
    let (gateway, _) = edge(&[("web", origin.address)], &config).await;
    let listeners = gateway.proxy.directory().listeners();
    let name = listeners.borrow()[0].virtual_hosts[0].routes.clone();
    let routes = gateway.proxy.directory().gateway_routes(&name).expect("routes");
    let originator = routes.clusters().next().and_then(|cluster| cluster.origin.clone()).expect("TLS");
    let config = || async { originator.config(crate::proxy::directory::Spoken::Http1).await };
    tokio::time::pause();
    let first = config().await.expect("a configuration");
    assert!(Arc::ptr_eq(&first, &config().await.expect("the same")));
    let changed = std::time::SystemTime::now() + std::time::Duration::from_secs(60);
    let write = |text: &str, more: u64| {
        std::fs::write(&path, text).expect("written");
        let file = std::fs::File::options().append(true).open(&path).expect("the file");
        file.set_modified(changed + std::time::Duration::from_secs(more)).expect("set");
    };
    write(&next.pem(), 0);
    tokio::time::advance(std::time::Duration::from_secs(11)).await;
    let second = config().await.expect("a configuration");
    assert!(!Arc::ptr_eq(&first, &second));
    write("no certificate", 1);
    tokio::time::advance(std::time::Duration::from_secs(11)).await;
    assert!(Arc::ptr_eq(&second, &config().await.expect("the last good one")));
}
