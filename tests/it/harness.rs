//! Starts the real `mesh` executable with state and ports of its own, and talks to it as a user would.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take that is waited for.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The executable under test.
pub const MESH: &str = env!("CARGO_BIN_EXE_mesh");

/// Runs `mesh` to its end, with a home of its own.
pub fn mesh(arguments: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    Command::new(MESH).args(arguments).env("HOME", home.path()).env_remove("XDG_STATE_HOME").output().unwrap()
}

/// Standard output as text.
pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Standard error as text.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Waits until `probe` says something.
pub fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A runtime of its own; killed when dropped.
pub struct Runtime {
    child: Child,
    directory: TempDir,
    options: Vec<String>,
    /// `http://127.0.0.1:PORT`
    pub ingress: String,
    /// `https://127.0.0.1:PORT`
    pub api: String,
}

/// Runs a program with this on its standard input; `None` where there is no such program.
fn run_with(command: &mut Command, input: &str) -> Option<Output> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().ok()?;
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    Some(child.wait_with_output().unwrap())
}

impl Runtime {
    /// Starts `mesh up OPTIONS…` on any free ports and waits until it is ready.
    pub fn start(options: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        let child = spawn(Command::new(MESH), directory.path(), &options);
        let mut runtime = Self { child, directory, options, ingress: String::new(), api: String::new() };
        runtime.wait_until_ready();
        runtime
    }

    /// A runtime that may not listen on ports below 1024, as an ordinary user's. `None` where nothing can take the right away.
    pub fn ordinary() -> Option<Self> {
        let without = ["--bounding-set", "-net_bind_service", "--inh-caps", "-net_bind_service", MESH];
        let mut setpriv = Command::new("setpriv");
        setpriv.args(&without[..4]);
        if !setpriv.arg("true").output().is_ok_and(|output| output.status.success()) {
            println!("skipped: setpriv cannot take the right to listen away");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let mut program = Command::new("setpriv");
        program.args(without);
        let child = spawn(program, directory.path(), &[]);
        let mut runtime = Self { child, directory, options: Vec::new(), ingress: String::new(), api: String::new() };
        runtime.wait_until_ready();
        Some(runtime)
    }

    /// The demo without its traffic.
    pub fn demo() -> Self {
        Self::start(&["--demo", "--no-traffic"])
    }

    fn wait_until_ready(&mut self) {
        let record = self.directory.path().join("runtime.json");
        let pid = self.child.id();
        let (api, ingress) = eventually("the runtime is ready", || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("mesh up ended with {status}");
            }
            let record: Value = serde_json::from_slice(&std::fs::read(&record).ok()?).ok()?;
            (record["pid"] == pid).then(|| (text(&record["api"]), text(&record["ingress"])))
        });
        (self.api, self.ingress) = (api, ingress);
    }

    /// The runtime's process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its data directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on the same data, and waits until it is ready.
    pub fn restart(&mut self) {
        self.child = spawn(Command::new(MESH), self.directory.path(), &self.options);
        self.wait_until_ready();
    }

    /// Runs `mesh` against this runtime.
    pub fn mesh(&self, arguments: &[&str]) -> Output {
        Command::new(MESH).args(arguments).args(["--data-dir", &self.path("")]).output().unwrap()
    }

    /// The same, with this on its standard input.
    pub fn mesh_with(&self, arguments: &[&str], input: &str) -> Output {
        run_with(Command::new(MESH).args(arguments).args(["--data-dir", &self.path("")]), input).unwrap()
    }

    /// Runs kubectl against this runtime; `None` where there is no kubectl.
    pub fn kubectl(&self, arguments: &[&str], input: Option<&str>) -> Option<Output> {
        let mut kubectl = Command::new("kubectl");
        kubectl.env("KUBECONFIG", self.path("kubeconfig")).env("HOME", self.directory.path()).args(arguments);
        run_with(&mut kubectl, input.unwrap_or_default())
    }

    /// Runs kubectl and demands that it succeeds; its output, or `None` where there is no kubectl.
    pub fn kubectl_ok(&self, arguments: &[&str], input: Option<&str>) -> Option<String> {
        let output = self.kubectl(arguments, input)?;
        assert!(output.status.success(), "kubectl {arguments:?}: {}", stderr(&output));
        Some(stdout(&output))
    }

    /// A client of its API server, over its own kubeconfig.
    pub fn client(&self) -> impl Future<Output = kube::Client> + use<> {
        let kubeconfig = kube::config::Kubeconfig::read_from(self.path("kubeconfig")).unwrap();
        async move {
            // Another test may have been quicker.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
            let options = kube::config::KubeConfigOptions::default();
            let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
            kube::Client::try_from(config).unwrap()
        }
    }

    /// Path of a file in the data directory.
    pub fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    /// A connection to the ingress gateway.
    pub fn visitor(&self) -> Connection {
        Connection::open(self.ingress.trim_start_matches("http://").parse().unwrap())
    }

    /// `mesh status -o json`.
    pub fn status(&self) -> Value {
        let output = self.mesh(&["status", "-o", "json"]);
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(mut program: Command, directory: &Path, options: &[String]) -> Child {
    let output = std::fs::File::create(directory.join("output")).unwrap();
    program
        .args(["up", "--api-port", "0", "--ingress-port", "0", "--data-dir"])
        .arg(directory)
        .args(options)
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .spawn()
        .unwrap()
}

/// The text of a JSON string.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// (lower-case name, value) pairs.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: String,
}

impl Answer {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// The version of reviews that answered, from the pod's name.
    pub fn reviews_version(&self) -> String {
        let body: Value = serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"));
        let pod = text(&body["podname"]);
        pod.split('-').nth(1).unwrap_or_else(|| panic!("no pod name: {self:?}")).to_owned()
    }
}

/// A keep-alive HTTP/1.1 connection that knows nothing of the code under test.
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Connects.
    pub fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    /// Sends a GET and reads the answer.
    pub fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = format!("GET {path} HTTP/1.1\r\nhost: bookinfo.example\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
        self.read_answer()
    }

    fn read_answer(&mut self) -> Answer {
        let status_line = self.line();
        let status = status_line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.unwrap_or_else(|| panic!("not a status line: {status_line:?}"));
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut answer = Answer { status, headers, body: String::new() };
        let mut body = Vec::new();
        if let Some(length) = answer.header("content-length") {
            body.resize(length.parse().unwrap(), 0);
            self.stream.read_exact(&mut body).unwrap();
        } else if answer.header("transfer-encoding") == Some("chunked") {
            loop {
                let size = usize::from_str_radix(self.line().trim(), 16).unwrap();
                let start = body.len();
                body.resize(start + size, 0);
                self.stream.read_exact(&mut body[start..]).unwrap();
                self.line();
                if size == 0 {
                    break;
                }
            }
        }
        answer.body = String::from_utf8_lossy(&body).into_owned();
        answer
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}
