//! Beside HTTP, with the real binary: TLS passed through by its server name, TCP split by weight, and TLS that the gateway begins
//! with servers outside the mesh, one of which is OpenSSL's.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::harness::{MESH, eventually};

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// `mesh proxy --local` on these objects, and where it listens.
fn gateway(files: &Path, config: &str, ports: usize) -> (Running, Vec<String>) {
    std::fs::write(files.join("mesh.yaml"), config).unwrap();
    let mut command = Command::new(MESH);
    command.args(["proxy", "--local", "-n", "default", "--labels", "gateway.networking.k8s.io/gateway-name=edge"]);
    command.arg("-f").arg(files.join("mesh.yaml"));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let running = Running(child);
    let mut listening = Vec::new();
    while listening.len() < ports {
        let mut line = String::new();
        assert!(said.read_line(&mut line).unwrap() > 0, "the proxy ended");
        listening.extend(line.trim().strip_prefix("listening on ").map(str::to_owned));
    }
    // Whatever it says later must not stop it.
    std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
    (running, listening)
}

/// A service whose only endpoint is this port of the machine.
fn service(name: &str, port_name: &str, port: u16) -> String {
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: default}}\n\
        spec: {{ports: [{{name: {port_name}, port: 443}}]}}\n\
        ---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
        metadata: {{name: {name}, namespace: default, labels: {{kubernetes.io/service-name: {name}}}}}\n\
        ports: [{{name: {port_name}, port: {port}}}]\nendpoints: [{{addresses: [127.0.0.1]}}]\n"
    )
}

fn front(servers: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: front, namespace: default}}\n\
        spec:\n  selector: {{}}\n  servers:\n{servers}"
    )
}

fn virtual_service(hosts: &str, rules: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: rules, namespace: default}}\n\
        spec:\n  hosts: {hosts}\n  gateways: [front]\n  {rules}\n"
    )
}

/// An authority, and servers of OpenSSL's with its certificates.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    files: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let files = tempfile::tempdir().unwrap();
        std::fs::write(files.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, files }
    }

    fn path(&self, name: &str) -> String {
        self.files.path().join(name).display().to_string()
    }

    /// `openssl s_server` with a certificate for `name`, and its port; `None` where there is no OpenSSL. It answers a request of
    /// HTTP with a page that tells what it was asked for.
    fn server(&self, name: &str) -> Option<(Running, u16)> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        // One whose name is its issuer's counts as self-signed.
        params.distinguished_name.push(DnType::CommonName, name);
        let chain = params.signed_by(&key, &self.issuer).unwrap().pem();
        std::fs::write(self.files.path().join(format!("{name}.pem")), chain + &key.serialize_pem()).unwrap();
        let port = free_port();
        let mut command = Command::new("openssl");
        command.args(["s_server", "-quiet", "-www", "-accept", &port.to_string()]);
        command.args(["-cert", &self.path(&format!("{name}.pem"))]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
        let running = Running(child);
        eventually("openssl listens", || TcpStream::connect(("127.0.0.1", port)).ok());
        Some((running, port))
    }

    /// What curl says about an address that it believes to be `name`'s.
    fn curl(&self, name: &str, address: SocketAddr) -> (bool, String) {
        let resolve = format!("{name}:{}:127.0.0.1", address.port());
        let url = format!("https://{name}:{}/", address.port());
        let output = Command::new("curl")
            .args(["-sS", "-v", "--noproxy", "*", "--max-time", "20", "--cacert", &self.path("ca.pem")])
            .args(["--resolve", &resolve, &url])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), said)
    }
}

#[test]
fn curl_reaches_the_server_whose_name_it_asks_for_and_its_certificate() {
    let authority = Authority::new();
    let (Some(a), Some(b)) = (authority.server("a.example.com"), authority.server("b.example.com")) else {
        eprintln!("skipped: there is no openssl");
        return;
    };
    let port = free_port();
    let config = front(&format!(
        "  - {{port: {{number: {port}, name: tls, protocol: TLS}}, hosts: ['*.example.com'], tls: {{mode: PASSTHROUGH}}}}\n"
    )) + &virtual_service(
        "['*.example.com']",
        "tls:\n  - {match: [{sniHosts: [a.example.com]}], route: [{destination: {host: a}}]}\n  \
            - {match: [{sniHosts: [b.example.com]}], route: [{destination: {host: b}}]}",
    ) + &service("a", "tls", a.1)
        + &service("b", "tls", b.1);
    let (_gateway, listening) = gateway(authority.files.path(), &config, 1);
    assert_eq!(listening, [format!("https://127.0.0.1:{port}")]);
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    for name in ["a.example.com", "b.example.com"] {
        let (good, said) = authority.curl(name, address);
        // The certificate is the server's own, which curl has checked for the name.
        assert!(good && said.contains("HTTP/1.0 200"), "{name}: {said}");
    }
    let (good, said) = authority.curl("c.example.com", address);
    assert!(!good, "{said}");
}

/// A server that says its name and waits for the client to go.
fn greeter(name: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let _ = stream.write_all(name.as_bytes());
                let _ = stream.read(&mut [0]);
            });
        }
    });
    port
}

#[test]
fn tcp_connections_are_split_by_weight() {
    let files = tempfile::tempdir().unwrap();
    let port = free_port();
    let config = front(&format!("  - {{port: {{number: {port}, name: tcp, protocol: TCP}}, hosts: ['*']}}\n"))
        + &virtual_service(
            "['*']",
            "tcp: [{route: [{destination: {host: one}, weight: 80}, {destination: {host: two}, weight: 20}]}]",
        )
        + &service("one", "tcp", greeter("one"))
        + &service("two", "tcp", greeter("two"));
    let (_gateway, listening) = gateway(files.path(), &config, 1);
    assert_eq!(listening, [format!("tcp://127.0.0.1:{port}")]);
    let mut two = 0;
    for _ in 0..300 {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut name = [0; 3];
        stream.read_exact(&mut name).unwrap();
        two += usize::from(&name == b"two");
    }
    assert!((20..=110).contains(&two), "{two} of 300 connections reached the second");
}

#[test]
fn tls_is_begun_with_a_server_outside_and_never_without_believing_it() {
    let authority = Authority::new();
    let Some(outside) = authority.server("api.example.com") else {
        eprintln!("skipped: there is no openssl");
        return;
    };
    let ask = |ca: &str| {
        let port = free_port();
        let config = front(&format!("  - {{port: {{number: {port}, name: http, protocol: HTTP}}, hosts: ['*']}}\n"))
            + &virtual_service(
                "['*']",
                "http: [{route: [{destination: {host: api.example.com, port: {number: 80}}}]}]",
            )
            + &format!(
                "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: api, namespace: default}}\n\
                spec: {{hosts: [api.example.com], resolution: DNS, endpoints: [{{address: localhost}}], \
                ports: [{{number: 80, name: http, protocol: HTTP, targetPort: {}}}]}}\n",
                outside.1
            )
            + &format!(
                "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: api, namespace: default}}\n\
                spec: {{host: api.example.com, trafficPolicy: {{tls: {{mode: SIMPLE{ca}}}}}}}\n"
            );
        let (_gateway, _) = gateway(authority.files.path(), &config, 1);
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: api.example.com\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let answer = ask(&format!(", caCertificates: {}", authority.path("ca.pem")));
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("s_server"), "{answer}");
    // Without it nobody whom this machine believes vouches for the server.
    let answer = ask("");
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
}

/// A Gateway of the Gateway API.
fn edge(listeners: &str) -> String {
    gateway_api("Gateway", "edge", &format!("{{gatewayClassName: istio, listeners: [{listeners}]}}"))
}

fn gateway_api(kind: &str, name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: {kind}\nmetadata: {{name: {name}, namespace: default}}\nspec: {spec}\n"
    )
}

#[test]
fn a_tls_route_passes_connections_on_and_a_tcp_route_takes_the_rest() {
    let authority = Authority::new();
    let Some(a) = authority.server("a.example.com") else {
        eprintln!("skipped: there is no openssl");
        return;
    };
    let (tls, tcp) = (free_port(), free_port());
    let config = edge(&format!(
        "{{name: tls, port: {tls}, protocol: TLS, hostname: '*.example.com', tls: {{mode: Passthrough}}}},
         {{name: tcp, port: {tcp}, protocol: TCP}}"
    )) + &gateway_api(
        "TLSRoute",
        "a",
        "{parentRefs: [{name: edge}], hostnames: [a.example.com], rules: [{backendRefs: [{name: a, port: 443}]}]}",
    ) + &gateway_api(
        "TCPRoute",
        "one",
        "{parentRefs: [{name: edge, sectionName: tcp}], rules: [{backendRefs: [{name: one, port: 443}]}]}",
    ) + &service("a", "tls", a.1)
        + &service("one", "tcp", greeter("one"));
    let (_gateway, _) = gateway(authority.files.path(), &config, 2);
    let address = SocketAddr::from(([127, 0, 0, 1], tls));
    let (good, said) = authority.curl("a.example.com", address);
    assert!(good && said.contains("HTTP/1.0 200"), "{said}");
    let (good, said) = authority.curl("b.example.com", address);
    assert!(!good, "{said}");
    let mut stream = TcpStream::connect(("127.0.0.1", tcp)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut name = [0; 3];
    stream.read_exact(&mut name).unwrap();
    assert_eq!(&name, b"one");
}

#[test]
fn a_policy_about_backends_has_the_gateway_begin_tls_and_check_the_server() {
    let authority = Authority::new();
    let Some(server) = authority.server("a.example.com") else {
        eprintln!("skipped: there is no openssl");
        return;
    };
    let pem: String = authority.issuer.pem().lines().map(|line| format!("    {line}\n")).collect();
    let ask = |validation: &str| {
        let port = free_port();
        let config = edge(&format!("{{name: http, port: {port}, protocol: HTTP}}"))
            + &gateway_api(
                "HTTPRoute",
                "a",
                "{parentRefs: [{name: edge}], rules: [{backendRefs: [{name: a, port: 443}]}]}",
            )
            + &gateway_api(
                "BackendTLSPolicy",
                "a",
                &format!(
                    "{{targetRefs: [{{group: '', kind: Service, name: a, sectionName: http}}], validation: {{{validation}}}}}"
                ),
            )
            + &format!(
                "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: roots, namespace: default}}\ndata:\n  ca.crt: |\n{pem}"
            )
            + &service("a", "http", server.1);
        let (_gateway, _) = gateway(authority.files.path(), &config, 1);
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: any.org\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let roots = "caCertificateRefs: [{group: '', kind: ConfigMap, name: roots}]";
    let answer = ask(&format!("hostname: a.example.com, {roots}"));
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("s_server"), "{answer}");
    let named =
        format!("hostname: b.example.com, {roots}, subjectAltNames: [{{type: Hostname, hostname: a.example.com}}]");
    assert!(ask(&named).starts_with("HTTP/1.1 200"));
    for wrong in [
        format!("hostname: b.example.com, {roots}"),
        "hostname: a.example.com, wellKnownCACertificates: System".to_owned(),
        "hostname: a.example.com, caCertificateRefs: [{group: '', kind: ConfigMap, name: gone}]".to_owned(),
    ] {
        assert!(ask(&wrong).starts_with("HTTP/1.1 503"), "{wrong}");
    }
}
