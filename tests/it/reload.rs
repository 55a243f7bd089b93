//! A gateway from files whose files change under load, and its end: no request is lost.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::gateway::backend;
use crate::harness::{MESH, PATIENCE, eventually};

/// How often the files change.
const CHANGES: usize = 100;
/// Requests that are answered between two changes, at least.
const BETWEEN: usize = 10;
/// Requests per second, all clients together.
const RATE: u32 = 500;
/// A client that sent nothing for so long may find its connection closed while the proxy drains.
const IDLE: Duration = Duration::from_millis(400);
/// Connections that the kernel may have taken in the moment in which the listening sockets were closed.
const UNACCEPTED: usize = 2;
/// The line that says that a change is in force.
const IN_FORCE: &str = "the files were read again and are in force";

/// A certificate for `localhost`, with its key.
struct Certificate {
    chain: String,
    key: String,
    der: CertificateDer<'static>,
}

impl Certificate {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        Self { chain: made.cert.pem(), key: made.signing_key.serialize_pem(), der: made.cert.der().clone() }
    }
}

/// What the files are made of.
pub struct Site {
    /// Port of HTTP.
    pub plain: u16,
    /// Port of HTTPS.
    pub secure: u16,
    /// Open with every other change.
    extra: u16,
    backends: Vec<u16>,
    certificates: [Certificate; 2],
}

impl Site {
    /// Ports that are free, and new certificates.
    pub fn new() -> Self {
        // Held together, so that no number comes twice.
        let sockets: Vec<TcpListener> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let [plain, secure, extra] = [0, 1, 2].map(|number: usize| sockets[number].local_addr().unwrap().port());
        let backends = ["this is the first", "this is the second", "this is the third"].map(backend).to_vec();
        Self { plain, secure, extra, backends, certificates: [Certificate::new(), Certificate::new()] }
    }

    /// Waits until both ports are open.
    pub fn is_open(&self) {
        for port in [self.plain, self.secure] {
            eventually("the port is open", || TcpStream::connect(("127.0.0.1", port)).ok());
        }
    }

    /// The files of one state: every part that a change can touch depends on its number.
    pub fn text(&self, number: usize) -> String {
        let mut servers =
            format!("  - {{port: {{number: {}, name: http, protocol: HTTP}}, hosts: ['*']}}\n", self.plain);
        writeln!(
            servers,
            "  - {{port: {{number: {}, name: https, protocol: HTTPS}}, hosts: ['*'], \
            tls: {{mode: SIMPLE, credentialName: edge}}}}",
            self.secure
        )
        .unwrap();
        if number % 2 == 1 {
            writeln!(servers, "  - {{port: {{number: {}, name: more, protocol: HTTP}}, hosts: ['*']}}", self.extra)
                .unwrap();
        }
        let rules = (0..number % 4).fold(String::new(), |mut rules, rule| {
            writeln!(
                rules,
                "  - {{match: [{{headers: {{x-rule: {{exact: '{rule}'}}}}}}], route: [{{destination: {{host: web}}}}]}}"
            )
            .unwrap();
            rules
        });
        let certificate = &self.certificates[number % 2];
        let mut text = format!(
            "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: front, namespace: shop}}\n\
            spec:\n  selector: {{istio: ingressgateway}}\n  servers:\n{servers}---\n\
            apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: web, namespace: shop}}\n\
            spec:\n  hosts: ['*']\n  gateways: [front]\n  http:\n{rules}  - route: [{{destination: {{host: web}}}}]\n    \
            headers: {{response: {{set: {{x-state: '{number}'}}}}}}\n---\n\
            apiVersion: v1\nkind: Secret\nmetadata: {{name: edge, namespace: istio-system}}\n\
            stringData:\n  tls.crt: |\n{}  tls.key: |\n{}---\n\
            apiVersion: v1\nkind: Service\nmetadata: {{name: web, namespace: shop}}\n\
            spec: {{ports: [{{name: http, port: 80}}]}}\n",
            indented(&certificate.chain),
            indented(&certificate.key),
        );
        // Two of three endpoints at a time.
        for (place, port) in self.backends.iter().enumerate().filter(|(place, _)| place % 3 != number % 3) {
            writeln!(
                text,
                "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
                metadata: {{name: web-{place}, namespace: shop, labels: {{kubernetes.io/service-name: web}}}}\n\
                addressType: IPv4\nports: [{{name: http, port: {port}}}]\nendpoints: [{{addresses: [127.0.0.1]}}]"
            )
            .unwrap();
        }
        text
    }
}

fn indented(pem: &str) -> String {
    pem.lines().map(|line| format!("    {line}\n")).collect()
}

/// A running `mesh proxy --local` and what it says.
pub struct Gateway {
    child: Child,
    said: mpsc::Receiver<String>,
    directory: tempfile::TempDir,
}

impl Gateway {
    /// Starts it on a file with this text.
    pub fn start(text: &str, options: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        replace(directory.path(), text);
        let mut child = Command::new(MESH)
            .args(["proxy", "--local", "-f"])
            .arg(directory.path())
            .args(options)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, said) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, said, directory }
    }

    /// Waits for a line that holds this; the lines before it are passed over.
    pub fn says(&self, wanted: &str) -> String {
        let mut before = Vec::new();
        loop {
            match self.said.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(wanted) => return line,
                Ok(line) => before.push(line),
                Err(_) => panic!("{wanted:?} was not said, but {before:#?}"),
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    fn ended(&mut self) -> Option<i32> {
        eventually("the proxy ends", || self.child.try_wait().unwrap()).code()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Puts a file in the place of the one before, as a whole.
fn replace(directory: &Path, text: &str) {
    let staged: PathBuf = directory.join(".staged");
    std::fs::write(&staged, text).unwrap();
    std::fs::rename(staged, directory.join("mesh.yaml")).unwrap();
}

trait Wire: Read + Write + Send {}
impl<T: Read + Write + Send> Wire for T {}

/// How a client makes its connections.
#[derive(Clone)]
struct Door {
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
}

impl Door {
    fn plain(port: u16) -> Self {
        Self { address: ([127, 0, 0, 1], port).into(), tls: None }
    }

    fn secure(port: u16, roots: &[&Certificate]) -> Self {
        let mut store = RootCertStore::empty();
        for root in roots {
            store.add(root.der.clone()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config = config.with_root_certificates(store).with_no_client_auth();
        // Every connection is to see the certificate of its time.
        config.resumption = rustls::client::Resumption::disabled();
        Self { tls: Some(Arc::new(config)), ..Self::plain(port) }
    }

    fn open(&self) -> io::Result<BufReader<Box<dyn Wire>>> {
        let tcp = TcpStream::connect(self.address)?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        let wire: Box<dyn Wire> = match &self.tls {
            None => Box::new(tcp),
            Some(config) => {
                let name = ServerName::try_from("localhost").unwrap();
                let session = ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
                let mut stream = StreamOwned::new(session, tcp);
                while stream.conn.is_handshaking() {
                    stream.conn.complete_io(&mut stream.sock)?;
                }
                Box::new(stream)
            }
        };
        Ok(BufReader::new(wire))
    }
}

struct Reply {
    state: usize,
    closes: bool,
}

/// Asks once. An error before the first byte of the answer has the kind `NotConnected`.
fn ask(wire: &mut BufReader<Box<dyn Wire>>) -> io::Result<Reply> {
    let unanswered = |error: io::Error| io::Error::new(io::ErrorKind::NotConnected, error);
    wire.get_mut().write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").map_err(unanswered)?;
    wire.get_mut().flush().map_err(unanswered)?;
    let mut line = String::new();
    if wire.read_line(&mut line).map_err(unanswered)? == 0 {
        return Err(unanswered(io::ErrorKind::UnexpectedEof.into()));
    }
    if !line.starts_with("HTTP/1.1 200") {
        return Err(io::Error::other(line));
    }
    let (mut reply, mut length) = (Reply { state: usize::MAX, closes: false }, 0);
    loop {
        line.clear();
        if wire.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let lower = line.to_ascii_lowercase();
        match lower.trim().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().map_err(io::Error::other)?,
            Some(("x-state", value)) => reply.state = value.parse().map_err(io::Error::other)?,
            Some(("connection", "close")) => reply.closes = true,
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    wire.read_exact(&mut body)?;
    Ok(reply)
}

/// What clients tell the test.
#[derive(Default)]
struct Tally {
    answered: AtomicUsize,
    /// The proxy was told to end.
    ending: AtomicBool,
    /// Connections that were made while it ended, and on which not a byte came back.
    unaccepted: AtomicUsize,
    failures: Mutex<Vec<String>>,
}

impl Tally {
    fn fail(&self, what: String) {
        self.failures.lock().unwrap().push(what);
    }

    fn no_failure(&self) {
        let failures = self.failures.lock().unwrap();
        assert!(failures.is_empty(), "{} failed: {:#?}", failures.len(), &failures[..failures.len().min(10)]);
    }
}

/// Beats `rate` times a second, and makes up for what was missed in the last moment.
struct Pace {
    next: Instant,
    period: Duration,
}

impl Pace {
    fn new(rate: u32) -> Self {
        Self { next: Instant::now(), period: Duration::from_secs(1) / rate }
    }

    /// When to go on.
    fn step(&mut self) -> Duration {
        let now = Instant::now();
        self.next = (self.next + self.period).max(now.checked_sub(Duration::from_secs(1)).unwrap_or(now));
        self.next.saturating_duration_since(now)
    }
}

/// Asks at a pace until the proxy has gone, on connections that are kept or on a new one each time.
fn client(door: &Door, keeps: bool, rate: u32, tally: &Tally) {
    let mut pace = Pace::new(rate);
    let mut kept: Option<BufReader<Box<dyn Wire>>> = None;
    let mut last = Instant::now();
    loop {
        std::thread::sleep(pace.step());
        let is_new = kept.is_none();
        let opened = match kept.take() {
            Some(wire) => Ok(wire),
            None => door.open(),
        };
        let idle = last.elapsed();
        last = Instant::now();
        let ending = tally.ending.load(Ordering::SeqCst);
        let asked = opened.and_then(|mut wire| ask(&mut wire).map(|reply| (wire, reply)));
        let ending_now = tally.ending.load(Ordering::SeqCst);
        match asked {
            Ok((wire, reply)) => {
                tally.answered.fetch_add(1, Ordering::Relaxed);
                if reply.closes && !ending_now {
                    tally.fail("a connection was closed without need".to_owned());
                }
                kept = (keeps && !reply.closes).then_some(wire);
            }
            Err(error) if ending && error.kind() == io::ErrorKind::ConnectionRefused => return,
            Err(error) if ending_now && is_new => {
                // The kernel, or a handshake that was under way.
                if error.kind() != io::ErrorKind::ConnectionRefused {
                    tally.unaccepted.fetch_add(1, Ordering::Relaxed);
                }
            }
            Err(error) if ending_now && error.kind() == io::ErrorKind::NotConnected && idle > IDLE => {}
            Err(error) => tally.fail(format!("{} (new: {is_new}, TLS: {})", error, door.tls.is_some())),
        }
        if !tally.failures.lock().unwrap().is_empty() {
            return;
        }
    }
}

/// The same over HTTP/2, on one connection as long as it takes requests.
async fn http2_client(address: SocketAddr, rate: u32, tally: &Tally) {
    let mut pace = Pace::new(rate);
    loop {
        let Ok(tcp) = tokio::net::TcpStream::connect(address).await else {
            if !tally.ending.load(Ordering::SeqCst) {
                tally.fail("HTTP/2: refused".to_owned());
            }
            return;
        };
        let Ok((mut send, connection)) = h2::client::handshake(tcp).await else { continue };
        let driving = tokio::spawn(connection);
        loop {
            tokio::time::sleep(pace.step()).await;
            // A connection that is told to end takes no more requests.
            let Ok(ready) = send.ready().await else { break };
            send = ready;
            let request = http::Request::get("http://localhost/").body(()).unwrap();
            let answered = match send.send_request(request, true) {
                Ok((response, _)) => response.await,
                Err(error) => Err(error),
            };
            match answered {
                Ok(response) if response.status() == 200 => {
                    let mut body = response.into_body();
                    while let Some(data) = body.data().await {
                        match data {
                            Ok(data) => drop(body.flow_control().release_capacity(data.len())),
                            Err(error) => tally.fail(format!("HTTP/2: {error}")),
                        }
                    }
                    tally.answered.fetch_add(1, Ordering::Relaxed);
                }
                Ok(response) => tally.fail(format!("HTTP/2: {}", response.status())),
                // Said before the request was looked at: it may be sent again.
                Err(error) if tally.ending.load(Ordering::SeqCst) && error.is_go_away() => break,
                Err(error) => tally.fail(format!("HTTP/2: {error}")),
            }
            if !tally.failures.lock().unwrap().is_empty() {
                return;
            }
        }
        driving.abort();
    }
}

#[test]
fn a_hundred_changes_and_the_end_lose_no_request() {
    let site = Site::new();
    let mut gateway = Gateway::start(&site.text(0), &["--workers", "2"]);
    site.is_open();

    let plain = Door::plain(site.plain);
    let secure = Door::secure(site.secure, &[&site.certificates[0], &site.certificates[1]]);
    let tally = Arc::new(Tally::default());
    let mut clients = Vec::new();
    // Eight shares of the rate: three and one on plain connections, kept and new; one and one with TLS; two of HTTP/2.
    let share = RATE / 8;
    let doors = [(&plain, true), (&plain, true), (&plain, true), (&plain, false), (&secure, true), (&secure, false)];
    for (door, keeps) in doors {
        let (door, tally) = (door.clone(), tally.clone());
        clients.push(std::thread::spawn(move || client(&door, keeps, share, &tally)));
    }
    let (address, of_http2) = (plain.address, tally.clone());
    clients.push(std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(http2_client(address, share * 2, &of_http2));
    }));

    let start = Instant::now();
    for number in 1..=CHANGES {
        replace(gateway.directory.path(), &site.text(number));
        gateway.signal(Signal::SIGHUP);
        gateway.says(IN_FORCE);
        eventually("the new rules decide", || {
            tally.no_failure();
            (ask(&mut plain.open().unwrap()).unwrap().state == number).then_some(())
        });
        // Only the certificate of this state is believed.
        let current = Door::secure(site.secure, &[&site.certificates[number % 2]]);
        eventually("the new certificate is shown", || current.open().ok());
        eventually("the extra port is open, or is not", || {
            (TcpStream::connect(("127.0.0.1", site.extra)).is_ok() == (number % 2 == 1)).then_some(())
        });
        let before = tally.answered.load(Ordering::Relaxed);
        eventually("requests are answered", || {
            tally.no_failure();
            (tally.answered.load(Ordering::Relaxed) >= before + BETWEEN).then_some(())
        });
    }
    let (answered, took) = (tally.answered.load(Ordering::Relaxed), start.elapsed());
    tally.ending.store(true, Ordering::SeqCst);
    gateway.signal(Signal::SIGTERM);
    for client in clients {
        client.join().unwrap();
    }
    tally.no_failure();
    let unaccepted = tally.unaccepted.load(Ordering::Relaxed);
    assert!(unaccepted <= UNACCEPTED, "{unaccepted} connections were made and not served");
    assert_eq!(gateway.ended(), Some(0));
    println!("{CHANGES} changes, {answered} requests in {:.1} s, none failed", took.as_secs_f64());
}

#[test]
fn files_that_cannot_be_used_change_nothing() {
    let site = Site::new();
    let gateway = Gateway::start(&site.text(0), &[]);
    site.is_open();
    let plain = Door::plain(site.plain);
    let good = site.text(1);
    let broken = [
        ("kind: VirtualService\n", "kind: VirtualService\n  bad: [\n", "error"),
        ("hosts: ['*']\n  gateways", "hosts: 7\n  gateways", "1 error"),
        ("istio: ingressgateway", "istio: another", "no server of a Gateway"),
    ];
    for (from, to, said) in broken {
        let text = good.replace(from, to);
        assert_ne!(text, good);
        replace(gateway.directory.path(), &text);
        gateway.signal(Signal::SIGHUP);
        let line = gateway.says("what was in force before stays");
        assert!(line.contains(said), "{line}");
        assert_eq!(ask(&mut plain.open().unwrap()).unwrap().state, 0);
    }
    replace(gateway.directory.path(), &good);
    gateway.signal(Signal::SIGHUP);
    gateway.says(IN_FORCE);
    eventually("the good file is in force", || (ask(&mut plain.open().unwrap()).unwrap().state == 1).then_some(()));
}

#[test]
fn http10_is_served_where_that_is_asked_for() {
    for (options, expected) in [(&["--http10"][..], "HTTP/1.1 200"), (&[], "HTTP/1.1 426")] {
        let site = Site::new();
        let _gateway = Gateway::start(&site.text(0), options);
        site.is_open();
        let mut stream = TcpStream::connect(("127.0.0.1", site.plain)).unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\nhost: a\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with(expected), "{answer}");
    }
}

#[test]
fn watched_files_are_taken_up_without_a_signal() {
    let site = Site::new();
    let gateway = Gateway::start(&site.text(0), &["--watch"]);
    site.is_open();
    replace(gateway.directory.path(), &site.text(1));
    gateway.says(IN_FORCE);
    gateway.says(&format!("listening on http://127.0.0.1:{}", site.extra));
    assert_eq!(ask(&mut Door::plain(site.extra).open().unwrap()).unwrap().state, 1);
}
